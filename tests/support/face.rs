// SPDX-License-Identifier: MPL-2.0
//! What can be asked of an element's class: its own properties and signals, as text.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

use gst::glib;
use gst::prelude::*;

pub(crate) const ELEMENTS: [&str; 3] = ["failoversrc", "failoverswitch", "webrtcplaysrc"];

pub(crate) fn own(all: &[glib::ParamSpec], owner: glib::Type) -> Vec<&glib::ParamSpec> {
    let mut own: Vec<_> = all.iter().filter(|p| p.owner_type() == owner).collect();
    own.sort_by(|a, b| a.name().cmp(b.name()));
    own
}

pub(crate) fn access(flags: glib::ParamFlags) -> &'static str {
    match (
        flags.contains(glib::ParamFlags::READABLE),
        flags.contains(glib::ParamFlags::WRITABLE),
    ) {
        (true, true) => "read and write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "hidden",
    }
}

pub(crate) fn mutability(flags: glib::ParamFlags) -> Option<&'static str> {
    if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        Some("changeable in PLAYING")
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PAUSED) {
        Some("changeable in PAUSED")
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_READY) {
        Some("changeable in READY")
    } else {
        None
    }
}

pub(crate) fn range(pspec: &glib::ParamSpec) -> Option<String> {
    if let Some(number) = pspec.downcast_ref::<glib::ParamSpecUInt64>() {
        return Some(format!("{} to {}", number.minimum(), number.maximum()));
    }
    if let Some(number) = pspec.downcast_ref::<glib::ParamSpecUInt>() {
        return Some(format!("{} to {}", number.minimum(), number.maximum()));
    }
    let number = pspec.downcast_ref::<glib::ParamSpecInt>()?;
    Some(format!("{} to {}", number.minimum(), number.maximum()))
}

pub(crate) fn default_of(pspec: &glib::ParamSpec) -> String {
    let value = pspec.default_value();
    if let Some((_, value)) = glib::EnumValue::from_value(value) {
        return value.nick().to_owned();
    }
    if let Ok(text) = value.get::<Option<String>>() {
        return text.unwrap_or_else(|| "null".to_owned());
    }
    if value.type_() == gst::Structure::static_type() {
        return "null".to_owned();
    }
    let text = value.transform::<String>().ok();
    let text = text.and_then(|text| text.get::<Option<String>>().ok().flatten());
    text.map_or_else(|| "null".to_owned(), |text| text.to_lowercase())
}

/// GStreamer with the plugin in it.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer starts");
        gstfailover::plugin_register_static().expect("the plugin can be registered");
    });
}

/// The signals and actions of a type itself. They cannot be listed without unsafe code, so every text
/// in `src/` is asked whether it is the name of one.
pub(crate) fn own_signals(owner: glib::Type) -> Vec<glib::subclass::SignalQuery> {
    let ids = texts_in_source();
    let ids = ids
        .iter()
        .filter_map(|name| glib::subclass::SignalId::lookup(name, owner));
    ids.map(|id| id.query())
        .filter(|query| query.type_() == owner)
        .collect()
}

fn texts_in_source() -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("src/ can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).expect("source is text");
                let names = text.split('"').filter(|text| is_signal_name(text));
                texts.extend(names.map(str::to_owned));
            }
        }
    }
    texts
}

fn is_signal_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
