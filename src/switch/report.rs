// SPDX-License-Identifier: MPL-2.0
//! What a switch was and what it cost, and how things stand: the structures that the application gets.

use super::Silence;
use super::state::State;
use crate::clock::clock_time;
use crate::policy::{Cause, HealthKind, InputId, Moment, Span};
use gst::prelude::*;
use std::fmt;

/// One switch from one input to another.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) from: Option<InputId>,
    pub(crate) to: InputId,
    pub(crate) cause: Cause,
    /// When the cut was made.
    pub(crate) running_time: Moment,
    /// Last buffer of the input that was left → decision.
    pub(crate) detection: Span,
    /// Last buffer out → first buffer out.
    pub(crate) gap: Span,
    /// The latency that was promised downstream covers the gap.
    pub(crate) hidden: bool,
    /// Buffers sent only for the decoder's sake.
    pub(crate) decoded_unseen: u32,
    /// Decision → the key frame that the cut waited for.
    pub(crate) key_frame_wait: Span,
    /// Start of the sound less start of the picture at the cut, nanoseconds.
    pub(crate) av_offset: i64,
}

impl Report {
    /// The fields of the message `failover-switched` and of the signal `switched`.
    pub(crate) fn to_structure(&self, name: &str) -> gst::Structure {
        gst::Structure::builder(name)
            .field("from", self.from.map_or(-1, number))
            .field("to", number(self.to))
            .field("cause", self.cause.as_str())
            .field("running-time", self.running_time.nanos())
            .field("detection", clock_time(self.detection).nseconds())
            .field("gap", clock_time(self.gap).nseconds())
            .field("hidden", self.hidden)
            .field("decoded-unseen", self.decoded_unseen)
            .field("key-frame-wait", clock_time(self.key_frame_wait).nseconds())
            .field("audio-video-offset", self.av_offset)
            .build()
    }
}

/// The fields of the message `failover-input-state`.
pub(crate) fn input_state(
    input: InputId,
    [old, new]: [HealthKind; 2],
    cause: Option<Cause>,
    missing: Vec<String>,
) -> gst::Structure {
    let missing = (new == HealthKind::Incomplete).then(|| gst::Array::new(missing));
    gst::Structure::builder("failover-input-state")
        .field("input", number(input))
        .field("old", old.as_str())
        .field("new", new.as_str())
        .field("cause", cause.map_or("none", |cause| cause.as_str()))
        .field_if_some("missing", missing)
        .build()
}

/// As a part of a line of the log.
impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lasts = clock_time(self.lasts);
        write!(f, ": stream {} silent for {lasts}", self.stream.0)
    }
}

pub(crate) fn number(input: InputId) -> i32 {
    i32::try_from(input.0).unwrap_or(i32::MAX)
}

impl State {
    pub(super) fn stats(&self, now: Moment) -> gst::Structure {
        let inputs = self.inputs.iter().map(|(id, input)| {
            let health = self.policy.health(*id);
            let buffers: u64 = input.sinks.values().map(|sink| sink.buffers).sum();
            let kept: u64 = input
                .sinks
                .values()
                .map(|sink| sink.standby.bytes() as u64)
                .sum();
            let newest = input.sinks.values().filter_map(|sink| sink.stamp).max();
            gst::Structure::builder("input")
                .field("input", number(*id))
                .field(
                    "state",
                    health.map_or("none", |health| health.kind().as_str()),
                )
                .field("buffers", buffers)
                .field(
                    "last-buffer-age",
                    newest.map_or(u64::MAX, |at| (now - at).nanos()),
                )
                .field("standby-bytes", kept)
                .field("time-offset", input.timeline.offset())
                .build()
                .to_send_value()
        });
        let inputs: Vec<_> = inputs.collect();
        let mut stats = gst::Structure::builder("application/x-failover-stats")
            .field("num-switches", self.switches)
            .field("on-air", self.on_air.map_or(-1, number))
            .field("inputs", gst::Array::from_values(inputs))
            .build();
        if let Some(report) = &self.last_report {
            stats.set("last-switch", report.to_structure("failover-switched"));
        }
        stats
    }
}
