// SPDX-License-Identifier: MPL-2.0
//! What goes in: frames, and the source that feeds a sink pad. It owns the pad upstream of the switch
//! and what is asked of it; it knows nothing of clocks.

use super::ms;
use gst::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// A frame to push: 20 ms long and a key frame unless it says otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pts: Option<u64>,
    dts: Option<u64>,
    duration: Option<u64>,
    delta: bool,
    torn: bool,
}

impl Frame {
    pub(crate) fn at(ms: u64) -> Self {
        Self {
            pts: Some(ms),
            dts: None,
            duration: Some(20),
            delta: false,
            torn: false,
        }
    }

    pub(crate) fn untimed() -> Self {
        Self {
            pts: None,
            duration: None,
            ..Self::at(0)
        }
    }

    pub(crate) fn decoded_at(self, ms: u64) -> Self {
        Self {
            dts: Some(ms),
            ..self
        }
    }

    /// The same frame on a time base that is ahead by so much.
    pub(crate) fn later(self, ms: u64) -> Self {
        Self {
            pts: self.pts.map(|pts| pts + ms),
            dts: self.dts.map(|dts| dts + ms),
            ..self
        }
    }

    /// The same frame with all its times that much earlier.
    pub(crate) fn earlier(self, ms: u64) -> Self {
        Self {
            pts: self.pts.map(|pts| pts - ms),
            dts: self.dts.map(|dts| dts - ms),
            ..self
        }
    }

    pub(crate) fn long(self, ms: u64) -> Self {
        Self {
            duration: Some(ms),
            ..self
        }
    }

    /// The same frame from a source that does not say how long it is.
    pub(crate) fn of_any_length(self) -> Self {
        Self {
            duration: None,
            ..self
        }
    }

    /// A frame that needs those before it, unless `key`.
    pub(crate) fn delta_unless(self, key: bool) -> Self {
        Self {
            delta: !key,
            ..self
        }
    }

    /// Something before it was lost.
    pub(crate) fn torn_if(self, torn: bool) -> Self {
        Self { torn, ..self }
    }

    pub(super) fn buffer(self, feed: u32, number: u32) -> gst::Buffer {
        let payload = [feed.to_le_bytes(), number.to_le_bytes()].concat();
        let mut buffer = gst::Buffer::from_slice(payload);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(self.pts.map(ms));
            buffer.set_dts(self.dts.map(ms));
            buffer.set_duration(self.duration.map(ms));
            if self.delta {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            if self.torn {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        buffer
    }
}

/// What a source says of its latency: live, the least, the most.
type Declared = Option<(bool, gst::ClockTime, Option<gst::ClockTime>)>;

/// What feeds one sink pad.
#[derive(Clone)]
pub(crate) struct Feed {
    pub(crate) input: u32,
    /// The sink pad that is fed.
    pub(crate) sink: gst::Pad,
    pub(crate) pad: gst::Pad,
    asked: Arc<Mutex<Vec<gst::Event>>>,
    declared: Arc<Mutex<Declared>>,
    pushed: Arc<AtomicU32>,
}

impl Feed {
    pub(super) fn new(sink: gst::Pad) -> Self {
        let numbers = sink.name().trim_start_matches("sink_").to_owned();
        let input = numbers.split('_').next().unwrap_or_default();
        let input = input.parse().expect("sink_INPUT");
        let asked = Arc::new(Mutex::new(vec![]));
        let declared = Arc::new(Mutex::new(None));
        let (to_asked, to_declared) = (asked.clone(), declared.clone());
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .event_function(move |_, _, event| {
                to_asked.lock().expect("asked").push(event);
                true
            })
            .query_function(move |pad, parent, query| answer(pad, parent, query, &to_declared))
            .build();
        pad.set_active(true).expect("active");
        pad.link(&sink).expect("linked");
        Self {
            input,
            sink,
            pad,
            asked,
            declared,
            pushed: Arc::default(),
        }
    }

    /// Another source in the place of this one, which is unlinked as it is.
    pub(crate) fn replaced(&self) -> Self {
        self.pad.unlink(&self.sink).expect("unlinked");
        Self::new(self.sink.clone())
    }

    pub(crate) fn start(&self, caps: &gst::Caps) {
        self.stream_start();
        self.pad.push_event(gst::event::Caps::new(caps));
        self.segment();
    }

    pub(crate) fn stream_start(&self) {
        let id = format!("feed {} of {}", self.sink.name(), self.input);
        self.pad.push_event(gst::event::StreamStart::new(&id));
    }

    pub(crate) fn segment(&self) {
        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        self.pad.push_event(gst::event::Segment::new(&segment));
    }

    pub(crate) fn push(&self, frame: Frame) {
        self.try_push(frame).expect("pushed");
    }

    pub(crate) fn try_push(&self, frame: Frame) -> Result<gst::FlowSuccess, gst::FlowError> {
        let number = self.pushed.fetch_add(1, SeqCst);
        self.pad.push(frame.buffer(self.input, number))
    }

    pub(crate) fn pushed(&self) -> u32 {
        self.pushed.load(SeqCst)
    }

    /// Until so many pushes of another thread have begun.
    pub(crate) fn wait_for_pushed(&self, count: u32) {
        let since = std::time::Instant::now();
        while self.pushed() < count {
            assert!(
                since.elapsed() < super::PATIENCE,
                "push {count} does not come"
            );
            std::thread::yield_now();
        }
    }

    /// What a source says that is late.
    pub(crate) fn lag(&self, time: u64) {
        let structure = gst::Structure::builder("failover-lag").field("time", time);
        let event = gst::event::CustomDownstream::new(structure.build());
        assert!(self.pad.push_event(event));
    }

    pub(crate) fn eos(&self) {
        self.pad.push_event(gst::event::Eos::new());
    }

    pub(crate) fn flush(&self) {
        self.pad.push_event(gst::event::FlushStart::new());
        self.pad.push_event(gst::event::FlushStop::new(true));
    }

    pub(crate) fn declare(&self, live: bool, min: u64, max: Option<u64>) {
        *self.declared.lock().expect("declared") = Some((live, ms(min), max.map(ms)));
    }

    /// Upstream events of this kind that came so far.
    pub(crate) fn asked(&self, of: gst::EventType) -> Vec<gst::Event> {
        let asked = self.asked.lock().expect("asked");
        asked
            .iter()
            .filter(|event| event.type_() == of)
            .cloned()
            .collect()
    }

    pub(crate) fn key_frames_asked(&self) -> usize {
        let custom = self.asked(gst::EventType::CustomUpstream);
        custom
            .iter()
            .filter(|event| event.has_name("GstForceKeyUnit"))
            .count()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.sink.property("is-healthy")
    }
}

fn answer(
    pad: &gst::Pad,
    parent: Option<&gst::Object>,
    query: &mut gst::QueryRef,
    declared: &Mutex<Declared>,
) -> bool {
    if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
        let declared = *declared.lock().expect("declared");
        return match declared {
            Some((live, min, max)) => {
                latency.set(live, min, max);
                true
            }
            None => false,
        };
    }
    gst::Pad::query_default(pad, parent, query)
}
