// SPDX-License-Identifier: MPL-2.0
//! Inputs that come later than they declare: they play, the latency covers what they take by habit, and an
//! active input of which nothing can be sent is left.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{
    Feed, Frame, Frames, Output, Sent, Stage, aac, h264, in_gop, ms, pair, pcm, raw, switch,
};

/// When the last LATENCY message so far was posted, nobody knows; how many there are, the bus does.
fn latencies(stage: &Stage) -> usize {
    stage.messages(gst::MessageType::Latency).len()
}

/// What a sink drops that waits for the latency it was told: so much of it comes too late.
fn dropped(frames: &[Sent], latency: gst::ClockTime, from: u64) -> usize {
    let tolerated = latency.mseconds() + 20;
    let is_late = |frame: &&Sent| frame.at > frame.pts.expect("a time") + tolerated;
    frames
        .iter()
        .filter(|f| f.at >= from)
        .filter(is_late)
        .count()
}

/// Audio of 48 kHz AAC in packets of so many frames, as MPEG-TS has it: what has come by this time.
struct Packets {
    frames: u64,
    base: u64,
    sent: u64,
}

impl Packets {
    fn push_until(&mut self, now: u64, feed: &Feed) {
        let ts = |n: u64| n * 64 / 3;
        while ts(self.sent + self.frames) <= now {
            for n in self.sent..self.sent + self.frames {
                feed.push(Frame::at(self.base + ts(n)).long(21));
            }
            self.sent += self.frames;
        }
    }
}

/// An input with encoded pictures that are prompt, and audio that comes in packets of 0.36 s.
struct Broadcast {
    picture: Feed,
    audio: Feed,
    packets: Packets,
}

impl Broadcast {
    fn new(stage: &Stage, input: u32, base: u64) -> Self {
        Self {
            picture: stage.feed(&format!("sink_{input}"), &h264()),
            audio: stage.feed(&format!("sink_{input}_1"), &aac()),
            packets: Packets {
                frames: 17,
                base,
                sent: 0,
            },
        }
    }

    fn push(&mut self, at: u64) {
        self.picture.push(in_gop(at, 0).later(self.packets.base));
        self.packets.push_until(at, &self.audio);
    }
}

/// A primary and a backup of that kind, each on a time base of its own, playing.
fn broadcasts(properties: &[(&str, &str)]) -> (Stage, Output, Broadcast, Broadcast) {
    let all = [&[("timeout", "500000000")], properties].concat();
    let stage = Stage::new(&all);
    let primary = Broadcast::new(&stage, 0, 50_000_000);
    let backup = Broadcast::new(&stage, 1, 9_000_000);
    let heard = stage.output("src_1");
    stage.play();
    (stage, heard, primary, backup)
}

#[test]
fn raw_inputs_that_are_late_come_out_whatever_their_rate() {
    for caps in [raw(), pcm()] {
        for step in [20, 33, 40, 43] {
            for late in [300, 550, 700, 900, 1_000, 1_200, 3_000] {
                let (stage, primary, backup) = pair(&caps, &[]);
                let frame = |at: u64| Frame::at(at).long(step);
                let span = late..late + 4_000;
                stage.every(usize::try_from(step).expect("a step"), span, |at| {
                    primary.push(frame(at - late));
                    backup.push(frame(at - late));
                });
                let (sent, expected) = (stage.sent(), 4_000 / usize::try_from(step).unwrap_or(1));
                let figures = format!("{} of {expected}, late by {late}", sent.len());
                assert!(sent.len() * 100 >= expected * 95, "{figures}");
                assert_eq!(sent.runs(), [(0, sent.len())], "{figures}");
                assert_eq!(stage.switches(), []);
            }
        }
    }
}

#[test]
fn a_raw_input_that_is_late_is_shown_by_a_sink_that_keeps_the_latency() {
    for (late, own) in [(550, 0u64), (900, 0), (900, 200)] {
        let (stage, primary, backup) = pair(&raw(), &[]);
        stage.switch.set_property("latency", own * 1_000_000);
        let before = latencies(&stage);
        stage.every(40, late..late + 6_000, |at| {
            primary.push(Frame::at(at - late).long(40));
            backup.push(Frame::at(at - late).long(40));
        });
        let (_, min, _) = stage.out.latency();
        assert!(min >= ms(late + own) && min <= ms(late + own + 40), "{min}");
        assert_eq!(latencies(&stage), before + 1, "told once");
        assert_eq!(dropped(&stage.sent(), min, late + 1_100), 0);
    }
}

#[test]
fn inputs_in_step_pay_nothing() {
    for base in [0, 50_000_000] {
        let stage = Stage::usual();
        let inputs = [0, 1].map(|n| {
            let names = [format!("sink_{n}"), format!("sink_{n}_1")];
            [
                stage.feed(&names[0], &h264()),
                stage.feed(&names[1], &aac()),
            ]
        });
        stage.play();
        let before = latencies(&stage);
        stage.every(20, 0..20_000, |at| {
            for [picture, audio] in &inputs {
                picture.push(in_gop(at, 0).later(base));
                // Up to 40 ms late, and once by much more.
                let hiccup = (5_000..5_300).contains(&at);
                if !hiccup && at % 60 == 40 || at == 5_300 {
                    let first = if at == 5_300 { 4_980 } else { at - 40 };
                    let frames = (first..=at).step_by(20);
                    frames.for_each(|ts| audio.push(Frame::at(base + ts)));
                }
            }
        });
        assert_eq!(stage.out.latency().1, ms(0));
        assert_eq!(latencies(&stage), before);
    }
}

#[test]
fn the_latency_covers_the_stream_that_comes_last_within_a_second() {
    let (stage, heard, mut primary, mut backup) = broadcasts(&[]);
    let before = latencies(&stage);
    stage.every(20, 0..10_000, |at| {
        primary.push(at);
        backup.push(at);
    });
    let (_, min, _) = stage.out.latency();
    assert!((ms(345)..=ms(400)).contains(&min), "{min}");
    assert_eq!(heard.latency().1, min, "the same for all streams");
    assert!(latencies(&stage) <= before + 2);
    assert_eq!(dropped(&heard.frames(), min, 1_100), 0);
    assert_eq!(dropped(&stage.sent(), min, 0), 0);
    assert!(heard.frames().len() >= 450, "{}", heard.frames().len());
}

#[test]
fn what_a_standby_takes_is_known_before_it_is_active() {
    let stage = Stage::usual();
    let picture = stage.feed("sink_0", &h264());
    let audio = stage.feed("sink_0_1", &aac());
    let mut backup = Broadcast::new(&stage, 1, 9_000_000);
    let heard = stage.output("src_1");
    stage.play();
    stage.every(20, 0..3_000, |at| {
        picture.push(in_gop(at, 0));
        audio.push(Frame::at(at));
        backup.push(at);
    });
    let (_, min, _) = stage.out.latency();
    assert!(min >= ms(345), "{min}");
    let told = latencies(&stage);
    stage.every(20, 3_000..8_000, |at| backup.push(at));
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
    assert_eq!((latencies(&stage), stage.out.latency().1), (told, min));
    assert_eq!(dropped(&heard.frames().of(1)[1..], min, 4_500), 0);
}

#[test]
fn what_was_learned_is_kept_for_the_next_attempt_and_forgotten_for_the_next_run() {
    let (stage, _heard, mut primary, _backup) = broadcasts(&[]);
    stage.every(20, 0..3_000, |at| primary.push(at));
    let (_, min, _) = stage.out.latency();
    assert!(min >= ms(345), "{min}");
    primary.picture.start(&h264());
    primary.audio.start(&aac());
    assert_eq!(stage.out.latency().1, min);
    stage.switch.set_state(gst::State::Ready).expect("ready");
    stage.switch.set_base_time(stage.clock.time());
    stage
        .switch
        .set_state(gst::State::Playing)
        .expect("playing");
    assert_eq!(stage.out.latency().1, ms(0));
    primary.picture.start(&h264());
    primary.audio.start(&aac());
    primary.packets.sent = 0;
    stage.every(20, 3_000..5_000, |at| primary.push(at - 3_000));
    assert_eq!(stage.out.latency().1, min);
}

/// The outlet holds what the property promises, no longer for what was learned.
#[test]
fn with_latency_pictures_leave_no_later_because_the_audio_does() {
    let (stage, heard, mut primary, mut backup) = broadcasts(&[("latency", "1000000000")]);
    stage.every(20, 0..6_000, |at| {
        primary.push(at);
        backup.push(at);
    });
    let (_, min, _) = stage.out.latency();
    assert!((ms(1_345)..=ms(1_400)).contains(&min), "{min}");
    let held = |frame: &Sent| frame.at - frame.pts.expect("a time");
    let sent = stage.sent();
    assert!(sent.iter().all(|frame| held(frame) <= 960), "{sent:?}");
    assert_eq!(dropped(&heard.frames(), min, 0), 0);
}

/// Its own thread waits for the sink, and finds what came meanwhile: that is no lateness of the input's.
#[test]
fn a_sink_that_waits_for_the_latency_makes_no_input_late() {
    let line = "videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=50/1 ! failoverswitch name=s \
                ! fakesink sync=true async=false ts-offset=300000000  videotestsrc is-live=true \
                ! video/x-raw,width=16,height=16,framerate=50/1 ! queue ! s.sink_1";
    stage::init();
    let pipeline = gst::parse::launch(line).expect("the pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let switch = pipeline.by_name("s").expect("the switch");
    let latency = || {
        let mut query = gst::query::Latency::new();
        let answered = switch.static_pad("src").expect("src").query(&mut query);
        answered.then(|| query.result().1).expect("an answer")
    };
    pipeline.set_state(gst::State::Playing).expect("playing");
    let bus = pipeline.bus().expect("a bus");
    let until = std::time::Instant::now() + std::time::Duration::from_secs(7);
    while std::time::Instant::now() < until {
        let message = bus.timed_pop_filtered(ms(100), &[gst::MessageType::Latency]);
        if message.is_some() {
            let _ = pipeline.recalculate_latency();
        }
    }
    let learned = latency();
    pipeline.set_state(gst::State::Null).expect("stopped");
    assert!(learned <= ms(60), "{learned}");
}

#[test]
fn an_active_input_of_which_nothing_can_be_sent_is_left() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[("switch-back", "on-failure")]);
        let backups = |at: u64| backup.push(stage::frame_of(&caps, at));
        stage.every(20, 0..2_000, |at| {
            primary.push(stage::frame_of(&caps, at));
            backups(at);
        });
        // Another stream in its place, whose time stands still behind what was sent.
        primary.stream_start();
        primary.segment();
        stage.every(20, 2_000..6_000, |at| {
            primary.push(Frame::at(1_500).delta_unless(at == 2_000));
            backups(at);
        });
        assert_eq!(stage.switches(), [switch(0, 1, "stall")], "{caps}");
        let sent = stage.sent();
        let first = sent.of(1)[0].at;
        // The timeout, and what a late input may need to come up to the output.
        assert!(first <= 2_000 + 500 + 1_000 + 540, "{caps}: {first}");
        assert_eq!(sent.last().and_then(|frame| frame.pts), Some(5_980));
        stage.out.assert_one_programme();
    }
}

#[test]
fn an_input_that_is_late_is_waited_for_until_it_has_come_up_to_the_output() {
    for late in [200, 600, 900] {
        let settings = [("recovery-time", "0"), ("timeout", "300000000")];
        let (stage, primary, backup) = pair(&raw(), &settings);
        stage.every(20, 0..1_000, |at| backup.push(Frame::at(at)));
        // Preferred, and returned to at once: nothing of it can be sent for as long as it is late.
        stage.every(20, 1_000..6_000, |at| {
            primary.push(Frame::at(at - late));
            backup.push(Frame::at(at));
        });
        assert_eq!(stage.sent().runs().len(), 2, "late by {late}");
        assert_eq!(stage.switches().len(), 1);
        let expected = usize::try_from((5_000 - late) / 20).expect("a count");
        assert!(stage.sent().of(0).len() + 10 >= expected, "late by {late}");
    }
}
