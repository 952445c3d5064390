// SPDX-License-Identifier: MPL-2.0
//! RTSP where UDP is granted and nothing comes by it: rtspsrc turns to TCP, and the next attempt begins with that.

#[path = "support/mute_rtsp.rs"]
mod mute_rtsp;
#[path = "support/programme/mod.rs"]
mod programme;

use gst::prelude::*;

use mute_rtsp::MuteRtsp;
use programme::{Look, Programme, init, picture};

/// How long rtspsrc waits for a packet by UDP, in microseconds; five seconds by itself.
const UDP_TIMEOUT: u64 = 400_000;

/// Plays this server; `set_up` gets each rtspsrc as the application does.
fn play(server: &MuteRtsp, set_up: fn(&gst::Element)) -> Programme {
    let programme = Programme::new().set("primary-uri", server.url());
    programme
        .src
        .connect("configure-source", false, move |args| {
            let core = args[2].get::<gst::Element>().expect("an element");
            core.connect("source-setup", false, move |args| {
                let source = args[1].get::<gst::Element>().expect("a source");
                source.set_property("timeout", UDP_TIMEOUT);
                set_up(&source);
                None
            });
            None
        });
    programme.start()
}

/// The server was asked for so many streams, and its picture is shown afterwards.
fn until_shown_after(programme: &Programme, server: &MuteRtsp, setups: usize) {
    programme.until("streams were asked for", |_| server.asked().len() >= setups);
    programme.until_output_shows("video_0", Look::Primary);
}

#[test]
fn what_udp_has_not_brought_is_asked_for_by_tcp_from_then_on() {
    init();
    let server = MuteRtsp::start(&picture(Look::Primary)).expect("a server");
    let programme = play(&server, |_| ());
    until_shown_after(&programme, &server, 2);
    assert_eq!(server.asked(), ["UDP", "TCP"]);
    assert_eq!(programme.record().attempts(0), 1);

    server.hang_up();
    until_shown_after(&programme, &server, 3);
    server.hang_up();
    until_shown_after(&programme, &server, 4);
    assert_eq!(server.asked(), ["UDP", "TCP", "TCP", "TCP"]);

    // Somebody says that things have changed.
    programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
    until_shown_after(&programme, &server, 6);
    assert_eq!(server.asked()[4..], ["UDP", "TCP"]);

    // Another server may be another one altogether.
    let other = MuteRtsp::start(&picture(Look::Backup)).expect("a server");
    programme.src.set_property("primary-uri", other.url());
    programme.until_output_shows("video_0", Look::Backup);
    assert_eq!(other.asked(), ["UDP", "TCP"]);
    programme.check_no_error();
    programme.stop();
}

#[test]
fn what_the_application_asks_for_holds() {
    init();
    let server = MuteRtsp::start(&picture(Look::Primary)).expect("a server");
    let programme = play(&server, |source| {
        source.set_property_from_str("protocols", "udp+tcp");
    });
    until_shown_after(&programme, &server, 2);
    server.hang_up();
    until_shown_after(&programme, &server, 4);
    assert_eq!(server.asked(), ["UDP", "TCP", "UDP", "TCP"]);
    programme.check_no_error();
    programme.stop();
}
