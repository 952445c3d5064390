// SPDX-License-Identifier: MPL-2.0
//! Codecs: what is asked for in an offer, and which elements take a stream out of its RTP packets.

use gst::prelude::*;

use super::pads::Kind;
use crate::access_unit;

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
        elements: &["rtph264depay", "h264parse"],
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
    for factory in codec.elements {
        let element = make(factory)?;
        set_up(&element);
        // What is no whole access unit, nobody could say of it whether a loss has damaged it.
        let whole = access_unit::form(&element);
        access_unit::let_only_random_access_begin(&element);
        elements.push(element);
        if let Some(form) = whole {
            elements.push(filter(&form)?);
        }
    }
    let form = codec.form.parse::<gst::Caps>();
    let form = form.map_err(|error| error.to_string())?;
    elements.push(filter(&form)?);
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

fn filter(form: &gst::Caps) -> Result<gst::Element, String> {
    let filter = make("capsfilter")?;
    filter.set_property("caps", form);
    Ok(filter)
}

fn set_up(element: &gst::Element) {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Slices in one access unit as a byte stream.
    fn slices(buffer: &gst::BufferRef) -> usize {
        let map = buffer.map_readable().expect("data");
        let is_slice =
            |bytes: &&[u8]| matches!(bytes, [0, 0, 1, header] if [1, 5].contains(&(header & 31)));
        map.windows(4).filter(is_slice).count()
    }

    /// A sender that puts parameter sets before each slice.
    #[test]
    fn access_units_of_h264_stay_whole() {
        const FRAMES: usize = 40;
        gst::init().expect("GStreamer");
        let text = format!(
            "videotestsrc num-buffers={FRAMES} ! video/x-raw,width=320,height=176,framerate=25/1 \
             ! x264enc tune=zerolatency threads=1 key-int-max=10 option-string=slices=4 \
             ! rtph264pay config-interval=-1 name=pay  fakesink name=out sync=false"
        );
        let pipeline = gst::parse::launch(&text).expect("a line");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let packets = "application/x-rtp,encoding-name=H264".parse::<gst::Caps>();
        let elements = unpack(&packets.expect("caps")).expect("elements");
        pipeline.add_many(&elements).expect("room");
        let named = |name| pipeline.by_name(name).expect(name);
        let ends = [vec![named("pay")], elements, vec![named("out")]].concat();
        gst::Element::link_many(&ends).expect("links");
        let (tell, told) = std::sync::mpsc::channel();
        let sink = named("out").static_pad("sink").expect("a sink");
        sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let _ = tell.send(info.buffer().map_or(0, |buffer| slices(buffer)));
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        let bus = pipeline.bus().expect("a bus");
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(20), &ends);
        pipeline.set_state(gst::State::Null).expect("NULL");
        assert!(end.is_some_and(|end| end.type_() == gst::MessageType::Eos));
        let came: Vec<_> = told.try_iter().collect();
        assert_eq!(came, [4; FRAMES]);
    }
}
