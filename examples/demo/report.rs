// SPDX-License-Identifier: MPL-2.0
//! What the demo tells: a line per event as it happens, a table at the end, rows for the sheet.
//!
//! Words and figures only; measures nothing.

use std::time::{Duration, Instant};

use crate::act::Step;
use crate::sheet::Row;
use crate::viewer::{Seen, Shot};

/// Where the pictures of the contact sheet lie, in milliseconds from the cut.
pub(crate) const SHOTS: [i64; 6] = [-1000, -500, -20, 0, 300, 1000];

/// What the element said of a switch.
pub(crate) struct Switched {
    from: String,
    to: String,
    cause: String,
    detection: Duration,
    gap: Duration,
}

impl Switched {
    pub(crate) fn from_structure(structure: &gst::StructureRef) -> Option<Self> {
        if structure.name() != "failover-switched" {
            return None;
        }
        let time = |field| Duration::from_nanos(structure.get::<u64>(field).unwrap_or(0));
        Some(Self {
            from: input(structure.get("from").unwrap_or(-1)),
            to: input(structure.get("to").unwrap_or(-1)),
            cause: structure.get("cause").unwrap_or_default(),
            detection: time("detection"),
            gap: time("gap"),
        })
    }

    pub(crate) fn sentence(&self) -> String {
        format!(
            "switched {} → {}, cause {}: detected in {}, gap {}",
            self.from,
            self.to,
            self.cause,
            seconds(self.detection),
            seconds(self.gap)
        )
    }
}

/// What came of one step.
pub(crate) struct Outcome {
    pub(crate) step: &'static Step,
    pub(crate) switches: Vec<Switched>,
    /// Until the expected picture and tone were there; `None` when they never were.
    pub(crate) took: Option<Duration>,
    /// Whether the element says the same as the screen.
    pub(crate) told: bool,
    /// The longest without a new picture, beyond one frame.
    pub(crate) still: Duration,
    /// For how long the screen was black where it should not have been.
    pub(crate) black: Duration,
    pub(crate) sound_after_picture: Option<f64>,
    pub(crate) shots: [Option<Shot>; SHOTS.len()],
}

impl Outcome {
    /// Seen and heard at the output, and told by the element.
    pub(crate) fn passed(&self) -> bool {
        self.took.is_some() && self.told
    }

    pub(crate) fn sentence(&self) -> String {
        let Some(took) = self.took else {
            return format!("{} DID NOT COME", name(self.step.expected));
        };
        let black = match self.black {
            Duration::ZERO => String::new(),
            black => format!(", {} of it black", seconds(black)),
        };
        let still = seconds(self.still);
        format!(
            "{} after {}; no new picture for {still}{black}",
            name(self.step.expected),
            seconds(took)
        )
    }
}

/// One aligned line: when, who (we `do`, the element `say`s, the viewer `see`s), what.
pub(crate) fn line(at: Duration, who: &str, what: &str) {
    println!("{:7.2} s  {who:<4} {what}", at.as_secs_f64());
}

/// The element's message about one input as a sentence, where it is one.
pub(crate) fn input_state(structure: &gst::StructureRef) -> Option<String> {
    if structure.name() != "failover-input-state" {
        return None;
    }
    let which = input(structure.get("input").unwrap_or(-1));
    let new: String = structure.get("new").unwrap_or_default();
    let cause: String = structure.get("cause").unwrap_or_default();
    match cause.as_str() {
        "" | "none" => Some(format!("{which} is {new}")),
        cause => Some(format!("{which} is {new}, cause {cause}")),
    }
}

pub(crate) fn summary(outcomes: &[Outcome]) {
    println!();
    println!(
        "{:<32} {:<8} {:<10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
        "what was done", "on air", "cause", "after", "detected", "gap", "still", "black", "sound"
    );
    for outcome in outcomes {
        let last = outcome.switches.last();
        println!(
            "{:<32} {:<8} {:<10} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            outcome.step.what,
            name(outcome.step.expected),
            last.map_or("-", |switched| &switched.cause),
            outcome.took.map_or_else(|| "NEVER".into(), seconds),
            or_dash(last.map(|switched| seconds(switched.detection))),
            or_dash(last.map(|switched| seconds(switched.gap))),
            seconds(outcome.still),
            seconds(outcome.black),
            or_dash(outcome.sound_after_picture.map(|s| format!("{s:+.2} s"))),
        );
    }
    println!(
        "after: from the deed until picture and tone are there; detected, gap: as the element says;
still, black: without a new picture, without any; sound: how much later than the picture"
    );
}

/// The event's row in the contact sheet.
pub(crate) fn row(outcome: &Outcome) -> Row {
    let cost = outcome.switches.last().map_or(String::new(), |switched| {
        let detection = seconds(switched.detection);
        format!("   (cause {}, detected in {detection})", switched.cause)
    });
    let mut shots: Vec<(Shot, String)> = Vec::new();
    for (shot, offset) in outcome.shots.iter().zip(SHOTS) {
        let Some(shot) = shot else { continue };
        let still = shots.last().is_some_and(|(before, _)| before.at == shot.at);
        let caption = match (offset, still) {
            (-20, false) => "the last picture before the cut".to_owned(),
            (0, _) => "the cut".to_owned(),
            (_, true) => format!("{:+.2} s, the same picture", offset as f64 / 1000.0),
            (_, false) => format!("{:+.2} s", offset as f64 / 1000.0),
        };
        shots.push((shot.clone(), caption));
    }
    Row {
        heading: format!("{}  →  {}{cost}", outcome.step.what, outcome.sentence()),
        shots,
    }
}

pub(crate) fn shift(moment: Instant, milliseconds: i64) -> Instant {
    let span = Duration::from_millis(milliseconds.unsigned_abs());
    if milliseconds < 0 {
        moment.checked_sub(span).unwrap_or(moment)
    } else {
        moment + span
    }
}

fn input(number: i32) -> String {
    match number {
        0 => "primary".to_owned(),
        1 => "backup".to_owned(),
        _ => "slate".to_owned(),
    }
}

fn name(seen: Seen) -> &'static str {
    match seen {
        Seen::Primary => "PRIMARY",
        Seen::Backup => "BACKUP",
        Seen::Slate => "slate",
        Seen::Unknown => "unknown",
    }
}

/// How the element's `status` says who is seen.
pub(crate) fn status_of(seen: Seen) -> &'static str {
    match seen {
        Seen::Primary => "primary",
        Seen::Backup => "backup",
        Seen::Slate => "down",
        Seen::Unknown => "unknown",
    }
}

fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "-".into())
}

fn seconds(span: Duration) -> String {
    format!("{:.2} s", span.as_secs_f64())
}
