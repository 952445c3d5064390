// SPDX-License-Identifier: MPL-2.0
//! Failovers that nobody sees, measured frame by frame and sample by sample: a real RTMP server, two
//! publishers in step (H.264 with a key frame each second, AAC), and the meter at the output.

#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/meter/mod.rs"]
mod meter;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use evidence::Evidence;
use lab::{Publisher, Server};
use meter::{Meter, Recipe, Report, Tape};
use programme::{MS, Programme};

const PRIMARY: u8 = 0;
const BACKUP: u8 = 1;
const LIMIT: Duration = Duration::from_secs(20);
/// Samples of one AAC frame.
const AAC_FRAME: usize = 1024;
const MILLISECOND: usize = 48;

struct Scene {
    _server: Server,
    tape: Arc<Tape>,
    primary: Publisher,
    _backup: Publisher,
    programme: Programme,
    meter: Meter,
    /// What came before is not measured.
    from: f64,
    _evidence: Evidence,
}

impl Scene {
    /// The primary is on air and the backup stands by. Both have been on standby before, where their places
    /// in time were found: what is known of an input that goes on air with its first buffer depends on
    /// how busy the machine was at that moment.
    fn set(latency: u64, gop: u32) -> io::Result<Self> {
        let evidence = Evidence::keep();
        let epoch = Instant::now();
        let recipe = |name| Recipe {
            gop,
            ..Recipe::small(name)
        };
        let tapes = [PRIMARY, BACKUP].map(|name| Arc::new(Tape::record(&recipe(name), epoch)));
        let server = Server::start()?;
        let [mut primary, mut backup] = [
            publish(&server, "primary", &tapes[0])?,
            publish(&server, "backup", &tapes[1])?,
        ];
        primary.wait_until_publishing()?;
        backup.wait_until_publishing()?;
        let programme = Programme::new()
            .set("primary-uri", server.url("primary"))
            .set("backup-uri", server.url("backup"))
            .set("timeout", 500 * MS)
            .set("latency", latency);
        let meter = Meter::new(recipe(PRIMARY).numbering());
        meter.follow(&programme.src);
        let [tape, _] = tapes;
        let mut scene = Self {
            _server: server,
            tape,
            primary,
            _backup: backup,
            programme: programme.start(),
            meter,
            from: 0.0,
            _evidence: evidence,
        };
        scene.until_shown(PRIMARY);
        scene
            .programme
            .until("the backup stands by", |record| record.told(1, "flowing"));
        scene
            .programme
            .src
            .emit_by_name::<()>("switch-to", &[&1i32]);
        scene.until_shown(BACKUP);
        scene.programme.src.emit_by_name::<()>("release", &[]);
        scene.until_shown(PRIMARY);
        // Until the backup keeps a whole group of pictures again.
        let whole = gop as usize + 25;
        let shown = scene
            .meter
            .comes_true(LIMIT, |seen| seen.shows(PRIMARY, whole));
        assert!(shown, "the primary does not stay");
        scene.from = scene.meter.now() - 0.5;
        Ok(scene)
    }

    /// What was seen and heard from the last such report on, until this input was steadily on the screen.
    fn until_shown(&mut self, name: u8) -> Report {
        let shown = self.meter.comes_true(LIMIT, |seen| seen.shows(name, 25));
        let report = self.meter.report(self.from);
        let switched = self.programme.record().reports.last().cloned();
        println!("{report:?}\n{switched:?}");
        assert!(shown, "input {name} does not come: {report:?}");
        // With the last pictures of this one begins the next.
        self.from = self.meter.now() - 0.2;
        report
    }

    fn finish(self) {
        self.programme.finish(&["audio_0", "video_0"]);
    }
}

fn publish(server: &Server, name: &str, tape: &Arc<Tape>) -> io::Result<Publisher> {
    let tape = tape.clone();
    Publisher::relay(&server.url(name), Arc::new(move |to| tape.play(to)))
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
    let [least, _, most] = hearing.behind_picture.expect("picture and sound");
    assert!(least.abs().max(most.abs()) <= 0.022, "{report:?}");
}

#[test]
fn a_kill_of_the_publisher_is_not_seen() {
    meter::on_a_steady_machine(|| {
        let mut scene = Scene::set(2000 * MS, 50).expect("the lab");
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
        let mut scene = Scene::set(2000 * MS, 100).expect("the lab");
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
        let mut scene = Scene::set(2000 * MS, 50).expect("the lab");
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
        let mut scene = Scene::set(2000 * MS, 50).expect("the lab");
        scene.tape.stall_picture(true);
        let report = scene.until_shown(BACKUP);
        check_unseen(&report);
        assert!(report.hearing.mixed <= 0.05, "{report:?}");
        scene.finish();
    });
}
