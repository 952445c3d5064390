// SPDX-License-Identifier: MPL-2.0
//! Raw sound is cut to the sample: where the new input's buffer reaches back over the cut, its head goes.

/// How the samples of a stream lie in its buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Samples {
    rate: u64,
    bytes: usize,
}

impl Samples {
    /// `None` for what is not raw sound with its channels side by side.
    pub(super) fn of(caps: &gst::CapsRef) -> Option<Self> {
        // Others would be an error in GStreamer's log.
        let is_raw = caps.structure(0)?.name() == "audio/x-raw";
        if !is_raw {
            return None;
        }
        let info = gst_audio::AudioInfo::from_caps(caps).ok()?;
        let interleaved = info.layout() == gst_audio::AudioLayout::Interleaved;
        let bytes = usize::try_from(info.bpf())
            .ok()
            .filter(|bytes| *bytes > 0)?;
        (interleaved && info.rate() > 0).then_some(Self {
            rate: u64::from(info.rate()),
            bytes,
        })
    }

    /// Without what plays in its first `by` nanoseconds, and how many of these have gone; `None` where
    /// nothing is left.
    pub(super) fn without_head(self, buffer: gst::Buffer, by: u64) -> Option<(gst::Buffer, u64)> {
        let samples = self.in_time(by);
        let at = usize::try_from(samples).ok()?.checked_mul(self.bytes)?;
        if at == 0 {
            return Some((buffer, 0));
        }
        if at >= buffer.size() {
            return None;
        }
        let gone = self.time_of(samples);
        let mut rest = buffer
            .copy_region(gst::BufferCopyFlags::all(), at..buffer.size())
            .ok()?;
        let shorter = buffer
            .duration()
            .map(|duration| duration.saturating_sub(gst::ClockTime::from_nseconds(gone)));
        rest.make_mut().set_duration(shorter);
        Some((rest, gone))
    }

    /// How long so many bytes of them last.
    pub(super) fn last(self, bytes: usize) -> u64 {
        let samples = u64::try_from(bytes / self.bytes).unwrap_or(u64::MAX);
        self.time_of(samples)
    }

    fn in_time(self, time: u64) -> u64 {
        let samples = u128::from(time) * u128::from(self.rate) + 500_000_000;
        u64::try_from(samples / 1_000_000_000).unwrap_or(u64::MAX)
    }

    fn time_of(self, samples: u64) -> u64 {
        let time = u128::from(samples) * 1_000_000_000 / u128::from(self.rate);
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stereo() -> Samples {
        gst::init().expect("GStreamer");
        let caps: gst::Caps = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved"
            .parse()
            .expect("caps");
        Samples::of(&caps).expect("sound")
    }

    #[test]
    fn a_head_is_cut_to_the_sample() {
        let samples = stereo();
        let mut buffer = gst::Buffer::with_size(480 * 4).expect("a buffer");
        buffer
            .make_mut()
            .set_duration(gst::ClockTime::from_mseconds(10));
        let (rest, gone) = samples.without_head(buffer, 3_000_000).expect("a rest");
        assert_eq!((rest.size(), gone), (336 * 4, 3_000_000));
        assert_eq!(rest.duration(), Some(gst::ClockTime::from_mseconds(7)));
    }

    #[test]
    fn what_ends_before_the_cut_goes_whole() {
        let samples = stereo();
        let buffer = gst::Buffer::with_size(480 * 4).expect("a buffer");
        assert!(samples.without_head(buffer, 10_000_000).is_none());
        let odd = gst::Buffer::with_size(1).expect("a buffer");
        assert!(samples.without_head(odd.clone(), u64::MAX).is_none());
        assert!(samples.without_head(odd, 1).is_some());
    }

    #[test]
    fn pictures_have_no_samples() {
        gst::init().expect("GStreamer");
        for caps in ["video/x-raw", "audio/mpeg", "audio/x-raw"] {
            let caps: gst::Caps = caps.parse().expect("caps");
            assert!(Samples::of(&caps).is_none());
        }
    }
}
