// SPDX-License-Identifier: MPL-2.0
//! Cuts, one by one, and random ones against naive answers.

use super::*;
use proptest::prelude::*;

const FRAME: i64 = 20_000_000;

fn frame(n: i64, key: bool) -> Placed {
    Placed {
        order: n * FRAME,
        start: n * FRAME,
        end: (n + 1) * FRAME,
        key,
    }
}

fn sent_up_to(n: i64) -> Option<Position> {
    Some(Position {
        order: n * FRAME,
        start: n * FRAME,
        end: (n + 1) * FRAME,
    })
}

fn situation(coding: Coding, position: Option<Position>, now: i64) -> Situation {
    Situation {
        coding,
        divisible: false,
        position,
        left: position,
        others_end: None,
        now,
        latency: 0,
        lateness: 0,
        alive: false,
        waited: false,
        missed: false,
        unseen: false,
        next_key: None,
        decoding: 3_000_000,
    }
}

fn at(first: usize) -> Cut {
    Cut::At { first, shift: 0 }
}

#[test]
fn raw_pieces_from_memory_that_are_late_are_not_sent() {
    let pieces = [frame(10, true), frame(11, true), frame(12, true)];
    let now = situation(Coding::Raw, sent_up_to(3), 12 * FRAME);
    assert_eq!(find(&now, &pieces), at(2));
    let hidden = Situation {
        latency: FRAME,
        ..now
    };
    assert_eq!(find(&hidden, &pieces), at(1));
}

#[test]
fn the_newest_piece_is_sent_however_late_it_is() {
    for now in [10, 60, 600] {
        let late = situation(Coding::Raw, sent_up_to(3), now * FRAME);
        assert_eq!(find(&late, &[frame(10, true)]), at(0));
        assert_eq!(follow(&late, &[frame(10, true)], i64::MIN), 0);
    }
}

#[test]
fn a_late_input_is_waited_for_until_it_has_come_up_to_the_output() {
    // It comes 10 frames late: its piece for the output's end is there that much later.
    assert_eq!(awaited_until(100, 300, 310, 0), 110);
    assert_eq!(awaited_until(100, 300, 310, 40), 140);
    // It is early, or its time stands still.
    assert_eq!(awaited_until(100, 900, 310, 0), 100);
    assert_eq!(awaited_until(100, 0, i64::MAX, 0), 100 + MOST_BEHIND);
    assert_eq!(awaited_until(i64::MIN, 0, 0, 0), i64::MIN);
}

#[test]
fn encoded_video_is_cut_on_a_key_frame_only() {
    let dead = situation(Coding::Delta, sent_up_to(3), 12 * FRAME);
    assert_eq!(
        find(&dead, &[frame(11, false), frame(12, false)]),
        Cut::Wait
    );
    assert_eq!(find(&dead, &[frame(4, true), frame(5, false)]), at(0));
}

#[test]
fn a_key_frame_that_was_shown_already_is_not_repeated() {
    let dead = situation(Coding::Delta, sent_up_to(3), 12 * FRAME);
    assert_eq!(find(&dead, &[frame(3, true), frame(4, false)]), Cut::Wait);
    assert_eq!(find(&dead, &[frame(2, true), frame(4, true)]), at(1));
}

#[test]
fn before_a_decoder_no_key_frame_is_waited_for() {
    let dead = Situation {
        unseen: true,
        ..situation(Coding::Delta, sent_up_to(3), 12 * FRAME)
    };
    let pieces: Vec<_> = (0..12).map(|n| frame(n, n == 0 || n == 10)).collect();
    // Late pictures are not shown: the last key frame before now is enough.
    let now = 12 * FRAME;
    assert_eq!(
        find(&dead, &pieces),
        Cut::CatchUp {
            first: 10,
            show: now + ROUNDED
        }
    );
    // With the latency to hide it, the cut is where the output stopped.
    let hidden = Situation {
        latency: 10 * FRAME,
        ..dead
    };
    let stopped = 4 * FRAME;
    assert_eq!(
        find(&hidden, &pieces),
        Cut::CatchUp {
            first: 0,
            show: stopped + ROUNDED
        }
    );
    let sound = Situation {
        coding: Coding::Independent,
        ..hidden
    };
    assert_eq!(follow(&sound, &pieces, stopped), 4);
}

#[test]
fn both_streams_stop_where_the_first_did_if_the_rest_can_be_taken_back() {
    let pieces: Vec<_> = (0..20).map(|n| frame(n, n == 0)).collect();
    let held = Situation {
        unseen: true,
        latency: 100 * FRAME,
        left: sent_up_to(5),
        others_end: Some(8 * FRAME),
        ..situation(Coding::Delta, sent_up_to(15), 20 * FRAME)
    };
    let show = |situation: Situation| match find(&situation, &pieces) {
        Cut::CatchUp { first: 0, show } => show - ROUNDED,
        other => panic!("{other:?}"),
    };
    assert_eq!(show(held), 8 * FRAME);
    let gone = Situation {
        others_end: Some(2 * FRAME),
        ..held
    };
    assert_eq!(show(gone), 6 * FRAME);
    let later = Situation {
        others_end: Some(30 * FRAME),
        ..held
    };
    assert_eq!(show(later), 16 * FRAME);
    let alive = Situation {
        alive: true,
        ..held
    };
    assert_eq!(show(alive), 16 * FRAME);
}

#[test]
fn a_key_frame_that_is_there_sooner_than_the_decoder_is_waited_for() {
    let pieces: Vec<_> = (0..50).map(|n| frame(n, n == 0)).collect();
    // 50 pictures take 150 ms to decode.
    let dead = |next: i64, latency: i64| Situation {
        unseen: true,
        latency,
        next_key: Some(next * FRAME),
        ..situation(Coding::Delta, sent_up_to(30), 50 * FRAME)
    };
    assert_eq!(find(&dead(52, 0), &pieces), Cut::Wait);
    for (next, latency) in [(60, 0), (49, 0), (52, 40 * FRAME)] {
        let found = find(&dead(next, latency), &pieces);
        assert!(matches!(found, Cut::CatchUp { first: 0, .. }), "{found:?}");
    }
}

#[test]
fn a_living_input_is_left_for_a_key_frame_that_comes_just_behind_it() {
    let alive = Situation {
        unseen: true,
        alive: true,
        ..situation(Coding::Delta, sent_up_to(3), 4 * FRAME)
    };
    let caught_up = Cut::CatchUp {
        first: 1,
        show: 4 * FRAME + ROUNDED,
    };
    assert_eq!(find(&alive, &[frame(2, false), frame(3, true)]), caught_up);
    let long: Vec<_> = (0..4).map(|n| frame(n, n == 0)).collect();
    assert_eq!(find(&alive, &long), Cut::Wait);
    let hidden = Situation {
        latency: 100 * FRAME,
        ..alive
    };
    let whole = Cut::CatchUp {
        first: 0,
        show: 4 * FRAME + ROUNDED,
    };
    assert_eq!(find(&hidden, &long), whole);
}

#[test]
fn what_is_held_back_is_exchanged_from_the_last_key_frame_on() {
    let pieces: Vec<_> = (0..12).map(|n| frame(n, n % 4 == 0)).collect();
    for alive in [false, true] {
        let held = Situation {
            alive,
            left: sent_up_to(3),
            ..situation(Coding::Delta, sent_up_to(9), 12 * FRAME)
        };
        assert_eq!(find(&held, &pieces), at(8));
        // Nothing has left yet, and nothing is to be skipped.
        let early = Situation {
            left: None,
            position: sent_up_to(6),
            ..held
        };
        assert_eq!(find(&early, &pieces), at(4));
        let gone = Situation {
            left: sent_up_to(8),
            ..held
        };
        assert_eq!(find(&gone, &pieces), Cut::Wait);
    }
}

#[test]
fn a_living_input_is_left_without_a_hole() {
    let alive = Situation {
        alive: true,
        ..situation(Coding::Delta, sent_up_to(3), 5 * FRAME)
    };
    assert_eq!(find(&alive, &[frame(5, true)]), Cut::Ready);
    assert_eq!(find(&alive, &[frame(4, true)]), at(0));
    let waited = Situation {
        waited: true,
        ..alive
    };
    assert_eq!(find(&waited, &[frame(5, true)]), at(0));
}

#[test]
fn an_input_that_always_comes_just_behind_is_moved_later() {
    let behind = Situation {
        alive: true,
        missed: true,
        ..situation(Coding::Delta, sent_up_to(3), 4 * FRAME)
    };
    assert_eq!(
        find(&behind, &[frame(3, true)]),
        Cut::At {
            first: 0,
            shift: FRAME
        }
    );
    let patient = Situation {
        waited: false,
        missed: false,
        ..behind
    };
    assert_eq!(find(&patient, &[frame(3, true)]), Cut::Wait);
}

#[test]
fn an_input_whose_way_is_barred_by_what_was_sent_too_early_is_moved_as_far() {
    let barred = Situation {
        alive: true,
        missed: true,
        ..situation(Coding::Delta, sent_up_to(100), 10 * FRAME)
    };
    let Cut::At { first: 0, shift } = find(&barred, &[frame(9, true)]) else {
        panic!("it waits for ever");
    };
    assert!(shift > 80 * FRAME);
    let on_time = Situation {
        now: 101 * FRAME,
        ..barred
    };
    assert_eq!(find(&on_time, &[frame(9, true)]), Cut::Wait);
}

#[test]
fn raw_sound_is_cut_where_it_is_wanted() {
    let sound = Situation {
        divisible: true,
        ..situation(Coding::Raw, sent_up_to(3), 12 * FRAME)
    };
    let long = |n: i64| Placed {
        end: (n + 5) * FRAME,
        ..frame(n, true)
    };
    let pieces: Vec<_> = (0..15).step_by(5).map(long).collect();
    let hidden = Situation {
        latency: 100 * FRAME,
        ..sound
    };
    // The first reaches over the end of what was sent, and the second over the floor.
    assert_eq!(follow(&hidden, &pieces, i64::MIN), 0);
    assert_eq!(follow(&hidden, &pieces, 7 * FRAME), 1);
    assert_eq!(follow(&hidden, &pieces, 15 * FRAME), 3);
}

#[test]
fn sound_follows_the_picture() {
    let sound = situation(Coding::Independent, sent_up_to(3), 12 * FRAME);
    let pieces: Vec<_> = (4..10).map(|n| frame(n, true)).collect();
    assert_eq!(follow(&sound, &pieces, 7 * FRAME), 3);
    assert_eq!(follow(&sound, &pieces, 70 * FRAME), 6);
    assert_eq!(follow(&sound, &pieces, i64::MIN), 0);
}

fn any_coding() -> impl Strategy<Value = Coding> {
    prop_oneof![
        Just(Coding::Raw),
        Just(Coding::Independent),
        Just(Coding::Delta)
    ]
}

proptest! {
    /// Whoever falls no further behind comes up to the output before the wait is over; and whatever comes, that is
    /// over soon.
    #[test]
    fn nobody_who_comes_up_to_the_output_is_left_for_that(
        from in 0i64..10_000, late in -500i64..1_000, latency in 0i64..2_000, at in 0i64..20_000,
    ) {
        const MS: i64 = 1_000_000;
        let until = awaited_until(from * MS, (at - late) * MS, at * MS, latency * MS);
        prop_assert!(until >= (from + late) * MS);
        prop_assert!(until >= (from + latency) * MS);
        prop_assert!(until <= (from + latency.max(1_000)) * MS);
    }

    /// Against the naive answer, picture by picture: each is shown whole, or not at all.
    #[test]
    fn pictures_of_a_group_are_shown_from_where_they_lie_behind_the_end(
        length in 8_000_000i64..50_000_000,
        phase in 0i64..50_000_000,
        come in 1i64..120,
        end_at in 0i64..3_000_000_000,
    ) {
        // Times in whole milliseconds, as in FLV.
        let start = |n: i64| phase + (n * length) / 1_000_000 * 1_000_000;
        let picture = |n: i64| Placed { order: start(n), start: start(n), end: start(n) + length, key: n == 0 };
        let group: Vec<_> = (0..come).map(picture).collect();
        let end = start(0) + end_at;
        let show = shown_from(&group, end);
        prop_assume!(group[0].middle() < end);
        for n in 0..400 {
            let lies_behind = picture(n).middle() >= end;
            // The decoder shows what ends behind the start of the segment.
            let is_shown = picture(n).end > show;
            let unclear = (picture(n).middle() - end).abs() <= ROUNDED;
            prop_assert!(is_shown == lies_behind || unclear, "{} {} {} {}", n, start(n), end, show);
            let most = start(n) + ROUNDED * 2;
            prop_assert!(!is_shown || start(n) >= show || show <= most, "less than all of {} is shown", n);
        }
    }

    #[test]
    fn a_cut_never_repeats_goes_back_or_starts_on_a_delta_frame(
        coding in any_coding(),
        sent in proptest::option::of(0i64..40),
        first in 0i64..40,
        keys in proptest::collection::vec(any::<bool>(), 1..40),
        late in 0i64..20,
        alive: bool,
        waited: bool,
        missed: bool,
    ) {
        let pieces: Vec<_> = keys.iter().enumerate().map(|(i, k)| frame(first + i as i64, *k)).collect();
        let last = first + pieces.len() as i64 - 1;
        let position = sent.and_then(sent_up_to);
        let situation = Situation { coding, divisible: false, position, left: position, others_end: None, now: (last + late) * FRAME, latency: 0, lateness: 0, alive, waited, missed, unseen: false, next_key: None, decoding: 3_000_000 };
        // The naive answer: the first piece that breaks no rule, looked for one by one.
        let naive = (0..pieces.len()).find(|i| {
            let n = first + *i as i64;
            let usable = coding != Coding::Delta || keys[*i];
            let on_time = coding != Coding::Raw || *i + 1 == pieces.len() || late == 0 && n == last;
            usable && on_time && sent.is_none_or(|s| n > s)
        });
        match find(&situation, &pieces) {
            Cut::At { first: i, shift: 0 } if i < pieces.len() => prop_assert_eq!(Some(i), naive),
            Cut::At { shift: 0, .. } => prop_assert!(waited && naive.is_none() && coding != Coding::Delta),
            Cut::At { first: i, shift } => {
                prop_assert!(missed && naive.is_none() && i == pieces.len() - 1);
                prop_assert!(coding == Coding::Delta && keys[i]);
                prop_assert_eq!(pieces[i].start + shift, position.map_or(0, |p| p.end));
            }
            Cut::CatchUp { .. } => prop_assert!(false, "no decoder follows"),
            Cut::Ready => prop_assert!(!waited && (alive && naive.is_some() || naive.is_none() && coding != Coding::Delta)),
            Cut::Wait => prop_assert!(naive.is_none() && coding == Coding::Delta),
        }
    }
}
