// SPDX-License-Identifier: MPL-2.0
//! Live-stream failover for GStreamer.

mod clock;
#[doc(hidden)]
pub mod policy;
#[doc(hidden)]
pub mod switch;

fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
    switch::register(plugin)
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
