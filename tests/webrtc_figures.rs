// SPDX-License-Identifier: MPL-2.0
//! How long a viewer waits when both inputs are WebRTC streams: from the event to the first picture of
//! the input that takes over, and for how much of that the picture stood. Figures for the documents, not a test of the machine that it runs on:
//!
//!     cargo nextest run --test webrtc_figures --run-ignored all --success-output=final

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;
use std::time::{Duration, Instant};

use lab::WhepServer;
use programme::{Look, MS, Programme};

const TIMEOUT: u64 = 1000;

fn server(look: Look) -> io::Result<WhepServer> {
    WhepServer::start_as(look.colour(), look.tone())
}

/// From the event, and from the last picture of the primary, to the first one of the backup.
fn measure(
    standby: &str,
    event: impl FnOnce(&mut WhepServer) -> io::Result<()>,
) -> io::Result<[Duration; 2]> {
    let (mut primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    let programme = Programme::new()
        .set("primary-uri", primary.url())
        .set("backup-uri", backup.url())
        .set("timeout", TIMEOUT * MS)
        .set_nick("standby", standby)
        .start();
    programme.until_all_show(Look::Primary);
    if standby == "hot" {
        programme.until("the backup stands by", |record| record.told(1, "flowing"));
        // A group of pictures more, as in life.
        std::thread::sleep(Duration::from_secs(2));
    }
    let since = Instant::now();
    event(&mut primary)?;
    programme.until_output_shows("video_0", Look::Backup);
    let first = first(&programme, Look::Backup);
    let record = programme.record();
    let seen = &record.output("video_0").expect("a picture").seen;
    let mut earlier = seen.iter().rev().skip_while(|seen| seen.arrival >= first);
    let last = earlier.find(|seen| seen.look == Look::Primary);
    let stood = first - last.expect("the primary was shown").arrival;
    Ok([first - since, stood])
}

fn absent(standby: &str) -> io::Result<[Duration; 2]> {
    let (mut primary, backup) = (server(Look::Primary)?, server(Look::Backup)?);
    primary.kill9();
    let since = Instant::now();
    let programme = Programme::new()
        .set("primary-uri", primary.url())
        .set("backup-uri", backup.url())
        .set_nick("standby", standby)
        .start();
    programme.until_output_shows("video_0", Look::Backup);
    Ok([first(&programme, Look::Backup) - since; 2])
}

fn first(programme: &Programme, look: Look) -> Instant {
    let record = programme.record();
    let output = record.output("video_0").expect("a picture");
    let mut seen = output.seen.iter();
    seen.find(|seen| seen.look == look)
        .expect("it came")
        .arrival
}

#[test]
#[ignore = "figures for the documents"]
fn the_table() -> io::Result<()> {
    for standby in ["hot", "cold"] {
        for (name, took) in [
            ("clean stop", measure(standby, stop)?),
            ("killed", measure(standby, kill)?),
            ("frozen", measure(standby, WhepServer::freeze)?),
            ("pictures only", measure(standby, mute)?),
            ("absent at start", absent(standby)?),
        ] {
            let [took, stood] = took.map(|time| time.as_millis());
            println!("{standby}: {name}: {took} ms, without a new picture {stood} ms");
        }
    }
    Ok(())
}

/// The publisher is gone: it is no use to ask again.
fn stop(server: &mut WhepServer) -> io::Result<()> {
    server.control("status?code=404&n=99")?;
    server.control("close").map(drop)
}

fn kill(server: &mut WhepServer) -> io::Result<()> {
    server.kill9();
    Ok(())
}

fn mute(server: &mut WhepServer) -> io::Result<()> {
    server.control("mute").map(drop)
}
