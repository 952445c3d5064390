// SPDX-License-Identifier: MPL-2.0
//! WebRTC streams from a browser's own stack: headless Chromium answers the offers. Where it is not
//! installed these tests say that they are skipped.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;

use lab::Chromium;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use programme::{Look, Programme, both};

const BOTH: [&str; 2] = ["audio_0", "video_0"];

/// The browser as the primary, a test source as the backup.
fn on_air(codec: &str) -> io::Result<Option<(Chromium, Programme)>> {
    if let Some(why) = Chromium::missing() {
        eprintln!("skipped: {why}");
        return Ok(None);
    }
    let look = Look::Primary;
    let chromium = Chromium::start(look.colour(), look.tone(), codec)?;
    let programme = Programme::new()
        .set("primary-uri", chromium.url())
        .set("backup-source", both(Look::Backup))
        .start();
    programme.until_all_show(look);
    Ok(Some((chromium, programme)))
}

fn signal(chromium: &Chromium, signal: Signal) -> io::Result<()> {
    for pid in chromium.renderers()? {
        let pid = i32::try_from(pid).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), signal)?;
    }
    Ok(())
}

#[test]
fn a_browser_that_closes_the_connection_is_left_at_once() -> io::Result<()> {
    let Some((chromium, programme)) = on_air("h264")? else {
        return Ok(());
    };
    chromium.control("closeall")?;
    programme.until_all_show(Look::Backup);
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "eos"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_browser_whose_pictures_stop_is_incomplete() -> io::Result<()> {
    let Some((chromium, programme)) = on_air("vp8")? else {
        return Ok(());
    };
    chromium.control("stopvideo")?;
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "incomplete")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_browser_that_is_killed_is_a_stall() -> io::Result<()> {
    let Some((chromium, programme)) = on_air("h264")? else {
        return Ok(());
    };
    signal(&chromium, Signal::SIGKILL)?;
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "stall")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_browser_that_is_frozen_is_a_stall_and_is_taken_back() -> io::Result<()> {
    let Some((chromium, programme)) = on_air("h264")? else {
        return Ok(());
    };
    signal(&chromium, Signal::SIGSTOP)?;
    programme.until_all_show(Look::Backup);
    signal(&chromium, Signal::SIGCONT)?;
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "stall"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    Ok(())
}
