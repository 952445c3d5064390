// SPDX-License-Identifier: MPL-2.0
//! A small HTTP server on loopback: live bytes at their pace, as simple servers send them, or the files of a folder.

#![allow(dead_code)]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Ended when dropped.
pub(crate) struct Http {
    port: u16,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const CHUNK: Duration = Duration::from_millis(40);
/// A session without a word ends after this.
const PATIENCE: Duration = Duration::from_secs(5);

impl Http {
    /// Sends these bytes, which last so long, to each that connects: without a length or ranges, and closes. Who asks again
    /// gets them again.
    pub(crate) fn live(bytes: Vec<u8>, lasts: Duration) -> Self {
        let chunks = usize::try_from(lasts.as_millis() / CHUNK.as_millis()).unwrap_or(1);
        let size = (bytes.len() / chunks.max(1)).max(1);
        let chunks = (0..).zip(bytes.chunks(size));
        let timed = chunks.map(|(number, chunk)| (CHUNK * number, chunk.to_vec()));
        Self::timed("video/mp2t", timed.collect())
    }

    /// As [`Self::live`], with chunks of this type that are due so long after the connection.
    pub(crate) fn timed(kind: &'static str, chunks: Vec<(Duration, Vec<u8>)>) -> Self {
        Self::start(move |_, mut to, ends| {
            let head = format!("HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\n\r\n");
            to.write_all(head.as_bytes())?;
            let begun = Instant::now();
            for (due, chunk) in &chunks {
                // The pace of a sender, not a wait for something.
                std::thread::sleep((begun + *due).saturating_duration_since(Instant::now()));
                if ends.load(Relaxed) {
                    break;
                }
                to.write_all(chunk)?;
            }
            Ok(())
        })
    }

    /// The files of a folder, as they are when they are asked for.
    pub(crate) fn files(folder: PathBuf) -> Self {
        Self::start(move |path, mut to, _| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let Ok(bytes) = std::fs::read(folder.join(name)) else {
                return to.write_all(b"HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            };
            let kind = match name.ends_with(".m3u8") {
                true => "application/vnd.apple.mpegurl",
                false => "video/mp2t",
            };
            let length = bytes.len();
            let head = format!(
                "HTTP/1.0 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
            );
            to.write_all(head.as_bytes())?;
            to.write_all(&bytes)
        })
    }

    fn start(
        answer: impl Fn(&str, &TcpStream, &AtomicBool) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ends = Arc::new(AtomicBool::new(false));
        let (answer, asked_to_end) = (Arc::new(answer), ends.clone());
        let thread = std::thread::spawn(move || {
            let mut sessions = vec![];
            for stream in listener.incoming() {
                if asked_to_end.load(Relaxed) {
                    break;
                }
                let (answer, ends) = (answer.clone(), asked_to_end.clone());
                let Ok(stream) = stream else {
                    continue;
                };
                sessions.push(std::thread::spawn(move || {
                    // A client that hangs up has what it wanted.
                    let _ = asked(&stream).and_then(|path| answer(&path, &stream, &ends));
                }));
            }
            for session in sessions {
                session.join().expect("a session ends");
            }
        });
        Self {
            port,
            ends,
            thread: Some(thread),
        }
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.ends.store(true, Relaxed);
        // It waits for a connection.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads a request, and says of which path.
fn asked(stream: &TcpStream) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let path = first.split(' ').nth(1).unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    Ok(path.to_owned())
}
