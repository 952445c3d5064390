// SPDX-License-Identifier: MPL-2.0
//! Stories that are told again and again in a process of their own, with the leaks tracer in it, and
//! what is alive after them.

use std::collections::BTreeMap;
use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// Caches and pools of GStreamer fill up in the first rounds.
const WARM_UP: usize = 3;
/// Idle threads that GLib keeps for the next who asks.
const POOLED_THREADS: usize = 8;
/// For what is still on its way to stop.
const PATIENCE: Duration = Duration::from_secs(20);
const STORY: Duration = Duration::from_secs(300);

/// Runs a story again and again, and counts what is alive after it.
///
/// `lost`: what GStreamer itself is known to lose, by type, and how much of it at most.
pub(crate) fn without_a_leak(rounds: usize, lost: &[(&str, i64)], mut round: impl FnMut()) {
    gst::init().expect("GStreamer");
    gstfailover::plugin_register_static().expect("the plugin");
    // One allocator serves every memory that is made of a slice, from the first one to the end.
    drop(gst::Memory::from_slice([0u8]));
    (0..WARM_UP).for_each(|_| round());
    let threads = threads() + POOLED_THREADS;
    let mut objects = Objects::track();
    (0..rounds).for_each(|_| round());
    // What was told to stop may still be about it, in a thread of its own.
    let limit = Instant::now() + PATIENCE;
    loop {
        let (left, running) = (objects.more(lost), self::threads());
        if left.is_empty() && running <= threads {
            return;
        }
        assert!(
            Instant::now() < limit,
            "left behind: {left:#?}; {running} threads, at most {threads} were expected"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The objects that the leaks tracer has seen come, less those that it has seen go, by type.
struct Objects {
    tracer: gst::Tracer,
    balance: BTreeMap<String, i64>,
}

impl Objects {
    fn track() -> Self {
        let tracer = gst::active_tracers()
            .into_iter()
            .find(|tracer| tracer.type_().name() == "GstLeaksTracer")
            .expect("GST_TRACERS=leaks");
        tracer.emit_by_name::<()>("activity-start-tracking", &[]);
        Self {
            tracer,
            balance: BTreeMap::new(),
        }
    }

    /// How many more there are of each type.
    fn more(&mut self, lost: &[(&str, i64)]) -> BTreeMap<&str, i64> {
        let news: gst::Structure = self.tracer.emit_by_name("activity-get-checkpoint", &[]);
        for (list, by) in [("objects-created-list", 1), ("objects-removed-list", -1)] {
            let list: gst::List = news.get(list).expect("a list");
            for entry in list.iter() {
                let entry: gst::Structure = entry.get().expect("an entry");
                let name: String = entry.get("type-name").expect("a name");
                *self.balance.entry(name).or_default() += by;
            }
        }
        let most = |name: &String| {
            let known = lost.iter().find(|(of, _)| of == name);
            known.map_or(0, |(_, most)| *most)
        };
        let more = self
            .balance
            .iter()
            .filter(|(name, count)| **count > most(name));
        more.map(|(name, count)| (name.as_str(), *count)).collect()
    }
}

/// Of this process; where that cannot be told, none.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Has a story told in a process of its own, with the leaks tracer in it.
pub(crate) fn in_a_child(story: &str) {
    let mut child = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", story, "--ignored", "--nocapture"])
        .env("GST_TRACERS", "leaks")
        .env("RUST_BACKTRACE", "0")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a child");
    let stderr = child.stderr.take().expect("its words");
    let words = std::thread::spawn(move || io::read_to_string(stderr).unwrap_or_default());
    let limit = Instant::now() + STORY;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break Some(status);
        }
        if Instant::now() > limit {
            child.kill().expect("an end");
            child.wait().expect("an end");
            break None;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let words = words.join().unwrap_or_default();
    assert!(status.is_some(), "it hung:\n{words}");
    assert!(status.is_some_and(|status| status.success()), "{words}");
}
