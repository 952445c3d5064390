// SPDX-License-Identifier: MPL-2.0
//! The public face of the plugin, compared with `tests/interface.golden.txt`: what a pipeline, an
//! application or a binding can see of it. A change of the face is a change of that file, on purpose.
//!
//! `UPDATE_GOLDEN=1 cargo test --test interface` writes it anew.

#[path = "support/face.rs"]
mod face;

use std::fmt::Write;
use std::fs;

use face::{ELEMENTS, access, default_of, mutability, own, own_signals, range, root, start};
use gst::glib;
use gst::prelude::*;

#[test]
fn the_public_face_is_as_written_down() {
    let now = whole_face();
    let path = root().join("tests/interface.golden.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, now).expect("tests/interface.golden.txt can be written");
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        golden == now,
        "the public face has changed (- as written down, + as it is now):\n\n{}\n\
         If that is meant: UPDATE_GOLDEN=1 cargo test --test interface, and a line in CHANGELOG.md.",
        difference(&golden, &now)
    );
}

#[test]
fn the_plugin_has_the_elements_that_are_written_down_and_no_other() {
    start();
    let plugin = gst::Registry::get()
        .find_plugin("failover")
        .expect("the plugin is registered");
    let features = gst::Registry::get().features_by_plugin(&plugin.plugin_name());
    let mut names: Vec<_> = features.iter().map(|f| f.name().to_string()).collect();
    names.sort();
    assert_eq!(names, ELEMENTS);
}

#[test]
fn an_application_may_register_the_plugin_again() {
    start();
    let factories = || ELEMENTS.map(|name| gst::ElementFactory::find(name).expect(name));
    let before = factories();
    gstfailover::plugin_register_static().expect("the plugin");
    assert_eq!(factories(), before, "the classes point at what is gone");
}

#[test]
fn a_difference_shows_what_went_and_what_came() {
    assert_eq!(
        difference("a\nb\nc\n", "a\nx\nc\nd\n"),
        "  a\n- b\n+ x\n  c\n+ d\n"
    );
    assert_eq!(difference("", "a\n"), "+ a\n");
}

fn whole_face() -> String {
    start();
    let mut text = String::new();
    for name in ELEMENTS {
        let element = gst::ElementFactory::make(name)
            .build()
            .expect("the element can be made");
        element_face(&mut text, name, &element).expect("a string can be written to");
    }
    text
}

fn element_face(text: &mut String, name: &str, element: &gst::Element) -> std::fmt::Result {
    let factory = element.factory().expect("it came from its factory");
    writeln!(text, "element {name}: {}", element.type_().name())?;
    for key in ["long-name", "klass", "description"] {
        writeln!(
            text,
            "  {key}: {}",
            factory.metadata(key).unwrap_or_default()
        )?;
    }
    let schemes = factory.uri_protocols();
    if !schemes.is_empty() {
        writeln!(text, "  plays: {}", schemes.join(", "))?;
    }
    let mut pad_types = vec![];
    for template in element.pad_template_list() {
        let (direction, presence) = (template.direction(), template.presence());
        let (name, caps) = (template.name_template(), template.caps());
        writeln!(text, "  pad {name}: {direction:?}, {presence:?}, {caps}")?;
        let pad_type = template.property::<glib::Type>("gtype");
        if pad_type.is_a(gst::Pad::static_type()) && !pad_types.contains(&pad_type) {
            pad_types.push(pad_type);
        }
    }
    for pspec in own(element.list_properties().as_slice(), element.type_()) {
        property_face(text, "", pspec)?;
    }
    for signal in own_signals(element.type_()) {
        signal_face(text, &signal)?;
    }
    for pad_type in pad_types {
        let class = glib::Class::<glib::Object>::from_type(pad_type).expect("pads are objects");
        writeln!(text, "  {}", pad_type.name())?;
        for pspec in own(class.list_properties().as_slice(), pad_type) {
            property_face(text, "  ", pspec)?;
        }
    }
    writeln!(text)
}

fn property_face(text: &mut String, indent: &str, pspec: &glib::ParamSpec) -> std::fmt::Result {
    let mut facts = vec![
        pspec.value_type().name().to_owned(),
        access(pspec.flags()).to_owned(),
    ];
    facts.extend(range(pspec));
    facts.push(format!("default {}", default_of(pspec)));
    facts.extend(mutability(pspec.flags()).map(str::to_owned));
    writeln!(
        text,
        "{indent}  property {}: {}",
        pspec.name(),
        facts.join(", ")
    )?;
    writeln!(
        text,
        "{indent}    {}",
        pspec.blurb().unwrap_or("(no blurb)")
    )?;
    if let Some(class) = glib::EnumClass::with_type(pspec.value_type()) {
        for value in class.values() {
            let (number, nick, name) = (value.value(), value.nick(), value.name());
            writeln!(text, "{indent}    {number} = {nick}: {name}")?;
        }
    }
    Ok(())
}

fn signal_face(text: &mut String, query: &glib::subclass::SignalQuery) -> std::fmt::Result {
    let is_action = query.flags().contains(glib::SignalFlags::ACTION);
    let kind = if is_action { "action" } else { "signal" };
    let types: Vec<_> = query
        .param_types()
        .iter()
        .map(|t| t.type_().name())
        .collect();
    let returns = query.return_type().type_().name();
    let name = query.signal_name();
    writeln!(text, "  {kind} {name}({}) -> {returns}", types.join(", "))
}

/// The lines of both, in order, by the longest part that they have in common.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut text) = (0, 0, String::new());
    while i < old.len() || j < new.len() {
        let (mark, line) = if i < old.len() && j < new.len() && old[i] == new[j] {
            j += 1;
            i += 1;
            (' ', old[i - 1])
        } else if i < old.len() && (j == new.len() || common[i + 1][j] >= common[i][j + 1]) {
            i += 1;
            ('-', old[i - 1])
        } else {
            j += 1;
            ('+', new[j - 1])
        };
        text.push_str(&format!("{mark} {line}\n"));
    }
    text
}
