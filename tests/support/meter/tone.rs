// SPDX-License-Identifier: MPL-2.0
//! Sound that says where it is: three tones whose phases tell the time of a sample, to a small part of
//! a millisecond, anew every 200 ms. The lowest tone tells the input.
//!
//! Numbers only. With tones of f, 2f + 50 and 3f + 5 Hz, the phase of the second less twice the first's
//! turns 50 times a second, of the third less three times the first's 5 times. So the third says
//! which turn of the second it is, and that which turn of the first.

use std::f64::consts::TAU;

pub(crate) const RATE: u32 = 48_000;
/// After this time the same sound comes again: times are known modulo it, in seconds.
pub(crate) const PERIOD: f64 = 0.2;
/// How much sound is looked at for one time, in seconds: enough to hold the tones apart.
pub(crate) const WINDOW: f64 = 0.04;

const NAMES: u8 = 4;
const AMPLITUDE: f64 = 0.2;

/// Sample `index` of input `name`; the first belongs to the first frame's beginning.
pub(crate) fn sample(name: u8, index: u64) -> f32 {
    let time = index as f64 / f64::from(RATE);
    let sum: f64 = tones(name).map(|hz| (TAU * hz * time).sin()).iter().sum();
    (AMPLITUDE * sum) as f32
}

/// What a window of sound says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Heard {
    /// Whose it is, and which time, modulo [`PERIOD`], its middle has.
    Tone {
        name: u8,
        time: f64,
    },
    Silence,
    /// Neither: a cut, a gap, or noise.
    Unclear,
}

pub(crate) fn hear(window: &[f32], rate: u32) -> Heard {
    let count = window.len() as f64;
    let power = window.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / count;
    if power < 1e-5 {
        return Heard::Silence;
    }
    // Hann: what is next door to a tone does not leak in.
    let weighted = window.iter().enumerate().map(|(index, sample)| {
        let weight = 1.0 - (TAU * (index as f64 + 0.5) / count).cos();
        weight * f64::from(*sample)
    });
    let window: Vec<f64> = weighted.collect();
    let loudest = (0..NAMES)
        .map(|name| (name, phase(&window, rate, tones(name)[0]).1))
        .max_by(|a, b| a.1.total_cmp(&b.1));
    let Some((name, _)) = loudest else {
        return Heard::Unclear;
    };
    let [first, second, third] = tones(name).map(|hz| phase(&window, rate, hz));
    // Each tone alone makes a third of the power; less of one, and its phase is no good.
    let expected = (power * 2.0 / 3.0).sqrt();
    let clear = |amplitude: f64| (amplitude / expected - 1.0).abs() < 0.25;
    if ![first.1, second.1, third.1].into_iter().all(clear) {
        return Heard::Unclear;
    }
    let coarse = (third.0 - 3.0 * first.0).rem_euclid(1.0) * PERIOD;
    let middle = nearest(coarse, (second.0 - 2.0 * first.0).rem_euclid(1.0), 50.0);
    let time = nearest(middle, first.0, tones(name)[0]);
    Heard::Tone {
        name,
        time: time.rem_euclid(PERIOD),
    }
}

/// The difference of two times that are known modulo [`PERIOD`], the short way round.
pub(crate) fn apart(a: f64, b: f64) -> f64 {
    (a - b + PERIOD / 2.0).rem_euclid(PERIOD) - PERIOD / 2.0
}

fn tones(name: u8) -> [f64; 3] {
    let lowest = 500.0 + 120.0 * f64::from(name);
    [lowest, 2.0 * lowest + 50.0, 3.0 * lowest + 5.0]
}

/// The time nearest to `about` at which a tone has this phase.
fn nearest(about: f64, phase: f64, hz: f64) -> f64 {
    ((about * hz - phase).round() + phase) / hz
}

/// Phase in the middle of a weighted window, in turns, and amplitude of one frequency.
fn phase(window: &[f64], rate: u32, hz: f64) -> (f64, f64) {
    let step = TAU * hz / f64::from(rate);
    let count = window.len() as f64;
    let (turn_sin, turn_cos) = step.sin_cos();
    let (mut sin, mut cos) = (-step * (count - 1.0) / 2.0).sin_cos();
    let (mut re, mut im) = (0.0, 0.0);
    for sample in window {
        re += sample * cos;
        im -= sample * sin;
        (sin, cos) = (
            sin * turn_cos + cos * turn_sin,
            cos * turn_cos - sin * turn_sin,
        );
    }
    let turns = im.atan2(re) / TAU + 0.25;
    (turns.rem_euclid(1.0), 2.0 * re.hypot(im) / count)
}
