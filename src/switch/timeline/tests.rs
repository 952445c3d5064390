// SPDX-License-Identifier: MPL-2.0
//! Inputs in step and on other time bases, bursts, jumps and drift, and random delays against naive answers.

use super::*;
use crate::switch::delays::{BUCKET, WINDOW};
use proptest::prelude::*;

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;
/// The picture, or all there is; and the sound.
const ONE: StreamId = StreamId(0);
const TWO: StreamId = StreamId(1);

fn sender() -> Timeline {
    Timeline::new(TimeBase::Sender)
}

#[test]
fn an_input_in_step_keeps_its_timestamps() {
    let mut line = Timeline::new(TimeBase::Guess);
    for i in 0..100 {
        line.observe(ONE, i * 20 * MS + i % 7 * MS, (i * 20 * MS) as i64, 0);
        assert_eq!(line.offset(), 0);
    }
}

#[test]
fn declared_latency_is_no_reason_to_move() {
    let mut line = Timeline::new(TimeBase::Guess);
    line.set_latency(true, 3 * S);
    line.observe(ONE, 3 * S, 0, 0);
    assert_eq!(line.offset(), 0);
}

#[test]
fn another_time_base_is_placed_at_its_arrival() {
    let mut line = Timeline::new(TimeBase::Guess);
    line.observe(ONE, 5 * S, 1000 * S as i64, 0);
    assert_eq!(line.place(1000 * S as i64), 5 * S as i64);
}

#[test]
fn a_burst_at_connect_does_not_shift_the_input() {
    let mut line = sender();
    // Two seconds of old data at once, then real time.
    for i in 0..100 {
        line.observe(ONE, 10 * S + i / 10 * MS, (i * 20 * MS) as i64, 0);
    }
    for i in 100..200 {
        line.observe(ONE, 10 * S + (i - 99) * 20 * MS, (i * 20 * MS) as i64, 0);
    }
    let placed = line.place((199 * 20 * MS) as i64);
    assert!((placed - (12 * S) as i64).abs() < 20 * MS as i64);
}

#[test]
fn a_burst_is_not_settled_until_it_comes_in_real_time() {
    let mut line = sender();
    for i in 0..50 {
        line.observe(ONE, 10 * S + i * MS, (i * 20 * MS) as i64, 0);
        assert!(!line.is_settled());
    }
    line.observe(ONE, 10 * S + 70 * MS, (50 * 20 * MS) as i64, 0);
    assert!(line.is_settled());
}

/// As tsdemux stamps a burst behind a silence: some as before, the others later by the silence, and back step by step.
#[test]
fn what_a_demuxer_makes_up_in_a_burst_moves_nothing() {
    for as_before in [0, 3] {
        let mut line = sender();
        let sent = |i: u64| (i * 40 * MS) as i64;
        (0..100).for_each(|i| _ = line.observe(ONE, 10 * S + i * 40 * MS, sent(i), 0));
        let offset = line.offset();
        for i in 100..140 {
            let made_up = match i - 100 {
                i if i < as_before => 0,
                i => [1600, 1200, 800, 400][i as usize / 10] * MS as i64,
            };
            line.observe(ONE, 15_540 * MS + i * MS / 10, sent(i) + made_up, 0);
            if i == 109 {
                // Of another stream, and so near that it looks like real time.
                line.observe(TWO, 15_556 * MS, sent(i) + made_up + 5 * MS as i64, 0);
            }
        }
        (140..200).for_each(|i| _ = line.observe(ONE, 10 * S + i * 40 * MS, sent(i), 0));
        assert_eq!(line.offset(), offset);
        assert!(line.is_settled());
    }
}

#[test]
fn what_another_stream_brings_in_a_burst_is_not_taken_for_real_time() {
    let mut line = sender();
    for i in 0..50 {
        line.observe(ONE, 10 * S + i * MS, (i * 20 * MS) as i64, 0);
        // Its sound lies behind the pictures.
        line.observe(
            TWO,
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
        line.observe(ONE, 10 * S + i * 20 * MS, (i * 20 * MS) as i64, 0);
    }
    for i in 200..260 {
        line.observe(
            ONE,
            10 * S + 700 * MS + i * 20 * MS,
            (i * 20 * MS) as i64,
            0,
        );
    }
    assert_eq!(line.lateness(ONE), 700 * MS as i64);
}

#[test]
fn a_restart_at_zero_is_seen_at_once_while_standing_by() {
    let mut line = sender();
    line.observe(ONE, 10 * S, 100 * S as i64, 0);
    line.observe(ONE, 10 * S + 20 * MS, 0, 0);
    assert_eq!(line.place(0), (10 * S + 20 * MS) as i64);
}

#[test]
fn on_air_a_late_buffer_moves_nothing() {
    let mut line = sender();
    line.observe(ONE, S, 0, 0);
    line.freeze(true);
    line.observe(ONE, S + 700 * MS, 20 * MS as i64, S);
    assert_eq!(line.place(20 * MS as i64), (S + 20 * MS) as i64);
}

#[test]
fn on_air_a_restart_at_zero_goes_on_after_what_was_sent() {
    let mut line = sender();
    line.observe(ONE, S, 50 * S as i64, 0);
    line.freeze(true);
    line.observe(ONE, 20 * S, 0, 20 * S + 5 * MS);
    assert_eq!(line.place(0), (20 * S + 5 * MS) as i64);
}

#[test]
fn on_air_a_burst_that_ran_ahead_of_the_clock_does_not_make_all_late_that_follows() {
    for base in [TimeBase::Guess, TimeBase::Sender] {
        let mut line = Timeline::new(base);
        line.set_latency(true, 200 * MS);
        line.observe(ONE, 10 * S, (10 * S) as i64, 0);
        line.freeze(true);
        let burst = (10 * S) as i64 + line.offset();
        // Old data, 1.8 s of it at once; then what counts it begins anew.
        let mut end = 0;
        for i in 1..90 {
            line.observe(ONE, 10 * S + i * MS, (10 * S + i * 20 * MS) as i64, end);
            let moved = line.place((10 * S) as i64) - burst;
            assert!(moved.abs() < MS as i64, "{moved}");
            end = line.place((10 * S + (i + 1) * 20 * MS) as i64) as u64;
        }
        assert_eq!(
            line.observe(ONE, 10 * S + 100 * MS, (10 * S + 90 * MS) as i64, end),
            Change::Input
        );
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
    line.observe(ONE, 30 * S, 0, 0);
    line.observe(ONE, 30 * S + MS, 2 * S as i64, 0);
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
            line.observe(ONE, sent + jitter(i, 40) * MS, ts, 0);
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
        line.observe(ONE, i * 20 * MS + 300 * MS, (i * 20 * MS) as i64, 0);
        line.freeze(i > 10);
        assert_eq!(line.offset(), 0);
    }
}

#[test]
fn a_delay_that_stays_is_followed_and_one_that_passes_is_not() {
    let mut line = sender();
    let push = |line: &mut Timeline, i: u64, late: u64| {
        line.observe(ONE, 10 * S + i * 20 * MS + late, (i * 20 * MS) as i64, 0);
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

/// Both streams each 20 ms, in milliseconds; what changed for the second of them, at its arrival.
fn both(
    line: &mut Timeline,
    span: std::ops::Range<u64>,
    one: impl Fn(i64) -> i64,
    two: impl Fn(i64) -> i64,
) -> Vec<(u64, Change)> {
    let mut changes = vec![];
    for at in span.step_by(20) {
        for (id, ts) in [(ONE, one(at as i64)), (TWO, two(at as i64))] {
            let change = line.observe(id, at * MS, ts * MS as i64, 0);
            changes.extend((change != Change::Nothing).then_some((at, change)));
        }
    }
    changes
}

#[test]
fn streams_that_come_seconds_apart_are_one_input_and_the_promptest_decides() {
    for base in [TimeBase::Sender, TimeBase::Guess] {
        for apart in [-5_000, -1_500, 1_500, 5_000] {
            let mut line = Timeline::new(base);
            let far = 100_000;
            let changes = both(
                &mut line,
                1_000..8_000,
                |at| at + far,
                |at| at + far - apart,
            );
            assert_eq!(changes, []);
            assert!(line.is_settled());
            let offset = line.offset() / MS as i64;
            assert_eq!(offset, -far + apart.min(0), "{apart}");
            let late = line.late_by(8_000 * MS, (8_000 + far - apart) * MS as i64);
            assert_eq!(late, Some((apart - apart.min(0)) * MS as i64));
        }
    }
}

#[test]
fn what_a_stream_does_alone_unsettles_no_input() {
    let mut line = sender();
    both(&mut line, 1_000..6_000, |at| at, |at| at);
    let changes = both(&mut line, 6_000..9_000, |at| at, |at| at - 3_000);
    assert_eq!(changes, [(6_000, Change::Stream)]);
    assert!(line.is_settled());
    assert_eq!(line.offset(), 0);
    // And the other one follows.
    let changes = both(&mut line, 9_000..16_000, |at| at - 3_000, |at| at - 3_000);
    assert_eq!(changes, [(9_000, Change::Stream)]);
    assert_eq!(line.offset(), (3 * S) as i64);
}

#[test]
fn a_stream_that_is_silent_and_comes_back_later_unsettles_no_input() {
    let mut line = sender();
    both(&mut line, 1_000..6_000, |at| at, |at| at);
    (6_000..9_000)
        .step_by(20)
        .for_each(|at| _ = line.observe(ONE, at * MS, (at * MS) as i64, 0));
    // It was paused, and its time with it.
    let changes = both(&mut line, 9_000..12_000, |at| at, |at| at - 3_000);
    assert_eq!(changes, []);
    assert!(line.is_settled());
    assert_eq!(line.offset(), 0);
}

#[test]
fn on_air_the_input_is_placed_anew_when_its_last_stream_has_gone_astray() {
    let mut line = sender();
    let at = |ms: i64| ms * MS as i64;
    let mut end = 0;
    for now in (1_000..5_000).step_by(20) {
        for id in [ONE, TWO] {
            line.observe(id, now * MS, at(now as i64), end);
        }
        line.freeze(true);
        end = (now + 20) * MS;
    }
    let offset = line.offset();
    for now in (5_000..5_400).step_by(20) {
        assert_eq!(
            line.observe(ONE, now * MS, at(now as i64 - 3_000), end),
            Change::Nothing
        );
        assert_eq!(
            line.observe(TWO, now * MS, at(now as i64), end),
            Change::Nothing
        );
        assert_eq!(line.offset(), offset);
        end = (now + 20) * MS;
    }
    line.observe(ONE, 5_400 * MS, at(2_400), end);
    assert_eq!(line.observe(TWO, 5_400 * MS, at(2_400), end), Change::Input);
    assert_eq!(line.place(at(2_400)), at(5_400));
    assert_eq!(
        line.observe(ONE, 5_420 * MS, at(2_420), end),
        Change::Nothing
    );
}

#[test]
fn on_air_the_drift_is_that_of_the_stream_which_placed_the_input() {
    let mut line = sender();
    line.observe(TWO, 10 * S, 0, 0);
    line.freeze(true);
    // Its picture comes 1.5 s before that of the same time.
    for i in 0..10_000 {
        let (arrival, ts) = (10 * S + i * 20 * MS, (i * 20 * MS) as i64);
        line.observe(ONE, arrival, ts + 1_500 * MS as i64, 0);
        line.observe(TWO, arrival, ts, 0);
    }
    assert_eq!(line.offset(), (10 * S) as i64);
}

/// An input that is not live, and has begun at 10 s.
fn paced() -> Timeline {
    let mut line = sender();
    line.set_latency(false, 0);
    line.observe(ONE, 10 * S, 0, 0);
    line
}

/// A buffer that comes at `arrival` and is looked at then. How late it is then.
fn comes(line: &mut Timeline, id: StreamId, arrival: u64, ts: i64) -> i64 {
    line.follow_late(id, arrival, arrival, ts);
    line.observe(id, arrival, ts, 0);
    arrival as i64 - line.place(ts)
}

#[test]
fn a_server_that_skips_is_never_late_for_long() {
    for frozen in [false, true] {
        let mut line = paced();
        line.freeze(frozen);
        let mut skipped = 0;
        for i in 1..2_000u64 {
            skipped += if i % 100 == 0 { 400 * MS } else { 0 };
            let late = comes(
                &mut line,
                ONE,
                10 * S + i * 26 * MS + skipped,
                (i * 26 * MS) as i64,
            );
            assert_eq!(late, 0, "buffer {i}");
        }
    }
}

#[test]
fn a_slow_clock_is_followed_without_a_step() {
    let mut line = paced();
    line.freeze(true);
    let mut offset = line.offset();
    for i in 1..5_000u64 {
        let ts = i * 26 * MS;
        let late = comes(&mut line, ONE, 10 * S + ts + ts / 50, ts as i64);
        assert!(late < 150 * MS as i64, "{late} at {i}");
        assert!((0..=2 * MS as i64).contains(&(line.offset() - offset)));
        offset = line.offset();
    }
}

#[test]
fn what_waited_for_its_thread_is_not_late() {
    let mut line = paced();
    // A sink took nothing for three seconds; what came meanwhile is read then.
    for i in 1..100u64 {
        let ts = (i * 26 * MS) as i64;
        line.follow_late(ONE, 10 * S + 26 * MS, 13 * S + i, ts);
        line.observe(ONE, 13 * S + i, ts, 0);
    }
    assert_eq!(line.offset(), (10 * S) as i64);
}

#[test]
fn one_late_stream_of_a_paced_input_moves_nothing() {
    let mut line = paced();
    for i in 1..1_000u64 {
        let ts = (i * 40 * MS) as i64;
        assert_eq!(comes(&mut line, ONE, 10 * S + i * 40 * MS, ts), 0);
        assert_eq!(
            comes(&mut line, TWO, 10 * S + i * 40 * MS, ts - 360 * MS as i64),
            360 * MS as i64
        );
    }
}

#[test]
fn a_file_in_step_makes_up_for_a_late_start() {
    let mut line = Timeline::new(TimeBase::Guess);
    line.set_latency(false, 0);
    line.observe(ONE, 3 * S, 0, 0);
    for i in 1..75 {
        // Ten times as fast as it plays.
        comes(&mut line, ONE, 3 * S + i * 4 * MS, (i * 40 * MS) as i64);
        assert_eq!(line.offset(), 0);
    }
}

#[test]
fn what_has_no_time_is_placed_when_it_comes() {
    for live in [true, false] {
        let mut line = sender();
        line.set_latency(live, 200 * MS);
        line.observe(ONE, 6 * S, 0, 0);
        let place = line.place(0);
        for i in 1..500 {
            let arrival = 6 * S + i * 40 * MS + i % 7 * MS;
            let ts = arrival as i64 - line.usual_delay();
            line.observe(ONE, arrival, ts, 0);
            assert_eq!(line.place(ts) - place, (arrival - 6 * S) as i64);
        }
    }
}

proptest! {
    /// The naive model keeps all delays of the window and goes towards their least.
    #[test]
    fn on_air_it_goes_slowly_towards_the_least_delay(
        steps in proptest::collection::vec((0u64..200, 0u64..300), 1..300)
    ) {
        let mut line = sender();
        line.observe(ONE, 10 * S, 0, 0);
        line.freeze(true);
        let mut seen = vec![(10 * S, 10 * S as i64)];
        let (mut sent, mut arrival) = (10 * S, 10 * S);
        for (step, delay) in steps {
            sent += step * MS;
            let before = (line.offset(), arrival);
            arrival = arrival.max(sent + delay * MS);
            line.observe(ONE, arrival, sent as i64 - 10 * S as i64, 0);
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
            line.observe(ONE, arrival, ts as i64, 0);
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

    /// Skips, slow and fast clocks of what is not live: no buffer is late by more than a skip, and none is placed later than one
    /// has come.
    #[test]
    fn what_is_not_live_is_never_late_for_long_nor_ahead_without_bound(
        steps in proptest::collection::vec((0u64..60, prop_oneof![20 => Just(0u64), 1 => 0u64..3_000]), 1..400),
        frozen in any::<bool>(),
    ) {
        let mut line = paced();
        line.freeze(frozen);
        let (mut arrival, mut latest) = (10 * S, (10 * S) as i64);
        for (i, (step, skip)) in steps.into_iter().enumerate() {
            let ts = ((i as u64 + 1) * 26 * MS) as i64;
            // What comes early waits for its time.
            arrival = (arrival + (step + skip) * MS).max(line.place(ts) as u64);
            latest = latest.max(arrival as i64 - ts);
            let before = line.offset();
            let late = comes(&mut line, ONE, arrival, ts);
            prop_assert!((0..=SKIPPED).contains(&late), "{}", late);
            prop_assert!(line.offset() >= before && line.offset() <= latest);
        }
    }

    /// Two streams with any distance, jitter and drift: the promptest decides, the other is as far from it as it was sent, and nothing
    /// is a jump.
    #[test]
    fn the_offset_is_that_of_the_promptest_stream(
        apart in -5_000i64..5_000,
        jitter in proptest::collection::vec((0u64..150, 0u64..150), 50..300),
        ppm in -200i64..200,
    ) {
        let mut line = sender();
        let mut delays = vec![];
        for (i, (one, two)) in jitter.into_iter().enumerate() {
            let sent = 10 * S + i as u64 * 40 * MS;
            let ts = drifting(sent, ppm) - 7 * S as i64;
            for (id, late, ts) in [(ONE, one, ts), (TWO, two, ts - apart * MS as i64)] {
                let arrival = sent + late * MS;
                delays.push((arrival, arrival as i64 - ts));
                prop_assert_eq!(line.observe(id, arrival, ts, 0), Change::Nothing);
            }
            let newest = sent.max(10 * S) / BUCKET;
            let in_window = delays.iter().filter(|seen| seen.0 / BUCKET + WINDOW / BUCKET + 1 >= newest);
            let least = in_window.map(|seen| seen.1).min().unwrap_or(0);
            prop_assert!(line.offset() >= least);
            prop_assert!(line.offset() <= least + 160 * MS as i64);
        }
    }

    #[test]
    fn no_input_makes_it_panic(steps in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<u64>(), any::<bool>(), 0u32..3), 0..50)) {
        let mut line = Timeline::new(TimeBase::Guess);
        for (arrival, ts, end, frozen, id) in steps {
            line.freeze(frozen);
            line.set_latency(!frozen, end);
            let shift = line.align(StreamId(id), arrival, ts);
            line.follow_late(StreamId(id), end, arrival, ts);
            line.observe(StreamId(id), arrival, ts.saturating_add(shift), end);
            let _ = line.place(ts);
        }
    }
}
