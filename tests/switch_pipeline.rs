// SPDX-License-Identifier: MPL-2.0
//! `failoverswitch` in a pipeline, as those that were written for `fallbackswitch` use it: appsrc in,
//! appsink out, with threads of their own and a clock that is turned when all of them wait for it.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use gst_check::TestClock;
use stage::{bounded, init, ms};
use std::sync::mpsc;

/// How long a buffer may take to come out before something is wrong.
const PATIENCE: u64 = 20_000;

fn turn(clock: &TestClock) {
    if let Some(due) = clock.next_entry_time() {
        clock.set_time(clock.time().max(due));
        clock.process_next_clock_id();
    }
}

struct Line {
    pipeline: gst::Pipeline,
    switch: gst::Element,
    primary: gst_app::AppSrc,
    backup: gst_app::AppSrc,
    sink: gst_app::AppSink,
    clock: TestClock,
}

impl Line {
    fn new(live: bool, properties: &[(&str, &str)]) -> Self {
        init();
        let pipeline = gst::Pipeline::new();
        let switch = gst::ElementFactory::make("failoverswitch")
            .build()
            .expect("failoverswitch");
        for (name, value) in properties {
            switch.set_property_from_str(name, value);
        }
        let caps = stage::raw();
        let source = || {
            let source = gst_app::AppSrc::builder()
                .is_live(live)
                .format(gst::Format::Time);
            source.caps(&caps).build()
        };
        let (primary, backup) = (source(), source());
        // The sink shows all at once: what is waited for is the switch alone.
        let sink = gst_app::AppSink::builder().sync(false).build();
        let elements = [
            primary.upcast_ref(),
            backup.upcast_ref(),
            &switch,
            sink.upcast_ref(),
        ];
        pipeline.add_many(elements).expect("added");
        primary
            .link_pads(Some("src"), &switch, Some("sink_0"))
            .expect("linked");
        backup
            .link_pads(Some("src"), &switch, Some("sink_1"))
            .expect("linked");
        switch.link(&sink).expect("linked");
        let clock = TestClock::with_start_time(ms(1_000));
        pipeline.use_clock(Some(&clock));
        pipeline.set_base_time(ms(1_000));
        pipeline.set_start_time(gst::ClockTime::NONE);
        Self {
            pipeline,
            switch,
            primary,
            backup,
            sink,
            clock,
        }
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("playing");
    }

    /// The next that comes out: of which input, and of when; `None` at the end.
    fn next(&self) -> Option<(u8, u64)> {
        let sample = self.sink.try_pull_sample(ms(PATIENCE));
        let Some(sample) = sample else {
            assert!(self.sink.is_eos(), "nothing comes");
            return None;
        };
        let buffer = sample.buffer().expect("a buffer");
        let mut input = [0];
        buffer.copy_to_slice(0, &mut input).expect("a byte");
        Some((input[0], buffer.pts().expect("a time").mseconds()))
    }

    fn to(&self, running: u64) {
        while self
            .clock
            .next_entry_time()
            .is_some_and(|due| due <= ms(1_000 + running))
        {
            turn(&self.clock);
        }
        self.clock
            .set_time(self.clock.time().max(ms(1_000 + running)));
    }

    /// Until so many wait for the clock: the inputs for their time, and one wake-up for the timeout.
    fn wait_for_pending(&self, count: u32) {
        let patience = u32::try_from(PATIENCE).unwrap_or(u32::MAX);
        let (reached, _) = self
            .clock
            .timed_wait_for_multiple_pending_ids(count, patience);
        assert!(reached, "{count} waits do not come");
    }

    /// Until an input is told to be in this state.
    fn wait_for_state(&self, input: i32, new: &str) {
        let bus = self.pipeline.bus().expect("a bus");
        loop {
            let message = bus.timed_pop_filtered(ms(PATIENCE), &[gst::MessageType::Element]);
            let message = message.expect("a state that is told");
            let told = message
                .structure()
                .filter(|s| s.name() == "failover-input-state");
            if told.is_some_and(|s| s.get("input") == Ok(input) && s.get("new") == Ok(new)) {
                return;
            }
        }
    }

    /// Ends the pipeline; nothing of it may be left.
    fn end(self) {
        self.pipeline.set_state(gst::State::Null).expect("null");
        let (is_gone, gone) = mpsc::channel();
        self.switch.add_weak_ref_notify(move || {
            let _ = is_gone.send(());
        });
        drop(self);
        // A thread that was about to set the pipeline to PLAYING may outlive us by a little.
        let patience = std::time::Duration::from_millis(PATIENCE);
        assert_eq!(
            gone.recv_timeout(patience),
            Ok(()),
            "something holds on to it"
        );
    }
}

fn push(source: &gst_app::AppSrc, input: u8, at: u64) {
    let mut buffer = gst::Buffer::from_slice([input]);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(ms(at));
        buffer.set_duration(ms(20));
    }
    source.push_buffer(buffer).expect("pushed");
}

#[test]
fn a_live_primary_alone_passes_unchanged() {
    bounded(|| {
        let line = Line::new(true, &[]);
        line.play();
        for at in (0..500).step_by(20) {
            line.to(at);
            push(&line.primary, 0, at);
            assert_eq!(line.next(), Some((0, at)));
        }
        line.primary.end_of_stream().expect("the end");
        line.backup.end_of_stream().expect("the end");
        assert_eq!(line.next(), None);
        line.end();
    });
}

#[test]
fn both_live_and_well_the_primary_is_sent() {
    bounded(|| {
        let line = Line::new(true, &[]);
        line.play();
        for at in (0..500).step_by(20) {
            line.to(at);
            push(&line.backup, 1, at);
            push(&line.primary, 0, at);
            assert_eq!(line.next(), Some((0, at)));
        }
        line.end();
    });
}

#[test]
fn a_live_primary_that_stalls_is_followed_by_the_backup_and_comes_back() {
    bounded(|| {
        let line = Line::new(true, &[("timeout", "500000000"), ("recovery-time", "0")]);
        line.play();
        for at in (0..500).step_by(20) {
            line.to(at);
            push(&line.primary, 0, at);
            assert_eq!(line.next(), Some((0, at)));
        }
        line.to(2_000);
        for at in (2_000..2_200).step_by(20) {
            line.to(at);
            push(&line.backup, 1, at);
            assert_eq!(line.next(), Some((1, at)));
        }
        assert_eq!(active_pad(&line.switch), "sink_1");
        for at in (2_200..2_400).step_by(20) {
            line.to(at);
            push(&line.primary, 0, at);
            assert_eq!(line.next(), Some((0, at)));
        }
        assert_eq!(active_pad(&line.switch), "sink_0");
        line.end();
    });
}

#[test]
fn the_end_of_a_live_primary_brings_the_backup_and_not_the_end() {
    bounded(|| {
        let line = Line::new(true, &[]);
        line.play();
        push(&line.primary, 0, 0);
        assert_eq!(line.next(), Some((0, 0)));
        push(&line.backup, 1, 0);
        line.wait_for_state(1, "flowing");
        line.primary.end_of_stream().expect("the end");
        line.wait_for_state(0, "down");
        line.to(20);
        push(&line.backup, 1, 20);
        assert_eq!(line.next(), Some((1, 20)));
        line.backup.end_of_stream().expect("the end");
        assert_eq!(line.next(), None);
        line.end();
    });
}

#[test]
fn inputs_that_are_not_live_come_at_the_pace_of_the_clock() {
    bounded(|| {
        let line = Line::new(false, &[("timeout", "3000000000")]);
        for at in (0..1_000).step_by(20) {
            push(&line.primary, 0, at);
            push(&line.backup, 1, at);
        }
        line.primary.end_of_stream().expect("the end");
        line.backup.end_of_stream().expect("the end");
        line.play();
        assert_eq!(line.next(), Some((0, 0)));
        for at in (20..1_000).step_by(20) {
            line.wait_for_pending(3);
            assert!(line.sink.try_pull_sample(gst::ClockTime::ZERO).is_none());
            line.to(at);
            assert_eq!(line.next(), Some((0, at)));
        }
        assert_eq!(line.next(), None);
        line.end();
    });
}

#[test]
fn a_backup_that_is_not_live_follows_when_the_primary_ends() {
    bounded(|| {
        let line = Line::new(false, &[("timeout", "3000000000")]);
        for at in (0..400).step_by(20) {
            push(&line.primary, 0, at);
        }
        for at in (0..2_000).step_by(20) {
            push(&line.backup, 1, at);
        }
        line.primary.end_of_stream().expect("the end");
        line.backup.end_of_stream().expect("the end");
        line.play();
        assert_eq!(line.next(), Some((0, 0)));
        for at in (20..400).step_by(20) {
            line.wait_for_pending(3);
            line.to(at);
            assert_eq!(line.next(), Some((0, at)));
        }
        line.wait_for_state(0, "down");
        for at in (400..2_000).step_by(20) {
            line.wait_for_pending(2);
            line.to(at);
            assert_eq!(line.next(), Some((1, at)));
        }
        assert_eq!(line.next(), None);
        line.end();
    });
}

#[test]
fn a_switch_by_hand_holds_for_the_next_buffer() {
    bounded(|| {
        let line = Line::new(true, &[("auto-switch", "false")]);
        line.play();
        push(&line.primary, 0, 0);
        assert_eq!(line.next(), Some((0, 0)));
        line.switch
            .set_property("active-pad", line.switch.static_pad("sink_1"));
        line.to(20);
        push(&line.backup, 1, 20);
        assert_eq!(line.next(), Some((1, 20)));
        line.switch
            .set_property("active-pad", line.switch.static_pad("sink_0"));
        line.to(40);
        push(&line.primary, 0, 40);
        assert_eq!(line.next(), Some((0, 40)));
        line.end();
    });
}

#[test]
fn with_immediate_fallback_a_late_primary_is_not_waited_for() {
    bounded(|| {
        let line = Line::new(true, &[("immediate-fallback", "true")]);
        line.play();
        push(&line.backup, 1, 0);
        assert_eq!(line.next(), Some((1, 0)));
        line.end();
    });
}

#[test]
fn it_starts_and_stops_as_often_as_is_asked() {
    bounded(|| {
        let line = Line::new(true, &[]);
        for _ in 0..20 {
            line.play();
            line.pipeline.set_state(gst::State::Null).expect("null");
        }
        line.end();
    });
}

#[test]
fn nothing_waits_for_the_clock_after_the_end() {
    bounded(|| {
        let line = Line::new(false, &[]);
        for at in [0, 100_000] {
            push(&line.primary, 0, at);
            push(&line.backup, 1, at);
        }
        line.play();
        assert_eq!(line.next(), Some((0, 0)));
        line.wait_for_pending(3);
        line.pipeline.set_state(gst::State::Null).expect("null");
        assert_eq!(line.clock.peek_id_count(), 0);
        line.end();
    });
}

fn active_pad(switch: &gst::Element) -> String {
    let pad: Option<gst::Pad> = switch.property("active-pad");
    pad.map_or_else(String::new, |pad| pad.name().to_string())
}

/// Runs a pipeline to its end.
fn plays_to_its_end(line: &str) {
    init();
    let line = line.to_owned();
    bounded(move || {
        let pipeline = gst::parse::launch(&line).expect("a pipeline");
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        let bus = pipeline.bus().expect("a bus");
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus.timed_pop_filtered(gst::ClockTime::NONE, &ends);
        let end = end.expect("an end");
        assert_eq!(end.type_(), gst::MessageType::Eos, "{line}: {end:?}");
        pipeline.set_state(gst::State::Null).expect("NULL");
    });
}

#[test]
fn what_is_not_live_and_begins_late_gives_a_sink_its_first_buffer() {
    plays_to_its_end(
        "videotestsrc num-buffers=30 timestamp-offset=40000000 ! failoverswitch ! fakesink sync=true",
    );
}

#[test]
fn what_is_not_live_begins_with_latency_too() {
    plays_to_its_end(
        "videotestsrc num-buffers=30 ! x264enc tune=zerolatency ! failoverswitch latency=1000000000 \
         ! h264parse ! matroskamux ! fakesink",
    );
}

#[test]
fn a_muxer_does_not_wait_for_a_stream_that_has_ended() {
    plays_to_its_end(
        "failoverswitch name=s matroskamux name=m ! fakesink \
         videotestsrc num-buffers=60 ! x264enc tune=zerolatency ! s.sink_0 \
         audiotestsrc num-buffers=20 ! avenc_aac ! aacparse ! s.sink_0_1 \
         s.src ! queue ! m. s.src_1 ! queue ! m.",
    );
}
