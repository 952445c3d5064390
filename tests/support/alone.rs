// SPDX-License-Identifier: MPL-2.0
//! `webrtcplaysrc` in a pipeline of its own: whether something comes out of it, what it offers, and
//! how it ends.

#![allow(dead_code)]

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The element for this stream, in NULL, in a pipeline.
pub(crate) fn in_a_pipeline(uri: &str) -> (gst::Pipeline, gst::Element) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer");
        gstfailover::plugin_register_static().expect("the plugin");
    });
    let src = gst::ElementFactory::make("webrtcplaysrc")
        .property("uri", uri)
        .build()
        .expect("webrtcplaysrc");
    let pipeline = gst::Pipeline::new();
    pipeline.add(&src).expect("room");
    (pipeline, src)
}

/// The pad of a new sink that runs, for a pad of this element.
pub(crate) fn sink_beside(src: &gst::Element) -> gst::Pad {
    let pipeline = src.parent().and_downcast::<gst::Pipeline>();
    let sink = gst::ElementFactory::make("fakesink")
        .property("async", false)
        .property("sync", false)
        .build()
        .expect("fakesink");
    pipeline.expect("a pipeline").add(&sink).expect("room");
    sink.sync_state_with_parent().expect("a running sink");
    sink.static_pad("sink").expect("its pad")
}

pub(crate) struct Alone {
    pipeline: gst::Pipeline,
    pub(crate) src: gst::Element,
    /// Buffers, by the pad that they come from.
    came: Receiver<String>,
    candidates: Arc<Mutex<Vec<String>>>,
}

impl Alone {
    /// In NULL.
    pub(crate) fn new(uri: &str) -> Self {
        let (pipeline, src) = in_a_pipeline(uri);
        let (tell, came) = channel();
        src.connect_pad_added(move |src, pad| {
            let target = sink_beside(src);
            let (name, tell) = (pad.name().to_string(), tell.clone());
            target.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                let _ = tell.send(name.clone());
                gst::PadProbeReturn::Ok
            });
            pad.link(&target).expect("a link");
        });
        let this = Self {
            pipeline,
            src,
            came,
            candidates: Arc::default(),
        };
        let candidates = this.candidates.clone();
        this.configure(move |webrtcbin| {
            let candidates = candidates.clone();
            webrtcbin.connect("on-ice-candidate", false, move |values| {
                let candidate = values.get(2)?.get::<String>().ok()?;
                let mut all = candidates.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(candidate);
                None
            });
        });
        this
    }

    /// What an application does to a webrtcbin before it negotiates.
    pub(crate) fn configure(&self, change: impl Fn(&gst::Element) + Send + Sync + 'static) {
        self.src.connect("webrtcbin-ready", false, move |values| {
            change(&values.get(1)?.get::<gst::Element>().ok()?);
            None
        });
    }

    pub(crate) fn play(self) -> Self {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("PLAYING");
        self
    }

    /// Waits until this pad has brought so many buffers.
    pub(crate) fn until(&self, pad: &str, buffers: usize) {
        for _ in 0..buffers {
            while self.came.recv_timeout(PATIENCE).expect(pad) != pad {}
        }
    }

    /// The candidates that we had to offer so far.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let all = self.candidates.lock();
        all.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The cause and the text of the failure that it ends with.
    pub(crate) fn failure(&self) -> (String, String) {
        let bus = self.pipeline.bus().expect("a bus");
        let limit = gst::ClockTime::try_from(PATIENCE).expect("a time");
        let message = bus.timed_pop_filtered(limit, &[gst::MessageType::Error]);
        let message = message.expect("an error");
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!("only errors were asked for")
        };
        let details = error.details().expect("details");
        let cause = details.get("cause").expect("a cause");
        (cause, error.error().message().to_owned())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        end(&self.pipeline, &self.src);
    }
}

/// To NULL, and until its good-bye is said: a process that exits under its threads may crash in the
/// destructors of their libraries.
pub(crate) fn end(pipeline: &gst::Pipeline, src: &gst::Element) {
    let _ = pipeline.set_state(gst::State::Null);
    // Not for one that never stops.
    let limit = Instant::now() + Duration::from_secs(2);
    let is_over = || {
        let stats = src.property::<gst::Structure>("stats");
        stats.get("num-stopping") == Ok(0u64)
    };
    while !is_over() && Instant::now() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
}
