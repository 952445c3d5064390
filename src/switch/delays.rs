// SPDX-License-Identifier: MPL-2.0
//! PURE: how late each stream of an input has come. Numbers only, nanoseconds.
//!
//! A *delay* is when a buffer came less its timestamp. Owns what each stream has done; never knows where it is placed.

use crate::policy::StreamId;
use std::collections::VecDeque;

/// A delay that falls below the least one by more than this is no jitter: it comes out of a burst.
const EARLIER: i64 = 200_000_000;
/// The least delay is that of this long.
pub const WINDOW: u64 = 4_000_000_000;
pub const BUCKET: u64 = 500_000_000;
/// So many buckets are what an input does now.
const RECENT: u64 = 2;
const RECENT_OF: usize = 2;
/// A stream that has been silent for longer is not asked whether its input is late, or astray.
const LULL: i64 = 1_000_000_000;
/// One that has come so short a time ago comes beside another one; streams in packets come that rarely.
const BESIDE: i64 = 500_000_000;

/// The past of one stream.
#[derive(Debug)]
struct Track {
    id: StreamId,
    /// Of its last buffer.
    arrival: i64,
    delay: i64,
    ts: i64,
    /// On air, and far from where the output stands.
    astray: bool,
    /// The least delay of each bucket.
    delays: VecDeque<(u64, i64)>,
}

/// The past of all streams of an input.
#[derive(Debug, Default)]
pub struct Delays {
    tracks: Vec<Track>,
}

impl Delays {
    pub fn forget(&mut self) {
        self.tracks.clear();
    }

    /// The delay and the timestamp of a stream's last buffer.
    pub fn last(&self, stream: StreamId) -> Option<(i64, i64)> {
        let track = self.track(stream);
        track.map(|track| (track.delay, track.ts))
    }

    /// The least delay of the window.
    pub fn least(&self) -> Option<i64> {
        self.leasts().min()
    }

    pub fn least_of(&self, stream: StreamId) -> Option<i64> {
        self.track(stream).and_then(Track::least)
    }

    /// The least delay of each stream.
    pub fn leasts(&self) -> impl Iterator<Item = i64> {
        self.tracks.iter().filter_map(Track::least)
    }

    /// The least delay of what the input does now.
    pub fn recent(&self) -> Option<i64> {
        let newest = self.delays().map(|delay| delay.0).max()?;
        let is_recent = |delay: &&(u64, i64)| delay.0 + RECENT > newest;
        let recent = self.delays().filter(is_recent);
        recent.map(|delay| delay.1).min()
    }

    /// The least delay of what a stream did last.
    pub fn recent_of(&self, stream: StreamId) -> Option<i64> {
        let recent = self.track(stream)?.delays.iter().rev().take(RECENT_OF);
        recent.map(|delay| delay.1).min()
    }

    /// Whether another stream has come of late, and is in its place.
    pub fn is_accompanied(&self, stream: StreamId, now: u64) -> bool {
        let mut others = self.others(stream);
        others.any(|track| !track.astray && track.came_within(LULL, now))
    }

    /// The least delay of the streams' newest buffers.
    pub fn newest(&self, now: u64) -> Option<i64> {
        let present = self
            .tracks
            .iter()
            .filter(|track| track.came_within(LULL, now));
        present.map(|track| track.delay).min()
    }

    /// What the input does is known for a second.
    pub fn is_known_for_a_while(&self) -> bool {
        let first = self.delays().map(|delay| delay.0).min();
        let is_later = |delay: &(u64, i64)| first.is_some_and(|first| delay.0 > first + 1);
        self.delays().any(is_later)
    }

    /// In a burst each is a little earlier than the one before, so it is held against what was before the burst: of its
    /// stream, and of the whole input.
    pub fn is_earlier_than_ever(&self, stream: StreamId, arrival: u64, delay: i64) -> bool {
        let before = |own: bool| {
            let tracks = self
                .tracks
                .iter()
                .filter(move |track| !own || track.id == stream);
            let delays = tracks.flat_map(|track| track.delays.iter());
            let before = delays.filter(|delay| delay.0 < arrival / BUCKET);
            before.map(|delay| delay.1).min()
        };
        let is_earlier =
            |least: Option<i64>| least.is_some_and(|least| delay < least.saturating_sub(EARLIER));
        is_earlier(before(true)) && is_earlier(before(false))
    }

    /// Whether other streams have come while this one was silent, or just now.
    pub fn is_alone(&self, stream: StreamId, arrival: u64) -> bool {
        let now = signed(arrival);
        let own = self.track(stream);
        let silence = own.map_or(0, |own| now.saturating_sub(own.arrival));
        let mut others = self.others(stream);
        others.any(|track| track.came_within((silence / 2).max(BESIDE), arrival))
    }

    /// A stream is `astray`, or is not any more. Whether another one is in its place.
    pub fn strays_alone(&mut self, stream: StreamId, arrival: u64, astray: bool) -> bool {
        if let Some(track) = self.track_mut(stream) {
            track.astray = astray;
        }
        self.is_accompanied(stream, arrival)
    }

    pub fn forget_delays(&mut self) {
        for track in &mut self.tracks {
            track.delays.clear();
            track.astray = false;
        }
    }

    pub fn forget_delays_of(&mut self, stream: StreamId) {
        if let Some(track) = self.track_mut(stream) {
            track.delays.clear();
        }
    }

    /// A buffer came at `arrival`, or was looked at then.
    pub fn note(&mut self, stream: StreamId, arrival: u64, delay: i64, ts: i64) {
        let bucket = arrival / BUCKET;
        let present = self.tracks.iter().position(|track| track.id == stream);
        let at = present.unwrap_or_else(|| {
            self.tracks.push(Track {
                id: stream,
                arrival: signed(arrival),
                delay,
                ts,
                astray: false,
                delays: VecDeque::new(),
            });
            self.tracks.len() - 1
        });
        if let Some(track) = self.tracks.get_mut(at) {
            (track.arrival, track.delay, track.ts) = (signed(arrival), delay, ts);
            match track.delays.back_mut() {
                Some((last, least)) if *last == bucket => *least = (*least).min(delay),
                _ => track.delays.push_back((bucket, delay)),
            }
        }
        let oldest = bucket.saturating_sub(WINDOW / BUCKET);
        for track in &mut self.tracks {
            while track.delays.front().is_some_and(|delay| delay.0 < oldest) {
                track.delays.pop_front();
            }
        }
    }

    fn track(&self, stream: StreamId) -> Option<&Track> {
        self.tracks.iter().find(|track| track.id == stream)
    }

    fn track_mut(&mut self, stream: StreamId) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|track| track.id == stream)
    }

    fn others(&self, stream: StreamId) -> impl Iterator<Item = &Track> {
        self.tracks.iter().filter(move |track| track.id != stream)
    }

    fn delays(&self) -> impl Iterator<Item = &(u64, i64)> {
        self.tracks.iter().flat_map(|track| track.delays.iter())
    }
}

impl Track {
    fn least(&self) -> Option<i64> {
        self.delays.iter().map(|delay| delay.1).min()
    }

    fn came_within(&self, span: i64, now: u64) -> bool {
        signed(now).saturating_sub(self.arrival) <= span
    }
}

pub fn signed(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
