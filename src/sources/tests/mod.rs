// SPDX-License-Identifier: MPL-2.0
//! Sources against real files, real servers on loopback and real elements.

mod elements;
mod flv;
mod media;
mod order;
mod player;
mod rtp;
mod uris;

use std::time::Duration;

use gst::prelude::*;

use super::*;
use player::{Event, Player};

/// Nothing here takes longer, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);

fn uri(text: &str) -> Description {
    gst::init().expect("GStreamer");
    Description::Uri(text.to_string())
}

/// What gst-launch makes of a property like `primary-source="…"`.
fn described(text: &str) -> Description {
    gst::init().expect("GStreamer");
    let flags = gst::ParseFlags::NO_SINGLE_ELEMENT_BINS | gst::ParseFlags::PLACE_IN_BIN;
    let element = gst::parse::bin_from_description_full(text, true, None, flags);
    Description::Element(element.expect(text))
}

#[test]
fn gst_launch_makes_the_same() {
    for text in ["videotestsrc", "videotestsrc ! identity"] {
        let Description::Element(ours) = described(text) else {
            continue;
        };
        // The only property of this kind among GStreamer's own elements.
        let play = gst::parse::launch(&format!("playbin video-sink=\"{text}\"")).expect(text);
        let theirs = play.property::<gst::Element>("video-sink");
        assert_eq!(theirs.type_(), ours.type_());
    }
}

#[test]
fn what_can_never_work_is_told_before_anything_runs() {
    for (text, expected) in [
        ("not a uri", "(not a URI) cannot be used: write it as"),
        ("", "(not a URI) cannot be used"),
        ("foo://x", "no installed GStreamer element plays foo://"),
        ("whep:x?token=t0ken", "whep:x cannot be used"),
        ("secret:word", "(not a URI) cannot be used: write it as"),
        ("me:secret@h/x", "(not a URI) cannot be used: write it as"),
        ("rtmp://me:secret#1@h/live/x", "rtmp://*** cannot be used"),
        (
            "amss://h/app",
            "amss://h/app cannot be used: it names no stream",
        ),
        ("rtmp://h", "rtmp://h cannot be used"),
        ("rtmp:///live/secret", "rtmp:///live/*** cannot be used"),
        (
            "rtmp://h:port/live/secret",
            "rtmp://*** cannot be used: its port is not a number",
        ),
    ] {
        let error = uri(text).check().expect_err(text).to_string();
        assert!(error.starts_with(expected), "{text}: {error}");
        assert!(
            !error.contains("secret") && !error.contains("t0ken"),
            "{error}"
        );
    }
    let element = described("fakesink name=dead-end").check();
    let error = element.expect_err("a sink").to_string();
    assert!(
        error.starts_with("element 'dead-end' has no source pad"),
        "{error}"
    );
    let error = described("videotestsrc ! fakesink").check();
    assert!(matches!(error, Err(Error::NoPads(_))), "{error:?}");
}

#[test]
fn what_may_work_passes_the_check() {
    for text in [
        "file:///nonexistent",
        "http://127.0.0.1:1/x",
        "rtmp://h/live/key",
        "rtmps://me:pw@h:1/app/instance/key?token=1",
        "rtsp://h/cam",
        "srt://h:9000",
        "udp://127.0.0.1:5000",
    ] {
        assert_eq!(uri(text).check(), Ok(()), "{text}");
    }
    for text in [
        "videotestsrc",
        "videotestsrc ! x264enc",
        "rtmp2src ! flvdemux",
        "filesrc ! qtdemux",
        "uridecodebin3",
        "rtpbin",
    ] {
        assert_eq!(described(text).check(), Ok(()), "{text}");
    }
}

#[test]
fn a_pipeline_is_not_an_element() {
    gst::init().expect("GStreamer");
    let pipeline = gst::parse::launch("videotestsrc ! identity").expect("pipeline");
    let error = Description::Element(pipeline).check();
    assert!(matches!(error, Err(Error::IsPipeline(_))), "{error:?}");
}

#[test]
fn an_element_with_secrets_does_not_tell_them() {
    let description = described(
        "rtmp2src location=rtmp://me:passw@h/live/thekey?token=abcdef name=in ! flvdemux",
    );
    let text = "cannot play rtmp://me:passw@h/live/thekey?token=abcdef (thekey, abcdef, passw)";
    let redacted = description.secrets().take_out_of(text);
    for secret in ["thekey", "abcdef", "passw"] {
        assert!(!redacted.contains(secret), "{redacted}");
    }
    assert!(!description.display().contains("thekey"));
}

#[test]
fn only_what_is_live_and_not_from_a_stream_is_on_running_time() {
    for (description, expected) in [
        (described("videotestsrc is-live=true"), Timestamps::Running),
        (
            described("videotestsrc is-live=true ! x264enc"),
            Timestamps::Running,
        ),
        (described("videotestsrc"), Timestamps::Own),
        (described("rtmp2src ! flvdemux"), Timestamps::Own),
        (described("rtmp2src"), Timestamps::Own),
        (described("rtspsrc"), Timestamps::Running),
        (
            described("videotestsrc is-live=true ! x264enc ! mpegtsmux"),
            Timestamps::Own,
        ),
        (uri("rtsp://h/cam"), Timestamps::Running),
        (uri("rtmp://h/live/key"), Timestamps::Own),
        (uri("file:///a.mp4"), Timestamps::Own),
    ] {
        let source = description.build("source").expect("source");
        assert_eq!(source.timestamps, expected, "{}", description.display());
    }
}

#[test]
fn twenty_attempts_leave_nothing_behind() {
    let [file, flv] = ["mp4", "flv"].map(|extension| uri(&media::uri(extension)));
    let element = described(&format!(
        "filesrc location={} ! qtdemux",
        media::path("mp4")
    ));
    for round in 0..20 {
        for description in [&file, &flv, &element] {
            let source = description.build("source").expect("source");
            let bin = source.bin.downgrade();
            let player = Player::start(source);
            // Each round ends somewhere else: before any pad, after the first, after the last.
            match round % 3 {
                0 => {}
                1 => player.wait("a pad", |e| matches!(e, Event::Added(..))),
                _ => player.wait("the end", |e| matches!(e, Event::NoMorePads)),
            }
            let inside = player.inside();
            player.stop();
            assert!(bin.upgrade().is_none(), "round {round}: the bin lives on");
            let left = inside.iter().filter_map(|weak| weak.upgrade());
            let left: Vec<_> = left.map(|e| e.name().to_string()).collect();
            let kept = match description {
                Description::Uri(_) => 0,
                Description::Element(_) => 3, // The application's own: the bin and its children.
            };
            assert_eq!(left.len(), kept, "round {round}: {left:?} live on");
        }
    }
    let Description::Element(element) = element else {
        return;
    };
    assert!(element.parent().is_none());
    assert!(element.pads().is_empty(), "lifted pads stayed");
}
