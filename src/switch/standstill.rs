// SPDX-License-Identifier: MPL-2.0
//! The process itself has stood still: it was stopped, starved, or its machine was paused. What was not read in
//! that time is no input's silence.

use super::state::State;
use crate::policy::{Health, Moment, Span};

/// Machines that are busy are late by less.
const BUSY: Span = Span::from_millis(50);

impl State {
    /// How late the wake-up is, where that says that nobody was there: any buffer that had come meanwhile would
    /// have done its work. Inputs that were well until then are not blamed for it.
    pub(super) fn forgive_stand_still(&mut self, now: Moment) -> Option<Span> {
        let usual = (self.policy.config().timeout / 4).max(BUSY);
        let late = now - self.next_wake?;
        if late <= usual {
            return None;
        }
        for (id, input) in &mut self.inputs {
            if !self
                .policy
                .health(*id)
                .as_ref()
                .is_some_and(Health::is_healthy)
            {
                continue;
            }
            for stamp in input.sinks.values_mut().filter_map(|s| s.stamp.as_mut()) {
                *stamp = (*stamp + late).min(now);
            }
        }
        Some(late)
    }
}
