// SPDX-License-Identifier: MPL-2.0
//! Media files made on the spot, gone when dropped.
//!
//! Owns the file. Knows nothing of who plays it.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use gst::prelude::*;

use crate::programme::{Look, init};

/// H.264 and AAC of one look.
pub(crate) struct Recording(PathBuf);

impl Recording {
    /// So many seconds in a container: `mp4`, `flv` or `ts`.
    pub(crate) fn new(look: Look, seconds: u32, container: &str) -> Self {
        let mux = match container {
            "flv" => "flvmux",
            "ts" => "mpegtsmux",
            _ => "mp4mux",
        };
        Self::made(container, |path| {
            format!(
                "{mux} name=mux ! filesink location=\"{path}\" \
                 videotestsrc num-buffers={} pattern=solid-color foreground-color={} ! \
                 video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! \
                 x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! h264parse ! mux. \
                 audiotestsrc num-buffers={} samplesperbuffer=1024 freq={} ! \
                 audio/x-raw,rate=44100,channels=2 ! avenc_aac ! aacparse ! mux.",
                seconds * 25,
                0xff00_0000 | look.colour(),
                seconds * 44_100 / 1024,
                look.tone(),
            )
        })
    }

    /// One picture.
    pub(crate) fn still(look: Look) -> Self {
        Self::made("png", |path| {
            format!(
                "videotestsrc num-buffers=1 pattern=solid-color foreground-color={} ! \
                 video/x-raw,width=320,height=180 ! videoconvert ! pngenc ! filesink location=\"{path}\"",
                0xff00_0000 | look.colour(),
            )
        })
    }

    fn made(ending: &str, line: impl Fn(std::path::Display) -> String) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        init();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!(
            "failover-recording-{}-{number}.{ending}",
            std::process::id()
        );
        let path = std::env::temp_dir().join(name);
        let line = line(path.display());
        let pipeline = gst::parse::launch(&line).expect("a valid line");
        let recording = Self(path);
        pipeline.set_state(gst::State::Playing).expect("it records");
        let bus = pipeline.bus().expect("a bus");
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(60), &kinds);
        let ended = message.is_some_and(|message| message.type_() == gst::MessageType::Eos);
        pipeline.set_state(gst::State::Null).expect("it stops");
        assert!(ended, "nothing was recorded");
        recording
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn uri(&self) -> String {
        gst::glib::filename_to_uri(&self.0, None)
            .expect("a full path")
            .to_string()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
