// SPDX-License-Identifier: MPL-2.0
//! Starting a source, in a thread of its own: a source that hangs in a state change harms nobody.

use super::CAT;
use super::control::Order;
use crate::policy::InputId;
use crate::sources::{Source, Timestamps};
use crate::switch::timeline::TimeBase;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// Starts a source, or leads it to the state that its element has, in a thread of its own.
pub(super) fn start(element: &super::FailoverSrc, source: &Source, input: InputId, attempt: u64) {
    let bin = source.bin.clone();
    let state = match element.imp().is_playing() {
        true => gst::State::Playing,
        false => gst::State::Paused,
    };
    if let Some(clock) = element.clock() {
        let _ = bin.set_clock(Some(&clock));
    }
    bin.set_base_time(element.base_time().unwrap_or_default());
    bin.set_start_time(gst::ClockTime::NONE);
    let orders = element.imp().orders();
    let run = move || {
        if bin.set_state(state).is_err()
            && let Some(orders) = orders
        {
            let text = "it could not be started".to_owned();
            let _ = orders.send(Order::Failed {
                input,
                attempt,
                text,
            });
        }
    };
    let thread = std::thread::Builder::new().name(format!("failoversrc:start-{}", input.0));
    if let Err(error) = thread.spawn(run) {
        gst::error!(
            CAT,
            obj = element,
            "input {}: no thread to start in: {error}",
            input.0
        );
    }
}

/// How the timestamps of a source are placed. RTMP comes in real time whatever its element says.
pub(super) fn time_base(source: &Source) -> (TimeBase, Option<bool>) {
    let base = match source.timestamps {
        Timestamps::Own => TimeBase::Sender,
        Timestamps::Running => TimeBase::Guess,
    };
    let is_rtmp = |element: &gst::Element| {
        element
            .factory()
            .is_some_and(|factory| factory.name().starts_with("rtmp"))
    };
    let inside = source.bin.iterate_recurse().into_iter().flatten();
    let rtmp = inside.into_iter().any(|element| is_rtmp(&element));
    (base, rtmp.then_some(true))
}
