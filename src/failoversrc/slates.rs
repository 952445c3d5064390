// SPDX-License-Identifier: MPL-2.0
//! When the outputs' slates are wanted, made before any input, and ended.

use super::imp::{FailoverSrc, lock};
use crate::policy::StreamId;
use crate::sources::Kind;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::SeqCst;

impl FailoverSrc {
    /// Asks how things stand, whatever the event said: two threads may tell of theirs in any order.
    pub(super) fn update_slates(&self) {
        let _one_at_a_time = lock(&self.slates);
        let switch = self.switch().imp();
        // Until the cut out of an outage is made, the slate stays.
        let down = switch.is_down() || self.is_down() && switch.is_switching();
        self.down.store(down, SeqCst);
        let unsent = switch.unsent_on_air();
        let on_air = switch.on_air();
        let nothing = down || on_air.is_none() && self.plan().from_start;
        let wanted = self.outputs().wanted_slates(nothing, on_air, &unsent);
        for (slate, wanted) in wanted {
            slate.set_wanted(wanted);
        }
    }

    /// The slate from the first moment on, where it is asked for.
    pub(super) fn begin_with_slates(&self, run: u64) {
        if self.plan().from_start {
            self.provide_slates(run);
        }
    }

    /// Outputs for a slate that comes before any input: one picture, one sound.
    pub(super) fn provide_slates(&self, run: u64) {
        let plan = self.plan();
        if plan.form != super::Output::Decoded || plan.fill == super::Slate::None {
            return;
        }
        if self.outputs().is_empty() {
            self.provide_missing(run);
            self.update_slates();
        }
    }

    /// An output for a kind of stream that an input has and that is not played: downstream gets the slate.
    pub(super) fn provide_slate_for(&self, run: u64, kind: Kind) {
        let plan = self.plan();
        if plan.form == super::Output::Decoded && plan.fill != super::Slate::None {
            self.provide_first(run, &[kind]);
            self.update_slates();
        }
    }

    /// One picture and one sound, where there is none yet.
    fn provide_missing(&self, run: u64) {
        self.provide_first(run, &[Kind::Video, Kind::Audio]);
        self.say_no_more_pads(run);
    }

    /// The first output of each of these kinds, where there is none yet.
    fn provide_first(&self, run: u64, kinds: &[Kind]) {
        let Some(_inside) = self.runs.enter(run) else {
            return;
        };
        let new: Vec<_> = {
            let _one_at_a_time = lock(&self.making);
            let made = kinds.iter().map(|kind| self.provide(run, *kind, 0));
            made.filter_map(|made| made.ok()?.1).collect()
        };
        for ghost in new {
            self.show(run, &ghost);
        }
    }

    pub(super) fn end_slate(&self, stream: StreamId) {
        for output in self.outputs().iter().filter(|o| o.stream == stream) {
            if let Some(slate) = &output.slate {
                slate.end();
            }
        }
    }

    pub(super) fn end_of_all(&self) {
        for output in self.outputs().iter() {
            if let Some(slate) = &output.slate {
                slate.end();
            }
        }
        self.switch().imp().send_eos_behind(|_| true);
        for output in self.outputs().iter() {
            output.end_unfed();
        }
    }

    /// The application wants no more, perhaps before anything has come: whoever waits for a pad, as a muxer
    /// does, gets its end as well.
    pub(super) fn end_early(&self, run: u64) {
        if !self.said_no_more_pads.load(SeqCst) {
            self.provide_missing(run);
        }
        // The application may stop all from its handler.
        if self.run() == run {
            self.end_of_all();
        }
    }
}
