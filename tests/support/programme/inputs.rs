// SPDX-License-Identifier: MPL-2.0
//! Inputs that need no server: live elements of one look.

use gst::prelude::*;

use super::init;
use super::look::Look;

/// A live picture in gst-launch syntax.
pub(crate) fn picture(look: Look) -> String {
    format!(
        "videotestsrc is-live=true pattern=solid-color foreground-color={} ! \
         video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! identity",
        0xff00_0000 | look.colour()
    )
}

/// A live tone in gst-launch syntax.
pub(crate) fn tone(look: Look) -> String {
    format!(
        "audiotestsrc is-live=true samplesperbuffer=1024 freq={} ! \
         audio/x-raw,format=S16LE,rate=44100,channels=2,layout=interleaved ! identity",
        look.tone()
    )
}

/// What an application would hand over.
pub(crate) fn element(description: &str) -> gst::Element {
    init();
    gst::parse::bin_from_description(description, true)
        .expect("a valid description")
        .upcast()
}

/// Both, as an element.
pub(crate) fn both(look: Look) -> gst::Element {
    element(&format!("{} {}", picture(look), tone(look)))
}

/// Both, each behind a valve: `picture` and `sound`.
pub(crate) fn gated(look: Look) -> gst::Element {
    let valve = "valve drop-mode=forward-sticky-events name=";
    element(&format!(
        "{} ! {valve}picture {} ! {valve}sound",
        picture(look),
        tone(look)
    ))
}

/// Opens or closes a valve.
pub(crate) fn open(gated: &gst::Element, valve: &str, open: bool) {
    let bin = gated.downcast_ref::<gst::Bin>().expect("a bin");
    let valve = bin.by_name(valve).expect("a valve");
    valve.set_property("drop", !open);
}
