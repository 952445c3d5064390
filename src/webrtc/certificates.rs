// SPDX-License-Identifier: MPL-2.0
//! The certificates that are shown to a `webrtcbin` in its DTLS handshakes, held against what the other side's
//! description announces. webrtcbin compares them from 1.28.5 on, and then says nothing of one that does not fit.
//!
//! Fails closed: what no announced certificate was seen for is not played.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::identity::{self, Announced, Fingerprint, Hash};

/// What is known of one peer connection.
#[derive(Clone, Default)]
pub(super) struct Certificates(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    announced: Announced,
    /// By the element that decodes a transport: what its certificate hashes to. Kept when it is told, since dtlsdec
    /// has no lock for it.
    shown: Vec<(glib::WeakRef<gst::Element>, Vec<Fingerprint>)>,
}

impl Certificates {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A description is about to be set.
    pub(super) fn set_announced(&self, announced: Announced) {
        self.lock().announced = announced;
    }

    pub(super) fn differ_from(&self, announced: &Announced) -> bool {
        self.lock().announced.differs_from(announced)
    }

    /// A handshake has shown a certificate: of the other side itself, never of who has signed it. Which of the
    /// sections it has to fit is known when their streams come.
    pub(super) fn shown(&self, decoder: &gst::Element) -> Result<(), String> {
        let pem = decoder.property::<Option<String>>("peer-pem");
        let certificate = pem.and_then(|pem| identity::certificate(&pem));
        let hashes = certificate.map_or_else(Vec::new, |certificate| hashes_of(&certificate));
        let mut inner = self.lock();
        let is_announced = inner.announced.announces(&hashes);
        inner.shown.retain(|(known, _)| {
            let known = known.upgrade();
            known.is_some_and(|known| &known != decoder)
        });
        inner.shown.push((decoder.downgrade(), hashes));
        match is_announced {
            true => Ok(()),
            false => Err(identity::impostor()),
        }
    }

    /// Whether what comes through this decoder, for this m-section, comes from whom the description announces for it.
    pub(super) fn verify(&self, mline: u32, decoder: Option<&gst::Element>) -> Result<(), String> {
        let inner = self.lock();
        let shown = inner.shown.iter().find(|(known, _)| {
            let known = known.upgrade();
            known.is_some() && known.as_ref() == decoder
        });
        let Some((_, hashes)) = shown else {
            let text = "this GStreamer does not show the certificate of whoever sends the media (no peer-pem of a \
                        dtlsdec), so it cannot be verified and nothing is played";
            return Err(text.to_owned());
        };
        match inner.announced.announces_for(mline, hashes) {
            true => Ok(()),
            false => Err(identity::impostor()),
        }
    }
}

fn hashes_of(certificate: &[u8]) -> Vec<Fingerprint> {
    let hashed = |hash: Hash| {
        let kind = match hash {
            Hash::Sha256 => glib::ChecksumType::Sha256,
            Hash::Sha384 => glib::ChecksumType::Sha384,
            Hash::Sha512 => glib::ChecksumType::Sha512,
        };
        let mut checksum = glib::Checksum::new(kind)?;
        checksum.update(certificate);
        let digest = checksum.digest();
        Some(Fingerprint { hash, digest })
    };
    Hash::ALL.into_iter().filter_map(hashed).collect()
}

fn is_dtlsdec(element: &gst::Element) -> bool {
    element.factory().is_some_and(|f| f.name() == "dtlsdec") && element.has_property("peer-pem")
}

/// Every one that a webrtcbin gets, before it has begun.
pub(super) fn each_dtlsdec(
    webrtc: &gst::Element,
    then: impl Fn(&gst::Element) + Send + Sync + 'static,
) {
    if let Some(bin) = webrtc.downcast_ref::<gst::Bin>() {
        bin.connect_deep_element_added(move |_, _, element| {
            if is_dtlsdec(element) {
                then(element);
            }
        });
    }
}

/// The one that decodes what comes out of this pad of a webrtcbin: it sits in what feeds the RTP session of the pad.
pub(super) fn dtlsdec_before(pad: &gst::Pad) -> Option<gst::Element> {
    let of_rtpbin = pad.downcast_ref::<gst::GhostPad>()?.target()?;
    let name = of_rtpbin.name();
    let session = name.strip_prefix("recv_rtp_src_")?.split('_').next()?;
    let rtpbin = of_rtpbin.parent_element()?;
    let fed = rtpbin.static_pad(&format!("recv_rtp_sink_{session}"))?;
    let transport = fed.peer()?.parent_element()?.downcast::<gst::Bin>().ok()?;
    // Where there are several, it is not known which.
    match <[gst::Element; 1]>::try_from(dtlsdecs_in(&transport)) {
        Ok([decoder]) => Some(decoder),
        Err(_) => None,
    }
}

fn dtlsdecs_in(bin: &gst::Bin) -> Vec<gst::Element> {
    let mut found = Vec::new();
    for child in bin.children() {
        match child.downcast_ref::<gst::Bin>() {
            Some(bin) => found.extend(dtlsdecs_in(bin)),
            None if is_dtlsdec(&child) => found.push(child),
            None => (),
        }
    }
    found
}
