// SPDX-License-Identifier: MPL-2.0
//! One `webrtcbin`, for one agreement: it is set up, led, and given up without being waited for.
//!
//! It lives in a bin of its own with the elements that unpack its streams, so that all of it is taken
//! out at once. Whatever it says becomes [`News`]. webrtcbin 1.22 reports nothing when the other side
//! dies; no watchdog is made up for that here: whether buffers flow is judged by who takes them.

use std::sync::Arc;

use gst::glib;
use gst::prelude::*;
use gst_webrtc::{WebRTCBundlePolicy, WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection};

use super::certificates::Certificates;
use super::identity::Announced;
use super::line::{Line, repair, rtpbin};
use super::pads::Kind;
use super::signalling::{self, Candidate, Description, IceServer, News};
use super::teardown::{IceStates, nice, unblock};
use super::{CAT, WebRtcPlaySrc, media, turn};

/// Takes what a peer connection says, in any thread.
pub(super) type Tell = Arc<dyn Fn(News) + Send + Sync>;

/// How a peer connection is set up.
#[derive(Clone, Default)]
pub(super) struct Setup {
    pub(super) stun_server: Option<String>,
    pub(super) turn_servers: Vec<String>,
    pub(super) jitter_latency_ms: u32,
    /// Addresses of this machine to use instead of those that are found.
    pub(super) own_addresses: Vec<&'static str>,
}

pub(super) struct Peer {
    bin: gst::Bin,
    webrtc: gst::Element,
    line: Line,
    certificates: Certificates,
    ice_states: IceStates,
    element: glib::WeakRef<WebRtcPlaySrc>,
    /// An offer of ours is out, or an agreement was made.
    offered: bool,
    /// Candidates for a description that is not there yet.
    early: Vec<Candidate>,
    has_remote: bool,
    /// Held until it has stopped.
    alive: Arc<()>,
}

/// So many packets in a row are the beginning of a stream.
const IN_A_ROW: u32 = 3;
/// In bits a second, what one camera sends: requests may then follow each other in some 30 ms.
const BANDWIDTH: f64 = 2_000_000.0;
/// More of them before the description are no session's.
const MOST_EARLY: usize = 128;

impl Peer {
    /// In the element, playing, and not yet negotiating.
    pub(super) fn new(
        element: &WebRtcPlaySrc,
        run: u64,
        setup: &Setup,
        ice: &[IceServer],
        tell: Tell,
        alive: Arc<()>,
    ) -> Result<Self, String> {
        let webrtc = gst::ElementFactory::make("webrtcbin")
            .property("bundle-policy", WebRTCBundlePolicy::MaxBundle)
            .property("latency", setup.jitter_latency_ms)
            .build()
            .map_err(|_| "the GStreamer element 'webrtcbin' is not installed".to_owned())?;
        let certificates = Certificates::default();
        let peer = Self {
            bin: gst::Bin::new(),
            line: Line::new(&webrtc, element, certificates.clone(), tell),
            certificates,
            ice_states: IceStates::watch(&webrtc),
            webrtc,
            element: element.downgrade(),
            offered: false,
            early: Vec::new(),
            has_remote: false,
            alive,
        };
        peer.use_ice_servers(setup, ice);
        peer.use_addresses(&setup.own_addresses);
        peer.start_soon();
        peer.ask_soon();
        peer.line.listen(&peer.webrtc);
        let added = peer.bin.add(&peer.webrtc);
        added.map_err(|error| error.to_string())?;
        let is_over = || "the session is over".to_owned();
        if !element.take_in(run, &peer.bin) {
            return Err(is_over());
        }
        element.emit_by_name::<()>("webrtcbin-ready", &[&peer.webrtc]);
        if !element.plays(run) {
            // The application has stopped it from its handler.
            return Err(is_over());
        }
        if peer.bin.set_state(gst::State::Playing).is_err() {
            return Err(
                "webrtcbin does not start: is libnice's GStreamer plugin installed?".into(),
            );
        }
        Ok(peer)
    }

    /// Follows the element through a pause.
    pub(super) fn follow(&self, state: gst::State) {
        let _ = self.bin.set_state(state);
    }

    /// Whether an offer cannot be set any more: webrtcbin knows no way back.
    pub(super) fn has_offered(&self) -> bool {
        self.offered
    }

    pub(super) fn create_offer(&mut self) {
        self.offered = true;
        for kind in [Kind::Video, Kind::Audio] {
            if let Some(caps) = media::offered(kind) {
                let direction = WebRTCRTPTransceiverDirection::Recvonly;
                let transceiver = self.webrtc.emit_by_name::<Option<WebRTCRTPTransceiver>>(
                    "add-transceiver",
                    &[&direction, &caps],
                );
                if let Some(transceiver) = transceiver {
                    repair(&transceiver);
                }
            }
        }
        self.line.describe(signalling::Kind::Offer);
    }

    /// Whether this description announces other certificates than the one before.
    pub(super) fn is_announced_otherwise(&self, announced: &Announced) -> bool {
        self.certificates.differ_from(announced)
    }

    /// An offer is answered.
    pub(super) fn set_remote(&mut self, description: &Description, announced: Announced) {
        let sdp = announced.spelled_out(&description.sdp);
        // Before there can be a handshake.
        self.certificates.set_announced(announced);
        let kind = description.kind;
        self.line.set_remote(&Description { kind, sdp });
        self.has_remote = true;
        for candidate in std::mem::take(&mut self.early) {
            self.add_candidate(candidate);
        }
    }

    pub(super) fn add_candidate(&mut self, candidate: Candidate) {
        if self.has_remote {
            self.webrtc
                .emit_by_name::<()>("add-ice-candidate", &[&candidate.mline, &candidate.text]);
        } else if self.early.len() < MOST_EARLY {
            self.early.push(candidate);
        }
    }

    fn use_ice_servers(&self, setup: &Setup, further: &[IceServer]) {
        let mut stun = setup.stun_server.clone();
        let mut turns = setup.turn_servers.clone();
        for uri in further.iter().filter_map(turn::uri) {
            match uri.starts_with("stun") {
                true => stun = stun.or(Some(uri)),
                false => turns.push(uri),
            }
        }
        if let Some(stun) = stun {
            self.webrtc.set_property("stun-server", stun);
        }
        for turn in turns {
            if !self
                .webrtc
                .emit_by_name::<bool>("add-turn-server", &[&turn])
            {
                gst::warning!(CAT, obj = self.webrtc, "a TURN server is not usable");
            }
        }
    }

    /// Without what costs a player 200 ms each: libnice waits so long for a router that would open a port,
    /// and a jitter buffer for packets that might come before the first. The latency stays what it is.
    fn start_soon(&self) {
        if let Some(nice) = nice(&self.webrtc).filter(|nice| nice.has_property("upnp")) {
            nice.set_property("upnp", false);
        }
        if let Some(rtpbin) = rtpbin(&self.webrtc) {
            rtpbin.connect("new-jitterbuffer", false, |values| {
                let buffer = values.get(1)?.get::<gst::Element>().ok()?;
                if buffer.has_property("faststart-min-packets") {
                    buffer.set_property("faststart-min-packets", IN_A_ROW);
                }
                None
            });
        }
    }

    /// After a request of ours, for a key frame or a lost packet, the next one waits until RTCP's share of the
    /// bandwidth allows it (RFC 4585, section 3.5.2). GStreamer measures the bandwidth: of a still picture, or in
    /// the first seconds, it is so little that the wait is 0.8 s, and a key frame that a loss makes necessary right
    /// behind a cut comes so late that it is a stall.
    fn ask_soon(&self) {
        let Some(rtpbin) = rtpbin(&self.webrtc) else {
            return;
        };
        rtpbin.connect_element_added(|_, element| {
            if element.factory().is_some_and(|f| f.name() == "rtpsession") {
                element.set_property("bandwidth", BANDWIDTH);
            }
        });
    }

    /// libnice leaves loopback out unless it is told to use it, and then uses nothing else.
    fn use_addresses(&self, addresses: &[&str]) {
        let agent = self.webrtc.property::<Option<gst::Object>>("ice-agent");
        for address in addresses {
            if let Some(agent) = &agent {
                agent.emit_by_name::<bool>("add-local-ip-address", &[address]);
            }
        }
    }
}

impl Drop for Peer {
    /// It stops in a thread of its own: it may hang there, and nobody waits.
    fn drop(&mut self) {
        if let Some(element) = self.element.upgrade() {
            element.let_go(&self.bin);
        }
        let (bin, webrtc) = (self.bin.clone(), self.webrtc.clone());
        let (ice_states, alive) = (self.ice_states.clone(), self.alive.clone());
        let stop = move || {
            ice_states.cut_off();
            let _ = bin.set_state(gst::State::Null);
            // A stream that came while it was going down brought elements that follow nobody.
            for late in bin.children() {
                let _ = late.set_state(gst::State::Null);
            }
            unblock(&webrtc);
            drop((bin, webrtc, alive));
        };
        let thread = std::thread::Builder::new().name("webrtcplay:stop".to_owned());
        if let Err(error) = thread.spawn(stop) {
            gst::error!(CAT, obj = self.webrtc, "no thread to stop in: {error}");
        }
    }
}
