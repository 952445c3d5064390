// SPDX-License-Identifier: MPL-2.0
//! The examples do what they say on real streams, and end cleanly on Ctrl-C.

#[path = "support/lab/mod.rs"]
mod lab;

mod support {
    pub(crate) mod run;
}

use std::io;
use std::path::Path;

use lab::{Picture, Publisher, Scratch, Server};
use support::run::{Run, built, frame_number};

#[test]
fn the_player_tells_of_a_switch_and_ends_on_ctrl_c() -> io::Result<()> {
    let mut ingests = Ingests::start()?;
    let (primary, backup) = ingests.urls();
    let play = built("examples/play");
    let mut player = Run::start(&play, &["--fakesink", &primary, &backup])?;
    player.wait_for("switched nothing → primary")?;
    ingests.primary.kill9();
    player.wait_for("switched primary → backup")?;
    player.end_by_ctrl_c()
}

#[test]
fn the_relay_keeps_its_output_connected_through_a_switch() -> io::Result<()> {
    let mut ingests = Ingests::start()?;
    let (primary, backup) = ingests.urls();
    let output = ingests.server.url("out");
    let mut relay = Run::start(&built("examples/relay"), &[&primary, &backup, &output])?;
    relay.wait_for("switched nothing → primary")?;

    // A player at the far end: its connection ends when the relay's does.
    let log = [
        "-hide_banner",
        "-loglevel",
        "error",
        "-progress",
        "pipe:1",
        "-stats_period",
        "0.1",
    ];
    let mut args = log.to_vec();
    args.extend(["-i", &output, "-f", "null", "-"]);
    let mut far_end = Run::start(Path::new("ffmpeg"), &args)?;
    let far = far_end.wait_for("frame=");
    far.map_err(|error| relay.told_beside(&error))?;
    ingests.primary.kill9();
    relay.wait_for("switched primary → backup")?;
    let seen = far_end.frames();
    far_end.wait_until("frames after the switch", |line| {
        frame_number(line) > Some(seen + 50)
    })?;
    assert!(far_end.process.is_running());
    relay.end_by_ctrl_c()
}

#[test]
fn elements_of_ones_own_fail_over_as_uris_do() -> io::Result<()> {
    let mut example = Run::start(&built("examples/custom_source"), &["--fakesink"])?;
    example.wait_for("the primary fails")?;
    example.wait_for("switched primary → backup")?;
    example.wait_for("switched backup → primary")?;
    example.end_by_ctrl_c()
}

#[test]
fn the_python_example_tells_of_a_switch_and_ends_on_ctrl_c() -> io::Result<()> {
    let mut ingests = Ingests::start()?;
    let (primary, backup) = ingests.urls();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/failover.py");
    // The plugin alone in a folder, as it is installed.
    let folder = Scratch::new()?;
    let library = format!("libgstfailover{}", std::env::consts::DLL_SUFFIX);
    std::fs::copy(built(&library), folder.path().join(&library))?;
    // The distribution's Python has the bindings; another one in the PATH may not.
    let python = Some("/usr/bin/python3").filter(|python| Path::new(python).exists());
    let plugins = format!("GST_PLUGIN_PATH={}", folder.path().display());
    let registry = format!("GST_REGISTRY={}", folder.path().join("registry").display());
    let script = script.display().to_string();
    let python = python.unwrap_or("python3");
    let args = [
        &plugins,
        &registry,
        python,
        &script,
        "--fakesink",
        &primary,
        &backup,
    ];
    let mut example = Run::start(Path::new("env"), &args)?;
    example.wait_for("switched -1 -> 0")?;
    ingests.primary.kill9();
    example.wait_for("switched 0 -> 1")?;
    example.end_by_ctrl_c()
}

struct Ingests {
    primary: Publisher,
    _backup: Publisher,
    server: Server,
}

impl Ingests {
    fn start() -> io::Result<Self> {
        let server = Server::start()?;
        let mut primary = Publisher::start(&server.url("primary"), Picture::new("PRIMARY"))?;
        let mut backup = Publisher::start(&server.url("backup"), Picture::new("BACKUP").tone(660))?;
        primary.wait_until_publishing()?;
        backup.wait_until_publishing()?;
        Ok(Self {
            primary,
            _backup: backup,
            server,
        })
    }

    fn urls(&self) -> (String, String) {
        (self.server.url("primary"), self.server.url("backup"))
    }
}
