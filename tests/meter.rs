// SPDX-License-Identifier: MPL-2.0
//! The meter itself: streams of which it is known what is wrong with them give these figures.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/meter/mod.rs"]
mod meter;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use lab::{Publisher, Server};
use meter::code::{self, Inscription, Plane};
use meter::hearing::{Sound, hearing};
use meter::sight::{Numbering, Picture, sight};
use meter::tone::{self, Heard};
use meter::{Drawing, Meter, Recipe, Report, Tape};

const NUMBERING: Numbering = Numbering {
    fps: 50,
    cycle: 400,
};
const FRAME: f64 = 0.02;

// ---- pictures -----------------------------------------------------------------------------------

fn drawn(name: u8, number: u16) -> Vec<u8> {
    let mut luma = vec![0; 320 * 180];
    code::draw(&mut luma, 320, name, number, 0);
    luma
}

fn plane(luma: &[u8]) -> Plane<'_> {
    Plane {
        luma,
        stride: 320,
        width: 320,
        height: 180,
    }
}

#[test]
fn every_number_and_name_is_read_as_it_was_drawn() {
    for name in 0..16 {
        for number in (0..u16::MAX).step_by(4111) {
            let frame = Inscription::Frame { name, number };
            assert_eq!(code::read(plane(&drawn(name, number))), frame);
        }
    }
}

#[test]
fn grain_disturbs_no_reading() {
    let mut luma = vec![0; 320 * 180];
    code::draw(&mut luma, 320, 3, 777, 30);
    assert_eq!(
        code::read(plane(&luma)),
        Inscription::Frame {
            name: 3,
            number: 777
        }
    );
}

#[test]
fn black_is_black_and_grey_is_broken() {
    assert_eq!(code::read(plane(&[16; 320 * 180])), Inscription::Black);
    assert_eq!(code::read(plane(&[0; 320 * 180])), Inscription::Black);
    assert_eq!(code::read(plane(&[128; 320 * 180])), Inscription::Broken);
    assert_eq!(code::read(plane(&[128; 320])), Inscription::Broken);
}

/// The inscription at the top is that of one frame, the rest is another's.
#[test]
fn a_picture_put_together_from_two_is_broken() {
    let mut luma = drawn(0, 100);
    luma[320 * 90..].copy_from_slice(&drawn(0, 101)[320 * 90..]);
    assert_eq!(code::read(plane(&luma)), Inscription::Broken);
    // Only blocks that spell nothing.
    let mut luma = drawn(0, 100);
    luma[320 * 100..320 * 160].copy_from_slice(&drawn(1, 100)[320 * 100..320 * 160]);
    assert_eq!(code::read(plane(&luma)), Inscription::Broken);
}

/// What a decoder makes of a predicted frame when it holds another input's picture: the difference
/// from the frame before, on the wrong ground.
#[test]
fn a_difference_on_the_wrong_ground_is_broken() {
    for number in 100..164 {
        let (before, after, wrong) = (drawn(1, number), drawn(1, number + 1), drawn(0, number));
        let sums = before.iter().zip(&after).zip(&wrong);
        let luma: Vec<u8> = sums
            .map(|((b, a), w)| (i32::from(*w) + i32::from(*a) - i32::from(*b)).clamp(0, 255) as u8)
            .collect();
        assert_eq!(code::read(plane(&luma)), Inscription::Broken, "{number}");
    }
}

/// One picture each frame, on time.
fn pictures(numbers: impl IntoIterator<Item = u16>) -> Vec<Picture> {
    let numbers = numbers.into_iter().enumerate();
    let picture = |(index, number): (usize, u16)| Picture {
        arrival: index as f64 * FRAME + 0.001,
        time: index as f64 * FRAME,
        says: Inscription::Frame {
            name: 0,
            number: number % 400,
        },
    };
    numbers.map(picture).collect()
}

fn end_of(pictures: &[Picture]) -> f64 {
    pictures
        .last()
        .map_or(0.0, |picture| picture.arrival + FRAME)
}

#[test]
fn a_sound_stream_has_nothing_wrong_even_where_numbers_begin_anew() {
    let pictures = pictures(350..1000);
    let sight = sight(&pictures, NUMBERING, 0.0, end_of(&pictures));
    assert_eq!((sight.pictures, sight.lost, sight.repeated), (650, 0, 0));
    assert_eq!((sight.reordered, sight.broken, sight.late), (0, 0, 0));
    assert!(sight.freeze < 1e-6, "{sight:?}");
    assert_eq!(sight.runs, [(0, 650)]);
}

#[test]
fn what_is_lost_repeated_out_of_order_broken_black_and_late_is_counted() {
    let mut all = pictures([0, 1, 2, 5, 6, 6, 7, 9, 8, 10, 11, 12, 13]);
    // Numbers follow the time that they claim, as a stream does that has lost some.
    for picture in &mut all[3..] {
        picture.time += 2.0 * FRAME;
        picture.arrival += 2.0 * FRAME;
    }
    all[10].says = Inscription::Broken;
    all[11].says = Inscription::Black;
    all[12].arrival += 0.03;
    let sight = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert_eq!(
        sight.lost, 4,
        "3, 4 and those that are unreadable: {sight:?}"
    );
    assert_eq!((sight.repeated, sight.reordered), (1, 1), "{sight:?}");
    assert_eq!(
        (sight.broken, sight.black, sight.late),
        (1, 1, 1),
        "{sight:?}"
    );
}

#[test]
fn a_long_hole_is_no_matter_of_whole_cycles() {
    let mut all = pictures(0..100);
    // 500 frames are missing: more than a cycle.
    all.extend(pictures(600..700).into_iter().map(|picture| Picture {
        arrival: picture.arrival + 12.0,
        time: picture.time + 12.0,
        ..picture
    }));
    let sight = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert_eq!((sight.lost, sight.repeated), (500, 0));
    assert!((sight.freeze - 10.0).abs() < 1e-6, "{sight:?}");
    assert!((sight.freeze_at - 1.981).abs() < 1e-6, "{sight:?}");
}

#[test]
fn latency_hides_what_comes_within_it_and_a_stand_still_is_a_freeze() {
    let mut all = pictures(0..100);
    for (index, picture) in all[50..75].iter_mut().enumerate() {
        // Half a second is silent, then all comes at once.
        picture.arrival = 1.5 + index as f64 * 1e-4;
    }
    let end = end_of(&all);
    let hidden = sight(&all, NUMBERING, 0.6, end);
    assert!(hidden.freeze < 1e-6 && hidden.late == 0, "{hidden:?}");
    let shown = sight(&all, NUMBERING, 0.0, end);
    assert!((shown.freeze - 0.499).abs() < 1e-6, "{shown:?}");
    // To the end, too.
    let stopped = sight(&all, NUMBERING, 0.0, end + 3.0);
    assert!((stopped.freeze - 3.0).abs() < 1e-6, "{stopped:?}");
}

#[test]
fn repeated_pictures_and_black_ones_do_not_end_a_freeze() {
    let mut all = pictures((0..50).chain([49; 10]).chain(60..80));
    let repeated = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert!(
        (repeated.freeze - 10.0 * FRAME).abs() < 1e-6,
        "{repeated:?}"
    );
    for picture in &mut all[50..60] {
        picture.says = Inscription::Black;
    }
    let black = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert!((black.freeze - 10.0 * FRAME).abs() < 1e-6, "{black:?}");
}

// ---- sound --------------------------------------------------------------------------------------

/// Pieces of 1024 samples of an input's tone: `from` is the first sample that is sent.
fn sounds(name: u8, from: u64, pieces: u64) -> Vec<Sound> {
    let piece = |index| {
        let first = from + index * 1024;
        let time = first as f64 / f64::from(tone::RATE);
        Sound {
            arrival: time,
            time,
            rate: tone::RATE,
            samples: (first..first + 1024)
                .map(|s| tone::sample(name, s))
                .collect(),
        }
    };
    (0..pieces).map(piece).collect()
}

/// The same from this piece on, later by so many samples.
fn shift(sounds: &mut [Sound], samples: i32) {
    for sound in sounds {
        sound.time += f64::from(samples) / f64::from(tone::RATE);
    }
}

#[test]
fn a_tone_tells_its_input_and_its_time() {
    for name in 0..4 {
        for start in [0, 1, 4_800, 12_345, 48_000 * 7 + 17] {
            let window: Vec<f32> = (start..start + 1920)
                .map(|s| tone::sample(name, s))
                .collect();
            let Heard::Tone { name: heard, time } = tone::hear(&window, tone::RATE) else {
                panic!("{name} at {start} is unclear");
            };
            let middle = (start as f64 + 959.5) / f64::from(tone::RATE);
            assert_eq!(heard, name);
            assert!(
                tone::apart(time, middle).abs() < 2e-5,
                "{name} at {start}: {time}"
            );
        }
    }
    assert_eq!(tone::hear(&[0.0; 1920], tone::RATE), Heard::Silence);
}

#[test]
fn whole_sound_has_no_gap_and_lies_on_its_picture() {
    let hearing = hearing(&sounds(0, 0, 200), &pictures(0..230), NUMBERING);
    assert_eq!((hearing.hole, hearing.overlap, hearing.silent), (0, 0, 0));
    assert_eq!((hearing.skipped, hearing.repeated), (0, 0));
    let [least, _, most] = hearing.behind_picture.expect("an offset");
    assert!(least.abs() < 1e-4 && most.abs() < 1e-4, "{hearing:?}");
}

#[test]
fn holes_skips_repetitions_and_silence_are_counted_in_samples() {
    let mut hole = sounds(0, 0, 40);
    hole.extend(sounds(0, 41 * 1024, 40));
    let heard = hearing(&hole, &[], NUMBERING);
    assert_eq!((heard.hole, heard.skipped), (1024, 1024), "{heard:?}");

    // A sample here or there comes from the clock of the window.
    let about = |count: usize, expected: usize| count.abs_diff(expected) <= 2;
    let mut closed = hole.clone();
    shift(&mut closed[40..], -1024);
    let heard = hearing(&closed, &[], NUMBERING);
    assert!(heard.hole == 0 && about(heard.skipped, 1024), "{heard:?}");

    let mut twice = sounds(0, 0, 40);
    twice.extend(sounds(0, 38 * 1024, 40));
    shift(&mut twice[40..], 2048);
    let heard = hearing(&twice, &[], NUMBERING);
    assert!(
        heard.overlap == 0 && about(heard.repeated, 2048),
        "{heard:?}"
    );

    let mut silent = sounds(0, 0, 40);
    silent[20].samples.fill(0.0);
    let heard = hearing(&silent, &[], NUMBERING);
    assert!(about(heard.silent, 1024), "{heard:?}");
}

#[test]
fn sound_that_is_late_or_of_another_input_is_found() {
    let mut late = sounds(0, 0, 100);
    shift(&mut late[50..], 480);
    let [least, _, most] = hearing(&late, &pictures(0..200), NUMBERING)
        .behind_picture
        .expect("one");
    assert!(
        least.abs() < 1e-4 && (most - 0.01).abs() < 1e-3,
        "{least} {most}"
    );
    let other = hearing(&sounds(1, 0, 100), &pictures(0..200), NUMBERING);
    assert!(
        other.mixed > 1.9 && other.behind_picture.is_none(),
        "{other:?}"
    );
}

// ---- pipelines ----------------------------------------------------------------------------------

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

// ---- real RTMP ----------------------------------------------------------------------------------

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
