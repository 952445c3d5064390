// SPDX-License-Identifier: MPL-2.0
//! The policy once more, naively: it remembers nothing but the log of all that happened, and answers
//! every question by reading the log again. Slow, without state, and written to be compared with.

use super::model_compare::Comparison;
use super::*;

pub(super) struct Model {
    pub(super) log: Vec<(Moment, Entry)>,
    /// What the log says of health and configuration up to each entry, since that never changes.
    kinds: Vec<Vec<(InputId, HealthKind)>>,
    pub(super) configs: Vec<Config>,
    /// What each stream is, after each entry.
    pub(super) media: Vec<BTreeMap<StreamId, Media>>,
    /// How long each stream pauses by its nature, after each entry.
    pub(super) rhythms: Vec<BTreeMap<(InputId, StreamId), Span>>,
    /// And the same of what all bring, and of what each lacks.
    pub(super) comparisons: Vec<Comparison>,
    /// The state of each input as it was told last.
    told: Vec<(InputId, HealthKind, usize)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Entry {
    Fact(Observation),
    Wake,
    Started(InputId),
    Stopped(InputId),
    OnAir(InputId, Cause),
    Down,
    Up,
}

impl Model {
    pub(super) fn new(config: Config, now: Moment) -> Self {
        let first = Entry::Fact(Observation::Configured(config.sanitised()));
        Self {
            log: vec![(now, first)],
            kinds: vec![Vec::new()],
            configs: vec![config.sanitised()],
            media: vec![BTreeMap::new()],
            rhythms: vec![BTreeMap::new()],
            comparisons: vec![Comparison::default()],
            told: Vec::new(),
        }
    }

    pub(super) fn observe(&mut self, now: Moment, observation: Observation) -> Vec<Action> {
        let known = |id| self.inputs().contains(&id);
        match observation {
            Observation::Hold(Some(input)) if !known(input) => return Vec::new(),
            Observation::InputAdded { input, .. } if known(input) => return Vec::new(),
            _ => {}
        }
        let removed = match observation {
            Observation::InputRemoved { input } if self.on_air() == Some(input) => {
                Some((input, self.detection(input, now)))
            }
            _ => None,
        };
        let mut actions = Vec::new();
        if let Observation::Hold(Some(input)) = observation {
            if !self.is_running(input) {
                self.write(now, Entry::Started(input), &mut actions);
            }
            if self.on_air() != Some(input) {
                self.put_on_air(now, input, Cause::Manual, None, &mut actions);
            }
        }
        self.write(now, Entry::Fact(observation), &mut actions);
        self.decide(now, false, removed, &mut actions);
        actions
    }

    pub(super) fn wake(&mut self, now: Moment) -> Vec<Action> {
        let mut actions = Vec::new();
        self.write(now, Entry::Wake, &mut actions);
        self.decide(now, true, None, &mut actions);
        actions
    }

    pub(super) fn on_air(&self) -> Option<InputId> {
        let (index, input) = self.last_on_air()?;
        let is_gone = self.log[index..].iter().any(|(_, entry)| {
            matches!(entry, Entry::Fact(Observation::InputRemoved { input: gone }) if *gone == input)
        });
        (!is_gone).then_some(input)
    }

    pub(super) fn is_down(&self) -> bool {
        let is_turn = |entry: &&(Moment, Entry)| matches!(entry.1, Entry::Down | Entry::Up);
        let turn = self.log.iter().rev().find(is_turn);
        matches!(turn, Some((_, Entry::Down)))
    }

    pub(super) fn kind(&self, input: InputId) -> Option<HealthKind> {
        self.kind_after(input, self.log.len() - 1)
    }

    pub(super) fn recovery_needed(&self, input: InputId, now: Moment) -> Span {
        self.need(self.relapses(input, now), self.log.len() - 1)
    }

    /// The inputs in order.
    pub(super) fn inputs(&self) -> Vec<InputId> {
        let mut inputs: Vec<(u32, InputId)> = Vec::new();
        for (_, entry) in &self.log {
            match *entry {
                Entry::Fact(Observation::InputAdded {
                    input, priority, ..
                }) => inputs.push((priority, input)),
                Entry::Fact(Observation::InputRemoved { input }) => {
                    inputs.retain(|(_, one)| *one != input);
                }
                Entry::Fact(Observation::Prioritised { input, priority }) => {
                    for one in inputs.iter_mut().filter(|(_, one)| *one == input) {
                        one.0 = priority;
                    }
                }
                _ => {}
            }
        }
        inputs.sort();
        inputs.into_iter().map(|(_, input)| input).collect()
    }

    // ---- decisions ----

    fn decide(
        &mut self,
        now: Moment,
        is_wake: bool,
        removed: Option<(InputId, Span)>,
        actions: &mut Vec<Action>,
    ) {
        self.tell_health(actions);
        let inputs = self.inputs();
        let is_up = inputs.iter().any(|input| self.is_healthy(*input));
        let is_hopeless = if self.has_begun() {
            !is_up
        } else {
            !inputs.is_empty() && inputs.iter().all(|input| self.is_given_up(*input))
        };
        if self.is_down() == is_up && (is_up || is_hopeless) {
            let entry = if is_up { Entry::Up } else { Entry::Down };
            self.write(now, entry, actions);
        }
        if let Some((to, cause)) = self.choose(now, is_wake) {
            self.put_on_air(now, to, cause, removed, actions);
        }
        self.run_cold_inputs(now, is_wake, actions);
    }

    fn choose(&self, now: Moment, is_wake: bool) -> Option<(InputId, Cause)> {
        let (config, inputs) = (self.config(), self.inputs());
        let healthy = || inputs.iter().copied().filter(|one| self.is_healthy(*one));
        let lack = |input| self.comparison().of(input).lack;
        let least = |mut inputs: Vec<InputId>| {
            inputs.sort_by_key(|input| lack(*input));
            inputs.first().copied()
        };
        if self.held().is_some() {
            return None;
        }
        let Some(on_air) = self.on_air() else {
            let mut awaited = inputs.iter().copied();
            let awaited = awaited.find(|input| !self.is_given_up(*input));
            let whole = |awaited: InputId| {
                let due = self.comparison().of(awaited).due;
                let whole = least(healthy().collect());
                whole.filter(|one| self.is_healthy(awaited) && lack(*one) < due)
            };
            let to = match (config.automatic, config.immediate || self.has_begun()) {
                (false, _) => inputs.first().copied(),
                (true, true) => least(healthy().collect()),
                (true, false) => awaited.map(|awaited| whole(awaited).unwrap_or(awaited)),
            };
            let first = self.last_on_air().is_none();
            let cause = if first { Cause::Startup } else { Cause::Closed };
            return to.filter(|to| self.is_healthy(*to)).map(|to| (to, cause));
        };
        if !config.automatic {
            return None;
        }
        let place = inputs.iter().position(|input| *input == on_air)?;
        let others = || healthy().filter(|input| *input != on_air);
        let (behind, before): (Vec<_>, Vec<_>) =
            others().partition(|input| inputs[place..].contains(input));
        let successor = match config.switch_back {
            SwitchBack::Manual => least([behind, before].concat()),
            _ => least(others().collect()),
        };
        if !self.is_healthy(on_air) {
            let cause = self.loss(on_air).map_or(Cause::Startup, |loss| loss.0);
            return Some((successor?, cause));
        }
        let due = self.comparison().of(on_air).due;
        if let Some(whole) = successor.filter(|input| lack(*input) < due) {
            return Some((whole, Cause::Incomplete));
        }
        let has_recovered = |input: &InputId| {
            let on_air_since = self.log[self.last_on_air().unwrap().0].0;
            let Some(on_time_since) = self.on_time_since(*input) else {
                return false;
            };
            let healthy_since = self.since(*input, HealthKind::is_healthy);
            let lack_since = self.lack_since(*input);
            let since = on_air_since.max(on_time_since).max(lack_since);
            let proven = now - healthy_since.max(since);
            let need = self.recovery_needed(*input, now);
            need.is_zero() || is_wake && proven >= need
        };
        healthy()
            .filter(|_| config.switch_back == SwitchBack::AfterRecovery)
            .filter(|input| inputs[..place].contains(input) && lack(*input) <= lack(on_air))
            .filter(|input| self.comparison().of(*input).due <= due)
            .find(has_recovered)
            .map(|input| (input, Cause::Recovered))
    }

    fn put_on_air(
        &mut self,
        now: Moment,
        to: InputId,
        cause: Cause,
        removed: Option<(InputId, Span)>,
        actions: &mut Vec<Action>,
    ) {
        let from = self.on_air();
        let detection = |from| match cause {
            Cause::Incomplete => self.silence_of_lost(from, now),
            _ => self.detection(from, now),
        };
        let from = from.map(|from| (from, detection(from))).or(removed);
        self.write(now, Entry::OnAir(to, cause), actions);
        actions.push(Action::Switch {
            from: from.map(|from| from.0),
            to,
            cause,
            detection: from.map_or(Span::ZERO, |from| from.1),
        });
    }

    fn run_cold_inputs(&mut self, now: Moment, is_wake: bool, actions: &mut Vec<Action>) {
        let (config, inputs) = (self.config(), self.inputs());
        let is_no_help = |input| {
            self.is_given_up(input)
                || self.kind(input) != Some(HealthKind::Flowing) && self.is_healthy(input)
        };
        let wanted = (0..inputs.len())
            .filter(|place| inputs[..*place].iter().all(|input| is_no_help(*input)))
            .map(|place| inputs[place])
            .find(|input| !self.is_running(*input));
        if let Some(input) = wanted.filter(|_| config.automatic) {
            self.write(now, Entry::Started(input), actions);
        }
        let Some(place) = inputs.iter().position(|one| Some(*one) == self.on_air()) else {
            return;
        };
        let is_flowing = |kind| kind == HealthKind::Flowing;
        let calm = now - self.since(inputs[place], is_flowing);
        let is_due = config.recovery_time.is_zero() || is_wake && calm >= config.recovery_time;
        if self.kind(inputs[place]) == Some(HealthKind::Flowing) && is_due {
            for input in inputs[place + 1..].iter().copied() {
                if self.is_cold(input) && self.is_running(input) {
                    self.write(now, Entry::Stopped(input), actions);
                }
            }
            self.tell_health(actions);
        }
    }

    // ---- the log ----

    /// Adds an entry, and tells what it is.
    fn write(&mut self, now: Moment, entry: Entry, actions: &mut Vec<Action>) {
        actions.extend(match entry {
            Entry::Started(input) => Some(Action::Start { input }),
            Entry::Stopped(input) => Some(Action::Stop { input }),
            Entry::Down => Some(Action::EverythingDown),
            Entry::Up => Some(Action::SomethingUp),
            _ => None,
        });
        self.log.push((now, entry));
        self.configs.push(match entry {
            Entry::Fact(Observation::Configured(config)) => config.sanitised(),
            _ => self.config(),
        });
        let mut media = self.media[self.media.len() - 1].clone();
        if let Entry::Fact(Observation::StreamIs { stream, media: one }) = entry {
            media.insert(stream, one);
        }
        self.media.push(media);
        let mut rhythms = self.rhythms[self.rhythms.len() - 1].clone();
        match entry {
            Entry::Fact(Observation::Rhythm {
                input,
                stream,
                pause,
            }) => drop(rhythms.insert((input, stream), pause)),
            Entry::Fact(Observation::InputAdded { input, .. }) => {
                rhythms.retain(|(one, _), _| *one != input);
            }
            _ => {}
        }
        self.rhythms.push(rhythms);
        self.kinds.push(Vec::new());
        let comparison = self.compare();
        self.comparisons.push(comparison);
        let inputs = self.inputs().into_iter();
        let kinds = inputs.map(|input| (input, self.kind_at_end(input)));
        *self.kinds.last_mut().unwrap() = kinds.collect();
    }

    /// Tells whose health is another one than was told last.
    fn tell_health(&mut self, actions: &mut Vec<Action>) {
        let inputs = self.inputs();
        for input in &inputs {
            let new = self.kind(*input).unwrap();
            let told = self.told.iter().find(|(one, ..)| one == input);
            let (old, paused) = told.map_or((HealthKind::Idle, 0), |told| (told.1, told.2));
            if old != new {
                let cause = match new {
                    HealthKind::Stalled => Some(self.why_stalled(*input)),
                    HealthKind::Down => self.last_failure(*input),
                    _ => None,
                };
                actions.push(Action::HealthChanged {
                    input: *input,
                    old,
                    new,
                    cause,
                });
            }
            if paused != self.pausing(*input) {
                actions.push(Action::PausesChanged { input: *input });
            }
        }
        let told = inputs.into_iter();
        let told = told.map(|input| (input, self.kind(input).unwrap(), self.pausing(input)));
        self.told = told.collect();
    }

    /// A stall is of what flowed before.
    fn why_stalled(&self, input: InputId) -> Cause {
        let is_stalled =
            |index: &usize| self.kind_after(input, *index) == Some(HealthKind::Stalled);
        let first = (0..self.log.len()).rev().take_while(is_stalled).last();
        let before = first.and_then(|first| self.kind_after(input, first.checked_sub(1)?));
        match before {
            Some(HealthKind::Connecting) => Cause::Startup,
            _ => Cause::Stall,
        }
    }

    pub(super) fn comparison(&self) -> &Comparison {
        self.comparisons.last().unwrap()
    }

    /// From when an input lacks as much as it does.
    fn lack_since(&self, input: InputId) -> Moment {
        let lack = |index: usize| {
            let comparison = &self.comparisons[index];
            comparison.knows(input).then(|| comparison.of(input).lack)
        };
        let last = self.log.len() - 1;
        let is_so = |index: &usize| lack(*index) == lack(last);
        let first = (0..=last).rev().take_while(is_so).last();
        self.log[first.unwrap_or(last)].0
    }

    fn config(&self) -> Config {
        self.configs[self.configs.len() - 1]
    }

    fn held(&self) -> Option<InputId> {
        let mut held = None;
        for (_, entry) in &self.log {
            match *entry {
                Entry::Fact(Observation::Hold(input)) => held = input,
                Entry::Fact(Observation::InputRemoved { input }) if held == Some(input) => {
                    held = None;
                }
                _ => {}
            }
        }
        held
    }

    fn last_on_air(&self) -> Option<(usize, InputId)> {
        self.log
            .iter()
            .enumerate()
            .rev()
            .find_map(|(index, (_, entry))| match entry {
                Entry::OnAir(input, _) => Some((index, *input)),
                _ => None,
            })
    }

    /// Whether a healthy input has been on air, or everything has been down.
    fn has_begun(&self) -> bool {
        let mut on_air = None;
        self.log.iter().enumerate().any(|(index, (_, entry))| {
            match entry {
                Entry::OnAir(input, _) => on_air = Some(*input),
                Entry::Fact(Observation::InputRemoved { input }) if on_air == Some(*input) => {
                    on_air = None;
                }
                _ => {}
            }
            let kind = on_air.and_then(|input| self.kind_after(input, index));
            kind.is_some_and(HealthKind::is_healthy) || matches!(entry, Entry::Down)
        })
    }

    /// The entries about this input since it was added, that one included.
    pub(super) fn entries(&self, input: InputId, end: usize) -> Vec<(usize, Moment, Entry)> {
        let mut entries = Vec::new();
        for (index, (now, entry)) in self.log.iter().enumerate().take(end + 1) {
            let subject = match entry {
                Entry::Wake => Some(input),
                Entry::Started(one) | Entry::Stopped(one) | Entry::OnAir(one, _) => Some(*one),
                Entry::Fact(observation) => subject(observation),
                Entry::Down | Entry::Up => None,
            };
            if matches!(entry, Entry::Fact(Observation::InputAdded { .. }))
                && subject == Some(input)
            {
                entries.clear();
            }
            if subject == Some(input) {
                entries.push((index, *now, *entry));
            }
        }
        entries
    }

    // ---- one input ----

    fn is_cold(&self, input: InputId) -> bool {
        let entries = self.entries(input, self.log.len() - 1);
        entries.iter().any(|(.., entry)| {
            let Entry::Fact(Observation::InputAdded { standby, .. }) = entry else {
                return false;
            };
            *standby == Standby::Cold
        })
    }

    pub(super) fn is_running(&self, input: InputId) -> bool {
        let mut is_running = false;
        for (.., entry) in self.entries(input, self.log.len() - 1) {
            is_running = runs_after(is_running, &entry);
        }
        is_running
    }

    fn is_healthy(&self, input: InputId) -> bool {
        self.kind(input).is_some_and(HealthKind::is_healthy)
    }

    fn is_given_up(&self, input: InputId) -> bool {
        !self.is_running(input) || self.loss(input).is_some()
    }

    pub(super) fn kind_after(&self, input: InputId, index: usize) -> Option<HealthKind> {
        let kinds = &self.kinds[index];
        kinds.iter().find(|(one, _)| *one == input).map(|one| one.1)
    }

    /// From when its state has been one of these.
    fn since(&self, input: InputId, is_one: impl Fn(HealthKind) -> bool) -> Moment {
        let is_so = |index: &usize| self.kind_after(input, *index).is_some_and(&is_one);
        let first = (0..self.log.len()).rev().take_while(is_so).last();
        match self.log[first.unwrap_or(self.log.len() - 1)] {
            (now, Entry::Fact(Observation::Arrived { at, .. })) => at.min(now),
            (now, _) => now,
        }
    }

    /// When it was last said that it is late no more; `None` while it is.
    fn on_time_since(&self, input: InputId) -> Option<Moment> {
        let (mut is_late, mut since, mut is_running) = (false, Moment::ZERO, false);
        for (_, now, entry) in self.entries(input, self.log.len() - 1) {
            is_running = runs_after(is_running, &entry);
            match entry {
                Entry::Fact(Observation::Late { late, .. }) if is_running => {
                    since = if is_late && !late { now } else { since };
                    is_late = late;
                }
                Entry::Fact(Observation::Failed { .. }) if is_running => is_late = false,
                Entry::Fact(Observation::Connecting { .. }) | Entry::Stopped(_) => is_late = false,
                _ => {}
            }
        }
        (!is_late).then_some(since)
    }

    fn last_failure(&self, input: InputId) -> Option<Cause> {
        let entries = self.entries(input, self.log.len() - 1);
        entries.iter().rev().find_map(|(.., entry)| match entry {
            Entry::Fact(Observation::Failed { cause, .. }) => Some(*cause),
            _ => None,
        })
    }

    fn detection(&self, input: InputId, now: Moment) -> Span {
        let last = self.loss(input).and_then(|loss| loss.1);
        last.map_or(Span::ZERO, |last| now - last)
    }
}

fn subject(observation: &Observation) -> Option<InputId> {
    match *observation {
        Observation::InputAdded { input, .. }
        | Observation::InputRemoved { input }
        | Observation::Prioritised { input, .. }
        | Observation::Connecting { input }
        | Observation::StreamAdded { input, .. }
        | Observation::StreamRemoved { input, .. }
        | Observation::Arrived { input, .. }
        | Observation::Failed { input, .. }
        | Observation::Cut { input }
        | Observation::Rhythm { input, .. }
        | Observation::Late { input, .. } => Some(input),
        Observation::Configured(_) | Observation::Hold(_) | Observation::StreamIs { .. } => None,
    }
}

pub(super) fn runs_after(was_running: bool, entry: &Entry) -> bool {
    match entry {
        Entry::Fact(Observation::InputAdded { standby, .. }) => *standby == Standby::Hot,
        Entry::Started(_) | Entry::Fact(Observation::Connecting { .. }) => true,
        Entry::Stopped(_) => false,
        _ => was_running,
    }
}
