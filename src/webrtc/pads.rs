// SPDX-License-Identifier: MPL-2.0
//! The pads of `webrtcplaysrc`: one for each stream that the two sides agreed on, from then on, whether
//! media comes or not. A new peer connection of the session feeds the pads that are there.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::sdp::Outline;
use super::{CAT, WebRtcPlaySrc};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Video,
    Audio,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

#[derive(Default)]
pub(super) struct Outlets(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    all: Vec<Outlet>,
    videos: u32,
    audios: u32,
}

#[derive(Clone)]
struct Outlet {
    mline: u32,
    kind: Kind,
    pad: gst::GhostPad,
    gate: Arc<Gate>,
}

/// Between two requests for the first key frame.
const ASK_AGAIN: u64 = 500_000_000;

/// Nothing can be made of pictures before the first key frame.
struct Gate {
    open: AtomicBool,
    /// When a key frame was asked for, by the timestamps of the stream.
    asked: AtomicU64,
}

impl Outlets {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WebRtcPlaySrc {
    /// Pads for the streams that will come, pictures first; those that will come no more go.
    pub(super) fn expose(&self, run: u64, outline: &Outline) {
        let (gone, added) = self.rearrange(run, outline);
        for outlet in gone {
            self.take_down(&outlet);
        }
        for outlet in added {
            gst::info!(CAT, obj = self, "new pad {}", outlet.pad.name());
            let _ = outlet.pad.set_active(true);
            let _ = self.add_pad(&outlet.pad);
            if !self.plays(run) {
                self.take_down(&outlet);
            }
        }
        if self.plays(run) {
            self.no_more_pads();
        }
    }

    fn rearrange(&self, run: u64, outline: &Outline) -> (Vec<Outlet>, Vec<Outlet>) {
        let coming = |kind: Kind| {
            let of_kind = outline
                .coming()
                .filter(move |(_, s)| s.media == kind.name());
            of_kind.filter_map(move |(mline, _)| Some((u32::try_from(mline).ok()?, kind)))
        };
        let coming: Vec<_> = coming(Kind::Video).chain(coming(Kind::Audio)).collect();
        let mut inner = self.imp().outlets.lock();
        if !self.plays(run) {
            return (vec![], vec![]);
        }
        let is_wanted = |outlet: &Outlet| coming.iter().any(|(mline, _)| *mline == outlet.mline);
        let (kept, gone): (Vec<_>, Vec<_>) = inner.all.drain(..).partition(is_wanted);
        inner.all = kept;
        let mut added = Vec::new();
        for (mline, kind) in coming {
            if inner.all.iter().all(|outlet| outlet.mline != mline)
                && let Some(outlet) = inner.make(self, mline, kind)
            {
                inner.all.push(outlet.clone());
                added.push(outlet);
            }
        }
        (gone, added)
    }

    /// The m-section that a stream of this media belongs to, if it was agreed on. webrtcbin takes a
    /// stream whose SSRC the other side did not announce for that of the first section: then it goes
    /// to the first of its kind that has nothing yet.
    pub(super) fn section_of(&self, mline: u32, media: &str) -> Option<u32> {
        let inner = self.imp().outlets.lock();
        let fits = |outlet: &&Outlet| outlet.kind.name() == media;
        let named = inner.all.iter().find(|outlet| outlet.mline == mline);
        let is_free = |outlet: &&Outlet| outlet.pad.target().is_none();
        let free = inner.all.iter().filter(fits).find(is_free);
        let chosen = named.filter(fits).or(free);
        chosen.map(|outlet| outlet.mline)
    }

    /// Feeds the pad of this m-section from here on.
    pub(super) fn feed(&self, mline: u32, from: &gst::Pad) {
        if let Some(outlet) = self.outlet(mline) {
            outlet.gate.close();
            let _ = outlet.pad.set_target(Some(from));
        }
    }

    fn outlet(&self, mline: u32) -> Option<Outlet> {
        let inner = self.imp().outlets.lock();
        inner.all.iter().find(|o| o.mline == mline).cloned()
    }

    /// No more data comes into the pads.
    pub(super) fn cut_off(&self) {
        let outlets = self.imp().outlets.lock().all.clone();
        for outlet in outlets {
            let _ = outlet.pad.set_target(gst::Pad::NONE);
        }
    }

    /// The stream is over. Whether anybody was told.
    pub(super) fn send_eos(&self) -> bool {
        let outlets = self.imp().outlets.lock().all.clone();
        let began = |outlet: &&Outlet| {
            let start = outlet.pad.sticky_event::<gst::event::StreamStart>(0);
            start.is_some()
        };
        let began: Vec<_> = outlets.iter().filter(began).collect();
        for outlet in &began {
            outlet.pad.push_event(gst::event::Eos::new());
        }
        !began.is_empty()
    }

    pub(super) fn remove_pads(&self) {
        let inner = std::mem::take(&mut *self.imp().outlets.lock());
        for outlet in inner.all {
            self.take_down(&outlet);
        }
    }

    fn take_down(&self, outlet: &Outlet) {
        let _ = outlet.pad.set_active(false);
        let _ = outlet.pad.set_target(gst::Pad::NONE);
        if outlet.pad.parent().is_some() {
            let _ = self.remove_pad(&outlet.pad);
        }
    }
}

impl Inner {
    fn make(&mut self, element: &WebRtcPlaySrc, mline: u32, kind: Kind) -> Option<Outlet> {
        let next = match kind {
            Kind::Video => &mut self.videos,
            Kind::Audio => &mut self.audios,
        };
        let name = format!("{}_{next}", kind.name());
        let template = element.pad_template(&format!("{}_%u", kind.name()))?;
        *next = next.saturating_add(1);
        let gate = Arc::new(Gate {
            open: AtomicBool::new(true),
            asked: AtomicU64::new(u64::MAX),
        });
        let keeper = gate.clone();
        let pad = gst::GhostPad::builder_from_template(&template)
            .name(name)
            .proxy_pad_chain_function(move |pad, parent, buffer| {
                if kind == Kind::Video && !keeper.lets_through(pad, &buffer) {
                    return Ok(gst::FlowSuccess::Ok);
                }
                // All streams come out of one transport: a pad that nobody has linked must not
                // end it for the others.
                match gst::ProxyPad::chain_default(pad, parent, buffer) {
                    Err(gst::FlowError::NotLinked) => Ok(gst::FlowSuccess::Ok),
                    flow => flow,
                }
            })
            .build();
        Some(Outlet {
            mline,
            kind,
            pad,
            gate,
        })
    }
}

impl Gate {
    fn close(&self) {
        self.asked.store(u64::MAX, Relaxed);
        self.open.store(false, Relaxed);
    }

    fn lets_through(&self, pad: &gst::ProxyPad, buffer: &gst::Buffer) -> bool {
        if self.open.load(Relaxed) {
            return true;
        }
        if !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT) {
            self.open.store(true, Relaxed);
            return true;
        }
        let now = buffer.pts().map_or(0, gst::ClockTime::nseconds);
        let asked = self.asked.load(Relaxed);
        if asked == u64::MAX || now.abs_diff(asked) >= ASK_AGAIN {
            self.asked.store(now, Relaxed);
            let request = gst_video::UpstreamForceKeyUnitEvent::builder()
                .all_headers(true)
                .build();
            // The proxy pad is a sink: upstream of it is the parser.
            let _ = pad.push_event(request);
        }
        false
    }
}
