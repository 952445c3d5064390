// SPDX-License-Identifier: MPL-2.0
//! Streams of an Ant Media server: whatever happens to them, to their socket or to the server, the
//! output plays on. The server speaks the protocol of the real one and lives in this process.

#[path = "support/ams/mod.rs"]
mod ams;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::time::{Duration, Instant};

use gst::prelude::*;
use serde_json::json;

use ams::{AmsServer, Habits};
use programme::{Look, Programme};

const BOTH: [&str; 2] = ["audio_0", "video_0"];
const START: (i32, i32, &str) = (-1, 0, "startup");
const PAGE: &str = "id=primary&backupStreamId=backup&playOrder=webrtc";

fn server() -> AmsServer {
    server_with(Habits::default())
}

fn server_with(habits: Habits) -> AmsServer {
    programme::init();
    let server = AmsServer::with(habits);
    server.publish("primary", Look::Primary);
    server.publish("backup", Look::Backup);
    server
}

/// The primary's media are a process that can be killed.
fn server_apart() -> AmsServer {
    server_with(Habits {
        apart: Some("primary"),
        ..Habits::default()
    })
}

/// By the address of its player page.
fn player(server: &AmsServer) -> Programme {
    Programme::new().set("uri", server.page(PAGE))
}

/// The primary is on air and the backup stands by.
fn on_air(server: &AmsServer) -> Programme {
    let programme = player(server).start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    programme
}

/// Half of the startup timeout: the absent stream was not waited for. Most of it is the server's own start.
const NOT_WAITED: Duration = Duration::from_secs(5);

/// What a busy machine may cost.
const SLACK: Duration = Duration::from_secs(2);

/// The longest time without a picture of an input since then; a slate is none.
fn gap(programme: &Programme, since: Instant) -> Duration {
    let record = programme.record();
    let video = record.output("video_0").expect("a picture");
    let pictures = video.seen.iter().filter(|seen| seen.look != Look::Slate);
    let times: Vec<_> = pictures.map(|seen| seen.arrival).collect();
    let first = times.iter().rposition(|at| *at < since).unwrap_or(0);
    let gaps = times[first..].windows(2).map(|pair| pair[1] - pair[0]);
    let gap = gaps.max().unwrap_or_default();
    let name = std::thread::current();
    println!("figure: {} {gap:?}", name.name().unwrap_or_default());
    for report in &record.reports {
        println!("report: {report}");
    }
    println!("{}", record.history(since));
    gap
}

#[test]
fn a_stream_that_is_stopped_is_left_at_once_and_its_return_is_noticed() {
    let server = server();
    let programme = on_air(&server);
    let since = Instant::now();
    server.unpublish("primary");
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(300) + SLACK);
    // It is asked for once more, and then waited for.
    server.until_asked("play", "primary", 2);
    programme.until("it is known that nobody publishes it", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 0 && s.text.contains("nobody publishes"))
    });
    server.publish("primary", Look::Primary);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "eos"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    server.until_left();
}

#[test]
fn a_cold_backup_follows_a_stream_that_is_stopped() {
    let server = server();
    let programme = player(&server).set_nick("standby", "cold").start();
    programme.until_all_show(Look::Primary);
    let since = Instant::now();
    server.unpublish("primary");
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(1500) + SLACK);
    programme.finish(&BOTH);
}

#[test]
fn media_that_die_without_a_word_are_a_stall() {
    let server = server_apart();
    let programme = on_air(&server);
    let since = Instant::now();
    server.kill("primary");
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(1200) + SLACK);
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "stall"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
}

#[test]
fn a_cold_backup_follows_media_that_die_without_a_word() {
    let server = server_apart();
    let programme = player(&server).set_nick("standby", "cold").start();
    programme.until_all_show(Look::Primary);
    let since = Instant::now();
    server.kill("primary");
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(2500) + SLACK);
    programme.finish(&BOTH);
}

#[test]
fn a_cold_backup_follows_a_frozen_publisher() {
    let server = server();
    let programme = player(&server).set_nick("standby", "cold").start();
    programme.until_all_show(Look::Primary);
    let since = Instant::now();
    server.freeze("primary", true);
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(2500) + SLACK);
    programme.check_switches(&[START, (0, 1, "stall")]);
    programme.finish(&BOTH);
}

#[test]
fn a_frozen_publisher_behind_a_living_connection_is_a_stall() {
    let server = server();
    let programme = on_air(&server);
    let since = Instant::now();
    server.freeze("primary", true);
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(1200) + SLACK);
    server.freeze("primary", false);
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "stall"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
}

#[test]
fn pictures_alone_that_stand_still_are_lacking() {
    let server = server();
    let programme = on_air(&server);
    let since = Instant::now();
    server.mute("primary", true);
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(1200) + SLACK);
    server.mute("primary", false);
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "incomplete"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
}

#[test]
fn media_play_on_when_every_socket_breaks() {
    let server = server();
    let programme = on_air(&server);
    play_on_without_sockets(&server, &programme);
    programme.finish(&BOTH);
}

#[test]
fn media_play_on_with_a_cold_backup_when_the_socket_breaks() {
    let server = server();
    let programme = player(&server).set_nick("standby", "cold").start();
    programme.until_all_show(Look::Primary);
    play_on_without_sockets(&server, &programme);
    programme.finish(&BOTH);
}

fn play_on_without_sockets(server: &AmsServer, programme: &Programme) {
    let since = Instant::now();
    server.drop_sockets();
    let enough = |record: &programme::Record| {
        let video = record.output("video_0");
        video.is_some_and(|v| {
            v.passed
                .last()
                .is_some_and(|p| p.arrival > since + Duration::from_secs(4))
        })
    };
    programme.until("four seconds more", enough);
    assert!(gap(programme, since) < Duration::from_millis(300) + SLACK);
    programme.check_switches(&[START]);
    // And what happens to media then, is noticed.
    server.kill("primary");
    programme.until_all_show(Look::Backup);
}

#[test]
fn a_cold_backup_follows_pictures_that_stand_still() {
    let server = server();
    let programme = player(&server).set_nick("standby", "cold").start();
    programme.until_all_show(Look::Primary);
    let since = Instant::now();
    server.mute("primary", true);
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(2500) + SLACK);
    programme.finish(&BOTH);
}

#[test]
fn a_stream_that_is_absent_at_the_start_costs_less_than_a_second() {
    let server = server();
    server.unpublish("primary");
    let programme = player(&server);
    let first = until_backup_begins(&programme);
    assert!(first < NOT_WAITED, "{first:?}");
    server.publish("primary", Look::Primary);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 1, "startup"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
}

#[test]
fn a_cold_backup_covers_a_stream_that_is_absent_at_the_start() {
    let server = server();
    server.unpublish("primary");
    let programme = player(&server).set_nick("standby", "cold");
    let first = until_backup_begins(&programme);
    assert!(first < NOT_WAITED, "{first:?}");
    programme.check_switches(&[(-1, 1, "startup")]);
    programme.finish(&BOTH);
}

/// From the start to the backup's first picture.
fn until_backup_begins(programme: &Programme) -> Duration {
    let since = Instant::now();
    programme.play();
    programme.until_output_shows("video_0", Look::Backup);
    let record = programme.record();
    let video = record.output("video_0").expect("a picture");
    let mut seen = video.seen.iter();
    let first = seen.find(|seen| seen.look == Look::Backup);
    let took = first.expect("the backup").arrival - since;
    let name = std::thread::current();
    println!("figure: {} {took:?}", name.name().unwrap_or_default());
    took
}

#[test]
fn with_both_gone_the_first_that_returns_is_played() {
    let server = server();
    let programme = on_air(&server);
    server.unpublish("primary");
    server.unpublish("backup");
    programme.until_all_show(Look::Slate);
    server.publish("backup", Look::Backup);
    programme.until_all_show(Look::Backup);
    server.publish("primary", Look::Primary);
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
}

#[test]
fn as_on_the_page_the_backup_keeps_the_air_until_it_fails() {
    let server = server();
    let programme = player(&server)
        .set_nick("switch-back", "on-failure")
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    server.unpublish("primary");
    programme.until_all_show(Look::Backup);
    server.publish("primary", Look::Primary);
    programme.until("the primary is well", |record| {
        let mut states = record.states.iter().rev();
        states
            .find(|s| s.input == 0)
            .is_some_and(|s| s.new == "flowing")
    });
    programme.until_all_show(Look::Backup);
    let gap = until_backup_fails(&server, &programme);
    assert!(gap < Duration::from_millis(300) + SLACK);
    programme.finish(&BOTH);
}

#[test]
fn a_cold_backup_that_fails_is_followed_by_the_primary() {
    let server = server();
    let programme = player(&server)
        .set_nick("switch-back", "on-failure")
        .set_nick("standby", "cold")
        .start();
    programme.until_all_show(Look::Primary);
    server.unpublish("primary");
    programme.until_all_show(Look::Backup);
    server.publish("primary", Look::Primary);
    let gap = until_backup_fails(&server, &programme);
    assert!(gap < Duration::from_millis(1500) + SLACK);
    programme.finish(&BOTH);
}

/// How long nothing was seen.
fn until_backup_fails(server: &AmsServer, programme: &Programme) -> Duration {
    let since = Instant::now();
    server.unpublish("backup");
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[START, (0, 1, "eos"), (1, 0, "eos")]);
    gap(programme, since)
}

/// Plays the primary for a while; our answer.
fn played(server: &AmsServer) -> String {
    server.publish("primary", Look::Primary);
    let programme = Programme::new()
        .set("primary-uri", server.uri("primary"))
        .start();
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
    let answer = server.last("takeConfiguration").expect("an answer");
    answer["sdp"].as_str().expect("an SDP").to_owned()
}

#[test]
fn what_repairs_a_stream_is_agreed_on_where_the_server_offers_it() {
    programme::init();
    let server = AmsServer::with(Habits {
        repair: true,
        ..Habits::default()
    });
    let answer = played(&server);
    for word in [" nack", " nack pli", " rtx/90000", " ulpfec/90000"] {
        let is_agreed = answer.lines().any(|line| line.trim().ends_with(word));
        assert!(is_agreed, "no{word} in {answer}");
    }
}

#[test]
fn a_stream_whose_first_key_frame_is_lost_asks_for_another() {
    programme::init();
    let server = AmsServer::with(Habits {
        headless: true,
        ..Habits::default()
    });
    played(&server);
}

/// A server that sends all that it could not send before: a jitter buffer places it ahead of the clock.
#[test]
fn old_data_at_the_start_makes_nothing_late_that_follows() {
    let server = server_with(Habits {
        held_up: Some(Duration::from_secs(2)),
        ..Habits::default()
    });
    let programme = on_air(&server);
    let pipeline = programme.pipeline.clone();
    programme.until("all that comes is of this moment", |record| {
        let now = pipeline.current_running_time().unwrap_or_default();
        let most = now + gst::ClockTime::from_mseconds(500);
        record.outputs.iter().all(|output| {
            let last = output.passed.last().and_then(|passed| passed.pts);
            output.passed.len() > 150 && last.is_some_and(|pts| pts < most)
        })
    });
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn candidates_may_come_before_their_offer_and_a_data_channel_in_it() {
    programme::init();
    let server = AmsServer::with(Habits {
        early_candidates: true,
        data_channel: true,
        unannounced: true,
        ..Habits::default()
    });
    let answer = played(&server);
    assert!(answer.contains("webrtc-datachannel"), "{answer}");
    // And from a stack that is not GStreamer's.
    let server = AmsServer::with(Habits {
        apart: Some("primary"),
        data_channel: true,
        ..Habits::default()
    });
    let answer = played(&server);
    assert!(answer.contains("webrtc-datachannel"), "{answer}");
}

#[test]
fn a_new_offer_in_the_middle_is_answered_and_harms_nobody() {
    let server = server();
    let programme = on_air(&server);
    let answers = server.asked("takeConfiguration", "primary");
    let since = Instant::now();
    server.renegotiate("primary");
    server.until_asked("takeConfiguration", "primary", answers + 1);
    programme.until_all_show(Look::Primary);
    assert!(gap(&programme, since) < Duration::from_millis(400) + SLACK);
    programme.check_switches(&[START]);
    programme.finish(&BOTH);
}

#[test]
fn an_impostor_is_not_played_and_the_backup_is() {
    let server = server_with(Habits {
        apart: Some("primary"),
        announce: Some("another"),
        ..Habits::default()
    });
    let programme = player(&server).start();
    programme.until_all_show(Look::Backup);
    programme.until_told_of_an_impostor();
    let record = programme.record();
    assert!(
        record
            .outputs
            .iter()
            .all(|output| !output.has_shown(Look::Primary))
    );
    assert_eq!(record.attempts(0), 1, "it was tried again at once");
    drop(record);
    programme.check_switches(&[(-1, 1, "startup")]);
    programme.finish(&BOTH);
}

#[test]
fn each_transport_of_a_session_has_to_be_the_servers() {
    let habits = Habits {
        apart: Some("primary"),
        unbundled: true,
        ..Habits::default()
    };
    programme::init();
    let answer = played(&AmsServer::with(habits));
    assert!(!answer.contains("a=group:BUNDLE video"), "{answer}");
    let server = server_with(Habits {
        announce: Some("another"),
        ..habits
    });
    let programme = player(&server).start();
    programme.until_all_show(Look::Backup);
    programme.until_told_of_an_impostor();
    let record = programme.record();
    let mut outputs = record.outputs.iter();
    assert!(outputs.all(|output| !output.has_shown(Look::Primary)));
    drop(record);
    programme.finish(&BOTH);
}

#[test]
fn a_new_offer_with_another_certificate_gets_a_new_transport() {
    let server = server_apart();
    let programme = on_air(&server);
    let answers = server.asked("takeConfiguration", "primary");
    server.renew("primary", None);
    server.until_asked("takeConfiguration", "primary", answers + 1);
    programme.until_all_show(Look::Primary);
    // In the session that it has, not in another attempt.
    assert_eq!(programme.record().attempts(0), 1);
    programme.finish(&BOTH);
}

#[test]
fn a_new_offer_that_lets_an_impostor_in_ends_the_input() {
    let server = server_apart();
    let programme = on_air(&server);
    server.renew("primary", Some("another"));
    programme.until_all_show(Look::Backup);
    programme.until_told_of_an_impostor();
    programme.check_switches(&[START, (0, 1, "identity")]);
    programme.finish(&BOTH);
}

#[test]
fn a_server_that_is_about_to_stop_is_left_before_it_does() {
    let server = server();
    let other = AmsServer::start();
    other.publish("backup", Look::Backup);
    let programme = Programme::new()
        .set("primary-uri", server.uri("primary"))
        .set("backup-uri", other.uri("backup"))
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    let since = Instant::now();
    server.say(&json!({"command": "notification", "definition": "server_will_stop"}));
    drop(server);
    programme.until_all_show(Look::Backup);
    assert!(gap(&programme, since) < Duration::from_millis(300) + SLACK);
    programme.check_switches(&[START, (0, 1, "error")]);
    programme.finish(&BOTH);
}

#[test]
fn every_refusal_is_covered_and_told_and_a_final_one_is_not_repeated() {
    let server = server();
    for (definition, information, is_final) in [
        ("no_stream_exist", "webrtc_not_enabled", true),
        ("invalidStreamName", "", true),
        ("unauthorized_access", "", true),
        ("user_blocked", "", true),
        ("license_suspended_please_renew_license", "", true),
        ("notSetRemoteDescription", "", true),
        ("highResourceUsage", "", false),
        ("viewerLimitReached", "", false),
        ("not_initialized_yet", "", false),
        ("data_store_not_available", "", false),
        ("stream_not_active_or_expired", "", false),
        ("server_error_check_logs", "", false),
    ] {
        server.refuse("primary", definition, information);
        let before = server.asked("play", "primary");
        let programme = player(&server).start();
        programme.until_all_show(Look::Backup);
        programme.until("the reason is told", |record| {
            let mut states = record.states.iter();
            states.any(|s| s.input == 0 && s.new == "down" && s.text.contains("/live/primary: "))
        });
        let soon = matches!(
            definition,
            "not_initialized_yet" | "data_store_not_available"
        );
        if soon {
            server.until_asked("play", "primary", before + 2);
            server.allow("primary");
            programme.until_all_show(Look::Primary);
        } else {
            assert_eq!(server.asked("play", "primary"), before + 1, "{definition}");
        }
        if is_final {
            // What was put right has to be said.
            server.allow("primary");
            programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
            programme.until_all_show(Look::Primary);
        }
        programme.finish(&BOTH);
    }
}

#[test]
fn who_asks_is_told_to_the_server_and_to_nobody_else() {
    programme::init();
    let server = AmsServer::with(Habits {
        token: Some("t0ken7value"),
        ..Habits::default()
    });
    server.publish("primary", Look::Primary);
    let rights = "token=t0ken7value&subscriberId=me&subscriberCode=c0de9";
    // As newer documents write a page's address.
    let named = PAGE.replace("id=primary", "streamId=primary");
    let page = server.page(&format!("{named}&{rights}"));
    let programme = Programme::new().set("uri", page).start();
    programme.until_all_show(Look::Primary);
    let asked = server.last("play").expect("it was asked for");
    assert_eq!(asked["subscriberId"], "me");
    assert_eq!(asked["subscriberCode"], "c0de9");
    programme.stop();
    let programme = Programme::new().set("uri", server.page(&format!("{PAGE}&token=wr0ngvalue")));
    let programme = programme.start();
    programme.until("the reason is told", |record| {
        record
            .states
            .iter()
            .any(|s| s.input == 0 && s.text.contains("token"))
    });
    let record = programme.record();
    let texts = record
        .messages
        .iter()
        .chain(&record.warnings)
        .chain(&record.errors);
    for text in texts.chain(record.states.iter().map(|state| &state.text)) {
        assert!(!text.contains("wr0ngvalue"), "{text}");
    }
    drop(record);
    programme.stop();
}

#[test]
fn webrtcplaysrc_alone_waits_for_its_stream_and_ends_with_it() {
    programme::init();
    let server = AmsServer::start();
    let line = format!(
        "webrtcplaysrc name=in uri={} in.video_0 ! decodebin ! fakesink name=out sync=false",
        server.uri("x")
    );
    let pipeline = gst::parse::launch(&line).expect("it parses");
    let bus = pipeline.bus().expect("a bus");
    pipeline.set_state(gst::State::Playing).expect("it plays");
    let limit = gst::ClockTime::from_seconds(30);
    let said = bus.timed_pop_filtered(limit, &[gst::MessageType::Element]);
    let said = said.expect("it says that it waits");
    assert!(said.has_name("webrtcplaysrc-waiting"), "{said:?}");
    server.publish("x", Look::Primary);
    let out = pipeline
        .downcast_ref::<gst::Bin>()
        .expect("a bin")
        .by_name("out")
        .expect("a sink");
    let (shown, showing) = std::sync::mpsc::channel();
    let pad = out.static_pad("sink").expect("a pad");
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let _ = shown.send(());
        gst::PadProbeReturn::Ok
    });
    showing
        .recv_timeout(Duration::from_secs(30))
        .expect("a picture");
    server.unpublish("x");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(limit, &kinds).expect("an end");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    assert!(programme::set_state_bounded(&pipeline, gst::State::Null));
}
