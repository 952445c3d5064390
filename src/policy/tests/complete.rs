// SPDX-License-Identifier: MPL-2.0
//! Complete before incomplete: what an input lacks, from when on it counts, and what follows from it.

use super::stage::*;
use super::*;

const VIDEO: u32 = 0;
const AUDIO: u32 = 1;

/// Inputs with a picture and a sound each, all flowing for a second, the primary on air.
fn on_air(config: Config, inputs: u32) -> Stage {
    let mut stage = connecting(config, inputs);
    stage.play(&(0..inputs).collect::<Vec<_>>(), 1000);
    assert_eq!(stage.policy.on_air(), Some(InputId(PRIMARY)));
    stage.log.clear();
    stage
}

fn connecting(config: Config, inputs: u32) -> Stage {
    let mut stage = Stage::new(config, inputs);
    (0..inputs).for_each(|input| stage.add_stream(input, AUDIO));
    for (stream, media) in [(VIDEO, Media::Video), (AUDIO, Media::Audio)] {
        let stream = StreamId(stream);
        stage.tell(Observation::StreamIs { stream, media });
    }
    stage
}

fn lacking(stage: &Stage, input: u32) -> Vec<u32> {
    let lacking = stage.policy.lacking(InputId(input));
    lacking.map(|stream| stream.0).collect()
}

#[test]
fn a_stream_that_falls_silent_is_found_in_another_input_after_the_timeout() {
    for silent in [VIDEO, AUDIO] {
        let mut stage = on_air(fast(), 2);
        stage.mute(PRIMARY, silent);
        stage.play(&[PRIMARY, BACKUP], 3000);
        let left = (1190, Some(PRIMARY), BACKUP, Cause::Incomplete);
        assert_eq!(stage.switches(), [left]);
        assert_eq!(stage.first_switch_detection(), fast().timeout);
        assert_eq!(stage.kind(PRIMARY), HealthKind::Incomplete);
        assert_eq!(lacking(&stage, PRIMARY), [silent]);
        assert!(lacking(&stage, BACKUP).is_empty());
    }
}

/// The first in order says nothing, the second has its picture alone, the third has both: no cut to the second.
#[test]
fn what_is_whole_goes_on_air_first_where_the_first_in_order_is_given_up() {
    let mut stage = connecting(fast(), 3);
    stage.mute(1, AUDIO);
    stage.play(&[1, 2], 10_000);
    let switches = stage.switches();
    let [(_, None, 2, Cause::Startup)] = switches[..] else {
        panic!("{switches:?}");
    };
}

/// The backup has just lost its sound, and its time is not over: as incomplete as the primary, but not known to be.
#[test]
fn what_would_be_left_at_once_is_not_returned_to() {
    let config = Config {
        recovery_time: Span::ZERO,
        ..fast()
    };
    let mut stage = on_air(config, 3);
    stage.play(&[1, 2], 2000);
    assert_eq!(stage.policy.on_air(), Some(InputId(1)));
    stage.log.clear();
    stage.tell(Observation::StreamRemoved {
        input: InputId(1),
        stream: StreamId(AUDIO),
    });
    stage.mute(PRIMARY, AUDIO);
    stage.play(&[0, 1, 2], 5000);
    assert!(
        stage.switches().iter().all(|(_, _, to, _)| *to == 2),
        "{:?}",
        stage.switches()
    );
}

#[test]
fn what_nobody_brings_nobody_is_left_for() {
    let mut stage = on_air(fast(), 2);
    stage.mute(PRIMARY, AUDIO);
    stage.mute(BACKUP, AUDIO);
    stage.play(&[PRIMARY, BACKUP], 60_000);
    assert_eq!(stage.switches(), []);
    assert_eq!(stage.outages(), []);
    // It says so, and is healthy.
    assert_eq!(stage.kind(PRIMARY), HealthKind::Incomplete);
}

#[test]
fn of_two_incomplete_inputs_the_one_with_the_picture_is_shown() {
    let mut stage = on_air(fast(), 2);
    stage.mute(PRIMARY, VIDEO);
    stage.mute(BACKUP, AUDIO);
    stage.play(&[PRIMARY, BACKUP], 60_000);
    let left = (1190, Some(PRIMARY), BACKUP, Cause::Incomplete);
    assert_eq!(stage.switches(), [left]);
}

#[test]
fn of_two_that_lack_as_much_the_order_decides() {
    let mut stage = on_air(fast(), 3);
    stage.mute(BACKUP, AUDIO);
    stage.mute(THIRD, AUDIO);
    stage.play(&[PRIMARY, BACKUP, THIRD], 2000);
    stage.fail(PRIMARY, Cause::Error);
    assert_eq!(
        stage.switches(),
        [(2000, Some(PRIMARY), BACKUP, Cause::Error)]
    );
}

#[test]
fn a_complete_one_further_behind_is_preferred() {
    let mut stage = on_air(fast(), 3);
    stage.mute(BACKUP, AUDIO);
    stage.play(&[PRIMARY, BACKUP, THIRD], 2000);
    stage.fail(PRIMARY, Cause::Error);
    assert_eq!(
        stage.switches(),
        [(2000, Some(PRIMARY), THIRD, Cause::Error)]
    );
}

#[test]
fn all_streams_of_an_input_that_die_within_half_the_timeout_are_a_stall() {
    let mut stage = on_air(fast(), 2);
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 1090);
    stage.mute(PRIMARY, AUDIO);
    stage.play(&[PRIMARY, BACKUP], 3000);
    let stall = (1190, Some(PRIMARY), BACKUP, Cause::Stall);
    assert_eq!(stage.switches(), [stall]);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Stalled);
}

#[test]
fn sound_alone_from_the_start_is_left_after_the_startup_timeout() {
    let mut stage = connecting(fast(), 2);
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 5000);
    assert_eq!(
        stage.switches(),
        [
            (0, None, PRIMARY, Cause::Startup),
            (2000, Some(PRIMARY), BACKUP, Cause::Incomplete)
        ]
    );
    assert_eq!(lacking(&stage, PRIMARY), [VIDEO]);
}

#[test]
fn an_input_that_begins_late_has_the_timeout_for_its_other_streams() {
    let mut stage = connecting(fast(), 2);
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[BACKUP], 1950);
    stage.play(&[PRIMARY, BACKUP], 5000);
    assert_eq!(
        stage.switches(),
        [
            (1950, None, PRIMARY, Cause::Startup),
            (2150, Some(PRIMARY), BACKUP, Cause::Incomplete)
        ]
    );
}

#[test]
fn a_stream_that_another_input_brings_later_is_waited_for_as_long() {
    let mut stage = on_air(fast(), 2);
    stage.play(&[PRIMARY, BACKUP], 10_000);
    stage.add_stream(BACKUP, 2);
    stage.play(&[PRIMARY, BACKUP], 12_000);
    let left = (10_200, Some(PRIMARY), BACKUP, Cause::Incomplete);
    assert_eq!(stage.switches(), [left]);
}

#[test]
fn a_stream_that_goes_may_be_followed_by_another() {
    for (again, switches) in [(2150, vec![]), (2250, vec![2200])] {
        let mut stage = on_air(fast(), 2);
        stage.play(&[PRIMARY, BACKUP], 2000);
        stage.remove_stream(PRIMARY, AUDIO);
        stage.play(&[PRIMARY, BACKUP], again);
        stage.add_stream(PRIMARY, AUDIO);
        stage.play(&[PRIMARY, BACKUP], 5000);
        let times: Vec<_> = stage.switches().iter().map(|switch| switch.0).collect();
        assert_eq!(times, switches);
    }
}

#[test]
fn it_is_not_returned_to_before_it_is_complete() {
    let mut stage = on_air(fast(), 2);
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 20_000);
    stage.add_stream(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 30_000);
    let left = (1190, Some(PRIMARY), BACKUP, Cause::Incomplete);
    let back = (25_000, Some(BACKUP), PRIMARY, Cause::Recovered);
    assert_eq!(stage.switches(), [left, back]);
}

#[test]
fn another_attempt_with_sound_alone_is_no_recovery() {
    let mut stage = on_air(fast(), 2);
    stage.fail(PRIMARY, Cause::Error);
    stage.connect(PRIMARY);
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 60_000);
    assert_eq!(
        stage.switches(),
        [(1000, Some(PRIMARY), BACKUP, Cause::Error)]
    );
}

#[test]
fn when_the_complete_one_dies_the_incomplete_one_plays() {
    let mut stage = on_air(fast(), 2);
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 3000);
    stage.fail(BACKUP, Cause::Error);
    stage.play(&[PRIMARY], 4000);
    let left = (1190, Some(PRIMARY), BACKUP, Cause::Incomplete);
    let back = (3000, Some(BACKUP), PRIMARY, Cause::Error);
    assert_eq!(stage.switches(), [left, back]);
    assert_eq!(stage.outages(), []);
}

#[test]
fn one_that_comes_and_goes_needs_ever_longer() {
    let mut stage = on_air(fast(), 2);
    for begin in [10_000, 40_000] {
        stage.mute(PRIMARY, AUDIO);
        stage.play(&[PRIMARY, BACKUP], begin);
        stage.add_stream(PRIMARY, AUDIO);
        stage.play(&[PRIMARY, BACKUP], begin + 12_000);
    }
    let times: Vec<_> = stage.switches().iter().map(|switch| switch.0).collect();
    assert_eq!(times, [1190, 15_000, 22_190, 50_000]);
}

#[test]
fn sound_that_may_pause_leaves_the_picture_where_it_is() {
    let config = Config {
        audio_timeout: Some(Span::MAX),
        ..fast()
    };
    let mut stage = on_air(config, 2);
    stage.mute(PRIMARY, AUDIO);
    stage.play(&[PRIMARY, BACKUP], 60_000);
    assert_eq!(stage.switches(), []);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Flowing);
    // The picture's end is not hidden by that.
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 62_000);
    let stall = (60_190, Some(PRIMARY), BACKUP, Cause::Stall);
    assert_eq!(stage.switches(), [stall]);
}

#[test]
fn each_media_has_its_timeout() {
    let config = Config {
        video_timeout: Some(Span::from_millis(100)),
        audio_timeout: Some(Span::from_secs(1)),
        ..fast()
    };
    for (silent, left) in [(VIDEO, 1090), (AUDIO, 1990)] {
        let mut stage = on_air(config, 2);
        stage.mute(PRIMARY, silent);
        stage.play(&[PRIMARY, BACKUP], 3000);
        let left = (left, Some(PRIMARY), BACKUP, Cause::Incomplete);
        assert_eq!(stage.switches(), [left]);
    }
}

#[test]
fn a_cold_backup_is_started_for_what_is_lacking() {
    let mut stage = Stage::empty(fast());
    stage.add(PRIMARY, Standby::Hot);
    stage.add(BACKUP, Standby::Cold);
    stage.add_stream(PRIMARY, AUDIO);
    stage.connect(PRIMARY);
    stage.play(&[PRIMARY], 8000);
    stage.log.clear();
    stage.mute(PRIMARY, AUDIO);
    stage.play(&[PRIMARY], 8500);
    // Half of the timeout is the head start.
    assert_eq!(stage.starts_and_stops(), [(8090, "start", BACKUP)]);
}

#[test]
fn what_is_held_is_not_left() {
    let mut stage = on_air(fast(), 2);
    stage.tell(Observation::Hold(Some(InputId(PRIMARY))));
    stage.mute(PRIMARY, VIDEO);
    stage.play(&[PRIMARY, BACKUP], 5000);
    assert_eq!(stage.switches(), []);
    stage.tell(Observation::Hold(None));
    let left = (5000, Some(PRIMARY), BACKUP, Cause::Incomplete);
    assert_eq!(stage.switches(), [left]);
}

#[test]
fn a_stream_that_pauses_by_its_nature_is_not_silent_before_it_misses_its_turns() {
    let mut stage = on_air(fast(), 2);
    let (input, stream) = (InputId(PRIMARY), StreamId(AUDIO));
    let pause = Span::from_millis(300);
    stage.tell(Observation::Rhythm {
        input,
        stream,
        pause,
    });
    stage.mute(PRIMARY, AUDIO);
    stage.play(&[PRIMARY, BACKUP], 5000);
    let left = (1890, Some(PRIMARY), BACKUP, Cause::Incomplete);
    assert_eq!(stage.switches(), [left]);
}
