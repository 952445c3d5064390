// SPDX-License-Identifier: MPL-2.0
//! From caps to the elements that make one normalised elementary stream of them.
//!
//! Knows codecs and containers; never links, starts or exposes anything.
//!
//! The parsers are a table and not the registry's choice: each codec has *one* form that leaves a
//! source, whichever input it came from, and that form has to be written down anyway. Containers are
//! asked of the registry, which knows every demuxer that is installed.

use gst::prelude::*;

use super::Error;
use crate::access_unit;

/// What a stream is, as far as the output pads go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Audio,
    Video,
}

impl Kind {
    /// The first part of a pad's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The kind of a stream with these caps; None for what is neither heard nor seen as motion
/// (subtitles, private data, containers under `application/`).
pub(crate) fn kind_of_caps(caps: &gst::CapsRef) -> Option<Kind> {
    kind_of_media(caps.structure(0)?.name())
}

fn kind_of_media(media: &str) -> Option<Kind> {
    match media.split_once('/')?.0 {
        "audio" => Some(Kind::Audio),
        "video" | "image" => Some(Kind::Video),
        _ => None,
    }
}

/// The kind of the one stream that caps promise, before it is there.
pub(super) fn announced_kind(caps: &gst::CapsRef) -> Option<Kind> {
    // Of packets, as a session description has it.
    if let Ok(media) = caps.structure(0)?.get::<&str>("media") {
        return kind_of_name(media);
    }
    let kind = kind_of_caps(caps)?;
    let is_same = |s: &gst::StructureRef| kind_of_media(s.name()) == Some(kind);
    (caps.iter().all(is_same) && !is_container(caps)).then_some(kind)
}

/// As pads and session descriptions call it.
pub(super) fn kind_of_name(name: &str) -> Option<Kind> {
    let kinds = [Kind::Audio, Kind::Video];
    kinds.into_iter().find(|kind| kind.name() == name)
}

const FLV: &str = "video/x-flv";
pub(super) const TS_DEMUXER: &str = "tsdemux";
const MPEG_TS: &str = "video/mpegts";

/// Where a pad leads.
pub(super) enum Route {
    /// A stream, normalised by these elements, in order.
    Stream(Kind, Vec<gst::Element>),
    /// Holds or hides other streams: this element finds them.
    Demux(gst::Element),
    /// FLV, for which one element is not enough.
    Flv,
    /// Nothing for the output.
    Ignore,
}

impl Route {
    /// Without caps the data says what it is, so typefinding decides.
    pub(super) fn of(caps: Option<&gst::CapsRef>) -> Result<Self, Error> {
        let Some(caps) = caps else {
            return parsebin().map(Self::Demux);
        };
        if is(caps, FLV) {
            // parsebin waits until all streams have shown themselves. Live FLV has its video up to
            // a GOP after its audio, and neither may wait for the other.
            return Ok(Self::Flv);
        }
        if is(caps, MPEG_TS)
            && let Ok(demuxer) = make(TS_DEMUXER)
        {
            return Ok(Self::Demux(demuxer));
        }
        if is(caps, "application/x-hls") && gst::version() < super::uri::ADAPTIVE_WORKS {
            // parsebin would take hlsdemux2.
            return make("hlsdemux").map(Self::Demux);
        }
        if let Some(depayloader) = access_unit::depayloader(caps) {
            return Self::depayloaded(depayloader);
        }
        if is_container(caps) {
            return parsebin().map(Self::Demux);
        }
        match kind_of_caps(caps) {
            Some(kind) => Ok(Self::Stream(kind, normalisers(caps)?)),
            None => Ok(Self::Ignore),
        }
    }

    /// parsebin lets a depayloader decide on its form before anything is linked to it.
    fn depayloaded(factory: &'static str) -> Result<Self, Error> {
        let depayloader = make(factory)?;
        let Some(form) = access_unit::form(&depayloader) else {
            return parsebin().map(Self::Demux);
        };
        access_unit::end_with_a_whole_one(&depayloader);
        Ok(match Self::behind(&form)? {
            Self::Stream(kind, elements) => {
                let elements = std::iter::once(depayloader).chain(elements);
                Self::Stream(kind, elements.collect())
            }
            other => other,
        })
    }

    /// Behind a depayloader that has to be asked for this form.
    pub(super) fn behind(form: &gst::Caps) -> Result<Self, Error> {
        Ok(match Self::of(Some(form))? {
            Self::Stream(kind, elements) => {
                let elements = std::iter::once(filter(form)?).chain(elements);
                Self::Stream(kind, elements.collect())
            }
            other => other,
        })
    }
}

/// Makes an element, or says which plugin set to install.
pub(super) fn make(factory: &'static str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| Error::MissingElement(factory))
}

/// Whether this factory made an element.
pub(super) fn is_made_by(element: &gst::Element, factory: &str) -> bool {
    element.factory().is_some_and(|by| by.name() == factory)
}

/// parsebin, which leaves FLV and MPEG-TS to us. What has no caps may turn out to be that. Inside parsebin, tsdemux of 1.22 and
/// 1.24 brings no data of a stream that is added later.
fn parsebin() -> Result<gst::Element, Error> {
    let parsebin = make("parsebin")?;
    let is_ts_ours = gst::ElementFactory::find(TS_DEMUXER).is_some();
    parsebin.connect("autoplug-continue", false, move |values| {
        let caps = values.get(2).and_then(|caps| caps.get::<gst::Caps>().ok());
        let is_ours = |caps: gst::Caps| is(&caps, FLV) || is_ts_ours && is(&caps, MPEG_TS);
        Some((!caps.is_some_and(is_ours)).to_value())
    });
    Ok(parsebin)
}

fn is(caps: &gst::CapsRef, media: &str) -> bool {
    caps.structure(0).is_some_and(|s| s.name() == media)
}

fn is_container(caps: &gst::CapsRef) -> bool {
    use gst::ElementFactoryType;
    gst::ElementFactory::factories_with_type(
        ElementFactoryType::DEMUXER | ElementFactoryType::DEPAYLOADER,
        gst::Rank::MARGINAL,
    )
    .iter()
    .any(|factory| {
        factory.static_pad_templates().iter().any(|template| {
            let accepted = template.caps();
            template.direction() == gst::PadDirection::Sink
                && !accepted.is_any()
                && caps.can_intersect(&accepted)
        })
    })
}

/// A parser that makes the form, and a filter that insists on it.
fn normalisers(caps: &gst::CapsRef) -> Result<Vec<gst::Element>, Error> {
    let Some((parser, form)) = normal_form(caps) else {
        return Ok(Vec::new());
    };
    let parser = make(parser)?;
    if parser.has_property("config-interval") {
        // Parameter sets before every key frame: any of them may be the first after a cut.
        parser.set_property("config-interval", -1i32);
        access_unit::let_only_random_access_begin(&parser);
    }
    Ok(vec![parser, filter(&form)?])
}

fn filter(form: &gst::Caps) -> Result<gst::Element, Error> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", form);
    Ok(filter)
}

/// The parser of a codec and the one form in which it leaves. None: the codec has no parser or
/// needs none, and leaves as it is.
fn normal_form(caps: &gst::CapsRef) -> Option<(&'static str, gst::Caps)> {
    let s = caps.structure(0)?;
    let media = s.name().as_str();
    let version = s.get::<i32>("mpegversion").unwrap_or(0);
    let form = gst::Caps::builder(media);
    Some(match media {
        "video/x-h264" | "video/x-h265" => (
            if media == "video/x-h264" {
                "h264parse"
            } else {
                "h265parse"
            },
            form.field("stream-format", "byte-stream")
                .field("alignment", "au")
                .build(),
        ),
        "video/x-av1" => (
            "av1parse",
            form.field("stream-format", "obu-stream")
                .field("alignment", "tu")
                .build(),
        ),
        "video/x-vp9" => ("vp9parse", form.field("alignment", "super-frame").build()),
        "video/mpeg" if version == 4 => ("mpeg4videoparse", form.field("parsed", true).build()),
        "video/mpeg" => ("mpegvideoparse", form.field("parsed", true).build()),
        "image/jpeg" => ("jpegparse", form.field("parsed", true).build()),
        "audio/mpeg" if version == 1 => ("mpegaudioparse", form.field("parsed", true).build()),
        "audio/mpeg" => ("aacparse", aac_form(s)),
        "audio/x-ac3" | "audio/x-eac3" => ("ac3parse", form.field("framed", true).build()),
        "audio/x-dts" => ("dcaparse", form.field("framed", true).build()),
        "audio/x-flac" => ("flacparse", form.field("framed", true).build()),
        _ => return None,
    })
}

fn aac_form(s: &gst::StructureRef) -> gst::Caps {
    let form = gst::Caps::builder("audio/mpeg").field("framed", true);
    match s.get::<&str>("stream-format") {
        // aacparse cannot turn LOAS into raw AAC; a decoder takes it as it is.
        Ok("loas") => form.field("stream-format", "loas").build(),
        _ => form
            // Broadcasters still send the MPEG-2 flavour, which keeps its number.
            .field("mpegversion", gst::List::new([4i32, 2]))
            .field("stream-format", "raw")
            .build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(text: &str) -> gst::Caps {
        gst::init().expect("GStreamer");
        text.parse().expect("caps")
    }

    #[test]
    fn audio_and_video_are_told_from_everything_else() {
        for (text, kind) in [
            ("video/x-raw,format=I420", Some(Kind::Video)),
            ("video/x-h264", Some(Kind::Video)),
            ("image/jpeg", Some(Kind::Video)),
            ("audio/x-opus", Some(Kind::Audio)),
            ("audio/x-raw", Some(Kind::Audio)),
            ("text/x-raw", None),
            ("subpicture/x-dvd", None),
            ("application/x-id3", None),
            ("meta/x-klv", None),
            ("EMPTY", None),
            ("ANY", None),
        ] {
            assert_eq!(kind_of_caps(&caps(text)), kind, "{text}");
        }
    }

    #[test]
    fn containers_are_told_from_elementary_streams() {
        for text in [
            "video/mpegts,systemstream=true,packetsize=188",
            "video/quicktime,variant=iso",
            "video/x-matroska",
            "video/webm",
            "audio/x-wav",
            "video/x-msvideo",
            "application/ogg",
            "application/x-hls",
            "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000",
            "application/x-rtp,media=video,encoding-name=MP2T,clock-rate=90000",
            "video/mpeg,mpegversion=2,systemstream=true",
        ] {
            let route = Route::of(Some(&caps(text))).expect(text);
            assert!(matches!(route, Route::Demux(_)), "{text}");
        }
        let flv = Route::of(Some(&caps("video/x-flv"))).expect("FLV");
        assert!(matches!(flv, Route::Flv));
        for text in [
            "video/x-raw,format=I420,width=16,height=16,framerate=25/1",
            "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved",
            "video/x-h264,stream-format=avc,alignment=au",
            "video/x-h265,stream-format=hvc1,alignment=au",
            "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000",
            "application/x-rtp,media=video,encoding-name=H265,clock-rate=90000",
            "video/x-av1",
            "video/x-vp8",
            "video/x-vp9",
            "video/mpeg,mpegversion=2,systemstream=false",
            "image/jpeg",
            "audio/mpeg,mpegversion=4,stream-format=raw",
            "audio/mpeg,mpegversion=1,layer=3",
            "audio/x-ac3",
            "audio/x-flac",
            "audio/x-opus",
            "audio/x-vorbis",
            "audio/x-alaw,rate=8000,channels=1",
        ] {
            let route = Route::of(Some(&caps(text))).expect(text);
            assert!(matches!(route, Route::Stream(..)), "{text}");
        }
    }

    /// Which frames come out as key frames, of those from the fifth on; every tenth is one.
    fn key_frames(codec: &str, form: &str) -> Vec<usize> {
        use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
        use std::sync::{Arc, Mutex};

        let line = format!(
            "videotestsrc num-buffers=30 ! video/x-raw,width=64,height=64 \
             ! x{codec}enc tune=zerolatency key-int-max=10 ! h{codec}parse \
             ! {form},alignment=au ! identity name=joined ! fakesink name=end"
        );
        let pipeline = gst::parse::launch(&line).expect(&line);
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let joined = pipeline.by_name("joined").expect("an element");
        let end = pipeline.by_name("end").expect("a sink");
        let chain = normalisers(&caps(form)).expect("a parser");
        joined.unlink(&end);
        pipeline.add_many(&chain).expect("room");
        let line = std::iter::once(&joined).chain(&chain).chain([&end]);
        gst::Element::link_many(line).expect("links");
        let [sent, came] = [0, 4].map(AtomicUsize::new);
        let keys: Arc<Mutex<Vec<usize>>> = Arc::default();
        let pad = joined.static_pad("src").expect("a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            match sent.fetch_add(1, Relaxed) {
                0..4 => gst::PadProbeReturn::Drop,
                _ => gst::PadProbeReturn::Ok,
            }
        });
        let (noted, pad) = (keys.clone(), end.static_pad("sink").expect("a pad"));
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let flags = info.buffer().map(|buffer| buffer.flags());
            let number = came.fetch_add(1, Relaxed);
            if flags.is_some_and(|flags| !flags.contains(gst::BufferFlags::DELTA_UNIT)) {
                noted.lock().expect("keys").push(number);
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let bus = pipeline.bus().expect("a bus");
        let ended = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &ends);
        assert!(ended.is_some_and(|ended| ended.type_() == gst::MessageType::Eos));
        pipeline.set_state(gst::State::Null).expect("NULL");
        std::mem::take(&mut *keys.lock().expect("keys"))
    }

    #[test]
    fn what_begins_between_two_key_frames_begins_with_none() {
        for (codec, form) in [
            ("264", "video/x-h264,stream-format=avc"),
            ("265", "video/x-h265,stream-format=hvc1"),
        ] {
            gst::init().expect("GStreamer");
            let keys = key_frames(codec, form);
            assert_eq!(
                keys.first().map(|key| key % 10),
                Some(0),
                "{form}: {keys:?}"
            );
        }
    }

    #[test]
    fn what_is_going_to_come_is_known_from_what_is_promised() {
        for (text, kind) in [
            ("audio/x-raw,format={S16LE,F32LE}", Some(Kind::Audio)),
            ("video/x-h264;image/jpeg", Some(Kind::Video)),
            ("video/x-h264;audio/x-raw", None),
            ("video/mpegts,systemstream=true,packetsize=188", None),
            (
                "application/x-rtp,media=audio,encoding-name=OPUS",
                Some(Kind::Audio),
            ),
            ("application/x-unknown,media=video", Some(Kind::Video)),
            ("application/x-rtp,media=application", None),
            ("ANY", None),
        ] {
            assert_eq!(announced_kind(&caps(text)), kind, "{text}");
        }
    }

    #[test]
    fn what_is_neither_heard_nor_seen_is_ignored() {
        for text in ["text/x-raw", "meta/x-klv", "application/x-teletext"] {
            let route = Route::of(Some(&caps(text))).expect(text);
            assert!(matches!(route, Route::Ignore), "{text}");
        }
    }
}
