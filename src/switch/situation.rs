// SPDX-License-Identifier: MPL-2.0
//! What a cut depends on, gathered from how things stand, for the rules in `cut.rs`.

use super::cut::{Placed, Situation};
use super::delays::signed;
use super::outlet::Output;
use super::standby::Coding;
use super::state::{Input, PATIENCE, Sink, State};
use crate::policy::{InputId, Moment, Span, StreamId};

/// An input's streams come one by one, its video up to a group of pictures after its sound. What has not come
/// this long after the first is taken for missing.
const COMPLETE_AFTER: Span = Span::from_millis(5_000);

impl State {
    pub(super) fn situation(&self, input: InputId, stream: StreamId, now: Moment) -> Situation {
        let output = self.outputs.get(&stream);
        let coding = self
            .sink(input, stream)
            .map_or(Coding::Raw, |sink| sink.format.coding);
        Situation {
            coding,
            divisible: self
                .sink(input, stream)
                .is_some_and(|sink| sink.format.samples.is_some()),
            position: output.and_then(|output| output.position),
            left: output.and_then(Output::left),
            others_end: self.others_end(stream),
            now: signed(now.nanos()),
            latency: signed(self.reported_latency().0.nseconds()),
            lateness: self
                .inputs
                .get(&input)
                .map_or(0, |input| input.timeline.lateness(stream)),
            alive: self.is_leaving_alive(input, stream, now),
            waited: false,
            missed: false,
            unseen: self.unseen,
            next_key: self.next_key(input, stream),
            decoding: self
                .sink(input, stream)
                .map_or(0, |sink| sink.format.decoding),
        }
    }

    /// Where the first of the other streams of the input on air stopped.
    fn others_end(&self, stream: StreamId) -> Option<i64> {
        let on_air = self.inputs.get(&self.on_air?)?;
        let others = on_air.sinks.iter().filter(|(id, _)| **id != stream);
        let fed = others.filter(|(_, sink)| sink.is_known());
        fed.filter_map(|(id, _)| self.outputs.get(id)?.position)
            .map(|position| position.end)
            .min()
    }

    fn next_key(&self, input: InputId, stream: StreamId) -> Option<i64> {
        let input = self.inputs.get(&input)?;
        let next = input.sinks.get(&stream)?.rhythm.next()?;
        Some(input.timeline.place(next))
    }

    /// A stream that the living input on air has is yet to come from `input`, which has begun only now:
    /// a server sends sound at once, and the picture from its next key frame on.
    pub(super) fn is_incomplete(&self, input: InputId, now: Moment) -> bool {
        let young = |input: &Input| input.fed_since.is_some_and(|at| now - at < COMPLETE_AFTER);
        let Some(new) = self.inputs.get(&input).filter(|input| young(input)) else {
            return false;
        };
        let old = self.on_air.and_then(|on_air| self.inputs.get(&on_air));
        let streams = old.into_iter().flat_map(|old| old.sinks.keys());
        let mut missing = streams.filter(|stream| !new.sinks.get(stream).is_some_and(Sink::is_fed));
        missing.any(|stream| self.is_leaving_alive(input, *stream, now))
    }

    /// The input on air delivers on this stream and its next buffer is near, while `input` is about
    /// to take over.
    fn is_leaving_alive(&self, input: InputId, stream: StreamId, now: Moment) -> bool {
        self.on_air.is_some_and(|from| {
            let health = self.policy.health(from);
            let healthy = health.is_some_and(|health| health.is_healthy());
            let recent = self
                .sink(from, stream)
                .filter(|sink| sink.is_fed())
                .and_then(|sink| sink.stamp)
                .is_some_and(|at| now - at < PATIENCE);
            from != input && healthy && recent && self.is_sent(from)
        })
    }

    /// All pieces that a standby holds, in output time.
    pub(super) fn placed(&self, input: InputId, stream: StreamId) -> Vec<Placed> {
        let Some((timeline, sink)) = self
            .inputs
            .get(&input)
            .and_then(|i| Some((&i.timeline, i.sinks.get(&stream)?)))
        else {
            return vec![];
        };
        sink.standby
            .pieces()
            .map(|piece| Placed {
                order: timeline.place(piece.order),
                start: timeline.place(piece.start),
                end: timeline.place(piece.end()),
                key: piece.key,
            })
            .collect()
    }
}
