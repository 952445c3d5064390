// SPDX-License-Identifier: MPL-2.0
//! A standby whose key frames grow old asks for one before anybody needs it: a sender that makes none by
//! itself, as over WebRTC, would else be waited for at the cut.

#[path = "support/stage/mod.rs"]
mod stage;

use stage::{Feed, Frame, Stage, h264};

fn pair() -> (Stage, Feed, Feed) {
    let stage = Stage::new(&[
        ("timeout", "500000000"),
        ("standby-max-time", "60000000000"),
    ]);
    let (primary, backup) = (stage.feed("sink_0", &h264()), stage.feed("sink_1", &h264()));
    stage.play();
    (stage, primary, backup)
}

fn each_second(at: u64) -> Frame {
    Frame::at(at).delta_unless(at.is_multiple_of(1_000))
}

#[test]
fn an_old_key_frame_is_asked_for_anew_and_the_cut_has_a_young_one() {
    let (stage, primary, backup) = pair();
    let mut served = 0;
    stage.every(20, 0..21_020, |at| {
        if at < 20_500 {
            primary.push(each_second(at));
        }
        if at == 20_500 {
            primary.eos();
        }
        let asked = backup.key_frames_asked();
        backup.push(Frame::at(at).delta_unless(at == 0 || asked > served));
        served = asked;
    });
    // At 4.5 s, and so on; and once more for the cut itself.
    assert_eq!(served, 5);
    let first = stage.sent().into_iter().find(|sent| sent.input == 1);
    let first = first.expect("the backup is on air");
    assert!(first.at <= 20_540, "{first:?}");
    stage.out.assert_one_programme();
}

#[test]
fn who_does_not_answer_is_asked_ever_more_rarely() {
    let (stage, primary, backup) = pair();
    stage.every(20, 0..30_000, |at| {
        primary.push(each_second(at));
        backup.push(Frame::at(at).delta_unless(at == 0));
    });
    // At 4.5, 5.5, 7.5, 11.5 and 19.5 s.
    assert_eq!(backup.key_frames_asked(), 5);
}

#[test]
fn the_input_on_air_and_a_standby_with_key_frames_are_left_alone() {
    let (stage, primary, backup) = pair();
    stage.every(20, 0..1_000, |at| {
        primary.push(Frame::at(at).delta_unless(at == 0));
        backup.push(each_second(at));
    });
    let asked = primary.key_frames_asked();
    stage.every(20, 1_000..20_000, |at| {
        primary.push(Frame::at(at).delta_unless(at == 0));
        backup.push(each_second(at));
    });
    assert_eq!(primary.key_frames_asked(), asked);
    assert_eq!(backup.key_frames_asked(), 0);
}

#[test]
fn a_stream_that_begins_in_the_middle_of_a_group_asks_for_its_first_key_frame() {
    let (stage, primary, _backup) = pair();
    stage.every(20, 0..100, |at| {
        let asked = primary.key_frames_asked() > 0;
        primary.push(Frame::at(at).delta_unless(asked));
    });
    let sent = stage.sent();
    assert!(sent.first().is_some_and(|first| first.at <= 40), "{sent:?}");
}
