// SPDX-License-Identifier: MPL-2.0
//! What the application is told: messages, signals, notifications, `stats`. Always from the owner's
//! thread, never with a lock held; `status` at start and stop from the thread that does it.

use super::imp::FailoverSrc;
use super::output::{Difference, pad_name};
use super::{CAT, Status};
use crate::policy::{InputId, StreamId};
use crate::sources::Unusable;
use crate::switch::{SwitchEvent, input_state, number};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::LazyLock;

impl FailoverSrc {
    pub(super) fn tell(&self, event: SwitchEvent) {
        let obj = self.obj();
        match event {
            SwitchEvent::Switched(report) => {
                let structure = report.to_structure("failover-switched");
                self.post(structure.clone());
                obj.emit_by_name::<()>("switched", &[&structure]);
                obj.notify("active-input");
                obj.notify("switches");
            }
            SwitchEvent::Health {
                input,
                old,
                new,
                cause,
                missing,
                ..
            } => {
                let cause_name = cause.map_or("none", |cause| cause.as_str());
                let mut structure = input_state(input, [old, new], cause, self.names_of(&missing));
                // The news that an attempt has begun may come after its source's last words.
                if let Some(text) = cause.and_then(|_| self.failures().remove(&input)) {
                    structure.set("text", text);
                }
                self.post(structure);
                obj.emit_by_name::<()>(
                    "input-state-changed",
                    &[&number(input), &old.as_str(), &new.as_str(), &cause_name],
                );
            }
            SwitchEvent::Pauses
            | SwitchEvent::EverythingDown
            | SwitchEvent::SomethingUp
            | SwitchEvent::Start(_)
            | SwitchEvent::Stop(_)
            | SwitchEvent::Ended(_)
            | SwitchEvent::StreamEnded { .. } => (),
        }
        self.update_status();
    }

    fn names_of(&self, streams: &[StreamId]) -> Vec<String> {
        let outputs = self.outputs();
        let named = outputs
            .iter()
            .filter(|output| streams.contains(&output.stream));
        named
            .map(|output| pad_name(output.kind, output.number))
            .collect()
    }

    /// One stream of an input is not played.
    pub(super) fn tell_unusable(&self, input: InputId, unusable: &Unusable) {
        let structure = gst::Structure::builder("failover-stream-unusable")
            .field("input", number(input))
            .field("kind", unusable.kind.name())
            .field("codec", &unusable.codec)
            .field("text", &unusable.text);
        self.post(structure.build());
    }

    /// What comes in other languages than the outputs have. Once for each attempt, when all of its streams have come.
    pub(super) fn tell_languages(&self) {
        for ((input, attempt), _) in self.present_sources() {
            let differences = self.outputs().differences((input, attempt));
            let is_first = !differences.is_empty() && {
                let mut registered = self.registered();
                let present = registered.get_mut(&input).filter(|r| r.is_attempt(attempt));
                present.is_some_and(|present| !std::mem::replace(&mut present.told_languages, true))
            };
            if is_first {
                let structure = differences_of(input, &differences);
                let text = structure.get::<&str>("text").unwrap_or_default();
                gst::warning!(CAT, imp = self, "input {}: {text}", input.0);
                self.post(structure);
            }
        }
    }

    fn post(&self, structure: gst::Structure) {
        let obj = self.obj();
        let message = gst::message::Element::builder(structure).src(&*obj);
        let _ = obj.post_message(message.build());
    }

    pub(super) fn update_status(&self) {
        loop {
            let status = self.present_status();
            if self.swap_status(status) != status {
                gst::info!(CAT, imp = self, "status: {status:?}");
                self.obj().notify("status");
            }
            // Two threads may be here, and the last word is to be the newest.
            if self.present_status() == status {
                return;
            }
        }
    }

    fn present_status(&self) -> Status {
        match self.switch().imp().on_air() {
            _ if !self.has_control() => Status::Stopped,
            _ if self.is_down() => Status::Down,
            None => Status::Connecting,
            Some(InputId(0)) => Status::Primary,
            Some(_) => Status::Backup,
        }
    }

    /// The last words of an input's source, without its secrets; told with the failure.
    pub(super) fn note_failure(&self, input: InputId, text: &str) {
        // The first words count: what follows an error is its consequence.
        let mut failures = self.failures();
        failures.entry(input).or_insert_with(|| text.to_owned());
    }

    /// What was not told of the attempt before is not said of the next one.
    pub(super) fn forget_failure(&self, input: InputId) {
        self.failures().remove(&input);
    }
}

fn differences_of(input: InputId, differences: &[Difference]) -> gst::Structure {
    let brings = |difference: &Difference| {
        let brings = difference.brings;
        brings.map_or_else(|| "none".to_owned(), |language| language.to_string())
    };
    let outputs = differences.iter().map(|difference| {
        gst::Structure::builder("output")
            .field("pad", &difference.output)
            .field("language", difference.language.to_string())
            .field("brings", brings(difference))
            .build()
            .to_send_value()
    });
    let texts = differences.iter().map(|difference| {
        let (pad, language) = (&difference.output, difference.language);
        format!("{pad} is {language}, it brings {}", brings(difference))
    });
    gst::Structure::builder("failover-languages-differ")
        .field("input", number(input))
        .field("outputs", gst::Array::from_values(outputs))
        .field("text", texts.collect::<Vec<_>>().join("; "))
        .build()
}

pub(super) fn signals() -> &'static [glib::subclass::Signal] {
    static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
        let action = |name: &str| glib::subclass::Signal::builder(name).run_last().action();
        let input_of = |args: &[glib::Value]| {
            let element = args.first()?.get::<super::FailoverSrc>().ok()?;
            let input = args.get(1)?.get::<i32>().ok()?;
            Some((element, input))
        };
        vec![
            glib::subclass::Signal::builder("switched")
                .param_types([gst::Structure::static_type()])
                .build(),
            glib::subclass::Signal::builder("input-state-changed")
                .param_types([
                    i32::static_type(),
                    String::static_type(),
                    String::static_type(),
                    String::static_type(),
                ])
                .build(),
            glib::subclass::Signal::builder("configure-source")
                .param_types([i32::static_type(), gst::Element::static_type()])
                .build(),
            action("switch-to")
                .param_types([i32::static_type()])
                .class_handler(move |args| {
                    let (element, input) = input_of(args)?;
                    if input < -1 {
                        gst::warning!(
                            CAT,
                            obj = element,
                            "switch-to: {input} is no input, ignored"
                        );
                        return None;
                    }
                    element.set_property("force-input", input);
                    None
                })
                .build(),
            action("release")
                .class_handler(|args| {
                    let element = args.first()?.get::<super::FailoverSrc>().ok()?;
                    element.set_property("force-input", -1i32);
                    None
                })
                .build(),
            action("restart-input")
                .param_types([i32::static_type()])
                .class_handler(move |args| {
                    let (element, input) = input_of(args)?;
                    element.imp().restart_input(input);
                    None
                })
                .build(),
        ]
    });
    SIGNALS.as_ref()
}
