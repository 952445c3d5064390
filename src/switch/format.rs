// SPDX-License-Identifier: MPL-2.0
//! What the buffers of a stream are: their caps, and what follows from them. It goes with each buffer and not with
//! its pad: what a standby keeps, what is deferred and what waits to leave may be older than the pad's caps.

use super::pace::Times;
use super::sound::Samples;
use super::standby::{Coding, Piece};
use crate::policy::Media;
use std::sync::Arc;

/// A picture that takes a decoder this long is one of 720p: 3 ms on one core.
const PIXELS_OF_720P: i64 = 1280 * 720;

/// Made once for each CAPS event; its buffers share it.
#[derive(Debug, Default)]
pub(super) struct Format {
    /// `None` for buffers that came without.
    pub(super) caps: Option<gst::Caps>,
    pub(super) coding: Coding,
    pub(super) media: Media,
    /// Of raw audio, which can be cut anywhere.
    pub(super) samples: Option<Samples>,
    /// What one video frame takes a decoder, about.
    pub(super) decoding: i64,
}

/// A buffer and what it is.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) buffer: gst::Buffer,
    pub(super) format: Arc<Format>,
}

impl Frame {
    pub(super) fn is_key(&self) -> bool {
        !self.buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
    }

    /// As a standby keeps it.
    pub(super) fn piece(self, times: Times) -> Piece<Self> {
        Piece {
            order: times.order,
            start: times.start,
            duration: times.duration,
            key: self.is_key(),
            bytes: self.buffer.size(),
            value: self,
        }
    }
}

impl Format {
    pub(super) fn of(caps: &gst::CapsRef) -> Self {
        Self {
            caps: Some(caps.to_owned()),
            coding: coding_of(caps),
            media: media_of(caps),
            samples: Samples::of(caps),
            decoding: decoding_of(caps),
        }
    }

    /// Whether a decoder of the one can make nothing of the other. A change of size or of headers is none: it comes with
    /// a key frame where it needs one.
    pub(super) fn is_other_codec(&self, other: &Self) -> bool {
        let structure = |format: &Self| Some(format.caps.as_ref()?.structure(0)?.to_owned());
        let (Some(one), Some(two)) = (structure(self), structure(other)) else {
            return self.caps.is_some() != other.caps.is_some();
        };
        // video/mpeg is a family: mpegversion, and wmvversion, divxversion and the like of others.
        let mut versions = one.fields().filter(|field| field.ends_with("version"));
        one.name() != two.name()
            || versions.any(|field| one.get::<i32>(field).ok() != two.get::<i32>(field).ok())
    }
}

/// How the buffers of such caps depend on each other.
fn coding_of(caps: &gst::CapsRef) -> Coding {
    let Some(structure) = caps.structure(0) else {
        return Coding::Raw;
    };
    let name = structure.name().as_str();
    if matches!(name, "video/x-raw" | "audio/x-raw") {
        Coding::Raw
    } else if name.starts_with("video/") {
        Coding::Delta
    } else {
        Coding::Independent
    }
}

fn media_of(caps: &gst::CapsRef) -> Media {
    let family = caps.structure(0).map(|structure| structure.name());
    match family.and_then(|name| name.as_str().split_once('/')) {
        Some(("video" | "image", _)) => Media::Video,
        Some(("audio", _)) => Media::Audio,
        _ => Media::Other,
    }
}

fn decoding_of(caps: &gst::CapsRef) -> i64 {
    let size = |side| caps.structure(0)?.get::<i32>(side).ok();
    let pixels = size("width").zip(size("height"));
    let pixels = pixels.map_or(PIXELS_OF_720P, |(width, height)| {
        i64::from(width).saturating_mul(i64::from(height))
    });
    pixels.saturating_mul(13) / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(caps: &str) -> Format {
        gst::init().expect("GStreamer");
        Format::of(&caps.parse::<gst::Caps>().expect("caps"))
    }

    #[test]
    fn another_size_or_other_headers_are_the_same_codec() {
        let old = format("video/x-h264,stream-format=avc,width=16,codec_data=(buffer)01");
        for same in [
            "video/x-h264,stream-format=avc,width=32,codec_data=(buffer)02",
            "video/x-h264,stream-format=byte-stream",
        ] {
            assert!(!old.is_other_codec(&format(same)), "{same}");
        }
        for other in ["video/x-vp8", "video/x-raw", "video/x-h265"] {
            assert!(old.is_other_codec(&format(other)), "{other}");
        }
    }

    #[test]
    fn a_family_of_codecs_is_told_apart_by_its_version() {
        let two = format("video/mpeg,mpegversion=2,systemstream=false");
        assert!(two.is_other_codec(&format("video/mpeg,mpegversion=4,systemstream=false")));
        assert!(!two.is_other_codec(&format("video/mpeg,mpegversion=2,width=16")));
    }

    #[test]
    fn what_came_without_caps_is_not_taken_for_what_came_with_some() {
        let none = Format::default();
        assert!(none.is_other_codec(&format("video/x-h264")));
        assert!(format("video/x-h264").is_other_codec(&none));
        assert!(!none.is_other_codec(&Format::default()));
    }
}
