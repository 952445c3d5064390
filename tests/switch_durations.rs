// SPDX-License-Identifier: MPL-2.0
//! What one buffer says of its time and its duration is believed as far as its stream goes: it stops nobody.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Sent, Stage, bounded, caps, h264, ms, pcm, raw, switch};
use std::sync::mpsc;

const STEP: u64 = 40;
const TIMEOUT: u64 = 300;
const HOUR: u64 = 3_600_000;

/// A primary that does odd things at 25 frames per second, and a backup that does none.
struct Scene {
    stage: Stage,
    primary: Feed,
    backup: Feed,
    durations: mpsc::Receiver<Option<gst::ClockTime>>,
    encoded: bool,
}

impl Scene {
    fn new(kind: &gst::Caps, latency: u64) -> Self {
        let latency = (latency * 1_000_000).to_string();
        let stage = Stage::new(&[
            ("timeout", "300000000"),
            ("recovery-time", "60000000000"),
            ("latency", &latency),
        ]);
        let (primary, backup) = (stage.feed("sink_0", kind), stage.feed("sink_1", kind));
        let (told, durations) = mpsc::channel();
        let source = stage.switch.static_pad("src").expect("src");
        source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let _ = told.send(info.buffer().expect("a buffer").duration());
            gst::PadProbeReturn::Ok
        });
        stage.play();
        Self {
            stage,
            primary,
            backup,
            durations,
            encoded: *kind == h264(),
        }
    }

    /// A regular frame: of encoded ones, every other is a key frame.
    fn frame(&self, number: u64) -> Frame {
        let key = !self.encoded || number.is_multiple_of(2);
        Frame::at(number * STEP).long(STEP).delta_unless(key)
    }

    fn play(&self, frames: u64, primary: impl Fn(u64, Frame) -> Option<Frame>) {
        self.play_on(0..frames, primary);
        self.stage.to(frames * STEP + 2_000);
    }

    fn play_on(&self, frames: std::ops::Range<u64>, primary: impl Fn(u64, Frame) -> Option<Frame>) {
        for number in frames {
            self.stage.to(number * STEP);
            if let Some(frame) = primary(number, self.frame(number)) {
                self.primary.push(frame);
            }
            self.backup.push(self.frame(number));
        }
    }

    /// What was sent, with no more missing than a failure costs, and nothing long in it.
    fn assert_no_hole(&self, what: &str) -> Vec<Sent> {
        let sent = self.stage.sent();
        // Every other frame of an encoded backup is a key frame.
        let most = TIMEOUT + 2 * STEP + if self.encoded { STEP } else { 0 };
        for pair in sent.windows(2) {
            let hole = pair[1].at - pair[0].at;
            assert!(hole <= most, "{what}: {hole} ms behind {:?}", pair[0]);
        }
        assert!(sent.longest_step() <= most, "{what}: {:?}", sent.pts());
        assert!(sent.pts().is_sorted(), "{what}: {:?}", sent.pts());
        let late = sent
            .iter()
            .map(|sent| sent.pts.map(|pts| pts.abs_diff(sent.at)));
        assert!(late.max() <= Some(Some(most)), "{what}");
        for duration in self.durations.try_iter() {
            assert!(duration <= Some(ms(100)), "{what}: {duration:?}");
        }
        sent
    }
}

fn kinds() -> [(gst::Caps, u64); 4] {
    [(raw(), 0), (h264(), 0), (raw(), 400), (h264(), 400)]
}

#[test]
fn one_long_buffer_on_air_changes_nothing() {
    for (kind, latency) in kinds() {
        for long in [2_000, 10_000, HOUR, u64::MAX / 2_000_000] {
            let scene = Scene::new(&kind, latency);
            scene.play(100, |number, frame| {
                Some(if number == 30 {
                    frame.long(long)
                } else {
                    frame
                })
            });
            let sent = scene.assert_no_hole("one long");
            assert_eq!(sent.pts(), (0..4_000).step_by(40).collect::<Vec<_>>());
            assert_eq!(sent.runs(), [(0, 100)]);
        }
    }
}

#[test]
fn a_stall_behind_a_long_buffer_is_a_stall_like_any() {
    for (kind, latency) in kinds() {
        for long in [400, 2_000, HOUR] {
            let scene = Scene::new(&kind, latency);
            scene.play(100, |number, frame| {
                let frame = if number == 30 {
                    frame.long(long)
                } else {
                    frame
                };
                (number <= 30).then_some(frame)
            });
            let sent = scene.assert_no_hole("a stall");
            assert_eq!(scene.stage.switches(), [switch(0, 1, "stall")]);
            assert!(sent.of(1).len() >= 60);
        }
    }
}

#[test]
fn an_end_behind_a_long_buffer_is_an_end_like_any() {
    for (kind, latency) in kinds() {
        let scene = Scene::new(&kind, latency);
        scene.play_on(0..31, |number, frame| {
            Some(if number == 30 {
                frame.long(HOUR)
            } else {
                frame
            })
        });
        scene.primary.eos();
        scene.play_on(31..100, |_, _| None);
        scene.stage.to(6_000);
        scene.assert_no_hole("an end");
        assert_eq!(scene.stage.switches(), [switch(0, 1, "eos")]);
    }
}

#[test]
fn buffers_that_are_all_too_long_are_played_as_they_come() {
    for (kind, latency) in kinds() {
        for until in [100, 50] {
            let scene = Scene::new(&kind, latency);
            scene.play(100, |number, frame| {
                (number < until).then(|| frame.long(1_500))
            });
            let sent = scene.assert_no_hole("all long");
            assert!(sent.of(0).len() >= until as usize - 1);
        }
    }
}

#[test]
fn a_key_frame_that_joins_what_said_too_much_is_not_missed() {
    let scene = Scene::new(&h264(), 0);
    for number in 0..100 {
        scene.stage.to(number * STEP);
        let frame = Frame::at(number * STEP).long(STEP);
        let frame = frame.delta_unless(number % 25 == 0);
        if number < 50 {
            scene.primary.push(frame.long(1_500));
        }
        scene.backup.push(frame);
    }
    let sent = scene.assert_no_hole("all long");
    assert_eq!(sent.pts(), (0..4_000).step_by(40).collect::<Vec<_>>());
    assert_eq!(scene.stage.switches(), [switch(0, 1, "stall")]);
}

#[test]
fn one_time_that_is_off_changes_nothing() {
    for (kind, latency) in kinds() {
        for (odd, name) in [
            (HOUR as i64, "an hour"),
            (900, "0.9 s"),
            (400, "0.4 s"),
            (-400, "-0.4 s"),
            (-900, "-0.9 s"),
            (-1_500, "-1.5 s"),
            (-3_000, "0"),
        ] {
            let scene = Scene::new(&kind, latency);
            scene.play(150, |number, frame| {
                let off = number == 75;
                Some(match u64::try_from(odd) {
                    Ok(later) if off => frame.later(later),
                    Err(_) if off => frame.earlier(odd.unsigned_abs()),
                    _ => frame,
                })
            });
            let sent = scene.assert_no_hole(name);
            assert_eq!(
                sent.pts(),
                (0..6_000).step_by(40).collect::<Vec<_>>(),
                "{name}"
            );
            assert_eq!(sent.runs(), [(0, 150)], "{name}");
        }
    }
}

#[test]
fn a_time_to_show_that_is_off_is_no_time_to_decode() {
    for latency in [0, 400] {
        for odd in [HOUR, 5_000] {
            let scene = Scene::new(&h264(), latency);
            scene.play(100, |number, frame| {
                let at = number * STEP;
                let frame = frame.decoded_at(at);
                Some(match number {
                    30 => frame.later(odd).decoded_at(at),
                    40 => frame.decoded_at(at + odd),
                    _ => frame,
                })
            });
            let sent = scene.stage.sent();
            assert_eq!(sent.runs(), [(0, 100)]);
            for frame in sent {
                let late = frame
                    .pts
                    .zip(frame.dts)
                    .map(|(pts, dts)| (pts - dts, dts.abs_diff(frame.at)));
                assert!(late <= Some((200, TIMEOUT + 80)), "{frame:?}");
            }
        }
    }
}

#[test]
fn one_time_that_is_off_takes_nothing_from_what_a_standby_keeps() {
    // Its push would wait for that time.
    bounded(|| {
        for (kind, latency) in kinds() {
            for odd in [HOUR, 900] {
                let scene = Scene::new(&kind, latency);
                for number in 0..100 {
                    scene.stage.to(number * STEP);
                    let frame = scene.frame(number);
                    if number < 50 {
                        scene.primary.push(frame);
                    }
                    scene.backup.push(if number == 54 {
                        frame.later(odd)
                    } else {
                        frame
                    });
                }
                scene.stage.to(6_000);
                let sent = scene.assert_no_hole("in a standby");
                assert_eq!(scene.stage.switches(), [switch(0, 1, "stall")]);
                if latency > 0 {
                    assert_eq!(sent.pts(), (0..4_000).step_by(40).collect::<Vec<_>>());
                }
            }
        }
    });
}

#[test]
fn a_stream_of_one_frame_per_second_is_played_and_left_like_any() {
    let stage = Stage::new(&[("timeout", "2500000000"), ("recovery-time", "3000000000")]);
    let (primary, backup) = (stage.feed("sink_0", &raw()), stage.feed("sink_1", &raw()));
    stage.play();
    let (told, durations) = mpsc::channel();
    let source = stage.switch.static_pad("src").expect("src");
    source.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let _ = told.send(info.buffer().expect("a buffer").duration());
        gst::PadProbeReturn::Ok
    });
    stage.every(1_000, 0..30_000, |at| {
        if !(8_000..15_000).contains(&at) {
            primary.push(Frame::at(at).long(1_000));
        }
        backup.push(Frame::at(at).long(1_000));
    });
    let sent = stage.sent();
    assert_eq!(
        stage.switches(),
        [switch(0, 1, "stall"), switch(1, 0, "recovered")]
    );
    assert!(sent.longest_step() <= 3_000, "{:?}", sent.pts());
    assert_eq!(durations.try_iter().skip(2).min(), Some(Some(ms(1_000))));
}

#[test]
fn raw_audio_lasts_as_long_as_its_samples_whatever_it_says() {
    for (latency, says) in [(0, 10_000), (0, 1), (400, 10_000)] {
        let scene = Scene::new(&pcm(), latency);
        let push = |feed: &Feed, number: u64, says: u64| {
            let mut buffer = gst::Buffer::with_size(48 * 4 * STEP as usize).expect("a buffer");
            let writable = buffer.get_mut().expect("our own");
            writable.set_pts(ms(number * STEP));
            writable.set_duration(ms(says));
            feed.pad.push(buffer).expect("pushed");
        };
        for number in 0..100 {
            scene.stage.to(number * STEP);
            if number < 30 {
                push(&scene.primary, number, says);
            }
            push(&scene.backup, number, STEP);
        }
        scene.stage.to(6_000);
        let sent = scene.stage.sent();
        assert!(
            sent.longest_step() <= TIMEOUT + 2 * STEP,
            "{:?}",
            sent.pts()
        );
        assert_eq!(scene.stage.switches(), [switch(0, 1, "stall")]);
        assert!(
            scene
                .durations
                .try_iter()
                .all(|lasts| lasts == Some(ms(STEP)))
        );
    }
}

#[test]
fn a_gap_promises_no_more_than_the_timeout_and_none_elsewhere() {
    let scene = Scene::new(&caps("audio/x-opus,rate=48000,channels=2"), 0);
    scene.play_on(0..30, |_, frame| Some(frame));
    for (at, lasts) in [(1_200, 20), (1_220, HOUR), (1_200 + HOUR, 20), (0, 20)] {
        let gap = gst::event::Gap::builder(ms(at)).duration(ms(lasts)).build();
        assert!(scene.primary.pad.push_event(gap));
    }
    scene.play_on(30..60, |_, frame| Some(frame));
    let gaps = scene.stage.out.events(gst::EventType::Gap);
    let gaps: Vec<_> = gaps
        .iter()
        .filter_map(|event| match event.view() {
            gst::EventView::Gap(gap) => Some(gap.get()),
            _ => None,
        })
        .collect();
    let wanted = [(1_200, 20), (1_220, TIMEOUT)];
    assert_eq!(gaps, wanted.map(|(at, lasts)| (ms(at), Some(ms(lasts)))));
    assert_eq!(scene.stage.sent().runs(), [(0, 60)]);
}
