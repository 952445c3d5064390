// SPDX-License-Identifier: MPL-2.0
//! `webrtcplaysrc` that is stopped in the middle of something: its session does nothing to the element any
//! more, and says nothing.

#[path = "support/ams/mod.rs"]
mod ams;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;
mod support {
    pub(crate) mod alone;
}

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::time::Duration;

use ams::AmsServer;
use gst::prelude::*;
use programme::Look;
use support::alone::{PATIENCE, in_a_pipeline};

/// Until nothing of it is on its way to stop.
fn until_it_has_stopped(src: &gst::Element) {
    let has_stopped = || {
        let stats = src.property::<gst::Structure>("stats");
        stats.get("num-stopping") == Ok(0u64)
    };
    assert!(lab::poll_until(PATIENCE, has_stopped), "it does not stop");
}

#[test]
fn however_soon_it_is_stopped_it_reports_no_error() {
    // Connections are taken and nothing is answered.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stopped = (0..40).map(|wait| {
        let (pipeline, src) = in_a_pipeline(&format!("whep://127.0.0.1:{port}/x"));
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        // At any point of its beginning.
        std::thread::sleep(Duration::from_micros(wait * 300));
        pipeline.set_state(gst::State::Ready).expect("READY");
        (pipeline, src)
    });
    for (pipeline, src) in stopped.collect::<Vec<_>>() {
        until_it_has_stopped(&src);
        let bus = pipeline.bus().expect("a bus");
        let error = bus.pop_filtered(&[gst::MessageType::Error]);
        assert!(error.is_none(), "{error:?}");
        pipeline.set_state(gst::State::Null).expect("NULL");
    }
}

#[test]
fn stopped_from_its_handler_it_leaves_nothing_to_the_next_run() {
    let server = AmsServer::start();
    server.publish("x", Look::Primary);
    let (pipeline, src) = in_a_pipeline(&server.uri("x"));
    let (tell, told) = channel();
    src.connect_pad_added(move |_, pad| {
        let _ = tell.send(pad.name().to_string());
    });
    let (stops, stopped) = channel();
    let (first, weak) = (AtomicBool::new(true), pipeline.downgrade());
    src.connect("webrtcbin-ready", false, move |_| {
        if first.swap(false, SeqCst) {
            let _ = weak.upgrade()?.set_state(gst::State::Null);
            let _ = stops.send(());
        }
        None
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    stopped.recv_timeout(PATIENCE).expect("it begins");
    until_it_has_stopped(&src);
    assert_eq!(src.num_pads(), 0);
    assert!(told.try_recv().is_err(), "a pad came after the stop");
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let pads = [told.recv_timeout(PATIENCE), told.recv_timeout(PATIENCE)];
    assert_eq!(pads, ["video_0", "audio_0"].map(|name| Ok(name.to_owned())));
    support::alone::end(&pipeline, &src);
}

/// libnice changes its state in a thread of its own, and may do so when all has stopped.
#[test]
fn ice_that_changes_its_state_after_the_stop_keeps_nothing_alive() {
    let server = AmsServer::start();
    server.publish("x", Look::Primary);
    let (pipeline, src) = in_a_pipeline(&server.uri("x"));
    let (tell, told) = channel();
    src.connect("webrtcbin-ready", false, move |values| {
        let webrtc = values.get(1)?.get::<gst::Bin>().ok()?;
        let _ = tell.send(webrtc);
        None
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let webrtc = told.recv_timeout(PATIENCE).expect("a webrtcbin");
    let receiver = || {
        let mut children = webrtc.children().into_iter();
        children.find(|child| child.type_().name() == "TransportReceiveBin")
    };
    assert!(lab::poll_until(PATIENCE, || receiver().is_some()));
    let receiver = receiver().expect("a transport").downgrade();
    pipeline.set_state(gst::State::Null).expect("NULL");
    until_it_has_stopped(&src);
    let ice = webrtc.property::<gst::Object>("ice-agent");
    let libnice = ice.property::<gst::glib::Object>("agent");
    let (stream, component, gathering) = (1u32, 1u32, 1u32);
    libnice.emit_by_name::<()>(
        "component-state-changed",
        &[&stream, &component, &gathering],
    );
    drop((webrtc, ice, libnice));
    assert!(receiver.upgrade().is_none(), "a transport is left");
}
