// SPDX-License-Identifier: MPL-2.0
//! Whether the machine kept time while something was measured.
//!
//! Owns a thread that wakes up again and again, and knows how late it was. What is measured in real time
//! while such a thread stands still says nothing of what was to be measured.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(5);
/// A thread that is woken later than this has lost its machine to others.
const STEADY: Duration = Duration::from_millis(60);
const ATTEMPTS: usize = 3;

/// Runs the test. When it fails, and the machine did not keep time meanwhile, it is begun again; a failure
/// on a steady machine is final, and so is the last one.
pub(crate) fn on_a_steady_machine(test: impl Fn()) {
    for attempt in 1..=ATTEMPTS {
        let pulse = Pulse::start();
        let Err(failure) = catch_unwind(AssertUnwindSafe(&test)) else {
            return;
        };
        let latest = pulse.latest();
        if latest < STEADY || attempt == ATTEMPTS {
            println!("the machine was late by {latest:?} at most");
            resume_unwind(failure);
        }
        println!(
            "attempt {attempt}: the machine was late by {latest:?}, which is no measure; again"
        );
    }
}

struct Pulse {
    latest: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Pulse {
    fn start() -> Self {
        let pulse = Self {
            latest: Arc::default(),
            ended: Arc::default(),
        };
        let (latest, ended) = (pulse.latest.clone(), pulse.ended.clone());
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let due = Instant::now() + BEAT;
                thread::sleep(BEAT);
                let late = due.elapsed().as_millis() as u64;
                latest.fetch_max(late, Ordering::Relaxed);
            }
        });
        pulse
    }

    fn latest(&self) -> Duration {
        Duration::from_millis(self.latest.load(Ordering::Relaxed))
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}
