// SPDX-License-Identifier: MPL-2.0
//! Starting and stopping a source, in a thread of its own: a source that hangs in a state change
//! harms nobody.
//!
//! GStreamer keeps a bin locked while its children change their states, and `failoversrc`, which is
//! such a bin's parent, takes that lock whenever its own state changes. So the element that may hang
//! is led by itself, when the lock of its bin is free again.

use super::CAT;
use super::control::Order;
use super::messages::Failure;
use crate::policy::InputId;
use crate::sources::{Source, Timestamps};
use crate::switch::timeline::TimeBase;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

/// A source's changes of state, in a thread of its own and one after the other: two threads could
/// overtake one another, and a stopped source would run again.
pub(super) struct Runner {
    steps: Sender<Step>,
}

enum Step {
    To(gst::State),
    Stop {
        source: Source,
        /// Dropped when it has stopped.
        stopping: Option<Arc<()>>,
    },
}

impl Runner {
    /// Starts a source.
    pub(super) fn start(
        element: &super::FailoverSrc,
        source: &Source,
        input: InputId,
        attempt: u64,
    ) -> Self {
        let (steps, inbox) = channel();
        let (bin, core) = (source.bin.clone(), source.core.clone());
        core.set_locked_state(true);
        let lead = move |state| bin.set_state(state).and_then(|_| core.set_state(state));
        let orders = element.imp().orders();
        let run = move || {
            while let Some(step) = newest(&inbox) {
                match step {
                    Step::To(state) if lead(state).is_err() => {
                        let text = "it could not be started".to_owned();
                        let failure = Failure::error(text);
                        let _ = orders.as_ref().map(|orders| {
                            orders.send(Order::Failed {
                                input,
                                attempt,
                                failure,
                            })
                        });
                    }
                    Step::To(_) => (),
                    Step::Stop { source, stopping } => {
                        let _ = lead(gst::State::Null);
                        source.release();
                        drop(stopping);
                        break;
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name(format!("failoversrc:input-{}", input.0));
        if let Err(error) = thread.spawn(run) {
            gst::error!(
                CAT,
                obj = element,
                "input {}: no thread to start in: {error}",
                input.0
            );
        }
        let runner = Self { steps };
        runner.follow(element, source);
        runner
    }

    /// Leads the source to the state that its element has.
    pub(super) fn follow(&self, element: &super::FailoverSrc, source: &Source) {
        let state = match element.imp().is_playing() {
            true => gst::State::Playing,
            false => gst::State::Paused,
        };
        if let Some(clock) = element.clock() {
            let _ = source.bin.set_clock(Some(&clock));
        }
        let base = element.base_time().unwrap_or_default();
        source.bin.set_base_time(base);
        source.bin.set_start_time(gst::ClockTime::NONE);
        let _ = self.steps.send(Step::To(state));
    }

    /// Stops it. It may hang there, and nobody waits for it.
    pub(super) fn stop(self, source: Source, stopping: Option<Arc<()>>) {
        let _ = self.steps.send(Step::Stop { source, stopping });
    }
}

/// The next step, or the last of several: what was overtaken need not be done.
fn newest(inbox: &Receiver<Step>) -> Option<Step> {
    let first = inbox.recv().ok()?;
    Some(inbox.try_iter().last().unwrap_or(first))
}

/// How the timestamps of a source are placed. RTMP comes in real time whatever its element says.
pub(super) fn time_base(source: &Source) -> (TimeBase, Option<bool>) {
    let base = match source.timestamps {
        Timestamps::Own => TimeBase::Sender,
        Timestamps::Running => TimeBase::Guess,
    };
    let is_rtmp = |element: &gst::Element| {
        element
            .factory()
            .is_some_and(|factory| factory.name().starts_with("rtmp"))
    };
    let inside = source.bin.iterate_recurse().into_iter().flatten();
    let rtmp = inside.into_iter().any(|element| is_rtmp(&element));
    (base, rtmp.then_some(true))
}
