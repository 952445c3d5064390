// SPDX-License-Identifier: MPL-2.0
//! Inputs that lack a stream: a camera that dies beside its microphone, a muted microphone, sound alone.

#[path = "support/programme/mod.rs"]
mod programme;

use std::time::Instant;

use programme::{Look, MS, Programme, Record, both, gated, open};

const BOTH: [&str; 2] = ["audio_0", "video_0"];
const START: (i32, i32, &str) = (-1, 0, "startup");

fn playing(primary: &gst::Element) -> Programme {
    Programme::new()
        .set("primary-source", primary)
        .set("timeout", 500 * MS)
        .set("startup-timeout", 1_000 * MS)
        .set("recovery-time", 1_000 * MS)
}

fn beside_a_whole_backup(primary: &gst::Element) -> Programme {
    playing(primary).set("backup-source", both(Look::Backup))
}

/// As it was told last.
fn state(record: &Record, input: i32) -> Option<&str> {
    let mut states = record.states.iter().rev();
    states
        .find(|state| state.input == input)
        .map(|state| state.new.as_str())
}

#[test]
fn an_input_whose_camera_dies_is_left_until_its_picture_is_back() {
    let primary = gated(Look::Primary);
    let programme = beside_a_whole_backup(&primary).start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    open(&primary, "picture", false);
    programme.until_all_show(Look::Backup);
    assert_eq!(state(&programme.record(), 0), Some("incomplete"));
    open(&primary, "picture", true);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "incomplete"), (1, 0, "recovered")]);
    // Its sound was well, so its source is the same.
    assert_eq!(programme.record().attempts(0), 1);
    programme.finish(&BOTH);
}

#[test]
fn a_muted_microphone_leaves_the_picture_as_it_is() {
    let begun = Instant::now();
    let primary = gated(Look::Primary);
    let programme = playing(&primary).start();
    programme.until_all_show(Look::Primary);
    open(&primary, "sound", false);
    programme.until_show(Look::Primary, Look::Slate);
    assert_eq!(state(&programme.record(), 0), Some("incomplete"));
    open(&primary, "sound", true);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START]);
    {
        let record = programme.record();
        assert_eq!(record.attempts(0), 1);
        let video = record.output("video_0").expect("a picture");
        assert!(!video.has_shown(Look::Slate), "{}", record.history(begun));
    }
    programme.finish(&BOTH);
}

#[test]
fn a_microphone_that_may_pause_makes_no_switch() {
    let primary = gated(Look::Primary);
    let programme = beside_a_whole_backup(&primary)
        .set("audio-timeout", u64::MAX)
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    open(&primary, "sound", false);
    // Two seconds of picture: four times the timeout.
    let since = Instant::now();
    programme.until("the picture goes on", |record| {
        let video = record.output("video_0").expect("a picture");
        let shown = video.seen.iter().filter(|seen| seen.arrival > since);
        shown.filter(|seen| seen.look == Look::Primary).count() >= 50
    });
    programme.check_switches(&[START]);
    open(&primary, "sound", true);
    programme.until_all_show(Look::Primary);
    // Nothing of both is no pause.
    for valve in ["picture", "sound"] {
        open(&primary, valve, false);
    }
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[START, (0, 1, "stall")]);
    programme.finish(&BOTH);
}

#[test]
fn sound_alone_from_the_start_is_left_for_a_whole_backup() {
    let primary = gated(Look::Primary);
    open(&primary, "picture", false);
    let programme = beside_a_whole_backup(&primary).start();
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[START, (0, 1, "incomplete")]);
    open(&primary, "picture", true);
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

#[test]
fn where_both_lack_the_picture_the_sound_plays() {
    let (primary, backup) = (gated(Look::Primary), gated(Look::Backup));
    let programme = playing(&primary).set("backup-source", &backup).start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    open(&backup, "picture", false);
    programme.until("it lacks it", |record| {
        state(record, 1) == Some("incomplete")
    });
    open(&primary, "picture", false);
    programme.until_show(Look::Slate, Look::Primary);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}
