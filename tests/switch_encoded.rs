// SPDX-License-Identifier: MPL-2.0
//! Encoded streams through `failoverswitch`: a cut never starts on a delta frame, and whoever can make
//! a key frame is asked for one.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Frame, Frames, Stage, aac, h264, in_gop, ms, pair, switch};

#[test]
fn the_programme_begins_with_a_key_frame() {
    let (stage, primary, _backup) = pair(&h264(), &[]);
    stage.every(20, 500..2_000, |at| primary.push(in_gop(at, 0)));
    let sent = stage.sent();
    assert_eq!((sent[0].pts, sent[0].delta), (Some(1_000), false));
    assert_eq!(sent.len(), 50);
    stage.out.assert_one_programme();
}

#[test]
fn a_key_frame_from_before_the_stall_is_not_repeated() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_600, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    // The cached group begins at 1500, of which the primary has shown its part: the next is waited for.
    stage.every(20, 1_600..3_000, |at| backup.push(in_gop(at, 500)));
    let sent = stage.sent();
    assert_eq!(sent.of(1)[0].pts, Some(2_500));
    assert_eq!(sent.runs(), [(0, 80), (1, 25)]);
    stage.out.assert_one_programme();
}

#[test]
fn a_cached_key_frame_that_fits_is_used_at_once() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_400, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    // The backup's key frame comes at 1500, while the primary is silent but not yet given up.
    stage.every(20, 1_400..3_000, |at| backup.push(in_gop(at, 500)));
    let sent = stage.sent().of(1);
    assert_eq!((sent[0].pts, sent[0].at), (Some(1_500), 1_880));
    assert_eq!(sent.pts(), (1_500..3_000).step_by(20).collect::<Vec<_>>());
    stage.out.assert_one_programme();
}

#[test]
fn a_switch_back_waits_for_the_key_frame_while_the_old_input_plays_on() {
    let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "1200000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    stage.every(20, 1_000..2_200, |at| backup.push(in_gop(at, 0)));
    stage.every(20, 2_200..8_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    let sent = stage.sent();
    let back = sent.of(0)[50];
    assert_eq!(
        (back.pts, back.delta),
        (Some(4_000), false),
        "{:?}",
        sent.runs()
    );
    // Nothing lost, nothing sent twice.
    assert_eq!(sent.pts(), (0..8_000).step_by(20).collect::<Vec<_>>());
    assert_eq!(
        stage.switches(),
        [switch(0, 1, "stall"), switch(1, 0, "recovered")]
    );
    stage.out.assert_one_programme();
}

#[test]
fn a_switch_by_hand_waits_for_a_key_frame_too() {
    let (stage, primary, backup) = pair(&h264(), &[("auto-switch", "false")]);
    stage.every(20, 0..1_200, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    stage.switch.set_property("active-pad", &backup.sink);
    stage.every(20, 1_200..3_000, |at| {
        backup.push(in_gop(at, 500));
        primary.push(in_gop(at, 0));
    });
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 2);
    assert_eq!(sent.of(1)[0].pts, Some(1_500));
    assert_eq!(sent.pts(), (0..3_000).step_by(20).collect::<Vec<_>>());
    stage.out.assert_one_programme();
}

#[test]
fn the_end_of_the_input_on_air_waits_for_no_timeout_only_for_the_key_frame() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_400, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    primary.eos();
    stage.every(20, 1_400..2_000, |at| backup.push(in_gop(at, 500)));
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 70), (1, 25)]);
    assert_eq!(sent.of(1)[0].at, 1_500);
}

#[test]
fn the_new_input_alone_is_asked_for_a_key_frame() {
    let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "1000000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    // The first input on air is asked at the start; a standby that only stands by is not, but that it
    // began in the middle of a group.
    let of_primary = primary.key_frames_asked();
    assert_eq!(backup.key_frames_asked(), 1);
    stage.every(20, 1_000..3_000, |at| backup.push(in_gop(at, 500)));
    assert_eq!(primary.key_frames_asked(), of_primary);
    let of_backup = backup.key_frames_asked();
    assert!(of_backup >= 2);
    stage.every(20, 3_000..5_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    assert!(primary.key_frames_asked() > of_primary);
    assert_eq!(backup.key_frames_asked(), of_backup);
}

#[test]
fn a_key_frame_that_does_not_come_is_asked_for_again() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    primary.eos();
    let delta = |at| Frame::at(at).delta_unless(false);
    backup.push(delta(1_000));
    let asked = backup.key_frames_asked();
    assert_eq!(asked, 1);
    stage.every(20, 1_020..3_000, |at| backup.push(delta(at)));
    assert!(
        (3..=5).contains(&backup.key_frames_asked()),
        "{}",
        backup.key_frames_asked()
    );
}

#[test]
fn a_source_that_can_ends_the_wait() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    // A source without key frames of its own, as WebRTC: one at the start, then one when asked.
    let mut served = 0;
    stage.every(20, 0..5_000, |at| {
        if at < 1_000 {
            primary.push(in_gop(at, 0));
        }
        let asked = backup.key_frames_asked();
        backup.push(Frame::at(at).delta_unless(at == 0 || asked > served));
        served = asked;
    });
    let first = stage.sent().of(1)[0];
    assert!(first.at <= 1_520, "{first:?}");
    stage.out.assert_one_programme();
}

#[test]
fn a_request_from_downstream_goes_to_the_input_on_air_only() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    let request = || {
        gst_video::UpstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build()
    };
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    let of_primary = primary.key_frames_asked();
    assert!(stage.out.ask(request()));
    assert_eq!(primary.key_frames_asked(), of_primary + 1);
    assert_eq!(backup.key_frames_asked(), 0);
    primary.eos();
    stage.every(20, 1_000..1_200, |at| backup.push(in_gop(at, 0)));
    let of_backup = backup.key_frames_asked();
    assert!(stage.out.ask(request()));
    assert_eq!(primary.key_frames_asked(), of_primary + 1);
    assert_eq!(backup.key_frames_asked(), of_backup + 1);
}

#[test]
fn a_request_with_a_time_comes_in_the_time_of_its_input() {
    let (stage, primary, _backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0).later(1_000_000))
    });
    let request = gst_video::UpstreamForceKeyUnitEvent::builder()
        .running_time(ms(2_000))
        .build();
    assert!(stage.out.ask(request));
    let events = primary.asked(gst::EventType::CustomUpstream);
    let last = events.last().expect("an event");
    let asked = gst_video::UpstreamForceKeyUnitEvent::parse(last).expect("a request");
    assert_eq!(asked.running_time, Some(ms(1_002_000)));
}

#[test]
fn qos_goes_to_the_input_on_air_only_and_in_its_time() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0).later(1_000_000));
        backup.push(in_gop(at, 0));
    });
    let qos = gst::event::Qos::builder(gst::QOSType::Underflow, 1.5, 7)
        .timestamp(ms(900))
        .build();
    assert!(stage.out.ask(qos));
    assert_eq!(backup.asked(gst::EventType::Qos).len(), 0);
    let events = primary.asked(gst::EventType::Qos);
    let gst::EventView::Qos(qos) = events[0].view() else {
        panic!("no QoS: {events:?}");
    };
    let (_, proportion, jitter, timestamp) = qos.get();
    assert_eq!((proportion, jitter), (1.5, 7));
    assert_eq!(timestamp, Some(ms(1_000_900)));
}

/// In the input's time, what came early lies before zero.
#[test]
fn qos_of_an_early_frame_reaches_an_input_whose_time_is_behind() {
    let (stage, primary, _backup) = pair(&h264(), &[]);
    stage.every(20, 5_000..6_000, |at| primary.push(Frame::at(at - 5_000)));
    for (jitter, expected) in [(-2_000, -500), (-300, -300), (400, 400)] {
        let qos = gst::event::Qos::builder(gst::QOSType::Overflow, 0.5, jitter * 1_000_000)
            .timestamp(ms(5_500))
            .build();
        assert!(stage.out.ask(qos));
        let events = primary.asked(gst::EventType::Qos);
        let gst::EventView::Qos(qos) = events.last().expect("an event").view() else {
            panic!("no QoS: {events:?}");
        };
        let (_, _, jitter, timestamp) = qos.get();
        let behind = timestamp.map_or(0, |at| at.mseconds() as i64);
        assert!((480..=500).contains(&behind), "{behind}");
        assert_eq!(jitter / 1_000_000, expected.max(-behind));
    }
}

#[test]
fn reordered_frames_keep_their_order_and_their_times() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    // I P B B: decoded in this order, shown as I B B P; a group of four each 80 ms.
    let group = |at: u64, n: u64| {
        let shown = [0, 60, 20, 40][usize::try_from(n).unwrap_or(0)];
        Frame::at(at + shown + 60)
            .decoded_at(at + n * 20)
            .delta_unless(n == 0)
    };
    stage.every(80, 0..3_200, |at| {
        for n in 0..4 {
            stage.to(at + n * 20);
            if at < 1_600 {
                primary.push(group(at, n));
            }
            backup.push(group(at, n));
        }
    });
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 2);
    let dts: Vec<_> = sent.iter().filter_map(|frame| frame.dts).collect();
    assert!(dts.is_sorted(), "{dts:?}");
    assert!(!sent.of(1)[0].delta);
    // What was shown of the one is not shown again by the other.
    let last_shown = sent.of(0).pts().into_iter().max();
    assert!(sent.of(1).pts().into_iter().min() > last_shown);
}

#[test]
fn what_resumes_behind_a_loss_begins_with_its_next_key_frame() {
    let resumed = |torn: bool| {
        let (stage, primary, _backup) = pair(&h264(), &[]);
        stage.every(20, 0..1_300, |at| primary.push(in_gop(at, 0)));
        // Some frames that were on their way make it flow again, before what a new connection brings.
        stage.every(20, 3_200..5_000, |at| {
            primary.push(in_gop(at, 0).torn_if(torn && at == 3_240));
        });
        let sent = stage.sent();
        let resumed = sent.iter().filter_map(|frame| frame.pts);
        resumed.filter(|pts| *pts > 3_220).min()
    };
    assert_eq!(resumed(true), Some(4_000));
    assert_eq!(resumed(false), Some(3_240));
}

#[test]
fn a_lost_frame_ends_no_stream_that_goes_on() {
    let (stage, primary, _backup) = pair(&h264(), &[]);
    stage.every(20, 0..2_000, |at| {
        if at != 1_300 {
            primary.push(in_gop(at, 0).torn_if(at == 1_320));
        }
    });
    assert_eq!(stage.sent().len(), 99);
}

#[test]
fn encoded_sound_needs_no_key_frame() {
    let stage = Stage::usual();
    let (primary, backup) = (stage.feed("sink_0", &aac()), stage.feed("sink_1", &aac()));
    stage.play();
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.eos();
    stage.every(20, 1_000..1_200, |at| backup.push(Frame::at(at)));
    let sent = stage.sent();
    assert_eq!(sent.runs(), [(0, 50), (1, 10)]);
    assert_eq!(
        (primary.key_frames_asked(), backup.key_frames_asked()),
        (0, 0)
    );
}

#[test]
fn a_living_input_whose_key_frames_always_come_a_little_late_is_cut_to_nonetheless() {
    let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "1000000000")]);
    stage.every(20, 0..1_000, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    // It comes back 100 ms behind the backup, for good.
    stage.every(20, 1_000..20_000, |at| {
        backup.push(in_gop(at, 0));
        if at >= 3_000 {
            primary.push(in_gop(at - 100, 0));
        }
    });
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 3, "{:?}", sent.runs());
    assert!(
        sent.longest_step() <= 500 + 1_000,
        "{:?}",
        sent.longest_step()
    );
    stage.out.assert_one_programme();
}

/// What a synchronised sink or a muxer would see: nothing missing, nothing twice, nothing late.
fn assert_hidden(stage: &Stage, until: u64, latency: u64) {
    let sent = stage.sent();
    assert_eq!(
        sent.pts(),
        (0..until).step_by(20).collect::<Vec<_>>(),
        "{:?}",
        sent.runs()
    );
    for frame in &sent {
        assert!(frame.at <= frame.pts.unwrap_or(0) + latency, "{frame:?}");
    }
    stage.out.assert_one_programme();
}

#[test]
fn with_latency_above_timeout_and_group_a_stall_is_hidden() {
    for phase in [0, 20, 300, 500, 980] {
        let (stage, primary, backup) = pair(&h264(), &[("latency", "1600000000")]);
        stage.every(20, 0..2_600, |at| {
            primary.push(in_gop(at, 0));
            backup.push(in_gop(at, phase));
        });
        stage.every(20, 2_600..6_000, |at| backup.push(in_gop(at, phase)));
        stage.to(8_000);
        assert_hidden(&stage, 6_000, 1_600);
        assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
        let report = &stage.told("failover-switched")[1];
        assert_eq!(report.get::<bool>("hidden"), Ok(true), "{report:?}");
    }
}

#[test]
fn with_too_little_latency_a_hole_is_not_called_hidden() {
    let (stage, primary, backup) = pair(&h264(), &[("latency", "600000000")]);
    stage.every(20, 0..2_600, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    stage.every(20, 2_600..6_000, |at| backup.push(in_gop(at, 0)));
    stage.to(8_000);
    // The key frame of 2000 has left, the next is that of 3000.
    assert_eq!(stage.sent().of(1)[0].pts, Some(3_000));
    let report = &stage.told("failover-switched")[1];
    assert_eq!(report.get::<bool>("hidden"), Ok(false), "{report:?}");
}

#[test]
fn with_latency_a_return_is_made_at_once_and_loses_nothing_whoever_pushes_first() {
    for backup_first in [true, false] {
        let settings = [("latency", "1600000000"), ("recovery-time", "1000000000")];
        let (stage, primary, backup) = pair(&h264(), &settings);
        stage.every(20, 0..2_600, |at| {
            primary.push(in_gop(at, 0));
            backup.push(in_gop(at, 0));
        });
        stage.every(20, 2_600..4_000, |at| backup.push(in_gop(at, 0)));
        stage.every(20, 4_000..8_000, |at| {
            if backup_first {
                backup.push(in_gop(at, 0));
            }
            primary.push(in_gop(at, 0));
            if !backup_first {
                backup.push(in_gop(at, 0));
            }
        });
        stage.to(10_000);
        assert_hidden(&stage, 8_000, 1_600);
        assert_eq!(
            stage.switches(),
            [switch(0, 1, "stall"), switch(1, 0, "recovered")]
        );
    }
}

#[test]
fn an_end_is_hidden_by_the_latency_too() {
    let (stage, primary, backup) = pair(&h264(), &[("latency", "1100000000")]);
    stage.every(20, 0..2_600, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 300));
    });
    primary.eos();
    stage.every(20, 2_600..4_000, |at| backup.push(in_gop(at, 300)));
    stage.to(6_000);
    assert_hidden(&stage, 4_000, 1_100);
}

#[test]
fn sound_is_exchanged_with_its_pictures() {
    let stage = Stage::new(&[("timeout", "500000000"), ("latency", "1600000000")]);
    let pictures = [stage.feed("sink_0", &h264()), stage.feed("sink_1", &h264())];
    let sounds = [
        stage.feed("sink_0_1", &aac()),
        stage.feed("sink_1_1", &aac()),
    ];
    let heard = stage.output("src_1");
    stage.play();
    // Only the picture of the primary stalls.
    stage.every(20, 0..6_000, |at| {
        if at < 2_600 {
            pictures[0].push(in_gop(at, 0));
        }
        pictures[1].push(in_gop(at, 500));
        for sound in &sounds {
            sound.push(Frame::at(at));
        }
    });
    stage.to(8_000);
    assert_hidden(&stage, 6_000, 1_600);
    let heard = heard.frames();
    assert_eq!(heard.pts(), (0..6_000).step_by(20).collect::<Vec<_>>());
    assert_eq!(heard.runs().len(), 2);
    let first = |frames: &[stage::Sent]| frames.of(1)[0].pts;
    assert_eq!(first(&heard), first(&stage.sent()), "cut together");
}

#[test]
fn pictures_before_the_key_frame_of_the_cut_are_not_sent_behind_it() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_400, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    primary.eos();
    // The key frame is followed by two pictures that are shown before it.
    let open = |at, shown, key| Frame::at(shown).decoded_at(at).delta_unless(key);
    for (at, shown, key) in [
        (1_400, 1_480, true),
        (1_420, 1_440, false),
        (1_440, 1_460, false),
    ] {
        stage.to(at);
        backup.push(open(at, shown, key));
    }
    stage.every(20, 1_460..1_600, |at| backup.push(open(at, at + 40, false)));
    assert_eq!(
        stage.sent().of(1).pts(),
        (1_480..1_640).step_by(20).collect::<Vec<_>>()
    );
}

#[test]
fn pictures_behind_the_key_frame_of_the_cut_are_sent_though_their_time_goes_back() {
    let (stage, primary, backup) = pair(&h264(), &[]);
    stage.every(20, 0..1_400, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 500));
    });
    // As a jitter buffer stamps what comes after a burst. Nothing is decoded in another order.
    let back = |at| if at > 1_500 { at - 60 } else { at };
    stage.every(20, 1_400..2_400, |at| {
        backup.push(Frame::at(back(at)).delta_unless(at == 1_500));
    });
    let sent = stage.sent().of(1);
    let pts = sent.pts();
    let sent: Vec<_> = sent.iter().map(|frame| frame.number).collect();
    assert_eq!(sent, (75..120).collect::<Vec<_>>());
    assert_eq!(pts[..5], [1_500, 1_500, 1_500, 1_500, 1_520]);
    assert!(pts.is_sorted(), "{pts:?}");
}

#[test]
fn a_return_loses_and_repeats_nothing_where_the_input_on_air_pushes_first() {
    for phase in [0, 20, 500, 980] {
        let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "1000000000")]);
        stage.every(20, 0..1_000, |at| {
            primary.push(in_gop(at, 0));
            backup.push(in_gop(at, 0));
        });
        stage.every(20, 1_000..2_200, |at| backup.push(in_gop(at, 0)));
        stage.every(20, 2_200..9_000, |at| {
            backup.push(in_gop(at, 0));
            primary.push(in_gop(at, phase));
        });
        let sent = stage.sent();
        assert_eq!(
            sent.pts(),
            (0..9_000).step_by(20).collect::<Vec<_>>(),
            "{:?}",
            sent.runs()
        );
        // At the second key frame at the latest, and nothing waited for longer than a frame before it.
        let back = sent.of(0)[50].pts.unwrap_or(0);
        assert!((3_200..5_300).contains(&back), "{back}");
        let late = |frame: &stage::Sent| frame.at - frame.pts.unwrap_or(0);
        let mut after = sent.iter().filter(|frame| frame.at > 2_000);
        assert!(after.all(|frame| late(frame) <= 20));
        stage.out.assert_one_programme();
    }
}

#[test]
fn a_key_frame_that_was_asked_for_is_not_missed_twice() {
    let (stage, primary, backup) = pair(&h264(), &[("auto-switch", "false")]);
    let mut served = 0;
    stage.every(20, 0..1_200, |at| {
        primary.push(in_gop(at, 0));
        backup.push(Frame::at(at).delta_unless(at == 0));
    });
    stage.switch.set_property("active-pad", &backup.sink);
    // The input on air always comes first, and key frames come as they are asked for.
    stage.every(20, 1_200..4_000, |at| {
        primary.push(in_gop(at, 0));
        let asked = backup.key_frames_asked();
        backup.push(Frame::at(at).delta_unless(asked > served));
        served = asked;
    });
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 2);
    assert_eq!(sent.pts(), (0..4_000).step_by(20).collect::<Vec<_>>());
    let cut = sent.of(1)[0].pts.unwrap_or(0);
    assert!(cut <= 1_800, "{cut}");
    stage.out.assert_one_programme();
}

/// What is sent when the backup, which is to go on air, dies just before its key frame, for which the primary's
/// waits. `base`: what the primary's timestamps count from.
fn backup_dies_before_its_key_frame(until: u64, base: impl Fn(u64) -> u64) -> Vec<stage::Sent> {
    let (stage, primary, backup) = pair(&h264(), &[("auto-switch", "false")]);
    stage.every(20, 0..2_300, |at| {
        primary.push(in_gop(at, 0));
        backup.push(in_gop(at, 0));
    });
    stage.switch.set_property("active-pad", &backup.sink);
    stage.every(20, 2_300..until, |at| {
        primary.push(Frame::at(base(at) + at).delta_unless(at % 1_000 == 0));
        if at < 2_980 {
            backup.push(in_gop(at, 0));
        }
    });
    stage.sent()
}

#[test]
fn what_was_withheld_for_a_key_frame_that_does_not_come_is_sent() {
    let sent = backup_dies_before_its_key_frame(6_000, |_| 0);
    assert_eq!(sent.runs(), [(0, 300)]);
    let late = |frame: &stage::Sent| frame.at - frame.pts.unwrap_or(0);
    assert!(sent.iter().all(|frame| late(frame) <= 200));
}

#[test]
fn what_is_withheld_keeps_its_time_when_the_time_base_of_its_input_jumps() {
    let sent = backup_dies_before_its_key_frame(4_000, |at| if at > 3_000 { 100_000 } else { 0 });
    assert_eq!(sent.runs(), [(0, 200)]);
    assert_eq!(sent.longest_step(), 20);
    stage::assert_no_step_back(&sent);
}

#[test]
fn a_group_that_outgrows_its_bounds_is_dropped_whole_and_a_key_frame_is_asked_for() {
    // A frame of the stage has 8 bytes.
    for bounds in [
        ("standby-max-time", "2000000000"),
        ("standby-max-bytes", "800"),
    ] {
        let (stage, primary, backup) = pair(&h264(), &[bounds]);
        stage.every(20, 0..1_980, |at| {
            primary.push(in_gop(at, 0));
            backup.push(Frame::at(at).delta_unless(at == 0));
        });
        assert_eq!(backup.key_frames_asked(), 0);
        stage.every(20, 1_980..4_000, |at| {
            primary.push(in_gop(at, 0));
            backup.push(Frame::at(at).delta_unless(at == 0));
        });
        assert_eq!(backup.key_frames_asked(), 1, "{bounds:?}");
        let kept = |input: usize| {
            let inputs = stage.stats().get::<gst::Array>("inputs").expect("inputs");
            let input = inputs.as_slice()[input].get::<gst::Structure>();
            input
                .expect("an input")
                .get::<u64>("standby-bytes")
                .expect("bytes")
        };
        assert_eq!(kept(1), 0);
        // The next key frame begins a new one.
        stage.every(20, 4_000..4_100, |at| {
            primary.push(in_gop(at, 0));
            backup.push(Frame::at(at).delta_unless(at == 4_000));
        });
        assert_eq!(kept(1), 40);
    }
}

/// A return to a living input whose pictures lie so much later than those on air, come so much later, and say
/// that they are so long; all in milliseconds, 20 from one to the next. Returns the longest step.
fn return_with(phase: u64, delay: u64, long: u64) -> u64 {
    let (stage, primary, backup) = pair(&h264(), &[("recovery-time", "100000000")]);
    stage.every(20, 0..4_000, |at| {
        backup.push(in_gop(at, 0));
        if !(400..1_000).contains(&at) {
            stage.to(at + delay);
            primary.push(in_gop(at, 0).later(phase).long(long));
        }
    });
    let runs = stage.sent().runs();
    assert_eq!(runs.len(), 3, "{phase}, {delay}, {long}: {runs:?}");
    stage.out.assert_one_programme();
    let pts = stage.sent().pts();
    let back = pts.windows(2).filter(|two| two[0] >= 1_000);
    back.map(|two| two[1] - two[0]).max().unwrap_or(0)
}

#[test]
fn a_return_leaves_no_hole_however_pictures_lie_and_how_long_they_say_they_are() {
    for phase in (0..80).step_by(9) {
        for delay in [0, 5, 10, 15, 19] {
            for long in [10, 16, 17, 20, 25] {
                let step = return_with(phase, delay, long);
                assert!(step < 40, "{phase}, {delay}, {long}: {step}");
            }
        }
    }
}
