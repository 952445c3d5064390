// SPDX-License-Identifier: MPL-2.0
//! Elements and descriptions as inputs, no servers: one output from first to last, whatever happens
//! to its inputs and whatever the application turns.

#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/recording.rs"]
mod recording;
#[path = "support/stuck.rs"]
mod stuck;

use std::sync::mpsc::channel;
use std::time::Duration;

use gst::prelude::*;
use programme::{Look, MS, Programme, Record, both, element, gated, open, picture, tone};
use recording::Recording;
use stuck::Stuck;

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

#[test]
fn it_can_be_stopped_and_started_again_and_again() {
    let programme = live(&both(Look::Primary));
    for _ in 0..3 {
        programme.play();
        standing_by(&programme);
        programme.check_switches(&[START]);
        programme.check_outputs(&BOTH);
        programme.stop();
        programme.clear();
    }
    programme.play();
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

#[test]
fn what_is_changed_in_ready_counts_in_the_next_run() {
    let primary = gated(Look::Primary);
    let programme = Programme::new()
        .set("primary-source", &primary)
        .set("backup-source", both(Look::Backup))
        .start();
    standing_by(&programme);
    let ready = || programme::set_state_bounded(&programme.pipeline, gst::State::Ready);
    assert!(ready());
    programme.clear();
    programme.src.set_property_from_str("standby", "cold");
    programme.play();
    programme.until_all_show(Look::Primary);
    assert!(!programme.record().told(1, "connecting"));
    for valve in ["picture", "sound"] {
        open(&primary, valve, false);
    }
    programme.until_all_show(Look::Backup);
    assert!(ready());
    programme
        .src
        .set_property("primary-source", None::<gst::Element>);
    assert!(programme.pipeline.set_state(gst::State::Playing).is_err());
    let errors = programme.record().errors.join(" ");
    assert!(errors.contains("no primary is set"), "{errors}");
    programme.stop();
}

#[test]
fn what_happens_at_the_very_start_is_told_as_well() {
    let programme = live(&both(Look::Primary));
    for _ in 0..10 {
        programme.play();
        standing_by(&programme);
        programme.check_switches(&[START]);
        for input in [0, 1] {
            assert!(programme.record().told(input, "connecting"));
            assert!(programme.record().told(input, "flowing"));
        }
        programme.stop();
        programme.clear();
    }
    programme.play();
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

#[test]
fn after_an_error_of_the_primary_the_next_frame_is_the_backups() {
    let breaking = format!(
        "{} ! identity error-after=75 {}",
        picture(Look::Primary),
        tone(Look::Primary)
    );
    let programme = live(&element(&breaking)).start();
    standing_by(&programme);
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[START, (0, 1, "error")]);
    {
        let record = programme.record();
        let video = record.output("video_0").expect("a picture");
        let cut = video
            .seen
            .iter()
            .position(|seen| seen.look == Look::Backup)
            .expect("the backup");
        let pts = |at: usize| video.passed[at].pts.expect("a PTS");
        let step = pts(cut) - pts(cut - 1);
        assert!(
            step <= gst::ClockTime::from_mseconds(120),
            "three frames are missing: {step}"
        );
        assert!(video.longest_gap(video.seen[cut].arrival) < Duration::from_secs(2));
        assert!(
            record
                .states
                .iter()
                .any(|s| s.input == 0 && s.new == "down" && s.cause == "error")
        );
        assert!(
            record
                .states
                .iter()
                .any(|s| s.input == 0 && !s.text.is_empty()),
            "no reason is told"
        );
    }
    programme.finish(&BOTH);
}

#[test]
fn the_end_of_a_live_primary_is_a_failure() {
    let ending = format!(
        "{} ! identity eos-after=75 {} ! identity eos-after=129",
        picture(Look::Primary),
        tone(Look::Primary)
    );
    let programme = live(&element(&ending)).start();
    standing_by(&programme);
    programme.until_all_show(Look::Backup);
    programme.until("the primary is tried again", |record| {
        record.attempts(0) > 1
    });
    programme.check_switches(&[START, (0, 1, "eos")]);
    assert!(!programme.record().eos);
    programme.finish(&BOTH);
}

#[test]
fn a_silent_stream_is_found_in_the_other_input_and_all_silent_is_a_slate() {
    let (primary, backup) = (gated(Look::Primary), gated(Look::Backup));
    let programme = live(&primary)
        .set("backup-source", &backup)
        .set("timeout", 500 * MS)
        .start();
    standing_by(&programme);
    // Only the sound stops; the picture leaves with it.
    open(&primary, "sound", false);
    programme.until_all_show(Look::Backup);
    open(&primary, "picture", false);
    open(&backup, "picture", false);
    open(&backup, "sound", false);
    programme.until_all_show(Look::Slate);
    open(&backup, "picture", true);
    open(&backup, "sound", true);
    programme.until_all_show(Look::Backup);
    let switches = programme.record().switches();
    assert_eq!(switches[1], (0, 1, "incomplete".to_owned()));
    programme.finish(&BOTH);
}

#[test]
fn where_it_is_asked_for_the_slate_is_there_before_any_input() {
    let (primary, backup) = (gated(Look::Primary), gated(Look::Backup));
    for valve in ["picture", "sound"] {
        open(&primary, valve, false);
        open(&backup, valve, false);
    }
    let programme = live(&primary)
        .set("backup-source", &backup)
        .set("startup-timeout", FOR_EVER)
        .set("slate-from-start", true)
        .start();
    programme.until_all_show(Look::Slate);
    programme.check_switches(&[]);
    for valve in ["picture", "sound"] {
        open(&primary, valve, true);
    }
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn what_the_input_on_air_has_not_is_filled_in() {
    let programme = live(&element(&picture(Look::Primary)))
        .set("backup-source", element(&tone(Look::Backup)))
        .start();
    programme.until_show(Look::Primary, Look::Slate);
    programme.src.emit_by_name::<()>("switch-to", &[&1i32]);
    programme.until_show(Look::Slate, Look::Backup);
    programme.src.emit_by_name::<()>("switch-to", &[&0i32]);
    programme.until_show(Look::Primary, Look::Slate);
    programme.finish(&BOTH);
}

/// Another codec, size, frame rate and sample rate.
fn coded(look: Look, form: &str) -> gst::Element {
    let colour = 0xff00_0000_u32 | look.colour();
    let picture = format!(
        "videotestsrc is-live=true pattern=solid-color foreground-color={colour} ! video/x-raw,format=I420"
    );
    let tone = format!(
        "audiotestsrc is-live=true freq={} samplesperbuffer=1024 ! audio/x-raw",
        look.tone()
    );
    element(&match form {
        "h264" => format!(
            "{picture},width=640,height=360,framerate=25/1 ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 \
             {tone},rate=44100,channels=2 ! avenc_aac"
        ),
        "vp8" => format!(
            "{picture},width=320,height=240,framerate=30/1 ! vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 \
             {tone},rate=48000,channels=1 ! opusenc"
        ),
        _ => format!(
            "{picture},width=176,height=144,framerate=15/1 ! identity \
             {tone},format=S16LE,rate=32000,channels=1 ! identity"
        ),
    })
}

fn survives(primary: &str, backup: &str) {
    let programme = live(&coded(Look::Primary, primary))
        .set("backup-source", coded(Look::Backup, backup))
        .start();
    standing_by(&programme);
    programme.src.set_property("force-input", 1i32);
    programme.until_all_show(Look::Backup);
    programme.src.set_property("force-input", 0i32);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "manual"), (1, 0, "manual")]);
    programme.finish(&BOTH);
}

#[test]
fn a_backup_with_another_codec_is_decoded() {
    survives("h264", "vp8");
}

#[test]
fn a_raw_backup_of_a_coded_primary_is_passed_on() {
    survives("vp8", "raw");
}

#[test]
fn a_coded_backup_of_a_raw_primary_is_decoded() {
    survives("raw", "h264");
}

#[test]
fn dynamic_pads_inside_a_description_are_found() {
    let file = Recording::new(Look::Primary, 1, "mp4");
    let location = file.path().display().to_string();
    let programme = Programme::new()
        .set(
            "primary-source",
            element(&format!("filesrc location={location} ! qtdemux")),
        )
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("it ends", |record| record.eos);
    assert!(programme.record().outputs.iter().all(|output| output.eos));
    programme.finish(&BOTH);
}

#[test]
fn in_gst_launch_syntax_a_source_is_written_as_a_description() {
    programme::init();
    let line = "failoversrc name=f primary-source=\"videotestsrc is-live=true\" \
                backup-source=\"videotestsrc is-live=true ! identity\" f. ! fakesink name=sink";
    let pipeline = gst::parse::launch(line)
        .expect("a valid line")
        .downcast::<gst::Pipeline>()
        .expect("a pipeline");
    let (came, coming) = channel();
    let sink = pipeline
        .by_name("sink")
        .and_then(|sink| sink.static_pad("sink"))
        .expect("a pad");
    sink.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = came.send(());
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).expect("it plays");
    for _ in 0..10 {
        coming
            .recv_timeout(Duration::from_secs(30))
            .expect("a picture");
    }
    assert!(programme::set_state_bounded(&pipeline, gst::State::Null));
}

#[test]
fn no_more_pads_is_said_when_every_input_has_shown_its_own() {
    // The backup is simpler, thus sooner there, and has no sound.
    let programme =
        live(&both(Look::Primary)).set("backup-source", element(&picture(Look::Backup)));
    let (say, said) = channel();
    programme.src.connect_no_more_pads(move |src| {
        let _ = say.send(src.num_src_pads());
    });
    programme.play();
    assert_eq!(said.recv_timeout(Duration::from_secs(30)), Ok(2));
    programme.until_all_show(Look::Primary);
    assert!(said.try_recv().is_err(), "it is said once");
    programme.finish(&BOTH);
}

#[test]
fn files_are_played_at_their_pace_and_the_end_of_all_is_the_end() {
    play_to_the_end("mp4");
}

/// Its demuxer is not parsebin's.
#[test]
fn files_of_mpeg_ts_end_as_others_do() {
    play_to_the_end("ts");
}

fn play_to_the_end(container: &str) {
    let (primary, backup) = (
        Recording::new(Look::Primary, 2, container),
        Recording::new(Look::Backup, 4, container),
    );
    let programme = Programme::new()
        .set("primary-uri", primary.uri())
        .set("backup-uri", backup.uri())
        .start();
    programme.until("it ends", |record| record.eos);
    programme.check_switches(&[START, (0, 1, "eos")]);
    {
        let record = programme.record();
        let video = record.output("video_0").expect("a picture");
        assert!(video.has_shown(Look::Primary) && video.has_shown(Look::Backup));
        let first = video.passed.first().expect("a picture").arrival;
        let played = video.passed.last().expect("a picture").arrival - first;
        assert!(
            played >= Duration::from_millis(2500),
            "faster than its pace: {played:?}"
        );
        assert!(record.outputs.iter().all(|output| output.eos));
    }
    programme.finish(&BOTH);
}

#[test]
fn a_file_beside_a_live_primary_is_played_again_and_again() {
    let backup = Recording::new(Look::Backup, 1, "mp4");
    let programme = Programme::new()
        .set("primary-source", both(Look::Primary))
        .set("backup-uri", backup.uri())
        .set("recovery-time", FOR_EVER)
        .start();
    programme.until("the file is played again", |record| record.attempts(1) >= 3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn a_source_that_does_not_start_and_says_nothing_has_failed_at_once() {
    let programme = Programme::new()
        .set("primary-source", Stuck::unwilling())
        .set("backup-source", both(Look::Backup))
        .set("startup-timeout", FOR_EVER)
        .start();
    programme.until_all_show(Look::Backup);
    programme.until("it is told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 0 && s.text.contains("could not be started"))
    });
    programme.finish(&BOTH);
}

#[test]
fn an_input_that_nobody_takes_has_failed_and_harms_no_other() {
    let primary = gated(Look::Primary);
    let small = picture(Look::Backup).replace("width=320,height=180", "width=160,height=90");
    let backup = element(&format!("{small} {}", tone(Look::Backup)));
    let programme = Programme::new()
        .set("primary-source", &primary)
        .set("backup-source", &backup)
        .taking("video/x-raw,width=320")
        .start();
    standing_by(&programme);
    for valve in ["picture", "sound"] {
        open(&primary, valve, false);
    }
    programme.until("it is told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 1 && s.text.contains("video_0 does not take video/x-raw"))
    });
    for valve in ["picture", "sound"] {
        open(&primary, valve, true);
    }
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

/// A camera in a bin of the application, behind a pad of that bin.
fn camera(bin: &gst::Bin, look: Look) -> (gst::Element, gst::GhostPad) {
    let camera = element(&picture(look));
    bin.add(&camera).expect("added");
    let source = camera.static_pad("src").expect("its pad");
    let pad = gst::GhostPad::builder_with_target(&source).expect("a pad");
    (camera, pad.name(format!("{look:?}")).build())
}

#[test]
fn a_picture_in_the_place_of_another_is_shown_in_its_place() {
    programme::init();
    for new_first in [true, false] {
        let bin = gst::Bin::new();
        let (old, old_pad) = camera(&bin, Look::Primary);
        bin.add_pad(&old_pad).expect("added");
        let programme = Programme::new()
            .set("primary-source", &bin)
            .set("timeout", 10_000 * MS)
            .start();
        programme.until_output_shows("video_0", Look::Primary);
        let add = || {
            let (new, pad) = camera(&bin, Look::Third);
            pad.set_active(true).expect("active");
            bin.add_pad(&pad).expect("added");
            new.sync_state_with_parent().expect("playing");
        };
        let remove = || {
            old.set_locked_state(true);
            old.set_state(gst::State::Null).expect("NULL");
            bin.remove_pad(&old_pad).expect("removed");
            bin.remove(&old).expect("removed");
        };
        if new_first {
            add();
            remove();
        } else {
            remove();
            add();
        }
        programme.until_output_shows("video_0", Look::Third);
        programme.check_switches(&[START]);
        programme.stop();
    }
}

#[test]
fn a_file_waits_in_a_pause_and_goes_on() {
    for form in ["decoded", "encoded"] {
        let file = Recording::new(Look::Primary, 3, "mp4");
        let programme = Programme::new()
            .set("primary-uri", file.uri())
            .set_nick("output", form)
            .start();
        let pictures = |record: &Record| record.output("video_0").map_or(0, |o| o.passed.len());
        programme.until("a second of pictures", |record| pictures(record) >= 25);
        for _ in 0..3 {
            programme::set_state_bounded(&programme.pipeline, gst::State::Paused);
            // A file that is not held up is at its end in no time.
            let ended = programme.comes_true(Duration::from_millis(300), |r| r.told(0, "down"));
            assert!(!ended, "it played on in the pause");
            programme.play();
        }
        programme.until("the end", |record| {
            record.output("video_0").is_some_and(|o| o.eos)
        });
        let record = programme.record();
        assert!(pictures(&record) >= 74, "{form}: {}", pictures(&record));
    }
}

#[test]
fn a_still_image_is_a_backup_for_as_long_as_it_is_needed() {
    let primary = gated(Look::Primary);
    let image = Recording::still(Look::Backup);
    let programme = Programme::new()
        .set("primary-source", &primary)
        .set("backup-uri", image.uri())
        .set("timeout", 500 * MS)
        .set("recovery-time", 1_000 * MS)
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the image stands by", |record| record.told(1, "flowing"));
    for valve in ["picture", "sound"] {
        open(&primary, valve, false);
    }
    programme.until_show(Look::Backup, Look::Slate);
    let since = std::time::Instant::now();
    programme.until("it stays", |record| {
        let video = record.output("video_0").expect("a picture");
        let shown = video.seen.iter().filter(|seen| seen.arrival > since);
        shown.filter(|seen| seen.look == Look::Backup).count() >= 20
    });
    for valve in ["picture", "sound"] {
        open(&primary, valve, true);
    }
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "stall"), (1, 0, "recovered")]);
    // One decoding, and nothing to come back from.
    assert_eq!(programme.record().attempts(1), 1);
    programme.finish(&BOTH);
}
