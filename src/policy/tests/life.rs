// SPDX-License-Identifier: MPL-2.0
//! From the start over the first stall to the outage, one sentence each, in the order of life.

use super::stage::{BACKUP, PRIMARY, Stage, THIRD, arrived, fast, ms};
use super::*;

// ---- start ----

#[test]
fn the_primary_is_waited_for_at_the_start() {
    let mut stage = Stage::new(fast(), 2);
    stage.play(&[BACKUP], 300);
    assert_eq!(stage.policy.on_air(), None);
    stage.play(&[PRIMARY, BACKUP], 400);
    assert_eq!(stage.switches(), [(300, None, PRIMARY, Cause::Startup)]);
}

#[test]
fn a_primary_that_brings_nothing_is_given_up_after_the_startup_timeout() {
    let mut stage = Stage::new(fast(), 2);
    stage.play(&[BACKUP], 3000);
    assert_eq!(stage.switches(), [(2000, None, BACKUP, Cause::Startup)]);
    let primary = stage.policy.health(InputId(PRIMARY)).unwrap();
    assert_eq!(primary.cause(), Some(Cause::Startup));
}

#[test]
fn a_primary_that_fails_at_the_start_is_not_waited_for() {
    let mut stage = Stage::new(fast(), 2);
    stage.play(&[BACKUP], 300);
    stage.fail(PRIMARY, Cause::Error);
    assert_eq!(stage.switches(), [(300, None, BACKUP, Cause::Startup)]);
}

#[test]
fn a_primary_that_failed_once_is_not_waited_for_again_while_it_retries() {
    let mut stage = Stage::new(fast(), 2);
    stage.fail(PRIMARY, Cause::Error);
    stage.play(&[], 100);
    stage.connect(PRIMARY);
    stage.play(&[BACKUP], 200);
    assert_eq!(stage.switches(), [(100, None, BACKUP, Cause::Startup)]);
}

#[test]
fn the_startup_timeout_counts_from_the_attempt() {
    let mut stage = Stage::bare(fast(), 2);
    stage.play(&[BACKUP], 1000);
    stage.connect(PRIMARY);
    stage.play(&[BACKUP], 4000);
    assert_eq!(stage.switches(), [(3000, None, BACKUP, Cause::Startup)]);
}

#[test]
fn a_silent_source_that_is_replaced_does_not_begin_the_wait_again() {
    for replaced_at in [500, 1990, 2000] {
        let mut stage = Stage::new(fast(), 2);
        stage.play(&[BACKUP], replaced_at);
        stage.connect(PRIMARY);
        stage.play(&[BACKUP], 5000);
        assert_eq!(stage.switches(), [(2000, None, BACKUP, Cause::Startup)]);
    }
}

#[test]
fn an_input_that_never_connects_is_given_up_too() {
    let mut stage = Stage::bare(fast(), 2);
    stage.play(&[BACKUP], 4000);
    assert_eq!(stage.switches(), [(2000, None, BACKUP, Cause::Startup)]);
    let primary = stage.policy.health(InputId(PRIMARY));
    assert_eq!(primary, Some(Health::Idle));
}

#[test]
fn with_immediate_the_first_input_with_a_buffer_goes_on_air() {
    let config = Config {
        immediate: true,
        ..fast()
    };
    let mut stage = Stage::new(config, 2);
    stage.play(&[BACKUP], 100);
    assert_eq!(stage.switches(), [(0, None, BACKUP, Cause::Startup)]);
}

#[test]
fn with_nothing_at_all_everything_is_down_once_the_startup_timeout_is_over() {
    let mut stage = Stage::new(fast(), 2);
    stage.play(&[], 60_000);
    assert_eq!(stage.outages(), [(2000, Action::EverythingDown)]);
    assert_eq!(stage.policy.next_wake(), None);
    stage.log.clear();
    stage.play(&[BACKUP], 60_100);
    assert_eq!(stage.outages(), [(60_000, Action::SomethingUp)]);
    assert_eq!(stage.switches(), [(60_000, None, BACKUP, Cause::Startup)]);
}

// ---- stall ----

#[test]
fn an_input_stalls_exactly_when_the_timeout_has_passed() {
    let mut stage = Stage::on_air(fast(), 1);
    let last = stage.now();
    let just_before = last + Span::from_nanos(fast().timeout.nanos() - 1);
    stage.policy.wake(just_before);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Suspect);
    stage.policy.wake(last + fast().timeout);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Stalled);
}

#[test]
fn half_the_timeout_makes_an_input_suspect_and_no_worse() {
    let mut stage = Stage::on_air(fast(), 2);
    let since = stage.policy.health(InputId(PRIMARY)).unwrap();
    stage.play(&[BACKUP], 1100);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Suspect);
    stage.play(&[PRIMARY, BACKUP], 1200);
    assert_eq!(stage.policy.health(InputId(PRIMARY)), Some(since));
    assert_eq!(stage.switches(), []);
}

#[test]
fn a_stalled_primary_is_replaced_by_the_backup_in_the_same_wake() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 2000);
    assert_eq!(stage.first_switch_detection(), fast().timeout);
    assert_eq!(
        stage.switches(),
        [(1190, Some(PRIMARY), BACKUP, Cause::Stall)]
    );
}

#[test]
fn one_silent_stream_makes_its_input_incomplete() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.add_stream(PRIMARY, 1);
    stage.play(&[PRIMARY, BACKUP], 1100);
    stage.mute(PRIMARY, 1);
    stage.play(&[PRIMARY, BACKUP], 2000);
    assert_eq!(stage.switches(), []);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Incomplete);
    assert_eq!(stage.longest_silent(PRIMARY), Some(1));
    stage.remove_stream(PRIMARY, 1);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Flowing);
}

#[test]
fn an_announced_stream_that_brings_nothing_stalls_nobody() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.tell(Observation::StreamAdded {
        input: InputId(PRIMARY),
        stream: StreamId(7),
    });
    stage.play(&[PRIMARY, BACKUP], 9000);
    assert_eq!(stage.switches(), []);
}

#[test]
fn an_input_whose_last_stream_was_removed_stalls_after_the_timeout() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.remove_stream(PRIMARY, 0);
    assert_eq!(stage.kind(PRIMARY), HealthKind::Flowing);
    assert_eq!(stage.longest_silent(PRIMARY), Some(0));
    stage.play(&[BACKUP], 2000);
    assert_eq!(
        stage.switches(),
        [(1190, Some(PRIMARY), BACKUP, Cause::Stall)]
    );
}

#[test]
fn stamps_reported_late_and_one_by_one_stall_nobody() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.add_stream(PRIMARY, 1);
    stage.add_stream(BACKUP, 1);
    stage.play(&[PRIMARY, BACKUP], 1100);
    let now = ms(9000);
    for at in [ms(8000), ms(8995)] {
        for (input, stream) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            stage.policy.observe(now, arrived(input, stream, at));
        }
    }
    stage.policy.wake(now);
    stage.drain(9000);
    assert_eq!(stage.log, []);
}

#[test]
fn an_old_stamp_does_not_wake_a_stalled_input() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 3000);
    stage
        .policy
        .observe(ms(3000), arrived(PRIMARY, 0, ms(2000)));
    assert_eq!(stage.kind(PRIMARY), HealthKind::Stalled);
    stage
        .policy
        .observe(ms(3000), arrived(PRIMARY, 0, ms(2990)));
    assert_eq!(stage.kind(PRIMARY), HealthKind::Flowing);
}

#[test]
fn a_stamp_of_the_future_counts_as_now() {
    let mut stage = Stage::on_air(fast(), 2);
    stage
        .policy
        .observe(ms(1000), arrived(PRIMARY, 0, Moment::from_nanos(u64::MAX)));
    stage.play(&[BACKUP], 3000);
    assert_eq!(
        stage.switches(),
        [(1200, Some(PRIMARY), BACKUP, Cause::Stall)]
    );
}

// ---- known failures ----

#[test]
fn a_known_failure_switches_at_once() {
    for cause in [Cause::Eos, Cause::Error, Cause::Identity, Cause::Closed] {
        let mut stage = Stage::on_air(fast(), 2);
        stage.fail(PRIMARY, cause);
        assert_eq!(stage.switches(), [(1000, Some(PRIMARY), BACKUP, cause)]);
        assert_eq!(stage.first_switch_detection(), Span::from_millis(10));
    }
}

#[test]
fn a_new_attempt_on_the_input_on_air_is_a_loss() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.connect(PRIMARY);
    assert_eq!(
        stage.switches(),
        [(1000, Some(PRIMARY), BACKUP, Cause::Closed)]
    );
}

#[test]
fn only_a_buffer_newer_than_the_failure_ends_it() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.fail(PRIMARY, Cause::Eos);
    stage
        .policy
        .observe(ms(1500), arrived(PRIMARY, 0, ms(1000)));
    assert_eq!(stage.kind(PRIMARY), HealthKind::Down);
    stage
        .policy
        .observe(ms(1500), arrived(PRIMARY, 0, ms(1490)));
    assert_eq!(stage.kind(PRIMARY), HealthKind::Flowing);
}

#[test]
fn a_failover_goes_to_the_first_healthy_input_and_not_by_way_of_another() {
    let mut stage = Stage::on_air(fast(), 3);
    stage.play(&[THIRD], 2000);
    assert_eq!(
        stage.switches(),
        [(1190, Some(PRIMARY), THIRD, Cause::Stall)]
    );
    let mut stage = Stage::on_air(fast(), 3);
    stage.play(&[BACKUP, THIRD], 2000);
    assert_eq!(
        stage.switches(),
        [(1190, Some(PRIMARY), BACKUP, Cause::Stall)]
    );
}

// ---- outage ----

#[test]
fn an_outage_is_told_once_and_what_is_on_air_stays() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[], 60_000);
    assert_eq!(stage.outages(), [(1190, Action::EverythingDown)]);
    assert_eq!(stage.policy.on_air(), Some(InputId(PRIMARY)));
    assert!(stage.policy.is_down());
}

#[test]
fn the_first_to_come_back_from_an_outage_goes_on_air_at_once() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.fail(PRIMARY, Cause::Error);
    stage.fail(BACKUP, Cause::Eos);
    stage.play(&[], 5000);
    stage.log.clear();
    stage.play(&[PRIMARY], 5100);
    assert_eq!(stage.outages(), [(5000, Action::SomethingUp)]);
    assert_eq!(
        stage.switches(),
        [(5000, Some(BACKUP), PRIMARY, Cause::Eos)]
    );
}

#[test]
fn an_input_that_resumes_on_air_ends_the_outage_without_a_switch() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[], 3000);
    stage.log.clear();
    stage.play(&[PRIMARY], 3100);
    assert_eq!(stage.outages(), [(3000, Action::SomethingUp)]);
    assert_eq!(stage.switches(), []);
}

#[test]
fn removing_the_input_on_air_is_a_failover() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.tell(Observation::InputRemoved {
        input: InputId(PRIMARY),
    });
    assert_eq!(
        stage.switches(),
        [(1000, Some(PRIMARY), BACKUP, Cause::Closed)]
    );
    stage.tell(Observation::InputRemoved {
        input: InputId(BACKUP),
    });
    assert_eq!(stage.policy.on_air(), None);
    assert_eq!(stage.outages(), [(1000, Action::EverythingDown)]);
}
