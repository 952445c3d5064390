// SPDX-License-Identifier: MPL-2.0
//! Every URI that is not RTMP: urisourcebin finds the source, the bin around it does the rest.
//!
//! Owns the settings that keep a live source quick and a failing one honest. What is not live
//! runs as fast as it is taken: the pace is set by who takes it.

use gst::prelude::*;

use super::bin::SourceBin;
use super::find::has_sometimes_pads;
use super::parse::make;
use super::{Error, Source, Timestamps, check_handler, redact, rtsp, srt, unusable};

/// hlsdemux2 of 1.22 ends the process when one that has failed is freed (a mutex that is locked still); the older hlsdemux does not.
pub(super) const ADAPTIVE_WORKS: (u32, u32, u32, u32) = (1, 24, 0, 0);

pub(super) fn check(uri: &str) -> Result<(), Error> {
    for element in ["urisourcebin", "parsebin"] {
        make(element)?;
    }
    let needs_host = ["http", "rtsp"]
        .iter()
        .any(|s| redact::scheme(uri).starts_with(s));
    if needs_host && redact::host(uri).is_empty() {
        return Err(unusable(uri, "it has no host"));
    }
    check_handler(uri).map(|_| ())
}

pub(super) fn build(uri: &str, name: &str) -> Result<Source, Error> {
    if is_playlist(uri) && gst::version() < ADAPTIVE_WORKS {
        return build_playlist(uri, name);
    }
    let src = make("urisourcebin")?;
    src.set_property("uri", uri);
    // Buffering would hold data back and post messages about it. A live programme waits for nobody.
    src.set_property("use-buffering", false);
    let bin = SourceBin::new(name);
    let weak = bin.downgrade();
    src.connect("source-setup", false, move |values| {
        if let Some(Ok(source)) = values.get(1).map(|value| value.get::<gst::Element>())
            && let Some(bin) = weak.upgrade()
        {
            set_up(&source, &bin);
            bin.expect_session(&source);
        }
        None
    });
    bin.add(&src)
        .map_err(|_| Error::MissingElement("urisourcebin"))?;
    bin.watch(&src);
    tell_when_complete(&bin, &src);
    Ok(Source {
        bin: bin.upcast(),
        core: src,
        timestamps: timestamps(uri),
    })
}

/// Without urisourcebin, which takes hlsdemux2.
fn build_playlist(uri: &str, name: &str) -> Result<Source, Error> {
    let src = check_handler(uri)?;
    let find = make("typefind")?;
    let bin = SourceBin::new(name);
    set_up(&src, &bin);
    bin.add_many([&src, &find])
        .and_then(|()| src.link(&find))
        .map_err(|_| Error::MissingElement("typefind"))?;
    bin.watch(&find);
    Ok(Source {
        bin: bin.upcast(),
        core: src,
        timestamps: timestamps(uri),
    })
}

/// SRT in the mode that listens, which is the one of a URI without a host as well.
pub(super) fn is_called(uri: &str) -> bool {
    if redact::scheme(uri) != "srt" {
        return false;
    }
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.rsplit('&');
    match pairs.find_map(|pair| pair.strip_prefix("mode=")) {
        Some(mode) => mode == "listener",
        None => matches!(redact::host(uri).as_bytes(), [] | [b':', ..]),
    }
}

/// HLS and DASH: what a playlist names stays there, whether or not a publisher still adds to it.
pub(super) fn is_playlist(uri: &str) -> bool {
    let is_http = redact::scheme(uri).starts_with("http");
    is_http && names_a(uri, &[".m3u8", ".m3u", ".mpd"])
}

/// Whether the path of a URI ends in one of these, in small letters, however it is written.
pub(super) fn names_a(uri: &str, endings: &[&str]) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let path = path.to_ascii_lowercase();
    endings.iter().any(|ending| path.ends_with(ending))
}

/// RTSP's jitter buffers put packets on the running time. Other protocols give the sender's clock,
/// or none.
pub(super) fn timestamps(uri: &str) -> Timestamps {
    if redact::scheme(uri).starts_with("rtsp") {
        Timestamps::Running
    } else {
        Timestamps::Own
    }
}

/// urisourcebin does not say when it has shown all its pads, so its parts are asked: a source or a
/// demuxer in it with pads of its own says so; without one, the first pad is the only one.
fn tell_when_complete(bin: &SourceBin, src: &gst::Element) {
    let Some(inner) = src.downcast_ref::<gst::Bin>() else {
        return;
    };
    let (weak_bin, weak_src) = (bin.downgrade(), src.downgrade());
    let settle = move || {
        if let (Some(bin), Some(src)) = (weak_bin.upgrade(), weak_src.upgrade()) {
            bin.settle(src.upcast_ref());
        }
    };
    let settle_at_end = settle.clone();
    inner.connect_element_added(move |_, child| {
        if has_sometimes_pads(child) {
            let settle = settle_at_end.clone();
            child.connect_no_more_pads(move |_| settle());
        }
    });
    inner.connect_pad_added(move |inner, _| {
        if !inner.children().iter().any(has_sometimes_pads) {
            settle();
        }
    });
}

fn set_up(source: &gst::Element, bin: &SourceBin) {
    let factory = source.factory().map(|factory| factory.name());
    match factory.as_deref() {
        Some("rtspsrc") => rtsp::set_up(source, bin),
        Some("srtsrc") => srt::set_up(source, bin),
        // Retrying is not done here.
        Some("souphttpsrc") => source.set_property("retries", 0i32),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{is_called, is_playlist};

    #[test]
    fn playlists_are_known_by_their_path() {
        for uri in [
            "http://h/live.m3u8",
            "HTTPS://h/a/LIVE.M3U8?token=1",
            "https://h/x.mpd#t=1",
        ] {
            assert!(is_playlist(uri), "{uri}");
        }
        for uri in [
            "http://h/live.ts",
            "http://h/?list=a.m3u8",
            "file:///tmp/a.m3u8",
        ] {
            assert!(!is_playlist(uri), "{uri}");
        }
    }

    #[test]
    fn srt_that_listens_is_called() {
        for uri in [
            "srt://:7001",
            "SRT://:7001?latency=100",
            "srt://127.0.0.1:7001?mode=listener",
            "srt://0.0.0.0:7001?latency=100&mode=listener",
        ] {
            assert!(is_called(uri), "{uri}");
        }
        for uri in [
            "srt://host:7001",
            "srt://host:7001?mode=caller",
            "srt://:7001?mode=caller",
            "srt://host:7001?mode=rendezvous",
            "srt://host:7001?streamid=mode=listener",
            "udp://:7001",
            "rtsp://host/path?mode=listener",
        ] {
            assert!(!is_called(uri), "{uri}");
        }
    }
}
