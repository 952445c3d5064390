// SPDX-License-Identifier: MPL-2.0
//! What the healthy inputs bring together, and what one of them lacks of it. Owns that comparison; never decides
//! what follows from it.

use super::moment::{Moment, Span};
use super::silence::Patience;
use super::standby::Input;
use super::{Media, StreamId};

/// The streams that healthy inputs bring, each with the moment since which one of them does.
#[derive(Debug, Default)]
pub(super) struct Programme(Vec<(StreamId, Moment)>);

/// How much of the programme an input lacks. Pictures count before all else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Lack {
    videos: usize,
    others: usize,
}

impl Programme {
    /// A stream that may be silent for ever is nothing that an input could lack.
    pub(super) fn gather(&mut self, inputs: &[Input], patience: &Patience) {
        self.0.clear();
        let brought = inputs.iter().flat_map(Input::brings);
        for (stream, since) in brought.filter(|(stream, _)| patience.own(*stream) < Span::MAX) {
            match self.0.iter_mut().find(|known| known.0 == stream) {
                Some(known) => known.1 = known.1.min(since),
                None => self.0.push((stream, since)),
            }
        }
    }

    pub(super) fn streams(&self) -> impl Iterator<Item = (StreamId, Moment)> {
        self.0.iter().copied()
    }

    pub(super) fn has(&self, stream: StreamId) -> bool {
        self.0.iter().any(|known| known.0 == stream)
    }

    /// How much of it is lacking.
    pub(super) fn lack(&self, patience: &Patience, is_lacking: impl Fn(StreamId) -> bool) -> Lack {
        let mut lack = Lack::default();
        for (stream, _) in self.streams().filter(|(stream, _)| is_lacking(*stream)) {
            match patience.media(stream) {
                Media::Video => lack.videos += 1,
                Media::Audio | Media::Other => lack.others += 1,
            }
        }
        lack
    }
}
