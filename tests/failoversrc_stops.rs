// SPDX-License-Identifier: MPL-2.0
//! How failoversrc ends: stopped from several threads at once, from its own handlers, before anything has
//! come; how a stream of it ends alone; and what may be asked of it while its outputs are made.

#[path = "support/programme/mod.rs"]
mod programme;
mod support {
    pub(crate) mod stuck;
}

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use gst::prelude::*;
use programme::{Look, Programme, both, element, picture};
use support::stuck::{At, Stuck};

/// More than any of this takes; only reached when something hangs.
const PATIENCE: Duration = Duration::from_secs(20);

fn launch(line: &str) -> (gst::Pipeline, gst::Element) {
    programme::init();
    let pipeline = gst::parse::launch(line).expect("a pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("in").expect("in");
    (pipeline, source)
}

#[test]
fn two_threads_may_stop_it_at_once() {
    let (pipeline, source) = launch(
        "failoversrc name=in primary-source=\"videotestsrc is-live=true\" ! fakesink async=false",
    );
    let (enters, entered) = channel();
    let weak = pipeline.downgrade();
    source.connect("switched", false, move |_| {
        let pipeline = weak.upgrade()?;
        let _ = enters.send(());
        let limit = Instant::now() + PATIENCE;
        // Until the other thread has begun to.
        while pipeline.current_state() == gst::State::Playing && Instant::now() < limit {
            std::thread::yield_now();
        }
        let _ = pipeline.set_state(gst::State::Null);
        None
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    entered.recv_timeout(PATIENCE).expect("it goes on air");
    let stopped = programme::set_state_bounded(&pipeline, gst::State::Null);
    assert!(stopped, "each waits for the other");
}

#[test]
fn an_input_that_is_given_up_keeps_its_clock_until_it_is_stopped() {
    programme::init();
    let (primary, gate) = Stuck::new(At::Stop);
    let failover = gst::ElementFactory::make("failoversrc")
        .property("primary-source", &primary)
        .property("startup-timeout", 200_000_000u64)
        .build();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&failover.expect("failoversrc")).expect("room");
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    gate.wait_until_stuck(PATIENCE);
    // Its threads may still wait with it.
    assert!(primary.clock().is_some(), "its clock was taken");
    gate.open();
    pipeline.set_state(gst::State::Null).expect("NULL");
}

#[test]
fn once_it_is_stopped_no_attempt_begins() {
    let (pipeline, source) = launch(
        "failoversrc name=in primary-uri=file:///nowhere/a.mp4 retry-initial=100000000 \
         retry-max=100000000 ! fakesink",
    );
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    source.connect("configure-source", false, move |_| {
        counter.fetch_add(1, SeqCst);
        None
    });
    let (tell, told) = channel();
    let weak = pipeline.downgrade();
    source.connect("input-state-changed", false, move |values| {
        if values.get(3)?.get::<String>().ok()? == "down" {
            // An application that takes its time: the next attempt is due meanwhile.
            std::thread::sleep(Duration::from_millis(400));
            let _ = weak.upgrade()?.set_state(gst::State::Null);
            let _ = tell.send(());
        }
        None
    });
    for run in 1..4 {
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        told.recv_timeout(PATIENCE).expect("it fails");
        assert_eq!(begun.load(SeqCst), run);
    }
}

#[test]
fn it_may_be_stopped_while_an_output_is_made() {
    let (pipeline, _) = launch(&format!(
        "failoversrc name=in primary-uri={} startup-timeout=100000000 ! fakesink async=false",
        nowhere()
    ));
    let (tell, told) = channel();
    let weak = pipeline.downgrade();
    pipeline.connect("deep-element-added", false, move |values| {
        let element = values.get(2)?.get::<gst::Element>().ok()?;
        if element.name().ends_with("-queue") {
            let _ = weak.upgrade()?.set_state(gst::State::Null);
            let _ = tell.send(());
        }
        None
    });
    for _ in 0..2 {
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        told.recv_timeout(PATIENCE).expect("it hangs");
        assert!(programme::set_state_bounded(&pipeline, gst::State::Null));
    }
}

#[test]
fn a_position_is_answered_however_it_stands() {
    let (pipeline, source) = launch(
        "failoversrc name=in primary-source=\"videotestsrc is-live=true ! x264enc tune=zerolatency\" \
         ! fakesink name=out signal-handoffs=true",
    );
    let (tell, flows) = channel();
    let out = pipeline.by_name("out").expect("out");
    out.connect("handoff", false, move |_| {
        let _ = tell.send(());
        None
    });
    let (asked, answers) = channel();
    let ask = move |source: &gst::Element| {
        let position = source.query_position::<gst::ClockTime>();
        let _ = asked.send(position);
    };
    let on_removed = ask.clone();
    source.connect_pad_removed(move |source, _| on_removed(source));
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    for _ in 0..3 {
        flows.recv_timeout(PATIENCE).expect("pictures");
    }
    ask(&source);
    let position = answers.recv().expect("an answer");
    assert!(position > Some(gst::ClockTime::ZERO), "{position:?}");
    // GLib's own complaints end the test.
    gst::glib::log_set_always_fatal(
        gst::glib::LogLevels::LEVEL_CRITICAL | gst::glib::LogLevels::LEVEL_ERROR,
    );
    assert!(programme::set_state_bounded(&pipeline, gst::State::Null));
}

#[test]
fn anything_may_be_asked_while_an_output_is_made() {
    let (pipeline, source) = launch(
        "failoversrc name=in primary-source=\"videotestsrc is-live=true\" ! fakesink name=out signal-handoffs=true",
    );
    let (tell, flows) = channel();
    let out = pipeline.by_name("out").expect("out");
    out.connect("handoff", false, move |_| {
        let _ = tell.send(());
        None
    });
    let weak = source.downgrade();
    pipeline.connect("deep-element-added", false, move |_| {
        let source = weak.upgrade()?;
        source.property::<gst::Structure>("stats");
        source.set_property_from_str("slate", "hold");
        source.set_property("latency", 0u64);
        None
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let outcome = flows.recv_timeout(PATIENCE);
    assert!(outcome.is_ok(), "nothing flows");
    assert!(programme::set_state_bounded(&pipeline, gst::State::Null));
}

/// An address where nobody is.
fn nowhere() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    format!("rtmp://127.0.0.1:{port}/live/x")
}

/// A recording of `in`.
fn recorder(properties: &str) -> (gst::Pipeline, gst::Element) {
    let (picture, sound) = match properties.contains("output=encoded") {
        true => ("h264parse", "aacparse"),
        false => ("videoconvert ! x264enc", "audioconvert ! avenc_aac"),
    };
    launch(&format!(
        "failoversrc name=in primary-uri={} {properties} matroskamux name=m ! fakesink \
         in.video_0 ! queue ! {picture} ! m. in.audio_0 ! queue ! {sound} ! m.",
        nowhere()
    ))
}

fn until_its_end(pipeline: &gst::Pipeline) -> gst::MessageType {
    let bus = pipeline.bus().expect("a bus");
    let limit = gst::ClockTime::try_from(PATIENCE).expect("a time");
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(limit, &ends);
    assert!(programme::set_state_bounded(pipeline, gst::State::Null));
    end.expect("an end").type_()
}

#[test]
fn a_recording_ends_before_anything_has_come() {
    for properties in ["slate=black", "slate=none", "output=encoded"] {
        let (pipeline, _) = recorder(properties);
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        pipeline.send_event(gst::event::Eos::new());
        assert_eq!(
            until_its_end(&pipeline),
            gst::MessageType::Eos,
            "{properties}"
        );
    }
}

#[test]
fn a_recording_of_nothing_but_slate_ends() {
    let (pipeline, source) = recorder("startup-timeout=100000000");
    let (tell, fills) = channel();
    source.connect_pad_added(move |_, pad| {
        let tell = tell.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = tell.send(());
            gst::PadProbeReturn::Ok
        });
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    fills.recv_timeout(PATIENCE).expect("a slate");
    pipeline.send_event(gst::event::Eos::new());
    assert_eq!(until_its_end(&pipeline), gst::MessageType::Eos);
}

#[test]
fn a_sound_that_ends_alone_is_followed_by_silence() {
    let primary = element(&format!(
        "{} audiotestsrc is-live=true num-buffers=40 samplesperbuffer=1024 freq={} ! \
         audio/x-raw,format=S16LE,rate=44100,channels=2,layout=interleaved ! identity",
        picture(Look::Primary),
        Look::Primary.tone()
    ));
    let programme = Programme::new()
        .set("primary-source", primary)
        .set("backup-source", both(Look::Backup))
        .start();
    programme.until_all_have_shown(Look::Primary);
    programme.until_show(Look::Primary, Look::Slate);
    programme.check_switches(&[(-1, 0, "startup")]);
    programme.finish(&["audio_0", "video_0"]);
}
