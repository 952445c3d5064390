// SPDX-License-Identifier: MPL-2.0
//! Sources that die in the middle of a sentence: what they have left half said ends with them, on air or standing
//! by. The other input is seen, and so is the source that comes in the place of the one that died.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Output, Seen, Stage, bounded, frame_of, h264, pair, raw, switch};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;

/// What a source says last, at a time in milliseconds.
type LastWords = fn(&Feed, u64);

const HOURS: gst::ClockTime = gst::ClockTime::from_seconds(3 * 3600);

const ALL: [(&str, LastWords); 19] = [
    ("nothing", |_, _| ()),
    ("flush-start", |feed, _| {
        say(feed, gst::event::FlushStart::new())
    }),
    ("flush-stop", |feed, _| {
        say(feed, gst::event::FlushStop::new(true))
    }),
    ("a whole flush", |feed, _| feed.flush()),
    ("stream-start", |feed, _| feed.stream_start()),
    ("stream-start and caps", |feed, _| {
        feed.stream_start();
        let caps = stage::caps("video/x-raw,format=RGB,width=8,height=8,framerate=1/1");
        say(feed, gst::event::Caps::new(&caps));
    }),
    ("a segment in bytes", |feed, _| {
        say(
            feed,
            gst::event::Segment::new(&gst::FormattedSegment::<gst::format::Bytes>::new()),
        );
    }),
    ("a segment at double speed", |feed, _| {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_rate(2.0);
        segment.set_start(HOURS);
        say(feed, gst::event::Segment::new(&segment));
    }),
    ("a gap of hours", |feed, at| {
        say(
            feed,
            gst::event::Gap::builder(stage::ms(at))
                .duration(HOURS)
                .build(),
        );
    }),
    ("a gap that begins in hours", |feed, _| {
        say(
            feed,
            gst::event::Gap::builder(HOURS).duration(HOURS).build(),
        );
    }),
    ("segment-done", |feed, at| {
        say(feed, gst::event::SegmentDone::new(stage::ms(at)))
    }),
    ("double speed at once", |feed, _| {
        say(
            feed,
            gst::event::InstantRateChange::new(2.0, gst::SegmentFlags::empty()),
        );
    }),
    ("an event out of band", |feed, _| {
        say(feed, gst::event::CustomDownstreamOob::new(odd()))
    }),
    ("an event in band", |feed, _| {
        say(feed, gst::event::CustomDownstream::new(odd()))
    }),
    ("an event that sticks", |feed, _| {
        say(feed, gst::event::CustomDownstreamSticky::new(odd()))
    }),
    ("tags", |feed, _| {
        let mut tags = gst::TagList::new();
        let list = tags.get_mut().expect("a new list");
        list.add::<gst::tags::Title>(&"the dead", gst::TagMergeMode::Append);
        say(feed, gst::event::Tag::new(tags));
    }),
    ("a list of buffers", |feed, at| {
        let mut list = gst::BufferList::new();
        let mut buffer = gst::Buffer::from_slice([feed.input.to_le_bytes(), [0; 4]].concat());
        buffer
            .get_mut()
            .expect("a new buffer")
            .set_pts(stage::ms(at));
        list.get_mut().expect("a new list").add(buffer);
        let _ = feed.pad.push_list(list);
    }),
    ("a question behind the data", |feed, _| {
        feed.pad.peer_query(&mut gst::query::Drain::new());
    }),
    ("a probe that blocks", |feed, at| {
        let (blocks, blocked) = channel();
        feed.pad.add_probe(
            gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER,
            move |_, _| {
                let _ = blocks.send(());
                gst::PadProbeReturn::Ok
            },
        );
        let pushing = feed.clone();
        // Ends with the pad.
        std::thread::spawn(move || pushing.try_push(Frame::at(at)));
        blocked.recv().expect("a push that is stuck");
    }),
];

fn say(feed: &Feed, event: gst::Event) {
    feed.pad.push_event(event);
}

fn odd() -> gst::Structure {
    gst::Structure::new_empty("odd")
}

/// What downstream may count on: no data while it is flushed or without a segment, no time that goes back.
fn assert_sound(out: &Output) {
    assert_in_order(out, true);
}

/// `alone`: no other thread flushes while a frame is pushed.
fn assert_in_order(out: &Output, alone: bool) {
    let (mut is_flushing, mut has_segment) = (false, false);
    let seen = out.seen();
    for (place, seen) in seen.iter().enumerate() {
        match seen {
            Seen::Frame(frame) => {
                assert!(!(is_flushing && alone) && has_segment, "{place}: {frame:?}")
            }
            Seen::Event(event) => match event.type_() {
                gst::EventType::FlushStart => is_flushing = true,
                gst::EventType::FlushStop => (is_flushing, has_segment) = (false, false),
                gst::EventType::Segment => has_segment = true,
                gst::EventType::SegmentDone | gst::EventType::InstantRateChange => {
                    panic!("an input's own affair: {event:?}")
                }
                _ => (),
            },
        }
    }
    assert!(!is_flushing, "a flush is left open");
    stage::assert_no_step_back(&out.frames());
}

/// How many frames of an input came out from `since` to `until`.
fn count(stage: &Stage, input: u32, since: u64, until: u64) -> usize {
    let sent = stage.sent();
    let sent = sent.iter().filter(|sent| sent.input == input);
    sent.filter(|sent| sent.at >= since && sent.at < until)
        .count()
}

/// Both play, one dies at 1 s, and at 2.5 s another source comes in its place; until 7 s.
fn plays(caps: &gst::Caps, latency: &str, dies: u32, last_words: LastWords) -> (Stage, Feed, Feed) {
    let properties = [("recovery-time", "1000000000"), ("latency", latency)];
    let (stage, primary, backup) = pair(caps, &properties);
    let mut feeds = [primary, backup];
    let push = |feed: &Feed, at| {
        let _ = feed.try_push(frame_of(caps, at));
    };
    stage.every(20, 0..1_000, |at| {
        feeds.iter().for_each(|feed| push(feed, at))
    });
    let (dead, other) = (dies as usize, 1 - dies as usize);
    last_words(&feeds[dead], 1_000);
    stage.every(20, 1_000..2_500, |at| push(&feeds[other], at));
    feeds[dead] = feeds[dead].replaced();
    feeds[dead].start(caps);
    stage.every(20, 2_500..7_000, |at| {
        feeds.iter().for_each(|feed| push(feed, at))
    });
    let [primary, backup] = feeds;
    (stage, primary, backup)
}

fn each(check: impl Fn(&str, &gst::Caps, &str, LastWords) + Send + Clone + 'static) {
    for (name, last_words) in ALL {
        for latency in ["0", "700000000"] {
            for caps in [raw(), h264()] {
                let check = check.clone();
                bounded(move || check(&format!("{name}, {latency}"), &caps, latency, last_words));
            }
        }
    }
}

#[test]
fn whatever_the_input_on_air_said_last_the_other_is_seen_and_then_its_successor() {
    each(|name, caps, latency, last_words| {
        let (stage, ..) = plays(caps, latency, 0, last_words);
        let left = [switch(0, 1, "stall"), switch(1, 0, "recovered")];
        assert_eq!(stage.switches(), left, "{name}");
        // It is left after half a second; its end is hidden by the latency, or else the rest is seen.
        let others = count(&stage, 1, 1_600, 2_500);
        assert!(others >= 40, "{name}: {others} frames of the other input");
        let own = count(&stage, 0, 5_000, 7_000);
        assert!(own >= 95, "{name}: {own} frames of the successor");
        assert_sound(&stage.out);
    });
}

#[test]
fn whatever_a_standby_said_last_its_successor_takes_over() {
    each(|name, caps, latency, last_words| {
        let (stage, _, backup) = plays(caps, latency, 1, last_words);
        assert_eq!(stage.switches(), [], "{name}");
        let own = count(&stage, 0, 1_000, 7_000);
        assert!(own >= 290, "{name}: {own} frames of the input on air");
        assert!(backup.is_healthy(), "{name}");
        stage.every(20, 7_000..9_000, |at| backup.push(frame_of(caps, at)));
        assert_eq!(stage.switches(), [switch(0, 1, "stall")], "{name}");
        let others = count(&stage, 1, 8_100, 9_000);
        assert!(others >= 40, "{name}: {others} frames of the successor");
        assert_sound(&stage.out);
    });
}

#[test]
fn an_end_that_is_followed_by_the_beginning_of_a_stream_alone_is_an_end() {
    for dies in [0, 1] {
        let (stage, ..) = plays(&raw(), "0", dies, |feed, _| {
            feed.eos();
            feed.stream_start();
        });
        let causes: Vec<_> = stage
            .switches()
            .into_iter()
            .map(|(.., cause)| cause)
            .collect();
        let expected = if dies == 0 {
            &["eos", "recovered"][..]
        } else {
            &[]
        };
        assert_eq!(causes, expected);
        assert_eq!(count(&stage, 0, 5_000, 7_000), 100);
        assert_sound(&stage.out);
    }
}

#[test]
fn tags_of_a_source_that_is_gone_are_not_said_of_the_next() {
    let tags = ALL.iter().find(|(name, _)| *name == "tags").expect("tags");
    for (dies, said) in [(0, 1), (1, 0)] {
        let (stage, ..) = plays(&raw(), "0", dies, tags.1);
        assert_eq!(stage.out.events(gst::EventType::Tag).len(), said);
    }
}

#[test]
fn a_gap_lasts_no_longer_than_silence_may() {
    let (stage, primary, _backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| primary.push(Frame::at(at)));
    for (begins, lasts) in [
        (stage::ms(980), HOURS),
        (HOURS, stage::ms(20)),
        (stage::ms(980), stage::ms(40)),
    ] {
        say(
            &primary,
            gst::event::Gap::builder(begins).duration(lasts).build(),
        );
    }
    let gaps = stage.out.events(gst::EventType::Gap);
    let gaps: Vec<_> = gaps
        .iter()
        .filter_map(|event| match event.view() {
            gst::EventView::Gap(gap) => gap.get().1.map(gst::ClockTime::mseconds),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [500, 40]);
}

#[test]
fn a_question_of_a_standby_behind_its_data_goes_nowhere() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    stage
        .out
        .pad
        .add_probe(gst::PadProbeType::QUERY_DOWNSTREAM, move |_, info| {
            if info
                .query()
                .is_some_and(|query| query.type_() == gst::QueryType::Drain)
            {
                counter.fetch_add(1, SeqCst);
            }
            gst::PadProbeReturn::Ok
        });
    backup.pad.peer_query(&mut gst::query::Drain::new());
    assert_eq!(asked.load(SeqCst), 0);
    primary.pad.peer_query(&mut gst::query::Drain::new());
    assert!(asked.load(SeqCst) > 0);
}

#[test]
fn a_flush_from_within_a_push_ends() {
    bounded(|| {
        for latency in ["0", "200000000"] {
            let (stage, primary, backup) = pair(&raw(), &[("latency", latency)]);
            let (feed, once) = (primary.pad.clone(), AtomicBool::new(true));
            stage
                .out
                .pad
                .add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                    let pts = info.buffer().and_then(|buffer| buffer.pts());
                    if pts >= Some(stage::ms(500)) && once.swap(false, SeqCst) {
                        feed.push_event(gst::event::FlushStart::new());
                    }
                    gst::PadProbeReturn::Ok
                });
            stage.every(20, 0..3_000, |at| {
                let _ = primary.try_push(Frame::at(at));
                backup.push(Frame::at(at));
            });
            assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
            let others = count(&stage, 1, 1_200, 3_000);
            assert!(others >= 85, "{others}");
            let flushes = [gst::EventType::FlushStart, gst::EventType::FlushStop];
            assert_eq!(flushes.map(|of| stage.out.events(of).len()), [1, 1]);
        }
    });
}

#[test]
fn a_storm_of_flushes_harms_nobody() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[]);
        let feeds = [primary, backup];
        let (stop, ready) = (AtomicBool::new(false), std::sync::Barrier::new(3));
        std::thread::scope(|scope| {
            for feed in &feeds {
                let (stop, ready) = (&stop, &ready);
                scope.spawn(move || {
                    ready.wait();
                    while !stop.load(SeqCst) {
                        feed.flush();
                        feed.segment();
                        std::thread::yield_now();
                    }
                });
            }
            ready.wait();
            stage.every(20, 0..10_000, |at| {
                for feed in &feeds {
                    let _ = feed.try_push(Frame::at(at));
                }
            });
            stop.store(true, SeqCst);
        });
        let before = stage.sent().len();
        stage.every(20, 10_000..12_000, |at| {
            feeds.iter().for_each(|feed| feed.push(Frame::at(at)))
        });
        assert_eq!(stage.sent().len() - before, 100);
        assert_in_order(&stage.out, false);
    });
}

#[test]
fn who_exchanges_a_source_waits_for_no_push_of_the_old_one() {
    bounded(|| {
        let (stage, primary, backup) = pair(&raw(), &[]);
        stage.every(20, 0..1_000, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        let held_up = stage.out.hold_up();
        let old = primary.clone();
        let pushing = std::thread::spawn(move || old.try_push(Frame::at(1_000)));
        primary.wait_for_pushed(51);
        // From here: what waited for that push would wait for ever.
        let primary = primary.replaced();
        drop(held_up);
        let _ = pushing.join().expect("the pusher");
        primary.start(&raw());
        stage.every(20, 1_020..3_000, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        assert_eq!(stage.switches(), []);
        assert!(stage.sent().len() >= 148, "{}", stage.sent().len());
        assert_sound(&stage.out);
    });
}

#[test]
fn an_end_survives_the_flush_of_an_input_that_goes() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    backup.eos();
    primary.eos();
    assert!(stage.out.is_eos());
    say(&primary, gst::event::FlushStart::new());
    assert_eq!(stage.out.events(gst::EventType::FlushStart).len(), 0);
    // It goes on, as behind a seek.
    say(&primary, gst::event::FlushStop::new(true));
    primary.segment();
    stage.every(20, 1_000..2_000, |at| primary.push(Frame::at(at)));
    assert_eq!(stage.sent().len(), 100);
    assert_sound(&stage.out);
}
