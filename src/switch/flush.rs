// SPDX-License-Identifier: MPL-2.0
//! What a source has left half said ends with it. A flush is the input's own affair: downstream sees one that is
//! closed already, since the end of it may never come; and a pad that is unlinked forgets who has fed it.

use super::imp::FailoverSwitch;
use super::outlet::Output;
use super::pad::{FailoverSwitchPad, Place};
use super::state::State;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

impl FailoverSwitch {
    pub(super) fn flush_start(
        &self,
        pad: &FailoverSwitchPad,
        place: &Place,
        event: &gst::Event,
    ) -> bool {
        // Never behind a push: it is what unblocks it.
        pad.imp().flushing.store(true, Relaxed);
        self.wake(pad, place);
        // An output that has ended holds up nobody, and its end is not taken back for an input that may go: it is
        // flushed when the input goes on.
        if self
            .state()
            .begin_flush(place, |output_has_ended| !output_has_ended)
        {
            place.lane.flush(event.seqnum());
        }
        true
    }

    pub(super) fn flush_stop(
        &self,
        pad: &FailoverSwitchPad,
        place: &Place,
        event: &gst::Event,
    ) -> bool {
        pad.imp().flushing.store(false, Relaxed);
        let revives = {
            let mut state = self.state();
            state.renew_flushed(place);
            state.begin_flush(place, |output_has_ended| output_has_ended)
        };
        if revives {
            place.lane.flush(event.seqnum());
        }
        true
    }

    /// FLUSH_STOP has left; the caller has the turn in the lane. Whether the output has ended meanwhile, which
    /// downstream has not heard then.
    pub(super) fn flush_has_ended(&self, pad: &gst::Pad) -> bool {
        let mut state = self.state();
        let mut outputs = state.outputs.values_mut();
        let output = outputs.find(|output| output.pad == *pad);
        output.is_some_and(Output::end_flush)
    }

    /// Nobody feeds this pad any more. Called by whoever unlinks it: waits for nobody, also where a thread of the
    /// old source still hangs in a push.
    pub(super) fn unlinked(&self, pad: &FailoverSwitchPad) {
        let Some(place) = pad.imp().place.get() else {
            return;
        };
        pad.forget_source();
        self.lag(place, gst::ClockTime::ZERO);
        self.state().forget_source(place);
        self.wake(pad, place);
    }

    /// Lets no thread of this pad's source go on waiting without a look at what has changed.
    pub(super) fn wake(&self, pad: &FailoverSwitchPad, place: &Place) {
        pad.imp().wait.cancel();
        self.time.nudge();
        place.outlet.make_room();
    }
}

impl State {
    /// Whether a flush of this input goes out, by whether the output that it feeds has ended. Until it is over nothing
    /// is sent there.
    fn begin_flush(&mut self, place: &Place, goes_out: impl Fn(bool) -> bool) -> bool {
        let is_sent = self.is_sent(place.input);
        let output = self.outputs.get_mut(&place.stream).filter(|_| is_sent);
        let Some(output) = output.filter(|output| goes_out(output.eos)) else {
            return false;
        };
        output.eos = false;
        output.is_flushing = true;
        output.flush();
        true
    }

    pub(super) fn is_flushing(&self, place: &Place) -> bool {
        let output = self.outputs.get(&place.stream);
        output.is_some_and(|output| output.is_flushing)
    }

    /// The input begins anew.
    fn renew_flushed(&mut self, place: &Place) {
        let is_sent = self.is_sent(place.input);
        if let Some(input) = self.inputs.get_mut(&place.input) {
            input.timeline.reset();
        }
        if let Some(sink) = self.sink_mut(place.input, place.stream) {
            sink.eos = false;
            sink.segment = None;
            sink.renew();
        }
        if let Some(output) = self.outputs.get_mut(&place.stream).filter(|_| is_sent) {
            output.withheld.clear();
            output.discont = true;
        }
    }

    fn forget_source(&mut self, place: &Place) {
        let is_on_air = self.is_on_air(place.input);
        let Some(input) = self.inputs.get_mut(&place.input) else {
            return;
        };
        let Some(sink) = input.sinks.get_mut(&place.stream) else {
            return;
        };
        if sink.beginning.is_made() && !is_on_air {
            input.timeline.reset();
        }
        sink.sources += 1;
        sink.segment = None;
        sink.renew();
        if is_on_air {
            self.forget_withheld(Some(place.stream));
        }
    }
}
