// SPDX-License-Identifier: MPL-2.0
//! A stream of which packets come and no pictures asks for a key frame: one that begins in the middle
//! of a group, whose first key frame was lost on the way, or that waits for one after a loss.
//!
//! Depayloaders hold back what nobody can decode and ask once, perhaps before a word can reach the
//! sender; parsers take pictures without a beginning in and say nothing. A sender may take minutes to
//! its next key frame by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

/// So long packets come without a picture before it is asked.
const QUIET: gst::ClockTime = gst::ClockTime::from_mseconds(100);
/// For an answer, before it is asked again: longer than most ways there and back, and short enough that a
/// key frame that is lost as well is no stall. Senders limit how many they draw.
const PATIENCE: gst::ClockTime = gst::ClockTime::from_mseconds(300);

/// Watches packets go into the first of `elements`, and pictures come out of the last. Changes nothing
/// of either.
pub(super) fn ask(elements: &[gst::Element]) {
    let ends = elements.first().zip(elements.last());
    let pads = ends.and_then(|(first, last)| first.static_pad("sink").zip(last.static_pad("src")));
    let Some((packets, pictures)) = pads else {
        return;
    };
    let wait = Arc::new(Mutex::new(Wait::default()));
    let end = wait.clone();
    pictures.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(buffer) = info.buffer() {
            lock(&end).picture(!buffer.flags().contains(gst::BufferFlags::DELTA_UNIT));
        }
        gst::PadProbeReturn::Ok
    });
    packets.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        // The stream's own time will do.
        let now = info.buffer().and_then(|buffer| buffer.pts());
        let is_due = now.is_some_and(|now| lock(&wait).packet(now));
        if is_due {
            gst::debug!(super::CAT, obj = pad, "asking for a key frame");
            let request = gst_video::UpstreamForceKeyUnitEvent::builder();
            pad.push_event(request.all_headers(false).build());
        }
        gst::PadProbeReturn::Ok
    });
}

fn lock(wait: &Mutex<Wait>) -> MutexGuard<'_, Wait> {
    wait.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Wait {
    /// The first key frame has come.
    begun: bool,
    /// The first packet after the last picture.
    since: Option<gst::ClockTime>,
    asked: Option<gst::ClockTime>,
}

impl Wait {
    /// Pictures before the first key frame do not count.
    fn picture(&mut self, is_key: bool) {
        self.begun |= is_key;
        if self.begun {
            *self = Self {
                begun: true,
                ..Self::default()
            };
        }
    }

    /// Whether it is to be asked now.
    fn packet(&mut self, now: gst::ClockTime) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_quiet = now >= since + QUIET;
        let is_patient = self.asked.is_some_and(|asked| now < asked + PATIENCE);
        let is_due = is_quiet && !is_patient;
        if is_due {
            self.asked = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(wait: &mut Wait, from: u64, to: u64) -> Vec<u64> {
        let times = (from..to).step_by(20);
        let asked = times.filter(|&ms| wait.packet(gst::ClockTime::from_mseconds(ms)));
        asked.collect()
    }

    #[test]
    fn a_stream_without_a_beginning_asks_until_it_has_one() {
        let mut wait = Wait::default();
        assert_eq!(asks(&mut wait, 0, 500), [100, 400]);
        wait.picture(false);
        assert_eq!(asks(&mut wait, 500, 1200), [700, 1000]);
        wait.picture(true);
        assert_eq!(asks(&mut wait, 1200, 1300), [0; 0]);
    }

    #[test]
    fn packets_without_pictures_ask_again() {
        let mut wait = Wait::default();
        wait.picture(true);
        for ms in 0..100 {
            assert_eq!(asks(&mut wait, ms * 40, ms * 40 + 40), [0; 0]);
            wait.picture(false);
        }
        assert_eq!(asks(&mut wait, 4000, 4500), [4100, 4400]);
        wait.picture(true);
        assert_eq!(asks(&mut wait, 4500, 4600), [0; 0]);
    }

    #[test]
    fn few_pictures_a_second_are_no_silence() {
        let mut wait = Wait::default();
        for second in 0..10 {
            let packets = asks(&mut wait, second * 1000, second * 1000 + 60);
            assert_eq!(packets, [0; 0]);
            wait.picture(true);
        }
    }
}
