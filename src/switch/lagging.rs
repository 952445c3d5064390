// SPDX-License-Identifier: MPL-2.0
//! An input whose source says that it is late and makes that up ([`crate::lag`]): a return to it would show
//! again what was shown, so it waits, as long as the input on air is well.

use super::brain::Outbox;
use super::imp::FailoverSwitch;
use super::pad::Place;
use super::state::{Input, State};
use crate::policy::{Cause, Moment};

impl FailoverSwitch {
    pub(super) fn lag(&self, place: &Place, time: gst::ClockTime) -> bool {
        let mut outbox = Outbox::default();
        {
            let mut state = self.state();
            let now = self.time.now();
            state.lag(place, !time.is_zero(), now, &mut outbox);
        }
        self.say(outbox);
        true
    }
}

impl State {
    fn lag(&mut self, place: &Place, lags: bool, now: Moment, outbox: &mut Outbox) {
        let sink = self.sink_mut(place.input, place.stream);
        let was = sink.map(|sink| std::mem::replace(&mut sink.lags, lags));
        let is_next = self.pending.as_ref().is_some_and(|p| p.to == place.input);
        let is_needed = self.is_on_air(place.input) || is_next && !self.is_return();
        if was != Some(true) || lags || is_needed {
            return;
        }
        if let Some(input) = self.inputs.get_mut(&place.input) {
            // It was placed by another count of time than what comes now.
            input.timeline.reset();
        }
        if let Some(sink) = self.sink_mut(place.input, place.stream) {
            sink.standby.clear();
            outbox.ask_key_frame(Some(sink));
        }
        if let Some(pending) = self.pending.as_mut().filter(|_| is_next) {
            // The cut is looked for from here on.
            (pending.since, pending.asked_at) = (now, now);
        }
    }

    /// The switch that was decided is a return, to an input that is late, and there is something to wait with.
    pub(super) fn return_waits(&self, place: &Place, now: Moment) -> bool {
        let lags = self.inputs.get(&place.input).is_some_and(Input::lags);
        lags && self.is_return() && self.is_leaving_alive(place.input, place.stream, now)
    }

    fn is_return(&self) -> bool {
        let cause = self.pending.as_ref().map(|pending| pending.cause);
        cause == Some(Cause::Recovered)
    }
}
