// SPDX-License-Identifier: MPL-2.0
//! srtsrc that listens: the port stays open from one attempt to the next, and a caller is taken however the one before went.
//!
//! srtsrc serves one caller. While libsrt waits for five seconds whether a caller that was killed comes back, and while srtsrc
//! is replaced, the port is of no use to the next one, which gives up after three seconds. So the port is a [`Line`] of the
//! input's: it leads the packets of one caller to the srtsrc of the attempt, which listens on a port of the loopback, and tells it
//! when the caller is gone ([`calls`]). Whatever is in the packets, encryption too, is between the two ends.

mod calls;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering::Relaxed};
use std::thread::JoinHandle;

use gst::prelude::*;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};

use self::calls::{Calls, Verdict};
use super::CAT;
use super::bin::SourceBin;
use crate::clock::Stopwatch;

const WAKE: Token = Token(0);
const CALLERS: Token = Token(1);
const SOURCE: Token = Token(2);

/// No datagram is larger.
const LARGEST: usize = 65_536;

/// Before srtsrc starts.
pub(super) fn set_up(source: &gst::Element, bin: &SourceBin) {
    let has_all = ["mode", "localaddress", "localport"];
    if !has_all.iter().all(|name| source.has_property(name)) {
        return;
    }
    let mode = source.property_value("mode").serialize();
    let is_called = mode.is_ok_and(|mode| mode == "listener");
    let Some(local) = local_address(source).filter(|_| is_called) else {
        return;
    };
    match bin.memory().lead_on(local) {
        Ok(port) => {
            source.set_property("localaddress", Ipv4Addr::LOCALHOST.to_string());
            source.set_property("localport", u32::from(port));
        }
        // Let it try itself, and say what is wrong.
        Err(error) => gst::info!(CAT, obj = bin, "srtsrc listens at {local}: {error}"),
    }
}

/// Where srtsrc is to listen, unless it is to choose the place itself.
fn local_address(source: &gst::Element) -> Option<SocketAddr> {
    let host = source.property::<Option<String>>("localaddress");
    let host = host.filter(|host| !host.is_empty());
    let host = host.map_or_else(|| Ok(Ipv4Addr::UNSPECIFIED.into()), |host| host.parse());
    let port = u16::try_from(source.property::<u32>("localport")).ok()?;
    Some(SocketAddr::new(host.ok()?, port)).filter(|_| port != 0)
}

/// A port that callers call, and a thread that leads their packets on. Closed when it is dropped.
#[derive(Debug)]
pub(super) struct Line {
    local: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Where the srtsrc of the present attempt listens, on the loopback.
    port: AtomicU16,
    closed: AtomicBool,
    waker: Waker,
}

impl Line {
    pub(super) fn open(local: SocketAddr) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut callers = UdpSocket::bind(local)?;
        let readable = Interest::READABLE;
        poll.registry().register(&mut callers, CALLERS, readable)?;
        let shared = Arc::new(Shared {
            port: AtomicU16::new(0),
            closed: AtomicBool::new(false),
            waker: Waker::new(poll.registry(), WAKE)?,
        });
        let relay = Relay {
            shared: shared.clone(),
            poll,
            callers,
            calls: Calls::default(),
            source: None,
            clock: Stopwatch::start(),
        };
        let thread = std::thread::Builder::new().name("failoversrc:srt".to_owned());
        let thread = thread.spawn(move || relay.run())?;
        Ok(Self {
            local,
            shared,
            thread: Some(thread),
        })
    }

    pub(super) fn is_at(&self, local: SocketAddr) -> bool {
        self.local == local
    }

    /// A call from now on is led to a port of the loopback that was free. Returns which.
    pub(super) fn lead_on(&self) -> io::Result<u16> {
        let free = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = free.local_addr()?.port();
        self.shared.port.store(port, Relaxed);
        Ok(port)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.closed.store(true, Relaxed);
        let woken = self.shared.waker.wake();
        if let Some(thread) = self.thread.take().filter(|_| woken.is_ok()) {
            let _ = thread.join();
        }
    }
}

struct Relay {
    shared: Arc<Shared>,
    poll: Poll,
    callers: UdpSocket,
    calls: Calls,
    source: Option<Leg>,
    clock: Stopwatch,
}

/// The way of one caller to an srtsrc: a socket of its own, so that nothing of the caller before comes by it.
struct Leg {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Relay {
    fn run(mut self) {
        let mut events = Events::with_capacity(8);
        let mut packet = vec![0; LARGEST];
        while !self.shared.closed.load(Relaxed) {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                gst::error!(CAT, "a port for SRT is not read any more: {error}");
                return;
            }
            // In turn, until both are empty: who sends without end does not keep the other way closed.
            while self.lead_to_source(&mut packet) | self.lead_to_caller(&mut packet)
                && !self.shared.closed.load(Relaxed)
            {}
        }
    }

    /// One packet. Whether there was any.
    fn lead_to_source(&mut self, buffer: &mut [u8]) -> bool {
        let Some((size, address)) = received(&self.callers, buffer) else {
            return false;
        };
        let packet = buffer.get(..size).unwrap_or_default();
        let verdict = self.calls.hear(address, packet, self.clock.elapsed());
        match verdict {
            Verdict::Drop => return true,
            Verdict::Pass => (),
            Verdict::Take { ends } => {
                gst::info!(CAT, "SRT: {address} calls");
                if let (Some(leg), Some(to)) = (&self.source, ends) {
                    let _ = leg.socket.send_to(&calls::shutdown(to), leg.to);
                }
                self.source = self.leg().ok();
            }
        }
        if let Some(leg) = &mut self.source {
            if calls::is_call(packet) {
                leg.to = present(&self.shared);
            }
            let _ = leg.socket.send_to(packet, leg.to);
        }
        true
    }

    /// The same the other way.
    fn lead_to_caller(&mut self, buffer: &mut [u8]) -> bool {
        let leg = self.source.as_ref();
        let Some((leg, (size, from))) =
            leg.and_then(|leg| Some((leg, received(&leg.socket, buffer)?)))
        else {
            return false;
        };
        let packet = buffer.get(..size).unwrap_or_default();
        if from == leg.to
            && let Some(caller) = self.calls.answer(packet)
        {
            let _ = self.callers.send_to(packet, caller);
        }
        true
    }

    fn leg(&self) -> io::Result<Leg> {
        let mut socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let registry = self.poll.registry();
        registry.register(&mut socket, SOURCE, Interest::READABLE)?;
        let to = present(&self.shared);
        Ok(Leg { socket, to })
    }
}

/// The srtsrc of the present attempt.
fn present(shared: &Shared) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, shared.port.load(Relaxed)).into()
}

/// The next packet, if there is one.
fn received(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    loop {
        let received = socket.recv_from(buffer);
        match received.as_ref().map_err(io::Error::kind) {
            // The answer to a packet before, whose receiver is gone.
            Err(io::ErrorKind::ConnectionRefused | io::ErrorKind::Interrupted) => (),
            _ => return received.ok(),
        }
    }
}

#[cfg(test)]
mod tests;
