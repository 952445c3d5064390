// SPDX-License-Identifier: MPL-2.0
//! The only file that reads a clock or arms a wake-up.
//!
//! Time here is the element's running time: the pipeline clock less the base time. It stands still
//! while the pipeline is PAUSED, so that a pause is never mistaken for silence, and a test that
//! brings its own clock turns every deadline by hand.

use crate::policy::{Moment, Span};
use gst::prelude::*;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};

/// No wake-up is armed for later than this: near the end of all numbers GStreamer's clock spins.
const FARTHEST: Span = Span::from_secs(24 * 3600);

/// Runs while the element is PLAYING, stands still otherwise.
pub(crate) struct RunningTime {
    running: RwLock<Option<Running>>,
    stopped: Mutex<Moment>,
    started: Condvar,
}

struct Running {
    clock: gst::Clock,
    base: gst::ClockTime,
}

/// Takes an element that runs out of its bin, and gives it back the clock that `gst_bin_remove()` takes from it: its
/// threads run until it is stopped. Behind EOS, a `rtpjitterbuffer` requests a missing packet until the latency is over.
/// Without a clock it never is: the requests fill the memory, and its lock, which the change to NULL needs, is kept.
pub(crate) fn remove_running(bin: &impl IsA<gst::Bin>, element: &impl IsA<gst::Element>) {
    let clock = element.clock();
    if bin.remove(element).is_ok() && clock.is_some() {
        let _ = element.set_clock(clock.as_ref());
    }
}

/// One wait of one thread, to be cancelled from any other.
#[derive(Default)]
pub(crate) struct Wait(Mutex<WaitState>);

#[derive(Default)]
enum WaitState {
    #[default]
    Idle,
    Armed(gst::SingleShotClockId),
    /// A cancel that came before the wait was armed is not lost.
    Cancelled,
}

/// One wake-up of the whole element.
#[derive(Clone, Default)]
pub(crate) struct Alarm(Arc<Mutex<Armed>>);

type Armed = Option<(Moment, gst::SingleShotClockId)>;

impl Default for RunningTime {
    fn default() -> Self {
        Self {
            running: RwLock::new(None),
            stopped: Mutex::new(Moment::ZERO),
            started: Condvar::new(),
        }
    }
}

impl RunningTime {
    /// Now; while stopped, the moment at which time stopped.
    pub(crate) fn now(&self) -> Moment {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        let now = running.as_ref().map(Running::now);
        // Never both locks: others take them the other way round.
        drop(running);
        now.unwrap_or_else(|| *self.stopped.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .is_some()
    }

    pub(crate) fn start(&self, clock: gst::Clock, base: gst::ClockTime) {
        *self.running.write().unwrap_or_else(PoisonError::into_inner) =
            Some(Running { clock, base });
        // Taking the lock orders this after the check of a thread that is about to wait.
        let _stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        self.started.notify_all();
    }

    pub(crate) fn stop(&self) {
        let now = self.now();
        // First where it stands: whoever asks meanwhile gets no older time.
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = now;
        self.running
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// Running time starts again at zero.
    pub(crate) fn reset(&self) {
        self.stop();
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = Moment::ZERO;
    }

    /// Blocks until `due`, or until `wait` is cancelled: then `false`.
    pub(crate) fn wait_until(&self, due: Moment, wait: &Wait) -> bool {
        loop {
            if wait.take_cancel() {
                return false;
            }
            if self.now() >= due {
                return true;
            }
            match self.clock_id(due) {
                Some(id) => {
                    if !wait.arm(&id) {
                        return false;
                    }
                    let outcome = id.wait().0;
                    wait.disarm();
                    if outcome == Err(gst::ClockError::Unscheduled) {
                        // Cancelled, or the clock was exchanged: look again.
                        wait.forget_cancel();
                        return false;
                    }
                }
                None => self.wait_for_start(),
            }
        }
    }

    /// Lets threads that wait for PLAYING look at their cancellation.
    pub(crate) fn nudge(&self) {
        let _stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        self.started.notify_all();
    }

    fn wait_for_start(&self) {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_running() {
            // Bounded, so that a missed nudge costs a moment and not for ever.
            let _ = self
                .started
                .wait_timeout(stopped, std::time::Duration::from_millis(50));
        }
    }

    fn clock_id(&self, due: Moment) -> Option<gst::SingleShotClockId> {
        let running = self.running.read().unwrap_or_else(PoisonError::into_inner);
        running.as_ref().map(|r| r.clock_id(due))
    }
}

impl Running {
    fn now(&self) -> Moment {
        let clock = self.clock.time();
        Moment::from_nanos(clock.saturating_sub(self.base).nseconds())
    }

    fn clock_id(&self, due: Moment) -> gst::SingleShotClockId {
        let due = due.min(self.now() + FARTHEST);
        let at = self.base.nseconds().saturating_add(due.nanos());
        self.clock
            .new_single_shot_id(gst::ClockTime::from_nseconds(at))
    }
}

impl Wait {
    /// Ends the wait that is on, or the next one: whoever waits then looks at the state again.
    pub(crate) fn cancel(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let WaitState::Armed(id) = std::mem::replace(&mut *state, WaitState::Cancelled) {
            id.unschedule();
        }
    }

    pub(crate) fn is_armed(&self) -> bool {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, WaitState::Armed(_))
    }

    fn forget_cancel(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = WaitState::Idle;
    }

    fn take_cancel(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cancelled = matches!(*state, WaitState::Cancelled);
        if cancelled {
            *state = WaitState::Idle;
        }
        cancelled
    }

    fn arm(&self, id: &gst::SingleShotClockId) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, WaitState::Cancelled) {
            *state = WaitState::Idle;
            return false;
        }
        *state = WaitState::Armed(id.clone());
        true
    }

    fn disarm(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, WaitState::Armed(_)) {
            *state = WaitState::Idle;
        }
    }
}

impl Alarm {
    /// Arms the wake-up unless one that comes no later is armed already: an early wake-up is
    /// harmless, it looks and arms again.
    pub(crate) fn set(&self, time: &RunningTime, at: Moment, ring: impl FnOnce() + Send + 'static) {
        let at = at.min(time.now() + FARTHEST);
        let mut armed = self.armed();
        if armed.as_ref().is_some_and(|(armed, _)| *armed <= at) {
            return;
        }
        let Some(id) = time.clock_id(at) else {
            return;
        };
        if let Some((_, old)) = armed.take() {
            old.unschedule();
        }
        let alarm = self.clone();
        let rings = id.wait_async(move |_, time, id| {
            // An unscheduled id comes with no time.
            if time.is_some() {
                alarm.spend(id);
                ring();
            }
        });
        if rings.is_ok() {
            *armed = Some((at, id));
        }
    }

    /// A clock may ring a hair before the time that it was asked for, so the time does not say which wake-up is
    /// used up. One that stayed armed would be the last.
    fn spend(&self, id: &gst::ClockId) {
        self.armed().take_if(|(_, armed)| **armed == *id);
    }

    pub(crate) fn is_armed(&self) -> bool {
        self.armed().is_some()
    }

    pub(crate) fn clear(&self) {
        let armed = self.armed().take();
        if let Some((_, id)) = armed {
            id.unschedule();
        }
    }

    fn armed(&self) -> MutexGuard<'_, Armed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Time as it passes for the machine, whatever the pipeline's clock does.
pub(crate) struct Stopwatch(std::time::Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

/// A span as GStreamer writes it.
pub(crate) fn clock_time(span: Span) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(span.nanos().min(u64::MAX - 1))
}

#[cfg(test)]
mod tests;
