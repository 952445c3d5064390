// SPDX-License-Identifier: MPL-2.0
//! PURE: one input's life. Its source is tried, listened to, given up and tried again, for ever; each
//! attempt is a new source. Says when and what; building and ending sources is the owner's work.

use crate::policy::{Moment, Retry, Span};

/// An element of the application serves one attempt after the other; it needs a moment to stop.
const ELEMENT_NOT_FREE: Span = Span::from_millis(20);
/// One that takes longer hangs, or serves somebody else.
const ELEMENT_HELD: Span = Span::from_secs(1);

/// A source that begins is listened to for at least so long, whichever input plays meanwhile: `rtspsrc` turns to TCP after 5 s without a
/// packet by UDP, and HLS may load some segments first.
const BEGINS: Span = Span::from_secs(10);
/// One that has fallen silent: a connection that is not dead brings something again by then.
const RESUMES: Span = Span::from_secs(5);

/// A server that was to say when there is something to play may have lost its word, and a sender that was to call may
/// be kept out by one that is there and sends nothing.
const ABSENT_MOST: Span = Span::from_secs(60);

/// Where an input's source is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Not wanted: a cold standby.
    Idle,
    /// Between two attempts.
    Waiting { until: Moment },
    /// Another attempt would fail like the one before, until something is changed from outside.
    Refused,
    /// A source is there. Silent ones are listened to until `patience` ends. `absent`: its server
    /// says that there is nothing to play, and will say when there is.
    Running {
        flowing_since: Option<Moment>,
        patience: Option<Moment>,
        absent: bool,
    },
    /// Played to its end, and not to be played again.
    Ended,
}

/// What a failure says of the next attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Again {
    /// At its usual pace.
    #[default]
    Soon,
    /// Not before this long, whatever the pace.
    Later(Span),
    /// It makes no sense.
    Never,
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Do {
    Begin,
    /// The source is silent for too long: end it, then a new one.
    Replace,
}

pub(super) struct Life {
    phase: Phase,
    retry: Retry,
    startup: Span,
    attempts: u64,
    /// Its source waits to be called.
    called: bool,
    /// Since when its element is not free.
    held_since: Option<Moment>,
}

impl Life {
    pub(super) fn new(retry: Retry, startup: Span) -> Self {
        Self {
            phase: Phase::Idle,
            retry,
            startup,
            attempts: 0,
            called: false,
            held_since: None,
        }
    }

    /// Its sources wait to be called, and are left alone while nobody calls: a new one would close the port for as long
    /// as the old one takes to give it back, and whoever calls then finds nobody.
    pub(super) fn set_called(&mut self, called: bool) {
        self.called = called;
    }

    /// For the next time that it is silent.
    pub(super) fn set_startup(&mut self, startup: Span) {
        self.startup = startup;
    }

    /// It is wanted from now on.
    pub(super) fn want(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Idle) {
            let until = self.retry.next_attempt(now);
            self.phase = Phase::Waiting { until };
        }
    }

    /// It is not wanted any more. Whether there is a source to end.
    pub(super) fn unwant(&mut self, now: Moment) -> bool {
        let running = self.is_running();
        self.note_session(now);
        self.phase = Phase::Idle;
        running
    }

    /// Begin anew at once, whatever it was waiting for, unless it is not wanted: somebody thinks that it is well
    /// now, so what came before does not count. Whether there is a source to end.
    pub(super) fn restart(&mut self, now: Moment) -> bool {
        let running = self.is_running();
        self.retry.forget();
        if !matches!(self.phase, Phase::Idle) {
            self.phase = Phase::Waiting { until: now };
        }
        running
    }

    pub(super) fn begun(&mut self, now: Moment) {
        self.attempts = self.attempts.saturating_add(1);
        self.held_since = None;
        self.retry.attempt_started(now);
        let patience = now.after(self.listens_for(BEGINS));
        self.phase = Phase::Running {
            flowing_since: None,
            patience,
            absent: false,
        };
    }

    /// There is nothing to play, and the source knows when there will be: it is left alone.
    pub(super) fn absent(&mut self, now: Moment) {
        self.note_session(now);
        if self.is_running() {
            self.phase = Phase::Running {
                flowing_since: None,
                patience: now.after(ABSENT_MOST),
                absent: true,
            };
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self.phase, Phase::Running { absent: true, .. })
    }

    pub(super) fn flows(&mut self, now: Moment) {
        if let Phase::Running {
            flowing_since,
            patience,
            absent,
        } = &mut self.phase
        {
            flowing_since.get_or_insert(now);
            *patience = None;
            *absent = false;
        }
    }

    /// It stalled: it may come back by itself, and is listened to for a while.
    pub(super) fn fell_silent(&mut self, now: Moment) {
        self.note_session(now);
        let listen = self.listens_for(RESUMES);
        if let Phase::Running {
            flowing_since,
            patience,
            ..
        } = &mut self.phase
        {
            *flowing_since = None;
            if patience.is_none() {
                *patience = now.after(listen);
            }
        }
    }

    /// Its element is not free yet: look again shortly. False when it has not been for too long.
    pub(super) fn postpone(&mut self, now: Moment) -> bool {
        let since = *self.held_since.get_or_insert(now);
        let is_soon = now < since + ELEMENT_HELD;
        if is_soon {
            let until = now + ELEMENT_NOT_FREE;
            self.phase = Phase::Waiting { until };
        }
        is_soon
    }

    /// It failed for certain. Whether there is a source to end; the next attempt is planned.
    pub(super) fn failed(&mut self, now: Moment, again: Again) -> bool {
        if !self.is_running() {
            return false;
        }
        self.note_session(now);
        let until = self.retry.next_attempt(now);
        self.phase = match again {
            Again::Soon => Phase::Waiting { until },
            Again::Later(span) => Phase::Waiting {
                until: until.max(now + span),
            },
            Again::Never => Phase::Refused,
        };
        true
    }

    /// It played to its end. Whether there is a source to end.
    pub(super) fn ended(&mut self, now: Moment) -> bool {
        let running = self.is_running();
        self.note_session(now);
        self.phase = Phase::Ended;
        running
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    /// What has ended may be played once more.
    pub(super) fn play_again(&mut self, now: Moment) {
        if self.is_ended() {
            let until = self.retry.next_attempt(now);
            self.phase = Phase::Waiting { until };
        }
    }

    /// When something is due by itself.
    pub(super) fn due(&self) -> Option<Moment> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Running { patience, .. } => patience,
            Phase::Idle | Phase::Refused | Phase::Ended => None,
        }
    }

    pub(super) fn wake(&mut self, now: Moment) -> Option<Do> {
        if self.due().is_none_or(|due| due > now) {
            return None;
        }
        match self.phase {
            Phase::Waiting { .. } => Some(Do::Begin),
            Phase::Running { .. } => {
                let until = self.retry.next_attempt(now);
                self.phase = Phase::Waiting { until };
                Some(Do::Replace)
            }
            Phase::Idle | Phase::Refused | Phase::Ended => None,
        }
    }

    pub(super) fn attempts(&self) -> u64 {
        self.attempts
    }

    pub(super) fn name(&self) -> &'static str {
        match self.phase {
            Phase::Idle => "idle",
            Phase::Waiting { .. } => "retrying",
            Phase::Refused => "refused",
            Phase::Running {
                flowing_since: Some(_),
                ..
            } => "flowing",
            Phase::Running { absent: true, .. } => "awaited",
            Phase::Running { .. } => "connecting",
            Phase::Ended => "ended",
        }
    }

    /// How long a silent source is listened to.
    fn listens_for(&self, least: Span) -> Span {
        match self.called {
            true => ABSENT_MOST,
            false => self.retry.patience(self.startup.max(least)),
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    fn note_session(&mut self, now: Moment) {
        if let Phase::Running {
            flowing_since: Some(since),
            ..
        } = self.phase
        {
            self.retry.flowed_for(now - since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_nanos(millis * 1_000_000)
    }

    fn life() -> Life {
        let retry = Retry::new(Span::from_millis(500), Span::from_secs(30), 7);
        Life::new(retry, Span::from_secs(2))
    }

    fn begun(now: Moment) -> Life {
        let mut life = life();
        life.want(now);
        assert_eq!(life.wake(now), Some(Do::Begin));
        life.begun(now);
        life
    }

    #[test]
    fn a_cold_standby_does_nothing_until_it_is_wanted() {
        let mut life = life();
        assert_eq!(life.due(), None);
        assert_eq!(life.wake(at(100_000)), None);
        life.want(at(100_000));
        assert_eq!(life.wake(at(100_000)), Some(Do::Begin));
    }

    #[test]
    fn a_silent_source_is_replaced_when_patience_ends() {
        let mut life = begun(at(0));
        assert_eq!(life.due(), Some(at(10_000)));
        assert_eq!(life.wake(at(9_999)), None);
        assert_eq!(life.wake(at(10_000)), Some(Do::Replace));
        // It was listened to for longer than the pause: no deaf time.
        assert_eq!(life.wake(at(10_000)), Some(Do::Begin));
    }

    #[test]
    fn a_flowing_source_is_left_alone() {
        let mut life = begun(at(0));
        life.flows(at(100));
        assert_eq!(life.due(), None);
        assert_eq!(life.name(), "flowing");
    }

    #[test]
    fn a_stalled_source_may_come_back_by_itself() {
        let mut life = begun(at(0));
        life.flows(at(100));
        life.fell_silent(at(20_000));
        assert_eq!(life.due(), Some(at(25_000)));
        life.flows(at(24_000));
        assert_eq!(life.due(), None);
    }

    #[test]
    fn failures_are_tried_again_ever_more_slowly_and_for_ever() {
        let mut life = begun(at(0));
        let mut now = at(0);
        let mut last = Span::ZERO;
        for attempt in 0..40 {
            assert!(life.failed(now, Again::Soon));
            let due = life.due().expect("another attempt is planned");
            let pause = due - now;
            assert!(pause <= Span::from_millis(37_500));
            if attempt == 10 {
                assert!(pause >= Span::from_secs(22));
            }
            last = last.max(pause);
            now = due;
            assert_eq!(life.wake(now), Some(Do::Begin));
            life.begun(now);
        }
        assert!(last >= Span::from_secs(22));
    }

    #[test]
    fn a_long_good_session_is_followed_by_a_quick_attempt() {
        let mut life = begun(at(0));
        life.flows(at(100));
        assert!(life.failed(at(60_000), Again::Soon));
        assert_eq!(life.due(), Some(at(60_000)));
    }

    #[test]
    fn a_server_that_asks_for_patience_gets_it() {
        let mut life = begun(at(0));
        assert!(life.failed(at(100), Again::Later(Span::from_secs(7))));
        assert_eq!(life.due(), Some(at(7_100)));
        assert_eq!(life.wake(at(7_100)), Some(Do::Begin));
        life.begun(at(7_100));
        // Its own pace is slower than what the server asks for.
        assert!(life.failed(at(7_100), Again::Later(Span::from_millis(1))));
        assert!(life.due() >= Some(at(7_800)));
    }

    #[test]
    fn an_element_that_stays_held_is_a_failure_like_others() {
        let mut life = life();
        life.want(at(0));
        let mut now = at(0);
        while life.postpone(now) {
            assert_eq!(life.due(), Some(now + Span::from_millis(20)));
            now += Span::from_millis(20);
            assert_eq!(life.wake(now), Some(Do::Begin));
        }
        assert_eq!(now, at(1_000));
        life.begun(now);
        assert!(life.failed(now, Again::Soon));
        assert!(life.due() >= Some(at(1_300)), "at the pace of failures");
    }

    #[test]
    fn a_changed_patience_counts_from_the_next_silence_on() {
        let mut life = begun(at(0));
        life.flows(at(100));
        life.set_startup(Span::from_secs(60));
        life.fell_silent(at(1_000));
        assert_eq!(life.due(), Some(at(61_000)));
    }

    #[test]
    fn what_was_refused_is_not_tried_again_until_somebody_says_so() {
        let mut life = begun(at(0));
        assert!(life.failed(at(100), Again::Never));
        assert_eq!((life.due(), life.name()), (None, "refused"));
        assert_eq!(life.wake(at(3_600_000)), None);
        assert!(!life.restart(at(3_600_000)));
        assert_eq!(life.wake(at(3_600_000)), Some(Do::Begin));
    }

    #[test]
    fn a_source_that_waits_for_its_stream_is_left_alone_for_long() {
        let mut life = begun(at(0));
        life.absent(at(100));
        assert!(life.is_absent());
        assert_eq!((life.due(), life.name()), (Some(at(60_100)), "awaited"));
        life.flows(at(30_000));
        assert!(!life.is_absent());
        assert_eq!(life.due(), None);
        let mut life = begun(at(0));
        life.absent(at(100));
        assert!(life.failed(at(200), Again::Soon), "its failure ends it");
        life.absent(at(300));
        assert!(!life.is_absent(), "a late word of one that is gone");
    }

    #[test]
    fn a_source_that_waits_to_be_called_is_left_alone() {
        let mut life = life();
        life.set_called(true);
        life.want(at(0));
        life.begun(at(0));
        assert_eq!(life.wake(at(59_999)), None);
        life.flows(at(59_999));
        life.fell_silent(at(100_000));
        assert_eq!(life.due(), Some(at(160_000)));
        assert!(life.failed(at(105_000), Again::Soon), "its end ends it");
    }

    #[test]
    fn what_has_ended_stays_so_until_it_is_to_be_played_again() {
        let mut life = begun(at(0));
        life.flows(at(100));
        assert!(life.ended(at(10_000)));
        assert_eq!(life.due(), None);
        life.play_again(at(10_000));
        assert_eq!(life.wake(at(10_000)), Some(Do::Begin));
    }

    #[test]
    fn what_is_played_whole_is_no_failure_however_often() {
        let mut life = begun(at(0));
        for round in 1..20 {
            life.flows(at(round * 10_000 - 9_900));
            let end = at(round * 10_000);
            assert!(life.ended(end));
            life.play_again(end);
            assert_eq!(life.wake(end), Some(Do::Begin), "round {round}");
            life.begun(end);
        }
    }

    #[test]
    fn a_cold_standby_that_has_served_is_as_good_as_new() {
        let mut life = life();
        for hour in (0..20).map(|hour| hour * 3_600_000) {
            life.want(at(hour));
            assert_eq!(life.wake(at(hour)), Some(Do::Begin));
            life.begun(at(hour));
            life.flows(at(hour + 100));
            assert!(life.unwant(at(hour + 600_000)));
        }
        life.want(at(100_000_000));
        life.begun(at(100_000_000));
        assert!(life.failed(at(100_000_000), Again::Soon));
        assert!(life.due() <= Some(at(100_000_625)));
    }

    #[test]
    fn a_restart_forgets_what_failed_before() {
        let mut life = begun(at(0));
        for second in 1..9 {
            life.failed(at(second * 60_000), Again::Soon);
            life.begun(at(second * 60_000));
        }
        assert!(life.restart(at(600_000)));
        assert_eq!(life.wake(at(600_000)), Some(Do::Begin));
        life.begun(at(600_000));
        assert!(life.failed(at(600_000), Again::Soon));
        assert!(life.due() <= Some(at(600_625)));
    }

    #[test]
    fn a_restart_does_not_start_what_nobody_wants() {
        let mut life = life();
        assert!(!life.restart(at(1_000)));
        assert_eq!((life.due(), life.name()), (None, "idle"));
    }
}
