// SPDX-License-Identifier: MPL-2.0
//! How streams of all kinds are believed, and what one odd buffer in them does: nothing.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const HOUR: i64 = 3_600_000 * MS;
const TIMEOUT: u64 = 2_000 * MS as u64;

fn said(order: i64, duration: Option<i64>) -> Said {
    Said {
        order,
        start: order,
        duration: duration.map(i64::unsigned_abs),
        samples: None,
    }
}

/// A stream that comes on time.
struct Live(Pace);

impl Live {
    fn new() -> Self {
        Self(Pace::default())
    }

    /// What is believed of the duration of a buffer, all in milliseconds.
    fn lasts(&mut self, at: i64, says: i64) -> u64 {
        let said = said(at * MS, Some(says * MS));
        self.0.believe(said, at * MS, true, u64::MAX).duration / MS as u64
    }

    fn goes(&mut self, times: impl Iterator<Item = i64>, lasts: i64) {
        for at in times {
            self.lasts(at, lasts);
        }
    }
}

#[test]
fn a_duration_is_bounded_by_the_usual_step() {
    let mut live = Live::new();
    assert_eq!(live.lasts(0, 10_000), 100, "nothing is known yet");
    assert_eq!(live.lasts(40, 10_000), 100);
    assert_eq!(live.lasts(80, 10_000), 40);
    live.goes((120..1_000).step_by(40), 40);
    for says in [10_000, 3_600_000, 2 << 40] {
        assert_eq!(live.lasts(1_000, says), 40);
    }
    assert_eq!(live.lasts(1_040, 80), 80);
    assert_eq!(live.lasts(1_080, 5), 5);
}

#[test]
fn a_slow_stream_is_believed_from_its_third_frame_on() {
    for step in [1_000, 5_000] {
        let mut live = Live::new();
        let lasts: Vec<_> = (0..5).map(|n| live.lasts(n * step, step)).collect();
        let step = step.unsigned_abs();
        assert_eq!(lasts, [100, 100, step, step, step]);
    }
}

#[test]
fn what_is_longer_than_the_timeout_is_not_waited_for() {
    let mut pace = Pace::default();
    let lasts = (0..5).map(|n| {
        let at = n * 10_000 * MS;
        let said = said(at, Some(10_000 * MS));
        pace.believe(said, at, true, TIMEOUT).duration
    });
    assert_eq!(lasts.last(), Some(TIMEOUT));
}

#[test]
fn a_stream_may_change_its_pace() {
    let mut live = Live::new();
    live.goes((0..1_000).step_by(40), 40);
    let slow: Vec<_> = (1_000..2_400)
        .step_by(200)
        .map(|at| live.lasts(at, 200))
        .collect();
    assert_eq!(slow, [40, 40, 40, 40, 40, 200, 200]);
    live.goes((2_400..4_000).step_by(200), 200);
    let fast: Vec<_> = (4_000..4_400)
        .step_by(40)
        .map(|at| live.lasts(at, 40))
        .collect();
    assert_eq!(fast, [40; 10]);
    assert_eq!(live.lasts(4_400, 10_000), 40);
}

#[test]
fn a_hole_is_no_pace() {
    let mut live = Live::new();
    live.goes((0..400).step_by(40), 40);
    assert_eq!(live.lasts(5_000, 4_640), 40);
    assert_eq!(live.lasts(5_040, 40), 40);
    // Who does not say is taken to last as long as the others.
    let unsaid = live
        .0
        .believe(said(5_080 * MS, None), 5_080 * MS, true, u64::MAX);
    assert_eq!(unsaid.duration, 40 * MS as u64);
}

#[test]
fn frames_that_are_decoded_in_another_order_have_the_same_pace() {
    let mut pace = Pace::default();
    // I P B B B, four times, with a PTS only.
    for group in 0..4 {
        for (n, at) in [160, 40, 80, 120].into_iter().enumerate() {
            let arrival = (group * 160 + n as i64 * 40) * MS;
            let order = (group * 160 + at) * MS;
            let times = pace.believe(said(order, Some(40 * MS)), arrival, true, u64::MAX);
            assert_eq!(
                (times.order, times.start, times.duration),
                (order, order, 40_000_000)
            );
        }
    }
    assert_eq!(pace.usual, Some(40 * MS));
}

#[test]
fn slices_of_a_frame_are_no_frames() {
    let mut live = Live::new();
    for at in (0..800).step_by(40) {
        for _ in 0..6 {
            live.lasts(at, 40);
        }
    }
    assert_eq!(live.lasts(800, 10_000), 40);
}

#[test]
fn raw_audio_lasts_as_long_as_its_samples() {
    let mut pace = Pace::default();
    let mut lasts = |duration: Option<u64>, samples| {
        let samples = Some(samples);
        let said = Said {
            duration,
            samples,
            ..said(0, None)
        };
        pace.believe(said, 0, true, TIMEOUT).duration
    };
    assert_eq!(lasts(None, 21_333_333), 21_333_333);
    assert_eq!(lasts(Some(21_333_334), 21_333_333), 21_333_334);
    assert_eq!(lasts(Some(21_000_000), 21_333_333), 21_000_000);
    assert_eq!(lasts(Some(10_000_000_000), 21_333_333), 21_333_333);
    assert_eq!(lasts(Some(1), 5_000_000_000), 5_000_000_000);
}

#[test]
fn a_stream_whose_time_changes_for_good_is_followed_from_its_second_buffer_on() {
    for jump in [HOUR, -HOUR, 900 * MS, -900 * MS] {
        let mut pace = Pace::default();
        let mut orders = vec![];
        for n in 0..20 {
            let arrival = n * 40 * MS;
            let order = if n < 10 { arrival } else { arrival + jump };
            let times = pace.believe(said(order, None), arrival, true, u64::MAX);
            orders.push(times.order - if n > 10 { jump } else { 0 });
        }
        assert_eq!(orders, (0..20).map(|n| n * 40 * MS).collect::<Vec<_>>());
    }
}

#[test]
fn a_stream_whose_times_mean_nothing_goes_as_it_comes() {
    let mut pace = Pace::default();
    let mut odd = 1i64;
    for n in 0..100 {
        odd = odd
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let (order, arrival) = if n < 10 {
            (n * 40 * MS, n * 40 * MS)
        } else {
            (odd, n * 40 * MS)
        };
        let times = pace.believe(said(order, Some(HOUR)), arrival, true, u64::MAX);
        assert_eq!(times.order, arrival);
        assert!(times.duration <= 100 * MS as u64);
    }
}

#[test]
fn a_slow_stream_may_begin_with_a_burst() {
    let mut pace = Pace::default();
    for n in 0..20 {
        let arrival = n.max(10) * 1_000 * MS;
        let times = pace.believe(said(n * 1_000 * MS, None), arrival, true, u64::MAX);
        assert_eq!(times.order, n * 1_000 * MS);
    }
}

#[test]
fn what_comes_late_is_not_off() {
    let mut pace = Pace::default();
    // Two seconds are lost, and what follows is half a second late.
    for (order, arrival) in [
        (0, 0),
        (40, 40),
        (80, 80),
        (2_080, 2_580),
        (2_120, 2_590),
        (2_160, 2_600),
    ] {
        let times = pace.believe(said(order * MS, None), arrival * MS, true, u64::MAX);
        assert_eq!(times.order, order * MS);
    }
}

#[test]
fn what_does_not_come_by_the_clock_may_not_go_back_either() {
    let mut pace = Pace::default();
    let orders = [5_000, 5_040, 5_080, 5_120, 0, 5_200, 5_240, 0, 40, 80];
    let believed = orders.map(|order| {
        pace.believe(said(order * MS, None), 0, false, u64::MAX)
            .order
            / MS
    });
    assert_eq!(
        believed,
        [
            5_000, 5_040, 5_080, 5_120, 5_120, 5_200, 5_240, 5_240, 40, 80
        ]
    );
}

#[test]
fn what_comes_by_no_clock_is_not_measured_by_it() {
    let mut pace = Pace::default();
    for n in 0..10 {
        let at = n * 10_000 * MS;
        let times = pace.believe(said(at, Some(10_000 * MS)), 0, false, u64::MAX);
        assert_eq!(times.order, at);
    }
}

#[test]
fn a_frame_is_not_shown_an_hour_after_it_is_decoded() {
    let mut pace = Pace::default();
    for n in 0..100 {
        let order = n * 40 * MS;
        // Groups of eight, whose first is shown seven frames later.
        let right = if n % 8 == 0 { 320 * MS } else { 40 * MS };
        let reach = match n {
            50 => HOUR,
            51 => -HOUR,
            _ => right,
        };
        let start = order + reach;
        let times = pace.believe(
            Said {
                start,
                ..said(order, None)
            },
            order,
            true,
            u64::MAX,
        );
        match n {
            50 => assert!(times.start <= order + 500 * MS),
            51 => assert!(times.start >= order - FIRST_REACH),
            _ => assert_eq!(times.start, start, "frame {n}"),
        }
    }
}

/// The same, by all that ever came.
fn naive(all: &[i64], says: Option<u64>, longest: u64) -> u64 {
    let mut different: Vec<i64> = vec![];
    for at in all {
        let near = different.len().saturating_sub(REMEMBERED);
        if !different[near..].contains(at) {
            different.push(*at);
        }
    }
    let mut last = different.split_off(different.len().saturating_sub(REMEMBERED));
    last.sort();
    let mut steps: Vec<_> = last
        .windows(2)
        .map(|pair| (pair[1] - pair[0]) as u64)
        .collect();
    steps.sort();
    let usual = (steps.len() >= 2).then(|| steps[(steps.len() - 1) / 2]);
    let lasts = match (says, usual) {
        (Some(says), Some(usual)) if says > usual * LONGEST => usual,
        (Some(says), None) if says > MODEST => MODEST,
        (says, usual) => says.or(usual).unwrap_or(0),
    };
    lasts.min(longest.max(MODEST))
}

proptest! {
    #[test]
    fn a_duration_is_believed_as_by_a_naive_model(
        steps in prop::collection::vec((-100i64..300, prop::option::of(0u64..2_000)), 1..60),
        longest in 0u64..1_000,
    ) {
        let (mut pace, mut at, mut all) = (Pace::default(), 0, vec![]);
        for (step, says) in steps {
            at += step * MS;
            all.push(at);
            let says = says.map(|says| says * MS as u64);
            let said = Said { duration: says, ..said(at, None) };
            let longest = longest * MS as u64;
            let believed = pace.believe(said, 0, false, longest).duration;
            prop_assert_eq!(believed, naive(&all, says, longest));
        }
    }

    /// Whatever one buffer says, the others are believed, and it comes out where it came, as long as two.
    #[test]
    fn one_odd_buffer_changes_nothing(
        step in prop_oneof![10i64..100, 100i64..2_000],
        at in 10usize..20,
        odd in (any::<i64>(), any::<i64>(), any::<u64>()),
        jitter in prop::collection::vec(0i64..8, 40),
    ) {
        let mut pace = Pace::default();
        let far = (step * OFF_STEPS * MS).max(OFF);
        for (n, jitter) in jitter.into_iter().enumerate() {
            let order = n as i64 * step * MS;
            let arrival = order + jitter * MS;
            let regular = said(order, Some(step * MS));
            let (order, start, duration) = odd;
            let odd = Said { order, start, duration: Some(duration), samples: None };
            let heard = if n == at { odd } else { regular };
            let times = pace.believe(heard, arrival, true, u64::MAX);
            let right = Times { order: regular.order, start: regular.start, duration: step as u64 * MS as u64 };
            if n == at {
                prop_assert!(times.duration <= right.duration * 2);
                prop_assert!((times.order - right.order).abs() <= far);
                prop_assert!((times.start - right.order).abs() <= far + FIRST_REACH);
            } else if n > 2 {
                prop_assert_eq!(times, right, "buffer {}", n);
            }
        }
    }

    #[test]
    fn no_stream_makes_it_panic(
        buffers in prop::collection::vec((any::<i64>(), any::<i64>(), any::<Option<u64>>(), any::<i64>(), any::<bool>()), 0..60),
    ) {
        let mut pace = Pace::default();
        for (order, start, duration, arrival, live) in buffers {
            pace.believe(Said { order, start, duration, samples: None }, arrival, live, u64::MAX);
        }
    }
}

#[test]
fn a_gap_is_where_the_stream_is_and_no_longer_than_the_timeout() {
    let around = [5_000 * MS, 5_300 * MS];
    let gap = |at: i64, lasts| believe_gap(at * MS, lasts, around, TIMEOUT);
    assert_eq!(gap(5_000, Some(20)), Some(Some(20)));
    assert_eq!(gap(6_200, None), Some(None));
    assert_eq!(gap(4_100, Some(u64::MAX)), Some(Some(TIMEOUT)));
    for far in [0, 3_900, 6_400, 3_605_000, i64::MAX / MS] {
        assert_eq!(gap(far, Some(20)), None);
    }
}
