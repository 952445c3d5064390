// SPDX-License-Identifier: MPL-2.0
//! Which input is on air: start, failover, return with damping, hold, outage. Owns that choice; never
//! judges an input's health, and starts and stops nothing.

use std::collections::VecDeque;

use super::moment::{Moment, Span};
use super::standby::Input;
use super::{Action, Cause, Config, InputId, Occasion, SwitchBack};

#[derive(Debug)]
pub(super) struct Selector {
    on_air: Option<InputId>,
    on_air_since: Moment,
    /// Its switch was made: until then another one's buffers are sent.
    is_cut: bool,
    /// From when the input on air has been both healthy and sent.
    steady_since: Option<Moment>,
    held: Option<InputId>,
    phase: Phase,
    /// Why nothing is on air, when nothing is.
    vacancy: Cause,
    /// What was on air and was removed, until it was decided what follows.
    removed: Option<Leaving>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// No healthy input has been on air yet, and some are still waited for.
    Starting,
    Up,
    Outage,
}

/// An input that goes off air.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    input: InputId,
    detection: Span,
}

/// What an input has to prove after so many relapses.
pub(super) fn recovery_need(relapses: u32, config: &Config) -> Span {
    let grown = config.recovery_time.doubled(relapses);
    grown.min(config.recovery_max).max(config.recovery_time)
}

impl Selector {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            on_air: None,
            on_air_since: now,
            is_cut: false,
            steady_since: None,
            held: None,
            phase: Phase::Starting,
            vacancy: Cause::Startup,
            removed: None,
        }
    }

    pub(super) fn on_air(&self) -> Option<InputId> {
        self.on_air
    }

    pub(super) fn held(&self) -> Option<InputId> {
        self.held
    }

    pub(super) fn is_down(&self) -> bool {
        self.phase == Phase::Outage
    }

    /// Puts an input on air and keeps it there, whatever its health.
    pub(super) fn hold(
        &mut self,
        input: InputId,
        inputs: &mut [Input],
        now: Moment,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        self.held = Some(input);
        if self.on_air != self.held {
            self.put_on_air(input, Cause::Manual, inputs, now, config, actions);
        }
    }

    /// From here on its time on air counts.
    pub(super) fn cut_made(&mut self, input: InputId) {
        self.is_cut |= self.on_air == Some(input);
    }

    pub(super) fn release(&mut self) {
        self.held = None;
    }

    /// Its place is empty until the next decision.
    pub(super) fn input_removed(&mut self, input: &Input, now: Moment) {
        if self.on_air == Some(input.id) {
            self.removed = Some(Leaving::new(input, Cause::Closed, now));
            self.on_air = None;
            self.held = None;
            self.is_cut = false;
            self.steady_since = None;
            self.vacancy = Cause::Closed;
        }
    }

    pub(super) fn decide(
        &mut self,
        occasion: Occasion,
        inputs: &mut [Input],
        now: Moment,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        self.note_loss(inputs, now, config);
        self.note_outage(inputs, actions);
        if let Some((to, cause)) = self.choose(occasion, inputs, now, config) {
            self.put_on_air(to, cause, inputs, now, config, actions);
        }
        self.removed = None;
        if find(inputs, self.on_air).is_some_and(Input::is_healthy) {
            if self.is_cut {
                self.steady_since.get_or_insert(now);
            }
            self.phase = Phase::Up;
        }
    }

    /// When an earlier input will have proved itself.
    pub(super) fn next_return(&self, inputs: &[Input], config: &Config) -> Option<Moment> {
        let on_air = find(inputs, self.on_air).filter(|input| input.is_healthy())?;
        if self.held.is_some() || !config.automatic {
            return None;
        }
        self.returning(on_air, inputs, config)
            .filter_map(|(_, since, need)| since.after(need))
            .min()
    }

    /// The relapses of an input, less those that its present stay on air has made good.
    pub(super) fn relapses(&self, input: &Input, now: Moment, config: &Config) -> u32 {
        match self.steady_since {
            Some(since) if self.on_air == Some(input.id) => {
                forgiven(input.relapses, now - since, config)
            }
            _ => input.relapses,
        }
    }

    /// Settles the account of the input on air, if it has just ceased to be healthy.
    fn note_loss(&mut self, inputs: &mut [Input], now: Moment, config: &Config) {
        if let Some(input) = find_mut(inputs, self.on_air).filter(|input| !input.is_healthy()) {
            self.settle(input, now, config);
        }
    }

    fn settle(&mut self, input: &mut Input, now: Moment, config: &Config) {
        if let Some(since) = self.steady_since.take() {
            let need = recovery_need(input.relapses, config);
            // The count stops where the need does, so that it can be made good in bounded time.
            let relapsed = input.returned && !need.is_zero() && need < config.recovery_max;
            let relapses = input.relapses.saturating_add(u32::from(relapsed));
            input.relapses = forgiven(relapses, now - since, config);
            input.returned = false;
        }
    }

    fn note_outage(&mut self, inputs: &[Input], actions: &mut VecDeque<Action>) {
        let is_healthy = inputs.iter().any(Input::is_healthy);
        let is_hopeless = match self.phase {
            Phase::Starting => !inputs.is_empty() && inputs.iter().all(Input::is_given_up),
            Phase::Up => !is_healthy,
            Phase::Outage => false,
        };
        if is_hopeless {
            self.phase = Phase::Outage;
            actions.push_back(Action::EverythingDown);
        } else if self.phase == Phase::Outage && is_healthy {
            self.phase = Phase::Up;
            actions.push_back(Action::SomethingUp);
        }
    }

    /// What goes on air now, if anything else, and why.
    fn choose(
        &self,
        occasion: Occasion,
        inputs: &[Input],
        now: Moment,
        config: &Config,
    ) -> Option<(InputId, Cause)> {
        if self.held.is_some() {
            return None;
        }
        let Some(on_air) = find(inputs, self.on_air) else {
            return Some((self.first_on_air(inputs, config)?.id, self.vacancy));
        };
        if !config.automatic {
            return None;
        }
        let successor = successor(on_air, inputs, config);
        if !on_air.is_healthy() {
            let cause = on_air.loss().map_or(Cause::Startup, |loss| loss.cause);
            return Some((successor?.id, cause));
        }
        if let Some(whole) = successor.filter(|one| on_air.yields_to(one)) {
            return Some((whole.id, Cause::Incomplete));
        }
        self.returning(on_air, inputs, config)
            .find(|(_, since, need)| match occasion {
                Occasion::Wake => since.is_past(*need, now),
                Occasion::Fact => need.is_zero(),
            })
            .map(|(input, ..)| (input.id, Cause::Recovered))
    }

    /// With nothing on air: what goes there.
    fn first_on_air<'a>(&self, inputs: &'a [Input], config: &Config) -> Option<&'a Input> {
        if !config.automatic {
            return inputs.first().filter(|input| input.is_healthy());
        }
        if config.immediate || self.phase != Phase::Starting {
            return least_lacking(inputs.iter());
        }
        let first = inputs.iter().find(|input| !input.is_given_up());
        let first = first.filter(|input| input.is_healthy())?;
        let whole = least_lacking(inputs.iter()).filter(|one| first.yields_to(one));
        Some(whole.unwrap_or(first))
    }

    /// The healthy inputs before the one on air that may be returned to, from when each has been
    /// proving itself, and for how long it must.
    fn returning<'a>(
        &self,
        on_air: &Input,
        inputs: &'a [Input],
        config: &Config,
    ) -> impl Iterator<Item = (&'a Input, Moment, Span)> {
        let (lack, due_lack) = (on_air.lack(), on_air.due_lack());
        let (on_air, on_air_since, config) = (on_air.id, self.on_air_since, *config);
        // What has had its time and lacks more would be left again at once.
        let lacks_no_more =
            move |input: &Input| input.lack() <= lack && input.due_lack() <= due_lack;
        let is_allowed = config.switch_back == SwitchBack::AfterRecovery;
        inputs
            .iter()
            .take_while(move |input| is_allowed && input.id != on_air)
            .filter_map(move |input| {
                let since = input.proving_since().filter(|_| lacks_no_more(input))?;
                let since = since.max(on_air_since);
                Some((input, since, recovery_need(input.relapses, &config)))
            })
    }

    fn put_on_air(
        &mut self,
        to: InputId,
        cause: Cause,
        inputs: &mut [Input],
        now: Moment,
        config: &Config,
        actions: &mut VecDeque<Action>,
    ) {
        let mut leaving = self.removed.take();
        if let Some(from) = find_mut(inputs, self.on_air) {
            leaving = Some(Leaving::new(from, cause, now));
            if cause == Cause::Incomplete {
                self.settle(from, now, config);
            }
            from.relapses = self.relapses(from, now, config);
        }
        if let Some(input) = find_mut(inputs, Some(to)) {
            input.returned = cause == Cause::Recovered;
        }
        self.on_air = Some(to);
        self.on_air_since = now;
        self.is_cut = false;
        self.steady_since = None;
        actions.push_back(Action::Switch {
            from: leaving.map(|leaving| leaving.input),
            to,
            cause,
            detection: leaving.map_or(Span::ZERO, |leaving| leaving.detection),
        });
    }
}

impl Leaving {
    fn new(input: &Input, cause: Cause, now: Moment) -> Self {
        let last = match cause {
            Cause::Incomplete => input.lost_since(),
            _ => input.loss().and_then(|loss| loss.last),
        };
        Self {
            input: input.id,
            detection: last.map_or(Span::ZERO, |last| now - last),
        }
    }
}

/// What follows an input that is left.
fn successor<'a>(left: &Input, inputs: &'a [Input], config: &Config) -> Option<&'a Input> {
    let behind = inputs.iter().skip_while(|input| input.id != left.id);
    let others = move |input: &&Input| input.id != left.id;
    match config.switch_back {
        SwitchBack::Manual => least_lacking(behind.chain(inputs).filter(others)),
        SwitchBack::AfterRecovery | SwitchBack::OnFailure => {
            least_lacking(inputs.iter().filter(others))
        }
    }
}

/// The first healthy one of those that lack least.
fn least_lacking<'a>(inputs: impl Iterator<Item = &'a Input>) -> Option<&'a Input> {
    let healthy = inputs.filter(|input| input.is_healthy());
    healthy.min_by_key(|input| input.lack())
}

/// How many relapses remain after having been on air and healthy for `steady`: each takes one
/// recovery need, as it is with those that are left.
fn forgiven(mut relapses: u32, mut steady: Span, config: &Config) -> u32 {
    while relapses > 0 {
        let need = recovery_need(relapses, config);
        if need.is_zero() || need > steady {
            break;
        }
        steady = steady - need;
        relapses -= 1;
    }
    relapses
}

fn find(inputs: &[Input], id: Option<InputId>) -> Option<&Input> {
    inputs.iter().find(|input| Some(input.id) == id)
}

fn find_mut(inputs: &mut [Input], id: Option<InputId>) -> Option<&mut Input> {
    inputs.iter_mut().find(|input| Some(input.id) == id)
}
