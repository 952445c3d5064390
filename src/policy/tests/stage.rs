// SPDX-License-Identifier: MPL-2.0
//! The stage for the sentences: it plays inputs that deliver a buffer every 10 ms, and wakes the
//! policy exactly when it asks.

use super::*;

pub(super) const PRIMARY: u32 = 0;
pub(super) const BACKUP: u32 = 1;
pub(super) const THIRD: u32 = 2;

/// Short times, so that the numbers in the tests are.
pub(super) fn fast() -> Config {
    Config {
        timeout: Span::from_millis(200),
        startup_timeout: Span::from_secs(2),
        recovery_time: Span::from_secs(5),
        ..Config::default()
    }
}

pub(super) fn ms(millis: u64) -> Moment {
    Moment::ZERO + Span::from_millis(millis)
}

pub(super) fn arrived(input: u32, stream: u32, at: Moment) -> Observation {
    Observation::Arrived {
        input: InputId(input),
        stream: StreamId(stream),
        at,
    }
}

pub(super) struct Stage {
    pub(super) policy: Policy,
    pub(super) millis: u64,
    pub(super) log: Vec<(u64, Action)>,
    /// Each switch is made as soon as it is decided.
    pub(super) cuts_at_once: bool,
    /// The streams that deliver while their input plays.
    streams: Vec<(u32, u32)>,
}
type Switch = (u64, Option<u32>, u32, Cause);

impl Stage {
    /// Hot inputs with one stream each, none of them connecting.
    pub(super) fn bare(config: Config, inputs: u32) -> Self {
        let mut stage = Self::empty(config);
        for input in 0..inputs {
            stage.add(input, Standby::Hot);
        }
        stage
    }

    /// The same, all connecting.
    pub(super) fn new(config: Config, inputs: u32) -> Self {
        let mut stage = Self::bare(config, inputs);
        (0..inputs).for_each(|input| stage.connect(input));
        stage
    }

    /// The same after one second, all flowing and the primary on air.
    pub(super) fn on_air(config: Config, inputs: u32) -> Self {
        let mut stage = Self::new(config, inputs);
        stage.play(&(0..inputs).collect::<Vec<_>>(), 1000);
        assert_eq!(stage.policy.on_air(), Some(InputId(PRIMARY)));
        stage.log.clear();
        stage
    }

    pub(super) fn empty(config: Config) -> Self {
        Self {
            policy: Policy::new(config, Moment::ZERO),
            millis: 0,
            log: Vec::new(),
            cuts_at_once: true,
            streams: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, input: u32, standby: Standby) {
        self.tell(Observation::InputAdded {
            input: InputId(input),
            priority: input,
            standby,
        });
        self.add_stream(input, 0);
    }

    /// Lets `inputs` deliver until `until`, at which moment nothing is delivered yet.
    pub(super) fn play(&mut self, inputs: &[u32], until: u64) {
        while self.millis < until {
            for (input, stream) in self.streams.clone() {
                if inputs.contains(&input) {
                    self.tell(arrived(input, stream, ms(self.millis)));
                }
            }
            let next = (self.millis + 10).min(until);
            while let Some(wake) = self.policy.next_wake().filter(|wake| *wake <= ms(next)) {
                self.policy.wake(wake);
                self.drain((wake - Moment::ZERO).nanos() / 1_000_000);
            }
            self.millis = next;
        }
    }

    pub(super) fn tell(&mut self, observation: Observation) {
        self.policy.observe(ms(self.millis), observation);
        self.drain(self.millis);
    }

    pub(super) fn fail(&mut self, input: u32, cause: Cause) {
        let input = InputId(input);
        self.tell(Observation::Failed { input, cause });
    }

    pub(super) fn late(&mut self, input: u32, late: bool) {
        let input = InputId(input);
        self.tell(Observation::Late { input, late });
    }

    pub(super) fn connect(&mut self, input: u32) {
        let input = InputId(input);
        self.tell(Observation::Connecting { input });
    }

    pub(super) fn add_stream(&mut self, input: u32, stream: u32) {
        self.streams.push((input, stream));
        self.tell(Observation::StreamAdded {
            input: InputId(input),
            stream: StreamId(stream),
        });
    }

    pub(super) fn remove_stream(&mut self, input: u32, stream: u32) {
        self.mute(input, stream);
        self.tell(Observation::StreamRemoved {
            input: InputId(input),
            stream: StreamId(stream),
        });
    }

    pub(super) fn mute(&mut self, input: u32, stream: u32) {
        self.streams.retain(|one| *one != (input, stream));
    }

    pub(super) fn drain(&mut self, millis: u64) {
        while let Some(action) = self.policy.next_action() {
            self.log.push((millis, action));
            if let Action::Switch { to: input, .. } = action
                && self.cuts_at_once
            {
                self.policy.observe(ms(millis), Observation::Cut { input });
            }
        }
    }

    pub(super) fn now(&self) -> Moment {
        ms(self.millis - 10)
    }

    pub(super) fn longest_silent(&self, input: u32) -> Option<u32> {
        let silent = self.policy.longest_silent(InputId(input));
        silent.map(|(stream, _)| stream.0)
    }

    pub(super) fn kind(&self, input: u32) -> HealthKind {
        self.policy.health(InputId(input)).unwrap().kind()
    }

    pub(super) fn switches(&self) -> Vec<Switch> {
        let switch = |&(millis, action): &(u64, Action)| match action {
            Action::Switch {
                from, to, cause, ..
            } => Some((millis, from.map(|from| from.0), to.0, cause)),
            _ => None,
        };
        self.log.iter().filter_map(switch).collect()
    }

    pub(super) fn first_switch_detection(&self) -> Span {
        let detection = |(_, action): &(u64, Action)| match action {
            Action::Switch { detection, .. } => Some(*detection),
            _ => None,
        };
        self.log.iter().find_map(detection).unwrap()
    }

    pub(super) fn outages(&self) -> Vec<(u64, Action)> {
        let is_outage = |(_, action): &&(u64, Action)| {
            matches!(action, Action::EverythingDown | Action::SomethingUp)
        };
        self.log.iter().filter(is_outage).copied().collect()
    }

    pub(super) fn starts_and_stops(&self) -> Vec<(u64, &'static str, u32)> {
        let change = |&(millis, action): &(u64, Action)| match action {
            Action::Start { input } => Some((millis, "start", input.0)),
            Action::Stop { input } => Some((millis, "stop", input.0)),
            _ => None,
        };
        self.log.iter().filter_map(change).collect()
    }
}
