// SPDX-License-Identifier: MPL-2.0
//! The stage: a `failoverswitch` in virtual time. It owns the element, its clock, its bus and what
//! left its source pads; it never sleeps. Buffers are pushed into the sink pads from the test's own
//! thread, and the wake-ups of the clock run in it too, so that every run is the same run.
//!
//! ```ignore
//! let mut stage = Stage::new(&[("timeout", "500000000")]);
//! let (primary, backup) = (stage.feed("sink_0", &raw()), stage.feed("sink_1", &raw()));
//! stage.play();
//! stage.every(20, 0..1_000, |at| {
//!     primary.push(Frame::at(at));
//!     backup.push(Frame::at(at));
//! });
//! assert_eq!(stage.sent().runs(), [(0, 50)]);
//! ```

// Every test takes the part of the stage that it needs.
#![allow(dead_code, unused_imports)]

mod feed;
mod output;

pub(crate) use feed::{Feed, Frame};
pub(crate) use output::{Frames, Output, Seen, Sent, assert_no_step_back};

use gst::prelude::*;
use gst_check::TestClock;
use gstfailover::switch::FailoverSwitch;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::{Duration, Instant};

/// More than any of this takes, however busy the machine; only reached when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);
/// Running time begins here, so that clock time and running time cannot be mixed up unseen.
const BASE: u64 = 1_000;
const MS: u64 = 1_000_000;

pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer");
        gstfailover::plugin_register_static().expect("the plugin");
    });
}

/// Runs a scenario that must come to an end, in a thread of its own.
pub(crate) fn bounded<T: Send + 'static>(scenario: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let _ = done.send(scenario());
    });
    match result.recv_timeout(PATIENCE) {
        Ok(value) => value,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => match thread.join() {
            Err(cause) => std::panic::resume_unwind(cause),
            Ok(()) => unreachable!("it ends with a value or a panic"),
        },
    }
}

pub(crate) fn raw() -> gst::Caps {
    caps("video/x-raw,format=I420,width=16,height=16,framerate=50/1")
}

pub(crate) fn h264() -> gst::Caps {
    caps("video/x-h264,stream-format=byte-stream,alignment=au,width=16,height=16")
}

pub(crate) fn aac() -> gst::Caps {
    caps("audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,channels=2")
}

pub(crate) fn pcm() -> gst::Caps {
    caps("audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved")
}

pub(crate) fn caps(description: &str) -> gst::Caps {
    init();
    description.parse().expect("caps")
}

/// A frame of these caps; of encoded ones, each half second is a key frame.
pub(crate) fn frame_of(caps: &gst::Caps, at: u64) -> Frame {
    let is_raw = *caps == raw();
    Frame::at(at).delta_unless(is_raw || at.is_multiple_of(500))
}

pub(crate) fn ms(time: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(time)
}

/// A frame of a stream that has a key frame each second, the first at `phase`.
pub(crate) fn in_gop(at: u64, phase: u64) -> Frame {
    Frame::at(at).delta_unless(at % 1_000 == phase)
}

/// A stage with a primary and a backup of these caps and a timeout of 500 ms, playing.
pub(crate) fn pair(caps: &gst::Caps, properties: &[(&str, &str)]) -> (Stage, Feed, Feed) {
    let all = [&[("timeout", "500000000")], properties].concat();
    let stage = Stage::new(&all);
    let (primary, backup) = (stage.feed("sink_0", caps), stage.feed("sink_1", caps));
    stage.play();
    (stage, primary, backup)
}

/// A switch, its clock and its world.
pub(crate) struct Stage {
    pub(crate) switch: gst::Element,
    pub(crate) clock: TestClock,
    pub(crate) bus: gst::Bus,
    pub(crate) out: Output,
    base: Arc<Mutex<u64>>,
    messages: RefCell<Vec<gst::Message>>,
    playing: Cell<bool>,
    restless: Cell<bool>,
}

impl Stage {
    pub(crate) fn new(properties: &[(&str, &str)]) -> Self {
        init();
        let switch = gst::ElementFactory::make("failoverswitch")
            .build()
            .expect("failoverswitch");
        for (name, value) in properties {
            switch.set_property_from_str(name, value);
        }
        let clock = TestClock::with_start_time(ms(BASE));
        let bus = gst::Bus::new();
        switch.set_bus(Some(&bus));
        let base = Arc::new(Mutex::new(BASE));
        let source = switch.static_pad("src").expect("the always pad");
        let out = Output::new(&source, &clock, &base);
        Self {
            switch,
            clock,
            bus,
            out,
            base,
            messages: RefCell::default(),
            playing: Cell::new(false),
            restless: Cell::new(false),
        }
    }

    /// With a timeout of 500 ms, where nothing else matters.
    pub(crate) fn usual() -> Self {
        Self::new(&[("timeout", "500000000")])
    }

    /// A new sink pad; its stream begins with these caps as soon as the pad takes them.
    pub(crate) fn feed(&self, name: &str, caps: &gst::Caps) -> Feed {
        let feed = self.silent_feed(name);
        if !self.playing.get() {
            self.ready();
        }
        feed.start(caps);
        feed
    }

    pub(crate) fn silent_feed(&self, name: &str) -> Feed {
        Feed::new(self.switch.request_pad_simple(name).expect("a sink pad"))
    }

    pub(crate) fn output(&self, name: &str) -> Output {
        let source = self.switch.static_pad(name).expect("a source pad");
        Output::new(&source, &self.clock, &self.base)
    }

    /// Up to where pads take data.
    fn ready(&self) {
        if self.switch.current_state() < gst::State::Paused {
            self.switch.set_state(gst::State::Paused).expect("paused");
        }
    }

    pub(crate) fn play(&self) {
        self.switch.set_clock(Some(&self.clock)).expect("a clock");
        self.switch
            .set_base_time(ms(*self.base.lock().expect("base")));
        self.switch.set_state(gst::State::Playing).expect("playing");
        self.playing.set(true);
    }

    /// As a pipeline does it: time goes on, running time stands still.
    pub(crate) fn pause_for(&self, span: u64) {
        let now = self.now();
        self.switch.set_state(gst::State::Paused).expect("paused");
        self.clock_to(self.clock.time() + ms(span));
        *self.base.lock().expect("base") = self.clock.time().mseconds() - now;
        self.play();
    }

    /// Running time, in milliseconds.
    pub(crate) fn now(&self) -> u64 {
        self.clock.time().mseconds() - *self.base.lock().expect("base")
    }

    /// Lets time pass up to this running time; what is due on the way happens at its own time.
    pub(crate) fn to(&self, running: u64) {
        self.to_nanos(running * MS);
    }

    pub(crate) fn to_nanos(&self, running: u64) {
        let base = ms(*self.base.lock().expect("base"));
        self.clock_to(base + gst::ClockTime::from_nseconds(running));
    }

    /// Time passes, and nobody is there to look: what was due meanwhile is so yet.
    pub(crate) fn stand_still_until(&self, running: u64) {
        let base = ms(*self.base.lock().expect("base"));
        self.clock.set_time(base + ms(running));
    }

    /// As `every`, where a sink is held up: the element does not come to rest.
    pub(crate) fn every_unsettled(&self, step: usize, span: Range<u64>, at: impl FnMut(u64)) {
        self.restless.set(true);
        self.every(step, span, at);
        self.restless.set(false);
    }

    fn clock_to(&self, until: gst::ClockTime) {
        self.settle();
        while let Some(due) = self.clock.next_entry_time().filter(|due| *due <= until) {
            self.clock.set_time(self.clock.time().max(due));
            self.clock.process_next_clock_id();
            self.settle();
        }
        self.clock.set_time(self.clock.time().max(until));
    }

    /// Until the element's own threads have sent all that is due; with no latency it has none.
    pub(crate) fn settle(&self) {
        if self.restless.get() {
            return;
        }
        let switch = self.switch.downcast_ref::<FailoverSwitch>();
        let switch = switch.expect("a failoverswitch");
        let since = Instant::now();
        let is_quiet = |waits| self.clock.peek_id_count() >= waits;
        while !switch.waits().is_some_and(is_quiet) {
            assert!(since.elapsed() < PATIENCE, "it does not come to rest");
            // A wait that began while the time was being turned.
            let due = self.clock.next_entry_time();
            if due.is_some_and(|due| due <= self.clock.time()) {
                self.clock.process_next_clock_id();
            }
            std::thread::yield_now();
        }
    }

    /// At each step of this span of running time, does what is to be done then.
    pub(crate) fn every(&self, step: usize, span: Range<u64>, mut at: impl FnMut(u64)) {
        for now in span.step_by(step) {
            self.to(now);
            at(now);
        }
    }

    /// Until so many threads and wake-ups wait for the clock.
    pub(crate) fn wait_for_pending(&self, count: u32) {
        let limit = u32::try_from(PATIENCE.as_millis()).unwrap_or(u32::MAX);
        let (reached, _) = self.clock.timed_wait_for_multiple_pending_ids(count, limit);
        assert!(reached, "{count} waits do not come");
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.settle();
        self.out.frames()
    }

    pub(crate) fn messages(&self, of: gst::MessageType) -> Vec<gst::Message> {
        let mut messages = self.messages.borrow_mut();
        messages.extend(std::iter::from_fn(|| self.bus.pop()));
        messages
            .iter()
            .filter(|m| m.type_() == of)
            .cloned()
            .collect()
    }

    /// The element messages of this name, so far.
    pub(crate) fn told(&self, name: &str) -> Vec<gst::Structure> {
        let messages = self.messages(gst::MessageType::Element);
        let structures = messages
            .iter()
            .filter_map(|m| m.structure().map(ToOwned::to_owned));
        structures
            .filter(|structure| structure.name() == name)
            .collect()
    }

    /// Switches so far: from, to and why.
    pub(crate) fn switches(&self) -> Vec<(i32, i32, String)> {
        let told = self.told("failover-switched");
        let switch = |report: &gst::Structure| {
            let number = |field| report.get(field).expect("a number");
            (
                number("from"),
                number("to"),
                report.get("cause").expect("a cause"),
            )
        };
        told.iter()
            .map(switch)
            .filter(|(from, ..)| *from >= 0)
            .collect()
    }

    pub(crate) fn active_pad(&self) -> Option<gst::Pad> {
        self.switch.property("active-pad")
    }

    pub(crate) fn stats(&self) -> gst::Structure {
        self.switch.property("stats")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.switch.set_bus(None);
        let _ = self.switch.set_state(gst::State::Null);
    }
}

/// A switch as the tests tell it.
pub(crate) fn switch(from: i32, to: i32, cause: &str) -> (i32, i32, String) {
    (from, to, cause.to_owned())
}
