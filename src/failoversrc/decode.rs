// SPDX-License-Identifier: MPL-2.0
//! One output's decoder: raw media passes through, anything else is decoded by the one decoder that
//! fits its caps, exchanged when another codec comes. Owns which decoder that is and that nobody
//! downstream notices the exchange; never touches timestamps or which input is on air.
//!
//! A decoder that fails costs pictures, not the stream: its error ends here, and the next buffer
//! finds a new one.

mod choose;
#[cfg(test)]
mod fake;
mod imp;
#[cfg(test)]
mod tests;

use gst::glib;
use gst::subclass::prelude::*;

pub(crate) use choose::{can_decode, may_decode};

glib::wrapper! {
    /// A bin with the always pads `sink` and `src`.
    pub(crate) struct Decode(ObjectSubclass<imp::Decode>) @extends gst::Bin, gst::Element, gst::Object;
}

impl Decode {
    pub(crate) fn new(name: &str) -> Self {
        glib::Object::builder().property("name", name).build()
    }

    /// Told of what no decoder takes, once for each caps.
    pub(crate) fn on_refusal(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.imp().on_refusal(Box::new(tell));
    }

    #[cfg(test)]
    /// The next buffer finds a new decoder. From any thread; returns at once.
    pub(crate) fn reset(&self) {
        self.imp().request_reset();
    }

    /// How many decoders have failed so far.
    pub(crate) fn failures(&self) -> u64 {
        self.imp().failures()
    }
}
