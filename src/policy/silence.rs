// SPDX-License-Identifier: MPL-2.0
//! The silence of one stream, and what it is held against. Owns how long is too long; never knows of the input.

use std::collections::BTreeMap;

use super::moment::{Moment, Span};
use super::{Config, Media, StreamId};

/// A stream that pauses by its nature is not silent before so many of its pauses have passed: at half of that it is
/// doubted.
const RHYTHM: u32 = 3;

/// From when on one stream is missed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Its input lacks it.
    pub(super) silent: Span,
    /// Something is sent in its place, though it may be silent for longer. Half of it is no sign of life of its input.
    pub(super) pause: Span,
}

/// What silence is held against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience<'a> {
    pub(super) config: &'a Config,
    media: &'a BTreeMap<StreamId, Media>,
}

/// The buffers of a stream, and how its silence looked when time last passed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beat {
    /// The first one behind a silence.
    pub(super) since: Moment,
    /// The newest.
    pub(super) last: Moment,
    /// Against its own timeout.
    pub(super) pulse: Pulse,
    /// For half of its own timeout, or of the timeout of all where that is shorter.
    pub(super) idles: bool,
    /// For all of that.
    pub(super) pauses: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Pulse {
    Fresh,
    Quiet,
    Silent,
}

impl<'a> Patience<'a> {
    pub(super) fn new(config: &'a Config, media: &'a BTreeMap<StreamId, Media>) -> Self {
        Self { config, media }
    }

    /// How long a stream may be silent, if it has no rhythm.
    pub(super) fn own(&self, stream: StreamId) -> Span {
        let own = match self.media(stream) {
            Media::Video => self.config.video_timeout,
            Media::Audio => self.config.audio_timeout,
            Media::Other => None,
        };
        own.unwrap_or(self.config.timeout)
    }

    /// What the silence of a stream that pauses so long by its nature is held against.
    pub(super) fn limits(&self, stream: StreamId, pause: Option<Span>) -> Limits {
        let least = pause.map_or(Span::ZERO, |pause| pause * RHYTHM);
        let silent = self.own(stream).max(least);
        let pause = silent.min(self.config.timeout.max(least));
        Limits { silent, pause }
    }

    pub(super) fn media(&self, stream: StreamId) -> Media {
        self.media.get(&stream).copied().unwrap_or_default()
    }
}

impl Beat {
    /// A newer buffer takes back what is worse than its own age.
    pub(super) fn followed_by(self, new: Self) -> Self {
        let since = if self.pulse == Pulse::Silent {
            new.since
        } else {
            self.since
        };
        Self {
            since,
            pulse: self.pulse.min(new.pulse),
            idles: self.idles && new.idles,
            pauses: self.pauses && new.pauses,
            ..new
        }
    }
}

impl Pulse {
    pub(super) fn of(last: Moment, now: Moment, timeout: Span) -> Self {
        if last.is_past(timeout, now) {
            Self::Silent
        } else if last.is_past(timeout / 2, now) {
            Self::Quiet
        } else {
            Self::Fresh
        }
    }
}
