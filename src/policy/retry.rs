// SPDX-License-Identifier: MPL-2.0
//! When a source may be tried again. Owns the growing, jittered interval between attempts; never
//! sleeps, never knows what an attempt is, and never judges whether a failure is permanent.
//!
//! The interval counts from the *start* of the last attempt, so that an attempt which took long to
//! fail is repeated at once, and one that failed at once is not repeated in a tight loop.

use super::moment::{Moment, Span};

/// No attempts closer together than this, whatever was asked for.
const SHORTEST: Span = Span::from_millis(1);

/// The pace of one input's attempts. The same seed gives the same series.
#[derive(Clone, Debug)]
pub struct Retry {
    initial: Span,
    max: Span,
    entropy: u64,
    /// Attempts since the last success.
    attempts: u32,
    /// When the last attempt began, and the least time from there to the next.
    last: Option<(Moment, Span)>,
}

impl Retry {
    /// `initial` is at least 1 ms, `max` at least `initial`.
    pub fn new(initial: Span, max: Span, seed: u64) -> Self {
        let initial = initial.max(SHORTEST);
        Self {
            initial,
            max: max.max(initial),
            entropy: seed,
            attempts: 0,
            last: None,
        }
    }

    /// An attempt begins now; the one after it waits twice as long as this one had to, up to `max`.
    pub fn attempt_started(&mut self, now: Moment) {
        self.attempts = self.attempts.saturating_add(1);
        let delay = self.jittered(self.interval());
        self.last = Some((now, delay));
    }

    /// When the next attempt may begin: now, if nothing was tried yet or the interval has passed.
    pub fn next_attempt(&self, now: Moment) -> Moment {
        self.last
            .map_or(now, |(started, delay)| now.max(started + delay))
    }

    /// The source delivered for `session`. Only a session that outlived the interval counts as a
    /// success: a server that accepts and drops at once is still approached ever more slowly.
    pub fn flowed_for(&mut self, session: Span) {
        if session > self.interval() {
            self.attempts = 0;
            self.last = self.last.map(|(started, _)| (started, self.initial));
        }
    }

    /// As if nothing had been tried yet.
    pub fn forget(&mut self) {
        self.attempts = 0;
        self.last = None;
    }

    /// How long a connected but silent attempt is listened to before another replaces it: never
    /// less than the pause that would follow, since listening costs nothing and waiting is deaf.
    pub fn patience(&self, startup_timeout: Span) -> Span {
        let delay = self.last.map_or(self.initial, |(_, delay)| delay);
        startup_timeout.max(delay)
    }

    /// The interval after the present attempt, before jitter.
    fn interval(&self) -> Span {
        let doublings = self.attempts.saturating_sub(1);
        self.initial.doubled(doublings).min(self.max)
    }

    /// `interval` plus or minus a quarter, so that many clients do not return at the same time.
    fn jittered(&mut self, interval: Span) -> Span {
        let breadth = (interval / 2).nanos();
        let offset = self.draw() % breadth.max(1);
        interval - interval / 4 + Span::from_nanos(offset)
    }

    /// SplitMix64: short, well spread for any seed, and not meant to be secret.
    fn draw(&mut self) -> u64 {
        self.entropy = self.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.entropy;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Moment = Moment::from_nanos(1_000_000_000_000);

    fn half_a_second_to_thirty(seed: u64) -> Retry {
        Retry::new(Span::from_millis(500), Span::from_secs(30), seed)
    }

    /// The waits before each of the attempts that follow a first one, all failing at once.
    fn waits(retry: &mut Retry, count: usize) -> Vec<Span> {
        let mut now = T0;
        retry.attempt_started(now);
        let mut next = || {
            let at = retry.next_attempt(now);
            let wait = at - now;
            now = at;
            retry.attempt_started(now);
            wait
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn the_first_attempt_is_at_once() {
        assert_eq!(half_a_second_to_thirty(1).next_attempt(T0), T0);
    }

    #[test]
    fn the_waits_double_up_to_the_bound() {
        let waits = waits(&mut half_a_second_to_thirty(7), 9);
        let plain = [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000];
        for (wait, plain) in waits.iter().zip(plain.map(Span::from_millis)) {
            assert!(*wait >= plain - plain / 4 && *wait <= plain + plain / 4);
        }
    }

    #[test]
    fn the_interval_counts_from_the_start_of_the_attempt() {
        let mut retry = half_a_second_to_thirty(3);
        retry.attempt_started(T0);
        let slow_failure = T0 + Span::from_secs(4);
        assert_eq!(retry.next_attempt(slow_failure), slow_failure);
    }

    #[test]
    fn a_session_shorter_than_the_interval_does_not_reset_it() {
        let mut retry = half_a_second_to_thirty(3);
        waits(&mut retry, 4);
        let patience = retry.patience(Span::ZERO);
        assert!(patience >= Span::from_secs(6));
        retry.flowed_for(Span::from_secs(8));
        retry.attempt_started(T0);
        assert!(retry.patience(Span::ZERO) > Span::from_secs(10));
    }

    #[test]
    fn a_session_longer_than_the_interval_resets_it() {
        let mut retry = half_a_second_to_thirty(3);
        waits(&mut retry, 4);
        let Some((started, _)) = retry.last else {
            panic!("nothing was tried")
        };
        let lost = started + Span::from_millis(8001);
        retry.flowed_for(Span::from_millis(8001));
        assert_eq!(retry.next_attempt(lost), lost);
        retry.attempt_started(T0);
        assert!(retry.next_attempt(T0) - T0 <= Span::from_millis(625));
    }

    #[test]
    fn a_silent_attempt_is_listened_to_until_the_next_one_is_due() {
        let mut retry = half_a_second_to_thirty(5);
        assert_eq!(retry.patience(Span::from_secs(5)), Span::from_secs(5));
        waits(&mut retry, 8);
        retry.attempt_started(T0);
        let due = retry.next_attempt(T0) - T0;
        assert_eq!(retry.patience(Span::from_secs(5)), due);
    }

    proptest! {
        #[test]
        fn the_same_seed_gives_the_same_series(seed: u64) {
            let series = |seed| waits(&mut half_a_second_to_thirty(seed), 12);
            prop_assert_eq!(series(seed), series(seed));
        }

        #[test]
        fn every_wait_is_within_a_quarter_of_the_bounds(seed: u64, initial: u64, max: u64) {
            let mut retry = Retry::new(Span::from_nanos(initial), Span::from_nanos(max), seed);
            let (initial, max) = (retry.initial, retry.max);
            for _ in 0..70 {
                retry.attempt_started(Moment::ZERO);
                let wait = retry.next_attempt(Moment::ZERO) - Moment::ZERO;
                prop_assert!(wait >= initial - initial / 4);
                prop_assert!(wait <= max + max / 4);
            }
        }
    }

    #[test]
    fn two_seeds_give_two_series() {
        let series = |seed| waits(&mut half_a_second_to_thirty(seed), 12);
        assert_ne!(series(1), series(2));
    }
}
