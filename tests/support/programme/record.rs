// SPDX-License-Identifier: MPL-2.0
//! The record: all that came out of the element, and all that it told.

use std::fmt::Write;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::look::Look;

/// What has to look the same before a picture counts as seen.
const STEADY: usize = 4;

/// Without anything for so long, there is a break in what was seen.
const BREAK: Duration = Duration::from_millis(150);

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
    pub(super) fn shows(&self, look: Look, since: Instant) -> bool {
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

    /// What was seen, runs of one look without a break in a line each, in milliseconds since then.
    pub(super) fn runs(&self, since: Instant) -> String {
        let mut text = String::new();
        let ms = |at: Instant| match at.checked_duration_since(since) {
            Some(after) => format!("{}", after.as_millis()),
            None => format!("-{}", (since - at).as_millis()),
        };
        let whole = |a: &Seen, b: &Seen| a.look == b.look && b.arrival - a.arrival < BREAK;
        for run in self.seen.chunk_by(whole) {
            let (first, last) = (run[0], run[run.len() - 1]);
            let (from, to) = (ms(first.arrival), ms(last.arrival));
            let _ = writeln!(
                text,
                "  {}: {:?} x {} from {from} to {to} ms",
                self.name,
                first.look,
                run.len()
            );
        }
        text
    }

    pub(super) fn check_time(&self, reordered: bool) {
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

    /// What was seen of every output, in milliseconds since then.
    pub(crate) fn history(&self, since: Instant) -> String {
        self.outputs
            .iter()
            .map(|output| output.runs(since))
            .collect()
    }

    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        for output in &self.outputs {
            let _ = writeln!(
                text,
                "  {}: {} buffers, eos {}, caps {:?}",
                output.name,
                output.passed.len(),
                output.eos,
                output.caps.last()
            );
        }
        if let Some(first) = self
            .outputs
            .iter()
            .filter_map(|o| o.seen.first())
            .min_by_key(|s| s.arrival)
        {
            text += &self.history(first.arrival);
        }
        for report in &self.reports {
            let _ = writeln!(text, "  {report}");
        }
        for state in &self.states {
            let _ = writeln!(text, "  {state:?}");
        }
        let _ = writeln!(text, "  errors {:?}\n  eos {}", self.errors, self.eos);
        text
    }
}

pub(super) fn outline(report: &gst::Structure) -> (i32, i32, String) {
    let number = |field| report.get::<i32>(field).expect("a number");
    let cause = report.get::<String>("cause").expect("a cause");
    (number("from"), number("to"), cause)
}

pub(super) fn note_message(record: &mut Record, message: &gst::Message) {
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
