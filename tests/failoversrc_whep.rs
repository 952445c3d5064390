// SPDX-License-Identifier: MPL-2.0
//! Real WebRTC streams by WHEP, from a server that shares no code with GStreamer: whatever dies, the
//! output plays on. webrtcbin reports nothing of most of it, so the flow of buffers is the judge.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;
use std::time::Duration;

use gst::prelude::*;

use lab::{Picture, Publisher, Server, WhepServer};
use programme::{Look, MS, Programme, both};

const BOTH: [&str; 2] = ["audio_0", "video_0"];

fn server(look: Look) -> io::Result<WhepServer> {
    WhepServer::start_as(look.colour(), look.tone())
}

fn player(primary: &WhepServer, backup: &WhepServer) -> Programme {
    Programme::new()
        .set("primary-uri", primary.url())
        .set("backup-uri", backup.url())
}

/// Two servers, and a programme that shows the primary while the backup stands by.
fn on_air() -> io::Result<(WhepServer, WhepServer, Programme)> {
    let (primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    let programme = player(&primary, &backup).start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    Ok((primary, backup, programme))
}

/// The primary was left for this cause, and taken back.
fn check_there_and_back(programme: Programme, cause: &str) {
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, cause), (1, 0, "recovered")]);
    programme.finish(&BOTH);
}

#[test]
fn an_impostor_is_not_played_and_the_backup_is() -> io::Result<()> {
    let (primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    primary.control("announce?as=another")?;
    let programme = player(&primary, &backup).start();
    programme.until_all_show(Look::Backup);
    programme.until_told_of_an_impostor();
    {
        let record = programme.record();
        assert!(
            record
                .outputs
                .iter()
                .all(|output| !output.has_shown(Look::Primary))
        );
        assert_eq!(record.attempts(0), 1, "it was tried again at once");
    }
    programme.check_switches(&[(-1, 1, "startup")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn an_impostor_who_takes_the_place_of_the_server_is_not_returned_to() -> io::Result<()> {
    let (primary, _backup, programme) = on_air()?;
    primary.control("announce?as=flipped")?;
    primary.control("close")?;
    programme.until_all_show(Look::Backup);
    programme.until_told_of_an_impostor();
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "eos")]);
    assert_eq!(
        programme.record().attempts(0),
        2,
        "it was tried again at once"
    );
    // Whoever knows better says so.
    primary.control("announce?as=")?;
    programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
    check_there_and_back(programme, "eos");
    Ok(())
}

#[test]
fn a_killed_server_is_covered_and_taken_back() -> io::Result<()> {
    let (mut primary, _backup, programme) = on_air()?;
    primary.kill9();
    programme.until_all_show(Look::Backup);
    primary.restart()?;
    check_there_and_back(programme, "stall");
    Ok(())
}

#[test]
fn a_frozen_server_is_a_stall_and_its_return_does_no_harm() -> io::Result<()> {
    let (mut primary, _backup, programme) = on_air()?;
    primary.freeze()?;
    programme.until_all_show(Look::Backup);
    primary.thaw()?;
    check_there_and_back(programme, "stall");
    Ok(())
}

#[test]
fn pictures_alone_that_fail_to_come_are_lacking() -> io::Result<()> {
    let (primary, _backup, programme) = on_air()?;
    primary.control("mute")?;
    programme.until_all_show(Look::Backup);
    primary.control("resume")?;
    check_there_and_back(programme, "incomplete");
    Ok(())
}

#[test]
fn a_server_that_ends_the_stream_is_left_at_once() -> io::Result<()> {
    let (primary, _backup, programme) = on_air()?;
    primary.control("close")?;
    // It is asked again soon, and plays.
    programme.until_all_have_shown(Look::Backup);
    check_there_and_back(programme, "eos");
    Ok(())
}

#[test]
fn a_server_that_forgot_the_session_is_asked_for_a_new_one() -> io::Result<()> {
    let (mut primary, _backup, programme) = on_air()?;
    primary.freeze()?;
    programme.until_all_show(Look::Backup);
    // Another server comes up in its place, which knows of no session.
    primary.restart()?;
    check_there_and_back(programme, "stall");
    Ok(())
}

#[test]
fn a_server_that_is_absent_at_first_is_covered_and_found_when_it_comes() -> io::Result<()> {
    let (mut primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    primary.kill9();
    let programme = player(&primary, &backup).start();
    programme.until_all_show(Look::Backup);
    programme.until("it was told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 0 && s.cause == "error" && s.text.contains("cannot be reached"))
    });
    primary.restart()?;
    programme.until_switches(2);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 1, "startup"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_busy_server_is_not_asked_again_before_it_wants_to_be() -> io::Result<()> {
    let (primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    primary.control("status?code=503&n=1&after=4")?;
    let programme = player(&primary, &backup).start();
    programme.until_all_show(Look::Backup);
    programme.until("it is left alone", |record| record.told(0, "down"));
    assert_eq!(programme.record().attempts(0), 1);
    programme.until_all_show(Look::Primary);
    assert_eq!(programme.record().attempts(0), 2, "asked while it was busy");
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_server_that_refuses_the_token_is_not_asked_again() -> io::Result<()> {
    let (primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    primary.control("status?code=401&n=1")?;
    let programme = player(&primary, &backup).start();
    programme.until_all_show(Look::Backup);
    programme.until("it was told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 0 && s.text.contains("set auth-token"))
    });
    assert!(
        !programme.comes_true(Duration::from_secs(3), |r| r.attempts(0) > 1),
        "asked again"
    );
    // Somebody has seen to it.
    programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn an_rtmp_backup_covers_a_killed_whep_primary() -> io::Result<()> {
    let mut primary = server(Look::Primary)?;
    let rtmp = Server::start()?;
    let _backup = publish(&rtmp, Look::Backup)?;
    let programme = Programme::new()
        .set("primary-uri", primary.url())
        .set("backup-uri", rtmp.url("stream"))
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    primary.kill9();
    programme.until_all_show(Look::Backup);
    primary.restart()?;
    check_there_and_back(programme, "stall");
    Ok(())
}

#[test]
fn a_whep_backup_covers_a_killed_rtmp_primary() -> io::Result<()> {
    let backup = server(Look::Backup)?;
    let rtmp = Server::start()?;
    let mut primary = publish(&rtmp, Look::Primary)?;
    let programme = Programme::new()
        .set("primary-uri", rtmp.url("stream"))
        .set("backup-uri", backup.url())
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    primary.kill9();
    programme.until_all_show(Look::Backup);
    primary.restart()?;
    check_there_and_back(programme, "eos");
    Ok(())
}

#[test]
fn a_cold_backup_has_a_session_only_while_it_is_needed() -> io::Result<()> {
    let backup = server(Look::Backup)?;
    let gated = programme::gated(Look::Primary);
    let programme = Programme::new()
        .set("primary-source", gated.clone())
        .set("backup-uri", backup.url())
        .set_nick("standby", "cold")
        .start();
    programme.until_all_show(Look::Primary);
    assert_eq!(backup.sessions()?, 0);
    for valve in ["picture", "sound"] {
        programme::open(&gated, valve, false);
    }
    programme.until_all_show(Look::Backup);
    assert_eq!(backup.sessions()?, 1);
    for valve in ["picture", "sound"] {
        programme::open(&gated, valve, true);
    }
    programme.until_all_show(Look::Primary);
    let is_over = || backup.sessions().is_ok_and(|sessions| sessions == 0);
    let limit = Duration::from_secs(10);
    assert!(lab::poll_until(limit, is_over), "no good-bye was said");
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn vp8_is_played_as_well() -> io::Result<()> {
    let mut primary = WhepServer::start_with(&["--codec", "vp8", "--colour", "d01010"])?;
    let programme = Programme::new()
        .set("primary-uri", primary.url())
        .set("backup-source", both(Look::Backup))
        .set("timeout", 500 * MS)
        .start();
    programme.until_all_show(Look::Primary);
    primary.kill9();
    programme.until_all_show(Look::Backup);
    programme.finish(&BOTH);
    Ok(())
}

fn publish(server: &Server, look: Look) -> io::Result<Publisher> {
    let picture = Picture::new("RTMP")
        .background(&format!("0x{:06x}", look.colour()))
        .tone(look.tone())
        .size(320, 180);
    let mut publisher = Publisher::start(&server.url("stream"), picture)?;
    publisher.wait_until_publishing()?;
    Ok(publisher)
}
