// SPDX-License-Identifier: MPL-2.0
//! The latency of `failoverswitch`: what it answers, whom it tells, and what it is good for.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Frame, Frames, Stage, bounded, ms, pair, raw, switch};

#[test]
fn the_least_latency_is_never_above_the_most() {
    for latency in [0, 1_000] {
        let stage = Stage::usual();
        stage.switch.set_property("latency", latency * 1_000_000u64);
        let inputs = [0, 1, 2].map(|n| stage.feed(&format!("sink_{n}"), &raw()));
        stage.play();
        let declarations = [
            [(20, Some(100)), (300, None), (40, Some(50))],
            [(20, Some(100)), (30, Some(200)), (40, None)],
            [(500, Some(500)), (0, Some(0)), (40, Some(60))],
            [(0, None), (0, None), (40, None)],
        ];
        for declared in declarations {
            for (input, (min, max)) in inputs.iter().zip(declared) {
                input.declare(true, min, max);
            }
            let (live, min, max) = stage.out.latency();
            let greatest = declared.iter().map(|(min, _)| *min).max().unwrap_or(0);
            assert!(live);
            assert_eq!(min, ms(greatest + latency));
            assert!(max.is_none_or(|max| max >= min), "{min} > {max:?}");
            let limited = declared.iter().any(|(_, max)| max.is_some());
            assert_eq!(max.is_some(), limited, "whatever their order: {declared:?}");
        }
    }
}

#[test]
fn an_input_that_is_not_linked_or_not_live_does_not_spoil_the_latency() {
    let (stage, primary, backup) = pair(&raw(), &[("latency", "100000000")]);
    primary.declare(true, 40, Some(200));
    backup.declare(false, 0, None);
    stage.switch.request_pad_simple("sink_9").expect("sink_9");
    let (live, min, max) = stage.out.latency();
    assert_eq!((live, min), (true, ms(140)));
    assert!(max >= Some(ms(140)));
}

#[test]
fn a_latency_event_reaches_every_input() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    primary.push(Frame::at(0));
    assert!(stage.out.ask(gst::event::Latency::new(ms(300))));
    for feed in [&primary, &backup] {
        let events = feed.asked(gst::EventType::Latency);
        let gst::EventView::Latency(latency) = events[0].view() else {
            panic!("no latency: {events:?}");
        };
        assert_eq!(latency.latency(), ms(300));
    }
}

#[test]
fn a_change_of_latency_while_playing_is_told_and_counts() {
    let (stage, _primary, _backup) = pair(&raw(), &[]);
    let before = stage.messages(gst::MessageType::Latency).len();
    stage.switch.set_property("latency", 700_000_000u64);
    assert_eq!(stage.messages(gst::MessageType::Latency).len(), before + 1);
    assert_eq!(stage.out.latency().1, ms(700));
}

#[test]
fn a_change_of_timeout_is_no_change_of_latency() {
    let (stage, _primary, _backup) = pair(&raw(), &[]);
    let before = stage.messages(gst::MessageType::Latency).len();
    stage.switch.set_property("timeout", 700_000_000u64);
    assert_eq!(stage.messages(gst::MessageType::Latency).len(), before);
    assert_eq!(stage.out.latency().1, ms(0));
}

#[test]
fn latency_holds_nothing_back_and_hides_a_failover() {
    let (stage, primary, backup) = pair(&raw(), &[("latency", "600000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert!(stage.sent().iter().all(|frame| frame.pts == Some(frame.at)));
    stage.every(20, 1_000..2_000, |at| backup.push(Frame::at(at)));
    // What was missed while the stall was found comes from memory, in time for a sink.
    let sent = stage.sent();
    assert_eq!(sent.pts(), (0..2_000).step_by(20).collect::<Vec<_>>());
    assert!(
        sent.iter()
            .all(|frame| frame.pts >= frame.at.checked_sub(600))
    );
    assert_eq!(
        stage.told("failover-switched")[1].get::<bool>("hidden"),
        Ok(true)
    );
}

#[test]
fn where_latency_is_promised_a_sink_that_waits_holds_up_no_input() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[("latency", "1000000000")]);
        let waiting = stage.out.hold_up();
        // Both are pushed from here: one that waited for the sink would wait for ever.
        stage.every_unsettled(20, 0..1_000, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        stage.every_unsettled(20, 1_000..2_000, |at| backup.push(Frame::at(at)));
        assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
        drop(waiting);
        assert_eq!(
            stage.sent().pts(),
            (0..2_000).step_by(20).collect::<Vec<_>>()
        );
        stage.out.assert_one_programme();
    });
}

#[test]
fn what_is_held_for_a_sink_that_takes_nothing_is_bounded() {
    bounded(|| {
        let (stage, primary, _backup) = pair(&raw(), &[("latency", "1000000000")]);
        let waiting = stage.out.hold_up();
        let feed = primary.clone();
        let pushing = std::thread::spawn(move || {
            for at in (0..10_000).step_by(20) {
                feed.push(Frame::at(at));
            }
        });
        // The latency, a second for gusts, and what the sink has already.
        primary.wait_for_pushed(103);
        assert!(primary.pushed() <= 104, "{}", primary.pushed());
        drop(waiting);
        pushing.join().expect("the pusher");
        assert_eq!(stage.sent().len(), 500);
    });
}

#[test]
fn an_end_comes_after_all_that_is_held() {
    let (stage, primary, backup) = pair(&raw(), &[("latency", "1000000000")]);
    let waiting = stage.out.hold_up();
    stage.every_unsettled(20, 0..500, |at| primary.push(Frame::at(at)));
    backup.eos();
    primary.eos();
    assert!(!stage.out.is_eos());
    drop(waiting);
    assert_eq!(stage.sent().len(), 25);
    assert!(stage.out.is_eos());
}
