// SPDX-License-Identifier: MPL-2.0
//! Codecs: what is asked for in an offer, and which elements take a stream out of its RTP packets.

use gst::prelude::*;

use super::pads::Kind;

/// A codec that can be played when these elements are installed.
struct Codec {
    kind: Kind,
    name: &'static str,
    /// What else the offer says, in the order of preference; one payload type each.
    formats: &'static [&'static str],
    clock_rate: i32,
    elements: &'static [&'static str],
    form: &'static str,
}

const CODECS: [Codec; 5] = [
    Codec {
        kind: Kind::Video,
        name: "H264",
        formats: &[
            "packetization-mode=(string)1,profile-level-id=(string)42e01f,level-asymmetry-allowed=(string)1",
            "packetization-mode=(string)1,profile-level-id=(string)42001f,level-asymmetry-allowed=(string)1",
            "packetization-mode=(string)1,profile-level-id=(string)4d001f,level-asymmetry-allowed=(string)1",
            "packetization-mode=(string)1,profile-level-id=(string)64001f,level-asymmetry-allowed=(string)1",
        ],
        clock_rate: 90_000,
        // Whole pictures already between the two: of others the depayloader cannot say whether they are.
        elements: &["rtph264depay", "capsfilter", "h264parse"],
        form: "video/x-h264,stream-format=byte-stream,alignment=au",
    },
    Codec {
        kind: Kind::Video,
        name: "VP8",
        formats: &[""],
        clock_rate: 90_000,
        elements: &["rtpvp8depay"],
        form: "video/x-vp8",
    },
    Codec {
        kind: Kind::Video,
        name: "VP9",
        formats: &["profile-id=(string)0"],
        clock_rate: 90_000,
        elements: &["rtpvp9depay", "vp9parse"],
        form: "video/x-vp9,alignment=super-frame",
    },
    Codec {
        kind: Kind::Video,
        name: "AV1",
        formats: &[""],
        clock_rate: 90_000,
        elements: &["rtpav1depay", "av1parse"],
        form: "video/x-av1,stream-format=obu-stream,alignment=tu",
    },
    Codec {
        kind: Kind::Audio,
        name: "OPUS",
        formats: &[
            "encoding-params=(string)2,minptime=(string)10,useinbandfec=(string)1,stereo=(string)1",
        ],
        clock_rate: 48_000,
        elements: &["rtpopusdepay", "opusparse"],
        form: "audio/x-opus",
    },
];

/// The dynamic payload types begin here.
const FIRST_PAYLOAD: i32 = 96;

/// The caps of a transceiver for all codecs of this kind that are installed; none if there are none.
pub(super) fn offered(kind: Kind) -> Option<gst::Caps> {
    let mut payload = match kind {
        Kind::Video => FIRST_PAYLOAD,
        Kind::Audio => FIRST_PAYLOAD + 15,
    };
    let mut caps = gst::Caps::new_empty();
    let all = CODECS.iter().filter(|codec| codec.kind == kind);
    for codec in all.filter(|codec| codec.is_installed()) {
        for format in codec.formats {
            let text = format!(
                "application/x-rtp,media={},encoding-name={},clock-rate={},payload={payload}{}{format}",
                kind.name(),
                codec.name,
                codec.clock_rate,
                if format.is_empty() { "" } else { "," },
            );
            if let Ok(further) = text.parse::<gst::Caps>() {
                caps.merge(further);
                payload += 1;
            }
        }
    }
    (!caps.is_empty()).then_some(caps)
}

/// The elements that make parsed media of this RTP stream, in order; else why there are none.
pub(super) fn unpack(caps: &gst::CapsRef) -> Result<Vec<gst::Element>, String> {
    let name = caps
        .structure(0)
        .and_then(|s| s.get::<&str>("encoding-name").ok());
    let name = name.unwrap_or("unknown").to_ascii_uppercase();
    let codec = CODECS.iter().find(|codec| codec.name == name);
    let codec = codec.ok_or_else(|| format!("the server sends {name}, which was not asked for"))?;
    let mut elements = Vec::new();
    for factory in codec.elements.iter().chain(&["capsfilter"]) {
        elements.push(make(factory)?);
    }
    for element in &elements {
        set_up(element, codec);
    }
    Ok(elements)
}

/// Whether this depayloader sends on what is left of a key frame after a loss.
pub(super) fn may_pass_damage(depayloader: &gst::Element) -> bool {
    let factory = depayloader.factory();
    factory.is_some_and(|factory| factory.name() == "rtph264depay")
}

/// Elements that no session works without and that are not installed: the first of them.
pub(super) fn missing() -> Option<&'static str> {
    // webrtcbin refuses to leave NULL without libnice's elements and those for its keys.
    let always = ["webrtcbin", "nicesrc", "dtlsdec", "srtpdec", "rtpbin"];
    always
        .into_iter()
        .find(|name| gst::ElementFactory::find(name).is_none())
}

fn set_up(element: &gst::Element, codec: &Codec) {
    // After a loss that was not made good, ask for a key frame, and show nothing until it is there.
    for wish in ["request-keyframe", "wait-for-keyframe"] {
        // Depayloaders from elsewhere (AV1's) may know one of the two only.
        if element.has_property(wish) {
            element.set_property(wish, true);
        }
    }
    if element.has_property("config-interval") {
        // Parameter sets before every key frame: any of them may be the first after a cut.
        element.set_property("config-interval", -1i32);
    }
    if element.has_property("caps") {
        element.set_property_from_str("caps", codec.form);
    }
}

fn make(factory: &str) -> Result<gst::Element, String> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| format!("the GStreamer element '{factory}' is not installed"))
}

impl Codec {
    fn is_installed(&self) -> bool {
        let mut elements = self.elements.iter();
        elements.all(|name| gst::ElementFactory::find(name).is_some())
    }
}
