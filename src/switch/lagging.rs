// SPDX-License-Identifier: MPL-2.0
//! An input whose source says that it is late and makes that up ([`crate::lag`]). The policy returns to it when
//! it has; then its time is another one than before.

use super::brain::Outbox;
use super::imp::FailoverSwitch;
use super::pad::Place;
use super::state::{Input, State};
use crate::policy::Observation;

impl FailoverSwitch {
    pub(super) fn lag(&self, place: &Place, time: gst::ClockTime) -> bool {
        let mut outbox = Outbox::default();
        {
            let mut state = self.state();
            let now = self.time.now();
            if let Some(late) = state.lag(place, !time.is_zero(), &mut outbox) {
                let input = place.input;
                let observation = Observation::Late { input, late };
                state.consult(now, &mut outbox, |policy| policy.observe(now, observation));
            }
        }
        self.say(outbox);
        true
    }
}

impl State {
    /// Whether any stream of the input is late now, if this is news.
    fn lag(&mut self, place: &Place, lags: bool, outbox: &mut Outbox) -> Option<bool> {
        let sink = self.sink_mut(place.input, place.stream)?;
        if std::mem::replace(&mut sink.lags, lags) == lags {
            return None;
        }
        let is_next = self.pending.as_ref().is_some_and(|p| p.to == place.input);
        if !lags && !is_next && !self.is_on_air(place.input) {
            // What is kept was placed by another count of time than what comes now.
            if let Some(input) = self.inputs.get_mut(&place.input) {
                input.timeline.reset();
            }
            if let Some(sink) = self.sink_mut(place.input, place.stream) {
                sink.standby.clear();
                outbox.ask_key_frame(Some(sink));
            }
        }
        self.inputs.get(&place.input).map(Input::lags)
    }
}
