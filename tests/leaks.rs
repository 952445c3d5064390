// SPDX-License-Identifier: MPL-2.0
//! What `failoversrc` leaves behind: nothing, wherever it is stopped; and being stopped takes no time,
//! even while a source hangs. GStreamer's leaks tracer is set up before anything else in a process,
//! so each story is told by a child of the test: this binary again, with one of its ignored tests.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use gst::prelude::*;

mod support {
    pub(crate) mod leaks;
    pub(crate) mod stuck;
}
use support::leaks::{in_a_child, without_a_leak};
use support::stuck::{At, Stuck};

const ROUNDS: usize = 50;
/// rtmp2src 1.22 loses itself, its pad and its task in one of a few thousand stops while connecting,
/// in any pipeline. A leak of ours would leave more than that in so many rounds.
const LOST_BY_RTMP2SRC: [(&str, i64); 3] = [("GstRtmp2Src", 2), ("GstPad", 2), ("GstTask", 2)];
/// The most that going to NULL may take.
const AT_ONCE: Duration = Duration::from_secs(1);
/// For what has no limit of its own: far beyond what a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

const PICTURES: &str = "videotestsrc is-live=true \
    ! video/x-raw,width=32,height=32,framerate=100/1 ! identity";

macro_rules! stories {
    ($($name:ident => $story:expr;)*) => {
        $(#[test]
        fn $name() {
            in_a_child(concat!("stories::", stringify!($name)));
        })*

        mod stories {
            use super::*;
            $(#[test]
            #[ignore = "run by the test of the same name, in a process of its own"]
            fn $name() {
                without_a_leak(ROUNDS, &LOST_BY_RTMP2SRC, $story);
            })*
        }
    };
}

stories! {
    good_sources_leave_nothing => || {
        play(&[("primary-source", PICTURES), ("backup-source", PICTURES)], a_picture);
    };
    a_primary_that_fails_at_once_leaves_nothing => || {
        let broken = format!("{PICTURES} ! identity error-after=1");
        play(&[("primary-source", &broken), ("backup-source", PICTURES)], a_picture);
    };
    a_refused_connection_leaves_nothing => || {
        let nobody = format!("rtmp://127.0.0.1:{}/live/stream", unused_port());
        play(&[("primary-uri", &nobody), ("backup-source", PICTURES)], a_picture);
    };
    a_missing_file_leaves_nothing => || {
        let missing = "file:///nonexistent/film.mp4";
        play(&[("primary-uri", missing), ("backup-source", PICTURES)], a_picture);
    };
    an_end_half_way_leaves_nothing => || {
        let short = PICTURES.replace("is-live=true", "is-live=true num-buffers=3");
        play(&[("primary-source", &short), ("backup-source", PICTURES)], a_switch);
    };
    a_stop_while_connecting_leaves_nothing => || {
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let uri = uri_of(&silent);
        play(&[("primary-uri", &uri), ("backup-uri", &uri)], |_, _| drop(accepted(&silent)));
    };
    the_slate_of_two_dead_inputs_leaves_nothing => || {
        let missing = "file:///nonexistent/film.mp4";
        play(&[("primary-uri", missing), ("backup-uri", missing)], a_picture);
    };
    a_source_that_hangs_in_its_start_leaves_nothing => || hang(At::Start);
    a_source_that_hangs_in_its_stop_leaves_nothing => || hang(At::Stop);
}

/// Plays until something has happened, and stops. What `until` gets: the pipeline, and word of the
/// first buffer that went out.
fn play(settings: &[(&str, &str)], until: impl FnOnce(&gst::Pipeline, &mpsc::Receiver<()>)) {
    let failover = gst::ElementFactory::make("failoversrc")
        .build()
        .expect("failoversrc");
    for (name, value) in settings {
        set(&failover, name, value);
    }
    play_with(&failover, until);
}

/// As gst-launch does: where an element is wanted, the text describes one.
fn set(failover: &gst::Element, name: &str, value: &str) {
    if name.ends_with("-source") {
        let source = gst::parse::bin_from_description(value, true).expect("a description");
        failover.set_property(name, source);
    } else {
        failover.set_property(name, value);
    }
}

fn play_with(failover: &gst::Element, until: impl FnOnce(&gst::Pipeline, &mpsc::Receiver<()>)) {
    failover.set_property("timeout", 200_000_000u64);
    let pipeline = gst::Pipeline::new();
    pipeline.add(failover).expect("room for failoversrc");
    let (sent, first) = mpsc::channel();
    failover.connect_pad_added(move |failover, pad| {
        let sink = gst::ElementFactory::make("fakesink")
            .property("async", false)
            .build()
            .expect("fakesink");
        let pipeline = failover.parent().and_downcast::<gst::Pipeline>();
        pipeline
            .expect("a pipeline")
            .add(&sink)
            .expect("room for a sink");
        sink.sync_state_with_parent().expect("a running sink");
        let target = sink.static_pad("sink").expect("its pad");
        let sent = sent.clone();
        target.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = sent.send(());
            gst::PadProbeReturn::Remove
        });
        pad.link(&target).expect("a link");
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    until(&pipeline, &first);
    let begun = Instant::now();
    pipeline.set_state(gst::State::Null).expect("NULL");
    let took = begun.elapsed();
    assert!(took < AT_ONCE, "it took {took:?} to stop");
}

fn a_picture(_: &gst::Pipeline, first: &mpsc::Receiver<()>) {
    first.recv_timeout(PATIENCE).expect("a picture");
}

fn a_switch(pipeline: &gst::Pipeline, _: &mpsc::Receiver<()>) {
    let bus = pipeline.bus().expect("a bus");
    let limit = Instant::now() + PATIENCE;
    let is_switch = |message: &gst::Message| {
        let told = message.structure();
        told.is_some_and(|s| s.name() == "failover-switched" && s.get("to") == Ok(1))
    };
    let mut heard = Vec::new();
    loop {
        let left = limit.saturating_duration_since(Instant::now());
        let left = gst::ClockTime::try_from(left).expect("a short time");
        let types = [gst::MessageType::Element, gst::MessageType::Error];
        let Some(message) = bus.timed_pop_filtered(left, &types) else {
            panic!("no switch to the backup, but {heard:#?}");
        };
        if is_switch(&message) {
            return;
        }
        heard.push(message.structure().map(ToString::to_string));
    }
}

/// The primary hangs in a state change, for as long as the pipeline is there and beyond.
fn hang(at: At) {
    let (primary, gate) = Stuck::new(at);
    let failover = gst::ElementFactory::make("failoversrc")
        .property("primary-source", &primary)
        .build()
        .expect("failoversrc");
    drop(primary);
    set(&failover, "backup-source", PICTURES);
    failover.set_property("startup-timeout", 200_000_000u64);
    play_with(&failover, |pipeline, first| {
        a_picture(pipeline, first);
        if at == At::Start {
            gate.wait_until_stuck(PATIENCE);
        }
    });
    drop(failover);
    gate.open();
}

/// A port that nobody listens on.
fn unused_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

fn uri_of(listener: &TcpListener) -> String {
    let address = listener.local_addr().expect("an address");
    format!("rtmp://{address}/live/stream")
}

fn accepted(listener: &TcpListener) -> TcpStream {
    let (peer, _) = listener.accept().expect("somebody who connects");
    peer
}
