// SPDX-License-Identifier: MPL-2.0
//! Time is made, not trusted: what comes out of `failoverswitch` never goes back, whatever its inputs
//! say of time, whenever they come.

#[path = "support/stage/mod.rs"]
mod stage;

use stage::{Feed, Frame, Frames, Stage, frame_of, h264, pair, pcm, raw, switch};
use std::ops::Range;

fn steps(span: Range<u64>) -> Vec<u64> {
    span.step_by(20).collect()
}

#[test]
fn a_backup_on_another_time_base_plays_as_if_it_were_on_ours() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 0..1_000, |at| {
            primary.push(frame_of(&caps, at));
            backup.push(frame_of(&caps, at).later(1_000_000));
        });
        stage.every(20, 1_000..3_000, |at| {
            backup.push(frame_of(&caps, at).later(1_000_000))
        });
        let sent = stage.sent();
        assert_eq!(sent.runs().len(), 2);
        let first = sent.of(1)[0].pts.unwrap_or(0);
        assert!((1_000..=1_500).contains(&first), "{first}");
        assert_eq!(sent.of(1).pts(), steps(first..3_000));
        stage.out.assert_one_programme();
    }
}

#[test]
fn a_primary_on_another_time_base_begins_at_the_running_time() {
    let (stage, primary, _backup) = pair(&raw(), &[]);
    stage.every(20, 100..1_100, |at| {
        primary.push(Frame::at(at).later(1_000_000))
    });
    // The first frame tells where its time is.
    assert_eq!(stage.sent().pts(), steps(120..1_100));
}

#[test]
fn a_primary_that_comes_back_at_zero_is_returned_to_once_and_without_a_step_back() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[("recovery-time", "1000000000")]);
        stage.every(20, 0..1_000, |at| {
            primary.push(frame_of(&caps, at));
            backup.push(frame_of(&caps, at));
        });
        stage.every(20, 1_000..6_000, |at| backup.push(frame_of(&caps, at)));
        primary.start(&caps);
        stage.every(20, 6_000..10_000, |at| {
            primary.push(frame_of(&caps, at - 6_000));
            backup.push(frame_of(&caps, at));
        });
        let expected = [switch(0, 1, "stall"), switch(1, 0, "recovered")];
        assert_eq!(stage.switches(), expected);
        let sent = stage.sent();
        let since_backup = &sent[50..];
        let first = since_backup[0].pts.unwrap_or(0);
        assert_eq!(since_backup.pts(), steps(first..10_000));
        assert_eq!(sent.runs().len(), 3);
        stage.out.assert_one_programme();
    }
}

#[test]
fn a_standby_that_begins_anew_is_placed_anew() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let base = 1_000_000;
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at).later(base));
    });
    backup.start(&raw());
    stage.every(20, 1_000..2_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at).later(base - 500));
    });
    primary.eos();
    stage.every(20, 2_000..3_000, |at| {
        backup.push(Frame::at(at).later(base - 500));
    });
    assert_eq!(stage.switches(), [switch(0, 1, "eos")]);
    assert_eq!(stage.sent().pts(), steps(0..3_000));
}

#[test]
fn an_input_on_air_that_restarts_at_zero_goes_on_where_it_was() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 0..5_000, |at| {
            primary.push(frame_of(&caps, at));
            backup.push(frame_of(&caps, at));
        });
        // Reconnected within the timeout: a new stream, from zero.
        stage.every(20, 5_000..5_200, |at| backup.push(frame_of(&caps, at)));
        primary.start(&caps);
        stage.every(20, 5_200..8_000, |at| {
            primary.push(frame_of(&caps, at - 5_200));
            backup.push(frame_of(&caps, at));
        });
        assert_eq!(stage.switches(), []);
        let sent = stage.sent();
        assert_eq!(sent.len(), 250 + 140);
        assert_eq!(sent[250].pts, Some(5_200));
        assert_eq!(sent.last().and_then(|frame| frame.pts), Some(7_980));
        stage::assert_no_step_back(&sent);
    }
}

#[test]
fn an_input_on_air_that_jumps_without_a_word_goes_on_where_it_was() {
    for jump in [1_000_000, 5_000] {
        let (stage, primary, backup) = pair(&raw(), &[]);
        stage.every(20, 0..1_000, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        stage.every(20, 1_000..2_000, |at| {
            primary.push(Frame::at(at).later(jump));
            backup.push(Frame::at(at));
        });
        assert_eq!(stage.switches(), []);
        assert_eq!(stage.sent().pts(), steps(0..2_000));
    }
}

/// What a sender was held up with comes at once, placed ahead of the clock by a jitter buffer that then begins its
/// count anew.
fn old_data_first(stage: &Stage, primary: &Feed, frame: impl Fn(u64) -> Frame) {
    for at in steps(0..1_800) {
        primary.push(frame(at));
    }
    stage.every(20, 20..4_000, |at| primary.push(frame(at)));
}

#[test]
fn old_data_that_runs_ahead_of_the_clock_makes_nothing_late_that_follows() {
    for caps in [raw(), pcm()] {
        let (stage, primary, _backup) = pair(&caps, &[]);
        old_data_first(&stage, &primary, |at| frame_of(&caps, at));
        let sent = stage.sent();
        // The first that goes back might be off alone, and goes on where it was. Then that time comes again.
        assert_eq!(sent[..91].pts(), steps(0..1_820), "{caps}");
        assert_eq!(sent[91..].pts(), steps(1_800..4_000), "{caps}");
        assert!(sent[91..].iter().all(|frame| frame.pts == Some(frame.at)));
        assert_eq!(stage.switches(), []);
    }
}

#[test]
fn pictures_behind_old_data_that_ran_ahead_begin_with_a_key_frame() {
    let (stage, primary, _backup) = pair(&h264(), &[]);
    let in_gop = |at| Frame::at(at).delta_unless(at % 1_000 == 0);
    old_data_first(&stage, &primary, in_gop);
    let sent = stage.sent();
    let expected = [steps(0..1_820), steps(2_000..4_000)].concat();
    assert_eq!(sent.pts(), expected);
    assert!(!sent[91].delta && sent[91].at == 2_000);
    assert!(primary.key_frames_asked() > 0);
    assert_eq!(stage.switches(), []);
    stage.out.assert_one_programme();
}

#[test]
fn frames_without_timestamps_are_placed_by_their_arrival() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..2_000, |at| {
        if at < 1_000 {
            primary.push(Frame::untimed());
        }
        backup.push(Frame::untimed());
    });
    let sent = stage.sent();
    assert_eq!(sent.runs().len(), 2);
    assert!(
        sent.iter().all(|frame| frame.pts == Some(frame.at)),
        "{sent:?}"
    );
    assert_eq!(stage.switches(), [switch(0, 1, "stall")]);
}

#[test]
fn a_primary_without_timestamps_beside_a_backup_with_them_stays_on_air() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 0..8_000, |at| {
            primary.push(Frame::untimed());
            backup.push(Frame::at(at));
        });
        assert_eq!(stage.sent().runs(), [(0, 400)]);
        stage.out.assert_one_programme();
    }
}

#[test]
fn inputs_that_are_late_by_more_than_the_timeout_play_on() {
    for late in [1_000, 3_000] {
        for caps in [raw(), h264()] {
            let (stage, primary, backup) = pair(&caps, &[]);
            stage.every(20, late..late + 8_000, |at| {
                primary.push(frame_of(&caps, at - late));
                backup.push(frame_of(&caps, at - late));
            });
            // All of them, or of raw ones all but the first few, which tell that it is a habit.
            let sent = stage.sent();
            assert!(sent.len() >= 392, "{} when late by {late}", sent.len());
            assert_eq!(sent.runs(), [(0, sent.len())]);
            assert_eq!(sent.longest_step(), 20);
            assert_eq!(stage.switches(), []);
            stage.out.assert_one_programme();
        }
    }
}

#[test]
fn a_primary_that_is_late_alone_plays_on_and_is_left_and_returned_to() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[("recovery-time", "1000000000")]);
        stage.every(20, 1_000..9_000, |at| {
            primary.push(frame_of(&caps, at - 1_000));
            backup.push(frame_of(&caps, at));
        });
        assert_eq!(stage.sent().runs().len(), 1);
        assert!(stage.sent().len() >= 392);
        stage.every(20, 9_000..11_000, |at| backup.push(frame_of(&caps, at)));
        stage.every(20, 11_000..20_000, |at| {
            primary.push(frame_of(&caps, at - 1_000));
            backup.push(frame_of(&caps, at));
        });
        let expected = [switch(0, 1, "stall"), switch(1, 0, "recovered")];
        assert_eq!(stage.switches(), expected);
        stage.out.assert_one_programme();
    }
}

#[test]
fn a_backup_that_is_late_alone_takes_over() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 1_000..5_000, |at| {
            if at < 3_000 {
                primary.push(frame_of(&caps, at));
            }
            backup.push(frame_of(&caps, at - 1_000));
        });
        let sent = stage.sent();
        assert_eq!(sent.runs().len(), 2);
        assert!(sent.of(1).len() >= 49, "{:?}", sent.runs());
        stage.out.assert_one_programme();
    }
}

#[test]
fn what_a_standby_kept_of_another_time_base_is_not_sent() {
    let caps = h264();
    for (base, restart) in [(3_000_000, 100_000), (100_000, 3_000_000)] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 0..1_200, |at| {
            primary.push(frame_of(&caps, at));
            backup.push(frame_of(&caps, at).later(base));
        });
        primary.eos();
        stage.every(20, 1_200..3_000, |at| {
            backup.push(frame_of(&caps, at).later(restart))
        });
        let sent = stage.sent().of(1);
        assert_eq!(sent.pts(), steps(1_500..3_000));
        stage.out.assert_one_programme();
    }
}

#[test]
fn a_silence_of_the_network_does_not_cost_the_standby_its_group() {
    let caps = h264();
    let (stage, primary, backup) = pair(&caps, &[("timeout", "5000000000")]);
    stage.every(20, 0..6_000, |at| {
        primary.push(frame_of(&caps, at));
        if at == 4_000 {
            // Two seconds of it, all at once.
            (2_000..4_000)
                .step_by(20)
                .for_each(|late| backup.push(frame_of(&caps, late)));
        }
        if !(2_000..4_000).contains(&at) {
            backup.push(frame_of(&caps, at));
        }
    });
    let asked = backup.key_frames_asked();
    primary.eos();
    stage.every(20, 6_000..6_600, |at| backup.push(frame_of(&caps, at)));
    assert!(backup.key_frames_asked() > asked);
    assert_eq!(stage.sent().of(1)[0].pts, Some(6_000));
    stage.out.assert_one_programme();
}

#[test]
fn a_pause_is_not_a_stall_and_leaves_no_hole() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = pair(&caps, &[]);
        stage.every(20, 0..1_000, |at| {
            primary.push(frame_of(&caps, at));
            backup.push(frame_of(&caps, at));
        });
        stage.pause_for(10_000);
        stage.every(20, 1_000..2_000, |at| {
            primary.push(frame_of(&caps, at));
            backup.push(frame_of(&caps, at));
        });
        assert_eq!(stage.switches(), []);
        assert_eq!(stage.sent().runs(), [(0, 100)]);
        assert_eq!(stage.sent().pts(), steps(0..2_000));
    }
}

#[test]
fn a_stall_before_and_after_a_pause_is_one_stall() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 1_000..1_300, |at| backup.push(Frame::at(at)));
    stage.pause_for(10_000);
    stage.every(20, 1_300..2_000, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().of(1)[0].pts, Some(1_480));
}

#[test]
fn an_input_that_is_not_live_is_paced_by_the_clock() {
    let stage = Stage::usual();
    let primary = stage.silent_feed("sink_0");
    primary.declare(false, 0, None);
    stage.play();
    primary.start(&raw());
    let feed = primary.clone();
    let reader = std::thread::spawn(move || {
        for at in steps(0..1_000) {
            feed.push(Frame::at(at));
        }
    });
    for (done, at) in steps(0..1_000).into_iter().enumerate().skip(1) {
        stage.out.wait_for_frames(done);
        stage.wait_for_pending(2);
        assert_eq!(stage.sent().len(), done, "sent before its time");
        stage.to(at);
        stage.out.wait_for_frames(done + 1);
    }
    reader.join().expect("the reader");
    let sent = stage.sent();
    assert!(
        sent.iter().all(|frame| frame.pts == Some(frame.at)),
        "{sent:?}"
    );
}

#[test]
fn a_long_programme_does_not_drift() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    // 50 ppm fast, as a sender's clock may be: one frame in seven minutes.
    stage.every(20, 0..1_200_000, |at| {
        primary.push(Frame::at(at + at / 20_000));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.switches(), []);
    assert_eq!(stage.sent().len(), 60_000);
}

/// An hour of a stream as a bad network brings it: each frame up to 300 ms late, none before another.
fn jittered(seed: u64) -> impl Iterator<Item = (u64, u64)> {
    let mut arrived = 0;
    (0..3_600_000).step_by(120).map(move |at| {
        let random = (at + seed).wrapping_mul(6_364_136_223_846_793_005) >> 33;
        arrived = (at + random % 300).max(arrived);
        (arrived, at)
    })
}

#[test]
fn an_hour_of_jitter_makes_no_switch_and_leaves_sound_and_picture_together() {
    // Another time base than ours, for the first input and for the second.
    const BASES: [u64; 2] = [50_000_000, 9_000_000];
    let stage = Stage::usual();
    let pictures = [stage.feed("sink_0", &raw()), stage.feed("sink_1", &raw())];
    let sounds = [
        stage.feed("sink_0_1", &pcm()),
        stage.feed("sink_1_1", &pcm()),
    ];
    let heard = stage.output("src_1");
    stage.play();
    let feeds = [&pictures[0], &sounds[0], &pictures[1], &sounds[1]];
    let mut all: Vec<(u64, usize, u64)> = (0..4)
        .flat_map(|feed| jittered(feed).map(move |(now, at)| (now, feed as usize, at)))
        .collect();
    all.sort_unstable();
    for (now, feed, at) in all {
        stage.to(now);
        feeds[feed].push(Frame::at(at).later(BASES[feed / 2]));
    }
    assert_eq!(stage.switches(), []);
    let (seen, heard) = (stage.sent(), heard.frames());
    // All but what came before the programme began.
    assert!(seen.len() >= 29_995 && heard.len() >= 29_995);
    assert_eq!((seen.runs().len(), heard.runs().len()), (1, 1));
    // They were sent with the same times: a millisecond is what the drift moves at most meanwhile.
    let apart = seen
        .iter()
        .rev()
        .zip(heard.iter().rev())
        .map(|(picture, sound)| {
            let times = picture.pts.zip(sound.pts).expect("times");
            times.0.abs_diff(times.1)
        });
    assert!(apart.max() <= Some(1));
    // And the hour is an hour.
    let (first, last) = (seen[0].pts, seen[seen.len() - 1].pts);
    let took = last.zip(first).map_or(0, |(last, first)| last - first);
    assert!(took.abs_diff(3_599_880) <= 700, "{took}");
}
