// SPDX-License-Identifier: MPL-2.0
//! A WebRTC primary by WHEP, with the same programme by RTMP as its backup: quick while all is well,
//! and there when it is not.
//!
//!     cargo run --example whep_with_rtmp_backup -- whep://host:8889/live/whep rtmp://host/live --token x

mod common;

use std::error::Error;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use gst::prelude::*;

/// Play a WHEP stream, and an RTMP stream while that is down.
#[derive(Parser)]
struct Args {
    /// whep:// or wheps://
    primary: String,
    /// rtmp:// or rtmps://
    backup: String,
    /// For the WHEP server.
    #[arg(long)]
    token: Option<String>,
    /// A STUN server, stun://host:port, where the server is not reached directly.
    #[arg(long)]
    stun: Option<String>,
    /// Show and play nothing, in real time.
    #[arg(long)]
    fakesink: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("whep_with_rtmp_backup: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstfailover::plugin_register_static()?;
    let source = gst::ElementFactory::make("failoversrc")
        .property("primary-uri", &args.primary)
        .property("backup-uri", &args.backup)
        .build()?;
    configure(&source, args);
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
            let name = pad.name();
            gst::element_error!(source, gst::CoreError::Pad, ("cannot play {name}: {error}"));
        }
    });
    common::interrupt_to_bus(&pipeline)?;
    let started = pipeline.set_state(gst::State::Playing);
    let result = report(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    result.and_then(|()| started.map(|_| ()).map_err(Into::into))
}

/// Before each attempt the new webrtcplaysrc gets what only this server needs.
fn configure(source: &gst::Element, args: &Args) {
    let (token, stun) = (args.token.clone(), args.stun.clone());
    source.connect("configure-source", false, move |values| {
        let element = values.get(2)?.get::<gst::Element>().ok()?;
        let factory = element.type_().name().to_owned();
        if factory == "GstWebRtcPlaySrc" {
            element.set_property("auth-token", &token);
            element.set_property("stun-server", &stun);
        }
        None
    });
}

/// One line for each switch and each change of an input, until Ctrl-C or an error.
fn report(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    println!("playing; Ctrl-C ends it");
    for message in bus.iter_timed(gst::ClockTime::NONE) {
        if common::is_interrupt(&message) {
            println!("ending");
            return Ok(());
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
