// SPDX-License-Identifier: MPL-2.0
//! The media of one session: a pipeline around one webrtcbin, on loopback.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::prelude::*;
use gst_webrtc::{
    WebRTCFECType, WebRTCICEGatheringState, WebRTCPeerConnectionState, WebRTCRTPTransceiver,
    WebRTCSDPType, WebRTCSessionDescription,
};
use serde_json::{Value, json};

use super::{Habits, notification};
use crate::lab::poll_until;
use crate::programme::{Look, picture, tone};

pub(super) type Say = Arc<dyn Fn(Value) + Send + Sync>;

pub(super) struct Media {
    pipeline: gst::Pipeline,
    line: Line,
    is_sending: bool,
}

/// What the webrtcbin's callbacks need.
#[derive(Clone)]
struct Line {
    webrtc: gst::glib::WeakRef<gst::Element>,
    stream: String,
    say: Say,
    /// The offer that waits for its candidates to go first.
    held: Option<Arc<Mutex<Option<Value>>>>,
    /// What is said does not have the parameters of the pictures.
    bare: bool,
}

impl Media {
    /// What is offered to a player, as soon as it can be.
    pub(super) fn sending(look: Look, stream: &str, habits: Habits, say: Say) -> Self {
        let valve = "valve drop-mode=forward-sticky-events";
        // Nobody's camera waits for a connection: what cannot be sent is not encoded either.
        let live = match habits.held_up {
            Some(_) => "identity",
            None => "queue leaky=downstream max-size-buffers=1 max-size-bytes=0 max-size-time=0",
        };
        let description = format!(
            "webrtcbin name=w bundle-policy=max-bundle \
             {} ! {live} ! videoconvert ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=500 \
               key-int-max={} option-string=scenecut=0 ! \
               video/x-h264,profile=constrained-baseline,stream-format=byte-stream ! \
               rtph264pay config-interval=0 aggregate-mode=zero-latency ! \
               application/x-rtp,media=video,encoding-name=H264,payload=96 ! {valve} name=v ! w. \
             {} ! {live} ! audioconvert ! audioresample ! opusenc ! rtpopuspay ! \
               application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! {valve} name=a ! w.",
            picture(look),
            if habits.headless { 1_000_000 } else { 50 },
            tone(look)
        );
        let media = Self::new(&description, stream, say, habits, true);
        if habits.data_channel {
            let webrtc = media.webrtc();
            let _ = media.pipeline.set_state(gst::State::Ready);
            let none = None::<gst::Structure>;
            webrtc.emit_by_name::<Option<gst_webrtc::WebRTCDataChannel>>(
                "create-data-channel",
                &[&stream, &none],
            );
        }
        if habits.repair {
            media.offer_repair();
        }
        // Before anything flows: what webrtcbin gets too early it blocks, and nothing follows it.
        if !habits.unannounced {
            media.offer_with_sources();
        }
        if habits.headless {
            media.lose_the_beginning();
        }
        media.play();
        if habits.unannounced {
            media.offer();
        }
        media
    }

    /// A few pictures, the key frame first.
    fn lose_the_beginning(&self) {
        let valve = self.pipeline.by_name("v").expect("a valve");
        let pad = valve.static_pad("src").expect("a pad");
        let lost = AtomicUsize::new(0);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            match lost.fetch_add(1, SeqCst) {
                0..10 => gst::PadProbeReturn::Drop,
                _ => gst::PadProbeReturn::Remove,
            }
        });
    }

    fn offer_repair(&self) {
        for section in 0..2i32 {
            let transceiver = self
                .webrtc()
                .emit_by_name::<WebRTCRTPTransceiver>("get-transceiver", &[&section]);
            transceiver.set_property("do-nack", true);
            transceiver.set_property("fec-type", WebRTCFECType::UlpRed);
        }
    }

    /// What a publisher offers; `count` gets the bytes that come.
    pub(super) fn receiving(
        stream: &str,
        say: Say,
        count: impl Fn(u64) + Send + Sync + 'static,
    ) -> Self {
        let media = Self::new(
            "webrtcbin name=w bundle-policy=max-bundle",
            stream,
            say,
            Habits::default(),
            false,
        );
        let count = Arc::new(count);
        media.webrtc().connect_pad_added(move |webrtc, pad| {
            let Some(bin) = webrtc.parent().and_downcast::<gst::Bin>() else {
                return;
            };
            let sink = gst::ElementFactory::make("fakesink").property("async", false);
            let sink = sink.build().expect("fakesink");
            bin.add(&sink).expect("added");
            sink.sync_state_with_parent().expect("it runs");
            let count = count.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                count(info.buffer().map_or(0, |buffer| buffer.size() as u64));
                gst::PadProbeReturn::Ok
            });
            let linked = pad.link(&sink.static_pad("sink").expect("a pad"));
            linked.expect("linked");
        });
        media.play();
        media
    }

    fn new(description: &str, stream: &str, say: Say, habits: Habits, is_sending: bool) -> Self {
        let bin = gst::parse::bin_from_description(description, false).expect("elements");
        let pipeline = gst::Pipeline::new();
        pipeline.add(&bin).expect("added");
        let webrtc = pipeline.by_name("w").expect("webrtcbin");
        let agent = webrtc.property::<gst::Object>("ice-agent");
        let ours = agent.emit_by_name::<bool>("add-local-ip-address", &[&"127.0.0.1"]);
        assert!(ours, "loopback can be used");
        let line = Line {
            webrtc: webrtc.downgrade(),
            stream: stream.to_owned(),
            say,
            held: habits.early_candidates.then(Arc::default),
            bare: habits.headless,
        };
        line.listen(&webrtc, is_sending);
        Self {
            pipeline,
            line,
            is_sending,
        }
    }

    fn play(&self) {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("it plays");
    }

    fn webrtc(&self) -> gst::Element {
        self.line
            .webrtc
            .upgrade()
            .expect("it lives with its pipeline")
    }

    /// As soon as the SSRCs are known, so that the offer announces them.
    fn offer_with_sources(&self) {
        let (line, waiting) = (self.line.clone(), Arc::new(AtomicUsize::new(2)));
        for name in ["v", "a"] {
            let valve = self.pipeline.by_name(name).expect("a valve");
            let pad = valve.static_pad("src").expect("a pad");
            let (line, waiting) = (line.clone(), waiting.clone());
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                if waiting.fetch_sub(1, SeqCst) == 1 {
                    line.describe(WebRTCSDPType::Offer);
                }
                gst::PadProbeReturn::Remove
            });
        }
    }

    pub(super) fn offer(&self) {
        self.line.describe(WebRTCSDPType::Offer);
    }

    pub(super) fn take_offer(&self, sdp: &str) {
        self.line.set_remote(WebRTCSDPType::Offer, sdp);
    }

    pub(super) fn take_answer(&self, sdp: &str) {
        self.line.set_remote(WebRTCSDPType::Answer, sdp);
    }

    pub(super) fn take_candidate(&self, label: u64, mid: &str, candidate: &str) {
        let local = self
            .webrtc()
            .property::<Option<WebRTCSessionDescription>>("local-description");
        let index = usize::try_from(label).expect("small");
        let named = local.and_then(|local| {
            let sdp = local.sdp();
            sdp.media(u32::try_from(index).ok()?)?
                .attribute_val("mid")
                .map(str::to_owned)
        });
        if let Some(named) = named {
            assert_eq!(
                named, mid,
                "a candidate names the section that it belongs to"
            );
        }
        if !candidate.is_empty() {
            let label = u32::try_from(label).expect("small");
            self.webrtc()
                .emit_by_name::<()>("add-ice-candidate", &[&label, &candidate]);
        }
    }

    pub(super) fn freeze(&self, frozen: bool) {
        for name in ["v", "a"] {
            self.hold(name, frozen);
        }
    }

    /// Pictures only.
    pub(super) fn mute(&self, muted: bool) {
        self.hold("v", muted);
    }

    fn hold(&self, valve: &str, held: bool) {
        let valve = self.pipeline.by_name(valve).expect("a valve");
        valve.set_property("drop", held);
    }

    pub(super) fn ended_word(&self) -> &'static str {
        match self.is_sending {
            true => "play_finished",
            false => "publish_finished",
        }
    }

    /// In a thread of its own: only the end of the server waits for it.
    pub(super) fn stop(self) {
        let stop = std::thread::spawn(move || {
            let _ = self.pipeline.set_state(gst::State::Null);
        });
        stopping().push(stop);
    }
}

/// Until all has stopped: a process that exits under threads of webrtcbin may crash in the destructors of
/// their libraries. What never stops is not waited for.
pub(super) fn wait_for_stopped() {
    poll_until(Duration::from_secs(2), || {
        stopping().iter().all(JoinHandle::is_finished)
    });
}

fn stopping() -> MutexGuard<'static, Vec<JoinHandle<()>>> {
    static STOPPING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(vec![]);
    STOPPING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn listen(&self, webrtc: &gst::Element, is_sending: bool) {
        let this = self.clone();
        webrtc.connect("on-ice-candidate", false, move |values| {
            let label = values[1].get::<u32>().expect("an index");
            let candidate = values[2].get::<String>().expect("a candidate");
            let local = values[0].get::<gst::Element>().ok()?;
            let local = local.property::<Option<WebRTCSessionDescription>>("local-description");
            let mid = local.and_then(|local| {
                let sdp = local.sdp();
                sdp.media(label)?.attribute_val("mid").map(str::to_owned)
            });
            (this.say)(
                json!({"command": "takeCandidate", "streamId": this.stream, "label": label,
                "id": mid.unwrap_or_else(|| label.to_string()), "candidate": candidate,
                "linkSession": null, "subscriberId": ""}),
            );
            None
        });
        let this = self.clone();
        webrtc.connect_notify(Some("ice-gathering-state"), move |webrtc, _| {
            let state = webrtc.property::<WebRTCICEGatheringState>("ice-gathering-state");
            let held = this
                .held
                .as_ref()
                .and_then(|held| held.lock().expect("well").take());
            match held {
                Some(offer) if state == WebRTCICEGatheringState::Complete => (this.say)(offer),
                Some(offer) => {
                    *this.held.as_ref().expect("held").lock().expect("well") = Some(offer)
                }
                None => (),
            }
        });
        let this = self.clone();
        webrtc.connect_notify(Some("connection-state"), move |webrtc, _| {
            let state = webrtc.property::<WebRTCPeerConnectionState>("connection-state");
            if state == WebRTCPeerConnectionState::Connected {
                let began = if is_sending {
                    "play_started"
                } else {
                    "publish_started"
                };
                (this.say)(notification(began, &this.stream));
            }
        });
    }

    fn describe(&self, kind: WebRTCSDPType) {
        let (signal, field) = match kind {
            WebRTCSDPType::Offer => ("create-offer", "offer"),
            _ => ("create-answer", "answer"),
        };
        let this = self.clone();
        let promise = gst::Promise::with_change_func(move |reply| {
            let reply = reply.ok().flatten();
            let made = reply.and_then(|r| r.get::<WebRTCSessionDescription>(field).ok());
            // It may be over already.
            let (Some(made), Some(webrtc)) = (made, this.webrtc.upgrade()) else {
                return;
            };
            let mut sdp = made.sdp().as_text().expect("a text");
            if this.bare {
                // Then they come with a key frame or not at all.
                sdp = sdp.replace("sprop-parameter-sets", "x-unknown");
            }
            let message = json!({"command": "takeConfiguration", "streamId": this.stream,
                "type": field, "sdp": sdp, "linkSession": null, "subscriberId": ""});
            match &this.held {
                Some(held) => *held.lock().expect("well") = Some(message),
                None => (this.say)(message),
            }
            webrtc.emit_by_name::<()>("set-local-description", &[&made, &None::<gst::Promise>]);
        });
        if let Some(webrtc) = self.webrtc.upgrade() {
            webrtc.emit_by_name::<()>(signal, &[&None::<gst::Structure>, &promise]);
        }
    }

    fn set_remote(&self, kind: WebRTCSDPType, sdp: &str) {
        let sdp = gst_sdp::SDPMessage::parse_buffer(sdp.as_bytes()).expect("an SDP");
        let description = WebRTCSessionDescription::new(kind, sdp);
        let this = self.clone();
        let promise = gst::Promise::with_change_func(move |_| {
            if kind == WebRTCSDPType::Offer {
                this.describe(WebRTCSDPType::Answer);
            }
        });
        if let Some(webrtc) = self.webrtc.upgrade() {
            webrtc.emit_by_name::<()>("set-remote-description", &[&description, &promise]);
        }
    }
}
