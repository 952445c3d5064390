// SPDX-License-Identifier: MPL-2.0
//! The naive model's reading of one input: its streams, their silence, its state, its relapses.

use super::model::{Entry, Model, runs_after};
use super::*;

/// One announcement of a stream, up to the entry of its removal.
pub(super) struct Stream {
    pub(super) input: InputId,
    pub(super) id: StreamId,
    pub(super) removed: Option<usize>,
    pub(super) beats: Vec<Beat>,
}

pub(super) struct Beat {
    index: usize,
    pub(super) at: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Level {
    Fresh,
    Quiet,
    Silent,
}

fn level(last: Moment, now: Moment, timeout: Span) -> Level {
    match (now - last).nanos() {
        _ if timeout == Span::MAX => Level::Fresh,
        silence if silence >= timeout.nanos() => Level::Silent,
        silence if silence >= timeout.nanos() / 2 => Level::Quiet,
        _ => Level::Fresh,
    }
}

impl Model {
    /// What the whole log says of this input.
    pub(super) fn kind_at_end(&self, input: InputId) -> HealthKind {
        let end = self.log.len() - 1;
        let counted = self.counted(input, end);
        if counted.is_empty() {
            return self.kind_without_buffers(input);
        }
        let pulses = || counted.iter().map(|stream| self.pulse(stream, end));
        let has_lost = pulses().any(|pulse| pulse == Level::Silent);
        if has_lost && counted.iter().all(|stream| self.idles(stream, end)) {
            HealthKind::Stalled
        } else if has_lost || !self.comparison().of(input).missed.is_empty() {
            HealthKind::Incomplete
        } else if pulses().any(|pulse| pulse == Level::Quiet) {
            HealthKind::Suspect
        } else {
            HealthKind::Flowing
        }
    }

    /// The timeout of a stream by the configuration at an entry.
    pub(super) fn own_timeout(&self, stream: StreamId, index: usize) -> Span {
        let config = &self.configs[index];
        let own = match self.media_of(stream, index) {
            Media::Video => config.video_timeout,
            Media::Audio => config.audio_timeout,
            Media::Other => None,
        };
        own.unwrap_or(config.timeout)
    }

    /// How long a stream of an input may be silent, as the log has it at an entry.
    pub(super) fn timeout_of(&self, input: InputId, stream: StreamId, index: usize) -> Span {
        self.own_timeout(stream, index)
            .max(self.rhythm_of(input, stream, index) * 3)
    }

    /// And how long before something is sent in its place.
    fn pause_of(&self, input: InputId, stream: StreamId, index: usize) -> Span {
        let all = self.configs[index].timeout;
        let all = all.max(self.rhythm_of(input, stream, index) * 3);
        self.timeout_of(input, stream, index).min(all)
    }

    fn rhythm_of(&self, input: InputId, stream: StreamId, index: usize) -> Span {
        let known = self.rhythms[index].get(&(input, stream));
        known.copied().unwrap_or_default()
    }

    pub(super) fn media_of(&self, stream: StreamId, index: usize) -> Media {
        self.media[index].get(&stream).copied().unwrap_or_default()
    }

    fn kind_without_buffers(&self, input: InputId) -> HealthKind {
        let (mut kind, mut is_running, mut since) = (HealthKind::Idle, false, Moment::ZERO);
        for (index, now, entry) in self.entries(input, self.log.len() - 1) {
            is_running = runs_after(is_running, &entry);
            match entry {
                Entry::Stopped(_) => kind = HealthKind::Idle,
                Entry::Fact(Observation::Failed { .. }) if is_running => kind = HealthKind::Down,
                Entry::Fact(Observation::Connecting { .. }) => {
                    if !self.was_connecting(input, index) {
                        since = now;
                    }
                    kind = HealthKind::Connecting;
                }
                Entry::Wake
                    if kind == HealthKind::Connecting
                        && now - since >= self.configs[index].startup_timeout =>
                {
                    kind = HealthKind::Stalled;
                }
                _ => {}
            }
        }
        kind
    }

    /// An attempt that takes the place of one that has brought nothing: the wait goes on.
    pub(super) fn was_connecting(&self, input: InputId, index: usize) -> bool {
        index > 0 && self.kind_after(input, index - 1) == Some(HealthKind::Connecting)
    }

    /// The streams whose silence counts: those that brought something, or else the last such.
    pub(super) fn counted(&self, input: InputId, end: usize) -> Vec<Stream> {
        let mut streams = self.streams(input, end);
        streams.retain(|stream| !stream.beats.is_empty());
        if streams.iter().any(|stream| stream.removed.is_none()) {
            streams.retain(|stream| stream.removed.is_none());
        } else {
            let last = streams.iter().map(|stream| stream.removed).max();
            streams.retain(|stream| Some(stream.removed) == last);
        }
        streams
    }

    /// All streams that this input ever announced, with what each brought in the present attempt.
    pub(super) fn streams(&self, input: InputId, end: usize) -> Vec<Stream> {
        let (mut streams, mut is_running) = (Vec::<Stream>::new(), false);
        let mut floor = Moment::ZERO;
        for (index, now, entry) in self.entries(input, end) {
            is_running = runs_after(is_running, &entry);
            let mut reset = None;
            let mut present = streams.iter_mut().filter(|stream| stream.removed.is_none());
            match entry {
                Entry::Stopped(_) => reset = Some(now + Span::from_nanos(1)),
                Entry::Fact(Observation::Connecting { .. }) => reset = Some(now),
                Entry::Fact(Observation::Failed { .. }) if is_running => {
                    reset = Some(now + Span::from_nanos(1));
                }
                Entry::Fact(Observation::StreamAdded { stream: id, .. })
                    if !present.any(|stream| stream.id == id) =>
                {
                    streams.push(Stream::new(input, id));
                }
                Entry::Fact(Observation::StreamRemoved { stream: id, .. }) => {
                    if let Some(stream) = present.find(|stream| stream.id == id) {
                        stream.removed = Some(index);
                    }
                }
                Entry::Fact(Observation::Arrived { stream: id, at, .. }) if is_running => {
                    let at = at.min(now);
                    let level = level(at, now, self.timeout_of(input, id, index));
                    if let Some(stream) = present.find(|stream| stream.id == id)
                        && at >= floor
                        && stream.takes(at, level)
                    {
                        stream.beats.push(Beat { index, at });
                    }
                }
                _ => {}
            }
            if let Some(reset) = reset {
                floor = floor.max(reset);
                streams.iter_mut().for_each(|stream| stream.beats.clear());
            }
        }
        streams
    }

    /// How silent a stream is, against its own timeout.
    pub(super) fn pulse(&self, stream: &Stream, end: usize) -> Level {
        self.pulse_against(stream, end, |index| {
            self.timeout_of(stream.input, stream.id, index)
        })
    }

    /// Whether it has brought nothing for half of the shorter one of its own timeout and that of all.
    fn idles(&self, stream: &Stream, end: usize) -> bool {
        let timeout = |index| self.pause_of(stream.input, stream.id, index);
        self.pulse_against(stream, end, timeout) >= Level::Quiet
    }

    /// How many streams have brought nothing for the shorter one of their own timeout and that of all.
    pub(super) fn pausing(&self, input: InputId) -> usize {
        let end = self.log.len() - 1;
        let pauses = |one: &&Stream| {
            let timeout = |index| self.pause_of(input, one.id, index);
            self.pulse_against(one, end, timeout) == Level::Silent
        };
        self.counted(input, end).iter().filter(pauses).count()
    }

    /// Each wake says how silent the stream was then; each later buffer takes back what is worse
    /// than its own age. What is left of the worst of it counts.
    fn pulse_against(&self, stream: &Stream, end: usize, timeout: impl Fn(usize) -> Span) -> Level {
        let (mut worst, mut excuse) = (Level::Fresh, Level::Silent);
        let age = |beat: &Beat| level(beat.at, self.log[beat.index].0, timeout(beat.index));
        let known = stream.beats.iter().filter(|beat| beat.index <= end);
        let mut beats = known.clone().rev().peekable();
        for index in (0..=end).rev() {
            let Some(newest) = beats.peek() else {
                break;
            };
            let (now, entry) = self.log[index];
            if newest.index == index {
                excuse = excuse.min(age(newest));
                beats.next();
            } else if matches!(entry, Entry::Wake) && newest.index < index {
                let silence = level(newest.at, now, timeout(index));
                worst = worst.max(silence.min(excuse));
            }
        }
        let first = known.clone().next();
        worst.max(first.map_or(Level::Fresh, |first| excuse.min(age(first))))
    }

    /// The first buffer behind the last silence of a stream.
    pub(super) fn began(&self, stream: &Stream) -> Option<Moment> {
        let mut since = None;
        for beat in &stream.beats {
            let was_silent = self.pulse(stream, beat.index - 1) == Level::Silent;
            if since.is_none() || was_silent {
                since = Some(beat.at);
            }
        }
        since
    }

    /// How long the stream has been silent that the input lost first.
    pub(super) fn silence_of_lost(&self, input: InputId, now: Moment) -> Span {
        let end = self.log.len() - 1;
        let counted = self.counted(input, end);
        let lost = counted
            .iter()
            .filter(|one| self.pulse(one, end) == Level::Silent);
        let last = lost.filter_map(|one| one.beats.last()).map(|beat| beat.at);
        last.min().map_or(Span::ZERO, |last| now - last)
    }

    /// From when its startup timeout counts.
    pub(super) fn waiting_since(&self, input: InputId) -> Moment {
        let mut since = Moment::ZERO;
        for (index, now, entry) in self.entries(input, self.log.len() - 1) {
            let begins = match entry {
                Entry::Fact(Observation::Connecting { .. }) => !self.was_connecting(input, index),
                Entry::Fact(Observation::InputAdded { .. }) | Entry::Started(_) => true,
                _ => false,
            };
            if begins {
                since = now;
            }
        }
        since
    }

    /// The first reason against it since it was healthy, added or stopped, with the last buffer.
    pub(super) fn loss(&self, input: InputId) -> Option<(Cause, Option<Moment>)> {
        let (mut loss, mut is_running, mut waiting) = (None, false, Moment::ZERO);
        for (index, now, entry) in self.entries(input, self.log.len() - 1) {
            let was_healthy = index > 0
                && self
                    .kind_after(input, index - 1)
                    .is_some_and(HealthKind::is_healthy);
            is_running = runs_after(is_running, &entry);
            let reason = match entry {
                Entry::Fact(Observation::Connecting { .. }) => {
                    if !self.was_connecting(input, index) {
                        waiting = now;
                    }
                    was_healthy.then(|| (Cause::Closed, self.newest(input, index - 1)))
                }
                Entry::Fact(Observation::InputAdded { .. }) | Entry::Started(_) => {
                    waiting = now;
                    None
                }
                Entry::Fact(Observation::Failed { cause, .. }) if is_running => {
                    Some((cause, self.newest(input, index - 1)))
                }
                Entry::Wake | Entry::Fact(_) if was_healthy => {
                    let is_stalled = self.kind_after(input, index) == Some(HealthKind::Stalled);
                    is_stalled.then(|| self.stall(input, index))
                }
                Entry::Wake if is_running => {
                    let is_over = now - waiting >= self.configs[index].startup_timeout;
                    is_over.then_some((Cause::Startup, None))
                }
                _ => None,
            };
            let kind = self.kind_after(input, index);
            let is_new = matches!(entry, Entry::Stopped(_));
            loss = loss.or(reason);
            if is_new || kind.is_some_and(HealthKind::is_healthy) {
                loss = None;
            }
        }
        loss
    }

    fn stall(&self, input: InputId, index: usize) -> (Cause, Option<Moment>) {
        let counted = self.counted(input, index);
        let last = counted.iter().filter_map(|one| one.beats.last());
        (Cause::Stall, last.map(|beat| beat.at).min())
    }

    fn newest(&self, input: InputId, index: usize) -> Option<Moment> {
        let counted = self.counted(input, index);
        let last = counted.iter().filter_map(|stream| stream.beats.last());
        last.map(|beat| beat.at).max()
    }

    /// How often it was returned to in vain, less what it made good by health on air since.
    pub(super) fn relapses(&self, input: InputId, now: Moment) -> u32 {
        let (mut relapses, mut returned, mut steady) = (0, false, None::<Moment>);
        let (mut on_air, mut is_cut) = (None, false);
        for (index, (at, entry)) in self.log.iter().enumerate() {
            let was_on_air = on_air == Some(input);
            match entry {
                Entry::Fact(Observation::InputAdded { input: one, .. }) if *one == input => {
                    (relapses, returned, steady) = (0, false, None);
                }
                Entry::OnAir(one, cause) => {
                    on_air = Some(*one);
                    is_cut = false;
                    if was_on_air && let Some(since) = steady.take() {
                        let (need, config) = (self.need(relapses, index), self.configs[index]);
                        let is_left = *cause == Cause::Incomplete && returned;
                        if is_left && !need.is_zero() && need < config.recovery_max {
                            relapses += 1;
                        }
                        relapses = self.forgiven(relapses, *at - since, index);
                    }
                    returned = *one == input && *cause == Cause::Recovered;
                }
                Entry::Fact(Observation::InputRemoved { input: one }) if on_air == Some(*one) => {
                    on_air = None;
                    is_cut = false;
                }
                Entry::Fact(Observation::Cut { input: one }) => is_cut |= on_air == Some(*one),
                _ => {}
            }
            let kind = self.kind_after(input, index);
            if on_air == Some(input) && kind.is_some_and(HealthKind::is_healthy) {
                steady = steady.or_else(|| is_cut.then_some(*at));
            } else if on_air == Some(input)
                && let Some(since) = steady.take()
            {
                let (need, config) = (self.need(relapses, index), self.configs[index]);
                if returned && !need.is_zero() && need < config.recovery_max {
                    relapses += 1;
                }
                returned = false;
                relapses = self.forgiven(relapses, *at - since, index);
            }
        }
        let steady = steady.filter(|_| on_air == Some(input));
        steady.map_or(relapses, |since| {
            self.forgiven(relapses, now - since, self.log.len() - 1)
        })
    }

    fn forgiven(&self, relapses: u32, steady: Span, index: usize) -> u32 {
        let need = self.need(relapses, index);
        if relapses == 0 || need.is_zero() || steady < need {
            return relapses;
        }
        self.forgiven(relapses - 1, steady - need, index)
    }

    pub(super) fn need(&self, relapses: u32, index: usize) -> Span {
        let config = self.configs[index];
        let doubled = (0..relapses).fold(config.recovery_time, |need, _| need * 2);
        if doubled <= config.recovery_max {
            doubled
        } else {
            config.recovery_time.max(config.recovery_max)
        }
    }
}

impl Stream {
    fn new(input: InputId, id: StreamId) -> Self {
        Self {
            input,
            id,
            removed: None,
            beats: Vec::new(),
        }
    }

    fn takes(&self, at: Moment, level: Level) -> bool {
        match self.beats.last() {
            Some(newest) => at > newest.at,
            None => level != Level::Silent,
        }
    }
}
