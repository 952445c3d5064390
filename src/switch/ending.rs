// SPDX-License-Identifier: MPL-2.0
//! The end of a stream, of an input, and of the programme.

use super::brain::Outbox;
use super::imp::FailoverSwitch;
use super::lane::Lane;
use super::outlet::Item;
use super::pad::{FailoverSwitchPad, Place};
use super::state::{Input, State};
use super::{CAT, SwitchEvent};
use crate::policy::{Cause, Moment, Observation, Span, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;

/// The streams of an input end one after the other; one that is alone in that for longer has ended by itself.
const ALONE: Span = Span::from_millis(500);

impl FailoverSwitch {
    /// The end of one stream, and of the input when it was the last. It ends the programme only when
    /// there is no input left that could go on.
    pub(super) fn end_of_stream(&self, pad: &FailoverSwitchPad, place: &Place) -> bool {
        let (input, stream) = (place.input, place.stream);
        self.lag(place, gst::ClockTime::ZERO);
        let settings = self.settings();
        // Without automatic switching nobody would take over.
        let last_word = settings.stop_on_eos || !settings.auto_switch;
        let is_owned = self.is_owned();
        let has_end = has_end(pad);
        let mut outbox = Outbox::default();
        let over = {
            let mut state = self.state();
            let now = self.time.now();
            if let Some(sink) = state.sink_mut(input, stream) {
                sink.has_end |= has_end;
            }
            let ended = state.note_end(place, now, is_owned);
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
            ended && !is_owned && (nobody_left || last_word && on_air)
        };
        gst::info!(CAT, obj = pad, "end of stream");
        if is_owned {
            // The owner knows what to send in its place; first, for what follows may be another attempt.
            self.listen(SwitchEvent::StreamEnded { input, stream });
        }
        self.say(outbox);
        if over {
            self.send_eos();
        }
        true
    }

    /// Ends the programme.
    fn send_eos(&self) {
        for (pad, lane) in self.end_outputs(|_| true) {
            send_eos_by(&pad, &lane);
        }
    }

    /// Ends the programme, or some streams of it, behind the pushes that are under way, and waits for none of
    /// them: downstream may hold one until it is told something by the caller.
    pub(crate) fn send_eos_behind(&self, of: impl Fn(StreamId) -> bool) {
        for (pad, lane) in self.end_outputs(of) {
            let thread = std::thread::Builder::new().name(format!("{}:eos", pad.name()));
            if let Err(error) = thread.spawn(move || send_eos_by(&pad, &lane)) {
                gst::error!(CAT, imp = self, "no thread to end the output: {error}");
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

impl Input {
    /// A stream of it begins; others may have ended, and go on having.
    pub(super) fn note_begin(&mut self, now: Moment, is_owned: bool) {
        self.goes_on_at = match self.has_ended_streams() && !is_owned {
            true => self.goes_on_at.or(Some(now + ALONE)),
            false => None,
        };
    }
}

impl State {
    /// Whether the whole input has ended with this stream.
    fn note_end(&mut self, place: &Place, now: Moment, is_owned: bool) -> bool {
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return false;
        };
        if let Some(sink) = input.sinks.get_mut(&place.stream) {
            sink.eos = true;
        }
        let ended = input.is_eos();
        input.goes_on_at = (!ended && !is_owned).then(|| now + ALONE);
        if ended && !is_owned {
            // It may have been the last that had a stream.
            let goes_on = |input: &&mut Input| !input.is_eos() && input.has_ended_streams();
            for other in self.inputs.values_mut().filter(goes_on) {
                other.goes_on_at = Some(now + ALONE);
            }
        }
        ended
    }

    /// A muxer waits for a stream until it is told that it has ended. So its output ends, when the others of its
    /// input go on and no input has such a stream any more.
    pub(super) fn note_streams_over(&mut self, now: Moment, outbox: &mut Outbox) {
        for input in self.inputs.values_mut() {
            if input.goes_on_at.take_if(|at| *at <= now).is_none() {
                continue;
            }
            let ended = input.sinks.iter().filter(|(_, sink)| sink.eos);
            outbox.over.extend(ended.map(|(stream, _)| *stream));
        }
        outbox.over.retain(|stream| {
            let like = self.inputs.values().filter_map(|i| i.sinks.get(stream));
            like.into_iter().all(|sink| sink.eos)
        });
        for stream in &outbox.over {
            if let Some(output) = self.outputs.get_mut(stream) {
                output.ended_alone = true;
            }
        }
    }

    /// A stream begins: the one that `had_ended` before, or one that an output had lost.
    pub(super) fn revive(&mut self, stream: StreamId, had_ended: bool) {
        let output = self.outputs.get_mut(&stream);
        if let Some(output) = output.filter(|o| o.eos && (had_ended || o.ended_alone)) {
            output.eos = false;
            output.ended_alone = false;
            // Its stream-start takes the end off the pads behind it.
            output.started = false;
            output.caps = None;
            output.sticky_due = true;
            output.segment_due = true;
            output.discont = true;
        }
    }
}

/// Whether what feeds a pad has an end by its nature: it knows how long it is, and can go to any place of it. What comes
/// from elsewhere as it is made can neither, whether it calls itself live or not: an end of that is a loss.
pub(super) fn has_end(pad: &FailoverSwitchPad) -> bool {
    [gst::Format::Time, gst::Format::Bytes]
        .into_iter()
        .any(|format| {
            let mut duration = gst::query::Duration::new(format);
            let mut seeking = gst::query::Seeking::new(format);
            pad.peer_query(&mut duration)
                && duration.result().value() > 0
                && pad.peer_query(&mut seeking)
                && seeking.result().0
        })
}

fn send_eos_by(pad: &gst::Pad, lane: &Lane) {
    let _lane = lane.enter();
    pad.push_event(gst::event::Eos::new());
}
