// SPDX-License-Identifier: MPL-2.0
//! The filler's thread: sleeps until a slate is wanted and nothing real comes, then sends one blank
//! after the other at the pace of the clock. Never touches what the input sends.

use super::Mode;
use super::fill::Format;
use super::imp::{Blank, CAT, Slate};
use super::stream;
use crate::policy::Moment;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

enum Plan {
    Rest,
    At(u64),
    Fill,
    End,
}

impl Slate {
    /// One turn: fills, or sleeps until there is reason to look again.
    pub(super) fn turn(&self) {
        let now = self.time.now();
        let plan = self.plan(now);
        match plan {
            Plan::Rest => self.sleep(),
            Plan::At(due) => {
                let weak = self.obj().downgrade();
                self.alarm
                    .set(&self.time, Moment::from_nanos(due), move || {
                        if let Some(slate) = weak.upgrade() {
                            slate.imp().change(|_| {});
                        }
                    });
                self.sleep();
            }
            Plan::Fill => self.fill(),
            Plan::End => {
                let _serial = self.src.stream_lock();
                self.state().eos_sent = true;
                self.src.push_event(gst::event::Eos::new());
            }
        }
    }

    fn plan(&self, now: Moment) -> Plan {
        let is_running = self.time.is_running();
        let state = self.state();
        if state.ended && state.eos_came && !state.eos_sent && !state.flushing {
            return Plan::End;
        }
        let may_fill = state.wanted
            && state.mode != Mode::None
            && !state.ended
            && !state.flushing
            && state.flow.is_ok();
        if !may_fill || !is_running {
            return Plan::Rest;
        }
        let due = state.place.due(now.nanos());
        if now.nanos() < due {
            return Plan::At(due);
        }
        Plan::Fill
    }

    fn sleep(&self) {
        let mut state = self.state();
        while !state.rung {
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.rung = false;
    }

    fn fill(&self) {
        let _serial = self.src.stream_lock();
        // Real data may have come while this waited for its turn to push.
        let now = self.time.now();
        if !matches!(self.plan(now), Plan::Fill) {
            return;
        }
        let Some((format, mut buffer)) = self.picture_or_silence() else {
            gst::warning!(CAT, imp = self, "Cannot make a slate in these caps");
            let _ = self.note(Err(gst::FlowError::NotNegotiated));
            return;
        };
        let (begins, slot) = {
            let mut state = self.state();
            let begins = !state.place.is_filling();
            let real = state.real.as_ref().map(|real| real.caps());
            state.introduced &= real == Some(format.caps());
            state.place.set_rate(format.rate());
            let slot = state.place.next_fill(now.nanos(), format.units());
            (begins, slot)
        };
        if begins {
            let at = gst::ClockTime::from_nseconds(slot.start);
            gst::info!(CAT, imp = self, "Nothing real comes: filling from {at}");
        }
        stream::put(buffer.make_mut(), slot);
        self.introduce(Some(format.caps()));
        self.filled.fetch_add(1, Ordering::Relaxed);
        let _ = self.push(buffer);
    }

    fn picture_or_silence(&self) -> Option<(Arc<Format>, gst::Buffer)> {
        let (kind, real, held) = {
            let state = self.state();
            let held = state.held.as_ref().filter(|_| state.mode == Mode::Hold);
            (state.kind, state.real.clone(), held.cloned())
        };
        if let (Some(real), Some(held)) = (&real, held) {
            return Some((real.clone(), held));
        }
        let wanted = real.or_else(|| Format::default_of(kind).map(Arc::new))?;
        let mut blank = self.blank();
        if blank
            .as_ref()
            .is_none_or(|blank| blank.of != *wanted.caps())
        {
            let (format, buffer) = wanted.blank(wanted.units())?;
            *blank = Some(Blank {
                of: wanted.caps().clone(),
                format: Arc::new(format),
                buffer,
            });
        }
        let blank = blank.as_ref()?;
        // A copy shares the memory and has timestamps of its own.
        Some((blank.format.clone(), blank.buffer.copy()))
    }
}
