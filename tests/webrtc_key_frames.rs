// SPDX-License-Identifier: MPL-2.0
//! A sender that makes key frames only when it is asked: aiortc with VP8, whose groups of pictures are
//! two minutes long. As a standby it is asked before anybody needs one.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;
use std::time::Duration;

use gst::prelude::*;

use lab::{WhepServer, poll_until};
use programme::{Look, MS, Programme, both};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_standby_asks_in_time_and_the_cut_waits_for_no_key_frame() -> io::Result<()> {
    let (colour, tone) = (
        format!("{:06x}", Look::Backup.colour()),
        Look::Backup.tone(),
    );
    let tone = tone.to_string();
    let backup = WhepServer::start_with(&["--codec", "vp8", "--colour", &colour, "--tone", &tone])?;
    let primary = both(Look::Primary);
    let programme = Programme::new()
        .set("primary-source", primary.clone())
        .set("backup-uri", backup.url())
        // What is kept is no reason to ask.
        .set("standby-max-time", 120_000 * MS)
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    let asked = || backup.asked().ok();
    let before = asked().unwrap_or_default();
    // Whoever waits so long without asking has three groups' worth of pictures to decode.
    let often = poll_until(PATIENCE, || asked() >= Some(before + 3));
    assert!(often, "nobody asks: {:?}", asked());
    primary.send_event(gst::event::Eos::new());
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "eos")]);
    let report = programme.record().reports[1].clone();
    println!("figure: {report}");
    let unseen = report.get::<u32>("decoded-unseen").expect("a number");
    // Pictures of 4.5 s, and what a busy machine adds.
    assert!(unseen < 200, "{report}");
    let gap = report.get::<u64>("gap").expect("a time");
    assert!(gap < 2000 * MS, "{report}");
    programme.finish(&["audio_0", "video_0"]);
    Ok(())
}
