// SPDX-License-Identifier: MPL-2.0
//! The meter itself: streams of which it is known what is wrong with them give these figures.

#[path = "support/meter/mod.rs"]
mod meter;

use meter::code::{self, Inscription, Plane};
use meter::hearing::{Sound, hearing};
use meter::sight::{Numbering, Picture, sight};
use meter::tone::{self, Heard};

const NUMBERING: Numbering = Numbering {
    fps: 50,
    cycle: 400,
};
const FRAME: f64 = 0.02;

// ---- pictures -----------------------------------------------------------------------------------

fn drawn(name: u8, number: u16) -> Vec<u8> {
    let mut luma = vec![0; 320 * 180];
    code::draw(&mut luma, 320, name, number, 0);
    luma
}

fn plane(luma: &[u8]) -> Plane<'_> {
    Plane {
        luma,
        stride: 320,
        width: 320,
        height: 180,
    }
}

#[test]
fn every_number_and_name_is_read_as_it_was_drawn() {
    for name in 0..16 {
        for number in (0..u16::MAX).step_by(4111) {
            let frame = Inscription::Frame { name, number };
            assert_eq!(code::read(plane(&drawn(name, number))), frame);
        }
    }
}

#[test]
fn grain_disturbs_no_reading() {
    let mut luma = vec![0; 320 * 180];
    code::draw(&mut luma, 320, 3, 777, 30);
    assert_eq!(
        code::read(plane(&luma)),
        Inscription::Frame {
            name: 3,
            number: 777
        }
    );
}

#[test]
fn black_is_black_and_grey_is_broken() {
    assert_eq!(code::read(plane(&[16; 320 * 180])), Inscription::Black);
    assert_eq!(code::read(plane(&[0; 320 * 180])), Inscription::Black);
    assert_eq!(code::read(plane(&[128; 320 * 180])), Inscription::Broken);
    assert_eq!(code::read(plane(&[128; 320])), Inscription::Broken);
}

/// The inscription at the top is that of one frame, the rest is another's.
#[test]
fn a_picture_put_together_from_two_is_broken() {
    let mut luma = drawn(0, 100);
    luma[320 * 90..].copy_from_slice(&drawn(0, 101)[320 * 90..]);
    assert_eq!(code::read(plane(&luma)), Inscription::Broken);
    // Only blocks that spell nothing.
    let mut luma = drawn(0, 100);
    luma[320 * 100..320 * 160].copy_from_slice(&drawn(1, 100)[320 * 100..320 * 160]);
    assert_eq!(code::read(plane(&luma)), Inscription::Broken);
}

/// What a decoder makes of a predicted frame when it holds another input's picture: the difference
/// from the frame before, on the wrong ground.
#[test]
fn a_difference_on_the_wrong_ground_is_broken() {
    for number in 100..164 {
        let (before, after, wrong) = (drawn(1, number), drawn(1, number + 1), drawn(0, number));
        let sums = before.iter().zip(&after).zip(&wrong);
        let luma: Vec<u8> = sums
            .map(|((b, a), w)| (i32::from(*w) + i32::from(*a) - i32::from(*b)).clamp(0, 255) as u8)
            .collect();
        assert_eq!(code::read(plane(&luma)), Inscription::Broken, "{number}");
    }
}

/// One picture each frame, on time.
fn pictures(numbers: impl IntoIterator<Item = u16>) -> Vec<Picture> {
    let numbers = numbers.into_iter().enumerate();
    let picture = |(index, number): (usize, u16)| Picture {
        arrival: index as f64 * FRAME + 0.001,
        time: index as f64 * FRAME,
        says: Inscription::Frame {
            name: 0,
            number: number % 400,
        },
    };
    numbers.map(picture).collect()
}

fn end_of(pictures: &[Picture]) -> f64 {
    pictures
        .last()
        .map_or(0.0, |picture| picture.arrival + FRAME)
}

#[test]
fn a_sound_stream_has_nothing_wrong_even_where_numbers_begin_anew() {
    let pictures = pictures(350..1000);
    let sight = sight(&pictures, NUMBERING, 0.0, end_of(&pictures));
    assert_eq!((sight.pictures, sight.lost, sight.repeated), (650, 0, 0));
    assert_eq!((sight.reordered, sight.broken, sight.late), (0, 0, 0));
    assert!(sight.freeze < 1e-6, "{sight:?}");
    assert_eq!(sight.runs, [(0, 650)]);
}

#[test]
fn what_is_lost_repeated_out_of_order_broken_black_and_late_is_counted() {
    let mut all = pictures([0, 1, 2, 5, 6, 6, 7, 9, 8, 10, 11, 12, 13]);
    // Numbers follow the time that they claim, as a stream does that has lost some.
    for picture in &mut all[3..] {
        picture.time += 2.0 * FRAME;
        picture.arrival += 2.0 * FRAME;
    }
    all[10].says = Inscription::Broken;
    all[11].says = Inscription::Black;
    all[12].arrival += 0.03;
    let sight = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert_eq!(
        sight.lost, 4,
        "3, 4 and those that are unreadable: {sight:?}"
    );
    assert_eq!((sight.repeated, sight.reordered), (1, 1), "{sight:?}");
    assert_eq!(
        (sight.broken, sight.black, sight.late),
        (1, 1, 1),
        "{sight:?}"
    );
}

#[test]
fn a_long_hole_is_no_matter_of_whole_cycles() {
    let mut all = pictures(0..100);
    // 500 frames are missing: more than a cycle.
    all.extend(pictures(600..700).into_iter().map(|picture| Picture {
        arrival: picture.arrival + 12.0,
        time: picture.time + 12.0,
        ..picture
    }));
    let sight = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert_eq!((sight.lost, sight.repeated), (500, 0));
    assert!((sight.freeze - 10.0).abs() < 1e-6, "{sight:?}");
    assert!((sight.freeze_at - 1.981).abs() < 1e-6, "{sight:?}");
}

#[test]
fn latency_hides_what_comes_within_it_and_a_stand_still_is_a_freeze() {
    let mut all = pictures(0..100);
    for (index, picture) in all[50..75].iter_mut().enumerate() {
        // Half a second is silent, then all comes at once.
        picture.arrival = 1.5 + index as f64 * 1e-4;
    }
    let end = end_of(&all);
    let hidden = sight(&all, NUMBERING, 0.6, end);
    assert!(hidden.freeze < 1e-6 && hidden.late == 0, "{hidden:?}");
    let shown = sight(&all, NUMBERING, 0.0, end);
    assert!((shown.freeze - 0.499).abs() < 1e-6, "{shown:?}");
    // To the end, too.
    let stopped = sight(&all, NUMBERING, 0.0, end + 3.0);
    assert!((stopped.freeze - 3.0).abs() < 1e-6, "{stopped:?}");
}

#[test]
fn repeated_pictures_and_black_ones_do_not_end_a_freeze() {
    let mut all = pictures((0..50).chain([49; 10]).chain(60..80));
    let repeated = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert!(
        (repeated.freeze - 10.0 * FRAME).abs() < 1e-6,
        "{repeated:?}"
    );
    for picture in &mut all[50..60] {
        picture.says = Inscription::Black;
    }
    let black = sight(&all, NUMBERING, 0.0, end_of(&all));
    assert!((black.freeze - 10.0 * FRAME).abs() < 1e-6, "{black:?}");
}

// ---- sound --------------------------------------------------------------------------------------

/// Pieces of 1024 samples of an input's tone: `from` is the first sample that is sent.
fn sounds(name: u8, from: u64, pieces: u64) -> Vec<Sound> {
    let piece = |index| {
        let first = from + index * 1024;
        let time = first as f64 / f64::from(tone::RATE);
        Sound {
            arrival: time,
            time,
            rate: tone::RATE,
            samples: (first..first + 1024)
                .map(|s| tone::sample(name, s))
                .collect(),
        }
    };
    (0..pieces).map(piece).collect()
}

/// The same from this piece on, later by so many samples.
fn shift(sounds: &mut [Sound], samples: i32) {
    for sound in sounds {
        sound.time += f64::from(samples) / f64::from(tone::RATE);
    }
}

#[test]
fn a_tone_tells_its_input_and_its_time() {
    for name in 0..4 {
        for start in [0, 1, 4_800, 12_345, 48_000 * 7 + 17] {
            let window: Vec<f32> = (start..start + 1920)
                .map(|s| tone::sample(name, s))
                .collect();
            let Heard::Tone { name: heard, time } = tone::hear(&window, tone::RATE) else {
                panic!("{name} at {start} is unclear");
            };
            let middle = (start as f64 + 959.5) / f64::from(tone::RATE);
            assert_eq!(heard, name);
            assert!(
                tone::apart(time, middle).abs() < 2e-5,
                "{name} at {start}: {time}"
            );
        }
    }
    assert_eq!(tone::hear(&[0.0; 1920], tone::RATE), Heard::Silence);
}

#[test]
fn whole_sound_has_no_gap_and_lies_on_its_picture() {
    let hearing = hearing(&sounds(0, 0, 200), &pictures(0..230), NUMBERING);
    assert_eq!((hearing.hole, hearing.overlap, hearing.silent), (0, 0, 0));
    assert_eq!((hearing.skipped, hearing.repeated), (0, 0));
    let [least, _, most] = hearing.behind_picture.expect("an offset");
    assert!(least.abs() < 1e-4 && most.abs() < 1e-4, "{hearing:?}");
}

#[test]
fn holes_skips_repetitions_and_silence_are_counted_in_samples() {
    let mut hole = sounds(0, 0, 40);
    hole.extend(sounds(0, 41 * 1024, 40));
    let heard = hearing(&hole, &[], NUMBERING);
    assert_eq!((heard.hole, heard.skipped), (1024, 1024), "{heard:?}");

    // A sample here or there comes from the clock of the window.
    let about = |count: usize, expected: usize| count.abs_diff(expected) <= 2;
    let mut closed = hole.clone();
    shift(&mut closed[40..], -1024);
    let heard = hearing(&closed, &[], NUMBERING);
    assert!(heard.hole == 0 && about(heard.skipped, 1024), "{heard:?}");

    let mut twice = sounds(0, 0, 40);
    twice.extend(sounds(0, 38 * 1024, 40));
    shift(&mut twice[40..], 2048);
    let heard = hearing(&twice, &[], NUMBERING);
    assert!(
        heard.overlap == 0 && about(heard.repeated, 2048),
        "{heard:?}"
    );

    let mut silent = sounds(0, 0, 40);
    silent[20].samples.fill(0.0);
    let heard = hearing(&silent, &[], NUMBERING);
    assert!(about(heard.silent, 1024), "{heard:?}");
}

#[test]
fn sound_that_is_late_or_of_another_input_is_found() {
    let mut late = sounds(0, 0, 100);
    shift(&mut late[50..], 480);
    let [least, _, most] = hearing(&late, &pictures(0..200), NUMBERING)
        .behind_picture
        .expect("one");
    assert!(
        least.abs() < 1e-4 && (most - 0.01).abs() < 1e-3,
        "{least} {most}"
    );
    let other = hearing(&sounds(1, 0, 100), &pictures(0..200), NUMBERING);
    assert!(
        other.mixed > 1.9 && other.behind_picture.is_none(),
        "{other:?}"
    );
}
