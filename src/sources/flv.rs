// SPDX-License-Identifier: MPL-2.0
//! Two flvdemux, one for the sound and one for the picture of an FLV stream.
//!
//! A single one takes a stream whose picture comes more than six seconds after its sound for one without a
//! picture, for ever; and a server gives a new player the picture from the next key frame on only. Each of
//! the two is shown its own tags, and an FLV header that promises nothing else: the flags of a header that was
//! written before the video came say that there is none.
//!
//! They take one tag in a buffer, with or without the header before it (Adobe Flash Video File Format Specification 10.1, annex E).
//! rtmp2src gives it so. What comes as bytes, by HTTP or from a file, goes through [`FlvTags`] first. A file takes the same way: its
//! video may be late as well. That its demuxers do not pull costs nothing, since inputs are not sought in, and flvdemux learns from its
//! tags that it has an end.
//!
//! flvdemux says nothing of a codec that it does not know: no stream comes of it. So each tag is looked at before it is there.
//!
//! flvdemux takes the time of a stream that goes back for a mistake, and lets the stream continue where it was. So a sender that restarts its
//! time loses its lip-sync by as much as one of its streams was silent before that. What follows knows better what to do with
//! such a step, for all streams: the frames leave with the times of their tags.

mod codec;
pub(super) mod split;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering::Relaxed};

use gst::prelude::*;

use self::codec::{Content, Knowledge, LOOK};
use super::Error;
use super::bin::SourceBin;
use super::flv_tags::FlvTags;
use super::parse::{Kind, make};
use super::unusable::Unusable;

/// The signature, version, flags and size of the header, and the size of no tag before.
const HEADER: usize = 13;
/// Where the body of a tag begins.
const BODY: usize = 11;
/// As much of a tag as tells what it is, when, and how its body begins.
const TAG_HEAD: usize = BODY + 1;
/// What has not come after so much of the other, in milliseconds, is not waited for by who wants to know all
/// pads; it becomes one when it comes.
const MISSING_AFTER: i64 = 12_000;
/// An encoder does not change its codec within moments, and each attempt costs a connection.
const CODEC_PAUSE: gst::ClockTime = gst::ClockTime::from_seconds(30);
/// Where the header says of what kinds the tags are.
const FLAGS: usize = 4;

/// Leads the tags that come out of `src` to the two.
pub(super) fn demultiplex(bin: &SourceBin, src: &gst::Element) -> Result<(), Error> {
    let [tee, ..] = demuxers(bin)?;
    src.link(&tee).map_err(|_| Error::MissingElement("tee"))
}

/// From where bytes go in to the two at the end, none of it started.
pub(super) fn byte_demuxers(bin: &SourceBin) -> Result<Vec<gst::Element>, Error> {
    let tags = FlvTags::new().upcast::<gst::Element>();
    let [tee, picture, sound] = demuxers(bin)?;
    let linked = bin.add(&tags).and_then(|()| tags.link(&tee));
    linked.map_err(|_| Error::MissingElement("tee"))?;
    Ok(vec![tags, tee, picture, sound])
}

/// The tee for the tags, and what it leads to.
fn demuxers(bin: &SourceBin) -> Result<[gst::Element; 3], Error> {
    let [tee, picture, sound] = [make("tee")?, make("flvdemux")?, make("flvdemux")?];
    bin.add(&tee).map_err(|_| Error::MissingElement("tee"))?;
    for (demuxer, other, kind) in [
        (&picture, &sound, Kind::Video),
        (&sound, &picture, Kind::Audio),
    ] {
        bin.add(demuxer)
            .and_then(|()| tee.link(demuxer))
            .map_err(|_| Error::MissingElement("flvdemux"))?;
        let time = Arc::new(AtomicI64::new(0));
        show_only(bin, demuxer, kind, time.clone());
        end_with(bin, demuxer, other);
        demuxer.connect_pad_added(move |_, pad| {
            count_from_zero(pad);
            keep_time(pad, time.clone());
        });
        bin.watch(demuxer);
        // An FLV stream has one picture and one sound; flvdemux waits for a second for six seconds.
        let weak = bin.downgrade();
        demuxer.connect_pad_added(move |demuxer, _| {
            if let Some(bin) = weak.upgrade() {
                bin.settle(demuxer.upcast_ref());
            }
        });
    }
    Ok([tee, picture, sound])
}

/// flvdemux begins its segment with its first tag. The two have to go on counting from the same moment.
fn count_from_zero(pad: &gst::Pad) {
    let endless = gst::FormattedSegment::<gst::ClockTime>::new();
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if let Some(gst::PadProbeData::Event(event)) = &mut info.data
            && event.type_() == gst::EventType::Segment
        {
            let seqnum = event.seqnum();
            *event = gst::event::Segment::builder(&endless)
                .seqnum(seqnum)
                .build();
        }
        gst::PadProbeReturn::Ok
    });
}

/// What leaves is made of the tag that was shown last, and gets its `time`.
fn keep_time(pad: &gst::Pad, time: Arc<AtomicI64>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer_mut()
            && let Some(dts) = buffer.dts()
        {
            let said = gst::ClockTime::from_mseconds(time.load(Relaxed).unsigned_abs());
            if said != dts {
                let pts = buffer
                    .pts()
                    .map(|pts| pts.saturating_add(said).saturating_sub(dts));
                let buffer = buffer.make_mut();
                buffer.set_dts(said);
                buffer.set_pts(pts);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// A demuxer calls it an error if there was nothing at all; not if the other had something.
fn end_with(bin: &SourceBin, demuxer: &gst::Element, other: &gst::Element) {
    let Some(sink) = demuxer.static_pad("sink") else {
        return;
    };
    let pads_of = |element: &gst::Element| {
        let element = element.downgrade();
        move || {
            element
                .upgrade()
                .map_or(0, |element| element.num_src_pads())
        }
    };
    let (own, others) = (pads_of(demuxer), pads_of(other));
    let (bin, weak) = (bin.downgrade(), demuxer.downgrade());
    sink.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let is_end = info
            .event()
            .is_some_and(|event| event.type_() == gst::EventType::Eos);
        if is_end && own() == 0 && others() > 0 {
            // Nothing will come of it.
            if let (Some(bin), Some(demuxer)) = (bin.upgrade(), weak.upgrade()) {
                bin.settle(demuxer.upcast_ref());
            }
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// Lets only tags of this kind pass into a demuxer, and tells the `time` of each.
fn show_only(bin: &SourceBin, demuxer: &gst::Element, kind: Kind, time: Arc<AtomicI64>) {
    let Some(sink) = demuxer.static_pad("sink") else {
        return;
    };
    let (bin, weak) = (bin.downgrade(), demuxer.downgrade());
    let patience = Patience::default();
    let unknown = Unknown::to(demuxer, kind);
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let tag = Tag::of(buffer);
        let is_foreign = tag.kind.is_some_and(|other| other != kind);
        if is_foreign && patience.is_over(tag.time) {
            let missing = weak.upgrade().filter(|demuxer| demuxer.num_src_pads() == 0);
            if let (Some(bin), Some(demuxer)) = (bin.upgrade(), missing) {
                bin.settle(demuxer.upcast_ref());
            }
        }
        let unknown_content = unknown.content(&tag, buffer);
        if let Some(content) = &unknown_content
            && let (Some(bin), Some(demuxer)) = (bin.upgrade(), weak.upgrade())
        {
            // Nothing will come of such a sound.
            if unknown.tell(content, &bin) && kind == Kind::Audio {
                bin.settle(demuxer.upcast_ref());
            }
        }
        let is_left_out = is_foreign || unknown_content.is_some();
        if tag.kind == Some(kind) {
            time.store(tag.time, Relaxed);
        }
        if tag.at == 0 {
            return match is_left_out {
                true => gst::PadProbeReturn::Handled,
                false => gst::PadProbeReturn::Ok,
            };
        }
        match with_header_for(kind, buffer, is_left_out) {
            Some(shown) => *buffer = shown,
            None => return gst::PadProbeReturn::Handled,
        }
        gst::PadProbeReturn::Ok
    });
}

/// The header, promising this kind alone, and the tag behind it, if there is one that is not `foreign`.
fn with_header_for(kind: Kind, buffer: &gst::BufferRef, foreign: bool) -> Option<gst::Buffer> {
    let mut header = [0; HEADER];
    buffer.copy_to_slice(0, &mut header).ok()?;
    header[FLAGS] = match kind {
        Kind::Audio => 4,
        Kind::Video => 1,
    };
    let mut shown = gst::Buffer::from_slice(header);
    let is_alone = buffer.size() == HEADER;
    if !foreign && !is_alone {
        let all = gst::BufferCopyFlags::all();
        shown.append(buffer.copy_region(all, HEADER..).ok()?);
    }
    Some(shown)
}

/// What the flvdemux of one kind does not know.
struct Unknown {
    kind: Kind,
    knowledge: Knowledge,
    told: AtomicBool,
}

impl Unknown {
    fn to(demuxer: &gst::Element, kind: Kind) -> Self {
        let mut knowledge = Knowledge::default();
        let templates = demuxer.pad_template_list();
        let of_streams = templates
            .iter()
            .filter(|template| template.direction() == gst::PadDirection::Src);
        for template in of_streams {
            // For the tracks of extended headers.
            knowledge.extended |= template.name_template() == "video_%u";
            let caps = template.caps();
            let media = caps.iter().map(|s| s.name().to_string());
            knowledge.media.extend(media);
        }
        Self {
            kind,
            knowledge,
            told: AtomicBool::new(false),
        }
    }

    /// What a tag brings whose body begins so, where the demuxer does not know it.
    fn content_of(&self, body: &[u8]) -> Option<Content> {
        let content = Content::of(self.kind, body);
        content.filter(|content| !self.knowledge.covers(self.kind, content.codec))
    }

    /// The same of a tag in a buffer.
    fn content(&self, tag: &Tag, buffer: &gst::BufferRef) -> Option<Content> {
        let first = tag.first.filter(|_| tag.kind == Some(self.kind))?;
        if !Content::is_extended(self.kind, first) {
            return self.content_of(&[first]);
        }
        let mut body = [0; LOOK];
        let (body, _) = body.split_at_mut(tag.size.min(LOOK));
        let copied = buffer.copy_to_slice(tag.at + BODY, body);
        let length = copied.map_or_else(|copied| copied, |()| body.len());
        self.content_of(body.get(..length)?)
    }

    /// Says it once. Of an input without its picture there is not much left; without its sound there is. Whether it was said now.
    fn tell(&self, content: &Content, bin: &SourceBin) -> bool {
        let is_further = content.track > 0;
        if is_further || self.told.swap(true, Relaxed) {
            return false;
        }
        let text = content.codec.complaint(self.kind);
        match self.kind {
            Kind::Video => bin.fail_for(CODEC_PAUSE, &text),
            Kind::Audio => bin.tell_unusable(&Unusable {
                kind: self.kind,
                codec: content.codec.name(self.kind),
                text,
            }),
        }
        true
    }
}

/// Since when one kind has come without the other, in milliseconds of its tags: 0 before the first.
#[derive(Default)]
struct Patience(AtomicI64);

/// It was said once that the other is missing; no tag is of this time.
const OVER: i64 = -1;

impl Patience {
    /// Once, when it is over.
    fn is_over(&self, time: i64) -> bool {
        let since = self.0.load(Relaxed);
        if since == OVER {
            return false;
        }
        if since == 0 {
            // One millisecond later than it is, so that the first tag can be told from none.
            self.0.store(time + 1, Relaxed);
            return false;
        }
        let over = time - since > MISSING_AFTER;
        if over {
            self.0.store(OVER, Relaxed);
        }
        over
    }
}

/// What a buffer begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tag {
    /// Where the tag begins: behind the header, where there is one.
    at: usize,
    /// `None`: for both, or none at all.
    kind: Option<Kind>,
    /// Milliseconds.
    time: i64,
    /// Of its body.
    size: usize,
    /// The first byte of its body.
    first: Option<u8>,
}

impl Tag {
    fn of(buffer: &gst::BufferRef) -> Self {
        let mut start = [0; HEADER + TAG_HEAD];
        let (start, _) = start.split_at_mut(buffer.size().min(HEADER + TAG_HEAD));
        let _ = buffer.copy_to_slice(0, start);
        let is_first = start.starts_with(b"FLV") && start.len() >= HEADER;
        let at = if is_first { HEADER } else { 0 };
        let head = start.get(at..).unwrap_or_default();
        let kind = match head.first() {
            Some(8) => Some(Kind::Audio),
            Some(9) => Some(Kind::Video),
            _ => None,
        };
        // Three bytes of size, then the lower three of the time and its highest one.
        let (time, size) = match head {
            [_, s, i, z, high, middle, low, highest, ..] => {
                let time = u32::from_be_bytes([*highest, *high, *middle, *low]);
                (i64::from(time), u32::from_be_bytes([0, *s, *i, *z]))
            }
            _ => (0, 0),
        };
        let size = usize::try_from(size).unwrap_or(0);
        Self {
            at,
            kind,
            time,
            size,
            first: head.get(BODY).copied().filter(|_| size > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: [u8; 13] = *b"FLV\x01\x05\0\0\0\x09\0\0\0\0";

    fn tag(kind: u8, time: u32) -> Vec<u8> {
        let [highest, time @ ..] = time.to_be_bytes();
        [
            &[kind, 0, 0, 2][..],
            &time,
            &[highest, 0, 0, 0, 0xaf, 1, 0, 0, 0, 13],
        ]
        .concat()
    }

    fn buffer(parts: &[&[u8]]) -> gst::Buffer {
        gst::init().expect("GStreamer");
        gst::Buffer::from_slice(parts.concat())
    }

    #[test]
    fn tags_are_told_apart() {
        for (kind, of) in [(8, Some(Kind::Audio)), (9, Some(Kind::Video)), (18, None)] {
            for (parts, at) in [
                (vec![&tag(kind, 0x0102_0304)[..]], 0),
                (vec![&FIRST[..], &tag(kind, 0x0102_0304)[..]], HEADER),
            ] {
                let seen = Tag::of(&buffer(&parts));
                let expected = Tag {
                    at,
                    kind: of,
                    time: 0x0102_0304,
                    size: 2,
                    first: Some(0xaf),
                };
                assert_eq!(seen, expected);
            }
        }
    }

    #[test]
    fn whatever_is_too_short_is_for_both() {
        for short in [&[][..], b"F", b"FLV", &FIRST[..12], &[8][..], &FIRST] {
            let kind = Tag::of(&buffer(&[short])).kind;
            assert!(kind.is_none() || short == [8], "{short:?}: {kind:?}");
        }
    }

    #[test]
    fn each_gets_a_header_of_its_own_kind_and_its_own_tags() {
        let sound = tag(8, 0);
        let first = buffer(&[&FIRST, &sound]);
        let read = |shown: Option<gst::Buffer>| {
            let shown = shown.expect("it is shown").into_mapped_buffer_readable();
            shown.expect("it is readable").to_vec()
        };
        let to_sound = read(with_header_for(Kind::Audio, &first, false));
        assert_eq!((to_sound[FLAGS], &to_sound[HEADER..]), (4, &sound[..]));
        let to_picture = read(with_header_for(Kind::Video, &first, true));
        assert_eq!((to_picture[FLAGS], to_picture.len()), (1, HEADER));
        let alone = read(with_header_for(Kind::Audio, &buffer(&[&FIRST]), false));
        assert_eq!((alone[FLAGS], alone.len()), (4, HEADER));
    }

    #[test]
    fn patience_is_over_once() {
        let patience = Patience::default();
        let over: Vec<_> = (0..100)
            .filter(|second| patience.is_over(second * 1000))
            .collect();
        assert_eq!(over, [13]);
    }

    /// With which timestamps audio leaves whose tags have these times, in milliseconds: one in a buffer, or as bytes.
    fn timestamps(times: &[u32], as_bytes: bool) -> Vec<u64> {
        gst::init().expect("GStreamer");
        let src = make("appsrc").expect("appsrc");
        let pipeline = gst::Pipeline::new();
        let bin = SourceBin::new("source");
        bin.add(&src).expect("room");
        if as_bytes {
            let elements = byte_demuxers(&bin).expect("two demuxers");
            src.link(&elements[0]).expect("a link");
        } else {
            demultiplex(&bin, &src).expect("two demuxers");
        }
        pipeline.add(&bin).expect("room");
        let (sender, seen) = std::sync::mpsc::channel();
        bin.connect_pad_added(move |_, pad| {
            let sender = sender.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                let pts = info.buffer().and_then(|buffer| buffer.pts());
                let _ = sender.send(pts.map_or(u64::MAX, gst::ClockTime::mseconds));
                gst::PadProbeReturn::Drop
            });
        });
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        // The configuration of AAC, and a frame.
        let aac = |kind: u8, time: u32| {
            let body = if kind == 0 {
                [0xaf, 0, 0x12, 0x10]
            } else {
                [0xaf, 1, 0x21, 0x10]
            };
            let [highest, time @ ..] = time.to_be_bytes();
            let parts = [
                &[8, 0, 0, 4][..],
                &time,
                &[highest, 0, 0, 0],
                &body,
                &[0, 0, 0, 15],
            ];
            parts.concat()
        };
        let push = |parts: &[&[u8]]| {
            let tag = parts.concat();
            for piece in tag.chunks(if as_bytes { 5 } else { tag.len() }) {
                let buffer = buffer(&[piece]);
                let _ = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
            }
        };
        push(&[&FIRST, &aac(0, 0)]);
        times.iter().for_each(|time| push(&[&aac(1, *time)]));
        let patience = std::time::Duration::from_secs(20);
        let next = times
            .iter()
            .map(|_| seen.recv_timeout(patience).expect("a frame"));
        let came = next.collect();
        pipeline.set_state(gst::State::Null).expect("NULL");
        came
    }

    #[test]
    fn a_stream_that_restarts_keeps_the_time_of_its_tags() {
        let times = [1_000, 1_023, 60_000, 60_023, 0, 23, 46, 3_600_000, 10, 33];
        for as_bytes in [false, true] {
            assert_eq!(timestamps(&times, as_bytes), times.map(u64::from));
        }
    }
}
