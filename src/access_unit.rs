// SPDX-License-Identifier: MPL-2.0
//! Access units of H.264 and H.265: the form in which a depayloader keeps them whole, and which of them a decoder can
//! begin with. The form has to be asked for before the first packet, since a depayloader decides once.
//!
//! Asked for a byte stream, or not asked at all, rtph264depay gives NAL units as they come, and a parser then looks for
//! the borders of the access units by what a standard stream looks like. A payloader that sends the parameter sets
//! before every slice of a key frame (rtph264pay with `config-interval=-1`) puts them in the middle of an access
//! unit, where the parser sees the beginning of the next one: every frame is broken from there on. In these forms the
//! depayloader goes by the marker bit and the timestamps, which are the payloader's own borders (RFC 6184 5.1,
//! RFC 7798 4.1), and takes the parameter sets out. Nor does a parser have to wait for the next frame to know that
//! this one is complete.

mod random_access;
pub(crate) mod rtp;

use gst::prelude::*;
use random_access::{Codec, is_random_access};
use rtp::Header;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

/// A sender that has brought nothing but other I pictures for so long will bring nothing else: decoding begins with one.
const NOTHING_BETTER: gst::ClockTime = gst::ClockTime::from_seconds(10);

/// By the encoding name in the caps of the packets: the depayloader, and the form.
const FORMS: [(&str, &str, &str); 2] = [
    (
        "H264",
        "rtph264depay",
        "video/x-h264,stream-format=avc,alignment=au",
    ),
    (
        "H265",
        "rtph265depay",
        "video/x-h265,stream-format=hvc1,alignment=au",
    ),
];

/// The depayloader for packets with these caps, where its form matters.
pub(crate) fn depayloader(caps: &gst::CapsRef) -> Option<&'static str> {
    let packets = caps.structure(0)?;
    if packets.name() != "application/x-rtp" {
        return None;
    }
    let encoding = packets.get::<&str>("encoding-name").ok()?;
    let of_encoding = |(name, ..): &&(&str, _, _)| encoding.eq_ignore_ascii_case(name);
    let (_, factory, _) = FORMS.iter().find(of_encoding)?;
    Some(factory)
}

/// What this element has to be asked for, if it is a depayloader that can give one of the forms.
pub(crate) fn form(element: &gst::Element) -> Option<gst::Caps> {
    let factory = element.factory()?;
    if !factory.has_type(gst::ElementFactoryType::DEPAYLOADER) {
        return None;
    }
    let gives = element.static_pad("src")?.pad_template_caps();
    let forms = FORMS
        .iter()
        .filter_map(|(.., form)| form.parse::<gst::Caps>().ok());
    // One that gives anything, such as rtpgstdepay, says by its packets what it gives.
    let mut forms = forms.filter(|form| !gives.is_any() && gives.can_intersect(form));
    forms.next()
}

/// What leaves this parser as key frames are those with which decoding can begin, where it leaves as a byte stream. A parser
/// takes any I picture for one, and that of 1.22 the first frame behind a `codec_data` too, whatever it is.
pub(crate) fn let_only_random_access_begin(parser: &gst::Element) {
    let factory = parser.factory().map(|factory| factory.name());
    let codec = match factory.as_deref() {
        Some("h264parse") => Codec::H264,
        Some("h265parse") => Codec::H265,
        _ => return,
    };
    let Some(src) = parser.static_pad("src") else {
        return;
    };
    let begins = Mutex::new(Begins::default());
    src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let key = info.buffer_mut();
        let key = key.filter(|buffer| !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
        if let Some(buffer) = key {
            let is_one = buffer
                .map_readable()
                .is_ok_and(|unit| is_random_access(codec, &unit));
            let mut begins = begins.lock().unwrap_or_else(PoisonError::into_inner);
            if !begins.with(buffer.dts_or_pts(), is_one) {
                buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        gst::PadProbeReturn::Ok
    });
}

/// What this depayloader sends at an end is whole: of a sender that is killed in the midst of an access unit, it would send
/// what there is of it. The last packet of one has the marker (RFC 6184 5.1, RFC 7798 4.1).
pub(crate) fn end_with_a_whole_one(depayloader: &gst::Element) {
    let pads = depayloader.static_pad("sink");
    let Some((packets, units)) = pads.zip(depayloader.static_pad("src")) else {
        return;
    };
    let [is_torn, has_ended] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let (torn, ended) = (is_torn.clone(), has_ended.clone());
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    packets.add_probe(kinds, move |_, info| {
        match &info.data {
            Some(gst::PadProbeData::Buffer(packet)) => {
                let header = Header::of(packet);
                torn.store(header.is_none_or(|header| !header.marker), Relaxed);
            }
            Some(gst::PadProbeData::Event(event)) => {
                ended.store(event.type_() == gst::EventType::Eos, Relaxed);
            }
            _ => (),
        }
        gst::PadProbeReturn::Ok
    });
    units.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        match has_ended.load(Relaxed) && is_torn.load(Relaxed) {
            true => gst::PadProbeReturn::Drop,
            false => gst::PadProbeReturn::Ok,
        }
    });
}

/// What a stream has had so far to begin with.
#[derive(Default)]
struct Begins {
    has_random_access: bool,
    first: Option<gst::ClockTime>,
}

impl Begins {
    /// Whether an I picture at this time may be begun with.
    fn with(&mut self, at: Option<gst::ClockTime>, is_random_access: bool) -> bool {
        self.has_random_access |= is_random_access;
        let first = self.first.or(at);
        self.first = first;
        let waited = at.zip(first).map(|(at, first)| at.saturating_sub(first));
        is_random_access
            || !self.has_random_access && waited.is_some_and(|waited| waited >= NOTHING_BETTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(factory: &str) -> gst::Element {
        gst::init().expect("GStreamer");
        let element = gst::ElementFactory::make(factory).build();
        element.expect(factory)
    }

    #[test]
    fn depayloaders_of_codecs_in_nal_units_have_a_form() {
        for (factory, media) in [
            ("rtph264depay", Some("video/x-h264")),
            ("rtph265depay", Some("video/x-h265")),
            ("rtpvp8depay", None),
            ("rtpmp2tdepay", None),
            ("rtpgstdepay", None),
            ("h264parse", None),
            ("x264enc", None),
        ] {
            let form = form(&make(factory));
            let named = form.as_ref().and_then(|form| form.structure(0));
            assert_eq!(named.map(|s| s.name().as_str()), media, "{factory}");
        }
    }

    /// A picture of two slices, each in a packet; the second one has the marker.
    fn slice(number: u8, marker: bool) -> gst::Buffer {
        let second = if marker { 0xE0 } else { 0x60 };
        let header = [0x80, second, 0, number, 0, 0, 0, number / 2, 0, 0, 0, 1];
        let slice = [0x65, 0x88, 0x84, number, 7, 7, 7, 7];
        gst::Buffer::from_slice([&header[..], &slice[..]].concat())
    }

    #[test]
    fn what_an_end_tears_is_not_sent() {
        gst::init().expect("GStreamer");
        let sent = |slices: &[gst::Buffer]| {
            let depayloader = make("rtph264depay");
            end_with_a_whole_one(&depayloader);
            let mut harness =
                gst_check::Harness::with_element(&depayloader, Some("sink"), Some("src"));
            harness.set_src_caps_str(
                "application/x-rtp,media=video,clock-rate=90000,encoding-name=H264,payload=96,\
                 sprop-parameter-sets=\"Z0LAHtkAoD2hAAADAAEAAAMAMg8WLkg=,aMuMsg==\"",
            );
            harness.set_sink_caps_str("video/x-h264,stream-format=avc,alignment=au");
            for slice in slices {
                harness.push(slice.clone()).expect("taken");
            }
            harness.push_event(gst::event::Eos::new());
            harness.buffers_in_queue()
        };
        let whole = [
            slice(0, false),
            slice(1, true),
            slice(2, false),
            slice(3, true),
        ];
        assert_eq!(sent(&whole), 2);
        assert_eq!(sent(&whole[..3]), 1, "the second is torn");
    }

    #[test]
    fn i_pictures_are_begun_with_where_there_is_nothing_better() {
        let at = |seconds| Some(gst::ClockTime::from_seconds(seconds));
        let mut begins = Begins::default();
        assert!(!begins.with(at(100), false));
        assert!(!begins.with(at(109), false));
        assert!(begins.with(at(110), false));
        assert!(begins.with(at(112), true));
        assert!(!begins.with(at(150), false));
    }

    #[test]
    fn packets_name_their_depayloader() {
        for (text, factory) in [
            (
                "application/x-rtp,media=video,encoding-name=H264",
                Some("rtph264depay"),
            ),
            (
                "application/x-rtp,media=video,encoding-name=h265",
                Some("rtph265depay"),
            ),
            ("application/x-rtp,media=video,encoding-name=VP8", None),
            ("application/x-rtp,media=video,payload=32", None),
            ("video/x-h264,encoding-name=H264", None),
        ] {
            gst::init().expect("GStreamer");
            let caps: gst::Caps = text.parse().expect("caps");
            assert_eq!(depayloader(&caps), factory, "{text}");
        }
    }
}
