// SPDX-License-Identifier: MPL-2.0
//! What a buffer that arrives says of its input: that it lives, and how late it is. Nothing here is sent.

use super::bases::APART;
use super::brain::Outbox;
use super::cut;
use super::delays::signed;
use super::lateness::Lateness;
use super::pace::Times;
use super::pad::Place;
use super::standby::Coding;
use super::state::{Input, Sink, State};
use super::timeline::Change;
use crate::policy::{InputId, Moment, Observation, Span, StreamId};
use gst::subclass::prelude::*;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering::Relaxed;

/// Nobody waits longer than this for a key frame that is due.
const LONGEST_GOP: i64 = 10_000_000_000;

impl State {
    /// A buffer is a sign of life. But one of the active input counts only when its stream is sent, or may be
    /// soon: what is refused for ever shows nothing. Returns whether the policy is to hear of it at once.
    pub(super) fn note_life(
        &mut self,
        place: &Place,
        times: Times,
        key: bool,
        now: Moment,
    ) -> bool {
        let is_sent = self.is_sent(place.input);
        let Some(sink) = self.sink_mut(place.input, place.stream) else {
            return false;
        };
        let last = sink.stamp.filter(|_| is_sent && !sink.open);
        let Some(last) = last else {
            sink.stamp = Some(now);
            return std::mem::take(&mut sink.announce);
        };
        sink.refused_key |= key;
        let until = self.awaited_until(place, times, now).min(now);
        if let Some(sink) = self.sink_mut(place.input, place.stream) {
            sink.stamp = Some(last.max(until));
        }
        false
    }

    /// Until when a stream of the active input is waited for that is not sent yet.
    fn awaited_until(&self, place: &Place, times: Times, now: Moment) -> Moment {
        let latency = signed(self.reported_latency().0.nseconds());
        let output = self.outputs.get(&place.stream);
        let end = output.and_then(|output| output.position);
        let Some(input) = self.inputs.get(&place.input) else {
            return now;
        };
        let Some(sink) = input.sinks.get(&place.stream) else {
            return now;
        };
        let apart = input.timeline.is_accompanied(place.stream, now.nanos());
        let now = signed(now.nanos());
        let from = end.map_or(sink.floor, |position| position.end.max(sink.floor));
        // Nothing can be sent before the next key frame.
        let key = sink.rhythm.next().map(|next| input.timeline.place(next));
        let due = key.filter(|at| !sink.refused_key && *at < now.saturating_add(LONGEST_GOP));
        let from = due.map_or(from, |at| from.max(at));
        let start = input.timeline.place(times.start);
        // It may come that much later than the others, which is not in the latency at first.
        let late = now.saturating_sub(start).min(APART);
        let latency = if apart { latency.max(late) } else { latency };
        let until = cut::awaited_until(from, start, now, latency);
        Moment::from_nanos(u64::try_from(until).unwrap_or(0))
    }

    pub(super) fn apply(
        &mut self,
        place: &Place,
        learned: Learned,
        now: Moment,
        outbox: &mut Outbox,
    ) {
        if let Some(pause) = learned.pause {
            self.note_rhythm(place, pause, now, outbox);
        }
        if let Some(late) = learned.late {
            self.allow(place.input, late, outbox);
        }
    }

    /// A stream pauses by its nature.
    fn note_rhythm(&mut self, place: &Place, pause: u64, now: Moment, outbox: &mut Outbox) {
        let (input, stream, pause) = (place.input, place.stream, Span::from_nanos(pause));
        if pause >= self.policy.config().timeout
            && let Some(sink) = self.sink(input, stream)
        {
            outbox.rhythm = Some((sink.pad.clone(), pause));
        }
        let rhythm = Observation::Rhythm {
            input,
            stream,
            pause,
        };
        self.consult(now, outbox, |policy| policy.observe(now, rhythm));
    }

    /// What comes late by habit is waited for from now on.
    fn allow(&mut self, input: InputId, seen: Lateness, outbox: &mut Outbox) {
        let before = self.reported_latency();
        if let Some(input) = self.inputs.get_mut(&input) {
            input.allowance.cover(seen, !input.timeline.is_live());
            let habits = || input.sinks.values().map(|sink| &sink.habit);
            if habits().all(|habit| habit.is_known() || !habit.has_begun()) {
                input.allowance.settle();
            }
        }
        outbox.latency_changed |= before != self.reported_latency();
    }
}

/// So much of a frame tells it from others: what differs in a picture differs in its first slice.
const TELLING: usize = 1_024;

impl Sink {
    /// Returns how long the stream pauses by its nature, when that changes.
    fn note_pause(&mut self, times: Times, now: Moment, timeout: u64) -> Option<u64> {
        // A shorter one is no silence.
        let least = timeout / 4 * 3;
        let step = self.pace.usual();
        self.cadence.note(now.nanos(), times.order, step, least)
    }

    /// Old content in the form of a new attempt shows nothing.
    pub(super) fn repeats(&mut self, buffer: &gst::BufferRef, now: Moment) -> bool {
        let Some(map) = buffer
            .map_readable()
            .ok()
            .filter(|_| self.format.coding != Coding::Raw)
        else {
            return false;
        };
        let mut hasher = DefaultHasher::new();
        map.len().hash(&mut hasher);
        hasher.write(map.get(..TELLING).unwrap_or(&map));
        self.past.is_old(hasher.finish(), now.nanos())
    }
}

/// What a buffer says of its stream's habits, now and then.
pub(super) struct Learned {
    /// How late it comes.
    late: Option<Lateness>,
    /// How long it pauses.
    pause: Option<u64>,
}

impl Input {
    /// The times of a buffer that has come, on the one time base of its input.
    pub(super) fn times(
        &mut self,
        stream: StreamId,
        buffer: &gst::BufferRef,
        now: Moment,
        longest: u64,
    ) -> Option<Times> {
        let live = self.timeline.is_live();
        let timeline = &self.timeline;
        let present = || signed(now.nanos()).saturating_sub(timeline.usual_delay());
        let sink = self.sinks.get_mut(&stream)?;
        let (times, is_timed) = sink.times(buffer, now, present, live, longest);
        if !is_timed {
            return Some(times);
        }
        let shift = self.timeline.align(stream, now.nanos(), times.order);
        Some(times.later_by(shift))
    }

    /// When a buffer came that is seen now for the first time.
    pub(super) fn came(&mut self, now: Moment) -> u64 {
        let freed = |sink: &Sink| sink.pad.imp().freed.load(Relaxed);
        let freed = self.sinks.values().map(freed).max().unwrap_or(0);
        self.reader.came(now.nanos(), freed)
    }

    /// What a buffer says of the time of its input: when it came, where it is seen for the first time, and each time that it is looked
    /// at.
    pub(super) fn take_note(
        &mut self,
        stream: StreamId,
        times: Times,
        came: Option<u64>,
        now: Moment,
        end: u64,
    ) {
        self.fed_since.get_or_insert(now);
        if let Some(came) = came {
            let timeline = &mut self.timeline;
            timeline.follow_late(stream, came, now.nanos(), times.order);
        }
        match self.timeline.observe(stream, now.nanos(), times.order, end) {
            Change::Nothing => (),
            Change::Stream => self.forget_kept(Some(stream)),
            Change::Input => self.forget_kept(None),
        }
    }

    /// What is seen of a buffer that came then, when it is looked at for the first time.
    pub(super) fn learn(
        &mut self,
        stream: StreamId,
        times: Times,
        came: u64,
        now: Moment,
        timeout: u64,
    ) -> Learned {
        let late = self.note_lateness(stream, times, came, now);
        let sink = self.sinks.get_mut(&stream);
        let pause = sink.and_then(|sink| sink.note_pause(times, now, timeout));
        Learned { late, pause }
    }

    /// How late a buffer is that came then. Returns how late its stream comes by habit, now and then.
    fn note_lateness(
        &mut self,
        stream: StreamId,
        times: Times,
        came: u64,
        now: Moment,
    ) -> Option<Lateness> {
        let late = self.timeline.late_by(came, times.order)?;
        let sink = self.sinks.get_mut(&stream)?;
        sink.habit.note(now.nanos(), times.order, late)
    }
}
