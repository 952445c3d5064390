// SPDX-License-Identifier: MPL-2.0
//! A player for the command line: two or more URIs, the first that is healthy is played.
//!
//!     cargo run --example play -- rtmp://a.example/live/x rtmp://b.example/live/x

mod common;

use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use gst::prelude::*;

use common::keys::Keys;

/// Keys: 0-9 hold that input on air, a automatic, r and 0-9 restart that input, q quit.
#[derive(Parser)]
struct Args {
    /// The primary, then its backups in order of preference.
    #[arg(required = true, num_args = 2..)]
    uris: Vec<String>,
    /// Seconds without a buffer after which an input is stalled.
    #[arg(long, default_value_t = 1.0)]
    timeout: f64,
    /// Extra latency in seconds. Above the timeout and the time to decode one group of pictures
    /// (encoded output: the group's length, and 0.1 s) it hides a failover.
    #[arg(long, default_value_t = 0.0)]
    latency: f64,
    /// Seconds that a preferred input must be healthy to be switched back to.
    #[arg(long, default_value_t = 5.0)]
    recovery: f64,
    /// hot or cold.
    #[arg(long, default_value = "hot")]
    standby: String,
    /// decoded or encoded.
    #[arg(long, default_value = "decoded")]
    output: String,
    /// Show and play nothing, in real time.
    #[arg(long)]
    fakesink: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("play: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    gst::init()?;
    gstfailover::plugin_register_static()?;
    let source = build_source(args)?;
    let pipeline = gst::Pipeline::new();
    pipeline.add(&source)?;
    let (encoded, fakesink) = (args.output == "encoded", args.fakesink);
    source.connect_pad_added(move |source, pad| {
        if let Err(error) = common::play_pad(pad, sink_for(&pad.name(), encoded, fakesink)) {
            gst::element_error!(
                source,
                gst::CoreError::Pad,
                ("cannot play {}: {error}", pad.name())
            );
        }
    });
    common::interrupt_to_bus(&pipeline)?;
    let player = Player {
        inputs: vec!["idle".to_owned(); args.uris.len()],
        source,
        last_switch: Instant::now(),
        keys: Keys::listen(),
        restarting: false,
    };
    let started = pipeline.set_state(gst::State::Playing);
    // What went wrong at the start is on the bus, so the loop tells it.
    let result = player.run(&pipeline);
    pipeline.set_state(gst::State::Null)?;
    result.and_then(|()| started.map(|_| ()).map_err(Into::into))
}

fn build_source(args: &Args) -> Result<gst::Element, Box<dyn Error>> {
    let mut source = gst::ElementFactory::make("failoversrc")
        .property("primary-uri", &args.uris[0])
        .property("backup-uri", &args.uris[1])
        .property("timeout", common::nanoseconds(args.timeout))
        .property("latency", common::nanoseconds(args.latency))
        .property("recovery-time", common::nanoseconds(args.recovery))
        .property_from_str("standby", &args.standby)
        .property_from_str("output", &args.output);
    if args.uris.len() > 2 {
        source = source.property("backup-uris", gst::Array::new(&args.uris[2..]));
    }
    Ok(source.build()?)
}

fn sink_for(pad: &str, encoded: bool, fakesink: bool) -> &'static str {
    match (pad.starts_with("video"), encoded, fakesink) {
        (_, _, true) => "queue ! fakesink sync=true",
        (true, true, _) => "queue ! decodebin ! videoconvert ! autovideosink",
        (true, false, _) => "queue ! videoconvert ! autovideosink",
        (false, true, _) => "queue ! decodebin ! audioconvert ! audioresample ! autoaudiosink",
        (false, false, _) => "queue ! audioconvert ! audioresample ! autoaudiosink",
    }
}

struct Player {
    source: gst::Element,
    /// The state of each input, as told by messages.
    inputs: Vec<String>,
    last_switch: Instant,
    keys: Option<Keys>,
    /// r was pressed; the next digit says which.
    restarting: bool,
}

impl Player {
    /// Until q, Ctrl-C, the end or an error.
    fn run(mut self, pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
        let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
        loop {
            let mut next = bus.timed_pop(gst::ClockTime::from_mseconds(50));
            while let Some(message) = next {
                if common::is_interrupt(&message) {
                    return Ok(());
                }
                match message.view() {
                    gst::MessageView::Eos(_) => return Ok(()),
                    gst::MessageView::Error(error) => return Err(error.error().into()),
                    gst::MessageView::Element(_) => self.hear(&message),
                    gst::MessageView::Latency(_) => common::spread_latency(pipeline),
                    _ => (),
                }
                // Only what is there: a sink that is late says so with each picture, and keys want to be read.
                next = bus.pop();
            }
            while let Some(key) = self.keys.as_ref().and_then(Keys::pressed) {
                if !self.press(key) {
                    return Ok(());
                }
            }
            self.show_status();
        }
    }

    fn hear(&mut self, message: &gst::Message) {
        let Some(sentence) = common::describe(message) else {
            return;
        };
        let field = |name| message.structure()?.value(name).ok();
        if let Some(input) = field("input").and_then(|input| input.get::<i32>().ok()) {
            let known = usize::try_from(input)
                .ok()
                .and_then(|input| self.inputs.get_mut(input));
            if let (Some(known), Some(state)) = (known, field("new")) {
                *known = state.get().unwrap_or_default();
            }
        } else {
            self.last_switch = Instant::now();
        }
        self.say(&sentence);
    }

    /// Does what the key stands for; `false` to quit.
    fn press(&mut self, key: KeyEvent) -> bool {
        let restarting = std::mem::take(&mut self.restarting);
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('a') => self.source.set_property("force-input", -1),
            KeyCode::Char('r') => self.restarting = true,
            KeyCode::Char(digit @ '0'..='9') => {
                let input = i32::from(digit as u8 - b'0');
                if input as usize >= self.inputs.len() {
                    self.say(&format!("there is no input {input}"));
                } else if restarting {
                    self.source.emit_by_name::<()>("restart-input", &[&input]);
                } else {
                    self.source.set_property("force-input", input);
                }
            }
            _ => (),
        }
        true
    }

    /// A line that stays, above the status line.
    fn say(&self, sentence: &str) {
        // In raw mode a new line does not begin at the left by itself.
        let (start, end) = if self.keys.is_some() {
            ("\r\x1b[K", "\r\n")
        } else {
            ("", "\n")
        };
        print!("{start}{sentence}{end}");
        let _ = stdout().flush();
    }

    fn show_status(&self) {
        if self.keys.is_none() {
            return;
        }
        let active = self.source.property::<i32>("active-input");
        let switches = self.source.property::<u64>("switches");
        let held = if self.source.property::<i32>("force-input") >= 0 {
            " (held)"
        } else {
            ""
        };
        let states = self.inputs.iter().enumerate();
        let states: Vec<_> = states
            .map(|(input, state)| format!("{input} {state}"))
            .collect();
        print!(
            "\r\x1b[Kon air: {}{held} for {} s | {} | {switches} switches",
            common::name(active),
            self.last_switch.elapsed().as_secs(),
            states.join(", "),
        );
        let _ = stdout().flush();
    }
}
