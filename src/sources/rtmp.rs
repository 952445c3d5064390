// SPDX-License-Identifier: MPL-2.0
//! `rtmp://` and `rtmps://`: rtmp2src and a flvdemux for each kind of stream.
//!
//! Nothing here waits for anything: rtmp2src's first buffer is no media, and only what flvdemux finds
//! becomes a pad. Video may come up to a GOP after audio, as its own pad at its own time. A silent server is
//! given up from outside: rtmp2src's idle timeout would wake its thread a second time for every packet.

use gst::prelude::*;

use super::bin::SourceBin;
use super::parse::make;
use super::{Error, Source, Timestamps, check_handler, flv, malformed, redact, unusable};

/// Whether this URI is for here. The HTTP-tunnelled and encrypted flavours (rtmpt, rtmpe) are not.
pub(super) fn plays(uri: &str) -> bool {
    matches!(redact::scheme(uri).as_str(), "rtmp" | "rtmps")
}

pub(super) fn check(uri: &str) -> Result<(), Error> {
    for element in ["rtmp2src", "tee", "flvdemux", "h264parse", "aacparse"] {
        make(element)?;
    }
    let host = redact::host(uri);
    if host.is_empty() {
        return Err(unusable(uri, "it has no host"));
    }
    // rtmp2src takes any port for its default.
    match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') && port.parse::<u16>().is_err() => {
            Err(unusable(uri, "its port is not a number"))
        }
        _ => check_handler(uri).map(|_| ()),
    }
}

pub(super) fn build(uri: &str, name: &str) -> Result<Source, Error> {
    let src = make("rtmp2src")?;
    let handler = src.dynamic_cast_ref::<gst::URIHandler>();
    handler
        .ok_or(Error::MissingElement("rtmp2src"))?
        .set_uri(uri)
        .map_err(|error| malformed(uri, error.message()))?;

    let bin = SourceBin::new(name);
    bin.set_in_real_time();
    bin.add(&src)
        .map_err(|error| malformed(uri, &error.message))?;
    flv::demultiplex(&bin, &src)?;
    Ok(Source {
        bin: bin.upcast(),
        core: src,
        timestamps: Timestamps::Own,
    })
}
