// SPDX-License-Identifier: MPL-2.0
//! How long after the timeout's expiry a switch has decided: two inputs, a buffer each every few
//! milliseconds on a real clock; the one on air falls silent, and comes back once it has been left.

use gst::prelude::*;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

pub(crate) const STALLS: usize = 1000;
pub(crate) const TIMEOUT: Duration = Duration::from_millis(20);
const INTERVAL: Duration = Duration::from_millis(2);
/// Buffers of the input that came back before it falls silent again.
const BACK_FOR: u32 = 5;
/// Whatever has not happened by then does not happen.
const MOST_TURNS: usize = 1_000;

/// What is taken for the decision.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// The message that the input has stalled. No buffer comes by meanwhile: the switch wakes up by
    /// itself or not at all.
    Message,
    /// Another active pad, while the standby brings a buffer every few milliseconds.
    ActivePad,
}

/// Milliseconds from expiry to decision, one per stall.
pub(crate) fn measure(element: &str, sign: Sign) -> Vec<f64> {
    let bench = Bench::new(element, sign);
    bench.play();
    let late = (0..STALLS).map(|_| bench.stall()).collect();
    bench.stop();
    late
}

/// How late a wake-up of the system's clock is by itself, in milliseconds.
pub(crate) fn bare_wake_ups() -> Vec<f64> {
    let clock = gst::SystemClock::obtain();
    let timeout = gst::ClockTime::try_from(TIMEOUT).expect("a short time");
    let late = |_| {
        let due = clock.time() + timeout;
        let (rang, ring) = mpsc::channel();
        let woken = clock.clone();
        let id = clock.new_single_shot_id(due);
        id.wait_async(move |_, _, _| rang.send(woken.time()).unwrap_or_default())
            .expect("a wake-up");
        let at = ring.recv().expect("a wake-up");
        at.saturating_sub(due).nseconds() as f64 / 1e6
    };
    (0..STALLS).map(late).collect()
}

struct Bench {
    sign: Sign,
    pipeline: gst::Pipeline,
    /// In order of preference.
    inputs: [gst::Pad; 2],
    switch: gst::Element,
    /// When the switch has moved from the first input to the second.
    left: Receiver<Instant>,
}

impl Bench {
    fn new(element: &str, sign: Sign) -> Self {
        let pipeline = gst::Pipeline::new();
        let switch = gst::ElementFactory::make(element)
            .property("timeout", TIMEOUT.as_nanos() as u64)
            .build()
            .expect("the element");
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false)
            .build()
            .expect("fakesink");
        pipeline.add_many([&switch, &sink]).expect("room");
        switch.link(&sink).expect("a link");
        if switch.has_property("recovery-time") {
            // Back on the first buffer, as the peer is.
            switch.set_property("recovery-time", 0u64);
        }
        let inputs = [0, 1].map(|number| feed(&switch, number));
        let left = listen(&pipeline, &switch, sign);
        Self {
            sign,
            pipeline,
            inputs,
            switch,
            left,
        }
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("PLAYING");
        for (number, input) in self.inputs.iter().enumerate() {
            input.set_active(true).expect("active");
            let id = number.to_string();
            input.push_event(gst::event::StreamStart::new(&id));
            let caps = gst::Caps::new_empty_simple("application/x-bench");
            input.push_event(gst::event::Caps::new(&caps));
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            input.push_event(gst::event::Segment::new(&segment));
        }
    }

    /// One stall of the first input.
    fn stall(&self) -> f64 {
        self.go_back();
        self.push(0);
        let silent_since = Instant::now();
        let expiry = silent_since + TIMEOUT;
        std::thread::sleep(TIMEOUT / 2);
        let decided = self.decision(silent_since);
        let late = decided.saturating_duration_since(expiry).as_secs_f64();
        // Left before it was time: a wrong decision, and shown as such.
        let early = expiry.saturating_duration_since(decided).as_secs_f64();
        (late - early) * 1e3
    }

    /// Feeds both until the first is on air and has been for a while: where the machine stood still for longer
    /// than the timeout, that takes as long as it takes.
    fn go_back(&self) {
        let mut fed = 0;
        for _ in 0..MOST_TURNS {
            self.push(1);
            self.push(0);
            std::thread::sleep(INTERVAL);
            let active: Option<gst::Pad> = self.switch.property("active-pad");
            let is_back = active.is_some_and(|pad| pad.name() == "sink_0");
            fed = if is_back { fed + 1 } else { 0 };
            if fed > BACK_FOR {
                return;
            }
        }
        panic!("it does not go back to the first input");
    }

    /// Feeds the second input until the first is found to be silent; what was decided before that does not
    /// count.
    fn decision(&self, silent_since: Instant) -> Instant {
        let interval = match self.sign {
            Sign::Message => TIMEOUT,
            Sign::ActivePad => INTERVAL,
        };
        for _ in 0..MOST_TURNS {
            self.push(1);
            match self.left.recv_timeout(interval) {
                Ok(at) if at >= silent_since => return at,
                Ok(_) | Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        panic!("no decision");
    }

    fn push(&self, input: usize) {
        let mut buffer = gst::Buffer::new();
        let now = self.pipeline.current_running_time();
        buffer.make_mut().set_pts(now);
        let _ = self.inputs[input].push(buffer);
    }

    fn stop(&self) {
        for input in &self.inputs {
            input.set_active(false).expect("inactive");
        }
        self.pipeline.set_state(gst::State::Null).expect("NULL");
    }
}

/// A pad that the bench itself pushes into.
fn feed(switch: &gst::Element, number: u32) -> gst::Pad {
    let sink = switch
        .request_pad_simple(&format!("sink_{number}"))
        .expect("a sink pad");
    sink.set_property("priority", number);
    let source = gst::Pad::builder(gst::PadDirection::Src)
        .query_function(|_, _, query| {
            if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
                latency.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                return true;
            }
            false
        })
        .build();
    source.link(&sink).expect("a link");
    source
}

/// When the switch leaves the first input.
fn listen(pipeline: &gst::Pipeline, switch: &gst::Element, sign: Sign) -> Receiver<Instant> {
    let (left, was_left) = mpsc::channel();
    let left_by_pad = left.clone();
    switch.connect_notify(Some("active-pad"), move |switch, _| {
        let at = Instant::now();
        let active: Option<gst::Pad> = switch.property("active-pad");
        let is_second = active.is_some_and(|pad| pad.name() == "sink_1");
        if is_second && sign == Sign::ActivePad {
            let _ = left_by_pad.send(at);
        }
    });
    let bus = pipeline.bus().expect("a bus");
    bus.set_sync_handler(move |_, message| {
        let at = Instant::now();
        let of_first = |state: &&gst::StructureRef| {
            state.name() == "failover-input-state"
                && state.get::<i32>("input") == Ok(0)
                && state.get::<&str>("new") == Ok("stalled")
        };
        if sign == Sign::Message && message.structure().filter(of_first).is_some() {
            let _ = left.send(at);
        }
        gst::BusSyncReply::Drop
    });
    was_left
}
