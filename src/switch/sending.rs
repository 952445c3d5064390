// SPDX-License-Identifier: MPL-2.0
//! What leaves `failoverswitch`: buffers in the output's time, and the sticky events before them.

use super::cut::{Placed, Position};
use super::delays::signed;
use super::flow::Step;
use super::format::Frame;
use super::pace::Times;
use super::pad::Place;
use super::standby::Coding;
use super::state::State;
use crate::policy::Moment;
use gst::prelude::*;

/// What goes out of a source pad in one go.
#[derive(Debug, Default)]
pub(super) struct Parcel {
    pub(super) events: Vec<gst::Event>,
    pub(super) first: Option<Ready>,
    pub(super) more: Vec<Ready>,
}

/// A buffer with the output's time on it.
#[derive(Debug)]
pub(super) struct Ready {
    /// To be sent before it, if it is of other caps than what was sent last.
    pub(super) caps: Option<gst::Caps>,
    pub(super) buffer: gst::Buffer,
    pub(super) piece: Placed,
    /// Where the output stands with it.
    pub(super) after: Position,
}

impl State {
    pub(super) fn steady(
        &mut self,
        place: &Place,
        times: Times,
        buffer: gst::Buffer,
        now: Moment,
    ) -> Step {
        let Some(sink) = self.sink_mut(place.input, place.stream) else {
            return Step::Kept;
        };
        sink.buffers += 1;
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            sink.rhythm.key(times.start);
        }
        let frame = sink.frame(buffer);
        if self.is_flushing(place) {
            return Step::Kept;
        }
        if self.withholds(place, times) {
            return self.withhold(place, times, frame, now);
        }
        self.send_all(place, std::iter::once((times, frame)), now)
    }

    pub(super) fn send_all(
        &mut self,
        place: &Place,
        pieces: impl IntoIterator<Item = (Times, Frame)>,
        now: Moment,
    ) -> Step {
        let mut parcel = Parcel::default();
        for (times, frame) in pieces {
            if let Some(ready) = self.stamp(place, times, frame, now) {
                parcel.add(ready);
            }
        }
        if parcel.first.is_none() {
            return Step::Kept;
        }
        self.add_events(place, &mut parcel);
        self.hand_over(place, parcel)
    }

    /// Puts the output's time on a buffer; `None` for one that would take time back.
    pub(super) fn stamp(
        &mut self,
        place: &Place,
        times: Times,
        frame: Frame,
        now: Moment,
    ) -> Option<Ready> {
        let timeline = &self.inputs.get(&place.input)?.timeline;
        let mut start = timeline.place(times.start).max(0);
        let mut order = timeline.place(times.order).max(0);
        let mut duration = times.duration;
        let Frame { mut buffer, format } = frame;
        let output = self.outputs.get_mut(&place.stream)?;
        let last = output.position.unwrap_or_default();
        let early = u64::try_from(output.heard_from.saturating_sub(start)).unwrap_or(0);
        if let Some(samples) = format.samples.filter(|_| early > 0) {
            let (rest, gone) = samples.without_head(buffer, early)?;
            buffer = rest;
            start = start.saturating_add(signed(gone));
            order = order.saturating_add(signed(gone));
            duration = duration.saturating_sub(gone);
        }
        if let Some(key) = output.led_by {
            start = key.start_behind(order, start)?;
        }
        if format.coding != Coding::Delta && start < last.start {
            return None;
        }
        // Only what a decoder will not show may lie before what was sent.
        let unseen = start < output.shown_from;
        let order = if unseen { order } else { order.max(last.order) };
        if buffer.dts().is_some() {
            // No muxer takes a picture that is shown before it is decoded.
            start = start.max(order);
        }
        let end = start.saturating_add(signed(duration));
        let after = Position {
            order: order.max(last.order),
            start: start.max(last.start),
            end: end.max(last.end),
        };
        output.position = Some(after);
        let key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let piece = Placed {
            order,
            start,
            end,
            key,
        };
        output.sent_at = Some(now);
        let discont = std::mem::take(&mut output.discont);
        let times = Times {
            order,
            start,
            duration,
        };
        put_times(&mut buffer, times, discont);
        Some(Ready {
            caps: output.caps_before(&format),
            buffer,
            piece,
            after,
        })
    }

    /// Sticky events that downstream has not got yet, in their order.
    pub(super) fn add_events(&mut self, place: &Place, parcel: &mut Parcel) {
        let group = self.group;
        let Some(output) = self.outputs.get_mut(&place.stream) else {
            return;
        };
        let caps = parcel.first.as_mut().and_then(|first| first.caps.take());
        if output.started && !output.segment_due && !output.sticky_due && caps.is_none() {
            return;
        }
        let pad = self
            .inputs
            .get(&place.input)
            .and_then(|i| i.sinks.get(&place.stream))
            .map(|s| &s.pad);
        if !std::mem::replace(&mut output.started, true) {
            parcel.events.push(stream_start(&output.pad, group));
        }
        let sticky = std::mem::take(&mut output.sticky_due);
        parcel
            .events
            .extend(caps.map(|caps| gst::event::Caps::new(&caps)));
        if std::mem::take(&mut output.segment_due) {
            let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
            let start = clock(output.shown_from);
            segment.set_start(start);
            segment.set_base(start);
            segment.set_time(start);
            segment.set_position(start);
            parcel.events.push(gst::event::Segment::new(&segment));
        }
        if let Some(pad) = pad.filter(|_| sticky) {
            pad.sticky_events_foreach(|event| {
                if event.type_() == gst::EventType::Tag {
                    parcel.events.push(event.clone());
                }
                std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
            });
        }
    }
}

impl Parcel {
    pub(super) fn add(&mut self, ready: Ready) {
        if self.first.is_none() {
            self.first = Some(ready);
        } else {
            self.more.push(ready);
        }
    }
}

/// What a buffer says from now on. A sink and a muxer believe its duration, too.
fn put_times(buffer: &mut gst::Buffer, times: Times, discont: bool) {
    let dts = buffer.dts().map(|_| clock(times.order));
    let had_pts = buffer.pts().is_some() || buffer.dts().is_none();
    let pts = had_pts.then(|| clock(times.start));
    let lasts = gst::ClockTime::from_nseconds(times.duration);
    let lasts = buffer.duration().map(|_| lasts);
    if buffer.pts() == pts && buffer.dts() == dts && buffer.duration() == lasts && !discont {
        return;
    }
    let buffer = buffer.make_mut();
    buffer.set_pts(pts);
    buffer.set_dts(dts);
    buffer.set_duration(lasts);
    if discont {
        buffer.set_flags(gst::BufferFlags::DISCONT);
    }
}

fn stream_start(pad: &gst::Pad, group: gst::GroupId) -> gst::Event {
    let id = format!("failoverswitch/{group:?}/{}", pad.name());
    gst::event::StreamStart::builder(&id)
        .group_id(group)
        .build()
}

fn clock(time: i64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time).unwrap_or(0))
}
