// SPDX-License-Identifier: MPL-2.0
//! What follows a decoded output may not take what an input brings. That is the input's failure, and the
//! output lives on: a queue that has once heard of a refusal lets nothing through any more, not even
//! of an input that would be taken. (An encoded input hears of it when it brings its caps, on air or not.)

use super::imp::{FailoverSrc, lock};
use super::messages::Failure;
use crate::clock::Stopwatch;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The same refusal is told of again after this long.
const AGAIN: Duration = Duration::from_secs(5);

type Flow = Result<gst::FlowSuccess, gst::FlowError>;

/// When an output's refusal was last told of. Buffers come in great numbers, and those that are still
/// on their way after a failover are not the next input's.
#[derive(Default)]
pub(super) struct Refusal(Mutex<Option<Stopwatch>>);

impl Refusal {
    /// Other caps: whatever comes of them is news.
    pub(super) fn forget(&self) {
        *lock(&self.0) = None;
    }

    pub(super) fn is_news(&self) -> bool {
        let mut told = lock(&self.0);
        let is_news = told.as_ref().is_none_or(|told| told.elapsed() >= AGAIN);
        if is_news {
            *told = Some(Stopwatch::start());
        }
        is_news
    }
}

/// Hears of refusals behind an output pad, in its place.
pub(super) fn guard(
    pad: gst::PadBuilder<gst::GhostPad>,
    name: &str,
    element: Option<&super::FailoverSrc>,
) -> gst::PadBuilder<gst::GhostPad> {
    let refusal = Arc::new(Refusal::default());
    let element = element.map(ObjectExt::downgrade).unwrap_or_default();
    let name = name.to_owned();
    let at_caps = refusal.clone();
    let judge = Arc::new(move |pad: &gst::ProxyPad, flow: Flow| {
        if flow != Err(gst::FlowError::NotNegotiated) {
            return flow;
        }
        if let Some(element) = element.upgrade().filter(|_| refusal.is_news()) {
            let caps = pad.current_caps().map(|caps| in_short(&caps));
            let caps = caps.unwrap_or_else(|| "media without caps".to_owned());
            let text = format!("what follows {name} does not take {caps}");
            element.imp().refused(&text);
        }
        Ok(gst::FlowSuccess::Ok)
    });
    let judge_list = judge.clone();
    pad.proxy_pad_chain_function(move |pad, parent, buffer| {
        judge(pad, gst::ProxyPad::chain_default(pad, parent, buffer))
    })
    .proxy_pad_chain_list_function(move |pad, parent, list| {
        judge_list(pad, gst::ProxyPad::chain_list_default(pad, parent, list))
    })
    .proxy_pad_query_function(|pad, parent, query| match query.view_mut() {
        gst::QueryViewMut::AcceptCaps(query) => {
            query.set_result(true);
            true
        }
        _ => gst::Pad::query_default(pad, parent, query),
    })
    .proxy_pad_event_function(move |pad, parent, event| {
        let is_caps = event.type_() == gst::EventType::Caps;
        if is_caps {
            at_caps.forget();
        }
        // Caps that are refused are offered again with each buffer.
        gst::Pad::event_default(pad, parent, event) || is_caps
    })
}

impl FailoverSrc {
    /// An output takes nothing of what it gets: whoever is on air is of no use.
    pub(super) fn refused(&self, text: &str) {
        let on_air = self.switch().imp().on_air();
        let Some((input, attempt)) = on_air.and_then(|input| self.attempt_of(input)) else {
            return;
        };
        if let Some(text) = self.redacted(input, attempt, text) {
            gst::warning!(super::CAT, imp = self, "input {}: {text}", input.0);
            self.give_up(input, attempt, Failure::error(text));
        }
    }
}

/// Caps without what no human reads.
fn in_short(caps: &gst::Caps) -> String {
    let Some(structure) = caps.structure(0) else {
        return caps.to_string();
    };
    let mut short = structure.to_owned();
    short.remove_fields(["codec_data", "streamheader"]);
    short.to_string()
}
