// SPDX-License-Identifier: MPL-2.0
//! PURE: how much later than declared an input comes by habit, and what the latency adds for that.
//!
//! Numbers only, nanoseconds. An input has one offset, which follows its promptest buffers, so the first of
//! its streams. Another may come later by habit: MPEG-TS carries some frames of audio in one packet, and
//! sends it when the last of them is there. What comes late once is no habit, what comes late in each
//! window is one.

/// Long enough for every rhythm of packets: muxers of MPEG-TS wait 0.35 s for a packet of audio to be full.
const WINDOW: u64 = 500_000_000;
/// As long as the timeline remembers delays: what has passed by then was a hiccup.
const RECENT: usize = 8;
/// What comes that late in so many windows does so again; one alone is what a start costs.
const OBVIOUS: (i64, usize) = (100_000_000, 2);
/// What is less may be a busy machine's.
const LESS: usize = 6;
/// In step: at 25 frames/s, audio that is interleaved with pictures waits 40 ms for the next one and is 21 ms
/// long, and threads add some.
const IN_STEP: i64 = 80_000_000;
/// What is paced by the clock is early, and waits: late at all, it is by habit.
const PACED: i64 = 20_000_000;
/// The latency grows by such steps, so that it rarely grows: each time, sinks stand still for as long.
const STEP: i64 = 20_000_000;
/// Later than this is another fault: all the rest is not to wait so long. Streams of some encoders are 5 s apart, and jitter.
const MOST: i64 = 5_500_000_000;
/// A timestamp that goes back by less belongs to a frame that is decoded behind another and shown before it.
const REORDERED: i64 = 1_000_000_000;
/// A thread that comes back so soon had the next buffer waiting for it.
const AT_ONCE: u64 = 1_000_000;
/// The same behind a rest, in which much has gathered.
const GATHERED: u64 = 10_000_000;

/// How late one stream has been in each of so many windows, at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lateness {
    pub late: i64,
    pub windows: usize,
}

/// How late one stream comes.
#[derive(Debug, Default)]
pub struct Habit {
    /// When the first window began.
    since: Option<u64>,
    /// The window that is not over yet, and the greatest lateness in it.
    present: Option<(u64, i64)>,
    /// The greatest of each of the last windows in which something came.
    recent: [i64; RECENT],
    /// How many windows are over.
    over: usize,
    /// The furthest timestamp.
    furthest: Option<i64>,
}

impl Habit {
    /// A buffer with this timestamp came `late`, beyond its place in the output's time and what its input declares.
    /// Returns how late the stream comes, each time that a window is over.
    pub fn note(&mut self, arrival: u64, ts: i64, late: i64) -> Option<Lateness> {
        let back = self.furthest.map_or(0, |far| far.saturating_sub(ts));
        if (1..REORDERED).contains(&back) {
            // The decoder declares what it waits for such a frame.
            return None;
        }
        self.furthest = Some(ts);
        let since = *self.since.get_or_insert(arrival);
        let window = arrival.saturating_sub(since) / WINDOW;
        match &mut self.present {
            Some((present, greatest)) if *present == window => {
                *greatest = late.max(*greatest);
                None
            }
            present => {
                let (_, greatest) = present.replace((window, late))?;
                self.recent[self.over % RECENT] = greatest;
                self.over = self.over.wrapping_add(1);
                self.late()
            }
        }
    }

    /// As many windows are over as are looked at.
    pub fn is_known(&self) -> bool {
        self.over >= RECENT
    }

    pub fn has_begun(&self) -> bool {
        self.present.is_some()
    }

    /// In each of the last windows something came at least so late.
    fn late(&self) -> Option<Lateness> {
        let windows = self.over.min(RECENT);
        let least = self.recent.iter().take(windows).min().copied();
        least.map(|late| Lateness { late, windows })
    }
}

/// What the latency adds for one input. It only grows while an attempt lasts, since sinks have to hurry when it
/// shrinks; the next attempt begins with what the last one took, until it is known what it takes itself.
#[derive(Debug, Default)]
pub struct Allowance {
    present: i64,
    earlier: i64,
}

impl Allowance {
    pub fn nanos(&self) -> u64 {
        self.present.max(self.earlier).unsigned_abs()
    }

    /// Covers a stream that comes so late by habit, and one step beyond that: the habit is the least of what
    /// comes again and again. `paced`: its buffers wait for their time.
    pub fn cover(&mut self, seen: Lateness, paced: bool) {
        let late = seen.late;
        let (obvious, few) = OBVIOUS;
        let (in_step, obvious) = if paced {
            (PACED, PACED)
        } else {
            (IN_STEP, obvious)
        };
        let needed = if late < obvious { LESS } else { few };
        if late > self.present.max(in_step) && late <= MOST && seen.windows >= needed {
            self.present = (late / STEP + 2) * STEP;
        }
    }

    /// Another attempt begins.
    pub fn restart(&mut self) {
        self.earlier = self.earlier.max(self.present);
        self.present = 0;
    }

    /// The habits of all streams are known: what an earlier attempt took counts no more, unless it was about the same.
    pub fn settle(&mut self) {
        if self.present > self.earlier / 2 {
            self.present = self.present.max(self.earlier);
        }
        self.earlier = 0;
    }
}

/// When the buffers of an input came. Those that came while its thread was held up, by a sink or in a rest, are
/// found when it is free again: that is no lateness of theirs.
#[derive(Debug, Default)]
pub struct Reader {
    /// From when on the thread has had no pause.
    since: u64,
    last: u64,
    rests_until: u64,
}

impl Reader {
    /// When a buffer that is read now came, at the earliest. `freed`: when the thread was last given back.
    pub fn came(&mut self, now: u64, freed: u64) -> u64 {
        let free = self.last.max(freed).saturating_add(AT_ONCE);
        if now > free.max(self.rests_until) {
            self.since = now;
        }
        self.last = now;
        self.since.min(now)
    }

    pub fn rest(&mut self, until: u64) {
        self.rests_until = until.saturating_add(GATHERED);
    }
}

#[cfg(test)]
mod tests;
