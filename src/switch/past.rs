// SPDX-License-Identifier: MPL-2.0
//! PURE: whether an attempt brings again what this stream brought before. Numbers only: one for each frame.
//!
//! A playlist whose publisher has died stays where it is, and each attempt to play it begins with its last segments: old
//! content in the form of a recovery. It is old as long as its frames follow each other as they did before. What follows
//! the last frame that was brought is new. Content that repeats itself, as a test picture does, is new when its
//! latest repetition is over. What a dead playlist names comes at once: old frames that keep coming are a programme that is
//! sent once more, as by a packager that restarts with its file.

use std::collections::VecDeque;

/// Five minutes at 30 frames per second, in 72 KiB: longer than the window of a live playlist.
const REMEMBERED: usize = 9_000;
/// Of so many places where a frame stood before, the last ones are looked at: what repeats itself more often is short.
const PLACES: usize = 64;
/// Old frames that have come for so long (nanoseconds) are sent, not stored: longer than the last segments take to be read.
const SENT_FOR: u64 = 3_000_000_000;

/// What one stream brought, in this attempt and before.
#[derive(Debug, Default)]
pub struct Past {
    frames: VecDeque<u64>,
    present: Present,
}

/// How the present attempt stands to what was before.
#[derive(Debug, Default)]
enum Present {
    #[default]
    New,
    /// Nothing has come.
    Begins,
    /// It repeats since then. The next frame is old if it stands at one of these places.
    Repeats(u64, Vec<usize>),
}

impl Past {
    /// Another attempt begins.
    pub fn begin(&mut self) {
        self.present = match self.frames.is_empty() {
            true => Present::New,
            false => Present::Begins,
        };
    }

    /// A frame comes at `now`. Whether it is old: brought before, by an attempt before.
    pub fn is_old(&mut self, frame: u64, now: u64) -> bool {
        let frames = &self.frames;
        let stands = |place: &usize| frames.get(*place) == Some(&frame);
        let (since, mut places): (_, Vec<usize>) = match std::mem::take(&mut self.present) {
            Present::New => (now, vec![]),
            Present::Begins => {
                let all = (0..frames.len()).rev().filter(stands);
                (now, all.take(PLACES).collect())
            }
            Present::Repeats(since, _) if now.saturating_sub(since) >= SENT_FOR => (since, vec![]),
            Present::Repeats(since, places) => (since, places.into_iter().filter(stands).collect()),
        };
        if places.is_empty() {
            self.remember(frame);
            return false;
        }
        places.iter_mut().for_each(|place| *place += 1);
        if places.iter().all(|place| *place < frames.len()) {
            self.present = Present::Repeats(since, places);
        }
        true
    }

    fn remember(&mut self, frame: u64) {
        if self.frames.len() == REMEMBERED {
            self.frames.pop_front();
        }
        self.frames.push_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bring(past: &mut Past, frames: impl IntoIterator<Item = u64>) -> Vec<bool> {
        frames
            .into_iter()
            .map(|frame| past.is_old(frame, 0))
            .collect()
    }

    #[test]
    fn what_keeps_coming_is_sent_once_more() {
        let mut past = Past::default();
        bring(&mut past, 0..1000);
        past.begin();
        // A segment of two seconds at once, then the next one every two seconds.
        let old = (0..250_u64).map(|frame| past.is_old(frame, frame / 50 * 2_000_000_000));
        assert_eq!(old.take_while(|old| *old).count(), 100);
    }

    #[test]
    fn the_last_segments_of_a_dead_playlist_are_old_and_what_follows_is_new() {
        let mut past = Past::default();
        assert!(bring(&mut past, 0..1000).iter().all(|old| !old));
        for _ in 0..3 {
            past.begin();
            assert!(bring(&mut past, 700..1000).iter().all(|old| *old));
        }
        past.begin();
        let again = bring(&mut past, 800..1100);
        assert_eq!(again.iter().filter(|old| **old).count(), 200);
        assert!(again[200..].iter().all(|old| !old));
    }

    #[test]
    fn other_content_is_new_from_its_first_frame() {
        let mut past = Past::default();
        bring(&mut past, 0..1000);
        past.begin();
        assert!(bring(&mut past, 2000..2100).iter().all(|old| !old));
    }

    #[test]
    fn one_like_frame_is_no_repetition() {
        let mut past = Past::default();
        bring(&mut past, 0..1000);
        past.begin();
        let again = bring(&mut past, [500, 2000, 2001, 501, 502]);
        assert_eq!(again, [true, false, false, false, false]);
    }

    #[test]
    fn a_picture_that_stands_still_is_new_when_its_last_repetition_is_over() {
        let group = || [1, 2, 2, 2, 2, 2, 2, 2].into_iter();
        let mut past = Past::default();
        (0..50).for_each(|_| drop(bring(&mut past, group())));
        past.begin();
        let old: Vec<_> = (0..10).flat_map(|_| bring(&mut past, group())).collect();
        assert_eq!(old.iter().filter(|old| **old).count(), group().count());
    }

    #[test]
    fn one_attempt_may_bring_the_same_again() {
        let mut past = Past::default();
        assert!(
            bring(&mut past, (0..100).chain(0..100))
                .iter()
                .all(|old| !old)
        );
    }

    proptest! {
        /// What is old stood before, in the same order, up to the end of what was remembered at most.
        #[test]
        fn old_is_what_stood_there(
            before in prop::collection::vec(0..4_u64, 0..60),
            after in prop::collection::vec(0..4_u64, 0..60),
        ) {
            let mut past = Past::default();
            bring(&mut past, before.iter().copied());
            past.begin();
            let old = bring(&mut past, after.iter().copied());
            let count = old.iter().take_while(|old| **old).count();
            prop_assert!(old[count..].iter().all(|old| !old));
            let naive = (0..before.len()).map(|place| {
                let pairs = before[place..].iter().zip(&after);
                let run = pairs.take_while(|(one, two)| one == two).count();
                (run, place + run == before.len())
            });
            let runs: Vec<_> = naive.collect();
            // The first run that reaches the end ends it, or else the longest.
            let ends = runs.iter().filter(|(_, ends)| *ends).map(|(run, _)| *run).filter(|run| *run > 0).min();
            let longest = runs.iter().map(|(run, _)| *run).max().unwrap_or(0);
            prop_assert_eq!(count, ends.unwrap_or(longest).min(longest));
        }
    }
}
