// SPDX-License-Identifier: MPL-2.0
//! Packets that are lost for good: what cannot be decoded whole is not shown, and a key frame is asked
//! for.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/meter/mod.rs"]
mod meter;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, SystemTime};

use gst::prelude::*;

use lab::{WHEP_FPS as FPS, WhepServer};
use meter::{Meter, Recipe};
use programme::{MS, Programme};

const NAME: u8 = 0;
const LIMIT: Duration = Duration::from_secs(40);
const LOSSES: usize = 5;
/// Enough for a key frame to come in between.
const PACKETS_BETWEEN: usize = 67;

#[test]
fn no_picture_is_shown_broken_after_a_loss() -> io::Result<()> {
    programme::init();
    let server = WhepServer::start_numbered(NAME, SystemTime::now())?;
    let mut recipe = Recipe::small(NAME);
    recipe.drawing.fps = FPS;
    let meter = Meter::new(recipe.numbering());
    let programme = Programme::new()
        .set("primary-uri", server.url())
        .set("timeout", 5000 * MS);
    meter.follow(&programme.src);
    let lost = lose_packets(&programme.src);
    let programme = programme.start();
    let all_lost = || lost.load(SeqCst) >= LOSSES;
    let came = meter.comes_true(LIMIT, |seen| all_lost() && seen.shows(NAME, FPS as usize));
    let sight = meter.report(0.0).sight;
    println!("figure: {sight:?}");
    assert!(came, "{sight:?}");
    assert!(sight.lost > 0, "nothing was lost: {sight:?}");
    assert_eq!(sight.broken, 0, "{sight:?}");
    let asked = server.asked()?;
    assert!(asked >= 2 * LOSSES, "{asked} key frames were asked for");
    programme.check_switches(&[(-1, 0, "startup")]);
    programme.finish(&["audio_0", "video_0"]);
    Ok(())
}

/// Some packets never reach the depayloader: they go behind everything that could bring them again. After each such loss one is
/// missing from the key frame that is asked for, too.
fn lose_packets(src: &gst::Element) -> Arc<AtomicUsize> {
    let lost = Arc::new(AtomicUsize::new(0));
    let count = lost.clone();
    let bin = src.downcast_ref::<gst::Bin>().expect("a bin");
    bin.connect_deep_element_added(move |_, _, element| {
        if element
            .factory()
            .is_none_or(|own| own.name() != "rtph264depay")
        {
            return;
        }
        let (lost, came) = (count.clone(), AtomicUsize::new(0));
        let spoils = AtomicBool::new(false);
        let sink = element.static_pad("sink").expect("a sink pad");
        sink.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let number = came.fetch_add(1, SeqCst) + 1;
            let packet = info.buffer().expect("a packet");
            if is_inside_a_key_frame(packet) && spoils.swap(false, SeqCst) {
                return gst::PadProbeReturn::Handled;
            }
            if number % PACKETS_BETWEEN != 0 || lost.load(SeqCst) == LOSSES {
                return gst::PadProbeReturn::Ok;
            }
            lost.fetch_add(1, SeqCst);
            spoils.store(true, SeqCst);
            gst::PadProbeReturn::Handled
        });
    });
    lost
}

/// A fragment of one, but not the first (RFC 6184, 5.8).
fn is_inside_a_key_frame(packet: &gst::BufferRef) -> bool {
    let map = packet.map_readable().expect("memory");
    let extension = if map[0] & 0x10 == 0 {
        0
    } else {
        4 + 4 * usize::from(u16::from_be_bytes([map[14], map[15]]))
    };
    assert_eq!(map[0] & 0x0f, 0, "there are no contributing sources");
    let payload = &map[12 + extension..];
    let is_fragment = payload[0] & 0x1f == 28;
    is_fragment && payload[1] & 0x9f == 5
}
