// SPDX-License-Identifier: MPL-2.0
//! What happens to one input of `failoverswitch` is no other's misfortune: flushes, refusals, ends, new runs,
//! and inputs that fall silent in the middle of a switch.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Output, Sent, Stage, h264, in_gop, pair, pcm, raw, switch};

/// Every 20 ms one frame is shown, and no frame without those that it needs.
fn assert_whole(sent: &[Sent]) {
    for pair in sent.windows(2) {
        let follows = pair[1].pts == pair[0].pts.map(|pts| pts + 20);
        assert!(follows || !pair[1].delta, "{pair:?}");
    }
    assert_eq!(
        sent.to_vec().longest_step(),
        20,
        "{:?}",
        sent.to_vec().runs()
    );
}

#[test]
fn a_flush_of_one_input_stops_no_other() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    // It has reached downstream, and its end does not come.
    primary.pad.push_event(gst::event::FlushStart::new());
    stage.every(20, 1_000..2_000, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
}

#[test]
fn what_downstream_refuses_of_one_input_is_not_told_to_the_next() {
    for latency in ["0", "200000000"] {
        let (stage, primary, backup) = pair(&raw(), &[("latency", latency)]);
        let source = stage.switch.static_pad("src").expect("a source pad");
        source.add_probe(gst::PadProbeType::BUFFER, |_, info| {
            let map = info.buffer().and_then(|buffer| buffer.map_readable().ok());
            if map.is_some_and(|map| map.first() == Some(&0)) {
                info.flow_res = Err(gst::FlowError::NotNegotiated);
                return gst::PadProbeReturn::Handled;
            }
            gst::PadProbeReturn::Ok
        });
        let mut goes_on = true;
        stage.every(20, 0..3_000, |at| {
            // A source stops at what it is told.
            goes_on = goes_on && primary.try_push(Frame::at(at)).is_ok();
            backup.push(Frame::at(at));
        });
        assert!(!goes_on, "the primary is refused");
        assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
        let last = stage.sent().last().map(|frame| frame.input);
        assert_eq!(last, Some(1), "the backup goes on");
    }
}

/// The primary comes back, 60 ms ahead of the backup on air; where it `stalls`, just behind the key frame that
/// it was to be cut to.
fn returning(stalls: bool) -> (Stage, Vec<Sent>) {
    let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "1000000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    stage.every(20, 1_000..2_200, |at| backup.push(in_gop(at, 500)));
    stage.every(20, 2_200..8_000, |at| {
        backup.push(in_gop(at - 60, 500));
        if !stalls || at <= 4_000 {
            primary.push(in_gop(at, 0));
        }
    });
    let sent = stage.sent();
    let since = |sent: &&Sent| sent.at > 2_300;
    let sent = sent.iter().filter(since).copied().collect();
    (stage, sent)
}

#[test]
fn a_return_that_comes_to_nothing_costs_the_input_on_air_no_picture() {
    let (stage, sent) = returning(false);
    assert_eq!(stage.switches().len(), 2);
    assert_whole(&sent);
    let (stage, sent) = returning(true);
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
    assert_whole(&sent);
    let longest = sent.windows(2).map(|pair| pair[1].at - pair[0].at).max();
    assert!(longest <= Some(200), "{longest:?} ms without a picture");
}

#[test]
fn an_input_that_is_chosen_by_hand_and_falls_silent_holds_up_nobody() {
    let (stage, primary, backup) = pair(&h264(), &[("auto-switch", "false")]);
    stage.every(20, 60..2_300, |at| {
        primary.push(in_gop(at - 60, 0));
        backup.push(in_gop(at, 0));
    });
    stage.switch.set_property("active-pad", &backup.sink);
    stage.every(20, 2_300..8_000, |at| {
        primary.push(in_gop(at - 60, 0));
        if at <= 3_000 {
            backup.push(in_gop(at, 0));
        }
    });
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 1, "{:?}", sent.runs());
    assert_whole(&sent);
    let last = sent.last().map(|frame| frame.at);
    assert!(last >= Some(7_900), "the last picture came at {last:?}");
}

#[test]
fn what_comes_of_a_failed_input_before_the_cut_is_not_sent() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(40, 0..1_000, |at| {
        primary.push(Frame::at(at).long(40));
        backup.push(Frame::at(at).long(40));
    });
    primary.eos();
    // Its source begins anew at once, before the backup's next picture.
    primary.start(&raw());
    stage.to(1_000);
    primary.push(Frame::at(1_000));
    stage.to(1_020);
    primary.push(Frame::at(1_020));
    stage.every(40, 1_020..2_000, |at| {
        backup.push(Frame::at(at - 20).long(40))
    });
    assert_eq!(stage.switches(), [switch(0, 1, "eos")]);
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 25), (1, 25)]);
    assert_eq!(sent.longest_step(), 40);
}

#[test]
fn a_second_run_goes_on_air_like_the_first() {
    let stage = Stage::usual();
    let primary = stage.feed("sink_0", &h264());
    for run in 1..4usize {
        primary.start(&h264());
        stage.play();
        let begin = stage.now();
        stage.every(20, begin..begin + 1_000, |at| {
            // A time base of the sender's own.
            primary.push(in_gop(at - begin, 0).later(1_000_000));
        });
        assert_eq!(stage.sent().len(), run * 50, "run {run}");
        stage.switch.set_state(gst::State::Ready).expect("READY");
        stage.switch.set_state(gst::State::Paused).expect("PAUSED");
    }
}

/// Sound beside a picture, of one input or of two.
fn with_sound(stage: &Stage, input: u32) -> (Feed, Feed) {
    let picture = stage.feed(&format!("sink_{input}"), &raw());
    (picture, stage.feed(&format!("sink_{input}_1"), &pcm()))
}

#[test]
fn a_stream_that_nobody_has_any_more_ends() {
    for others in [0, 1] {
        let stage = Stage::usual();
        let (picture, sound) = with_sound(&stage, 0);
        let backup = (others > 0).then(|| with_sound(&stage, 1));
        let out = stage.output("src_1");
        stage.play();
        let both = |at| {
            if let Some((picture, sound)) = &backup {
                picture.push(Frame::at(at));
                sound.push(Frame::at(at));
            }
        };
        stage.every(20, 0..1_000, |at| {
            both(at);
            picture.push(Frame::at(at));
            sound.push(Frame::at(at));
        });
        sound.eos();
        stage.every(20, 1_000..2_000, |at| {
            both(at);
            picture.push(Frame::at(at));
        });
        if others == 0 {
            out.wait_for_eos();
        }
        // The backup's sound may still be needed.
        assert_eq!(out.is_eos(), others == 0);
        assert!(!stage.out.is_eos(), "the picture goes on");
        assert_eq!(stage.sent().len(), 100);
    }
}

#[test]
fn a_sound_that_only_the_primary_has_comes_back_with_it() {
    let stage = Stage::new(&[("timeout", "500000000"), ("recovery-time", "0")]);
    let (picture, sound) = with_sound(&stage, 0);
    let backup = stage.feed("sink_1", &raw());
    let out = stage.output("src_1");
    stage.play();
    let primary = |at| {
        picture.push(Frame::at(at));
        sound.push(Frame::at(at));
    };
    stage.every(20, 0..1_000, |at| {
        primary(at);
        backup.push(Frame::at(at));
    });
    // One after the other, as they do.
    sound.eos();
    picture.eos();
    stage.every(20, 1_000..3_000, |at| backup.push(Frame::at(at)));
    assert!(!out.is_eos());
    for (feed, caps) in [(&picture, raw()), (&sound, pcm())] {
        feed.start(&caps);
    }
    stage.every(20, 3_000..4_000, |at| {
        primary(at);
        backup.push(Frame::at(at));
    });
    assert_eq!(
        stage.switches(),
        [switch(0, 1, "eos"), switch(1, 0, "recovered")]
    );
    assert!(out.frames().len() >= 95, "{}", out.frames().len());
}

/// After a second of picture and sound. The picture, the sound, and where that came out.
fn sound_has_ended() -> (Stage, [Feed; 2], Output) {
    let stage = Stage::usual();
    let (picture, sound) = with_sound(&stage, 0);
    let out = stage.output("src_1");
    stage.play();
    stage.every(20, 0..1_000, |at| {
        picture.push(Frame::at(at));
        sound.push(Frame::at(at));
    });
    sound.eos();
    (stage, [picture, sound], out)
}

#[test]
fn a_stream_that_ended_alone_may_begin_again() {
    let (stage, [picture, sound], out) = sound_has_ended();
    stage.every(20, 1_000..2_000, |at| picture.push(Frame::at(at)));
    out.wait_for_eos();
    sound.start(&pcm());
    stage.every(20, 2_000..3_000, |at| {
        picture.push(Frame::at(at));
        sound.push(Frame::at(at));
    });
    assert_eq!(out.events(gst::EventType::StreamStart).len(), 2);
    assert_eq!(out.frames().len(), 100);
}

#[test]
fn an_input_that_is_gone_back_to_brings_its_new_caps() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    // The backup dies as well, before the key frame that it was to be cut to.
    primary.eos();
    stage.to(2_000);
    let other =
        stage::caps("video/x-h264,stream-format=byte-stream,alignment=au,width=32,height=32");
    primary.start(&other);
    stage.every(20, 2_000..3_000, |at| primary.push(in_gop(at, 0)));
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 100)]);
    let caps = stage.out.events(gst::EventType::Caps);
    assert_eq!(caps.len(), 2, "{caps:?}");
    assert!(sent[50].discont && !sent[50].delta);
}

#[test]
fn a_stream_that_begins_anew_does_not_hide_that_another_has_ended() {
    let (stage, [picture, _sound], out) = sound_has_ended();
    // The next one of a list, which has no sound.
    stage.to(1_100);
    picture.start(&raw());
    stage.every(20, 1_100..2_000, |at| picture.push(Frame::at(at)));
    out.wait_for_eos();
    assert!(!stage.out.is_eos());
}

#[test]
fn a_pad_that_is_released_and_asked_for_again_is_no_switch() {
    let stage = Stage::usual();
    for _ in 0..3 {
        let feed = stage.feed("sink_0", &raw());
        stage.play();
        let begin = stage.now();
        stage.every(20, begin + 20..begin + 520, |at| feed.push(Frame::at(at)));
        stage.switch.release_request_pad(&feed.sink);
    }
    assert_eq!(stage.switches(), []);
    assert_eq!(stage.stats().get("num-switches"), Ok(0u64));
    assert_eq!(stage.sent().len(), 75);
}

#[test]
fn a_picture_behind_a_gap_is_not_taken_for_as_long_as_the_gap() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let frame = |at| Frame::at(at).of_any_length();
    stage.every(20, 0..1_000, |at| {
        primary.push(frame(at));
        backup.push(frame(at));
    });
    stage.every(20, 1_000..1_400, |at| backup.push(frame(at)));
    primary.push(frame(1_400));
    primary.eos();
    stage.every(20, 1_420..2_000, |at| backup.push(frame(at)));
    assert_eq!(stage.switches(), [switch(0, 1, "eos")]);
    let behind = stage.sent().iter().find(|frame| frame.input == 1).copied();
    assert_eq!(behind.and_then(|frame| frame.pts), Some(1_420));
}

#[test]
fn a_process_that_stood_still_blames_no_input() {
    for (caps, first) in [(raw(), 0), (raw(), 1), (raw(), 2), (h264(), 1), (h264(), 2)] {
        let (stage, primary, backup) = pair(&caps, &[]);
        let both = |at| {
            primary.push(stage::frame_of(&caps, at));
            backup.push(stage::frame_of(&caps, at));
        };
        stage.every(20, 0..1_000, both);
        stage.stand_still_until(4_000);
        // Its own thread or an input's runs first.
        match first {
            0 => primary.push(stage::frame_of(&caps, 1_000)),
            1 => backup.push(stage::frame_of(&caps, 1_000)),
            _ => stage.to(4_000),
        }
        // What has come meanwhile, and what comes then.
        (1_000..4_000).step_by(20).for_each(both);
        stage.every(20, 4_000..6_000, both);
        assert_eq!(stage.switches(), [], "{first} first");
        // A silence behind it is one.
        stage.every(20, 6_000..7_000, |at| {
            backup.push(stage::frame_of(&caps, at))
        });
        assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
        let stalled = stage.told("failover-input-state");
        let stalled = stalled
            .iter()
            .filter(|told| told.get("new") == Ok("stalled"));
        assert_eq!(stalled.count(), 1, "{first} first");
    }
}

#[test]
fn what_falls_silent_while_the_process_stands_still_is_left_a_timeout_later() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.stand_still_until(4_000);
    let mut left = None;
    stage.every(20, 4_000..5_000, |at| {
        backup.push(Frame::at(at));
        left = left.or_else(|| (!stage.switches().is_empty()).then_some(at));
    });
    assert!(left.is_some_and(|at| at <= 4_520), "{left:?}");
}

#[test]
fn a_backup_that_has_become_later_takes_over_at_once() {
    for (caps, by) in [(raw(), 520), (raw(), 900), (pcm(), 700)] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 0..8_000, |at| {
            if at < 3_500 {
                primary.push(Frame::at(at));
            }
            if at < 2_000 {
                backup.push(Frame::at(at).later(100_000));
            }
            if at >= 2_000 + by {
                backup.push(Frame::at(at - by).later(100_000));
            }
        });
        let sent = stage.sent();
        let stands = sent.windows(2).map(|pair| pair[1].at - pair[0].at).max();
        // What it shows then has come by the timeout's end, or is on its way for that long.
        assert!(stands <= Some(by.max(500) + 40), "{by}: {stands:?} ms");
    }
}

#[test]
fn what_was_sent_ahead_of_the_clock_does_not_bar_the_way_back() {
    let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "1000000000")]);
    // A flush on air, and then all that has come up: it is placed from now on, and runs ahead.
    stage.every(20, 0..3_000, |at| backup.push(in_gop(at, 0).later(100_000)));
    backup.flush();
    backup.segment();
    stage.to(5_000);
    for at in (3_000..5_000).step_by(20) {
        backup.push(in_gop(at, 0).later(100_000));
    }
    stage.every(20, 5_000..20_000, |at| {
        backup.push(in_gop(at, 0).later(100_000));
        primary.push(in_gop(at, 0));
    });
    assert_eq!(stage.switches(), [switch(1, 0, "recovered")]);
}

#[test]
fn no_picture_is_shown_before_it_is_decoded_where_a_sender_goes_back_a_little() {
    for by in [100, 700, 900] {
        let (stage, primary, backup) = pair(&h264(), &[]);
        stage.every(20, 0..6_000, |at| {
            let frame = in_gop(at, 0).decoded_at(at).later(100_000);
            primary.push(if at < 2_000 { frame } else { frame.earlier(by) });
            backup.push(frame);
        });
        for frame in stage.sent() {
            assert!(frame.pts >= frame.dts, "{frame:?}");
        }
    }
}

#[test]
fn what_is_told_keeps_its_order_whatever_a_handler_does() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let told = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let (list, feed) = (told.clone(), backup.clone());
    stage.bus.set_sync_handler(move |_, message| {
        let state = message.structure().filter(|state| state.has_field("new"));
        let Some(state) = state else {
            return gst::BusSyncReply::Pass;
        };
        let input: i32 = state.get("input").expect("an input");
        let new: String = state.get("new").expect("a state");
        let first = input == 0 && new == "stalled";
        list.lock().expect("told").push((input, new));
        if first {
            // Both are silent by now, and of the backup nothing was told yet.
            feed.push(Frame::at(1_500));
        }
        gst::BusSyncReply::Pass
    });
    stage.to(1_600);
    stage.bus.unset_sync_handler();
    let told = told.lock().expect("told");
    let told: Vec<_> = told.iter().map(|(i, s)| (*i, s.as_str())).collect();
    assert_eq!(told, [(0, "stalled"), (1, "stalled"), (1, "flowing")]);
}
