// SPDX-License-Identifier: MPL-2.0
//! A programme: a pipeline around one `failoversrc` that keeps a record of all that comes out of it
//! and waits for things to happen. Inputs are told apart by colour and tone.
//!
//! Owns the pipeline, its sinks and the record. Knows nothing of where the inputs come from. Waits
//! for conditions with a deadline, never for time to pass.

// Every test takes the part that it needs.
#![allow(dead_code, unused_imports)]

mod ending;
mod inputs;
mod look;
mod record;
mod view;

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

pub(crate) use inputs::{both, element, gated, open, picture, tone};
pub(crate) use look::Look;
pub(crate) use record::Record;

use ending::Ending;
use record::{note_message, outline};
use view::view;

pub(crate) const MS: u64 = 1_000_000;

/// Far more than anything takes; a busy machine is no failure.
const DEADLINE: Duration = Duration::from_secs(40);

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    changed: Condvar,
    /// The only caps of pictures that are taken, if not all are.
    taken: OnceLock<&'static str>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Record)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

/// A pipeline around one `failoversrc`.
pub(crate) struct Programme {
    pub(crate) src: gst::Element,
    pub(crate) pipeline: gst::Pipeline,
    shared: Arc<Shared>,
    ending: Ending,
}

pub(crate) fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer");
        gstfailover::plugin_register_static().expect("the plugin");
    });
}

impl Programme {
    /// In NULL. Deadlines are short, so that tests are.
    pub(crate) fn new() -> Self {
        init();
        let src = gst::ElementFactory::make("failoversrc")
            .property("timeout", 1000 * MS)
            .property("startup-timeout", 10_000 * MS)
            .property("recovery-time", 1000 * MS)
            .property("retry-initial", 200 * MS)
            .property("retry-max", 1000 * MS)
            .build()
            .expect("failoversrc");
        let pipeline = gst::Pipeline::new();
        pipeline.add(&src).expect("added");
        let programme = Self {
            src,
            pipeline,
            shared: Arc::default(),
            ending: Ending::default(),
        };
        programme.watch_bus();
        programme.watch_source();
        programme
    }

    pub(crate) fn set<T: Into<gst::glib::Value>>(self, property: &str, value: T) -> Self {
        self.src.set_property_from_value(property, &value.into());
        self
    }

    pub(crate) fn set_nick(self, property: &str, nick: &str) -> Self {
        self.src.set_property_from_str(property, nick);
        self
    }

    /// What follows takes such pictures only.
    pub(crate) fn taking(self, caps: &'static str) -> Self {
        self.shared.taken.set(caps).expect("said once");
        self
    }

    /// In PLAYING.
    pub(crate) fn start(self) -> Self {
        self.play();
        self
    }

    pub(crate) fn play(&self) {
        let result = self.pipeline.set_state(gst::State::Playing);
        assert!(result.is_ok(), "{:?}\n{}", result, self.record().summary());
    }

    pub(crate) fn record(&self) -> MutexGuard<'_, Record> {
        self.shared.lock()
    }

    /// Waits until `done` holds.
    pub(crate) fn until(&self, what: &str, done: impl Fn(&Record) -> bool) {
        assert!(
            self.comes_true(DEADLINE, done),
            "not so in time: {what}\n{}",
            self.record().summary()
        );
    }

    /// Whether `done` holds before `limit` has passed.
    pub(crate) fn comes_true(&self, limit: Duration, done: impl Fn(&Record) -> bool) -> bool {
        let mut record = self.record();
        let deadline = Instant::now() + limit;
        loop {
            if done(&record) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let wait = self.shared.changed.wait_timeout(record, left);
            record = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until picture and sound are steadily of this look, from now on.
    pub(crate) fn until_all_show(&self, look: Look) {
        self.until_show(look, look);
    }

    pub(crate) fn until_show(&self, video: Look, audio: Look) {
        let since = Instant::now();
        self.until(
            &format!("the picture shows {video:?} and the sound {audio:?}"),
            |record| {
                let shows =
                    |name: &str, look| record.output(name).is_some_and(|o| o.shows(look, since));
                shows("video_0", video) && shows("audio_0", audio)
            },
        );
    }

    /// Waits until picture and sound have been of this look, be it for how short.
    pub(crate) fn until_all_have_shown(&self, look: Look) {
        self.until(&format!("all have shown {look:?}"), |record| {
            let have = |name: &str| record.output(name).is_some_and(|o| o.has_shown(look));
            have("video_0") && have("audio_0")
        });
    }

    /// Waits until an output is steadily of this look, from now on.
    pub(crate) fn until_output_shows(&self, name: &str, look: Look) {
        let since = Instant::now();
        self.until(&format!("{name} shows {look:?}"), |record| {
            record
                .output(name)
                .is_some_and(|output| output.shows(look, since))
        });
    }

    /// Until the application was told that the sender of the primary is not who it should be, and why.
    pub(crate) fn until_told_of_an_impostor(&self) {
        self.until("the impostor is told of", |record| {
            let mut states = record.states.iter();
            states.any(|s| {
                s.input == 0 && s.cause == "identity" && s.text.contains("another certificate")
            })
        });
    }

    /// Waits until this many switches have been told.
    pub(crate) fn until_switches(&self, count: usize) {
        self.until(&format!("{count} switches"), |record| {
            record.reports.len() >= count && record.signalled.len() >= count
        });
    }

    /// These and no others have happened. They are told of a moment after they are seen, by the message
    /// first and then by the signal.
    pub(crate) fn check_switches(&self, expected: &[(i32, i32, &str)]) {
        self.until_switches(expected.len());
        let record = self.record();
        let expected: Vec<_> = expected
            .iter()
            .map(|(f, t, c)| (*f, *t, (*c).to_owned()))
            .collect();
        assert_eq!(record.switches(), expected, "\n{}", record.summary());
        let signalled: Vec<_> = record.signalled.iter().map(outline).collect();
        assert_eq!(
            signalled,
            expected,
            "signal and message differ\n{}",
            record.summary()
        );
    }

    /// What must hold of every programme: the same pads from first to last, one stream-start and one
    /// segment each, time that never goes back, and no error.
    pub(crate) fn check_outputs(&self, names: &[&str]) {
        let record = self.record();
        let summary = record.summary();
        assert_eq!(record.names(), names, "{summary}");
        assert!(record.errors.is_empty(), "{summary}");
        for output in &record.outputs {
            assert_eq!(
                output.stream_starts, 1,
                "{}: stream-starts\n{summary}",
                output.name
            );
            assert_eq!(output.segments, 1, "{}: segments\n{summary}", output.name);
            output.check_time(false);
        }
    }

    /// No error has reached the application.
    pub(crate) fn check_no_error(&self) {
        let record = self.record();
        assert!(record.errors.is_empty(), "{}", record.summary());
    }

    /// Checks the outputs, and that stopping takes no time worth speaking of.
    pub(crate) fn finish(self, names: &[&str]) {
        {
            let record = self.record();
            assert!(
                record.removed.is_empty(),
                "{:?} went\n{}",
                record.removed,
                record.summary()
            );
        }
        self.check_outputs(names);
        self.stop();
        assert!(
            self.record().errors.is_empty(),
            "{:?}",
            self.record().errors
        );
    }

    /// As [`Self::finish`], for a programme that was stopped before all its outputs came.
    pub(crate) fn finish_without_outputs(self) {
        self.stop();
        assert!(
            self.record().errors.is_empty(),
            "{:?}",
            self.record().errors
        );
    }

    /// To NULL, which must not hang.
    pub(crate) fn stop(&self) {
        assert!(
            set_state_bounded(&self.pipeline, gst::State::Null),
            "the change to NULL hangs\n{}",
            self.record().summary()
        );
        self.ending.wait(&self.src);
    }

    /// For another run of the same element.
    pub(crate) fn clear(&self) {
        *self.record() = Record::default();
    }

    fn watch_bus(&self) {
        let shared = self.shared.clone();
        let bus = self.pipeline.bus().expect("a bus");
        bus.set_sync_handler(move |_, message| {
            shared.note(|record| note_message(record, message));
            gst::BusSyncReply::Drop
        });
    }

    fn watch_source(&self) {
        let (shared, pipeline) = (self.shared.clone(), self.pipeline.downgrade());
        self.src.connect_pad_added(move |src, pad| {
            if let Some(pipeline) = pipeline.upgrade() {
                view(&pipeline, src, pad, &shared);
            }
        });
        let shared = self.shared.clone();
        self.src.connect_pad_removed(move |_, pad| {
            shared.note(|record| record.removed.push(pad.name().to_string()));
        });
        let shared = self.shared.clone();
        self.src.connect("switched", false, move |args| {
            let report = args[1].get::<gst::Structure>().expect("a report");
            shared.note(|record| record.signalled.push(report));
            None
        });
        let (shared, ending) = (self.shared.clone(), self.ending.clone());
        self.src.connect("configure-source", false, move |args| {
            let input = args[1].get::<i32>().expect("an input");
            let element = args[2].get::<gst::Element>().expect("an element");
            ending.note(&element);
            let kind = element.factory().map(|factory| factory.name().to_string());
            shared.note(|record| record.configured.push((input, kind.unwrap_or_default())));
            None
        });
    }
}

impl Drop for Programme {
    fn drop(&mut self) {
        if !set_state_bounded(&self.pipeline, gst::State::Null) && !std::thread::panicking() {
            panic!("the change to NULL hangs");
        }
    }
}

/// False when the change takes longer than any machine needs; the thread is then left to itself.
pub(crate) fn set_state_bounded(element: &impl IsA<gst::Element>, state: gst::State) -> bool {
    let (done, waiting) = channel();
    let element = element.clone().upcast::<gst::Element>();
    std::thread::spawn(move || {
        let _ = element.set_state(state);
        let _ = done.send(());
    });
    waiting.recv_timeout(Duration::from_secs(20)) != Err(RecvTimeoutError::Timeout)
}
