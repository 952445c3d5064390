// SPDX-License-Identifier: MPL-2.0
//! PURE: how a stream comes by its nature: some frames at a time, or one now and then. Numbers only, nanoseconds.
//!
//! A camera of one frame per second, a packager that sends two seconds at once and a muxer that fills a packet with frames
//! of audio all pause for longer than a short timeout, and are well. Such a pause is told from a sender's death by what
//! comes behind it: nothing is missing there, the next frame follows the last one by the stream's own step.

/// So many pauses in a row make a rhythm: one alone is a hiccup, of which all is made up.
const PAUSES: u32 = 2;
/// Frames of a film are shown for two and three fields in turn.
const STEPS: i64 = 2;
/// A pause that comes again belongs to a rhythm, if as much time at most lies between it and the next one.
const BETWEEN: u64 = 1;
/// Pauses of a rhythm are alike: none is longer than so many of another. One of these may be a sender's death, after which
/// its connection was made again and its times continued.
const ALIKE: u64 = 2;
/// Without such a pause for so many of them it is none any more.
const FORGOTTEN: u64 = 8;

/// How one stream comes.
#[derive(Debug, Default)]
pub struct Cadence {
    /// The last frame: its arrival and its time.
    last: Option<(u64, i64)>,
    /// When the last pause was over, how many there were in a row, and the longest of them.
    pauses: Option<(u64, u32, u64)>,
    rhythm: u64,
}

impl Cadence {
    /// Another attempt begins; the sender is the same.
    pub fn begin(&mut self) {
        (self.last, self.pauses) = (None, None);
    }

    /// A frame comes. Pauses below `least` are of no interest; `step`: from one frame to the next, where it is known.
    /// Returns the longest pause that is natural for this stream, when that changes; 0: none is known.
    pub fn note(&mut self, arrival: u64, order: i64, step: Option<i64>, least: u64) -> Option<u64> {
        let (since, before) = self.last.replace((arrival, order))?;
        let pause = arrival.saturating_sub(since);
        let follows = order.saturating_sub(before);
        let is_whole = step.is_some_and(|step| follows <= step.saturating_mul(STEPS));
        let old = self.rhythm;
        if pause < least {
            let is_over = self.pauses.is_some_and(|(over, ..)| {
                arrival.saturating_sub(over) > self.rhythm.max(least).saturating_mul(FORGOTTEN)
            });
            if is_over {
                (self.pauses, self.rhythm) = (None, 0);
            }
        } else if !is_whole {
            // Something is missing: that was no pause of its own.
            self.pauses = None;
        } else {
            let (over, count, longest) = self.pauses.unwrap_or((since, 0, 0));
            let between = since.saturating_sub(over);
            let is_alike = pause.max(longest) <= pause.min(longest).saturating_mul(ALIKE);
            let is_next = is_alike && between <= pause.saturating_mul(BETWEEN);
            let (count, longest) = match is_next {
                true => (count.saturating_add(1), longest.max(pause)),
                false => (1, pause),
            };
            self.pauses = Some((arrival, count, longest));
            if count >= PAUSES {
                self.rhythm = self.rhythm.max(longest);
            }
        }
        (self.rhythm != old).then_some(self.rhythm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const LEAST: u64 = 500 * MS;

    fn note(cadence: &mut Cadence, arrival: u64, order: u64, step: u64) -> Option<u64> {
        let signed = |ms: u64| i64::try_from(ms * MS).expect("small");
        cadence.note(arrival * MS, signed(order), Some(signed(step)), LEAST)
    }

    #[test]
    fn one_frame_a_second_is_a_rhythm_at_the_second_pause() {
        let mut cadence = Cadence::default();
        let learned: Vec<_> = (0..5)
            .map(|n| note(&mut cadence, n * 1000, n * 1000, 1000))
            .collect();
        assert_eq!(learned, [None, None, Some(1000 * MS), None, None]);
    }

    #[test]
    fn two_seconds_at_once_are_a_rhythm() {
        let mut cadence = Cadence::default();
        let mut learned = vec![];
        for burst in 0..5 {
            for frame in 0..50 {
                let order = burst * 2000 + frame * 40;
                learned.extend(note(&mut cadence, burst * 2000 + frame, order, 40));
            }
        }
        assert_eq!(learned, [1951 * MS]);
    }

    #[test]
    fn a_sender_that_dies_and_lives_has_none() {
        let mut cadence = Cadence::default();
        for round in 0..20 {
            for frame in 0..8 {
                let at = round * 1000 + frame * 40;
                assert_eq!(note(&mut cadence, at, at, 40), None);
            }
        }
    }

    #[test]
    fn an_outage_and_a_hiccup_behind_it_are_none() {
        let mut cadence = Cadence::default();
        let arrivals = [0, 40, 5_200, 5_240, 6_000, 6_040];
        for (at, order) in arrivals.into_iter().zip((0..).step_by(40)) {
            assert_eq!(note(&mut cadence, at, order, 40), None);
        }
    }

    #[test]
    fn a_hiccup_now_and_then_is_none() {
        let mut cadence = Cadence::default();
        for minute in 0..10 {
            for frame in 0..1500 {
                let order = minute * 60_000 + frame * 40;
                // A second's frames come late, all at once.
                let arrival = if frame < 25 {
                    minute * 60_000 + 1000
                } else {
                    order
                };
                assert_eq!(note(&mut cadence, arrival, order, 40), None);
            }
        }
    }

    #[test]
    fn what_comes_evenly_again_has_none_any_more() {
        let mut cadence = Cadence::default();
        let _ = (0..5)
            .map(|n| note(&mut cadence, n * 1000, n * 1000, 1000))
            .count();
        let learned: Vec<_> = (0..400)
            .filter_map(|n| note(&mut cadence, 4000 + n * 40, 4000 + n * 40, 40))
            .collect();
        assert_eq!(learned, [0]);
    }

    proptest! {
        /// No rhythm is longer than a pause that was seen, and none is shorter than what is of interest.
        #[test]
        fn a_rhythm_is_a_pause_that_was_seen(steps in prop::collection::vec((0..3000_u64, 0..3000_u64), 1..100)) {
            let mut cadence = Cadence::default();
            let (mut arrival, mut order, mut longest) = (0, 0, 0);
            note(&mut cadence, arrival, order, 40);
            for (pause, step) in steps {
                arrival += pause;
                order += step;
                longest = longest.max(pause * MS);
                if let Some(rhythm) = note(&mut cadence, arrival, order, 40) {
                    prop_assert!(rhythm == 0 || (LEAST..=longest).contains(&rhythm));
                }
            }
        }
    }
}
