// SPDX-License-Identifier: MPL-2.0
//! An input whose source says that it is late: a return to it waits until that is made up, and nothing
//! else does.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Stage, frame_of, h264, pcm, raw, switch};

const LATE: u64 = 2_000_000_000;

/// A stage with a primary and a backup, in step; the primary was gone from 1.0 to 3.0 s and is late since.
fn late(caps: &gst::Caps) -> (Stage, Feed, Feed) {
    let stage = Stage::new(&[("timeout", "500000000"), ("recovery-time", "1000000000")]);
    let (primary, backup) = (stage.feed("sink_0", caps), stage.feed("sink_1", caps));
    stage.play();
    stage.every(20, 0..1_000, |at| both(caps, &primary, &backup, at));
    stage.every(20, 1_000..3_000, |at| backup.push(frame_of(caps, at)));
    primary.lag(LATE);
    (stage, primary, backup)
}

fn both(caps: &gst::Caps, primary: &Feed, backup: &Feed, at: u64) {
    primary.push(frame_of(caps, at));
    backup.push(frame_of(caps, at));
}

fn there_and_back() -> [(i32, i32, String); 2] {
    [switch(0, 1, "stall"), switch(1, 0, "recovered")]
}

#[test]
fn a_return_waits_until_it_is_made_up_and_proved() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = late(&caps);
        stage.every(20, 3_000..6_000, |at| both(&caps, &primary, &backup, at));
        primary.lag(0);
        stage.every(20, 6_000..6_900, |at| both(&caps, &primary, &backup, at));
        assert_eq!(stage.switches(), there_and_back()[..1]);
        stage.every(20, 6_900..8_000, |at| both(&caps, &primary, &backup, at));
        assert_eq!(stage.switches(), there_and_back());
        stage.out.assert_one_programme();
        let since: Vec<_> = stage
            .sent()
            .pts()
            .into_iter()
            .filter(|pts| *pts >= 2_000)
            .collect();
        assert_eq!(since, (2_000..8_000).step_by(20).collect::<Vec<_>>());
    }
}

#[test]
fn its_time_may_go_back_when_it_is_made_up() {
    for caps in [raw(), h264()] {
        let (stage, primary, backup) = late(&caps);
        stage.every(20, 3_000..6_000, |at| {
            // Faster than real time, up to 90 ms ahead of the clock: what is more is held up.
            primary.push(frame_of(&caps, at).later((at - 3_000) * 3 / 100));
            backup.push(frame_of(&caps, at));
        });
        primary.lag(0);
        stage.every(20, 6_000..8_000, |at| both(&caps, &primary, &backup, at));
        assert_eq!(stage.switches(), there_and_back());
        stage.out.assert_one_programme();
        let pts = stage.sent().pts();
        assert!(
            pts.windows(2).skip(60).all(|two| two[1] - two[0] == 20),
            "{pts:?}"
        );
    }
}

#[test]
fn it_is_played_late_where_there_is_nothing_better() {
    let caps = h264();
    let (stage, primary, backup) = late(&caps);
    stage.every(20, 3_000..5_000, |at| both(&caps, &primary, &backup, at));
    assert_eq!(stage.switches().len(), 1);
    stage.every(20, 5_000..6_500, |at| primary.push(frame_of(&caps, at)));
    assert_eq!(stage.switches()[1..], [switch(1, 0, "stall")]);
    assert!(stage.sent().last().is_some_and(|sent| sent.input == 0));
}

#[test]
fn who_asks_for_it_gets_it_late() {
    let caps = raw();
    let (stage, primary, backup) = late(&caps);
    stage.every(20, 3_000..3_500, |at| both(&caps, &primary, &backup, at));
    stage.switch.set_property("auto-switch", false);
    stage.switch.set_property("active-pad", &primary.sink);
    stage.every(20, 3_500..4_000, |at| both(&caps, &primary, &backup, at));
    assert_eq!(stage.switches()[1..], [switch(1, 0, "manual")]);
}

#[test]
fn another_source_in_its_place_is_not_late() {
    let caps = raw();
    let (stage, primary, backup) = late(&caps);
    primary.start(&caps);
    stage.every(20, 3_000..5_000, |at| both(&caps, &primary, &backup, at));
    assert_eq!(stage.switches(), there_and_back());
}

/// The sound alone is late, and then is no more, as `goes` has it.
fn sound_goes(goes: impl Fn(&Stage, &Feed)) {
    let (stage, primary, backup) = late(&raw());
    primary.lag(0);
    let sound = stage.feed("sink_0_1", &pcm());
    let other = stage.feed("sink_1_1", &pcm());
    sound.lag(LATE);
    stage.every(20, 3_000..5_000, |at| {
        both(&raw(), &primary, &backup, at);
        sound.push(Frame::at(at));
        other.push(Frame::at(at));
    });
    assert_eq!(stage.switches(), there_and_back()[..1]);
    // Of both, or one would have what the other lacks.
    goes(&stage, &sound);
    goes(&stage, &other);
    stage.every(20, 5_000..6_500, |at| both(&raw(), &primary, &backup, at));
    assert_eq!(stage.switches(), there_and_back());
}

#[test]
fn a_stream_that_ends_late_is_waited_for_no_more() {
    sound_goes(|_, sound| sound.eos());
}

#[test]
fn a_stream_that_goes_late_is_waited_for_no_more() {
    sound_goes(|stage, sound| stage.switch.release_request_pad(&sound.sink));
}
