// SPDX-License-Identifier: MPL-2.0
//! The health of one input, from the newest stamps of its streams. Owns the life of an input from
//! idle to flowing to down; never knows of other inputs, of their order or of what is on air.
//!
//! Facts make an input healthier or bring it down at once; silence is noticed only when time is let
//! pass ([`Life::pass`]). So stamps that are reported one after the other never make the first one
//! look alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::StreamId;
use super::moment::{Moment, Span};
use super::programme::Programme;
use super::silence::{Beat, Limits, Patience, Pulse};

/// Why a switch happened, or why an input is not healthy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Cause {
    /// The streams brought nothing for their timeout.
    Stall,
    /// It lacks a stream that another input brings.
    Incomplete,
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
    /// Healthy, but it lacks a stream.
    Incomplete {
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
    Incomplete,
    Stalled,
    Down,
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
    /// How long streams pause by their nature, of those that do.
    rhythms: BTreeMap<StreamId, Span>,
    /// What others bring and this one never did in this attempt, though it had its time.
    missed: BTreeSet<StreamId>,
    /// With no stream left that counts: the last one that did. Its silence goes on counting.
    departed: Option<(StreamId, Beat)>,
    /// When streams went that had brought something.
    went: BTreeMap<StreamId, Moment>,
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

impl Cause {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stall => "stall",
            Self::Incomplete => "incomplete",
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
            Self::Incomplete => "incomplete",
            Self::Stalled => "stalled",
            Self::Down => "down",
        }
    }

    pub const fn is_healthy(self) -> bool {
        matches!(self, Self::Flowing | Self::Suspect | Self::Incomplete)
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
            Self::Incomplete { .. } => HealthKind::Incomplete,
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
            Self::Suspect { flowing_since, .. } | Self::Incomplete { flowing_since, .. } => {
                Some(flowing_since)
            }
            _ => None,
        }
    }
}

impl Life {
    pub(super) fn new(now: Moment) -> Self {
        Self {
            health: Health::Idle,
            streams: BTreeMap::new(),
            rhythms: BTreeMap::new(),
            missed: BTreeSet::new(),
            departed: None,
            went: BTreeMap::new(),
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

    /// Its silence counts from the next pass on against that.
    pub(super) fn rhythm(&mut self, stream: StreamId, pause: Span) {
        match pause.is_zero() {
            true => drop(self.rhythms.remove(&stream)),
            false => drop(self.rhythms.insert(stream, pause)),
        }
    }

    pub(super) fn stream_removed(&mut self, stream: StreamId, now: Moment) {
        let Some(Some(beat)) = self.streams.remove(&stream) else {
            return;
        };
        self.went.insert(stream, now);
        if self.counted().next().is_none() {
            self.departed = Some((stream, beat));
        }
        self.judge(now);
    }

    /// A buffer of `stream` came at `at`, as was told at `now`.
    pub(super) fn arrived(
        &mut self,
        stream: StreamId,
        at: Moment,
        now: Moment,
        patience: &Patience,
    ) {
        let Some(entry) = self.streams.get_mut(&stream) else {
            return;
        };
        let limits = patience.limits(stream, self.rhythms.get(&stream).copied());
        let new = Beat {
            since: at,
            last: at,
            pulse: Pulse::of(at, now, limits.silent),
            idles: at.is_past(limits.pause / 2, now),
            pauses: at.is_past(limits.pause, now),
        };
        // A stream does not come to life by a stamp that is a timeout old already.
        let says_nothing = entry.map_or(new.pulse == Pulse::Silent, |known| at <= known.last);
        if at < self.floor || says_nothing {
            return;
        }
        *entry = Some(entry.map_or(new, |known| known.followed_by(new)));
        self.missed.remove(&stream);
        self.departed = None;
        self.judge(at);
    }

    /// Lets time pass: the only way to grow suspect, to stall, or to be given up at the start.
    pub(super) fn pass(&mut self, now: Moment, patience: &Patience) {
        let departed = self
            .departed
            .iter_mut()
            .map(|(stream, beat)| (&*stream, beat));
        let present = self.streams.iter_mut();
        let present = present.filter_map(|(stream, beat)| Some((stream, beat.as_mut()?)));
        for (stream, beat) in present.chain(departed) {
            let limits = patience.limits(*stream, self.rhythms.get(stream).copied());
            beat.pulse = beat.pulse.max(Pulse::of(beat.last, now, limits.silent));
            beat.idles |= beat.last.is_past(limits.pause / 2, now);
            beat.pauses |= beat.last.is_past(limits.pause, now);
        }
        self.judge(now);
        let startup_timeout = patience.config.startup_timeout;
        if self.is_awaited() && self.waiting_since.is_past(startup_timeout, now) {
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
            return self.waiting_since.after(patience.config.startup_timeout);
        }
        self.counted()
            .flat_map(|(stream, beat)| {
                let limits = self.limits(stream, patience);
                let own = match beat.pulse {
                    Pulse::Fresh => beat.last.after(limits.silent / 2),
                    Pulse::Quiet => beat.last.after(limits.silent),
                    Pulse::Silent => None,
                };
                let idle = (!beat.idles).then(|| beat.last.after(limits.pause / 2));
                let pause = (!beat.pauses).then(|| beat.last.after(limits.pause));
                [own, idle.flatten(), pause.flatten()]
            })
            .flatten()
            .min()
    }

    fn limits(&self, stream: StreamId, patience: &Patience) -> Limits {
        patience.limits(stream, self.rhythms.get(&stream).copied())
    }

    /// What it brings, and since when.
    pub(super) fn brings(&self) -> impl Iterator<Item = (StreamId, Moment)> {
        let present = self.present().filter(|_| self.health.is_healthy());
        let flowing = present.filter(|(_, beat)| beat.pulse != Pulse::Silent);
        flowing.map(|(stream, beat)| (stream, beat.since))
    }

    /// It has had its time to bring a stream, and does not.
    pub(super) fn is_lacking(&self, stream: StreamId) -> bool {
        self.lacking().any(|one| one == stream)
    }

    /// When it will have had its time to bring a stream that others have brought `since`, if it does not have it.
    pub(super) fn missed_at(
        &self,
        stream: StreamId,
        since: Moment,
        patience: &Patience,
    ) -> Option<Moment> {
        let fed_since = self.brings().map(|(_, since)| since).min()?;
        if self.is_lacking(stream) || self.brings().any(|(one, _)| one == stream) {
            return None;
        }
        let timeout = self.limits(stream, patience).silent;
        let went = self.went.get(&stream).copied().unwrap_or(fed_since);
        let since = since.max(fed_since).max(went).after(timeout)?;
        let began = self.waiting_since.after(patience.config.startup_timeout)?;
        Some(since.max(began))
    }

    /// It has had its time to bring a stream.
    pub(super) fn miss(&mut self, stream: StreamId) {
        self.missed.insert(stream);
    }

    /// What others bring no more it has not missed.
    pub(super) fn forgive(&mut self, programme: &Programme, now: Moment) {
        self.missed.retain(|stream| programme.has(*stream));
        if self.health.is_healthy() {
            self.judge(now);
        }
    }

    /// What makes it incomplete.
    pub(super) fn lacking(&self) -> impl Iterator<Item = StreamId> {
        let lost = self.lost().map(|(stream, _)| stream);
        lost.chain(self.missed.iter().copied())
    }

    /// What it brought and for which something else is sent.
    pub(super) fn pausing(&self) -> impl Iterator<Item = StreamId> {
        let pausing = self.counted().filter(|(_, beat)| beat.pauses);
        pausing.map(|(stream, _)| stream)
    }

    /// What it is missed for and never brought.
    pub(super) fn missed(&self) -> impl Iterator<Item = StreamId> {
        self.missed.iter().copied()
    }

    /// The last buffer of the stream that it lost first.
    pub(super) fn lost_since(&self) -> Option<Moment> {
        self.lost().map(|(_, beat)| beat.last).min()
    }

    /// What it brought and that is silent.
    fn lost(&self) -> impl Iterator<Item = (StreamId, &Beat)> {
        self.counted()
            .filter(|(_, beat)| beat.pulse == Pulse::Silent)
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
        let is_silent = |beat: &Beat| beat.pulse == Pulse::Silent;
        let beats = || self.counted().map(|(_, beat)| beat);
        if beats().next().is_none() {
            return;
        }
        let has_lost = beats().any(is_silent);
        // One stream is the first to be missed where all have died.
        let is_stalled = has_lost && beats().all(|beat| beat.idles);
        let is_quiet = beats().any(|beat| beat.pulse == Pulse::Quiet);
        let healthy_since = self.health.healthy_since();
        let flowing_since = healthy_since.unwrap_or(at);
        if is_stalled {
            if healthy_since.is_some() {
                let cause = Cause::Stall;
                self.lose(cause, self.longest_silent().map(|(_, last)| last));
                self.health = Health::Stalled { cause, since: at };
            }
            return;
        }
        let new = if has_lost || !self.missed.is_empty() {
            HealthKind::Incomplete
        } else if is_quiet {
            HealthKind::Suspect
        } else {
            HealthKind::Flowing
        };
        if self.health.kind() != new {
            let since = at;
            self.health = match new {
                HealthKind::Incomplete => Health::Incomplete {
                    since,
                    flowing_since,
                },
                HealthKind::Suspect => Health::Suspect {
                    since,
                    flowing_since,
                },
                _ => Health::Flowing {
                    since: flowing_since,
                },
            };
            self.calm_since = at;
        }
        self.loss = None;
    }

    fn lose(&mut self, cause: Cause, last: Option<Moment>) {
        self.loss.get_or_insert(Loss { cause, last });
    }

    fn forget_attempt(&mut self, floor: Moment) {
        self.streams.values_mut().for_each(|beat| *beat = None);
        self.departed = None;
        self.missed.clear();
        self.went.clear();
        self.is_late = false;
        self.floor = self.floor.max(floor);
    }

    /// The streams whose silence counts.
    fn counted(&self) -> impl Iterator<Item = (StreamId, &Beat)> {
        let departed = self.departed.iter().map(|(stream, beat)| (*stream, beat));
        self.present().chain(departed)
    }

    /// The streams that it has and that have brought something.
    fn present(&self) -> impl Iterator<Item = (StreamId, &Beat)> {
        let streams = self.streams.iter();
        streams.filter_map(|(stream, beat)| Some((*stream, beat.as_ref()?)))
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

/// The first moment that is later than `now`.
fn after(now: Moment) -> Moment {
    now + Span::from_nanos(1)
}
