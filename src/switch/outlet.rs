// SPDX-License-Identifier: MPL-2.0
//! A source pad: where its stream stands, and its outlet. Where latency was promised, what is sent is
//! held here until downstream wants it, and goes out by a thread of the pad's own: a sink that waits
//! for the time of a buffer then holds up no input, and what is held can still be exchanged by a cut.

use super::cut::{Placed, Position};
use super::delays::signed;
use super::flow::{Flow, Step};
use super::format::Format;
use super::held::Held;
use super::imp::FailoverSwitch;
use super::lane::Lane;
use super::pad::{FailoverSwitchPad, Place};
use super::sending::{Parcel, Ready};
use super::standby::Coding;
use super::state::State;
use super::withheld::Withheld;
use crate::clock::Wait;
use crate::policy::{InputId, Moment, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Encoded pieces leave this long before their time has come: a muxer waits no longer than for that, and
/// a decoder on a busy machine needs some of it.
const EARLY: i64 = 60_000_000;
/// From the timeout's end to the cut: two pictures at most.
const NOTICED: i64 = 60_000_000;
/// What may be held beyond the latency: an input may come in gusts.
const GUST: u64 = 1_000_000_000;

pub(super) enum Item {
    Buffer(InputId, gst::Buffer),
    Event(gst::Event),
}

impl Item {
    /// Of a CAPS event: what follows is of these.
    fn caps(&self) -> Option<gst::Caps> {
        match self {
            Self::Event(event) => match event.view() {
                gst::EventView::Caps(caps) => Some(caps.caps_owned()),
                _ => None,
            },
            Self::Buffer(..) => None,
        }
    }
}

pub(super) struct Output {
    pub(super) pad: gst::Pad,
    pub(super) lane: Lane,
    pub(super) outlet: Outlet,
    /// There where the outlet sends, and not the inputs' threads.
    pub(super) held: Option<Held<Item>>,
    pub(super) withheld: Withheld,
    /// What downstream said to what the outlet sent last, and whose that was.
    flow: Option<(InputId, Flow)>,
    /// The outlet's thread is sending.
    leaving: bool,
    /// A flush is going out: what is sent meanwhile would be lost.
    pub(super) is_flushing: bool,
    pub(super) position: Option<Position>,
    /// When the last buffer went out.
    pub(super) sent_at: Option<Moment>,
    pub(super) discont: bool,
    pub(super) started: bool,
    pub(super) segment_due: bool,
    /// Where the segment starts: a decoder shows nothing before it.
    pub(super) shown_from: i64,
    /// Sound before this is cut off.
    pub(super) heard_from: i64,
    /// The key frame of the cut: pictures that are decoded behind it and shown before it need what was cut off.
    pub(super) led_by: Option<Placed>,
    /// The tags of the input on air have to be sent again.
    pub(super) sticky_due: bool,
    /// The caps that were sent last, or are on their way.
    pub(super) caps: Option<gst::Caps>,
    /// The same, of what has left for good.
    caps_left: Option<gst::Caps>,
    pub(super) eos: bool,
    /// Nobody had its stream any more.
    pub(super) ended_alone: bool,
    /// A decoder follows.
    pub(super) decoded: bool,
}

/// How the outlet's thread is told of what has changed.
#[derive(Clone, Default)]
pub(super) struct Outlet(Arc<Signals>);

#[derive(Default)]
struct Signals {
    open: AtomicBool,
    stopping: AtomicBool,
    /// Something to send, or another time to send it.
    news: Bell,
    wait: Wait,
    /// Something has left.
    room: Bell,
}

/// Counts its strokes, so that none is missed between a look and the wait.
#[derive(Default)]
struct Bell(Mutex<u64>, Condvar);

impl Bell {
    fn ring(&self) {
        let mut strokes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *strokes = strokes.wrapping_add(1);
        self.1.notify_all();
    }

    fn strokes(&self) -> u64 {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_beyond(&self, heard: u64) {
        let strokes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.1.wait_while(strokes, |strokes| *strokes == heard));
    }
}

impl Outlet {
    pub(super) fn is_open(&self) -> bool {
        self.0.open.load(Relaxed)
    }

    /// Lets the outlet look again at what there is and at the time.
    pub(super) fn look(&self) {
        self.0.news.ring();
        self.0.wait.cancel();
    }

    /// Lets nobody wait for room without a look at what has changed.
    pub(super) fn make_room(&self) {
        self.0.room.ring();
    }
}

impl Output {
    pub(super) fn new(pad: gst::Pad) -> Self {
        Self {
            lane: Lane::new(&pad),
            pad,
            outlet: Outlet::default(),
            held: None,
            withheld: Withheld::new(),
            flow: None,
            leaving: false,
            is_flushing: false,
            position: None,
            sent_at: None,
            discont: true,
            started: false,
            segment_due: true,
            shown_from: 0,
            heard_from: i64::MIN,
            led_by: None,
            sticky_due: true,
            caps: None,
            caps_left: None,
            eos: false,
            ended_alone: false,
            decoded: false,
        }
    }

    /// As new, for another run from READY.
    pub(super) fn reset(&mut self) {
        let (pad, lane, outlet) = (self.pad.clone(), self.lane.clone(), self.outlet.clone());
        outlet.0.open.store(false, Relaxed);
        outlet.0.stopping.store(false, Relaxed);
        *self = Self::new(pad);
        (self.lane, self.outlet) = (lane, outlet);
    }

    pub(super) fn end(&self) -> u64 {
        self.position
            .map_or(0, |position| u64::try_from(position.end).unwrap_or(0))
    }

    /// What has left for good.
    pub(super) fn left(&self) -> Option<Position> {
        self.held.as_ref().map_or(self.position, Held::left)
    }

    /// A flush: what is held goes, and downstream gets another chance.
    pub(super) fn flush(&mut self) {
        self.withheld.clear();
        if let Some(held) = &mut self.held {
            // As with any queue: what describes the stream stays, its end does not.
            held.clear(|item| {
                matches!(item, Item::Event(event) if event.is_sticky() && event.type_() != gst::EventType::Eos)
            });
        }
        self.flow = None;
        self.outlet.look();
        self.outlet.make_room();
    }

    /// Downstream takes data again. Whether it has to be told of the end, which nobody else does then.
    pub(super) fn end_flush(&mut self) -> bool {
        self.is_flushing = false;
        self.flow = None;
        self.segment_due = true;
        self.discont = true;
        self.outlet.look();
        self.eos && self.held.is_none()
    }

    /// What an input is told: only of what it brought itself, another's may be refused for its own sake.
    fn flow_for(&self, input: InputId) -> Flow {
        let own = self.flow.filter(|(of, _)| *of == input);
        own.map_or(Ok(gst::FlowSuccess::Ok), |(_, flow)| flow)
    }

    /// The caps that have to be sent before a frame of this format: none where they were sent last.
    pub(super) fn caps_before(&mut self, format: &Format) -> Option<gst::Caps> {
        let caps = format.caps.as_ref()?;
        let last = self.caps.as_ref();
        if last.is_some_and(|last| last.as_ptr() == caps.as_ptr()) {
            return None;
        }
        let are_others = last != Some(caps);
        // The same from now on, if they are equal: to compare two takes long.
        self.caps = Some(caps.clone());
        self.caps.clone().filter(|_| are_others)
    }

    /// What is held from `at` on is not sent, nor are caps that only it has.
    pub(super) fn take_back(&mut self, at: i64) {
        let Some(held) = &mut self.held else {
            return;
        };
        held.cut(at, |item| item.caps().is_some());
        self.position = held.end();
        let caps = held.values().rev().find_map(Item::caps);
        self.caps = caps.or_else(|| self.caps_left.clone());
        self.outlet.look();
        self.outlet.make_room();
    }
}

/// What the outlet's thread does next.
enum Next {
    Send(Item),
    NotBefore(Moment),
    Nothing,
}

impl State {
    /// How long after its time an encoded piece leaves, so that a cut can still fall before it. Raw
    /// media leave at once, their cut needs no key frame. Before a decoder none is needed either, and the
    /// decoder should have time: there a piece waits only until it would have been missed that the other
    /// stream of its input stands.
    fn hold(&self) -> i64 {
        let mut sinks = self.inputs.values().flat_map(|input| input.sinks.values());
        if !sinks.any(|sink| sink.format.coding == Coding::Delta) {
            return i64::MIN;
        }
        let most = signed(self.promised_latency().nseconds()).saturating_sub(EARLY);
        if !self.unseen {
            return most;
        }
        if self.outputs.len() < 2 {
            return i64::MIN;
        }
        let noticed = signed(self.policy.config().timeout.nanos()).saturating_add(NOTICED);
        if noticed <= most { noticed } else { i64::MIN }
    }

    fn next_out(&mut self, stream: StreamId, now: Moment) -> Next {
        let hold = self.hold();
        let is_early = |output: &Output| {
            let next = output.held.as_ref().and_then(Held::next).flatten();
            due(next, hold).filter(|due| *due > now)
        };
        let early = self.outputs.get(&stream).and_then(is_early);
        let early = early.filter(|_| !self.is_prerolling());
        let output = self.outputs.get_mut(&stream);
        let Some(output) = output.filter(|output| !output.is_flushing) else {
            return Next::Nothing;
        };
        output.leaving = false;
        let Some(held) = &mut output.held else {
            return Next::Nothing;
        };
        if let Some(due) = early {
            return Next::NotBefore(due);
        }
        match held.pop() {
            Some(item) => {
                output.leaving = true;
                output.caps_left = item.caps().or_else(|| output.caps_left.take());
                Next::Send(item)
            }
            None => Next::Nothing,
        }
    }

    /// Hands over what is stamped: to the outlet, or to the thread that brought it.
    pub(super) fn hand_over(&mut self, place: &Place, parcel: Parcel) -> Step {
        let Some(output) = self.outputs.get_mut(&place.stream) else {
            return Step::Kept;
        };
        let Some(held) = &mut output.held else {
            return Step::Send(parcel);
        };
        let was_empty = held.is_empty();
        for event in parcel.events {
            held.push_between(Item::Event(event));
        }
        for ready in parcel.first.into_iter().chain(parcel.more) {
            let Ready {
                caps,
                buffer,
                piece,
                after,
            } = ready;
            if let Some(caps) = caps {
                held.push_between(Item::Event(gst::event::Caps::new(&caps)));
            }
            let bytes = buffer.size();
            held.push(piece, after, bytes, Item::Buffer(place.input, buffer));
        }
        if was_empty {
            output.outlet.look();
        }
        let flow = output.flow_for(place.input);
        Step::Held {
            full: self.is_full(place),
            flow,
        }
    }

    fn is_full(&self, place: &Place) -> bool {
        let longest = self.reported_latency().0.nseconds().saturating_add(GUST);
        let held = self
            .outputs
            .get(&place.stream)
            .and_then(|o| o.held.as_ref());
        held.is_some_and(|held| held.span() > longest || held.bytes() > self.bounds.bytes)
    }
}

/// When a piece may leave.
fn due(piece: Option<Placed>, hold: i64) -> Option<Moment> {
    let due = piece?.order.saturating_add(hold);
    u64::try_from(due).ok().map(Moment::from_nanos)
}

impl FailoverSwitch {
    /// Gives every output its outlet, where latency is promised.
    pub(super) fn open_outlets(&self) {
        let opened: Vec<_> = {
            let mut state = self.state();
            if state.latency.is_zero() {
                return;
            }
            let closed = state
                .outputs
                .iter_mut()
                .filter(|(_, output)| output.held.is_none() && output.pad.is_active());
            closed
                .map(|(stream, output)| {
                    output.held = Some(Held::from(output.position));
                    output.caps_left = output.caps.clone();
                    output.outlet.0.open.store(true, Relaxed);
                    (*stream, output.pad.clone())
                })
                .collect()
        };
        for (stream, pad) in opened {
            let weak = self.obj().downgrade();
            let own = pad.downgrade();
            let started = pad.start_task(move || match weak.upgrade() {
                Some(switch) => switch.imp().let_out(stream),
                None => {
                    let _ = own.upgrade().map(|pad| pad.pause_task());
                }
            });
            if let Err(error) = started {
                gst::error!(super::CAT, obj = pad, "no thread for the outlet: {error}");
            }
        }
    }

    /// The latency has changed, and with it when what is held may leave.
    pub(super) fn look_at_outlets(&self) {
        for output in self.state().outputs.values() {
            output.outlet.look();
            output.outlet.make_room();
        }
    }

    /// Lets the outlets' threads come to an end.
    pub(super) fn stop_outlets(&self) {
        for output in self.state().outputs.values() {
            output.outlet.0.stopping.store(true, Relaxed);
            output.outlet.look();
            output.outlet.make_room();
        }
    }

    /// Once nothing is pushed any more.
    pub(super) fn join_outlets(&self) {
        let pads: Vec<_> = {
            let state = self.state();
            let open = state.outputs.values().filter(|o| o.held.is_some());
            open.map(|output| output.pad.clone()).collect()
        };
        for pad in pads {
            let _ = pad.stop_task();
        }
    }

    /// One turn of an outlet's thread.
    fn let_out(&self, stream: StreamId) {
        let found = {
            let state = self.state();
            let output = state.outputs.get(&stream);
            output.map(|o| (o.pad.clone(), o.lane.clone(), o.outlet.clone()))
        };
        let Some((pad, lane, outlet)) = found else {
            return;
        };
        // Before the look at what it may be told of, or the stop that rings in between would not be heard.
        let heard = outlet.0.news.strokes();
        if outlet.0.stopping.load(Relaxed) {
            let _ = pad.pause_task();
            return;
        }
        let turn = lane.enter();
        let next = {
            let mut state = self.state();
            state.next_out(stream, self.time.now())
        };
        match next {
            Next::Send(Item::Event(event)) => {
                pad.push_event(event);
            }
            Next::Send(Item::Buffer(input, buffer)) => {
                outlet.make_room();
                self.note_flow(stream, input, pad.push(buffer));
            }
            Next::NotBefore(due) => {
                drop(turn);
                self.time.wait_until(due, &outlet.0.wait);
            }
            Next::Nothing => {
                drop(turn);
                outlet.0.news.wait_beyond(heard);
            }
        }
    }

    fn note_flow(&self, stream: StreamId, input: InputId, flow: Flow) {
        if let Some(output) = self.state().outputs.get_mut(&stream) {
            output.flow = Some((input, flow));
        }
    }

    /// The outlet has taken a buffer; whoever brought it waits where too much is held already.
    pub(super) fn wait_for_room(&self, pad: &FailoverSwitchPad, place: &Place) -> Flow {
        loop {
            let heard = place.outlet.0.room.strokes();
            if pad.is_flushing() {
                return Err(gst::FlowError::Flushing);
            }
            let state = self.state();
            if !state.is_full(place) || !state.is_on_air(place.input) {
                let output = state.outputs.get(&place.stream);
                return output.map_or(Ok(gst::FlowSuccess::Ok), |o| o.flow_for(place.input));
            }
            drop(state);
            place.outlet.0.room.wait_beyond(heard);
        }
    }

    /// A serialized event, in its place among the buffers.
    pub(super) fn emit(&self, place: &Place, event: gst::Event) -> bool {
        if let Some(output) = self.state().outputs.get_mut(&place.stream)
            && let Some(held) = &mut output.held
        {
            held.push_between(Item::Event(event));
            output.outlet.look();
            return true;
        }
        place.output.push_event(event)
    }

    /// How many of the element's own waits for the clock are on, once nothing can be sent before they
    /// end; `None` while something is on its way.
    pub(super) fn waits(&self) -> Option<u32> {
        let mut waits = u32::from(self.alarm.is_armed());
        let state = self.state();
        let (hold, now) = (state.hold(), self.time.now());
        for output in state.outputs.values() {
            if output.leaving {
                return None;
            }
            if let Some(next) = output.held.as_ref().and_then(Held::next) {
                let waits_on = output.outlet.0.wait.is_armed();
                due(next, hold).filter(|due| waits_on && *due > now)?;
                waits += 1;
            }
        }
        Some(waits)
    }
}
