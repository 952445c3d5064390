// SPDX-License-Identifier: MPL-2.0
//! The lab: real servers and publishers on loopback (RTMP, RTSP, SRT, MPEG-TS over UDP, WebRTC), and the faults to
//! try on them.
//!
//! It owns the processes it starts and the folder they write to, and takes both down when it is
//! dropped. It knows nothing of GStreamer. Shared by the integration tests and the demo:
//!
//! ```ignore
//! let server = Server::start()?;
//! let mut primary = Publisher::start(&server.url("primary"), Picture::new("PRIMARY"))?;
//! primary.wait_until_publishing()?;
//! primary.freeze()?;
//! ```

// Every test and example takes the part of the lab that it needs.
#![allow(dead_code, unused_imports)]

mod away;
mod chromium;
mod process;
mod publisher;
mod sender;
mod server;
mod turn;
mod whep;

pub(crate) use away::Away;
pub(crate) use chromium::Chromium;
pub(crate) use process::{Process, Scratch};
pub(crate) use publisher::{Picture, Publisher, Reel};
pub(crate) use server::{Server, free_port, free_udp_port, poll_until};
pub(crate) use turn::TurnServer;
pub(crate) use whep::{SCRIPT, WHEP_FPS, WhepServer, python};

/// What the lab needs and this machine lacks, as one sentence; `None` when all is there.
pub(crate) fn missing() -> Option<String> {
    let mut lacking = Vec::new();
    if process::find_program("nginx").is_none() {
        lacking.push("nginx");
    }
    if server::find_rtmp_module().is_none() {
        lacking.push("the RTMP module of nginx (libnginx-mod-rtmp)");
    }
    if process::find_program("ffmpeg").is_none() {
        lacking.push("ffmpeg");
    }
    (!lacking.is_empty())
        .then(|| format!("missing: {}; `make setup` installs it", lacking.join(", ")))
}
