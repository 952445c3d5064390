// SPDX-License-Identifier: MPL-2.0
//! Pictures that say who they are: the input's name and the frame's number, in pixels.
//!
//! Numbers and bytes only. A picture is a grid of light and dark blocks. Three rows of it, at the
//! top, in the middle and at the bottom, spell name, number and a check; every other block follows from
//! name and number, so that a picture with a sound inscription and a damaged rest is found out. Blocks
//! survive encoders and scalers; a decoder that was fed from the middle of a group of pictures does
//! not get them right.

/// Blocks across, and down.
const ACROSS: usize = 32;
const DOWN: usize = 18;
/// The rows that spell.
const SPELLING: [usize; 3] = [0, 8, 17];

const DARK: u8 = 40;
const LIGHT: u8 = 210;
/// Above this a block is light; nearer to it than the margin it is neither.
const BETWEEN: u32 = 125;
const MARGIN: u32 = 20;
/// A picture no block of which is lighter is black.
const BLACK: u32 = 24;
/// Blocks that may be wrong in a picture that is called whole: an encoder's slips, no damage.
const SLIPS: usize = ACROSS * DOWN / 50;

/// What a picture says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Inscription {
    Frame {
        name: u8,
        number: u16,
    },
    /// All dark: a slate.
    Black,
    /// Neither: damaged.
    Broken,
}

/// The luma plane of a frame, as it lies in memory.
#[derive(Clone, Copy)]
pub(crate) struct Plane<'a> {
    pub(crate) luma: &'a [u8],
    pub(crate) stride: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// Draws frame `number` of input `name` (0 to 15) over the whole plane, without padding. `grain` is how far
/// single pixels stray, to give an encoder something to do.
pub(crate) fn draw(luma: &mut [u8], width: usize, name: u8, number: u16, grain: u8) {
    let height = luma.len() / width;
    let grid = grid(name, number);
    // Xorshift: cheap, and the same for the same frame.
    let mut chance = u32::from(number) << 8 | u32::from(name) | 0x8000_0000;
    for (y, line) in luma.chunks_exact_mut(width).enumerate() {
        let blocks = &grid[y * DOWN / height];
        for (x, pixel) in line.iter_mut().enumerate() {
            *pixel = if blocks[x * ACROSS / width] {
                LIGHT
            } else {
                DARK
            };
            if grain > 0 {
                chance ^= chance << 13;
                chance ^= chance >> 17;
                chance ^= chance << 5;
                *pixel = *pixel - grain + (chance % (2 * u32::from(grain) + 1)) as u8;
            }
        }
    }
}

pub(crate) fn read(plane: Plane) -> Inscription {
    let mut seen = [[0; ACROSS]; DOWN];
    for (y, row) in seen.iter_mut().enumerate() {
        for (x, light) in row.iter_mut().enumerate() {
            let Some(average) = average(plane, x, y) else {
                return Inscription::Broken;
            };
            *light = average;
        }
    }
    if seen.iter().flatten().all(|light| *light < BLACK) {
        return Inscription::Black;
    }
    let [Some(word), second, third] = SPELLING.map(|row| spelled(&seen[row])) else {
        return Inscription::Broken;
    };
    let (name, number) = ((word >> 28) as u8, (word >> 12) as u16);
    if (second, third) != (Some(word), Some(word)) || word != spell(name, number) {
        return Inscription::Broken;
    }
    let grid = grid(name, number);
    let pairs = seen.iter().flatten().zip(grid.iter().flatten());
    let wrong = pairs.filter(|(seen, drawn)| (**seen > BETWEEN) != **drawn);
    if wrong.count() > SLIPS {
        return Inscription::Broken;
    }
    Inscription::Frame { name, number }
}

type Grid = [[bool; ACROSS]; DOWN];

fn grid(name: u8, number: u16) -> Grid {
    let word = spell(name, number);
    let mut grid = [[false; ACROSS]; DOWN];
    for (y, row) in grid.iter_mut().enumerate() {
        for (x, light) in row.iter_mut().enumerate() {
            let block = (y * ACROSS + x) as u32;
            *light = if SPELLING.contains(&y) {
                word >> (ACROSS - 1 - x) & 1 == 1
            } else if block.is_multiple_of(2) {
                // Of the input alone: what a predicted frame leaves as it was.
                scatter(u32::from(name) << 16 | block) & 1 == 1
            } else {
                // Each changes once in 64 frames, so that something moves in every frame.
                let turn = (u32::from(number) + block) / 64;
                scatter(u32::from(name) << 28 | block << 16 | turn) & 1 == 1
            };
        }
    }
    grid
}

/// 4 bits of name, 16 of number, 12 of check. The check is not linear: what is changed alike in two
/// inputs, as the difference that a predicted frame carries, does not fit the other one.
fn spell(name: u8, number: u16) -> u32 {
    let payload = u32::from(name & 15) << 16 | u32::from(number);
    payload << 12 | scatter(payload) & 0xfff
}

/// As good as chance, and always the same.
fn scatter(value: u32) -> u32 {
    let mut mixed = value.wrapping_add(0x51ed_270b);
    for factor in [0x7feb_352d, 0x846c_a68b] {
        mixed = (mixed ^ mixed >> 16).wrapping_mul(factor);
    }
    mixed ^ mixed >> 15
}

fn spelled(row: &[u32; ACROSS]) -> Option<u32> {
    row.iter().try_fold(0, |word, light| {
        let clear = light.abs_diff(BETWEEN) > MARGIN;
        clear.then_some(word << 1 | u32::from(*light > BETWEEN))
    })
}

/// Of the middle of a block, away from its neighbours.
fn average(plane: Plane, x: usize, y: usize) -> Option<u32> {
    let middle = |index: usize, count: usize, length: usize| {
        let (from, to) = (index * length / count, (index + 1) * length / count);
        let quarter = (to - from) / 4;
        from + quarter..(to - quarter).max(from + quarter + 1)
    };
    let columns = middle(x, ACROSS, plane.width);
    let rows = middle(y, DOWN, plane.height);
    let count = (columns.len() * rows.len()) as u32;
    let mut sum = 0;
    for row in rows {
        let line = row * plane.stride;
        let pixels = plane.luma.get(line + columns.start..line + columns.end)?;
        sum += pixels.iter().map(|pixel| u32::from(*pixel)).sum::<u32>();
    }
    Some(sum / count)
}
