// SPDX-License-Identifier: MPL-2.0
//! An input is switched whole: its picture and its sound go on air together and leave together.

#[path = "support/stage/mod.rs"]
mod stage;
#[path = "support/witness.rs"]
mod witness;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Output, Seen, Sent, Stage, aac, h264, ms, pcm, raw, switch};
use witness::Log;

/// The picture and the sound of one input.
struct Pair {
    picture: Feed,
    sound: Feed,
}

impl Pair {
    fn new(stage: &Stage, input: u32, picture: &gst::Caps, sound: &gst::Caps) -> Self {
        Self {
            picture: stage.feed(&format!("sink_{input}"), picture),
            sound: stage.feed(&format!("sink_{input}_1"), sound),
        }
    }

    /// 20 ms of both; a key frame each half second.
    fn push(&self, at: u64) {
        self.push_picture(at);
        self.sound.push(Frame::at(at));
    }

    fn push_picture(&self, at: u64) {
        let caps = self.picture.pad.current_caps().expect("caps");
        let is_key = caps == raw() || at.is_multiple_of(500);
        self.picture.push(Frame::at(at).delta_unless(is_key));
    }
}

struct Scene {
    stage: Stage,
    sound: Output,
    primary: Pair,
    backup: Pair,
}

impl Scene {
    fn new(picture: &gst::Caps, sound: &gst::Caps, properties: &[(&str, &str)]) -> Self {
        let all = [&[("timeout", "500000000")], properties].concat();
        let stage = Stage::new(&all);
        let primary = Pair::new(&stage, 0, picture, sound);
        let backup = Pair::new(&stage, 1, picture, sound);
        let sound = stage.output("src_1");
        stage.play();
        Self {
            stage,
            sound,
            primary,
            backup,
        }
    }

    fn both(&self, until: u64) {
        let from = self.stage.now();
        self.stage.every(20, from..until, |at| {
            self.primary.push(at);
            self.backup.push(at);
        });
        self.stage.to(until);
    }

    /// The primary ends after 2 s, when only sound has come from the backup.
    fn end_before_the_backups_picture(&self) {
        self.stage.every(20, 0..2_000, |at| {
            self.primary.push(at);
            self.backup.sound.push(Frame::at(at));
        });
        self.primary.picture.eos();
        self.primary.sound.eos();
    }

    fn pictures(&self) -> Vec<Sent> {
        self.stage.sent()
    }

    fn sounds(&self) -> Vec<Sent> {
        self.sound.frames()
    }

    fn assert_programmes(&self) {
        self.stage.out.assert_one_programme();
        self.sound.assert_one_programme();
    }
}

fn kinds() -> [(gst::Caps, gst::Caps); 2] {
    [(raw(), pcm()), (h264(), aac())]
}

#[test]
fn when_only_the_picture_stalls_the_sound_leaves_with_it() {
    for (picture, sound) in kinds() {
        let scene = Scene::new(&picture, &sound, &[]);
        scene.both(1_000);
        scene.stage.every(20, 1_000..4_000, |at| {
            scene.primary.sound.push(Frame::at(at));
            scene.backup.push(at);
        });
        assert_eq!(scene.stage.switches(), [switch(0, 1, "incomplete")]);
        assert_eq!(scene.pictures().runs().len(), 2);
        assert_eq!(
            scene.sounds().runs().len(),
            2,
            "{:?}",
            scene.sounds().runs()
        );
        scene.assert_programmes();
    }
}

#[test]
fn when_only_the_sound_stalls_the_picture_leaves_with_it() {
    for (picture, sound) in kinds() {
        let scene = Scene::new(&picture, &sound, &[]);
        scene.both(1_000);
        scene.stage.every(20, 1_000..4_000, |at| {
            scene.primary.push_picture(at);
            scene.backup.push(at);
        });
        assert_eq!(scene.stage.switches(), [switch(0, 1, "incomplete")]);
        assert_eq!(scene.pictures().runs().len(), 2);
        assert_eq!(scene.pictures().longest_step(), 20);
        assert_eq!(scene.sounds().runs().len(), 2);
        scene.assert_programmes();
    }
}

#[test]
fn the_log_says_which_stream_an_input_was_left_for() {
    let log = Log::of_failover();
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(1_000);
    scene.stage.every(20, 1_000..2_000, |at| {
        scene.primary.push_picture(at);
        scene.backup.push(at);
    });
    assert_eq!(scene.stage.switches(), [switch(0, 1, "incomplete")]);
    // The last of its buffers came at 980 ms.
    let line = "input 0: flowing -> incomplete (none: stream 1 silent for 0:00:00.500000000: without src_1)";
    assert!(
        log.lines().iter().any(|one| one == line),
        "{:#?}",
        log.lines()
    );
}

#[test]
fn the_picture_and_the_sound_are_cut_within_one_buffer() {
    for (picture, sound) in kinds() {
        let scene = Scene::new(&picture, &sound, &[("recovery-time", "1000000000")]);
        scene.both(1_000);
        scene
            .stage
            .every(20, 1_000..3_000, |at| scene.backup.push(at));
        scene.stage.to(3_000);
        scene.both(6_000);
        let cuts = |frames: &[Sent]| -> Vec<(u32, i64)> {
            let pairs = frames
                .windows(2)
                .filter(|pair| pair[0].input != pair[1].input);
            pairs
                .map(|pair| {
                    (
                        pair[1].input,
                        i64::try_from(pair[1].pts.unwrap_or(0)).unwrap_or(0),
                    )
                })
                .collect()
        };
        let (of_picture, of_sound) = (cuts(&scene.pictures()), cuts(&scene.sounds()));
        assert_eq!(of_picture.len(), 2, "{of_picture:?}");
        assert_eq!(of_sound.len(), 2, "{of_sound:?}");
        for (picture, sound) in of_picture.iter().zip(&of_sound) {
            assert_eq!(picture.0, sound.0);
            assert!(
                (picture.1 - sound.1).abs() <= 20,
                "{of_picture:?} {of_sound:?}"
            );
        }
        scene.assert_programmes();
    }
}

#[test]
fn a_return_loses_neither_picture_nor_sound() {
    for (picture, sound) in kinds() {
        let scene = Scene::new(&picture, &sound, &[("recovery-time", "1000000000")]);
        scene.both(1_000);
        scene
            .stage
            .every(20, 1_000..3_000, |at| scene.backup.push(at));
        scene.stage.to(3_000);
        scene.both(6_000);
        assert_eq!(scene.stage.switches().len(), 2);
        for frames in [scene.pictures(), scene.sounds()] {
            let from_the_backup_on = &frames[50..];
            let first = from_the_backup_on[0].pts.unwrap_or(0);
            let expected: Vec<_> = (first..6_000).step_by(20).collect();
            assert_eq!(from_the_backup_on.pts(), expected);
        }
    }
}

#[test]
fn the_streams_of_an_input_share_one_time_base() {
    let scene = Scene::new(&h264(), &aac(), &[]);
    scene.both(1_000);
    // A backup on a base of +1000 s whose sound is 40 ms ahead of its picture, as its sender made it.
    let backup = &scene.backup;
    for feed in [&backup.picture, &backup.sound] {
        feed.stream_start();
        feed.segment();
    }
    scene.stage.every(20, 1_000..4_000, |at| {
        if at < 2_000 {
            scene.primary.push(at);
        }
        let base = 1_000_000;
        let is_key = at.is_multiple_of(500);
        backup
            .picture
            .push(Frame::at(at).later(base).delta_unless(is_key));
        backup.sound.push(Frame::at(at).later(base + 40));
    });
    let (picture, sound) = (scene.pictures().of(1), scene.sounds().of(1));
    assert!(picture.len() > 30 && sound.len() > 30);
    let offset = |frames: &[Sent], feed: &Feed| {
        let last = frames.last().expect("frames");
        assert_eq!(last.number + 1, feed.pushed());
        last.pts.expect("a time")
    };
    let skew = offset(&sound, &backup.sound) - offset(&picture, &backup.picture);
    assert_eq!(skew, 40);
}

/// From RTMP the sound comes at once, the picture with the next key frame; until a parser for it is found, the
/// connection waits.
#[test]
fn a_picture_that_joins_its_sound_does_not_change_where_the_input_is_in_time() {
    let scene = Scene::new(&h264(), &aac(), &[]);
    let (primary, backup) = (&scene.primary, &scene.backup);
    let sound = |at: u64| backup.sound.push(Frame::at(at).later(1_000_000));
    scene.stage.every(20, 0..2_000, |at| {
        primary.push(at);
        sound(at);
    });
    primary.picture.eos();
    primary.sound.eos();
    backup.picture.start(&h264());
    scene.stage.every(20, 2_060..3_000, |now| {
        let at = now - 60;
        let picture = Frame::at(at).delta_unless(at == 2_000);
        backup.picture.push(picture.later(1_000_000));
        sound(at);
    });
    assert_eq!(scene.stage.switches(), [switch(0, 1, "eos")]);
    for frames in [scene.pictures(), scene.sounds()] {
        let expected: Vec<_> = (0..2_940).step_by(20).collect();
        assert_eq!(frames.pts(), expected);
    }
    scene.assert_programmes();
}

#[test]
fn the_end_of_the_sound_is_not_the_end_of_the_input() {
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(1_000);
    for sound in [&scene.primary.sound, &scene.backup.sound] {
        sound.eos();
    }
    scene.stage.every(20, 1_000..3_000, |at| {
        scene.primary.push_picture(at);
        scene.backup.push_picture(at);
    });
    assert_eq!(scene.stage.switches(), []);
    assert_eq!(scene.pictures().runs(), [(0, 150)]);
}

#[test]
fn an_input_whose_sound_has_ended_is_left_for_one_that_has_it() {
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(1_000);
    scene.primary.sound.eos();
    scene.stage.every(20, 1_000..3_000, |at| {
        scene.primary.push_picture(at);
        scene.backup.push(at);
    });
    assert_eq!(scene.stage.switches(), [switch(0, 1, "incomplete")]);
    assert_eq!(scene.pictures().longest_step(), 20);
    assert!(!scene.sound.is_eos());
}

#[test]
fn the_end_of_both_is_the_end_of_the_input() {
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(1_000);
    scene.primary.sound.eos();
    scene.primary.picture.eos();
    scene
        .stage
        .every(20, 1_000..2_000, |at| scene.backup.push(at));
    assert_eq!(scene.stage.switches(), [switch(0, 1, "eos")]);
    assert_eq!(scene.pictures().longest_step(), 20);
    scene.backup.picture.eos();
    scene.backup.sound.eos();
    assert!(scene.stage.out.is_eos() && scene.sound.is_eos());
}

#[test]
fn a_backup_without_sound_takes_over_with_its_picture() {
    let stage = Stage::usual();
    let primary = Pair::new(&stage, 0, &raw(), &pcm());
    let backup = stage.feed("sink_1", &raw());
    let sound = stage.output("src_1");
    stage.play();
    stage.every(20, 0..1_000, |at| {
        primary.push(at);
        backup.push(Frame::at(at));
    });
    stage.every(20, 1_000..2_000, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 50), (1, 26)]);
    assert_eq!(sound.frames().runs(), [(0, 50)]);
    assert!(!sound.is_eos());
}

#[test]
fn a_picture_that_comes_too_late_for_its_inputs_cut_is_asked_for_another_key_frame_at_once() {
    let scene = Scene::new(&h264(), &aac(), &[]);
    scene.end_before_the_backups_picture();
    // Its group is endless, and begins before what was shown.
    let picture = |at: u64, is_key: bool| {
        let late = Frame::at(at - 100).delta_unless(is_key);
        scene.backup.picture.push(late);
    };
    scene.stage.every(20, 2_000..3_000, |at| {
        scene.backup.sound.push(Frame::at(at));
        picture(at, at == 2_000 || at == 2_200);
        let asked = scene.backup.picture.key_frames_asked();
        assert_eq!(asked, 1, "at {at}");
    });
    assert_eq!(scene.stage.switches(), [switch(0, 1, "eos")]);
    let shown = scene.pictures().of(1);
    assert_eq!((shown[0].at, shown[0].pts), (2_200, Some(2_100)));
    assert_eq!(shown.len(), 40);
    scene.assert_programmes();
}

/// Makes what follows an output a decoder, as far as the switch can see.
fn decode(output: &Output) -> gst::Element {
    let decoder = gst::ElementFactory::make("decodebin").build();
    let decoder = decoder.expect("decodebin");
    output.pad.set_property("name", "further");
    decoder.add_pad(&output.pad).expect("another pad");
    decoder
}

#[test]
fn before_a_decoder_a_picture_that_comes_after_its_inputs_cut_is_caught_up_with() {
    let scene = Scene::new(&h264(), &aac(), &[]);
    let _decoders = [&scene.stage.out, &scene.sound].map(decode);
    scene.end_before_the_backups_picture();
    scene.stage.every(20, 2_000..3_000, |at| {
        scene.backup.sound.push(Frame::at(at));
        if at >= 2_040 {
            let late = Frame::at(at - 100).delta_unless(at == 2_040);
            scene.backup.picture.push(late);
        }
    });
    assert_eq!(scene.stage.switches(), [switch(0, 1, "eos")]);
    let sent = scene.pictures().of(1);
    assert_eq!((sent[0].at, sent[0].pts), (2_040, Some(1_940)));
    assert_eq!(sent.len(), 48);
    assert_eq!(scene.backup.picture.key_frames_asked(), 0);
    let segments = scene.stage.out.events(gst::EventType::Segment);
    let gst::EventView::Segment(segment) = segments[segments.len() - 1].view() else {
        unreachable!("a segment");
    };
    assert_eq!(segment.segment().start().value(), 2_000_000_000);
}

#[test]
fn a_sound_that_nobody_links_does_not_stop_the_picture() {
    let stage = Stage::usual();
    let primary = Pair::new(&stage, 0, &raw(), &pcm());
    stage.play();
    stage.every(20, 0..1_000, |at| primary.push(at));
    assert_eq!(stage.sent().len(), 50);
}

#[test]
fn each_output_is_a_stream_of_its_own_in_one_group() {
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(200);
    let start = |output: &Output| {
        let starts = output.events(gst::EventType::StreamStart);
        let gst::EventView::StreamStart(start) = starts[0].view() else {
            panic!("no stream-start: {starts:?}");
        };
        (start.stream_id().to_owned(), start.group_id())
    };
    let (picture, sound) = (start(&scene.stage.out), start(&scene.sound));
    assert_ne!(picture.0, sound.0);
    assert!(picture.1.is_some());
    assert_eq!(picture.1, sound.1);
    let caps = |output: &Output| output.pad.current_caps();
    assert_eq!(
        (caps(&scene.stage.out), caps(&scene.sound)),
        (Some(raw()), Some(pcm()))
    );
}

#[test]
fn a_released_sound_pad_does_not_stop_the_picture() {
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(1_000);
    scene
        .stage
        .switch
        .release_request_pad(&scene.primary.sound.sink);
    scene.stage.every(20, 1_000..3_000, |at| {
        scene.primary.push_picture(at);
        scene.backup.push(at);
    });
    // The backup still has one.
    assert_eq!(scene.stage.switches(), [switch(0, 1, "incomplete")]);
    assert_eq!(scene.pictures().longest_step(), 20);
}

/// After a second of both, two seconds in which gaps take the place of the primary's sound.
fn with_gaps_for_sound(flags: gst::GapFlags) -> Scene {
    let scene = Scene::new(&raw(), &pcm(), &[]);
    scene.both(1_000);
    scene.stage.every(20, 1_000..3_000, |at| {
        scene.primary.push_picture(at);
        let gap = gst::event::Gap::builder(stage::ms(at))
            .duration(stage::ms(20))
            .gap_flags(flags)
            .build();
        scene.primary.sound.pad.push_event(gap);
        scene.backup.push(at);
    });
    scene
}

#[test]
fn a_gap_in_the_sound_is_no_stall() {
    let scene = with_gaps_for_sound(gst::GapFlags::empty());
    assert_eq!(scene.stage.switches(), []);
    assert_eq!(scene.sound.events(gst::EventType::Gap).len(), 100);
    let gaps =
        |seen: &Seen| matches!(seen, Seen::Event(event) if event.type_() == gst::EventType::Gap);
    assert!(scene.stage.out.seen().iter().all(|seen| !gaps(seen)));
}

/// A depayloader makes such gaps of packets that do not come, a while after the sender has died.
#[test]
fn a_gap_for_what_was_lost_is_no_sign_of_life() {
    let scene = with_gaps_for_sound(gst::GapFlags::DATA);
    assert_eq!(scene.stage.switches(), [switch(0, 1, "incomplete")]);
}

/// Raw sound as it is: as many samples as the time takes.
fn samples(feed: &Feed, at_us: u64, took_us: u64) {
    let mut buffer = gst::Buffer::with_size((took_us * 48 / 1_000 * 4) as usize).expect("a buffer");
    let writable = buffer.get_mut().expect("our own");
    writable.set_pts(gst::ClockTime::from_useconds(at_us));
    writable.set_duration(gst::ClockTime::from_useconds(took_us));
    feed.pad.push(buffer).expect("pushed");
}

#[test]
fn raw_sound_is_cut_to_the_sample() {
    let scene = Scene::new(&raw(), &pcm(), &[("latency", "700000000")]);
    let pad = scene.stage.switch.static_pad("src_1").expect("src_1");
    let (tape, heard) = std::sync::mpsc::channel();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let buffer = info.buffer().expect("a buffer");
        let _ = tape.send((buffer.pts(), buffer.duration(), buffer.size()));
        gst::PadProbeReturn::Ok
    });
    // Buffers of other lengths than the pictures, and of other ones than each other. All of the
    // primary stalls.
    scene.stage.every(1, 0..3_000, |at| {
        if at.is_multiple_of(20) {
            if at < 1_000 {
                scene.primary.push_picture(at);
            }
            scene.backup.push_picture(at);
        }
        if at.is_multiple_of(10) && at < 1_000 {
            samples(&scene.primary.sound, at * 1_000, 10_000);
        }
        if at % 32 == 7 {
            samples(&scene.backup.sound, at * 1_000, 32_000);
        }
    });
    scene.stage.settle();
    let heard: Vec<_> = heard.try_iter().collect();
    let mut end = gst::ClockTime::ZERO;
    for (pts, duration, size) in &heard {
        let (pts, duration) = pts.zip(*duration).expect("times");
        let away = pts.nseconds().abs_diff(end.nseconds());
        assert!(away <= 20_833, "{pts} comes after {end}");
        let worth = *size as u64 / 4 * 1_000_000_000 / 48_000;
        assert!(worth.abs_diff(duration.nseconds()) <= 20_833);
        end = pts + duration;
    }
    assert!(end > ms(2_900), "{end}");
    assert_eq!(scene.stage.switches(), [switch(0, 1, "stall")]);
}

#[test]
fn sound_that_is_held_leaves_with_its_picture() {
    let scene = Scene::new(&raw(), &pcm(), &[("latency", "1000000000")]);
    {
        let _deaf = scene.sound.hold_up();
        let _blind = scene.stage.out.hold_up();
        // Only the picture of the primary stalls; both sinks wait, as sinks do.
        scene.stage.every_unsettled(20, 0..2_000, |at| {
            if at < 500 {
                scene.primary.push_picture(at);
            }
            scene.primary.sound.push(Frame::at(at));
            scene.backup.push(at);
        });
    }
    let (seen, heard) = (scene.pictures(), scene.sounds());
    for frames in [&seen, &heard] {
        assert_eq!(frames.pts(), (0..2_000).step_by(20).collect::<Vec<_>>());
        assert_eq!(frames.of(1)[0].pts, Some(500), "{:?}", frames.runs());
    }
}
