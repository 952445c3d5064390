// SPDX-License-Identifier: MPL-2.0
//! PURE: what of the times that a buffer says is believed. Numbers only, nanoseconds of its input's running time.
//!
//! A cut begins where what was sent ends, time never goes back, and a sink waits for the time of what it gets. So a single
//! buffer that says that it lasts an hour, or that it is an hour later than the one before, would stop the output for that
//! hour. It is measured by the buffers around it: a duration by the usual step from one to the next, a time by where
//! the stream was and how long ago that is. A second buffer that says the same is believed, as a stream may really change.

/// So many different times are remembered; the middle one of the eight steps between them is the usual one, so that it takes
/// five alike to make another pace.
const REMEMBERED: usize = 9;
/// One that says more usual steps than this is not believed: it lasts one. Frames of a film are shown for two and three fields in
/// turn, and behind one whose end is put too late a key frame that joins would be missed.
const LONGEST: u64 = 2;
/// The longest of a stream whose pace is not known yet: as long as a frame at 10 frames per second.
const MODEST: u64 = 100_000_000;
/// What a buffer of raw audio says and what its samples last differ by no more than this where both are right: times of whole
/// milliseconds.
const ROUNDED: u64 = 1_000_000;
/// Steps that are shorter are alike: no stream has frames as short, and what is sent in a burst is not sorted for nothing.
const FINE: i64 = 1_000_000;
/// A buffer is off where its time lies so far behind the one before, or ahead of where the stream should be by now: so long, and so
/// many usual steps. Frames that come in decode order with nothing but a PTS are off by three or four.
const OFF: i64 = 300_000_000;
const OFF_STEPS: i64 = 6;
/// Where its pace is not known yet: a slow stream may begin with a burst.
const OFF_AT_FIRST: i64 = 2_000_000_000;
/// The first frame may be shown so much later than it is decoded: 16 frames, the most of H.264, at 16 frames per second.
const FIRST_REACH: i64 = 1_000_000_000;
/// A later one may be by so many more steps than those before.
const FURTHER: i64 = 4;
/// How slowly that is forgotten: within a group of eight frames by a fifth.
const FORGOTTEN: i64 = 32;

/// A live stream tells of no gap that is further from now and from what was sent.
const FAR: i64 = 1_000_000_000;

/// The times of one buffer, running time of its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// Decode order: DTS, or PTS where there is none.
    pub order: i64,
    /// Presentation: PTS, or DTS where there is none.
    pub start: i64,
    pub duration: u64,
}

impl Times {
    pub fn later_by(self, by: i64) -> Self {
        Self {
            order: self.order.saturating_add(by),
            start: self.start.saturating_add(by),
            ..self
        }
    }
}

/// What a buffer says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Said {
    pub order: i64,
    pub start: i64,
    pub duration: Option<u64>,
    /// What its samples last: of raw audio.
    pub samples: Option<u64>,
}

/// How one stream goes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    /// Different times in the order in which they came, the first `known` of them are set; the next one comes to `next`.
    remembered: [i64; REMEMBERED],
    /// The same, the earliest first: each buffer asks for the steps between them.
    sorted: [i64; REMEMBERED],
    known: usize,
    next: usize,
    /// The step from one buffer to the next, about; `None` before three have come.
    usual: Option<i64>,
    /// Of the last buffer that was not off: its order and its arrival.
    last: Option<(i64, i64)>,
    /// The same of one behind it that was off.
    doubted: Option<(i64, i64)>,
    /// How much later than it is decoded a frame is shown, at most.
    reach: Option<i64>,
}

impl Pace {
    /// What is believed of a buffer that came at `arrival`. `live`: it comes in real time; else its arrival says nothing.
    /// Nothing lasts longer than `longest`.
    pub fn believe(&mut self, said: Said, arrival: i64, live: bool, longest: u64) -> Times {
        let order = self.believe_order(said.order, arrival, live);
        let usual = self.usual;
        let start = order.saturating_add(self.believe_reach(said, usual));
        let duration = match said.samples {
            Some(samples) => {
                let near = |said: &u64| said.abs_diff(samples) <= ROUNDED;
                said.duration.filter(near).unwrap_or(samples)
            }
            None => {
                let step = usual.map(i64::unsigned_abs);
                let most = step.map_or(MODEST, |step| step.saturating_mul(LONGEST));
                let believed = said.duration.filter(|said| *said <= most);
                let instead = step.or_else(|| said.duration.map(|_| MODEST)).unwrap_or(0);
                believed.unwrap_or(instead).min(longest.max(MODEST))
            }
        };
        Times {
            order,
            start,
            duration,
        }
    }

    /// The step from one buffer to the next, where it is known.
    pub fn usual(&self) -> Option<i64> {
        self.usual
    }

    /// The middle one of the steps between all that is remembered: a hole is no pace, nor does the order matter in which
    /// frames are decoded.
    fn middle_step(&self) -> Option<i64> {
        let sorted = self.sorted.get(..self.known)?;
        let mut steps = [i64::MAX; REMEMBERED];
        let count = sorted.len().checked_sub(1).filter(|count| *count > 1)?;
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        for (step, (one, next)) in steps.iter_mut().zip(pairs) {
            *step = next.saturating_sub(*one);
        }
        let (_, middle, _) = steps.get_mut(..count)?.select_nth_unstable((count - 1) / 2);
        Some(*middle)
    }

    fn believe_order(&mut self, order: i64, arrival: i64, live: bool) -> i64 {
        let far = self.usual.map_or(OFF_AT_FIRST, |usual| {
            usual.saturating_mul(OFF_STEPS).max(OFF)
        });
        let is_off = |from: &(i64, i64)| {
            let step = order.saturating_sub(from.0);
            let passed = arrival.saturating_sub(from.1).max(0);
            // What is late is not off, and what does not come by the clock may be ahead of it.
            step < far.saturating_neg() || live && step > far.saturating_add(passed)
        };
        let doubted = self.doubted.take();
        let last = self.last.filter(is_off);
        match last.filter(|_| doubted.as_ref().is_none_or(is_off)) {
            Some((last, since)) => {
                self.doubted = Some((order, arrival));
                let passed = arrival.saturating_sub(since).max(0);
                // One alone is in its turn, however late it is; of many each is as of when it comes.
                let step = self.usual.filter(|_| doubted.is_none());
                last.saturating_add(step.map_or(passed, |step| step.min(passed)))
            }
            None => {
                self.last = Some((order, arrival));
                self.remember(order);
                order
            }
        }
    }

    fn remember(&mut self, order: i64) {
        let Some(slot) = self.remembered.get_mut(self.next) else {
            return;
        };
        let oldest = *slot;
        let [first, second, .., last] = self.sorted;
        if self.known == REMEMBERED && oldest == first && order > last {
            // So it is, mostly: the earliest of all goes and a later one than all comes.
            *slot = order;
            self.sorted.copy_within(1.., 0);
            if let Some(end) = self.sorted.last_mut() {
                *end = order;
            }
            let steps = [second.saturating_sub(first), order.saturating_sub(last)];
            if !self.keeps_pace(steps) {
                self.usual = self.middle_step();
            }
        } else {
            let known = self.sorted.get(..self.known).unwrap_or_default();
            let Err(mut place) = known.binary_search(&order) else {
                // Slices of one frame, or what comes with it.
                return;
            };
            *slot = order;
            let mut end = self.known;
            if self.known == REMEMBERED {
                let gone = known.binary_search(&oldest).unwrap_or(0);
                self.sorted.copy_within(gone + 1.., gone);
                place -= usize::from(gone < place);
                end -= 1;
            }
            self.sorted.copy_within(place..end, place + 1);
            if let Some(slot) = self.sorted.get_mut(place) {
                *slot = order;
            }
            self.known = (self.known + 1).min(REMEMBERED);
            self.usual = self.middle_step();
        }
        self.next = (self.next + 1) % REMEMBERED;
    }

    /// Whether the middle step stays where it is when one step goes and another comes: the one that comes is the middle
    /// one, or lies on the same side of it as the one that goes.
    fn keeps_pace(&self, [goes, comes]: [i64; 2]) -> bool {
        self.usual.is_some_and(|usual| {
            let [goes, comes] = [goes, comes].map(|step| step.max(FINE).cmp(&usual.max(FINE)));
            comes.is_eq() || comes == goes
        })
    }

    /// How much later than it is decoded this one is shown.
    fn believe_reach(&mut self, said: Said, usual: Option<i64>) -> i64 {
        let further = usual.map_or(OFF, |usual| usual.saturating_mul(FURTHER));
        let most = self
            .reach
            .map_or(FIRST_REACH, |reach| reach.saturating_add(further));
        let reach = said
            .start
            .saturating_sub(said.order)
            .clamp(-FIRST_REACH, most.max(0));
        let before = self.reach.unwrap_or(0);
        self.reach = Some(reach.max(before - before / FORGOTTEN).max(0));
        reach
    }
}

/// How long a gap is believed to last that a live stream has at `at`, output time; `None` where it has none there. An input
/// that is silent for the timeout is left: none can promise more. `around`: now, and the end of what was sent.
pub fn believe_gap(
    at: i64,
    lasts: Option<u64>,
    around: [i64; 2],
    longest: u64,
) -> Option<Option<u64>> {
    let [one, two] = around;
    let near = one.min(two).saturating_sub(FAR)..=one.max(two).saturating_add(FAR);
    let lasts = lasts.map(|lasts| lasts.min(longest.max(MODEST)));
    near.contains(&at).then_some(lasts)
}

#[cfg(test)]
mod tests;
