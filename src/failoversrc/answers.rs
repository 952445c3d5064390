// SPDX-License-Identifier: MPL-2.0
//! PURE: when an application can be told that no more pads will come. Not before the inputs that are
//! tried from the start have shown theirs or failed, for one of them may have a stream that the others
//! lack; but one that hangs is waited for a moment only.

use crate::policy::{InputId, Moment, Span};
use std::collections::BTreeSet;

/// What the other inputs get after the first one's answer.
const PATIENCE: Span = Span::from_millis(1_000);

/// Whose answers are open.
pub(super) struct Answers {
    open: BTreeSet<InputId>,
    due: Option<Moment>,
}

impl Answers {
    pub(super) fn awaited_from(inputs: impl IntoIterator<Item = InputId>) -> Self {
        Self {
            open: inputs.into_iter().collect(),
            due: None,
        }
    }

    /// This input has shown all its pads.
    pub(super) fn complete(&mut self, input: InputId, now: Moment) {
        self.open.remove(&input);
        let last = if self.open.is_empty() {
            now
        } else {
            now + PATIENCE
        };
        self.due = Some(self.due.map_or(last, |due| due.min(last)));
    }

    /// This input's attempt is over; it says no more.
    pub(super) fn over(&mut self, input: InputId, now: Moment) {
        self.open.remove(&input);
        if self.open.is_empty() && self.due.is_some() {
            self.due = Some(now);
        }
    }

    /// When it is to be told, whatever is still open.
    pub(super) fn due(&self) -> Option<Moment> {
        self.due
    }

    /// Whether to tell it now. Telling it more than once does no harm, but says nothing.
    pub(super) fn is_told_at(&mut self, now: Moment) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: InputId = InputId(0);
    const BACKUP: InputId = InputId(1);

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_last_answer_is_waited_for() {
        let mut answers = Answers::awaited_from([PRIMARY, BACKUP]);
        assert_eq!(answers.due(), None);
        answers.complete(BACKUP, at(10));
        assert!(!answers.is_told_at(at(200)));
        answers.complete(PRIMARY, at(300));
        assert!(answers.is_told_at(at(300)));
        assert_eq!(answers.due(), None);
    }

    #[test]
    fn a_failure_is_an_answer_but_no_pad() {
        let mut answers = Answers::awaited_from([PRIMARY, BACKUP]);
        answers.over(PRIMARY, at(10));
        answers.over(BACKUP, at(20));
        assert_eq!(answers.due(), None, "there is no pad at all");
        answers.complete(BACKUP, at(900));
        assert_eq!(answers.due(), Some(at(900)));
    }

    #[test]
    fn the_failure_of_the_last_one_ends_the_waiting() {
        let mut answers = Answers::awaited_from([PRIMARY, BACKUP]);
        answers.complete(BACKUP, at(10));
        answers.over(PRIMARY, at(40));
        assert_eq!(answers.due(), Some(at(40)));
    }

    #[test]
    fn one_that_hangs_is_waited_for_a_moment_only() {
        let mut answers = Answers::awaited_from([PRIMARY, BACKUP]);
        answers.complete(BACKUP, at(10));
        assert_eq!(answers.due(), Some(at(10) + PATIENCE));
        assert!(answers.is_told_at(at(10) + PATIENCE));
        // Its answer, when it comes, changes nothing.
        answers.complete(PRIMARY, at(5_000));
        assert!(answers.is_told_at(at(5_000)));
    }
}
