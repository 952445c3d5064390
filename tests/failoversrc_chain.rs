// SPDX-License-Identifier: MPL-2.0
//! The whole chain, both ways round: one input by WHEP from a real WebRTC stack, the other by RTMP from
//! a real server, in step, with numbered frames. The primary is killed, comes back, freezes, and comes
//! back; every picture that comes out is read.

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
use std::time::{Duration, Instant, SystemTime};

use evidence::Evidence;
use lab::{Publisher, Server, WHEP_FPS as FPS, WhepServer};
use meter::{Meter, Recipe, Report, Tape};
use programme::{MS, Programme};

const PRIMARY: u8 = 0;
const BACKUP: u8 = 1;
const LIMIT: Duration = Duration::from_secs(40);

/// Whatever sends the primary.
trait Sender {
    fn kill9(&mut self);
    fn restart(&mut self) -> io::Result<()>;
    fn freeze(&mut self) -> io::Result<()>;
    fn thaw(&mut self) -> io::Result<()>;
}

macro_rules! sender {
    ($of:ty) => {
        impl Sender for $of {
            fn kill9(&mut self) {
                <$of>::kill9(self);
            }
            fn restart(&mut self) -> io::Result<()> {
                <$of>::restart(self)
            }
            fn freeze(&mut self) -> io::Result<()> {
                <$of>::freeze(self)
            }
            fn thaw(&mut self) -> io::Result<()> {
                <$of>::thaw(self)
            }
        }
    };
}
sender!(WhepServer);
sender!(Publisher);

/// When frame 0 was sent, by both clocks.
struct Epoch(Instant, SystemTime);

impl Epoch {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }
}

fn recipe(name: u8) -> Recipe {
    let mut recipe = Recipe::small(name);
    recipe.drawing.fps = FPS;
    // A key frame each second.
    recipe.gop = FPS;
    recipe
}

fn by_whep(name: u8, epoch: &Epoch) -> io::Result<WhepServer> {
    WhepServer::start_numbered(name, epoch.1)
}

fn by_rtmp(name: u8, epoch: &Epoch) -> io::Result<(Server, Publisher)> {
    let server = Server::start()?;
    let tape = Tape::record(&recipe(name), epoch.0);
    let reel = Arc::new(move |to: &mut dyn io::Write| tape.play(to));
    let mut publisher = Publisher::relay(&server.url("stream"), reel)?;
    publisher.wait_until_publishing()?;
    Ok((server, publisher))
}

struct Scene {
    programme: Programme,
    meter: Meter,
    from: f64,
    _evidence: Evidence,
}

impl Scene {
    fn set(primary: &str, backup: &str) -> Self {
        let evidence = Evidence::keep();
        let programme = Programme::new()
            .set("primary-uri", primary)
            .set("backup-uri", backup)
            // The WHEP server draws and encodes in Python: on a busy machine it stops for a while itself.
            .set("timeout", 1000 * MS);
        let meter = Meter::new(recipe(PRIMARY).numbering());
        meter.follow(&programme.src);
        let mut scene = Self {
            programme: programme.start(),
            meter,
            from: 0.0,
            _evidence: evidence,
        };
        scene.until_shown("start", PRIMARY);
        let programme = &scene.programme;
        programme.until("the backup stands by", |record| record.told(1, "flowing"));
        scene
    }

    /// What was seen since the last such report, until this input was steadily on the screen.
    fn until_shown(&mut self, what: &str, name: u8) -> Report {
        let steady = FPS as usize;
        let shown = self
            .meter
            .comes_true(LIMIT, |seen| seen.shows(name, steady));
        let report = self.meter.report(self.from);
        println!("figure: {what}: {:?}", report.sight);
        assert!(shown, "{what}: input {name} does not come: {report:?}");
        // With the last pictures of this one begins the next: as many as one may be behind that has only just
        // begun and had old data to send. What it shows again is then known for that, and not taken for
        // pictures out of order.
        self.from = self.meter.now() - 0.8;
        report
    }
}

/// The primary dies, freezes and comes back in between: no picture is damaged, out of order or black,
/// and no more is missing than detection takes.
fn there_and_back(mut scene: Scene, primary: &mut dyn Sender, cause: &str) -> io::Result<()> {
    primary.kill9();
    check(&scene.until_shown("killed", BACKUP));
    primary.restart()?;
    check_known(&scene.until_shown("back", PRIMARY));
    primary.freeze()?;
    check_known(&scene.until_shown("frozen", BACKUP));
    primary.thaw()?;
    check_known(&scene.until_shown("thawed", PRIMARY));
    scene.programme.until_switches(5);
    let there = |cause| (0, 1, cause);
    let back = (1, 0, "recovered");
    scene
        .programme
        .check_switches(&[(-1, 0, "startup"), there(cause), back, there("stall"), back]);
    scene.programme.finish(&["audio_0", "video_0"]);
    Ok(())
}

fn check(report: &Report) {
    let sight = &report.sight;
    assert_eq!(sight.switches(), 1, "{report:?}");
    let never = (sight.broken, sight.black, sight.reordered);
    assert_eq!(never, (0, 0, 0), "{report:?}");
    // Detection takes a second; a busy machine may take longer.
    assert!(sight.lost <= 5 * FPS as usize / 2, "{report:?}");
    assert!(sight.freeze < 2.5, "{report:?}");
}

/// Pictures that may come twice, or be missing, at the return: what is left to make up is less.
const FEW: usize = FPS as usize / 5;

/// The same of an input that has been there for long enough to know where it is in time.
fn check_known(report: &Report) {
    check(report);
    assert!(report.sight.repeated <= FEW, "{report:?}");
}

/// The primary stops for a while and loses nothing: then it is late, as long as any recovery takes, and makes
/// that up faster than real time. Its timestamps look on time all the while.
fn late_and_made_up() -> io::Result<()> {
    programme::init();
    let epoch = Epoch::now();
    let (server, _publisher) = by_rtmp(BACKUP, &epoch)?;
    let primary = by_whep(PRIMARY, &epoch)?;
    let mut scene = Scene::set(&primary.url(), &server.url("stream"));
    primary.control("hold")?;
    check(&scene.until_shown("held up", BACKUP));
    primary.control("drain?stand=1.5&pace=1.5")?;
    let report = scene.until_shown("made up", PRIMARY);
    check_known(&report);
    assert!(report.sight.lost <= FEW, "{report:?}");
    scene.programme.finish(&["audio_0", "video_0"]);
    Ok(())
}

fn whep_then_rtmp() -> io::Result<()> {
    programme::init();
    let epoch = Epoch::now();
    let (server, _publisher) = by_rtmp(BACKUP, &epoch)?;
    let mut primary = by_whep(PRIMARY, &epoch)?;
    let scene = Scene::set(&primary.url(), &server.url("stream"));
    there_and_back(scene, &mut primary, "stall")
}

fn rtmp_then_whep() -> io::Result<()> {
    programme::init();
    let epoch = Epoch::now();
    let backup = by_whep(BACKUP, &epoch)?;
    let (server, mut primary) = by_rtmp(PRIMARY, &epoch)?;
    let scene = Scene::set(&server.url("stream"), &backup.url());
    there_and_back(scene, &mut primary, "eos")
}

#[test]
fn whep_with_an_rtmp_backup_killed_and_frozen() {
    meter::on_a_steady_machine(|| whep_then_rtmp().expect("servers"));
}

#[test]
fn rtmp_with_a_whep_backup_killed_and_frozen() {
    meter::on_a_steady_machine(|| rtmp_then_whep().expect("servers"));
}

#[test]
fn whep_that_is_late_is_returned_to_when_it_has_made_that_up() {
    meter::on_a_steady_machine(|| late_and_made_up().expect("servers"));
}
