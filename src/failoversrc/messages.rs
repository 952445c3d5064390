// SPDX-License-Identifier: MPL-2.0
//! What the sources of `failoversrc` say. A source's error is its input's failure and nobody else's
//! business; the application never gets to see it as an error.

use super::CAT;
use super::control::Order;
use super::imp::FailoverSrc;
use super::input::Again;
use crate::policy::{Cause, InputId, Span};
use crate::sources::{self, Advice, Reason, Unusable};
use gst::prelude::*;
use gst::subclass::prelude::*;

/// Why an attempt of an input ended, and what that means for the next one.
pub(super) struct Failure {
    pub(super) cause: Cause,
    /// Without secrets.
    pub(super) text: String,
    pub(super) again: Again,
}

impl Failure {
    /// What is tried again at its usual pace.
    pub(super) fn error(text: String) -> Self {
        Self {
            cause: Cause::Error,
            text,
            again: Again::Soon,
        }
    }
}

impl FailoverSrc {
    fn error_name(text: &str, message: &gst::message::Error) -> String {
        let code = message.error();
        format!("{text} ({})", code.message())
    }

    /// An input cannot go on with this attempt: the switch knows at once, the owner tries again. Its text is
    /// [`FailoverSrc::redacted`].
    pub(super) fn give_up(&self, input: InputId, attempt: u64, failure: Failure) {
        self.note_failure(input, &failure.text);
        self.note_again(input, attempt, failure.again);
        self.switch().imp().failed(input, failure.cause);
        self.order(Order::Failed {
            input,
            attempt,
            failure,
        });
    }

    /// There is nothing to play now: the switch looks elsewhere at once, the source goes on waiting.
    fn wait_for(&self, input: InputId, attempt: u64, text: &str) {
        let Some(text) = self.redacted(input, attempt, text) else {
            return;
        };
        gst::info!(CAT, imp = self, "input {}: {text}", input.0);
        self.note_failure(input, &text);
        // First, so that the owner knows what to make of the switch's news.
        self.order(Order::Absent { input, attempt });
        self.switch().imp().failed(input, Cause::Error);
    }

    /// One stream of an input is not played; its others are. Told once for each codec and attempt.
    pub(super) fn note_unusable(&self, input: InputId, attempt: u64, unusable: Unusable) {
        let Unusable { kind, codec, text } = unusable;
        let is_first = self.is_first_unusable(input, attempt, kind, &codec);
        let Some(text) = self.redacted(input, attempt, &text).filter(|_| is_first) else {
            return;
        };
        gst::warning!(
            CAT,
            imp = self,
            "input {}: {kind} is not played: {text}",
            input.0
        );
        self.order(Order::Unusable {
            input,
            attempt,
            unusable: Unusable { kind, codec, text },
        });
    }

    /// A source's message: its errors are its input's, and nobody else's business.
    pub(super) fn source_message(&self, input: InputId, attempt: u64, message: gst::Message) {
        // Late words of a source that was given up are nobody's business.
        if !self.is_present(input, attempt) {
            return;
        }
        match message.view() {
            gst::MessageView::Error(error) => {
                let source = message.src().map(|src| src.name().to_string());
                let text = Self::error_name(&source.unwrap_or_default(), error);
                let Some(text) = self.redacted(input, attempt, &text) else {
                    return;
                };
                gst::info!(CAT, imp = self, "input {}: {text}", input.0);
                let cause = match sources::reason(error) {
                    Reason::Identity => Cause::Identity,
                    Reason::Broken => Cause::Error,
                };
                let again = match sources::advice(error) {
                    Some(Advice::Later(span)) => Again::Later(Span::from_nanos(span.nseconds())),
                    Some(Advice::Never) => Again::Never,
                    None => Again::Soon,
                };
                self.give_up(input, attempt, Failure { cause, text, again });
            }
            gst::MessageView::Warning(warning) => {
                let text = self.redacted(input, attempt, &warning.error().to_string());
                let text = text.unwrap_or_default();
                gst::info!(CAT, imp = self, "input {}: {text}", input.0);
            }
            gst::MessageView::Element(said) => {
                if let Some(text) = said.structure().and_then(sources::waiting) {
                    self.wait_for(input, attempt, text);
                } else if let Some(one) = said.structure().and_then(Unusable::of_message) {
                    self.note_unusable(input, attempt, one);
                }
            }
            gst::MessageView::NeedContext(_)
            | gst::MessageView::HaveContext(_)
            | gst::MessageView::Latency(_) => self.parent_handle_message(message),
            _ => (),
        }
    }
}
