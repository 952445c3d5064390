// SPDX-License-Identifier: MPL-2.0
//! A WHEP server of our own: aiortc, a WebRTC stack that shares no code with GStreamer's, on loopback.
//!
//! Owns the process. What it can do is told in `whep.py`, which it runs.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::process::{Process, Scratch};

pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lab/whep.py");
/// Pictures in a second of what it sends.
pub(crate) const WHEP_FPS: u32 = 25;
const START_DEADLINE: Duration = Duration::from_secs(40);

/// A server that accepts connections. Dropping it kills it.
pub(crate) struct WhepServer {
    process: Process,
    folder: Scratch,
    options: Vec<String>,
    port: u16,
    /// Where it is reached.
    base: &'static str,
}

impl WhepServer {
    /// H.264 and Opus.
    pub(crate) fn start() -> io::Result<Self> {
        Self::start_with(&[])
    }

    /// A picture of this colour (`0xRRGGBB`) and a tone.
    pub(crate) fn start_as(colour: u32, tone: u32) -> io::Result<Self> {
        let (colour, tone) = (format!("{colour:06x}"), tone.to_string());
        Self::start_with(&["--colour", &colour, "--tone", &tone])
    }

    /// Numbered frames, frame 0 at this time, for a meter that knows this input by this name.
    pub(crate) fn start_numbered(name: u8, epoch: SystemTime) -> io::Result<Self> {
        let since = epoch.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::start_with(&["--numbered", &format!("{name}@{}", since.as_secs_f64())])
    }

    /// Options of `whep.py`.
    pub(crate) fn start_with(options: &[&str]) -> io::Result<Self> {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self::start_in(Scratch::new()?, options, "whep://127.0.0.1")
    }

    /// Over HTTPS, with a certificate and its key in PEM form.
    pub(crate) fn start_secure(certificate: &str, key: &str) -> io::Result<Self> {
        let folder = Scratch::new()?;
        let mut options = Vec::new();
        for (name, text) in [("cert", certificate), ("key", key)] {
            let path = folder.path().join(name);
            fs::write(&path, text)?;
            options.extend([format!("--{name}"), path.display().to_string()]);
        }
        Self::start_in(folder, options, "wheps://127.0.0.1")
    }

    fn start_in(folder: Scratch, options: Vec<String>, base: &'static str) -> io::Result<Self> {
        let (process, port) = launch(&folder, &options, 0)?;
        Ok(Self {
            process,
            folder,
            options,
            port,
            base,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("{}:{}/whep/stream", self.base, self.port)
    }

    /// SIGKILL.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        self.process.freeze()
    }

    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        self.process.thaw()
    }

    /// Starts it again on the same port, without any fault.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.process.kill9();
        (self.process, self.port) = launch(&self.folder, &self.options, self.port)?;
        Ok(())
    }

    /// Asks for a fault: `stall`, `mute`, `resume`, `close`, `status?code=503`.
    pub(crate) fn control(&self, what: &str) -> io::Result<String> {
        get(self.port, what)
    }

    /// How many sessions the server has.
    pub(crate) fn sessions(&self) -> io::Result<usize> {
        self.control("count")?.parse().map_err(io::Error::other)
    }

    /// How many key frames its players have asked for.
    pub(crate) fn asked(&self) -> io::Result<usize> {
        self.control("asked")?.parse().map_err(io::Error::other)
    }
}

/// What a lab server answers to `GET /ctl/…`.
pub(super) fn get(port: u16, what: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET /ctl/{what} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{what}: {answer}"))),
    }
}

/// Where `make setup` puts what the lab needs: beside what is built.
pub(super) fn built() -> PathBuf {
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target");
    std::env::var_os("CARGO_TARGET_DIR").map_or(own, PathBuf::from)
}

/// Python with aiortc.
pub(crate) fn python() -> io::Result<PathBuf> {
    let python = built().join("lab/venv/bin/python");
    match python.is_file() {
        true => Ok(python),
        false => Err(io::Error::other(
            "aiortc is not installed; `make setup` installs it",
        )),
    }
}

/// The first line that a process prints, if that comes in time.
pub(super) fn first_line(process: &mut Process) -> Option<String> {
    let stdout = process.take_stdout()?;
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(stdout).read_line(&mut line);
        let _ = sender.send(line.trim().to_owned());
    });
    receiver.recv_timeout(START_DEADLINE).ok()
}

fn launch(folder: &Scratch, options: &[String], port: u16) -> io::Result<(Process, u16)> {
    let mut arguments = vec![SCRIPT.to_owned(), "--port".to_owned(), port.to_string()];
    arguments.extend_from_slice(options);
    let log = folder.path().join("whep.log");
    let python = python()?.display().to_string();
    let mut process = Process::spawn(&python, &arguments, &log)?;
    match first_line(&mut process).and_then(|line| line.parse().ok()) {
        Some(port) => Ok((process, port)),
        None => Err(process.failure("the WHEP server did not start")),
    }
}
