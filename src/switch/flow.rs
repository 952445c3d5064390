// SPDX-License-Identifier: MPL-2.0
//! A buffer's way through `failoverswitch`: it arrives, and is kept by a standby, waits for its time,
//! makes the cut that was waiting for it, or is sent. Decides nothing about which input is on air.

use super::brain::Outbox;
use super::delays::signed;
use super::ending::has_end;
use super::imp::FailoverSwitch;
use super::pace::Times;
use super::pad::{FailoverSwitchPad, Place};
use super::sending::Parcel;
use super::standby::{Bounds, Coding};
use super::state::{JUST_NOW, State, Upstream};
use super::{CAT, SwitchEvent};
use crate::policy::{InputId, Moment};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

/// What a jitter buffer may give a live buffer too early a time: no reason to hold up the thread that brings it.
const JITTER: i64 = 100_000_000;

/// What becomes of a buffer.
#[derive(Debug)]
pub(super) enum Step {
    Kept,
    /// Kept, and nothing more is wanted before then.
    Rest(Moment),
    /// Not due yet.
    Wait(Moment),
    /// On air: come again, in the lane.
    Enter,
    Send(Parcel),
    /// The outlet has it; `full`: of too much already.
    Held {
        full: bool,
        flow: Flow,
    },
}

/// What is so from when a buffer comes, however often it is looked at before it goes on.
#[derive(Default)]
struct Arrival {
    attempt: Option<u64>,
    times: Option<Times>,
}

pub(super) type Flow = Result<gst::FlowSuccess, gst::FlowError>;

impl FailoverSwitch {
    pub(super) fn chain(&self, pad: &FailoverSwitchPad, buffer: gst::Buffer) -> Flow {
        let shell = pad.imp();
        let Some(place) = shell.place.get() else {
            return Err(gst::FlowError::NotLinked);
        };
        if shell.ask_latency.swap(false, Relaxed) {
            self.ask_latency(pad, place);
            self.look_downstream();
        }
        let pts = buffer.pts();
        let mut buffer = Some(buffer);
        let mut enter = false;
        let mut arrival = Arrival::default();
        loop {
            if pad.is_flushing() {
                return Err(gst::FlowError::Flushing);
            }
            enter |= shell.on_air.load(Relaxed);
            let open = place.outlet.is_open();
            let lane = (enter && !open).then(|| place.lane.enter());
            let mut outbox = Outbox::default();
            let step = {
                let mut state = self.state();
                let now = self.time.now();
                let arrival = &mut arrival;
                let in_lane = open || lane.is_some();
                state.arrive(place, &mut buffer, arrival, now, in_lane, &mut outbox)
            };
            self.say(outbox);
            gst::trace!(CAT, obj = pad, "{pts:?}: {step:?}");
            match step {
                Step::Kept => return Ok(gst::FlowSuccess::Ok),
                Step::Rest(until) => {
                    self.time.wait_until(until, &shell.wait);
                    self.set_free(pad);
                    return Ok(gst::FlowSuccess::Ok);
                }
                Step::Enter => enter = true,
                Step::Send(parcel) => return self.send(pad, place, parcel),
                Step::Held { full, flow } => {
                    drop(lane);
                    return self.held(pad, place, full, flow);
                }
                Step::Wait(due) => {
                    drop(lane);
                    self.time.wait_until(due, &shell.wait);
                    self.set_free(pad);
                }
            }
        }
    }

    /// The thread of upstream goes back to it, after it was held up.
    fn set_free(&self, pad: &FailoverSwitchPad) {
        pad.imp().freed.store(self.time.now().nanos(), Relaxed);
    }

    /// Sends in the lane, with no other lock held.
    fn send(&self, pad: &FailoverSwitchPad, place: &Place, parcel: Parcel) -> Flow {
        for event in parcel.events {
            place.output.push_event(event);
        }
        let pushes = &pad.imp().pushes;
        pushes.step();
        let mut flow = Ok(gst::FlowSuccess::Ok);
        for ready in parcel.first.into_iter().chain(parcel.more) {
            if let Some(caps) = ready.caps {
                // Whatever becomes of the frames, these count as sent.
                place.output.push_event(gst::event::Caps::new(&caps));
            }
            if flow.is_ok() {
                flow = place.output.push(ready.buffer);
            }
        }
        pushes.step();
        self.set_free(pad);
        self.answer(pad, place, flow)
    }

    fn held(&self, pad: &FailoverSwitchPad, place: &Place, full: bool, flow: Flow) -> Flow {
        if !full {
            return self.answer(pad, place, flow);
        }
        let pushes = &pad.imp().pushes;
        pushes.step();
        let flow = self.wait_for_room(pad, place);
        pushes.step();
        self.set_free(pad);
        self.answer(pad, place, flow)
    }

    /// What upstream is told of what downstream said.
    fn answer(&self, pad: &FailoverSwitchPad, place: &Place, flow: Flow) -> Flow {
        if flow == Err(gst::FlowError::Flushing) && !pad.is_flushing() {
            // Another input's flush, or downstream's own: a source that is told of it would stop for good.
            return Ok(gst::FlowSuccess::Ok);
        }
        if flow == Err(gst::FlowError::Eos) {
            return self.ended_by_downstream(place);
        }
        if flow == Err(gst::FlowError::NotLinked) && (self.is_owned() || self.has_further_outputs())
        {
            // Whoever does not link the sound still wants the picture.
            return Ok(gst::FlowSuccess::Ok);
        }
        flow
    }

    /// Downstream wants no more of this stream: that is its end, and no input's failure.
    fn ended_by_downstream(&self, place: &Place) -> Flow {
        let first = {
            let mut state = self.state();
            let output = state.outputs.get_mut(&place.stream);
            output.is_some_and(|output| !std::mem::replace(&mut output.eos, true))
        };
        if first {
            self.listen(SwitchEvent::Ended(place.stream));
            self.emit(place, gst::event::Eos::new());
        }
        if self.is_owned() {
            return Ok(gst::FlowSuccess::Ok);
        }
        Err(gst::FlowError::Eos)
    }

    fn has_further_outputs(&self) -> bool {
        self.state().outputs.len() > 1
    }

    fn ask_latency(&self, pad: &FailoverSwitchPad, place: &Place) {
        let has_end = has_end(pad);
        if let Some(input) = self.state().inputs.get_mut(&place.input) {
            input.was_endless |= !has_end;
            if let Some(sink) = input.sinks.get_mut(&place.stream) {
                sink.has_end = has_end;
            }
        }
        let Some(upstream) = Upstream::ask(pad) else {
            return;
        };
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
        arrival: &mut Arrival,
        now: Moment,
        in_lane: bool,
        outbox: &mut Outbox,
    ) -> Step {
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return Step::Kept;
        };
        let is_new = arrival.attempt.is_none();
        let present = input.attempt_of(place.stream);
        if *arrival.attempt.get_or_insert(present) != present {
            // It waited until another attempt had begun.
            return Step::Kept;
        }
        let Some(sent) = buffer.as_deref() else {
            // It was kept for the cut that it made: what is kept begins now.
            return self.begin_or_ask(place, now, in_lane, outbox);
        };
        if self.halted {
            return self.halt(place.input);
        }
        let end = self.outputs.get(&place.stream).map_or(0, |o| o.end());
        let Some(sink) = input.sinks.get_mut(&place.stream) else {
            return Step::Kept;
        };
        if is_new && input.may_repeat && input.was_endless && sink.repeats(sent, now) {
            return Step::Kept;
        }
        let key = !sent.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if !sink.begins_with(sent) {
            let wanted = sink.ageing.came(now, false);
            outbox.ask_key_frame(Some(&*sink).filter(|_| wanted));
            return Step::Kept;
        }
        let is_sent_in_order = sink.open && sink.format.coding == Coding::Delta;
        let longest = self.policy.config().timeout.nanos();
        let read = || input.times(place.stream, sent, now, longest);
        arrival.times = arrival.times.or_else(read);
        let Some(times) = arrival.times else {
            return Step::Kept;
        };
        let came = is_new.then(|| input.came(now));
        input.take_note(place.stream, times, came, now, end);
        let is_behind = is_sent_in_order && input.timeline.is_behind(times.order, end);
        if let Some(came) = came {
            let learned = input.learn(place.stream, times, came, now, longest);
            self.apply(place, learned, now, outbox);
        }
        if is_behind {
            self.begin_anew_behind(place, times, now, outbox);
        }
        // A frame that waits for its time is no sign of life before it has come, but where time does not pass yet.
        let mut due = self.not_before(place.input, times, now);
        let waits = due.is_some() && !self.is_prerolling();
        let announce = !waits && self.note_life(place, times, key, now);
        if self.look_now(announce, now, outbox) {
            due = self.not_before(place.input, times, now);
        }
        if let Some(due) = due {
            return Step::Wait(due);
        }
        match buffer.take() {
            Some(taken) => self.dispatch(place, times, taken, buffer, now, in_lane, outbox),
            None => Step::Kept,
        }
    }

    /// The alarm may be late; who comes by does its work. Returns whether there was any: what is on air may be another input.
    fn look_now(&mut self, announce: bool, now: Moment, outbox: &mut Outbox) -> bool {
        let overdue = self.next_wake.is_some_and(|at| at <= now);
        if announce || overdue {
            self.consult(now, outbox, |policy| {
                if overdue {
                    policy.wake(now);
                }
            });
        }
        announce || overdue
    }

    /// Live goes on with what is then now; what is not live goes on where it was, so it waits.
    fn halt(&self, input: InputId) -> Step {
        let input = self.inputs.get(&input);
        match input.is_none_or(|input| input.timeline.is_live()) {
            true => Step::Kept,
            false => Step::Wait(Moment::from_nanos(u64::MAX)),
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
        if self.is_sent(place.input) {
            if self.is_open(place) {
                if !in_lane {
                    *buffer = Some(taken);
                    return Step::Enter;
                }
                return self.steady(place, times, taken, now);
            }
            self.keep(place, times, taken, now, outbox);
            return if self.pending.as_ref().is_some_and(|p| p.gate.is_some()) {
                Step::Kept
            } else {
                self.begin_or_ask(place, now, in_lane, outbox)
            };
        }
        self.keep(place, times, taken, now, outbox);
        if self.pending.as_ref().is_some_and(|p| p.to == place.input)
            && self.try_cut(place, now, outbox)
        {
            return self.begin_or_ask(place, now, in_lane, outbox);
        }
        self.rest(place.input, times, now)
            .map_or(Step::Kept, Step::Rest)
    }

    /// Until when the thread of a standby may rest, unless it is to go on air.
    fn rest(&mut self, input: InputId, times: Times, now: Moment) -> Option<Moment> {
        let timeout = self.policy.config().timeout.nanos();
        let takes_part = self.pending.as_ref().is_some_and(|p| p.to == input);
        let input = self.inputs.get_mut(&input)?;
        if takes_part {
            return None;
        }
        let (offset, now) = (input.timeline.offset(), signed(now.nanos()));
        let until = input.rest.after(times.order, offset, now, timeout)?;
        let until = u64::try_from(until).ok()?;
        input.reader.rest(until);
        Some(Moment::from_nanos(until))
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
        let early = due.saturating_sub(signed(now.nanos()));
        let at_once = if timeline.is_live() { JITTER } else { 0 };
        if early <= at_once {
            return None;
        }
        let takes_part =
            self.is_on_air(input) || self.pending.as_ref().is_some_and(|p| p.to == input);
        if takes_part && (timeline.is_live() || self.is_prerolling()) {
            return None;
        }
        // A standby's buffer stays until it would be too late, so that a cut may still want it.
        let grace = if takes_part {
            0
        } else {
            self.upstream_min(input)
        };
        let due = u64::try_from(due).ok()?.saturating_add(grace);
        Some(Moment::from_nanos(due))
    }

    fn upstream_min(&self, input: InputId) -> u64 {
        let sinks = self
            .inputs
            .get(&input)
            .into_iter()
            .flat_map(|i| i.sinks.values());
        let latencies = sinks.filter_map(|sink| sink.upstream).map(|u| u.min);
        latencies.max().unwrap_or_default().nseconds()
    }

    fn keep(
        &mut self,
        place: &Place,
        times: Times,
        buffer: gst::Buffer,
        now: Moment,
        outbox: &mut Outbox,
    ) {
        let window = signed(self.reported_latency().0.nseconds()).saturating_add(JUST_NOW);
        let bounds = Bounds {
            // What the latency asks for is not too long.
            time: self.bounds.time.max(u64::try_from(window).unwrap_or(0)),
            ..self.bounds
        };
        let is_on_air = self.is_on_air(place.input);
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return;
        };
        let from = signed(now.nanos()).saturating_sub(window);
        let from = from.saturating_sub(input.timeline.offset());
        let from = input.keeps_from(place.stream, from, is_on_air);
        if let Some(sink) = input.sinks.get_mut(&place.stream) {
            sink.buffers += 1;
            let piece = sink.frame(buffer).piece(times);
            if piece.key {
                sink.rhythm.key(piece.start);
            }
            let aged = sink.ageing.came(now, piece.key);
            let wanted = sink.standby.push(piece, sink.format.coding, from, bounds) || aged;
            outbox.ask_key_frame(Some(&*sink).filter(|_| wanted));
        }
    }
}
