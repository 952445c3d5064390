// SPDX-License-Identifier: MPL-2.0
//! One stream of a source that is of no use: which codec it has, why it cannot be played, and what would help. The source
//! plays its other streams.
//!
//! Owns how that is said, and what else says it: parsebin and decodebin post a `missing-plugin` message of their own.

use gst::prelude::*;

use super::bin::SourceBin;
use super::parse::{Kind, kind_of_caps, kind_of_name};

const UNUSABLE: &str = "failover-source-unusable";

/// How much is known of a stream whose caps are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// What is promised, before a parser has looked at it.
    Announced,
    /// Its final caps.
    Final,
}

/// Says why a stream with these caps is of no use downstream.
pub(crate) type Judge = fn(&gst::CapsRef, Known) -> Result<(), String>;

/// A stream that is not played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) kind: Kind,
    pub(crate) codec: String,
    /// For people: what is wrong, and what would play it.
    pub(crate) text: String,
}

impl Unusable {
    pub(super) fn of_caps(kind: Kind, caps: &gst::CapsRef, text: String) -> Self {
        let codec = caps.structure(0).map_or("unknown", |s| s.name().as_str());
        let codec = codec.to_owned();
        Self { kind, codec, text }
    }

    /// What an element message of a source says of a stream that is not played.
    pub(crate) fn of_message(said: &gst::StructureRef) -> Option<Self> {
        match said.name().as_str() {
            UNUSABLE => {
                let field = |name| said.get::<String>(name).ok();
                Some(Self {
                    kind: kind_of_name(&field("kind")?)?,
                    codec: field("codec")?,
                    text: field("text")?,
                })
            }
            "missing-plugin" => Self::of_missing_plugin(said),
            _ => None,
        }
    }

    /// Its `detail` are caps only where a decoder is missing.
    fn of_missing_plugin(said: &gst::StructureRef) -> Option<Self> {
        let caps = said.get::<gst::Caps>("detail").ok()?;
        let kind = kind_of_caps(&caps)?;
        let plugin = said.get::<&str>("name").unwrap_or("a decoder");
        let text = format!("no installed GStreamer plugin plays its {kind}: it takes {plugin}");
        Some(Self::of_caps(kind, &caps, text))
    }
}

impl SourceBin {
    /// Streams with caps that are refused here are not exposed.
    pub(super) fn set_judge(&self, judge: Judge) {
        self.state().judge = Some(judge);
    }

    /// Why a stream with these caps is of no use, if so. What is not decided by its caps is not judged by them.
    pub(super) fn refusal(&self, caps: &gst::CapsRef, known: Known) -> Option<Unusable> {
        let kind = kind_of_caps(caps)?;
        let judge = self.state().judge?;
        let text = judge(caps, known).err()?;
        Some(Unusable::of_caps(kind, caps, text))
    }

    /// Says that one stream is not played. With no lock held.
    pub(super) fn tell_unusable(&self, unusable: &Unusable) {
        self.state().unusable.push(unusable.text.clone());
        let said = gst::Structure::builder(UNUSABLE)
            .field("kind", unusable.kind.name())
            .field("codec", &unusable.codec)
            .field("text", &unusable.text);
        let message = gst::message::Element::builder(said.build()).src(self);
        let _ = self.post_message(message.build());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        gst::init().expect("GStreamer");
        let said = gst::Structure::builder(UNUSABLE)
            .field("kind", "audio")
            .field("codec", "AC-3")
            .field("text", "no decoder");
        let heard = Unusable::of_message(&said.build());
        let expected = Unusable {
            kind: Kind::Audio,
            codec: "AC-3".to_owned(),
            text: "no decoder".to_owned(),
        };
        assert_eq!(heard, Some(expected));
    }

    #[test]
    fn a_missing_decoder_is_a_stream_that_is_not_played() {
        gst::init().expect("GStreamer");
        let missing = |detail: gst::Caps| {
            gst::Structure::builder("missing-plugin")
                .field("type", "decoder")
                .field("detail", detail)
                .field("name", "Dolby Digital (AC-3) decoder")
                .build()
        };
        let caps = gst::Caps::builder("audio/x-ac3").build();
        let heard = Unusable::of_message(&missing(caps)).expect("it is audio");
        assert_eq!(
            (heard.kind, heard.codec.as_str()),
            (Kind::Audio, "audio/x-ac3")
        );
        assert!(
            heard.text.contains("Dolby Digital (AC-3) decoder"),
            "{heard:?}"
        );
        // Subtitles are neither heard nor seen as motion.
        let caps = gst::Caps::builder("subpicture/x-dvb").build();
        assert_eq!(Unusable::of_message(&missing(caps)), None);
        let source = gst::Structure::builder("missing-plugin")
            .field("type", "urisource")
            .field("detail", "foo");
        assert_eq!(Unusable::of_message(&source.build()), None);
        let other = gst::Structure::builder("something-else").build();
        assert_eq!(Unusable::of_message(&other), None);
    }
}
