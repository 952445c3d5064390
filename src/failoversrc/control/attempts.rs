// SPDX-License-Identifier: MPL-2.0
//! The owner's hands: a source is built for each attempt of an input, and given up.

use super::{ATTEMPTS, Owner};
use crate::failoversrc::input::Again;
use crate::failoversrc::start::{Runner, time_base};
use crate::failoversrc::{CAT, FailoverSrc};
use crate::policy::Cause;
use crate::sources::Source;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

/// A source that runs.
pub(super) struct Attempt {
    pub(super) source: Source,
    pub(super) runner: Runner,
    pub(super) number: u64,
}

impl Owner {
    /// A new source for this input.
    pub(super) fn begin(&mut self, index: usize) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        let now = self.now();
        let Some(input) = self.inputs.get_mut(index) else {
            return;
        };
        let number = ATTEMPTS.fetch_add(1, Relaxed);
        let shell = element.imp();
        shell.forget_failure(input.id);
        let name = format!("input-{}-attempt-{}", input.id.0, input.life.attempts() + 1);
        let built = input.description.build(&name);
        if let Err(crate::sources::Error::Stopping(_)) = built
            && input.life.postpone(now)
        {
            return;
        }
        gst::info!(
            CAT,
            obj = element,
            "input {}: attempt {} of {}",
            input.id.0,
            input.life.attempts() + 1,
            input.description.display()
        );
        match built {
            Ok(source) => {
                input.life.set_called(input.description.is_called());
                input.life.begun(now);
                source.remember_in(&input.memory);
                if !shell.prepare(self.run, input.id, number, &input.description, &source) {
                    shell.withdraw(input.id, number, &source);
                    source.release();
                    return;
                }
                let (base, live) = time_base(&source);
                let switch = shell.switch().imp();
                switch.set_time_base(input.id, base, live);
                switch.let_rest(input.id, source.may_rest());
                switch.let_repeat(input.id, input.description.may_repeat());
                switch.connecting(input.id);
                let runner = Runner::start(&element, &source, input.id, number);
                input.attempt = Some(Attempt {
                    source,
                    runner,
                    number,
                });
            }
            Err(error) => {
                let text = error.to_string();
                input.life.begun(now);
                gst::warning!(CAT, obj = element, "input {}: {text}", input.id.0);
                shell.note_failure(input.id, &text);
                shell.switch().imp().failed(input.id, Cause::Error);
                input.life.failed(now, Again::Soon);
                self.answers.over(input.id, now);
            }
        }
    }

    /// Gives up an input's source. It is taken out at once and stops in a thread of its own: it may
    /// hang there, and nobody waits for it.
    pub(super) fn end(&mut self, index: usize) {
        let attempt = self.inputs.get_mut(index).and_then(|input| {
            let attempt = input.attempt.take()?;
            Some((input.id, attempt))
        });
        let (Some((id, attempt)), element) = (attempt, self.element.upgrade()) else {
            return;
        };
        let stopping = element.as_ref().map(|element| {
            let shell = element.imp();
            shell.withdraw(id, attempt.number, &attempt.source);
            shell.stopping()
        });
        attempt.runner.stop(attempt.source, stopping);
        self.answers.over(id, self.now());
    }

    pub(super) fn set_paused(&mut self, element: &FailoverSrc, paused: bool) {
        if self.paused == paused {
            return;
        }
        self.paused = paused;
        for input in &self.inputs {
            if let Some(attempt) = &input.attempt {
                attempt.runner.follow(element, &attempt.source);
            }
        }
    }
}
