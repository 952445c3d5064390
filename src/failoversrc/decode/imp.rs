// SPDX-License-Identifier: MPL-2.0
//! The GObject shell of the decoder stage: its two ghost pads, the exchange of what is between them,
//! and what of its events downstream has not seen yet. Never chooses a decoder.

use super::choose;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::super::refusal::Refusal;
use crate::clock::Stopwatch;

/// Between two requests for a key frame.
const ASK_AGAIN: Duration = Duration::from_millis(300);

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "failoversrc-decode",
        gst::DebugColorFlags::empty(),
        Some("Failover source: decoder of one output"),
    )
});

pub(crate) struct Decode {
    sink: gst::GhostPad,
    src: gst::GhostPad,
    /// Changed by the streaming thread alone, or once that has stopped.
    stage: Mutex<Option<Stage>>,
    reset: AtomicBool,
    failures: AtomicU64,
    /// Factories of decoders that failed before they gave anything.
    barren: Mutex<Vec<glib::GString>>,
    has_output: AtomicBool,
    /// When a key frame was asked for.
    asked: Mutex<Option<Stopwatch>>,
    /// What fails downstream is not the decoder's fault.
    downstream_failed: AtomicBool,
    on_refusal: OnceLock<OnRefusal>,
    /// Why there is no decoder.
    reason: Mutex<String>,
    refusal: Refusal,
}

pub(super) type OnRefusal = Box<dyn Fn(&str) + Send + Sync>;

/// The element between the two ghost pads: a decoder, or `identity` for raw media.
#[derive(Clone)]
struct Stage {
    element: gst::Element,
    sink: gst::Pad,
    raw: bool,
    draining: Arc<AtomicBool>,
}

#[glib::object_subclass]
impl ObjectSubclass for Decode {
    const NAME: &'static str = "GstFailoverDecode";
    type Type = super::Decode;
    type ParentType = gst::Bin;

    fn with_class(_: &Self::Class) -> Self {
        Self {
            sink: sink_pad(),
            src: src_pad(),
            stage: Mutex::default(),
            reset: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            barren: Mutex::default(),
            has_output: AtomicBool::new(false),
            asked: Mutex::default(),
            downstream_failed: AtomicBool::new(false),
            on_refusal: OnceLock::new(),
            reason: Mutex::default(),
            refusal: Refusal::default(),
        }
    }
}

impl ObjectImpl for Decode {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.src] {
            if self.obj().add_pad(pad).is_err() {
                gst::error!(CAT, imp = self, "Cannot add pad {}", pad.name());
            }
        }
    }
}

impl GstObjectImpl for Decode {}

impl ElementImpl for Decode {
    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady {
            // The pads are down: the streaming thread puts in no more decoders.
            self.take_out();
            self.reset.store(false, Ordering::Relaxed);
            self.barren().clear();
        }
        result
    }
}

impl BinImpl for Decode {
    fn handle_message(&self, message: gst::Message) {
        let gst::MessageView::Error(error) = message.view() else {
            return self.parent_handle_message(message);
        };
        let stage = self.stage().clone();
        let is_present = stage.is_some_and(|stage| {
            error
                .src()
                .is_some_and(|src| src.has_as_ancestor(&stage.element))
        });
        // A decoder on its way out may complain that it had nothing to show.
        if is_present {
            gst::warning!(CAT, imp = self, "Decoder failed: {}", error.error());
            self.request_reset();
        }
    }
}

impl Decode {
    pub(super) fn request_reset(&self) {
        self.reset.store(true, Ordering::Release);
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    pub(super) fn on_refusal(&self, tell: OnRefusal) {
        let _ = self.on_refusal.set(tell);
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if let gst::EventView::Caps(caps) = event.view() {
            self.refusal.forget();
            if !self.prepare_for(caps.caps()) {
                // Told of with the first buffer; to whoever sends, other caps may follow.
                return true;
            }
        }
        if event.type_() == gst::EventType::Eos && self.stage().is_none() {
            // Nothing has come that could be decoded.
            return self.src.push_event(event);
        }
        gst::Pad::event_default(&self.sink, Some(&*self.obj()), event)
    }

    fn sink_query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            // Whether there is a decoder is found out, and told, when the caps come.
            gst::QueryViewMut::AcceptCaps(query) => {
                query.set_result(true);
                true
            }
            gst::QueryViewMut::Caps(query) => {
                let any = gst::Caps::new_any();
                query.set_result(&query.filter().map_or(any, ToOwned::to_owned));
                true
            }
            _ => gst::Pad::query_default(&self.sink, Some(&*self.obj()), query),
        }
    }

    fn src_query(&self, query: &mut gst::QueryRef) -> bool {
        let is_latency = query.type_() == gst::QueryType::Latency;
        if is_latency && self.stage().is_none() {
            return self.sink.peer_query(query);
        }
        gst::Pad::query_default(&self.src, Some(&*self.obj()), query)
    }

    /// Passes data to the decoder, which may be a new one if the last one failed.
    fn decode(
        &self,
        push: impl FnOnce(&gst::GhostPad, &super::Decode) -> Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.reset.swap(false, Ordering::AcqRel) {
            self.renew();
        }
        self.downstream_failed.store(false, Ordering::Relaxed);
        match push(&self.sink, &self.obj()) {
            Err(gst::FlowError::Error) if !self.downstream_failed.load(Ordering::Relaxed) => {
                gst::warning!(CAT, imp = self, "Decoder refused a buffer");
                self.request_reset();
                Ok(gst::FlowSuccess::Ok)
            }
            Err(gst::FlowError::NotLinked) if self.stage().is_none() => {
                self.refuse();
                Ok(gst::FlowSuccess::Ok)
            }
            result => result,
        }
    }

    fn refuse(&self) {
        if let Some(tell) = self.on_refusal.get().filter(|_| self.refusal.is_news()) {
            let reason = self.reason().clone();
            tell(&reason);
        }
    }

    /// What the decoder sends: downstream sees one stream, whatever decoders come and go.
    fn is_news(&self, event: &gst::Event) -> bool {
        match event.view() {
            gst::EventView::StreamStart(_) => self
                .src
                .sticky_event::<gst::event::StreamStart>(0)
                .is_none(),
            gst::EventView::Caps(caps) => self.src.current_caps().as_deref() != Some(caps.caps()),
            gst::EventView::Segment(new) => self
                .src
                .sticky_event::<gst::event::Segment>(0)
                .is_none_or(|old| !same_segment(old.segment(), new.segment())),
            _ => true,
        }
    }

    fn note_output(&self, result: Result<gst::FlowSuccess, gst::FlowError>) {
        self.has_output.store(true, Ordering::Relaxed);
        if result.is_err() {
            self.downstream_failed.store(true, Ordering::Relaxed);
        }
    }

    fn prepare_for(&self, caps: &gst::CapsRef) -> bool {
        let present = self.stage().clone();
        if let Some(stage) = present {
            if stage.accepts(caps) {
                return true;
            }
            self.drain();
        }
        self.barren().clear();
        self.put_in(caps)
    }

    /// A failed decoder is not drained: what it still holds is not worth showing.
    fn renew(&self) {
        let Some(caps) = self.sink.current_caps() else {
            return;
        };
        self.failures.fetch_add(1, Ordering::Relaxed);
        let failed = self.stage().as_ref().and_then(|s| s.element.factory());
        if !self.has_output.load(Ordering::Relaxed)
            && let Some(failed) = failed
        {
            let mut barren = self.barren();
            if !barren.contains(&failed.name()) {
                barren.push(failed.name());
            }
        }
        self.take_out();
        self.put_in(&caps);
        // The sooner a key frame comes, the sooner there is a picture again; but one that fails with each is not
        // asked for more than that.
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = |asked: &Stopwatch| asked.elapsed() >= ASK_AGAIN;
        if asked.as_ref().is_none_or(is_due) {
            *asked = Some(Stopwatch::start());
            drop(asked);
            let ask = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true);
            self.sink.push_event(ask.build());
        }
    }

    /// Lets out the pictures that the decoder still holds, and the decoder after them.
    fn drain(&self) {
        let stage = self.stage().take();
        if let Some(stage) = stage {
            // EOS is the one request to drain that every decoder obeys; it ends at its src pad.
            stage.draining.store(true, Ordering::Release);
            stage.sink.send_event(gst::event::Eos::new());
            self.unplug(&stage);
        }
    }

    fn take_out(&self) {
        let stage = self.stage().take();
        if let Some(stage) = stage {
            self.unplug(&stage);
        }
    }

    fn unplug(&self, stage: &Stage) {
        for pad in [&self.sink, &self.src] {
            let _ = pad.set_target(gst::Pad::NONE);
        }
        let _ = self.obj().remove(&stage.element);
        let _ = stage.element.set_state(gst::State::Null);
    }

    fn put_in(&self, caps: &gst::CapsRef) -> bool {
        let barren = self.barren().clone();
        match choose::element_for(caps, &barren).and_then(|element| self.plug(element, caps)) {
            Ok(()) => true,
            Err(reason) => {
                gst::warning!(CAT, imp = self, "Cannot decode: {reason}");
                *self.reason() = reason;
                false
            }
        }
    }

    fn plug(&self, element: gst::Element, caps: &gst::CapsRef) -> Result<(), String> {
        let name = element.name();
        let (Some(sink), Some(src)) = (element.static_pad("sink"), element.static_pad("src"))
        else {
            return Err(format!("{name} has no sink or no src"));
        };
        let draining = Arc::new(AtomicBool::new(false));
        swallow_eos_while(&src, draining.clone());
        let stage = Stage {
            element,
            sink,
            raw: choose::is_raw(caps),
            draining,
        };
        self.has_output.store(false, Ordering::Relaxed);
        *self.stage() = Some(stage.clone());

        let plugged = self.obj().add(&stage.element).is_ok()
            && self.sink.set_target(Some(&stage.sink)).is_ok()
            && self.src.set_target(Some(&src)).is_ok()
            && stage.element.sync_state_with_parent().is_ok();
        if !plugged {
            self.take_out();
            return Err(format!("{name} cannot be put in"));
        }
        gst::info!(
            CAT,
            imp = self,
            "{} goes through {name}",
            choose::codec(caps)
        );
        Ok(())
    }

    fn barren(&self) -> MutexGuard<'_, Vec<glib::GString>> {
        self.barren.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reason(&self) -> MutexGuard<'_, String> {
        self.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stage(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn accepts(&self, caps: &gst::CapsRef) -> bool {
        let raw = choose::is_raw(caps);
        self.raw == raw && (raw || self.sink.query_accept_caps(&caps.to_owned()))
    }
}

fn sink_pad() -> gst::GhostPad {
    gst::GhostPad::builder(gst::PadDirection::Sink)
        .name("sink")
        .chain_function(|_, parent, buffer| {
            Decode::catch_panic_pad_function(
                parent,
                || Err(gst::FlowError::Error),
                |imp| imp.decode(|pad, obj| gst::ProxyPad::chain_default(pad, Some(obj), buffer)),
            )
        })
        .chain_list_function(|_, parent, list| {
            Decode::catch_panic_pad_function(
                parent,
                || Err(gst::FlowError::Error),
                |imp| {
                    imp.decode(|pad, obj| gst::ProxyPad::chain_list_default(pad, Some(obj), list))
                },
            )
        })
        .event_function(|_, parent, event| {
            Decode::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(event))
        })
        .query_function(|_, parent, query| {
            Decode::catch_panic_pad_function(parent, || false, |imp| imp.sink_query(query))
        })
        .build()
}

fn src_pad() -> gst::GhostPad {
    gst::GhostPad::builder(gst::PadDirection::Src)
        .name("src")
        .query_function(|_, parent, query| {
            Decode::catch_panic_pad_function(parent, || false, |imp| imp.src_query(query))
        })
        // The inner side of the ghost pad: what comes from the decoder, in its thread.
        .proxy_pad_chain_function(|pad, ghost, buffer| {
            let result = gst::ProxyPad::chain_default(pad, ghost, buffer);
            if let Some(decode) = bin_of(ghost) {
                decode.imp().note_output(result);
            }
            result
        })
        .proxy_pad_chain_list_function(|pad, ghost, list| {
            let result = gst::ProxyPad::chain_list_default(pad, ghost, list);
            if let Some(decode) = bin_of(ghost) {
                decode.imp().note_output(result);
            }
            result
        })
        .proxy_pad_event_function(|pad, ghost, event| {
            if bin_of(ghost).is_some_and(|decode| !decode.imp().is_news(&event)) {
                return true;
            }
            gst::Pad::event_default(pad, ghost, event)
        })
        .build()
}

fn bin_of(ghost: Option<&gst::Object>) -> Option<super::Decode> {
    ghost?.parent()?.downcast().ok()
}

fn swallow_eos_while(src: &gst::Pad, draining: Arc<AtomicBool>) {
    src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let is_eos = info
            .event()
            .is_some_and(|e| e.type_() == gst::EventType::Eos);
        if is_eos && draining.load(Ordering::Acquire) {
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// How far a segment has been played is bookkeeping, not a change of it.
fn same_segment(old: &gst::Segment, new: &gst::Segment) -> bool {
    let mut old = old.clone();
    old.set_position(new.position());
    old == *new
}
