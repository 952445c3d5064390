// SPDX-License-Identifier: MPL-2.0
//! PURE: from an input's time to the output's time, by one offset for all streams of an input.
//!
//! Numbers only, nanoseconds of running time: `arrival` is when a buffer came, `ts` what its sender
//! says. Their difference is the delay. While the input stands by, the offset follows the least delay
//! of the last few seconds, so that a burst of old data does not shift it. On air it is not moved by what
//! the network does, only follows the same least delay slowly, as far as the sender's clock drifts from
//! ours; unless the sender's time jumps. An input whose timestamps already are the pipeline's running time
//! keeps offset zero, so that inputs in step stay in step.
//!
//! The offset is one, but each stream has its own past: streams may come seconds apart, and what one of them does alone is
//! no jump of the input. The promptest decides; how late the others are is learned elsewhere ([`super::lateness`]).
//!
//! What is not live waits where it comes early. What comes late without having been held up is placed later: a server
//! that skips, or whose clock is slow, does not make up for it.

use super::bases::{Bases, PRESENT};
use super::delays::{Delays, signed};
use crate::policy::StreamId;

/// How far ahead of or behind the clock the timestamps of an input may be, beyond its declared
/// latency, to be taken for the pipeline's own running time.
const IN_STEP: i64 = 1_000_000_000;
/// The same for what is not live: it can make up for a late start.
const IN_STEP_NOT_LIVE: i64 = 5_000_000_000;
/// In step and no later than this, beyond the declared latency: there is no old data to come.
const PROMPT: i64 = 100_000_000;
/// So many buffers make a habit.
const HABIT: u32 = 8;
/// A change of the delay that no network makes: the sender's time base has changed.
const JUMP: i64 = 1_000_000_000;
/// No live input is so far ahead of the clock by right: what was sent was old, and came in a burst.
const AHEAD: i64 = 500_000_000;
/// Two streams of a burst may lie so close together that they look like real time; over this long none does. Only behind
/// a burst that is known: an input that begins is not to wait.
const PACE: i64 = 50_000_000;
/// On air the offset moves by a thousandth of the time that has passed, at most: less than two cents of
/// a semitone, and five times what bad clocks drift.
const SLOWER: i64 = 1_000;
/// A difference is made up for within about this long, so that jitter of the least delay hardly shows.
const CALM: i64 = 8_000_000_000;
/// After a silence the offset does not make up for all of it at once.
const LONGEST_STEP: u64 = 100_000_000;
/// What is not live and comes later than this has skipped: it is placed again at once.
const SKIPPED: i64 = 200_000_000;
/// What is less, but by habit, is a slow clock, beyond what a busy machine is late. It is followed by a twentieth of the time that has
/// passed at most, so that no step is heard.
const TARDY: i64 = 40_000_000;
const SLOW_CLOCK: i64 = 20;
/// Within about this long.
const SLOW_CLOCK_CALM: i64 = 1_000_000_000;

/// What the timestamps of an input count from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TimeBase {
    /// The pipeline's running time where that is plausible, else the sender's own.
    #[default]
    Guess,
    /// The sender's own: placed by when it arrives.
    Sender,
}

/// What a buffer says of the time of its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    Nothing,
    /// The time base of this stream has changed: what was kept of it counts no more.
    Stream,
    /// The same of all streams.
    Input,
}

#[derive(Debug, Default)]
pub struct Timeline {
    base: TimeBase,
    /// Comes in real time; else it comes as fast as it is taken and is paced by its timestamps.
    live: bool,
    /// Known better than what the input says of itself.
    known_live: Option<bool>,
    /// Latency that the input declares: its buffers are this late by right.
    latency: i64,
    offset: Option<i64>,
    frozen: bool,
    bases: Bases,
    delays: Delays,
    /// On air: when the drift was last followed.
    followed: Option<u64>,
    /// Arrival and timestamp since when it is watched whether it comes in real time.
    pace: Option<(u64, i64)>,
    settled: bool,
    /// There has been a burst, or a jump.
    wary: bool,
    /// Buffers since the reset.
    seen: u32,
}

impl Timeline {
    pub fn new(base: TimeBase) -> Self {
        Self {
            base,
            live: true,
            ..Self::default()
        }
    }

    /// `live` where it is known better than the input says: rtmp2src calls itself not live.
    pub fn set_base(&mut self, base: TimeBase, live: Option<bool>) {
        self.base = base;
        self.known_live = live;
        self.live = live.unwrap_or(self.live);
        self.reset();
    }

    /// What the input says of itself: whether it is live, and its latency.
    pub fn set_latency(&mut self, live: bool, latency: u64) {
        self.live = self.known_live.unwrap_or(live);
        self.latency = i64::try_from(latency).unwrap_or(i64::MAX / 4);
    }

    pub fn is_live(&self) -> bool {
        self.live
    }

    /// A new source, or a flush: nothing known of its time any more.
    pub fn reset(&mut self) {
        self.offset = None;
        self.bases.reset();
        self.delays.forget();
        self.followed = None;
        self.wary = false;
        self.unsettle();
    }

    /// Whether its place in time is known: old data that comes in a burst is not placed yet.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// On air the offset moves no more, but for drift.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
        self.followed = None;
    }

    pub fn offset(&self) -> i64 {
        self.offset.unwrap_or(0)
    }

    /// From what a stream says to the output's time.
    pub fn offset_of(&self, stream: StreamId) -> i64 {
        self.offset().saturating_add(self.bases.shift_of(stream))
    }

    /// Moves the input later by `by`, for a cut that would else go back in time.
    pub fn delay_by(&mut self, by: i64) {
        self.offset = Some(self.offset().saturating_add(by));
    }

    /// By how much the timestamps of a buffer that has come are to be moved, so that all streams count on one time base.
    pub fn align(&mut self, stream: StreamId, arrival: u64, ts: i64) -> i64 {
        if !self.live {
            // It is not known when it was sent.
            return 0;
        }
        let on_air = self.offset.filter(|_| self.frozen);
        let (delays, latency) = (&self.delays, self.latency);
        let usual = || {
            let prompt = on_air.map(|offset| offset.saturating_add(latency));
            let prompt = prompt.or_else(|| delays.least());
            delays.least_of(stream).max(prompt).unwrap_or(0)
        };
        self.bases.shift(stream, signed(arrival), ts, usual)
    }

    /// How late after its timestamp a buffer comes that has none: so that it is placed when it comes.
    pub fn usual_delay(&self) -> i64 {
        if !self.live {
            return self.offset();
        }
        let declared = self
            .offset
            .map(|offset| offset.saturating_add(self.latency));
        self.delays.least().or(declared).unwrap_or(0)
    }

    /// Takes note of a buffer. `end` is where the output stands: time never goes back there.
    pub fn observe(&mut self, stream: StreamId, arrival: u64, ts: i64, end: u64) -> Change {
        let delay = signed(arrival).saturating_sub(ts);
        if self.frozen {
            // After a flush on air it begins anew, like any input, but not behind what was sent.
            let anew = self.choose(delay);
            self.offset.get_or_insert(anew);
            let change = self.watch_for_jump(stream, arrival, ts, end);
            self.delays.note(stream, arrival, delay, ts);
            self.follow_drift(arrival);
            return change;
        }
        if !self.live {
            // It comes faster than real time: only its first buffer says where it begins.
            if self.offset.is_none() {
                self.offset = Some(self.choose(delay));
            }
            self.settled = true;
            return Change::Nothing;
        }
        let last = self.delays.last(stream);
        let jumped = last.is_some_and(|(before, _)| is_far(delay, before));
        let ran_ahead = self.delays.is_earlier_than_ever(stream, arrival, delay);
        // After a silence of the network the delay jumps too, but the timestamps go on.
        let has_other_base = jumped && last.is_some_and(|(_, before)| is_far(ts, before));
        let alone = jumped && self.delays.is_alone(stream, arrival);
        if alone && has_other_base {
            self.delays.forget_delays_of(stream);
        } else if !alone && (jumped || ran_ahead) {
            self.wary = true;
            self.unsettle();
        }
        self.seen = self.seen.saturating_add(1);
        self.settle(arrival, ts);
        self.delays.note(stream, arrival, delay, ts);
        if let Some(least) = self.delays.least() {
            self.offset = Some(self.choose(least));
        }
        match has_other_base {
            true if alone => Change::Stream,
            true => Change::Input,
            false => Change::Nothing,
        }
    }

    /// Takes note of a buffer that is not live and came at `came`, whenever its thread could take it.
    pub fn follow_late(&mut self, stream: StreamId, came: u64, now: u64, ts: i64) {
        let Some(offset) = self.offset.filter(|_| !self.live) else {
            return;
        };
        let delay = signed(came).saturating_sub(ts);
        self.delays.note(stream, now, delay, ts);
        let passed = self.passed(now);
        let newest = self.delays.newest(now);
        let late = newest.map_or(0, |least| least.saturating_sub(offset));
        // What was least of late is no more than that.
        if late > TARDY {
            self.follow(offset, late, passed);
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// All streams come late by `late`.
    fn follow(&mut self, offset: i64, late: i64, passed: i64) {
        let by_habit = self
            .delays
            .recent()
            .map_or(0, |least| least.saturating_sub(offset));
        // What is in step began late, and comes as fast as it can; unless it does not.
        let in_step = self.base == TimeBase::Guess && offset == 0;
        let has_habit = self.seen >= HABIT && self.delays.is_known_for_a_while();
        if late > SKIPPED && (!in_step || has_habit && by_habit > SKIPPED) {
            self.unsettle();
            self.settled = true;
            self.offset = Some(offset.saturating_add(if in_step { by_habit } else { late }));
        } else if by_habit > TARDY && !in_step {
            let step = by_habit.min(PRESENT).saturating_mul(passed) / SLOW_CLOCK_CALM;
            let step = step.min(passed / SLOW_CLOCK);
            self.offset = Some(offset.saturating_add(step));
        }
    }

    /// How late a buffer comes, beyond its place in the output's time and what is declared; `None` as long as that
    /// place is not known.
    pub fn late_by(&self, arrival: u64, ts: i64) -> Option<i64> {
        let offset = self.offset.filter(|_| self.settled || self.frozen)?;
        let declared = if self.live { self.latency } else { 0 };
        let due = ts.saturating_add(offset).saturating_add(declared);
        Some(signed(arrival).saturating_sub(due))
    }

    /// How late a stream is by habit: the least delay of late, where the output has it. What was before says
    /// nothing of one whose way has become longer.
    pub fn lateness(&self, stream: StreamId) -> i64 {
        if self.seen < HABIT {
            return 0;
        }
        let least = self.delays.recent_of(stream);
        least.map_or(0, |least| least.saturating_sub(self.offset()).max(0))
    }

    /// Where the output has this input's `ts`.
    pub fn place(&self, ts: i64) -> i64 {
        ts.saturating_add(self.offset())
    }

    /// Whether its `ts` lies far behind the output's `end`.
    pub fn is_behind(&self, ts: i64, end: u64) -> bool {
        self.place(ts) < signed(end).saturating_sub(JUMP)
    }

    /// Whether another stream is where the input is, so that it is no matter of the input's where this one is.
    pub fn is_accompanied(&self, stream: StreamId, now: u64) -> bool {
        self.delays.is_accompanied(stream, now)
    }

    fn watch_for_jump(&mut self, stream: StreamId, arrival: u64, ts: i64, end: u64) -> Change {
        let now = signed(arrival);
        let next = now.max(signed(end));
        let back = self.is_behind(ts, end);
        let most = self.latency.saturating_add(IN_STEP + JUMP);
        let ahead = self.live && self.place(ts) > next.saturating_add(most);
        let astray = back || ahead;
        let alone = self.delays.strays_alone(stream, arrival, astray);
        if !astray || alone {
            // What one stream does alone is not the input's.
            return Change::Nothing;
        }
        // An output that ran ahead of the clock is not followed, or all would be that late from then on.
        let ran_ahead = back && self.live && signed(end) > now.saturating_add(AHEAD);
        self.offset = Some(match ran_ahead {
            true => self.choose(now.saturating_sub(ts)),
            false => next.saturating_sub(ts),
        });
        self.delays.forget_delays();
        Change::Input
    }

    /// How much time has passed since this was asked before.
    fn passed(&mut self, now: u64) -> i64 {
        let since = self.followed.replace(now).unwrap_or(now);
        signed(now.saturating_sub(since).min(LONGEST_STEP))
    }

    /// Moves the offset towards the least delay, too slowly to be noticed: of the stream that it fits best, since the others
    /// are that far from it as they are sent.
    fn follow_drift(&mut self, arrival: u64) {
        if !self.live {
            // Its first buffer has placed it, and what was late since.
            return;
        }
        let passed = self.passed(arrival);
        let Some(offset) = self.offset else {
            return;
        };
        let away = self
            .delays
            .leasts()
            .map(|least| least.saturating_sub(self.latency).saturating_sub(offset));
        let Some(away) = away.min_by_key(|away| away.saturating_abs()) else {
            return;
        };
        if self.base == TimeBase::Guess && offset == 0 {
            // The pipeline's own time.
            return;
        }
        let most = passed / SLOWER;
        // What is more than this away is followed at full speed anyhow.
        let away = away.clamp(-CALM, CALM);
        let step = (away / 1_000).saturating_mul(passed) / (CALM / 1_000);
        self.offset = Some(offset.saturating_add(step.clamp(-most, most)));
    }

    fn is_in_step(&self, delay: i64) -> bool {
        let late = if self.live { IN_STEP } else { IN_STEP_NOT_LIVE };
        let fits = delay >= -IN_STEP && delay <= self.latency.saturating_add(late);
        self.base == TimeBase::Guess && fits
    }

    fn unsettle(&mut self) {
        self.delays.forget_delays();
        self.pace = None;
        self.settled = false;
        self.seen = 0;
    }

    /// Settled is what is in step and prompt, or comes no faster than twice real time.
    fn settle(&mut self, arrival: u64, ts: i64) {
        let delay = signed(arrival).saturating_sub(ts);
        let in_step = self.is_in_step(delay) && delay <= self.latency.saturating_add(PROMPT);
        let (since, from) = *self.pace.get_or_insert((arrival, ts));
        let took = signed(arrival.saturating_sub(since));
        // What lies before that is of another stream, and says nothing of the pace.
        let came = ts.saturating_sub(from);
        let too_fast = came > took.saturating_mul(2);
        if in_step {
            self.settled = true;
        } else if too_fast {
            self.pace = Some((arrival, ts));
        } else if came > 0 && (took >= PACE || !self.wary) {
            if !self.settled {
                // Nothing of a burst counts: a demuxer that follows the pace of what arrives, as tsdemux does, loses
                // its place in time there, and its timestamps go forth and back until it has found it again.
                self.delays.forget_delays();
            }
            self.settled = true;
        }
    }

    fn choose(&self, delay: i64) -> i64 {
        if self.is_in_step(delay) {
            0
        } else if self.live {
            // What is late by right keeps its declared latency.
            delay.saturating_sub(self.latency)
        } else {
            delay
        }
    }
}

fn is_far(one: i64, other: i64) -> bool {
    one.saturating_sub(other).saturating_abs() > JUMP
}

#[cfg(test)]
mod tests;
