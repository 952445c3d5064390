// SPDX-License-Identifier: MPL-2.0
//! A pipeline in a process of its own, so that what it costs is its alone: CPU time, memory, threads,
//! and whether all frames came.
//!
//! The parent starts this program again with the pipeline as an argument; the child prints one line.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use gst::prelude::*;

use crate::cpu_time;
use crate::lab::{Process, Scratch};

/// The first argument of a child.
pub(crate) const CHILD: &str = "--child";
/// Until everything is connected and decoded, and after which it is measured.
const WARM_UP: Duration = Duration::from_secs(5);

/// How much longer than it plays a child may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// What a pipeline cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Of one core.
    pub(crate) cpu: f64,
    /// At most, in MiB.
    pub(crate) memory: f64,
    pub(crate) threads: f64,
    /// Pictures that came while it was measured, and those that are missing by their timestamps.
    pub(crate) frames: f64,
    pub(crate) lost: f64,
}

/// Plays the line for so long, in a child; where it fails, why.
pub(crate) fn cost(line: &str, length: Duration) -> io::Result<Cost> {
    let folder = Scratch::new()?;
    let program = std::env::current_exe()?.display().to_string();
    let arguments = [
        CHILD.to_owned(),
        length.as_secs().to_string(),
        line.to_owned(),
    ];
    let mut child = Process::spawn(&program, &arguments, &folder.path().join("log"))?;
    let limit = WARM_UP + length + PATIENCE;
    if child.wait(limit)?.is_none() {
        return Err(io::Error::other(format!(
            "no end after {} s",
            limit.as_secs()
        )));
    }
    let mut text = String::new();
    if let Some(mut output) = child.take_stdout() {
        output.read_to_string(&mut text)?;
    }
    let figures = text.split_whitespace().filter_map(|f| f.parse().ok());
    match figures.collect::<Vec<f64>>().as_slice() {
        &[cpu, memory, threads, frames, lost] => Ok(Cost {
            cpu,
            memory,
            threads,
            frames,
            lost,
        }),
        _ => Err(child.failure("no figures")),
    }
}

/// Pictures at one sink.
#[derive(Default)]
struct Count {
    last: Option<gst::ClockTime>,
    frames: u64,
    lost: u64,
}

/// What the child does: `arguments` are the seconds and the line.
pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let seconds = arguments
        .next()
        .and_then(|s| s.parse().ok())
        .ok_or("no seconds")?;
    let line = arguments.next().ok_or("no line")?;
    let pipeline = gst::parse::launch(&line).map_err(|error| error.to_string())?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .map_err(|_| "no pipeline")?;
    let counts: Vec<_> = pipeline
        .iterate_sinks()
        .into_iter()
        .flatten()
        .filter_map(count)
        .collect();
    pipeline
        .set_state(gst::State::Playing)
        .map_err(|error| error.to_string())?;
    wait(&pipeline, WARM_UP)?;
    for count in &counts {
        if let Ok(mut count) = count.lock() {
            *count = Count {
                last: count.last,
                ..Count::default()
            };
        }
    }
    let before = cpu_time();
    wait(&pipeline, Duration::from_secs(seconds))?;
    let used = cpu_time() - before;
    let sum = |of: fn(&Count) -> u64| -> u64 {
        counts
            .iter()
            .filter_map(|count| count.lock().ok().map(|c| of(&c)))
            .sum()
    };
    println!(
        "{} {} {} {} {}",
        used.as_secs_f64() / seconds as f64,
        status("VmHWM:")? / 1024.0,
        status("Threads:")?,
        sum(|count| count.frames),
        sum(|count| count.lost),
    );
    pipeline
        .set_state(gst::State::Null)
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// Counts what comes to a sink whose name begins with `picture`.
fn count(sink: gst::Element) -> Option<Arc<Mutex<Count>>> {
    if !sink.name().starts_with("picture") {
        return None;
    }
    let counted = Arc::<Mutex<Count>>::default();
    let count = counted.clone();
    let pad = sink.static_pad("sink")?;
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let time = info.buffer().and_then(|buffer| buffer.pts());
        let length = info.buffer().and_then(|buffer| buffer.duration());
        if let (Some(time), Ok(mut count)) = (time, count.lock()) {
            let length = length.map_or(33_333_333, |length| length.nseconds().max(1));
            let step = count.last.map_or(length, |last| {
                time.nseconds().saturating_sub(last.nseconds())
            });
            count.lost += (step as f64 / length as f64 - 1.0).round().max(0.0) as u64;
            count.frames += 1;
            count.last = Some(time);
        }
        gst::PadProbeReturn::Ok
    });
    Some(counted)
}

/// Lets it play, and tells of an error.
fn wait(pipeline: &gst::Pipeline, length: Duration) -> Result<(), String> {
    let bus = pipeline.bus().ok_or("no bus")?;
    let end = std::time::Instant::now() + length;
    while std::time::Instant::now() < end {
        let Some(message) = bus.pop() else {
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        match message.view() {
            gst::MessageView::Error(error) => {
                return Err(format!("{} {:?}", error.error(), error.debug()));
            }
            gst::MessageView::Eos(_) => return Err("the stream has ended".to_owned()),
            gst::MessageView::Latency(_) => pipeline.recalculate_latency().unwrap_or_default(),
            _ => (),
        }
    }
    Ok(())
}

fn status(field: &str) -> Result<f64, String> {
    let text = std::fs::read_to_string("/proc/self/status").map_err(|error| error.to_string())?;
    let line = text.lines().find(|line| line.starts_with(field));
    let figure = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    figure.ok_or_else(|| format!("no {field}"))
}
