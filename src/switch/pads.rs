// SPDX-License-Identifier: MPL-2.0
//! The pads of `failoverswitch`: their names, how they are made and how they go.

use super::CAT;
use super::imp::FailoverSwitch;
use super::lane::Lane;
use super::outlet::{Outlet, Output};
use super::pad::{FailoverSwitchPad, Place};
use super::state::Sink;
use crate::policy::{InputId, Observation, Standby, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

impl FailoverSwitch {
    /// `sink_3` is input 3, its first stream; `sink_3_1` is its second.
    fn parse_name(name: &str) -> Option<(InputId, StreamId)> {
        let numbers = name.strip_prefix("sink_")?;
        let (input, stream) = numbers.split_once('_').unwrap_or((numbers, "0"));
        Some((InputId(input.parse().ok()?), StreamId(stream.parse().ok()?)))
    }

    /// The place that a new pad is asked for, if it is free.
    pub(super) fn free_place(
        &self,
        name: Option<&str>,
        further: bool,
    ) -> Option<(InputId, StreamId, String)> {
        let state = self.state();
        let next_input = || {
            state
                .inputs
                .keys()
                .next_back()
                .map_or(0, |last| last.0.saturating_add(1))
        };
        let (input, stream) = match name {
            Some(name) => Self::parse_name(name)?,
            None if further => {
                let input = *state.inputs.keys().next_back()?;
                let last = state.inputs.get(&input)?.sinks.keys().next_back();
                (
                    input,
                    StreamId(last.map_or(0, |last| last.0.saturating_add(1))),
                )
            }
            None => (InputId(next_input()), StreamId(0)),
        };
        let name = match stream.0 {
            0 => format!("sink_{}", input.0),
            further => format!("sink_{}_{further}", input.0),
        };
        state
            .sink(input, stream)
            .is_none()
            .then_some((input, stream, name))
    }

    /// The source pad of a stream, made when the stream is first asked for.
    pub(super) fn output(&self, stream: StreamId) -> Option<(gst::Pad, Lane, Outlet)> {
        if let Some(output) = self.state().outputs.get(&stream) {
            return Some((
                output.pad.clone(),
                output.lane.clone(),
                output.outlet.clone(),
            ));
        }
        let obj = self.obj();
        let template = obj.pad_template(if stream.0 == 0 { "src" } else { "src_%u" })?;
        let name = if stream.0 == 0 {
            "src".to_owned()
        } else {
            format!("src_{}", stream.0)
        };
        let pad = gst::Pad::builder_from_template(&template)
            .name(name)
            .event_function(move |_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(stream, event))
            })
            .query_function(move |_, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_query(stream, query))
            })
            .build();
        let output = Output::new(pad.clone());
        let (lane, outlet) = (output.lane.clone(), output.outlet.clone());
        self.state().outputs.insert(stream, output);
        if obj.current_state() >= gst::State::Paused || obj.pending_state() >= gst::State::Paused {
            let _ = pad.set_active(true);
        }
        obj.add_pad(&pad).ok()?;
        self.open_outlets();
        Some((pad, lane, outlet))
    }

    pub(super) fn sink_pad(
        &self,
        template: &gst::PadTemplate,
        name: &str,
        place: Place,
    ) -> FailoverSwitchPad {
        let pad = FailoverSwitchPad::new(template, name)
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(pad, query))
            })
            .build();
        pad.imp().ask_latency.store(true, Relaxed);
        pad.imp().priority.store(place.input.0, Relaxed);
        let _ = pad.imp().place.set(place);
        pad
    }

    pub(super) fn provide_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
    ) -> Option<gst::Pad> {
        let further = template.name() == "sink_%u_%u";
        let Some((input, stream, name)) = self.free_place(name, further) else {
            gst::error!(
                CAT,
                imp = self,
                "pad {name:?} cannot be had: taken, or not sink_INPUT or sink_INPUT_STREAM"
            );
            return None;
        };
        let (output, lane, outlet) = self.output(stream)?;
        let place = Place {
            input,
            stream,
            lane,
            outlet,
            output,
        };
        let pad = self.sink_pad(template, &name, place);
        let known = {
            let mut state = self.state();
            let known = state.inputs.contains_key(&input);
            let mut sink = Sink::new(pad.clone());
            // A stream that comes after its input's cut: its only key frame may lie before what was shown.
            sink.catch_up = state.unseen && state.is_on_air(input);
            let streams = state.inputs.entry(input).or_default();
            if let Some(first) = streams.sinks.values().next() {
                pad.imp()
                    .priority
                    .store(first.pad.imp().priority.load(Relaxed), Relaxed);
            }
            streams.sinks.insert(stream, sink);
            known
        };
        if !known {
            self.add_input(input, input.0, Standby::Hot);
        }
        self.consult(|policy, now| policy.observe(now, Observation::StreamAdded { input, stream }));
        self.obj().add_pad(&pad).ok()?;
        self.obj().child_added(&pad, &pad.name());
        Some(pad.upcast())
    }

    pub(super) fn withdraw_pad(&self, pad: &gst::Pad) {
        let Some(pad) = pad.downcast_ref::<FailoverSwitchPad>() else {
            return;
        };
        let Some(place) = pad.imp().place.get() else {
            return;
        };
        pad.imp().closed.store(true, Relaxed);
        self.wake(pad, place);
        let (input, stream) = (place.input, place.stream);
        self.lag(place, gst::ClockTime::ZERO);
        let last = self.state().remove_sink(input, stream, !self.is_owned());
        let observation = if last {
            Observation::InputRemoved { input }
        } else {
            Observation::StreamRemoved { input, stream }
        };
        self.consult(|policy, now| policy.observe(now, observation));
        let _ = pad.set_active(false);
        let _ = self.obj().remove_pad(pad);
        self.obj().child_removed(pad, &pad.name());
    }
}
