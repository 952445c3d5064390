// SPDX-License-Identifier: MPL-2.0
//! What the examples share: Ctrl-C as a message on the bus, and the element's messages as sentences.

// Not every example needs all of it.
#![allow(dead_code)]

pub(crate) mod keys;

use std::error::Error;
use std::time::Duration;

use gst::prelude::*;

/// Ctrl-C and SIGTERM arrive on the pipeline's bus, as a message that [`is_interrupt`] knows. So one
/// loop hears everything.
pub(crate) fn interrupt_to_bus(pipeline: &gst::Pipeline) -> Result<(), Box<dyn Error>> {
    let bus = pipeline.bus().ok_or("a pipeline without a bus")?;
    ctrlc::set_handler(move || {
        let _ = bus.post(gst::message::Application::new(gst::Structure::new_empty(
            "interrupt",
        )));
    })?;
    Ok(())
}

pub(crate) fn is_interrupt(message: &gst::Message) -> bool {
    message.type_() == gst::MessageType::Application
        && message
            .structure()
            .is_some_and(|structure| structure.name() == "interrupt")
}

/// On a message that the latency has changed. A pad that is about to be linked does not take it yet, which
/// is no error: another message follows.
pub(crate) fn spread_latency(pipeline: &gst::Pipeline) {
    let _ = pipeline.recalculate_latency();
}

/// Adds the elements of `description` to the pipeline and links `pad` to them.
pub(crate) fn play_pad(pad: &gst::Pad, description: &str) -> Result<(), Box<dyn Error>> {
    let source = pad.parent_element().ok_or("a pad without an element")?;
    let pipeline = source
        .parent()
        .and_downcast::<gst::Bin>()
        .ok_or("a source outside a bin")?;
    let bin = gst::parse::bin_from_description(description, true)?;
    pipeline.add(&bin)?;
    bin.sync_state_with_parent()?;
    pad.link(&bin.static_pad("sink").ok_or("nothing to link to")?)?;
    Ok(())
}

/// A switch or a change of an input's state, in words.
pub(crate) fn describe(message: &gst::Message) -> Option<String> {
    let structure = message.structure()?;
    let text = |field: &str| structure.get::<String>(field).unwrap_or_default();
    let number = |field: &str| structure.get::<i32>(field).unwrap_or(-1);
    let time = |field: &str| gst::ClockTime::from_nseconds(structure.get(field).unwrap_or(0));
    match structure.name().as_str() {
        "failover-switched" => Some(format!(
            "switched {} → {}: {}, detected in {} ms, gap {} ms",
            name(number("from")),
            name(number("to")),
            text("cause"),
            time("detection").mseconds(),
            time("gap").mseconds(),
        )),
        "failover-input-state" => {
            let input = name(number("input"));
            Some(format!(
                "{input}: {} → {} ({})",
                text("old"),
                text("new"),
                text("cause")
            ))
        }
        _ => None,
    }
}

/// An input by its number.
pub(crate) fn name(input: i32) -> String {
    match input {
        0 => "primary".to_owned(),
        1 => "backup".to_owned(),
        2.. => format!("backup {input}"),
        _ => "nothing".to_owned(),
    }
}

/// Seconds from the command line as the nanoseconds that properties take.
pub(crate) fn nanoseconds(seconds: f64) -> u64 {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e6)).as_nanos() as u64
}
