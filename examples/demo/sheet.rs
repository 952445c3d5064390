// SPDX-License-Identifier: MPL-2.0
//! The contact sheet: one row per event, what a viewer saw before, at and after the cut.
//!
//! Owns the layout. The letters and the file are drawn by ffmpeg, which the demo has anyway.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::viewer::{HEIGHT, Shot, WIDTH};

const GAP: usize = 8;
const TITLE: usize = 48;
const HEADING: usize = 30;
const CAPTION: usize = 22;
const ROW: usize = HEADING + HEIGHT + CAPTION + GAP;
const PAPER: [u8; 3] = [0x2c, 0x30, 0x3a];

/// One event: its heading, and pictures with their captions.
pub(crate) struct Row {
    pub(crate) heading: String,
    pub(crate) shots: Vec<(Shot, String)>,
}

/// Writes the sheet as a PNG file.
pub(crate) fn write(path: &Path, title: &str, rows: &[Row]) -> io::Result<()> {
    let columns = rows.iter().map(|row| row.shots.len()).max().unwrap_or(0);
    let width = GAP + columns * (WIDTH + GAP);
    let height = TITLE + rows.len() * ROW;
    let mut canvas = PAPER.repeat(width * height);
    let mut letters = String::new();
    text(&mut letters, title, 22, GAP, TITLE / 2, "white");
    for (number, row) in rows.iter().enumerate() {
        let top = TITLE + number * ROW;
        text(
            &mut letters,
            &row.heading,
            16,
            GAP,
            top + HEADING / 2,
            "white",
        );
        for (column, (shot, caption)) in row.shots.iter().enumerate() {
            let left = GAP + column * (WIDTH + GAP);
            paste(&mut canvas, width, left, top + HEADING, &shot.rgb);
            let middle = top + HEADING + HEIGHT + CAPTION / 2;
            text(&mut letters, caption, 13, left, middle, "0xc8ccd8");
        }
    }
    encode(path, &canvas, width, height, &letters)
}

fn paste(canvas: &mut [u8], width: usize, left: usize, top: usize, rgb: &[u8]) {
    for (line, pixels) in rgb.chunks_exact(WIDTH * 3).enumerate() {
        let start = ((top + line) * width + left) * 3;
        canvas[start..start + WIDTH * 3].copy_from_slice(pixels);
    }
}

/// Adds a filter that writes `what`, its middle at height `y`.
fn text(filters: &mut String, what: &str, size: usize, x: usize, y: usize, colour: &str) {
    let what = what.replace(['\'', '\\'], "").replace(':', "\\:");
    let _ = write!(
        filters,
        "drawtext=font='DejaVu Sans':expansion=none:fontsize={size}:fontcolor={colour}\
         :x={x}:y={y}-max_glyph_a/2:text='{what}',"
    );
}

fn encode(
    path: &Path,
    canvas: &[u8],
    width: usize,
    height: usize,
    letters: &str,
) -> io::Result<()> {
    // 255 colours are plenty for flat pictures, and a third of the size.
    let filters = format!("{letters}split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none");
    let mut ffmpeg = Command::new("ffmpeg")
        .args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-y",
            "-f",
            "rawvideo",
            "-pix_fmt",
            "rgb24",
        ])
        .args([
            "-s",
            &format!("{width}x{height}"),
            "-i",
            "-",
            "-frames:v",
            "1",
        ])
        .args(["-filter_complex", &filters, "-update", "1"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = ffmpeg.stdin.take() {
        stdin.write_all(canvas)?;
    }
    match ffmpeg.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("ffmpeg could not write the contact sheet")),
    }
}
