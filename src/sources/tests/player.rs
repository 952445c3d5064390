// SPDX-License-Identifier: MPL-2.0
//! Plays one source in a pipeline of its own and tells what it saw, in order.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::time::Instant;

use super::*;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// A pad with the caps that it had when it was seen first.
    Added(String, Option<gst::Caps>),
    Removed(String),
    /// An element inside that is no longer needed.
    Dropped(String),
    NoMorePads,
    /// The first buffer of a pad, and its running time.
    Flowing(String, Option<gst::ClockTime>),
    Ended(String),
    /// A stream of this codec is not played.
    Unusable(String),
    Error(String),
}

pub(super) struct Player {
    pub(super) pipeline: gst::Pipeline,
    source: Option<Source>,
    events: Receiver<Event>,
    seen: Mutex<Vec<Event>>,
}

impl Player {
    pub(super) fn start(source: Source) -> Self {
        static LOGGING: Once = Once::new();
        LOGGING.call_once(log_in_memory);
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source.bin).expect("a bin without a parent");
        let (sender, events) = channel();
        listen(&pipeline, &source.bin, &sender);
        report_errors(&pipeline, sender);
        let _ = pipeline.set_state(gst::State::Playing);
        Self {
            pipeline,
            source: Some(source),
            events,
            seen: Mutex::default(),
        }
    }

    /// Waits until an event like this has been seen, now or earlier.
    pub(super) fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) {
        self.wait_all(what, |seen| seen.iter().any(&wanted));
    }

    /// Waits until what has been seen so far is enough.
    pub(super) fn wait_all(&self, what: &str, enough: impl Fn(&[Event]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.lock().expect("events");
        while !enough(&seen) {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => seen.push(event),
                Err(_) => panic!(
                    "waited in vain for {what}; seen: {seen:#?}\n{}",
                    self.evidence()
                ),
            }
        }
    }

    /// Where everything stands, and what was logged last.
    fn evidence(&self) -> String {
        let elements = self.pipeline.iterate_recurse().into_iter().flatten();
        let elements = elements.map(|element| {
            let (_, now, next) = ElementExt::state(&element, gst::ClockTime::ZERO);
            let pads = element.pads();
            let pads = pads.iter().map(|pad| {
                let (peer, caps) = (pad.peer().is_some(), pad.current_caps());
                format!(
                    "\n  {}: linked {peer}, {caps:?}, {:?}",
                    pad.name(),
                    pad.pad_flags()
                )
            });
            let pads: String = pads.collect();
            format!("{} {now:?} -> {next:?}{pads}\n", element.name())
        });
        elements.collect::<String>() + &last_words()
    }

    pub(super) fn seen(&self) -> Vec<Event> {
        let mut seen = self.seen.lock().expect("events");
        seen.extend(self.events.try_iter());
        seen.clone()
    }

    /// Names and caps of the pads so far, by name.
    pub(super) fn pads(&self) -> Vec<(String, gst::Caps)> {
        let mut pads: Vec<_> = self
            .seen()
            .into_iter()
            .filter_map(|event| match event {
                Event::Added(name, caps) => Some((name, caps.expect("caps at exposure"))),
                _ => None,
            })
            .collect();
        pads.sort_by(|a, b| a.0.cmp(&b.0));
        pads
    }

    /// Every element in the source's bin.
    pub(super) fn inside(&self) -> Vec<gst::glib::WeakRef<gst::Element>> {
        let bin = &self.source.as_ref().expect("a source").bin;
        loop {
            let elements = bin.iterate_recurse().into_iter();
            let elements: Result<Vec<_>, _> = elements.collect();
            // One that came meanwhile begins the list anew: what was seen would be there twice.
            if let Ok(elements) = elements {
                return elements.iter().map(ObjectExt::downgrade).collect();
            }
        }
    }

    pub(super) fn bin(&self) -> &gst::Bin {
        &self.source.as_ref().expect("a source").bin
    }

    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(source) = self.source.take() else {
            return;
        };
        let _ = self.pipeline.set_state(gst::State::Null);
        let _ = self.pipeline.remove(&source.bin);
        if let Some(bus) = self.pipeline.bus() {
            bus.unset_sync_handler();
        }
        source.release();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.end();
    }
}

/// A failure here is rare and leaves no trace but what was logged: each thread's last words are kept,
/// and shown by the test that fails.
fn log_in_memory() {
    const BYTES_A_THREAD: u32 = 64 * 1024;
    const ENDED_THREADS_KEPT_SECONDS: u32 = 60;
    gst::log::remove_default_log_function();
    gst::log::add_ring_buffer_logger(BYTES_A_THREAD, ENDED_THREADS_KEPT_SECONDS);
    gst::log::set_threshold_from_string("4,failoversource:7,*decodebin*:6,parsebin:6", false);
}

fn last_words() -> String {
    let logs = gst::log::ring_buffer_logger_get_logs();
    logs.iter().map(|log| format!("{log}\n")).collect()
}

fn listen(pipeline: &gst::Pipeline, bin: &gst::Bin, sender: &Sender<Event>) {
    let weak = pipeline.downgrade();
    let events = sender.clone();
    bin.connect_pad_added(move |_, pad| {
        let _ = events.send(Event::Added(pad.name().to_string(), pad.current_caps()));
        if let Some(pipeline) = weak.upgrade() {
            consume(&pipeline, pad, &events);
        }
    });
    let events = sender.clone();
    bin.connect_pad_removed(move |_, pad| {
        let _ = events.send(Event::Removed(pad.name().to_string()));
    });
    let events = sender.clone();
    bin.connect_element_removed(move |_, element| {
        let _ = events.send(Event::Dropped(element.name().to_string()));
    });
    let events = sender.clone();
    bin.connect_no_more_pads(move |_| {
        let _ = events.send(Event::NoMorePads);
    });
}

/// A sink that takes everything at once.
fn consume(pipeline: &gst::Pipeline, pad: &gst::Pad, sender: &Sender<Event>) {
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .build()
        .expect("fakesink");
    let inlet = sink.static_pad("sink").expect("sink pad");
    let (name, events) = (pad.name().to_string(), sender.clone());
    let count = Arc::new(AtomicUsize::new(0));
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    inlet.add_probe(mask, move |pad, info| {
        if let Some(buffer) = info.buffer()
            && count.fetch_add(1, Ordering::SeqCst) == 0
        {
            let segment = pad.sticky_event::<gst::event::Segment>(0);
            let time = segment.and_then(|event| {
                let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
                segment.to_running_time(buffer.pts())
            });
            let _ = events.send(Event::Flowing(name.clone(), time));
        }
        if let Some(event) = info.event()
            && event.type_() == gst::EventType::Eos
        {
            let _ = events.send(Event::Ended(name.clone()));
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.add(&sink).expect("room for a sink");
    sink.sync_state_with_parent().expect("a running sink");
    pad.link(&inlet).expect("a link to the sink");
}

fn report_errors(pipeline: &gst::Pipeline, sender: Sender<Event>) {
    let bus = pipeline.bus().expect("bus");
    bus.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let text = format!("{} ({:?})", error.error(), error.debug());
            let _ = sender.send(Event::Error(text));
        }
        let said = message
            .structure()
            .filter(|_| message.type_() == gst::MessageType::Element);
        if let Some(unusable) = said.and_then(Unusable::of_message) {
            let _ = sender.send(Event::Unusable(unusable.codec));
        }
        gst::BusSyncReply::Drop
    });
}
