// SPDX-License-Identifier: MPL-2.0
//! MPEG-TS from a real muxer, which sends audio by the packet and so later than the picture: a sink that waits
//! for the latency it was told hears all of it.

#[path = "support/lab/mod.rs"]
mod lab;

use gst::prelude::*;
use lab::{Picture, Publisher};
use std::collections::BTreeMap;
use std::io;
use std::net::UdpSocket;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// By then it is known how late the audio is.
const LEARNED: Duration = Duration::from_secs(4);
const WATCHED: Duration = Duration::from_secs(5);

/// `failoversrc` and for each of its pads a sink that drops what comes too late.
struct Player {
    pipeline: gst::Pipeline,
    source: gst::Element,
    sinks: Arc<Mutex<BTreeMap<String, gst::Element>>>,
}

impl Player {
    fn start(uri: &str) -> Self {
        gst::init().expect("GStreamer");
        gstfailover::plugin_register_static().expect("the plugin");
        let pipeline = gst::Pipeline::new();
        let source = gst::ElementFactory::make("failoversrc")
            .property("primary-uri", uri)
            .build()
            .expect("failoversrc");
        pipeline.add(&source).expect("added");
        let sinks = Arc::<Mutex<BTreeMap<_, _>>>::default();
        let (bin, known) = (pipeline.downgrade(), sinks.clone());
        source.connect_pad_added(move |_, pad| {
            let Some(bin) = bin.upgrade() else { return };
            let queue = gst::ElementFactory::make("queue").build().expect("queue");
            // What an audio sink takes for in time, and half as much for a busy machine.
            let sink = gst::ElementFactory::make("fakesink")
                .property("sync", true)
                .property("async", false)
                .property("max-lateness", 60_000_000i64)
                .build()
                .expect("fakesink");
            bin.add_many([&queue, &sink]).expect("added");
            queue.link(&sink).expect("linked");
            for element in [&sink, &queue] {
                element.sync_state_with_parent().expect("playing");
            }
            pad.link(&queue.static_pad("sink").expect("sink"))
                .expect("linked");
            known.lock().expect("sinks").insert(pad.name().into(), sink);
        });
        pipeline.set_state(gst::State::Playing).expect("playing");
        Self {
            pipeline,
            source,
            sinks,
        }
    }

    /// As an application does it.
    fn play_for(&self, span: Duration) {
        let bus = self.pipeline.bus().expect("a bus");
        let until = Instant::now() + span;
        while Instant::now() < until {
            let wait = gst::ClockTime::from_mseconds(50);
            let message = bus.timed_pop_filtered(wait, &[gst::MessageType::Latency]);
            if message.is_some() {
                let _ = self.pipeline.recalculate_latency();
            }
        }
    }

    /// Shown or heard, and dropped.
    fn counts(&self, pad: &str) -> (u64, u64) {
        let sinks = self.sinks.lock().expect("sinks");
        let stats = sinks
            .get(pad)
            .map(|s| s.property::<gst::Structure>("stats"));
        let count = |field| {
            stats
                .as_ref()
                .and_then(|stats| stats.get::<u64>(field).ok())
        };
        (
            count("rendered").unwrap_or(0),
            count("dropped").unwrap_or(0),
        )
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

#[test]
fn audio_that_comes_later_than_its_picture_is_heard_whole() -> io::Result<()> {
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let uri = format!("udp://127.0.0.1:{port}");
    let drawn = Picture::new("LATE").size(320, 180);
    let mut publisher = Publisher::start(&format!("{uri}?pkt_size=1316"), drawn)?;
    publisher.wait_until_publishing()?;
    let player = Player::start(&uri);
    player.play_for(LEARNED);
    let pads = ["audio_0", "video_0"];
    let before = pads.map(|pad| player.counts(pad));
    player.play_for(WATCHED);
    for (pad, (shown, dropped)) in pads.into_iter().zip(before) {
        let (now, gone) = player.counts(pad);
        let figures = format!("{pad}: {} shown, {} dropped", now - shown, gone - dropped);
        assert!(now - shown >= 100, "{figures}");
        // A busy machine may cost some; without the latency more than half is lost.
        assert!((gone - dropped) * 4 <= now - shown, "{figures}");
    }
    let status: gst::glib::Value = player.source.property_value("active-input");
    assert_eq!(status.get::<i32>(), Ok(0));
    Ok(())
}
