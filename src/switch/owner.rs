// SPDX-License-Identifier: MPL-2.0
//! What the owner of a switch tells it and asks of it; a switch that stands alone is driven by its pads.

use super::SwitchEvent;
use super::beginning::Beginning;
use super::imp::FailoverSwitch;
use super::pace::Pace;
use crate::policy::{Cause, InputId, Observation, StreamId};

impl FailoverSwitch {
    pub(crate) fn add_input(&self, input: InputId, priority: u32, standby: crate::policy::Standby) {
        self.state().inputs.entry(input).or_default().standby = standby;
        self.consult(|policy, now| {
            policy.observe(
                now,
                Observation::InputAdded {
                    input,
                    priority,
                    standby,
                },
            );
        });
    }

    pub(crate) fn has_input(&self, input: InputId) -> bool {
        self.state().inputs.contains_key(&input)
    }

    /// A new attempt of this input's source begins.
    pub(crate) fn connecting(&self, input: InputId) {
        let ended: Vec<_> = {
            let mut state = self.state();
            let Some(streams) = state.inputs.get_mut(&input) else {
                return;
            };
            let ended = streams.sinks.iter().filter(|(_, sink)| sink.eos);
            let ended = ended.map(|(stream, _)| *stream).collect();
            streams.restart();
            if state.is_on_air(input) {
                state.forget_withheld(None);
            }
            ended
        };
        self.consult(|policy, now| {
            for stream in ended {
                policy.observe(now, Observation::StreamAdded { input, stream });
            }
            policy.observe(now, Observation::Connecting { input });
        });
        let mut state = self.state();
        if state.is_on_air(input) {
            state.leave();
        }
    }

    /// A stream has gone from its source; another may come in its place.
    pub(crate) fn stream_gone(&self, input: InputId, stream: StreamId) {
        if let Some(sink) = self.state().sink_mut(input, stream) {
            sink.standby.clear();
            sink.stamp = None;
            sink.beginning = Beginning::Awaited;
            sink.open = false;
            sink.gone = true;
        }
        // Its end may not have got here before its pad went.
        self.listen(SwitchEvent::StreamEnded { input, stream });
        self.consult(|policy, now| {
            policy.observe(now, Observation::StreamRemoved { input, stream });
        });
    }

    pub(crate) fn failed(&self, input: InputId, cause: Cause) {
        self.consult(|policy, now| policy.observe(now, Observation::Failed { input, cause }));
    }

    pub(crate) fn hold(&self, input: Option<InputId>) {
        self.consult(|policy, now| policy.observe(now, Observation::Hold(input)));
    }

    pub(crate) fn prioritise(&self, input: InputId, priority: u32) {
        self.consult(|policy, now| {
            policy.observe(now, Observation::Prioritised { input, priority });
        });
    }

    /// Whether anything is sent; a live owner sends nothing in PAUSED.
    pub(crate) fn set_halted(&self, halted: bool) {
        let mut state = self.state();
        state.halted = halted;
        if halted {
            return;
        }
        // What was missed meanwhile is not caught up on: live goes on with what is now.
        let live = |input: &&mut super::state::Input| input.timeline.is_live();
        for input in state.inputs.values_mut().filter(live) {
            input.timeline.reset();
            for sink in input.sinks.values_mut() {
                sink.standby.clear();
                sink.pace = Pace::default();
                sink.open = false;
            }
        }
        for output in state.outputs.values_mut() {
            output.discont = true;
            output.withheld.clear();
        }
        for input in state.inputs.values() {
            input.wake_waiters();
        }
    }

    pub(crate) fn set_time_base(
        &self,
        input: InputId,
        base: super::timeline::TimeBase,
        live: Option<bool>,
    ) {
        if let Some(input) = self.state().inputs.get_mut(&input) {
            input.timeline.set_base(base, live);
        }
    }

    /// Its source may begin with what an attempt before has brought, as a playlist does.
    pub(crate) fn let_repeat(&self, input: InputId, may: bool) {
        if let Some(input) = self.state().inputs.get_mut(&input) {
            input.may_repeat = may;
        }
    }

    /// Its thread may be held up while it stands by: what it brings waits in its connection.
    pub(crate) fn let_rest(&self, input: InputId, may: bool) {
        if let Some(input) = self.state().inputs.get_mut(&input) {
            input.rest.allow(may);
        }
    }

    /// Whether what this input plays has an end by its nature, as far as is known.
    pub(crate) fn has_end(&self, input: InputId) -> bool {
        let state = self.state();
        let input = state.inputs.get(&input);
        let mut sinks = input.into_iter().flat_map(|input| input.sinks.values());
        sinks.any(|sink| sink.has_end)
    }

    pub(crate) fn switches(&self) -> u64 {
        self.state().switches
    }

    /// Whether a decoder follows every output: then a cut need not wait for a key frame.
    pub(crate) fn set_decoder_follows(&self, follows: bool) {
        self.state().unseen = follows;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.state().policy.is_down()
    }

    /// A switch is decided and its cut not made yet.
    pub(crate) fn is_switching(&self) -> bool {
        self.state().pending.is_some()
    }

    pub(crate) fn on_air(&self) -> Option<InputId> {
        self.state().on_air
    }

    /// The streams of the input on air in whose place something else is to be sent. None, where another input is about to
    /// send them.
    pub(crate) fn unsent_on_air(&self) -> Vec<StreamId> {
        let state = self.state();
        let on_air = state.on_air.filter(|_| state.pending.is_none()).into_iter();
        on_air
            .flat_map(|input| state.policy.unsent(input))
            .collect()
    }
}
