// SPDX-License-Identifier: MPL-2.0
//! One output's slate: passes one raw stream through and, when told so and nothing real comes, fills
//! it with black, the last picture or silence. Owns the output's one stream-start, its one endless
//! segment and that its time never goes back; never decides whether a slate is wanted.
//!
//! Real buffers are placed by their running time. The filler starts where the last buffer ended, or
//! as far back as downstream's latency still reaches, and goes on at the pace of the clock. A real
//! buffer takes over at once: what overlaps the fill is dropped, or cut to the sample for sound.
//!
//! Two threads push, the input's and the filler's, one at a time under the stream lock of the src
//! pad. The state has a lock of its own, always taken after it and never held while pushing.

#[cfg(test)]
mod bench;
mod fill;
mod filler;
mod imp;
mod place;
mod stream;
#[cfg(test)]
mod tests;

use gst::glib;
use gst::subclass::prelude::*;

/// What the stream carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Kind {
    Audio,
    #[default]
    Video,
}

/// What is shown when there is nothing to show. Sound is silent either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Mode {
    #[default]
    Black,
    /// The last picture; black before the first.
    Hold,
    /// Nothing: the stream stands still.
    None,
}

glib::wrapper! {
    /// An element with the always pads `sink` and `src`.
    pub(crate) struct Slate(ObjectSubclass<imp::Slate>) @extends gst::Element, gst::Object;
}

impl Slate {
    pub(crate) fn new(kind: Kind, mode: Mode, stream_id: &str) -> Self {
        let slate: Self = glib::Object::new();
        slate.imp().configure(kind, mode, stream_id);
        slate
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.imp().set_mode(mode);
    }

    /// Whether to fill while nothing real comes. From any thread; returns at once.
    pub(crate) fn set_wanted(&self, wanted: bool) {
        self.imp().set_wanted(wanted);
    }

    /// No more filling, and an EOS, come or to come, is passed on. From any thread; returns at once.
    pub(crate) fn end(&self) {
        self.imp().end();
    }

    /// How many buffers were filled in so far.
    pub(crate) fn filled(&self) -> u64 {
        self.imp().filled()
    }
}
