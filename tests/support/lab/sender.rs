// SPDX-License-Identifier: MPL-2.0
//! The program that sends what a reel writes, by the protocol of the URL that it is sent to.
//!
//! Knows command lines, and by which line on stdout each program says that it publishes. Each reads FLV from its
//! stdin, and ends when that ends.

use std::io;
use std::path::Path;

use super::publisher::{QUIETLY, has_sent};

const RTSP_SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/lab/rtsp.py");
/// What a real sender of MPEG-TS puts into a datagram.
const PACKET_SIZE: u32 = 1316;

pub(super) struct Sender {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    /// Whether a line on its stdout says that it publishes.
    pub(super) says_so: fn(&str) -> bool,
}

impl Sender {
    pub(super) fn to(url: &str) -> io::Result<Self> {
        match url.split_once("://") {
            Some(("rtmp", _)) => Ok(ffmpeg(
                "-max_interleave_delta 1 -flush_packets 1 -f flv",
                url,
            )),
            // As most people send it: nothing is said of how it is to be multiplexed.
            Some(("udp", _)) => Ok(ffmpeg(
                "-f mpegts",
                &format!("{url}?pkt_size={PACKET_SIZE}"),
            )),
            Some(("srt", _)) => Ok(srtsink(url)),
            Some(("rtsp", rest)) => rtsp_server(rest),
            _ => Err(io::Error::other(format!("nothing sends to {url}"))),
        }
    }
}

/// What is read is not probed, held back or put in another order.
fn ffmpeg(form: &str, url: &str) -> Sender {
    let line = format!(
        "{QUIETLY} -fflags nobuffer -probesize 2048 -analyzeduration 0 -f flv -i pipe:0 -c copy {form}"
    );
    Sender {
        program: "ffmpeg".to_owned(),
        args: words(&line).chain([url.to_owned()]).collect(),
        says_so: has_sent,
    }
}

/// MPEG-TS with the parameters of the picture before each key frame, for those who come later.
fn srtsink(url: &str) -> Sender {
    let line = "fdsrc fd=0 ! flvdemux name=in mpegtsmux name=out alignment=7 \
         in.video ! queue ! h264parse config-interval=-1 ! out. in.audio ! queue ! aacparse ! out. \
         out. ! srtsink wait-for-connection=false sync=false";
    Sender {
        program: "gst-launch-1.0".to_owned(),
        args: words(line).chain([format!("uri={url}")]).collect(),
        says_so: |line| line.starts_with("Setting pipeline to PLAYING"),
    }
}

/// A server of our own for each stream.
fn rtsp_server(rest: &str) -> io::Result<Sender> {
    let port = rest
        .split_once('/')
        .and_then(|(host, _)| host.rsplit_once(':'));
    let (_, port) = port.ok_or_else(|| io::Error::other("an RTSP server has a port"))?;
    // The bindings of a distribution are for its own Python.
    let system = Some("/usr/bin/python3").filter(|python| Path::new(python).exists());
    let line = ["-u", RTSP_SCRIPT, "--port", port];
    Ok(Sender {
        program: system.unwrap_or("python3").to_owned(),
        args: line.map(str::to_owned).to_vec(),
        says_so: |line| line == "publishing",
    })
}

fn words(line: &str) -> impl Iterator<Item = String> {
    line.split_whitespace().map(str::to_owned)
}
