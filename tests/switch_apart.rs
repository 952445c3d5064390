// SPDX-License-Identifier: MPL-2.0
//! Inputs whose streams do not agree in time: picture and audio that come seconds apart, that restart one after the other or jump
//! alone, and what has no time at all. One offset for all, and lip-sync as it was sent.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Output, Sent, Stage, aac, h264, in_gop, ms, pair, raw, switch};
use std::cell::RefCell;

/// One stream of an input, and what it said of each frame.
struct Stream {
    feed: Feed,
    said: RefCell<Vec<u64>>,
}

impl Stream {
    fn new(stage: &Stage, name: &str, caps: &gst::Caps) -> Self {
        Self {
            feed: stage.feed(name, caps),
            said: RefCell::default(),
        }
    }

    /// A frame that was made at `made`, on the time base of its sender.
    fn push(&self, made: u64, base: u64) {
        self.said.borrow_mut().push(made);
        let is_video = self.feed.pad.current_caps() == Some(h264());
        let frame = if is_video {
            in_gop(made, 0)
        } else {
            Frame::at(made)
        };
        self.feed.push(frame.later(base));
    }

    /// How much later than they were made the frames are shown.
    fn placed(&self, frames: &[Sent]) -> Vec<i64> {
        let said = self.said.borrow();
        let own = frames.iter().filter(|sent| sent.input == self.feed.input);
        let placed = own.map(|sent| {
            let made = said[usize::try_from(sent.number).expect("a number")];
            sent.pts.expect("a time").cast_signed() - made.cast_signed()
        });
        placed.collect()
    }
}

/// A picture and its audio, of which one may come later than it should.
struct Pair {
    picture: Stream,
    audio: Stream,
    /// How late they come.
    late: [u64; 2],
}

impl Pair {
    /// The audio comes `apart` milliseconds later than the picture of the same time.
    fn new(stage: &Stage, input: u32, apart: i64) -> Self {
        let late = apart.unsigned_abs();
        Self {
            picture: Stream::new(stage, &format!("sink_{input}"), &h264()),
            audio: Stream::new(stage, &format!("sink_{input}_1"), &aac()),
            late: if apart < 0 { [late, 0] } else { [0, late] },
        }
    }

    fn push(&self, now: u64, base: u64) {
        self.push_each(now, [base; 2]);
    }

    fn push_each(&self, now: u64, bases: [u64; 2]) {
        let streams = [&self.picture, &self.audio];
        for ((stream, late), base) in streams.into_iter().zip(self.late).zip(bases) {
            if let Some(made) = now.checked_sub(late) {
                stream.push(made, base);
            }
        }
    }

    /// Between the last picture and the last audio of it that came out: nothing, if they came as they were sent.
    fn lip_sync(&self, pictures: &[Sent], audio: &[Sent]) -> i64 {
        let [picture, audio] =
            [(&self.picture, pictures), (&self.audio, audio)].map(|(stream, frames)| {
                let placed = stream.placed(frames);
                *placed.last().expect("something of it")
            });
        audio - picture
    }
}

/// Two inputs, the first whole, the second apart; on time bases of their own.
fn stage_with(apart: [i64; 2]) -> (Stage, Output, [Pair; 2]) {
    let stage = Stage::new(&[("timeout", "500000000"), ("recovery-time", "2000000000")]);
    let pairs = [0, 1].map(|input: u32| Pair::new(&stage, input, apart[input as usize]));
    let heard = stage.output("src_1");
    stage.play();
    (stage, heard, pairs)
}

const BASES: [u64; 2] = [50_000_000, 9_000_000];
const APART: [i64; 4] = [1_500, -1_500, 4_900, -4_900];

/// How many came out from then on, and how many of them a sink would drop that keeps the latency.
fn on_time(frames: &[Sent], latency: gst::ClockTime, from: u64) -> (usize, usize) {
    let late = |sent: &&Sent| sent.at > sent.pts.expect("a time") + latency.mseconds() + 20;
    let frames = || frames.iter().filter(|sent| sent.at >= from);
    (frames().count(), frames().filter(late).count())
}

#[test]
fn an_input_whose_streams_come_seconds_apart_plays() {
    for apart in APART {
        let (stage, heard, [input, _]) = stage_with([apart, 0]);
        stage.every(20, 0..20_000, |now| input.push(now, BASES[0]));
        assert_eq!(stage.switches(), [], "{apart}");
        let (pictures, audio) = (stage.sent(), heard.frames());
        assert_eq!(input.lip_sync(&pictures, &audio), 0, "{apart}");
        let latency = stage.out.latency().1;
        for frames in [&pictures, &audio] {
            let (came, late) = on_time(frames, latency, 10_000);
            assert!(
                came >= 495 && late == 0,
                "{apart}: {came}, {late} late, {latency}"
            );
        }
        let states = stage.told("failover-input-state");
        let bad = states
            .iter()
            .filter(|state| state.get("new") != Ok("flowing"));
        assert_eq!(bad.count(), 0, "{apart}: {states:?}");
    }
}

#[test]
fn one_whose_streams_come_seconds_apart_takes_over_and_is_left_and_returned_to() {
    for apart in APART {
        let (stage, heard, [apart_one, whole]) = stage_with([apart, 0]);
        let both = |now: u64, first: bool, second: bool| {
            if first {
                apart_one.push(now, BASES[0]);
            }
            if second {
                whole.push(now, BASES[1]);
            }
        };
        // The other one comes when this one is whole: it lacks its later stream at first.
        stage.every(20, 0..8_000, |now| both(now, true, false));
        stage.every(20, 8_000..12_000, |now| both(now, true, true));
        stage.every(20, 12_000..16_000, |now| both(now, false, true));
        stage.every(20, 16_000..36_000, |now| both(now, true, true));
        let expected = [switch(0, 1, "stall"), switch(1, 0, "recovered")];
        assert_eq!(stage.switches(), expected, "{apart}");
        stage.every(20, 36_000..46_000, |now| both(now, true, false));
        assert_eq!(stage.switches().len(), 2, "{apart}");
        let (pictures, audio) = (stage.sent(), heard.frames());
        assert_eq!(apart_one.lip_sync(&pictures, &audio), 0);
        assert_eq!(whole.lip_sync(&pictures, &audio), 0);
        stage.out.assert_one_programme();
        heard.assert_one_programme();
    }
}

#[test]
fn a_standby_whose_streams_come_seconds_apart_takes_over_without_a_hole() {
    for apart in APART {
        let (stage, heard, [whole, apart_one]) = stage_with([0, apart]);
        stage.every(20, 0..10_000, |now| {
            whole.push(now, BASES[0]);
            apart_one.push(now, BASES[1]);
        });
        stage.every(20, 10_000..24_000, |now| apart_one.push(now, BASES[1]));
        assert_eq!(stage.switches(), [switch(0, 1, "stall")], "{apart}");
        let (pictures, audio) = (stage.sent(), heard.frames());
        assert_eq!(apart_one.lip_sync(&pictures, &audio), 0, "{apart}");
        let latency = stage.out.latency().1;
        for frames in [pictures.of(1), audio.of(1)] {
            // Its own lateness, the timeout, and a key frame.
            let first = frames[0].pts.expect("a time");
            assert!(first <= 11_600, "{apart}: from {first} on");
            let (came, late) = on_time(&frames, latency, 17_000);
            assert!(came >= 345 && late == 0, "{apart}: {came}, {late} late");
        }
    }
}

/// The picture freezes, and then the sender restarts both streams at zero on the same connection.
#[test]
fn an_input_whose_time_restarts_behind_a_freeze_is_returned_to_in_sync() {
    for gap in [0, 1_000] {
        let (stage, heard, [primary, backup]) = stage_with([0, 0]);
        stage.every(20, 0..20_000, |now| {
            if now < 6_000 {
                primary.picture.push(now, 0);
            }
            if now < 9_000 {
                primary.audio.push(now, 0);
            }
            // Both start again, one maybe later than the other.
            if now >= 9_000 {
                primary.picture.said.borrow_mut().push(now);
                let at = now - 9_000;
                primary.picture.feed.push(in_gop(at, 0));
            }
            if now >= 9_000 + gap {
                primary.audio.said.borrow_mut().push(now);
                primary.audio.feed.push(Frame::at(now - 9_000));
            }
            backup.push(now, BASES[1]);
        });
        let expected = [switch(0, 1, "incomplete"), switch(1, 0, "recovered")];
        assert_eq!(stage.switches(), expected, "{gap}");
        let (pictures, audio) = (stage.sent(), heard.frames());
        assert_eq!(primary.lip_sync(&pictures, &audio), 0, "{gap}");
        stage.out.assert_one_programme();
        heard.assert_one_programme();
    }
}

#[test]
fn on_air_streams_that_restart_one_after_the_other_go_on() {
    for (gap, base) in [(0, 0), (400, 0), (1_000, 0), (3_000, 0), (400, 3_600_000)] {
        let (stage, heard, [primary, backup]) = stage_with([0, 0]);
        let start = 20_000;
        stage.every(20, 0..start, |now| {
            primary.push(now, 0);
            backup.push(now, BASES[1]);
        });
        stage.every(20, start..start + 10_000, |now| {
            for (stream, from) in [(&primary.picture, start), (&primary.audio, start + gap)] {
                stream.said.borrow_mut().push(now);
                let ts = if now < from { now } else { base + now - start };
                let is_delta = stream.feed.pad.current_caps() == Some(h264()) && now % 1_000 != 0;
                stream.feed.push(Frame::at(ts).delta_unless(!is_delta));
            }
            backup.push(now, BASES[1]);
        });
        assert_eq!(stage.switches(), [], "{gap}");
        let (pictures, audio) = (stage.sent(), heard.frames());
        assert_eq!(primary.lip_sync(&pictures, &audio), 0, "{gap}");
        for frames in [&pictures, &audio] {
            assert!(frames.len() >= 1_498, "{gap}: {}", frames.len());
            assert_eq!(frames.longest_step(), 20, "{gap}");
        }
        stage.out.assert_one_programme();
    }
}

#[test]
fn a_standby_whose_stream_jumps_alone_keeps_the_other_one() {
    let (stage, heard, [primary, backup]) = stage_with([0, 0]);
    stage.every(20, 0..6_200, |now| {
        primary.push(now, 0);
        let jump = if now < 6_000 { 0 } else { 3_600_000 };
        backup.push_each(now, [BASES[1], BASES[1] + jump]);
    });
    let asked = backup.picture.feed.key_frames_asked();
    primary.picture.feed.eos();
    primary.audio.feed.eos();
    stage.every(20, 6_200..9_000, |now| {
        backup.push_each(now, [BASES[1], BASES[1] + 3_600_000]);
    });
    assert_eq!(stage.switches(), [switch(0, 1, "eos")]);
    let pictures = stage.sent().of(1);
    // With its next key frame: it is not silent until then, and what it kept is not asked for again.
    assert_eq!(pictures[0].pts, Some(7_000));
    assert!(backup.picture.feed.key_frames_asked() <= asked + 3);
    let audio = heard.frames().of(1);
    assert!(audio.len() >= 98, "{}", audio.len());
}

/// As `h264parse` gives what comes by TCP: the first frame has the time of the stream's first byte, the others none.
fn half_timed(caps: &gst::Caps, n: u64) -> Frame {
    let frame = if n == 0 {
        Frame::at(0).decoded_at(0)
    } else {
        Frame::untimed()
    };
    frame.delta_unless(*caps == raw() || n.is_multiple_of(25))
}

#[test]
fn frames_of_which_the_first_alone_has_a_time_are_placed_when_they_come() {
    for live in [true, false] {
        for caps in [raw(), h264()] {
            stage::bounded(move || {
                let (stage, primary, backup) = pair(&caps, &[]);
                primary.declare(live, 0, None);
                let mut n = 0;
                stage.every(40, 6_000..10_000, |now| {
                    primary.push(half_timed(&caps, n));
                    backup.push(stage::frame_of(&caps, now));
                    n += 1;
                });
                let sent = stage.sent();
                assert!(sent.of(0).len() >= 98, "live {live}: {:?}", sent.runs());
                // The first waits for the second, which says that it comes in real time.
                let behind = sent.of(0).into_iter().skip(1);
                assert!(behind.into_iter().all(|frame| frame.pts == Some(frame.at)));
                // A freeze is noticed.
                stage.every(40, 10_000..11_000, |now| {
                    backup.push(stage::frame_of(&caps, now));
                });
                assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
            });
        }
    }
}

#[test]
fn a_frame_that_waits_for_its_time_is_no_sign_of_life() {
    stage::bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "0")]);
        primary.declare(false, 0, None);
        stage.every(20, 0..1_000, |now| {
            primary.push(Frame::at(now));
            backup.push(Frame::at(now));
        });
        let feed = primary.clone();
        let thread = std::thread::spawn(move || feed.try_push(Frame::at(60_000)));
        primary.wait_for_pushed(51);
        stage.wait_for_pending(2);
        stage.every_unsettled(20, 1_000..5_000, |now| backup.push(Frame::at(now)));
        assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
        let states = stage.told("failover-input-state");
        let flows = |state: &&gst::Structure| {
            state.get("input") == Ok(0) && state.get("new") == Ok("flowing")
        };
        assert_eq!(states.iter().filter(flows).count(), 1, "{states:?}");
        drop(stage);
        let _ = thread.join();
    });
}

/// A web radio by HTTP: not live by its own word, with frames of 20 ms that come when they are made.
#[test]
fn a_radio_that_skips_or_is_slow_is_never_late() {
    for (skip, slow) in [(400, 0), (0, 40), (150, 0), (400, 40)] {
        stage::bounded(move || {
            let stage = Stage::usual();
            let radio = stage.feed("sink_0", &aac());
            radio.declare(false, 0, None);
            stage.play();
            let (mut ts, mut next) = (0, 10_000);
            stage.every(1, 10_000..48_000, |now| {
                if now >= next {
                    radio.push(Frame::at(ts));
                    ts += 20;
                    next = now + 20;
                    // Some two percent: a millisecond in 40.
                    next += if slow > 0 && ts % slow == 0 { 1 } else { 0 };
                    next += if skip > 0 && ts % 3_000 == 0 { skip } else { 0 };
                }
            });
            assert_eq!(stage.switches(), [], "{skip} {slow}");
            let sent = stage.sent();
            let late = sent.iter().map(|sent| sent.at - sent.pts.expect("a time"));
            assert!(late.max() <= Some(250), "{skip} {slow}");
            let longest = sent.windows(2).map(|two| two[1].at - two[0].at).max();
            assert!(longest <= Some(25 + skip));
            assert!(stage.out.latency().1 <= ms(300), "{skip} {slow}");
        });
    }
}
