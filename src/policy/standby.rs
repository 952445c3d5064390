// SPDX-License-Identifier: MPL-2.0
//! An input as the selector sees it, and when a cold one runs. Owns the starting and stopping of cold
//! inputs; never decides what is on air.

use std::collections::VecDeque;

use super::health::{Health, HealthKind, Life, Loss};
use super::moment::Moment;
use super::programme::{Lack, Programme};
use super::silence::Patience;
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
    /// Its state as it was told last.
    told: HealthKind,
    /// And how many of its streams were said to pause.
    told_pausing: usize,
    /// What it does not bring of what healthy inputs bring, and since when it is that much.
    lack: Lack,
    lack_since: Moment,
    /// The same, of what it has had its time for.
    due_lack: Lack,
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
            told: HealthKind::Idle,
            told_pausing: 0,
            lack: Lack::default(),
            lack_since: now,
            due_lack: Lack::default(),
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
        let proving = self.life.proving_since();
        proving.map(|since| since.max(self.lack_since))
    }

    pub(super) fn brings(&self) -> impl Iterator<Item = (StreamId, Moment)> {
        self.life.brings()
    }

    /// The streams that make it incomplete.
    pub(super) fn lacking(&self) -> impl Iterator<Item = StreamId> {
        self.life.lacking()
    }

    /// The streams for which something else is to be sent while it is on air.
    pub(super) fn unsent(&self) -> impl Iterator<Item = StreamId> {
        self.life.pausing().chain(self.life.missed())
    }

    pub(super) fn lack(&self) -> Lack {
        self.lack
    }

    /// What it may be left for.
    pub(super) fn due_lack(&self) -> Lack {
        self.due_lack
    }

    /// It has had its time for something that the other one brings, and lacks more by that.
    pub(super) fn yields_to(&self, other: &Self) -> bool {
        other.lack < self.due_lack
    }

    /// The last buffer of the stream that it lost first.
    pub(super) fn lost_since(&self) -> Option<Moment> {
        self.life.lost_since()
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
        let kind = self.health().kind();
        let is_doubtful = matches!(kind, HealthKind::Suspect | HealthKind::Incomplete);
        !self.is_given_up() && !is_doubtful
    }

    fn is_stoppable(&self) -> bool {
        self.running && self.standby == Standby::Cold
    }

    fn stop(&mut self, now: Moment, actions: &mut VecDeque<Action>) {
        self.running = false;
        actions.push_back(Action::Stop { input: self.id });
        self.life.stopped(now);
    }

    /// Takes in a fact about this input. Of one that is stopped, only a new attempt is heard.
    pub(super) fn tell(&mut self, observation: Observation, now: Moment, patience: &Patience) {
        let (running, life) = (self.running, &mut self.life);
        self.running |= matches!(observation, Observation::Connecting { .. });
        match observation {
            Observation::Connecting { .. } => life.connecting(now),
            Observation::StreamAdded { stream, .. } => life.stream_added(stream),
            Observation::Rhythm { stream, pause, .. } => life.rhythm(stream, pause),
            Observation::StreamRemoved { stream, .. } => life.stream_removed(stream, now),
            Observation::Arrived { stream, at, .. } if running => {
                life.arrived(stream, at.min(now), now, patience);
            }
            Observation::Failed { cause, .. } if running => life.failed(now, cause),
            Observation::Late { late, .. } if running => life.late(late, now),
            _ => {}
        }
    }

    pub(super) fn pass(&mut self, now: Moment, patience: &Patience) {
        if self.running {
            self.life.pass(now, patience);
        }
    }

    /// Holds what it brings against what all bring.
    pub(super) fn compare(
        &mut self,
        programme: &Programme,
        occasion: Occasion,
        now: Moment,
        patience: &Patience,
    ) {
        let life = &mut self.life;
        for (stream, since) in programme.streams().filter(|_| occasion == Occasion::Wake) {
            let missed_at = life.missed_at(stream, since, patience);
            if missed_at.is_some_and(|at| at <= now) {
                life.miss(stream);
            }
        }
        life.forgive(programme, now);
        let brings = |stream| self.life.brings().any(|(one, _)| one == stream);
        let lack = programme.lack(patience, |stream| !brings(stream));
        let is_lacking = |stream| !brings(stream) && self.life.is_lacking(stream);
        self.due_lack = programme.lack(patience, is_lacking);
        if std::mem::replace(&mut self.lack, lack) != lack {
            self.lack_since = now;
        }
    }

    pub(super) fn next_change(&self, patience: &Patience, programme: &Programme) -> Option<Moment> {
        if !self.running {
            return None;
        }
        let missed = programme.streams();
        let missed =
            missed.filter_map(|(stream, since)| self.life.missed_at(stream, since, patience));
        missed.chain(self.life.next_change(patience)).min()
    }

    /// Tells its state, if it is another one than was told.
    pub(super) fn tell_health(&mut self, actions: &mut VecDeque<Action>) {
        let new = self.health().kind();
        let old = std::mem::replace(&mut self.told, new);
        if new != old {
            actions.push_back(Action::HealthChanged {
                input: self.id,
                old,
                new,
                cause: self.health().cause(),
            });
        }
        let pausing = self.life.pausing().count();
        if std::mem::replace(&mut self.told_pausing, pausing) != pausing {
            actions.push_back(Action::PausesChanged { input: self.id });
        }
    }
}

/// Starts and stops cold inputs, after it was decided what is on air. Returns whether it stopped one.
pub(super) fn start_and_stop(
    inputs: &mut [Input],
    on_air: Option<InputId>,
    occasion: Occasion,
    now: Moment,
    config: &Config,
    actions: &mut VecDeque<Action>,
) -> bool {
    if config.automatic
        && let Some(input) = next_to_start(inputs)
    {
        input.start(now, actions);
    }
    let is_calm = calm_since(inputs, on_air).is_some_and(|since| match occasion {
        Occasion::Wake => since.is_past(config.recovery_time, now),
        Occasion::Fact => config.recovery_time.is_zero(),
    });
    let behind = inputs
        .iter_mut()
        .skip_while(|input| Some(input.id) != on_air);
    let mut stops = behind
        .skip(1)
        .filter(|input| is_calm && input.is_stoppable());
    let stops = stops.by_ref().map(|input| input.stop(now, actions));
    stops.count() > 0
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
