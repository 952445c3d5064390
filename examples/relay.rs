// SPDX-License-Identifier: MPL-2.0
//! Two RTMP ingests in, one RTMP stream out, without decoding. Whatever happens to the ingests, the
//! connection to the output stays.
//!
//!     cargo run --example relay -- rtmp://a/live/x rtmp://b/live/x rtmp://cdn.example/live/out

mod common;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gst::prelude::*;

/// Relay H.264 and AAC from the primary, or from the backup while the primary is down.
#[derive(Parser)]
struct Args {
    primary: String,
    backup: String,
    /// Where the stream goes.
    output: String,
    /// Seconds without a buffer after which an input is stalled.
    #[arg(long, default_value_t = 1.0)]
    timeout: f64,
    /// Seconds that the primary must be healthy to be switched back to.
    #[arg(long, default_value_t = 5.0)]
    recovery: f64,
    /// The inputs carry no audio.
    #[arg(long)]
    video_only: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("relay: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstfailover::plugin_register_static()?;
    let pipeline = build(args)?;
    common::interrupt_to_bus(&pipeline)?;
    let started = pipeline.set_state(gst::State::Playing);
    let result = report(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    result.and_then(|()| started.map(|_| ()).map_err(Into::into))
}

/// The muxer has its pads from the start, since it writes once, in the header, what it carries.
fn build(args: &Args) -> Result<gst::Pipeline, Box<dyn Error>> {
    let audio = "queue name=audio ! aacparse ! mux.audio";
    let description = format!(
        "flvmux name=mux streamable=true ! queue ! rtmp2sink name=out
         queue name=video ! h264parse ! mux.video {}",
        if args.video_only { "" } else { audio }
    );
    let pipeline = gst::parse::launch(&description)?;
    let pipeline = pipeline
        .downcast::<gst::Pipeline>()
        .map_err(|_| "not a pipeline")?;
    let output = pipeline.by_name("out").ok_or("no output")?;
    output.set_property("location", &args.output);

    let source = gst::ElementFactory::make("failoversrc")
        .property("primary-uri", &args.primary)
        .property("backup-uri", &args.backup)
        .property("timeout", common::nanoseconds(args.timeout))
        .property("recovery-time", common::nanoseconds(args.recovery))
        .property_from_str("output", "encoded")
        .build()?;
    pipeline.add(&source)?;
    let queues = ["video", "audio"].map(|name| pipeline.by_name(name));
    source.connect_pad_added(move |source, pad| {
        let queue = &queues[usize::from(pad.name().starts_with("audio"))];
        let Some(sink) = queue.as_ref().and_then(|queue| queue.static_pad("sink")) else {
            return;
        };
        // A second stream of a kind has no place in FLV.
        if sink.is_linked() {
            return;
        }
        if let Err(error) = pad.link(&sink) {
            gst::element_error!(source, gst::CoreError::Pad, ("{}: {error}", pad.name()));
        }
    });
    Ok(pipeline)
}

/// One line for each switch and each change of an input, until Ctrl-C or an error.
fn report(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    println!("relaying; Ctrl-C ends it");
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        if common::is_interrupt(&message) {
            println!("ending");
            return end(pipeline, &bus);
        }
        match message.view() {
            gst::MessageView::Eos(_) => return Ok(()),
            gst::MessageView::Error(error) => return Err(error.error().into()),
            gst::MessageView::Latency(_) => common::spread_latency(pipeline),
            gst::MessageView::Element(_) => {
                if let Some(sentence) = common::describe(&message) {
                    println!("{:9.2} s  {sentence}", start.elapsed().as_secs_f64());
                }
            }
            _ => (),
        }
    }
    Ok(())
}

/// Lets the output end as a stream ends: EOS goes through, for 2 seconds at most.
fn end(pipeline: &gst::Pipeline, bus: &gst::Bus) -> Result<(), Box<dyn Error>> {
    pipeline.send_event(gst::event::Eos::new());
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    bus.timed_pop_filtered(gst::ClockTime::from_seconds(2), &ends);
    Ok(())
}
