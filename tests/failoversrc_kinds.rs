// SPDX-License-Identifier: MPL-2.0
//! Kinds of input that have no source of their own here, each as the primary with the same kind as its backup: RTSP, SRT
//! and MPEG-TS over UDP, from real servers and senders. Whatever is killed, freezes and comes back, the output plays on,
//! measured frame by frame: no frame is broken, picture and sound are of one input, and as far apart as they were sent.

#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/meter/mod.rs"]
mod meter;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;

use gst::prelude::*;

use lab::{free_port, free_udp_port};
use meter::{Recipe, Report};
use pair::{BACKUP, PRIMARY, Pair};
use programme::{MS, Programme};

const TIMEOUT: f64 = 0.5;
/// What a busy machine, and streams that come in packets of more than one frame, add to each freeze.
const MARGIN: f64 = 0.25;
/// At 25 frames per second.
const FRAME: f64 = 0.04;
/// 1024 samples at 48 kHz.
const AAC_PACKET: f64 = 0.022;
/// A sender that is killed is seen to go, or silent from then on.
const DEATHS: [&str; 3] = ["eos", "error", "stall"];
/// 11 frames of AAC fill the packet in which ffmpeg sends them over MPEG-TS.
const FFMPEG_SOUND: f64 = 0.25;

/// Where a stream is sent, and where it is played.
struct Place {
    sent: String,
    played: String,
}

struct Kind {
    /// A place for another stream.
    place: fn() -> io::Result<Place>,
    /// How long the sound is that comes at once. What has not come when the picture is cut does not come any more:
    /// the sound of the other input follows at once, for as long before its picture.
    sound: f64,
    /// How much later it may be placed than before by what takes the burst of a sender that was frozen.
    burst: f64,
    /// The same of a sender that has been restarted and has waited to be taken: it sends what it has read meanwhile.
    waited: f64,
    /// How far its streams may be apart beyond what a meter cannot tell.
    apart: f64,
}

/// rtspsrc's jitter buffer takes what came late for the pace of its sender, and follows that slowly.
const JITTER_BUFFER: f64 = 0.6;

/// As rtspsrc prefers it: a pair of ports for each stream.
const RTSP_OVER_UDP: Kind = Kind {
    place: || {
        let sent = format!("rtsp://127.0.0.1:{}/live", free_port()?);
        let played = sent.clone();
        Ok(Place { sent, played })
    },
    sound: 0.0,
    burst: JITTER_BUFFER,
    waited: 0.0,
    // rtspsrc knows how far its streams are apart from their first sender reports on.
    apart: AAC_PACKET,
};

/// All of it in the connection of the requests.
const RTSP_OVER_TCP: Kind = Kind {
    place: || {
        let Place { sent, played } = (RTSP_OVER_UDP.place)()?;
        let played = played.replace("rtsp://", "rtspt://");
        Ok(Place { sent, played })
    },
    ..RTSP_OVER_UDP
};

/// The sender is called.
const SRT: Kind = Kind {
    place: || {
        let url = format!("srt://127.0.0.1:{}", free_udp_port()?);
        let [sent, played] = ["listener", "caller"].map(|mode| format!("{url}?mode={mode}"));
        Ok(Place { sent, played })
    },
    sound: 0.0,
    burst: 0.0,
    waited: 0.0,
    apart: 0.0,
};

/// The sender calls.
const SRT_LISTENER: Kind = Kind {
    place: || {
        let Place { sent, played } = (SRT.place)()?;
        Ok(Place {
            sent: played,
            played: sent,
        })
    },
    // The caller before it is waited for.
    waited: 0.3,
    ..SRT
};

const MPEG_TS_OVER_UDP: Kind = Kind {
    place: || {
        let sent = format!("udp://127.0.0.1:{}", free_udp_port()?);
        let played = sent.clone();
        Ok(Place { sent, played })
    },
    sound: FFMPEG_SOUND,
    burst: 0.0,
    waited: 0.0,
    apart: 0.0,
};

/// A key frame every 0.8 seconds.
fn recipe(name: u8) -> Recipe {
    let mut recipe = Recipe::small(name);
    recipe.drawing.fps = 25;
    recipe.gop = 20;
    recipe
}

struct Scene {
    pair: Pair,
    kind: Kind,
    /// How far the streams of what is on air may be apart beyond what a meter cannot tell.
    apart: f64,
}

impl Scene {
    /// The primary is on air and the backup stands by.
    fn set(kind: Kind) -> io::Result<Self> {
        let [primary, backup] = [(kind.place)()?, (kind.place)()?];
        let programme = Programme::new()
            .set("primary-uri", primary.played)
            .set("backup-uri", backup.played)
            .set("timeout", 500 * MS)
            .set("retry-max", 300 * MS);
        let mut pair = Pair::publish([primary.sent, backup.sent], recipe, programme)?;
        pair.programme.play();
        pair.until_on_air();
        // Nothing is known of an input's place in time yet when it goes on air with its first buffers.
        pair.until_settled(50);
        // So long is listened to a source that has fallen silent.
        let src = &pair.programme.src;
        src.set_property("startup-timeout", 2_000 * MS);
        let apart = kind.apart;
        Ok(Self { pair, kind, apart })
    }

    /// One cut to this input, behind a picture that stands for no longer than this.
    fn cut_to(&mut self, name: u8, freeze: f64) {
        let report = self.pair.until_shown(name);
        assert_eq!(report.sight.switches(), 1, "{report:?}");
        assert!(report.sight.freeze <= freeze + MARGIN, "{report:?}");
        assert!(report.hearing.behind_picture.is_some(), "{report:?}");
        self.check(&report);
    }

    /// From this input to a slate, or from a slate to this input.
    fn alone(&mut self, name: u8, shown: fn(&mut Pair) -> Report) {
        let report = shown(&mut self.pair);
        let runs = &report.sight.runs;
        assert!(runs.len() == 1 && runs[0].0 == name, "{report:?}");
        self.check(&report);
    }

    /// Nothing is broken, nor of two inputs at once, and all is as far apart as it was sent.
    fn check(&self, report: &Report) {
        let Report { sight, hearing, .. } = report;
        assert_eq!((sight.broken, sight.reordered), (0, 0), "{report:?}");
        // Where a cut falls, a picture of the one may last as long as a packet of the other.
        let mixed = self.kind.sound + FRAME + AAC_PACKET;
        assert!(hearing.mixed <= mixed, "{report:?}");
        // Before a slate there may be too little to tell.
        let [least, usual, most] = hearing.behind_picture.unwrap_or_default();
        assert!(usual.abs() <= 0.02 + self.apart, "{report:?}");
        // At the cut, audio that is still of the one input is compared with frames that are of the other: they are as far
        // apart as the inputs, by less than a frame or by those that come again.
        let frames = u32::try_from(sight.repeated).unwrap_or(u32::MAX);
        let apart = (f64::from(frames) + 1.0) * FRAME + self.apart;
        assert!(least.abs().max(most.abs()) <= 0.045 + apart, "{report:?}");
    }

    fn killed_and_back(&mut self) -> io::Result<()> {
        self.pair.primary.kill9();
        self.cut_to(BACKUP, TIMEOUT);
        self.pair.primary.restart()?;
        self.cut_to(PRIMARY, self.kind.waited);
        Ok(())
    }

    fn frozen_and_thawed(&mut self) -> io::Result<()> {
        self.pair.primary.freeze()?;
        self.cut_to(BACKUP, TIMEOUT);
        self.pair.primary.thaw()?;
        self.cut_to(PRIMARY, self.kind.burst);
        // Each of its streams has a jitter buffer of its own, which took the burst in its own way.
        self.apart += self.kind.burst;
        Ok(())
    }

    fn both_down_and_back(&mut self) -> io::Result<()> {
        self.pair.backup.kill9();
        self.pair.primary.kill9();
        self.alone(PRIMARY, Pair::until_black);
        self.apart = self.kind.apart;
        self.pair.backup.restart()?;
        self.alone(BACKUP, |pair| pair.until_shown(BACKUP));
        self.pair.primary.restart()?;
        self.cut_to(PRIMARY, self.kind.waited);
        Ok(())
    }

    /// From the primary to the backup and back, once for each of these causes.
    fn finish(self, causes: &[&[&str]]) {
        let programme = &self.pair.programme;
        let switches = programme.record().switches();
        let left = switches.iter().filter(|(from, ..)| *from == 0);
        let left: Vec<_> = left.map(|(.., cause)| cause.as_str()).collect();
        let is_one_of = left
            .iter()
            .zip(causes)
            .all(|(cause, of)| of.contains(cause));
        assert!(is_one_of, "{left:?}");
        let there_and_back = left.iter().take(causes.len());
        let there_and_back = there_and_back.flat_map(|cause| [(0, 1, *cause), (1, 0, "recovered")]);
        let expected: Vec<_> = [(-1, 0, "startup")]
            .into_iter()
            .chain(there_and_back)
            .collect();
        programme.check_switches(&expected);
        self.pair.finish();
    }
}

/// All that can happen, one after the other, since setting the scene takes as long as an act.
fn play(kind: Kind) -> io::Result<()> {
    let mut scene = Scene::set(kind)?;
    scene.killed_and_back()?;
    scene.frozen_and_thawed()?;
    scene.both_down_and_back()?;
    scene.finish(&[&DEATHS, &["stall"], &DEATHS]);
    Ok(())
}

#[test]
fn rtsp_over_udp_is_covered_and_taken_back() {
    meter::on_a_steady_machine(|| play(RTSP_OVER_UDP).expect("the lab"));
}

#[test]
fn rtsp_over_tcp_is_covered_and_taken_back() {
    meter::on_a_steady_machine(|| play(RTSP_OVER_TCP).expect("the lab"));
}

#[test]
fn srt_is_covered_and_taken_back() {
    meter::on_a_steady_machine(|| play(SRT).expect("the lab"));
}

#[test]
fn mpeg_ts_over_udp_is_covered_and_taken_back() {
    meter::on_a_steady_machine(|| play(MPEG_TS_OVER_UDP).expect("the lab"));
}

#[test]
fn srt_that_calls_is_covered_and_taken_when_it_calls_again() {
    meter::on_a_steady_machine(|| play(SRT_LISTENER).expect("the lab"));
}
