// SPDX-License-Identifier: MPL-2.0
//! Nothing holds `failoverswitch` up and it holds up nobody: blocked sinks, flushes, pads that come and
//! go, latency, and handlers that ask while something happens.

#[path = "support/stage.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Seen, Stage, bounded, caps, h264, ms, raw, switch};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// A stage with a primary and a backup of raw pictures, playing.
fn pair(properties: &[(&str, &str)]) -> (Stage, Feed, Feed) {
    let all = [&[("timeout", "500000000")], properties].concat();
    let stage = Stage::new(&all);
    let (primary, backup) = (stage.feed("sink_0", &raw()), stage.feed("sink_1", &raw()));
    stage.play();
    (stage, primary, backup)
}

/// A sink that takes nothing any more.
struct Block {
    pad: gst::Pad,
    probe: Option<gst::PadProbeId>,
    reached: mpsc::Receiver<()>,
}

impl Block {
    fn new(stage: &Stage) -> Self {
        let pad = stage.switch.static_pad("src").expect("src");
        let (blocked, reached) = mpsc::channel();
        let kind = gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER;
        let probe = pad.add_probe(kind, move |_, _| {
            let _ = blocked.send(());
            gst::PadProbeReturn::Ok
        });
        Self { pad, probe, reached }
    }

    /// Pushes in another thread, and comes back when the push is stuck.
    fn push(&self, feed: &Feed, frame: Frame) -> JoinHandle<Result<gst::FlowSuccess, gst::FlowError>> {
        let feed = feed.clone();
        let pushing = std::thread::spawn(move || feed.try_push(frame));
        self.reached.recv_timeout(Duration::from_secs(20)).expect("a push that is stuck");
        pushing
    }

    fn open(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.pad.remove_probe(probe);
        }
    }
}

#[test]
fn a_sink_that_blocks_for_longer_than_the_timeout_is_not_a_dead_input() {
    bounded(|| {
        let (stage, primary, backup) = pair(&[]);
        stage.every(20, 0..1_000, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let mut block = Block::new(&stage);
        stage.to(1_000);
        let pushing = block.push(&primary, Frame::at(1_000));
        stage.every(20, 1_000..3_000, |at| {
            backup.push(Frame::at(at));
            // That a push is stuck is seen by the machine's own time, of which a little has to pass.
            std::thread::sleep(Duration::from_millis(1));
        });
        block.open();
        assert_eq!(pushing.join().expect("the pusher"), Ok(gst::FlowSuccess::Ok));
        stage.every(20, 3_000..4_000, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        assert_eq!(stage.switches(), []);
        assert_eq!(stage.sent().runs(), [(0, 101)]);
    });
}

#[test]
fn a_standby_never_waits_for_a_sink_that_blocks() {
    bounded(|| {
        let (stage, primary, backup) = pair(&[]);
        stage.every(20, 0..200, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let mut block = Block::new(&stage);
        let pushing = block.push(&primary, Frame::at(200));
        stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
        assert_eq!(backup.pushed(), 20);
        block.open();
        assert!(pushing.join().expect("the pusher").is_ok());
    });
}

#[test]
fn a_live_standby_is_never_held_up() {
    bounded(|| {
        for caps in [raw(), h264()] {
            let stage = Stage::new(&[("latency", "2000000000")]);
            let (primary, backup) = (stage.silent_feed("sink_0"), stage.silent_feed("sink_1"));
            for feed in [&primary, &backup] {
                feed.declare(true, 20, None);
            }
            stage.play();
            primary.start(&caps);
            backup.start(&caps);
            // Each push is made from here: one that waited for the clock would wait for ever.
            stage.every(20, 0..5_000, |at| {
                primary.push(Frame::at(at));
                backup.push(Frame::at(at));
            });
            assert_eq!((primary.pushed(), backup.pushed()), (250, 250));
        }
    });
}

#[test]
fn a_flush_reaches_the_sink_behind_a_blocked_push() {
    bounded(|| {
        let (stage, primary, backup) = pair(&[]);
        stage.every(20, 0..200, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let mut block = Block::new(&stage);
        let pushing = block.push(&primary, Frame::at(200));
        assert!(primary.pad.push_event(gst::event::FlushStart::new()));
        assert_eq!(pushing.join().expect("the pusher"), Err(gst::FlowError::Flushing));
        assert_eq!(stage.out.events(gst::EventType::FlushStart).len(), 1);
        block.open();
        assert!(primary.pad.push_event(gst::event::FlushStop::new(true)));
        assert_eq!(stage.out.events(gst::EventType::FlushStop).len(), 1);
    });
}

#[test]
fn a_flush_ends_a_wait_for_the_clock() {
    bounded(|| {
        let stage = Stage::usual();
        let primary = stage.silent_feed("sink_0");
        primary.declare(false, 0, None);
        stage.play();
        primary.start(&raw());
        primary.push(Frame::at(0));
        let feed = primary.clone();
        let pushing = std::thread::spawn(move || feed.try_push(Frame::at(1_000)));
        stage.wait_for_pending(2);
        primary.pad.push_event(gst::event::FlushStart::new());
        assert_eq!(pushing.join().expect("the pusher"), Err(gst::FlowError::Flushing));
    });
}

#[test]
fn after_a_flush_a_segment_comes_before_the_data() {
    let (stage, primary, backup) = pair(&[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.flush();
    primary.segment();
    let from = stage.out.seen().len();
    stage.every(20, 200..400, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let after = stage.out.seen().split_off(from);
    let kinds: Vec<_> = after
        .iter()
        .map(|seen| match seen {
            Seen::Event(event) => Some(event.type_()),
            Seen::Frame(_) => None,
        })
        .collect();
    assert_eq!(kinds[..2], [Some(gst::EventType::Segment), None], "{kinds:?}");
    assert_eq!(stage.sent().runs(), [(0, 20)]);
    assert!(stage.sent()[10].discont);
}

#[test]
fn a_flush_of_a_standby_stays_with_it() {
    let (stage, primary, backup) = pair(&[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    backup.flush();
    backup.segment();
    stage.every(20, 200..400, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.out.events(gst::EventType::FlushStart).len(), 0);
    assert_eq!(stage.out.events(gst::EventType::FlushStop).len(), 0);
    assert_eq!(stage.sent().runs(), [(0, 20)]);
    stage.out.assert_one_programme();
}

#[test]
fn a_flush_does_not_make_raw_pictures_wait_for_key_frames() {
    let (stage, primary, backup) = pair(&[]);
    backup.flush();
    backup.segment();
    let all_delta = |at| Frame::at(at).delta_unless(false);
    stage.every(20, 0..2_000, |at| {
        if at < 1_000 {
            primary.push(Frame::at(at));
        }
        backup.push(all_delta(at));
    });
    // Raw as before: late ones are not sent, and the flag says nothing.
    let sent = stage.sent().of(1);
    assert_eq!(sent.len(), 26);
    assert!(sent.iter().all(|frame| frame.pts == Some(frame.at)), "{sent:?}");
}

#[test]
fn when_the_active_pad_is_released_the_next_frame_is_the_others() {
    let (stage, primary, backup) = pair(&[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&primary.sink);
    assert_ne!(stage.active_pad(), Some(primary.sink.clone()));
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10)]);
    assert_eq!(stage.sent().longest_step(), 20);
    assert_eq!(stage.active_pad(), Some(backup.sink));
    stage.out.assert_one_programme();
}

#[test]
fn without_auto_switch_a_released_active_pad_leaves_no_dead_output() {
    let (stage, primary, backup) = pair(&[("auto-switch", "false")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&primary.sink);
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10)]);
}

#[test]
fn the_release_of_a_standby_goes_unnoticed() {
    let (stage, primary, backup) = pair(&[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&backup.sink);
    stage.every(20, 200..400, |at| primary.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 20)]);
    assert_eq!(stage.switches(), []);
    assert!(backup.try_push(Frame::at(400)).is_err());
}

#[test]
fn an_input_that_was_released_may_be_asked_for_again() {
    let (stage, primary, backup) = pair(&[("recovery-time", "1000000000")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&primary.sink);
    stage.every(20, 200..1_000, |at| backup.push(Frame::at(at)));
    let again = stage.feed("sink_0", &raw());
    stage.every(20, 1_000..3_000, |at| {
        again.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.sent().runs().len(), 3);
    assert_eq!(stage.switches().last(), Some(&switch(1, 0, "recovered")));
    assert_eq!(stage.sent().longest_step(), 20);
}

#[test]
fn a_pad_released_while_its_push_is_stuck_lets_everybody_go() {
    bounded(|| {
        let (stage, primary, backup) = pair(&[]);
        stage.every(20, 0..200, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let mut block = Block::new(&stage);
        let pushing = block.push(&primary, Frame::at(200));
        block.open();
        stage.switch.release_request_pad(&primary.sink);
        let _ = pushing.join().expect("the pusher");
        stage.every(20, 220..400, |at| backup.push(Frame::at(at)));
        assert_eq!(stage.active_pad(), Some(backup.sink));
    });
}

#[test]
fn a_state_change_to_ready_ends_a_wait_for_the_clock() {
    bounded(|| {
        let stage = Stage::usual();
        let primary = stage.silent_feed("sink_0");
        primary.declare(false, 0, None);
        stage.play();
        primary.start(&raw());
        primary.push(Frame::at(0));
        let feed = primary.clone();
        let pushing = std::thread::spawn(move || feed.try_push(Frame::at(1_000)));
        stage.wait_for_pending(2);
        stage.switch.set_state(gst::State::Ready).expect("ready");
        assert_eq!(pushing.join().expect("the pusher"), Err(gst::FlowError::Flushing));
    });
}

#[test]
fn requested_pad_names_are_honoured() {
    let stage = Stage::usual();
    for name in ["sink_7", "sink_0_1", "sink_0", "sink_3_2", "sink_7_1"] {
        let pad = stage.switch.request_pad_simple(name).expect(name);
        assert_eq!(pad.name(), name);
    }
    // One that is taken, or says no input, cannot be had; without a name the next free one is given.
    assert_eq!(stage.switch.request_pad_simple("sink_7"), None);
    let next = stage.switch.request_pad_simple("sink_%u").expect("a pad");
    assert_eq!(next.name(), "sink_8");
    let sources: Vec<_> = stage.switch.src_pads().iter().map(|pad| pad.name()).collect();
    assert_eq!(sources, ["src", "src_1", "src_2"]);
}

#[test]
fn the_priority_of_a_pad_is_its_number_until_it_is_set() {
    let stage = Stage::usual();
    let pad = stage.switch.request_pad_simple("sink_7").expect("sink_7");
    assert_eq!(pad.property::<u32>("priority"), 7);
    pad.set_property("priority", 2u32);
    assert_eq!(pad.property::<u32>("priority"), 2);
}

#[test]
fn a_description_may_name_the_pads_in_any_order() {
    stage::init();
    let description = "fakesrc ! fs.sink_1  fakesrc ! fs.sink_0  failoverswitch name=fs ! fakesink";
    let pipeline = gst::parse::launch(description).expect("it links");
    let bin = pipeline.downcast_ref::<gst::Bin>().expect("a pipeline");
    let switch = bin.by_name("fs").expect("fs");
    let names: Vec<_> = switch.sink_pads().iter().map(|pad| pad.name()).collect();
    assert_eq!(names, ["sink_1", "sink_0"]);
    assert!(switch.sink_pads().iter().all(gst::Pad::is_linked));
}

#[test]
fn pad_properties_can_be_set_in_a_description() {
    stage::init();
    let description = "failoverswitch name=fs sink_0::priority=9 sink_1::priority=3 ! fakesink \
        fakesrc ! fs.sink_0  fakesrc ! fs.sink_1";
    let pipeline = gst::parse::launch(description).expect("it links");
    let bin = pipeline.downcast_ref::<gst::Bin>().expect("a pipeline");
    let switch = bin.by_name("fs").expect("fs");
    let priority = |name| switch.static_pad(name).expect(name).property::<u32>("priority");
    assert_eq!((priority("sink_0"), priority("sink_1")), (9, 3));
}

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
    let (stage, primary, backup) = pair(&[("latency", "100000000")]);
    primary.declare(true, 40, Some(200));
    backup.declare(false, 0, None);
    stage.switch.request_pad_simple("sink_9").expect("sink_9");
    let (live, min, max) = stage.out.latency();
    assert_eq!((live, min), (true, ms(140)));
    assert!(max >= Some(ms(140)));
}

#[test]
fn a_latency_event_reaches_every_input() {
    let (stage, primary, backup) = pair(&[]);
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
    let (stage, _primary, _backup) = pair(&[]);
    let before = stage.messages(gst::MessageType::Latency).len();
    stage.switch.set_property("latency", 700_000_000u64);
    assert_eq!(stage.messages(gst::MessageType::Latency).len(), before + 1);
    assert_eq!(stage.out.latency().1, ms(700));
}

#[test]
fn a_change_of_timeout_is_no_change_of_latency() {
    let (stage, _primary, _backup) = pair(&[]);
    let before = stage.messages(gst::MessageType::Latency).len();
    stage.switch.set_property("timeout", 700_000_000u64);
    assert_eq!(stage.messages(gst::MessageType::Latency).len(), before);
    assert_eq!(stage.out.latency().1, ms(0));
}

#[test]
fn latency_holds_nothing_back_and_hides_a_failover() {
    let (stage, primary, backup) = pair(&[("latency", "600000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert!(stage.sent().iter().all(|frame| frame.pts == Some(frame.at)));
    stage.every(20, 1_000..2_000, |at| backup.push(Frame::at(at)));
    // What was missed while the stall was found comes from memory, in time for a sink.
    let sent = stage.sent();
    assert_eq!(sent.pts(), (0..2_000).step_by(20).collect::<Vec<_>>());
    assert!(sent.iter().all(|frame| frame.pts >= frame.at.checked_sub(600)));
    assert_eq!(stage.told("failover-switched")[1].get::<bool>("hidden"), Ok(true));
}

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
        stage.switch.request_pad_simple("sink_0_1").expect("sink_0_1");
        stage.switch.release_request_pad(&pad);
        // Two sink pads, the second source pad, one removed.
        assert_eq!(calls.load(SeqCst), 4);
    });
}

#[test]
fn everything_may_be_asked_in_notify_and_in_a_message_handler() {
    bounded(|| {
        let (stage, primary, backup) = pair(&[("recovery-time", "1000000000")]);
        let notified = Arc::new(AtomicUsize::new(0));
        let count = notified.clone();
        stage.switch.connect_notify(Some("active-pad"), move |switch, _| {
            ask_everything(switch);
            count.fetch_add(1, SeqCst);
        });
        let switch = stage.switch.downgrade();
        let count = notified.clone();
        primary.sink.connect_notify(Some("is-healthy"), move |_, _| {
            if let Some(switch) = switch.upgrade() {
                ask_everything(&switch);
                count.fetch_add(1, SeqCst);
            }
        });
        let told = Arc::new(AtomicUsize::new(0));
        let (count, switch, busy) = (told.clone(), stage.switch.downgrade(), AtomicBool::new(false));
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
        let (stage, primary, backup) = pair(&[]);
        let switch = stage.switch.downgrade();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        stage.out.pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
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
fn odd_caps_are_harmless() {
    let odd = [
        "video/x-raw,format=DMA_DRM",
        "video/x-raw",
        "audio/x-raw,format=S16LE",
        "application/x-rtp,media=video",
        "video/x-h264",
        "nonsense/of-some-kind",
        "video/x-raw(memory:Nowhere),format=NV12",
    ];
    let (stage, primary, backup) = pair(&[]);
    let mut from = 0;
    for description in odd {
        primary.start(&caps(description));
        backup.start(&caps("application/x-odd"));
        stage.every(20, from..from + 200, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        from += 200;
    }
    assert_eq!(stage.sent().runs(), [(0, 70)]);
}

#[test]
fn buffers_in_a_list_are_sent_each() {
    let (stage, primary, _backup) = pair(&[]);
    primary.push(Frame::at(0));
    stage.to(40);
    let mut list = gst::BufferList::new();
    if let Some(list) = list.get_mut() {
        for (number, at) in [20u64, 40].into_iter().enumerate() {
            let number = u8::try_from(number).unwrap_or(0);
            let mut buffer = gst::Buffer::from_slice([0, 0, 0, 0, number, 0, 0, 0]);
            if let Some(buffer) = buffer.get_mut() {
                buffer.set_pts(ms(at));
                buffer.set_duration(ms(20));
            }
            list.add(buffer);
        }
    }
    assert_eq!(primary.pad.push_list(list), Ok(gst::FlowSuccess::Ok));
    assert_eq!(stage.sent().pts(), [0, 20, 40]);
}

#[test]
fn sticky_events_that_nobody_knows_do_not_stop_the_flow() {
    let (stage, primary, _backup) = pair(&[]);
    let structure = gst::Structure::new_empty("odd-sticky");
    primary.push(Frame::at(0));
    primary.pad.push_event(gst::event::CustomDownstreamSticky::new(structure));
    stage.to(20);
    primary.push(Frame::at(20));
    let mut stickies = 0;
    stage.out.pad.sticky_events_foreach(|_| {
        stickies += 1;
        ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
    assert!(stickies >= 3);
    assert_eq!(stage.sent().len(), 2);
}

#[test]
fn nothing_is_left_when_it_is_gone() {
    let (stage, primary, backup) = pair(&[]);
    stage.every(20, 0..2_000, |at| {
        if at < 1_000 {
            primary.push(Frame::at(at));
        }
        backup.push(Frame::at(at));
    });
    let (switch, pads) = (stage.switch.downgrade(), [&primary.sink, &backup.sink].map(|p| p.downgrade()));
    stage.switch.set_state(gst::State::Null).expect("null");
    assert_eq!(stage.clock.peek_id_count(), 0);
    drop((primary, backup, stage));
    assert!(switch.upgrade().is_none());
    assert!(pads.iter().all(|pad| pad.upgrade().is_none()));
}
