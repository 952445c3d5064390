// SPDX-License-Identifier: MPL-2.0
//! The one owner of the inputs' lives: a thread that takes orders and keeps deadlines. It builds the
//! sources and gives them up; what may block (starting and stopping one) has a thread of its own, so
//! that a sick source harms nobody else.

mod attempts;

use self::attempts::Attempt;
use super::answers::Answers;
use super::imp::FailoverSrc;
use super::input::{Do, Life};
use super::messages::Failure;
use super::output::COMPLETE_AFTER;
use super::settings::Resolved;
use super::{CAT, Standby};
use crate::clock::Stopwatch;
use crate::policy::{Cause, HealthKind, InputId, Moment, Retry, Span};
use crate::sources::{Description, Kind, Memory, Unusable};
use crate::switch::SwitchEvent;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What the owner is told.
pub(super) enum Order {
    Switch(SwitchEvent),
    /// A source has shown all its pads.
    Complete(InputId),
    /// A source said that it is at its end; only if it still is the present attempt.
    Failed {
        input: InputId,
        attempt: u64,
        failure: Failure,
    },
    /// A source waits for something to play.
    Absent {
        input: InputId,
        attempt: u64,
    },
    /// One stream of a source is not played.
    Unusable {
        input: InputId,
        attempt: u64,
        unusable: Unusable,
    },
    /// No decoder takes what an input brings for an output.
    Undecodable {
        input: InputId,
        attempt: u64,
        output: (Kind, usize),
        text: String,
    },
    /// Where an input comes from has changed.
    Describe(InputId, Description),
    Restart(InputId),
    /// How long a silent source is listened to.
    Patience(Span),
    Pause,
    Resume,
    /// The application wants no more.
    End,
    Quit,
}

/// The thread and the way to reach it.
pub(super) struct Control {
    orders: Sender<Order>,
    /// Closed when the thread has come to its end.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

struct Input {
    id: InputId,
    description: Description,
    /// For the attempts to come, until the application says that things have changed.
    memory: Memory,
    life: Life,
    attempt: Option<Attempt>,
}

struct Owner {
    element: glib::WeakRef<super::FailoverSrc>,
    run: u64,
    inputs: Vec<Input>,
    clock: Stopwatch,
    paused: bool,
    /// When all streams of an input that began to flow have come, or will not.
    complete: Option<Moment>,
    answers: Answers,
}

/// Whatever is asked for, attempts are no tight loop.
const LEAST_PAUSE: Span = Span::from_millis(100);

/// How long whoever stops waits for the owner: a handler of the application, which it may be in, may want a
/// lock that is held meanwhile, or be slow.
pub(super) const LONGEST_STOP: Duration = Duration::from_millis(500);

/// Attempts are numbered through, so that late news of an old one is told from the present one's.
static ATTEMPTS: AtomicU64 = AtomicU64::new(1);

impl Control {
    /// Starts the owner; `None` if the system has no thread to give.
    pub(super) fn start(element: &super::FailoverSrc, resolved: &Resolved) -> Option<Self> {
        let (orders, inbox) = channel();
        let settings = element.imp().settings();
        let inputs = resolved.inputs.iter().enumerate();
        let inputs = inputs
            .map(|(index, description)| {
                let span = |nanos| Span::from_nanos(nanos).max(LEAST_PAUSE);
                let (initial, max) = (span(settings.retry_initial), span(settings.retry_max));
                let retry = Retry::new(initial, max, by_chance());
                Input {
                    id: InputId(u32::try_from(index).unwrap_or(u32::MAX)),
                    description: description.clone(),
                    memory: Memory::default(),
                    life: Life::new(retry, settings.startup()),
                    attempt: None,
                }
            })
            .collect();
        let hot = resolved.standby == Standby::Hot;
        let mut owner = Owner {
            element: element.downgrade(),
            run: element.imp().run(),
            inputs,
            clock: Stopwatch::start(),
            paused: false,
            complete: None,
            answers: Answers::awaited_from([]),
        };
        let (ends, ended) = channel::<()>();
        let thread = std::thread::Builder::new()
            .name(format!("failoversrc:{}", element.name()))
            .spawn(move || {
                owner.run(&inbox, hot);
                drop(ends);
            })
            .ok()?;
        Some(Self {
            orders,
            ended,
            thread,
        })
    }

    pub(super) fn sender(&self) -> Sender<Order> {
        self.orders.clone()
    }

    /// Ends the owner and gives up every source. Waits for the owner, unless it is the caller or is held up.
    pub(super) fn stop(self) {
        let _ = self.orders.send(Order::Quit);
        if self.thread.thread().id() == std::thread::current().id() {
            return;
        }
        let outcome = self.ended.recv_timeout(LONGEST_STOP);
        if outcome == Err(RecvTimeoutError::Disconnected) {
            let _ = self.thread.join();
        }
    }
}

impl Owner {
    fn run(&mut self, inbox: &Receiver<Order>, hot: bool) {
        let now = self.now();
        // A cold standby is started when the switch says so; the primary never waits.
        let first = if hot { self.inputs.len() } else { 1 };
        for input in self.inputs.iter_mut().take(first) {
            input.life.want(now);
        }
        let wanted = self.inputs.iter().take(first).map(|input| input.id);
        self.answers = Answers::awaited_from(wanted);
        if let Some(element) = self.element.upgrade() {
            element.imp().begin_with_slates(self.run);
        }
        while !self.quits() {
            self.keep_deadlines();
            let due = self.inputs.iter().filter_map(|input| input.life.due());
            let next = due.chain(self.complete).chain(self.answers.due()).min();
            let order = match next {
                Some(due) => {
                    let rest = std::time::Duration::from_nanos((due - self.now()).nanos());
                    inbox.recv_timeout(rest)
                }
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(Order::Quit) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(_) if self.quits() => break,
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) => (),
            }
        }
        for index in 0..self.inputs.len() {
            self.end(index);
        }
    }

    /// The run is over, and nothing is begun any more. The order to quit is read too late for that: the owner may
    /// just be in a handler of the application.
    fn quits(&self) -> bool {
        let element = self.element.upgrade();
        element.is_none_or(|element| element.imp().run() != self.run)
    }

    fn now(&self) -> Moment {
        let nanos = u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Moment::from_nanos(nanos)
    }

    fn keep_deadlines(&mut self) {
        let now = self.now();
        if self.complete.is_some_and(|at| at <= now) {
            self.complete = None;
            if let Some(element) = self.element.upgrade() {
                element.imp().update_slates();
                element.imp().tell_languages();
            }
        }
        if self.answers.is_told_at(now)
            && let Some(element) = self.element.upgrade()
        {
            element.imp().say_no_more_pads(self.run);
        }
        for index in 0..self.inputs.len() {
            if self.quits() {
                return;
            }
            let now = self.now();
            let due = self
                .inputs
                .get_mut(index)
                .and_then(|input| input.life.wake(now));
            match due {
                Some(Do::Begin) => self.begin(index),
                Some(Do::Replace) => {
                    self.log(index, "silent for too long, a new source is tried");
                    self.end(index);
                }
                None => (),
            }
        }
    }

    fn obey(&mut self, order: Order) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        let shell = element.imp();
        let now = self.now();
        match order {
            Order::Switch(event) => self.hear(shell, event, now),
            Order::Complete(input) => self.answers.complete(input, now),
            Order::Failed {
                input,
                attempt,
                failure,
            } => {
                if let Some(index) = self.present(input, attempt) {
                    shell.note_failure(input, &failure.text);
                    // Not every source tells by a message that it cannot be started.
                    shell.switch().imp().failed(input, failure.cause);
                    self.give_up(shell, index, now);
                }
            }
            Order::Absent { input, attempt } => {
                let index = self.present(input, attempt);
                if let Some(input) = index.and_then(|index| self.inputs.get_mut(index)) {
                    input.life.absent(now);
                }
            }
            Order::Unusable {
                input,
                attempt,
                unusable,
            } if self.present(input, attempt).is_some() => {
                shell.tell_unusable(input, &unusable);
                shell.provide_slate_for(self.run, unusable.kind);
            }
            Order::Undecodable {
                input,
                attempt,
                output,
                text,
            } if self.present(input, attempt).is_some() => {
                shell.leave_out(input, attempt, output, text);
            }
            Order::Unusable { .. } | Order::Undecodable { .. } => (),
            Order::Describe(id, description) => self.restart(id, Some(description), now),
            Order::Restart(id) => self.restart(id, None, now),
            Order::Patience(startup) => {
                for input in &mut self.inputs {
                    input.life.set_startup(startup);
                }
            }
            Order::Pause => self.set_paused(&element, true),
            Order::Resume => self.set_paused(&element, false),
            Order::End => {
                for index in 0..self.inputs.len() {
                    if self
                        .inputs
                        .get_mut(index)
                        .is_some_and(|i| i.life.ended(now))
                    {
                        self.end(index);
                    }
                }
                shell.end_early(self.run);
            }
            Order::Quit => (),
        }
    }

    fn hear(&mut self, shell: &FailoverSrc, event: SwitchEvent, now: Moment) {
        match &event {
            SwitchEvent::Health {
                input,
                old,
                new,
                cause,
                ..
            } => {
                if let Some(index) = self.index(*input) {
                    self.health(shell, index, *new, *cause, now);
                }
                if [*old, *new].contains(&HealthKind::Incomplete) {
                    shell.update_slates();
                }
            }
            SwitchEvent::Start(id) => {
                if let Some(input) = self.index(*id).and_then(|i| self.inputs.get_mut(i)) {
                    input.life.want(now);
                }
            }
            SwitchEvent::Stop(id) => {
                if let Some(index) = self.index(*id)
                    && self
                        .inputs
                        .get_mut(index)
                        .is_some_and(|i| i.life.unwant(now))
                {
                    self.log(index, "not needed any more");
                    self.end(index);
                    self.inputs
                        .get(index)
                        .inspect(|input| input.memory.hang_up());
                }
            }
            SwitchEvent::Pauses => shell.update_slates(),
            SwitchEvent::EverythingDown => shell.provide_slates(self.run),
            // Its others may end at once as well, and then nothing is missing.
            SwitchEvent::StreamEnded { .. } => self.complete = Some(now + complete_after()),
            SwitchEvent::Switched(_) | SwitchEvent::SomethingUp | SwitchEvent::Ended(_) => (),
        }
        shell.tell(event);
    }

    fn health(
        &mut self,
        shell: &FailoverSrc,
        index: usize,
        new: HealthKind,
        cause: Option<Cause>,
        now: Moment,
    ) {
        let Some(input) = self.inputs.get_mut(index) else {
            return;
        };
        match new {
            // What it lacks is no reason to take from it what it brings.
            HealthKind::Flowing | HealthKind::Suspect | HealthKind::Incomplete => {
                input.life.flows(now);
                self.complete = Some(now + complete_after());
            }
            HealthKind::Stalled => input.life.fell_silent(now),
            HealthKind::Down if cause == Some(Cause::Eos) && shell.has_end(input.id) => {
                self.ended(shell, index, now);
            }
            // Its source knows, and says when that changes.
            HealthKind::Down if input.life.is_absent() => (),
            HealthKind::Down => self.give_up(shell, index, now),
            HealthKind::Idle | HealthKind::Connecting => (),
        }
    }

    fn give_up(&mut self, shell: &FailoverSrc, index: usize, now: Moment) {
        let input = self.inputs.get_mut(index);
        if input.is_some_and(|i| i.life.failed(now, shell.again(i.id))) {
            self.end(index);
        }
    }

    /// What has an end is at its end. It is the end of all when nothing else is left to play; beside one that
    /// may go on it is played again, for it may be needed again.
    fn ended(&mut self, shell: &FailoverSrc, index: usize, now: Moment) {
        self.log(index, "played to its end");
        if self
            .inputs
            .get_mut(index)
            .is_some_and(|i| i.life.ended(now))
        {
            self.end(index);
        }
        if self.inputs.iter().all(|input| input.life.is_ended()) {
            shell.end_of_all();
            return;
        }
        let goes_on = |input: &Input| !input.life.is_ended() && !shell.has_end(input.id);
        if self.inputs.iter().any(goes_on)
            && let Some(input) = self.inputs.get_mut(index)
        {
            input.life.play_again(now);
        }
    }

    /// From another place, where one is given.
    fn restart(&mut self, id: InputId, description: Option<Description>, now: Moment) {
        let Some(index) = self.index(id) else {
            return;
        };
        let Some(input) = self.inputs.get_mut(index) else {
            return;
        };
        if let Some(description) = description {
            input.description = description;
        }
        input.memory = Memory::default();
        if input.life.restart(now) {
            self.end(index);
        }
    }

    /// Where the input stands, if this is its present attempt.
    fn present(&self, input: InputId, attempt: u64) -> Option<usize> {
        let index = self.index(input)?;
        let present = self.inputs.get(index)?.attempt.as_ref()?;
        (present.number == attempt).then_some(index)
    }

    fn index(&self, id: InputId) -> Option<usize> {
        self.inputs.iter().position(|input| input.id == id)
    }

    fn log(&self, index: usize, text: &str) {
        if let (Some(element), Some(input)) = (self.element.upgrade(), self.inputs.get(index)) {
            gst::info!(
                CAT,
                obj = element,
                "input {} ({}): {text}",
                input.id.0,
                input.life.name()
            );
        }
    }
}

/// A number that no other process and no other input has: were the pauses between attempts the same for all, all
/// viewers of a server that comes back would come back in step. The system's randomness is in the keys of a hasher.
fn by_chance() -> u64 {
    RandomState::new().build_hasher().finish()
}

fn complete_after() -> Span {
    Span::from_nanos(u64::try_from(COMPLETE_AFTER.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::by_chance;

    const CHILD: &str = "FAILOVER_TELLS_ITS_SEEDS";

    #[test]
    fn no_two_inputs_have_the_same_seed_in_one_process_or_in_two() {
        let own = [by_chance(), by_chance()];
        if std::env::var_os(CHILD).is_some() {
            println!("{CHILD} {own:?}");
            return;
        }
        assert_ne!(own[0], own[1]);
        let test = std::env::current_exe().expect("this test");
        let seeds = || {
            let mut child = std::process::Command::new(&test);
            let name = "no_two_inputs_have_the_same_seed_in_one_process_or_in_two";
            let child = child.args([name, "--nocapture"]).env(CHILD, "1");
            let said = child.output().expect("a process").stdout;
            let said = String::from_utf8_lossy(&said).into_owned();
            let line = said.lines().find(|line| line.contains(CHILD));
            line.map(str::to_owned).expect("its seeds")
        };
        assert_ne!(seeds(), seeds());
    }
}
