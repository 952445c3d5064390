// SPDX-License-Identifier: MPL-2.0
//! The pads of `failoverswitch`: their names, and that they may come and go at any time.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Frame, Frames, Stage, pair, raw, switch};

#[test]
fn when_the_active_pad_is_released_the_next_frame_is_the_others() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&primary.sink);
    assert_ne!(stage.active_pad(), Some(primary.sink.clone()));
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10)]);
    assert_eq!(stage.sent().longest_step(), 20);
    assert_eq!(stage.active_pad(), Some(backup.sink));
    assert_eq!(stage.switches(), [switch(0, 1, "closed")]);
    assert_eq!(stage.stats().get("num-switches"), Ok(1u64));
    stage.out.assert_one_programme();
}

#[test]
fn without_auto_switch_a_released_active_pad_leaves_no_dead_output() {
    let (stage, primary, backup) = pair(&raw(), &[("auto-switch", "false")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&primary.sink);
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 10), (1, 10)]);
}

#[test]
fn the_release_of_a_standby_goes_unnoticed() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&backup.sink);
    stage.every(20, 200..400, |at| primary.push(Frame::at(at)));
    assert_eq!(stage.sent().runs(), [(0, 20)]);
    assert_eq!(stage.switches(), []);
    assert!(backup.try_push(Frame::at(400)).is_err());
}

#[test]
fn an_input_that_was_released_may_be_asked_for_again() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    stage.switch.release_request_pad(&primary.sink);
    stage.every(20, 200..1_000, |at| backup.push(Frame::at(at)));
    let again = stage.feed("sink_0", &raw());
    stage.every(20, 1_000..3_000, |at| {
        again.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.sent().runs().len(), 3);
    assert_eq!(stage.switches().last(), Some(&switch(1, 0, "recovered")));
    assert_eq!(stage.sent().longest_step(), 20);
}

#[test]
fn requested_pad_names_are_honoured() {
    let stage = Stage::usual();
    for name in ["sink_7", "sink_0_1", "sink_0", "sink_3_2", "sink_7_1"] {
        let pad = stage.switch.request_pad_simple(name).expect(name);
        assert_eq!(pad.name(), name);
    }
    // One that is taken, or says no input, cannot be had; without a name the next free one is given.
    assert_eq!(stage.switch.request_pad_simple("sink_7"), None);
    let next = stage.switch.request_pad_simple("sink_%u").expect("a pad");
    assert_eq!(next.name(), "sink_8");
    let sources: Vec<_> = stage
        .switch
        .src_pads()
        .iter()
        .map(|pad| pad.name())
        .collect();
    assert_eq!(sources, ["src", "src_1", "src_2"]);
}

#[test]
fn the_priority_of_a_pad_is_its_number_until_it_is_set() {
    let stage = Stage::usual();
    let pad = stage.switch.request_pad_simple("sink_7").expect("sink_7");
    assert_eq!(pad.property::<u32>("priority"), 7);
    pad.set_property("priority", 2u32);
    assert_eq!(pad.property::<u32>("priority"), 2);
}

#[test]
fn a_description_may_name_the_pads_in_any_order() {
    stage::init();
    let description = "fakesrc ! fs.sink_1  fakesrc ! fs.sink_0  failoverswitch name=fs ! fakesink";
    let pipeline = gst::parse::launch(description).expect("it links");
    let bin = pipeline.downcast_ref::<gst::Bin>().expect("a pipeline");
    let switch = bin.by_name("fs").expect("fs");
    let names: Vec<_> = switch.sink_pads().iter().map(|pad| pad.name()).collect();
    assert_eq!(names, ["sink_1", "sink_0"]);
    assert!(switch.sink_pads().iter().all(gst::Pad::is_linked));
}

#[test]
fn pad_properties_can_be_set_in_a_description() {
    stage::init();
    let description = "failoverswitch name=fs sink_0::priority=9 sink_1::priority=3 ! fakesink \
        fakesrc ! fs.sink_0  fakesrc ! fs.sink_1";
    let pipeline = gst::parse::launch(description).expect("it links");
    let bin = pipeline.downcast_ref::<gst::Bin>().expect("a pipeline");
    let switch = bin.by_name("fs").expect("fs");
    let priority = |name| {
        switch
            .static_pad(name)
            .expect(name)
            .property::<u32>("priority")
    };
    assert_eq!((priority("sink_0"), priority("sink_1")), (9, 3));
}
