// SPDX-License-Identifier: MPL-2.0
//! `webrtcplaysrc` alone, with a WHEP server that shares no code with GStreamer: what comes out of it,
//! what it asks for, and that it ends well.

#[path = "support/lab/mod.rs"]
mod lab;

mod support {
    pub(crate) mod alone;
    pub(crate) mod stuck;
}

use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gst::prelude::*;
use lab::{WhepServer, poll_until};
use support::alone::{end, in_a_pipeline, sink_beside};
use support::stuck::{At, Stuck};

const PATIENCE: Duration = Duration::from_secs(20);

fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        gst::init().expect("GStreamer");
        gstfailover::plugin_register_static().expect("the plugin");
    });
}

/// A buffer on a pad, and the running time at which it came.
struct Came {
    pad: String,
    caps: gst::Caps,
    pts: gst::ClockTime,
    at: gst::ClockTime,
    is_key: bool,
}

struct Player {
    pipeline: gst::Pipeline,
    src: gst::Element,
    came: Receiver<Came>,
}

impl Player {
    fn new(server: &WhepServer) -> Self {
        let (pipeline, src) = in_a_pipeline(&server.url());
        let (tell, came) = channel();
        src.connect_pad_added(move |src, pad| watch(src, pad, tell.clone()));
        Self {
            pipeline,
            src,
            came,
        }
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("PLAYING");
    }

    /// Plays until picture and sound have come.
    fn play_until_both(&self) {
        self.play();
        self.next("video_0");
        self.next("audio_0");
    }

    /// The same; the `nicesrc` of its webrtcbin.
    fn play_with_transport(&self) -> gst::Element {
        let transports = transports(&self.src);
        self.play_until_both();
        transports.recv_timeout(PATIENCE).expect("a nicesrc")
    }

    /// The next buffer of this pad.
    fn next(&self, pad: &str) -> Came {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let came = self.came.recv_timeout(left).expect(pad);
            if came.pad == pad {
                return came;
            }
        }
    }

    fn ask_for_a_key_frame(&self) {
        let request = gst_video::UpstreamForceKeyUnitEvent::builder();
        let pad = self.src.static_pad("video_0").expect("the picture");
        let is_taken = pad.send_event(request.all_headers(true).build());
        assert!(is_taken, "nobody took it");
    }

    fn message(&self, kind: gst::MessageType) -> gst::Message {
        let limit = gst::ClockTime::try_from(PATIENCE).expect("a time");
        let bus = self.pipeline.bus().expect("a bus");
        bus.timed_pop_filtered(limit, &[kind]).expect("a message")
    }

    fn stopping(&self) -> u64 {
        let stats = self.src.property::<gst::Structure>("stats");
        stats.get("num-stopping").expect("a number")
    }

    fn stop(&self) {
        let begun = Instant::now();
        self.pipeline.set_state(gst::State::Null).expect("NULL");
        let took = begun.elapsed();
        assert!(
            took < Duration::from_millis(500),
            "it took {took:?} to stop"
        );
        assert_eq!(self.src.num_src_pads(), 0);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        end(&self.pipeline, &self.src);
    }
}

/// A sink for the pad, that tells what comes.
fn watch(src: &gst::Element, pad: &gst::Pad, tell: Sender<Came>) {
    let target = sink_beside(src);
    let (name, src) = (pad.name().to_string(), src.downgrade());
    target.add_probe(gst::PadProbeType::BUFFER, move |target, info| {
        let src = src.upgrade();
        let at = src.and_then(|src| src.current_running_time());
        if let (Some(buffer), Some(at)) = (info.buffer(), at) {
            let _ = tell.send(Came {
                pad: name.clone(),
                caps: target.current_caps().expect("caps before buffers"),
                pts: buffer.pts().expect("a timestamp"),
                at,
                is_key: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
            });
        }
        gst::PadProbeReturn::Ok
    });
    pad.link(&target).expect("a link");
}

#[test]
fn pictures_begin_with_a_key_frame_and_everything_is_on_the_running_time() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    player.play();
    let picture = player.next("video_0");
    assert!(picture.is_key, "it begins in the middle of a group");
    let caps = picture.caps.structure(0).expect("fixed caps");
    assert_eq!(caps.name(), "video/x-h264");
    assert_eq!(caps.get("stream-format"), Ok("byte-stream"));
    assert_eq!(caps.get("alignment"), Ok("au"));
    let sound = player.next("audio_0");
    assert!(
        sound
            .caps
            .structure(0)
            .is_some_and(|s| s.name() == "audio/x-opus")
    );
    for pad in ["video_0", "audio_0", "video_0"] {
        let came = player.next(pad);
        let late = came.at.absdiff(came.pts);
        assert!(
            late < gst::ClockTime::SECOND,
            "{pad}: {} at {}",
            came.pts,
            came.at
        );
    }
    player.stop();
    let is_over = || server.sessions().is_ok_and(|sessions| sessions == 0);
    assert!(poll_until(PATIENCE, is_over), "no good-bye was said");
    assert!(
        poll_until(PATIENCE, || player.stopping() == 0),
        "something still runs"
    );
    Ok(())
}

#[test]
fn a_picture_is_decoded_soon_after_the_request() -> io::Result<()> {
    let server = WhepServer::start()?;
    init();
    let text = format!(
        "webrtcplaysrc name=in uri={} ! decodebin ! videoconvert ! fakesink name=out async=false",
        server.url()
    );
    let pipeline = gst::parse::launch(&text).expect("a pipeline");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let (told, times) = channel();
    let src = pipeline.by_name("in").expect("the source");
    let parsed = told.clone();
    src.connect_pad_added(move |_, pad| {
        let parsed = parsed.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, _| {
            if pad.name().starts_with("video") {
                let _ = parsed.send(("parsed", SystemTime::now()));
            }
            gst::PadProbeReturn::Remove
        });
    });
    let sink = pipeline
        .by_name("out")
        .and_then(|out| out.static_pad("sink"));
    sink.expect("a pad")
        .add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = told.send(("decoded", SystemTime::now()));
            gst::PadProbeReturn::Remove
        });
    let begun = SystemTime::now();
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let of = |what| {
        let mut all = std::iter::from_fn(|| times.recv_timeout(PATIENCE).ok());
        all.find(|(name, _)| *name == what).expect(what).1
    };
    let (parsed, decoded) = (of("parsed"), of("decoded"));
    let times = server.control("times")?;
    pipeline.set_state(gst::State::Null).expect("NULL");
    let seconds: Vec<f64> = times.split(' ').filter_map(|t| t.parse().ok()).collect();
    let [asked, answered, connected] = seconds[..] else {
        panic!("the server says {times}")
    };
    let unix = |time: SystemTime| {
        let since = time.duration_since(UNIX_EPOCH);
        since.map_or(0.0, |since| since.as_secs_f64())
    };
    println!(
        "figure: to the request {:.3} s; from it: answered {:.3}, connected {:.3}, first picture \
         {:.3}, decoded {:.3} s",
        asked - unix(begun),
        answered - asked,
        connected - asked,
        unix(parsed) - asked,
        unix(decoded) - asked,
    );
    // Half a second on a machine that has nothing else to do.
    assert!(unix(decoded) - asked < 5.0);
    Ok(())
}

#[test]
fn playbin_plays_it() -> io::Result<()> {
    let server = WhepServer::start()?;
    init();
    let text = format!(
        "playbin uri={} video-sink=\"fakesink name=video async=false\" audio-sink=\"fakesink name=audio async=false\"",
        server.url()
    );
    let playbin = gst::parse::launch(&text).expect("playbin");
    let (told, came) = channel();
    for property in ["video-sink", "audio-sink"] {
        let sink = playbin.property::<gst::Element>(property);
        let told = told.clone();
        let pad = sink.static_pad("sink").expect("a pad");
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = told.send(property);
            gst::PadProbeReturn::Remove
        });
    }
    playbin.set_state(gst::State::Playing).expect("PLAYING");
    let both = [came.recv_timeout(PATIENCE), came.recv_timeout(PATIENCE)];
    playbin.set_state(gst::State::Null).expect("NULL");
    assert!(both.iter().all(Result::is_ok), "{both:?}");
    Ok(())
}

#[test]
fn the_senders_goodbye_is_the_end_of_the_stream() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    player.play_until_both();
    let closed = Instant::now();
    server.control("close")?;
    player.message(gst::MessageType::Eos);
    let took = closed.elapsed();
    println!("good-bye to end of stream: {took:?}");
    assert!(took < Duration::from_secs(1), "{took:?}");
    player.stop();
    Ok(())
}

/// The `nicesrc` of each webrtcbin that the element makes.
fn transports(src: &gst::Element) -> Receiver<gst::Element> {
    let (tell, transports) = channel();
    src.connect("webrtcbin-ready", false, move |values| {
        let webrtcbin = values.get(1)?.get::<gst::Bin>().ok()?;
        let tell = tell.clone();
        webrtcbin.connect_deep_element_added(move |_, _, element| {
            if element.factory().is_some_and(|f| f.name() == "nicesrc") {
                let _ = tell.send(element.clone());
            }
        });
        None
    });
    transports
}

#[test]
fn eos_from_the_application_ends_the_stream_and_the_session() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    let transport = player.play_with_transport();
    let (tell, told) = channel();
    let pad = transport.static_pad("src").expect("its pad");
    pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        if info
            .event()
            .is_some_and(|e| e.type_() == gst::EventType::Eos)
        {
            let _ = tell.send(());
        }
        gst::PadProbeReturn::Ok
    });
    assert!(player.pipeline.send_event(gst::event::Eos::new()));
    player.message(gst::MessageType::Eos);
    let bus = player.pipeline.bus().expect("a bus");
    let error = bus.pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{error:?}");
    // The server is told, before the pipeline is stopped.
    let is_over = || server.sessions().is_ok_and(|sessions| sessions == 0);
    assert!(poll_until(PATIENCE, is_over), "the session goes on");
    player.stop();
    assert!(poll_until(PATIENCE, || player.stopping() == 0));
    assert!(told.try_recv().is_err(), "webrtcbin got the EOS");
    Ok(())
}

/// As the draft has it; as Ant Media does it; by the rule of HTTP for what is created and has no Location.
#[test]
fn a_session_is_ended_at_the_server_however_that_names_it() -> io::Result<()> {
    for options in [&[][..], &["--named", "below"], &["--named", "endpoint"]] {
        let server = WhepServer::start_with(options)?;
        let player = Player::new(&server);
        player.play_until_both();
        player.stop();
        let is_told = || server.control("ended").is_ok_and(|ended| ended == "1");
        assert!(poll_until(PATIENCE, is_told), "{options:?}: nobody says it");
        assert_eq!(server.sessions()?, 0, "{options:?}");
    }
    Ok(())
}

#[test]
fn a_server_that_names_no_session_is_played() -> io::Result<()> {
    let server = WhepServer::start_with(&["--named", "nothing"])?;
    let player = Player::new(&server);
    player.play_until_both();
    player.stop();
    Ok(())
}

#[test]
fn a_connection_that_fails_behind_eos_stops_whatever_it_waits_for() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    let transport = player.play_with_transport();
    // As every source of GStreamer does when it fails.
    let pad = transport.static_pad("src").expect("its pad");
    pad.push_event(gst::event::Eos::new());
    gst::element_error!(transport, gst::StreamError::Failed, ["it failed"]);
    player.message(gst::MessageType::Error);
    // A jitter buffer without a clock would wait for ever for packets that are missing, and ask for them.
    assert!(transport.clock().is_some(), "its clock was taken");
    player.stop();
    assert!(poll_until(PATIENCE, || player.stopping() == 0));
    Ok(())
}

#[test]
fn a_request_for_a_key_frame_reaches_the_sender() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    player.play();
    player.next("video_0");
    let before = server.asked()?;
    player.ask_for_a_key_frame();
    assert!(
        poll_until(PATIENCE, || server.asked().expect("a number") > before),
        "it did not arrive"
    );
    let key = std::iter::from_fn(|| Some(player.next("video_0"))).take(100);
    assert!(key.into_iter().any(|came| came.is_key), "no key frame came");
    Ok(())
}

/// The first packets never reach what puts frames together, and with them the first key frame: the same as for who joins a
/// sender in the middle of a group of pictures. With VP8 the next group would begin in two minutes.
#[test]
fn a_stream_joined_inside_a_group_of_pictures_asks_for_a_key_frame() -> io::Result<()> {
    const MISSED: usize = 20;
    for codec in ["vp8", "h264"] {
        let server = WhepServer::start_with(&["--codec", codec])?;
        let player = Player::new(&server);
        let bin = player.src.downcast_ref::<gst::Bin>().expect("a bin");
        let depayloader = format!("rtp{codec}depay");
        bin.connect_deep_element_added(move |_, _, element| {
            if element.factory().is_some_and(|f| f.name() == depayloader) {
                let came = AtomicUsize::new(0);
                let sink = element.static_pad("sink").expect("a sink pad");
                sink.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    match came.fetch_add(1, Ordering::SeqCst) < MISSED {
                        true => gst::PadProbeReturn::Handled,
                        false => gst::PadProbeReturn::Ok,
                    }
                });
            }
        });
        player.play();
        let mut frames = std::iter::from_fn(|| Some(player.next("video_0"))).take(100);
        assert!(frames.any(|came| came.is_key), "{codec}: no key frame came");
        assert!(server.asked()? > 0, "{codec}: nobody asked");
        player.stop();
    }
    Ok(())
}

/// Each as soon as the one before is there. Held back as they usually are, for a third of a second each, they would take 13 s.
#[test]
fn requests_for_key_frames_follow_each_other_without_a_wait() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    player.play();
    player.next("video_0");
    let began = Instant::now();
    for count in 1..=40 {
        let before = server.asked()?;
        player.ask_for_a_key_frame();
        assert!(
            poll_until(PATIENCE, || server.asked().expect("a number") > before),
            "number {count} did not arrive"
        );
    }
    let took = began.elapsed();
    println!("figure: 40 requests in {took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    Ok(())
}

#[test]
fn it_plays_on_after_a_pause_and_after_a_stop() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    player.play();
    player.next("video_0");
    player
        .pipeline
        .set_state(gst::State::Paused)
        .expect("PAUSED");
    assert!(poll_until(PATIENCE, || player
        .came
        .recv_timeout(Duration::from_millis(300))
        .is_err()));
    player.play();
    let came = player.next("video_0");
    let late = came.at.absdiff(came.pts);
    assert!(
        late < 2 * gst::ClockTime::SECOND,
        "{} at {}",
        came.pts,
        came.at
    );
    player.stop();
    player.play();
    while !player.next("video_0").is_key {}
    player.next("audio_0");
    let stats = player.src.property::<gst::Structure>("stats");
    assert_eq!(stats.get("num-sessions"), Ok(2u64));
    player.stop();
    Ok(())
}

#[test]
fn keys_that_do_not_fit_are_a_clear_failure() -> io::Result<()> {
    let server = WhepServer::start_with(&["--ecdsa-only"])?;
    let player = Player::new(&server);
    player.play();
    let message = player.message(gst::MessageType::Error);
    let gst::MessageView::Error(error) = message.view() else {
        unreachable!("only errors were asked for")
    };
    assert_eq!(message.src(), Some(player.src.upcast_ref()));
    let details = error.details().expect("details");
    assert_eq!(details.get("cause"), Ok("no-connection"), "{error:?}");
    Ok(())
}

#[test]
fn a_webrtcbin_that_will_not_stop_holds_up_nobody_and_is_counted() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    let (stuck, gate) = Stuck::new(At::Stop);
    player.src.connect("webrtcbin-ready", false, move |values| {
        let webrtcbin = values.get(1)?.get::<gst::Element>().ok()?;
        let bin = webrtcbin.parent().and_downcast::<gst::Bin>()?;
        bin.add(&stuck).expect("room");
        None
    });
    player.play();
    player.next("video_0");
    player.stop();
    gate.wait_until_stuck(PATIENCE);
    // The session itself is over as soon as its good-bye was said.
    assert!(poll_until(PATIENCE, || player.stopping() == 1));
    gate.open();
    assert!(poll_until(PATIENCE, || player.stopping() == 0));
    Ok(())
}

#[test]
fn sound_that_the_server_has_not_is_no_pad() -> io::Result<()> {
    let server = WhepServer::start_with(&["--no-audio"])?;
    let player = Player::new(&server);
    player.play();
    player.next("video_0");
    assert_eq!(player.src.num_src_pads(), 1);
    Ok(())
}

#[test]
fn what_repairs_a_stream_is_offered_and_agreed_on() -> io::Result<()> {
    let server = WhepServer::start()?;
    let player = Player::new(&server);
    player.play();
    player.next("video_0");
    let (offer, answer) = (server.control("offer")?, server.control("answer")?);
    // Asked for again, on a stream of their own; repaired; and a whole picture where that is of no use.
    for word in [
        " nack",
        " nack pli",
        " ccm fir",
        " rtx/90000",
        " red/90000",
        " ulpfec/90000",
    ] {
        let is_offered = offer.lines().any(|line| line.trim().ends_with(word));
        assert!(is_offered, "no{word} in {offer}");
    }
    for word in [" nack", " nack pli", " rtx/90000", " rtx/48000"] {
        let is_agreed = answer.lines().any(|line| line.trim().ends_with(word));
        assert!(is_agreed, "no{word} in {answer}");
    }
    Ok(())
}
