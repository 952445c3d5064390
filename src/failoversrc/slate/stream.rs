// SPDX-License-Identifier: MPL-2.0
//! What passes through: the input's buffers, events and queries, and how anything is sent out. Owns
//! the order on the src pad; never decides when to fill.

use super::fill::Format;
use super::imp::{CAT, Slate};
use super::place::{Slot, Verdict};
use super::{Kind, Mode};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::Arc;

/// A real buffer with its place, and the silence to be sent before it.
struct Placed {
    buffer: gst::Buffer,
    bridge: Option<(Slot, u64)>,
    introduced: bool,
    format: Option<Arc<Format>>,
}

/// Pushing, always under the stream lock of the src pad.
impl Slate {
    pub(super) fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let _serial = self.src.stream_lock();
        let now = self.time.now().nanos();
        let Some(placed) = self.place(buffer, now) else {
            return match self.state().flow {
                // That was about the caps of a blank.
                Err(gst::FlowError::NotNegotiated) => Ok(gst::FlowSuccess::Ok),
                flow => flow,
            };
        };
        if !placed.introduced {
            self.introduce(placed.format.as_ref().map(|format| format.caps()));
        }
        if let Some((slot, units)) = placed.bridge
            && let Some((_, mut silence)) = placed.format.and_then(|format| format.blank(units))
        {
            put(silence.make_mut(), slot);
            self.push(silence)?;
        }
        self.push(placed.buffer)
    }

    /// Where a real buffer goes; `None` if it is too late for any place.
    fn place(&self, mut buffer: gst::Buffer, now: u64) -> Option<Placed> {
        let mut state = self.state();
        let mut bridge = None;
        if let (Some(pts), Some(format)) = (buffer.pts(), state.real.clone()) {
            let end = pts.saturating_add(format.duration(&buffer));
            let Some((first, last)) = running_times(&state.segment, pts, end) else {
                state.place.real_came(now);
                return None;
            };
            if state.kind == Kind::Audio {
                bridge = state.place.bridge(first.nseconds());
            }
            let (verdict, discont) = state.place.real(now, first.nseconds(), last.nseconds());
            let whole = end.saturating_sub(pts);
            buffer = cut(
                buffer,
                &state.segment,
                &format,
                whole,
                (first, last),
                verdict,
            )?;
            if discont {
                buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
        } else {
            state.place.real_came(now);
        }
        if state.mode == Mode::Hold && state.kind == Kind::Video {
            state.held = Some(buffer.clone());
        }
        Some(Placed {
            buffer,
            bridge,
            introduced: std::mem::replace(&mut state.introduced, true),
            format: state.real.clone(),
        })
    }

    /// Sends what must come before data and has not been sent: stream-start, caps, segment.
    pub(super) fn introduce(&self, caps: Option<&gst::Caps>) -> bool {
        if self
            .src
            .sticky_event::<gst::event::StreamStart>(0)
            .is_none()
        {
            let stream_id = self.state().stream_id.clone();
            let start = gst::event::StreamStart::builder(&stream_id)
                .group_id(gst::GroupId::next())
                .build();
            self.src.push_event(start);
        }
        let Some(caps) = caps else {
            return true;
        };
        let known = self.src.current_caps().as_ref() == Some(caps);
        let accepted = known || self.src.push_event(gst::event::Caps::new(caps));
        if self.src.sticky_event::<gst::event::Segment>(0).is_none() {
            let endless = gst::FormattedSegment::<gst::ClockTime>::new();
            self.src.push_event(gst::event::Segment::new(&endless));
        }
        accepted
    }

    pub(super) fn push(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let result = self.src.push(buffer);
        self.note(result)
    }

    pub(super) fn note(
        &self,
        result: Result<gst::FlowSuccess, gst::FlowError>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        // An output that nobody has linked yet is no reason to stop.
        let result = match result {
            Err(gst::FlowError::NotLinked) => Ok(gst::FlowSuccess::Ok),
            result => result,
        };
        self.state().flow = result;
        result
    }
}

/// Events and queries.
impl Slate {
    pub(super) fn sink_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::FlushStart(_) => {
                self.change(|state| state.flushing = true);
                return self.src.push_event(event);
            }
            _ if !event.is_serialized() => return self.src.push_event(event),
            _ => {}
        }
        let _serial = self.src.stream_lock();
        match event.view() {
            gst::EventView::FlushStop(_) => self.flush_stop(event),
            gst::EventView::StreamStart(_) => {
                self.state().eos_came = false;
                self.introduce(None)
            }
            gst::EventView::Caps(caps) => self.real_caps(&caps.caps_owned()),
            gst::EventView::Segment(segment) => {
                let segment = segment.segment().downcast_ref::<gst::ClockTime>();
                self.state().segment = segment.cloned().unwrap_or_default();
                true
            }
            gst::EventView::Gap(gap) => {
                let (pts, duration) = gap.get();
                self.gap(pts, duration)
            }
            gst::EventView::Eos(_) => {
                self.change(|state| {
                    state.eos_came = true;
                    state.place.real_ended();
                });
                true
            }
            _ => {
                self.introduce(None);
                self.src.push_event(event)
            }
        }
    }

    fn flush_stop(&self, event: gst::Event) -> bool {
        let begins_anew = match event.view() {
            gst::EventView::FlushStop(stop) => stop.resets_time(),
            _ => true,
        };
        let sent = self.src.push_event(event);
        self.change(|state| {
            state.flushing = false;
            state.flow = Ok(gst::FlowSuccess::Ok);
            state.segment = gst::FormattedSegment::new();
            state.introduced = false;
            state.eos_came = false;
            state.eos_sent = false;
            if begins_anew {
                state.place.reset();
            }
        });
        sent
    }

    fn real_caps(&self, caps: &gst::Caps) -> bool {
        let Some(format) = Format::of(caps) else {
            gst::warning!(CAT, imp = self, "Not raw media: {caps}");
            return false;
        };
        {
            let mut state = self.state();
            state.place.set_rate(format.rate());
            state.real = Some(Arc::new(format));
            state.held = None;
            state.introduced = false;
        }
        self.introduce(Some(caps))
    }

    fn gap(&self, pts: gst::ClockTime, duration: Option<gst::ClockTime>) -> bool {
        let now = self.time.now().nanos();
        let end = pts.saturating_add(duration.unwrap_or_default());
        let slot = {
            let mut state = self.state();
            let Some((first, last)) = running_times(&state.segment, pts, end) else {
                return true;
            };
            let (first, last) = (first.nseconds(), last.nseconds());
            match state.place.real(now, first, last).0 {
                Verdict::Drop => return true,
                Verdict::From(start) => (start, last),
                Verdict::Pass => (first, last),
            }
        };
        let caps = self.state().real.clone();
        self.introduce(caps.as_ref().map(|format| format.caps()));
        let (start, end) = times(slot.0, slot.1);
        let gap = gst::event::Gap::builder(start).duration(end.saturating_sub(start));
        self.src.push_event(gap.build())
    }

    pub(super) fn src_event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Latency(latency) => {
                let latency = latency.latency().nseconds();
                self.change(|state| state.place.set_latency(latency));
            }
            // Another element is there now: it may take what the last one refused.
            gst::EventView::Reconfigure(_) => {
                self.change(|state| state.flow = Ok(gst::FlowSuccess::Ok));
            }
            // The decoder need not hurry because of a slate.
            gst::EventView::Qos(_) if self.state().place.is_filling() => return true,
            _ => {}
        }
        gst::Pad::event_default(&self.src, Some(&*self.obj()), event)
    }

    pub(super) fn sink_query(&self, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::AcceptCaps(query) if !self.src.is_linked() => {
                query.set_result(true);
                true
            }
            _ => gst::Pad::query_default(&self.sink, Some(&*self.obj()), query),
        }
    }

    pub(super) fn src_query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Caps(query) = query.view_mut() {
            // Known before anything flows: so that a picture is never linked to a sound.
            let caps = self.raw_caps();
            let caps = match query.filter() {
                Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
                None => caps,
            };
            query.set_result(&caps);
            return true;
        }
        if let gst::QueryViewMut::Position(query) = query.view_mut() {
            // The output's own; a decoder behind it may just be stopping.
            let is_time = query.format() == gst::Format::Time;
            if is_time {
                query.set(gst::ClockTime::from_nseconds(self.state().place.end()));
            }
            return is_time;
        }
        let answered = gst::Pad::query_default(&self.src, Some(&*self.obj()), query);
        let gst::QueryViewMut::Latency(query) = query.view_mut() else {
            return answered;
        };
        let (live, min, max) = query.result();
        // The filler keeps to the clock even when nothing is before it.
        if self.state().mode == Mode::None || (answered && live) {
            return answered;
        }
        query.set(true, min, max.filter(|_| answered));
        true
    }
}

impl Slate {
    fn raw_caps(&self) -> gst::Caps {
        let name = match self.state().kind {
            Kind::Audio => "audio/x-raw",
            Kind::Video => "video/x-raw",
        };
        gst::Caps::builder(name).any_features().build()
    }
}

/// Gives a filled buffer its place.
pub(super) fn put(buffer: &mut gst::BufferRef, slot: Slot) {
    let (start, end) = times(slot.start, slot.end);
    buffer.set_pts(start);
    buffer.set_dts(gst::ClockTime::NONE);
    buffer.set_duration(end.saturating_sub(start));
    buffer.unset_flags(gst::BufferFlags::DISCONT);
    if slot.discont {
        buffer.set_flags(gst::BufferFlags::DISCONT);
    }
}

/// When in running time a part of the input is shown; `None` if never.
fn running_times(
    segment: &gst::FormattedSegment<gst::ClockTime>,
    pts: gst::ClockTime,
    end: gst::ClockTime,
) -> Option<(gst::ClockTime, gst::ClockTime)> {
    let (first, last) = segment.clip(pts, end)?;
    Some((
        segment.to_running_time(first)?,
        segment.to_running_time(last)?,
    ))
}

/// The part of a real buffer that is shown, stamped with its running time; untouched where it can be.
fn cut(
    mut buffer: gst::Buffer,
    segment: &gst::FormattedSegment<gst::ClockTime>,
    format: &Format,
    whole: gst::ClockTime,
    shown: (gst::ClockTime, gst::ClockTime),
    verdict: Verdict,
) -> Option<gst::Buffer> {
    let (first, last) = shown;
    let start = match verdict {
        Verdict::Drop => return None,
        Verdict::Pass => first,
        Verdict::From(start) => gst::ClockTime::from_nseconds(start),
    };
    if last.saturating_sub(first) < whole {
        buffer = format.clip(buffer, segment.upcast_ref())?;
    }
    if buffer.pts() != Some(first) {
        let stamped = buffer.make_mut();
        stamped.set_pts(first);
        stamped.set_dts(gst::ClockTime::NONE);
    }
    if start > first {
        let mut rest = gst::FormattedSegment::<gst::ClockTime>::new();
        rest.set_start(start);
        buffer = format.clip(buffer, rest.upcast_ref())?;
    }
    if last.saturating_sub(start) < whole {
        let shortened = buffer.make_mut();
        shortened.set_pts(start);
        shortened.set_duration(last.saturating_sub(start));
    }
    Some(buffer)
}

fn times(start: u64, end: u64) -> (gst::ClockTime, gst::ClockTime) {
    let time = gst::ClockTime::from_nseconds;
    (time(start), time(end))
}
