// SPDX-License-Identifier: MPL-2.0
//! Real encoders before the stage, counted frames behind it.

use super::*;
use gst::prelude::*;
use gst_check::Harness;

const FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(40);

#[test]
fn no_frame_is_lost_when_the_codec_changes() {
    let mut run = Run::new();
    let b_frames = "bframes=2 b-adapt=false key-int-max=10";
    run.play(&h264(640, 360, b_frames), 20);
    run.play(&h264(320, 240, b_frames), 20);
    run.play(&encode(&video(320, 240, "vp8enc deadline=1")), 20);
    run.play(&encode(&video(160, 120, "identity")), 20);
    run.play(&h264(640, 360, b_frames), 20);
    run.end();

    assert_eq!(run.pts, (0..100).map(|n| FRAME * n).collect::<Vec<_>>());
    assert_eq!(run.count(gst::EventType::StreamStart), 1);
    assert_eq!(run.count(gst::EventType::Segment), 1);
    assert_eq!(run.count(gst::EventType::Eos), 1);
    assert_eq!(run.heights(), [360, 240, 120, 360]);
    assert_eq!(run.decode.failures(), 0);
}

#[test]
fn no_sound_is_lost_when_the_codec_changes() {
    let mut run = Run::new();
    let caps = "audio/x-raw,rate=48000,channels=2";
    let source = format!("audiotestsrc num-buffers=20 samplesperbuffer=960 ! {caps}");
    for encoder in ["opusenc", "avenc_aac", "identity", "opusenc"] {
        let media = encode(&format!("{source} ! audioconvert ! {encoder}"));
        run.play(&media, media.buffers.len());
    }
    run.end();

    assert!(run.pts.is_sorted());
    assert_eq!(run.count(gst::EventType::StreamStart), 1);
    assert_eq!(run.count(gst::EventType::Segment), 1);
    let played: gst::ClockTime = run.durations.iter().copied().sum();
    assert!(played >= gst::ClockTime::from_mseconds(1580), "{played}");
}

#[test]
fn a_live_frame_comes_out_at_once() {
    let mut run = Run::new();
    let media = h264(320, 240, "tune=zerolatency key-int-max=10");
    run.caps(&media.caps);
    for (n, buffer) in media.buffers.iter().enumerate() {
        run.push(buffer.clone());
        assert_eq!(run.pts.len(), n + 1);
    }
}

#[test]
fn another_size_of_the_same_codec_keeps_the_decoder() {
    let mut run = Run::new();
    run.play(&h264(640, 360, "tune=zerolatency"), 5);
    let before = run.inside();
    run.play(&h264(320, 240, "tune=zerolatency"), 5);
    assert_eq!(run.inside(), before);
    run.play(&encode(&video(320, 240, "vp8enc deadline=1")), 5);
    assert_ne!(run.inside(), before);
    assert_eq!(run.inside().len(), 1);
}

#[test]
fn a_segment_that_changes_is_passed_on() {
    let mut run = Run::new();
    run.play(&h264(320, 240, "tune=zerolatency"), 5);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(FRAME * 7);
    segment.set_base(FRAME * 7);
    run.harness.push_event(gst::event::Segment::new(&segment));
    run.play(&h264(320, 240, "tune=zerolatency"), 5);

    assert_eq!(run.count(gst::EventType::Segment), 2);
    // What lies before the cut is decoded unseen.
    let shown: Vec<_> = run.pts.iter().skip(5).copied().collect();
    assert_eq!(shown, (7..10).map(|n| FRAME * n).collect::<Vec<_>>());
}

#[test]
fn a_reset_costs_no_more_than_the_way_to_the_next_key_frame() {
    let mut run = Run::new();
    let media = h264(320, 240, "tune=zerolatency key-int-max=5");
    run.caps(&media.caps);
    for (n, buffer) in media.buffers.iter().enumerate() {
        if n == 7 {
            run.decode.reset();
        }
        run.push(buffer.clone());
    }
    let lost = [FRAME * 7, FRAME * 8, FRAME * 9];
    let expected: Vec<_> = (0..20)
        .map(|n| FRAME * n)
        .filter(|pts| !lost.contains(pts))
        .collect();
    assert_eq!(run.pts, expected);
    assert_eq!(run.decode.failures(), 1);
    let asked = std::iter::from_fn(|| run.harness.try_pull_upstream_event())
        .any(|event| gst_video::UpstreamForceKeyUnitEvent::parse(&event).is_ok());
    assert!(asked, "no key frame was asked for");
}

#[test]
fn garbage_costs_pictures_and_not_the_stream() {
    let mut run = Run::new();
    let media = h264(320, 240, "tune=zerolatency key-int-max=5");
    run.caps(&media.caps);
    for (n, buffer) in media.buffers.iter().enumerate() {
        let mut buffer = buffer.clone();
        if n == 6 || n == 7 {
            let mut bytes = buffer.make_mut().map_writable().unwrap();
            bytes.iter_mut().skip(3).for_each(|byte| *byte ^= 0x5a);
        }
        run.push(buffer);
    }
    let after = run.pts.iter().filter(|pts| **pts >= FRAME * 10);
    assert_eq!(after.count(), 10);
}

#[test]
fn caps_without_a_decoder_are_refused_and_do_not_end_the_stream() {
    let mut run = Run::new();
    run.play(&h264(320, 240, "tune=zerolatency"), 5);
    let (tell, told) = std::sync::mpsc::channel();
    run.decode
        .on_refusal(move |text| tell.send(text.to_owned()).unwrap());
    let unknown = gst::Caps::new_empty_simple("video/x-nobody-decodes-this");
    run.caps(&unknown);
    for _ in 0..3 {
        // A queue before it would let nothing through any more.
        let result = run.harness.push(gst::Buffer::with_size(10).unwrap());
        assert_eq!(result, Ok(gst::FlowSuccess::Ok));
    }
    let told: Vec<_> = told.try_iter().collect();
    assert!(
        matches!(&told[..], [once] if once.contains("x-nobody-decodes-this")),
        "{told:?}"
    );

    run.play(&h264(320, 240, "tune=zerolatency"), 5);
    assert_eq!(run.pts.len(), 10);
}

#[test]
fn what_can_be_decoded_is_known_beforehand() {
    gst::init().unwrap();
    let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
    assert_eq!(can_decode(&caps("audio/x-raw,rate=8000")), Ok(()));
    let h264 = caps("video/x-h264,stream-format=avc,alignment=au");
    assert_eq!(can_decode(&h264), Ok(()));
    let error = can_decode(&caps("video/x-nobody,codec_data=(buffer)00ff")).unwrap_err();
    assert_eq!(
        error,
        "no decoder for video/x-nobody: a GStreamer plugin with a video decoder for it is missing"
    );
}

#[test]
fn a_decoder_that_fails_is_passed_over_and_its_error_stays_inside() {
    fake::register();
    let mut run = Run::new();
    let bus = gst::Bus::new();
    run.decode.set_bus(Some(&bus));
    run.caps(&gst::Caps::new_empty_simple(fake::CODEC));
    // The best in rank does not start, the second gives nothing but errors, the third works.
    for n in 0..4 {
        let mut buffer = gst::Buffer::with_size(1).unwrap();
        buffer.get_mut().unwrap().set_pts(FRAME * n);
        run.push(buffer);
    }
    assert_eq!(run.pts, [FRAME, FRAME * 2, FRAME * 3]);
    assert_eq!(run.decode.failures(), 1);
    assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
}

#[test]
fn an_error_downstream_is_not_blamed_on_the_decoder() {
    let media = h264(320, 240, "tune=zerolatency");
    let mut run = Run::new();
    run.caps(&media.caps);
    let src = run.decode.static_pad("src").unwrap();
    src.add_probe(gst::PadProbeType::BUFFER, |_, info| {
        info.flow_res = Err(gst::FlowError::Error);
        gst::PadProbeReturn::Handled
    });
    let result = run.harness.push(media.buffers[0].clone());
    assert_eq!(result, Err(gst::FlowError::Error));
    assert_eq!(run.decode.failures(), 0);
}

#[test]
fn it_plays_again_after_it_was_stopped() {
    let media = h264(320, 240, "tune=zerolatency");
    let mut run = Run::new();
    run.play(&media, 5);
    run.decode.set_state(gst::State::Ready).unwrap();
    assert!(run.inside().is_empty());
    run.decode.set_state(gst::State::Playing).unwrap();
    run.harness
        .push_event(gst::event::StreamStart::new("again"));
    run.caps(&media.caps);
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    run.harness.push_event(gst::event::Segment::new(&segment));
    run.play(&media, 5);
    assert_eq!(run.pts.len(), 10);

    let weak = run.decode.downgrade();
    drop(run);
    assert!(weak.upgrade().is_none(), "it leaks");
}

/// One encoded stream.
struct Media {
    caps: gst::Caps,
    buffers: Vec<gst::Buffer>,
}

/// One life of the stage, its input and what came out of it.
struct Run {
    decode: Decode,
    harness: Harness,
    offset: gst::ClockTime,
    pts: Vec<gst::ClockTime>,
    durations: Vec<gst::ClockTime>,
    events: Vec<gst::Event>,
}

impl Run {
    fn new() -> Self {
        gst::init().unwrap();
        let decode = Decode::new("decode");
        let mut harness = Harness::with_element(&decode, Some("sink"), Some("src"));
        harness.play();
        Self {
            decode,
            harness,
            offset: gst::ClockTime::ZERO,
            pts: Vec::new(),
            durations: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Plays the first buffers of the media behind what was played before.
    fn play(&mut self, media: &Media, count: usize) {
        self.caps(&media.caps);
        let offset = self.offset;
        for buffer in media.buffers.iter().take(count) {
            let mut buffer = buffer.clone();
            let shifted = buffer.make_mut();
            shifted.set_pts(shifted.pts().map(|pts| pts + offset));
            shifted.set_dts(shifted.dts().map(|dts| dts + offset));
            let end = shifted.pts().zip(shifted.duration()).map(|(p, d)| p + d);
            self.offset = self.offset.max(end.unwrap_or_default());
            self.push(buffer);
        }
    }

    fn caps(&mut self, caps: &gst::Caps) {
        if self.harness.srcpad().unwrap().current_caps().is_none() {
            self.harness.set_src_caps(caps.clone());
        }
        self.harness.push_event(gst::event::Caps::new(caps));
    }

    fn push(&mut self, buffer: gst::Buffer) {
        assert_eq!(self.harness.push(buffer), Ok(gst::FlowSuccess::Ok));
        self.collect();
    }

    fn end(&mut self) {
        self.harness.push_event(gst::event::Eos::new());
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(buffer) = self.harness.try_pull() {
            self.pts.push(buffer.pts().unwrap());
            self.durations.push(buffer.duration().unwrap_or_default());
        }
        while let Some(event) = self.harness.try_pull_event() {
            self.events.push(event);
        }
    }

    fn count(&self, kind: gst::EventType) -> usize {
        self.events.iter().filter(|e| e.type_() == kind).count()
    }

    fn heights(&self) -> Vec<i32> {
        let caps = self.events.iter().filter_map(|event| match event.view() {
            gst::EventView::Caps(caps) => Some(caps.caps_owned()),
            _ => None,
        });
        caps.map(|caps| caps.structure(0).unwrap().get("height").unwrap())
            .collect()
    }

    fn inside(&self) -> Vec<gst::Element> {
        self.decode.children()
    }
}

fn video(width: u32, height: u32, encoder: &str) -> String {
    format!(
        "videotestsrc num-buffers=20 ! video/x-raw,format=I420,width={width},height={height},\
         framerate=25/1 ! {encoder}"
    )
}

fn h264(width: u32, height: u32, options: &str) -> Media {
    encode(&video(
        width,
        height,
        &format!("x264enc speed-preset=ultrafast threads=1 {options}"),
    ))
}

fn encode(description: &str) -> Media {
    gst::init().unwrap();
    let line = format!("{description} ! appsink name=out sync=false max-buffers=0");
    let pipeline = gst::parse::launch(&line).unwrap();
    let pipeline = pipeline.downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap();
    let out = out.downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut media = Media {
        caps: gst::Caps::new_empty(),
        buffers: Vec::new(),
    };
    while let Some(sample) = out.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        let start = sample
            .segment()
            .and_then(|s| s.downcast_ref::<gst::ClockTime>()?.start())
            .unwrap_or_default();
        let mut buffer = sample.buffer_owned().unwrap();
        let from_zero = buffer.make_mut();
        from_zero.set_pts(from_zero.pts().map(|pts| pts.saturating_sub(start)));
        from_zero.set_dts(from_zero.dts().and_then(|dts| dts.checked_sub(start)));
        media.caps = sample.caps_owned().unwrap();
        media.buffers.push(buffer);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    media
}
