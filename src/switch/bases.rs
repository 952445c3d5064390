// SPDX-License-Identifier: MPL-2.0
//! PURE: which time base the timestamps of a stream count on. Numbers only, nanoseconds of its input's running time.
//!
//! The streams of an input have one offset. But a sender restarts its time base one stream after the other, and
//! until the last has followed, the first lies hours from the others. So a stream that jumps alone continues where
//! it was, by a shift. A stream that follows it gets the same shift: what the timestamps say of each other holds again, and
//! the input has not moved. One that no other follows is taken as it is sent, where it still fits to the others.

use crate::policy::StreamId;

/// Streams that come further apart do not count on one time base: somewhat more than what the latency covers
/// ([`super::lateness`]).
pub const APART: i64 = 6_000_000_000;
/// No network makes such a step of the timestamps.
const JUMP: i64 = 1_000_000_000;
/// A stream that has been silent for longer says nothing of the present.
pub const PRESENT: i64 = 4_000_000_000;
/// A stream is steady beside another one if it has come in the second half of that one's silence, and within this.
const STEADY: i64 = 500_000_000;
/// The other streams of a sender that restarts follow within this. A key frame may be that far.
const FOLLOWS: i64 = 2_000_000_000;

#[derive(Clone, Copy, Debug)]
struct Stream {
    id: StreamId,
    /// Its last buffer: when it came, its timestamp, and the difference, all as they are sent.
    arrival: i64,
    ts: i64,
    delay: i64,
    shift: i64,
    jumped: Option<i64>,
    /// It jumped alone then: no other stream has followed yet, nor does it fit to one as it is sent.
    alone: Option<i64>,
}

/// The time bases of an input's streams.
#[derive(Debug, Default)]
pub struct Bases {
    streams: Vec<Stream>,
    /// The shift of the stream that came last.
    newest: i64,
}

impl Bases {
    pub fn reset(&mut self) {
        self.streams.clear();
        self.newest = 0;
    }

    /// A buffer came at `arrival`. Returns by how much its timestamps are to be moved. `usual`: how late the stream
    /// came so far, moved as it was; a stream that jumps alone comes no earlier than that.
    pub fn shift(
        &mut self,
        id: StreamId,
        arrival: i64,
        ts: i64,
        usual: impl FnOnce() -> i64,
    ) -> i64 {
        let delay = arrival.saturating_sub(ts);
        let own = self.streams.iter().find(|stream| stream.id == id).copied();
        let mut stream = Stream {
            id,
            arrival,
            ts,
            delay,
            ..own.unwrap_or_else(|| self.joining(id, arrival, delay))
        };
        if let Some(own) = own.filter(|own| stream.has_jumped_since(own)) {
            stream.jumped = Some(arrival);
            stream.alone = None;
            if let Some(first) = self.followed(&stream) {
                stream.shift = first;
                let same = self.streams.iter_mut().filter(|other| other.shift == first);
                same.for_each(|other| other.alone = None);
            } else if self
                .present(&stream)
                .any(|other| other.is_steady(&own, arrival))
            {
                stream.shift = delay.saturating_sub(usual());
                stream.alone = Some(arrival);
            }
        }
        let is_left_alone = |since| arrival.saturating_sub(since) > FOLLOWS;
        if stream.alone.is_some_and(is_left_alone)
            && let Some(nearest) = self.nearest(&stream)
        {
            stream.alone = None;
            stream.shift = nearest;
        }
        match self.streams.iter_mut().find(|known| known.id == id) {
            Some(known) => *known = stream,
            None => self.streams.push(stream),
        }
        self.newest = stream.shift;
        stream.shift
    }

    /// By how much the timestamps of a stream are moved.
    pub fn shift_of(&self, id: StreamId) -> i64 {
        let stream = self.streams.iter().find(|stream| stream.id == id);
        stream.map_or(0, |stream| stream.shift)
    }

    /// A stream that comes for the first time.
    fn joining(&self, id: StreamId, arrival: i64, delay: i64) -> Stream {
        let mut stream = Stream {
            id,
            arrival,
            ts: arrival.saturating_sub(delay),
            delay,
            shift: 0,
            jumped: None,
            alone: None,
        };
        let promptest = self
            .present(&stream)
            .map(|other| other.delay.saturating_sub(other.shift))
            .min();
        match (self.nearest(&stream), promptest) {
            (Some(nearest), _) => stream.shift = nearest,
            (None, None) => stream.shift = self.newest,
            (None, Some(promptest)) => {
                // What a server had kept of it may come in a burst: then it fits soon.
                stream.alone = Some(arrival.saturating_sub(FOLLOWS + 1));
                stream.shift = delay.saturating_sub(promptest);
            }
        }
        stream
    }

    /// The other streams that come now.
    fn present(&self, stream: &Stream) -> impl Iterator<Item = &Stream> {
        let (id, now) = (stream.id, stream.arrival);
        let others = self.streams.iter().filter(move |other| other.id != id);
        others.filter(move |other| now.saturating_sub(other.arrival) <= PRESENT)
    }

    /// The shift of those that a stream fits to as it is sent.
    fn nearest(&self, stream: &Stream) -> Option<i64> {
        let fitting = self.present(stream).filter(|other| other.fits(stream));
        let nearest = fitting.min_by_key(|other| other.distance(stream));
        nearest.map(|nearest| nearest.shift)
    }

    /// The shift of a stream that has jumped to where this one jumps now.
    fn followed(&self, stream: &Stream) -> Option<i64> {
        let own = self.streams.iter().find(|own| own.id == stream.id);
        let shift = own.map_or(0, |own| own.shift);
        let since = stream.arrival.saturating_sub(PRESENT);
        let is_ahead = |other: &&Stream| {
            other.shift != shift || other.jumped.is_some_and(|jumped| jumped >= since)
        };
        let ahead = self.present(stream).filter(is_ahead);
        let fitting = ahead.filter(|other| other.fits(stream));
        let newest = fitting.max_by_key(|other| other.jumped);
        newest.map(|other| other.shift)
    }
}

impl Stream {
    fn has_jumped_since(&self, own: &Self) -> bool {
        let step = self.distance(own);
        step > APART || step > JUMP && self.ts.saturating_sub(own.ts).saturating_abs() > JUMP
    }

    fn distance(&self, other: &Self) -> i64 {
        self.delay.saturating_sub(other.delay).saturating_abs()
    }

    fn fits(&self, other: &Self) -> bool {
        self.distance(other) <= APART
    }

    /// It has come while `other` was silent.
    fn is_steady(&self, other: &Self, now: i64) -> bool {
        let silence = now.saturating_sub(other.arrival);
        now.saturating_sub(self.arrival) <= STEADY.max(silence / 2)
    }
}

#[cfg(test)]
mod tests;
