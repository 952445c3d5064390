// SPDX-License-Identifier: MPL-2.0
//! The slate on a clock that is turned by hand.

use super::bench::*;
use super::*;
use gst::prelude::*;
use gst_check::TestClock;
use std::sync::mpsc;
use std::time::Instant;

const I420: &str = "video/x-raw,format=I420,width=320,height=240,framerate=25/1";
const S16: &str = "audio/x-raw,format=S16LE,rate=48000,channels=1,layout=interleaved";

#[test]
fn black_comes_from_the_start_at_25_frames_per_second() {
    let mut bench = Bench::new(Kind::Video, Mode::Black);
    bench.slate.set_wanted(true);
    for n in 0..5 {
        let buffer = bench.next();
        assert_eq!(buffer.pts(), Some(ms(40 * n)));
        assert_eq!(buffer.duration(), Some(ms(40)));
        let bytes = buffer.map_readable().unwrap();
        assert_eq!((bytes[0], bytes[bytes.len() - 1]), (16, 128));
        assert_eq!(bench.clock.time(), ms(40 * n));
    }
    let events = bench.events();
    let kinds: Vec<_> = events.iter().map(|e| e.type_()).collect();
    let expected = [
        gst::EventType::StreamStart,
        gst::EventType::Caps,
        gst::EventType::Segment,
    ];
    assert_eq!(kinds, expected);
    let gst::EventView::StreamStart(start) = events[0].view() else {
        unreachable!()
    };
    assert_eq!(start.stream_id(), "the-stream");
    let caps = bench.caps();
    assert_eq!(caps.structure(0).unwrap().get("width"), Ok(1280));
    assert_eq!(bench.slate.filled(), 5);
}

#[test]
fn real_buffers_pass_untouched() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    for n in 0..5 {
        let buffer = picture(n, 40 * u64::from(n));
        let pointer = buffer.as_ptr();
        bench.push(buffer);
        assert_eq!(bench.harness.try_pull().unwrap().as_ptr(), pointer);
    }
    assert_eq!(bench.slate.filled(), 0);
}

#[test]
fn time_never_goes_back_when_real_and_black_take_turns() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.push(picture(1, 0));
    bench.slate.set_wanted(true);
    let mut sent = vec![bench.next(), bench.next(), bench.next()];
    // After the grace of two frames.
    assert_eq!(sent[1].pts(), Some(ms(80)));
    assert_eq!(sent[2].pts(), Some(ms(120)));
    // Black lasts until 160.
    bench.push(picture(2, 100));
    assert!(bench.harness.try_pull().is_none(), "it ended before 160");
    bench.push(picture(3, 140));
    bench.push(picture(4, 180));
    sent.extend([bench.next(), bench.next(), bench.next(), bench.next()]);
    let starts: Vec<_> = sent.iter().map(|b| b.pts().unwrap().mseconds()).collect();
    assert_eq!(starts, [0, 80, 120, 160, 180, 220, 260]);
    assert_eq!(sent[3].duration(), Some(ms(20)));
    let levels: Vec<_> = sent.iter().map(first_byte).collect();
    assert_eq!(levels, [1, 16, 16, 3, 4, 16, 16]);
}

#[test]
fn filling_stops_when_it_is_no_longer_wanted() {
    let mut bench = Bench::new(Kind::Video, Mode::Black);
    bench.slate.set_wanted(true);
    bench.next();
    bench.slate.set_wanted(false);
    bench.clock.set_time(ms(5000));
    bench.slate.set_wanted(true);
    // Suspended, not busy: it goes on from now.
    assert_eq!(bench.next().pts(), Some(ms(5000)));
    assert_eq!(bench.slate.filled(), 2);
}

#[test]
fn hold_repeats_the_last_picture() {
    let mut bench = Bench::new(Kind::Video, Mode::Hold);
    bench.slate.set_wanted(true);
    assert_eq!(first_byte(&bench.next()), 16, "black before the first");
    bench.harness.set_src_caps(I420.parse().unwrap());
    for n in 0..3 {
        bench.push(picture(100 + n, 40 + 40 * u64::from(n)));
    }
    let all: Vec<_> = (0..6).map(|_| bench.next()).collect();
    let levels: Vec<_> = all.iter().map(first_byte).collect();
    assert_eq!(levels, [100, 101, 102, 102, 102, 102]);
    let starts: Vec<_> = all.iter().map(|b| b.pts().unwrap().mseconds()).collect();
    assert_eq!(starts, [40, 80, 120, 160, 200, 240]);
}

#[test]
fn mode_none_never_fills() {
    let mut bench = Bench::new(Kind::Video, Mode::None);
    bench.slate.set_wanted(true);
    bench.clock.set_time(ms(1000));
    bench.slate.set_mode(Mode::Black);
    assert_eq!(bench.next().pts(), Some(ms(1000)));
    assert_eq!(bench.slate.filled(), 1);
}

#[test]
fn sound_and_silence_join_to_the_sample() {
    let mut bench = Bench::playing(Kind::Audio, Mode::Black, S16);
    bench.latency(ms(200));
    bench.push(sound(0, 480));
    bench.slate.set_wanted(true);
    let mut sent: Vec<_> = (0..5).map(|_| bench.next()).collect();
    // Silence lasts until 90 ms; the sound comes 7 ms later, then again 5 ms too early.
    bench.push(sound(97, 960));
    bench.push(sound(117, 960));
    sent.extend((0..6).map(|_| bench.next()));
    assert_gapless(&sent);
    assert_eq!(samples(&sent[5]), 336, "the bridge");
    assert_eq!(samples(&sent[6]), 960);
    assert!(
        sent.iter()
            .all(|b| !b.flags().contains(gst::BufferFlags::DISCONT))
    );
}

#[test]
fn sound_that_overlaps_silence_is_cut_to_the_sample() {
    let mut bench = Bench::playing(Kind::Audio, Mode::Black, S16);
    bench.slate.set_wanted(true);
    let mut sent: Vec<_> = (0..3).map(|_| bench.next()).collect();
    bench.push(sound(30, 960));
    assert!(bench.harness.try_pull().is_none(), "silence lasts until 60");
    bench.push(sound(50, 960));
    let cut = bench.next();
    assert_eq!(cut.pts(), Some(ms(60)));
    assert_eq!(samples(&cut), 480);
    let bytes = cut.map_readable().unwrap();
    assert_eq!(i16::from_le_bytes([bytes[0], bytes[1]]), 480);
    drop(bytes);
    sent.push(cut);
    assert_gapless(&sent);
}

#[test]
fn latency_lets_the_fill_begin_where_the_last_buffer_ended() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.latency(ms(500));
    bench.push(picture(1, 0));
    bench.clock.set_time(ms(400));
    bench.slate.set_wanted(true);
    let sent: Vec<_> = (0..11).map(|_| bench.next()).collect();
    assert_eq!(bench.clock.time(), ms(400), "in one burst");
    let starts: Vec<_> = sent.iter().map(|b| b.pts().unwrap().mseconds()).collect();
    assert_eq!(starts, (0..11).map(|n| n * 40).collect::<Vec<_>>());
}

#[test]
fn the_fill_follows_the_caps() {
    let nv12 = "video/x-raw,format=NV12,width=64,height=32,framerate=50/1";
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.push(picture(1, 0));
    bench.slate.set_wanted(true);
    bench.next();
    assert_eq!(bench.next().size(), 320 * 240 * 3 / 2);
    bench.harness.set_src_caps(nv12.parse().unwrap());
    let (first, second) = (bench.next(), bench.next());
    assert_eq!(first.size(), 64 * 32 * 3 / 2);
    assert_eq!(first.duration(), Some(ms(20)));
    assert_eq!(second.pts(), first.pts().map(|pts| pts + ms(20)));

    let text = "video/x-raw,format=P010_10LE,width=64,height=32,framerate=0/1";
    let p010 = text.parse::<gst::Caps>().unwrap();
    bench.harness.set_src_caps(p010.clone());
    bench.next();
    assert_eq!(bench.caps().structure(0).unwrap().get("format"), Ok("I420"));
    let at = bench.clock.time() + ms(1000);
    let mut real = gst::Buffer::with_size(64 * 32 * 3).unwrap();
    real.get_mut().unwrap().set_pts(at);
    bench.push(real);
    while bench.next().pts() != Some(at) {}
    assert!(bench.caps().is_always_compatible(&p010));
}

#[test]
fn there_is_one_stream_start_and_one_segment_and_running_time_in_it() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.push(picture(1, 0));
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(ms(1_000_000));
    segment.set_base(ms(200));
    let harness = &mut bench.harness;
    harness.push_event(gst::event::StreamStart::new("another"));
    harness.push_event(gst::event::Segment::new(&segment));
    bench.push(picture(2, 999_000));
    bench.push(picture(3, 1_000_000));
    let gap = gst::event::Gap::builder(ms(1_000_040)).duration(ms(40));
    bench.harness.push_event(gap.build());

    let starts: Vec<_> = std::iter::from_fn(|| bench.harness.try_pull())
        .map(|b| b.pts().unwrap().mseconds())
        .collect();
    assert_eq!(starts, [0, 200]);
    let events = bench.events();
    let count = |kind| events.iter().filter(|e| e.type_() == kind).count();
    assert_eq!(count(gst::EventType::StreamStart), 1);
    assert_eq!(count(gst::EventType::Segment), 1);
    let gst::EventView::Gap(gap) = events.last().unwrap().view() else {
        panic!("no gap in {events:?}")
    };
    assert_eq!(gap.get(), (ms(240), Some(ms(40))));
}

#[test]
fn eos_leaves_only_after_the_end() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.push(picture(1, 0));
    bench.slate.set_wanted(true);
    bench.harness.push_event(gst::event::Eos::new());
    assert_eq!(first_byte(&bench.next()), 1);
    assert_eq!(first_byte(&bench.next()), 16);
    let is_eos = |e: &gst::Event| e.type_() == gst::EventType::Eos;
    assert!(!bench.events().iter().any(is_eos));
    bench.slate.end();
    assert!(is_eos(&bench.harness.pull_event().unwrap()));
}

#[test]
fn after_a_flush_it_fills_again() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.slate.set_wanted(true);
    bench.next();
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(true));
    bench.clock.set_time(ms(3000));
    while bench.next().pts() < Some(ms(3000)) {}
    let is_segment = |e: &gst::Event| e.type_() == gst::EventType::Segment;
    let segments = bench.events().into_iter().filter(is_segment).count();
    assert_eq!(segments, 2, "a flush takes the segment away");
}

#[test]
fn a_flush_that_keeps_the_time_does_not_take_it_back() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.push(picture(1, 1000));
    bench.next();
    bench.harness.push_event(gst::event::FlushStart::new());
    bench.harness.push_event(gst::event::FlushStop::new(false));
    bench.slate.set_wanted(true);
    assert_eq!(bench.next().pts(), Some(ms(1040)));
}

#[test]
fn an_output_that_nobody_linked_stops_nothing() {
    gst::init().unwrap();
    let slate = Slate::new(Kind::Video, Mode::Black, "s");
    let clock = TestClock::new();
    slate.set_clock(Some(&clock)).unwrap();
    slate.set_base_time(gst::ClockTime::ZERO);
    slate.set_state(gst::State::Playing).unwrap();
    slate.set_wanted(true);
    let started = Instant::now();
    while slate.filled() < 3 {
        if clock.peek_id_count() > 0 {
            clock.crank();
        }
        assert!(started.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    let feeder = gst::Pad::new(gst::PadDirection::Src);
    feeder.set_active(true).unwrap();
    feeder.link(&slate.static_pad("sink").unwrap()).unwrap();
    feeder.push_event(gst::event::StreamStart::new("real"));
    assert!(feeder.push_event(gst::event::Caps::new(&I420.parse().unwrap())));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    feeder.push_event(gst::event::Segment::new(&segment));
    assert_eq!(feeder.push(picture(1, 500)), Ok(gst::FlowSuccess::Ok));
    slate.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_lasting_refusal_downstream_ends_the_fill_and_is_told_to_real_data() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    let src = bench.slate.static_pad("src").unwrap();
    let (refused, refusal) = mpsc::channel();
    src.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let _ = refused.send(());
        info.flow_res = Err(gst::FlowError::Eos);
        gst::PadProbeReturn::Handled
    });
    bench.slate.set_wanted(true);
    refusal.recv_timeout(LIMIT).unwrap();
    let real = bench.harness.push(picture(1, 40));
    assert_eq!(real, Err(gst::FlowError::Eos));
    bench.slate.set_state(gst::State::Null).unwrap();
    assert_eq!(bench.slate.filled(), 1);
}

#[test]
fn another_sink_gets_what_the_last_one_refused() {
    let mut bench = Bench::new(Kind::Video, Mode::Black);
    let src = bench.slate.static_pad("src").unwrap();
    let sink = src.peer().unwrap();
    src.unlink(&sink).unwrap();
    let closed = gst::Pad::new(gst::PadDirection::Sink);
    src.link(&closed).unwrap();
    bench.slate.set_wanted(true);
    while bench.slate.filled() == 0 {
        std::thread::yield_now();
    }
    // Until the push has come back.
    drop(src.stream_lock());
    src.unlink(&closed).unwrap();
    src.link(&sink).unwrap();
    bench.clock.set_time(ms(500));
    assert!(bench.next().pts().is_some());
}

#[test]
fn a_blocked_sink_blocks_neither_a_wish_nor_the_end() {
    let bench = Bench::new(Kind::Video, Mode::Black);
    let src = bench.slate.static_pad("src").unwrap();
    let (blocked, block) = mpsc::channel();
    src.add_probe(
        gst::PadProbeType::BLOCK | gst::PadProbeType::BUFFER,
        move |_, _| {
            let _ = blocked.send(());
            gst::PadProbeReturn::Ok
        },
    );
    bench.slate.set_wanted(true);
    block.recv_timeout(LIMIT).unwrap();
    in_time(move || {
        bench.slate.set_wanted(false);
        bench.slate.set_mode(Mode::Hold);
        bench.slate.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn shutting_down_does_not_wait_for_the_clock() {
    let mut bench = Bench::new(Kind::Audio, Mode::Black);
    bench.slate.set_wanted(true);
    bench.next();
    bench.clock.wait_for_next_pending_id();
    in_time(move || {
        bench.slate.set_state(gst::State::Null).unwrap();
    });
}

#[test]
fn it_starts_and_stops_a_hundred_times() {
    in_time(|| {
        gst::init().unwrap();
        let slate = Slate::new(Kind::Audio, Mode::Black, "s");
        slate.set_clock(Some(&gst::SystemClock::obtain())).unwrap();
        for round in 0..100 {
            slate.set_base_time(gst::SystemClock::obtain().time());
            slate.set_state(gst::State::Playing).unwrap();
            slate.set_wanted(round % 3 != 0);
            let before = slate.filled();
            while round % 5 == 1 && round % 3 != 0 && slate.filled() == before {
                std::thread::yield_now();
            }
            if round % 2 == 0 {
                slate.set_state(gst::State::Paused).unwrap();
                slate.set_state(gst::State::Playing).unwrap();
            }
            slate.set_state(gst::State::Null).unwrap();
        }
        assert!(slate.filled() > 0);
        let weak = slate.downgrade();
        drop(slate);
        assert!(weak.upgrade().is_none(), "it leaks");
    });
}

#[test]
fn paused_time_is_not_filled() {
    let mut bench = Bench::new(Kind::Video, Mode::Black);
    bench.slate.set_wanted(true);
    bench.next();
    bench.slate.set_state(gst::State::Paused).unwrap();
    bench.clock.set_time(ms(10_000));
    bench.slate.set_base_time(ms(9_990));
    bench.slate.set_state(gst::State::Playing).unwrap();
    assert_eq!(bench.next().pts(), Some(ms(40)));
}

#[test]
fn it_is_live_and_adds_no_latency() {
    let mut bench = Bench::playing(Kind::Video, Mode::Black, I420);
    bench.harness.set_upstream_latency(ms(70));
    let mut query = gst::query::Latency::new();
    assert!(bench.slate.static_pad("src").unwrap().query(&mut query));
    let (live, min, _) = query.result();
    assert!(live);
    assert_eq!(min, ms(70));
}

#[test]
fn a_decoded_live_stream_ends_in_black_on_a_real_clock() {
    gst::init().unwrap();
    let line = "videotestsrc is-live=true num-buffers=10 ! video/x-raw,width=64,height=64,\
                framerate=50/1 ! x264enc tune=zerolatency ! h264parse ! queue name=in";
    let pipeline = gst::Pipeline::new();
    let source = gst::parse::bin_from_description(line, true).unwrap();
    let decode = crate::failoversrc::decode::Decode::new("decode");
    let slate = Slate::new(Kind::Video, Mode::Black, "s");
    let (sender, shown) = mpsc::channel();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let _ = sender.send(sample);
        Ok(gst::FlowSuccess::Ok)
    });
    let sink = gst_app::AppSink::builder().callbacks(callbacks.build());
    let sink = sink.sync(true).build();
    let chain = [
        source.upcast_ref(),
        decode.upcast_ref(),
        slate.upcast_ref(),
        sink.upcast_ref(),
    ];
    pipeline.add_many::<&gst::Element>(chain).unwrap();
    gst::Element::link_many::<&gst::Element>(chain).unwrap();
    slate.set_wanted(true);
    pipeline.set_state(gst::State::Playing).unwrap();

    let mut times = Vec::new();
    let mut sizes = Vec::new();
    while sizes.len() < 4 || sizes[sizes.len() - 3..] != [64, 64, 64] || slate.filled() < 3 {
        let sample: gst::Sample = shown.recv_timeout(LIMIT).unwrap();
        times.push(sample.buffer().unwrap().pts().unwrap());
        let caps = sample.caps().unwrap().structure(0).unwrap();
        sizes.push(caps.get::<i32>("width").unwrap());
    }
    slate.end();
    let bus = pipeline.bus().unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let limit = gst::ClockTime::from_seconds(20);
    let end = bus.timed_pop_filtered(limit, &ends).expect("no EOS");
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}
