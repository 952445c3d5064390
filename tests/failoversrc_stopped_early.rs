// SPDX-License-Identifier: MPL-2.0
//! Stopped in its first milliseconds, while its sources bring their pads and its outputs are made: nothing is made,
//! started or announced for a run that is over, and GStreamer has nothing to complain of.
//!
//! `FAILOVER_STOPS` says how often, for a run by hand: `FAILOVER_STOPS=5000 cargo test --test failoversrc_stopped_early`.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

/// A few seconds' worth.
const STOPS: usize = 300;
/// The run is stopped before so many microseconds have passed.
const EARLY: u64 = 8_000;
/// Nobody waits for a handler for longer than half a second; the rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);
/// More than any of this takes; only reached when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const PICTURE: &str = "videotestsrc is-live=true ! video/x-raw,width=32,height=32,framerate=100/1";
const SOUND: &str = "audiotestsrc is-live=true samplesperbuffer=100";

/// What is said of a run: properties, and what follows it.
fn lines() -> Vec<String> {
    let both = format!("{PICTURE} ! identity {SOUND} ! identity");
    let many = format!("{both} {both}");
    let coded =
        format!("{PICTURE} ! x264enc tune=zerolatency speed-preset=ultrafast {SOUND} ! avenc_aac");
    let broken = format!("{PICTURE} ! identity error-after=1 {SOUND} ! identity");
    let nowhere = "file:///nowhere/a.mp4";
    vec![
        format!("primary-source=\"{both}\""),
        format!("primary-source=\"{many}\" backup-source=\"{both}\""),
        format!("primary-source=\"{coded}\" backup-source=\"{both}\""),
        format!("primary-source=\"{coded}\" output=encoded latency=100000000"),
        format!("primary-uri={nowhere} backup-uri={nowhere}"),
        format!("primary-uri={nowhere} backup-source=\"{both}\" slate=hold"),
        format!("primary-source=\"{broken}\" backup-uri={nowhere} slate=none"),
        format!("primary-source=\"{broken}\" backup-source=\"{many}\" standby=cold"),
    ]
}

/// What GLib and GStreamer complain of, in this process.
fn complaints() -> Arc<Mutex<Vec<String>>> {
    static ONCE: Once = Once::new();
    static SAID: Mutex<Option<Arc<Mutex<Vec<String>>>>> = Mutex::new(None);
    ONCE.call_once(|| {
        gst::init().expect("GStreamer");
        gstfailover::plugin_register_static().expect("the plugin");
        let said = Arc::<Mutex<Vec<String>>>::default();
        *SAID.lock().expect("said") = Some(said.clone());
        glib::log_set_default_handler(move |domain, level, text| {
            let is_harmless = matches!(
                level,
                glib::LogLevel::Message | glib::LogLevel::Info | glib::LogLevel::Debug
            );
            if !is_harmless {
                let text = format!("{}: {text}", domain.unwrap_or_default());
                eprintln!("{text}");
                said.lock().expect("said").push(text);
            }
        });
    });
    SAID.lock().expect("said").clone().expect("a list")
}

/// Numbers that look like chance and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A failoversrc in a pipeline, and what was done for it while it was stopped.
struct Run {
    pipeline: gst::Pipeline,
    source: gst::Element,
    stopped: Arc<AtomicBool>,
    late: Arc<Mutex<Vec<String>>>,
}

impl Run {
    fn new(properties: &str) -> Self {
        let pipeline = gst::Pipeline::new();
        let source = gst::parse::launch(&format!("failoversrc {properties}")).expect(properties);
        pipeline.add(&source).expect("added");
        let (stopped, late) = (
            Arc::new(AtomicBool::new(true)),
            Arc::<Mutex<Vec<String>>>::default(),
        );
        let note = {
            let (stopped, late) = (stopped.clone(), late.clone());
            move |what: &str, name: &str| {
                if stopped.load(SeqCst) {
                    late.lock().expect("late").push(format!("{what} {name}"));
                }
            }
        };
        let bin = source.downcast_ref::<gst::Bin>().expect("a bin");
        let tell = note.clone();
        bin.connect_element_added(move |_, child| tell("element", &child.name()));
        let tell = note.clone();
        source.connect_no_more_pads(move |_| tell("no-more-pads", ""));
        let weak = pipeline.downgrade();
        source.connect_pad_added(move |_, pad| {
            note("pad", &pad.name());
            if let Some(pipeline) = weak.upgrade() {
                take(&pipeline, pad);
            }
        });
        Self {
            pipeline,
            source,
            stopped,
            late,
        }
    }

    fn play(&self, dice: &mut Dice) {
        self.stopped.store(false, SeqCst);
        let begun = Instant::now();
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("PLAYING");
        let early = Duration::from_micros(dice.below(EARLY));
        std::thread::sleep(early.saturating_sub(begun.elapsed()));
    }

    /// By one thread or two, by way of PAUSED or not, to READY or to NULL.
    fn stop(&self, dice: &mut Dice) {
        let begun = Instant::now();
        if dice.below(4) == 0 {
            let _ = self.pipeline.set_state(gst::State::Paused);
        }
        let state = if dice.below(4) == 0 {
            gst::State::Ready
        } else {
            gst::State::Null
        };
        let threads = 1 + dice.below(4) / 3;
        let (done, waiting) = channel();
        for _ in 0..threads {
            let (pipeline, done) = (self.pipeline.clone(), done.clone());
            std::thread::spawn(move || {
                let _ = done.send(pipeline.set_state(state));
            });
        }
        for _ in 0..threads {
            waiting
                .recv_timeout(PATIENCE)
                .expect("it stops")
                .expect("a stop");
        }
        self.stopped.store(true, SeqCst);
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
        self.check();
    }

    fn check(&self) {
        let late = self.late.lock().expect("late").clone();
        assert!(late.is_empty(), "made for a run that is over: {late:?}");
        let pads: Vec<_> = self
            .source
            .src_pads()
            .iter()
            .map(|pad| pad.name())
            .collect();
        assert!(pads.is_empty(), "{pads:?}");
        let bin = self.source.downcast_ref::<gst::Bin>().expect("a bin");
        let children: Vec<_> = bin.children().iter().map(|child| child.name()).collect();
        assert_eq!(children, ["switch"]);
    }
}

/// What most applications do with a new pad.
fn take(pipeline: &gst::Pipeline, pad: &gst::Pad) {
    let sink = gst::ElementFactory::make("fakesink")
        .property("async", false)
        .build()
        .expect("fakesink");
    pipeline.add(&sink).expect("added");
    let _ = sink.sync_state_with_parent();
    let _ = pad.link(&sink.static_pad("sink").expect("a pad"));
}

/// Stops it while a handler is held up that hears of this; the stop does not wait for long, and what was about to be
/// made is not made when the handler has come back.
fn held_up(by: &'static str) {
    let said = complaints();
    let run = Run::new(&lines()[1]);
    let (enters, entered) = channel();
    let (go, goes) = channel::<()>();
    let goes = Mutex::new(Some(goes));
    let hang = move |name: &str| {
        if name.starts_with(by)
            && let Some(goes) = goes.lock().expect("goes").take()
        {
            let _ = enters.send(());
            let _ = goes.recv_timeout(PATIENCE);
        }
    };
    let hang = Arc::new(hang);
    let bin = run.source.downcast_ref::<gst::Bin>().expect("a bin");
    let at_element = hang.clone();
    bin.connect_element_added(move |_, child| at_element(&child.name()));
    run.source
        .connect_pad_added(move |_, pad| hang(&format!("pad {}", pad.name())));
    run.stopped.store(false, SeqCst);
    run.pipeline
        .set_state(gst::State::Playing)
        .expect("PLAYING");
    entered.recv_timeout(PATIENCE).expect(by);
    let begun = Instant::now();
    run.pipeline.set_state(gst::State::Null).expect("NULL");
    run.stopped.store(true, SeqCst);
    assert!(begun.elapsed() < AT_ONCE, "{by}: {:?}", begun.elapsed());
    run.check();
    drop(go);
    // For another run it is as ever.
    run.stopped.store(false, SeqCst);
    run.play(&mut Dice(1));
    run.stop(&mut Dice(1));
    let said = said.lock().expect("said").clone();
    assert!(said.is_empty(), "{by}: {said:?}");
}

#[test]
fn a_stop_waits_for_no_handler_that_is_held_up() {
    for by in [
        "video_0-queue",
        "video_0-decode",
        "pad video_0",
        "pad audio_1",
    ] {
        held_up(by);
    }
}

#[test]
fn nothing_is_made_for_a_run_that_is_over() {
    let said = complaints();
    let stops = std::env::var("FAILOVER_STOPS")
        .ok()
        .and_then(|stops| stops.parse().ok());
    let stops = stops.unwrap_or(STOPS);
    let (lines, mut dice, mut count) = (lines(), Dice(stops as u64), 0);
    let mut old: Vec<Run> = Vec::new();
    while count < stops {
        let run = Run::new(&lines[count % lines.len()]);
        for _ in 0..=dice.below(3) {
            run.play(&mut dice);
            run.stop(&mut dice);
            count += 1;
        }
        run.pipeline.set_state(gst::State::Null).expect("NULL");
        // What comes late, comes then.
        old.push(run);
        if old.len() > 8 {
            old.remove(0).check();
        }
    }
    for run in old {
        run.check();
    }
    let said = said.lock().expect("said").clone();
    assert!(said.is_empty(), "{said:?}");
}
