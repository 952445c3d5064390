// SPDX-License-Identifier: MPL-2.0
//! Streams that lie apart, restart, jump and follow each other, and random ones: what the sender says of two streams holds
//! again as soon as both count on the same base.

use super::*;
use proptest::prelude::*;

const MS: i64 = 1_000_000;
const VIDEO: StreamId = StreamId(0);
const AUDIO: StreamId = StreamId(1);

/// Two streams as they arrive, in milliseconds; what is usual is what the stream did last.
#[derive(Default)]
struct Two {
    bases: Bases,
    delays: [Option<i64>; 2],
}

impl Two {
    /// Where the buffer is now, in its input's time.
    fn comes(&mut self, id: StreamId, arrival: i64, ts: i64) -> i64 {
        let slot = if id == VIDEO { 0 } else { 1 };
        let usual = self.delays[slot].unwrap_or(0) * MS;
        let shift = self.bases.shift(id, arrival * MS, ts * MS, || usual) / MS;
        self.delays[slot] = Some(arrival - ts - shift);
        ts + shift
    }

    /// Both come each 20 ms in this span, with these timestamps.
    fn come(
        &mut self,
        span: std::ops::Range<i64>,
        video: impl Fn(i64) -> i64,
        audio: impl Fn(i64) -> i64,
    ) {
        for at in span.step_by(20) {
            self.comes(VIDEO, at, video(at));
            self.comes(AUDIO, at + 7, audio(at + 7));
        }
    }
}

#[test]
fn what_is_sent_in_step_is_left_alone() {
    let mut two = Two::default();
    for at in (0..20_000).step_by(20) {
        assert_eq!(two.comes(VIDEO, at + at % 37, at), at);
        assert_eq!(two.comes(AUDIO, at + at % 91, at), at);
    }
}

#[test]
fn streams_that_come_seconds_apart_are_left_alone() {
    for apart in [-5_900, -1_500, 1_500, 5_900] {
        let mut two = Two::default();
        for at in (0..20_000).step_by(20) {
            assert_eq!(two.comes(VIDEO, at, at), at);
            assert_eq!(two.comes(AUDIO, at, at - apart), at - apart);
        }
    }
}

#[test]
fn a_stream_that_joins_from_far_away_comes_with_the_others() {
    let mut two = Two::default();
    two.come(0..1_000, |at| at, |at| at);
    let third = StreamId(2);
    let ts = 3_600_000;
    assert_eq!(
        two.bases.shift(third, 1_000 * MS, ts * MS, || 0),
        (1_000 - ts) * MS
    );
}

/// A server that keeps ten seconds sends all of the picture, then all of the audio.
#[test]
fn what_a_server_had_kept_of_one_stream_and_then_of_the_other_is_in_step() {
    let mut two = Two::default();
    for made in (0..10_000).step_by(20) {
        two.comes(VIDEO, 10_000 + made / 1_000, made);
    }
    for made in (0..10_000).step_by(20) {
        two.comes(AUDIO, 10_010 + made / 1_000, made);
    }
    for at in (10_020..12_000).step_by(20) {
        assert_eq!(two.comes(VIDEO, at, at), at);
        assert_eq!(two.comes(AUDIO, at, at), at);
    }
}

#[test]
fn streams_that_restart_one_after_the_other_continue_and_are_in_step_again() {
    for after in [0, 20, 1_000, 4_000] {
        let mut two = Two::default();
        two.come(0..20_000, |at| at, |at| at);
        // The picture restarts at zero, then the audio, at its time.
        for at in (20_000..20_000 + after).step_by(20) {
            assert_eq!(two.comes(VIDEO, at, at - 20_000), at);
            assert_eq!(two.comes(AUDIO, at, at), at);
        }
        for at in (20_000 + after..40_000).step_by(20) {
            assert_eq!(two.comes(VIDEO, at, at - 20_000), at);
            assert_eq!(
                two.comes(AUDIO, at, at - 20_000),
                at,
                "after {after} at {at}"
            );
        }
    }
}

/// The picture is silent at first, and then both restart at zero.
#[test]
fn a_restart_behind_a_silence_of_one_stream_keeps_lip_sync() {
    for silent_for in [3_000, 9_000] {
        for video_first in [true, false] {
            let mut two = Two::default();
            two.come(0..10_000, |at| at, |at| at);
            let restart = 10_000 + silent_for;
            (10_000..restart)
                .step_by(20)
                .for_each(|at| _ = two.comes(AUDIO, at, at));
            for at in (restart..restart + 10_000).step_by(20) {
                let mut order = [VIDEO, AUDIO];
                if !video_first {
                    order.reverse();
                }
                let placed = order.map(|id| two.comes(id, at, at - restart));
                assert!(
                    at == restart || placed[0] == placed[1],
                    "{silent_for} {video_first}: {placed:?}"
                );
            }
        }
    }
}

#[test]
fn what_jumps_alone_by_seconds_is_taken_as_sent_if_none_follows() {
    for jump in [-3_000, 3_000] {
        let mut two = Two::default();
        two.come(0..10_000, |at| at, |at| at);
        for at in (10_000..20_000).step_by(20) {
            let audio = two.comes(AUDIO, at, at + jump);
            let expected = if at <= 12_000 { at } else { at + jump };
            assert_eq!(audio, expected, "at {at}");
            assert_eq!(two.comes(VIDEO, at, at), at);
        }
    }
}

#[test]
fn what_jumps_alone_by_an_hour_continues_by_arrival() {
    for jump in [-3_600_000, 3_600_000] {
        let mut two = Two::default();
        two.come(0..10_000, |at| at, |at| at);
        two.come(10_000..20_000, |at| at, |at| at + jump);
        assert_eq!(two.comes(AUDIO, 20_000, 20_000 + jump), 20_000);
        assert_eq!(two.comes(VIDEO, 20_000, 20_000), 20_000);
        // And back.
        two.come(20_020..21_000, |at| at, |at| at);
        assert_eq!(two.comes(AUDIO, 21_000, 21_000), 21_000);
    }
}

#[test]
fn a_burst_that_ran_ahead_continues_at_its_time() {
    let mut two = Two::default();
    // What is usual is 0: a stream that was ahead of the clock does not stay there.
    for at in 0..90 {
        two.bases.shift(VIDEO, at * MS, at * 20 * MS, || 0);
        two.bases.shift(AUDIO, at * MS, at * 20 * MS, || 0);
    }
    assert_eq!(two.bases.shift(VIDEO, 100 * MS, 90 * MS, || 0), 10 * MS);
}

#[test]
fn a_silence_of_the_network_is_no_jump() {
    let mut two = Two::default();
    two.come(0..10_000, |at| at, |at| at);
    // Eight seconds of it, all at once, then in real time.
    for at in (10_000..18_000).step_by(20) {
        assert_eq!(two.comes(VIDEO, 18_000 + at / 200, at), at);
        assert_eq!(two.comes(AUDIO, 18_000 + at / 200, at), at);
    }
}

/// What a sender does with both streams, or one after the other within two seconds.
#[derive(Clone, Copy, Debug)]
struct Restart {
    after: i64,
    base: i64,
    second: i64,
    audio_first: bool,
}

fn restart() -> impl Strategy<Value = Restart> {
    (5_000..9_000i64, 0..5_000_000i64, 0..1_900i64, any::<bool>()).prop_map(
        |(after, base, second, audio_first)| Restart {
            after,
            base,
            second,
            audio_first,
        },
    )
}

/// As far as one restart moves a stream at most, in milliseconds: [`APART`], as far as the streams lie from each other, and the jitter.
const MOVED_BY_ONE: i64 = 10_200;

fn sent_and_placed(apart: i64, restarts: &[Restart], jitter: i64) -> Result<(), TestCaseError> {
    let mut two = Two::default();
    let late = [(-apart).max(0), apart.max(0)];
    // Of each stream: from when on, of what was made, which base counts.
    let mut bases = [vec![(0, 0)], vec![(0, 0)]];
    let mut made = 0;
    for restart in restarts {
        made += restart.after;
        let [first, second] = if restart.audio_first { [1, 0] } else { [0, 1] };
        bases[first].push((made, restart.base - made));
        bases[second].push((made + restart.second, restart.base - made));
        made += restart.second;
    }
    let mut events = vec![];
    for made in (0..made + 5_000).step_by(20) {
        for slot in [0, 1] {
            events.push((
                made + late[slot] + (made / 20 * 7) % (jitter + 1),
                slot,
                made,
            ));
        }
    }
    events.sort();
    let mut newest: [Option<(i64, i64, i64)>; 2] = [None; 2];
    for (arrival, slot, made) in events {
        let (_, base) = bases[slot]
            .iter()
            .rev()
            .find(|base| base.0 <= made)
            .copied()
            .unwrap_or_default();
        let id = [VIDEO, AUDIO][slot];
        let placed = two.comes(id, arrival, made + base);
        newest[slot] = Some((made, base, placed));
        let from_its_time = placed - (arrival - late[slot]);
        // A restart by a few seconds is taken as it is sent where the streams fit to each other; more may sum up.
        let restarted = bases[slot].iter().filter(|base| base.0 <= made).count() as i64 - 1;
        let farthest = MOVED_BY_ONE * restarted.max(1);
        prop_assert!(
            from_its_time.abs() <= farthest,
            "{from_its_time} at {arrival}"
        );
        if let [Some(video), Some(audio)] = newest
            && video.1 == audio.1
            && restarts.is_empty()
        {
            prop_assert_eq!(video.2 - video.0, audio.2 - audio.0);
        }
    }
    if let [Some(video), Some(audio)] = newest {
        prop_assert_eq!(video.2 - video.0, audio.2 - audio.0, "at the end");
    }
    Ok(())
}

/// The second restart is taken as it is sent as the first was: the streams fit to each other before and behind it.
#[test]
fn two_restarts_that_each_fit_as_sent_sum_up_and_keep_lip_sync() {
    let restart = |after, base, second, audio_first| Restart {
        after,
        base,
        second,
        audio_first,
    };
    let restarts = [
        restart(8_221, 0, 0, false),
        restart(5_000, 2_053_546, 1_240, true),
        restart(8_092, 2_053_989, 0, false),
    ];
    sent_and_placed(-2_869, &restarts, 49).expect("in step");
}

proptest! {
    /// A naive model knows of each buffer when it was made. The two are as far apart as they are sent whenever both count on one base, and
    /// no restart moves them far from when they come.
    #[test]
    fn lip_sync_is_as_sent_and_nothing_is_far_from_its_time(
        apart in -4_000..4_000i64,
        restarts in prop::collection::vec(restart(), 0..6),
        jitter in 0..90i64,
    ) {
        sent_and_placed(apart, &restarts, jitter)?;
    }

    #[test]
    fn no_input_makes_it_panic(
        buffers in prop::collection::vec((0u32..4, any::<i64>(), any::<i64>(), any::<i64>()), 0..100),
    ) {
        let mut bases = Bases::default();
        for (id, arrival, ts, usual) in buffers {
            bases.shift(StreamId(id), arrival, ts, || usual);
        }
    }
}
