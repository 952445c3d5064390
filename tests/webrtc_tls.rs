// SPDX-License-Identifier: MPL-2.0
//! WHEP over HTTPS from a server whose certificate nobody has signed.

#[path = "support/lab/mod.rs"]
mod lab;

mod support {
    pub(crate) mod alone;
}

use std::io;

use gst::prelude::*;
use lab::WhepServer;
use support::alone::Alone;

fn server() -> io::Result<WhepServer> {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).map_err(io::Error::other)?;
    let certificate = pem("CERTIFICATE", made.cert.der());
    let key = pem("PRIVATE KEY", &made.signing_key.serialize_der());
    WhepServer::start_secure(&certificate, &key)
}

fn pem(what: &str, bytes: &[u8]) -> String {
    let text = gst::glib::base64_encode(bytes);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

#[test]
fn a_certificate_that_nobody_has_signed_is_refused_and_that_is_said() -> io::Result<()> {
    let server = server()?;
    let player = Alone::new(&server.url()).play();
    let (cause, text) = player.failure();
    assert_eq!(cause, "tls", "{text}");
    assert!(text.contains("certificate"), "{text}");
    Ok(())
}

#[test]
fn it_is_taken_by_who_does_not_ask_for_one() -> io::Result<()> {
    let server = server()?;
    let player = Alone::new(&server.url());
    player.src.set_property("tls-validation", false);
    let player = player.play();
    player.until("video_0", 5);
    player.until("audio_0", 5);
    Ok(())
}
