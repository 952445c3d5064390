// SPDX-License-Identifier: MPL-2.0
//! What is said with a `webrtcbin`: descriptions and candidates both ways, and its streams as they
//! come. Held by its own handlers, so it keeps nothing alive.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst_webrtc::{
    WebRTCFECType, WebRTCICEGatheringState, WebRTCKind, WebRTCPeerConnectionState,
    WebRTCRTPTransceiver, WebRTCSDPType, WebRTCSessionDescription,
};

use super::certificates::{Certificates, dtlsdec_before, each_dtlsdec};
use super::peer::Tell;
use super::signalling::{Candidate, Description, Kind, News, PeerTrouble};
use super::{WebRtcPlaySrc, key_frame, lag, media, whole};

#[derive(Clone)]
pub(super) struct Line {
    webrtc: glib::WeakRef<gst::Element>,
    element: glib::WeakRef<WebRtcPlaySrc>,
    tell: Tell,
    certificates: Certificates,
    /// The streams that are being sent to us.
    sources: Arc<Mutex<BTreeSet<u32>>>,
}

impl Line {
    pub(super) fn new(
        webrtc: &gst::Element,
        element: &WebRtcPlaySrc,
        certificates: Certificates,
        tell: Tell,
    ) -> Self {
        Self {
            certificates,
            webrtc: webrtc.downgrade(),
            element: element.downgrade(),
            tell,
            sources: Arc::default(),
        }
    }

    /// Makes a description of ours, tells it, and applies it.
    pub(super) fn describe(&self, kind: Kind) {
        let (signal, field) = match kind {
            Kind::Offer => ("create-offer", "offer"),
            Kind::Answer => ("create-answer", "answer"),
        };
        let this = self.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            let description = outcome(reply).and_then(|reply| {
                let description = reply.and_then(|reply| reply.get(field).ok());
                description.ok_or_else(|| "nothing was made".to_owned())
            });
            match description {
                Ok(description) => this.apply(&description, kind),
                Err(why) => this.refuse(&format!("no {field} can be made: {why}")),
            }
        });
        if let Some(webrtc) = self.webrtc.upgrade() {
            webrtc.emit_by_name::<()>(signal, &[&None::<gst::Structure>, &promise]);
        }
    }

    fn apply(&self, description: &WebRTCSessionDescription, kind: Kind) {
        let Ok(sdp) = description.sdp().as_text() else {
            return self.refuse("our own description cannot be written");
        };
        // Told before its candidates, which come as it is applied.
        (self.tell)(News::Local(Description { kind, sdp }));
        let this = self.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            if let Err(why) = outcome(reply) {
                this.refuse(&format!("our own description is refused: {why}"));
            }
        });
        if let Some(webrtc) = self.webrtc.upgrade() {
            webrtc.emit_by_name::<()>("set-local-description", &[description, &promise]);
        }
    }

    /// An offer is answered.
    pub(super) fn set_remote(&self, description: &Description) {
        let Ok(sdp) = gst_sdp::SDPMessage::parse_buffer(description.sdp.as_bytes()) else {
            return self.refuse("the server's description cannot be read");
        };
        let is_offer = description.kind == Kind::Offer;
        let kind = match description.kind {
            Kind::Offer => WebRTCSDPType::Offer,
            Kind::Answer => WebRTCSDPType::Answer,
        };
        let remote = WebRTCSessionDescription::new(kind, sdp);
        let this = self.clone();
        let promise = gst::Promise::with_change_func(move |reply| match outcome(reply) {
            Err(why) => this.refuse(&format!("the server's description is refused: {why}")),
            Ok(_) if is_offer => this.describe(Kind::Answer),
            Ok(_) => (),
        });
        if let Some(webrtc) = self.webrtc.upgrade() {
            webrtc.emit_by_name::<()>("set-remote-description", &[&remote, &promise]);
        }
    }

    fn refuse(&self, text: &str) {
        (self.tell)(News::PeerFailed(PeerTrouble::Description, text.to_owned()));
    }

    pub(super) fn listen(&self, webrtc: &gst::Element) {
        let tell = self.tell.clone();
        webrtc.connect("on-ice-candidate", false, move |values| {
            let mline = values.get(1)?.get::<u32>().ok()?;
            let text = values.get(2)?.get::<String>().ok()?;
            let text = text.strip_prefix("a=").unwrap_or(&text).to_owned();
            let mid = None;
            tell(News::Candidate(Candidate { mline, mid, text }));
            None
        });
        let tell = self.tell.clone();
        webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
            let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
            if state == WebRTCICEGatheringState::Complete {
                tell(News::GatheringComplete);
            }
        });
        let tell = self.tell.clone();
        webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
            match webrtc.property::<WebRTCPeerConnectionState>("connection-state") {
                WebRTCPeerConnectionState::Connected => tell(News::Connected),
                WebRTCPeerConnectionState::Failed => tell(no_path()),
                _ => (),
            }
        });
        self.listen_for_good_bye(webrtc);
        self.listen_to_dtls(webrtc);
        // Those of an offer that is answered come by themselves.
        webrtc.connect("on-new-transceiver", false, |values| {
            repair(&values.get(1)?.get::<WebRTCRTPTransceiver>().ok()?);
            None
        });
        let this = self.clone();
        webrtc.connect_pad_added(move |_, pad| {
            if pad.direction() != gst::PadDirection::Src {
                return;
            }
            if let Err(text) = this.unpack(pad) {
                this.refuse(&text);
            }
        });
    }

    /// webrtcbin does not pass on that a sender has ended; the rtpbin in it knows.
    fn listen_for_good_bye(&self, webrtc: &gst::Element) {
        let Some(rtpbin) = rtpbin(webrtc) else { return };
        let this = self.clone();
        rtpbin.connect("on-bye-ssrc", false, move |values| {
            let ssrc = values.get(2)?.get::<u32>().ok()?;
            let all_gone = {
                let mut sources = this.sources.lock().unwrap_or_else(PoisonError::into_inner);
                sources.remove(&ssrc) && sources.is_empty()
            };
            if all_gone {
                (this.tell)(News::Gone);
            }
            None
        });
    }

    /// Nor does it pass on that the other side has closed the connection, and before 1.28.5 it does not look at the
    /// certificate that the other side shows.
    fn listen_to_dtls(&self, webrtc: &gst::Element) {
        let this = self.clone();
        each_dtlsdec(webrtc, move |dtls| {
            let tell = this.tell.clone();
            dtls.connect_notify(Some("connection-state"), move |dtls, _| {
                let state = dtls.property_value("connection-state");
                if glib::EnumValue::from_value(&state).is_some_and(|(_, s)| s.nick() == "closed") {
                    tell(News::Gone);
                }
            });
            let this = this.clone();
            // In the handshake, by the thread that makes it.
            dtls.connect_notify(Some("peer-pem"), move |dtls, _| {
                if let Err(text) = this.certificates.shown(dtls) {
                    this.distrust(text);
                }
            });
        });
    }

    fn distrust(&self, text: String) {
        (self.tell)(News::PeerFailed(PeerTrouble::Identity, text));
    }

    fn note_source(&self, caps: &gst::CapsRef) {
        let ssrc = caps.structure(0).and_then(|s| s.get::<u32>("ssrc").ok());
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.extend(ssrc);
    }

    /// Parsed media of a stream, into its pad.
    fn unpack(&self, pad: &gst::Pad) -> Result<(), String> {
        let bin = self.webrtc.upgrade().and_then(|webrtc| webrtc.parent());
        let bin = bin.and_then(|parent| parent.downcast::<gst::Bin>().ok());
        let (Some(bin), Some(element)) = (bin, self.element.upgrade()) else {
            return Ok(());
        };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let transceiver = pad.property::<Option<WebRTCRTPTransceiver>>("transceiver");
        let mline = transceiver.map_or(0, |transceiver| transceiver.mlineindex());
        let media = caps.structure(0).and_then(|s| s.get::<&str>("media").ok());
        let Some(mline) = element.section_of(mline, media.unwrap_or_default()) else {
            return nowhere(&bin, pad);
        };
        // Nothing is linked to it before, so that not one buffer of somebody else's gets out.
        let decoder = dtlsdec_before(pad);
        if let Err(text) = self.certificates.verify(mline, decoder.as_ref()) {
            self.distrust(text);
            return Ok(());
        }
        self.note_source(&caps);
        let elements = media::unpack(&caps)?;
        let failed = |error: glib::BoolError| error.to_string();
        bin.add_many(&elements).map_err(failed)?;
        gst::Element::link_many(&elements).map_err(failed)?;
        if media == Some("video") {
            key_frame::ask(&elements);
        }
        if let Some(depayloader) = elements.first().filter(|e| media::may_pass_damage(e)) {
            whole::only(depayloader);
        }
        for element in elements.iter().rev() {
            element.sync_state_with_parent().map_err(failed)?;
        }
        let sink = elements.first().and_then(|first| first.static_pad("sink"));
        let src = elements.last().and_then(|last| last.static_pad("src"));
        let (sink, src) = sink.zip(src).ok_or("an element has no pad")?;
        lag::watch(&sink, &caps);
        let ghost = gst::GhostPad::builder_with_target(&src)
            .map_err(failed)?
            .name(pad.name())
            .build();
        let _ = ghost.set_active(true);
        bin.add_pad(&ghost).map_err(failed)?;
        element.feed(mline, ghost.upcast_ref());
        pad.link(&sink).map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// A stream that was not agreed on: taken in, so that the others in its transport flow.
fn nowhere(bin: &gst::Bin, pad: &gst::Pad) -> Result<(), String> {
    let failed = |error: glib::BoolError| error.to_string();
    let sink = gst::ElementFactory::make("fakesink")
        .property("sync", false)
        .property("async", false)
        .build()
        .map_err(failed)?;
    bin.add(&sink).map_err(failed)?;
    sink.sync_state_with_parent().map_err(failed)?;
    let sink = sink.static_pad("sink").ok_or("an element has no pad")?;
    pad.link(&sink).map_err(|error| error.to_string())?;
    Ok(())
}

fn no_path() -> News {
    let text = "the server agreed, and no media path came about: none of its addresses answers, \
                or the keys do not fit (is a firewall in between, or a TURN server needed?)";
    News::PeerFailed(PeerTrouble::Connection, text.to_owned())
}

/// Lost packets are asked for again, on a stream of their own (RTX) where the other side can, and
/// pictures are repaired where it sends what is needed for that (FEC).
pub(super) fn repair(transceiver: &WebRTCRTPTransceiver) {
    transceiver.set_property("do-nack", true);
    if transceiver.kind() == WebRTCKind::Video {
        transceiver.set_property("fec-type", WebRTCFECType::UlpRed);
    }
}

/// What webrtcbin replies; its errors are hidden in a field of the reply.
fn outcome(
    reply: Result<Option<&gst::StructureRef>, gst::PromiseError>,
) -> Result<Option<&gst::StructureRef>, String> {
    let reply = reply.map_err(|_| "no reply".to_owned())?;
    match reply.and_then(|reply| reply.get::<glib::Error>("error").ok()) {
        // Shortened by whoever knows what is to be taken out of it first.
        Some(error) => Err(error.message().to_owned()),
        None => Ok(reply),
    }
}

/// What a `webrtcbin` sends and takes its streams with.
pub(super) fn rtpbin(webrtc: &gst::Element) -> Option<gst::Bin> {
    let inside = webrtc.downcast_ref::<gst::Bin>()?.by_name("rtpbin")?;
    inside.downcast().ok()
}
