// SPDX-License-Identifier: MPL-2.0
//! The examples with WebRTC do what they say on real streams, and end cleanly on Ctrl-C.

#[path = "support/ams/mod.rs"]
mod ams;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

mod support {
    pub(crate) mod run;
}

use std::io;

use ams::AmsServer;
use lab::{Picture, Publisher, Server, WhepServer};
use programme::Look;
use support::run::{Run, built};

/// A busy machine needs longer for a session than an operator would wait.
const SLOW_START: &str = "--startup-timeout=15";

#[test]
fn whep_with_an_rtmp_backup_tells_of_both_switches_and_ends_on_ctrl_c() -> io::Result<()> {
    let mut whep = WhepServer::start()?;
    let rtmp = Server::start()?;
    let mut backup = Publisher::start(&rtmp.url("backup"), Picture::new("BACKUP"))?;
    backup.wait_until_publishing()?;
    let example = built("examples/whep_with_rtmp_backup");
    let (primary, backup) = (whep.url(), rtmp.url("backup"));
    let mut player = Run::start(&example, &["--fakesink", &primary, &backup])?;
    player.wait_for("switched nothing → primary")?;
    whep.kill9();
    player.wait_for("switched primary → backup")?;
    whep.restart()?;
    player.wait_for("switched backup → primary")?;
    player.end_by_ctrl_c()
}

fn page() -> (AmsServer, String) {
    programme::init();
    let server = AmsServer::start();
    server.publish("primary", Look::Primary);
    server.publish("backup", Look::Backup);
    let page = server.page("id=primary&backupStreamId=backup&playOrder=webrtc");
    (server, page)
}

#[test]
fn a_page_of_ant_media_is_played_with_its_failover() -> io::Result<()> {
    let (server, page) = page();
    let mut player = Run::start(
        &built("examples/ams_play"),
        &[SLOW_START, "--fakesink", &page],
    )?;
    player.wait_for("switched nothing → primary")?;
    server.unpublish("primary");
    player.wait_for("switched primary → backup")?;
    server.publish("primary", Look::Primary);
    player.wait_for("switched backup → primary")?;
    player.end_by_ctrl_c()?;
    // It says good-bye.
    server.until_left();
    Ok(())
}

#[test]
fn like_the_page_it_stays_with_the_backup_until_that_fails() -> io::Result<()> {
    let (server, page) = page();
    let example = built("examples/ams_play");
    let mut player = Run::start(
        &example,
        &[SLOW_START, "--fakesink", "--like-the-page", &page],
    )?;
    player.wait_for("switched nothing → primary")?;
    assert_eq!(server.asked("play", "backup"), 0, "it is not needed yet");
    server.unpublish("primary");
    player.wait_for("switched primary → backup")?;
    server.publish("primary", Look::Primary);
    server.unpublish("backup");
    player.wait_for("switched backup → primary")?;
    player.end_by_ctrl_c()
}
