// SPDX-License-Identifier: MPL-2.0
//! Witnesses: what the plugin logs, and what it asks a web server for.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the plugin logs.
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    function: Option<gst::log::DebugLogFunction>,
}

impl Log {
    pub(crate) fn of_failover() -> Self {
        Self::of("failover*:5")
    }

    /// All that the plugin can log.
    pub(crate) fn of_all() -> Self {
        Self::of("failover*:9,webrtcplaysrc:9")
    }

    fn of(thresholds: &str) -> Self {
        gst::init().expect("GStreamer");
        gst::log::set_active(true);
        gst::log::set_threshold_from_string(thresholds, false);
        let lines = Arc::new(Mutex::new(vec![]));
        let kept = lines.clone();
        let function = gst::log::add_log_function(move |category, _, _, _, _, _, message| {
            let text = message
                .get()
                .map(|text| text.to_string())
                .unwrap_or_default();
            let is_ours = ["failover", "webrtcplaysrc"]
                .iter()
                .any(|ours| category.name().starts_with(ours));
            if let (true, Ok(mut lines)) = (is_ours, kept.lock()) {
                lines.push(text);
            }
        });
        // The log function of GStreamer itself would fill the screen.
        gst::log::remove_default_log_function();
        Self {
            lines,
            function: Some(function),
        }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("the log").clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if let Some(function) = self.function.take() {
            gst::log::remove_log_function(function);
        }
    }
}

/// Answers every request with the same bytes, on loopback.
pub(crate) struct HttpServer {
    pub(crate) port: u16,
    requests: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl HttpServer {
    pub(crate) fn start(kind: &str, body: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let server = Self {
            port: listener.local_addr().expect("an address").port(),
            requests: Arc::default(),
            ended: Arc::default(),
        };
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let (requests, ended) = (server.requests.clone(), server.ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::SeqCst) {
                    break;
                }
                requests.fetch_add(1, Ordering::SeqCst);
                if let Ok(mut stream) = stream {
                    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                    let _ = stream.read(&mut [0; 4096]);
                    let _ = stream.write_all(answer.as_bytes());
                }
            }
        });
        server
    }
}

impl HttpServer {
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}
