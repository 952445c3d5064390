// SPDX-License-Identifier: MPL-2.0
//! Frames and tones that are made: as live inputs of a pipeline, for ever and in step, or one by one.
//!
//! Owns the threads that send them. Frame n of every input belongs to running time n / fps.

use std::thread;
use std::time::Duration;

use gst::prelude::*;

use super::code;
use super::tone;

/// What numbered frames look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawing {
    pub(crate) name: u8,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) fps: u32,
    /// See [`code::draw`].
    pub(crate) grain: u8,
}

impl Drawing {
    pub(crate) fn caps(&self) -> gst::Caps {
        let size =
            gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, self.width, self.height);
        let fps = gst::Fraction::new(self.fps as i32, 1);
        let info = size.fps(fps).build().expect("a size that is possible");
        info.to_caps().expect("caps")
    }

    /// Frame `number`, with its timestamp.
    pub(crate) fn frame(&self, number: u64) -> gst::Buffer {
        let luma = (self.width * self.height) as usize;
        let mut bytes = vec![128; luma * 3 / 2];
        let width = self.width as usize;
        code::draw(
            &mut bytes[..luma],
            width,
            self.name,
            number as u16,
            self.grain,
        );
        let second = gst::ClockTime::SECOND.nseconds();
        let time = |number| gst::ClockTime::from_nseconds(number * second / u64::from(self.fps));
        stamped(bytes, time(number), time(number + 1))
    }
}

/// Ten milliseconds of an input's tone, of one channel.
pub(crate) fn tone(name: u8, number: u64) -> gst::Buffer {
    let length = u64::from(tone::RATE) / 100;
    let samples = number * length..(number + 1) * length;
    let bytes = samples.flat_map(|index| tone::sample(name, index).to_le_bytes());
    let time = gst::ClockTime::from_mseconds;
    stamped(bytes.collect(), time(number * 10), time(number * 10 + 10))
}

pub(crate) fn tone_caps() -> gst::Caps {
    let info = gst_audio::AudioInfo::builder(gst_audio::AudioFormat::F32le, tone::RATE, 1);
    let info = info.build().expect("a format that is possible");
    info.to_caps().expect("caps")
}

/// Feeds numbered frames to the appsrc of this name, from PLAYING until the pipeline stops.
pub(crate) fn show(pipeline: &gst::Pipeline, appsrc: &str, drawing: Drawing) {
    let source = live(pipeline, appsrc, &drawing.caps());
    let period = Duration::from_secs(1) / drawing.fps;
    send(source, period, move |number| drawing.frame(number));
}

/// Feeds an input's tone to the appsrc of this name, from PLAYING until the pipeline stops.
pub(crate) fn sound(pipeline: &gst::Pipeline, appsrc: &str, name: u8) {
    let source = live(pipeline, appsrc, &tone_caps());
    send(source, Duration::from_millis(10), move |number| {
        tone(name, number)
    });
}

pub(super) fn stamped(bytes: Vec<u8>, from: gst::ClockTime, to: gst::ClockTime) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    let fields = buffer.make_mut();
    fields.set_pts(from);
    fields.set_duration(to - from);
    buffer
}

pub(super) fn live(pipeline: &gst::Pipeline, name: &str, caps: &gst::Caps) -> gst_app::AppSrc {
    let source = pipeline.by_name(name).expect("an element of this name");
    let source = source.downcast::<gst_app::AppSrc>().expect("an appsrc");
    source.set_caps(Some(caps));
    source.set_format(gst::Format::Time);
    source.set_is_live(true);
    // Who does not take them in time loses them, as with a camera.
    source.set_max_bytes(0);
    source.set_max_time(gst::ClockTime::SECOND);
    source.set_leaky_type(gst_app::AppLeakyType::Downstream);
    source
}

pub(super) fn send(
    source: gst_app::AppSrc,
    period: Duration,
    make: impl Fn(u64) -> gst::Buffer + Send + 'static,
) {
    thread::spawn(move || {
        let source = source.downgrade();
        // The next one that is due, by running time: it is the clock of a live source.
        let mut number = 0;
        while let Some(source) = source.upgrade() {
            let due = period * number;
            let now = source
                .current_running_time()
                .filter(|_| source.current_state() == gst::State::Playing)
                .map(|now| Duration::from_nanos(now.nseconds()));
            match now {
                Some(now) if now >= due => {
                    if source.push_buffer(make(u64::from(number))).is_err() {
                        return;
                    }
                    number += 1;
                }
                Some(now) => {
                    drop(source);
                    thread::sleep(due - now);
                }
                None if number > 0 => return,
                None => thread::sleep(Duration::from_millis(1)),
            }
        }
    });
}
