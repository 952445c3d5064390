// SPDX-License-Identifier: MPL-2.0
//! PURE: what is on its way out of a source pad and has not left yet. Generic over its items; knows
//! output time and sizes, never buffers.
//!
//! What has left cannot be taken back, what is held can: a cut may fall before the end of what is held,
//! and what the old input had brought from there on is then never sent.

use super::cut::{Placed, Position};
use std::collections::VecDeque;

#[derive(Debug)]
struct Entry<T> {
    /// `None` for what is no piece: it goes out together with what stands before it.
    piece: Option<Placed>,
    /// Where the output stands once this has left.
    after: Option<Position>,
    bytes: usize,
    value: T,
}

#[derive(Debug)]
pub struct Held<T> {
    entries: VecDeque<Entry<T>>,
    bytes: usize,
    /// The last that has left for good.
    left: Option<Position>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            left: None,
        }
    }
}

impl<T> Held<T> {
    /// Empty, where so much has left already.
    pub fn from(left: Option<Position>) -> Self {
        Self {
            left,
            ..Self::default()
        }
    }

    /// A piece; `after` is where the output stands with it.
    pub fn push(&mut self, piece: Placed, after: Position, bytes: usize, value: T) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.push_back(Entry {
            piece: Some(piece),
            after: Some(after),
            bytes,
            value,
        });
    }

    /// What is no piece, but has its place among them.
    pub fn push_between(&mut self, value: T) {
        self.entries.push_back(Entry {
            piece: None,
            after: self.end(),
            bytes: 0,
            value,
        });
    }

    /// The piece that leaves next, or `Some(None)` where it is no piece.
    pub fn next(&self) -> Option<Option<Placed>> {
        self.entries.front().map(|entry| entry.piece)
    }

    pub fn pop(&mut self) -> Option<T> {
        let entry = self.entries.pop_front()?;
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        self.left = entry.after;
        Some(entry.value)
    }

    /// Where the output stands with all that is held.
    pub fn end(&self) -> Option<Position> {
        self.entries.back().map_or(self.left, |entry| entry.after)
    }

    /// Where it stands for good.
    pub fn left(&self) -> Option<Position> {
        self.left
    }

    /// From the first piece on that starts at `at` or later, in the order of sending, no piece is sent:
    /// what comes behind it needs it. Nor is what stands between these and `goes` with them, unless
    /// nothing has been sent before it.
    pub fn cut(&mut self, at: i64, goes: impl Fn(&T) -> bool) {
        let cut = |entry: &Entry<T>| entry.piece.is_some_and(|piece| piece.start >= at);
        let Some(first) = self.entries.iter().position(cut) else {
            return;
        };
        let last = self
            .entries
            .iter()
            .take(first)
            .rposition(|e| e.piece.is_some());
        let tail = self.entries.split_off(last.map_or(0, |last| last + 1));
        let is_first = self.end().is_none();
        for entry in tail {
            match entry.piece {
                Some(_) => self.bytes = self.bytes.saturating_sub(entry.bytes),
                None if !is_first && goes(&entry.value) => (),
                None => self.push_between(entry.value),
            }
        }
    }

    /// All that is held.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }

    /// Forgets the pieces, and of the rest what is not to be kept.
    pub fn clear(&mut self, keep: impl Fn(&T) -> bool) {
        let entries = std::mem::take(self);
        self.left = entries.end();
        let rest = entries.entries.into_iter().filter(|e| e.piece.is_none());
        for entry in rest.filter(|entry| keep(&entry.value)) {
            self.push_between(entry.value);
        }
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How much time lies between the first piece that is held and the last.
    pub fn span(&self) -> u64 {
        let mut pieces = self.entries.iter().filter_map(|entry| entry.piece);
        let first = pieces.next().map_or(0, |piece| piece.order);
        let last = pieces.next_back().map_or(first, |piece| piece.order);
        u64::try_from(last.saturating_sub(first)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn piece(n: i64) -> Placed {
        Placed {
            order: n,
            start: n,
            end: n + 1,
            key: true,
        }
    }

    fn position(n: i64) -> Position {
        Position {
            order: n,
            start: n,
            end: n + 1,
        }
    }

    fn held(numbers: std::ops::Range<i64>) -> Held<i64> {
        let mut held = Held::default();
        for n in numbers {
            held.push(piece(n), position(n), 1, n);
        }
        held
    }

    fn drain(mut held: Held<i64>) -> Vec<i64> {
        std::iter::from_fn(|| held.pop()).collect()
    }

    #[test]
    fn what_is_held_can_be_taken_back_and_what_has_left_cannot() {
        let mut held = held(0..10);
        for _ in 0..4 {
            held.pop();
        }
        held.cut(2, |_| true);
        assert_eq!(held.end(), Some(position(3)));
        assert_eq!(held.bytes(), 0);
        assert_eq!(drain(held), [] as [i64; 0]);
    }

    #[test]
    fn a_cut_keeps_what_is_no_piece() {
        let mut held = held(0..3);
        held.push_between(-1);
        held.push(piece(3), position(3), 1, 3);
        held.cut(2, |_| false);
        assert_eq!(held.end(), Some(position(1)));
        assert_eq!(drain(held), [0, 1, -1]);
    }

    #[test]
    fn what_goes_with_the_pieces_behind_the_cut_goes_even_where_it_stands_before_the_first_of_them()
    {
        let mut held = held(0..2);
        held.push_between(-1);
        held.push_between(-2);
        held.push(piece(2), position(2), 1, 2);
        held.push_between(-1);
        held.push(piece(3), position(3), 1, 3);
        held.cut(2, |value| *value == -1);
        assert_eq!(held.end(), Some(position(1)));
        assert_eq!(drain(held), [0, 1, -2]);
    }

    #[test]
    fn what_has_to_come_first_stays() {
        let mut held = Held::default();
        held.push_between(-1);
        held.push(piece(2), position(2), 1, 2);
        held.cut(0, |_| true);
        assert_eq!(drain(held), [-1]);
    }

    #[test]
    fn what_was_to_be_decoded_behind_the_cut_goes_with_it() {
        let mut held = Held::default();
        // Sent in this order, shown as 0 1 2 3.
        for n in [0, 3, 1, 2] {
            held.push(piece(n), position(n), 1, n);
        }
        held.cut(3, |_| true);
        assert_eq!(drain(held), [0]);
    }

    proptest! {
        #[test]
        fn its_end_and_its_bytes_are_those_of_what_it_holds(
            steps in proptest::collection::vec(prop_oneof![
                (1i64..5).prop_map(Some), Just(None)], 0..60),
            at in 0i64..100,
        ) {
            let (mut held, mut n, mut model, mut left) = (Held::default(), 0, VecDeque::new(), None);
            for step in steps {
                match step {
                    Some(by) => {
                        n += by;
                        held.push(piece(n), position(n), 3, n);
                        model.push_back(n);
                    }
                    None => {
                        prop_assert_eq!(held.pop(), model.front().copied());
                        left = model.pop_front().or(left);
                    }
                }
                prop_assert_eq!(held.left(), left.map(position));
                prop_assert_eq!(held.end(), model.back().copied().or(left).map(position));
                prop_assert_eq!(held.bytes(), 3 * model.len());
            }
            held.cut(at, |_| true);
            model.retain(|n| *n < at);
            prop_assert_eq!(held.end(), model.back().copied().or(left).map(position));
            prop_assert_eq!(drain(held), Vec::from(model));
        }
    }
}
