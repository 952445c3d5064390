// SPDX-License-Identifier: MPL-2.0
//! What is filled in: black pictures and silence in given caps. Owns formats and bytes; never
//! touches pads or time, except for how long a buffer lasts.

use super::Kind;
use gst::prelude::*;

const DEFAULT_FRAME_RATE: (u64, u64) = (25, 1);
/// How long one buffer of silence is.
const SILENCES_PER_SECOND: u64 = 50;

/// The caps of a stream, understood.
#[derive(Clone, Debug)]
pub(super) struct Format {
    caps: gst::Caps,
    info: Info,
}

#[derive(Clone, Debug)]
enum Info {
    Video(gst_video::VideoInfo),
    Audio(gst_audio::AudioInfo),
}

impl Format {
    pub(super) fn of(caps: &gst::Caps) -> Option<Self> {
        let name = caps.structure(0)?.name();
        let info = match name.as_str() {
            "video/x-raw" => Info::Video(gst_video::VideoInfo::from_caps(caps).ok()?),
            "audio/x-raw" => Info::Audio(gst_audio::AudioInfo::from_caps(caps).ok()?),
            _ => return None,
        };
        Some(Self {
            caps: caps.clone(),
            info,
        })
    }

    /// What is filled in before anything real has come.
    pub(super) fn default_of(kind: Kind) -> Option<Self> {
        let caps = match kind {
            Kind::Video => gst_video::VideoCapsBuilder::new()
                .format(gst_video::VideoFormat::I420)
                .width(1280)
                .height(720)
                .framerate(gst::Fraction::new(25, 1))
                .pixel_aspect_ratio(gst::Fraction::new(1, 1))
                .field("interlace-mode", "progressive")
                .build(),
            Kind::Audio => gst_audio::AudioCapsBuilder::new_interleaved()
                .format(gst_audio::AudioFormat::S16le)
                .rate(48_000)
                .channels(2)
                .fallback_channel_mask()
                .build(),
        };
        Self::of(&caps)
    }

    pub(super) fn caps(&self) -> &gst::Caps {
        &self.caps
    }

    /// Frames or samples per second; a variable frame rate counts as 25.
    pub(super) fn rate(&self) -> (u64, u64) {
        match &self.info {
            Info::Video(info) => {
                let (num, den) = (info.fps().numer(), info.fps().denom());
                match (u64::try_from(num), u64::try_from(den)) {
                    (Ok(num), Ok(den)) if num > 0 && den > 0 => (num, den),
                    _ => DEFAULT_FRAME_RATE,
                }
            }
            Info::Audio(info) => (u64::from(info.rate()), 1),
        }
    }

    /// Frames or samples in one filled buffer.
    pub(super) fn units(&self) -> u64 {
        match &self.info {
            Info::Video(_) => 1,
            Info::Audio(info) => (u64::from(info.rate()) / SILENCES_PER_SECOND).max(1),
        }
    }

    /// How long a real buffer lasts: by its samples rather than by its word.
    pub(super) fn duration(&self, buffer: &gst::BufferRef) -> gst::ClockTime {
        let stated = buffer.duration();
        match &self.info {
            Info::Audio(info) if info.layout() == gst_audio::AudioLayout::Interleaved => {
                let samples = buffer.size() as u64 / u64::from(info.bpf().max(1));
                samples
                    .mul_div_round(1_000_000_000, u64::from(info.rate().max(1)))
                    .map_or_else(gst::ClockTime::default, gst::ClockTime::from_nseconds)
            }
            Info::Audio(_) => stated.unwrap_or_default(),
            Info::Video(_) => stated.unwrap_or_else(|| {
                let (num, den) = self.rate();
                gst::ClockTime::from_nseconds(1_000_000_000 * den / num)
            }),
        }
    }

    /// Cuts sound to a segment of time; pictures stay whole.
    pub(super) fn clip(&self, buffer: gst::Buffer, segment: &gst::Segment) -> Option<gst::Buffer> {
        match &self.info {
            Info::Audio(info) => {
                gst_audio::audio_buffer_clip(buffer, segment, info.rate(), info.bpf())
            }
            Info::Video(_) => Some(buffer),
        }
    }

    /// A black picture, or `units` samples of silence, and the format it has: that of these caps
    /// where a black picture in them is easy to make, else I420 of the same size and rate.
    pub(super) fn blank(&self, units: u64) -> Option<(Self, gst::Buffer)> {
        match &self.info {
            Info::Audio(info) => Some((self.clone(), silence(info, units)?)),
            Info::Video(info) if is_easy(&self.caps, info) => Some((self.clone(), black(info)?)),
            Info::Video(info) => {
                let easy = Self::easy(info)?;
                let Info::Video(info) = &easy.info else {
                    return None;
                };
                let buffer = black(info)?;
                Some((easy, buffer))
            }
        }
    }

    fn easy(info: &gst_video::VideoInfo) -> Option<Self> {
        let easy = gst_video::VideoInfo::builder(
            gst_video::VideoFormat::I420,
            info.width(),
            info.height(),
        )
        .fps(info.fps())
        .par(info.par())
        .build()
        .ok()?;
        Self::of(&easy.to_caps().ok()?)
    }
}

/// Every sample is one byte in ordinary memory.
fn is_easy(caps: &gst::Caps, info: &gst_video::VideoInfo) -> bool {
    let format = info.format_info();
    let ordinary = caps
        .features(0)
        .is_none_or(|f| f.contains(gst::CAPS_FEATURE_MEMORY_SYSTEM_MEMORY));
    ordinary
        && !format.is_complex()
        && !format.is_tiled()
        && !format.has_palette()
        && format.bits() == 8
        && format.depth().iter().all(|depth| *depth == 8)
}

fn black(info: &gst_video::VideoInfo) -> Option<gst::Buffer> {
    let mut bytes = vec![0; info.size()];
    let format = info.format_info();
    let (offsets, _) = format.range_offsets(info.colorimetry().range());
    for component in 0..format.n_components() as usize {
        let is_alpha = format.has_alpha() && component == 3;
        let value = if is_alpha {
            u8::MAX
        } else {
            u8::try_from(*offsets.get(component)?).ok()?
        };
        paint(&mut bytes, info, component, value)?;
    }
    Some(gst::Buffer::from_mut_slice(bytes))
}

/// Sets one colour component of the whole picture.
fn paint(bytes: &mut [u8], info: &gst_video::VideoInfo, component: usize, value: u8) -> Option<()> {
    let format = info.format_info();
    let plane = *format.plane().get(component)? as usize;
    let stride = usize::try_from(*info.stride().get(plane)?).ok()?;
    let step = usize::try_from(*format.pixel_stride().get(component)?).ok()?;
    let first = *info.offset().get(plane)? + *format.poffset().get(component)? as usize;
    let index = u8::try_from(component).ok()?;
    let width = format.scale_width(index, info.width()) as usize;
    let height = format.scale_height(index, info.height()) as usize;
    for row in 0..height {
        let start = first + row * stride;
        let row = bytes.get_mut(start..)?.iter_mut();
        row.step_by(step.max(1))
            .take(width)
            .for_each(|byte| *byte = value);
    }
    Some(())
}

fn silence(info: &gst_audio::AudioInfo, units: u64) -> Option<gst::Buffer> {
    let samples = usize::try_from(units).ok()?;
    let mut bytes = vec![0; samples.checked_mul(info.bpf() as usize)?];
    info.format_info().fill_silence(&mut bytes);
    let mut buffer = gst::Buffer::from_mut_slice(bytes);
    if info.layout() == gst_audio::AudioLayout::NonInterleaved {
        gst_audio::AudioMeta::add(buffer.get_mut()?, info, samples, &[]).ok()?;
    }
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn black_is_black_in_every_format_and_range() {
        for (caps, first) in [
            ("format=I420", 16),
            ("format=I420,colorimetry=1:4:0:0", 0),
            ("format=NV12", 16),
            ("format=YUY2", 16),
            ("format=GRAY8", 0),
            ("format=RGB", 0),
            ("format=BGRx", 0),
            ("format=ARGB", 255),
        ] {
            let (format, buffer) = blank(caps);
            assert_eq!(buffer.map_readable().unwrap()[0], first, "{caps}");
            assert_eq!(format.caps(), &video(caps), "{caps}");
        }
    }

    #[test]
    fn black_looks_black_when_converted() {
        for format in [
            "I420", "YV12", "NV21", "Y42B", "Y444", "UYVY", "BGRA", "AYUV",
        ] {
            let (format, buffer) = blank(&format!("format={format}"));
            let sample = gst::Sample::builder()
                .buffer(&buffer)
                .caps(format.caps())
                .build();
            let rgb = video("format=RGB");
            let rgb =
                gst_video::convert_sample(&sample, &rgb, Some(gst::ClockTime::from_seconds(10)));
            let rgb = rgb.unwrap().buffer_owned().unwrap();
            let info = gst_video::VideoInfo::from_caps(&video("format=RGB")).unwrap();
            let frame = gst_video::VideoFrame::from_buffer_readable(rgb, &info).unwrap();
            let row = &frame.plane_data(0).unwrap()[..33 * 3];
            assert!(row.iter().all(|byte| *byte <= 1), "{format:?} {row:?}");
        }
    }

    #[test]
    fn a_format_that_is_hard_to_fill_becomes_i420_of_the_same_size() {
        for caps in ["format=P010_10LE", "format=v210", "format=RGB16"] {
            let (format, buffer) = blank(caps);
            let info = gst_video::VideoInfo::from_caps(format.caps()).unwrap();
            assert_eq!(info.format(), gst_video::VideoFormat::I420);
            assert_eq!((info.width(), info.height()), (33, 17));
            assert_eq!(info.fps(), gst::Fraction::new(30, 1));
            assert_eq!(buffer.size(), info.size());
        }
    }

    #[test]
    fn silence_is_silent_in_unsigned_and_planar_formats() {
        gst::init().unwrap();
        let caps = |text: &str| text.parse::<gst::Caps>().unwrap();
        let unsigned = caps("audio/x-raw,format=U8,rate=8000,channels=1,layout=interleaved");
        let (_, buffer) = Format::of(&unsigned).unwrap().blank(160).unwrap();
        assert_eq!(buffer.map_readable().unwrap().as_slice(), [128; 160]);

        let planar = caps("audio/x-raw,format=F32LE,rate=48000,channels=2,layout=non-interleaved");
        let (_, buffer) = Format::of(&planar).unwrap().blank(960).unwrap();
        assert_eq!(
            buffer.meta::<gst_audio::AudioMeta>().unwrap().samples(),
            960
        );
    }

    fn video(format: &str) -> gst::Caps {
        gst::init().unwrap();
        format!("video/x-raw,{format},width=33,height=17,framerate=30/1")
            .parse()
            .unwrap()
    }

    fn blank(format: &str) -> (Format, gst::Buffer) {
        Format::of(&video(format)).unwrap().blank(1).unwrap()
    }
}
