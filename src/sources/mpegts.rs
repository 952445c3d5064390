// SPDX-License-Identifier: MPL-2.0
//! MPEG-TS whose programme map changes in mid-stream: a stream is added, goes, or gets another PID.
//!
//! tsdemux makes all its pads again then, also those of streams that stay as they are, and ends the old ones. A stream
//! that continues keeps its parser and all that is behind it: the new pad takes the place of the old one before that
//! ends. So downstream sees no end, no new stream, and a frame between two key frames is still of use.

use std::collections::BTreeSet;
use std::time::Duration;

use gst::prelude::*;

use super::CAT;
use super::bin::{SourceBin, State};
use super::parse::{TS_DEMUXER, is_made_by, kind_of_caps};

/// Streams are interleaved this loosely at most: what begins so near to where the last programme stood is on its clock.
const SAME_CLOCK: Duration = Duration::from_secs(2);

/// A stream of a programme, as far as it matters who follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    /// Made of the PID.
    id: String,
    caps: gst::Caps,
}

impl Member {
    fn of(pad: &gst::Pad) -> Option<Self> {
        let id = pad.stream_id()?.to_string();
        let caps = pad.current_caps()?;
        Some(Self { id, caps })
    }
}

impl SourceBin {
    /// Follows the programmes of a demuxer of MPEG-TS.
    pub(super) fn watch_programmes(&self, demuxer: &gst::Element) {
        let bin = self.downgrade();
        let id = demuxer.connect_no_more_pads(move |demuxer| {
            if let Some(bin) = bin.upgrade() {
                let mut state = bin.state();
                for stream in &mut state.streams {
                    stream.is_settled |= is_of(&stream.source, demuxer);
                }
            }
        });
        self.remember(demuxer, vec![id]);
    }

    /// An element says which streams it has from now on, before it adds their pads.
    pub(super) fn programme_is(&self, by: &gst::Object, collection: &gst::StreamCollection) {
        let Some(demuxer) = by.downcast_ref::<gst::Element>().filter(|e| is_ts(e)) else {
            return;
        };
        let ids = collection.iter().filter_map(|stream| stream.stream_id());
        let ids = ids.map(|id| id.to_string()).collect();
        let mut state = self.state();
        state.programmes.retain(|(other, _)| other != demuxer);
        state.programmes.push((demuxer.clone(), ids));
    }

    /// Whether this new pad continues a stream of the programme before, and is linked in its place.
    pub(super) fn continues(&self, demuxer: &gst::Element, pad: &gst::Pad) -> bool {
        if !is_ts(demuxer) {
            return false;
        }
        let (segment, old) = {
            let mut state = self.state();
            let peers = state.streams.iter().map(|stream| &stream.source);
            let mut peers = peers
                .filter(|pad| is_of(pad, demuxer))
                .filter_map(|pad| pad.peer());
            // What downstream has been given, and not what the demuxer said.
            let segment = peers.find_map(|peer| peer.sticky_event::<gst::event::Segment>(0));
            (segment, take_place(&mut state, demuxer, pad))
        };
        if let Some(segment) = segment {
            keep_clock(pad, segment);
        }
        let Some(old) = old else {
            return false;
        };
        gst::info!(CAT, obj = self, "{} continues {}", pad.name(), old.name());
        self.watch_events(pad);
        keep_stream(pad);
        let is_linked = old.peer().is_some_and(|sink| {
            let _ = old.unlink(&sink);
            pad.link(&sink).is_ok()
        });
        if !is_linked {
            gst::element_error!(self, gst::CoreError::Pad, ("{} leads nowhere", pad.name()));
        }
        true
    }
}

/// The pad whose stream continues on this one; that stream is this pad's from now on.
fn take_place(state: &mut State, demuxer: &gst::Element, pad: &gst::Pad) -> Option<gst::Pad> {
    let new = Member::of(pad)?;
    let present = state.programmes.iter().find(|(of, _)| of == demuxer);
    let present = present.map(|(_, ids)| ids.clone()).unwrap_or_default();
    let members = state.streams.iter().map(|stream| {
        let is_before = stream.is_settled && is_of(&stream.source, demuxer);
        Member::of(&stream.source).filter(|_| is_before)
    });
    let place = predecessor(&members.collect::<Vec<_>>(), &new, &present)?;
    let stream = state.streams.get_mut(place)?;
    stream.is_settled = false;
    let old = std::mem::replace(&mut stream.source, pad.clone());
    state.order.replaced(&old, pad);
    Some(old)
}

/// Which of the streams of the last programme goes on as this one: the one with its PID; else the first of its codec whose
/// PID is in the programme no more.
fn predecessor(
    before: &[Option<Member>],
    new: &Member,
    present: &BTreeSet<String>,
) -> Option<usize> {
    let find = |wanted: &dyn Fn(&Member) -> bool| {
        let is_wanted = |member: &Option<Member>| member.as_ref().is_some_and(wanted);
        before.iter().position(is_wanted)
    };
    let is_of_codec = |old: &Member| old.caps == new.caps && kind_of_caps(&old.caps).is_some();
    find(&|old| old.id == new.id && is_of_codec(old))
        .or_else(|| find(&|old| !present.contains(&old.id) && is_of_codec(old)))
}

/// The same stream goes on: what is behind it must not take it for another.
fn keep_stream(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| {
        match info.event().map(|event| event.type_()) {
            Some(gst::EventType::StreamStart) => gst::PadProbeReturn::Handled,
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

/// tsdemux lets a new programme begin where the last one stood, and so loses what lies between the two. Where both are
/// on one clock, the segment before is right.
fn keep_clock(pad: &gst::Pad, before: gst::event::Segment<gst::Event>) {
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let continues = match info.event().map(|event| event.view()) {
            Some(gst::EventView::Segment(now)) => {
                let bounds = base_and_start(before.segment()).zip(base_and_start(now.segment()));
                bounds.is_some_and(|(before, now)| is_same_clock(before, now))
            }
            _ => false,
        };
        if continues {
            info.data = Some(gst::PadProbeData::Event(before.event().to_owned()));
        }
        gst::PadProbeReturn::Ok
    });
}

fn base_and_start(segment: &gst::Segment) -> Option<(u64, u64)> {
    let segment = segment.downcast_ref::<gst::ClockTime>()?;
    Some((segment.base()?.nseconds(), segment.start()?.nseconds()))
}

/// Of two segments by base and start. The base of the second is the running time of where the first one stood.
fn is_same_clock((base, start): (u64, u64), (next_base, next_start): (u64, u64)) -> bool {
    let stood = start.saturating_add(next_base.saturating_sub(base));
    u128::from(stood.abs_diff(next_start)) <= SAME_CLOCK.as_nanos()
}

fn is_of(pad: &gst::Pad, element: &gst::Element) -> bool {
    pad.parent_element().as_ref() == Some(element)
}

pub(super) fn is_ts(demuxer: &gst::Element) -> bool {
    is_made_by(demuxer, TS_DEMUXER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: &str, caps: &str) -> Member {
        gst::init().expect("GStreamer");
        Member {
            id: id.to_owned(),
            caps: caps.parse().expect("caps"),
        }
    }

    const VIDEO: &str = "video/x-h264,stream-format=byte-stream";
    const AAC: &str = "audio/mpeg,mpegversion=4,stream-format=adts";
    const MP2: &str = "audio/mpeg,mpegversion=1";

    #[test]
    fn a_stream_continues_with_its_pid_or_as_the_next_of_its_codec() {
        let before = [(256, VIDEO), (257, AAC), (258, AAC)];
        let before = before.map(|(id, caps)| Some(member(&id.to_string(), caps)));
        for (present, new, caps, expected) in [
            // Nothing but the version changes.
            (&["256", "257", "258"][..], "258", AAC, Some(2)),
            // Another track comes before the ones that stay.
            (&["256", "300", "257", "258"], "300", AAC, None),
            // The PID changes, of the first or of the second.
            (&["256", "300", "258"], "300", AAC, Some(1)),
            (&["256", "257", "300"], "300", AAC, Some(2)),
            // Another codec, with the PID or without.
            (&["256", "257", "258"], "257", MP2, None),
            (&["256", "300"], "300", MP2, None),
            (&["301", "257", "258"], "301", VIDEO, Some(0)),
        ] {
            let present = present.iter().map(ToString::to_string).collect();
            let found = predecessor(&before, &member(new, caps), &present);
            assert_eq!(found, expected, "{new} {caps} in {present:?}");
        }
        // What another stream has taken over, or another demuxer's, is no one's.
        let taken = [None, before[1].clone()];
        let found = predecessor(&taken, &member("301", VIDEO), &BTreeSet::new());
        assert_eq!(found, None);
    }

    #[test]
    fn a_programme_that_begins_where_the_last_one_stood_is_on_its_clock() {
        const S: u64 = 1_000_000_000;
        // It began at 5, and stood at 15.
        let before = (2 * S, 5 * S);
        let base = 12 * S;
        for (start, expected) in [
            (15 * S, true),
            (15 * S + S / 25, true),
            (14 * S, true),
            (S, false),
            (40 * S, false),
        ] {
            assert_eq!(is_same_clock(before, (base, start)), expected, "{start}");
        }
    }
}
