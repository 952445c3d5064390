// SPDX-License-Identifier: MPL-2.0
//! A buffer's way through `failoverswitch`: it arrives, and is kept by a standby, waits for its time,
//! makes the cut that was waiting for it, or is sent. Decides nothing about which input is on air.

use super::CAT;
use super::brain::Outbox;
use super::cut::{self, Cut, Position};
use super::imp::FailoverSwitch;
use super::pad::{FailoverSwitchPad, Place};
use super::report::Report;
use super::standby::{Coding, Piece};
use super::state::{PATIENCE, Pending, State, Times, Upstream, signed};
use crate::policy::{InputId, Moment, Span, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

/// A key frame that does not come is asked for again.
const ASK_AGAIN: Span = Span::from_millis(500);
/// Key frames that may come too late before the input is moved.
const MOST_MISSED: u32 = 2;
/// What a raw standby keeps beyond the latency: pictures that just came are good for a cut.
const JUST_NOW: i64 = 60_000_000;

/// What becomes of a buffer.
#[derive(Debug)]
enum Step {
    Kept,
    /// Not due yet.
    Wait(Moment),
    /// On air: come again, in the lane.
    Enter,
    Send(Parcel),
}

/// What goes out of a source pad in one go.
#[derive(Debug, Default)]
struct Parcel {
    events: Vec<gst::Event>,
    first: Option<gst::Buffer>,
    more: Vec<gst::Buffer>,
}

type Flow = Result<gst::FlowSuccess, gst::FlowError>;

impl FailoverSwitch {
    pub(super) fn chain(&self, pad: &FailoverSwitchPad, buffer: gst::Buffer) -> Flow {
        let shell = pad.imp();
        let Some(place) = shell.place.get() else {
            return Err(gst::FlowError::NotLinked);
        };
        if shell.ask_latency.swap(false, Relaxed) {
            self.ask_latency(pad, place);
        }
        let mut buffer = Some(buffer);
        let mut enter = false;
        loop {
            if shell.flushing.load(Relaxed) {
                return Err(gst::FlowError::Flushing);
            }
            enter |= shell.on_air.load(Relaxed);
            let lane = enter.then(|| place.lane.enter());
            let mut outbox = Outbox::default();
            let step = {
                let mut state = self.state();
                let now = self.time.now();
                state.arrive(place, &mut buffer, now, lane.is_some(), &mut outbox)
            };
            self.say(outbox);
            gst::trace!(CAT, obj = pad, "{step:?}");
            match step {
                Step::Kept => return Ok(gst::FlowSuccess::Ok),
                Step::Enter => enter = true,
                Step::Send(parcel) => return self.send(pad, place, parcel),
                Step::Wait(due) => {
                    drop(lane);
                    self.time.wait_until(due, &shell.wait);
                }
            }
        }
    }

    /// Sends in the lane, with no other lock held.
    fn send(&self, pad: &FailoverSwitchPad, place: &Place, parcel: Parcel) -> Flow {
        for event in parcel.events {
            place.output.push_event(event);
        }
        let pushes = &pad.imp().pushes;
        pushes.step();
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for buffer in parcel.first.into_iter().chain(parcel.more) {
            flow = place.output.push(buffer);
            if flow.is_err() {
                break;
            }
        }
        pushes.step();
        if flow == Err(gst::FlowError::NotLinked) && (self.is_owned() || self.has_further_outputs())
        {
            // Whoever does not link the sound still wants the picture.
            return Ok(gst::FlowSuccess::Ok);
        }
        flow
    }

    fn has_further_outputs(&self) -> bool {
        self.state().outputs.len() > 1
    }

    fn ask_latency(&self, pad: &FailoverSwitchPad, place: &Place) {
        let mut query = gst::query::Latency::new();
        if !pad.peer_query(&mut query) {
            return;
        }
        let (live, min, max) = query.result();
        let upstream = Upstream { live, min, max };
        let mut outbox = Outbox::default();
        {
            let mut state = self.state();
            let before = state.reported_latency();
            state.set_upstream(place, upstream);
            outbox.latency_changed = before != state.reported_latency();
        }
        self.say(outbox);
    }
}

impl State {
    pub(super) fn set_upstream(&mut self, place: &Place, upstream: Upstream) {
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return;
        };
        if let Some(sink) = input.sinks.get_mut(&place.stream) {
            sink.upstream = Some(upstream);
        }
        let declared = input.sinks.values().filter_map(|sink| sink.upstream);
        let live = declared.clone().any(|u| u.live);
        let latency = declared.map(|u| u.min).max().unwrap_or_default();
        input.timeline.set_latency(live, latency.nseconds());
    }

    fn arrive(
        &mut self,
        place: &Place,
        buffer: &mut Option<gst::Buffer>,
        now: Moment,
        in_lane: bool,
        outbox: &mut Outbox,
    ) -> Step {
        let Some(sent) = buffer.as_deref() else {
            // It was kept for the cut that it made: what is kept begins now.
            return self.begin(place, now, in_lane);
        };
        if self.halted {
            return Step::Kept;
        }
        let end = self.outputs.get(&place.stream).map_or(0, |o| o.end());
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return Step::Kept;
        };
        let Some(sink) = input.sinks.get_mut(&place.stream) else {
            return Step::Kept;
        };
        if !sink.begins_with(sent) {
            return Step::Kept;
        }
        let times = sink.times(sent, now);
        sink.stamp = Some(now);
        let announce = std::mem::take(&mut sink.announce);
        input.timeline.observe(now.nanos(), times.order, end);
        // The alarm may be late; who comes by does its work.
        let overdue = self.next_wake.is_some_and(|at| at <= now);
        if announce || overdue {
            self.consult(now, outbox, |policy| {
                if overdue {
                    policy.wake(now);
                }
            });
        }
        if let Some(due) = self.not_before(place.input, times, now) {
            return Step::Wait(due);
        }
        match buffer.take() {
            Some(taken) => self.dispatch(place, times, taken, buffer, now, in_lane, outbox),
            None => Step::Kept,
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn dispatch(
        &mut self,
        place: &Place,
        times: Times,
        taken: gst::Buffer,
        buffer: &mut Option<gst::Buffer>,
        now: Moment,
        in_lane: bool,
        outbox: &mut Outbox,
    ) -> Step {
        if self.is_on_air(place.input) {
            if self.is_open(place) && !self.is_beyond_gate(place.input, times) {
                if in_lane {
                    return self.steady(place, times, taken, now);
                }
                *buffer = Some(taken);
                return Step::Enter;
            }
            self.keep(place, times, taken, now);
            return if self.pending.as_ref().is_some_and(|p| p.gate.is_some()) {
                Step::Kept
            } else {
                self.begin(place, now, in_lane)
            };
        }
        self.keep(place, times, taken, now);
        if self.pending.as_ref().is_some_and(|p| p.to == place.input)
            && self.try_cut(place, now, outbox)
        {
            return self.begin(place, now, in_lane);
        }
        Step::Kept
    }

    fn is_open(&self, place: &Place) -> bool {
        self.sink(place.input, place.stream)
            .is_some_and(|sink| sink.open)
    }

    /// When a buffer that comes before its time is to be looked at again. What is not live is paced
    /// by the clock; a live input is only ever early where a test or a file plays live.
    fn not_before(&self, input: InputId, times: Times, now: Moment) -> Option<Moment> {
        let timeline = &self.inputs.get(&input)?.timeline;
        let due = timeline.place(times.order);
        if due <= signed(now.nanos()) {
            return None;
        }
        let takes_part =
            self.is_on_air(input) || self.pending.as_ref().is_some_and(|p| p.to == input);
        if takes_part && timeline.is_live() {
            return None;
        }
        // A standby's buffer stays until it would be too late, so that a cut may still want it.
        let grace = if takes_part { 0 } else { self.upstream_min(input) };
        let due = u64::try_from(due).ok()?.saturating_add(grace);
        Some(Moment::from_nanos(due))
    }

    fn upstream_min(&self, input: InputId) -> u64 {
        let sinks = self.inputs.get(&input).into_iter().flat_map(|i| i.sinks.values());
        let latencies = sinks.filter_map(|sink| sink.upstream).map(|u| u.min);
        latencies.max().unwrap_or_default().nseconds()
    }

    fn is_beyond_gate(&self, input: InputId, times: Times) -> bool {
        let gate = self.pending.as_ref().and_then(|pending| pending.gate);
        let placed = self.inputs.get(&input).map(|i| i.timeline.place(times.start));
        matches!((gate, placed), (Some(gate), Some(placed)) if placed >= gate)
    }

    fn keep(&mut self, place: &Place, times: Times, buffer: gst::Buffer, now: Moment) {
        let window = match self.sink(place.input, place.stream).map(|s| s.coding) {
            Some(Coding::Raw) | None => {
                signed(self.reported_latency().0.nseconds()).saturating_add(JUST_NOW)
            }
            Some(Coding::Delta | Coding::Independent) => signed(self.latency.nseconds()),
        };
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return;
        };
        let from = signed(now.nanos()) - window - input.timeline.offset();
        // Sound is kept as far back as the pictures that it belongs to.
        let pictures = input
            .sinks
            .values()
            .filter(|sink| sink.coding == Coding::Delta)
            .filter_map(|sink| sink.standby.pieces().next().map(|p| p.start))
            .min();
        if let Some(sink) = input.sinks.get_mut(&place.stream) {
            let from = match sink.coding {
                Coding::Independent => pictures.map_or(from, |start| start.min(from)),
                Coding::Raw | Coding::Delta => from,
            };
            sink.buffers += 1;
            sink.standby.push(times.piece(buffer), sink.coding, from);
        }
    }

    /// Makes the cut to this input if what has come allows it.
    fn try_cut(&mut self, place: &Place, now: Moment, outbox: &mut Outbox) -> bool {
        let gate = self.gate_of(place.input).unwrap_or(place.stream);
        let settled = self
            .inputs
            .get(&place.input)
            .is_some_and(|input| input.timeline.is_settled());
        if gate != place.stream || !settled {
            return false;
        }
        let mut situation = self.situation(place.input, gate, now);
        let pieces = self.placed(place.input, gate);
        let Some(pending) = self.pending.as_mut() else {
            return false;
        };
        situation.waited = pending.ready_since.is_some_and(|since| now - since >= PATIENCE);
        situation.missed = pending.missed >= MOST_MISSED;
        match cut::find(&situation, &pieces) {
            Cut::At { first, shift } => {
                let start = pieces.get(first).map_or(i64::MIN, |p| p.start.saturating_add(shift));
                self.make_cut(place.input, gate, start, shift, situation.alive, now, outbox);
                true
            }
            Cut::Ready => {
                pending.ready_since.get_or_insert(now);
                let fitting = pieces.last().filter(|p| p.key);
                if situation.coding == Coding::Delta && pending.gate.is_none() {
                    pending.gate = fitting.map(|p| p.start);
                }
                false
            }
            Cut::Wait => {
                if pieces.last().is_some_and(|p| p.key) {
                    pending.missed += 1;
                }
                if now - pending.asked_at >= ASK_AGAIN {
                    pending.asked_at = now;
                    outbox.ask_key_frame(self.sink(place.input, gate));
                }
                false
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn make_cut(
        &mut self,
        to: InputId,
        gate: StreamId,
        start: i64,
        shift: i64,
        alive: bool,
        now: Moment,
        outbox: &mut Outbox,
    ) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let from = self.on_air.replace(to);
        let report = self.report(gate, &pending, from, start, now);
        if let Some(old) = from.filter(|from| *from != to).and_then(|f| self.inputs.get_mut(&f)) {
            old.timeline.freeze(false);
            for sink in old.sinks.values_mut() {
                sink.open = false;
                sink.standby.clear();
                sink.pad.imp().on_air.store(false, Relaxed);
            }
            old.wake_waiters();
        }
        if let Some(new) = self.inputs.get_mut(&to) {
            new.timeline.delay_by(shift);
            new.timeline.freeze(true);
            for sink in new.sinks.values_mut() {
                sink.open = false;
                // While the old input lives, its sound goes on until the new one's fits on.
                sink.floor = if alive { i64::MIN } else { start };
                sink.pad.imp().on_air.store(true, Relaxed);
            }
            new.wake_waiters();
        }
        for output in self.outputs.values_mut() {
            output.discont = true;
            output.sticky_due = true;
        }
        if from.is_some() {
            self.switches += 1;
        }
        self.last_report = Some(report.clone());
        outbox.switched = Some(report);
    }

    fn report(
        &self,
        gate: StreamId,
        pending: &Pending,
        from: Option<InputId>,
        start: i64,
        now: Moment,
    ) -> Report {
        let output = self.outputs.get(&gate);
        let situation = self.situation(pending.to, gate, now);
        let key_frame_wait = match situation.coding {
            Coding::Delta => now - pending.since,
            Coding::Raw | Coding::Independent => Span::default(),
        };
        let no_hole = situation
            .position
            .is_none_or(|p| start <= p.end.saturating_add(JUST_NOW / 2));
        Report {
            from,
            to: pending.to,
            cause: pending.cause,
            running_time: now,
            detection: pending.detection,
            gap: output
                .and_then(|o| o.sent_at)
                .map_or(Span::default(), |sent| now - sent),
            hidden: from.is_some()
                && no_hole
                && start.saturating_add(situation.latency) >= situation.now - JUST_NOW / 2,
            decoded_unseen: 0,
            key_frame_wait,
            av_offset: self.av_offset(pending.to, gate, start),
        }
    }

    /// How far from the picture's start the sound of the same input will start.
    fn av_offset(&self, input: InputId, gate: StreamId, start: i64) -> i64 {
        let streams = self.inputs.get(&input).map(|i| &i.sinks);
        let other = streams
            .into_iter()
            .flatten()
            .find(|(stream, sink)| **stream != gate && sink.coding != Coding::Delta);
        other
            .and_then(|(stream, _)| {
                let pieces = self.placed(input, *stream);
                pieces.into_iter().find(|p| p.end > start)
            })
            .map_or(0, |piece| piece.start.saturating_sub(start).max(0))
    }

    /// The first buffers of an input that has come on air: what its standby kept, from the cut on.
    fn begin(&mut self, place: &Place, now: Moment, in_lane: bool) -> Step {
        if !self.is_on_air(place.input) {
            return Step::Kept;
        }
        if !in_lane {
            return Step::Enter;
        }
        let situation = self.situation(place.input, place.stream, now);
        let pieces = self.placed(place.input, place.stream);
        let Some(sink) = self.sink_mut(place.input, place.stream) else {
            return Step::Kept;
        };
        let first = cut::follow(&situation, &pieces, sink.floor);
        if first >= pieces.len() {
            return Step::Kept;
        }
        sink.open = true;
        sink.floor = i64::MIN;
        sink.pad.imp().on_air.store(true, Relaxed);
        let taken = sink.standby.take_from(first);
        let mut parcel = Parcel::default();
        for Piece {
            order,
            start,
            duration,
            value,
            ..
        } in taken
        {
            let times = Times {
                order,
                start,
                duration,
            };
            if let Some(buffer) = self.stamp(place, times, value, now) {
                parcel.add(buffer);
            }
        }
        self.add_events(place, &mut parcel);
        Step::Send(parcel)
    }

    fn steady(&mut self, place: &Place, times: Times, buffer: gst::Buffer, now: Moment) -> Step {
        if let Some(sink) = self.sink_mut(place.input, place.stream) {
            sink.buffers += 1;
        }
        let Some(buffer) = self.stamp(place, times, buffer, now) else {
            return Step::Kept;
        };
        let mut parcel = Parcel {
            first: Some(buffer),
            ..Parcel::default()
        };
        self.add_events(place, &mut parcel);
        Step::Send(parcel)
    }

    /// Puts the output's time on a buffer; `None` for one that would take time back.
    fn stamp(
        &mut self,
        place: &Place,
        times: Times,
        mut buffer: gst::Buffer,
        now: Moment,
    ) -> Option<gst::Buffer> {
        let timeline = &self.inputs.get(&place.input)?.timeline;
        let start = timeline.place(times.start).max(0);
        let order = timeline.place(times.order).max(0);
        let coding = self.sink(place.input, place.stream)?.coding;
        let output = self.outputs.get_mut(&place.stream)?;
        let last = output.position.unwrap_or_default();
        if coding != Coding::Delta && start < last.start {
            return None;
        }
        let order = order.max(last.order);
        output.position = Some(Position {
            order,
            start: start.max(last.start),
            end: start.saturating_add(signed(times.duration)).max(last.end),
        });
        output.sent_at = Some(now);
        let discont = std::mem::take(&mut output.discont);
        let pts = clock(start);
        let dts = buffer.dts().map(|_| clock(order));
        let had_pts = buffer.pts().is_some() || buffer.dts().is_none();
        let pts = had_pts.then_some(pts);
        if buffer.pts() != pts || buffer.dts() != dts || discont {
            let buffer = buffer.make_mut();
            buffer.set_pts(pts);
            buffer.set_dts(dts);
            if discont {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        Some(buffer)
    }

    /// Sticky events that downstream has not got yet, in their order.
    fn add_events(&mut self, place: &Place, parcel: &mut Parcel) {
        let group = self.group;
        let Some(output) = self.outputs.get_mut(&place.stream) else {
            return;
        };
        if output.started && !output.segment_due && !output.sticky_due {
            return;
        }
        let pad = self
            .inputs
            .get(&place.input)
            .and_then(|i| i.sinks.get(&place.stream))
            .map(|s| &s.pad);
        if !std::mem::replace(&mut output.started, true) {
            parcel.events.push(stream_start(&output.pad, group));
        }
        let sticky = std::mem::take(&mut output.sticky_due);
        if let Some(caps) = pad.filter(|_| sticky).and_then(|p| p.current_caps())
            && output.pad.current_caps().as_ref() != Some(&caps)
        {
            parcel.events.push(gst::event::Caps::new(&caps));
        }
        if std::mem::take(&mut output.segment_due) {
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            parcel.events.push(gst::event::Segment::new(&segment));
        }
        if let Some(pad) = pad.filter(|_| sticky) {
            pad.sticky_events_foreach(|event| {
                if event.type_() == gst::EventType::Tag {
                    parcel.events.push(event.clone());
                }
                std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
            });
        }
    }
}

impl Parcel {
    fn add(&mut self, buffer: gst::Buffer) {
        if self.first.is_none() {
            self.first = Some(buffer);
        } else {
            self.more.push(buffer);
        }
    }
}

fn stream_start(pad: &gst::Pad, group: gst::GroupId) -> gst::Event {
    let id = format!("failoverswitch/{group:?}/{}", pad.name());
    gst::event::StreamStart::builder(&id).group_id(group).build()
}

fn clock(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
}
