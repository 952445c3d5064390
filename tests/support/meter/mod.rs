// SPDX-License-Identifier: MPL-2.0
//! The meter: frames that carry their number in their pixels, tones that carry their time in their
//! phases, and a count of what became of them at the output of any pipeline.
//!
//! | file | owns |
//! |---|---|
//! | `code` | a picture's inscription (numbers only) |
//! | `tone` | a sound's time (numbers only) |
//! | `sight` | lost, repeated, broken, late pictures, and the freeze (numbers only) |
//! | `hearing` | gaps and silence, and the sound's distance from the picture (numbers only) |
//! | `feed` | live inputs of a pipeline |
//! | `tape` | H.264 and AAC to publish |
//! | `watch` | reading at the pads of a pipeline |
//! | `pulse` | whether the machine kept time |
//!
//! A *freeze* is the longest time for which a synchronised sink shows one picture, beyond one frame:
//! a picture is shown at its running time plus the reported latency, or when it arrives if that is later. A
//! slate, and a picture that was there before, are no new picture.

// Every test and bench takes the part of the meter that it needs.
#![allow(dead_code, unused_imports)]

pub(crate) mod code;
pub(crate) mod feed;
pub(crate) mod hearing;
pub(crate) mod pulse;
pub(crate) mod sight;
pub(crate) mod tape;
pub(crate) mod tone;
pub(crate) mod watch;

pub(crate) use code::Inscription;
pub(crate) use feed::{Drawing, show, sound};
pub(crate) use pulse::on_a_steady_machine;
pub(crate) use sight::Numbering;
pub(crate) use tape::{Recipe, Tape};
pub(crate) use watch::{Meter, Report, Seen};
