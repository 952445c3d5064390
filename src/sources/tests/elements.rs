// SPDX-License-Identifier: MPL-2.0
//! By element: everything that an application may hand over.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;

use super::uris::{assert_pads, play};
use super::*;

const H264: &str = "video/x-h264,stream-format=byte-stream,alignment=au,parsed=true";
const AAC: &str = "audio/mpeg,mpegversion=4,stream-format=raw,framed=true";

/// Plays until these pads flow, then checks their caps.
fn delivers(description: &Description, expected: &[(&str, &str)]) {
    let player = play(description);
    flows(&player, expected.len());
    assert_pads(&player, expected);
}

fn flows(player: &Player, count: usize) {
    player.wait_all("data on every pad", |seen| {
        let flowing = seen.iter().filter(|e| matches!(e, Event::Flowing(..)));
        flowing.count() == count
    });
}

#[test]
fn elements_with_a_pad_of_their_own_deliver() {
    let raw = "video/x-raw";
    for (text, name, caps) in [
        ("videotestsrc is-live=true", "video_0", raw),
        ("videotestsrc", "video_0", raw),
        ("audiotestsrc is-live=true", "audio_0", "audio/x-raw"),
        (
            "videotestsrc is-live=true ! x264enc tune=zerolatency",
            "video_0",
            H264,
        ),
        ("videotestsrc ! x264enc tune=zerolatency", "video_0", H264),
        ("audiotestsrc is-live=true ! avenc_aac", "audio_0", AAC),
        (
            "videotestsrc ! jpegenc",
            "video_0",
            "image/jpeg,parsed=true",
        ),
        ("videotestsrc ! vp8enc", "video_0", "video/x-vp8"),
        (
            "videotestsrc is-live=true ! x264enc ! rtph264pay",
            "video_0",
            H264,
        ),
    ] {
        delivers(&described(text), &[(name, caps)]);
    }
}

#[test]
fn what_a_server_was_asked_for_stays_inside() {
    for text in [
        "videotestsrc name=in",
        "videotestsrc name=in ! x264enc tune=zerolatency",
    ] {
        let description = described(text);
        let Description::Element(element) = &description else {
            continue;
        };
        let bin = element.downcast_ref::<gst::Bin>();
        let first = bin.map_or(Some(element.clone()), |bin| bin.by_name("in"));
        let first = first.and_then(|first| first.static_pad("src"));
        // souphttpsrc says it before anybody knows what comes.
        let mask = gst::PadProbeType::EVENT_DOWNSTREAM;
        let said = AtomicBool::new(false);
        first.expect("a source").add_probe(mask, move |pad, _| {
            // What it sends itself comes by here, too.
            if said.swap(true, Relaxed) {
                return gst::PadProbeReturn::Ok;
            }
            let headers = gst::Structure::builder("http-headers").field("uri", "http://me:pw@h/");
            pad.push_event(gst::event::CustomDownstreamSticky::new(headers.build()));
            gst::PadProbeReturn::Remove
        });
        let source = description.build("source").expect("source");
        let (tell, told) = channel();
        source.bin.connect_pad_added(move |_, pad| {
            let tell = tell.clone();
            let mask = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::BUFFER;
            pad.add_probe(mask, move |pad, info| {
                let is_headers = |event: &gst::EventRef| event.has_name("http-headers");
                let event = info.event().is_some_and(|event| is_headers(event));
                let mut is_kept = false;
                pad.sticky_events_foreach(|event| {
                    is_kept |= is_headers(event);
                    std::ops::ControlFlow::Continue(gst::EventForeachAction::Keep)
                });
                let _ = tell.send((info.buffer().is_some(), event || is_kept));
                gst::PadProbeReturn::Ok
            });
        });
        let player = Player::start(source);
        let mut seen = std::iter::from_fn(|| told.recv_timeout(PATIENCE).ok());
        let until_it_flows = seen
            .by_ref()
            .map_while(|(buffer, shown)| (!buffer).then_some(shown));
        assert!(until_it_flows.chain([false]).all(|shown| !shown), "{text}");
        assert_eq!(seen.next().map(|(_, shown)| shown), Some(false), "{text}");
        player.stop();
    }
}

#[test]
fn containers_from_an_element_are_opened() {
    let both = [("audio_0", AAC), ("video_0", H264)];
    for text in [
        format!("filesrc location={}", media::path("mp4")),
        format!("filesrc location={}", media::path("flv")),
        format!("filesrc location={} ! typefind", media::path("ts")),
    ] {
        delivers(&described(&text), &both);
    }
    let text = "videotestsrc is-live=true ! x264enc tune=zerolatency ! mpegtsmux";
    delivers(&described(text), &[("video_0", H264)]);
}

#[test]
fn dynamic_pads_at_the_end_of_a_description_are_found() {
    let both = [("audio_0", AAC), ("video_0", H264)];
    let raw = [("audio_0", "audio/x-raw"), ("video_0", "video/x-raw(ANY)")];
    let (mp4, flv) = (media::path("mp4"), media::path("flv"));
    for text in [
        format!("filesrc location={mp4} ! qtdemux"),
        format!("filesrc location={flv} ! flvdemux"),
        format!("filesrc location={mp4} ! parsebin"),
        format!("urisourcebin uri=file://{mp4}"),
        format!("( filesrc location={mp4} ! qtdemux )"),
    ] {
        delivers(&described(&text), &both);
    }
    for text in [
        format!("filesrc location={mp4} ! decodebin"),
        format!("uridecodebin3 uri=file://{mp4}"),
        format!("uridecodebin uri=file://{mp4}"),
    ] {
        delivers(&described(&text), &raw);
    }
}

#[test]
fn what_the_description_uses_itself_is_not_taken_from_it() {
    let mp4 = media::path("mp4");
    let text = format!(
        "filesrc location={mp4} ! qtdemux name=d d.video_0 ! h264parse ! avdec_h264 d.audio_0 ! queue"
    );
    let raw = [("audio_0", AAC), ("video_0", "video/x-raw")];
    delivers(&described(&text), &raw);
}

#[test]
fn a_silent_stream_holds_up_no_other() {
    gst::init().expect("GStreamer");
    // The second one never says a word.
    let text = "audiotestsrc is-live=true ! identity appsrc format=time";
    let player = play(&described(text));
    flows(&player, 1);
    assert_pads(&player, &[("audio_0", "audio/x-raw")]);
    assert!(!player.seen().contains(&Event::NoMorePads));
}

#[test]
fn streams_that_are_neither_heard_nor_seen_stay_inside() {
    let text = "videotestsrc is-live=true ! identity \
                fakesrc num-buffers=5 ! capsfilter caps=text/x-raw,format=utf8";
    let player = play(&described(text));
    flows(&player, 1);
    player.wait("the last pad", |e| *e == Event::NoMorePads);
    assert_pads(&player, &[("video_0", "video/x-raw")]);
}

#[test]
fn a_pad_that_vanishes_takes_its_stream_along_and_may_come_back() {
    gst::init().expect("GStreamer");
    let bin = gst::Bin::new();
    // One frame at a time: a frame on its way while the pad goes would be an error.
    let caps = "video/x-raw,format=GRAY8,width=16,height=16,framerate=25/1";
    let text = format!("appsrc is-live=true format=time caps={caps}");
    let src = gst::parse::launch(&text).expect("appsrc");
    bin.add(&src).expect("room");
    let push = || {
        let frame = gst::Buffer::with_size(256).expect("memory");
        let flow = src.emit_by_name::<gst::FlowReturn>("push-buffer", &[&frame]);
        assert_eq!(flow, gst::FlowReturn::Ok);
    };
    let expose = |name: &str| {
        let target = src.static_pad("src").expect("pad");
        let pad = gst::GhostPad::builder_with_target(&target).expect("ghost");
        let pad = pad.name(name).build();
        let _ = pad.set_active(true);
        bin.add_pad(&pad).expect("a new pad");
        pad
    };
    let pad = expose("first");
    let player = play(&Description::Element(bin.clone().upcast()));
    push();
    flows(&player, 1);
    bin.remove_pad(&pad).expect("its pad");
    player.wait("the pad to go", |e| *e == Event::Removed("video_0".into()));
    player.wait("its queue to go", |e| matches!(e, Event::Dropped(_)));
    assert_eq!(player.bin().children().len(), 1, "its parsers stayed");
    expose("second");
    push();
    player.wait(
        "a new pad",
        |e| matches!(e, Event::Flowing(name, _) if name == "video_1"),
    );
}

#[test]
fn what_is_put_into_a_bin_later_is_found_too() {
    gst::init().expect("GStreamer");
    let bin = gst::Bin::new();
    let description = Description::Element(bin.clone().upcast());
    let source = description.build("source").expect("source");
    let late = gst::ElementFactory::make("videotestsrc").build();
    bin.add(&late.expect("videotestsrc")).expect("room");
    flows(&Player::start(source), 1);
}

#[test]
fn an_element_serves_one_attempt_after_another() {
    for text in [
        "videotestsrc is-live=true".to_string(),
        format!("filesrc location={} ! qtdemux", media::path("mp4")),
    ] {
        let description = described(&text);
        for _ in 0..5 {
            let source = description.build("source").expect("source");
            let player = Player::start(source);
            player.wait("data", |e| matches!(e, Event::Flowing(..)));
        }
    }
}

#[test]
fn an_element_in_use_is_not_taken() {
    let description = described("videotestsrc is-live=true");
    let Description::Element(element) = &description else {
        return;
    };
    let bin = gst::Bin::new();
    bin.add(element).expect("room");
    assert!(matches!(description.check(), Err(Error::InUse(_))));
    let built = description.build("source");
    assert!(matches!(built, Err(Error::InUse(_))));
}

/// GStreamer takes the parent away before it unlinks the pads. An attempt that took the element then found
/// them linked, passed them over, and failed.
#[test]
fn an_element_is_not_taken_while_it_is_given_back() {
    let description = described("videotestsrc is-live=true");
    let Description::Element(element) = &description else {
        return;
    };
    let player = play(&description);
    flows(&player, 1);
    let pad = element.static_pad("src").expect("a pad");
    let (tell, told) = channel();
    let meanwhile = description.clone();
    pad.connect_unlinked(move |_, _| {
        let _ = tell.send(meanwhile.build("early").map(|_| ()));
    });
    player.stop();
    let early = told.recv_timeout(PATIENCE).expect("an unlinked pad");
    assert!(matches!(early, Err(Error::Stopping(_))), "{early:?}");
    assert!(description.build("next").is_ok());
}

/// Before its first change of state an element looks like one that has stopped. Taken away then, it was
/// stopped later on by the attempt that had lost it.
#[test]
fn an_element_is_not_taken_from_an_attempt_that_has_not_begun() {
    let description = described("videotestsrc is-live=true");
    let source = description.build("source").expect("a source");
    let built = description.build("next");
    assert!(matches!(built, Err(Error::Stopping(_))), "{built:?}");
    source.release();
    assert!(description.build("next").is_ok());
}

#[test]
fn an_element_that_does_not_stop_is_not_taken_until_it_has() {
    let description =
        described("videotestsrc is-live=true ! identity name=hang signal-handoffs=true");
    let Description::Element(element) = &description else {
        return;
    };
    let hang = element
        .downcast_ref::<gst::Bin>()
        .and_then(|b| b.by_name("hang"));
    let (let_go, held) = channel::<()>();
    let held = std::sync::Mutex::new(held);
    let (entered, hanging) = channel();
    hang.expect("identity").connect("handoff", false, move |_| {
        let _ = entered.send(());
        // Ends when the other side is dropped.
        let _ = held.lock().map(|held| held.recv());
        None
    });
    let player = play(&description);
    hanging.recv_timeout(PATIENCE).expect("a buffer that hangs");
    let stopping = std::thread::spawn(move || player.stop());
    let built = description.build("next");
    assert!(matches!(built, Err(Error::Stopping(_))), "{built:?}");
    drop(let_go);
    stopping.join().expect("a stop");
    assert!(description.build("next").is_ok());
}
