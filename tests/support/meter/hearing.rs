// SPDX-License-Identifier: MPL-2.0
//! What a listener heard: gaps, silence and jumps in the sound, and how far it is from the picture.
//!
//! Numbers only. All times are seconds of running time, sound is counted in samples.

use super::code::Inscription;
use super::sight::{Numbering, Picture};
use super::tone::{self, Heard};

/// Timestamps of containers are whole milliseconds: less than this is no gap.
const ROUNDING: f64 = 0.002;
/// Distance of the places where it is listened.
const HOP: f64 = 0.01;
/// A jump in the sound that is none: what an encoder does to a phase.
const STEADY: f64 = 0.000_5;
/// From so long on a quiet stretch is silence; a tone is never so long near zero.
const QUIET: f64 = 0.002;
const QUIET_LEVEL: f32 = 0.003;

/// A piece of sound that came out: one channel.
#[derive(Clone, Debug)]
pub(crate) struct Sound {
    pub(crate) arrival: f64,
    pub(crate) time: f64,
    pub(crate) rate: u32,
    pub(crate) samples: Vec<f32>,
}

impl Sound {
    fn length(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }
}

#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Hearing {
    pub(crate) samples: usize,
    /// The longest hole between two pieces, and the longest overlap, by their timestamps.
    pub(crate) hole: usize,
    pub(crate) overlap: usize,
    /// Samples of silence.
    pub(crate) silent: usize,
    /// Samples of the sender that were left out, and that came twice or were put in.
    pub(crate) skipped: usize,
    pub(crate) repeated: usize,
    /// The sound after the picture, in seconds: the least, the middle one and the most, while both are
    /// of the same input; `None` where there are no numbered pictures.
    pub(crate) behind_picture: Option<[f64; 3]>,
    /// For how long picture and sound were of different inputs.
    pub(crate) mixed: f64,
}

pub(crate) fn hearing(sounds: &[Sound], pictures: &[Picture], numbering: Numbering) -> Hearing {
    let mut hearing = Hearing {
        samples: sounds.iter().map(|sound| sound.samples.len()).sum(),
        ..Hearing::default()
    };
    let Some(first) = sounds.first() else {
        return hearing;
    };
    let rate = f64::from(first.rate);
    let samples = |seconds: f64| (seconds * rate).round() as usize;
    for pair in sounds.windows(2) {
        let gap = pair[1].time - (pair[0].time + pair[0].length());
        if gap > ROUNDING {
            hearing.hole = hearing.hole.max(samples(gap));
        } else if gap < -ROUNDING {
            hearing.overlap = hearing.overlap.max(samples(-gap));
        }
    }
    hearing.silent = silent(sounds, samples(QUIET));
    let places = places(sounds);
    for pair in places.windows(2) {
        let played = (pair[1].index - pair[0].index) as f64 / rate;
        let jump = tone::apart(pair[1].content - pair[0].content, played);
        if jump > STEADY {
            hearing.skipped += samples(jump);
        } else if jump < -STEADY {
            hearing.repeated += samples(-jump);
        }
    }
    compare(&places, pictures, numbering, &mut hearing);
    hearing
}

/// A place where the sound says what time it has.
struct Place {
    /// In samples from the beginning.
    index: usize,
    /// By timestamps.
    time: f64,
    name: u8,
    content: f64,
}

fn places(sounds: &[Sound]) -> Vec<Place> {
    let Some(rate) = sounds.first().map(|sound| sound.rate) else {
        return vec![];
    };
    let all: Vec<f32> = sounds
        .iter()
        .flat_map(|s| s.samples.iter().copied())
        .collect();
    let length = |seconds: f64| (seconds * f64::from(rate)) as usize;
    let (window, hop) = (length(tone::WINDOW), length(HOP));
    let mut starts = starts(sounds).peekable();
    let mut start = (0, 0.0);
    let mut found = vec![];
    for at in (0..all.len().saturating_sub(window)).step_by(hop) {
        let middle = at + window / 2;
        while let Some(next) = starts.next_if(|next| next.0 <= middle) {
            start = next;
        }
        if let Heard::Tone { name, time } = tone::hear(&all[at..at + window], rate) {
            // Between two samples of an even count.
            let into = (middle - start.0) as f64 - 0.5;
            found.push(Place {
                index: middle,
                time: start.1 + into / f64::from(rate),
                name,
                content: time,
            });
        }
    }
    // A window across a cut may seem clear; two in a row that agree are.
    let agree = |a: &Place, b: &Place| {
        let played = (b.index - a.index) as f64 / f64::from(rate);
        tone::apart(b.content - a.content, played).abs() < STEADY
    };
    let sure: Vec<bool> = (0..found.len())
        .map(|at| {
            let before = at
                .checked_sub(1)
                .is_some_and(|b| agree(&found[b], &found[at]));
            before
                || found
                    .get(at + 1)
                    .is_some_and(|next| agree(&found[at], next))
        })
        .collect();
    let mut sure = sure.into_iter();
    found.retain(|_| sure.next() == Some(true));
    found
}

/// Where each piece begins, in samples and in time.
fn starts(sounds: &[Sound]) -> impl Iterator<Item = (usize, f64)> {
    sounds.iter().scan(0, |index, sound| {
        let start = (*index, sound.time);
        *index += sound.samples.len();
        Some(start)
    })
}

fn silent(sounds: &[Sound], at_least: usize) -> usize {
    let (mut total, mut run) = (0, 0);
    let samples = sounds.iter().flat_map(|sound| &sound.samples);
    for quiet in samples.map(|s| s.abs() < QUIET_LEVEL).chain([false]) {
        if quiet {
            run += 1;
        } else {
            total += if run >= at_least { run } else { 0 };
            run = 0;
        }
    }
    total
}

/// Holds each place against the picture that is on the screen then.
fn compare(places: &[Place], pictures: &[Picture], numbering: Numbering, hearing: &mut Hearing) {
    let mut offsets = vec![];
    for place in places {
        let after = pictures.partition_point(|picture| picture.time <= place.time);
        let Some(picture) = after.checked_sub(1).and_then(|at| pictures.get(at)) else {
            continue;
        };
        let Inscription::Frame { name, number } = picture.says else {
            continue;
        };
        if place.time - picture.time > 2.0 * numbering.frame() {
            continue;
        }
        if name != place.name {
            hearing.mixed += HOP;
            continue;
        }
        let picture = f64::from(number) * numbering.frame() - picture.time;
        offsets.push(tone::apart(picture, place.content - place.time));
    }
    offsets.sort_by(f64::total_cmp);
    let middle = offsets.get(offsets.len() / 2);
    if let (Some(least), Some(middle), Some(most)) = (offsets.first(), middle, offsets.last()) {
        hearing.behind_picture = Some([*least, *middle, *most]);
    }
}
