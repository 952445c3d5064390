// SPDX-License-Identifier: MPL-2.0
//! What one attempt of an input leaves to the next ones.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::srt::Line;

/// What the attempts of one input learn of its server, and the port at which it is called. For as long as it is the same
/// server.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    needs_tcp: Arc<AtomicBool>,
    line: Arc<Mutex<Option<Line>>>,
}

/// The same for one attempt, which may outlast its input.
#[derive(Debug, Clone, Default)]
pub(super) struct Recollection {
    needs_tcp: Arc<AtomicBool>,
    line: Weak<Mutex<Option<Line>>>,
}

impl Memory {
    pub(super) fn recall(&self) -> Recollection {
        Recollection {
            needs_tcp: self.needs_tcp.clone(),
            line: Arc::downgrade(&self.line),
        }
    }

    /// There is no attempt for a while: nothing can be called.
    pub(crate) fn hang_up(&self) {
        let line = self
            .line
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(line);
    }
}

impl Recollection {
    /// UDP brought nothing.
    pub(super) fn needs_tcp(&self) -> bool {
        self.needs_tcp.load(Relaxed)
    }

    pub(super) fn set_needs_tcp(&self, needs_tcp: bool) {
        self.needs_tcp.store(needs_tcp, Relaxed);
    }

    /// Opens this port, if it is not open, and leads each caller to another one. Returns which.
    pub(super) fn lead_on(&self, local: SocketAddr) -> io::Result<u16> {
        let line = self.line.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        let mut line = line.lock().unwrap_or_else(PoisonError::into_inner);
        // Closed before another one is opened, which may be the same port of another address.
        let open = line.take().filter(|line| line.is_at(local));
        let open = open.map_or_else(|| Line::open(local), Ok)?;
        line.insert(open).lead_on()
    }
}
