// SPDX-License-Identifier: MPL-2.0
//! Nothing holds `failoverswitch` up and it holds up nobody: sinks that block, flushes, odd streams.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use gstfailover::switch::FailoverSwitch;
use stage::{Feed, Frame, Frames, Seen, Stage, bounded, caps, h264, ms, pair, raw};
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

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
        Self {
            pad,
            probe,
            reached,
        }
    }

    /// Pushes in another thread, and comes back when the push is stuck.
    fn push(
        &self,
        feed: &Feed,
        frame: Frame,
    ) -> JoinHandle<Result<gst::FlowSuccess, gst::FlowError>> {
        let feed = feed.clone();
        let pushing = std::thread::spawn(move || feed.try_push(frame));
        self.reached
            .recv_timeout(Duration::from_secs(20))
            .expect("a push that is stuck");
        pushing
    }

    fn open(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.pad.remove_probe(probe);
        }
    }
}

/// Lets input 1 rest; it has just begun to, at 2 s, in a thread of its own.
fn resting() -> (
    Stage,
    Feed,
    Feed,
    JoinHandle<Result<gst::FlowSuccess, gst::FlowError>>,
) {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let switch = stage.switch.downcast_ref::<FailoverSwitch>();
    switch.expect("a failoverswitch").let_rest(1);
    stage.every(20, 0..2_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.to(2_000);
    primary.push(Frame::at(2_000));
    let feed = backup.clone();
    let push = std::thread::spawn(move || feed.try_push(Frame::at(2_000)));
    // The alarm is the other one.
    stage.wait_for_pending(2);
    (stage, primary, backup, push)
}

#[test]
fn a_standby_rests_for_75_of_100_milliseconds() {
    bounded(|| {
        let (stage, primary, backup, push) = resting();
        stage.every(20, 2_020..2_080, |at| primary.push(Frame::at(at)));
        stage.to(2_074);
        assert!(!push.is_finished());
        stage.to(2_075);
        assert!(push.join().expect("no panic").is_ok());
        for at in [2_020, 2_040, 2_060, 2_080] {
            backup.push(Frame::at(at));
        }
        assert_eq!(stage.switches(), []);
    });
}

#[test]
fn a_standby_that_rests_is_awake_when_it_is_needed() {
    bounded(|| {
        let (stage, primary, backup, push) = resting();
        primary.eos();
        // No time has passed.
        assert!(push.join().expect("no panic").is_ok());
        backup.push(Frame::at(2_020));
        assert_eq!(stage.switches(), [(0, 1, "eos".to_owned())]);
    });
}

#[test]
fn a_standby_that_rests_holds_up_no_stop() {
    bounded(|| {
        let (stage, _primary, _backup, push) = resting();
        stage.switch.set_state(gst::State::Ready).expect("ready");
        assert!(push.join().is_ok());
    });
}

#[test]
fn a_sink_that_blocks_for_longer_than_the_timeout_is_not_a_dead_input() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[]);
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
        assert_eq!(
            pushing.join().expect("the pusher"),
            Ok(gst::FlowSuccess::Ok)
        );
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
        let (stage, primary, backup) = pair(&raw(), &[]);
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
        let (stage, primary, backup) = pair(&raw(), &[]);
        stage.every(20, 0..200, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let mut block = Block::new(&stage);
        let pushing = block.push(&primary, Frame::at(200));
        assert!(primary.pad.push_event(gst::event::FlushStart::new()));
        assert_eq!(
            pushing.join().expect("the pusher"),
            Err(gst::FlowError::Flushing)
        );
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
        assert_eq!(
            pushing.join().expect("the pusher"),
            Err(gst::FlowError::Flushing)
        );
    });
}

#[test]
fn after_a_flush_a_segment_comes_before_the_data() {
    let (stage, primary, backup) = pair(&raw(), &[]);
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
    assert_eq!(
        kinds[..2],
        [Some(gst::EventType::Segment), None],
        "{kinds:?}"
    );
    assert_eq!(stage.sent().runs(), [(0, 20)]);
    assert!(stage.sent()[10].discont);
}

#[test]
fn a_flush_of_a_standby_stays_with_it() {
    let (stage, primary, backup) = pair(&raw(), &[]);
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
fn a_flush_of_a_standby_waits_for_no_push() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[]);
        stage.every(20, 0..200, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let mut block = Block::new(&stage);
        let pushing = block.push(&primary, Frame::at(200));
        // From here: one that waited for that push would wait for ever.
        backup.flush();
        block.open();
        assert!(pushing.join().expect("the pusher").is_ok());
    });
}

#[test]
fn a_flush_does_not_make_raw_pictures_wait_for_key_frames() {
    let (stage, primary, backup) = pair(&raw(), &[]);
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
    assert!(
        sent.iter().all(|frame| frame.pts == Some(frame.at)),
        "{sent:?}"
    );
}

#[test]
fn a_pad_released_while_its_push_is_stuck_lets_everybody_go() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[]);
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
        assert_eq!(
            pushing.join().expect("the pusher"),
            Err(gst::FlowError::Flushing)
        );
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
    let (stage, primary, backup) = pair(&raw(), &[]);
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
    let (stage, primary, _backup) = pair(&raw(), &[]);
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
    let (stage, primary, _backup) = pair(&raw(), &[]);
    let structure = gst::Structure::new_empty("odd-sticky");
    primary.push(Frame::at(0));
    primary
        .pad
        .push_event(gst::event::CustomDownstreamSticky::new(structure));
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
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..2_000, |at| {
        if at < 1_000 {
            primary.push(Frame::at(at));
        }
        backup.push(Frame::at(at));
    });
    let (switch, pads) = (
        stage.switch.downgrade(),
        [&primary.sink, &backup.sink].map(|p| p.downgrade()),
    );
    stage.switch.set_state(gst::State::Null).expect("null");
    assert_eq!(stage.clock.peek_id_count(), 0);
    drop((primary, backup, stage));
    assert!(switch.upgrade().is_none());
    assert!(pads.iter().all(|pad| pad.upgrade().is_none()));
}
