// SPDX-License-Identifier: MPL-2.0
//! Return and damping, hold, order, cold standby and odd values, one sentence each.

use super::stage::{BACKUP, PRIMARY, Stage, THIRD, arrived, fast, ms};
use super::*;

const BOTH: [u32; 2] = [PRIMARY, BACKUP];

// ---- return ----

#[test]
fn the_primary_is_returned_to_once_it_has_proved_itself() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 3000);
    stage.log.clear();
    stage.play(&BOTH, 20_000);
    assert_eq!(
        stage.switches(),
        [(8000, Some(BACKUP), PRIMARY, Cause::Recovered)]
    );
    assert_eq!(stage.first_switch_detection(), Span::ZERO);
}

#[test]
fn a_break_starts_the_proof_anew() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 3000);
    stage.play(&BOTH, 7000);
    stage.play(&[BACKUP], 8000);
    stage.log.clear();
    stage.play(&BOTH, 20_000);
    assert_eq!(
        stage.switches(),
        [(13_000, Some(BACKUP), PRIMARY, Cause::Recovered)]
    );
}

#[test]
fn the_proof_begins_when_what_comes_is_late_no_more() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 3000);
    stage.log.clear();
    stage.late(PRIMARY, true);
    stage.play(&BOTH, 12_000);
    stage.late(PRIMARY, false);
    stage.play(&BOTH, 20_000);
    assert_eq!(
        stage.switches(),
        [(17_000, Some(BACKUP), PRIMARY, Cause::Recovered)]
    );
}

#[test]
fn what_is_late_is_better_than_nothing() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 3000);
    stage.late(PRIMARY, true);
    stage.play(&BOTH, 10_000);
    stage.log.clear();
    stage.play(&[PRIMARY], 12_000);
    assert_eq!(
        stage.switches(),
        [(10_190, Some(BACKUP), PRIMARY, Cause::Stall)]
    );
}

#[test]
fn another_attempt_is_not_late() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 3000);
    stage.log.clear();
    stage.late(PRIMARY, true);
    stage.play(&BOTH, 4000);
    stage.connect(PRIMARY);
    stage.play(&BOTH, 20_000);
    assert_eq!(
        stage.switches(),
        [(9000, Some(BACKUP), PRIMARY, Cause::Recovered)]
    );
}

#[test]
fn with_no_recovery_time_the_primary_is_back_on_its_first_buffer() {
    let config = Config {
        recovery_time: Span::ZERO,
        ..fast()
    };
    let mut stage = Stage::on_air(config, 2);
    stage.play(&[BACKUP], 3000);
    stage.log.clear();
    stage.tell(arrived(PRIMARY, 0, ms(3000)));
    assert_eq!(
        stage.switches(),
        [(3000, Some(BACKUP), PRIMARY, Cause::Recovered)]
    );
}

#[test]
fn a_flapping_primary_does_not_take_over() {
    let mut stage = Stage::on_air(fast(), 2);
    for round in 1..=600 {
        stage.play(&BOTH, 600 + round * 1000);
        stage.play(&[BACKUP], (round + 1) * 1000);
    }
    assert_eq!(stage.switches().len(), 1);
}

#[test]
fn each_relapse_doubles_the_recovery_need_up_to_the_bound() {
    let config = Config {
        recovery_max: Span::from_secs(15),
        ..fast()
    };
    let mut stage = Stage::on_air(config, 2);
    for need in [5, 10, 15, 15] {
        stage.play(&[BACKUP], stage.millis + 1000);
        let proof = stage.millis;
        play_until_the_return(&mut stage);
        assert_eq!(stage.millis - proof, need * 1000);
    }
    // Nor does the way back grow: the relapses beyond the bound were not counted.
    stage.play(&BOTH, stage.millis + 15_010);
    let need = stage.policy.recovery_needed(InputId(PRIMARY));
    assert_eq!(need, Some(Span::from_secs(10)));
}

#[test]
fn one_return_is_one_relapse_at_most() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 2000);
    play_until_the_return(&mut stage);
    for _ in 0..3 {
        stage.play(&[], stage.millis + 1000);
        stage.play(&[PRIMARY], stage.millis + 1000);
    }
    let need = stage.policy.recovery_needed(InputId(PRIMARY));
    assert_eq!(need, Some(Span::from_secs(10)));
}

#[test]
fn time_on_air_counts_too_when_it_ends_by_hand() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 2000);
    play_until_the_return(&mut stage);
    stage.play(&[BACKUP], stage.millis + 1000);
    play_until_the_return(&mut stage);
    stage.play(&BOTH, stage.millis + 11_000);
    stage.tell(Observation::Hold(Some(InputId(BACKUP))));
    let need = stage.policy.recovery_needed(InputId(PRIMARY));
    assert_eq!(need, Some(Span::from_secs(5)));
}

#[test]
fn time_on_air_in_health_makes_relapses_good() {
    let config = Config {
        recovery_time: Span::from_secs(1),
        ..fast()
    };
    let need = |stage: &Stage| stage.policy.recovery_needed(InputId(PRIMARY)).unwrap();
    let mut stage = Stage::on_air(config, 2);
    for _ in 0..3 {
        stage.play(&[BACKUP], stage.millis + 1000);
        play_until_the_return(&mut stage);
    }
    stage.play(&[BACKUP], stage.millis + 1000);
    assert_eq!(need(&stage), Span::from_secs(8));
    play_until_the_return(&mut stage);
    stage.play(&BOTH, stage.millis + 7900);
    assert_eq!(need(&stage), Span::from_secs(8));
    stage.play(&BOTH, stage.millis + 200);
    assert_eq!(need(&stage), Span::from_secs(4));
    stage.play(&BOTH, stage.millis + 4000 + 2000);
    assert_eq!(need(&stage), Span::from_secs(1));
}

fn play_until_the_return(stage: &mut Stage) {
    while stage.policy.on_air() != Some(InputId(PRIMARY)) {
        stage.play(&BOTH, stage.millis + 10);
    }
}

#[test]
fn a_return_that_lasted_is_no_relapse() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 2000);
    stage.play(&BOTH, 60_000);
    stage.play(&[BACKUP], 61_000);
    let need = stage.policy.recovery_needed(InputId(PRIMARY)).unwrap();
    assert_eq!(need, fast().recovery_time);
}

#[test]
fn on_failure_the_first_healthy_input_follows_the_failed_one() {
    let mut stage = the_backup_on_air_of_three(SwitchBack::OnFailure);
    stage.fail(BACKUP, Cause::Error);
    let expected = [(60_000, Some(BACKUP), PRIMARY, Cause::Error)];
    assert_eq!(stage.switches(), expected);
}

#[test]
fn manual_the_next_input_in_order_follows_the_failed_one() {
    let mut stage = the_backup_on_air_of_three(SwitchBack::Manual);
    stage.fail(BACKUP, Cause::Error);
    stage.fail(THIRD, Cause::Error);
    let expected = [
        (60_000, Some(BACKUP), THIRD, Cause::Error),
        (60_000, Some(THIRD), PRIMARY, Cause::Error),
    ];
    assert_eq!(stage.switches(), expected);
}

/// The primary failed once and has been healthy again for long; nobody returned to it.
fn the_backup_on_air_of_three(switch_back: SwitchBack) -> Stage {
    let config = Config {
        switch_back,
        ..fast()
    };
    let mut stage = Stage::on_air(config, 3);
    stage.fail(PRIMARY, Cause::Error);
    stage.log.clear();
    stage.play(&[PRIMARY, BACKUP, THIRD], 60_000);
    assert_eq!(stage.switches(), []);
    stage
}

// ---- hold, and by hand ----

#[test]
fn a_held_input_stays_on_air_whatever_its_health() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.tell(Observation::Hold(Some(InputId(BACKUP))));
    stage.fail(BACKUP, Cause::Error);
    stage.play(&[PRIMARY], 60_000);
    let expected = [(1000, Some(PRIMARY), BACKUP, Cause::Manual)];
    assert_eq!(stage.switches(), expected);
    assert_eq!(stage.outages(), []);
    stage.log.clear();
    stage.tell(Observation::Hold(None));
    let expected = [(60_000, Some(BACKUP), PRIMARY, Cause::Error)];
    assert_eq!(stage.switches(), expected);
}

#[test]
fn an_input_that_was_switched_to_by_hand_lasts_until_the_earlier_one_has_proved_itself() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&BOTH, 60_000);
    stage.tell(Observation::Hold(Some(InputId(BACKUP))));
    stage.tell(Observation::Hold(None));
    stage.play(&BOTH, 100_000);
    let expected = [
        (60_000, Some(PRIMARY), BACKUP, Cause::Manual),
        (65_000, Some(BACKUP), PRIMARY, Cause::Recovered),
    ];
    assert_eq!(stage.switches(), expected);
}

#[test]
fn a_held_input_that_is_removed_is_held_no_more() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.tell(Observation::Hold(Some(InputId(PRIMARY))));
    stage.tell(Observation::InputRemoved {
        input: InputId(PRIMARY),
    });
    assert_eq!(stage.policy.held(), None);
    assert_eq!(stage.policy.on_air(), Some(InputId(BACKUP)));
}

#[test]
fn an_unknown_input_is_not_held() {
    let mut stage = Stage::on_air(fast(), 1);
    stage.tell(Observation::Hold(Some(InputId(9))));
    assert_eq!(stage.policy.held(), None);
    assert_eq!(stage.policy.on_air(), Some(InputId(PRIMARY)));
}

#[test]
fn by_hand_nothing_is_switched_but_by_hold() {
    let config = Config {
        automatic: false,
        ..fast()
    };
    let mut stage = Stage::new(config, 2);
    stage.play(&[BACKUP], 10_000);
    assert_eq!(stage.policy.on_air(), None);
    stage.play(&BOTH, 11_000);
    stage.play(&[BACKUP], 30_000);
    let expected = [(10_000, None, PRIMARY, Cause::Startup)];
    assert_eq!(stage.switches(), expected);
    stage.tell(Observation::Hold(Some(InputId(BACKUP))));
    stage.tell(Observation::Hold(None));
    stage.play(&[PRIMARY], 60_000);
    assert_eq!(stage.switches().len(), 2);
}

// ---- order ----

#[test]
fn an_input_that_becomes_preferred_is_switched_to_when_it_has_proved_itself() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&BOTH, 3000);
    stage.tell(Observation::Prioritised {
        input: InputId(PRIMARY),
        priority: 8,
    });
    stage.play(&BOTH, 20_000);
    let expected = [(5000, Some(PRIMARY), BACKUP, Cause::Recovered)];
    assert_eq!(stage.switches(), expected);
}

#[test]
fn among_equal_priorities_the_lower_id_is_preferred() {
    let mut stage = Stage::on_air(fast(), 3);
    for input in [BACKUP, THIRD] {
        stage.tell(Observation::Prioritised {
            input: InputId(input),
            priority: 5,
        });
    }
    stage.fail(PRIMARY, Cause::Eos);
    assert_eq!(stage.policy.on_air(), Some(InputId(BACKUP)));
}

// ---- cold standby ----

#[test]
fn a_cold_backup_is_started_when_the_primary_is_suspect_and_stopped_after_the_return() {
    let mut stage = a_primary_and_cold_backups(1);
    stage.play(&[PRIMARY], 1000);
    assert_eq!(stage.starts_and_stops(), []);
    stage.play(&[], 1200);
    assert_eq!(stage.starts_and_stops(), [(1090, "start", BACKUP)]);
    stage.connect(BACKUP);
    stage.play(&[BACKUP], 4000);
    stage.log.clear();
    stage.play(&BOTH, 20_000);
    assert_eq!(stage.starts_and_stops(), [(9000, "stop", BACKUP)]);
    assert_eq!(stage.kind(BACKUP), HealthKind::Idle);
}

#[test]
fn a_false_alarm_is_forgotten_once_the_primary_has_been_calm_for_the_recovery_time() {
    let mut stage = a_primary_and_cold_backups(1);
    stage.play(&[PRIMARY], 1000);
    stage.play(&[], 1150);
    stage.connect(BACKUP);
    stage.play(&BOTH, 20_000);
    let expected = [(1090, "start", BACKUP), (6150, "stop", BACKUP)];
    assert_eq!(stage.starts_and_stops(), expected);
    assert_eq!(stage.switches().len(), 1);
}

#[test]
fn cold_inputs_are_started_one_after_the_other() {
    let mut stage = a_primary_and_cold_backups(2);
    stage.play(&[PRIMARY], 1000);
    stage.fail(PRIMARY, Cause::Closed);
    stage.connect(BACKUP);
    stage.play(&[], 60_000);
    let expected = [(1000, "start", BACKUP), (3000, "start", THIRD)];
    assert_eq!(stage.starts_and_stops(), expected);
}

#[test]
fn a_stopped_input_is_not_listened_to() {
    let mut stage = a_primary_and_cold_backups(1);
    stage.play(&BOTH, 1000);
    stage.fail(BACKUP, Cause::Closed);
    assert_eq!(stage.kind(BACKUP), HealthKind::Idle);
}

#[test]
fn a_hold_starts_a_cold_input() {
    let mut stage = a_primary_and_cold_backups(1);
    stage.play(&[PRIMARY], 1000);
    stage.tell(Observation::Hold(Some(InputId(BACKUP))));
    stage.tell(Observation::Hold(Some(InputId(BACKUP))));
    assert_eq!(stage.starts_and_stops(), [(1000, "start", BACKUP)]);
}

fn a_primary_and_cold_backups(count: u32) -> Stage {
    let mut stage = Stage::empty(fast());
    stage.add(PRIMARY, Standby::Hot);
    (1..=count).for_each(|input| stage.add(input, Standby::Cold));
    stage.connect(PRIMARY);
    stage
}

// ---- odd values ----

#[test]
fn a_timeout_of_zero_is_a_millisecond() {
    let config = Config {
        timeout: Span::ZERO,
        startup_timeout: Span::ZERO,
        ..fast()
    };
    let policy = Policy::new(config, Moment::ZERO);
    assert_eq!(policy.config().timeout, Span::from_millis(1));
    assert_eq!(policy.config().startup_timeout, Span::from_millis(1));
}

#[test]
fn an_endless_timeout_never_stalls() {
    let config = Config {
        timeout: Span::MAX,
        ..fast()
    };
    let mut stage = Stage::on_air(config, 2);
    stage.policy.wake(Moment::from_nanos(u64::MAX));
    assert_eq!(stage.kind(PRIMARY), HealthKind::Suspect);
    assert_eq!(stage.policy.next_wake(), None);
}

#[test]
fn time_does_not_go_back() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.play(&[BACKUP], 1100);
    stage.policy.wake(ms(1300));
    stage.policy.observe(ms(0), arrived(BACKUP, 0, ms(1300)));
    stage.policy.wake(ms(0));
    assert_eq!(stage.kind(BACKUP), HealthKind::Flowing);
    assert!(stage.policy.next_wake() > Some(ms(1300)));
    stage.policy.observe(
        ms(0),
        Observation::Connecting {
            input: InputId(PRIMARY),
        },
    );
    let connecting = Health::Connecting { since: ms(1300) };
    assert_eq!(stage.policy.health(InputId(PRIMARY)), Some(connecting));
}

#[test]
fn an_input_that_is_lost_before_its_cut_has_not_relapsed() {
    for (cuts_at_once, need) in [(false, 5), (true, 10)] {
        let mut stage = Stage::on_air(fast(), 2);
        stage.fail(PRIMARY, Cause::Error);
        stage.connect(PRIMARY);
        stage.cuts_at_once = cuts_at_once;
        stage.play(&[PRIMARY, BACKUP], 7000);
        assert_eq!(stage.policy.on_air(), Some(InputId(PRIMARY)));
        stage.fail(PRIMARY, Cause::Error);
        assert_eq!(stage.policy.on_air(), Some(InputId(BACKUP)));
        let needed = stage.policy.recovery_needed(InputId(PRIMARY));
        assert_eq!(needed, Some(Span::from_secs(need)));
    }
}

#[test]
fn a_relapse_is_made_good_from_the_cut_on() {
    let mut stage = Stage::on_air(fast(), 2);
    stage.fail(PRIMARY, Cause::Error);
    stage.connect(PRIMARY);
    stage.play(&[PRIMARY, BACKUP], 7000);
    stage.fail(PRIMARY, Cause::Error);
    stage.connect(PRIMARY);
    stage.cuts_at_once = false;
    // Returned to at 17 s, and cut at 30 s.
    stage.play(&[PRIMARY, BACKUP], 30_000);
    let input = InputId(PRIMARY);
    assert_eq!(stage.policy.on_air(), Some(input));
    stage.tell(Observation::Cut { input });
    let needed = |stage: &Stage| stage.policy.recovery_needed(input);
    stage.play(&[PRIMARY, BACKUP], 39_900);
    assert_eq!(needed(&stage), Some(Span::from_secs(10)));
    stage.play(&[PRIMARY, BACKUP], 40_100);
    assert_eq!(needed(&stage), Some(Span::from_secs(5)));
}
