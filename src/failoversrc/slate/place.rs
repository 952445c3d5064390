// SPDX-License-Identifier: MPL-2.0
//! PURE: where in running time the next buffer goes, real or filled in, and when the filler may
//! send it. Numbers only, in nanoseconds; knows no buffer, clock or thread.

const SECOND: u64 = 1_000_000_000;
/// Real data is missing after two of its buffers, but no sooner and no later than this.
const GRACE_MIN: u64 = 40_000_000;
const GRACE_MAX: u64 = 500_000_000;
/// A filler this late was suspended: it goes on from now instead of catching up.
const LATE: u64 = SECOND;
/// A hole between silence and sound up to this long is filled.
const BRIDGE: u64 = SECOND;

#[derive(Debug)]
pub(super) struct Place {
    /// Frames or samples per second of what is filled in.
    rate: (u64, u64),
    latency: u64,
    /// No buffer may start before this.
    floor: u64,
    sent_end: Option<u64>,
    /// Where the present fill began and how many frames or samples it has; `None`: real is on air.
    fill: Option<(u64, u64)>,
    last_real: Option<u64>,
    grace: u64,
}

/// What becomes of a real buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Pass,
    /// What lies before this is cut off.
    From(u64),
    Drop,
}

/// The place of one buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) discont: bool,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            rate: (25, 1),
            latency: 0,
            floor: 0,
            sent_end: None,
            fill: None,
            last_real: None,
            grace: GRACE_MIN,
        }
    }
}

impl Place {
    /// Forgets what was sent.
    pub(super) fn reset(&mut self) {
        *self = Self {
            rate: self.rate,
            latency: self.latency,
            ..Self::default()
        };
    }

    pub(super) fn set_rate(&mut self, rate: (u64, u64)) {
        if rate != self.rate && rate.0 > 0 && rate.1 > 0 {
            self.rate = rate;
            self.fill = None;
        }
    }

    pub(super) fn set_latency(&mut self, latency: u64) {
        self.latency = latency;
    }

    /// Where the output stands.
    pub(super) fn end(&self) -> u64 {
        self.sent_end.unwrap_or(0)
    }

    pub(super) fn is_filling(&self) -> bool {
        self.fill.is_some()
    }

    /// Real data will not come for a while: no need to wait for it.
    pub(super) fn real_ended(&mut self) {
        self.last_real = None;
    }

    /// Something real has come, wherever it belongs.
    pub(super) fn real_came(&mut self, now: u64) {
        self.last_real = Some(now);
    }

    /// A real buffer has come. Unless it is dropped, it is on air now.
    pub(super) fn real(&mut self, now: u64, start: u64, end: u64) -> (Verdict, bool) {
        self.real_came(now);
        let two = end.saturating_sub(start).saturating_mul(2);
        self.grace = two.clamp(GRACE_MIN, GRACE_MAX);
        if start < self.floor && end <= self.floor {
            return (Verdict::Drop, false);
        }
        let was_filling = self.fill.take().is_some();
        let placed = start.max(self.floor);
        let discont = was_filling && self.sent_end != Some(placed);
        self.floor = placed;
        self.sent_end = self.sent_end.max(Some(end));
        if start < placed {
            return (Verdict::From(placed), discont);
        }
        (Verdict::Pass, discont)
    }

    /// The hole between the fill and a real buffer that starts then, to be filled first.
    pub(super) fn bridge(&mut self, start: u64) -> Option<(Slot, u64)> {
        let end = self.sent_end.filter(|_| self.is_filling())?;
        let hole = start.checked_sub(end).filter(|hole| *hole <= BRIDGE)?;
        let units = self.units_in(hole);
        if units == 0 {
            return None;
        }
        self.sent_end = Some(start);
        let slot = Slot {
            start: end,
            end: start,
            discont: false,
        };
        Some((slot, units))
    }

    /// When the filler may send its next buffer, unless something real comes.
    pub(super) fn due(&self, now: u64) -> u64 {
        let missing = self.last_real.map_or(0, |at| at.saturating_add(self.grace));
        self.next_start(now).max(missing)
    }

    /// Places the filler's next buffer, of so many frames or samples.
    pub(super) fn next_fill(&mut self, now: u64, units: u64) -> Slot {
        let start = self.next_start(now);
        let (origin, done) = match self.fill {
            Some((origin, done)) if self.at(origin, done) == start => (origin, done),
            _ => (start, 0),
        };
        let done = done.saturating_add(units);
        let end = self.at(origin, done);
        let discont = self.sent_end != Some(start);
        self.fill = Some((origin, done));
        self.sent_end = Some(end);
        self.floor = end;
        Slot {
            start,
            end,
            discont,
        }
    }

    fn next_start(&self, now: u64) -> u64 {
        let in_time = now.saturating_sub(self.latency);
        match (self.fill, self.sent_end) {
            (Some((origin, done)), _) => {
                let next = self.at(origin, done);
                if next.saturating_add(LATE) < in_time {
                    return now;
                }
                next
            }
            (None, Some(sent)) => sent.max(in_time),
            (None, None) => now,
        }
    }

    fn at(&self, origin: u64, done: u64) -> u64 {
        let (num, den) = self.rate;
        origin.saturating_add(scale(done, SECOND.saturating_mul(den), num))
    }

    fn units_in(&self, span: u64) -> u64 {
        let (num, den) = self.rate;
        let unit = SECOND.saturating_mul(den);
        scale(span, num, unit)
    }
}

fn scale(value: u64, num: u64, den: u64) -> u64 {
    let scaled =
        (u128::from(value) * u128::from(num) + u128::from(den / 2)) / u128::from(den.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_fill_of_a_broken_rate_does_not_drift() {
        let mut place = Place::default();
        place.set_rate((30_000, 1001));
        let mut end = 0;
        for _ in 0..30_000 {
            let slot = place.next_fill(end, 1);
            assert_eq!(slot.start, end);
            end = slot.end;
        }
        assert_eq!(end, 1001 * SECOND);
    }

    #[test]
    fn real_buffers_that_touch_or_overlap_by_rounding_pass_untouched() {
        let mut place = Place::default();
        for start in [0, 33 * MS, 67 * MS, 100 * MS] {
            let verdict = place.real(start, start, start + 40 * MS);
            assert_eq!(verdict, (Verdict::Pass, false));
        }
    }

    #[test]
    fn the_fill_starts_as_far_back_as_latency_reaches() {
        let mut place = Place::default();
        place.real(0, 0, 40 * MS);
        assert_eq!(place.due(1000 * MS), 1000 * MS);
        place.set_latency(600 * MS);
        assert_eq!(place.next_fill(1000 * MS, 1).start, 400 * MS);
        assert_eq!(place.next_fill(1000 * MS, 1).start, 440 * MS);
        place.reset();
        place.real(0, 0, 40 * MS);
        assert_eq!(place.next_fill(500 * MS, 1).start, 40 * MS);
    }

    #[test]
    fn real_data_that_lags_behind_the_fill_takes_over_when_it_has_caught_up() {
        let mut place = Place::default();
        let end = place.next_fill(1000 * MS, 1).end;
        assert_eq!(place.real(1010 * MS, 900 * MS, 940 * MS).0, Verdict::Drop);
        assert_eq!(place.due(1010 * MS), end.max(1090 * MS));
        assert_eq!(place.real(1050 * MS, 940 * MS, 980 * MS).0, Verdict::Drop);
        let verdict = place.real(1130 * MS, 1020 * MS, 1060 * MS);
        assert_eq!(verdict, (Verdict::From(end), false));
        assert!(!place.is_filling());
    }

    #[test]
    fn a_filler_that_was_suspended_goes_on_from_now() {
        let mut place = Place::default();
        place.next_fill(0, 1);
        assert_eq!(place.next_fill(900 * MS, 1).start, 40 * MS);
        let slot = place.next_fill(5000 * MS, 1);
        assert_eq!((slot.start, slot.discont), (5000 * MS, true));
    }

    #[test]
    fn a_bridge_reaches_from_the_fill_to_the_sound() {
        let mut place = Place::default();
        place.set_rate((48_000, 1));
        let end = place.next_fill(0, 960).end;
        assert_eq!(end, 20 * MS);
        let (slot, units) = place.bridge(35 * MS).unwrap();
        assert_eq!((slot.start, slot.end, units), (20 * MS, 35 * MS, 720));
        let verdict = place.real(40 * MS, 35 * MS, 55 * MS);
        assert_eq!(verdict, (Verdict::Pass, false));
        assert_eq!(place.bridge(60 * MS), None);
    }
}
