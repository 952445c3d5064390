// SPDX-License-Identifier: MPL-2.0
//! Bad input is told, not suffered: what can never work is one clear error at READY, what fails later
//! is a report with a reason and is tried again at leisure; never a panic, a hang, or a secret told.

#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/witness.rs"]
mod witness;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use gst::prelude::*;
use programme::{Look, MS, Programme, both, element, picture};
use witness::{HttpServer, Log};

const KEY: &str = "s3cretkey";
const TOKEN: &str = "t0ken7value";
const PASSWORD: &str = "passw0rdword";
const SECRETS: [&str; 3] = [KEY, TOKEN, PASSWORD];

/// The change to READY fails with exactly one error, which says each of `words`.
fn refused(programme: &Programme, words: &[&str]) {
    let result = programme.pipeline.set_state(gst::State::Ready);
    assert!(result.is_err(), "READY in spite of it: {words:?}");
    let record = programme.record();
    let [error] = record.errors.as_slice() else {
        panic!("not one error: {:?}", record.errors);
    };
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
    check_secrets(error);
}

fn check_secrets(text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "a secret in {text:?}");
    }
}

/// One whose inputs are as given, the backup always well.
fn beside_a_backup() -> Programme {
    Programme::new().set("backup-source", element(&picture(Look::Backup)))
}

/// Plays the backup, says why the primary is not there, and tries it again, but not in a tight loop.
fn reported(programme: Programme, word: &str) {
    let programme = programme.set("startup-timeout", 1500 * MS).start();
    programme.until_output_shows("video_0", Look::Backup);
    programme.until("the reason is told", |record| {
        let mut states = record.states.iter();
        states.any(|state| state.input == 0 && state.text.contains(word))
    });
    let attempts = programme.record().attempts(0);
    programme.until("another attempt", |record| record.attempts(0) > attempts);
    let record = programme.record();
    let played = record.outputs[0].passed.iter().map(|passed| passed.arrival);
    let span = played
        .clone()
        .max()
        .zip(played.min())
        .map_or(Duration::ZERO, |(a, b)| a - b);
    // 200 ms at the least between two attempts, jitter aside, and the first ones at once.
    let most = 4 + 2 * usize::try_from(span.as_millis() / 200).expect("a small number");
    assert!(
        record.attempts(0) <= most,
        "{} attempts in {span:?}",
        record.attempts(0)
    );
    drop(record);
    check_record(&programme);
    programme.check_no_error();
    programme.stop();
}

/// No secret in anything that the application is told.
fn check_record(programme: &Programme) {
    let record = programme.record();
    let texts = record
        .errors
        .iter()
        .chain(&record.warnings)
        .chain(&record.messages);
    texts.for_each(|text| check_secrets(text));
    record
        .states
        .iter()
        .for_each(|state| check_secrets(&state.text));
}

/// No secret in anything that is logged.
fn check_log(log: &Log) {
    let lines = log.lines();
    assert!(lines.len() > 5, "the log says nothing: {lines:?}");
    lines.iter().for_each(|line| check_secrets(line));
}

#[test]
fn no_input_at_all_is_refused() {
    refused(&Programme::new(), &["primary-uri", "primary-source"]);
}

#[test]
fn a_backup_alone_is_refused() {
    let programme = Programme::new().set("backup-uri", "rtmp://127.0.0.1/live/x");
    refused(&programme, &["primary"]);
}

#[test]
fn an_empty_uri_is_no_uri() {
    refused(&Programme::new().set("primary-uri", ""), &["primary"]);
}

#[test]
fn uris_that_can_never_work_are_refused_by_name() {
    for (uri, words) in [
        ("nonsense://host/path", &["primary", "nonsense"][..]),
        ("whep:///endpoint", &["primary", "host"]),
        ("ams://host/app", &["primary", "ams", "names no stream"]),
        ("not a uri", &["primary", "scheme"]),
        ("/tmp/file.mp4", &["primary", "scheme"]),
        ("://", &["primary"]),
        (":", &["primary"]),
        ("rtmp://", &["primary", "host"]),
        ("rtmp:///live/key", &["primary", "host"]),
        ("rtmp://127.0.0.1:port/live/key", &["primary", "port"]),
        ("rtmp://127.0.0.1:99999/live/key", &["primary", "port"]),
        ("rtmp://127.0.0.1", &["primary"]),
        ("http://", &["primary", "host"]),
        ("rtsp://", &["primary", "host"]),
    ] {
        let programme = beside_a_backup().set("primary-uri", uri);
        let result =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| refused(&programme, words)));
        assert!(result.is_ok(), "{uri}");
    }
}

#[test]
fn a_bad_backup_is_refused_by_its_own_name() {
    let programme = || Programme::new().set("primary-source", both(Look::Primary));
    refused(
        &programme().set("backup-uri", "nonsense://x"),
        &["backup", "nonsense"],
    );
    let uris = gst::Array::new(["rtmp://127.0.0.1/live/a", "nonsense://x"]);
    refused(
        &programme().set("backup-uris", uris),
        &["backup-uris[1]", "nonsense"],
    );
}

#[test]
fn secrets_stay_out_of_a_refusal() {
    for uri in [
        format!("nonsense://user:{PASSWORD}@host/{KEY}?token={TOKEN}"),
        format!("rtmp://user:{PASSWORD}@:x/live/{KEY}?token={TOKEN}"),
        format!("rtmp://user:{PASSWORD}@host:x/live/{KEY}?token={TOKEN}"),
        format!("{KEY} {TOKEN}"),
    ] {
        refused(&Programme::new().set("primary-uri", uri), &["primary"]);
    }
}

#[test]
fn one_element_cannot_be_two_inputs() {
    let twice = both(Look::Primary);
    let programme = Programme::new()
        .set("primary-source", &twice)
        .set("backup-source", &twice);
    refused(
        &programme,
        &["primary-source", "backup-source", &twice.name()],
    );
}

#[test]
fn an_element_of_another_bin_is_refused() {
    let taken = both(Look::Primary);
    let bin = gst::Bin::new();
    bin.add(&taken).expect("added");
    let programme = Programme::new().set("primary-source", &taken);
    refused(&programme, &["primary", &taken.name()]);
}

#[test]
fn one_element_in_two_failoversrcs_is_told_of() {
    let shared = both(Look::Primary);
    let first = Programme::new().set("primary-source", &shared).start();
    first.until_all_show(Look::Primary);
    let second = beside_a_backup()
        .set("primary-source", &shared)
        .set("startup-timeout", 500 * MS);
    second.play();
    second.until_output_shows("video_0", Look::Backup);
    second.until("it is told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 0 && s.text.contains("plays in another failoversrc"))
    });
    second.stop();
    first.until_all_show(Look::Primary);
    first.finish(&["audio_0", "video_0"]);
}

#[test]
fn an_input_is_a_uri_or_an_element_not_both() {
    let programme = || Programme::new().set("primary-source", both(Look::Primary));
    let uri = "rtmp://127.0.0.1/live/x";
    refused(
        &programme().set("primary-uri", uri),
        &["primary-uri", "primary-source"],
    );
    let both_backups = programme()
        .set("backup-source", both(Look::Backup))
        .set("backup-uri", uri);
    refused(&both_backups, &["backup-uri", "backup-source"]);
}

#[test]
fn elements_that_cannot_deliver_are_refused() {
    programme::init();
    let make = |name| gst::ElementFactory::make(name).build().expect("an element");
    refused(
        &Programme::new().set("primary-source", make("fakesink")),
        &["source pad", "fakesink"],
    );
    let empty = gst::Bin::with_name("hollow").upcast::<gst::Element>();
    refused(
        &Programme::new().set("primary-source", &empty),
        &["source pad", "hollow"],
    );
    let closed = element("videotestsrc ! fakesink");
    refused(
        &Programme::new().set("primary-source", &closed),
        &["source pad"],
    );
    let pipeline = gst::Pipeline::with_name("whole").upcast::<gst::Element>();
    refused(
        &Programme::new().set("primary-source", &pipeline),
        &["pipeline", "whole"],
    );
}

#[test]
fn a_refused_configuration_can_be_mended() {
    let programme = Programme::new();
    refused(&programme, &["primary"]);
    programme.clear();
    programme
        .src
        .set_property("primary-source", both(Look::Primary));
    programme.play();
    programme.until_all_show(Look::Primary);
    programme.finish(&["audio_0", "video_0"]);
}

#[test]
fn pads_that_vanish_are_survived() {
    let bin = element(&picture(Look::Primary))
        .downcast::<gst::Bin>()
        .expect("a bin");
    let programme = beside_a_backup()
        .set("primary-source", bin.clone().upcast::<gst::Element>())
        .set("recovery-time", 3_600_000 * MS)
        .start();
    programme.until_output_shows("video_0", Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    for pad in bin.src_pads() {
        let _ = pad.set_active(false);
        bin.remove_pad(&pad).expect("removed");
    }
    programme.until_output_shows("video_0", Look::Backup);
    programme.finish(&["video_0"]);
}

#[test]
fn a_file_that_is_not_there_is_reported() {
    reported(
        beside_a_backup().set("primary-uri", "file:///does/not/exist.mp4"),
        "filesrc",
    );
}

#[test]
fn a_server_that_is_not_there_is_reported_without_its_secrets() {
    // A port of our own that nobody listens on.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let uri = format!("rtmp://user:{PASSWORD}@127.0.0.1:{port}/live/{KEY}?token={TOKEN}");
    let log = Log::of_failover();
    reported(beside_a_backup().set("primary-uri", uri), "refused");
    check_log(&log);
}

#[test]
fn text_in_the_place_of_media_is_reported() {
    let server = HttpServer::start("video/x-flv", "This is not FLV but plain English text.\n");
    let log = Log::of_failover();
    let uri = format!(
        "http://user:{PASSWORD}@127.0.0.1:{}/live/stream.flv?token={TOKEN}",
        server.port
    );
    reported(beside_a_backup().set("primary-uri", uri), "");
    let attempts = server.requests();
    assert!(attempts < 60, "a tight loop: {attempts} requests");
    check_log(&log);
}

#[test]
fn a_page_in_the_place_of_media_is_reported() {
    let server = HttpServer::start("text/html", "<html><body>Not found</body></html>");
    reported(
        beside_a_backup().set("primary-uri", format!("http://127.0.0.1:{}/x", server.port)),
        "",
    );
}

#[test]
fn absurd_times_do_no_harm() {
    for time in [0, 1, u64::MAX - 1] {
        let programme = Programme::new().set("primary-source", both(Look::Primary));
        for property in [
            "startup-timeout",
            "recovery-time",
            "retry-initial",
            "retry-max",
            "timeout",
        ] {
            programme.src.set_property(property, time);
        }
        let programme = programme.set("backup-source", both(Look::Backup)).start();
        programme.until("pictures come", |record| {
            record
                .output("video_0")
                .is_some_and(|video| video.passed.len() > 20)
        });
        for property in ["startup-timeout", "recovery-time", "timeout", "latency"] {
            for time in [0, 1, u64::MAX - 1, 1000 * MS] {
                programme.src.set_property(property, time);
            }
        }
        programme.check_no_error();
        programme.stop();
    }
}

#[test]
fn an_absurd_retry_is_no_tight_loop() {
    let programme = beside_a_backup().set("primary-uri", "file:///does/not/exist.mp4");
    programme.src.set_property("retry-initial", 0u64);
    programme.src.set_property("retry-max", 0u64);
    let programme = programme.start();
    programme.until("two seconds of pictures", |record| {
        record
            .output("video_0")
            .is_some_and(|video| video.passed.len() > 50)
    });
    let attempts = programme.record().attempts(0);
    assert!(attempts < 300, "{attempts} attempts in two seconds");
    programme.stop();
}

#[test]
fn in_gst_launch_syntax_further_backups_are_an_array() {
    programme::init();
    let line = "failoversrc primary-uri=rtmp://127.0.0.1/live/a \
                backup-uris=<\"rtmp://127.0.0.1/live/b\",\"rtmp://127.0.0.1/live/c\"> ! fakesink";
    let pipeline = gst::parse::launch(line)
        .expect("a valid line")
        .downcast::<gst::Bin>()
        .expect("a bin");
    let src = pipeline
        .iterate_sources()
        .into_iter()
        .flatten()
        .next()
        .expect("failoversrc");
    let uris = src.property::<gst::Array>("backup-uris");
    let uris: Vec<_> = uris
        .iter()
        .filter_map(|uri| uri.get::<String>().ok())
        .collect();
    assert_eq!(uris, ["rtmp://127.0.0.1/live/b", "rtmp://127.0.0.1/live/c"]);
}

#[test]
fn the_third_input_in_order_is_tried_too() {
    gst::init().unwrap();
    let file = "file:///does/not/exist";
    let uris = gst::Array::new([file, file]);
    let programme = Programme::new()
        .set("primary-uri", file)
        .set("backup-uri", file)
        .set("backup-uris", uris)
        .start();
    programme.until("all four are tried", |record| {
        (0..4).all(|input| record.attempts(input) > 1)
    });
    programme.until_all_show(Look::Slate);
    programme.finish(&["audio_0", "video_0"]);
}
