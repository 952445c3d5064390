// SPDX-License-Identifier: MPL-2.0
//! Elements instead of URIs: any source that an application can build can be a primary or a backup.
//! A valve stands for the failure: it shuts for a while, and nothing flows from the primary.
//!
//!     cargo run --example custom_source

mod common;

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use gst::prelude::*;

/// A primary made of elements that fails for 4 seconds out of 12, and a backup.
#[derive(Parser)]
struct Args {
    /// Ends after so many seconds; 0 goes on until Ctrl-C.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Show and play nothing, in real time.
    #[arg(long)]
    fakesink: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("custom_source: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstfailover::plugin_register_static()?;
    let (primary, valves) = test_source("smpte", 440)?;
    let (backup, _) = test_source("ball", 660)?;
    let source = gst::ElementFactory::make("failoversrc")
        .property("primary-source", &primary)
        .property("backup-source", &backup)
        .property("timeout", common::nanoseconds(0.5))
        .property("recovery-time", common::nanoseconds(2.0))
        .build()?;
    let pipeline = gst::Pipeline::new();
    pipeline.add(&source)?;
    let fakesink = args.fakesink;
    source.connect_pad_added(move |source, pad| {
        let sink = match (pad.name().starts_with("video"), fakesink) {
            (_, true) => "queue ! fakesink sync=true",
            (true, _) => "queue ! videoconvert ! autovideosink",
            (false, _) => "queue ! audioconvert ! audioresample ! autoaudiosink",
        };
        if let Err(error) = common::play_pad(pad, sink) {
            gst::element_error!(
                source,
                gst::CoreError::Pad,
                ("cannot play {}: {error}", pad.name())
            );
        }
    });
    common::interrupt_to_bus(&pipeline)?;
    let started = pipeline.set_state(gst::State::Playing);
    let result = fail_and_recover(&pipeline, &valves, args.seconds);
    pipeline.set_state(gst::State::Null)?;
    result.and_then(|()| started.map(|_| ()).map_err(Into::into))
}

/// A bin with a picture and a tone, and the two valves in it.
fn test_source(
    pattern: &str,
    hz: u32,
) -> Result<(gst::Element, Vec<gst::Element>), Box<dyn Error>> {
    let bin = gst::Bin::new();
    let mut valves = Vec::new();
    for (name, description) in [
        (
            "video",
            format!("videotestsrc is-live=true pattern={pattern} ! valve name=video_valve"),
        ),
        (
            "audio",
            format!("audiotestsrc is-live=true freq={hz} ! valve name=audio_valve"),
        ),
    ] {
        let stream = gst::parse::bin_from_description(&description, true)?;
        valves.extend(stream.by_name(&format!("{name}_valve")));
        bin.add(&stream)?;
        let target = stream.static_pad("src").ok_or("no pad to offer")?;
        // The pads' names are free; what flows through them says what they are.
        let pad = gst::GhostPad::builder_with_target(&target)?
            .name(name)
            .build();
        bin.add_pad(&pad)?;
    }
    Ok((bin.upcast(), valves))
}

/// The primary flows for 8 seconds and fails for 4, again and again.
fn fail_and_recover(
    pipeline: &gst::Pipeline,
    valves: &[gst::Element],
    seconds: u64,
) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    let mut failing = false;
    while seconds == 0 || start.elapsed() < Duration::from_secs(seconds) {
        let should_fail = start.elapsed().as_secs() % 12 >= 8;
        if should_fail != failing {
            failing = should_fail;
            println!(
                "the primary {}",
                if failing { "fails" } else { "flows again" }
            );
            for valve in valves {
                valve.set_property("drop", failing);
            }
        }
        let Some(message) = bus.timed_pop(gst::ClockTime::from_mseconds(50)) else {
            continue;
        };
        if common::is_interrupt(&message) {
            break;
        }
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => return Err(error.error().into()),
            gst::MessageView::Latency(_) => common::spread_latency(pipeline),
            _ => {
                if let Some(sentence) = common::describe(&message) {
                    println!("  {sentence}");
                }
            }
        }
    }
    Ok(())
}
