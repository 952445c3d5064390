// SPDX-License-Identifier: MPL-2.0
//! Plays what an Ant Media player page plays, with its failover: paste the page's address from the
//! browser. Every switch is told with its cause and cost.
//!
//!     cargo run --example ams_play -- 'https://host:5443/live/play.html?id=primary&backupStreamId=backup'

mod common;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use gst::prelude::*;

/// Play what an Ant Media player page plays.
#[derive(Parser)]
struct Args {
    /// The address of the page, as it stands in the browser.
    page: String,
    /// Seconds without a buffer after which a stream is left.
    #[arg(long, default_value_t = 1.0)]
    timeout: f64,
    /// Seconds in which the first stream may begin before a backup plays.
    #[arg(long, default_value_t = 2.0)]
    startup_timeout: f64,
    /// As the page does: backups are not connected before they are needed, and keep the air until they
    /// fail themselves.
    #[arg(long)]
    like_the_page: bool,
    /// Show and play nothing, in real time.
    #[arg(long)]
    fakesink: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ams_play: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstfailover::plugin_register_static()?;
    let source = gst::ElementFactory::make("failoversrc")
        .property("uri", &args.page)
        .property("timeout", common::nanoseconds(args.timeout))
        .property("startup-timeout", common::nanoseconds(args.startup_timeout))
        .build()?;
    if args.like_the_page {
        source.set_property_from_str("standby", "cold");
        source.set_property_from_str("switch-back", "on-failure");
    }
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
    // What went wrong at the start is on the bus, so the loop tells it.
    let result = watch(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    result.and_then(|()| started.map(|_| ()).map_err(Into::into))
}

/// Until the end, an error, or Ctrl-C.
fn watch(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(()),
            gst::MessageView::Error(error) => return Err(error.error().to_string().into()),
            gst::MessageView::Element(_) => {
                if let Some(text) = common::describe(&message) {
                    println!("{text}");
                }
            }
            gst::MessageView::Latency(_) => common::spread_latency(pipeline),
            _ if common::is_interrupt(&message) => return Ok(()),
            _ => (),
        }
    }
    Ok(())
}
