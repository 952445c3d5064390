// SPDX-License-Identifier: MPL-2.0
//! rtspsrc inside urisourcebin: how it is set, and what is remembered of its transport from one attempt to the next.
//!
//! Where UDP is granted and nothing comes by it, as behind a firewall, rtspsrc waits for five seconds and then restarts
//! with TCP. To wait again at each attempt would cost as much each time. So an attempt that played by TCP in the end is
//! followed by one that asks for TCP alone. What is remembered has to prove itself each time: a server that sets up a
//! stream by TCP and brings nothing is asked for anything again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use gst::prelude::*;

use super::CAT;
use super::bin::SourceBin;

/// rtspsrc would wait two seconds for packets that come late.
const LATENCY_MS: u32 = 200;

/// By what transport an attempt asks for its streams.
#[derive(Debug, Default)]
struct Transport {
    over_tcp: bool,
    /// The streams that were set up, by their numbers in the session description.
    set_up: BTreeSet<u32>,
}

/// Before rtspsrc starts. What the application sets afterwards, in a handler of its own for `source-setup`, holds.
pub(super) fn set_up(source: &gst::Element, bin: &SourceBin) {
    source.set_property("latency", LATENCY_MS);
    let memory = bin.memory();
    let over_tcp = memory.needs_tcp();
    if over_tcp {
        gst::info!(CAT, obj = bin, "TCP is asked for: UDP brought nothing");
        source.set_property_from_str("protocols", "tcp");
    }
    let transport = Arc::new(Mutex::new(Transport {
        over_tcp,
        ..Transport::default()
    }));
    let (asking, asked) = (transport.clone(), memory.clone());
    // Asked for each stream before it is set up; after the application, whose no ends it.
    source.connect("select-stream", true, move |values| {
        let number = values.get(1).and_then(|value| value.get::<u32>().ok());
        let mut transport = asking.lock().unwrap_or_else(PoisonError::into_inner);
        transport.ask(number.unwrap_or(0));
        if transport.over_tcp {
            asked.set_needs_tcp(false);
        }
        Some(true.to_value())
    });
    // rtspsrc adds a pad with its first packet.
    source.connect_pad_added(move |_, _| {
        let transport = transport.lock().unwrap_or_else(PoisonError::into_inner);
        memory.set_needs_tcp(transport.over_tcp);
    });
}

impl Transport {
    /// A stream that is set up once more: rtspsrc has restarted, which it does with TCP alone.
    fn ask(&mut self, stream: u32) {
        self.over_tcp |= !self.set_up.insert(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_that_is_set_up_twice_is_over_tcp() {
        let mut transport = Transport::default();
        for stream in [0, 1, 2] {
            transport.ask(stream);
            assert!(!transport.over_tcp, "{stream}");
        }
        transport.ask(0);
        assert!(transport.over_tcp);
        transport.ask(1);
        assert!(transport.over_tcp);
    }
}
