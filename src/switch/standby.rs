// SPDX-License-Identifier: MPL-2.0
//! PURE: what a standby stream keeps, so that a cut has something to begin with. Generic over its
//! items; knows times and sizes, never buffers.
//!
//! A stream of pictures that depend on each other keeps whole groups: from the last key frame at or
//! before the window's start. A stream of independent pieces (sound, raw pictures) keeps the window.
//! Both are bounded in time and bytes; a group that outgrows the bounds is dropped whole, since its
//! rest is of no use without its key frame.

use std::collections::VecDeque;

/// How the pieces of a stream depend on each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Coding {
    /// Raw: each piece stands alone, and is of no use once it is late.
    #[default]
    Raw,
    /// Encoded sound and the like: each piece stands alone.
    Independent,
    /// Encoded video: what is not a key frame needs what came before it.
    Delta,
}

/// When key frames come, input time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rhythm {
    last: Option<i64>,
    every: Option<i64>,
}

impl Rhythm {
    pub fn key(&mut self, at: i64) {
        self.every = self
            .last
            .map(|last| at.saturating_sub(last))
            .filter(|every| *every > 0);
        self.last = Some(at);
    }

    /// Where the next one should be.
    pub fn next(&self) -> Option<i64> {
        Some(self.last?.saturating_add(self.every?))
    }
}

/// The most that one stream keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Nanoseconds.
    pub time: u64,
    pub bytes: usize,
}

impl Bounds {
    /// A group of 15 s, as cameras make it of a scene that stands still, and some more.
    pub const TIME: u64 = 20_000_000_000;
    /// These at 20 Mbit/s are 20 MB, a second of raw pictures at 720p50 is 69 MB.
    pub const BYTES: u64 = 128 << 20;
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            time: Self::TIME,
            bytes: usize::try_from(Self::BYTES).unwrap_or(usize::MAX),
        }
    }
}

/// One piece, with times of its input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece<T> {
    /// Decode order: DTS, or PTS where there is none.
    pub order: i64,
    /// Presentation: PTS, or DTS where there is none.
    pub start: i64,
    pub duration: u64,
    pub key: bool,
    pub bytes: usize,
    pub value: T,
}

/// A key frame and what needs it.
#[derive(Debug)]
struct Group {
    start: i64,
    pieces: usize,
}

#[derive(Debug)]
pub struct Standby<T> {
    pieces: VecDeque<Piece<T>>,
    /// Of pictures that depend on each other: how `pieces` divides, so that nobody has to search it.
    groups: VecDeque<Group>,
    bytes: usize,
}

impl<T> Default for Standby<T> {
    fn default() -> Self {
        Self {
            pieces: VecDeque::new(),
            groups: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<T> Standby<T> {
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.groups.clear();
        self.bytes = 0;
    }

    /// Keeps a piece, and of the older ones what is needed from `from` on (input time). Returns whether
    /// a group has outgrown the bounds and nothing is left to begin with: a key frame is wanted.
    pub fn push(&mut self, piece: Piece<T>, coding: Coding, from: i64, bounds: Bounds) -> bool {
        if coding == Coding::Delta {
            if self.is_headless() && !piece.key {
                return false;
            }
            self.count(&piece);
        }
        self.bytes = self.bytes.saturating_add(piece.bytes);
        self.pieces.push_back(piece);
        match coding {
            Coding::Delta => self.drop_whole_groups(from),
            Coding::Raw | Coding::Independent => self.drop_before(from),
        }
        self.keep_bounds(coding, bounds);
        coding == Coding::Delta && self.is_headless()
    }

    pub fn pieces(&self) -> impl DoubleEndedIterator<Item = &Piece<T>> {
        self.pieces.iter()
    }

    /// Hands out everything from the piece at `first` on, and forgets the rest.
    pub fn take_from(&mut self, first: usize) -> VecDeque<Piece<T>> {
        let mut pieces = std::mem::take(&mut self.pieces);
        self.clear();
        pieces.drain(..first.min(pieces.len()));
        pieces
    }

    /// Of pictures that depend on each other nothing is kept until the next key frame.
    fn is_headless(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn drop_before(&mut self, from: i64) {
        // The newest piece stays, however old it is: it may be all there is for a while.
        while self.pieces.len() > 1 && self.pieces.front().is_some_and(|p| p.end() <= from) {
            self.pop_front();
        }
    }

    fn count(&mut self, piece: &Piece<T>) {
        match self.groups.back_mut() {
            Some(group) if !piece.key => group.pieces += 1,
            _ => self.groups.push_back(Group {
                start: piece.start,
                pieces: 1,
            }),
        }
    }

    fn drop_whole_groups(&mut self, from: i64) {
        // The last key frame at or before `from` is where the window's pictures begin.
        while self.groups.get(1).is_some_and(|next| next.start <= from) {
            self.drop_group();
        }
    }

    fn drop_group(&mut self) {
        // Where no group is known, one piece: the bounds hold whatever was pushed before.
        let group = self.groups.pop_front();
        for _ in 0..group.map_or(1, |group| group.pieces) {
            self.pop_front();
        }
    }

    fn keep_bounds(&mut self, coding: Coding, bounds: Bounds) {
        while self.is_beyond(bounds) {
            match coding {
                Coding::Delta => self.drop_group(),
                Coding::Raw | Coding::Independent => self.pop_front(),
            }
        }
    }

    fn is_beyond(&self, bounds: Bounds) -> bool {
        let (Some(first), Some(last)) = (self.pieces.front(), self.pieces.back()) else {
            return false;
        };
        let span = last.order.saturating_sub(first.order);
        self.bytes > bounds.bytes || u64::try_from(span).unwrap_or(0) > bounds.time
    }

    fn pop_front(&mut self) {
        if let Some(piece) = self.pieces.pop_front() {
            self.bytes = self.bytes.saturating_sub(piece.bytes);
        }
    }
}

impl<T> Piece<T> {
    pub fn end(&self) -> i64 {
        let duration = i64::try_from(self.duration).unwrap_or(i64::MAX);
        self.start.saturating_add(duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(at: i64, key: bool, bytes: usize) -> Piece<i64> {
        Piece {
            order: at,
            start: at,
            duration: 20,
            key,
            bytes,
            value: at,
        }
    }

    fn bounds(time: u64, bytes: usize) -> Bounds {
        Bounds { time, bytes }
    }

    const NO_BOUNDS: Bounds = Bounds {
        time: u64::MAX,
        bytes: usize::MAX,
    };

    fn kept(standby: &Standby<i64>) -> Vec<i64> {
        standby.pieces().map(|p| p.value).collect()
    }

    #[test]
    fn a_group_is_kept_from_its_key_frame_on() {
        let mut standby = Standby::default();
        for i in 0..10 {
            standby.push(
                piece(i * 20, i % 5 == 0, 1),
                Coding::Delta,
                i * 20,
                NO_BOUNDS,
            );
        }
        assert_eq!(kept(&standby), [100, 120, 140, 160, 180]);
    }

    #[test]
    fn the_window_keeps_the_group_that_it_begins_in() {
        let mut standby = Standby::default();
        for i in 0..10 {
            standby.push(
                piece(i * 20, i % 5 == 0, 1),
                Coding::Delta,
                i * 20 - 100,
                NO_BOUNDS,
            );
        }
        assert_eq!(kept(&standby).first(), Some(&0));
    }

    #[test]
    fn what_comes_before_the_first_key_frame_is_not_kept() {
        let mut standby = Standby::default();
        standby.push(piece(0, false, 1), Coding::Delta, 0, NO_BOUNDS);
        assert!(standby.is_headless());
        standby.push(piece(20, true, 1), Coding::Delta, 20, NO_BOUNDS);
        assert_eq!(kept(&standby), [20]);
        assert!(!standby.is_headless());
    }

    #[test]
    fn a_group_beyond_the_bounds_is_dropped_whole() {
        let mut standby = Standby::default();
        for i in 0..8 {
            let outgrown = standby.push(
                piece(i * 20, i == 0, 1),
                Coding::Delta,
                i * 20,
                bounds(10_000, 5),
            );
            assert_eq!(outgrown, i == 5, "told once");
        }
        assert_eq!(kept(&standby), [] as [i64; 0]);
        assert!(standby.is_headless());
    }

    proptest! {
        /// Against a model that keeps everything and works out what should be left.
        #[test]
        fn it_keeps_what_a_naive_model_keeps(
            steps in proptest::collection::vec((1i64..100, any::<bool>(), 1usize..50), 1..80),
            window in 0i64..500,
            delta in any::<bool>(),
        ) {
            let coding = if delta { Coding::Delta } else { Coding::Independent };
            let mut standby = Standby::default();
            let mut all = vec![];
            let mut now = 0;
            for (step, key, bytes) in steps {
                now += step;
                let from = now - window;
                standby.push(piece(now, key, bytes), coding, from, NO_BOUNDS);
                all.push((now, key));
                let naive: Vec<i64> = if delta {
                    let head = all.iter().rposition(|(t, k)| *k && *t <= from)
                        .or_else(|| all.iter().position(|(_, k)| *k));
                    head.map_or(vec![], |h| all[h..].iter().map(|a| a.0).collect())
                } else {
                    let last = all.len() - 1;
                    all.iter().enumerate().filter(|(i, (t, _))| *i == last || t + 20 > from).map(|(_, a)| a.0).collect()
                };
                prop_assert_eq!(kept(&standby), naive);
            }
        }

        #[test]
        fn its_bounds_hold_and_it_begins_with_a_key_frame(
            steps in proptest::collection::vec((1i64..100, any::<bool>(), 1usize..50), 1..80),
        ) {
            let mut standby = Standby::default();
            let mut now = 0;
            for (step, key, bytes) in steps {
                now += step;
                let outgrown = standby.push(piece(now, key, bytes), Coding::Delta, now - 200, bounds(400, 300));
                prop_assert!(!outgrown || standby.is_headless());
                let pieces: Vec<_> = standby.pieces().collect();
                prop_assert!(pieces.iter().map(|p| p.bytes).sum::<usize>() <= 300);
                prop_assert_eq!(standby.bytes(), pieces.iter().map(|p| p.bytes).sum::<usize>());
                if let (Some(first), Some(last)) = (pieces.first(), pieces.last()) {
                    prop_assert!(first.key);
                    prop_assert!(last.order - first.order <= 400);
                }
                prop_assert_eq!(standby.is_headless(), pieces.is_empty());
            }
        }
    }
}
