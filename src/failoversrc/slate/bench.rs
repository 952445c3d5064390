// SPDX-License-Identifier: MPL-2.0
//! For tests: a slate between two harness pads and under a clock that is turned by hand.

use super::*;
use gst::prelude::*;
use gst_check::{Harness, TestClock};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub(super) const LIMIT: Duration = Duration::from_secs(20);

pub(super) struct Bench {
    pub(super) slate: Slate,
    pub(super) harness: Harness,
    pub(super) clock: TestClock,
}

impl Bench {
    pub(super) fn new(kind: Kind, mode: Mode) -> Self {
        gst::init().unwrap();
        let slate = Slate::new(kind, mode, "the-stream");
        let mut harness = Harness::with_element(&slate, Some("sink"), Some("src"));
        harness.use_testclock();
        harness.play();
        let clock = harness.testclock().unwrap();
        Self {
            slate,
            harness,
            clock,
        }
    }

    pub(super) fn playing(kind: Kind, mode: Mode, caps: &str) -> Self {
        let mut bench = Self::new(kind, mode);
        bench.harness.set_src_caps(caps.parse().unwrap());
        bench
    }

    pub(super) fn push(&mut self, buffer: gst::Buffer) {
        assert_eq!(self.harness.push(buffer), Ok(gst::FlowSuccess::Ok));
    }

    /// The next buffer, turning the clock as far as it takes.
    pub(super) fn next(&mut self) -> gst::Buffer {
        let started = Instant::now();
        loop {
            // In this order: the filler sends first and arms its next wake-up then.
            let armed = self.clock.peek_id_count() > 0;
            if let Some(buffer) = self.harness.try_pull() {
                return buffer;
            }
            if armed {
                self.clock.crank();
            }
            assert!(started.elapsed() < LIMIT, "nothing comes");
            std::thread::yield_now();
        }
    }

    pub(super) fn latency(&mut self, latency: gst::ClockTime) {
        let event = gst::event::Latency::new(latency);
        self.harness.push_upstream_event(event);
    }

    pub(super) fn events(&mut self) -> Vec<gst::Event> {
        std::iter::from_fn(|| self.harness.try_pull_event()).collect()
    }

    pub(super) fn caps(&self) -> gst::Caps {
        self.slate
            .static_pad("src")
            .unwrap()
            .current_caps()
            .unwrap()
    }
}

pub(super) fn in_time(act: impl FnOnce() + Send + 'static) {
    let (done, end) = mpsc::channel();
    std::thread::spawn(move || {
        act();
        let _ = done.send(());
    });
    end.recv_timeout(LIMIT).expect("it hangs");
}

pub(super) fn ms(count: u64) -> gst::ClockTime {
    gst::ClockTime::from_mseconds(count)
}

pub(super) fn picture(level: u8, pts: u64) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![level; 320 * 240 * 3 / 2]);
    let stamped = buffer.get_mut().unwrap();
    stamped.set_pts(ms(pts));
    stamped.set_duration(ms(40));
    buffer
}

/// Every sample is its own number.
pub(super) fn sound(pts: u64, count: u16) -> gst::Buffer {
    let bytes: Vec<u8> = (0..count).flat_map(u16::to_le_bytes).collect();
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let stamped = buffer.get_mut().unwrap();
    stamped.set_pts(ms(pts));
    stamped.set_duration(ms(u64::from(count) / 48));
    buffer
}

pub(super) fn first_byte(buffer: &gst::Buffer) -> u8 {
    buffer.map_readable().unwrap()[0]
}

pub(super) fn samples(buffer: &gst::Buffer) -> usize {
    buffer.size() / 2
}

pub(super) fn assert_gapless(buffers: &[gst::Buffer]) {
    let mut at = buffers[0].pts().unwrap();
    for buffer in buffers {
        assert_eq!(buffer.pts(), Some(at));
        let length = samples(buffer) as u64 * 1_000_000 / 48;
        assert_eq!(buffer.duration().unwrap().nseconds(), length);
        at += buffer.duration().unwrap();
    }
}
