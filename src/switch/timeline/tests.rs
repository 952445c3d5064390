// SPDX-License-Identifier: MPL-2.0
//! Inputs in step and on other time bases, bursts, jumps and drift, and random delays against naive answers.

use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

fn sender() -> Timeline {
    Timeline::new(TimeBase::Sender)
}

#[test]
fn an_input_in_step_keeps_its_timestamps() {
    let mut line = Timeline::new(TimeBase::Guess);
    for i in 0..100 {
        line.observe(i * 20 * MS + i % 7 * MS, (i * 20 * MS) as i64, 0);
        assert_eq!(line.offset(), 0);
    }
}

#[test]
fn declared_latency_is_no_reason_to_move() {
    let mut line = Timeline::new(TimeBase::Guess);
    line.set_latency(true, 3 * S);
    line.observe(3 * S, 0, 0);
    assert_eq!(line.offset(), 0);
}

#[test]
fn another_time_base_is_placed_at_its_arrival() {
    let mut line = Timeline::new(TimeBase::Guess);
    line.observe(5 * S, 1000 * S as i64, 0);
    assert_eq!(line.place(1000 * S as i64), 5 * S as i64);
}

#[test]
fn a_burst_at_connect_does_not_shift_the_input() {
    let mut line = sender();
    // Two seconds of old data at once, then real time.
    for i in 0..100 {
        line.observe(10 * S + i / 10 * MS, (i * 20 * MS) as i64, 0);
    }
    for i in 100..200 {
        line.observe(10 * S + (i - 99) * 20 * MS, (i * 20 * MS) as i64, 0);
    }
    let placed = line.place((199 * 20 * MS) as i64);
    assert!((placed - (12 * S) as i64).abs() < 20 * MS as i64);
}

#[test]
fn a_burst_is_not_settled_until_it_comes_in_real_time() {
    let mut line = sender();
    for i in 0..50 {
        line.observe(10 * S + i * MS, (i * 20 * MS) as i64, 0);
        assert!(!line.is_settled());
    }
    line.observe(10 * S + 70 * MS, (50 * 20 * MS) as i64, 0);
    assert!(line.is_settled());
}

/// As tsdemux stamps a burst behind a silence: some as before, the others later by the silence, and back step by step.
#[test]
fn what_a_demuxer_makes_up_in_a_burst_moves_nothing() {
    for as_before in [0, 3] {
        let mut line = sender();
        let sent = |i: u64| (i * 40 * MS) as i64;
        (0..100).for_each(|i| _ = line.observe(10 * S + i * 40 * MS, sent(i), 0));
        let offset = line.offset();
        for i in 100..140 {
            let made_up = match i - 100 {
                i if i < as_before => 0,
                i => [1600, 1200, 800, 400][i as usize / 10] * MS as i64,
            };
            line.observe(15_540 * MS + i * MS / 10, sent(i) + made_up, 0);
            if i == 109 {
                // Of another stream, and so near that it looks like real time.
                line.observe(15_556 * MS, sent(i) + made_up + 5 * MS as i64, 0);
            }
        }
        (140..200).for_each(|i| _ = line.observe(10 * S + i * 40 * MS, sent(i), 0));
        assert_eq!(line.offset(), offset);
        assert!(line.is_settled());
    }
}

#[test]
fn what_another_stream_brings_in_a_burst_is_not_taken_for_real_time() {
    let mut line = sender();
    for i in 0..50 {
        line.observe(10 * S + i * MS, (i * 20 * MS) as i64, 0);
        // Its sound lies behind the pictures.
        line.observe(
            10 * S + i * MS + MS / 2,
            (i * 20 * MS) as i64 - 7 * MS as i64,
            0,
        );
        assert!(!line.is_settled());
    }
}

#[test]
fn an_input_that_has_become_later_is_late_by_habit_soon() {
    let mut line = sender();
    for i in 0..200 {
        line.observe(10 * S + i * 20 * MS, (i * 20 * MS) as i64, 0);
    }
    for i in 200..260 {
        line.observe(10 * S + 700 * MS + i * 20 * MS, (i * 20 * MS) as i64, 0);
    }
    assert_eq!(line.lateness(), 700 * MS as i64);
}

#[test]
fn a_restart_at_zero_is_seen_at_once_while_standing_by() {
    let mut line = sender();
    line.observe(10 * S, 100 * S as i64, 0);
    line.observe(10 * S + 20 * MS, 0, 0);
    assert_eq!(line.place(0), (10 * S + 20 * MS) as i64);
}

#[test]
fn on_air_a_late_buffer_moves_nothing() {
    let mut line = sender();
    line.observe(S, 0, 0);
    line.freeze(true);
    line.observe(S + 700 * MS, 20 * MS as i64, S);
    assert_eq!(line.place(20 * MS as i64), (S + 20 * MS) as i64);
}

#[test]
fn on_air_a_restart_at_zero_goes_on_after_what_was_sent() {
    let mut line = sender();
    line.observe(S, 50 * S as i64, 0);
    line.freeze(true);
    line.observe(20 * S, 0, 20 * S + 5 * MS);
    assert_eq!(line.place(0), (20 * S + 5 * MS) as i64);
}

#[test]
fn on_air_a_burst_that_ran_ahead_of_the_clock_does_not_make_all_late_that_follows() {
    for base in [TimeBase::Guess, TimeBase::Sender] {
        let mut line = Timeline::new(base);
        line.set_latency(true, 200 * MS);
        line.observe(10 * S, (10 * S) as i64, 0);
        line.freeze(true);
        let burst = (10 * S) as i64 + line.offset();
        // Old data, 1.8 s of it at once; then what counts it begins anew.
        let mut end = 0;
        for i in 1..90 {
            line.observe(10 * S + i * MS, (10 * S + i * 20 * MS) as i64, end);
            let moved = line.place((10 * S) as i64) - burst;
            assert!(moved.abs() < MS as i64, "{moved}");
            end = line.place((10 * S + (i + 1) * 20 * MS) as i64) as u64;
        }
        assert!(line.observe(10 * S + 100 * MS, (10 * S + 90 * MS) as i64, end));
        let placed = line.place((10 * S + 90 * MS) as i64);
        assert!(
            (placed - (10 * S) as i64).abs() < 300 * MS as i64,
            "{placed}"
        );
        assert!(line.is_behind((10 * S + 90 * MS) as i64, end));
    }
}

#[test]
fn what_is_not_live_is_placed_by_its_first_buffer() {
    let mut line = Timeline::new(TimeBase::Guess);
    line.set_latency(false, 0);
    line.observe(30 * S, 0, 0);
    line.observe(30 * S + MS, 2 * S as i64, 0);
    assert_eq!(line.place(2 * S as i64), 32 * S as i64);
}

/// A few hundred milliseconds of jitter, the same in each run.
fn jitter(seed: u64, most: u64) -> u64 {
    (seed.wrapping_mul(6_364_136_223_846_793_005) >> 33) % most
}

/// Where the sender's clock is `ppm` fast: its timestamp at our time.
fn drifting(now: u64, ppm: i64) -> i64 {
    now as i64 + (now as i64 / 1_000_000) * ppm
}

#[test]
fn drift_is_followed_for_a_day_and_keeps_the_delay() {
    for ppm in [-200, 200] {
        let mut line = sender();
        let mut before: Option<(i64, i64)> = None;
        for i in 0..288_000u64 {
            let sent = 10 * S + i * 300 * MS;
            let ts = drifting(sent, ppm);
            line.observe(sent + jitter(i, 40) * MS, ts, 0);
            if i == 30 {
                line.freeze(true);
            }
            let late = line.place(ts) - sent as i64;
            assert!(late.abs() < 20 * MS as i64, "{ppm} ppm: {late} after {i}");
            let (offset, arrival) = (line.offset(), (sent + jitter(i, 40) * MS) as i64);
            if let Some((old, since)) = before.filter(|_| i > 31) {
                // Never by a jump: a thousandth of the time that has passed.
                assert!((offset - old).abs() <= (arrival - since).max(0) / 1_000);
            }
            before = Some((offset, arrival));
        }
    }
}

#[test]
fn on_air_what_is_in_step_stays_in_step() {
    let mut line = Timeline::new(TimeBase::Guess);
    for i in 0..1_000 {
        line.observe(i * 20 * MS + 300 * MS, (i * 20 * MS) as i64, 0);
        line.freeze(i > 10);
        assert_eq!(line.offset(), 0);
    }
}

#[test]
fn a_delay_that_stays_is_followed_and_one_that_passes_is_not() {
    let mut line = sender();
    let push = |line: &mut Timeline, i: u64, late: u64| {
        line.observe(10 * S + i * 20 * MS + late, (i * 20 * MS) as i64, 0);
    };
    (0..100).for_each(|i| push(&mut line, i, 0));
    line.freeze(true);
    (100..250).for_each(|i| push(&mut line, i, 200 * MS));
    let moved = line.offset() - 10 * S as i64;
    assert!(moved.abs() < MS as i64, "{moved}");
    (250..20_000).for_each(|i| push(&mut line, i, 200 * MS));
    let moved = line.offset() - 10 * S as i64;
    assert!((moved - 200 * MS as i64).abs() < MS as i64, "{moved}");
}

proptest! {
    /// The naive model keeps all delays of the window and goes towards their least.
    #[test]
    fn on_air_it_goes_slowly_towards_the_least_delay(
        steps in proptest::collection::vec((0u64..200, 0u64..300), 1..300)
    ) {
        let mut line = sender();
        line.observe(10 * S, 0, 0);
        line.freeze(true);
        let mut seen = vec![(10 * S, 10 * S as i64)];
        let (mut sent, mut arrival) = (10 * S, 10 * S);
        for (step, delay) in steps {
            sent += step * MS;
            let before = (line.offset(), arrival);
            arrival = arrival.max(sent + delay * MS);
            line.observe(arrival, sent as i64 - 10 * S as i64, 0);
            seen.push((arrival, arrival as i64 - sent as i64 + 10 * S as i64));
            let oldest = (arrival / BUCKET).saturating_sub(WINDOW / BUCKET);
            let least = seen.iter().filter(|s| s.0 / BUCKET >= oldest).map(|s| s.1).min().unwrap_or(0);
            let moved = line.offset() - before.0;
            prop_assert!(moved.unsigned_abs() <= (arrival - before.1) / 1_000);
            let towards = (least - before.0).signum();
            prop_assert!(moved == 0 || moved.signum() == towards);
            prop_assert!((line.offset() - least).abs() <= (before.0 - least).abs());
        }
    }

    /// All streams of an input share one offset, and the least delay of a window decides it.
    #[test]
    fn the_offset_is_the_least_delay_of_the_window(
        delays in proptest::collection::vec(0u64..300, 1..200)
    ) {
        let mut line = sender();
        let mut seen: Vec<(u64, i64)> = vec![];
        for (i, delay) in delays.iter().enumerate() {
            let ts = i as u64 * 40 * MS;
            let arrival = ts + 7 * S + delay * MS;
            line.observe(arrival, ts as i64, 0);
            seen.push((arrival / BUCKET, arrival as i64 - ts as i64));
            let newest = arrival / BUCKET;
            // Buckets are closed by time of arrival, which jitter can take back a little.
            let naive = seen.iter().filter(|s| s.0 + WINDOW / BUCKET + 1 >= newest).map(|s| s.1).min();
            let all = seen.iter().map(|s| s.1).min();
            prop_assert!(line.offset() >= all.unwrap_or(0));
            prop_assert!(line.offset() >= naive.unwrap_or(0));
            prop_assert!(line.offset() <= arrival as i64 - ts as i64);
        }
    }

    #[test]
    fn no_input_makes_it_panic(steps in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), any::<bool>()), 0..50)) {
        let mut line = Timeline::new(TimeBase::Guess);
        for (arrival, ts, end, frozen) in steps {
            line.freeze(frozen);
            line.set_latency(!frozen, end);
            line.observe(arrival, ts, end);
            let _ = line.place(ts);
        }
    }
}
