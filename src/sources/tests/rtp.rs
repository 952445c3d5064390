// SPDX-License-Identifier: MPL-2.0
//! Streams out of RTP packets, from payloaders in all their ways: what is decoded behind a source is, frame by
//! frame and sample by sample, what is decoded of the same stream that never was in packets.

use std::sync::{Arc, Mutex};

use super::*;

const PICTURE: &str = "videotestsrc num-buffers=60 pattern=ball \
    ! video/x-raw,format=I420,width=320,height=176,framerate=25/1";
const SOUND: &str = "audiotestsrc num-buffers=60 wave=ticks tick-interval=30000000 \
    ! audio/x-raw,rate=48000,channels=1,layout=interleaved";
const X264: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 bitrate=2000 threads=1";
const X265: &str = "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=20 bitrate=2000 option-string=slices=3";

const SLICES: &str =
    "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=20 option-string=slices=4";

/// Bytes of one AAC frame of one channel in floats, decoded.
const FRAME: usize = 1024 * 4;

/// What came out, decoded: each frame, or all samples in a row.
#[derive(Default, Clone, PartialEq)]
struct Decoded {
    frames: Vec<u64>,
    samples: Vec<u8>,
}

impl Decoded {
    fn take(&mut self, pad: &gst::Pad, buffer: &gst::BufferRef) {
        let map = buffer.map_readable().expect("data");
        let caps = pad.current_caps();
        let is_sound = caps.is_some_and(|caps| kind(&caps) == Some(Kind::Audio));
        if is_sound {
            self.samples.extend_from_slice(&map);
        } else {
            let folded = map.iter().fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| {
                (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
            });
            self.frames.push(folded);
        }
    }

    /// How many frames there are of `sent`, and how many others.
    fn count(&self, sent: &Self) -> (usize, usize) {
        let whole = self
            .frames
            .iter()
            .filter(|frame| sent.frames.contains(frame));
        let whole = whole.count();
        (whole, self.frames.len() - whole)
    }
}

fn kind(caps: &gst::CapsRef) -> Option<Kind> {
    parse::kind_of_caps(caps)
}

/// Lets what a pipeline has come to its end.
struct Line {
    pipeline: gst::Pipeline,
    decoded: Arc<Mutex<Decoded>>,
}

impl Line {
    fn new() -> Self {
        Self {
            pipeline: gst::Pipeline::new(),
            decoded: Arc::default(),
        }
    }

    fn decode(pipeline: &gst::Pipeline, decoded: &Arc<Mutex<Decoded>>, pad: &gst::Pad) {
        let text = "queue name=in ! decodebin ! fakesink name=out sync=false async=false";
        let bin = gst::parse::bin_from_description(text, false).expect(text);
        let inlet = bin.by_name("in").and_then(|queue| queue.static_pad("sink"));
        let inlet = gst::GhostPad::with_target(&inlet.expect("a queue")).expect("a ghost");
        bin.add_pad(&inlet).expect("a way in");
        let sink = bin.by_name("out").and_then(|out| out.static_pad("sink"));
        let decoded = decoded.clone();
        let probe = move |pad: &gst::Pad, info: &mut gst::PadProbeInfo| {
            if let Some(buffer) = info.buffer() {
                decoded.lock().expect("what came").take(pad, buffer);
            }
            gst::PadProbeReturn::Ok
        };
        sink.expect("a sink")
            .add_probe(gst::PadProbeType::BUFFER, probe);
        pipeline.add(&bin).expect("room");
        bin.sync_state_with_parent().expect("a running decoder");
        pad.link(&inlet).expect("a link");
    }

    fn run(self, what: &str, send: impl FnOnce()) -> Decoded {
        send();
        let _ = self.pipeline.set_state(gst::State::Playing);
        let bus = self.pipeline.bus().expect("a bus");
        let ends = [gst::MessageType::Eos, gst::MessageType::Error];
        let patience = gst::ClockTime::from_seconds(PATIENCE.as_secs());
        let end = bus.timed_pop_filtered(patience, &ends);
        let is_end = end
            .as_ref()
            .is_some_and(|end| end.type_() == gst::MessageType::Eos);
        self.pipeline.set_state(gst::State::Null).expect("NULL");
        assert!(is_end, "{what}: {end:?}");
        let decoded = self.decoded.lock().expect("what came");
        decoded.clone()
    }
}

/// A stream, encoded once: two encoders need not make the same of one picture.
struct Stream(Vec<gst::Sample>);

impl Stream {
    fn encode(text: &str) -> Self {
        gst::init().expect("GStreamer");
        let text = format!("{text} ! appsink name=out sync=false");
        let pipeline = gst::parse::launch(&text).expect(&text);
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        let out = pipeline.by_name("out").and_downcast::<gst_app::AppSink>();
        let out = out.expect("an appsink");
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        let patience = gst::ClockTime::from_seconds(PATIENCE.as_secs());
        let samples: Vec<_> = std::iter::from_fn(|| out.try_pull_sample(patience)).collect();
        pipeline.set_state(gst::State::Null).expect("NULL");
        assert!(!samples.is_empty(), "{text}");
        Self(samples)
    }

    /// Lets an appsrc send it, to its end.
    fn send(&self, bin: &gst::Bin) {
        let source = bin.by_name("in").and_downcast::<gst_app::AppSrc>();
        let source = source.expect("an appsrc");
        source.set_format(gst::Format::Time);
        source.set_max_bytes(0);
        for sample in &self.0 {
            source.push_sample(sample).expect("taken");
        }
        source.end_of_stream().expect("the end");
    }

    /// What is decoded of it if it never was in packets.
    fn direct(&self) -> Decoded {
        let line = Line::new();
        let bin =
            gst::parse::bin_from_description("appsrc name=in ! identity", true).expect("a bin");
        line.pipeline.add(&bin).expect("room");
        Line::decode(&line.pipeline, &line.decoded, &bin.src_pads()[0]);
        line.run("without packets", || self.send(&bin))
    }

    /// What is decoded behind a source that brings it in packets.
    fn behind_source(&self, packets: &str) -> Decoded {
        let description = described(&format!("appsrc name=in ! {packets}"));
        let source = description.build("source").expect(packets);
        let line = Line::new();
        line.pipeline.add(&source.bin).expect("room");
        let (weak, decoded) = (line.pipeline.downgrade(), line.decoded.clone());
        source.bin.connect_pad_added(move |_, pad| {
            if let Some(pipeline) = weak.upgrade() {
                Line::decode(&pipeline, &decoded, pad);
            }
        });
        line.run(packets, || self.send(&source.bin))
    }
}

/// The last frames, so many, may stay behind in a payloader that does not drain.
fn check(stream: &Stream, packets: &str, may_lack: usize) {
    let (sent, came) = (stream.direct(), stream.behind_source(packets));
    let all = sent.frames.len();
    let must = all - may_lack;
    assert!(must > 0, "{packets}: no stream");
    let (whole, broken) = came.count(&sent);
    assert!(
        came.frames.get(..must) == sent.frames.get(..must),
        "{packets}: of {all} frames {whole} are whole, {broken} are broken"
    );
}

#[test]
fn h264_is_whole_however_it_is_cut_into_packets() {
    for encoder in [
        "",
        "option-string=slices=4 ! h264parse",
        "option-string=slices=4 byte-stream=true aud=true",
        "option-string=slices=3 interlaced=true",
        "option-string=slices=3 intra-refresh=true",
    ] {
        let stream = Stream::encode(&format!("{PICTURE} ! {X264} {encoder}"));
        for packets in [
            "rtph264pay config-interval=-1",
            "rtph264pay config-interval=0",
            "rtph264pay config-interval=1",
            "rtph264pay config-interval=-1 aggregate-mode=zero-latency mtu=600",
            "rtph264pay config-interval=-1 aggregate-mode=max-stap",
        ] {
            check(&stream, packets, 0);
        }
    }
}

#[test]
fn h264_with_b_frames_is_whole() {
    let encoder = "x264enc speed-preset=ultrafast bframes=2 key-int-max=20 option-string=slices=3";
    let stream = Stream::encode(&format!("{PICTURE} ! {encoder}"));
    check(&stream, "rtph264pay config-interval=-1", 0);
}

/// In the description of an application: the depayloader alone, and with a parser.
#[test]
fn streams_are_whole_behind_a_depayloader_of_the_application() {
    let h264 = Stream::encode(&format!("{PICTURE} ! {X264} option-string=slices=4"));
    for behind in ["", "! h264parse", "! identity"] {
        let packets = format!("rtph264pay config-interval=-1 ! rtph264depay {behind}");
        check(&h264, &packets, 0);
    }
    let h265 = Stream::encode(&format!("{PICTURE} ! {X265}"));
    check(&h265, "rtph265pay config-interval=-1 ! rtph265depay", 0);
}

#[test]
fn a_change_of_size_in_packets_is_followed() {
    let smaller = PICTURE.replace("320", "160");
    let both = format!("{PICTURE} ! c. {smaller} ! c. concat name=c");
    let stream = Stream::encode(&format!("{both} ! {X264} option-string=slices=2"));
    check(&stream, "rtph264pay config-interval=-1", 0);
}

#[test]
fn h265_is_whole_however_it_is_cut_into_packets() {
    let stream = Stream::encode(&format!("{PICTURE} ! {X265}"));
    for packets in [
        "rtph265pay config-interval=-1",
        "rtph265pay config-interval=0",
        "rtph265pay config-interval=1",
        "rtph265pay config-interval=-1 aggregate-mode=zero-latency mtu=600",
    ] {
        check(&stream, packets, 0);
    }
}

#[test]
fn other_pictures_are_whole() {
    for (encoder, packets, may_lack) in [
        ("vp8enc deadline=1 keyframe-max-dist=20", "rtpvp8pay", 0),
        ("vp9enc deadline=1 cpu-used=8", "rtpvp9pay", 0),
        ("jpegenc", "rtpjpegpay", 0),
        (
            "avenc_mpeg4 ! mpeg4videoparse",
            "rtpmp4vpay config-interval=1",
            0,
        ),
        ("avenc_h263p", "rtph263ppay", 0),
        (SLICES, "h264parse ! mpegtsmux ! rtpmp2tpay", 4),
    ] {
        let stream = Stream::encode(&format!("{PICTURE} ! {encoder}"));
        check(&stream, packets, may_lack);
    }
}

#[test]
fn sound_is_whole() {
    for (encoder, packets) in [
        ("avenc_aac ! aacparse", "rtpmp4gpay"),
        ("avenc_aac ! aacparse", "rtpmp4apay"),
        ("opusenc", "rtpopuspay"),
        ("audio/x-raw,rate=8000 ! alawenc", "rtppcmapay"),
        ("audio/x-raw,rate=8000 ! mulawenc", "rtppcmupay"),
        ("audio/x-raw,rate=16000 ! avenc_g722", "rtpg722pay"),
        ("avenc_ac3", "rtpac3pay"),
        ("lamemp3enc ! mpegaudioparse", "rtpmpapay"),
        ("audioconvert ! audio/x-raw,format=S16BE", "rtpL16pay"),
    ] {
        let stream = Stream::encode(&format!("{SOUND} ! audioresample ! {encoder}"));
        let (sent, came) = (stream.direct(), stream.behind_source(packets));
        let (sent, came) = (sent.samples, came.samples);
        // A decoder begins with the first frame that it is given, and the second needs the first.
        let lengths = (sent.len(), came.len());
        assert!(
            lengths.0 > 0 && lengths.0 <= lengths.1 + FRAME,
            "{packets}: {lengths:?}"
        );
        let is_same = sent.ends_with(&came[lengths.1.min(2 * FRAME)..]);
        assert!(
            is_same || ["rtpmp4apay", "rtpopuspay"].contains(&packets),
            "{packets}: other samples"
        );
    }
}

/// What nobody plays is no reason to stop.
#[test]
fn data_in_packets_stays_inside() {
    let packets = "application/x-rtp,media=application,clock-rate=90000,payload=97";
    for data in [
        format!("capsfilter caps={packets},encoding-name=VND.ONVIF.METADATA"),
        "capsfilter caps=meta/x-klv,parsed=true ! rtpklvpay ! identity".to_owned(),
    ] {
        let text = format!(
            "videotestsrc is-live=true ! identity \
             fakesrc num-buffers=5 sizetype=fixed sizemax=40 format=time ! {data}"
        );
        let player = super::uris::play(&described(&text));
        player.wait("the picture", |e| matches!(e, Event::Flowing(..)));
        player.wait("the last pad", |e| *e == Event::NoMorePads);
        let seen = player.seen();
        let failed = seen.iter().any(|e| matches!(e, Event::Error(_)));
        assert!(!failed, "{data}: {seen:?}");
    }
}
