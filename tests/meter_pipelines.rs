// SPDX-License-Identifier: MPL-2.0
//! The meter on real pipelines: encoders, a scaler, a decoder that was fed wrongly, and a published
//! tape. What is wrong with them is known, and counted.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/meter/mod.rs"]
mod meter;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use lab::{Publisher, Server};
use meter::hearing::hearing;
use meter::sight::Numbering;
use meter::{Drawing, Meter, Recipe, Report, Tape};

const NUMBERING: Numbering = Numbering {
    fps: 50,
    cycle: 400,
};

/// Sends these buffers through the line as fast as it goes, and reads what comes out.
fn through(
    line: &str,
    caps: &gst::Caps,
    numbers: impl Iterator<Item = u64>,
    make: impl Fn(u64) -> gst::Buffer,
) -> Meter {
    gst::init().expect("GStreamer");
    let meter = Meter::new(NUMBERING);
    run(line, caps, numbers, make, |pad| meter.watch(pad));
    meter
}

fn run(
    line: &str,
    caps: &gst::Caps,
    numbers: impl Iterator<Item = u64>,
    make: impl Fn(u64) -> gst::Buffer,
    watch: impl FnOnce(&gst::Pad),
) {
    let line = format!("appsrc name=in ! {line} ! fakesink name=out sync=false");
    let pipeline = gst::parse::launch(&line).expect("a valid line");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("in").and_downcast::<gst_app::AppSrc>();
    let source = source.expect("an appsrc");
    source.set_caps(Some(caps));
    source.set_format(gst::Format::Time);
    let sink = pipeline.by_name("out").expect("a sink");
    watch(&sink.static_pad("sink").expect("its pad"));
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    for number in numbers {
        source.push_buffer(make(number)).expect("taken");
    }
    source.end_of_stream().expect("the end");
    let bus = pipeline.bus().expect("a bus");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    assert!(
        end.is_some_and(|end| end.type_() == gst::MessageType::Eos),
        "no end"
    );
    pipeline.set_state(gst::State::Null).expect("NULL");
}

fn drawing(name: u8) -> Drawing {
    Drawing {
        name,
        width: 320,
        height: 180,
        fps: 50,
        grain: 0,
    }
}

const X264: &str = "x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 key-int-max=50";

#[test]
fn numbers_survive_an_encoder_and_a_scaler() {
    gst::init().expect("GStreamer");
    let line = format!(
        "{X264} ! avdec_h264 ! videoscale ! video/x-raw,width=640,height=400 ! videoconvert \
         ! video/x-raw,format=NV12"
    );
    let drawing = drawing(2);
    let meter = through(&line, &drawing.caps(), 0..200, |n| drawing.frame(n));
    let sight = meter.report(0.0).sight;
    assert_eq!(
        (sight.pictures, sight.lost, sight.broken),
        (200, 0, 0),
        "{sight:?}"
    );
    assert_eq!(sight.runs, [(2, 200)]);
}

#[test]
fn frames_that_were_not_sent_are_missed() {
    gst::init().expect("GStreamer");
    let drawing = drawing(0);
    let numbers = (0..100).filter(|n| ![20, 21, 60].contains(n));
    let line = format!("{X264} ! avdec_h264");
    let meter = through(&line, &drawing.caps(), numbers, |n| drawing.frame(n));
    let sight = meter.report(0.0).sight;
    assert_eq!(
        (sight.pictures, sight.lost, sight.broken),
        (97, 3, 0),
        "{sight:?}"
    );
}

/// A group of pictures that a decoder of another input gets in its middle.
#[test]
fn a_group_of_pictures_without_its_beginning_is_broken() {
    let [mut pictures, others] = [0, 1].map(encoded);
    pictures.truncate(70);
    pictures.extend_from_slice(&others[70..]);
    let caps = gst::Caps::builder("video/x-h264");
    let caps = caps
        .field("stream-format", "byte-stream")
        .field("alignment", "au");
    let meter = through("avdec_h264", &caps.build(), 0..100, |n| {
        pictures[n as usize].clone()
    });
    let sight = meter.report(0.0).sight;
    assert!(sight.broken + sight.lost >= 29, "{sight:?}");
    assert!(sight.broken > 10, "{sight:?}");
}

/// 100 frames, the first of them a key frame.
fn encoded(name: u8) -> Vec<gst::Buffer> {
    gst::init().expect("GStreamer");
    let line = format!("{X264} key-int-max=200 ! video/x-h264,stream-format=byte-stream");
    let (drawing, packets) = (drawing(name), Arc::<Mutex<Vec<_>>>::default());
    let kept = packets.clone();
    let tap = move |pad: &gst::Pad| {
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            kept.lock().expect("packets").extend(info.buffer().cloned());
            gst::PadProbeReturn::Ok
        });
    };
    run(&line, &drawing.caps(), 0..100, |n| drawing.frame(n), tap);
    std::mem::take(&mut *packets.lock().expect("packets"))
}

#[test]
fn tones_survive_aac_and_opus() {
    gst::init().expect("GStreamer");
    for codec in [
        "audioconvert ! avenc_aac ! aacparse ! avdec_aac",
        "audioconvert ! opusenc bitrate=64000 ! opusdec",
    ] {
        let caps = meter::feed::tone_caps();
        let meter = through(codec, &caps, 0..300, |n| meter::feed::tone(1, n));
        // The last frame has no next one to go with.
        let heard = meter.seen(|seen| {
            let whole = seen.sounds.iter().filter(|sound| sound.time < 2.9);
            hearing(&whole.cloned().collect::<Vec<_>>(), &[], NUMBERING)
        });
        assert!(
            heard.samples.abs_diff(139_200) < 2_000,
            "{codec}: {heard:?}"
        );
        assert_eq!(
            (heard.skipped, heard.repeated),
            (0, 0),
            "{codec}: {heard:?}"
        );
        assert_eq!((heard.hole, heard.overlap), (0, 0), "{codec}: {heard:?}");
    }
}

#[test]
fn a_plain_player_of_a_published_tape_sees_and_hears_all_of_it() -> io::Result<()> {
    gst::init().expect("GStreamer");
    let recipe = Recipe::small(1);
    let tape = Arc::new(Tape::record(&recipe, Instant::now()));
    let server = Server::start()?;
    let reel = tape.clone();
    let mut publisher = Publisher::relay(&server.url("x"), Arc::new(move |to| reel.play(to)))?;
    publisher.wait_until_publishing()?;
    let line = format!(
        "rtmp2src location={} ! flvdemux name=d d.video ! queue ! h264parse ! avdec_h264 \
         ! fakesink name=picture sync=false async=false d.audio ! queue ! aacparse ! avdec_aac \
         ! fakesink name=sound sync=false async=false",
        server.url("x")
    );
    let pipeline = gst::parse::launch(&line).expect("a valid line");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let meter = Meter::new(recipe.numbering());
    for sink in ["picture", "sound"] {
        let sink = pipeline.by_name(sink).expect("a sink");
        meter.watch(&sink.static_pad("sink").expect("its pad"));
    }
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let played = meter.comes_true(Duration::from_secs(20), |seen| seen.shows(1, 100));
    let report = meter.report(0.0);
    assert!(played, "{report:?}");
    let delay = meter.delay(tape.epoch(), 0.0).expect("pictures");
    assert!((0.0..2.0).contains(&delay[0]), "{delay:?}");
    let Report { sight, hearing, .. } = report;
    assert_eq!(
        (sight.lost, sight.repeated, sight.broken),
        (0, 0, 0),
        "{sight:?}"
    );
    assert_eq!((hearing.skipped, hearing.repeated), (0, 0), "{hearing:?}");
    let [least, _, most] = hearing.behind_picture.expect("picture and sound");
    assert!(least.abs() < 0.003 && most.abs() < 0.003, "{hearing:?}");
    pipeline.set_state(gst::State::Null).expect("NULL");
    Ok(())
}
