// SPDX-License-Identifier: MPL-2.0
//! What comes out: a tape of a source pad, and questions about the frames on it. It owns the pad
//! downstream of the switch and never pushes anything.

use super::PATIENCE;
use gst::prelude::*;
use gst_check::TestClock;
use std::sync::{Arc, Condvar, Mutex, RwLock, RwLockWriteGuard};

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
    /// Held by a test while the sink is to take nothing.
    gate: Arc<RwLock<()>>,
}

impl Output {
    pub(super) fn new(source: &gst::Pad, clock: &TestClock, base: &Arc<Mutex<u64>>) -> Self {
        let tape = Arc::<(Mutex<Vec<Seen>>, Condvar)>::default();
        let (frames, events) = (tape.clone(), tape.clone());
        let (clock, base) = (clock.clone(), base.clone());
        let record = |tape: &(Mutex<Vec<Seen>>, Condvar), seen| {
            tape.0.lock().expect("tape").push(seen);
            tape.1.notify_all();
        };
        let any = gst::Caps::new_any();
        let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
        let template =
            gst::PadTemplate::new("sink", direction, presence, &any).expect("a template");
        let gate = Arc::new(RwLock::new(()));
        let at_gate = gate.clone();
        let pad = gst::Pad::builder_from_template(&template)
            .chain_function(move |_, _, buffer| {
                let _open = at_gate.read().expect("gate");
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
        Self { pad, tape, gate }
    }

    /// A sink that takes nothing, as long as the guard lives.
    pub(crate) fn hold_up(&self) -> RwLockWriteGuard<'_, ()> {
        self.gate.write().expect("gate")
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

    /// Until its end is out, where another thread sends it.
    pub(crate) fn wait_for_eos(&self) {
        let is_end =
            |seen: &Seen| matches!(seen, Seen::Event(e) if e.type_() == gst::EventType::Eos);
        let tape = self.tape.0.lock().expect("tape");
        let (_tape, outcome) = self
            .tape
            .1
            .wait_timeout_while(tape, PATIENCE, |tape| !tape.iter().any(is_end))
            .expect("tape");
        assert!(!outcome.timed_out(), "the end does not come");
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
        let places = types
            .iter()
            .enumerate()
            .filter(move |(_, t)| **t == Some(of));
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
