// SPDX-License-Identifier: MPL-2.0
//! PURE: when a stream that stands by has waited too long for a key frame. A sender with endless groups
//! of pictures sends one only when it is asked, and without a young one a cut either waits or has
//! much to decode.
//!
//! A sender may not know how to be asked, so requests grow rarer until one is answered.

use crate::policy::{Moment, Span};

/// An older key frame is asked for anew. Groups of 4 s are common, longer ones the exception.
const MOST: Span = Span::from_millis(4500);
/// For a key frame to come, before it is asked for again; doubles each time.
const AGAIN: Span = Span::from_millis(1000);
/// Most doublings: it is asked for at least every 16 seconds.
const MOST_DOUBLINGS: u32 = 4;

/// The age of a stream's last key frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ageing {
    /// When the next request is due; none before the first piece.
    due: Option<Moment>,
    asked: u32,
}

impl Ageing {
    /// A piece came. Returns whether a key frame is to be asked for.
    pub fn came(&mut self, now: Moment, key: bool) -> bool {
        if key {
            self.asked = 0;
            self.due = Some(now + MOST);
            return false;
        }
        // A stream that begins in the middle of a group has nothing to begin with.
        if self.due.is_some_and(|due| now < due) {
            return false;
        }
        self.ask(now);
        true
    }

    /// A key frame is asked for: how long until it is again.
    pub fn ask(&mut self, now: Moment) {
        self.due = Some(now + AGAIN.doubled(self.asked.min(MOST_DOUBLINGS)));
        self.asked = self.asked.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    /// When a key frame is asked for, in milliseconds: pieces every 40 ms, key frames as `keys` says.
    fn asked(until: u64, keys: impl Fn(u64) -> bool) -> Vec<u64> {
        let mut ageing = Ageing::default();
        let times = (0..until).step_by(40);
        times
            .filter(|now| ageing.came(at(*now), keys(*now)))
            .collect()
    }

    #[test]
    fn an_endless_group_is_asked_for_another_ever_more_rarely() {
        let times = asked(60_000, |now| now == 0);
        assert_eq!(times, [4520, 5520, 7520, 11_520, 19_520, 35_520, 51_520]);
    }

    #[test]
    fn a_sender_that_answers_is_asked_no_more_often_than_groups_may_be_old() {
        // It answers within 80 ms.
        let times = asked(20_000, |now| now % 4600 == 0);
        assert_eq!(times, [4520, 9120, 13_720, 18_320]);
    }

    #[test]
    fn short_groups_are_left_alone() {
        assert_eq!(asked(60_000, |now| now % 4000 == 0), [0u64; 0]);
    }

    #[test]
    fn a_stream_that_begins_in_the_middle_asks_at_once() {
        assert_eq!(asked(3500, |_| false), [0, 1000, 3000]);
    }

    proptest! {
        /// Whatever comes: never asked within a second of a request or a key frame, and never later
        /// than the next piece after the bound.
        #[test]
        fn requests_are_rare_and_in_time(
            steps in prop::collection::vec((1u64..3000, prop::bool::weighted(0.1)), 1..200),
        ) {
            let mut ageing = Ageing::default();
            let mut now = 0;
            let (mut last_key, mut last_asked) = (None, None);
            for (step, key) in steps {
                now += step;
                let asks = ageing.came(at(now), key);
                prop_assert!(!asks || !key, "a key frame is answer enough");
                let since = |then: Option<u64>| then.map_or(u64::MAX, |then| now - then);
                if asks {
                    prop_assert!(since(last_key) >= 1000 && since(last_asked) >= 1000);
                } else if !key {
                    let recent = since(last_key) < 4500 || since(last_asked) < 16_000;
                    prop_assert!(recent, "nobody asks");
                }
                if asks {
                    last_asked = Some(now);
                }
                if key {
                    (last_key, last_asked) = (Some(now), None);
                }
            }
        }
    }
}
