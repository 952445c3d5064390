// SPDX-License-Identifier: MPL-2.0
//! A server at the far end of a cable that is pulled and put in again: no packet, no word, and then
//! all at once. The server lives in a network namespace that the test makes, which needs root;
//! without it these tests say that they are skipped.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;
use std::time::{Duration, Instant};

use lab::Away;
use programme::{Look, Programme, both};

const BOTH: [&str; 2] = ["audio_0", "video_0"];

fn on_air() -> io::Result<Option<(Away, Programme)>> {
    if let Some(why) = Away::missing() {
        eprintln!("skipped: {why}");
        return Ok(None);
    }
    let server = Away::start(Look::Primary.colour(), Look::Primary.tone())?;
    let programme = Programme::new()
        .set("primary-uri", server.url())
        .set("backup-source", both(Look::Backup))
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    Ok(Some((server, programme)))
}

#[test]
fn eight_seconds_without_a_network_are_covered_and_the_same_session_plays_on() -> io::Result<()> {
    let Some((server, programme)) = on_air()? else {
        return Ok(());
    };
    server.plug(false)?;
    let since = Instant::now();
    programme.until_all_show(Look::Backup);
    // Nothing else is waited for than the time itself.
    let left = Duration::from_secs(8).saturating_sub(since.elapsed());
    assert!(!programme.comes_true(left, |record| record.reports.len() > 2));
    server.plug(true)?;
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    println!("figure: back on air {:?} after the cut", since.elapsed());
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "stall"), (1, 0, "recovered")]);
    assert_eq!(programme.record().attempts(0), 1, "the session was lost");
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_server_that_gave_up_meanwhile_is_asked_for_a_new_session() -> io::Result<()> {
    let Some((server, programme)) = on_air()? else {
        return Ok(());
    };
    server.plug(false)?;
    programme.until_all_show(Look::Backup);
    // Its good-bye is lost, so that nobody here knows of it.
    server.control("close")?;
    server.plug(true)?;
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "stall"), (1, 0, "recovered")]);
    assert!(programme.record().attempts(0) > 1, "nobody asked");
    programme.finish(&BOTH);
    Ok(())
}
