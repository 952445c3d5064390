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
#![allow(dead_code)]

use gst::prelude::*;
use gst_check::TestClock;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, Once, mpsc};
use std::time::Duration;

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

pub(crate) fn ms(time: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(time)
}

/// A frame to push: 20 ms long and a key frame unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pts: Option<u64>,
    dts: Option<u64>,
    duration: Option<u64>,
    delta: bool,
}

impl Frame {
    pub(crate) fn at(ms: u64) -> Self {
        Self {
            pts: Some(ms),
            dts: None,
            duration: Some(20),
            delta: false,
        }
    }

    pub(crate) fn untimed() -> Self {
        Self {
            pts: None,
            duration: None,
            ..Self::at(0)
        }
    }

    pub(crate) fn decoded_at(self, ms: u64) -> Self {
        Self {
            dts: Some(ms),
            ..self
        }
    }

    /// The same frame on a time base that is ahead by so much.
    pub(crate) fn later(self, ms: u64) -> Self {
        Self {
            pts: self.pts.map(|pts| pts + ms),
            dts: self.dts.map(|dts| dts + ms),
            ..self
        }
    }

    /// A frame that needs those before it, unless `key`.
    pub(crate) fn delta_unless(self, key: bool) -> Self {
        Self {
            delta: !key,
            ..self
        }
    }

    fn buffer(self, feed: u32, number: u32) -> gst::Buffer {
        let payload = [feed.to_le_bytes(), number.to_le_bytes()].concat();
        let mut buffer = gst::Buffer::from_slice(payload);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(self.pts.map(ms));
            buffer.set_dts(self.dts.map(ms));
            buffer.set_duration(self.duration.map(ms));
            if self.delta {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        buffer
    }
}

/// What a source says of its latency: live, the least, the most.
type Declared = Option<(bool, gst::ClockTime, Option<gst::ClockTime>)>;

/// What feeds one sink pad.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) input: u32,
    /// The sink pad that is fed.
    pub(crate) sink: gst::Pad,
    pub(crate) pad: gst::Pad,
    asked: Arc<Mutex<Vec<gst::Event>>>,
    declared: Arc<Mutex<Declared>>,
    pushed: Arc<AtomicU32>,
}

impl Feed {
    fn new(sink: gst::Pad) -> Self {
        let numbers = sink.name().trim_start_matches("sink_").to_owned();
        let input = numbers.split('_').next().unwrap_or_default();
        let input = input.parse().expect("sink_INPUT");
        let asked = Arc::new(Mutex::new(vec![]));
        let declared = Arc::new(Mutex::new(None));
        let (to_asked, to_declared) = (asked.clone(), declared.clone());
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .event_function(move |_, _, event| {
                to_asked.lock().expect("asked").push(event);
                true
            })
            .query_function(move |pad, parent, query| answer(pad, parent, query, &to_declared))
            .build();
        pad.set_active(true).expect("active");
        pad.link(&sink).expect("linked");
        Self {
            input,
            sink,
            pad,
            asked,
            declared,
            pushed: Arc::default(),
        }
    }

    pub(crate) fn start(&self, caps: &gst::Caps) {
        self.stream_start();
        self.pad.push_event(gst::event::Caps::new(caps));
        self.segment();
    }

    pub(crate) fn stream_start(&self) {
        let id = format!("feed {} of {}", self.sink.name(), self.input);
        self.pad.push_event(gst::event::StreamStart::new(&id));
    }

    pub(crate) fn segment(&self) {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        self.pad.push_event(gst::event::Segment::new(&segment));
    }

    pub(crate) fn push(&self, frame: Frame) {
        self.try_push(frame).expect("pushed");
    }

    pub(crate) fn try_push(&self, frame: Frame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let number = self.pushed.fetch_add(1, SeqCst);
        self.pad.push(frame.buffer(self.input, number))
    }

    pub(crate) fn pushed(&self) -> u32 {
        self.pushed.load(SeqCst)
    }

    pub(crate) fn eos(&self) {
        self.pad.push_event(gst::event::Eos::new());
    }

    pub(crate) fn flush(&self) {
        self.pad.push_event(gst::event::FlushStart::new());
        self.pad.push_event(gst::event::FlushStop::new(true));
    }

    pub(crate) fn declare(&self, live: bool, min: u64, max: Option<u64>) {
        *self.declared.lock().expect("declared") = Some((live, ms(min), max.map(ms)));
    }

    /// Upstream events of this kind that came so far.
    pub(crate) fn asked(&self, of: gst::EventType) -> Vec<gst::Event> {
        let asked = self.asked.lock().expect("asked");
        asked.iter().filter(|event| event.type_() == of).cloned().collect()
    }

    pub(crate) fn key_frames_asked(&self) -> usize {
        let custom = self.asked(gst::EventType::CustomUpstream);
        custom
            .iter()
            .filter(|event| event.has_name("GstForceKeyUnit"))
            .count()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.sink.property("is-healthy")
    }
}

fn answer(
    pad: &gst::Pad,
    parent: Option<&gst::Object>,
    query: &mut gst::QueryRef,
    declared: &Mutex<Declared>,
) -> bool {
    if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
        let declared = *declared.lock().expect("declared");
        return match declared {
            Some((live, min, max)) => {
                latency.set(live, min, max);
                true
            }
            None => false,
        };
    }
    gst::Pad::query_default(pad, parent, query)
}

/// A frame that came out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// When, in running time.
    pub(crate) at: u64,
    pub(crate) input: u32,
    pub(crate) number: u32,
    pub(crate) pts: Option<u64>,
    pub(crate) dts: Option<u64>,
    pub(crate) delta: bool,
    pub(crate) discont: bool,
}

#[derive(Clone, Debug)]
pub(crate) enum Seen {
    Frame(Sent),
    Event(gst::Event),
}

/// What came out of a source pad, in its order.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) pad: gst::Pad,
    tape: Arc<(Mutex<Vec<Seen>>, Condvar)>,
}

impl Output {
    fn new(source: &gst::Pad, clock: &TestClock, base: &Arc<Mutex<u64>>) -> Self {
        let tape = Arc::<(Mutex<Vec<Seen>>, Condvar)>::default();
        let (frames, events) = (tape.clone(), tape.clone());
        let (clock, base) = (clock.clone(), base.clone());
        let record = |tape: &(Mutex<Vec<Seen>>, Condvar), seen| {
            tape.0.lock().expect("tape").push(seen);
            tape.1.notify_all();
        };
        let any = gst::Caps::new_any();
        let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
        let template = gst::PadTemplate::new("sink", direction, presence, &any).expect("a template");
        let pad = gst::Pad::builder_from_template(&template)
            .chain_function(move |_, _, buffer| {
                let now = clock.time().mseconds() - *base.lock().expect("base");
                record(&frames, Seen::Frame(read(&buffer, now)));
                Ok(gst::FlowSuccess::Ok)
            })
            .event_function(move |pad, parent, event| {
                record(&events, Seen::Event(event.clone()));
                gst::Pad::event_default(pad, parent, event)
            })
            .build();
        pad.set_active(true).expect("active");
        source.link(&pad).expect("linked");
        Self { pad, tape }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.tape.0.lock().expect("tape").clone()
    }

    pub(crate) fn frames(&self) -> Vec<Sent> {
        let frames = self.seen().into_iter().filter_map(|seen| match seen {
            Seen::Frame(sent) => Some(sent),
            Seen::Event(_) => None,
        });
        frames.collect()
    }

    pub(crate) fn events(&self, of: gst::EventType) -> Vec<gst::Event> {
        let events = self.seen().into_iter().filter_map(|seen| match seen {
            Seen::Event(event) if event.type_() == of => Some(event),
            _ => None,
        });
        events.collect()
    }

    pub(crate) fn is_eos(&self) -> bool {
        !self.events(gst::EventType::Eos).is_empty()
    }

    /// Until so many frames are out, for those that another thread pushes.
    pub(crate) fn wait_for_frames(&self, count: usize) {
        let is_frame = |seen: &&Seen| matches!(seen, Seen::Frame(_));
        let tape = self.tape.0.lock().expect("tape");
        let (_tape, outcome) = self
            .tape
            .1
            .wait_timeout_while(tape, PATIENCE, |tape| {
                tape.iter().filter(is_frame).count() < count
            })
            .expect("tape");
        assert!(!outcome.timed_out(), "frame {count} does not come");
    }

    pub(crate) fn ask(&self, event: gst::Event) -> bool {
        self.pad.push_event(event)
    }

    /// Live, the least, the most.
    pub(crate) fn latency(&self) -> (bool, gst::ClockTime, Option<gst::ClockTime>) {
        let mut query = gst::query::Latency::new();
        assert!(self.pad.peer_query(&mut query), "latency is answered");
        query.result()
    }

    /// What holds for whatever leaves a source pad that is not flushed.
    pub(crate) fn assert_one_programme(&self) {
        let seen = self.seen();
        assert_events_in_order(&seen);
        let frames = self.frames();
        assert_no_step_back(&frames);
        for pair in frames.windows(2) {
            if pair[0].input != pair[1].input {
                assert!(pair[1].discont, "a cut without DISCONT: {pair:?}");
                assert!(!pair[1].delta, "a cut on a delta frame: {pair:?}");
            }
        }
        if let Some(first) = frames.first() {
            assert!(first.discont && !first.delta, "a bad beginning: {first:?}");
        }
    }
}

fn read(buffer: &gst::Buffer, at: u64) -> Sent {
    let map = buffer.map_readable().expect("payload");
    let word = |at: usize| {
        let bytes = map.get(at..at + 4).expect("payload");
        u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
    };
    Sent {
        at,
        input: word(0),
        number: word(4),
        pts: buffer.pts().map(gst::ClockTime::mseconds),
        dts: buffer.dts().map(gst::ClockTime::mseconds),
        delta: buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        discont: buffer.flags().contains(gst::BufferFlags::DISCONT),
    }
}

fn assert_events_in_order(seen: &[Seen]) {
    let types: Vec<_> = seen
        .iter()
        .map(|seen| match seen {
            Seen::Frame(_) => None,
            Seen::Event(event) => Some(event.type_()),
        })
        .collect();
    let places = |of| {
        let places = types.iter().enumerate().filter(move |(_, t)| **t == Some(of));
        places.map(|(i, _)| i).collect::<Vec<_>>()
    };
    if let Some(frame) = types.iter().position(Option::is_none) {
        assert_eq!(places(gst::EventType::StreamStart), [0], "{types:?}");
        let segments = places(gst::EventType::Segment);
        assert_eq!(segments.len(), 1, "{types:?}");
        assert!(segments[0] < frame, "{types:?}");
    }
    let caps: Vec<_> = seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Event(event) => match event.view() {
                gst::EventView::Caps(caps) => Some(caps.caps_owned()),
                _ => None,
            },
            Seen::Frame(_) => None,
        })
        .collect();
    assert!(caps.windows(2).all(|pair| pair[0] != pair[1]), "{caps:?}");
}

pub(crate) fn assert_no_step_back(frames: &[Sent]) {
    for pair in frames.windows(2) {
        assert!(pair[0].pts <= pair[1].pts, "PTS goes back: {pair:?}");
        if let (Some(before), Some(after)) = (pair[0].dts, pair[1].dts) {
            assert!(before <= after, "DTS goes back: {pair:?}");
        }
    }
}

/// Questions about frames in a row.
pub(crate) trait Frames {
    /// Which input sent how many, one after the other.
    fn runs(&self) -> Vec<(u32, usize)>;
    fn of(&self, input: u32) -> Vec<Sent>;
    fn pts(&self) -> Vec<u64>;
    fn numbers(&self) -> Vec<u32>;
    /// The longest way from one PTS to the next.
    fn longest_step(&self) -> u64;
}

impl<T: AsRef<[Sent]> + ?Sized> Frames for T {
    fn runs(&self) -> Vec<(u32, usize)> {
        let frames = self.as_ref();
        let runs = frames.chunk_by(|a, b| a.input == b.input);
        runs.map(|run| (run[0].input, run.len())).collect()
    }

    fn of(&self, input: u32) -> Vec<Sent> {
        let frames = self.as_ref().iter();
        frames.filter(|sent| sent.input == input).copied().collect()
    }

    fn pts(&self) -> Vec<u64> {
        self.as_ref().iter().filter_map(|sent| sent.pts).collect()
    }

    fn numbers(&self) -> Vec<u32> {
        self.as_ref().iter().map(|sent| sent.number).collect()
    }

    fn longest_step(&self) -> u64 {
        let pts = self.pts();
        let steps = pts.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        steps.max().unwrap_or(0)
    }
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
}

impl Stage {
    pub(crate) fn new(properties: &[(&str, &str)]) -> Self {
        init();
        let switch = gst::ElementFactory::make("failoverswitch").build().expect("failoverswitch");
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
        self.switch.set_base_time(ms(*self.base.lock().expect("base")));
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

    fn clock_to(&self, until: gst::ClockTime) {
        while let Some(due) = self.clock.next_entry_time().filter(|due| *due <= until) {
            self.clock.set_time(self.clock.time().max(due));
            self.clock.process_next_clock_id();
        }
        self.clock.set_time(self.clock.time().max(until));
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
        self.out.frames()
    }

    pub(crate) fn messages(&self, of: gst::MessageType) -> Vec<gst::Message> {
        let mut messages = self.messages.borrow_mut();
        messages.extend(std::iter::from_fn(|| self.bus.pop()));
        messages.iter().filter(|m| m.type_() == of).cloned().collect()
    }

    /// The element messages of this name, so far.
    pub(crate) fn told(&self, name: &str) -> Vec<gst::Structure> {
        let messages = self.messages(gst::MessageType::Element);
        let structures = messages.iter().filter_map(|m| m.structure().map(ToOwned::to_owned));
        structures.filter(|structure| structure.name() == name).collect()
    }

    /// Switches so far: from, to and why.
    pub(crate) fn switches(&self) -> Vec<(i32, i32, String)> {
        let told = self.told("failover-switched");
        let switch = |report: &gst::Structure| {
            let number = |field| report.get(field).expect("a number");
            (number("from"), number("to"), report.get("cause").expect("a cause"))
        };
        told.iter().map(switch).filter(|(from, ..)| *from >= 0).collect()
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
