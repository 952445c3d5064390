// SPDX-License-Identifier: MPL-2.0
//! A viewer with a good memory: plays the output, and knows which picture was on the screen and
//! which tone was in the air at any moment of the last seconds.
//!
//! Owns the playing pipeline. Judges by pixels and samples alone, never by what the element says.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::tone;

pub(crate) const WIDTH: usize = 240;
pub(crate) const HEIGHT: usize = 135;
const MEMORY: Duration = Duration::from_secs(20);

/// Whose picture or sound it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Primary,
    Backup,
    /// Black, or silence.
    Slate,
    Unknown,
}

/// A picture that came onto the screen.
#[derive(Clone)]
pub(crate) struct Shot {
    pub(crate) at: Instant,
    pub(crate) seen: Seen,
    pub(crate) rgb: Arc<[u8]>,
}

#[derive(Default)]
struct Memory {
    shots: VecDeque<Shot>,
    sounds: VecDeque<(Instant, Seen)>,
}

pub(crate) struct Viewer {
    pipeline: gst::Pipeline,
    memory: Arc<Mutex<Memory>>,
}

impl Viewer {
    /// Plays `source`; with `window`, for the eyes and ears of a person too.
    pub(crate) fn play(source: &gst::Element, window: bool) -> Result<Self, gst::glib::Error> {
        let screen = if window {
            "videoconvert ! autovideosink"
        } else {
            "fakesink"
        };
        let speaker = if window {
            "audioconvert ! audioresample ! autoaudiosink"
        } else {
            "fakesink"
        };
        let rate = tone::RATE;
        let description = format!(
            "tee name=video ! queue ! videoconvert ! videoscale
               ! video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},pixel-aspect-ratio=1/1
               ! appsink name=eye sync=true video. ! queue ! {screen}
             tee name=audio ! queue ! audioconvert ! audioresample
               ! audio/x-raw,format=F32LE,layout=interleaved,channels=1,rate={rate}
               ! appsink name=ear sync=true audio. ! queue ! {speaker}"
        );
        let bin = gst::parse::launch(&description)?;
        let pipeline = bin
            .downcast::<gst::Pipeline>()
            .expect("several elements make a pipeline");
        let memory = Arc::new(Mutex::new(Memory::default()));
        watch(&sink(&pipeline, "eye"), &memory, |memory, at, bytes| {
            memory.see(at, bytes)
        });
        watch(&sink(&pipeline, "ear"), &memory, |memory, at, bytes| {
            memory.hear(at, bytes)
        });

        pipeline.add(source).expect("a source of its own");
        let tees = ["video", "audio"].map(|name| pipeline.by_name(name).expect("a tee"));
        source.connect_pad_added(move |_, pad| {
            let tee = &tees[usize::from(pad.name().starts_with("audio"))];
            let sink = tee.static_pad("sink").expect("a tee has one");
            if !sink.is_linked() {
                let _ = pad.link(&sink);
            }
        });
        let viewer = Self { pipeline, memory };
        if viewer.pipeline.set_state(gst::State::Playing).is_err() {
            let reason = viewer
                .pop_message(Duration::ZERO)
                .map(|message| format!("{message:?}"));
            let reason = reason.unwrap_or_else(|| "it does not start".to_owned());
            return Err(gst::glib::Error::new(gst::CoreError::StateChange, &reason));
        }
        Ok(viewer)
    }

    /// The next message of the pipeline, if one comes within `wait`.
    pub(crate) fn pop_message(&self, wait: Duration) -> Option<gst::Message> {
        let wait = gst::ClockTime::from_nseconds(wait.as_nanos() as u64);
        self.pipeline.bus()?.timed_pop(wait)
    }

    /// What is on the screen, and in the air.
    pub(crate) fn now(&self) -> (Seen, Seen) {
        self.with(|memory| {
            let picture = memory.shots.back().map_or(Seen::Unknown, |shot| shot.seen);
            let sound = memory
                .sounds
                .back()
                .map_or(Seen::Unknown, |(_, seen)| *seen);
            (picture, sound)
        })
    }

    /// When `seen` was first on the screen after `from`; likewise in the air.
    pub(crate) fn first(&self, seen: Seen, from: Instant) -> (Option<Instant>, Option<Instant>) {
        self.with(|memory| {
            let shot = memory
                .shots
                .iter()
                .find(|shot| shot.at >= from && shot.seen == seen);
            let sound = memory
                .sounds
                .iter()
                .find(|(at, heard)| *at >= from && *heard == seen);
            (shot.map(|shot| shot.at), sound.map(|(at, _)| *at))
        })
    }

    /// The longest time without a new picture between two moments. Nothing moves in black: where it
    /// is as it should be, each of its frames counts as new, elsewhere none does.
    pub(crate) fn longest_still(
        &self,
        from: Instant,
        to: Instant,
        black_is_fine: bool,
    ) -> Duration {
        self.with(|memory| {
            let mut moved = from;
            let mut longest = Duration::ZERO;
            let mut last: Option<&Shot> = None;
            for shot in memory.shots.iter().take_while(|shot| shot.at <= to) {
                let still = match shot.seen {
                    Seen::Slate => !black_is_fine,
                    _ => last.is_some_and(|last| last.rgb == shot.rgb),
                };
                last = Some(shot);
                if still {
                    continue;
                }
                if shot.at > from {
                    // The picture before the first moment counts from when it appeared.
                    longest = longest.max(shot.at - moved);
                }
                moved = shot.at;
            }
            longest.max(to.saturating_duration_since(moved))
        })
    }

    /// How long the screen was black between two moments.
    pub(crate) fn black(&self, from: Instant, to: Instant) -> Duration {
        self.with(|memory| {
            let ends = memory.shots.iter().skip(1).map(|next| next.at);
            let shown = memory.shots.iter().zip(ends);
            shown
                .filter(|(shot, _)| shot.seen == Seen::Slate)
                .map(|(shot, end)| end.min(to).saturating_duration_since(shot.at.max(from)))
                .sum()
        })
    }

    /// What was on the screen at a moment.
    pub(crate) fn screen_at(&self, moment: Instant) -> Option<Shot> {
        self.with(|memory| memory.shots.iter().rfind(|shot| shot.at <= moment).cloned())
    }

    fn with<T>(&self, look: impl FnOnce(&Memory) -> T) -> T {
        look(&self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Memory {
    fn see(&mut self, at: Instant, rgb: &[u8]) {
        let shot = Shot {
            at,
            seen: whose_picture(rgb),
            rgb: rgb.into(),
        };
        self.shots.push_back(shot);
        while self.shots.front().is_some_and(|shot| shot.at + MEMORY < at) {
            self.shots.pop_front();
        }
    }

    fn hear(&mut self, at: Instant, samples: &[u8]) {
        self.sounds.push_back((at, tone::whose_sound(samples)));
        while self
            .sounds
            .front()
            .is_some_and(|(then, _)| *then + MEMORY < at)
        {
            self.sounds.pop_front();
        }
    }
}

/// The publishers fill their backgrounds with blue and with orange.
fn whose_picture(rgb: &[u8]) -> Seen {
    // Near the left edge in the upper half there is nothing but background.
    let place = (HEIGHT / 8 * WIDTH + WIDTH / 16) * 3;
    let Some(&[red, green, blue]) = rgb.get(place..place + 3) else {
        return Seen::Unknown;
    };
    match (red, green, blue) {
        (0..40, 0..40, 0..40) => Seen::Slate,
        _ if blue > red.saturating_add(60) => Seen::Primary,
        _ if red > blue.saturating_add(60) => Seen::Backup,
        _ => Seen::Unknown,
    }
}

fn sink(pipeline: &gst::Pipeline, name: &str) -> gst_app::AppSink {
    let element = pipeline.by_name(name).expect("it is in the description");
    element.downcast().expect("it is an appsink")
}

/// Has `remember` called with the bytes of each buffer at the moment when it is due.
fn watch(
    sink: &gst_app::AppSink,
    memory: &Arc<Mutex<Memory>>,
    remember: impl Fn(&mut Memory, Instant, &[u8]) + Send + 'static,
) {
    let memory = Arc::clone(memory);
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |sink| {
        let at = Instant::now();
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let buffer = sample.buffer().ok_or(gst::FlowError::Error)?;
        let bytes = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        remember(&mut memory, at, &bytes);
        Ok(gst::FlowSuccess::Ok)
    });
    sink.set_callbacks(callbacks.build());
}
