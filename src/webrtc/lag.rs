// SPDX-License-Identifier: MPL-2.0
//! How much later than before a stream of RTP is played. Where a sender that was held up sends all that it has
//! missed, a jitter buffer begins its count of time anew: what comes looks on time, is old, and then
//! comes faster than real time until it is not. Only the sender's own timestamps tell.

use std::sync::{Mutex, PoisonError};

use gst::prelude::*;

use super::CAT;
use crate::access_unit::rtp::Header;

/// Later than before by this. A jitter buffer begins anew for more than a second.
const LATE: i64 = 500_000_000;
/// Late no more.
const MADE_UP: i64 = 100_000_000;
/// A sender that makes up less than `STEP` in this long stays late, and that is how it is from then on.
const PATIENCE: i64 = 3_000_000_000;
const STEP: i64 = 100_000_000;
/// The sender's clock may be slower than ours by a thousandth; a pause does not count for more than `LONGEST`.
const DRIFT: i64 = 1_000;
const LONGEST: i64 = 100_000_000;

/// Watches packets go into a depayloader, and says behind it when they begin to be late, and when they are not
/// any more ([`crate::lag`]).
pub(super) fn watch(packets: &gst::Pad, caps: &gst::CapsRef) {
    let rate = caps
        .structure(0)
        .and_then(|s| s.get::<i32>("clock-rate").ok());
    let Some(rate) = rate.filter(|rate| *rate > 0) else {
        return;
    };
    let lag = Mutex::new(Lag::new(rate.into()));
    packets.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let packet = info.buffer().and_then(|buffer| Packet::of(buffer));
        let change = packet.and_then(|packet| {
            let mut lag = lag.lock().unwrap_or_else(PoisonError::into_inner);
            lag.packet(packet)
        });
        if let Some(time) = change {
            gst::info!(CAT, obj = pad, "later than before by {time}");
            pad.send_event(crate::lag::event(time));
        }
        gst::PadProbeReturn::Ok
    });
}

/// What counts of an RTP packet, and when the jitter buffer has it played.
#[derive(Clone, Copy)]
struct Packet {
    source: u32,
    timestamp: u32,
    pts: i64,
}

impl Packet {
    fn of(buffer: &gst::BufferRef) -> Option<Self> {
        let header = Header::of(buffer)?;
        Some(Self {
            source: header.source,
            timestamp: header.timestamp,
            pts: i64::try_from(buffer.pts()?.nseconds()).ok()?,
        })
    }
}

struct Lag {
    /// Ticks of the sender's clock in a second.
    rate: i64,
    last: Option<Packet>,
    /// The sender's time, in ticks since its first packet.
    ticks: i64,
    /// From the sender's time to when it is played, where nothing is late.
    usual: i64,
    late: Option<Late>,
}

/// The least that it was late, and since when it has not been less.
struct Late {
    least: i64,
    since: i64,
}

impl Lag {
    fn new(rate: i64) -> Self {
        Self {
            rate,
            last: None,
            ticks: 0,
            usual: 0,
            late: None,
        }
    }

    /// How late it is from here on, where that is to be said.
    fn packet(&mut self, packet: Packet) -> Option<gst::ClockTime> {
        let last = self.last.replace(packet);
        let Some(last) = last.filter(|last| last.source == packet.source) else {
            self.ticks = 0;
            return self.begin(packet.pts);
        };
        let step = packet.timestamp.wrapping_sub(last.timestamp).cast_signed();
        self.ticks = self.ticks.saturating_add(step.into());
        let sent = i128::from(self.ticks) * 1_000_000_000 / i128::from(self.rate);
        let offset = packet
            .pts
            .saturating_sub(i64::try_from(sent).unwrap_or(i64::MAX));
        let passed = packet.pts.saturating_sub(last.pts).clamp(0, LONGEST);
        self.usual = self.usual.saturating_add(passed / DRIFT).min(offset);
        let lag = offset.saturating_sub(self.usual);
        match &mut self.late {
            None if lag <= LATE => None,
            None => {
                let since = packet.pts;
                self.late = Some(Late { least: lag, since });
                Some(gst::ClockTime::from_nseconds(lag.unsigned_abs()))
            }
            Some(_) if lag <= MADE_UP => self.end(),
            Some(late) if late.least.saturating_sub(lag) >= STEP => {
                (late.least, late.since) = (lag, packet.pts);
                None
            }
            Some(late) if packet.pts.saturating_sub(late.since) > PATIENCE => self.begin(offset),
            Some(_) => None,
        }
    }

    /// What is now is usual.
    fn begin(&mut self, usual: i64) -> Option<gst::ClockTime> {
        self.usual = usual;
        self.end()
    }

    fn end(&mut self) -> Option<gst::ClockTime> {
        self.late.take().map(|_| gst::ClockTime::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: i64 = 90_000;

    /// A stream whose packets are 20 ms apart.
    struct Stream {
        lag: Lag,
        /// Of the sender and of ours, in milliseconds.
        sent: i64,
        played: i64,
        source: u32,
    }

    impl Stream {
        /// Near where the sender's count begins anew.
        const FIRST: u32 = u32::MAX - 9_000;

        fn new() -> Self {
            let mut stream = Self {
                lag: Lag::new(RATE),
                sent: 0,
                played: 1_000,
                source: 7,
            };
            assert_eq!(stream.go(100, 20, 20), []);
            stream
        }

        /// So many packets, each so much later than the one before by the sender's time and by ours; when it says
        /// something, and what, in milliseconds.
        fn go(&mut self, packets: usize, sent: i64, played: i64) -> Vec<(i64, u64)> {
            let began = self.played;
            let mut said = vec![];
            for _ in 0..packets {
                self.sent += sent;
                self.played += played;
                let ticks = u32::try_from(self.sent * 90 % (1 << 32)).expect("ticks");
                let change = self.lag.packet(Packet {
                    source: self.source,
                    timestamp: Self::FIRST.wrapping_add(ticks),
                    pts: self.played * 1_000_000,
                });
                said.extend(change.map(|time| (self.played - began, time.mseconds())));
            }
            said
        }
    }

    #[test]
    fn what_is_on_time_is_not_late_whatever_the_count() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(100_000, 20, 20), []);
    }

    #[test]
    fn a_sender_that_missed_what_it_did_not_send_is_not_late() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(1, 5_000, 5_000), []);
        assert_eq!(stream.go(100, 20, 20), []);
    }

    #[test]
    fn a_sender_that_was_held_up_is_late_until_it_has_made_that_up() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(1, 20, 2_220), [(2_220, 2_199)]);
        // As fast as real time, then twice.
        assert_eq!(stream.go(100, 20, 20), []);
        assert_eq!(stream.go(220, 20, 10), [(2_100, 0)]);
        assert_eq!(stream.go(100, 20, 20), []);
    }

    #[test]
    fn a_jitter_buffer_that_begins_anew_at_the_end_of_it_makes_it_up_at_once() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(1, 20, 2_020).len(), 1);
        assert_eq!(stream.go(50, 20, 20), []);
        stream.played -= 1_990;
        assert_eq!(stream.go(1, 20, 20), [(20, 0)]);
    }

    #[test]
    fn a_sender_that_stays_late_is_taken_as_it_is_after_a_while() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(1, 20, 60_020).len(), 1);
        assert_eq!(stream.go(500, 20, 20), [(3_020, 0)]);
        // From there it counts anew.
        assert_eq!(stream.go(1, 20, 1_020), [(1_020, 999)]);
    }

    #[test]
    fn what_a_jitter_buffer_evens_out_and_what_clocks_drift_is_no_lag() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(1, 20, 420), []);
        assert_eq!(stream.go(20, 20, 10), []);
        let mut slow = Stream::new();
        for _ in 0..2_000 {
            assert_eq!(slow.go(50, 20, 20), []);
            slow.played += 1;
        }
    }

    #[test]
    fn another_source_has_its_own_time() {
        let mut stream = Stream::new();
        assert_eq!(stream.go(1, 20, 2_020).len(), 1);
        stream.source = 8;
        assert_eq!(stream.go(1, 900_000, 20), [(20, 0)]);
        assert_eq!(stream.go(100, 20, 20), []);
    }

    proptest! {
        /// Whatever comes: it says "late" and "not any more" by turns, and is never late for longer than a
        /// sender takes that makes up a step in all of its patience, each time.
        #[test]
        fn it_is_never_late_for_ever(
            packets in prop::collection::vec((any::<u32>(), 0..100u64, 0..3u32), 1..300),
        ) {
            let mut lag = Lag::new(RATE);
            let (mut late, mut played, mut timestamp) = (false, 0u64, 0u32);
            let mut say = |lag: &mut Lag, source, timestamp, played: u64| {
                let pts = i64::try_from(played * 1_000_000).expect("short");
                if let Some(time) = lag.packet(Packet { source, timestamp, pts }) {
                    assert_ne!(late, !time.is_zero());
                    late = !time.is_zero();
                }
                late
            };
            for (step, passed, source) in packets {
                played += passed;
                timestamp = timestamp.wrapping_add(step);
                say(&mut lag, source, timestamp, played);
            }
            let mut is_late = true;
            for _ in 0..160 {
                played += 20;
                timestamp = timestamp.wrapping_add(1_800);
                is_late = say(&mut lag, 0, timestamp, played);
            }
            prop_assert!(!is_late);
        }
    }
}
