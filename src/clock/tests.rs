// SPDX-License-Identifier: MPL-2.0
//! Of the alarm: what a clock that rings early must not do to it.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

#[test]
fn a_wake_up_that_comes_a_hair_early_is_not_the_last() {
    gst::init().unwrap();
    let (clock, time) = started();
    let (alarm, rung) = (Alarm::default(), Arc::new(AtomicU32::new(0)));
    let at = Moment::from_nanos(1_000_000);
    set(&alarm, &time, at, &rung);
    clock.set_time(gst::ClockTime::from_nseconds(at.nanos() - 100));
    assert!(clock.process_id_list(&[&clock.peek_next_pending_id().unwrap()]) == 1);
    assert_eq!(rung.load(Relaxed), 1);
    assert!(!alarm.is_armed());

    // It was too early: who looks at the time arms it again, for the same moment or a later one.
    set(&alarm, &time, at, &rung);
    assert!(clock.crank());
    assert_eq!(rung.load(Relaxed), 2);
}

#[test]
fn an_earlier_wake_up_takes_the_place_of_a_later_one() {
    gst::init().unwrap();
    let (clock, time) = started();
    let (alarm, rung) = (Alarm::default(), Arc::new(AtomicU32::new(0)));
    set(&alarm, &time, Moment::from_nanos(2_000_000), &rung);
    set(&alarm, &time, Moment::from_nanos(1_000_000), &rung);
    set(&alarm, &time, Moment::from_nanos(3_000_000), &rung);
    assert_eq!(clock.peek_id_count(), 1);
    assert!(clock.crank());
    assert_eq!(time.now(), Moment::from_nanos(1_000_000));
    assert_eq!(rung.load(Relaxed), 1);
    assert!(!alarm.is_armed());
}

#[test]
fn what_is_cleared_does_not_ring() {
    gst::init().unwrap();
    let (clock, time) = started();
    let (alarm, rung) = (Alarm::default(), Arc::new(AtomicU32::new(0)));
    set(&alarm, &time, Moment::from_nanos(1_000_000), &rung);
    alarm.clear();
    assert!(!alarm.is_armed());
    assert_eq!(clock.peek_id_count(), 0);
    assert_eq!(rung.load(Relaxed), 0);
}

fn started() -> (gst_check::TestClock, RunningTime) {
    let (clock, time) = (gst_check::TestClock::new(), RunningTime::default());
    time.start(clock.clone().upcast(), gst::ClockTime::ZERO);
    (clock, time)
}

fn set(alarm: &Alarm, time: &RunningTime, at: Moment, rung: &Arc<AtomicU32>) {
    let rung = rung.clone();
    alarm.set(time, at, move || {
        rung.fetch_add(1, Relaxed);
    });
}

#[test]
fn what_is_removed_while_it_runs_keeps_its_clock_inside_too() {
    gst::init().unwrap();
    let (outer, removed, inner) = (gst::Bin::new(), gst::Bin::new(), gst::Bin::new());
    outer.add(&removed).unwrap();
    removed.add(&inner).unwrap();
    let clock = gst_check::TestClock::new();
    outer.set_clock(Some(&clock)).unwrap();
    remove_running(&outer, &removed);
    assert!(removed.parent().is_none());
    assert_eq!(removed.clock().as_ref(), Some(clock.upcast_ref()));
    assert_eq!(inner.clock().as_ref(), Some(clock.upcast_ref()));
}
