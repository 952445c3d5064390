// SPDX-License-Identifier: MPL-2.0
//! When `failoverswitch` leaves an input, which one follows, and when it goes back.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Frame, Frames, Stage, pair, raw, switch};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[test]
fn a_stall_is_found_exactly_at_the_timeout() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 1_000..1_480, |at| backup.push(Frame::at(at)));
    stage.to_nanos(1_479_999_999);
    let stalled = |stage: &Stage| {
        let told = stage.told("failover-input-state");
        told.iter()
            .filter(|state| state.get::<String>("new").as_deref() == Ok("stalled"))
            .count()
    };
    assert_eq!(stalled(&stage), 0);
    stage.to(1_480);
    assert_eq!(stalled(&stage), 1);
    backup.push(Frame::at(1_480));
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 50), (1, 1)]);
    assert_eq!(sent[50].pts, Some(1_480));
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
}

#[test]
fn the_end_of_the_input_on_air_is_not_the_end_of_the_programme() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.eos();
    stage.every(20, 1_000..1_500, |at| backup.push(Frame::at(at)));
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 50), (1, 25)]);
    assert_eq!(sent.longest_step(), 20);
    assert!(!stage.out.is_eos());
    assert_eq!(stage.switches(), [switch(0, 1, "eos")]);
}

#[test]
fn the_programme_ends_when_every_input_has_ended() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.eos();
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    assert!(!stage.out.is_eos());
    backup.eos();
    assert_eq!(stage.out.events(gst::EventType::Eos).len(), 1);
}

#[test]
fn the_end_of_a_standby_is_not_sent_and_not_forgotten() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    backup.eos();
    stage.every(20, 200..400, |at| primary.push(Frame::at(at)));
    assert!(!stage.out.is_eos());
    assert_eq!(stage.sent().runs(), [(0, 20)]);
    primary.eos();
    assert!(stage.out.is_eos());
}

#[test]
fn an_input_that_ended_may_begin_again() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "0")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.eos();
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    primary.start(&raw());
    stage.every(20, 400..600, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10), (0, 10)]);
    assert_eq!(stage.sent().longest_step(), 20);
}

#[test]
fn raw_frames_of_the_standby_that_are_late_are_not_sent() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        stage.to(at + 10);
        backup.push(Frame::at(at + 10));
    });
    stage.every(20, 1_010..2_010, |at| backup.push(Frame::at(at)));
    let sent = stage.sent().of(1);
    assert_eq!(sent[0].pts, Some(1_490));
    assert!(
        sent.iter().all(|frame| frame.pts == Some(frame.at)),
        "{sent:?}"
    );
}

#[test]
fn the_preferred_input_is_back_on_air_when_it_has_proved_itself() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "2000000000")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 200..1_000, |at| backup.push(Frame::at(at)));
    stage.every(20, 1_000..4_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let sent = stage.sent();
    assert_eq!(sent.of(0)[10].pts, Some(3_000), "{:?}", sent.runs());
    assert_eq!(sent.runs().len(), 3);
    let from_the_backup_on = &sent[10..];
    assert_eq!(from_the_backup_on.longest_step(), 20);
    assert_eq!(
        stage.switches(),
        [switch(0, 1, "stall"), switch(1, 0, "recovered")]
    );
}

#[test]
fn without_a_recovery_time_the_first_good_frame_is_enough() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "0")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 200..1_000, |at| backup.push(Frame::at(at)));
    stage.every(20, 1_000..1_200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.sent().of(0)[10].pts, Some(1_000));
    assert_eq!(stage.sent().runs().len(), 3);
}

#[test]
fn with_switch_back_on_failure_the_backup_stays_until_it_fails() {
    let (stage, primary, backup) = pair(&raw(), &[("switch-back", "on-failure")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 200..1_000, |at| backup.push(Frame::at(at)));
    stage.every(20, 1_000..21_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.switches().len(), 1);
    backup.eos();
    stage.every(20, 21_000..21_200, |at| primary.push(Frame::at(at)));
    assert_eq!(stage.switches().last(), Some(&switch(1, 0, "eos")));
    assert_eq!(stage.sent().longest_step(), 500);
}

#[test]
fn a_flapping_primary_does_not_take_over() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..15_000, |at| {
        if at % 1_500 < 300 {
            primary.push(Frame::at(at));
        }
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
    assert!(stage.sent().longest_step() <= 500);
}

#[test]
fn a_primary_that_relapses_has_to_prove_itself_for_longer() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
    // Alive for 2 s, dead for 1 s: long enough to be trusted again, at first.
    stage.every(20, 0..60_000, |at| {
        if at % 3_000 < 2_000 {
            primary.push(Frame::at(at));
        }
        backup.push(Frame::at(at));
    });
    let back = stage
        .switches()
        .iter()
        .filter(|(.., cause)| cause == "recovered")
        .count();
    assert!((1..=3).contains(&back), "{:?}", stage.switches());
}

#[test]
fn the_next_in_order_follows_and_none_is_passed_over() {
    let stage = Stage::usual();
    let inputs = [0, 1, 2].map(|n| stage.feed(&format!("sink_{n}"), &raw()));
    stage.play();
    // The last in order always comes first.
    stage.every(20, 0..1_000, |at| {
        inputs.iter().rev().for_each(|i| i.push(Frame::at(at)))
    });
    stage.every(20, 1_000..3_000, |at| {
        inputs[2].push(Frame::at(at));
        inputs[1].push(Frame::at(at));
    });
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
    assert_eq!(stage.sent().of(2), []);
}

#[test]
fn an_input_that_is_silent_too_is_passed_over() {
    let stage = Stage::usual();
    let inputs = [0, 1, 2].map(|n| stage.feed(&format!("sink_{n}"), &raw()));
    stage.play();
    stage.every(20, 0..1_000, |at| {
        inputs.iter().for_each(|i| i.push(Frame::at(at)))
    });
    stage.every(20, 1_000..3_000, |at| inputs[2].push(Frame::at(at)));
    assert_eq!(stage.switches(), [switch(0, 2, "stall")]);
    assert_eq!(stage.sent().of(1), []);
}

#[test]
fn when_all_were_silent_the_first_frame_of_any_is_sent() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 5_000..6_000, |at| backup.push(Frame::at(at)));
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 50), (1, 50)]);
    assert_eq!(sent[50].pts, Some(5_000));
}

#[test]
fn the_input_on_air_goes_on_after_a_silence_of_all() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 5_000..6_000, |at| primary.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 100)]);
    assert_eq!(stage.switches(), []);
}

#[test]
fn at_the_start_the_preferred_input_is_waited_for() {
    let (stage, _primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..500, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent(), []);
    stage.every(20, 500..1_000, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent()[0].pts, Some(500));
    assert_eq!(stage.sent().runs(), [(1, 25)]);
}

#[test]
fn with_immediate_fallback_the_first_to_come_is_first_on_air() {
    let (stage, primary, backup) = pair(&raw(), &[("immediate-fallback", "true")]);
    stage.every(20, 0..200, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(1, 10)]);
    stage.every(20, 200..400, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.sent().runs(), [(1, 20)]);
}

#[test]
fn immediate_fallback_is_for_the_start_only() {
    let (stage, primary, backup) = pair(&raw(), &[("immediate-fallback", "true")]);
    stage.every(20, 0..3_000, |at| primary.push(Frame::at(at)));
    stage.every(20, 3_000..4_000, |at| {
        backup.push(Frame::at(at));
        primary.push(Frame::at(at));
    });
    assert_eq!(stage.sent().runs(), [(0, 200)]);
}

#[test]
fn with_stop_on_eos_the_end_of_the_input_on_air_is_the_end() {
    let (stage, primary, backup) = pair(&raw(), &[("stop-on-eos", "true")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.eos();
    assert!(stage.out.is_eos());
    backup.pad.push(gst::Buffer::new()).ok();
    assert!(matches!(
        stage.out.seen().last(),
        Some(stage::Seen::Event(event)) if event.type_() == gst::EventType::Eos
    ));
}

#[test]
fn a_change_of_priority_counts_at_once() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "0")]);
    primary.sink.set_property("priority", 5u32);
    backup.sink.set_property("priority", 7u32);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    backup.sink.set_property("priority", 1u32);
    stage.every(20, 200..600, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    // Both are alive: the cut is where one fits on to the other, and nothing is lost.
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 2, "{:?}", sent.runs());
    assert!(sent.of(1)[0].pts <= Some(400), "{:?}", sent.runs());
    assert_eq!(sent.pts(), (0..600).step_by(20).collect::<Vec<_>>());
    assert_eq!(backup.sink.property::<u32>("priority"), 1);
}

#[test]
fn the_health_of_a_healthy_standby_does_not_flicker() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let notified = Arc::new(AtomicUsize::new(0));
    for pad in [&primary.sink, &backup.sink] {
        let notified = notified.clone();
        pad.connect_notify(Some("is-healthy"), move |_, _| {
            notified.fetch_add(1, SeqCst);
        });
    }
    stage.every(20, 0..20_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
        assert!(primary.is_healthy() && backup.is_healthy());
    });
    assert_eq!(notified.load(SeqCst), 2);
}

#[test]
fn a_silent_input_is_not_healthy_and_its_return_is_told() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    assert!(!primary.is_healthy());
    primary.push(Frame::at(0));
    backup.push(Frame::at(0));
    assert!(primary.is_healthy());
    stage.every(20, 20..1_000, |at| backup.push(Frame::at(at)));
    assert!(!primary.is_healthy() && backup.is_healthy());
    stage.to(1_000);
    primary.push(Frame::at(1_000));
    assert!(primary.is_healthy());
}

#[test]
fn the_longest_timeout_never_ends_and_an_end_still_counts() {
    let (stage, primary, backup) = pair(&raw(), &[("timeout", "18446744073709551614")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(1_000, 200..100_000_000, |at| {
        if at % 10_000_000 == 200 {
            backup.push(Frame::at(at));
        }
    });
    assert_eq!(stage.sent().runs(), [(0, 10)]);
    let now = stage.now();
    stage.to(now + 1_000);
    backup.push(Frame::at(now + 1_000));
    primary.eos();
    backup.push(Frame::at(now + 1_020));
    assert_eq!(stage.sent().last().map(|frame| frame.input), Some(1));
}

#[test]
fn no_timeout_at_all_neither_hangs_nor_goes_back() {
    let (stage, primary, backup) = pair(&raw(), &[("timeout", "0")]);
    stage.every(20, 0..2_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage::assert_no_step_back(&stage.sent());
    assert!(stage.sent().len() >= 50);
}

#[test]
fn a_timeout_changed_while_playing_counts_at_once() {
    let (stage, primary, backup) = pair(&raw(), &[("timeout", "10000000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 1_000..1_200, |at| backup.push(Frame::at(at)));
    stage.switch.set_property("timeout", 300_000_000u64);
    stage.every(20, 1_200..1_400, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().of(1)[0].pts, Some(1_280));
}

#[test]
fn another_run_begins_as_new() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.eos();
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    stage.switch.set_state(gst::State::Ready).expect("ready");
    stage.play();
    let (from, before) = (stage.now(), stage.sent().len());
    for feed in [&primary, &backup] {
        feed.start(&raw());
    }
    stage.every(20, from..from + 200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let sent = stage.sent();
    assert_eq!(sent[before..].runs(), [(0, 10)]);
    assert!(sent[before].discont);
    assert_eq!(stage.out.events(gst::EventType::StreamStart).len(), 2);
    assert_eq!(stage.stats().get::<u64>("num-switches"), Ok(0));
}
