// SPDX-License-Identifier: MPL-2.0
//! What orders all that goes out of one source pad, and how a flush of it ends: by ourselves, and at once. Owns
//! whose turn it is to push; never knows what is pushed.

use super::FailoverSwitch;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// Held while pushing, as GStreamer's own stream locks are, and never by an input that stands by.
#[derive(Clone)]
pub(super) struct Lane(Arc<Shared>);

struct Shared {
    pad: gst::Pad,
    turn: Mutex<()>,
    /// FLUSH_START has gone out, and FLUSH_STOP has to follow.
    flush_is_open: AtomicBool,
    /// Both of them carry it.
    seqnum: Mutex<Option<gst::Seqnum>>,
}

/// Whoever has it pushes.
pub(super) struct Turn<'a> {
    lane: &'a Lane,
    guard: Option<MutexGuard<'a, ()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.guard = None;
        self.lane.close_flush();
    }
}

impl Lane {
    pub(super) fn new(pad: &gst::Pad) -> Self {
        Self(Arc::new(Shared {
            pad: pad.clone(),
            turn: Mutex::default(),
            flush_is_open: AtomicBool::new(false),
            seqnum: Mutex::default(),
        }))
    }

    pub(super) fn enter(&self) -> Turn<'_> {
        let guard = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        Turn {
            lane: self,
            guard: Some(guard),
        }
    }

    /// Lets go what waits downstream, and takes back what it has not shown. The caller never waits for the
    /// thread that pushes just then: it may be the caller itself, and FLUSH_START waits for nobody.
    pub(super) fn flush(&self, seqnum: gst::Seqnum) {
        let start = gst::event::FlushStart::builder().seqnum(seqnum);
        self.0.pad.push_event(start.build());
        let mut present = self.0.seqnum.lock().unwrap_or_else(PoisonError::into_inner);
        *present = Some(seqnum);
        drop(present);
        self.0.flush_is_open.swap(true, AcqRel);
        self.close_flush();
    }

    /// FLUSH_STOP goes out in its turn. Who opened the flush tries that, and so does whoever comes out of a turn:
    /// where the first finds the turn taken, the other one finds the flush open.
    fn close_flush(&self) {
        // Read by a write: only that orders it after the turn that has just ended.
        while self.0.flush_is_open.fetch_or(false, AcqRel) {
            let _turn = match self.0.turn.try_lock() {
                Ok(turn) => turn,
                Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            if self.0.flush_is_open.swap(false, AcqRel) {
                self.push_flush_stop();
            }
        }
    }

    fn push_flush_stop(&self) {
        let pad = &self.0.pad;
        // Our own time goes on whatever an input's does: downstream's must not begin again.
        let stop = gst::event::FlushStop::builder(false);
        let seqnum = *self.0.seqnum.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = match seqnum {
            Some(seqnum) => stop.seqnum(seqnum).build(),
            None => stop.build(),
        };
        pad.push_event(stop);
        let switch = pad.parent().and_downcast::<FailoverSwitch>();
        if switch.is_some_and(|switch| switch.imp().flush_has_ended(pad)) {
            pad.push_event(gst::event::Eos::new());
        }
    }
}
