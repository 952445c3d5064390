// SPDX-License-Identifier: MPL-2.0
//! PURE: whose packets go to the SRT socket that listens, by what the packets say (draft-sharabayko-srt-01, section 3).
//!
//! One caller is served. libsrt keeps the connection of one that was killed for five seconds, and takes no other meanwhile. But a
//! caller says something each second at least, so one that is silent for longer makes room when another one calls.

use std::net::SocketAddr;
use std::time::Duration;

/// A caller that has nothing to send says so each second (section 3.2.3); so long ago, and a network's delay, it was there.
const GONE: Duration = Duration::from_millis(1500);
/// The first word of control packets of these types (section 3.2).
const HANDSHAKE: u32 = 0x8000_0000;
const SHUTDOWN: u32 = 0x8005_0000;
/// The type of a control packet is in the upper half of its first word.
const TYPE: u32 = 0xffff_0000;
/// Where a packet says for which socket it is, and a handshake which socket it comes from.
const TO: usize = 12;
const FROM: usize = 40;

/// What is to be done with a packet of a caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Drop,
    Pass,
    /// It is another caller's first one. The connection of the one before ends, if it has one: to this socket of ours.
    Take {
        ends: Option<u32>,
    },
}

/// The caller that is served.
#[derive(Debug)]
struct Caller {
    address: SocketAddr,
    socket: u32,
    /// The socket of ours that it speaks to, when it is connected.
    to: Option<u32>,
    heard: Duration,
}

/// Who calls.
#[derive(Debug, Default)]
pub(super) struct Calls {
    present: Option<Caller>,
}

impl Calls {
    /// A packet came from `address`, at `now`.
    pub(super) fn hear(&mut self, address: SocketAddr, packet: &[u8], now: Duration) -> Verdict {
        let (Some(first), Some(to)) = (word(packet, 0), word(packet, TO)) else {
            return Verdict::Drop;
        };
        let calls = first & TYPE == HANDSHAKE && to == 0;
        let socket = word(packet, FROM).filter(|_| calls);
        if calls && socket.is_none() {
            return Verdict::Drop;
        }
        let is_present = |caller: &&mut Caller| {
            caller.address == address && socket.is_none_or(|socket| caller.socket == socket)
        };
        if let Some(caller) = self.present.as_mut().filter(is_present) {
            caller.heard = now;
            caller.to = Some(to).filter(|to| *to != 0).or(caller.to);
            if first & TYPE == SHUTDOWN {
                self.present = None;
            }
            return Verdict::Pass;
        }
        let is_there = |caller: &Caller| now.saturating_sub(caller.heard) < GONE;
        match socket {
            Some(socket) if !self.present.as_ref().is_some_and(is_there) => {
                let caller = Caller {
                    address,
                    socket,
                    to: None,
                    heard: now,
                };
                let before = self.present.replace(caller);
                let ends = before.and_then(|before| before.to);
                Verdict::Take { ends }
            }
            _ => Verdict::Drop,
        }
    }

    /// A packet goes to the caller. Returns where it is.
    pub(super) fn answer(&mut self, packet: &[u8]) -> Option<SocketAddr> {
        let address = self.present.as_ref()?.address;
        if word(packet, 0)? & TYPE == SHUTDOWN {
            self.present = None;
        }
        Some(address)
    }
}

/// Whether a packet is of a call that is not taken yet.
pub(super) fn is_call(packet: &[u8]) -> bool {
    word(packet, TO) == Some(0)
}

/// What a caller would have said at its end, to the socket of ours that it was connected to (section 3.2.7).
pub(super) fn shutdown(to: u32) -> [u8; 20] {
    let mut packet = [0; 20];
    let (first, rest) = packet.split_at_mut(4);
    first.copy_from_slice(&SHUTDOWN.to_be_bytes());
    if let Some(field) = rest.get_mut(TO - 4..TO) {
        field.copy_from_slice(&to.to_be_bytes());
    }
    packet
}

fn word(packet: &[u8], at: usize) -> Option<u32> {
    let bytes = packet.get(at..at.checked_add(4)?)?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn call(socket: u32) -> Vec<u8> {
        let mut packet = vec![0; 64];
        packet[..4].copy_from_slice(&HANDSHAKE.to_be_bytes());
        packet[FROM..FROM + 4].copy_from_slice(&socket.to_be_bytes());
        packet
    }

    fn data(to: u32) -> Vec<u8> {
        let mut packet = vec![0; 1332];
        packet[TO..TO + 4].copy_from_slice(&to.to_be_bytes());
        packet
    }

    const FIRST: Verdict = Verdict::Take { ends: None };

    #[test]
    fn the_first_who_calls_is_served_and_no_other_while_it_speaks() {
        let mut calls = Calls::default();
        assert_eq!(calls.hear(address(1), &data(7), at(0)), Verdict::Drop);
        assert_eq!(calls.hear(address(1), &call(5), at(0)), FIRST);
        assert_eq!(calls.hear(address(1), &call(5), at(250)), Verdict::Pass);
        for millis in (300..10_000).step_by(1000) {
            assert_eq!(calls.hear(address(1), &data(7), at(millis)), Verdict::Pass);
            let other = calls.hear(address(2), &call(6), at(millis + 999));
            assert_eq!(other, Verdict::Drop);
            let strange = calls.hear(address(2), &data(7), at(millis + 999));
            assert_eq!(strange, Verdict::Drop);
        }
        assert_eq!(calls.answer(&data(5)), Some(address(1)));
    }

    #[test]
    fn one_that_is_silent_makes_room_for_the_next_and_its_connection_ends() {
        let mut calls = Calls::default();
        calls.hear(address(1), &call(5), at(0));
        calls.hear(address(1), &data(7), at(1000));
        let early = calls.hear(address(2), &call(6), at(2499));
        assert_eq!(early, Verdict::Drop);
        let ends = Some(7);
        let other = calls.hear(address(2), &call(6), at(2500));
        assert_eq!(other, Verdict::Take { ends });
        assert_eq!(calls.answer(&data(6)), Some(address(2)));
        assert_eq!(calls.hear(address(1), &data(7), at(2501)), Verdict::Drop);
    }

    #[test]
    fn a_program_that_restarts_calls_from_the_same_address() {
        let mut calls = Calls::default();
        calls.hear(address(1), &call(5), at(0));
        calls.hear(address(1), &data(7), at(1000));
        // A repeated handshake of its own is none.
        assert_eq!(calls.hear(address(1), &call(5), at(1000)), Verdict::Pass);
        let ends = Some(7);
        let other = calls.hear(address(1), &call(6), at(3000));
        assert_eq!(other, Verdict::Take { ends });
    }

    #[test]
    fn whoever_ends_the_connection_the_next_one_is_taken_at_once() {
        let mut calls = Calls::default();
        calls.hear(address(1), &call(5), at(0));
        assert_eq!(calls.hear(address(1), &shutdown(7), at(100)), Verdict::Pass);
        assert_eq!(calls.hear(address(2), &call(6), at(101)), FIRST);
        assert_eq!(calls.answer(&shutdown(6)), Some(address(2)));
        assert_eq!(calls.hear(address(1), &call(8), at(102)), FIRST);
    }

    #[test]
    fn a_shutdown_is_for_the_socket_that_it_names() {
        let packet = shutdown(0x0102_0304);
        assert_eq!(word(&packet, 0), Some(SHUTDOWN));
        assert_eq!(word(&packet, TO), Some(0x0102_0304));
        assert!(!is_call(&packet));
        assert!(is_call(&call(1)));
    }

    proptest! {
        #[test]
        fn whatever_comes_only_a_handshake_makes_a_caller(
            packets in prop::collection::vec(
                (0..3u16, prop::collection::vec(any::<u8>(), 0..80), 0..2000u64), 0..40),
        ) {
            let (mut calls, mut now) = (Calls::default(), 0);
            for (port, packet, passed) in packets {
                now += passed;
                let verdict = calls.hear(address(port), &packet, at(now));
                if let Verdict::Take { .. } = verdict {
                    prop_assert!(packet.len() >= FROM + 4 && is_call(&packet));
                    prop_assert_eq!(word(&packet, 0).map(|word| word >> 16), Some(0x8000));
                }
                calls.answer(&packet);
            }
        }
    }
}
