// SPDX-License-Identifier: MPL-2.0
//! What is said in a thread that nobody waits for: the pipeline that it is said to lives until it has
//! been said, however early the application drops it.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

const PATIENCE: Duration = Duration::from_secs(20);
/// Nobody answers there.
const NOBODY: &str = "whep://127.0.0.1:1/whep";

/// A message that is being said, until it is let go.
struct Said {
    begun: Receiver<()>,
    go_on: Sender<()>,
}

/// Holds the first message of a kind up that is said in a thread whose name begins so.
fn hold_up(pipeline: &gst::Pipeline, kind: gst::MessageType, thread: &'static str) -> Said {
    let (begin, begun) = channel();
    let (go_on, wait) = channel();
    let held = Mutex::new(Some((begin, wait)));
    let bus = pipeline.bus().expect("a bus");
    bus.set_sync_handler(move |_, message| {
        if message.type_() == kind && name_of_this_thread().starts_with(thread) {
            let first = held.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((begin, wait)) = first {
                let _ = begin.send(());
                let _ = wait.recv_timeout(PATIENCE);
            }
        }
        gst::BusSyncReply::Pass
    });
    Said { begun, go_on }
}

/// Of threads that others started as well.
fn name_of_this_thread() -> String {
    std::fs::read_to_string("/proc/thread-self/comm").unwrap_or_default()
}

/// The pipeline ends and is dropped in the middle of a message.
fn check(description: &str, kind: gst::MessageType, thread: &'static str) {
    gst::init().expect("GStreamer");
    gstfailover::plugin_register_static().expect("the plugin");
    let pipeline = gst::Pipeline::new();
    let inside = gst::parse::bin_from_description(description, false).expect("elements");
    pipeline.add(&inside).expect("room");
    drop(inside);
    let said = hold_up(&pipeline, kind, thread);
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    said.begun.recv_timeout(PATIENCE).expect("a message");
    pipeline.set_state(gst::State::Null).expect("NULL");
    let weak = pipeline.downgrade();
    drop(pipeline);
    assert!(weak.upgrade().is_some(), "gone while it is spoken to");
    said.go_on.send(()).expect("somebody who waits");
    until("it stays for ever", || weak.upgrade().is_none());
    // A process that exits under threads of webrtcbin may crash in the destructors of their libraries.
    until("threads that do not stop", || {
        !threads().any(|name| name.starts_with("webrtc"))
    });
}

fn until(complaint: &str, is_so: impl Fn() -> bool) {
    let limit = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < limit, "{complaint}");
        std::thread::yield_now();
    }
}

/// The names of this process's threads, those that others started as well.
fn threads() -> impl Iterator<Item = String> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("the threads");
    tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
}

#[test]
fn of_a_webrtc_session() {
    check(
        &format!("webrtcplaysrc uri={}", NOBODY),
        gst::MessageType::Error,
        "webrtcplay:",
    );
}

#[test]
fn of_a_source_within_failoversrc() {
    let description = format!("failoversrc primary-uri={}", NOBODY);
    check(&description, gst::MessageType::Latency, "webrtcbin");
}

#[test]
fn of_the_wake_up_of_failoverswitch() {
    let description = "failoverswitch name=s timeout=100000000 ! fakesink async=false \
                       videotestsrc is-live=true num-buffers=3 ! funnel name=f ! s.sink_0 \
                       appsrc is-live=true ! f.";
    check(description, gst::MessageType::Element, "GstSystemClock");
}
