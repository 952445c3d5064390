// SPDX-License-Identifier: MPL-2.0
//! Tapes: numbered frames and tones, encoded once as H.264 and AAC, and sent out as FLV for ever, in
//! step with every other tape of the same epoch.
//!
//! Owns the encoded loop. Knows nothing of who publishes it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::feed::{self, Drawing};
use super::sight::Numbering;
use super::tone;

/// A whole number of frames of 1024 samples and of the tone's periods: the loop has no seam.
const SECONDS: u32 = 8;
const AAC_FRAME: u32 = 1024;
/// What stands before a picture in its FLV tag.
const VIDEO_HEAD: usize = 5;

/// What a tape is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    pub(crate) drawing: Drawing,
    /// Frames from one key frame to the next; a divisor of the loop's.
    pub(crate) gop: u32,
    pub(crate) kbit: u32,
    pub(crate) with_sound: bool,
}

impl Recipe {
    /// 320x180, 50 frames/s, a key frame every 2 seconds, with sound.
    pub(crate) fn small(name: u8) -> Self {
        let drawing = Drawing {
            name,
            width: 320,
            height: 180,
            fps: 50,
            grain: 0,
        };
        Self {
            drawing,
            gop: 100,
            kbit: 800,
            with_sound: true,
        }
    }

    pub(crate) fn numbering(&self) -> Numbering {
        let fps = self.drawing.fps;
        Numbering {
            fps,
            cycle: fps * SECONDS,
        }
    }
}

/// An encoded loop that is being played to whoever asks for it.
pub(crate) struct Tape {
    tags: Vec<Tag>,
    head: Vec<(Kind, Vec<u8>)>,
    epoch: Instant,
    picture_stalls: Arc<AtomicBool>,
}

struct Tag {
    /// Into the loop.
    at: Duration,
    kind: Kind,
    is_key: bool,
    /// The body of an FLV tag.
    body: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Sound = 8,
    Picture = 9,
}

impl Tape {
    /// Frame 0 is sent at `epoch`, and every 8 seconds after it.
    pub(crate) fn record(recipe: &Recipe, epoch: Instant) -> Self {
        let (config, pictures) = pictures(recipe);
        let mut head = vec![(Kind::Picture, [&[0x17, 0, 0, 0, 0][..], &config].concat())];
        let mut tags = pictures;
        if recipe.with_sound {
            let (config, sounds) = sounds(recipe.drawing.name);
            head.push((Kind::Sound, [&[0xaf, 0][..], &config].concat()));
            tags.extend(sounds);
        }
        tags.sort_by_key(|tag| (tag.at, tag.kind));
        Self {
            tags,
            head,
            epoch,
            picture_stalls: Arc::default(),
        }
    }

    pub(crate) fn epoch(&self) -> Instant {
        self.epoch
    }

    /// From now on, or no more, the sound goes on alone.
    pub(crate) fn stall_picture(&self, stalls: bool) {
        self.picture_stalls.store(stalls, Ordering::Relaxed);
    }

    /// Writes FLV in real time, from the next key frame on, until it cannot; its timestamps begin at
    /// zero. What could not be written in time follows in a burst, as from an encoder.
    pub(crate) fn play(&self, to: &mut dyn Write) -> io::Result<()> {
        let elapsed = self.epoch.elapsed();
        let mut from_now = self.endless().skip_while(|(at, _)| *at < elapsed);
        let Some((start, first)) = from_now.find(|(_, tag)| tag.is_key) else {
            return Ok(());
        };
        let has_sound = self.head.iter().any(|(kind, _)| *kind == Kind::Sound);
        to.write_all(&[
            b'F',
            b'L',
            b'V',
            1,
            if has_sound { 5 } else { 1 },
            0,
            0,
            0,
            9,
            0,
            0,
            0,
            0,
        ])?;
        for (kind, body) in &self.head {
            write_tag(to, *kind, Duration::ZERO, body)?;
        }
        for (at, tag) in std::iter::once((start, first)).chain(from_now) {
            let due = (self.epoch + at).saturating_duration_since(Instant::now());
            if !due.is_zero() {
                to.flush()?;
                thread::sleep(due);
            }
            if tag.kind == Kind::Sound || !self.picture_stalls.load(Ordering::Relaxed) {
                write_tag(to, tag.kind, at - start, &tag.body)?;
            }
        }
        Ok(())
    }

    /// Feeds its pictures to the appsrc of this name as H.264: frame n at running time n / fps, from PLAYING
    /// until the pipeline stops.
    pub(crate) fn show(self: &Arc<Self>, pipeline: &gst::Pipeline, appsrc: &str) {
        let config = gst::Buffer::from_slice(self.head[0].1[VIDEO_HEAD..].to_vec());
        let caps = gst::Caps::builder("video/x-h264")
            .field("stream-format", "avc")
            .field("alignment", "au")
            .field("codec_data", config);
        let source = feed::live(pipeline, appsrc, &caps.build());
        let tape = self.clone();
        let pictures = self.tags.iter().enumerate();
        let pictures = pictures.filter(|(_, tag)| tag.kind == Kind::Picture);
        let places: Vec<usize> = pictures.map(|(place, _)| place).collect();
        let fps = places.len() as u32 / SECONDS;
        let time = move |number| gst::ClockTime::SECOND.mul_div_floor(number, fps.into());
        feed::send(source, Duration::from_secs(1) / fps, move |number| {
            let tag = &tape.tags[places[number as usize % places.len()]];
            let [from, to] = [number, number + 1].map(|n| time(n).expect("a time"));
            let mut buffer = feed::stamped(tag.body[VIDEO_HEAD..].to_vec(), from, to);
            if !tag.is_key {
                buffer.make_mut().set_flags(gst::BufferFlags::DELTA_UNIT);
            }
            buffer
        });
    }

    fn endless(&self) -> impl Iterator<Item = (Duration, &Tag)> {
        let length = Duration::from_secs(SECONDS.into());
        // Not from the beginning of the world.
        let first = self.epoch.elapsed().as_secs() as u32 / SECONDS;
        let rounds = (first..).map(move |round| length * round);
        rounds.flat_map(|round| self.tags.iter().map(move |tag| (round + tag.at, tag)))
    }
}

fn write_tag(to: &mut dyn Write, kind: Kind, at: Duration, body: &[u8]) -> io::Result<()> {
    let milliseconds = (at.as_micros() + 500) / 1000;
    let [high, time @ ..] = (milliseconds as u32).to_be_bytes();
    let [_, size @ ..] = (body.len() as u32).to_be_bytes();
    let mut tag = vec![kind as u8];
    tag.extend(size);
    tag.extend(time);
    tag.extend([high, 0, 0, 0]);
    tag.extend(body);
    tag.extend((body.len() as u32 + 11).to_be_bytes());
    to.write_all(&tag)
}

fn pictures(recipe: &Recipe) -> (Vec<u8>, Vec<Tag>) {
    let drawing = recipe.drawing;
    let line = format!(
        "appsrc name=in ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={} bitrate={} \
         option-string=scenecut=0:keyint-min={} ! h264parse \
         ! video/x-h264,stream-format=avc,alignment=au ! appsink name=out sync=false",
        recipe.gop, recipe.kbit, recipe.gop
    );
    let frames = u64::from(drawing.fps * SECONDS);
    let (config, packets) = encode(&line, &drawing.caps(), frames, move |n| drawing.frame(n));
    assert_eq!(packets.len() as u64, frames, "a packet for every frame");
    let tags = packets.into_iter().zip(0..).map(|(packet, number)| {
        let is_key = !packet.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let head: [u8; VIDEO_HEAD] = [if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
        Tag {
            at: Duration::from_secs(1) * number / drawing.fps,
            kind: Kind::Picture,
            is_key,
            body: [&head, bytes(&packet).as_slice()].concat(),
        }
    });
    (config, tags.collect())
}

/// The middle one of three rounds, so that the last frame goes with the first. Its decoder is one frame
/// behind, which is made good here.
fn sounds(name: u8) -> (Vec<u8>, Vec<Tag>) {
    let line = "appsrc name=in ! audioconvert ! avenc_aac bitrate=96000 ! aacparse \
        ! audio/mpeg,stream-format=raw ! appsink name=out sync=false";
    let tens = u64::from(3 * SECONDS * 100);
    let (config, packets) = encode(line, &feed::tone_caps(), tens, move |n| feed::tone(name, n));
    let count = (SECONDS * tone::RATE / AAC_FRAME) as usize;
    let packets = packets.into_iter().skip(count + 1).take(count);
    let tags = packets.zip(0..).map(|(packet, number)| Tag {
        at: Duration::from_secs(1) * number * AAC_FRAME / tone::RATE,
        kind: Kind::Sound,
        is_key: false,
        body: [&[0xaf, 1], bytes(&packet).as_slice()].concat(),
    });
    let tags: Vec<_> = tags.collect();
    assert_eq!(tags.len(), count, "a whole round of sound");
    (config, tags)
}

fn bytes(packet: &gst::Buffer) -> Vec<u8> {
    packet.map_readable().expect("a packet").to_vec()
}

/// The decoder's configuration, and all packets.
fn encode(
    line: &str,
    caps: &gst::Caps,
    count: u64,
    make: impl Fn(u64) -> gst::Buffer + Send + 'static,
) -> (Vec<u8>, Vec<gst::Buffer>) {
    let pipeline = gst::parse::launch(line).expect("a valid line");
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("in").and_downcast::<gst_app::AppSrc>();
    let source = source.expect("an appsrc");
    source.set_caps(Some(caps));
    source.set_format(gst::Format::Time);
    source.set_max_buffers(4);
    source.set_block(true);
    let sink = pipeline.by_name("out").and_downcast::<gst_app::AppSink>();
    let sink = sink.expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let feeder = thread::spawn(move || {
        for number in 0..count {
            source.push_buffer(make(number)).expect("it is taken");
        }
        source.end_of_stream().expect("the end");
    });
    let mut config = vec![];
    let mut packets = vec![];
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(20)) {
        if config.is_empty() {
            let caps = sample.caps().and_then(|caps| caps.structure(0));
            let data = caps.and_then(|caps| caps.get::<gst::Buffer>("codec_data").ok());
            config = bytes(&data.expect("a configuration"));
        }
        packets.push(sample.buffer_owned().expect("a packet"));
    }
    assert!(sink.is_eos(), "the encoder stands still");
    feeder.join().expect("all was fed");
    pipeline.set_state(gst::State::Null).expect("NULL");
    (config, packets)
}
