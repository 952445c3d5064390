// SPDX-License-Identifier: MPL-2.0
//! The form in which a depayloader keeps access units whole. It has to be asked for before the first packet,
//! since a depayloader decides once.
//!
//! Asked for a byte stream, or not asked at all, rtph264depay gives NAL units as they come, and a parser then looks for
//! the borders of the access units by what a standard stream looks like. A payloader that sends the parameter sets
//! before every slice of a key frame (rtph264pay with `config-interval=-1`) puts them in the middle of an access
//! unit, where the parser sees the beginning of the next one: every frame is broken from there on. In these forms the
//! depayloader goes by the marker bit and the timestamps, which are the payloader's own borders (RFC 6184 5.1,
//! RFC 7798 4.1), and takes the parameter sets out. Nor does a parser have to wait for the next frame to know that
//! this one is complete.

use gst::prelude::*;

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
