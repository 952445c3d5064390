// SPDX-License-Identifier: MPL-2.0
//! Events and queries of `failoverswitch`: what comes from an input goes out only while it is on air,
//! what comes from downstream goes to the input on air only.

use super::beginning::Beginning;
use super::brain::Outbox;
use super::delays::signed;
use super::format::Format;
use super::imp::FailoverSwitch;
use super::lane::Turn;
use super::pace::{self, Pace};
use super::pad::{FailoverSwitchPad, Place};
use super::state::Upstream;
use crate::policy::{InputId, Observation, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

impl FailoverSwitch {
    pub(super) fn sink_event(&self, pad: &FailoverSwitchPad, event: gst::Event) -> bool {
        let Some(place) = pad.imp().place.get() else {
            return false;
        };
        match event.view() {
            gst::EventView::FlushStart(_) => self.flush_start(pad, place, &event),
            gst::EventView::FlushStop(_) => self.flush_stop(pad, place, &event),
            gst::EventView::StreamStart(_) => {
                // Where it gets this far no flush is on, whatever a source that has gone still said.
                pad.imp().flushing.store(false, Relaxed);
                self.lag(place, gst::ClockTime::ZERO);
                self.stream_start(place)
            }
            gst::EventView::Caps(caps) => self.caps(pad, place, caps.caps()),
            gst::EventView::Segment(segment) => {
                pad.imp().ask_latency.store(true, Relaxed);
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                if let Some(sink) = self.state().sink_mut(place.input, place.stream) {
                    // Another format says nothing of time: such buffers count as of their arrival.
                    sink.segment = segment;
                }
                true
            }
            gst::EventView::Gap(gap) => self.gap(pad, place, gap),
            gst::EventView::Eos(_) => self.end_of_stream(pad, place),
            gst::EventView::Tag(_) => self.send_if_on_air(place, event),
            // The output's segment is endless, and its time its own: what an input does to its own ends with it.
            gst::EventView::SegmentDone(_) | gst::EventView::InstantRateChange(_) => true,
            gst::EventView::StreamCollection(_) | gst::EventView::StreamGroupDone(_) => true,
            _ => match crate::lag::of(&event) {
                Some(lag) => self.lag(place, lag),
                None => self.send_if_on_air(place, event),
            },
        }
    }

    fn stream_start(&self, place: &Place) -> bool {
        let is_owned = self.is_owned();
        let is_back = {
            let mut state = self.state();
            let now = self.time.now();
            let on_air = state.is_on_air(place.input);
            let Some(input) = state.inputs.get_mut(&place.input) else {
                return false;
            };
            let had_ended = input.is_eos();
            let Some(sink) = input.sinks.get_mut(&place.stream) else {
                return false;
            };
            if sink.beginning.is_made() && !on_air {
                // Another stream in its place; one that joins its input counts as the others do.
                input.timeline.reset();
            }
            sink.announce = true;
            sink.beginning = Beginning::Awaited;
            sink.open = false;
            sink.pace = Pace::default();
            sink.standby.clear();
            let was_eos = std::mem::take(&mut sink.eos);
            let was_gone = std::mem::take(&mut sink.gone);
            input.note_begin(now, is_owned);
            if on_air {
                state.forget_withheld(Some(place.stream));
                if had_ended {
                    state.leave();
                }
            }
            state.revive(place.stream, was_eos);
            was_eos | was_gone
        };
        if is_back {
            let (input, stream) = (place.input, place.stream);
            self.consult(|policy, now| {
                policy.observe(now, Observation::StreamAdded { input, stream });
            });
        }
        true
    }

    fn caps(&self, pad: &FailoverSwitchPad, place: &Place, caps: &gst::CapsRef) -> bool {
        pad.imp().ask_latency.store(true, Relaxed);
        let lane = self.lane_of(pad, place);
        let mut outbox = Outbox::default();
        let send = {
            let mut state = self.state();
            let now = self.time.now();
            let on_air = state.is_sent(place.input);
            let Some(sink) = state.sink_mut(place.input, place.stream) else {
                return false;
            };
            let known = sink.format.media;
            sink.set_format(Format::of(caps));
            let (open, format) = (sink.open, sink.format.clone());
            if format.media != known {
                let (stream, media) = (place.stream, format.media);
                let what = Observation::StreamIs { stream, media };
                state.consult(now, &mut outbox, |policy| policy.observe(now, what));
            }
            let output = state.outputs.get_mut(&place.stream);
            // Each frame brings its caps. Where none is sent before, downstream has them at once: an ALLOCATION
            // query may follow.
            let next = output.filter(|o| on_air && open && o.started && o.withheld.is_empty());
            next.and_then(|output| output.caps_before(&format))
        };
        let sent = send.is_none_or(|caps| self.emit(place, gst::event::Caps::new(&caps)));
        drop(lane);
        self.say(outbox);
        sent
    }

    /// Ordered with the buffers on air; the outlet keeps that order itself.
    fn lane_of<'a>(&self, pad: &FailoverSwitchPad, place: &'a Place) -> Option<Turn<'a>> {
        let own = pad.imp().on_air.load(Relaxed) && !place.outlet.is_open();
        own.then(|| place.lane.enter())
    }

    fn gap(&self, pad: &FailoverSwitchPad, place: &Place, gap: &gst::event::Gap) -> bool {
        let (begin, duration) = gap.get();
        // A depayloader says this of what was lost, and so of a sender that has died.
        let is_missing = gap.gap_flags().contains(gst::GapFlags::DATA);
        let _lane = self.lane_of(pad, place);
        let believed = {
            let mut state = self.state();
            let now = self.time.now();
            let open = state.is_on_air(place.input) && !state.halted;
            let longest = state.policy.config().timeout.nanos();
            let end = signed(state.outputs.get(&place.stream).map_or(0, |o| o.end()));
            let Some(input) = state.inputs.get_mut(&place.input) else {
                return false;
            };
            let timeline = &input.timeline;
            let (offset, live) = (timeline.offset_of(place.stream), timeline.is_live());
            let Some(sink) = input.sinks.get_mut(&place.stream) else {
                return false;
            };
            if !is_missing {
                // Nothing to play, but somebody is there.
                sink.stamp = sink.stamp.map(|_| now);
            }
            let running = match &sink.segment {
                Some(segment) => segment.to_running_time(begin),
                None => Some(begin),
            };
            running.filter(|_| open && sink.open).and_then(|running| {
                let at = signed(running.nseconds()).saturating_add(offset);
                let lasts = duration.map(gst::ClockTime::nseconds);
                let around = [signed(now.nanos()), end];
                let lasts = match live {
                    true => pace::believe_gap(at, lasts, around, longest)?,
                    false => lasts,
                };
                let start = gst::ClockTime::from_nseconds(u64::try_from(at).unwrap_or(0));
                Some((start, lasts.map(gst::ClockTime::from_nseconds)))
            })
        };
        believed.is_none_or(|(start, duration)| {
            let event = gst::event::Gap::builder(start).duration(duration).build();
            self.emit(place, event)
        })
    }

    fn send_if_on_air(&self, place: &Place, event: gst::Event) -> bool {
        let sends = || {
            let state = self.state();
            let begun = state
                .outputs
                .get(&place.stream)
                .is_some_and(|output| output.started);
            begun && state.is_sent(place.input)
        };
        if !sends() {
            return true;
        }
        if !event.is_serialized() {
            return place.output.push_event(event);
        }
        let _lane = (!place.outlet.is_open()).then(|| place.lane.enter());
        !sends() || self.emit(place, event)
    }

    pub(super) fn src_event(&self, stream: StreamId, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Seek {
            // Several inputs have no position in common to go to.
            gst::debug!(super::CAT, imp = self, "a seek is refused");
            return false;
        }
        if event.type_() == gst::EventType::Latency {
            let pads = self.sinks_of(None, stream);
            // Every input has to know, whatever another one answers.
            let deaf = pads
                .iter()
                .filter(|pad| !pad.push_event(event.clone()))
                .count();
            return deaf == 0;
        }
        let on_air = self.state().on_air;
        let Some(input) = on_air else {
            return false;
        };
        let event = self.in_input_time(input, stream, event);
        let pads = self.sinks_of(Some(input), stream);
        pads.first().is_some_and(|pad| pad.push_event(event))
    }

    /// Downstream speaks of the output's time, an input only understands its own.
    fn in_input_time(&self, input: InputId, stream: StreamId, event: gst::Event) -> gst::Event {
        let offset = match self.state().inputs.get(&input) {
            Some(input) => input.timeline.offset_of(stream),
            None => 0,
        };
        if offset == 0 {
            return event;
        }
        let shift = |time: gst::ClockTime| {
            let time = signed(time.nseconds()).saturating_sub(offset);
            gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
        };
        if let gst::EventView::Qos(qos) = event.view() {
            let (type_, proportion, diff, timestamp) = qos.get();
            let timestamp = timestamp.map(shift);
            // No time before zero can be told: in the input's time that may come sooner than in the output's.
            let earliest = timestamp.map_or(i64::MIN, |at| -signed(at.nseconds()));
            return gst::event::Qos::builder(type_, proportion, diff.max(earliest))
                .timestamp(timestamp)
                .build();
        }
        match gst_video::UpstreamForceKeyUnitEvent::parse(&event) {
            Ok(request) => gst_video::UpstreamForceKeyUnitEvent::builder()
                .running_time(request.running_time.map(shift))
                .all_headers(request.all_headers)
                .count(request.count)
                .build(),
            Err(_) => event,
        }
    }

    pub(super) fn src_query(&self, stream: StreamId, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                self.ask_all_latencies();
                let (min, max) = self.state().reported_latency();
                latency.set(true, min, max);
                true
            }
            gst::QueryViewMut::Caps(caps) => {
                caps.set_result(&self.possible_caps(stream, caps.filter()));
                true
            }
            gst::QueryViewMut::Seeking(seeking) => {
                let format = seeking.format();
                let nowhere = gst::GenericFormattedValue::none_for_format(format);
                seeking.set(false, nowhere, nowhere);
                true
            }
            _ => {
                let on_air = self.state().on_air;
                let pads = self.sinks_of(on_air, stream);
                pads.first().is_some_and(|pad| pad.peer_query(query))
            }
        }
    }

    fn ask_all_latencies(&self) {
        let pads: Vec<_> = {
            let state = self.state();
            let sinks = state.inputs.values().flat_map(|input| input.sinks.values());
            sinks.map(|sink| sink.pad.clone()).collect()
        };
        for pad in pads {
            if let (Some(upstream), Some(place)) = (Upstream::ask(&pad), pad.imp().place.get()) {
                self.state().set_upstream(place, upstream);
            }
        }
    }

    /// All that any input may send.
    fn possible_caps(&self, stream: StreamId, filter: Option<&gst::CapsRef>) -> gst::Caps {
        let filter = filter.map(ToOwned::to_owned);
        let pads = self.sinks_of(None, stream);
        let answers = pads.iter().map(|pad| pad.peer_query_caps(filter.as_ref()));
        answers
            .reduce(|mut all, caps| {
                all.merge(caps);
                all
            })
            .or(filter)
            .unwrap_or_else(gst::Caps::new_any)
    }

    pub(super) fn sink_query(&self, pad: &FailoverSwitchPad, query: &mut gst::QueryRef) -> bool {
        let Some(place) = pad.imp().place.get() else {
            return false;
        };
        if query.is_serialized() {
            return self.ask_behind_data(pad, place, query);
        }
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                let filter = caps.filter_owned();
                caps.set_result(&place.output.peer_query_caps(filter.as_ref()));
                true
            }
            gst::QueryViewMut::AcceptCaps(accept) => {
                let accepted = place.output.peer_query_accept_caps(&accept.caps_owned());
                accept.set_result(accepted);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// What is answered behind the data that went before it is for the input on air alone: a standby has nothing
    /// downstream, and would wait there for what another one has.
    fn ask_behind_data(
        &self,
        pad: &FailoverSwitchPad,
        place: &Place,
        query: &mut gst::QueryRef,
    ) -> bool {
        let on_air = self.state().is_on_air(place.input);
        // What an outlet holds would starve a pool of downstream's, and is not drained by a question.
        let on_air = on_air && !place.outlet.is_open();
        // Downstream's buffers are of no use behind a decoder.
        let is_of_use = query.type_() != gst::QueryType::Allocation || !self.is_owned();
        // Where a queue follows, the answer takes as long as a sink holds a buffer.
        pad.imp().pushes.step();
        let answered = on_air && is_of_use && place.output.peer_query(query);
        pad.imp().pushes.step();
        answered
    }

    /// The sink pads that feed a stream: of one input, or of all.
    fn sinks_of(&self, input: Option<InputId>, stream: StreamId) -> Vec<FailoverSwitchPad> {
        let state = self.state();
        let inputs = state
            .inputs
            .iter()
            .filter(|(id, _)| input.is_none_or(|i| i == **id));
        inputs
            .filter_map(|(_, input)| input.sinks.get(&stream))
            .map(|sink| sink.pad.clone())
            .collect()
    }
}
