// SPDX-License-Identifier: MPL-2.0
//! A real STUN and TURN server, coturn, on loopback, with a configuration of our own.
//!
//! Owns the process and the folder of its files.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::process::{Process, Scratch, find_program};
use super::server::{free_port, poll_until};

const USER: &str = "viewer";
const PASSWORD: &str = "let:me@in";

/// A server that answers. Dropping it kills it.
pub(crate) struct TurnServer {
    process: Process,
    folder: Scratch,
    port: u16,
}

impl TurnServer {
    pub(crate) fn missing() -> Option<&'static str> {
        match find_program("turnserver") {
            None => Some("coturn is not installed (`make setup` installs it)"),
            Some(_) => None,
        }
    }

    pub(crate) fn start() -> io::Result<Self> {
        let folder = Scratch::new()?;
        let port = free_port()?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let configuration = format!(
            "listening-ip=127.0.0.1\nrelay-ip=127.0.0.1\nlistening-port={port}\n\
             allow-loopback-peers\nlt-cred-mech\nuser={USER}:{PASSWORD}\nrealm=lab\n\
             no-tls\nno-dtls\nno-cli\nno-multicast-peers\nverbose\nsimple-log\n\
             log-file={}\npidfile={}\nuserdb={}\n",
            at("log"),
            at("pid"),
            at("users")
        );
        fs::write(folder.path().join("conf"), configuration)?;
        let arguments = ["-c".to_owned(), at("conf")];
        let mut process = Process::spawn("turnserver", &arguments, &folder.path().join("stderr"))?;
        // It prints what it logs; nobody reads that there.
        drop(process.take_stdout());
        let answers = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        if !poll_until(Duration::from_secs(20), answers) {
            return Err(process.failure("coturn did not start"));
        }
        Ok(Self {
            process,
            folder,
            port,
        })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// As `turn-servers` wants it.
    pub(crate) fn turn_uri(&self) -> String {
        let port = self.port;
        format!("turn://{USER}:let%3Ame%40in@127.0.0.1:{port}?transport=udp")
    }

    /// Whether it has given a relay to somebody who knew the password.
    pub(crate) fn has_relayed(&self) -> bool {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.lines()
            .any(|line| line.contains("ALLOCATE processed, success"))
    }
}
