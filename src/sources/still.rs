// SPDX-License-Identifier: MPL-2.0
//! A still image: decoded once, and shown for as long as it is needed.
//!
//! A file of one picture would be at its end with it. As a live source it stands by like any other input, and costs
//! as good as nothing: each frame is the same memory once more.

use gst::prelude::*;

use super::bin::SourceBin;
use super::parse::make;
use super::{Error, Source, Timestamps, redact, uri};

/// What the image formats that decoders are installed for are called. Motion JPEG comes by other names.
const ENDINGS: [&str; 6] = [".png", ".jpg", ".jpeg", ".webp", ".bmp", ".svg"];
/// Ten frames per second: enough for any sane `timeout`, and for what encodes behind.
const PACE: gst::Fraction = gst::Fraction::new_raw(10, 1);

pub(super) fn plays(uri: &str) -> bool {
    let is_fetched = ["file", "http", "https"].contains(&redact::scheme(uri).as_str());
    is_fetched && uri::names_a(uri, &ENDINGS)
}

pub(super) fn check(uri: &str) -> Result<(), Error> {
    for element in ["uridecodebin", "imagefreeze"] {
        make(element)?;
    }
    uri::check(uri)
}

pub(super) fn build(uri: &str, name: &str) -> Result<Source, Error> {
    let bin = SourceBin::new(name);
    let [image, freeze, pace] = ["uridecodebin", "imagefreeze", "capsfilter"].map(make);
    let (image, freeze, pace) = (image?, freeze?, pace?);
    image.set_property("uri", uri);
    freeze.set_property("is-live", true);
    let raw = gst::Caps::builder("video/x-raw").field("framerate", PACE);
    pace.set_property("caps", raw.build());
    let chain = [&freeze, &pace];
    bin.add_many([&image, &freeze, &pace])
        .and_then(|()| gst::Element::link_many(chain))
        .map_err(|_| Error::MissingElement("imagefreeze"))?;
    let first = freeze.downgrade();
    image.connect_pad_added(move |_, pad| {
        let first = first.upgrade().and_then(|freeze| freeze.static_pad("sink"));
        if let Some(first) = first.filter(|first| !first.is_linked()) {
            let _ = pad.link(&first);
        }
    });
    bin.watch(&pace);
    Ok(Source {
        bin: bin.upcast(),
        core: image,
        timestamps: Timestamps::Running,
    })
}

#[cfg(test)]
mod tests {
    use super::plays;

    #[test]
    fn a_still_image_is_known_by_its_name() {
        for uri in [
            "file:///tmp/slate.png",
            "https://h/a/SLATE.JPG?v=2",
            "http://h/x.jpeg#top",
        ] {
            assert!(plays(uri), "{uri}");
        }
        for uri in [
            "http://camera/video.mjpg",
            "http://camera/?file=x.png",
            "rtsp://h/x.png",
            "file:///tmp/slate.mp4",
        ] {
            assert!(!plays(uri), "{uri}");
        }
    }
}
