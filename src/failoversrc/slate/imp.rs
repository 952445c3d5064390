// SPDX-License-Identifier: MPL-2.0
//! The GObject shell of the slate: its pads, its states and what its two pushing threads share.
//! Never pushes, never places a buffer in time.

use super::fill::Format;
use super::place::Place;
use super::{Kind, Mode};
use crate::clock::{Alarm, RunningTime};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "failoversrc-slate",
        gst::DebugColorFlags::empty(),
        Some("Failover source: slate of one output"),
    )
});

pub(crate) struct Slate {
    pub(super) sink: gst::Pad,
    pub(super) src: gst::Pad,
    pub(super) task: Mutex<Option<gst::Task>>,
    pub(super) state: Mutex<State>,
    pub(super) wake: Condvar,
    pub(super) time: RunningTime,
    pub(super) alarm: Alarm,
    /// Used by the filler's thread alone: what it sends copies of.
    pub(super) blank: Mutex<Option<Blank>>,
    pub(super) filled: AtomicU64,
}

pub(super) struct State {
    pub(super) kind: Kind,
    pub(super) mode: Mode,
    pub(super) stream_id: String,
    pub(super) wanted: bool,
    pub(super) ended: bool,
    pub(super) eos_came: bool,
    pub(super) eos_sent: bool,
    pub(super) flushing: bool,
    /// What downstream said last; a lasting refusal puts the filler to rest.
    pub(super) flow: Result<gst::FlowSuccess, gst::FlowError>,
    /// Downstream has the real caps and the segment.
    pub(super) introduced: bool,
    pub(super) segment: gst::FormattedSegment<gst::ClockTime>,
    pub(super) real: Option<Arc<Format>>,
    /// The last picture, for `hold`.
    pub(super) held: Option<gst::Buffer>,
    pub(super) place: Place,
    /// The filler shall look again.
    pub(super) rung: bool,
}

/// A blank for the real format given.
pub(super) struct Blank {
    pub(super) of: gst::Caps,
    pub(super) format: Arc<Format>,
    pub(super) buffer: gst::Buffer,
}

#[glib::object_subclass]
impl ObjectSubclass for Slate {
    const NAME: &'static str = "GstFailoverSlate";
    type Type = super::Slate;
    type ParentType = gst::Element;

    fn with_class(_: &Self::Class) -> Self {
        Self {
            sink: sink_pad(),
            src: src_pad(),
            task: Mutex::default(),
            state: Mutex::default(),
            wake: Condvar::new(),
            time: RunningTime::default(),
            alarm: Alarm::default(),
            blank: Mutex::default(),
            filled: AtomicU64::new(0),
        }
    }
}

impl ObjectImpl for Slate {
    fn constructed(&self) {
        self.parent_constructed();
        for pad in [&self.sink, &self.src] {
            if self.obj().add_pad(pad).is_err() {
                gst::error!(CAT, imp = self, "Cannot add pad {}", pad.name());
            }
        }
    }
}

impl GstObjectImpl for Slate {}

impl ElementImpl for Slate {
    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.reset(),
            gst::StateChange::PlayingToPaused => self.stop_time(),
            gst::StateChange::PausedToReady => self.dismiss_filler(),
            _ => {}
        }
        let result = self.parent_change_state(transition);
        match transition {
            gst::StateChange::ReadyToPaused if result.is_ok() => self.start_filler(),
            gst::StateChange::PausedToPlaying => self.start_time(self.obj().clock()),
            gst::StateChange::PausedToReady => self.join_filler(),
            _ => {}
        }
        result
    }

    fn set_clock(&self, clock: Option<&gst::Clock>) -> bool {
        let accepted = self.parent_set_clock(clock);
        if accepted && self.time.is_running() {
            self.stop_time();
            self.start_time(clock.cloned());
        }
        accepted
    }
}

/// From any thread; nothing of this waits for a push.
impl Slate {
    pub(super) fn configure(&self, kind: Kind, mode: Mode, stream_id: &str) {
        let mut state = self.state();
        state.kind = kind;
        state.mode = mode;
        state.stream_id = stream_id.into();
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        self.change(|state| {
            state.mode = mode;
            if mode != Mode::Hold {
                state.held = None;
            }
        });
    }

    pub(super) fn set_wanted(&self, wanted: bool) {
        gst::debug!(CAT, imp = self, "Slate wanted: {wanted}");
        self.change(|state| state.wanted = wanted);
    }

    pub(super) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    pub(super) fn filled(&self) -> u64 {
        self.filled.load(Ordering::Relaxed)
    }

    /// Changes the state and lets the filler look at it.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.rung = true;
        drop(state);
        self.wake.notify_all();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// State changes.
impl Slate {
    fn reset(&self) {
        self.time.reset();
        self.change(|state| {
            state.place.reset();
            state.flow = Ok(gst::FlowSuccess::Ok);
            state.segment = gst::FormattedSegment::new();
            state.real = None;
            state.held = None;
            state.introduced = false;
            state.flushing = false;
            state.ended = false;
            state.eos_came = false;
            state.eos_sent = false;
        });
    }

    fn start_time(&self, clock: Option<gst::Clock>) {
        if let Some(clock) = clock {
            let base = self.obj().base_time().unwrap_or_default();
            self.time.start(clock, base);
            self.change(|_| {});
        }
    }

    fn stop_time(&self) {
        self.time.stop();
        self.alarm.clear();
        self.change(|_| {});
    }

    fn start_filler(&self) {
        let weak = self.obj().downgrade();
        let task = gst::Task::builder(move |_| {
            if let Some(slate) = weak.upgrade() {
                let rest = || slate.imp().rest();
                slate.imp().catch_panic(rest, |slate| slate.turn());
            }
        })
        .build();
        task.set_property("name", format!("{}:fill", self.obj().name()));
        if task.start().is_err() {
            gst::error!(CAT, imp = self, "Cannot start the filler");
        }
        *self.task() = Some(task);
    }

    /// After a panic there is nothing left that the filler could do well.
    fn rest(&self) {
        if let Some(task) = &*self.task() {
            let _ = task.pause();
        }
    }

    fn dismiss_filler(&self) {
        self.alarm.clear();
        if let Some(task) = &*self.task() {
            let _ = task.stop();
        }
        self.change(|_| {});
    }

    fn join_filler(&self) {
        let task = self.task().take();
        if let Some(task) = task {
            let _ = task.join();
        }
        self.blank().take();
    }

    pub(super) fn blank(&self) -> MutexGuard<'_, Option<Blank>> {
        self.blank.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn task(&self) -> MutexGuard<'_, Option<gst::Task>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            mode: Mode::default(),
            stream_id: String::new(),
            wanted: false,
            ended: false,
            eos_came: false,
            eos_sent: false,
            flushing: false,
            flow: Ok(gst::FlowSuccess::Ok),
            introduced: false,
            segment: gst::FormattedSegment::new(),
            real: None,
            held: None,
            place: Place::default(),
            rung: false,
        }
    }
}

fn sink_pad() -> gst::Pad {
    gst::Pad::builder(gst::PadDirection::Sink)
        .name("sink")
        .flags(gst::PadFlags::PROXY_CAPS | gst::PadFlags::PROXY_ALLOCATION)
        .chain_function(|_, parent, buffer| {
            Slate::catch_panic_pad_function(
                parent,
                || Err(gst::FlowError::Error),
                |slate| slate.chain(buffer),
            )
        })
        .event_function(|_, parent, event| {
            Slate::catch_panic_pad_function(parent, || false, |slate| slate.sink_event(event))
        })
        .query_function(|_, parent, query| {
            Slate::catch_panic_pad_function(parent, || false, |slate| slate.sink_query(query))
        })
        .build()
}

fn src_pad() -> gst::Pad {
    gst::Pad::builder(gst::PadDirection::Src)
        .name("src")
        .flags(gst::PadFlags::PROXY_CAPS)
        .event_function(|_, parent, event| {
            Slate::catch_panic_pad_function(parent, || false, |slate| slate.src_event(event))
        })
        .query_function(|_, parent, query| {
            Slate::catch_panic_pad_function(parent, || false, |slate| slate.src_query(query))
        })
        .build()
}
