// SPDX-License-Identifier: MPL-2.0
//! After a loss, no picture of H.264 until a key frame that is whole. The depayloader passes on what is
//! left of a key frame of which a packet was lost, and takes it for the one that it waits for: all
//! that follows would be decoded from a damaged picture.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

use crate::access_unit::rtp::Header;

/// Watches packets go into the depayloader, and holds back what it should not send.
pub(super) fn only(depayloader: &gst::Element) {
    let pads = depayloader.static_pad("sink");
    let Some((packets, pictures)) = pads.zip(depayloader.static_pad("src")) else {
        return;
    };
    let whole = Arc::new(Mutex::new(Whole::default()));
    let end = whole.clone();
    packets.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if let Some(packet) = info.buffer().and_then(|buffer| Packet::of(buffer)) {
            lock(&whole).packet(packet);
        }
        gst::PadProbeReturn::Ok
    });
    pictures.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let Some(buffer) = info.buffer_mut() else {
            return gst::PadProbeReturn::Ok;
        };
        let is_key = !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        match lock(&end).picture(buffer.pts(), is_key) {
            Verdict::Pass => (),
            Verdict::Begin => buffer.make_mut().set_flags(gst::BufferFlags::DISCONT),
            Verdict::Hold => {
                gst::debug!(super::CAT, obj = pad, "held back after a loss: {buffer:?}");
                return gst::PadProbeReturn::Handled;
            }
        }
        gst::PadProbeReturn::Ok
    });
}

fn lock(whole: &Mutex<Whole>) -> MutexGuard<'_, Whole> {
    whole.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the header of an RTP packet says, and the buffer that it comes in.
#[derive(Clone, Copy)]
struct Packet {
    number: u16,
    /// That of its picture.
    timestamp: u32,
    /// The last one of its picture.
    marker: bool,
    /// Something before it is missing, whatever the numbers say: FEC makes up new ones.
    discont: bool,
    pts: Option<gst::ClockTime>,
}

impl Packet {
    fn of(buffer: &gst::BufferRef) -> Option<Self> {
        let header = Header::of(buffer)?;
        Some(Self {
            number: header.number,
            timestamp: header.timestamp,
            marker: header.marker,
            discont: buffer.flags().contains(gst::BufferFlags::DISCONT),
            pts: buffer.pts(),
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    /// The first after a loss.
    Begin,
    Hold,
}

#[derive(Default)]
struct Whole {
    last: Option<Packet>,
    /// Of the picture that the last packet belongs to, and of the one before, nothing was lost.
    current: bool,
    previous: bool,
    /// Something was lost, and no whole key frame has come since.
    waiting: bool,
}

impl Whole {
    fn packet(&mut self, packet: Packet) {
        let Some(last) = self.last else {
            self.last = Some(packet);
            (self.current, self.previous) = (true, true);
            return;
        };
        let ahead = packet.number.wrapping_sub(last.number);
        if ahead == 0 || ahead > u16::MAX / 2 {
            // Sent twice or too late: the depayloader drops it.
            return;
        }
        let is_lost = ahead > 1 || packet.discont;
        let begins = last.marker || packet.timestamp != last.timestamp;
        if begins {
            self.previous = self.current && (last.marker || !is_lost);
            self.current = true;
        }
        // Which picture it was a part of cannot be known; this one may be without its beginning.
        self.current &= !is_lost;
        self.waiting |= is_lost;
        self.last = Some(packet);
    }

    /// What becomes of a picture that the last packet has completed: its own, or the one before.
    fn picture(&mut self, pts: Option<gst::ClockTime>, is_key: bool) -> Verdict {
        if !self.waiting {
            return Verdict::Pass;
        }
        let is_current = self.last.is_some_and(|last| last.pts == pts);
        let is_whole = if is_current {
            self.current
        } else {
            self.previous
        };
        if !is_key || !is_whole {
            return Verdict::Hold;
        }
        self.waiting = false;
        Verdict::Begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PACKETS: u16 = 3;

    fn pts(picture: u16) -> Option<gst::ClockTime> {
        Some(gst::ClockTime::from_mseconds(u64::from(picture) * 40))
    }

    /// A way in which packets come.
    #[derive(Clone, Copy, Debug)]
    struct Way {
        /// A picture is complete at its last packet, else at the next one that comes.
        marked: bool,
        /// Behind FEC: a loss is a discontinuity, the numbers go on.
        renumbered: bool,
    }

    const PLAIN: Way = Way {
        marked: true,
        renumbered: false,
    };

    fn ways() -> impl Iterator<Item = Way> {
        [(true, false), (true, true), (false, false), (false, true)]
            .into_iter()
            .map(|(marked, renumbered)| Way { marked, renumbered })
    }

    /// Which of these pictures of three packets pass, without the packets that are lost.
    fn passed(pictures: u16, keys: &[u16], lost: &[u16], way: Way) -> Vec<u16> {
        let mut whole = Whole::default();
        let mut passed = vec![];
        let mut open = None;
        let mut end = |whole: &mut Whole, picture: u16| {
            if whole.picture(pts(picture), keys.contains(&picture)) != Verdict::Hold {
                passed.push(picture);
            }
        };
        let came = (0..pictures * PACKETS).filter(|number| !lost.contains(number));
        for (count, number) in (0u16..).zip(came) {
            let picture = number / PACKETS;
            let marker = way.marked && number % PACKETS == PACKETS - 1;
            let shown = if way.renumbered { count } else { number };
            whole.packet(Packet {
                number: shown.wrapping_add(u16::MAX - 5),
                timestamp: u32::from(picture) * 3_600,
                marker,
                discont: way.renumbered && lost.contains(&number.wrapping_sub(1)),
                pts: pts(picture),
            });
            if let Some(before) = open.replace(picture).filter(|before| *before != picture) {
                end(&mut whole, before);
            }
            if marker {
                end(&mut whole, picture);
                open = None;
            }
        }
        passed
    }

    #[test]
    fn without_a_loss_all_pass() {
        for way in ways() {
            let until = if way.marked { 20 } else { 19 };
            assert_eq!(
                passed(20, &[0], &[], way),
                (0..until).collect::<Vec<_>>(),
                "{way:?}"
            );
        }
    }

    #[test]
    fn after_a_loss_a_key_frame_is_waited_for() {
        assert_eq!(passed(8, &[0, 5], &[7], PLAIN), [0, 1, 5, 6, 7]);
    }

    #[test]
    fn a_key_frame_without_its_beginning_middle_or_end_is_none() {
        let ways = ways().filter(|way| way.marked);
        for (way, lost) in ways.flat_map(|way| (15..18).map(move |lost| (way, lost))) {
            assert_eq!(
                passed(10, &[0, 5, 8], &[lost], way),
                [0, 1, 2, 3, 4, 8, 9],
                "{way:?}, {lost}"
            );
        }
    }

    #[test]
    fn a_packet_that_comes_twice_or_late_is_no_loss() {
        let mut whole = Whole::default();
        for number in [7, 8, 8, 6, 9] {
            whole.packet(Packet {
                number,
                timestamp: 0,
                marker: false,
                discont: false,
                pts: pts(0),
            });
        }
        assert_eq!(whole.picture(pts(0), false), Verdict::Pass);
    }

    proptest! {
        /// A naive decoder: a picture can be shown if it is whole, and so are all back to a key frame.
        #[test]
        fn nothing_that_passes_is_damaged(
            keys in proptest::collection::vec(0u16..40, 0..8),
            lost in proptest::collection::vec(3u16..120, 0..10),
            marked in any::<bool>(),
            renumbered in any::<bool>(),
        ) {
            let keys = [&[0], &keys[..]].concat();
            let is_whole = |picture: u16| {
                (picture * PACKETS..(picture + 1) * PACKETS).all(|number| !lost.contains(&number))
            };
            let mut is_fine = false;
            let fine: Vec<_> = (0..40u16)
                .filter(|picture| {
                    is_fine = is_whole(*picture) && (is_fine || keys.contains(picture));
                    is_fine
                })
                .collect();
            let passed = passed(40, &keys, &lost, Way { marked, renumbered });
            for picture in &passed {
                prop_assert!(fine.contains(picture), "{picture} of {passed:?}, fine {fine:?}");
            }
        }
    }
}
