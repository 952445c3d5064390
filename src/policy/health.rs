// SPDX-License-Identifier: MPL-2.0
//! The health of one input, from the newest stamps of its streams. Owns the life of an input from
//! idle to flowing to down; never knows of other inputs, of their order or of what is on air.
//!
//! Facts make an input healthier or bring it down at once; silence is noticed only when time is let
//! pass ([`Life::pass`]). So stamps that are reported one after the other never make the first one
//! look alone.

use std::collections::BTreeMap;
use std::fmt;

use super::StreamId;
use super::moment::{Moment, Span};

/// Why a switch happened, or why an input is not healthy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Cause {
    /// A stream brought nothing for the timeout.
    Stall,
    /// The input ended.
    Eos,
    /// The input failed.
    Error,
    /// Whoever sends is not who should: the input failed because of that.
    Identity,
    /// The connection was closed, or the input was taken away.
    Closed,
    /// At the start: the first to go on air, or nothing came within the startup timeout.
    Startup,
    /// A preferred input proved itself.
    Recovered,
    /// Somebody asked for it.
    Manual,
}

/// What is known of an input. Each state carries what it alone has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Health {
    /// Nothing was tried yet, or it was stopped.
    Idle,
    /// An attempt began at `since` and has brought nothing yet.
    Connecting { since: Moment },
    /// Healthy without a break since `since`.
    Flowing { since: Moment },
    /// Healthy, but a stream has been silent for half the timeout.
    Suspect {
        since: Moment,
        flowing_since: Moment,
    },
    /// Connected, as far as is known, but silent ([`Cause::Stall`] or [`Cause::Startup`]).
    Stalled { cause: Cause, since: Moment },
    /// Known to have failed.
    Down { cause: Cause, since: Moment },
}

/// [`Health`] without its contents.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum HealthKind {
    Idle,
    Connecting,
    Flowing,
    Suspect,
    Stalled,
    Down,
}

/// What silence is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) timeout: Span,
    pub(super) startup_timeout: Span,
}

/// What is remembered of the moment from which an input was not healthy any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    pub(super) cause: Cause,
    /// The last buffer before it, of the stream that gave the reason.
    pub(super) last: Option<Moment>,
}

/// The life of one input.
#[derive(Debug)]
pub(super) struct Life {
    health: Health,
    /// The streams, and what each has brought in this attempt. One that has brought nothing does
    /// not count: an announced stream may begin late, or never.
    streams: BTreeMap<StreamId, Option<Beat>>,
    /// With no stream left that counts: the last one that did. Its silence goes on counting.
    departed: Option<(StreamId, Beat)>,
    /// Stamps before this belong to an earlier attempt.
    floor: Moment,
    /// From when the startup timeout counts: the first attempt of those that have brought nothing.
    waiting_since: Moment,
    /// From when it has flowed without being suspect.
    calm_since: Moment,
    /// The first reason against it since it last was healthy.
    loss: Option<Loss>,
    /// What it brings is late: no reason against it, but none to return to it.
    is_late: bool,
    /// From when it has not been late, if it was.
    on_time_since: Moment,
}

/// The newest buffer of a stream, and how its silence looked when time last passed.
#[derive(Clone, Copy, Debug)]
struct Beat {
    last: Moment,
    pulse: Pulse,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Pulse {
    Fresh,
    Quiet,
    Silent,
}

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::Eos => "eos",
            Self::Error => "error",
            Self::Identity => "identity",
            Self::Closed => "closed",
            Self::Startup => "startup",
            Self::Recovered => "recovered",
            Self::Manual => "manual",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl HealthKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Connecting => "connecting",
            Self::Flowing => "flowing",
            Self::Suspect => "suspect",
            Self::Stalled => "stalled",
            Self::Down => "down",
        }
    }

    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Flowing | Self::Suspect)
    }
}

impl fmt::Display for HealthKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Health {
    pub const fn kind(&self) -> HealthKind {
        match self {
            Self::Idle => HealthKind::Idle,
            Self::Connecting { .. } => HealthKind::Connecting,
            Self::Flowing { .. } => HealthKind::Flowing,
            Self::Suspect { .. } => HealthKind::Suspect,
            Self::Stalled { .. } => HealthKind::Stalled,
            Self::Down { .. } => HealthKind::Down,
        }
    }

    /// Whether it may go on air, and stay there.
    pub const fn is_healthy(&self) -> bool {
        self.kind().is_healthy()
    }

    /// Why it is stalled or down.
    pub const fn cause(&self) -> Option<Cause> {
        match *self {
            Self::Stalled { cause, .. } | Self::Down { cause, .. } => Some(cause),
            _ => None,
        }
    }

    /// From when it has been healthy without a break.
    pub const fn healthy_since(&self) -> Option<Moment> {
        match *self {
            Self::Flowing { since } => Some(since),
            Self::Suspect { flowing_since, .. } => Some(flowing_since),
            _ => None,
        }
    }
}

impl Life {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            health: Health::Idle,
            streams: BTreeMap::new(),
            departed: None,
            floor: Moment::ZERO,
            waiting_since: now,
            calm_since: now,
            loss: None,
            is_late: false,
            on_time_since: Moment::ZERO,
        }
    }

    pub(super) fn health(&self) -> Health {
        self.health
    }

    /// From when it has been healthy and not late.
    pub(super) fn proving_since(&self) -> Option<Moment> {
        let healthy = self.health.healthy_since().filter(|_| !self.is_late);
        healthy.map(|since| since.max(self.on_time_since))
    }

    pub(super) fn late(&mut self, is_late: bool, now: Moment) {
        if self.is_late && !is_late {
            self.on_time_since = now;
        }
        self.is_late = is_late;
    }

    pub(super) fn loss(&self) -> Option<Loss> {
        self.loss
    }

    /// From when it has flowed without being suspect, if it does.
    pub(super) fn calm_since(&self) -> Option<Moment> {
        matches!(self.health, Health::Flowing { .. }).then_some(self.calm_since)
    }

    /// It is about to be started: the startup timeout counts from here.
    pub(super) fn started(&mut self, now: Moment) {
        self.waiting_since = now;
    }

    pub(super) fn stopped(&mut self, now: Moment) {
        self.forget_attempt(after(now));
        self.health = Health::Idle;
        self.loss = None;
    }

    pub(super) fn connecting(&mut self, now: Moment) {
        if self.health.is_healthy() {
            self.lose(Cause::Closed, self.newest());
        }
        self.forget_attempt(now);
        // A source that is replaced because it brings nothing does not begin the wait again: its owner's patience
        // may end in the same moment as the startup timeout, and the backup would wait for a second one.
        if !matches!(self.health, Health::Connecting { .. }) {
            self.waiting_since = now;
        }
        self.health = Health::Connecting { since: now };
    }

    pub(super) fn failed(&mut self, now: Moment, cause: Cause) {
        self.lose(cause, self.newest());
        self.forget_attempt(after(now));
        self.health = Health::Down { cause, since: now };
    }

    pub(super) fn stream_added(&mut self, stream: StreamId) {
        self.streams.entry(stream).or_insert(None);
    }

    pub(super) fn stream_removed(&mut self, stream: StreamId, now: Moment) {
        let Some(Some(beat)) = self.streams.remove(&stream) else {
            return;
        };
        if self.counted().next().is_none() {
            self.departed = Some((stream, beat));
        }
        self.judge(now);
    }

    /// A buffer of `stream` came at `at`, as was told at `now`.
    pub(super) fn arrived(&mut self, stream: StreamId, at: Moment, now: Moment, timeout: Span) {
        let Some(entry) = self.streams.get_mut(&stream) else {
            return;
        };
        let pulse = Pulse::of(at, now, timeout);
        let known = entry.map(|beat| (beat.last, beat.pulse));
        let (last, before) = known.unwrap_or((Moment::ZERO, Pulse::Silent));
        // A stream does not come to life by a stamp that is a timeout old already.
        let says_nothing = known.map_or(pulse == Pulse::Silent, |_| at <= last);
        if at < self.floor || says_nothing {
            return;
        }
        *entry = Some(Beat {
            last: at,
            pulse: before.min(pulse),
        });
        self.departed = None;
        self.judge(at);
    }

    /// Lets time pass: the only way to grow suspect, to stall, or to be given up at the start.
    pub(super) fn pass(&mut self, now: Moment, patience: &Patience) {
        let departed = self.departed.iter_mut().map(|(_, beat)| beat);
        for beat in self.streams.values_mut().flatten().chain(departed) {
            beat.pulse = beat.pulse.max(Pulse::of(beat.last, now, patience.timeout));
        }
        self.judge(now);
        if self.is_awaited() && self.waiting_since.is_past(patience.startup_timeout, now) {
            self.lose(Cause::Startup, None);
            if matches!(self.health, Health::Connecting { .. }) {
                let cause = Cause::Startup;
                self.health = Health::Stalled { cause, since: now };
            }
        }
    }

    /// When [`pass`](Self::pass) will next change anything.
    pub(super) fn next_change(&self, patience: &Patience) -> Option<Moment> {
        if self.is_awaited() {
            return self.waiting_since.after(patience.startup_timeout);
        }
        self.counted()
            .filter_map(|(_, beat)| match beat.pulse {
                Pulse::Fresh => beat.last.after(patience.timeout / 2),
                Pulse::Quiet => beat.last.after(patience.timeout),
                Pulse::Silent => None,
            })
            .min()
    }

    /// Whether its startup timeout is running.
    fn is_awaited(&self) -> bool {
        match self.health {
            Health::Idle => self.loss.is_none(),
            Health::Connecting { .. } => true,
            _ => false,
        }
    }

    /// Draws the conclusion from the pulses; `at` is when a new state began.
    fn judge(&mut self, at: Moment) {
        let Some(worst) = self.counted().map(|(_, beat)| beat.pulse).max() else {
            return;
        };
        let flowing_since = self.health.healthy_since();
        match worst {
            Pulse::Silent => {
                if flowing_since.is_some() {
                    let cause = Cause::Stall;
                    self.lose(cause, self.longest_silent().map(|(_, last)| last));
                    self.health = Health::Stalled { cause, since: at };
                }
                return;
            }
            Pulse::Quiet => {
                if !matches!(self.health, Health::Suspect { .. }) {
                    self.health = Health::Suspect {
                        since: at,
                        flowing_since: flowing_since.unwrap_or(at),
                    };
                }
            }
            Pulse::Fresh => {
                if !matches!(self.health, Health::Flowing { .. }) {
                    self.calm_since = at;
                    self.health = Health::Flowing {
                        since: flowing_since.unwrap_or(at),
                    };
                }
            }
        }
        self.loss = None;
    }

    fn lose(&mut self, cause: Cause, last: Option<Moment>) {
        self.loss.get_or_insert(Loss { cause, last });
    }

    fn forget_attempt(&mut self, floor: Moment) {
        self.streams.values_mut().for_each(|beat| *beat = None);
        self.departed = None;
        self.is_late = false;
        self.floor = self.floor.max(floor);
    }

    /// The streams whose silence counts.
    fn counted(&self) -> impl Iterator<Item = (StreamId, &Beat)> {
        let streams = self.streams.iter();
        let present = streams.filter_map(|(stream, beat)| Some((*stream, beat.as_ref()?)));
        let departed = self.departed.iter().map(|(stream, beat)| (*stream, beat));
        present.chain(departed)
    }

    fn newest(&self) -> Option<Moment> {
        self.counted().map(|(_, beat)| beat.last).max()
    }

    /// The stream that has been silent the longest, and its newest buffer.
    pub(super) fn longest_silent(&self) -> Option<(StreamId, Moment)> {
        let streams = self.counted().map(|(stream, beat)| (stream, beat.last));
        streams.min_by_key(|(_, last)| *last)
    }
}

impl Pulse {
    fn of(last: Moment, now: Moment, timeout: Span) -> Self {
        if last.is_past(timeout, now) {
            Self::Silent
        } else if last.is_past(timeout / 2, now) {
            Self::Quiet
        } else {
            Self::Fresh
        }
    }
}

/// The first moment that is later than `now`.
fn after(now: Moment) -> Moment {
    now + Span::from_nanos(1)
}
