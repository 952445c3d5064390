// SPDX-License-Identifier: MPL-2.0
//! A WHEP server in a network namespace of its own, at the far end of a cable that can be pulled.
//!
//! Owns the process; the namespace and the cable go with it. Needs root.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::{Process, Scratch, find_program};
use super::whep::{SCRIPT, first_line, python};

/// A server that is not on this machine, as far as the network can tell. Dropping it kills it.
pub(crate) struct Away {
    process: Process,
    _folder: Scratch,
    /// Its address, and ours at the near end.
    address: String,
    port: u16,
}

impl Away {
    /// What it needs and this machine lacks; `None` when all is there.
    pub(crate) fn missing() -> Option<String> {
        let is_root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        if !is_root {
            return Some("a network namespace needs root".to_owned());
        }
        let lacking = ["ip", "unshare", "nsenter"]
            .into_iter()
            .find(|program| find_program(program).is_none());
        if let Some(program) = lacking {
            return Some(format!("{program} is not installed"));
        }
        // Root in a container may not.
        let tried = run("unshare", &["-n", "ip", "link", "add", "x", "type", "veth"]);
        let why = |error| format!("no network namespace can be made here: {error}");
        tried.err().map(why)
    }

    /// A picture of this colour (`0xRRGGBB`) and a tone.
    pub(crate) fn start(colour: u32, tone: u32) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // Of the range that is set aside for measurements between networks.
        let number = std::process::id() * 4 + NEXT.fetch_add(1, Ordering::Relaxed);
        let network = format!("198.18.{}.{}", number / 64 % 256, number % 64 * 4);
        let (head, last) = network.rsplit_once('.').unwrap_or_default();
        let last: u32 = last.parse().unwrap_or_default();
        let (ours, address) = (
            format!("{head}.{}/30", last + 1),
            format!("{head}.{}", last + 2),
        );
        let folder = Scratch::new()?;
        let python = python()?.display().to_string();
        let (colour, tone) = (format!("{colour:06x}"), tone.to_string());
        let arguments = [
            "-n", &python, SCRIPT, "--host", &address, "--colour", &colour, "--tone", &tone,
        ];
        let arguments = arguments.map(str::to_owned);
        let mut process = Process::spawn("unshare", &arguments, &folder.path().join("log"))?;
        let Some(port) = first_line(&mut process).and_then(|line| line.parse().ok()) else {
            return Err(process.failure("the server did not start"));
        };
        let (pid, link) = (process.id().to_string(), format!("fo{}", process.id()));
        let theirs = format!("{address}/30");
        let add = ["link", "add", &link, "type", "veth", "peer", "name", "far"];
        run("ip", &[&add[..], &["netns", &pid]].concat())?;
        run("ip", &["addr", "add", &ours, "dev", &link])?;
        run("ip", &["link", "set", &link, "up"])?;
        let server = Self {
            process,
            _folder: folder,
            address,
            port,
        };
        server.inside(&["ip", "addr", "add", &theirs, "dev", "far"])?;
        server.inside(&["ip", "link", "set", "lo", "up"])?;
        server.plug(true)?;
        Ok(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("whep://{}:{}/whep/stream", self.address, self.port)
    }

    /// Pulls the cable, at the far end, or puts it in again.
    pub(crate) fn plug(&self, plugged: bool) -> io::Result<()> {
        let state = if plugged { "up" } else { "down" };
        self.inside(&["ip", "link", "set", "far", state])
    }

    /// As `WhepServer::control`, also while the cable is out.
    pub(crate) fn control(&self, what: &str) -> io::Result<()> {
        let url = format!("http://127.0.0.1:{}/ctl/{what}", self.port);
        let get = format!("import urllib.request as r; r.urlopen({url:?}, timeout=5)");
        self.inside(&["python3", "-c", &get])
    }

    fn inside(&self, command: &[&str]) -> io::Result<()> {
        let pid = self.process.id().to_string();
        run("nsenter", &[&["-t", &pid, "-n"], command].concat())
    }
}

fn run(program: &str, arguments: &[&str]) -> io::Result<()> {
    let program = find_program(program).unwrap_or_default();
    let done = Command::new(program).args(arguments).output()?;
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    match done.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(said)),
    }
}
