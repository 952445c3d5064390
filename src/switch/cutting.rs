// SPDX-License-Identifier: MPL-2.0
//! The cut itself: found by the rules in `cut.rs`, made for all streams of the input at once, begun
//! with what the standby kept, and reported.

use super::SwitchEvent;
use super::brain::Outbox;
use super::cut::{self, Cut, Situation};
use super::flow::Step;
use super::pace::Times;
use super::pad::Place;
use super::report::Report;
use super::standby::Coding;
use super::state::{JUST_NOW, PATIENCE, Pending, State};
use crate::policy::{InputId, Moment, Observation, Span, StreamId};
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

/// A key frame that does not come is asked for again.
const ASK_AGAIN: Span = Span::from_millis(500);
/// No picture is taken for shorter.
const SHORTEST: i64 = 10_000_000;
/// Key frames that may come too late before the input is moved.
const MOST_MISSED: u32 = 2;

/// A cut that is about to be made.
pub(super) struct Plan {
    to: InputId,
    /// The stream that decided.
    gate: StreamId,
    /// Output time: nothing of the new input is shown before it.
    start: i64,
    /// How much later the new input is placed from now on.
    shift: i64,
    /// The input that is left still delivers.
    alive: bool,
    /// A decoder gets what lies before `start`, and does not show it.
    catch_up: bool,
}

impl Plan {
    /// From whatever comes next on.
    pub(super) fn new(to: InputId, gate: StreamId, alive: bool) -> Self {
        Self {
            to,
            gate,
            start: i64::MIN,
            shift: 0,
            alive,
            catch_up: false,
        }
    }
}

impl State {
    /// Makes the cut to this input if what has come allows it.
    pub(super) fn try_cut(&mut self, place: &Place, now: Moment, outbox: &mut Outbox) -> bool {
        let gate = self.gate_of(place.input).unwrap_or(place.stream);
        let settled = self
            .inputs
            .get(&place.input)
            .is_some_and(|input| input.timeline.is_settled());
        if gate != place.stream || !settled {
            return false;
        }
        if self.is_incomplete(place.input, now) {
            return false;
        }
        let mut situation = self.situation(place.input, gate, now);
        let pieces = self.placed(place.input, gate);
        let Some(pending) = self.pending.as_mut() else {
            return false;
        };
        situation.waited = pending
            .ready_since
            .is_some_and(|since| now - since >= PATIENCE);
        situation.missed = pending.missed >= MOST_MISSED;
        match cut::find(&situation, &pieces) {
            Cut::At { first, shift } => {
                let start = pieces
                    .get(first)
                    .map_or(i64::MIN, |p| p.start.saturating_add(shift));
                let plan = Plan {
                    start,
                    shift,
                    ..Plan::new(place.input, gate, situation.alive)
                };
                self.make_cut(plan, now, outbox);
                true
            }
            Cut::CatchUp { first, show } => {
                let unseen = pieces.iter().skip(first).filter(|p| p.end <= show).count();
                pending.unseen = u32::try_from(unseen).unwrap_or(u32::MAX);
                let plan = Plan {
                    start: show,
                    catch_up: true,
                    ..Plan::new(place.input, gate, situation.alive)
                };
                self.make_cut(plan, now, outbox);
                true
            }
            Cut::Ready => {
                pending.ready_since.get_or_insert(now);
                let fitting = pieces.last().filter(|p| p.key);
                if situation.coding == Coding::Delta && pending.gate.is_none() {
                    pending.gate = fitting.map(|p| p.middle());
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

    pub(super) fn make_cut(&mut self, plan: Plan, now: Moment, outbox: &mut Outbox) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        let Plan { to, gate, .. } = plan;
        let removed = self.removed.take().filter(|gone| *gone != to);
        let from = self.on_air.replace(to).or(removed);
        let report = self.report(gate, &pending, from, plan.start, now);
        if let Some(old) = from
            .filter(|from| *from != to)
            .and_then(|f| self.inputs.get_mut(&f))
        {
            old.timeline.freeze(false);
            for sink in old.sinks.values_mut() {
                sink.open = false;
                sink.standby.clear();
                sink.pad.imp().on_air.store(false, Relaxed);
            }
            old.wake_waiters();
        }
        self.take_back(&plan);
        if let Some(new) = self.inputs.get_mut(&to) {
            new.timeline.delay_by(plan.shift);
            new.timeline.freeze(true);
            for (stream, sink) in &mut new.sinks {
                sink.open = false;
                sink.refused_key = false;
                // While the old input lives, its sound goes on until the new one's fits on.
                let follows = plan.alive && (*stream != gate || !plan.catch_up);
                sink.floor = if follows { i64::MIN } else { plan.start };
                // A stream that has not come yet: its only key frame may lie before what was shown.
                sink.catch_up = plan.catch_up || self.unseen && !sink.is_known();
                sink.pad.imp().on_air.store(true, Relaxed);
            }
            new.wake_waiters();
        }
        for output in self.outputs.values_mut() {
            output.withheld.clear();
            output.discont = true;
            output.sticky_due = true;
        }
        if from.is_some() {
            self.switches += 1;
        }
        self.last_report = Some(report.clone());
        self.policy.observe(now, Observation::Cut { input: to });
        self.note(SwitchEvent::Switched(report), outbox);
    }

    /// What is held back of the old input from the cut on is not sent; of its further streams no more
    /// than the new input has brought.
    fn take_back(&mut self, plan: &Plan) {
        if plan.start == i64::MIN {
            return;
        }
        let cuts: Vec<_> = self
            .outputs
            .keys()
            .filter_map(|stream| {
                let pieces = self.placed(plan.to, *stream);
                let first = pieces
                    .into_iter()
                    .find(|piece| piece.middle() >= plan.start)?;
                Some((*stream, first.start.saturating_sub(first.half())))
            })
            .collect();
        for (stream, at) in cuts {
            if let Some(output) = self.outputs.get_mut(&stream) {
                output.take_back(at);
            }
        }
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
            Coding::Raw | Coding::Independent => Span::ZERO,
        };
        // Less than one picture is missing.
        let no_hole = situation.position.is_none_or(|p| {
            let length = p.end.saturating_sub(p.start).max(SHORTEST);
            start < p.end.saturating_add(length)
        });
        let decoding = situation.decoding.saturating_mul(i64::from(pending.unseen));
        let ready = situation.now.saturating_add(decoding);
        Report {
            from,
            to: pending.to,
            cause: pending.cause,
            running_time: now,
            detection: pending.detection,
            gap: output
                .and_then(|o| o.sent_at)
                .map_or(Span::ZERO, |sent| now - sent),
            hidden: from.is_some()
                && no_hole
                && start.saturating_add(situation.latency) >= ready.saturating_sub(JUST_NOW / 2),
            decoded_unseen: pending.unseen,
            key_frame_wait,
            av_offset: self.av_offset(pending.to, gate, start),
        }
    }

    /// How far from the picture's start the sound of the same input will start: raw sound is cut there, of
    /// encoded sound the piece is sent that lies behind it for the greater part.
    fn av_offset(&self, input: InputId, gate: StreamId, start: i64) -> i64 {
        let streams = self.inputs.get(&input).map(|i| &i.sinks);
        let mut others = streams.into_iter().flatten();
        let sound =
            others.find(|(stream, sink)| **stream != gate && sink.format.coding != Coding::Delta);
        let Some((stream, sink)) = sound else {
            return 0;
        };
        let is_cut = sink.format.samples.is_some();
        let pieces = self.placed(input, *stream);
        let mut behind = pieces.iter().filter(|piece| match is_cut {
            true => piece.end > start,
            false => piece.middle() >= start,
        });
        let offset = behind
            .next()
            .map_or(0, |piece| piece.start.saturating_sub(start));
        if is_cut { offset.max(0) } else { offset }
    }

    /// Begins with what has come; where it is a key frame that does not fit, the next one is asked for.
    pub(super) fn begin_or_ask(
        &mut self,
        place: &Place,
        now: Moment,
        in_lane: bool,
        outbox: &mut Outbox,
    ) -> Step {
        let step = self.begin(place, now, in_lane);
        if matches!(step, Step::Kept)
            && self.is_on_air(place.input)
            && let Some(sink) = self.sink_mut(place.input, place.stream)
            && sink
                .standby
                .pieces()
                .next_back()
                .is_some_and(|newest| newest.key)
        {
            sink.ageing.ask(now);
            outbox.ask_key_frame(Some(sink));
        }
        step
    }

    /// Pictures whose time went far back, since what was sent had run ahead of the clock, wait for a key frame that
    /// has come up to it; a decoder gets one before that and does not show it. Of all else no more than
    /// that much is left out.
    pub(super) fn begin_anew_behind(
        &mut self,
        place: &Place,
        times: Times,
        now: Moment,
        outbox: &mut Outbox,
    ) {
        let output = self.outputs.get(&place.stream);
        let shown_from = output.map_or(0, |output| output.shown_from);
        let input = self.inputs.get(&place.input);
        if input.is_some_and(|input| input.timeline.place(times.start) < shown_from) {
            // A decoder has it so already.
            return;
        }
        let unseen = self.unseen;
        if let Some(sink) = self.sink_mut(place.input, place.stream) {
            sink.open = false;
            sink.floor = i64::MIN;
            sink.catch_up = unseen;
            sink.ageing.ask(now);
            outbox.ask_key_frame(Some(sink));
        }
    }

    /// The first buffers of an input that has come on air: what its standby kept, from the cut on.
    fn begin(&mut self, place: &Place, now: Moment, in_lane: bool) -> Step {
        if !self.is_on_air(place.input) {
            return Step::Kept;
        }
        if !in_lane {
            return Step::Enter;
        }
        if self.is_flushing(place) {
            return Step::Kept;
        }
        let situation = self.situation(place.input, place.stream, now);
        let pieces = self.placed(place.input, place.stream);
        let Some(sink) = self.sink_mut(place.input, place.stream) else {
            return Step::Kept;
        };
        let floor = sink.floor;
        let end = situation.position.map_or(i64::MIN, |position| position.end);
        let catch_up = sink.catch_up && situation.position.is_some();
        let situation = Situation {
            unseen: catch_up,
            ..situation
        };
        let show = if catch_up { floor.max(end) } else { floor };
        let first = cut::follow(&situation, &pieces, show);
        if first >= pieces.len() {
            return Step::Kept;
        }
        sink.open = true;
        sink.stamp = Some(now);
        sink.refused_key = false;
        sink.floor = i64::MIN;
        sink.catch_up = false;
        sink.pad.imp().on_air.store(true, Relaxed);
        let taken = sink.standby.take_from(first);
        let led = situation.coding == Coding::Delta && !catch_up;
        let key = pieces.get(first).filter(|_| led).copied();
        if let Some(output) = self.outputs.get_mut(&place.stream) {
            if catch_up {
                output.segment_due = true;
                output.shown_from = show;
            }
            output.heard_from = floor.max(end);
            output.led_by = key;
        }
        let pieces = taken.into_iter().map(|piece| {
            let times = Times {
                order: piece.order,
                start: piece.start,
                duration: piece.duration,
            };
            (times, piece.value)
        });
        self.send_all(place, pieces, now)
    }
}
