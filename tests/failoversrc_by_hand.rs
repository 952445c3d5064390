// SPDX-License-Identifier: MPL-2.0
//! What an application does to a playing failoversrc: holds and restarts inputs, turns properties,
//! pauses, and stops it from inside a callback. The output goes on as it should.

#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/recording.rs"]
mod recording;

use std::sync::mpsc::channel;
use std::time::Duration;

use gst::prelude::*;
use programme::{Look, MS, Programme, Record, both, gated, open};
use recording::Recording;

const BOTH: [&str; 2] = ["audio_0", "video_0"];
const START: (i32, i32, &str) = (-1, 0, "startup");
const FOR_EVER: u64 = 3_600_000 * MS;

/// Both inputs live; silence is not what is tested, and nothing is switched back.
fn live(primary: &gst::Element) -> Programme {
    Programme::new()
        .set("primary-source", primary)
        .set("backup-source", both(Look::Backup))
        .set("timeout", 10_000 * MS)
        .set("recovery-time", FOR_EVER)
}

fn standing_by(programme: &Programme) {
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
}

/// Waits until so many more pictures have come: the programme's own clock.
fn frames(programme: &Programme, count: usize) {
    let passed = |record: &Record| {
        record
            .output("video_0")
            .map_or(0, |video| video.passed.len())
    };
    let now = passed(&programme.record());
    programme.until("more pictures", |record| passed(record) >= now + count);
}

/// How often this input has begun to flow.
fn times_flowing(record: &Record, input: i32) -> usize {
    let states = record.states.iter();
    let flowing = states.filter(|state| state.input == input && state.new == "flowing");
    flowing.count()
}

#[test]
fn an_input_can_be_held_by_hand_and_released() {
    let programme = live(&both(Look::Primary))
        .set("recovery-time", 500 * MS)
        .start();
    standing_by(&programme);
    programme.src.emit_by_name::<()>("switch-to", &[&1i32]);
    programme.until_all_show(Look::Backup);
    assert_eq!(programme.src.property::<i32>("active-input"), 1);
    assert_eq!(programme.src.property::<i32>("force-input"), 1);
    // Two seconds of pictures: four times what a return would need.
    frames(&programme, 50);
    programme.check_switches(&[START, (0, 1, "manual")]);
    programme.src.emit_by_name::<()>("release", &[]);
    programme.until_all_show(Look::Primary);
    programme.src.set_property("force-input", 1i32);
    programme.until_all_show(Look::Backup);
    programme.src.set_property("force-input", -1i32);
    programme.until_all_show(Look::Primary);
    let back = (1, 0, "recovered");
    programme.check_switches(&[START, (0, 1, "manual"), back, (0, 1, "manual"), back]);
    // No such input: nothing happens.
    for nobody in [7, -2, i32::MIN] {
        programme.src.emit_by_name::<()>("switch-to", &[&nobody]);
        assert_eq!(programme.src.property::<i32>("force-input"), -1);
    }
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

#[test]
fn a_restarted_input_is_a_new_attempt() {
    let programme = live(&both(Look::Primary))
        .set("recovery-time", 500 * MS)
        .start();
    standing_by(&programme);
    programme.src.emit_by_name::<()>("restart-input", &[&1i32]);
    // Nobody takes over before it flows.
    programme.until("the backup is back", |record| times_flowing(record, 1) == 2);
    let record = programme.record();
    assert_eq!(record.attempts(1), 2, "{:#?}", record.states);
    drop(record);
    programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    let switches = programme.record().switches();
    assert_eq!(switches.last(), Some(&(1, 0, "recovered".to_owned())));
    assert_eq!(programme.record().attempts(0), 2);
    programme.src.emit_by_name::<()>("restart-input", &[&7i32]);
    programme.src.emit_by_name::<()>("restart-input", &[&-1i32]);
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

/// Each takes the element from an attempt that may not have begun yet.
#[test]
fn restarts_in_quick_succession_end_in_one_attempt_that_flows() {
    let programme = live(&both(Look::Primary)).start();
    standing_by(&programme);
    for _ in 0..20 {
        programme.src.emit_by_name::<()>("restart-input", &[&1i32]);
    }
    // Before the first of them is obeyed the backup flows as well.
    programme.until("the backup is back", |record| {
        let back = record.states.last().is_some_and(|s| s.new == "flowing");
        back && times_flowing(record, 1) >= 2
    });
    let record = programme.record();
    let failed = record.states.iter().any(|state| state.new == "down");
    assert!(!failed, "{:#?}", record.states);
    drop(record);
    programme.src.emit_by_name::<()>("switch-to", &[&1i32]);
    programme.until_all_show(Look::Backup);
    programme.finish(&BOTH);
}

fn stays_on_the_backup(switch_back: &str) {
    let programme = live(&both(Look::Primary))
        .set("recovery-time", 200 * MS)
        .set_nick("switch-back", switch_back)
        .start();
    standing_by(&programme);
    programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
    programme.until_all_show(Look::Backup);
    programme.until("the primary is well", |record| {
        times_flowing(record, 0) == 2
    });
    // Ten times the recovery time.
    frames(&programme, 50);
    assert_eq!(
        programme.record().switches().len(),
        2,
        "{:?}",
        programme.record().switches()
    );
    programme.src.emit_by_name::<()>("restart-input", &[&1i32]);
    programme.until_all_show(Look::Primary);
    assert_eq!(programme.record().switches().len(), 3);
    programme.finish(&BOTH);
}

#[test]
fn on_failure_means_that_the_backup_stays_until_it_fails() {
    stays_on_the_backup("on-failure");
}

#[test]
fn manual_means_that_the_backup_stays_until_it_fails() {
    stays_on_the_backup("manual");
}

#[test]
fn timeout_and_recovery_time_can_be_turned_while_playing() {
    let primary = gated(Look::Primary);
    let programme = live(&primary).set("timeout", FOR_EVER).start();
    standing_by(&programme);
    open(&primary, "picture", false);
    open(&primary, "sound", false);
    programme.src.set_property("timeout", 400 * MS);
    programme.until_all_show(Look::Backup);
    open(&primary, "picture", true);
    open(&primary, "sound", true);
    programme.src.set_property("recovery-time", 200 * MS);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "stall"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
}

#[test]
fn latency_can_be_turned_while_playing() {
    let programme = live(&both(Look::Primary)).start();
    standing_by(&programme);
    let reported = || {
        let mut query = gst::query::Latency::new();
        let pad = programme.src.static_pad("video_0").expect("a pad");
        assert!(pad.query(&mut query));
        let (live, min, max) = query.result();
        assert!(
            live && max.is_none_or(|max| max >= min),
            "{live} {min} {max:?}"
        );
        min
    };
    let before = reported();
    programme.src.set_property("latency", 700 * MS);
    assert!(reported() >= before + gst::ClockTime::from_mseconds(700));
    frames(&programme, 10);
    programme.src.set_property("latency", 0u64);
    assert_eq!(reported(), before);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn the_slate_can_be_turned_while_it_is_shown() {
    let primary = gated(Look::Primary);
    let programme = Programme::new()
        .set("primary-source", &primary)
        .set("timeout", 500 * MS)
        .set_nick("slate", "hold")
        .start();
    programme.until_all_show(Look::Primary);
    open(&primary, "picture", false);
    open(&primary, "sound", false);
    // The last picture stands, without a sound.
    programme.until_show(Look::Primary, Look::Slate);
    programme.src.set_property_from_str("slate", "black");
    programme.until_all_show(Look::Slate);
    programme.src.set_property_from_str("slate", "none");
    open(&primary, "picture", true);
    open(&primary, "sound", true);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn the_primary_uri_can_be_changed_while_playing() {
    let (first, second) = (
        Recording::new(Look::Primary, 60, "mp4"),
        Recording::new(Look::Third, 60, "mp4"),
    );
    let programme = live(&both(Look::Primary))
        .set("primary-source", None::<gst::Element>)
        .set("recovery-time", 200 * MS)
        .set("primary-uri", first.uri())
        .start();
    standing_by(&programme);
    programme.src.set_property("primary-uri", second.uri());
    programme.until_all_show(Look::Third);
    // What can never work is refused.
    for refused in [Some("nonsense://x"), Some(""), None] {
        programme.src.set_property("primary-uri", refused);
        let uri = programme.src.property::<Option<String>>("primary-uri");
        assert_eq!(uri, Some(second.uri()), "{refused:?}");
    }
    programme.until_all_show(Look::Third);
    programme.finish(&BOTH);
}

#[test]
fn each_source_can_be_configured_before_its_attempt() {
    let file = Recording::new(Look::Backup, 60, "mp4");
    let programme = live(&both(Look::Primary))
        .set("backup-source", None::<gst::Element>)
        .set("backup-uri", file.uri())
        .start();
    standing_by(&programme);
    let record = programme.record();
    assert!(
        record.configured.contains(&(0, "bin".to_owned())),
        "{:?}",
        record.configured
    );
    assert!(
        record.configured.contains(&(1, "urisourcebin".to_owned())),
        "{:?}",
        record.configured
    );
    drop(record);
    programme.finish(&BOTH);
}

#[test]
fn a_pause_longer_than_the_timeout_is_no_stall() {
    let programme = live(&both(Look::Primary)).set("timeout", 1000 * MS).start();
    standing_by(&programme);
    assert!(programme::set_state_bounded(
        &programme.pipeline,
        gst::State::Paused
    ));
    // The pause itself is what is tested.
    let clock = gst::SystemClock::obtain();
    let end = clock.time() + gst::ClockTime::from_mseconds(2500);
    let _ = clock.new_single_shot_id(end).wait();
    programme.play();
    programme.until_all_show(Look::Primary);
    frames(&programme, 30);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn the_application_may_stop_it_from_the_signal() {
    let programme = live(&both(Look::Primary));
    let (done, waiting) = channel();
    let pipeline = programme.pipeline.downgrade();
    programme.src.connect("switched", false, move |_| {
        let pipeline = pipeline.upgrade()?;
        let _ = done.send(pipeline.set_state(gst::State::Null));
        None
    });
    programme.play();
    let stopped = waiting
        .recv_timeout(Duration::from_secs(30))
        .expect("it hangs");
    assert!(stopped.is_ok());
    programme.finish_without_outputs();
}

#[test]
fn the_application_may_stop_it_from_a_message_handler() {
    programme::init();
    let src = gst::ElementFactory::make("failoversrc")
        .property("primary-source", both(Look::Primary))
        .build();
    let src = src.expect("failoversrc");
    let pipeline = gst::Pipeline::new();
    pipeline.add(&src).expect("added");
    let (done, waiting) = channel();
    let weak = pipeline.downgrade();
    pipeline
        .bus()
        .expect("a bus")
        .set_sync_handler(move |_, message| {
            let is_ours = message
                .structure()
                .is_some_and(|s| s.name() == "failover-switched");
            if let Some(pipeline) = weak.upgrade().filter(|_| is_ours) {
                let _ = done.send(pipeline.set_state(gst::State::Null));
            }
            gst::BusSyncReply::Drop
        });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let stopped = waiting
        .recv_timeout(Duration::from_secs(30))
        .expect("it hangs");
    assert!(stopped.is_ok());
    assert!(programme::set_state_bounded(&pipeline, gst::State::Null));
}

#[test]
fn the_statistics_say_what_is_going_on() {
    let programme = live(&both(Look::Primary)).start();
    standing_by(&programme);
    programme.src.emit_by_name::<()>("switch-to", &[&1i32]);
    programme.until_all_show(Look::Backup);
    // The start is not a change.
    assert_eq!(programme.src.property::<u64>("switches"), 1);
    let stats = programme.src.property::<gst::Structure>("stats");
    println!("{stats}");
    for field in ["num-slate-buffers", "num-sources-stopping"] {
        assert!(stats.has_field(field), "{field} in {stats}");
    }
    programme.finish(&BOTH);
}
