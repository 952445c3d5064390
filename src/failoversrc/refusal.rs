// SPDX-License-Identifier: MPL-2.0
//! What follows a decoded output may not take what an input brings. That is the input's failure, and the
//! output lives on: a queue that has once heard of a refusal lets nothing through any more, not even
//! of an input that would be taken. (An encoded input hears of it when it brings its caps, on air or not.)
//!
//! Where no decoder takes what comes, only that stream is of no use, and its input plays the others.

use super::attach::sink_name;
use super::control::Order;
use super::imp::{FailoverSrc, lock};
use super::messages::Failure;
use crate::clock::Stopwatch;
use crate::policy::InputId;
use crate::sources::{Kind, Unusable};
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
    /// No decoder takes what the active input brings for an output.
    pub(super) fn undecodable(&self, output: (Kind, usize), text: &str) {
        let active = self.switch().imp().on_air();
        if let Some((input, attempt)) = active.and_then(|input| self.attempt_of(input)) {
            self.order(Order::Undecodable {
                input,
                attempt,
                output,
                text: text.to_owned(),
            });
        }
    }

    /// An input lacks this stream from now on. One that brings nothing else is of no use. By the owner.
    pub(super) fn leave_out(
        &self,
        input: InputId,
        attempt: u64,
        (kind, index): (Kind, usize),
        text: String,
    ) {
        let fed_by = self.outputs().fed_by((input, attempt), (kind, index));
        let Some((name, plays_others)) = fed_by else {
            return;
        };
        if !plays_others {
            return self.refuse(input, attempt, &text);
        }
        let stream = self.outputs().stream(kind, index);
        let sink = stream.and_then(|stream| self.switch().static_pad(&sink_name(input, stream)));
        let pad = sink.as_ref().and_then(gst::Pad::peer);
        let (Some(sink), Some(pad)) = (sink, pad.filter(|pad| pad.name() == name)) else {
            return;
        };
        let caps = pad.current_caps();
        // A pad that is not linked may end the whole source.
        let data = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(data, |_, _| gst::PadProbeReturn::Drop);
        {
            let _one_at_a_time = lock(&self.making);
            let _ = pad.unlink(&sink);
            self.lose(input, attempt, &pad);
        }
        let codec = caps.as_ref().and_then(|caps| caps.structure(0));
        let codec = codec.map_or("unknown", |codec| codec.name().as_str());
        let codec = codec.to_owned();
        self.note_unusable(input, attempt, Unusable { kind, codec, text });
        self.update_slates();
    }

    /// An output takes nothing of what it gets: whoever is on air is of no use.
    pub(super) fn refused(&self, text: &str) {
        let on_air = self.switch().imp().on_air();
        if let Some((input, attempt)) = on_air.and_then(|input| self.attempt_of(input)) {
            self.refuse(input, attempt, text);
        }
    }

    fn refuse(&self, input: InputId, attempt: u64, text: &str) {
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
