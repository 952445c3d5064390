// SPDX-License-Identifier: MPL-2.0
//! Rhythms, hiccups and rests, and random ones against naive answers.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;

/// As late in all windows that are looked at.
fn always(late: i64) -> Lateness {
    Lateness {
        late: late * MS,
        windows: RECENT,
    }
}

/// What comes at these times with these timestamps, without an offset: what was told of two windows or more.
fn habits(buffers: impl IntoIterator<Item = (i64, i64)>) -> Vec<i64> {
    let mut habit = Habit::default();
    let note = |(at, ts): (i64, i64)| habit.note((at * MS) as u64, ts * MS, (at - ts) * MS);
    let told = buffers.into_iter().filter_map(note);
    let told = told.filter(|seen| seen.windows >= 2);
    told.map(|seen| seen.late / MS).collect()
}

/// Frames of audio that come when a packet of so many is full.
fn packets(frames: i64, until: i64) -> impl Iterator<Item = (i64, i64)> {
    let ts = move |n: i64| n * 64 / 3;
    let full = move |n: i64| ts(n / frames * frames + frames - 1);
    (0..until * 3 / 64).map(move |n| (full(n), ts(n)))
}

#[test]
fn audio_in_packets_is_as_late_as_a_packet_is_long_and_known_after_a_second() {
    let told = habits(packets(17, 5_000));
    assert!(
        told.iter().all(|late| (335..=345).contains(late)),
        "{told:?}"
    );
    assert_eq!(habits(packets(17, 1_450)).len(), 1);
}

#[test]
fn a_hiccup_is_no_habit_whenever_it_comes() {
    for at in (0..8_000).step_by(100) {
        // Nothing for 400 ms, then all of it.
        let come = |ts: i64| {
            if (at..at + 400).contains(&ts) {
                at + 400
            } else {
                ts
            }
        };
        let told = habits((0..10_000).step_by(20).map(|ts| (come(ts), ts)));
        assert!(told.iter().all(|late| *late <= 40), "at {at}: {told:?}");
    }
}

#[test]
fn what_is_in_step_costs_nothing() {
    let told = habits((0..10_000).step_by(20).map(|ts| (ts + ts % 37, ts)));
    let mut allowance = Allowance::default();
    told.into_iter()
        .for_each(|late| allowance.cover(always(late), false));
    assert_eq!(allowance.nanos(), 0);
}

#[test]
fn frames_that_are_shown_before_others_are_not_late() {
    // Decoded as 0 3 1 2, without DTS.
    let order = |n: i64| n / 3 * 3 + [3, 1, 2][(n % 3) as usize];
    let told = habits((0..300).map(|n| (n * 40 + 80, order(n) * 40)));
    assert!(told.iter().all(|late| *late < 0), "{told:?}");
}

#[test]
fn a_stream_that_starts_at_zero_again_goes_on_telling() {
    let told = habits((0..8_000).step_by(20).map(|at| (at, at % 4_000)));
    assert!(told.len() >= 8, "{told:?}");
}

#[test]
fn the_latency_grows_by_steps_and_never_beyond_reason() {
    let mut allowance = Allowance::default();
    let after = |allowance: &mut Allowance, late: i64| {
        allowance.cover(always(late), false);
        allowance.nanos() / MS as u64
    };
    let late = [-300, 80, 345, 365, 100, 381, 6_000, 5_000];
    let nanos = late.map(|late| after(&mut allowance, late));
    assert_eq!(nanos, [0, 0, 380, 380, 380, 420, 420, 5_040]);
}

#[test]
fn the_less_it_is_the_longer_it_is_looked_at_unless_it_is_paced() {
    let added = |late: i64, windows: usize, paced: bool| {
        let mut allowance = Allowance::default();
        let late = late * MS;
        allowance.cover(Lateness { late, windows }, paced);
        allowance.nanos() / MS as u64
    };
    assert_eq!((added(300, 1, false), added(300, 2, false)), (0, 340));
    assert_eq!((added(81, 5, false), added(81, 6, false)), (0, 120));
    assert_eq!((added(80, 8, false), added(20, 8, true)), (0, 0));
    assert_eq!((added(45, 1, true), added(45, 2, true)), (0, 80));
}

#[test]
fn the_next_attempt_keeps_the_latency_until_its_own_habit_is_known() {
    // What it takes itself, and what is kept then.
    for (late, kept) in [(80, 0), (81, 120), (345, 420), (500, 540)] {
        let mut allowance = Allowance::default();
        allowance.cover(always(390), false);
        allowance.restart();
        allowance.restart();
        assert_eq!(allowance.nanos(), 420 * MS as u64);
        allowance.cover(always(late), false);
        assert_eq!(allowance.nanos(), 420.max(kept) * MS as u64);
        allowance.settle();
        assert_eq!(allowance.nanos(), kept * MS as u64, "late by {late}");
    }
}

#[test]
fn what_waited_for_a_thread_that_was_held_up_came_before() {
    let mut reader = Reader::default();
    let ms = MS as u64;
    assert_eq!(reader.came(20 * ms, 0), 20 * ms);
    // A push until 500.
    assert_eq!(reader.came(500 * ms + 1, 500 * ms), 20 * ms);
    assert_eq!(reader.came(500 * ms + 2, 500 * ms), 20 * ms);
    assert_eq!(reader.came(520 * ms, 500 * ms), 520 * ms);
    // A rest until 600.
    reader.rest(600 * ms);
    assert_eq!(reader.came(605 * ms, 600 * ms), 520 * ms);
    assert_eq!(reader.came(620 * ms, 600 * ms), 620 * ms);
}

proptest! {
    /// The naive model keeps everything that came.
    #[test]
    fn the_habit_is_the_least_of_the_greatest(
        steps in proptest::collection::vec((1i64..400, -300i64..900), 1..400)
    ) {
        let (mut habit, mut arrival, mut first, mut seen) = (Habit::default(), 0, None, vec![]);
        for (step, late) in steps {
            arrival += step;
            let told = habit.note((arrival * MS) as u64, arrival * MS, late * MS);
            let window = (arrival - *first.get_or_insert(arrival)) / 500;
            let mut greatest = std::collections::BTreeMap::<i64, i64>::new();
            for (window, late) in &seen {
                let entry = greatest.entry(*window).or_insert(*late);
                *entry = (*entry).max(*late);
            }
            let is_first = seen.last().is_some_and(|(last, _)| *last != window);
            let least = greatest.values().rev().take(8).min().copied();
            let windows = greatest.len().min(8);
            let expected = least.filter(|_| is_first).map(|late| Lateness { late: late * MS, windows });
            prop_assert_eq!(told, expected);
            seen.push((window, late));
        }
    }

    /// Nothing that its thread was held up by counts, and what came while it waited counts at its time.
    #[test]
    fn a_buffer_is_never_taken_for_later_than_it_came(
        steps in proptest::collection::vec((0u64..100, 0u64..300), 1..100)
    ) {
        let (mut reader, mut came, mut free) = (Reader::default(), 0, 0);
        for (step, held) in steps {
            came += step * MS as u64;
            let read = free.max(came);
            let told = reader.came(read, free);
            prop_assert!(told <= came.max(free), "{} {} {}", told, came, free);
            prop_assert!(told <= came || free < came, "{} {}", told, came);
            if came > free + AT_ONCE {
                prop_assert_eq!(told, came);
            }
            free = read + held * MS as u64;
        }
    }

    #[test]
    fn no_input_makes_it_panic(
        steps in proptest::collection::vec((any::<u64>(), any::<i64>(), any::<i64>(), any::<u64>()), 0..50)
    ) {
        let (mut habit, mut reader, mut allowance) =
            (Habit::default(), Reader::default(), Allowance::default());
        let mut before = 0;
        for (arrival, ts, late, freed) in steps {
            reader.rest(freed);
            prop_assert!(reader.came(arrival, freed) <= arrival);
            let seen = Lateness { late, windows: 8 };
            allowance.cover(habit.note(arrival, ts, late).unwrap_or(seen), late < 0);
            prop_assert!(allowance.nanos() >= before && allowance.nanos() <= 5_540_000_000);
            before = allowance.nanos();
        }
    }
}
