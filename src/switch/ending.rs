// SPDX-License-Identifier: MPL-2.0
//! The end of a stream, of an input, and of the programme.

use super::brain::Outbox;
use super::imp::FailoverSwitch;
use super::outlet::Item;
use super::pad::{FailoverSwitchPad, Lane, Place};
use super::{CAT, SwitchEvent};
use crate::policy::{Cause, Observation, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;

impl FailoverSwitch {
    /// The end of one stream, and of the input when it was the last. It ends the programme only when
    /// there is no input left that could go on, and its output when there is nobody left who has that stream: a
    /// muxer would wait for it for ever.
    pub(super) fn end_of_stream(&self, pad: &FailoverSwitchPad, place: &Place) -> bool {
        let (input, stream) = (place.input, place.stream);
        self.lag(place, gst::ClockTime::ZERO);
        let settings = self.settings();
        // Without automatic switching nobody would take over.
        let last_word = settings.stop_on_eos || !settings.auto_switch;
        let mut outbox = Outbox::default();
        let (over, stream_over) = {
            let mut state = self.state();
            let now = self.time.now();
            if let Some(sink) = state.sink_mut(input, stream) {
                sink.eos = true;
            }
            let ended = state.inputs.get(&input).is_some_and(|i| i.is_eos());
            let on_air = state.is_on_air(input);
            let observation = if ended {
                Observation::Failed {
                    input,
                    cause: Cause::Eos,
                }
            } else {
                Observation::StreamRemoved { input, stream }
            };
            state.consult(now, &mut outbox, |policy| policy.observe(now, observation));
            let nobody_left = state
                .inputs
                .values()
                .all(|i| i.is_eos() || i.sinks.values().all(|sink| !sink.is_fed()));
            let over = ended && (nobody_left || last_word && on_air);
            let mut like = state.inputs.values().filter_map(|i| i.sinks.get(&stream));
            (over, !ended && like.all(|sink| sink.eos))
        };
        gst::info!(CAT, obj = pad, "end of stream");
        self.say(outbox);
        match self.is_owned() {
            // The owner knows what to send in its place.
            true => self.listen(SwitchEvent::StreamEnded { input, stream }),
            false if over => self.send_eos(|_| true),
            false if stream_over => self.send_eos(|one| one == stream),
            false => (),
        }
        true
    }

    /// Ends the programme, or one stream of it.
    fn send_eos(&self, of: impl Fn(StreamId) -> bool) {
        for (pad, lane) in self.end_outputs(of) {
            send_eos_by(&pad, &lane);
        }
    }

    /// Ends the programme behind the pushes that are under way, and waits for none of them: downstream
    /// may hold one until it is told something by the caller.
    pub(crate) fn send_eos_behind(&self) {
        for (pad, lane) in self.end_outputs(|_| true) {
            let thread = std::thread::Builder::new().name(format!("{}:eos", pad.name()));
            if let Err(error) = thread.spawn(move || send_eos_by(&pad, &lane)) {
                gst::error!(CAT, imp = self, "no thread to end the programme: {error}");
            }
        }
    }

    /// Marks outputs as ended. Those whose own thread does not see to it have to be told.
    fn end_outputs(&self, of: impl Fn(StreamId) -> bool) -> Vec<(gst::Pad, Lane)> {
        let mut state = self.state();
        let outputs = state.outputs.iter_mut().filter(|(stream, _)| of(**stream));
        let unsent = outputs.filter(|(_, output)| !output.eos);
        unsent
            .filter_map(|(_, output)| {
                output.eos = true;
                let Some(held) = &mut output.held else {
                    return Some((output.pad.clone(), output.lane.clone()));
                };
                held.push_between(Item::Event(gst::event::Eos::new()));
                output.outlet.look();
                None
            })
            .collect()
    }
}

fn send_eos_by(pad: &gst::Pad, lane: &Lane) {
    let _lane = lane.enter();
    pad.push_event(gst::event::Eos::new());
}
