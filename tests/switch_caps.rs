// SPDX-License-Identifier: MPL-2.0
//! Each frame leaves with the caps that it came with, wherever it was kept and whatever its pad's caps are by then.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Seen, Stage, caps, h264, in_gop, ms, pair, pcm, raw, switch};
use std::cell::RefCell;

/// Caps of this kind for frames of another size.
fn sized(of: &gst::Caps, width: i32) -> gst::Caps {
    let mut caps = of.clone();
    caps.make_mut().set("width", width);
    caps
}

/// A feed that remembers which caps each of its frames is of.
struct Source {
    feed: Feed,
    now: RefCell<gst::Caps>,
    right: RefCell<Vec<gst::Caps>>,
}

impl Source {
    fn new(feed: &Feed, caps: &gst::Caps) -> Self {
        Self {
            feed: feed.clone(),
            now: RefCell::new(caps.clone()),
            right: RefCell::default(),
        }
    }

    fn change(&self, caps: &gst::Caps) {
        self.feed.pad.push_event(gst::event::Caps::new(caps));
        *self.now.borrow_mut() = caps.clone();
    }

    fn push(&self, frame: Frame) {
        self.right.borrow_mut().push(self.now.borrow().clone());
        self.feed.push(frame);
    }
}

fn sources(kind: &gst::Caps, properties: &[(&str, &str)]) -> (Stage, [Source; 2]) {
    let (stage, primary, backup) = pair(kind, properties);
    let both = [&primary, &backup].map(|feed| Source::new(feed, kind));
    (stage, both)
}

/// No frame is of other caps than its own, and no caps come for nothing. Returns what came, in order.
fn assert_own_caps(stage: &Stage, sources: &[Source; 2]) -> Vec<gst::Caps> {
    stage.settle();
    let (mut sent, mut idle) = (vec![], false);
    for seen in stage.out.seen() {
        match seen {
            Seen::Event(event) => {
                if let gst::EventView::Caps(caps) = event.view() {
                    assert!(!idle, "{caps:?} behind caps without a frame");
                    sent.push(caps.caps_owned());
                    idle = true;
                }
            }
            Seen::Frame(frame) => {
                let right = &sources[frame.input as usize].right.borrow()[frame.number as usize];
                assert_eq!(sent.last(), Some(right), "{frame:?}");
                idle = false;
            }
        }
    }
    stage.out.assert_one_programme();
    sent
}

#[test]
fn a_standby_that_changes_around_the_cut_sends_each_frame_with_its_own_caps() {
    for kind in [raw(), h264()] {
        for latency in ["0", "700000000"] {
            // The primary stalls at 1 s, the cut is made from 1.5 s on.
            for change in (1_000..1_620).step_by(60) {
                let (stage, both) = sources(&kind, &[("latency", latency)]);
                let [primary, backup] = &both;
                stage.every(20, 0..3_000, |at| {
                    let alone = kind == raw();
                    if at < 1_000 {
                        primary.push(Frame::at(at).delta_unless(alone || at == 0));
                    }
                    if at == change {
                        backup.change(&sized(&kind, 32));
                    }
                    let key = alone || at % 100 == 60 || at == change;
                    backup.push(Frame::at(at).delta_unless(key));
                });
                assert_own_caps(&stage, &both);
                assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
                let sent = stage.sent();
                assert!(sent.longest_step() <= 580, "{:?}", sent.pts());
                assert!(sent.pts().last() > Some(&2_200));
            }
        }
    }
}

#[test]
fn a_change_in_the_middle_of_a_group_that_is_kept_comes_where_it_was_made() {
    let (stage, both) = sources(&h264(), &[("latency", "1600000000")]);
    let [primary, backup] = &both;
    stage.every(20, 0..4_000, |at| {
        if at < 1_000 {
            primary.push(in_gop(at, 0));
        }
        if at == 1_200 {
            backup.change(&sized(&h264(), 32));
        }
        backup.push(in_gop(at, 900));
    });
    stage.to(6_000);
    let sent = assert_own_caps(&stage, &both);
    assert_eq!(sent, [h264(), sized(&h264(), 32)]);
    let frames = stage.sent();
    assert_eq!(frames.pts(), (0..4_000).step_by(20).collect::<Vec<_>>());
    assert_eq!(frames.runs(), [(0, 45), (1, 155)]);
}

#[test]
fn behind_another_codec_a_stream_that_stands_by_begins_with_a_key_frame() {
    let vp8 = caps("video/x-vp8,width=16,height=16");
    let (stage, both) = sources(&h264(), &[("latency", "1600000000")]);
    let [primary, backup] = &both;
    stage.every(20, 0..4_000, |at| {
        if at < 1_000 {
            primary.push(in_gop(at, 0));
        }
        if at == 1_200 {
            backup.change(&vp8);
        }
        // The first key frame of the new codec comes 80 ms behind the change.
        backup.push(Frame::at(at).delta_unless(at % 1_000 == 900 || at == 1_280));
    });
    stage.to(6_000);
    let asked = backup.feed.key_frames_asked();
    assert_eq!(assert_own_caps(&stage, &both), [h264(), vp8]);
    let pts = stage.sent().pts();
    let undecodable = |pts: &u64| (1_200..1_280).contains(pts);
    let wanted = (0..4_000).step_by(20).filter(|pts| !undecodable(pts));
    assert_eq!(pts, wanted.collect::<Vec<_>>());
    assert!(asked >= 1, "a key frame is asked for");
}

#[test]
fn what_is_kept_of_raw_frames_is_of_no_use_behind_encoded_ones() {
    let (stage, both) = sources(&raw(), &[("latency", "700000000")]);
    let [primary, backup] = &both;
    stage.every(20, 0..4_000, |at| {
        if at < 1_000 {
            primary.push(Frame::at(at));
        }
        if at == 1_200 {
            backup.change(&h264());
        }
        let raw = at < 1_200;
        backup.push(Frame::at(at).delta_unless(raw || at % 1_000 == 400));
    });
    stage.to(6_000);
    assert_eq!(assert_own_caps(&stage, &both), [raw(), h264()]);
    assert_eq!(stage.sent().of(1)[0].pts, Some(1_400));
}

#[test]
fn on_air_too_the_frames_of_another_codec_begin_with_a_key_frame() {
    let vp8 = caps("video/x-vp8,width=16,height=16");
    let (stage, both) = sources(&h264(), &[]);
    let [primary, _] = &both;
    stage.every(20, 0..2_000, |at| {
        if at == 1_100 {
            primary.change(&vp8);
        }
        primary.push(Frame::at(at).delta_unless(at % 1_000 == 0 || at == 1_160));
    });
    assert_eq!(assert_own_caps(&stage, &both), [h264(), vp8]);
    let pts = stage.sent().pts();
    let wanted = (0..2_000).step_by(20);
    let wanted = wanted.filter(|pts| !(1_100..1_160).contains(pts));
    assert_eq!(pts, wanted.collect::<Vec<_>>());
}

#[test]
fn caps_on_air_go_out_at_once() {
    for latency in ["0", "700000000"] {
        let (stage, both) = sources(&raw(), &[("latency", latency)]);
        let [primary, _] = &both;
        stage.every(20, 0..400, |at| primary.push(Frame::at(at)));
        primary.change(&sized(&raw(), 32));
        // Of a frame none is needed: what upstream asks downstream next is about these.
        stage.settle();
        let told = stage.out.events(gst::EventType::Caps);
        assert_eq!(told.len(), 2, "latency {latency}");
        stage.every(20, 400..800, |at| primary.push(Frame::at(at)));
        assert_eq!(assert_own_caps(&stage, &both).len(), 2);
    }
}

#[test]
fn what_is_deferred_keeps_its_caps() {
    // The backup is to go on air and dies before its key frame, for which the primary's waits.
    let (stage, both) = sources(&h264(), &[("auto-switch", "false")]);
    let [primary, backup] = &both;
    let mut waited = false;
    stage.every(20, 0..4_000, |at| {
        if at == 2_300 {
            stage.switch.set_property("active-pad", &backup.feed.sink);
        }
        let sent = stage.sent();
        if !waited && at > 2_300 && sent.pts().last() < Some(&(at - 20)) {
            primary.change(&sized(&h264(), 32));
            waited = true;
        }
        primary.push(in_gop(at, 0));
        if at < 2_980 {
            backup.push(in_gop(at, 0));
        }
    });
    assert!(waited, "nothing was deferred");
    assert_eq!(assert_own_caps(&stage, &both), [h264(), sized(&h264(), 32)]);
    assert_eq!(stage.sent().runs(), [(0, 200)]);
}

#[test]
fn caps_of_what_is_exchanged_for_another_inputs_are_not_sent() {
    let (stage, both) = sources(&h264(), &[("latency", "1600000000")]);
    let [primary, backup] = &both;
    stage.every(20, 0..4_000, |at| {
        if at == 2_960 {
            primary.change(&sized(&h264(), 32));
        }
        if at < 3_000 {
            // No key frame: these are of no use where the backup's is taken.
            primary.push(in_gop(at, 0));
        }
        backup.push(in_gop(at, 940));
    });
    stage.to(6_000);
    // The backup's key frame at 2,940 takes the place of what the primary had brought since.
    assert_eq!(assert_own_caps(&stage, &both), [h264()]);
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 147), (1, 53)]);
    assert_eq!(sent.pts(), (0..4_000).step_by(20).collect::<Vec<_>>());
}

/// 20 ms of raw audio of this rate.
fn audio(feed: &Feed, rate: u64, at: u64) {
    let bytes = usize::try_from(rate / 50 * 4).expect("a size");
    let mut buffer = gst::Buffer::with_size(bytes).expect("a buffer");
    let writable = buffer.get_mut().expect("our own");
    writable.set_pts(ms(at));
    writable.set_duration(ms(20));
    feed.pad.push(buffer).expect("pushed");
}

#[test]
fn raw_audio_is_cut_by_its_own_rate() {
    let slow = caps("audio/x-raw,format=S16LE,rate=8000,channels=2,layout=interleaved");
    let (stage, primary, backup) = pair(&pcm(), &[("latency", "700000000")]);
    let pad = stage.switch.static_pad("src").expect("src");
    let (told, heard) = std::sync::mpsc::channel();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let buffer = info.buffer().expect("a buffer");
        let caps = pad.current_caps().expect("caps");
        let rate: i32 = caps.structure(0).expect("one").get("rate").expect("a rate");
        let _ = told.send((buffer.pts(), buffer.duration(), buffer.size(), rate));
        gst::PadProbeReturn::Ok
    });
    // What the backup keeps from before 1,200 ms is of another rate than what it brings now, and not in step.
    stage.every(10, 0..3_000, |at| {
        if at % 20 == 0 && at < 1_000 {
            audio(&primary, 48_000, at);
        }
        if at == 1_210 {
            backup.pad.push_event(gst::event::Caps::new(&slow));
        }
        if at % 20 == 10 {
            audio(&backup, if at < 1_210 { 48_000 } else { 8_000 }, at);
        }
    });
    stage.settle();
    let mut end = gst::ClockTime::ZERO;
    for (pts, duration, size, rate) in heard.try_iter() {
        let (pts, duration) = pts.zip(duration).expect("times");
        assert_eq!(pts, end, "no hole and nothing twice");
        let worth = size as u64 / 4 * 1_000_000_000 / rate as u64;
        assert_eq!(worth, duration.nseconds(), "{rate} at {pts}");
        end = pts + duration;
    }
    assert!(end > ms(2_900), "{end}");
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
}
