// SPDX-License-Identifier: MPL-2.0
//! Two RTMP streams die and come back, and the output plays on.
//!
//! Starts a real RTMP server and two publishers on this machine, plays both through `failoversrc`,
//! does to them what happens to streams, and measures at the output what a viewer saw and heard.
//! Exits non-zero when an expected switch does not happen.

mod act;
#[path = "../../tests/support/lab/mod.rs"]
mod lab;
mod report;
mod sheet;
mod tone;
mod viewer;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::Parser;

static INTERRUPTED: OnceLock<Instant> = OnceLock::new();

/// Watch a primary RTMP stream die and its backup take over, and the primary come back.
#[derive(Parser)]
struct Args {
    /// Show the video in a window and play the sound.
    #[arg(long)]
    window: bool,
    /// Seconds without a buffer after which an input is stalled.
    #[arg(long, default_value_t = 1.0)]
    timeout: f64,
    /// Seconds that the primary must be healthy before it is switched back to.
    #[arg(long, default_value_t = 3.0)]
    recovery: f64,
    /// Folder for the contact sheet.
    #[arg(long, default_value = "demo-out")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let handler = || {
        // Pressed again when that takes too long: at once. The kernel takes the children down.
        if INTERRUPTED.get_or_init(Instant::now).elapsed() > Duration::from_secs(1) {
            std::process::exit(130);
        }
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("demo: Ctrl-C will not be heard: {error}");
    }
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) if interrupted() => {
            eprintln!("\ndemo: interrupted; everything is taken down");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

pub(crate) fn interrupted() -> bool {
    INTERRUPTED.get().is_some()
}

/// Whether every switch happened. Whatever it started is gone when it returns.
fn run(args: &Args) -> Result<bool, Box<dyn Error>> {
    if let Some(missing) = lab::missing() {
        return Err(missing.into());
    }
    gst::init()?;
    gstfailover::plugin_register_static()?;
    let started = Instant::now();
    let mut stage = act::Stage::set(args)?;
    let mut results = Vec::new();
    for step in act::SCRIPT {
        results.push(stage.play(step)?);
    }
    drop(stage);

    report::summary(&results);
    std::fs::create_dir_all(&args.out)?;
    let path = args.out.join("contact-sheet.png");
    let rows: Vec<_> = results.iter().map(report::row).collect();
    sheet::write(
        &path,
        "What a viewer saw while two RTMP streams died and came back",
        &rows,
    )?;
    println!("\nContact sheet: {}", path.display());
    let good = results.iter().filter(|result| result.passed()).count();
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{good} of {} switches as expected, in {seconds:.0} s",
        results.len()
    );
    Ok(good == results.len())
}
