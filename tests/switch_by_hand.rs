// SPDX-License-Identifier: MPL-2.0
//! `failoverswitch` with auto-switch off: the active pad is what was set, whatever was set.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Frame, Frames, Stage, pair, raw};

#[test]
fn without_auto_switch_a_dead_input_stays_on_air() {
    let (stage, primary, backup) = pair(&raw(), &[("auto-switch", "false")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 200..3_000, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 10)]);
    assert_eq!(stage.active_pad(), Some(primary.sink));
}

#[test]
fn without_auto_switch_the_active_pad_is_what_was_set() {
    let (stage, primary, backup) = pair(&raw(), &[("auto-switch", "false")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.set_property("active-pad", &backup.sink);
    stage.every(20, 200..400, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.active_pad(), Some(backup.sink.clone()));
    stage.switch.set_property("active-pad", &primary.sink);
    stage.every(20, 400..600, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.active_pad(), Some(primary.sink.clone()));
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10), (0, 10)]);
    assert_eq!(stage.sent().longest_step(), 20);
    stage.out.assert_one_programme();
}

#[test]
fn a_wrong_active_pad_changes_nothing() {
    let (stage, primary, backup) = pair(&raw(), &[("auto-switch", "false")]);
    let other = Stage::usual();
    let foreign = other.feed("sink_1", &raw());
    let own_source = stage.switch.static_pad("src");
    let wrong = [
        own_source,
        Some(foreign.sink.clone()),
        Some(foreign.pad.clone()),
        None,
    ];
    for pad in wrong {
        stage.switch.set_property("active-pad", pad);
        let from = stage.now();
        stage.every(20, from..from + 100, |at| {
            primary.push(Frame::at(at));
            backup.push(Frame::at(at));
        });
        stage.to(from + 100);
        assert_eq!(stage.active_pad(), Some(primary.sink.clone()));
    }
    assert_eq!(stage.sent().runs(), [(0, 20)]);
}

#[test]
fn with_auto_switch_the_active_pad_cannot_be_set() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.set_property("active-pad", &backup.sink);
    stage.every(20, 200..400, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.active_pad(), Some(primary.sink.clone()));
    assert_eq!(stage.sent().runs(), [(0, 20)]);
}

#[test]
fn auto_switch_turned_on_again_decides_again() {
    let (stage, primary, backup) = pair(&raw(), &[("auto-switch", "false")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.every(20, 200..2_000, |at| backup.push(Frame::at(at)));
    stage.switch.set_property("auto-switch", true);
    stage.every(20, 2_000..2_200, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10)]);
}
