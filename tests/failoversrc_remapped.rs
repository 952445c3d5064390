// SPDX-License-Identifier: MPL-2.0
//! MPEG-TS whose programme map changes in mid-stream: a stream comes later than the others, goes and comes again, or
//! continues with another PID. What continues is not interrupted, and what is added joins.

#[path = "support/http.rs"]
mod http;
#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/recording.rs"]
mod recording;
#[path = "support/ts.rs"]
mod ts;

use std::time::Duration;

use http::Http;
use programme::{Look, MS, Programme, both};
use recording::Recording;
use ts::{Pid, Streams, remapped};

const BOTH: [&str; 2] = ["audio_0", "video_0"];
const SECONDS: u32 = 12;
const WHOLE: Streams = Streams {
    video: Some(Pid::Own),
    audio: Some(Pid::Own),
};
const MUTE: Streams = Streams {
    audio: None,
    ..WHOLE
};
/// Less than two frames of the picture, which come every 40 ms.
const ONE_FRAME: gst::ClockTime = gst::ClockTime::from_mseconds(60);
/// The clock of the programme is that of its picture: sound that has come without it is placed a moment otherwise.
const NEW_CLOCK: gst::ClockTime = gst::ClockTime::from_mseconds(120);

/// Parts of the same length each.
fn sent(parts: &[Streams]) -> Http {
    let recording = Recording::new(Look::Primary, SECONDS, "ts");
    let bytes = std::fs::read(recording.path()).expect("a recording");
    Http::live(remapped(&bytes, parts), Duration::from_secs(SECONDS.into()))
}

/// In so many parts.
fn programme_of(parts: &[Streams]) -> (Http, Programme) {
    let server = sent(parts);
    let programme = Programme::new().set("primary-uri", server.uri("live.ts"));
    (server, programme)
}

/// So many frames have been shown.
fn shown(programme: &Programme, frames: usize) {
    programme.until("that much is shown", |record| {
        let video = record.output("video_0");
        video.is_some_and(|video| video.passed.len() > frames)
    });
}

/// No frame of it is missing, of the picture or the sound, and nothing was put in their place; it is the first attempt.
fn check_unbroken(programme: &Programme, names: &[&str], longest_step: gst::ClockTime) {
    let record = programme.record();
    let switches = record.switches();
    assert_eq!(
        (record.attempts(0), switches.len()),
        (1, 1),
        "{switches:?} {:?}",
        record.states
    );
    for name in names {
        let output = record.output(name).expect("an output");
        let pts: Vec<_> = output.passed.iter().filter_map(|p| p.pts).collect();
        // The first frames of a stream wait for each other.
        let settled = pts.get(10..).unwrap_or_default();
        let steps = settled.windows(2).map(|pair| pair[1] - pair[0]);
        let longest = steps.max().expect("frames");
        assert!(longest <= longest_step, "{name}: {longest}");
        let seen = &output.seen[10..];
        let others: Vec<_> = seen.iter().filter(|s| s.look != Look::Primary).collect();
        assert!(others.is_empty(), "{name}: {others:?}");
    }
}

/// One stream is there at first, and the other joins without interrupting it.
fn joined_by_the_other(first: Streams, name: &str, longest_step: gst::ClockTime) {
    let (_server, programme) = programme_of(&[first, WHOLE, WHOLE]);
    let programme = programme.start();
    programme.until_output_shows(name, Look::Primary);
    programme.until_all_show(Look::Primary);
    check_unbroken(&programme, &[name], longest_step);
    programme.finish(&BOTH);
}

#[test]
fn sound_that_a_later_map_adds_joins_the_picture() {
    joined_by_the_other(MUTE, "video_0", ONE_FRAME);
}

#[test]
fn a_picture_that_a_later_map_adds_joins_the_sound() {
    let dark = Streams {
        video: None,
        ..WHOLE
    };
    joined_by_the_other(dark, "audio_0", NEW_CLOCK);
}

#[test]
fn a_backup_whose_map_adds_its_sound_is_complete_from_then_on() {
    let server = sent(&[MUTE, WHOLE, WHOLE]);
    let programme = Programme::new()
        .set("primary-source", both(Look::Backup))
        .set("backup-uri", server.uri("live.ts"))
        .set("timeout", 500 * MS)
        .set("startup-timeout", 1_000 * MS)
        .start();
    programme.until("its sound is missed", |r| r.told(1, "incomplete"));
    programme.until("it is complete", |record| {
        let last = record.states.iter().rfind(|state| state.input == 1);
        last.is_some_and(|last| last.old == "incomplete" && last.new == "flowing")
    });
    assert_eq!(programme.record().attempts(1), 1);
    programme.finish(&BOTH);
}

/// Between key frames, beside a backup, with a timeout that leaves no time to begin once more.
fn goes_on_as(then: Streams) {
    let (_server, programme) = programme_of(&[WHOLE, then]);
    let programme = programme
        .set("backup-source", both(Look::Backup))
        .set("timeout", 500 * MS)
        .start();
    // Well into the second part.
    shown(&programme, 9 * 25);
    check_unbroken(&programme, &BOTH, ONE_FRAME);
    programme.finish(&BOTH);
}

#[test]
fn another_pid_of_the_sound_interrupts_nothing() {
    goes_on_as(Streams {
        audio: Some(Pid::Is(300)),
        ..WHOLE
    });
}

#[test]
fn another_pid_of_the_picture_interrupts_nothing() {
    goes_on_as(Streams {
        video: Some(Pid::Is(301)),
        ..WHOLE
    });
}

#[test]
fn other_pids_of_all_streams_interrupt_nothing() {
    goes_on_as(Streams {
        video: Some(Pid::Is(301)),
        audio: Some(Pid::Is(300)),
    });
}

#[test]
fn sound_that_is_away_for_less_than_the_timeout_is_no_switch() {
    let back = Streams {
        audio: Some(Pid::Is(300)),
        ..WHOLE
    };
    let parts: Vec<_> = (0..24)
        .map(|half_second| match half_second {
            0..10 => WHOLE,
            10 => MUTE,
            _ => back,
        })
        .collect();
    let (_server, programme) = programme_of(&parts);
    let programme = programme
        .set("backup-source", both(Look::Backup))
        .set("timeout", 1_000 * MS)
        .start();
    shown(&programme, 9 * 25);
    check_unbroken(&programme, &["video_0"], ONE_FRAME);
    let record = programme.record();
    let audio = record.output("audio_0").expect("an output");
    let replaced = audio.seen.iter().any(|seen| seen.look == Look::Slate);
    assert!(!replaced, "{}", record.history(audio.seen[0].arrival));
    drop(record);
    programme.finish(&BOTH);
}
