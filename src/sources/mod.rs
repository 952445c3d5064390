// SPDX-License-Identifier: MPL-2.0
//! Sources: each turns a description of an input into a bin with sometimes pads of parsed streams.
//!
//! A source is built for one attempt and thrown away after it. It never retries, never sleeps, and
//! never knows whether it is the primary. It imports nothing of the floors above it.
//!
//! [`Description::check`] says once, before anything runs, what can never work. Everything that
//! happens later (nobody there, silence, a broken stream) is said by GStreamer's own messages from
//! inside the bin, and whoever shows them takes the secrets of the [`Source`] out of them first.

mod bin;
mod element;
mod failure;
mod find;
mod flv;
mod flv_tags;
mod language;
mod memory;
mod mpegts;
mod order;
mod parse;
mod plug;
mod rtmp;
mod rtsp;
mod srt;
mod still;
mod unusable;
mod uri;
mod webrtc;

use std::fmt;
use std::sync::{Arc, LazyLock};

use gst::prelude::*;

use crate::redact;

pub(crate) use crate::redact::Secrets;
pub(crate) use language::Language;
pub(crate) use memory::Memory;
pub(crate) use parse::Kind;
pub(crate) use unusable::{Judge, Known, Unusable};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "failoversource",
        gst::DebugColorFlags::empty(),
        Some("Sources of a failoversrc"),
    )
});

/// What an input is made of.
#[derive(Clone)]
pub(crate) enum Description {
    Uri(String),
    Element(gst::Element),
}

/// A source for one attempt, in NULL and without a parent.
#[derive(Debug)]
pub(crate) struct Source {
    /// Emits `pad-added` for `video_%u` and `audio_%u` with final caps, `pad-removed`, and
    /// `no-more-pads` when that is known (a late stream may still follow it).
    pub(crate) bin: gst::Bin,
    /// What an application may configure before the start: rtmp2src, webrtcplaysrc, urisourcebin or
    /// the application's own element.
    pub(crate) core: gst::Element,
    pub(crate) timestamps: Timestamps,
}

/// How the timestamps of a source are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timestamps {
    /// The sender's: any start, any base. To be placed by arrival.
    Own,
    /// Live and already on the running time of the pipeline.
    Running,
}

/// What a source's failure says of the next attempt, where it says anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Not before this long.
    Later(gst::ClockTime),
    /// It will fail again until something is configured differently.
    Never,
}

/// What a source's failure comes to, for whoever has to tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It does not play, for whatever reason.
    Broken,
    /// Whoever sends is not who should.
    Identity,
}

/// What an ERROR message of a source tells of.
pub(crate) fn reason(message: &gst::message::Error) -> Reason {
    webrtc::reason(message)
}

/// What an ERROR message of a source says of the next attempt.
pub(crate) fn advice(message: &gst::message::Error) -> Option<Advice> {
    failure::advice(message).or_else(|| webrtc::advice(message))
}

/// What an element message of a source says is waited for: there is nothing to play, and the source
/// itself goes on as soon as there is.
pub(crate) fn waiting(said: &gst::StructureRef) -> Option<&str> {
    webrtc::waiting(said)
}

/// A stream that a source has announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    /// The pad of the source's bin, once it is there.
    pub(crate) pad: Option<gst::Pad>,
    /// As far as the source has said it.
    pub(crate) language: Option<Language>,
}

/// The streams of a kind that the source in this bin has announced, in its order, whichever comes first.
pub(crate) fn tracks(bin: &impl IsA<gst::Object>, kind: Kind) -> Vec<Track> {
    let bin = bin.upcast_ref().downcast_ref::<bin::SourceBin>();
    bin.map_or(vec![], |bin| bin.tracks(kind))
}

/// Why a source cannot be built. All but [`Error::Stopping`] are for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Error {
    /// Not a URI, or one that its element refuses. Holds the URI as it may be shown, and the reason.
    Malformed(String, String),
    /// No installed element plays this scheme.
    UnknownScheme(String),
    /// An element of GStreamer that is needed is not installed.
    MissingElement(&'static str),
    /// The application's element has no way out for a stream.
    NoPads(String),
    /// The application's element is a pipeline.
    IsPipeline(String),
    /// The application's element sits in another bin.
    InUse(String),
    /// The application's element has not yet left its earlier attempt.
    Stopping(String),
}

impl Description {
    /// Says what can never work: a URI that is none, a scheme that nothing plays, a missing plugin,
    /// an element without a source pad. Nothing is started or connected.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self {
            Self::Uri(uri) => check_uri(uri),
            Self::Element(element) => element::check(element),
        }
    }

    /// For people and logs: without userinfo, query and stream key.
    pub(crate) fn display(&self) -> String {
        match self {
            Self::Uri(uri) => redact::shown_uri(uri),
            Self::Element(element) => element.name().to_string(),
        }
    }

    /// What no text may show.
    pub(crate) fn secrets(&self) -> Secrets {
        match self {
            Self::Uri(uri) => Secrets::of_uri(uri),
            Self::Element(element) => element::secrets(element),
        }
    }

    /// Whether its source waits to be called by the sender.
    pub(crate) fn is_called(&self) -> bool {
        match self {
            Self::Uri(uri) => uri::is_called(uri),
            Self::Element(_) => false,
        }
    }

    /// Whether an attempt may begin with what was played before.
    pub(crate) fn may_repeat(&self) -> bool {
        match self {
            Self::Uri(uri) => uri::is_playlist(uri),
            Self::Element(_) => false,
        }
    }

    /// Builds a fresh source for one attempt.
    pub(crate) fn build(&self, name: &str) -> Result<Source, Error> {
        match self {
            Self::Uri(uri) if rtmp::plays(uri) => rtmp::build(uri, name),
            Self::Uri(uri) if webrtc::plays(uri) => webrtc::build(uri, name),
            Self::Uri(uri) if still::plays(uri) => still::build(uri, name),
            Self::Uri(uri) => uri::build(uri, name),
            Self::Element(element) => element::build(element, name),
        }
    }
}

/// As [`Description::display`].
impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

impl Source {
    /// What no text may show of what an application has set on its element for this attempt.
    pub(crate) fn secrets(&self) -> Secrets {
        element::secrets(&self.core)
    }

    /// Whoever listens gets the source's messages, in the threads that post them; nobody else does.
    pub(crate) fn listen(&self, listener: impl Fn(gst::Message) + Send + Sync + 'static) {
        if let Some(bin) = self.bin.downcast_ref::<bin::SourceBin>() {
            bin.set_listener(Box::new(listener));
        }
    }

    /// What it learns of its server is for the attempts after it, and it begins with what those before it have learnt.
    pub(crate) fn remember_in(&self, memory: &Memory) {
        if let Some(bin) = self.bin.downcast_ref::<bin::SourceBin>() {
            bin.set_memory(memory.recall());
        }
    }

    /// What downstream cannot use is told of ([`Unusable`]) and not exposed.
    pub(crate) fn judge_by(&self, judge: Judge) {
        if let Some(bin) = self.bin.downcast_ref::<bin::SourceBin>() {
            bin.set_judge(judge);
        }
    }

    /// Calls this when the language of a stream is known or changes, in the thread that brings the stream.
    pub(crate) fn on_language(&self, tell: impl Fn() + Send + Sync + 'static) {
        if let Some(bin) = self.bin.downcast_ref::<bin::SourceBin>() {
            bin.set_language_listener(Arc::new(tell));
        }
    }

    /// Whether whoever takes its streams may hold up the one thread that brings them: what comes meanwhile
    /// waits in its connection.
    pub(crate) fn may_rest(&self) -> bool {
        let bin = self.bin.downcast_ref::<bin::SourceBin>();
        bin.is_some_and(bin::SourceBin::is_in_real_time)
    }

    /// Ends the use of the application's element, so that the next attempt can take it: until then
    /// `build` says [`Error::Stopping`]. Only for a bin that is in NULL; one that could not be brought
    /// there keeps the element.
    pub(crate) fn release(self) {
        if let Some(bin) = self.bin.downcast_ref::<bin::SourceBin>()
            && bin.is_stopped(&self.core)
        {
            bin.release(&self.core);
        }
    }
}

fn check_uri(uri: &str) -> Result<(), Error> {
    let scheme = redact::scheme(uri);
    if scheme.is_empty() {
        return Err(unusable(uri, FORM));
    }
    if rtmp::plays(uri) {
        rtmp::check(uri)
    } else if webrtc::plays(uri) {
        webrtc::check(uri)
    } else if still::plays(uri) {
        still::check(uri)
    } else {
        uri::check(uri)
    }
}

const FORM: &str = "write it as scheme://host/path, for example rtmp://host/app/stream";

/// Turns GStreamer's answer to "which element plays this?" into one of ours.
fn check_handler(uri: &str) -> Result<gst::Element, Error> {
    gst::Element::make_from_uri(gst::URIType::Src, uri, None).map_err(|error| {
        match error.kind::<gst::URIError>() {
            Some(gst::URIError::UnsupportedProtocol) if uri.contains("://") => {
                Error::UnknownScheme(redact::scheme(uri))
            }
            // Any text with a colon, a stream key or a password too, begins as a URI does.
            Some(gst::URIError::UnsupportedProtocol) => unusable("", FORM),
            _ => malformed(uri, error.message()),
        }
    })
}

/// For a reason of somebody else's, who may repeat the URI in it.
fn malformed(uri: &str, reason: &str) -> Error {
    unusable(uri, &Secrets::of_uri(uri).take_out_of(reason))
}

/// For a reason in words of ours.
fn unusable(uri: &str, reason: &str) -> Error {
    Error::Malformed(redact::shown_uri(uri), reason.to_owned())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(uri, reason) => write!(f, "{uri} cannot be used: {reason}"),
            Self::UnknownScheme(scheme) => write!(
                f,
                "no installed GStreamer element plays {scheme}:// URIs: check the spelling or \
                 install the plugin for it"
            ),
            Self::MissingElement(element) => write!(
                f,
                "the GStreamer element '{element}' is not installed: install {}",
                plugin_set(element)
            ),
            Self::NoPads(element) => write!(
                f,
                "element '{element}' has no source pad and will not get one: give an element \
                 that delivers audio or video"
            ),
            Self::IsPipeline(element) => write!(
                f,
                "'{element}' is a pipeline: give an element or a bin (parse the description as \
                 a bin)"
            ),
            Self::InUse(element) => write!(
                f,
                "element '{element}' is already in another bin: an element can be one input only"
            ),
            Self::Stopping(element) => write!(
                f,
                "element '{element}' is in use: it plays in another failoversrc, or does not stop"
            ),
        }
    }
}

impl std::error::Error for Error {}

fn plugin_set(element: &str) -> &'static str {
    match element {
        "nicesrc" => "libnice's plugin (gstreamer1.0-nice)",
        "webrtcbin" | "dtlsdec" | "srtpdec" | "rtmp2src" | "h264parse" | "h265parse"
        | "av1parse" | "vp9parse" | "jpegparse" | "mpegvideoparse" | "mpeg4videoparse" => {
            "gst-plugins-bad"
        }
        "rtpbin" | "rtph264depay" | "rtph265depay" | "flvdemux" | "aacparse" | "mpegaudioparse"
        | "ac3parse" | "dcaparse" | "flacparse" => "gst-plugins-good",
        "urisourcebin" | "parsebin" => "gst-plugins-base",
        _ => "GStreamer's core elements",
    }
}

#[cfg(test)]
mod tests;
