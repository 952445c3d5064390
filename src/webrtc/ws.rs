// SPDX-License-Identifier: MPL-2.0
//! I/O: a session's WebSocket, in a thread of its own, so that whoever speaks never waits. What comes
//! off the wire is bounded here, in size and in rate; what is to be sent, too.

mod tls;
mod wire;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mio::{Events, Poll, Token, Waker};
use tungstenite::Message;

use self::wire::{Wire, trouble_of};
use super::signalling::{News, Opening, Trouble};
use crate::clock::Stopwatch;

const WAKE: Token = Token(0);
const WIRE: Token = Token(1);

/// A message of ours, or of theirs, is a small part of it.
const LARGEST_MESSAGE: usize = 256 * 1024;
/// What is not sent yet. Nobody writes so much to a server that reads.
const MOST_WAITING: usize = 1024 * 1024;
/// What a server may say at once, and for every second more.
const BURST: u64 = 4 * 1024 * 1024;
const RATE: u64 = 256 * 1024;
/// For the last words and the other side's good-bye.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The way to a socket. Dropping it sends what was still to be sent and closes politely; nobody waits
/// for that, and nothing is told any more.
pub(super) struct Socket(Arc<Shared>);

struct Shared {
    outbox: Mutex<Outbox>,
    waker: Waker,
}

#[derive(Default)]
struct Outbox {
    texts: VecDeque<String>,
    bytes: usize,
    overflown: bool,
    leaving: bool,
}

impl Socket {
    /// Tells [`News::Opened`], texts, and once [`News::Closed`]. Fails where the system has no thread
    /// to give.
    pub(super) fn open(
        opening: Opening,
        verify_tls: bool,
        tell: impl Fn(News) + Send + 'static,
    ) -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let shared = Arc::new(Shared {
            outbox: Mutex::default(),
            waker: Waker::new(poll.registry(), WAKE)?,
        });
        let thread = Thread {
            shared: shared.clone(),
            poll,
            events: Events::with_capacity(8),
            clock: Stopwatch::start(),
            heard: 0,
        };
        std::thread::Builder::new()
            .name("webrtcplay:socket".to_owned())
            .spawn(move || thread.run(&opening, verify_tls, &tell))?;
        Ok(Self(shared))
    }

    pub(super) fn send(&self, text: String) {
        let mut outbox = self.0.outbox();
        if outbox.bytes.saturating_add(text.len()) > MOST_WAITING {
            outbox.overflown = true;
        } else {
            outbox.bytes += text.len();
            outbox.texts.push_back(text);
        }
        drop(outbox);
        self.0.wake();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.0.outbox().leaving = true;
        self.0.wake();
    }
}

impl Shared {
    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let _ = self.waker.wake();
    }
}

struct Thread {
    shared: Arc<Shared>,
    poll: Poll,
    events: Events,
    clock: Stopwatch,
    /// Bytes of texts so far.
    heard: u64,
}

/// Why a socket is not open any more.
struct End {
    trouble: Trouble,
    status: Option<u16>,
}

impl Thread {
    fn run(mut self, opening: &Opening, verify_tls: bool, tell: &dyn Fn(News)) {
        let end = match self.open(opening, verify_tls) {
            Ok(wire) => {
                if !self.is_leaving() {
                    tell(News::Opened);
                }
                self.serve(wire, tell)
            }
            Err(end) => end,
        };
        if !self.is_leaving() {
            let End { trouble, status } = end;
            tell(News::Closed { trouble, status });
        }
    }

    fn open(&mut self, opening: &Opening, verify_tls: bool) -> Result<Wire, End> {
        let left = |thread: &Self| opening.limit.saturating_sub(thread.clock.elapsed());
        let stream = wire::connect(&opening.url, verify_tls, || left(self))?;
        let mut handshake = wire::greet(opening, stream, &self.poll)?;
        loop {
            match handshake.proceed()? {
                wire::Step::Done(wire) => return Ok(*wire),
                wire::Step::Waits(again) => handshake = again,
            }
            let left = left(self);
            if left.is_zero() || self.is_leaving() {
                return Err(Trouble::Timeout.into());
            }
            self.wait(Some(left))?;
        }
    }

    fn serve(&mut self, mut wire: Wire, tell: &dyn Fn(News)) -> End {
        loop {
            let leaving = self.is_leaving();
            let round = self
                .write(&mut wire)
                .and_then(|()| self.read(&mut wire, tell));
            match round {
                Err(end) => return end,
                Ok(()) if leaving => return self.close(wire),
                Ok(()) => (),
            }
            if let Err(end) = self.wait(None) {
                return end;
            }
        }
    }

    /// As much as goes without waiting.
    fn write(&mut self, wire: &mut Wire) -> Result<(), End> {
        loop {
            let mut outbox = self.shared.outbox();
            if outbox.overflown {
                let text = "it does not take what we send".to_owned();
                return Err(Trouble::Garbage(text).into());
            }
            let Some(text) = outbox.texts.pop_front() else {
                break;
            };
            outbox.bytes = outbox.bytes.saturating_sub(text.len());
            drop(outbox);
            wire::passed(wire.write(Message::text(text)))?;
        }
        wire::passed(wire.flush())
    }

    /// As much as there is.
    fn read(&mut self, wire: &mut Wire, tell: &dyn Fn(News)) -> Result<(), End> {
        loop {
            match wire.read() {
                Ok(Message::Text(text)) if !self.is_leaving() => {
                    self.measure(text.len())?;
                    tell(News::Text(text.as_str().to_owned()));
                }
                Ok(Message::Text(_)) => return Ok(()),
                // Answered by the library.
                Ok(message) => self.measure(message.len())?,
                Err(error) if wire::would_wait(&error) => return wire::passed(wire.flush()),
                Err(error) => return Err(trouble_of(error)),
            }
        }
    }

    fn measure(&mut self, bytes: usize) -> Result<(), End> {
        self.heard = self.heard.saturating_add(bytes as u64).saturating_add(16);
        let allowed = self.clock.elapsed().as_secs().saturating_mul(RATE);
        if self.heard > allowed.saturating_add(BURST) {
            let text = "it says more than any server has to say".to_owned();
            return Err(Trouble::Garbage(text).into());
        }
        Ok(())
    }

    /// Good-bye, and the other side's: a socket that is closed with words unread may take ours back.
    fn close(&mut self, mut wire: Wire) -> End {
        let clock = Stopwatch::start();
        let said = wire::passed(wire.close(None));
        let mut outcome = said.and_then(|()| wire::passed(wire.flush()));
        while outcome.is_ok() && clock.elapsed() < LAST_WORDS {
            outcome = match wire.read() {
                Err(error) if wire::would_wait(&error) => {
                    let left = LAST_WORDS.saturating_sub(clock.elapsed());
                    self.wait(Some(left))
                        .and_then(|()| wire::passed(wire.flush()))
                }
                Err(error) => Err(trouble_of(error)),
                Ok(message) => self.measure(message.len()),
            };
        }
        outcome.err().unwrap_or_else(|| Trouble::Timeout.into())
    }

    fn wait(&mut self, limit: Option<Duration>) -> Result<(), End> {
        match self.poll.poll(&mut self.events, limit) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                Err(Trouble::Unreachable(error.to_string()).into())
            }
            _ => Ok(()),
        }
    }

    fn is_leaving(&self) -> bool {
        self.shared.outbox().leaving
    }
}

impl From<Trouble> for End {
    fn from(trouble: Trouble) -> Self {
        let status = None;
        Self { trouble, status }
    }
}

#[cfg(test)]
mod tests;
