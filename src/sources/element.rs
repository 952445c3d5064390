// SPDX-License-Identifier: MPL-2.0
//! An element of the application, or a bin from a gst-launch description.
//!
//! Only the application knows how to build it, so the same element is used for every attempt, once the
//! attempt before has stopped and given it back. What is known only here is whether such an element can
//! ever deliver, and whether it is live.

use gst::prelude::*;

use super::bin::{SourceBin, is_taken};
use super::find::has_sometimes_pads;
use super::{Error, Secrets, Source, Timestamps, uri};

/// Words in the names of properties that hold a secret as it is.
const SECRETS: [&str; 14] = [
    "auth",
    "cookie",
    "credential",
    "header",
    "key",
    "pass",
    "proxy-id",
    "proxy-pw",
    "secret",
    "stream",
    "token",
    "user-id",
    "user-pw",
    "username",
];

pub(super) fn check(element: &gst::Element) -> Result<(), Error> {
    let name = element.name().to_string();
    if element.is::<gst::Pipeline>() {
        return Err(Error::IsPipeline(name));
    }
    match check_free(element) {
        // An earlier attempt has not let go of it yet: its pads are linked, by us.
        Err(Error::Stopping(_)) => Ok(()),
        _ if !can_deliver(element) => Err(Error::NoPads(name)),
        checked => checked,
    }
}

pub(super) fn build(element: &gst::Element, name: &str) -> Result<Source, Error> {
    check_free(element)?;
    free_inner_pads(element);
    let bin = SourceBin::new(name);
    bin.add(element)
        .map_err(|_| Error::InUse(element.name().to_string()))?;
    bin.watch(element);
    Ok(Source {
        bin: bin.upcast(),
        core: element.clone(),
        timestamps: timestamps(element),
    })
}

/// Everything in the properties of the element, and of those inside it, that nobody may read.
pub(super) fn secrets(element: &gst::Element) -> Secrets {
    let mut secrets = Secrets::default();
    for element in with_children(element) {
        for spec in element.list_properties().iter() {
            let name = spec.name();
            let is_secret = SECRETS.iter().any(|word| name.contains(word));
            for text in texts(&element, spec) {
                match text.contains("://") {
                    true => secrets.add_uri(&text),
                    false if is_secret => secrets.add(&text),
                    false => (),
                }
            }
        }
    }
    secrets
}

/// Only the thread that leads an earlier attempt gives the element back. Its state tells nothing: it is in
/// NULL before that thread has started it as well.
fn check_free(element: &gst::Element) -> Result<(), Error> {
    let name = element.name().to_string();
    if is_taken(element) {
        return Err(Error::Stopping(name));
    }
    // Asked for only now: an attempt that gave it back meanwhile is no stranger that uses it.
    match element.parent() {
        Some(_) => Err(Error::InUse(name)),
        None => Ok(()),
    }
}

/// A description parsed as a bin has its unlinked pads brought to the surface, even those deep
/// inside a decodebin that only wait to be linked there. Such a pad belongs to the element inside.
fn free_inner_pads(element: &gst::Element) {
    for pad in element.src_pads() {
        let target = pad
            .downcast_ref::<gst::GhostPad>()
            .and_then(|ghost| ghost.target());
        let owner = target.and_then(|target| target.parent_element());
        if owner.is_some_and(|owner| owner.parent().as_ref() != Some(element.upcast_ref()))
            && element.type_() == gst::Bin::static_type()
        {
            let _ = element.remove_pad(&pad);
        }
    }
}

/// Whether a source pad is there or may come, on the element or on a loose end inside a plain bin.
/// Request pads neither count nor harm.
fn can_deliver(element: &gst::Element) -> bool {
    let has_loose_end = |element: &gst::Element| {
        has_sometimes_pads(element) || element.src_pads().iter().any(|pad| !pad.is_linked())
    };
    let looks_inside = element.type_() == gst::Bin::static_type();
    let mut all = with_children(element);
    all.next().is_some_and(|element| has_loose_end(&element))
        || (looks_inside && all.any(|child| has_loose_end(&child)))
}

/// Live sources stamp with the running time of the pipeline, unless what follows them takes
/// timestamps from the stream. Placing by arrival works for all, so it is the answer in doubt.
fn timestamps(element: &gst::Element) -> Timestamps {
    let mut live = false;
    for element in with_children(element) {
        let factory = element.factory();
        let name = factory.as_ref().map(|factory| factory.name());
        let class = factory.as_ref().and_then(|f| f.metadata("klass"));
        let takes_from_stream = class.is_some_and(|class| class.to_lowercase().contains("mux"));
        let is_rtmp = name.as_ref().is_some_and(|name| name.starts_with("rtmp"));
        if takes_from_stream || is_rtmp {
            return Timestamps::Own;
        }
        live |= name.is_some_and(|name| name == "rtspsrc")
            || element
                .downcast_ref::<gst_base::BaseSrc>()
                .is_some_and(gst_base::prelude::BaseSrcExt::is_live)
            || text(&element, "uri")
                .is_some_and(|uri| uri::timestamps(&uri) == Timestamps::Running);
    }
    if live {
        Timestamps::Running
    } else {
        Timestamps::Own
    }
}

/// The element itself first, then whatever is inside it, at any depth.
fn with_children(element: &gst::Element) -> impl Iterator<Item = gst::Element> {
    let inside = element
        .downcast_ref::<gst::Bin>()
        .map(|bin| bin.iterate_recurse().into_iter().flatten());
    std::iter::once(element.clone()).chain(inside.into_iter().flatten())
}

/// All texts that a property has: one, a list, or a structure of them.
fn texts(element: &gst::Element, spec: &gst::glib::ParamSpec) -> Vec<String> {
    let holds_texts = [
        gst::glib::Type::STRING,
        <Vec<String>>::static_type(),
        gst::Structure::static_type(),
        gst::Array::static_type(),
    ];
    let is_readable = spec.flags().contains(gst::glib::ParamFlags::READABLE);
    if !is_readable || !holds_texts.contains(&spec.value_type()) || spec.name() == "stats" {
        return vec![];
    }
    texts_in(&element.property_value(spec.name()))
}

fn texts_in(value: &gst::glib::Value) -> Vec<String> {
    if let Ok(text) = value.get::<Option<String>>() {
        return text.into_iter().collect();
    }
    if let Ok(texts) = value.get::<Vec<String>>() {
        return texts;
    }
    if let Ok(Some(structure)) = value.get::<Option<gst::Structure>>() {
        return structure
            .iter()
            .flat_map(|(_, value)| texts_in(value))
            .collect();
    }
    let array = value.get::<gst::Array>().ok();
    array
        .iter()
        .flat_map(|array| array.iter().flat_map(|value| texts_in(value)))
        .collect()
}

fn text(element: &gst::Element, property: &str) -> Option<String> {
    let spec = element.find_property(property)?;
    let readable = spec.flags().contains(gst::glib::ParamFlags::READABLE);
    if !readable || spec.value_type() != gst::glib::Type::STRING {
        return None;
    }
    element.property::<Option<String>>(property)
}
