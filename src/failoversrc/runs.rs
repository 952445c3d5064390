// SPDX-License-Identifier: MPL-2.0
//! Which run is on, and which threads are just making something for it. Sources bring their pads in threads of
//! their own, which no change of state waits for: so a stop closes this gate, and waits for those inside.

use super::imp::lock;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::ThreadId;
use std::time::Duration;

/// Counts the runs: what was begun in one is no part of the next.
#[derive(Default)]
pub(super) struct Runs(Mutex<State>);

#[derive(Default)]
struct State {
    present: u64,
    /// How many have ever entered.
    entered: u64,
    inside: Vec<Maker>,
}

struct Maker {
    number: u64,
    thread: ThreadId,
    /// Dropped when it comes out: whoever waits then sees that.
    awaited_by: Vec<Sender<()>>,
}

/// Makes something for a run, which does not end meanwhile without a wait for that.
pub(super) struct Inside<'a> {
    runs: &'a Runs,
    number: u64,
}

/// Those who were inside when a run ended.
pub(super) struct Makers(Receiver<()>);

impl Runs {
    pub(super) fn present(&self) -> u64 {
        lock(&self.0).present
    }

    /// `None` where this run is over.
    pub(super) fn enter(&self, run: u64) -> Option<Inside<'_>> {
        let mut state = lock(&self.0);
        if state.present != run {
            return None;
        }
        state.entered += 1;
        let number = state.entered;
        state.inside.push(Maker {
            number,
            thread: std::thread::current().id(),
            awaited_by: vec![],
        });
        Some(Inside { runs: self, number })
    }

    /// Ends the present run: nobody enters for it any more.
    pub(super) fn end(&self) -> Makers {
        let (awaited_by, makers) = channel();
        let mut state = lock(&self.0);
        state.present += 1;
        // The application may stop all from a handler, in the thread of a maker.
        let this = std::thread::current().id();
        let others = state.inside.iter_mut().filter(|maker| maker.thread != this);
        for maker in others {
            maker.awaited_by.push(awaited_by.clone());
        }
        Makers(makers)
    }
}

impl Makers {
    /// Until they have come out; one may be held up by a handler of the application.
    pub(super) fn wait(self, longest: Duration) {
        let _ = self.0.recv_timeout(longest);
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        let number = self.number;
        lock(&self.runs.0)
            .inside
            .retain(|maker| maker.number != number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn nobody_enters_for_a_run_that_is_over() {
        let runs = Runs::default();
        let run = runs.present();
        assert!(runs.enter(run).is_some());
        runs.end().wait(LONG);
        assert!(runs.enter(run).is_none());
        assert!(runs.enter(runs.present()).is_some());
    }

    #[test]
    fn the_end_of_a_run_waits_for_every_other_thread_inside_and_not_for_its_own() {
        let runs = Runs::default();
        let run = runs.present();
        let own = runs.enter(run);
        let (enters, entered) = channel();
        let (leave, leaves) = channel::<()>();
        std::thread::scope(|scope| {
            let runs = &runs;
            scope.spawn(move || {
                let inside = runs.enter(run);
                let _ = enters.send(());
                let _ = leaves.recv();
                drop(inside);
            });
            entered.recv_timeout(LONG).expect("it enters");
            let makers = runs.end();
            // It is inside yet.
            let waits = makers.0.recv_timeout(Duration::ZERO);
            assert_eq!(waits, Err(std::sync::mpsc::RecvTimeoutError::Timeout));
            drop(leave);
            let left = makers.0.recv_timeout(LONG);
            assert_eq!(left, Err(std::sync::mpsc::RecvTimeoutError::Disconnected));
        });
        drop(own);
    }

    #[test]
    fn two_ends_at_once_wait_for_the_same_maker() {
        let runs = Runs::default();
        let inside = runs.enter(runs.present());
        std::thread::scope(|scope| {
            let ends = [0, 1].map(|_| scope.spawn(|| runs.end().wait(LONG)));
            drop(inside);
            for end in ends {
                end.join().expect("no panic");
            }
        });
    }
}
