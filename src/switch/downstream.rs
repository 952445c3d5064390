// SPDX-License-Identifier: MPL-2.0
//! What follows a source pad: a decoder can be given what it shall not show, so that a cut before it waits
//! for no key frame. Reads how pads are linked and what factories say of their elements; changes nothing.

use super::imp::FailoverSwitch;
use super::standby::Coding;
use super::state::State;
use crate::policy::StreamId;
use gst::prelude::*;

/// Between the switch and the decoder there are parsers, queues and the like, no more than this.
const FURTHEST: usize = 16;

impl FailoverSwitch {
    /// Looks who follows; to be called with no lock held. An owner knows better.
    pub(super) fn look_downstream(&self) {
        if self.is_owned() {
            return;
        }
        let pads: Vec<_> = {
            let state = self.state();
            let outputs = state.outputs.iter();
            outputs.map(|(id, o)| (*id, o.pad.clone())).collect()
        };
        let found: Vec<_> = pads
            .iter()
            .map(|(id, pad)| (*id, decoder_follows(pad)))
            .collect();
        let mut state = self.state();
        for (stream, decoded) in found {
            if let Some(output) = state.outputs.get_mut(&stream) {
                output.decoded = decoded;
            }
        }
        state.unseen = state.is_all_decoded();
    }
}

impl State {
    /// A decoder follows wherever something encoded is sent.
    fn is_all_decoded(&self) -> bool {
        let mut encoded = self
            .outputs
            .iter()
            .filter(|(stream, output)| output.pad.is_linked() && self.is_encoded(**stream))
            .peekable();
        encoded.peek().is_some() && encoded.all(|(_, output)| output.decoded)
    }

    fn is_encoded(&self, stream: StreamId) -> bool {
        let mut sinks = self.inputs.values().filter_map(|i| i.sinks.get(&stream));
        sinks.any(|sink| sink.format.coding != Coding::Raw)
    }
}

/// Whether the first element that does more than pass buffers on is a decoder.
fn decoder_follows(pad: &gst::Pad) -> bool {
    let mut next = pad.peer();
    for _ in 0..FURTHEST {
        let Some(sink) = next.and_then(innermost) else {
            return false;
        };
        if sink.parent_element().is_none_or(|e| is_decoder(&e)) {
            return sink.parent_element().is_some();
        }
        next = only_way_on(&sink);
    }
    false
}

/// A pad of a bin stands for one inside it, and the other way round for what leaves a bin.
fn innermost(mut pad: gst::Pad) -> Option<gst::Pad> {
    for _ in 0..FURTHEST {
        if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
            if is_decoder(&ghost.parent_element()?) {
                return Some(pad);
            }
            pad = ghost.target()?;
        } else if let Some(ghost) = pad.parent().and_downcast::<gst::GhostPad>() {
            pad = ghost.peer()?;
        } else {
            return Some(pad);
        }
    }
    None
}

/// Where all goes that comes in by this pad, if it goes one way.
fn only_way_on(sink: &gst::Pad) -> Option<gst::Pad> {
    let mut ways = sink.iterate_internal_links().into_iter();
    let way = ways.next()?.ok()?;
    ways.next().is_none().then(|| way.peer())?
}

fn is_decoder(element: &gst::Element) -> bool {
    let class = element.metadata(gst::ELEMENT_METADATA_KLASS);
    class.is_some_and(|class| class.split('/').any(|word| word == "Decoder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a decoder is found behind this line's element `s`.
    fn found(line: &str) -> bool {
        gst::init().expect("GStreamer");
        let bin = gst::parse::launch(&format!("identity name=s ! {line}")).expect(line);
        let bin = bin.downcast::<gst::Bin>().expect("a bin");
        let source = bin.by_name("s");
        let pad = source.and_then(|source| source.static_pad("src"));
        decoder_follows(&pad.expect("a source pad"))
    }

    #[test]
    fn a_decoder_is_found_behind_what_passes_buffers_on() {
        for line in [
            "avdec_h264 ! fakesink",
            "h264parse ! queue ! capsfilter ! avdec_h264 ! fakesink",
            "queue ! ( h264parse ! identity ) ! ( avdec_h264 ) ! fakesink",
            "multiqueue ! opusdec ! fakesink",
            "h264parse ! decodebin ! fakesink",
        ] {
            assert!(found(line), "{line}");
        }
    }

    #[test]
    fn who_needs_all_that_is_sent_is_no_decoder() {
        for line in [
            "fakesink",
            "queue ! fakesink",
            "( h264parse ! queue ) ! fakesink",
            "tee name=t t. ! avdec_h264 ! fakesink t. ! queue ! fakesink",
            "h264parse ! matroskamux ! fakesink",
            "h264parse ! rtph264pay ! fakesink",
        ] {
            assert!(!found(line), "{line}");
        }
        gst::init().expect("GStreamer");
        let alone = gst::ElementFactory::make("identity").build().expect("it");
        assert!(!decoder_follows(&alone.static_pad("src").expect("its pad")));
    }
}
