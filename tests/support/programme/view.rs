// SPDX-License-Identifier: MPL-2.0
//! The sinks: each output's buffers as they leave the element, and what they show.

use std::sync::Arc;
use std::time::Instant;

use gst::prelude::*;

use super::Shared;
use super::look::{Look, look_of_picture, look_of_sound};
use super::record::{Output, Passed, Seen};

/// Sinks for a new pad: first the buffer as it is, then what it shows.
pub(super) fn view(
    pipeline: &gst::Pipeline,
    src: &gst::Element,
    pad: &gst::Pad,
    shared: &Arc<Shared>,
) {
    let name = pad.name().to_string();
    let is_video = name.starts_with("video");
    let output = src.property_value("output");
    let encoded = output.transform::<String>().is_ok_and(|o| {
        o.get::<String>()
            .is_ok_and(|o| o.contains("Parsed") || o.contains("ncoded"))
    });
    let decode = match (encoded, is_video) {
        (false, _) => "identity",
        (true, true) => "avdec_h264",
        (true, false) => "avdec_aac",
    };
    let convert = match is_video {
        true => "videoconvert ! video/x-raw,format=RGB",
        false => "audioconvert ! audio/x-raw,format=S16LE,channels=1,layout=interleaved",
    };
    let taken = shared.taken.get().filter(|_| is_video);
    let taken = taken.map_or_else(String::new, |caps| format!("capsfilter caps={caps} ! "));
    let description =
        format!("{taken}{decode} ! {convert} ! fakesink name=last sync=false async=false");
    let bin = gst::parse::bin_from_description(&description, true).expect("sinks");
    pipeline.add(&bin).expect("added");
    let first = bin.static_pad("sink").expect("a pad");
    let index = {
        let mut record = shared.lock();
        record.outputs.push(Output {
            name,
            ..Output::default()
        });
        record.outputs.len() - 1
    };
    record_passed(&first, index, shared);
    let last = bin
        .by_name("last")
        .and_then(|sink| sink.static_pad("sink"))
        .expect("a pad");
    record_seen(&last, index, shared);
    bin.sync_state_with_parent().expect("sinks run");
    // Whether it takes what comes is found out with what comes.
    let unchecked = gst::PadLinkCheck::empty();
    pad.link_full(&first, unchecked).expect("linked");
    shared.changed.notify_all();
}

fn record_passed(pad: &gst::Pad, index: usize, shared: &Arc<Shared>) {
    let shared = shared.clone();
    let mask = gst::PadProbeType::EVENT_DOWNSTREAM
        | gst::PadProbeType::BUFFER
        | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(mask, move |_, info| {
        shared.note(|record| {
            // Another run of the element may have begun.
            let Some(output) = record.outputs.get_mut(index) else {
                return;
            };
            match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => output.passed.push(passed(buffer)),
                Some(gst::PadProbeData::BufferList(list)) => {
                    output.passed.extend(list.iter().map(passed));
                }
                Some(gst::PadProbeData::Event(event)) => match event.view() {
                    gst::EventView::StreamStart(_) => output.stream_starts += 1,
                    gst::EventView::Segment(_) => output.segments += 1,
                    gst::EventView::Caps(caps) => output.caps.push(caps.caps_owned()),
                    gst::EventView::Eos(_) => output.eos = true,
                    _ => (),
                },
                _ => (),
            }
        });
        gst::PadProbeReturn::Ok
    });
}

fn passed(buffer: &gst::BufferRef) -> Passed {
    Passed {
        arrival: Instant::now(),
        pts: buffer.pts(),
        dts: buffer.dts(),
        delta_unit: buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
        discont: buffer.flags().contains(gst::BufferFlags::DISCONT),
    }
}

fn record_seen(pad: &gst::Pad, index: usize, shared: &Arc<Shared>) {
    let shared = shared.clone();
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let look = info.buffer().zip(pad.current_caps()).map(|(buffer, caps)| {
            match gst_video::VideoInfo::from_caps(&caps) {
                Ok(video) => look_of_picture(buffer, &video),
                Err(_) => look_of_sound(buffer, &caps),
            }
        });
        let seen = Seen {
            arrival: Instant::now(),
            look: look.unwrap_or(Look::Other),
        };
        shared.note(|record| {
            if let Some(output) = record.outputs.get_mut(index) {
                output.seen.push(seen);
            }
        });
        gst::PadProbeReturn::Ok
    });
}
