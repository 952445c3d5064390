// SPDX-License-Identifier: MPL-2.0
//! A programme: a pipeline around one `failoversrc` that keeps a record of all that comes out of it
//! and waits for things to happen. Inputs are told apart by colour and tone.
//!
//! Owns the pipeline, its sinks and the record. Knows nothing of where the inputs come from. Waits
//! for conditions with a deadline, never for time to pass.

// Every test takes the part that it needs.
#![allow(dead_code)]

use std::fmt::Write;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

pub(crate) const MS: u64 = 1_000_000;

/// Far more than anything takes; a busy machine is no failure.
const DEADLINE: Duration = Duration::from_secs(40);
/// What has to look the same before a picture counts as seen.
const STEADY: usize = 4;

/// Which input a buffer shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    Primary,
    Backup,
    Third,
    /// Black, or silence.
    Slate,
    Other,
}

impl Look {
    /// The colour, as `0xRRGGBB`.
    pub(crate) fn colour(self) -> u32 {
        match self {
            Self::Primary => 0xd0_1010,
            Self::Backup => 0x10_b010,
            Self::Third => 0x10_10d0,
            Self::Slate => 0,
            Self::Other => 0xff_ffff,
        }
    }

    /// The tone, in Hz.
    pub(crate) fn tone(self) -> u32 {
        match self {
            Self::Primary => 440,
            Self::Backup => 880,
            Self::Third => 1760,
            Self::Slate | Self::Other => 0,
        }
    }
}

/// One buffer, as it left the element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    pub(crate) arrival: Instant,
    pub(crate) pts: Option<gst::ClockTime>,
    pub(crate) dts: Option<gst::ClockTime>,
    pub(crate) delta_unit: bool,
    pub(crate) discont: bool,
}

/// One buffer, as a viewer got it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) arrival: Instant,
    pub(crate) look: Look,
}

/// What came out of one pad.
#[derive(Default)]
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) segments: usize,
    pub(crate) stream_starts: usize,
    pub(crate) eos: bool,
    pub(crate) caps: Vec<gst::Caps>,
    pub(crate) passed: Vec<Passed>,
    pub(crate) seen: Vec<Seen>,
}

impl Output {
    fn shows(&self, look: Look, since: Instant) -> bool {
        let last = self.seen.iter().rev().take(STEADY);
        self.seen.len() >= STEADY && last.clone().all(|s| s.look == look && s.arrival > since)
    }

    /// The longest time without a buffer, from the last one before `since` on.
    pub(crate) fn longest_gap(&self, since: Instant) -> Duration {
        let first = self
            .passed
            .iter()
            .rposition(|p| p.arrival < since)
            .unwrap_or(0);
        let pairs = self.passed[first..].windows(2);
        pairs
            .map(|pair| pair[1].arrival - pair[0].arrival)
            .max()
            .unwrap_or_default()
    }

    pub(crate) fn has_shown(&self, look: Look) -> bool {
        self.seen.iter().any(|seen| seen.look == look)
    }

    fn check_time(&self, reordered: bool) {
        let mut last = (gst::ClockTime::ZERO, gst::ClockTime::ZERO);
        for (index, passed) in self.passed.iter().enumerate() {
            let pts = passed
                .pts
                .unwrap_or_else(|| panic!("{}: buffer {index} has no PTS", self.name));
            let dts = passed.dts.unwrap_or(last.1);
            assert!(
                reordered || pts >= last.0,
                "{}: PTS {pts} after {} at {index}",
                self.name,
                last.0
            );
            assert!(
                dts >= last.1,
                "{}: DTS {dts} after {} at {index}",
                self.name,
                last.1
            );
            last = (pts, dts);
        }
    }
}

/// A change of an input's health, as the message told it.
#[derive(Clone, Debug)]
pub(crate) struct InputState {
    pub(crate) input: i32,
    pub(crate) old: String,
    pub(crate) new: String,
    pub(crate) cause: String,
    pub(crate) text: String,
}

/// All that came out, and all that was told.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) outputs: Vec<Output>,
    pub(crate) removed: Vec<String>,
    /// Reports from the message `failover-switched`.
    pub(crate) reports: Vec<gst::Structure>,
    /// Reports from the signal `switched`.
    pub(crate) signalled: Vec<gst::Structure>,
    pub(crate) states: Vec<InputState>,
    /// The signal `configure-source`: one for each attempt.
    pub(crate) configured: Vec<(i32, String)>,
    pub(crate) errors: Vec<String>,
    pub(crate) warnings: Vec<String>,
    /// Everything else on the bus, as text.
    pub(crate) messages: Vec<String>,
    pub(crate) eos: bool,
}

impl Record {
    /// (from, to, cause) of every switch.
    pub(crate) fn switches(&self) -> Vec<(i32, i32, String)> {
        self.reports.iter().map(outline).collect()
    }

    pub(crate) fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self
            .outputs
            .iter()
            .map(|output| output.name.as_str())
            .collect();
        names.sort_unstable();
        names
    }

    pub(crate) fn told(&self, input: i32, new: &str) -> bool {
        self.states
            .iter()
            .any(|state| state.input == input && state.new == new)
    }

    pub(crate) fn attempts(&self, input: i32) -> usize {
        self.configured
            .iter()
            .filter(|(of, _)| *of == input)
            .count()
    }

    fn summary(&self) -> String {
        let mut text = String::new();
        for output in &self.outputs {
            let looks: Vec<_> = output
                .seen
                .iter()
                .rev()
                .take(8)
                .map(|seen| seen.look)
                .collect();
            let _ = writeln!(
                text,
                "  {}: {} buffers, last first: {looks:?}, eos {}, caps {:?}",
                output.name,
                output.passed.len(),
                output.eos,
                output.caps.last()
            );
        }
        let _ = writeln!(text, "  switches {:?}", self.switches());
        for state in &self.states {
            let _ = writeln!(text, "  {state:?}");
        }
        let _ = writeln!(text, "  errors {:?}\n  eos {}", self.errors, self.eos);
        text
    }
}

fn outline(report: &gst::Structure) -> (i32, i32, String) {
    let number = |field| report.get::<i32>(field).expect("a number");
    let cause = report.get::<String>("cause").expect("a cause");
    (number("from"), number("to"), cause)
}

#[derive(Default)]
struct Shared {
    record: Mutex<Record>,
    changed: Condvar,
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

    /// Waits until an output is steadily of this look, from now on.
    pub(crate) fn until_output_shows(&self, name: &str, look: Look) {
        let since = Instant::now();
        self.until(&format!("{name} shows {look:?}"), |record| {
            record
                .output(name)
                .is_some_and(|output| output.shows(look, since))
        });
    }

    /// Waits until this many switches have been told.
    pub(crate) fn until_switches(&self, count: usize) {
        self.until(&format!("{count} switches"), |record| {
            record.reports.len() >= count && record.signalled.len() >= count
        });
    }

    pub(crate) fn check_switches(&self, expected: &[(i32, i32, &str)]) {
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
        let shared = self.shared.clone();
        self.src.connect("configure-source", false, move |args| {
            let input = args[1].get::<i32>().expect("an input");
            let element = args[2].get::<gst::Element>().expect("an element");
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

fn note_message(record: &mut Record, message: &gst::Message) {
    match message.view() {
        gst::MessageView::Error(error) => {
            let debug = error.debug().unwrap_or_default();
            record.errors.push(format!("{} ({debug})", error.error()));
        }
        gst::MessageView::Warning(warning) => record.warnings.push(warning.error().to_string()),
        gst::MessageView::Eos(_) => record.eos = true,
        gst::MessageView::Element(element) => {
            let Some(structure) = element.structure() else {
                return;
            };
            record.messages.push(structure.to_string());
            match structure.name().as_str() {
                "failover-switched" => record.reports.push(structure.to_owned()),
                "failover-input-state" => record.states.push(input_state(structure)),
                _ => (),
            }
        }
        _ => {
            let structure = message.structure().map(|s| s.to_string());
            record.messages.extend(structure);
        }
    }
}

fn input_state(structure: &gst::StructureRef) -> InputState {
    let text = |field| structure.get::<String>(field).unwrap_or_default();
    InputState {
        input: structure.get("input").expect("an input"),
        old: text("old"),
        new: text("new"),
        cause: text("cause"),
        text: text("text"),
    }
}

/// Sinks for a new pad: first the buffer as it is, then what it shows.
fn view(pipeline: &gst::Pipeline, src: &gst::Element, pad: &gst::Pad, shared: &Arc<Shared>) {
    let name = pad.name().to_string();
    let is_video = name.starts_with("video");
    let output = src.property_value("output");
    let encoded = output.transform::<String>().is_ok_and(|o| {
        o.get::<String>()
            .is_ok_and(|o| o.contains("Parsed") || o.contains("ncoded"))
    });
    let decode = match (encoded, is_video) {
        (false, _) => "identity",
        (true, true) => "avdec_h264",
        (true, false) => "avdec_aac",
    };
    let convert = match is_video {
        true => "videoconvert ! video/x-raw,format=RGB",
        false => "audioconvert ! audio/x-raw,format=S16LE,channels=1,layout=interleaved",
    };
    let description = format!("{decode} ! {convert} ! fakesink name=last sync=false async=false");
    let bin = gst::parse::bin_from_description(&description, true).expect("sinks");
    pipeline.add(&bin).expect("added");
    let first = bin.static_pad("sink").expect("a pad");
    let index = {
        let mut record = shared.lock();
        record.outputs.push(Output {
            name,
            ..Output::default()
        });
        record.outputs.len() - 1
    };
    record_passed(&first, index, shared);
    let last = bin
        .by_name("last")
        .and_then(|sink| sink.static_pad("sink"))
        .expect("a pad");
    record_seen(&last, index, shared);
    bin.sync_state_with_parent().expect("sinks run");
    pad.link(&first).expect("linked");
    shared.changed.notify_all();
}

fn record_passed(pad: &gst::Pad, index: usize, shared: &Arc<Shared>) {
    let shared = shared.clone();
    let mask = gst::PadProbeType::EVENT_DOWNSTREAM
        | gst::PadProbeType::BUFFER
        | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(mask, move |_, info| {
        shared.note(|record| {
            // Another run of the element may have begun.
            let Some(output) = record.outputs.get_mut(index) else {
                return;
            };
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => output.passed.push(passed(buffer)),
                Some(gst::PadProbeData::BufferList(list)) => {
                    output.passed.extend(list.iter().map(passed));
                }
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::StreamStart(_) => output.stream_starts += 1,
                    gst::EventView::Segment(_) => output.segments += 1,
                    gst::EventView::Caps(caps) => output.caps.push(caps.caps_owned()),
                    gst::EventView::Eos(_) => output.eos = true,
                    _ => (),
                },
                _ => (),
            }
        });
        gst::PadProbeReturn::Ok
    });
}

fn passed(buffer: &gst::BufferRef) -> Passed {
    Passed {
        arrival: Instant::now(),
        pts: buffer.pts(),
        dts: buffer.dts(),
        delta_unit: buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        discont: buffer.flags().contains(gst::BufferFlags::DISCONT),
    }
}

fn record_seen(pad: &gst::Pad, index: usize, shared: &Arc<Shared>) {
    let shared = shared.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let look = info.buffer().zip(pad.current_caps()).map(|(buffer, caps)| {
            match gst_video::VideoInfo::from_caps(&caps) {
                Ok(video) => look_of_picture(buffer, &video),
                Err(_) => look_of_sound(buffer, &caps),
            }
        });
        let seen = Seen {
            arrival: Instant::now(),
            look: look.unwrap_or(Look::Other),
        };
        shared.note(|record| {
            if let Some(output) = record.outputs.get_mut(index) {
                output.seen.push(seen);
            }
        });
        gst::PadProbeReturn::Ok
    });
}

/// By the upper left corner, where nothing is written.
fn look_of_picture(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Look {
    let Ok(map) = buffer.map_readable() else {
        return Look::Other;
    };
    let stride = usize::try_from(info.stride()[0]).unwrap_or(0);
    let at = (info.height() as usize / 16) * stride + (info.width() as usize / 16) * 3;
    match map.get(at..at + 3) {
        Some(&[r, g, b]) => look_of_colour(r.into(), g.into(), b.into()),
        _ => Look::Other,
    }
}

fn look_of_colour(r: i32, g: i32, b: i32) -> Look {
    match (r, g, b) {
        _ if r.max(g).max(b) < 48 => Look::Slate,
        _ if r > g + 60 && r > b + 60 => Look::Primary,
        _ if g > r + 60 && g > b + 60 => Look::Backup,
        _ if b > r + 60 && b > g + 60 => Look::Third,
        _ => Look::Other,
    }
}

/// By how often it crosses zero.
fn look_of_sound(buffer: &gst::BufferRef, caps: &gst::CapsRef) -> Look {
    let rate = caps
        .structure(0)
        .and_then(|s| s.get::<i32>("rate").ok())
        .unwrap_or(0);
    let Ok(map) = buffer.map_readable() else {
        return Look::Other;
    };
    let bytes = map.chunks_exact(2);
    let samples: Vec<i16> = bytes.map(|b| i16::from_le_bytes([b[0], b[1]])).collect();
    if samples.iter().all(|sample| sample.unsigned_abs() < 200) {
        return Look::Slate;
    }
    let crossings = samples
        .windows(2)
        .filter(|pair| (pair[0] < 0) != (pair[1] < 0))
        .count();
    let hz = crossings as f64 * f64::from(rate) / samples.len() as f64 / 2.0;
    let is = |look: &Look| (hz / f64::from(look.tone()) - 1.0).abs() < 0.25;
    let looks = [Look::Primary, Look::Backup, Look::Third];
    looks.into_iter().find(is).unwrap_or(Look::Other)
}

/// A live picture in gst-launch syntax.
pub(crate) fn picture(look: Look) -> String {
    format!(
        "videotestsrc is-live=true pattern=solid-color foreground-color={} ! \
         video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! identity",
        0xff00_0000 | look.colour()
    )
}

/// A live tone in gst-launch syntax.
pub(crate) fn tone(look: Look) -> String {
    format!(
        "audiotestsrc is-live=true samplesperbuffer=1024 freq={} ! \
         audio/x-raw,format=S16LE,rate=44100,channels=2,layout=interleaved ! identity",
        look.tone()
    )
}

/// What an application would hand over.
pub(crate) fn element(description: &str) -> gst::Element {
    init();
    gst::parse::bin_from_description(description, true)
        .expect("a valid description")
        .upcast()
}

/// Both, as an element.
pub(crate) fn both(look: Look) -> gst::Element {
    element(&format!("{} {}", picture(look), tone(look)))
}

/// Both, each behind a valve: `picture` and `sound`.
pub(crate) fn gated(look: Look) -> gst::Element {
    let valve = "valve drop-mode=forward-sticky-events name=";
    element(&format!(
        "{} ! {valve}picture {} ! {valve}sound",
        picture(look),
        tone(look)
    ))
}

/// Opens or closes a valve.
pub(crate) fn open(gated: &gst::Element, valve: &str, open: bool) {
    let bin = gated.downcast_ref::<gst::Bin>().expect("a bin");
    let valve = bin.by_name(valve).expect("a valve");
    valve.set_property("drop", !open);
}
