// SPDX-License-Identifier: MPL-2.0
//! What becomes of a pad with known caps: a normalised stream on a pad of the [`SourceBin`], a demuxer
//! that is watched in turn, or nothing.
//!
//! Runs in the thread that brings the caps, with the pad blocked.

use std::ops::ControlFlow;

use gst::prelude::*;

use super::bin::{SourceBin, Stream};
use super::mpegts::is_ts;
use super::parse::{Kind, Route, announced_kind, is_made_by, make};
use super::unusable::{Known, Unusable};
use super::{CAT, Error, flv};

/// What a stream's queue holds at most. Not bounded in time, because timestamps are not to be
/// trusted here and a stream may have to wait a whole GOP for the other. A full queue blocks only
/// when nobody takes the data.
const QUEUE_BYTES: u32 = 20 * 1024 * 1024;

impl SourceBin {
    pub(super) fn route(&self, pad: &gst::Pad, caps: Option<&gst::CapsRef>) {
        let route = match Route::of(caps) {
            // parsebin gives such a pad only if it knows no further.
            Ok(Route::Demux(demuxer)) if is_from(pad, "parsebin") && !is_ts(&demuxer) => {
                Ok(Route::Ignore)
            }
            route => route,
        };
        self.take(pad, route, caps);
    }

    /// A depayloader's pad, before its first packet: what has to be asked of it comes too late afterwards.
    pub(super) fn route_depayloaded(&self, pad: &gst::Pad, form: &gst::Caps) {
        self.take(pad, Route::behind(form), Some(form));
    }

    fn take(&self, pad: &gst::Pad, route: Result<Route, Error>, caps: Option<&gst::CapsRef>) {
        let plugged = match self.judged(route, caps) {
            Ok(Route::Stream(kind, elements)) => self.plug_stream(pad, kind, elements),
            Ok(Route::Demux(demuxer)) => self.plug_demuxer(pad, &demuxer),
            Ok(Route::Flv) => self.plug_flv(pad),
            Ok(Route::Ignore) => self.plug_nothing(pad, caps),
            Err(error) => Err(error.to_string()),
        };
        if let Err(reason) = plugged {
            gst::element_error!(self, gst::CoreError::Pad, ("{}", reason));
        }
    }

    /// One stream that is of no use is no fault of the others.
    fn judged(
        &self,
        route: Result<Route, Error>,
        caps: Option<&gst::CapsRef>,
    ) -> Result<Route, Error> {
        let unusable = caps.and_then(|caps| match &route {
            Ok(Route::Stream(..)) => self.refusal(caps, Known::Announced),
            Err(missing @ Error::MissingElement(_)) => {
                let kind = announced_kind(caps)?;
                Some(Unusable::of_caps(kind, caps, missing.to_string()))
            }
            Ok(_) | Err(_) => None,
        });
        let Some(unusable) = unusable else {
            return route;
        };
        self.tell_unusable(&unusable);
        Ok(Route::Ignore)
    }

    fn plug_stream(
        &self,
        pad: &gst::Pad,
        kind: Kind,
        mut elements: Vec<gst::Element>,
    ) -> Result<(), String> {
        if elements.is_empty() || !self.state().in_real_time {
            elements.push(queue().map_err(|error| error.to_string())?);
        }
        self.state().order.set_kind(pad, Some(kind));
        let tail = elements.last().and_then(|last| last.static_pad("src"));
        let tail = tail.ok_or("a stream without an end")?;
        let source = pad.clone();
        self.state().unsettled.push(tail.clone().upcast());
        self.once_typed(&tail, move |bin, tail, caps| {
            match caps.and_then(|caps| bin.refusal(caps, Known::Final)) {
                Some(unusable) => bin.leave_out(&source, tail, &unusable),
                None => bin.expose(&source, kind, tail),
            }
            bin.settle(tail.upcast_ref());
        });
        self.plug(pad, elements)
    }

    fn plug_demuxer(&self, pad: &gst::Pad, demuxer: &gst::Element) -> Result<(), String> {
        self.add(demuxer).map_err(|error| error.to_string())?;
        self.watch(demuxer);
        if is_ts(demuxer) {
            self.watch_programmes(demuxer);
        }
        self.plug(pad, vec![demuxer.clone()])
    }

    fn plug_flv(&self, pad: &gst::Pad) -> Result<(), String> {
        let elements = flv::byte_demuxers(self).map_err(|error| error.to_string())?;
        self.join(pad, elements)
    }

    fn plug_nothing(&self, pad: &gst::Pad, caps: Option<&gst::CapsRef>) -> Result<(), String> {
        let media = caps.and_then(|caps| caps.structure(0)).map(|s| s.name());
        gst::info!(
            CAT,
            obj = self,
            "{}: not used: {}",
            pad.name(),
            media.map_or("unknown", |name| name.as_str()),
        );
        self.state().order.gone(pad);
        let sink = drain().map_err(|error| error.to_string())?;
        self.plug(pad, vec![sink])
    }

    /// A stream turns out to be of no use behind its parser. Its data go nowhere: a pad that is not linked may end the whole
    /// source.
    fn leave_out(&self, source: &gst::Pad, tail: &gst::Pad, unusable: &Unusable) {
        self.state().order.gone(source);
        self.tell_unusable(unusable);
        let drained = drain().ok().filter(|sink| self.add(sink).is_ok());
        let Some(sink) = drained else {
            return;
        };
        let mut state = self.state();
        if let Some(stream) = state.streams.iter_mut().find(|s| s.source == *source) {
            stream.elements.push(sink.clone());
        }
        drop(state);
        let pad = sink.static_pad("sink");
        let is_linked = pad.is_some_and(|pad| tail.link(&pad).is_ok());
        if !is_linked || sink.sync_state_with_parent().is_err() {
            gst::warning!(CAT, obj = self, "{} leads nowhere", tail.name());
        }
    }

    /// Adds what is not here yet, starts it from the far end, and links `pad` to it last.
    fn plug(&self, pad: &gst::Pad, elements: Vec<gst::Element>) -> Result<(), String> {
        for element in &elements {
            if element.parent().is_none() {
                self.add(element)
                    .map_err(|_| failed(pad, "add an element"))?;
            }
        }
        gst::Element::link_many(&elements).map_err(|_| failed(pad, "link parsers"))?;
        self.join(pad, elements)
    }

    /// Starts what is here and linked already from the far end, and links `pad` to the first of it last.
    fn join(&self, pad: &gst::Pad, elements: Vec<gst::Element>) -> Result<(), String> {
        let sink = elements.first().and_then(|first| first.static_pad("sink"));
        let sink = sink.ok_or_else(|| failed(pad, "find a way in"))?;
        self.state().streams.push(Stream {
            source: pad.clone(),
            elements: elements.clone(),
            outlet: None,
            is_settled: false,
        });
        for element in elements.iter().rev() {
            element
                .sync_state_with_parent()
                .map_err(|_| failed(pad, "start a parser"))?;
        }
        self.watch_events(pad);
        self.note_sticky_tags(pad);
        pad.link(&sink).map_err(|_| failed(pad, "link a parser"))?;
        Ok(())
    }

    /// Reads what the source says of this stream, and keeps back what is not for others: souphttpsrc tells downstream what it
    /// has asked its server for, with the address and all that authorises it. What follows the outputs might show it.
    pub(super) fn watch_events(&self, pad: &gst::Pad) {
        let bin = self.downgrade();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
            let Some(event) = info.event() else {
                return gst::PadProbeReturn::Ok;
            };
            if event.has_name("http-headers") {
                // What is dropped is sent again with each buffer.
                return gst::PadProbeReturn::Handled;
            }
            if let Some(bin) = bin.upgrade() {
                bin.note_tags_of(pad, event);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// What the source has said of the stream on this pad before it was looked at.
    pub(super) fn note_sticky_tags(&self, pad: &gst::Pad) {
        let mut events = Vec::new();
        pad.sticky_events_foreach(|event| {
            events.push(event.clone());
            ControlFlow::Continue(gst::EventForeachAction::Keep)
        });
        for event in events {
            self.note_tags_of(pad, &event);
        }
    }

    /// tsdemux describes a stream as soon as it announces it, others with the tags that come before its first buffer.
    fn note_tags_of(&self, pad: &gst::Pad, event: &gst::EventRef) {
        match event.view() {
            gst::EventView::Tag(said) => self.note_tags(pad, said.tag()),
            gst::EventView::StreamStart(said) => {
                if let Some(tags) = said.stream().and_then(|stream| stream.tags()) {
                    self.note_tags(pad, &tags);
                }
            }
            _ => (),
        }
    }

    fn expose(&self, source: &gst::Pad, kind: Kind, tail: &gst::Pad) {
        let name = {
            let mut state = self.state();
            let next = match kind {
                Kind::Audio => &mut state.next_audio,
                Kind::Video => &mut state.next_video,
            };
            let number = *next;
            *next += 1;
            format!("{}_{number}", kind.name())
        };
        let Some(template) = self.pad_template(&format!("{}_%u", kind.name())) else {
            return;
        };
        let ghost = gst::GhostPad::builder_from_template_with_target(&template, tail)
            .map(|builder| builder.name(&name).build());
        let Ok(ghost) = ghost else {
            gst::element_error!(self, gst::CoreError::Pad, ("cannot expose {}", name));
            return;
        };
        prepare(&ghost, tail);
        {
            let mut state = self.state();
            let Some(stream) = state.streams.iter_mut().find(|s| s.source == *source) else {
                return; // Lost meanwhile.
            };
            stream.outlet = Some(ghost.clone().upcast());
        }
        gst::debug!(CAT, obj = self, "{name}: {:?}", tail.current_caps());
        if self.add_pad(&ghost).is_err() {
            gst::element_error!(self, gst::CoreError::Pad, ("cannot expose {}", name));
        }
    }
}

fn failed(pad: &gst::Pad, what: &str) -> String {
    format!("cannot {what} for the stream of {}", pad.name())
}

/// Where data end that are not wanted.
fn drain() -> Result<gst::Element, Error> {
    let sink = make("fakesink")?;
    sink.set_property("sync", false);
    sink.set_property("async", false);
    Ok(sink)
}

fn queue() -> Result<gst::Element, Error> {
    let queue = make("queue")?;
    queue.set_property("max-size-bytes", QUEUE_BYTES);
    queue.set_property("max-size-buffers", 0u32);
    queue.set_property("max-size-time", 0u64);
    Ok(queue)
}

fn is_from(pad: &gst::Pad, factory: &str) -> bool {
    let element = pad.parent_element();
    element.is_some_and(|element| is_made_by(&element, factory))
}

/// Makes a ghost pad know what its target already knows, before anybody can see it.
pub(super) fn prepare(ghost: &gst::GhostPad, target: &gst::Pad) {
    let _ = ghost.set_active(true);
    target.sticky_events_foreach(|event| {
        let _ = ghost.store_sticky_event(event);
        ControlFlow::Continue(gst::EventForeachAction::Keep)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    #[test]
    fn what_a_server_was_asked_for_comes_by_once() {
        gst::init().expect("GStreamer");
        let src = gst::Pad::new(gst::PadDirection::Src);
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .chain_function(|_, _, _| Ok(gst::FlowSuccess::Ok))
            .build();
        src.link(&sink).expect("a link");
        for pad in [&sink, &src] {
            pad.set_active(true).expect("active");
        }
        let seen = Arc::new(AtomicUsize::new(0));
        let count = seen.clone();
        src.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let event = info.event().filter(|event| event.has_name("http-headers"));
            count.fetch_add(event.iter().count(), Relaxed);
            gst::PadProbeReturn::Ok
        });
        let bin = SourceBin::new("source");
        bin.watch_events(&src);
        let headers = gst::Structure::builder("http-headers").build();
        src.push_event(gst::event::StreamStart::new("stream"));
        src.push_event(gst::event::CustomDownstreamSticky::new(headers));
        let bytes = gst::FormattedSegment::<gst::format::Bytes>::new();
        src.push_event(gst::event::Segment::new(&bytes));
        for _ in 0..3 {
            src.push(gst::Buffer::new()).expect("taken");
        }
        assert_eq!(seen.load(Relaxed), 1);
    }
}
