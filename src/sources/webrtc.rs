// SPDX-License-Identifier: MPL-2.0
//! `whep://` and its like: webrtcplaysrc. A new one for each attempt, with one session in it.
//!
//! What an application wants to set (token, ICE servers, headers) it sets on the element, which is the
//! core of the source. Its pads come when the two sides have agreed, each with its streams already
//! parsed; their timestamps are those of the pipeline's running time.

use gst::glib;
use gst::prelude::*;

use super::bin::SourceBin;
use super::{Advice, Error, Reason, Source, Timestamps, malformed, redact, unusable};
use crate::webrtc::{self, Flaw, SCHEMES, WebRtcPlaySrc};

pub(super) fn plays(uri: &str) -> bool {
    SCHEMES.contains(&redact::scheme(uri).as_str())
}

pub(super) fn check(uri: &str) -> Result<(), Error> {
    webrtc::check(uri).map_err(|flaw| match flaw {
        Flaw::Uri(reason) => unusable(uri, &reason),
        Flaw::Missing(element) => Error::MissingElement(element),
    })
}

pub(super) fn build(uri: &str, name: &str) -> Result<Source, Error> {
    let src: WebRtcPlaySrc = glib::Object::builder().property("uri", uri).build();
    let src = src.upcast::<gst::Element>();
    let bin = SourceBin::new(name);
    bin.add(&src)
        .map_err(|error| malformed(uri, &error.message))?;
    bin.watch(&src);
    Ok(Source {
        bin: bin.upcast(),
        core: src,
        timestamps: Timestamps::Running,
    })
}

pub(super) fn waiting(said: &gst::StructureRef) -> Option<&str> {
    webrtc::waiting(said)
}

pub(super) fn reason(message: &gst::message::Error) -> Reason {
    match webrtc::is_impostor(message) {
        true => Reason::Identity,
        false => Reason::Broken,
    }
}

/// What a failure says of the next attempt.
pub(super) fn advice(message: &gst::message::Error) -> Option<Advice> {
    webrtc::advice(message).map(|advice| match advice {
        webrtc::Advice::Later(span) => Advice::Later(span),
        webrtc::Advice::Never => Advice::Never,
    })
}
