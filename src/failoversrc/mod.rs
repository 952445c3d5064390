// SPDX-License-Identifier: MPL-2.0
//! GLUE: `failoversrc`, the only floor that sees sources and switch together. It builds the inputs,
//! keeps them alive, and leads what is on air to one set of output pads.
//!
//! # failoversrc
//!
//! A live stream dies: its publisher crashes, its network goes, its server restarts. `failoversrc`
//! plays a primary and, when that stalls, ends or fails, a backup, and later the primary again.
//! Downstream sees one programme on pads that stay.
//!
//! ```sh
//! gst-launch-1.0 failoversrc name=in \
//!     primary-uri=rtmp://127.0.0.1/live/primary backup-uri=rtmp://127.0.0.1/live/backup \
//!   in.video_0 ! queue ! videoconvert ! autovideosink \
//!   in.audio_0 ! queue ! audioconvert ! audioresample ! autoaudiosink
//! ```
//!
//! To see it switch without any server, with a primary that stalls after 100 pictures:
//!
//! ```sh
//! gst-launch-1.0 -m failoversrc timeout=500000000 recovery-time=1000000000 \
//!     primary-source="videotestsrc is-live=true num-buffers=100 ! funnel name=f appsrc is-live=true ! f." \
//!     backup-source="videotestsrc is-live=true pattern=ball" \
//!   ! videoconvert ! autovideosink
//! ```
//!
//! ## Properties by task
//!
//! * What to play: `primary-uri` or `primary-source`, `backup-uri` or `backup-source`, then
//!   `backup-uris`; or all in one `uri`, `failover:?primary=…&backup=…` or the address of an Ant Media
//!   player page. Input 0 is the primary.
//! * When an input is lost: `timeout`, `startup-timeout`. Ends and errors count at once.
//! * When it is trusted again: `switch-back`, `recovery-time`; `retry-initial` and `retry-max` pace
//!   the attempts to bring it back.
//! * What comes out: `output` (decoded or encoded), `latency` (above the timeout and the time to decode
//!   a group of pictures, it hides a switch), `slate` (when every input is down).
//! * What a backup costs: `standby` hot or cold.
//! * By hand: `force-input`, or the actions `switch-to`, `release`, `restart-input`.
//! * How it stands: `status`, `active-input`, `switches`, `stats`.
//!
//! ## Messages
//!
//! `failover-switched` for each switch, with its cause and cost, and `failover-input-state` for each
//! change of an input; the signals `switched` and `input-state-changed` carry the same.
//! `configure-source` is emitted before each attempt. An input's error stays inside; ERROR is posted
//! only for a configuration that can never work.
//!
//! Since: 0.1

mod address;
mod answers;
mod arrange;
mod attach;
mod control;
pub(crate) mod decode;
mod imp;
mod input;
mod messages;
mod output;
mod player;
mod properties;
mod refusal;
mod runs;
mod settings;
pub(crate) mod slate;
mod slates;
mod start;
mod tell;
mod tracks;

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

const NAME: &str = "failoversrc";

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        NAME,
        gst::Rank::NONE,
        FailoverSrc::static_type(),
    )
}

/// A factory that a cached registry lists without having loaded the plugin has no type yet.
pub(crate) fn is_registered() -> bool {
    gst::ElementFactory::find(NAME)
        .is_some_and(|factory| factory.element_type() == FailoverSrc::static_type())
}
