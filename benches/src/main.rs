// SPDX-License-Identifier: MPL-2.0
//! What a failover shows and what it costs, with the peer beside it in the same run. Prints the tables,
//! and writes them to RESULTS.md here.
//!
//!     failover-bench [SCENARIO[:WORD] …]
//!
//! With names of scenarios only those run, and RESULTS.md stays as it is. With a word, only the rows of
//! what a viewer sees that have it in their case or element.

mod buffers;
mod child;
mod costs;
mod decisions;
mod delays;
#[path = "../../tests/support/lab/mod.rs"]
mod lab;
#[path = "../../tests/support/meter/mod.rs"]
mod meter;
mod scenes;

use decisions::Sign;
use gst::prelude::*;
use nix::time::ClockId;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

type Scenario = (&'static str, fn(&str) -> String);

/// In the order of RESULTS.md.
const SCENARIOS: [Scenario; 7] = [
    ("viewer", scenes::table),
    ("delay", |_| delays::table()),
    ("decoded", |_| costs::decoded()),
    ("standby", |_| costs::standby()),
    ("crowd", |_| costs::crowd()),
    ("buffers", |_| buffers_table()),
    ("decisions", |_| decisions_table()),
];

fn main() -> ExitCode {
    gst::init().expect("GStreamer");
    gstfailover::plugin_register_static().expect("our plugin");
    gstfallbackswitch::plugin_register_static().expect("the peer's plugin");
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.next_if(|first| first == child::CHILD).is_some() {
        return finish(child::run(arguments));
    }
    finish(bench(&arguments.collect::<Vec<_>>()))
}

fn finish(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(only: &[String]) -> Result<(), String> {
    let names = SCENARIOS.map(|(name, _)| name);
    let chosen: Vec<(&str, &str)> = only
        .iter()
        .map(|only| only.split_once(':').unwrap_or((only, "")))
        .collect();
    if let Some((unknown, _)) = chosen.iter().find(|(name, _)| !names.contains(name)) {
        return Err(format!(
            "there is no scenario {unknown}; there are {}",
            names.join(", ")
        ));
    }
    if let Some(missing) = lab::missing() {
        return Err(missing);
    }
    let mut text = machine();
    for (name, table) in &SCENARIOS {
        let choice = chosen.iter().find(|(chosen, _)| chosen == name);
        if !only.is_empty() && choice.is_none() {
            continue;
        }
        progress(name);
        let word = choice.map_or("", |(_, word)| word);
        let _ = write!(text, "\n## {name}\n\n{}", table(word));
    }
    progress("done");
    println!("{text}");
    if only.is_empty() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
        std::fs::write(
            file,
            format!("# What it shows, and what it costs\n\n{text}"),
        )
        .map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

/// On the screen, since it takes its time.
pub(crate) fn progress(what: &str) {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let begun = BEGUN.get_or_init(Instant::now);
    eprintln!("{:4} s  {what}", begun.elapsed().as_secs());
}

/// CPU time of this process so far.
pub(crate) fn cpu_time() -> Duration {
    let clock = ClockId::CLOCK_PROCESS_CPUTIME_ID;
    clock
        .now()
        .map(Duration::from)
        .expect("the process's clock")
}

fn machine() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown CPU", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("?");
    let peer = version_of("fallbackswitch");
    let ours = version_of("failoverswitch");
    format!(
        "{model}, {cores} cores; {}; failoverswitch {ours}; fallbackswitch {peer}. \
         Load of the machine before the start: {load}. Made by `make bench`.\n",
        gst::version_string(),
    )
}

fn version_of(element: &str) -> String {
    let factory = gst::ElementFactory::find(element).expect("a registered element");
    let plugin = factory.plugin().expect("its plugin");
    let version = plugin.version();
    version.split('-').next().unwrap_or_default().to_owned()
}

fn buffers_table() -> String {
    let plain = buffers::measure(false);
    let timed = buffers::measure(true);
    let cost_of = |costs: &[(&str, f64)], name: &str| {
        costs.iter().find(|cost| cost.0 == name).map(|cost| cost.1)
    };
    let peer = cost_of(&plain, buffers::PEER).unwrap_or(f64::NAN);
    let mut table = String::from(
        "CPU time per buffer, beyond `fakesrc ! fakesink`: medians, candidates in turn.\n\n\
         | between source and sink | without timestamps | with, live | beside the peer |\n\
         |---|--:|--:|--:|\n",
    );
    for (name, cost) in &plain {
        let timed =
            cost_of(&timed, name).map_or_else(|| "–".to_owned(), |cost| format!("{cost:.2} µs"));
        let _ = writeln!(
            table,
            "| {name} | {cost:.2} µs | {timed} | {:.2} |",
            cost / peer
        );
    }
    table
}

fn decisions_table() -> String {
    let bare = (
        "none: a bare wake-up of the clock",
        decisions::bare_wake_ups(),
    );
    let rows = [
        (
            "failoverswitch, its message, nothing comes by",
            "failoverswitch",
            Sign::Message,
        ),
        (
            "failoverswitch, its active pad",
            "failoverswitch",
            Sign::ActivePad,
        ),
        (
            "fallbackswitch, its active pad",
            "fallbackswitch",
            Sign::ActivePad,
        ),
    ];
    let mut table = format!(
        "From the timeout's expiry ({} ms) to the decision, {} stalls; for an active pad to change, \
         a buffer of the standby (one every 2 ms) may be waited for. The first row is the machine's \
         own share.\n\n\
         | what is taken for the decision | median | 99 % | worst |\n|---|--:|--:|--:|\n",
        decisions::TIMEOUT.as_millis(),
        decisions::STALLS,
    );
    let measured = rows.map(|(name, element, sign)| (name, decisions::measure(element, sign)));
    for (name, late) in [bare].into_iter().chain(measured) {
        let [half, most, worst] = [0.5, 0.99, 1.0].map(|share| percentile(&late, share));
        let _ = writeln!(
            table,
            "| {name} | {half:.2} ms | {most:.2} ms | {worst:.2} ms |"
        );
    }
    table
}

/// The value that `share` of all do not exceed.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted[place.clamp(1, sorted.len()) - 1]
}
