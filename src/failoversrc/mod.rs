// SPDX-License-Identifier: MPL-2.0
//! GLUE: `failoversrc`, the only floor that sees sources and switch together. It builds the inputs,
//! keeps them alive, and leads what is on air to one set of output pads.

mod attach;
mod control;
pub(crate) mod decode;
mod imp;
mod input;
mod messages;
mod output;
mod properties;
mod settings;
pub(crate) mod slate;
mod start;
mod tell;

use gst::glib;
use gst::prelude::*;
use std::sync::LazyLock;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "failoversrc",
        gst::DebugColorFlags::empty(),
        Some("Stream failover source"),
    )
});

glib::wrapper! {
    /// The element `failoversrc`.
    pub struct FailoverSrc(ObjectSubclass<imp::FailoverSrc>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::URIHandler, gst::ChildProxy;
}

/// What the output pads carry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstFailoverSrcOutput")]
pub enum Output {
    /// Raw pictures and sound, decoded once, after the switch.
    #[default]
    #[enum_value(name = "Raw pictures and sound, decoded once", nick = "decoded")]
    Decoded = 0,
    /// Parsed elementary streams, one form per codec.
    #[enum_value(name = "Parsed elementary streams", nick = "encoded")]
    Encoded = 1,
}

/// Whether inputs are connected before they are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstFailoverSrcStandby")]
pub enum Standby {
    /// Connected and parsed, not decoded.
    #[default]
    #[enum_value(name = "Connected and parsed, not decoded", nick = "hot")]
    Hot = 0,
    /// Not started until the input before it has failed.
    #[enum_value(
        name = "Not started until the input before it has failed",
        nick = "cold"
    )]
    Cold = 1,
}

/// What is sent when every input is down.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstFailoverSrcSlate")]
pub enum Slate {
    /// Black picture and silence.
    #[default]
    #[enum_value(name = "Black picture and silence", nick = "black")]
    Black = 0,
    /// The last picture and silence.
    #[enum_value(name = "The last picture and silence", nick = "hold")]
    Hold = 1,
    /// Nothing.
    #[enum_value(name = "Nothing", nick = "none")]
    None = 2,
}

/// What the viewer gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstFailoverSrcStatus")]
pub enum Status {
    /// Not started.
    #[default]
    #[enum_value(name = "Not started", nick = "stopped")]
    Stopped = 0,
    /// Waiting for the first input.
    #[enum_value(name = "Waiting for the first input", nick = "connecting")]
    Connecting = 1,
    /// The primary is on air.
    #[enum_value(name = "The primary is on air", nick = "primary")]
    Primary = 2,
    /// A backup is on air.
    #[enum_value(name = "A backup is on air", nick = "backup")]
    Backup = 3,
    /// Every input is down.
    #[enum_value(name = "Every input is down", nick = "down")]
    Down = 4,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "failoversrc",
        gst::Rank::NONE,
        FailoverSrc::static_type(),
    )
}
