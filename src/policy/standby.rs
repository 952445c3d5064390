// SPDX-License-Identifier: MPL-2.0
//! An input as the selector sees it, and when a cold one runs. Owns the starting and stopping of cold
//! inputs; never decides what is on air.

use std::collections::VecDeque;

use super::health::{Health, HealthKind, Life, Loss, Patience};
use super::moment::{Moment, Span};
use super::{Action, Config, InputId, Observation, Occasion, Standby, StreamId};

/// An input: its place in the order, its life, its record.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) id: InputId,
    pub(super) priority: u32,
    /// How often it was returned to in vain, see the selector.
    pub(super) relapses: u32,
    /// It is on air because it was returned to.
    pub(super) returned: bool,
    standby: Standby,
    /// Always, for a hot one.
    running: bool,
    life: Life,
}

impl Input {
    pub(super) fn new(id: InputId, priority: u32, standby: Standby, now: Moment) -> Self {
        Self {
            id,
            priority,
            relapses: 0,
            returned: false,
            standby,
            running: standby == Standby::Hot,
            life: Life::new(now),
        }
    }

    pub(super) fn health(&self) -> Health {
        self.life.health()
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.health().is_healthy()
    }

    /// From when it has been proving itself.
    pub(super) fn proving_since(&self) -> Option<Moment> {
        self.life.proving_since()
    }

    pub(super) fn loss(&self) -> Option<Loss> {
        self.life.loss()
    }

    pub(super) fn longest_silent(&self) -> Option<(StreamId, Moment)> {
        self.life.longest_silent()
    }

    /// Nobody waits for it any more.
    pub(super) fn is_given_up(&self) -> bool {
        !self.running || self.life.loss().is_some()
    }

    /// Runs it, if it is cold and does not run.
    pub(super) fn start(&mut self, now: Moment, actions: &mut VecDeque<Action>) {
        if !self.running {
            self.running = true;
            self.life.started(now);
            actions.push_back(Action::Start { input: self.id });
        }
    }

    /// No reason to start the next one: it flows, or may yet.
    fn is_reliable(&self) -> bool {
        !self.is_given_up() && self.health().kind() != HealthKind::Suspect
    }

    fn is_stoppable(&self) -> bool {
        self.running && self.standby == Standby::Cold
    }

    fn stop(&mut self, now: Moment, actions: &mut VecDeque<Action>) {
        self.running = false;
        actions.push_back(Action::Stop { input: self.id });
        self.change(actions, |life| life.stopped(now));
    }

    /// Takes in a fact about this input. Of one that is stopped, only a new attempt is heard.
    pub(super) fn tell(
        &mut self,
        observation: Observation,
        now: Moment,
        timeout: Span,
        actions: &mut VecDeque<Action>,
    ) {
        let running = self.running;
        self.running |= matches!(observation, Observation::Connecting { .. });
        self.change(actions, |life| match observation {
            Observation::Connecting { .. } => life.connecting(now),
            Observation::StreamAdded { stream, .. } => life.stream_added(stream),
            Observation::StreamRemoved { stream, .. } => life.stream_removed(stream, now),
            Observation::Arrived { stream, at, .. } if running => {
                life.arrived(stream, at.min(now), now, timeout);
            }
            Observation::Failed { cause, .. } if running => life.failed(now, cause),
            Observation::Late { late, .. } if running => life.late(late, now),
            _ => {}
        });
    }

    pub(super) fn pass(&mut self, now: Moment, config: &Config, actions: &mut VecDeque<Action>) {
        if self.running {
            self.change(actions, |life| life.pass(now, &patience(config)));
        }
    }

    pub(super) fn next_change(&self, config: &Config) -> Option<Moment> {
        if !self.running {
            return None;
        }
        self.life.next_change(&patience(config))
    }

    /// Does something to its life, and tells if its state is another one then.
    fn change(&mut self, actions: &mut VecDeque<Action>, act: impl FnOnce(&mut Life)) {
        let old = self.health().kind();
        act(&mut self.life);
        let new = self.health().kind();
        if new != old {
            actions.push_back(Action::HealthChanged {
                input: self.id,
                old,
                new,
                cause: self.health().cause(),
            });
        }
    }
}

/// Starts and stops cold inputs, after it was decided what is on air.
pub(super) fn start_and_stop(
    inputs: &mut [Input],
    on_air: Option<InputId>,
    occasion: Occasion,
    now: Moment,
    config: &Config,
    actions: &mut VecDeque<Action>,
) {
    if config.automatic
        && let Some(input) = next_to_start(inputs)
    {
        input.start(now, actions);
    }
    let is_calm = calm_since(inputs, on_air).is_some_and(|since| match occasion {
        Occasion::Wake => since.is_past(config.recovery_time, now),
        Occasion::Fact => config.recovery_time.is_zero(),
    });
    if is_calm {
        inputs
            .iter_mut()
            .skip_while(|input| Some(input.id) != on_air)
            .skip(1)
            .filter(|input| input.is_stoppable())
            .for_each(|input| input.stop(now, actions));
    }
}

/// When [`start_and_stop`] will next stop an input.
pub(super) fn next_stop(
    inputs: &[Input],
    on_air: Option<InputId>,
    config: &Config,
) -> Option<Moment> {
    inputs
        .iter()
        .skip_while(|input| Some(input.id) != on_air)
        .skip(1)
        .any(Input::is_stoppable)
        .then(|| calm_since(inputs, on_air))??
        .after(config.recovery_time)
}

/// The first input that does not run, if nothing before it can be relied on.
fn next_to_start(inputs: &mut [Input]) -> Option<&mut Input> {
    inputs
        .iter_mut()
        .find(|input| !input.running || input.is_reliable())
        .filter(|input| !input.running)
}

/// From when the input on air has flowed without being suspect.
fn calm_since(inputs: &[Input], on_air: Option<InputId>) -> Option<Moment> {
    inputs
        .iter()
        .find(|input| Some(input.id) == on_air)?
        .life
        .calm_since()
}

fn patience(config: &Config) -> Patience {
    Patience {
        timeout: config.timeout,
        startup_timeout: config.startup_timeout,
    }
}
