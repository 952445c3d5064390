// SPDX-License-Identifier: MPL-2.0
//! What a hundred WebRTC sessions leave behind, a third of them ended in the middle of their
//! negotiation: nothing. GStreamer's leaks tracer is set up before anything else in a process, so the
//! story is told by a child of the test.

#[path = "support/lab/mod.rs"]
mod lab;

mod support {
    pub(crate) mod leaks;
}

use std::time::{Duration, Instant};

use gst::prelude::*;
use lab::WhepServer;
use support::leaks;

const AT_ONCE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(20);
const SESSIONS: usize = 100;

#[test]
fn a_hundred_sessions_leave_nothing() {
    leaks::in_a_child("tell_of_a_hundred_sessions");
}

#[test]
#[ignore = "run by the test before it, in a process of its own"]
fn tell_of_a_hundred_sessions() {
    let server = WhepServer::start().expect("a WHEP server");
    let mut number = 0;
    leaks::without_a_leak(SESSIONS, &[], || {
        // At the start, while the offer is made, after it was posted; else when media flows.
        let end_after = [
            Some(0),
            None,
            None,
            Some(150),
            None,
            None,
            Some(600),
            None,
            None,
        ];
        session(&server, end_after[number % end_after.len()]);
        number += 1;
    });
    let is_over = || server.sessions().is_ok_and(|sessions| sessions == 0);
    assert!(
        lab::poll_until(PATIENCE, is_over),
        "the server was left with sessions"
    );
}

/// Plays until a picture has come, or for so many milliseconds.
fn session(server: &WhepServer, end_after: Option<u64>) {
    let src = gst::ElementFactory::make("webrtcplaysrc")
        .property("uri", server.url())
        .build()
        .expect("webrtcplaysrc");
    let (came, first) = std::sync::mpsc::channel();
    src.connect_pad_added(move |_, pad| {
        let came = came.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = came.send(());
            gst::PadProbeReturn::Remove
        });
    });
    let pipeline = gst::Pipeline::new();
    pipeline.add(&src).expect("room");
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    match end_after {
        Some(millis) => {
            let _ = first.recv_timeout(Duration::from_millis(millis));
        }
        None => first.recv_timeout(PATIENCE).expect("media"),
    }
    let begun = Instant::now();
    pipeline.set_state(gst::State::Null).expect("NULL");
    let took = begun.elapsed();
    assert!(took < AT_ONCE, "it took {took:?} to stop");
}
