// SPDX-License-Identifier: MPL-2.0
//! The certificate of a real handshake, between two ends in one pipeline, against what was announced.

use std::sync::mpsc::channel;
use std::time::Duration;

use gst::prelude::*;

use crate::webrtc::certificates::{Certificates, each_dtlsdec};
use crate::webrtc::identity::{Announced, certificate};
use crate::webrtc::sdp::Outline;
use crate::webrtc::signalling::Kind;

/// The client of a DTLS connection has been shown the other side's certificate.
struct Handshake {
    pipeline: gst::Pipeline,
    decoder: gst::Element,
}

impl Handshake {
    fn new() -> Self {
        gst::init().expect("GStreamer");
        let text = "dtlsenc connection-id=ours is-client=true ! dtlsdec connection-id=theirs \
                    dtlsenc connection-id=theirs ! dtlsdec connection-id=ours name=decoder";
        let bin = gst::parse::bin_from_description(text, false).expect("elements");
        let pipeline = gst::Pipeline::new();
        let (tell, told) = channel();
        each_dtlsdec(pipeline.upcast_ref(), move |decoder| {
            let tell = tell.clone();
            decoder.connect_notify(Some("peer-pem"), move |decoder, _| {
                let _ = tell.send(decoder.name());
            });
        });
        pipeline.add(&bin).expect("room");
        let decoder = bin.by_name("decoder").expect("it is there");
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        let mut names = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(20)).ok());
        assert!(names.any(|name| name == "decoder"), "no certificate came");
        Self { pipeline, decoder }
    }

    /// What a description of two sections announces, the first with the certificate that is shown.
    fn announced(&self, second: &str) -> Announced {
        let pem = self.decoder.property::<Option<String>>("peer-pem");
        let der = pem
            .and_then(|pem| certificate(&pem))
            .expect("a certificate");
        let hex = gst::glib::compute_checksum_for_data(gst::glib::ChecksumType::Sha256, &der);
        let hex: Vec<char> = hex.expect("a hash").chars().collect();
        let pairs: Vec<String> = hex.chunks(2).map(|pair| pair.iter().collect()).collect();
        announced(&[&pairs.join(":"), second])
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn announced(fingerprints: &[&str]) -> Announced {
    let sections = fingerprints
        .iter()
        .map(|hex| format!("m=video 9 X 96\r\na=fingerprint:sha-256 {hex}\r\n"));
    let sdp = format!("v=0\r\n{}", sections.collect::<String>());
    Announced::of(&Outline::of(Kind::Offer, &sdp).expect("a description")).expect("it is read")
}

#[test]
fn a_stream_is_verified_by_the_handshake_of_its_own_transport() {
    let other = ["AB"; 32].join(":");
    let handshake = Handshake::new();
    let decoder = &handshake.decoder;
    let certificates = Certificates::default();
    // Fails closed: nothing was shown, or nothing was announced.
    let text = certificates.verify(0, Some(decoder)).expect_err("unseen");
    assert!(text.contains("does not show the certificate"), "{text}");
    assert!(certificates.shown(decoder).is_err(), "nothing is announced");
    assert!(certificates.verify(0, Some(decoder)).is_err());
    certificates.set_announced(handshake.announced(&other));
    assert_eq!(certificates.shown(decoder), Ok(()));
    assert_eq!(certificates.verify(0, Some(decoder)), Ok(()));
    let text = certificates
        .verify(1, Some(decoder))
        .expect_err("another section");
    assert!(text.contains("another certificate"), "{text}");
    assert!(certificates.verify(2, Some(decoder)).is_err(), "no section");
    assert!(certificates.verify(0, None).is_err(), "no transport");
    let unseen = gst::ElementFactory::make("dtlsdec")
        .build()
        .expect("dtlsdec");
    assert!(
        certificates.verify(0, Some(&unseen)).is_err(),
        "another transport"
    );
    // Another description: what was verified once is not for ever.
    certificates.set_announced(announced(&[&other, &other]));
    assert!(certificates.verify(0, Some(decoder)).is_err());
    assert!(certificates.shown(decoder).is_err());
}
