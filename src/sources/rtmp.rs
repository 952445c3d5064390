// SPDX-License-Identifier: MPL-2.0
//! `rtmp://` and `rtmps://`: rtmp2src and a flvdemux for each kind of stream.
//!
//! Nothing here waits for anything: rtmp2src's first buffer is no media, and only what flvdemux finds
//! becomes a pad. Video may come up to a GOP after audio, as its own pad at its own time.

use gst::prelude::*;

use super::bin::SourceBin;
use super::parse::make;
use super::{Error, Settings, Source, Timestamps, check_handler, flv, malformed, redact};

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
        return Err(malformed(uri, "it has no host"));
    }
    // rtmp2src takes any port for its default.
    match host.rsplit_once(':') {
        Some((_, port)) if !port.ends_with(']') && port.parse::<u16>().is_err() => {
            Err(malformed(uri, "its port is not a number"))
        }
        _ => check_handler(uri).map(|_| ()),
    }
}

pub(super) fn build(uri: &str, name: &str, settings: &Settings) -> Result<Source, Error> {
    let src = make("rtmp2src")?;
    let handler = src.dynamic_cast_ref::<gst::URIHandler>();
    handler
        .ok_or(Error::MissingElement("rtmp2src"))?
        .set_uri(uri)
        .map_err(|error| malformed(uri, error.message()))?;
    src.set_property("idle-timeout", idle_timeout(settings));

    let bin = SourceBin::new(name);
    bin.set_in_real_time();
    bin.add(&src)
        .map_err(|error| malformed(uri, &error.message))?;
    flv::demultiplex(&bin, &src, uri)?;
    Ok(Source {
        bin: bin.upcast(),
        core: src,
        timestamps: Timestamps::Own,
    })
}

/// Seconds without a packet after which rtmp2src ends by itself. A backstop far above the watching
/// that is done outside: silence is a stall long before, but a socket must not stay open for ever.
fn idle_timeout(settings: &Settings) -> u32 {
    const LEAST: u64 = 10;
    let stall = settings.timeout.nseconds().saturating_mul(4);
    let startup = settings.startup_timeout.nseconds().saturating_mul(2);
    let seconds = stall
        .max(startup)
        .div_ceil(gst::ClockTime::SECOND.nseconds())
        .max(LEAST);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_timeout_stays_above_the_watching() {
        for (timeout, startup, seconds) in [
            (1_000, 5_000, 10),
            (0, 0, 10),
            (4_001, 5_000, 17),
            (1_000, 20_500, 41),
            (u64::MAX / 2_000_000, 0, u32::MAX),
        ] {
            let settings = Settings {
                timeout: gst::ClockTime::from_mseconds(timeout),
                startup_timeout: gst::ClockTime::from_mseconds(startup),
            };
            assert_eq!(idle_timeout(&settings), seconds);
        }
    }
}
