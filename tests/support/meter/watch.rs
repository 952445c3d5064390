// SPDX-License-Identifier: MPL-2.0
//! The meter on a pipeline: it reads every raw picture and sound that passes the pads it is put on.
//!
//! Owns probes and a record. Changes nothing in what it measures.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_video::prelude::*;

use super::code::{self, Inscription, Plane};
use super::hearing::{Hearing, Sound, hearing};
use super::sight::{Numbering, Picture, Sight, sight};

/// All that has passed so far.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) pictures: Vec<Picture>,
    pub(crate) sounds: Vec<Sound>,
}

impl Seen {
    /// Whether the last pictures, so many, were all of this input.
    pub(crate) fn shows(&self, name: u8, pictures: usize) -> bool {
        let mut last = self.pictures.iter().rev().take(pictures);
        self.pictures.len() >= pictures && last.all(|picture| picture.name() == Some(name))
    }

    /// When the first of the last pictures came that are of one input, or of none.
    pub(crate) fn shown_since(&self) -> f64 {
        let mut last = self.pictures.iter().rev();
        let Some(newest) = last.next() else {
            return 0.0;
        };
        let same = last.take_while(|picture| picture.name() == newest.name());
        same.last().unwrap_or(newest).arrival
    }
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was measured.
#[derive(Clone, Default, Debug)]
pub(crate) struct Report {
    pub(crate) sight: Sight,
    pub(crate) hearing: Hearing,
    pub(crate) latency: f64,
}

/// Reads what passes the pads that it watches.
#[derive(Clone)]
pub(crate) struct Meter {
    numbering: Numbering,
    shared: Arc<Shared>,
    watched: Arc<Mutex<Vec<gst::Pad>>>,
}

impl Meter {
    pub(crate) fn new(numbering: Numbering) -> Self {
        Self {
            numbering,
            shared: Arc::default(),
            watched: Arc::default(),
        }
    }

    /// Watches every source pad that the element has or gets.
    pub(crate) fn follow(&self, element: &gst::Element) {
        for pad in element.src_pads() {
            self.watch(&pad);
        }
        let meter = self.clone();
        element.connect_pad_added(move |_, pad| {
            if pad.direction() == gst::PadDirection::Src {
                meter.watch(pad);
            }
        });
    }

    /// Watches a pad; what passes it must be raw, picture or sound.
    pub(crate) fn watch(&self, pad: &gst::Pad) {
        let shared = self.shared.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(buffer) = info.buffer() {
                let element = pad.parent_element();
                // Before PLAYING there is no running time: it has not begun.
                let arrival = element.and_then(|element| element.current_running_time());
                note(&shared, pad, buffer, arrival.map_or(0.0, seconds));
            }
            gst::PadProbeReturn::Ok
        });
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.push(pad.clone());
    }

    /// Running time.
    pub(crate) fn now(&self) -> f64 {
        let pads = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let element = pads.first().and_then(gst::Pad::parent_element);
        let now = element.and_then(|element| element.current_running_time());
        now.map_or(0.0, seconds)
    }

    /// Whether `done` holds before `limit` has passed.
    pub(crate) fn comes_true(&self, limit: Duration, done: impl Fn(&Seen) -> bool) -> bool {
        let deadline = Instant::now() + limit;
        let mut seen = self.shared.lock();
        loop {
            if done(&seen) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.shared.changed.wait_timeout(seen, left);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What came from running time `from` on, until now.
    pub(crate) fn report(&self, from: f64) -> Report {
        let latency = self.latency();
        let end = self.now();
        let seen = self.shared.lock();
        let pictures: Vec<_> = seen.pictures.iter().filter(|p| p.arrival >= from).collect();
        let pictures: Vec<Picture> = pictures.into_iter().copied().collect();
        let sounds: Vec<_> = seen
            .sounds
            .iter()
            .filter(|s| s.arrival >= from)
            .cloned()
            .collect();
        Report {
            sight: sight(&pictures, self.numbering, latency, end),
            hearing: hearing(&sounds, &pictures, self.numbering),
            latency,
        }
    }

    /// A look at all that has passed.
    pub(crate) fn seen<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.shared.lock())
    }

    /// From a frame's sending to its arrival here: the middle one and the longest of those that arrived
    /// from running time `from` on. `epoch` is when frame 0 was sent.
    pub(crate) fn delay(&self, epoch: Instant, from: f64) -> Option<[f64; 2]> {
        let zero = self.now() - epoch.elapsed().as_secs_f64();
        let cycle = f64::from(self.numbering.cycle) * self.numbering.frame();
        let seen = self.shared.lock();
        let arrived = seen
            .pictures
            .iter()
            .filter(|picture| picture.arrival >= from);
        let mut delays: Vec<f64> = arrived
            .filter_map(|picture| match picture.says {
                Inscription::Frame { number, .. } => {
                    let sent = zero + f64::from(number) * self.numbering.frame();
                    // A little early is possible where two clocks are read.
                    Some((picture.arrival - sent + 0.5).rem_euclid(cycle) - 0.5)
                }
                Inscription::Black | Inscription::Broken => None,
            })
            .collect();
        delays.sort_by(f64::total_cmp);
        Some([*delays.get(delays.len() / 2)?, *delays.last()?])
    }

    /// Running time of the first picture of any input.
    pub(crate) fn first_picture(&self) -> Option<f64> {
        let seen = self.shared.lock();
        let first = seen
            .pictures
            .iter()
            .find(|picture| picture.name().is_some());
        first.map(|picture| picture.arrival)
    }

    /// What a sink behind the watched pads would wait for: the longest of their latencies.
    fn latency(&self) -> f64 {
        let pads = self
            .watched
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let latency = |pad: &gst::Pad| {
            let mut query = gst::query::Latency::new();
            let answered = match pad.direction() {
                gst::PadDirection::Src => pad.query(&mut query),
                _ => pad.peer_query(&mut query),
            };
            answered.then(|| seconds(query.result().1))
        };
        pads.iter().filter_map(latency).fold(0.0, f64::max)
    }
}

fn note(shared: &Shared, pad: &gst::Pad, buffer: &gst::BufferRef, arrival: f64) {
    let Some((caps, time)) = pad.current_caps().zip(running_time(pad, buffer)) else {
        return;
    };
    if let Ok(info) = gst_video::VideoInfo::from_caps(&caps) {
        let says = inscription(buffer, &info);
        let picture = Picture {
            arrival,
            time,
            says,
        };
        shared.lock().pictures.push(picture);
    } else if let Some((samples, rate)) = first_channel(buffer, &caps) {
        let sound = Sound {
            arrival,
            time,
            rate,
            samples,
        };
        shared.lock().sounds.push(sound);
    }
    shared.changed.notify_all();
}

fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<f64> {
    let event = pad.sticky_event::<gst::event::Segment>(0)?;
    let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
    segment.to_running_time(buffer.pts()?).map(seconds)
}

fn seconds(time: gst::ClockTime) -> f64 {
    time.nseconds() as f64 / 1e9
}

fn inscription(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> Inscription {
    let planar = info.is_yuv() && info.n_planes() > 1 || info.is_gray();
    assert!(planar, "there is no luma plane in {:?}", info.format());
    let Ok(frame) = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, info) else {
        return Inscription::Broken;
    };
    let (Ok(luma), Some(stride)) = (frame.plane_data(0), frame.plane_stride().first()) else {
        return Inscription::Broken;
    };
    code::read(Plane {
        luma,
        stride: usize::try_from(*stride).unwrap_or(0),
        width: info.width() as usize,
        height: info.height() as usize,
    })
}

fn first_channel(buffer: &gst::BufferRef, caps: &gst::CapsRef) -> Option<(Vec<f32>, u32)> {
    let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
    let map = buffer.map_readable().ok()?;
    let channels = info.channels() as usize;
    let width = info.width() as usize / 8;
    let count = map.len() / width / channels;
    let step = match info.layout() {
        gst_audio::AudioLayout::Interleaved => channels,
        _ => 1,
    };
    let samples = map.chunks_exact(width).step_by(step).take(count);
    let samples = samples.map(|bytes| match (info.format(), bytes) {
        (gst_audio::AudioFormat::S16le, &[a, b]) => f32::from(i16::from_le_bytes([a, b])) / 32768.0,
        (gst_audio::AudioFormat::F32le, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
        (format, _) => panic!("sound in {format:?} is not understood"),
    });
    Some((samples.collect(), info.rate()))
}
