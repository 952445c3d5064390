// SPDX-License-Identifier: MPL-2.0
//! What the input on air has to wait with, while another is about to take over on a key frame: inputs in
//! step bring that frame at the same time, and once the old one's is sent the new one's is too late. So
//! the old one's waits until the new one has come as far; and where the new one's has come, what lies behind
//! it waits for the cut. Not for long: its next buffer takes it along, whatever becomes of the new input.

use super::delays::signed;
use super::flow::Step;
use super::format::Frame;
use super::pace::Times;
use super::pad::Place;
use super::standby::Coding;
use super::state::{JUST_NOW, PATIENCE, State};
use crate::policy::{Moment, StreamId};
use std::collections::VecDeque;

/// Pieces of one output that wait, in the output's time, since the input's may jump meanwhile; each with when
/// it came.
pub(super) type Withheld = VecDeque<(Times, Frame, Moment)>;

impl State {
    /// Whether a piece of the input on air has to wait, or others wait before it.
    pub(super) fn withholds(&self, place: &Place, times: Times) -> bool {
        let output = self.outputs.get(&place.stream);
        output.is_some_and(|output| !output.withheld.is_empty()) || self.has_to_wait(place, times)
    }

    fn has_to_wait(&self, place: &Place, times: Times) -> bool {
        self.is_beyond_gate(place, times) || self.may_be_cut_at(place, times)
    }

    /// The new input has a place to begin, and this lies behind it.
    fn is_beyond_gate(&self, place: &Place, times: Times) -> bool {
        let gate = self.pending.as_ref().and_then(|pending| pending.gate);
        let end = times.start.saturating_add(signed(times.duration));
        let placed = self.inputs.get(&place.input).map(|i| i.timeline.place(end));
        matches!((gate, placed), (Some(gate), Some(placed)) if placed > gate)
    }

    /// Lets it wait, and sends those that need to wait no more.
    pub(super) fn withhold(
        &mut self,
        place: &Place,
        times: Times,
        frame: Frame,
        now: Moment,
    ) -> Step {
        let Some(output) = self.outputs.get_mut(&place.stream) else {
            return Step::Kept;
        };
        let mut withheld = std::mem::take(&mut output.withheld);
        let offset = (self.inputs.get(&place.input)).map_or(0, |input| input.timeline.offset());
        withheld.push_back((times.later_by(offset), frame, now));
        let oldest = withheld.front().map_or(now, |(_, _, since)| *since);
        if let Some(pending) = self.pending.as_mut().filter(|_| now - oldest > PATIENCE) {
            // The new one does not come as it used to, or not at all.
            pending.impatient = true;
            pending.gate = None;
        }
        let still = withheld
            .iter()
            .position(|(times, ..)| self.has_to_wait(place, times.later_by(-offset)));
        let rest = withheld.split_off(still.unwrap_or(withheld.len()));
        if let Some(output) = self.outputs.get_mut(&place.stream) {
            output.withheld = rest;
        }
        let free = withheld
            .into_iter()
            .map(|(times, frame, _)| (times.later_by(-offset), frame));
        self.send_all(place, free, now)
    }

    /// What waits goes with the stream that it belongs to: behind another one's key frame nothing could
    /// be made of it. `None`: of all streams.
    pub(super) fn forget_withheld(&mut self, of: Option<StreamId>) {
        let outputs = self.outputs.iter_mut();
        for (_, output) in outputs.filter(|(stream, _)| of.is_none_or(|of| of == **stream)) {
            output.withheld.clear();
        }
    }

    /// The new input is about to bring what may be a key frame of just this time.
    fn may_be_cut_at(&self, place: &Place, times: Times) -> bool {
        let Some(pending) = self.pending.as_ref().filter(|p| !p.impatient) else {
            return false;
        };
        let output = self.outputs.get(&place.stream);
        let exchanged_later = self.unseen || output.is_none_or(|output| output.held.is_some());
        if exchanged_later || self.gate_of(pending.to) != Some(place.stream) {
            return false;
        }
        let (Some(old), Some(new)) = (self.inputs.get(&place.input), self.inputs.get(&pending.to))
        else {
            return false;
        };
        let both = old
            .sinks
            .get(&place.stream)
            .zip(new.sinks.get(&place.stream));
        let Some((_, sink)) = both.filter(|(old, _)| old.format.coding == Coding::Delta) else {
            return false;
        };
        let Some(newest) = sink.standby.pieces().next_back() else {
            return false;
        };
        let half = i64::try_from(times.duration / 2).unwrap_or(0);
        let at = old.timeline.place(times.order).saturating_add(half);
        let ahead = at.saturating_sub(new.timeline.place(newest.order));
        if ahead <= half.saturating_mul(2).min(JUST_NOW / 4) || ahead > JUST_NOW + half {
            // It has come as far and brought no key frame, or is too far behind to be waited for.
            return false;
        }
        let next = sink.rhythm.next().map(|next| new.timeline.place(next));
        pending.missed > 0 || next.is_some_and(|next| at >= next)
    }
}
