// SPDX-License-Identifier: MPL-2.0
//! A sink pad of `failoverswitch`: which input and stream it is, and the lane that it sends into.

use super::lane::Lane;
use super::outlet::Outlet;
use crate::clock::{Stopwatch, Wait};
use crate::policy::{InputId, StreamId};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

glib::wrapper! {
    /// A sink pad of `failoverswitch`.
    pub struct FailoverSwitchPad(ObjectSubclass<imp::FailoverSwitchPad>)
        @extends gst::Pad, gst::Object;
}

impl FailoverSwitchPad {
    pub(super) fn new(template: &gst::PadTemplate, name: &str) -> gst::PadBuilder<Self> {
        gst::PadBuilder::<Self>::from_template(template).name(name)
    }

    /// A flush that its source has begun, or the end of the element or the pad.
    pub(super) fn is_flushing(&self) -> bool {
        let shell = self.imp();
        shell.flushing.load(Relaxed) || shell.closed.load(Relaxed)
    }

    /// What GStreamer keeps of a source on the pad that it was linked to: a flush without an end, an end of stream,
    /// caps, a segment, tags. A pad that is linked again would hold all that against the next one.
    pub(super) fn forget_source(&self) {
        self.sticky_events_foreach(|_| ControlFlow::Continue(gst::EventForeachAction::Remove));
        if self.is_active() {
            self.unset_pad_flags(gst::PadFlags::FLUSHING | gst::PadFlags::EOS);
        }
        if !self.is_active() {
            // It was shut meanwhile.
            self.set_pad_flags(gst::PadFlags::FLUSHING);
        }
        self.imp().flushing.store(false, Relaxed);
        self.imp().ask_latency.store(true, Relaxed);
    }
}

/// Fixed for the life of a pad.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) input: InputId,
    pub(super) stream: StreamId,
    pub(super) lane: Lane,
    pub(super) outlet: Outlet,
    pub(super) output: gst::Pad,
}

/// Counts pushes, two steps each: odd while one is under way. If that takes long, downstream is to
/// blame and not the input.
#[derive(Default)]
pub(super) struct Pushes {
    count: AtomicU64,
    seen: Mutex<Option<(u64, Stopwatch)>>,
}

/// A push that takes longer is held up by downstream.
const HELD_UP: Duration = Duration::from_millis(10);

impl Pushes {
    pub(super) fn step(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    /// The same push has been under way for a while; looked at now and then only.
    pub(super) fn is_stuck(&self) -> bool {
        let count = self.count.load(Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if count.is_multiple_of(2) {
            *seen = None;
            return false;
        }
        match &*seen {
            Some((same, watch)) if *same == count => watch.elapsed() >= HELD_UP,
            _ => {
                *seen = Some((count, Stopwatch::start()));
                false
            }
        }
    }
}

pub(super) mod imp {
    use super::*;

    #[derive(Default, glib::Properties)]
    #[properties(wrapper_type = super::FailoverSwitchPad)]
    pub struct FailoverSwitchPad {
        pub(in crate::switch) place: OnceLock<Place>,
        /// May be on air: only then the lane is worth waiting for.
        pub(in crate::switch) on_air: AtomicBool,
        pub(in crate::switch) pushes: Pushes,
        /// The input may have changed what it says of its latency.
        pub(in crate::switch) ask_latency: AtomicBool,
        /// Its source has begun a flush and not ended it.
        pub(in crate::switch) flushing: AtomicBool,
        /// The element is stopped, or the pad is released.
        pub(in crate::switch) closed: AtomicBool,
        pub(in crate::switch) wait: Wait,
        /// When upstream's thread was last given back, where it had been held up here: running time.
        pub(in crate::switch) freed: AtomicU64,
        #[property(name = "priority", nick = "Priority",
            blurb = "Order of preference of this pad's input, 0 is preferred most",
            get = Self::priority, set = Self::set_priority, builder().mutable_playing())]
        pub(in crate::switch) priority: AtomicU32,
        #[property(name = "is-healthy", nick = "Is Healthy",
            blurb = "Whether this pad's input delivers on all its streams",
            get = Self::is_healthy, type = bool)]
        pub(in crate::switch) healthy: AtomicBool,
    }

    impl FailoverSwitchPad {
        fn priority(&self) -> u32 {
            self.priority.load(Relaxed)
        }

        fn set_priority(&self, priority: u32) {
            if self.priority.swap(priority, Relaxed) == priority {
                return;
            }
            let switch = self
                .obj()
                .parent()
                .and_downcast::<crate::switch::FailoverSwitch>();
            if let (Some(switch), Some(place)) = (switch, self.place.get()) {
                switch.imp().prioritise(place.input, priority);
            }
        }

        fn is_healthy(&self) -> bool {
            self.healthy.load(Relaxed)
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FailoverSwitchPad {
        const NAME: &'static str = "GstFailoverSwitchPad";
        type Type = super::FailoverSwitchPad;
        type ParentType = gst::Pad;
    }

    #[glib::derived_properties]
    impl ObjectImpl for FailoverSwitchPad {}
    impl GstObjectImpl for FailoverSwitchPad {}
    impl PadImpl for FailoverSwitchPad {
        fn unlinked(&self, peer: &gst::Pad) {
            self.parent_unlinked(peer);
            let obj = self.obj();
            let switch = obj.parent().and_downcast::<crate::switch::FailoverSwitch>();
            if let Some(switch) = switch {
                switch.imp().unlinked(&obj);
            }
        }
    }
}
