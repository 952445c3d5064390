// SPDX-License-Identifier: MPL-2.0
//! A failure that a source finds itself, and that will come again for a while.

use gst::prelude::*;

use super::Advice;
use super::bin::SourceBin;

const DETAILS: &str = "failover-source-failure";
const PAUSE: &str = "retry-after";

impl SourceBin {
    /// This source cannot go on, and the next one could not either before so long. With no lock held.
    pub(super) fn fail_for(&self, pause: gst::ClockTime, text: &str) {
        let details = gst::Structure::builder(DETAILS).field(PAUSE, pause.nseconds());
        let error = gst::message::Error::builder(gst::StreamError::CodecNotFound, text)
            .src(self)
            .details(details.build());
        let _ = self.post_message(error.build());
    }
}

/// What an ERROR message says of the next attempt.
pub(super) fn advice(message: &gst::message::Error) -> Option<Advice> {
    let details = message.details().filter(|s| s.name() == DETAILS)?;
    let nanos = details.get::<u64>(PAUSE).ok()?;
    Some(Advice::Later(gst::ClockTime::from_nseconds(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_heard() {
        gst::init().expect("GStreamer");
        let bin = SourceBin::new("failed");
        let bus = gst::Bus::new();
        bin.set_bus(Some(&bus));
        bin.fail_for(gst::ClockTime::from_seconds(30), "of no use");
        let message = bus.pop().expect("an error");
        let gst::MessageView::Error(error) = message.view() else {
            panic!("{message:?}");
        };
        let advice = advice(error);
        assert_eq!(
            advice,
            Some(Advice::Later(gst::ClockTime::from_seconds(30)))
        );
        assert_eq!(error.error().message(), "of no use");
    }
}
