// SPDX-License-Identifier: MPL-2.0
//! Failovers that nobody sees, measured frame by frame and sample by sample: a real RTMP server, two
//! publishers in step (H.264 with a key frame each second, AAC), and the meter at the output.

#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/meter/mod.rs"]
mod meter;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;

use gst::prelude::*;

use lab::Server;
use meter::{Recipe, Report};
use pair::{BACKUP, PRIMARY, Pair};
use programme::{MS, Programme};

/// Samples of one AAC frame.
const AAC_FRAME: usize = 1024;
const MILLISECOND: usize = 48;

/// The primary is on air and the backup stands by. Both have been on standby before, where their places
/// in time were found: what is known of an input that goes on air with its first buffer depends on
/// how busy the machine was at that moment.
fn scene(latency: u64, gop: u32) -> io::Result<(Server, Pair)> {
    let server = Server::start()?;
    let urls = ["primary", "backup"].map(|name| server.url(name));
    let programme = Programme::new()
        .set("primary-uri", urls[0].clone())
        .set("backup-uri", urls[1].clone())
        .set("timeout", 500 * MS)
        .set("latency", latency);
    let recipe = |name| Recipe {
        gop,
        ..Recipe::small(name)
    };
    let mut scene = Pair::publish(urls, recipe, programme)?;
    scene.programme.play();
    scene.until_on_air();
    let src = scene.programme.src.clone();
    src.emit_by_name::<()>("switch-to", &[&1i32]);
    scene.until_shown(BACKUP);
    src.emit_by_name::<()>("release", &[]);
    scene.until_shown(PRIMARY);
    // Until the backup keeps a whole group of pictures again.
    scene.until_settled(gop as usize + 25);
    Ok((server, scene))
}

/// One cut that loses no more than timestamps of whole milliseconds and sound in whole frames make
/// unavoidable, with sound and picture as far apart as before.
fn check_unseen(report: &Report) {
    let Report { sight, hearing, .. } = report;
    assert_eq!(sight.switches(), 1, "{report:?}");
    assert!(sight.freeze <= 0.040, "{report:?}");
    assert!(sight.lost <= 1 && sight.repeated <= 1, "{report:?}");
    let never = (sight.broken, sight.black, sight.reordered);
    assert_eq!(never, (0, 0, 0), "{report:?}");
    for gap in [hearing.hole, hearing.overlap, hearing.silent] {
        assert!(gap <= AAC_FRAME + MILLISECOND, "{report:?}");
    }
    // The gap, and the frame by which the inputs were out of step.
    for jump in [hearing.skipped, hearing.repeated] {
        assert!(jump <= 2 * AAC_FRAME + MILLISECOND, "{report:?}");
    }
    // At the cut by as much as one frame of sound; picture and sound are stamped in whole milliseconds each.
    let apart = (AAC_FRAME + 2 * MILLISECOND) as f64 / 48_000.0;
    let [least, _, most] = hearing.behind_picture.expect("picture and sound");
    assert!(least.abs().max(most.abs()) <= apart, "{report:?}");
}

#[test]
fn a_kill_of_the_publisher_is_not_seen() {
    meter::on_a_steady_machine(|| {
        let (_server, mut scene) = scene(2000 * MS, 50).expect("the lab");
        scene.primary.kill9();
        let report = scene.until_shown(BACKUP);
        check_unseen(&report);
        assert!(report.hearing.mixed <= 0.05, "{report:?}");
        scene.finish();
    });
}

/// A publisher that begins sends sound at once and the picture from the next key frame on; the primary has
/// recovered with its sound alone before, which tells where it is in time.
#[test]
fn a_return_before_the_first_picture_is_not_seen() {
    meter::on_a_steady_machine(|| {
        let (_server, mut scene) = scene(2000 * MS, 100).expect("the lab");
        scene.primary.kill9();
        scene.until_shown(BACKUP);
        scene.primary.restart().expect("the lab");
        check_unseen(&scene.until_shown(PRIMARY));
        scene.finish();
    });
}

#[test]
fn a_frozen_publisher_and_its_return_are_not_seen() {
    meter::on_a_steady_machine(|| {
        let (_server, mut scene) = scene(2000 * MS, 50).expect("the lab");
        scene.primary.freeze().expect("the lab");
        let report = scene.until_shown(BACKUP);
        check_unseen(&report);
        assert!(report.hearing.mixed <= 0.05, "{report:?}");
        scene.primary.thaw().expect("the lab");
        check_unseen(&scene.until_shown(PRIMARY));
        scene.finish();
    });
}

/// The sound that came while its picture was missed is held, and leaves with it.
#[test]
fn when_only_the_picture_stalls_both_switch_and_nobody_sees_it() {
    meter::on_a_steady_machine(|| {
        let (_server, mut scene) = scene(2000 * MS, 50).expect("the lab");
        scene.tapes[0].stall_picture(true);
        let report = scene.until_shown(BACKUP);
        check_unseen(&report);
        assert!(report.hearing.mixed <= 0.05, "{report:?}");
        scene.finish();
    });
}
