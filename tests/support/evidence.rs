// SPDX-License-Identifier: MPL-2.0
//! What the elements said of late, written down when a test fails: some failures come once in a hundred
//! runs, and are never seen again with a debugger at hand.

use std::path::Path;

/// Of each thread; the last minutes of a test.
const BYTES: u32 = 2 << 20;
const SECONDS: u32 = 120;
/// The last that fits counts.
const LEVELS: &str = "failover*:7,webrtc*:5,webrtcplaysrc:7";

/// Keeps it while the test runs.
pub(crate) struct Evidence;

impl Evidence {
    pub(crate) fn keep() -> Self {
        crate::programme::init();
        // Whoever sets GST_DEBUG wants to read it at once.
        if std::env::var_os("GST_DEBUG").is_none() {
            gst::log::remove_default_log_function();
            gst::log::set_threshold_from_string(LEVELS, false);
        }
        gst::log::add_ring_buffer_logger(BYTES, SECONDS);
        Self
    }
}

impl Drop for Evidence {
    fn drop(&mut self) {
        if std::thread::panicking() {
            write_down();
        }
        gst::log::remove_ring_buffer_logger();
    }
}

fn write_down() {
    let logs = gst::log::ring_buffer_logger_get_logs();
    let mut lines: Vec<&str> = logs.iter().flat_map(|log| log.lines()).collect();
    // They begin with the time.
    lines.sort_unstable();
    let test = std::thread::current().name().unwrap_or("test").to_owned();
    let name = format!("{test}.{}.log", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match std::fs::write(&path, lines.join("\n")) {
        Ok(()) => println!("what the elements said: {}", path.display()),
        Err(error) => println!("what the elements said is lost: {error}"),
    }
}
