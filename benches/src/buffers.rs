// SPDX-License-Identifier: MPL-2.0
//! What one buffer costs: CPU time of the whole process for many buffers, less that of the same
//! pipeline with nothing in it. Candidates take turns, so that a slow minute of the machine hits all.

use crate::{cpu_time, percentile};
use gst::prelude::*;
use std::time::Duration;

/// The candidate that the others are held against.
pub(crate) const PEER: &str = "fallbackswitch";

const BUFFERS: u32 = 200_000;
const ROUNDS: usize = 9;

/// A pipeline through which the buffers of `{source}` go.
struct Candidate {
    name: &'static str,
    pipeline: &'static str,
    sends: Sends,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sends {
    /// Every buffer arrives at the sink.
    All,
    /// They stand by.
    None,
    /// They stand by, and what has timestamps is held back to them: no CPU time to measure.
    NoneInTime,
}

/// Keeps an input healthy and on air while the counted buffers go to the standby.
const ON_AIR: &str = "fakesrc is-live=true do-timestamp=true sync=true format=time \
    sizetype=fixed sizemax=100 filltype=nothing datarate=5000";

const CANDIDATES: [Candidate; 8] = [
    Candidate {
        name: "nothing",
        pipeline: "{source} ! {sink}",
        sends: Sends::All,
    },
    Candidate {
        name: "identity",
        pipeline: "{source} ! identity silent=true ! {sink}",
        sends: Sends::All,
    },
    Candidate {
        name: "input-selector",
        pipeline: "{source} ! input-selector ! {sink}",
        sends: Sends::All,
    },
    Candidate {
        name: "fallbackswitch",
        pipeline: "{source} ! fallbackswitch ! {sink}",
        sends: Sends::All,
    },
    Candidate {
        name: "failoverswitch",
        pipeline: "{source} ! failoverswitch ! {sink}",
        sends: Sends::All,
    },
    Candidate {
        name: "failoverswitch, with a standby",
        pipeline: "failoverswitch name=s ! {sink} {source} ! s.sink_0 {other} ! s.sink_1",
        sends: Sends::All,
    },
    Candidate {
        name: "fallbackswitch's standby",
        pipeline: "fallbackswitch name=s ! {sink} {other} ! s.sink_0 {source} ! s.sink_1",
        sends: Sends::NoneInTime,
    },
    Candidate {
        name: "failoverswitch's standby",
        pipeline: "failoverswitch name=s ! {sink} {other} ! s.sink_0 {source} ! s.sink_1",
        sends: Sends::None,
    },
];

/// Microseconds per buffer of each candidate, beyond what the empty pipeline needs.
pub(crate) fn measure(timestamps: bool) -> Vec<(&'static str, f64)> {
    let measurable = |candidate: &&Candidate| !timestamps || candidate.sends != Sends::NoneInTime;
    let candidates: Vec<_> = CANDIDATES.iter().filter(measurable).collect();
    let mut costs = vec![Vec::with_capacity(ROUNDS); candidates.len()];
    for _ in 0..ROUNDS {
        for (candidate, costs) in candidates.iter().zip(&mut costs) {
            costs.push(run(candidate, timestamps));
        }
    }
    let medians: Vec<f64> = costs.iter().map(|costs| percentile(costs, 0.5)).collect();
    let names = candidates.iter().map(|candidate| candidate.name);
    let beyond = medians.iter().map(|cost| cost - medians[0]);
    names.zip(beyond).skip(1).collect()
}

/// CPU time per buffer in microseconds.
fn run(candidate: &Candidate, timestamps: bool) -> f64 {
    let source = format!(
        "fakesrc name=source num-buffers={BUFFERS} silent=true format=time sizetype=fixed sizemax=16 \
         filltype=nothing is-live={timestamps} do-timestamp={timestamps}"
    );
    let description = candidate
        .pipeline
        .replace("{source}", &source)
        .replace("{other}", ON_AIR)
        .replace(
            "{sink}",
            "fakesink name=sink silent=true sync=false async=false",
        );
    let pipeline = gst::parse::launch(&description).expect("a pipeline of installed elements");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let (first, last) = watch(&pipeline);
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let limit = Duration::from_secs(60);
    let begun = first.recv_timeout(limit).expect("a first buffer");
    let ended = last
        .recv_timeout(limit)
        .unwrap_or_else(|_| panic!("no end: {}", candidate.name));
    let sent = rendered(&pipeline);
    pipeline.set_state(gst::State::Null).expect("NULL");
    // What was thrown away on the way would look cheap.
    let all = candidate.sends != Sends::All || sent >= u64::from(BUFFERS);
    assert!(all, "{}: only {sent} buffers arrived", candidate.name);
    (ended - begun).as_secs_f64() * 1e6 / f64::from(BUFFERS)
}

fn rendered(pipeline: &gst::Pipeline) -> u64 {
    let sink = pipeline.by_name("sink").expect("a sink");
    let stats: gst::Structure = sink.property("stats");
    stats.get("rendered").expect("a count")
}

type Readings = std::sync::mpsc::Receiver<Duration>;

/// The process's CPU time when the source begins, and when it has sent its last buffer.
fn watch(pipeline: &gst::Pipeline) -> (Readings, Readings) {
    let (begin, begun) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel();
    let source = pipeline.by_name("source").expect("a source");
    let pad = source.static_pad("src").expect("its pad");
    // Only events: a probe on buffers would cost more than what is measured.
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let reading = match info.event().map(|event| event.type_()) {
            Some(gst::EventType::Segment) => &begin,
            Some(gst::EventType::Eos) => &end,
            _ => return gst::PadProbeReturn::Ok,
        };
        let _ = reading.send(cpu_time());
        gst::PadProbeReturn::Ok
    });
    (begun, ended)
}
