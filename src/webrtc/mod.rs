// SPDX-License-Identifier: MPL-2.0
//! MECHANISM: `webrtcplaysrc`, one WebRTC stream with `webrtcbin`. From the ground:
//!
//! * `signalling` has the words between a session and its protocol; `whep` is a protocol: a pure step
//!   machine that is told what happened and says what is to be done (`whep_server`, `sdp`, `link` and
//!   `turn` read what comes for it); `ams` is another one. `target` picks the protocol by the URI.
//! * `session` is the thread of one attempt. It carries words between the protocol, the wire (`http`, `ws`)
//!   and the `peer`, which is one `webrtcbin` (`line` speaks with it, `media` knows the codecs,
//!   `certificates` holds those of the handshakes against `identity`, which reads what the description announces,
//!   `key_frame` asks where packets come and no pictures, `whole` holds back what a loss has damaged,
//!   `lag` tells what is late though it looks on time; `rtp` reads headers for both; `teardown` has a stopped
//!   webrtcbin freed).
//! * `pads` are the element's, and outlive a peer; `imp` is the GObject shell.
//!
//! # webrtcplaysrc
//!
//! Plays a WebRTC stream that is signalled by WHEP, or by Ant Media's WebSocket. Its pads carry parsed streams: H.264, VP8, VP9,
//! AV1 (where the installed GStreamer can) and Opus.
//!
//! ```sh
//! gst-launch-1.0 webrtcplaysrc name=in uri=whep://127.0.0.1:8889/live/whep \
//!   in.video_0 ! decodebin ! videoconvert ! autovideosink \
//!   in.audio_0 ! decodebin ! audioconvert ! audioresample ! autoaudiosink
//! ```
//!
//! `whep://` is HTTP and `wheps://` is HTTPS. A stream of an Ant Media server is
//! `ams://host:5080/app/stream` over ws and `amss://host:5443/app/stream` over wss, with
//! `?token=…&subscriberId=…&subscriberCode=…` where it wants to know who watches; one that nobody
//! publishes yet is waited for, and the element message `webrtcplaysrc-waiting` says so. Loopback and a LAN need no STUN server.
//!
//! ## Properties by task
//!
//! * What to play: `uri`, `auth-token`, `extra-headers`.
//! * How to reach it: `stun-server`, `turn-servers`, `tls-validation`.
//! * How patient to be with late packets: `jitter-latency`.
//! * How it stands: `stats`.
//!
//! An attempt that fails ends with an ERROR message. Its details, a structure `failure`, have `cause`
//! (unreachable, timeout, tls, unauthorized, not-found, busy, refused, bad-answer, incompatible,
//! no-connection, identity, closed, settings), `retry` (soon, later, never) and, for `later`, `retry-after` in
//! nanoseconds. It never tries again by itself: `failoversrc` does.
//!
//! That a sender has died is not noticed here, since webrtcbin does not say it: nothing comes any more.
//! `failoversrc` and `failoverswitch` watch for that.
//!
//! Where a sender was held up and sends all that it has missed, a jitter buffer makes it look on time. The pads
//! say so by a serialized custom event: a structure `failover-lag` whose `time` is how late the stream is, in
//! nanoseconds (guint64), and 0 when that is made up. It is no failure; `failoverswitch` waits with a return until then.
//!
//! The signal `webrtcbin-ready` hands out the webrtcbin of an attempt before it negotiates.
//!
//! Since: 0.1

mod ams;
mod certificates;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod http;
mod identity;
mod imp;
mod key_frame;
mod lag;
mod line;
mod link;
mod media;
mod pads;
mod peer;
mod sdp;
mod session;
mod signalling;
mod target;
mod teardown;
mod turn;
mod whep;
mod whep_server;
mod whole;
mod words;
mod ws;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

pub(crate) use target::SCHEMES;
pub(crate) use words::{Advice, Flaw, advice, check, is_impostor, waiting};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "webrtcplaysrc",
        gst::DebugColorFlags::empty(),
        Some("WebRTC player source"),
    )
});

glib::wrapper! {
    /// The element `webrtcplaysrc`.
    pub struct WebRtcPlaySrc(ObjectSubclass<imp::WebRtcPlaySrc>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::URIHandler, gst::ChildProxy;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "webrtcplaysrc",
        gst::Rank::PRIMARY,
        WebRtcPlaySrc::static_type(),
    )
}

#[cfg(test)]
mod tests;
