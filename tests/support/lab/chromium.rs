// SPDX-License-Identifier: MPL-2.0
//! A WHEP server whose WebRTC stack is a browser's: headless Chromium, on loopback.
//!
//! Owns the process, and with it the browser. What it can do is told in `chromium.mjs`, which it runs.

use std::io;
use std::path::PathBuf;

use super::process::{Process, Scratch, find_program};
use super::whep::{first_line, get};

/// A server that accepts connections. Dropping it ends the browser too.
pub(crate) struct Chromium {
    process: Process,
    _folder: Scratch,
    port: u16,
}

impl Chromium {
    /// What it needs and this machine lacks; `None` when all is there.
    pub(crate) fn missing() -> Option<&'static str> {
        match () {
            () if find_program("chromium").is_none() => Some("chromium is not installed"),
            () if find_program("node").is_none() => Some("node is not installed"),
            () if !npm().join("node_modules/playwright-core").is_dir() => {
                Some("playwright-core is not installed (`make setup` installs it)")
            }
            () => None,
        }
    }

    /// A picture of this colour (`0xRRGGBB`) in `h264` or `vp8`, and a tone.
    pub(crate) fn start(colour: u32, tone: u32, codec: &str) -> io::Result<Self> {
        let folder = Scratch::new()?;
        let chromium = find_program("chromium").unwrap_or_default();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/lab/chromium.mjs"
        );
        let arguments = [
            format!("LAB_NPM={}", npm().display()),
            format!("LAB_CHROMIUM={}", chromium.display()),
            // The browser leaves things behind.
            format!("TMPDIR={}", folder.path().display()),
            "node".to_owned(),
            script.to_owned(),
            format!("{colour:06x}"),
            tone.to_string(),
            codec.to_owned(),
        ];
        let log = folder.path().join("chromium.log");
        let mut process = Process::spawn("env", &arguments, &log)?;
        match first_line(&mut process).and_then(|line| line.parse().ok()) {
            Some(port) => Ok(Self {
                process,
                _folder: folder,
                port,
            }),
            None => Err(process.failure("Chromium did not start")),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("whep://127.0.0.1:{}/whep/stream", self.port)
    }

    pub(crate) fn control(&self, what: &str) -> io::Result<String> {
        get(self.port, what)
    }

    /// The processes that make the media.
    pub(crate) fn renderers(&self) -> io::Result<Vec<u32>> {
        let pids = self.control("pids")?;
        let pids = pids.split_whitespace().map(str::parse);
        pids.collect::<Result<_, _>>().map_err(io::Error::other)
    }
}

impl Drop for Chromium {
    /// The script ends its browser when it is asked to end; killed, it could not.
    fn drop(&mut self) {
        self.process.terminate();
    }
}

fn npm() -> PathBuf {
    super::whep::built().join("lab/npm")
}
