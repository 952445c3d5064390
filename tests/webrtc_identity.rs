// SPDX-License-Identifier: MPL-2.0
//! Whoever shows another certificate than the server's description announces is not played, not for one buffer. The
//! server is a real stack, which says of itself what `whep.py --announce` says.

#[path = "support/lab/mod.rs"]
mod lab;

mod support {
    pub(crate) mod alone;
    pub(crate) mod rude;
}

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use gst::prelude::*;
use lab::{WhepServer, poll_until};
use support::alone::{Alone, PATIENCE, end, in_a_pipeline, sink_beside};
use support::rude::{Manner, Rude};

/// How an attempt ended.
#[derive(Debug)]
struct Ended {
    cause: String,
    retry: String,
    retry_after: Option<u64>,
    text: String,
    /// What had left the element's pads.
    buffers: usize,
    pads: u16,
}

/// Plays until it fails, and `is_over` after that.
fn failure(uri: &str, is_over: impl Fn() -> bool) -> Ended {
    let (pipeline, src) = in_a_pipeline(uri);
    let buffers = Arc::new(AtomicUsize::new(0));
    let counter = buffers.clone();
    src.connect_pad_added(move |src, pad| {
        let counter = counter.clone();
        let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(kinds, move |_, _| {
            counter.fetch_add(1, SeqCst);
            gst::PadProbeReturn::Ok
        });
        pad.link(&sink_beside(src)).expect("a link");
    });
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let limit = gst::ClockTime::try_from(PATIENCE).expect("a time");
    let bus = pipeline.bus().expect("a bus");
    let message = bus.timed_pop_filtered(limit, &[gst::MessageType::Error]);
    let message = message.expect("an error");
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("only errors were asked for")
    };
    assert_eq!(message.src(), Some(src.upcast_ref()), "{error:?}");
    let details = error.details().expect("details");
    assert!(poll_until(PATIENCE, is_over), "the session goes on");
    let ended = Ended {
        cause: details.get("cause").expect("a cause"),
        retry: details.get("retry").expect("a retry class"),
        retry_after: details.get("retry-after").ok(),
        text: error.error().message().to_owned(),
        buffers: buffers.load(SeqCst),
        pads: src.num_src_pads(),
    };
    end(&pipeline, &src);
    ended
}

fn check(ended: &Ended, words: &str) {
    assert_eq!(ended.cause, "identity", "{ended:?}");
    assert!(ended.text.contains(words), "{ended:?}");
    assert_eq!(ended.buffers, 0, "{ended:?}");
    // Slowly: a minute.
    assert_eq!(ended.retry, "later", "{ended:?}");
    assert_eq!(ended.retry_after, Some(60_000_000_000), "{ended:?}");
}

#[test]
fn an_impostor_is_not_played_for_one_buffer() -> io::Result<()> {
    for manner in ["another", "flipped"] {
        let server = WhepServer::start_with(&["--announce", manner])?;
        // It has asked for media, and was told good-bye.
        let is_over = || server.sessions().is_ok_and(|sessions| sessions == 0);
        let ended = failure(&server.url(), is_over);
        check(
            &ended,
            "another certificate than the server's description announces",
        );
        assert!(
            ended.text.contains("127.0.0.1"),
            "of which server? {ended:?}"
        );
        assert_eq!(ended.pads, 2, "it had been agreed with: {ended:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_names_its_certificate_by_a_weak_hash_is_refused_before_anything_begins()
-> io::Result<()> {
    let server = WhepServer::start_with(&["--announce", "weak"])?;
    let ended = failure(&server.url(), || true);
    check(&ended, "weak hashes only");
    assert_eq!(ended.pads, 0, "{ended:?}");
    let times = server.control("times")?;
    assert_eq!(
        times.split(' ').count(),
        2,
        "there was a handshake: {times}"
    );
    Ok(())
}

#[test]
fn a_fingerprint_that_cannot_be_read_is_refused_before_anything_begins() {
    let spoilt = Manner::Do(|asked| {
        let location = ("Location", "/session/1".to_owned());
        let answer = asked.body.replace("actpass", "passive");
        let answer = answer.replace("recvonly", "sendonly");
        let answer = answer.replace("a=fingerprint:sha-256 ", "a=fingerprint:sha-256 0");
        match asked.method.as_str() {
            "POST" => Manner::Answer(201, vec![location], answer),
            _ => Manner::Answer(200, vec![], String::new()),
        }
    });
    let server = Rude::start(vec![spoilt]);
    let ended = failure(&server.uri(), || true);
    check(&ended, "cannot be read");
    assert_eq!(ended.pads, 0, "{ended:?}");
}

#[test]
fn an_honest_server_is_played_however_it_spells_its_certificate() -> io::Result<()> {
    for manner in ["", "spelled", "session"] {
        let server = WhepServer::start_with(&["--announce", manner])?;
        let answer = |word: &str| -> io::Result<usize> {
            let lines = server.control("answer")?;
            Ok(lines
                .lines()
                .filter(|line| line.trim().starts_with(word))
                .count())
        };
        let player = Alone::new(&server.url()).play();
        player.until("video_0", 25);
        player.until("audio_0", 25);
        // Three hashes in each section, and what the manner makes of that.
        let expected = match manner {
            "spelled" => 8,
            "session" => 3,
            _ => 6,
        };
        assert_eq!(answer("a=fingerprint:")?, expected, "{manner}");
    }
    Ok(())
}
