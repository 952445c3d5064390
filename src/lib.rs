// SPDX-License-Identifier: MPL-2.0
//! Live-stream failover for GStreamer: `failoversrc`, `failoverswitch` and `webrtcplaysrc`.
//!
//! A primary and its backups go in, one programme comes out. The map of the house, from the ground:
//!
//! * `policy` decides, purely: which input is on air, when a source may be tried again.
//! * `switch` is the element `failoverswitch`: pads, segments, buffers, and what the policy says.
//! * `webrtc` is the element `webrtcplaysrc`: one WebRTC stream.
//! * `sources` turn a URI or an element into a bin of parsed streams.
//! * `failoversrc` is the element of that name: the lives of its sources, its outputs, its words.
//! * `clock` is the only one that asks what time it is.
//! * `message` keeps alive what a message passes through.
//! * `redact` says what of an address may be shown, and takes secrets out of texts.
//! * `escape` makes any text a part of an address.
//! * `access_unit` says in which form a depayloader keeps access units whole, and which of them decoding can begin with.

use std::sync::{Mutex, PoisonError};

mod access_unit;
mod clock;
mod escape;
mod failoversrc;
mod lag;
mod message;
#[doc(hidden)]
pub mod policy;
mod redact;
mod sources;
#[doc(hidden)]
pub mod switch;
mod webrtc;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub use webrtc::fuzzing;

/// An application may register the plugin more than once, also in several threads. GStreamer would make
/// new factories and drop the old ones, to which the classes of the elements still point.
fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    if failoversrc::is_registered() {
        return Ok(());
    }
    switch::register(plugin)?;
    webrtc::register(plugin)?;
    failoversrc::register(plugin)
}

gst::plugin_define!(
    failover,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MPL",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_REPOSITORY"),
    env!("BUILD_REL_DATE")
);
