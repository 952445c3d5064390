// SPDX-License-Identifier: MPL-2.0
//! Tells by ear which publisher is heard: each sends a tone of its own.
//!
//! Numbers only; knows nothing of pipelines.

use crate::viewer::Seen;

pub(crate) const RATE: u32 = 16_000;
pub(crate) const PRIMARY_HZ: u32 = 440;
pub(crate) const BACKUP_HZ: u32 = 660;

/// Whose tone fills these samples (32-bit floats, one channel, [`RATE`]).
pub(crate) fn whose_sound(samples: &[u8]) -> Seen {
    let samples: Vec<f32> = samples
        .chunks_exact(4)
        .map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        .collect();
    let energy = samples.iter().map(|sample| sample * sample).sum::<f32>();
    if energy <= samples.len() as f32 * 1e-6 {
        return Seen::Slate;
    }
    let primary = energy_at(PRIMARY_HZ, &samples);
    let backup = energy_at(BACKUP_HZ, &samples);
    if primary > 4.0 * backup {
        Seen::Primary
    } else if backup > 4.0 * primary {
        Seen::Backup
    } else {
        Seen::Unknown
    }
}

/// Goertzel's algorithm: one bin of a Fourier transform.
fn energy_at(hz: u32, samples: &[f32]) -> f32 {
    let coefficient = 2.0 * (std::f32::consts::TAU * hz as f32 / RATE as f32).cos();
    let (before, last) = samples.iter().fold((0.0, 0.0), |(before, last), sample| {
        (last, sample + coefficient * last - before)
    });
    last * last + before * before - coefficient * last * before
}
