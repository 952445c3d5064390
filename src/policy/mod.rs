// SPDX-License-Identifier: MPL-2.0
//! Which input is on air: decided here, and only here, from what was observed and what time it is.
//! Owns the decision; never touches a clock, a thread, a lock, randomness or anything of GStreamer.
//! The same observations at the same times give the same actions.
//!
//! # The contract
//!
//! [`observe`](Policy::observe) what happened, drain [`next_action`](Policy::next_action), arm a
//! wake-up for [`next_wake`](Policy::next_wake), and call [`wake`](Policy::wake) when it fires; then
//! drain and arm again. A `next_wake` that is not in the future wants to be called at once. Extra
//! wakes are harmless, and after `wake(now)` the next one is later than `now`. Time never goes back:
//! a smaller `now` is taken as the last one.
//!
//! An observation is a fact and is acted upon at once. *Silence* is not observed, it is noticed by
//! `wake` alone: so report the newest stamp of every stream ([`Observation::Arrived`]) before each
//! `wake`, and the buffers of an input that is not healthy as they come. Between two wakes nothing
//! stalls, however late a report is. In short: stamps, then the fact or the wake.
//!
//! # One input's health
//!
//! ```text
//! idle ─► connecting ─► flowing ◄─► suspect ─► stalled ─► flowing
//!             ├─ startup-timeout ─► stalled         any ─► down ─► connecting, or flowing
//! ```
//!
//! * A stream is silent from its timeout after its last buffer on, to the nanosecond: `video_timeout` or
//!   `audio_timeout`, or else `timeout`, and no sooner than after three times what it pauses by its nature. Half of that makes its input suspect: still healthy, but a hint.
//! * An input stalls when one of its streams is silent and all others have brought nothing for half of their timeout,
//!   or of `timeout` where that is shorter: a stream that may pause for long does so beside others that flow.
//! * A stream counts from its first buffer on. When the last stream that counts is removed, its silence goes on
//!   counting.
//! * An input is *incomplete* when it brings something and lacks a stream: one that it brought and that is silent, or
//!   one that another healthy input brings. What it never brought in this attempt it lacks from `startup_timeout`
//!   after the attempt began, and no earlier than `timeout` after its own first buffer, the other's, and the end of its own.
//!   It is healthy.
//! * A failure that is known (end, error, closed connection) brings an input down at once. A new
//!   attempt, or a buffer newer than the failure, brings it out of there. A new attempt on an input
//!   that was healthy is a loss too: its old connection was closed.
//! * A changed `timeout` is held against silence from the next wake on; what is stalled already
//!   stays so until a buffer comes.
//!
//! # What is on air
//!
//! Inputs stand in order: the lower priority number first, then the lower id.
//!
//! * **Start.** The first in order is waited for. A later one goes on air only when every earlier
//!   one was given up: it failed, is cold and not started, or brought nothing for the startup
//!   timeout since its attempt began (since it was added, if none did). An attempt that takes the place
//!   of one that brought nothing does not begin that time again. Where it lacks by then what a later one
//!   brings, that one goes on air. With `immediate`, the first input with a buffer.
//! * **Complete before incomplete.** Inputs that lack fewer of the streams that healthy inputs bring go first, and the
//!   order decides among those that lack as many; pictures count before all else. The input on air is left at once for one
//!   that lacks less than it does.
//! * **Failover.** The input on air stalls or fails: at once the first healthy one in order of those that lack least, in one
//!   step. None is healthy: [`Action::EverythingDown`], and what is on air stays so; the first to be
//!   healthy again goes on air without having to prove itself ([`Action::SomethingUp`], and a switch
//!   if it is another one).
//! * **Return.** [`SwitchBack`] says when. An input has proved itself when it was healthy and not late, and lacked no more
//!   than the one on air, nor more that it had its time for, without a break and not on air, for its recovery need; time before the present input went on air
//!   does not count. The need is `recovery_time`, doubled by each relapse, at most `recovery_max` and
//!   never less than `recovery_time`. An input that was returned to and is lost on air again has
//!   relapsed; each full need (of then) that it spends healthy on air without a break, this stay
//!   included, takes one relapse away. On air counts from the cut ([`Observation::Cut`]), not from the decision: an input
//!   that is lost before its cut has not been seen. With a recovery time of zero it is back on its first buffer.
//! * **Hold.** The held input is on air whatever its health. After the release the rules above
//!   apply: it is left at once if it is not healthy, and for an earlier input that proves itself. So
//!   "switch to this one, then go on by yourself" is a hold and a release, and lasts at least for
//!   the recovery need of a healthy earlier input.
//! * **By hand** (`automatic` is false): nothing is switched but by hold. Only while nothing at all
//!   is on air, the first in order goes on air from its first buffer.
//!
//! # Cold standby
//!
//! A cold input is started when every input before it is given up or not healthy (suspect counts:
//! it gets a head start), or when it is held. It is stopped when an earlier input is on air and has
//! flowed, never suspect, for `recovery_time`. Until it is started again it is not listened to.
//! With several cold inputs, each gets its startup timeout before the next one is started. Add
//! inputs in their order: a cold one added alone is the first, and is started.

mod health;
mod moment;
mod programme;
mod retry;
mod selector;
mod silence;
mod standby;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use health::{Cause, Health, HealthKind};
pub use moment::{Moment, Span};
pub use retry::Retry;

use programme::Programme;
use selector::Selector;
use silence::Patience;
use standby::Input;

/// An input: a source and its place in the order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct InputId(pub u32);

/// A stream of an input, such as its video.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct StreamId(pub u32);

/// When an input earlier in the order is returned to while the one on air is healthy, and which one
/// follows when that fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default)]
pub enum SwitchBack {
    /// As soon as it has proved itself. After a failure: the first healthy one.
    #[default]
    AfterRecovery,
    /// Never. After a failure: the first healthy one, so an earlier one if it is back.
    OnFailure,
    /// Never. After a failure: the next healthy one *behind* the failed one, and only if there is
    /// none, the first healthy one. With two inputs this is the same as `OnFailure`.
    Manual,
}

/// What a stream is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Default)]
pub enum Media {
    Video,
    Audio,
    #[default]
    Other,
}

/// Whether an input is kept connected while it is not on air.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Standby {
    Hot,
    Cold,
}

/// What an operator may turn, at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// Silence of a stream from which on its input lacks it. At least 1 ms.
    pub timeout: Span,
    /// The same of video alone; `None`: as `timeout`.
    pub video_timeout: Option<Span>,
    /// The same of audio alone; `None`: as `timeout`.
    pub audio_timeout: Option<Span>,
    /// Time for an input to bring its first buffer. At least 1 ms.
    pub startup_timeout: Span,
    /// How long an input must be healthy to be returned to.
    pub recovery_time: Span,
    /// The most that relapses make of `recovery_time`.
    pub recovery_max: Span,
    pub switch_back: SwitchBack,
    /// At the start: the first input with a buffer goes on air.
    pub immediate: bool,
    /// False: switched by hold alone.
    pub automatic: bool,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Observation {
    Configured(Config),
    /// An input that is known already is not added again.
    InputAdded {
        input: InputId,
        priority: u32,
        standby: Standby,
    },
    InputRemoved {
        input: InputId,
    },
    Prioritised {
        input: InputId,
        priority: u32,
    },
    /// An attempt began; what the attempt before it brought counts no more.
    Connecting {
        input: InputId,
    },
    StreamAdded {
        input: InputId,
        stream: StreamId,
    },
    /// What a stream is, of whichever input.
    StreamIs {
        stream: StreamId,
        media: Media,
    },
    /// The stream ended by itself or its pad went: its silence counts no more.
    StreamRemoved {
        input: InputId,
        stream: StreamId,
    },
    /// So long a stream of an input pauses by its nature; zero: not at all. It is silent after three times as long at the
    /// soonest.
    Rhythm {
        input: InputId,
        stream: StreamId,
        pause: Span,
    },
    /// The newest buffer of a stream that was added. May come late, in bulk and repeatedly.
    Arrived {
        input: InputId,
        stream: StreamId,
        at: Moment,
    },
    Failed {
        input: InputId,
        cause: Cause,
    },
    /// Its source says that what it brings is late, or is not any more. Until the next attempt.
    Late {
        input: InputId,
        late: bool,
    },
    /// A switch to this input was made: its buffers are sent from now on. Its time on air counts from here.
    Cut {
        input: InputId,
    },
    /// Keep this input on air whatever its health; `None`: decide again. An unknown one is ignored.
    Hold(Option<InputId>),
}

/// What is to be done, or told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Switch {
        from: Option<InputId>,
        to: InputId,
        cause: Cause,
        /// From the last buffer of `from`, in the stream that gave the reason, to this decision;
        /// zero if it is healthy or never brought one.
        detection: Span,
    },
    HealthChanged {
        input: InputId,
        old: HealthKind,
        new: HealthKind,
        cause: Option<Cause>,
    },
    /// Which of its streams pause has changed, see [`Policy::unsent`].
    PausesChanged { input: InputId },
    /// No input is healthy, and none is waited for at the start any more.
    EverythingDown,
    /// That is over.
    SomethingUp,
    /// For cold inputs only.
    Start { input: InputId },
    /// For cold inputs only.
    Stop { input: InputId },
}

/// The machine.
#[derive(Debug)]
pub struct Policy {
    config: Config,
    now: Moment,
    /// In order of preference.
    inputs: Vec<Input>,
    media: BTreeMap<StreamId, Media>,
    /// What healthy inputs bring.
    programme: Programme,
    selector: Selector,
    actions: VecDeque<Action>,
}

/// How far a decision may look at the time that has passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Occasion {
    /// All stamps are in: what is due by now is done.
    Wake,
    /// Stamps may be missing: only what needs no time at all is done.
    Fact,
}

impl Config {
    /// The nearest values that cannot make the machine spin: all timeouts at least 1 ms.
    #[must_use]
    pub fn sanitised(self) -> Self {
        const SHORTEST: Span = Span::from_millis(1);
        let no_shorter = |timeout: Span| timeout.max(SHORTEST);
        Self {
            timeout: self.timeout.max(SHORTEST),
            video_timeout: self.video_timeout.map(no_shorter),
            audio_timeout: self.audio_timeout.map(no_shorter),
            startup_timeout: self.startup_timeout.max(SHORTEST),
            ..self
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timeout: Span::from_secs(1),
            video_timeout: None,
            audio_timeout: None,
            startup_timeout: Span::from_secs(5),
            recovery_time: Span::from_secs(5),
            recovery_max: Span::from_secs(300),
            switch_back: SwitchBack::default(),
            immediate: false,
            automatic: true,
        }
    }
}

impl Policy {
    pub fn new(config: Config, now: Moment) -> Self {
        Self {
            config: config.sanitised(),
            now,
            inputs: Vec::new(),
            media: BTreeMap::new(),
            programme: Programme::default(),
            selector: Selector::new(now),
            actions: VecDeque::new(),
        }
    }

    /// Takes in a fact and decides at once what follows from it.
    pub fn observe(&mut self, now: Moment, observation: Observation) {
        self.now = self.now.max(now);
        match observation {
            Observation::Configured(config) => self.config = config.sanitised(),
            Observation::InputAdded {
                input,
                priority,
                standby,
            } => self.add(input, priority, standby),
            Observation::InputRemoved { input } => self.remove(input),
            Observation::Prioritised { input, priority } => self.prioritise(input, priority),
            Observation::Hold(Some(input)) => self.hold(input),
            Observation::Cut { input } => self.selector.cut_made(input),
            Observation::Hold(None) => self.selector.release(),
            Observation::StreamIs { stream, media } => {
                self.media.insert(stream, media);
            }
            Observation::Connecting { input }
            | Observation::StreamAdded { input, .. }
            | Observation::StreamRemoved { input, .. }
            | Observation::Rhythm { input, .. }
            | Observation::Arrived { input, .. }
            | Observation::Failed { input, .. }
            | Observation::Late { input, .. } => self.tell_input(input, observation),
        }
        self.decide(Occasion::Fact);
    }

    /// Lets time pass and decides what follows from it.
    pub fn wake(&mut self, now: Moment) {
        self.now = self.now.max(now);
        let patience = Patience::new(&self.config, &self.media);
        for input in &mut self.inputs {
            input.pass(self.now, &patience);
        }
        self.decide(Occasion::Wake);
    }

    /// The next thing to do; drain after each `observe` and `wake`.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The earliest moment at which anything changes by itself. Changes with each call of `observe`
    /// and `wake`, and with nothing else.
    pub fn next_wake(&self) -> Option<Moment> {
        let patience = Patience::new(&self.config, &self.media);
        let silence = self
            .inputs
            .iter()
            .filter_map(|input| input.next_change(&patience, &self.programme))
            .min();
        let recovery = self.selector.next_return(&self.inputs, &self.config);
        let stop = standby::next_stop(&self.inputs, self.on_air(), &self.config);
        [silence, recovery, stop].into_iter().flatten().min()
    }

    pub fn on_air(&self) -> Option<InputId> {
        self.selector.on_air()
    }

    pub fn held(&self) -> Option<InputId> {
        self.selector.held()
    }

    pub fn health(&self, input: InputId) -> Option<Health> {
        self.input(input).map(Input::health)
    }

    /// Of an input that brings too little: the stream that has been silent the longest, and its last
    /// buffer. `None` while nothing has come.
    pub fn longest_silent(&self, input: InputId) -> Option<(StreamId, Moment)> {
        self.input(input).and_then(Input::longest_silent)
    }

    /// The streams that make an input incomplete.
    pub fn lacking(&self, input: InputId) -> impl Iterator<Item = StreamId> {
        let input = self.input(input);
        input.into_iter().flat_map(Input::lacking)
    }

    /// The streams of an input in whose place something else may be sent: silent for their timeout, or for `timeout` where
    /// that is shorter, or missing.
    pub fn unsent(&self, input: InputId) -> impl Iterator<Item = StreamId> {
        let input = self.input(input);
        input.into_iter().flat_map(Input::unsent)
    }

    /// Whether this is an outage: between [`Action::EverythingDown`] and [`Action::SomethingUp`].
    pub fn is_down(&self) -> bool {
        self.selector.is_down()
    }

    /// How long this input would have to be healthy to be returned to, if it were lost now.
    pub fn recovery_needed(&self, input: InputId) -> Option<Span> {
        let relapses = self
            .selector
            .relapses(self.input(input)?, self.now, &self.config);
        Some(selector::recovery_need(relapses, &self.config))
    }

    /// As it is applied, see [`Config::sanitised`].
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn input(&self, id: InputId) -> Option<&Input> {
        self.inputs.iter().find(|input| input.id == id)
    }

    fn add(&mut self, id: InputId, priority: u32, standby: Standby) {
        if self.input(id).is_none() {
            self.inputs
                .push(Input::new(id, priority, standby, self.now));
            self.put_in_order();
        }
    }

    fn prioritise(&mut self, id: InputId, priority: u32) {
        if let Some(input) = self.inputs.iter_mut().find(|input| input.id == id) {
            input.priority = priority;
            self.put_in_order();
        }
    }

    fn put_in_order(&mut self) {
        self.inputs.sort_by_key(|input| (input.priority, input.id));
    }

    fn remove(&mut self, id: InputId) {
        if let Some(place) = self.inputs.iter().position(|input| input.id == id) {
            let removed = self.inputs.remove(place);
            self.selector.input_removed(&removed, self.now);
        }
    }

    fn hold(&mut self, id: InputId) {
        if let Some(input) = self.inputs.iter_mut().find(|input| input.id == id) {
            input.start(self.now, &mut self.actions);
            self.selector.hold(
                id,
                &mut self.inputs,
                self.now,
                &self.config,
                &mut self.actions,
            );
        }
    }

    fn tell_input(&mut self, id: InputId, observation: Observation) {
        let patience = Patience::new(&self.config, &self.media);
        if let Some(input) = self.inputs.iter_mut().find(|input| input.id == id) {
            input.tell(observation, self.now, &patience);
        }
    }

    /// Holds what each input brings against what all of them do.
    fn compare(&mut self, occasion: Occasion) {
        let patience = Patience::new(&self.config, &self.media);
        self.programme.gather(&self.inputs, &patience);
        for input in &mut self.inputs {
            input.compare(&self.programme, occasion, self.now, &patience);
            input.tell_health(&mut self.actions);
        }
    }

    fn decide(&mut self, occasion: Occasion) {
        self.compare(occasion);
        self.selector.decide(
            occasion,
            &mut self.inputs,
            self.now,
            &self.config,
            &mut self.actions,
        );
        let stops = standby::start_and_stop(
            &mut self.inputs,
            self.selector.on_air(),
            occasion,
            self.now,
            &self.config,
            &mut self.actions,
        );
        if stops {
            self.compare(Occasion::Fact);
        }
    }
}
