// SPDX-License-Identifier: MPL-2.0
//! `failoverswitch` may be asked anything at any time, also by those that it is just telling something.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Frame, Frames, Stage, bounded, ms, pair, raw};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// All that may be asked of a switch.
fn ask_everything(switch: &gst::Element) {
    for property in switch.list_properties() {
        if property.flags().contains(gst::glib::ParamFlags::READABLE) {
            switch.property_value(property.name());
        }
    }
    let mut query = gst::query::Latency::new();
    switch.query(&mut query);
    for pad in switch.pads() {
        pad.query(&mut gst::query::Latency::new());
        pad.query_caps(None);
        if pad.direction() == gst::PadDirection::Sink {
            pad.property::<bool>("is-healthy");
            pad.set_property("priority", pad.property::<u32>("priority"));
        }
    }
    switch.set_property("timeout", switch.property::<u64>("timeout"));
}

#[test]
fn everything_may_be_asked_while_a_pad_is_added_and_removed() {
    bounded(|| {
        let stage = Stage::usual();
        let calls = Arc::new(AtomicUsize::new(0));
        let added = calls.clone();
        stage.switch.connect_pad_added(move |switch, _| {
            ask_everything(switch);
            switch.set_property("active-pad", switch.static_pad("sink_0"));
            added.fetch_add(1, SeqCst);
        });
        let removed = calls.clone();
        stage.switch.connect_pad_removed(move |switch, _| {
            ask_everything(switch);
            switch.set_property("active-pad", switch.static_pad("sink_0"));
            removed.fetch_add(1, SeqCst);
        });
        let pad = stage.switch.request_pad_simple("sink_0").expect("sink_0");
        stage
            .switch
            .request_pad_simple("sink_0_1")
            .expect("sink_0_1");
        stage.switch.release_request_pad(&pad);
        // Two sink pads, the second source pad, one removed.
        assert_eq!(calls.load(SeqCst), 4);
    });
}

#[test]
fn everything_may_be_asked_in_notify_and_in_a_message_handler() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
        let notified = Arc::new(AtomicUsize::new(0));
        let count = notified.clone();
        stage
            .switch
            .connect_notify(Some("active-pad"), move |switch, _| {
                ask_everything(switch);
                count.fetch_add(1, SeqCst);
            });
        let switch = stage.switch.downgrade();
        let count = notified.clone();
        primary
            .sink
            .connect_notify(Some("is-healthy"), move |_, _| {
                if let Some(switch) = switch.upgrade() {
                    ask_everything(&switch);
                    count.fetch_add(1, SeqCst);
                }
            });
        let told = Arc::new(AtomicUsize::new(0));
        let (count, switch, busy) = (
            told.clone(),
            stage.switch.downgrade(),
            AtomicBool::new(false),
        );
        stage.bus.set_sync_handler(move |_, _| {
            // What is asked here may itself be told.
            if !busy.swap(true, SeqCst) {
                if let Some(switch) = switch.upgrade() {
                    ask_everything(&switch);
                    count.fetch_add(1, SeqCst);
                }
                busy.store(false, SeqCst);
            }
            gst::BusSyncReply::Pass
        });
        stage.every(20, 0..4_000, |at| {
            if !(500..2_000).contains(&at) {
                primary.push(Frame::at(at));
            }
            backup.push(Frame::at(at));
        });
        stage.bus.unset_sync_handler();
        assert_eq!(stage.switches().len(), 2);
        assert!(notified.load(SeqCst) >= 5 && told.load(SeqCst) >= 5);
    });
}

#[test]
fn everything_may_be_asked_while_a_frame_is_on_its_way() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[]);
        let switch = stage.switch.downgrade();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        stage
            .out
            .pad
            .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                if let Some(switch) = switch.upgrade() {
                    ask_everything(&switch);
                    count.fetch_add(1, SeqCst);
                }
                gst::PadProbeReturn::Ok
            });
        stage.every(20, 0..2_000, |at| {
            if at < 1_000 {
                primary.push(Frame::at(at));
            }
            backup.push(Frame::at(at));
        });
        assert_eq!(asked.load(SeqCst), stage.sent().len());
        assert_eq!(stage.switches().len(), 1);
    });
}

#[test]
fn it_is_not_asked_to_seek() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let mut query = gst::query::Seeking::new(gst::Format::Time);
    assert!(stage.out.pad.peer_query(&mut query), "it is answered");
    assert!(!query.result().0, "it cannot seek");
    let begin = gst::SeekType::Set;
    let nowhere = gst::ClockTime::NONE;
    let flags = gst::SeekFlags::FLUSH;
    let seek = gst::event::Seek::new(1.0, flags, begin, ms(0), gst::SeekType::None, nowhere);
    assert!(!stage.out.ask(seek), "it is refused");
    for feed in [primary, backup] {
        assert_eq!(feed.asked(gst::EventType::Seek).len(), 0);
    }
}

#[test]
fn an_input_that_was_sought_plays_on_where_the_output_stands() {
    let (stage, primary, _backup) = pair(&raw(), &[]);
    stage.every(20, 0..4_000, |at| primary.push(Frame::at(at)));
    primary.pad.push_event(gst::event::FlushStart::new());
    primary.pad.push_event(gst::event::FlushStop::new(true));
    primary.segment();
    let stop = &stage.out.events(gst::EventType::FlushStop)[0];
    let gst::EventView::FlushStop(stop) = stop.view() else {
        unreachable!("that was asked for")
    };
    assert!(!stop.resets_time(), "the output's time goes on");
    stage.every(20, 4_000..6_000, |at| primary.push(Frame::at(at - 4_000)));
    let sent = stage.sent();
    assert_eq!((sent.len(), sent.longest_step()), (300, 20));
}
