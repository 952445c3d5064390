// SPDX-License-Identifier: MPL-2.0
//! Which element decodes given caps: the registry's decoders by rank, set for a live stream. Owns
//! the choice and the settings; never touches pads, bins or data.

use super::imp::CAT;
use gst::glib;
use gst::prelude::*;

/// What a live viewer wants of a decoder, set where the decoder knows the property.
const LIVE_SETTINGS: [(&str, &str); 6] = [
    // Frame threads hold back one frame each; slice threads hold back none.
    ("thread-type", "slice"),
    ("max-frame-delay", "1"),
    // Strict means to wait for frames that a stream might reorder although it does not.
    ("std-compliance", "normal"),
    // Better no picture than a broken one.
    ("output-corrupt", "false"),
    ("discard-corrupted-frames", "true"),
    // Errors are counted and survived here, not there.
    ("max-errors", "-1"),
];

/// Whether caps can be decoded on this machine; else what is missing.
pub(crate) fn can_decode(caps: &gst::CapsRef) -> Result<(), String> {
    if is_raw(caps) || !candidates(caps).is_empty() {
        return Ok(());
    }
    Err(missing(caps))
}

/// The same of caps that are not final: whether what they promise may turn out to be decodable.
pub(crate) fn may_decode(caps: &gst::CapsRef) -> Result<(), String> {
    if is_raw(caps) || !decoders(|factory| factory.can_sink_any_caps(caps)).is_empty() {
        return Ok(());
    }
    Err(missing(caps))
}

pub(super) fn is_raw(caps: &gst::CapsRef) -> bool {
    caps.structure(0)
        .is_some_and(|s| is_raw_name(s.name().as_str()))
}

/// An element in READY that takes these caps; the factories named `passed_over` only if no other can.
pub(super) fn element_for(
    caps: &gst::CapsRef,
    passed_over: &[glib::GString],
) -> Result<gst::Element, String> {
    if is_raw(caps) {
        return gst::ElementFactory::make("identity")
            .build()
            .map_err(|error| error.to_string());
    }
    let mut candidates = candidates(caps);
    if candidates.is_empty() {
        return Err(missing(caps));
    }
    candidates.sort_by_key(|factory| passed_over.contains(&factory.name()));
    candidates
        .iter()
        .find_map(ready)
        .ok_or_else(|| format!("no decoder for {} can be started", codec(caps)))
}

/// The codec in words that fit in a message: without headers and tags.
pub(super) fn codec(caps: &gst::CapsRef) -> String {
    let Some(structure) = caps.structure(0) else {
        return "empty caps".into();
    };
    let name = structure.name().to_string();
    let details = ["mpegversion", "layer", "stream-format", "format"]
        .iter()
        .filter_map(|field| {
            let value = structure.value(*field).ok()?.serialize().ok()?;
            Some(format!(", {field}={value}"))
        });
    std::iter::once(name).chain(details).collect()
}

fn candidates(caps: &gst::CapsRef) -> Vec<gst::ElementFactory> {
    decoders(|factory| factory.can_sink_all_caps(caps))
}

fn decoders(takes: impl Fn(&gst::ElementFactory) -> bool) -> Vec<gst::ElementFactory> {
    gst::ElementFactory::factories_with_type(gst::ElementFactoryType::DECODER, gst::Rank::MARGINAL)
        .into_iter()
        .filter(|factory| {
            // decodebin and its like are called decoders too.
            !factory.klass().split('/').any(|part| part == "Bin")
                && takes(factory)
                && gives_raw(factory)
        })
        .collect()
}

/// Into ordinary memory, which every element downstream can read.
fn gives_raw(factory: &gst::ElementFactory) -> bool {
    factory
        .static_pad_templates()
        .iter()
        .filter(|template| template.direction() == gst::PadDirection::Src)
        .any(|template| {
            template.caps().iter_with_features().any(|(s, features)| {
                is_raw_name(s.name().as_str())
                    && features.contains(gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY)
            })
        })
}

fn ready(factory: &gst::ElementFactory) -> Option<gst::Element> {
    let element = factory.create().build().ok()?;
    // Outside of any bin, so that the failure of a missing device is heard by nobody.
    if element.set_state(gst::State::Ready).is_err() {
        gst::info!(CAT, "{} does not start, trying the next", factory.name());
        let _ = element.set_state(gst::State::Null);
        return None;
    }
    for (name, value) in LIVE_SETTINGS {
        set_if_known(&element, name, value);
    }
    Some(element)
}

fn set_if_known(element: &gst::Element, name: &str, value: &str) {
    let Some(pspec) = element.find_property(name) else {
        return;
    };
    if !pspec.flags().contains(glib::ParamFlags::WRITABLE) {
        return;
    }
    if let Ok(value) = glib::Value::deserialize_with_pspec(value, &pspec) {
        element.set_property_from_value(name, &value);
    }
}

fn missing(caps: &gst::CapsRef) -> String {
    let codec = codec(caps);
    let decoder = match codec.split('/').next() {
        Some("video" | "image") => "a video decoder",
        Some("audio") => "an audio decoder",
        _ => "a decoder",
    };
    format!("no decoder for {codec}: a GStreamer plugin with {decoder} for it is missing")
}

fn is_raw_name(name: &str) -> bool {
    matches!(name, "video/x-raw" | "audio/x-raw")
}
