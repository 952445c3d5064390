// SPDX-License-Identifier: MPL-2.0
//! What `webrtcplaysrc` says to whoever uses it: failures as ERROR messages with details that a
//! program can read, and that reading, for the floor above.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::signalling::{Cause, Failure, Retry};
use super::target::Target;
use super::{CAT, WebRtcPlaySrc, media};

const DETAILS: &str = "failure";
const WAITING: &str = "webrtcplaysrc-waiting";

/// When an attempt may follow the one that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    Later(gst::ClockTime),
    Never,
}

/// What an ERROR message of `webrtcplaysrc` advises; nothing in the usual case.
pub(crate) fn advice(message: &gst::message::Error) -> Option<Advice> {
    let details = message.details().filter(|s| s.name() == DETAILS)?;
    match details.get::<&str>("retry").ok()? {
        "never" => Some(Advice::Never),
        "later" => details
            .get::<u64>("retry-after")
            .ok()
            .map(|nanos| Advice::Later(gst::ClockTime::from_nseconds(nanos.min(u64::MAX - 1)))),
        _ => None,
    }
}

/// Whether an ERROR message of `webrtcplaysrc` says that the sender is not who it should be.
pub(crate) fn is_impostor(message: &gst::message::Error) -> bool {
    let details = message.details().filter(|s| s.name() == DETAILS);
    let cause = details.and_then(|details| details.get::<&str>("cause").ok());
    cause == Some(Cause::Identity.nick())
}

/// What an element message of `webrtcplaysrc` says is waited for.
pub(crate) fn waiting(said: &gst::StructureRef) -> Option<&str> {
    let text = said.get::<&str>("text").ok();
    text.filter(|_| said.name() == WAITING)
}

/// Says what can never work: a URI that is none, or an element that is not installed.
pub(crate) fn check(uri: &str) -> Result<(), Flaw> {
    let target = Target {
        uri: uri.to_owned(),
        ..Target::default()
    };
    target.protocol().map_err(Flaw::Uri)?;
    media::missing().map_or(Ok(()), |element| Err(Flaw::Missing(element)))
}

/// Why a URI can never be played.
pub(crate) enum Flaw {
    Uri(String),
    Missing(&'static str),
}

impl WebRtcPlaySrc {
    /// From the session's thread.
    pub(super) fn say_failure(&self, failure: &Failure) {
        let text = self.imp().redacted(&failure.text);
        gst::info!(CAT, obj = self, "{}: {text}", failure.cause.nick());
        let mut details = gst::Structure::builder(DETAILS).field("cause", failure.cause.nick());
        details = match failure.retry {
            Retry::Soon => details.field("retry", "soon"),
            Retry::Never => details.field("retry", "never"),
            Retry::Later(span) => details.field("retry", "later").field(
                "retry-after",
                u64::try_from(span.as_nanos()).unwrap_or(u64::MAX - 1),
            ),
        };
        let message = gst::message::Error::builder(code(failure.cause), &text)
            .src(self)
            .details(details.build())
            .build();
        let _ = self.post_message(message);
    }

    pub(super) fn log_warning(&self, text: &str) {
        let text = self.imp().redacted(text);
        gst::warning!(CAT, obj = self, "{text}");
    }

    pub(super) fn say_waiting(&self, text: &str) {
        let text = self.imp().redacted(text);
        gst::info!(CAT, obj = self, "waiting: {text}");
        let said = gst::Structure::builder(WAITING).field("text", text);
        let message = gst::message::Element::builder(said.build()).src(self);
        let _ = self.post_message(message.build());
    }

    /// The stream is over.
    pub(super) fn say_finished(&self, text: &str) {
        let text = self.imp().redacted(text);
        gst::info!(CAT, obj = self, "finished: {text}");
        if !self.send_eos() {
            self.say_failure(&Failure::soon(Cause::Closed, text));
        }
    }
}

fn code(cause: Cause) -> gst::ResourceError {
    match cause {
        Cause::Unreachable | Cause::Timeout | Cause::Tls | Cause::Identity => {
            gst::ResourceError::OpenRead
        }
        Cause::Unauthorized => gst::ResourceError::NotAuthorized,
        Cause::NotFound => gst::ResourceError::NotFound,
        Cause::Busy => gst::ResourceError::Busy,
        Cause::Settings => gst::ResourceError::Settings,
        Cause::Closed => gst::ResourceError::Read,
        Cause::Refused | Cause::BadAnswer | Cause::Incompatible | Cause::NoConnection => {
            gst::ResourceError::Failed
        }
    }
}
