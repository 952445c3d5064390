// SPDX-License-Identifier: MPL-2.0
//! PURE: the rests of a standby. Waking up for every packet of a connection costs more than all that is
//! done with it. So the thread that brings a standby rests, what comes meanwhile waits in the connection,
//! and then it is read in one go.
//!
//! Numbers only, nanoseconds.

/// From the beginning of a rest to that of the next one. A cut ends the rest, and has no more than this to
/// catch up with.
const LONGEST: i64 = 100_000_000;
/// Nobody takes a rest for a stall.
const OF_TIMEOUT: u64 = 5;
/// The last quarter is spent awake: only what is read as it comes tells how late the input is.
const ASLEEP: [i64; 2] = [3, 4];
/// An offset that moves by more is not known yet: old data may be coming in a burst, to be read at once.
const STEADY: i64 = 5_000_000;
const STEADY_FOR: i64 = 2_000_000_000;

/// When an input may rest.
#[derive(Debug, Default)]
pub struct Rest {
    allowed: bool,
    /// The offset, and since when it is the same.
    steady: Option<(i64, i64)>,
    /// After which buffer it last did, input time.
    last: Option<i64>,
}

impl Rest {
    pub fn allow(&mut self, allowed: bool) {
        self.allowed = allowed;
    }

    /// Another source feeds the input.
    pub fn reset(&mut self) {
        self.steady = None;
        self.last = None;
    }

    /// Until when to rest after the buffer at `order` (input time), where the input's time is known to be
    /// `offset` behind ours. Counted from when that buffer was due, so that the input never falls behind.
    pub fn after(&mut self, order: i64, offset: i64, now: i64, timeout: u64) -> Option<i64> {
        let length = LONGEST.min(i64::try_from(timeout / OF_TIMEOUT).unwrap_or(LONGEST));
        let is_near = |last: i64| order.saturating_sub(last).saturating_abs() < length;
        if !self.allowed || !self.is_steady(offset, now) || self.last.is_some_and(is_near) {
            return None;
        }
        // One that comes too early does not make the rest longer.
        let due = order.saturating_add(offset).min(now);
        let until = due.saturating_add(length * ASLEEP[0] / ASLEEP[1]);
        if until <= now {
            // Behind a stream that is later than the others the next rest is no nearer.
            return None;
        }
        self.last = Some(order);
        Some(until)
    }

    fn is_steady(&mut self, offset: i64, now: i64) -> bool {
        let (before, since) = *self.steady.get_or_insert((offset, now));
        if before.saturating_sub(offset).saturating_abs() > STEADY {
            self.steady = Some((offset, now));
            return false;
        }
        now.saturating_sub(since) >= STEADY_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;
    const SECOND: u64 = 1_000_000_000;

    /// One that may, of an input that has been steady for long enough; it is 2 s.
    fn steady() -> Rest {
        let mut rest = Rest::default();
        rest.allow(true);
        assert_eq!(rest.after(0, 0, 0, SECOND), None);
        rest
    }

    /// Reads packets that come `every` so often and are placed by the least delay seen, which at first is
    /// taken to be `wrong`; when each came and was read.
    fn read(every: i64, wrong: i64, timeout: u64) -> Vec<(i64, i64)> {
        let mut rest = Rest::default();
        rest.allow(true);
        let (mut now, mut offset) = (0, wrong);
        let came = (0..2_000).map(|n| n * every);
        let read = came.map(|came| {
            now = now.max(came);
            let read = (came, now);
            offset = offset.min(now - came);
            now = rest.after(came, offset, now, timeout).unwrap_or(now);
            read
        });
        read.collect()
    }

    #[test]
    fn one_that_may_not_never_rests() {
        let mut rest = Rest::default();
        rest.after(0, 0, 0, SECOND);
        assert_eq!(rest.after(3_000 * MS, 0, 3_000 * MS, SECOND), None);
    }

    #[test]
    fn it_is_read_in_gusts_of_a_tenth_of_a_second() {
        let read = read(20 * MS, 0, SECOND);
        let gust: Vec<_> = read
            .iter()
            .skip(100)
            .take(7)
            .map(|(_, at)| at / MS)
            .collect();
        assert_eq!(gust, [2_000, 2_075, 2_075, 2_075, 2_080, 2_100, 2_175]);
    }

    #[test]
    fn a_short_timeout_makes_short_rests() {
        let now = 2_000 * MS;
        assert_eq!(
            steady().after(now, 0, now, 50 * MS as u64),
            Some(now + 7_500_000)
        );
        assert_eq!(steady().after(now, 0, now, 0), None);
    }

    #[test]
    fn what_comes_late_is_not_made_later() {
        let (mut rest, order) = (steady(), 2_000 * MS);
        assert_eq!(rest.after(order, 0, order + 80 * MS, SECOND), None);
        let order = order + 200 * MS;
        assert_eq!(
            rest.after(order, 0, order + 30 * MS, SECOND),
            Some(order + 75 * MS)
        );
    }

    #[test]
    fn what_comes_early_makes_no_long_rest() {
        let now = 2_000 * MS;
        assert_eq!(
            steady().after(now + 5_000 * MS, 0, now, SECOND),
            Some(now + 75 * MS)
        );
    }

    #[test]
    fn a_burst_of_old_data_is_read_at_once() {
        let mut rest = steady();
        let now = 10_000 * MS;
        for n in 0..500 {
            // All of it now; the offset is that of the newest.
            let order = n * 20 * MS;
            assert_eq!(rest.after(order, now - order, now, SECOND), None);
        }
    }

    proptest! {
        #[test]
        fn no_packet_waits_longer_than_a_rest(
            every in 1..400i64, wrong in 0..90i64, timeout in 0..3_000u64,
        ) {
            for (came, at) in read(every * MS, wrong * MS, timeout * MS as u64) {
                prop_assert!(at - came <= LONGEST.min(timeout as i64 * MS / 5));
            }
        }

        /// Else it would stay as late as it was once taken to be.
        #[test]
        fn every_second_something_is_read_as_it_comes(every in 1..100i64, wrong in 0..90i64) {
            let read = read(every * MS, wrong * MS, SECOND);
            for second in read.chunk_by(|(a, _), (b, _)| a / 1_000 / MS == b / 1_000 / MS) {
                prop_assert!(second.iter().any(|(came, at)| came == at), "{:?}", second);
            }
        }
    }
}
