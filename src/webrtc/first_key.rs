// SPDX-License-Identifier: MPL-2.0
//! A stream of pictures that begins in the middle of a group, or whose first key frame was lost on the
//! way, asks for another at once. Parsers take such pictures in and say nothing, so that nobody behind
//! them would ask, and a sender may take minutes to its next one.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use gst::prelude::*;

/// For an answer, before it is asked again.
const PATIENCE: gst::ClockTime = gst::ClockTime::SECOND;

/// Watches what comes out of the depayloader until a key frame has come out of the last of `elements`.
/// Changes nothing of it.
pub(super) fn ask(elements: &[gst::Element]) {
    let ends = elements.first().zip(elements.last());
    let pads = ends.and_then(|(first, last)| first.static_pad("src").zip(last.static_pad("src")));
    let Some((unpacked, parsed)) = pads else {
        return;
    };
    let begun = Arc::new(AtomicBool::new(false));
    let has_begun = begun.clone();
    parsed.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_none_or(is_delta) {
            return gst::PadProbeReturn::Ok;
        }
        begun.store(true, Relaxed);
        gst::PadProbeReturn::Remove
    });
    let asked = Mutex::new(None::<gst::ClockTime>);
    unpacked.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if has_begun.load(Relaxed) {
            return gst::PadProbeReturn::Remove;
        }
        let Some(buffer) = info.buffer().filter(|buffer| is_delta(buffer)) else {
            return gst::PadProbeReturn::Ok;
        };
        // The stream's own time will do.
        let now = buffer.pts();
        let is_due = asked.lock().is_ok_and(|mut asked| {
            let waits = asked.zip(now).is_some_and(|(at, now)| now < at + PATIENCE);
            if !waits {
                *asked = now;
            }
            !waits
        });
        if is_due {
            gst::debug!(super::CAT, obj = pad, "asking for the first key frame");
            let request = gst_video::UpstreamForceKeyUnitEvent::builder();
            pad.send_event(request.all_headers(false).build());
        }
        gst::PadProbeReturn::Ok
    });
}

fn is_delta(buffer: &gst::Buffer) -> bool {
    buffer.flags().contains(gst::BufferFlags::DELTA_UNIT)
}
