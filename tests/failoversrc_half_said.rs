// SPDX-License-Identifier: MPL-2.0
//! Sources of failoversrc that die in the middle of a sentence, as hlsdemux does with a flush: the other input is
//! seen, and so is the next attempt, through the queue, the decoder and the slate of each output.

#[path = "support/programme/mod.rs"]
mod programme;

use gst::prelude::*;
use programme::{Look, MS, Programme, both, element};

/// What a source says last on each of its pads.
type LastWords = fn(&gst::Pad);

const HOURS: gst::ClockTime = gst::ClockTime::from_seconds(3 * 3600);

const ALL: [(&str, LastWords); 8] = [
    ("flush-start", |pad| say(pad, gst::event::FlushStart::new())),
    ("a whole flush", |pad| {
        say(pad, gst::event::FlushStart::new());
        say(pad, gst::event::FlushStop::new(true));
    }),
    ("stream-start", |pad| {
        say(pad, gst::event::StreamStart::new("the dead"))
    }),
    ("a segment in bytes", |pad| {
        say(
            pad,
            gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()),
        );
    }),
    ("a gap of hours", |pad| {
        say(
            pad,
            gst::event::Gap::builder(gst::ClockTime::ZERO)
                .duration(HOURS)
                .build(),
        );
    }),
    ("segment-done", |pad| {
        say(pad, gst::event::SegmentDone::new(gst::ClockTime::ZERO))
    }),
    ("double speed at once", |pad| {
        say(
            pad,
            gst::event::InstantRateChange::new(2.0, gst::SegmentFlags::empty()),
        );
    }),
    ("an end and another beginning", |pad| {
        say(pad, gst::event::Eos::new());
        say(pad, gst::event::StreamStart::new("the dead"));
    }),
];

fn say(pad: &gst::Pad, event: gst::Event) {
    pad.push_event(event);
}

/// It says this, and its attempt is over.
fn dies(source: &gst::Element, last_words: LastWords) {
    for pad in source.src_pads() {
        last_words(&pad);
    }
    gst::element_error!(source, gst::StreamError::Failed, ["gone"]);
}

/// What goes through a decoder.
fn coded(look: Look) -> gst::Element {
    let colour = 0xff00_0000_u32 | look.colour();
    element(&format!(
        "videotestsrc is-live=true pattern=solid-color foreground-color={colour} ! \
         video/x-raw,format=I420,width=320,height=180,framerate=25/1 ! \
         x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 \
         audiotestsrc is-live=true freq={} samplesperbuffer=1024 ! \
         audio/x-raw,rate=44100,channels=2 ! avenc_aac",
        look.tone()
    ))
}

/// Both stand.
fn playing(primary: &gst::Element, backup: &gst::Element, retry: u64) -> Programme {
    let programme = Programme::new()
        .set("retry-initial", retry)
        .set("retry-max", retry)
        .set("primary-source", primary)
        .set("backup-source", backup)
        .set("timeout", 5_000 * MS)
        .start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    programme
}

fn finish(programme: Programme) {
    programme.stop();
    programme.check_no_error();
    for output in &programme.record().outputs {
        let passed = output.passed.windows(2);
        let back = passed.filter(|pair| pair[1].pts < pair[0].pts).count();
        assert_eq!(back, 0, "{}: time goes back", output.name);
    }
}

/// All of these at once: they wait most of the time.
fn each(check: impl Fn(&str, LastWords) + Sync) {
    std::thread::scope(|scope| {
        let check = &check;
        let cases = ALL.map(|(name, words)| (name, scope.spawn(move || check(name, words))));
        for (name, case) in cases {
            assert!(case.join().is_ok(), "{name}");
        }
    });
}

fn is_seen_and_followed(primary: &gst::Element, name: &str, last_words: LastWords) {
    let programme = playing(primary, &both(Look::Backup), 200 * MS);
    dies(primary, last_words);
    programme.until_all_show(Look::Backup);
    programme.until_all_show(Look::Primary);
    let switches = programme.record().switches();
    assert_eq!(switches.len(), 3, "{name}: {switches:?}");
    finish(programme);
}

#[test]
fn whatever_the_input_on_air_said_last_the_other_is_seen_and_then_its_next_attempt() {
    each(|name, last_words| is_seen_and_followed(&both(Look::Primary), name, last_words));
}

#[test]
fn a_flush_that_is_left_open_passes_a_decoder() {
    for last_words in [ALL[0].1, ALL[1].1] {
        is_seen_and_followed(&coded(Look::Primary), "coded", last_words);
    }
}

#[test]
fn whatever_a_standby_said_last_its_next_attempt_stands_by() {
    each(|name, last_words| {
        let backup = both(Look::Backup);
        let programme = playing(&both(Look::Primary), &backup, 200 * MS);
        dies(&backup, last_words);
        programme.until(name, |record| {
            let last = record.states.iter().rfind(|state| state.input == 1);
            record.attempts(1) > 1 && last.is_some_and(|state| state.new == "flowing")
        });
        programme.until_all_show(Look::Primary);
        assert_eq!(programme.record().switches().len(), 1, "{name}");
        programme.src.set_property("force-input", 1i32);
        programme.until_all_show(Look::Backup);
        finish(programme);
    });
}

/// Of two inputs that are gone the last one said that nothing comes for hours: black is shown all the same.
#[test]
fn a_gap_of_hours_bars_no_slate() {
    let gap = ALL
        .iter()
        .find(|(name, _)| *name == "a gap of hours")
        .expect("it");
    let (primary, backup) = (both(Look::Primary), both(Look::Backup));
    // Neither comes again.
    let programme = playing(&primary, &backup, 3_600_000 * MS);
    for source in [&backup, &primary] {
        dies(source, gap.1);
    }
    programme.until_all_have_shown(Look::Slate);
    finish(programme);
}
