// SPDX-License-Identifier: MPL-2.0
//! Which codec an FLV tag has, and whether a flvdemux knows it.
//!
//! Pure. Reads a few bytes at the start of a tag's body, which anybody may have written, and never beyond them (Adobe Flash Video File
//! Format Specification 10.1, annex E.4; Enhanced RTMP v2 for the extended header with its four letters).

use crate::sources::Kind;

/// As much of a body as is read: a header with some extensions before it. What is longer is not known.
pub(super) const LOOK: usize = 64;

/// The packet types of an extended header that say how the rest of it is to be read.
const METADATA: u8 = 4;
const AUDIO_MULTITRACK: u8 = 5;
const VIDEO_MULTITRACK: u8 = 6;
const EXTENSION: u8 = 7;
/// A video tag of this frame type is a command to the player, without a picture.
const COMMAND: u8 = 5;
/// An audio tag of this format has an extended header.
const EXTENDED_AUDIO: u8 = 9;

/// How a tag says which codec it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// As FLV has always said it.
    Number(u8),
    /// Behind an extended header (enhanced RTMP).
    Letters([u8; 4]),
    /// Behind an extended header that ends before it says so.
    Unknown,
}

/// What a tag brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) codec: Codec,
    /// One of several tracks of its kind; the first has the number 0.
    pub(super) track: u8,
}

/// What a flvdemux knows, by the caps that it may give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Knowledge {
    /// Extended headers, with any codec.
    pub(super) extended: bool,
    /// Names of caps.
    pub(super) media: Vec<String>,
}

/// A codec for people, by which caps it has in GStreamer.
struct Known {
    name: &'static str,
    media: &'static str,
}

impl Content {
    /// What a tag of this kind brings, by how its body begins; `None` for what is no media.
    pub(super) fn of(kind: Kind, body: &[u8]) -> Option<Self> {
        let (first, rest) = body.split_first()?;
        match kind {
            Kind::Video if first & 0x80 != 0 => extended_video(*first, rest),
            Kind::Video if first >> 4 == COMMAND => None,
            Kind::Video => Some(Self::main(Codec::Number(first & 0x0f))),
            Kind::Audio if first >> 4 == EXTENDED_AUDIO => {
                Some(extended(first & 0x0f, AUDIO_MULTITRACK, rest))
            }
            Kind::Audio => Some(Self::main(Codec::Number(first >> 4))),
        }
    }

    /// Whether the body of a tag that begins so has more to it than its first byte.
    pub(super) fn is_extended(kind: Kind, first: u8) -> bool {
        match kind {
            Kind::Video => first & 0x80 != 0,
            Kind::Audio => first >> 4 == EXTENDED_AUDIO,
        }
    }

    fn main(codec: Codec) -> Self {
        Self { codec, track: 0 }
    }
}

impl Knowledge {
    /// Whether such a flvdemux makes a stream of what a tag of this kind brings.
    pub(super) fn covers(&self, kind: Kind, codec: Codec) -> bool {
        match codec {
            Codec::Number(number) => is_old(kind, number) || self.has(by_number(kind, number)),
            Codec::Letters(letters) => self.extended && self.has(by_letters(kind, letters)),
            // The demuxer looks further.
            Codec::Unknown => self.extended,
        }
    }

    fn has(&self, known: Option<Known>) -> bool {
        known.is_some_and(|known| self.media.iter().any(|media| media == known.media))
    }
}

impl Codec {
    /// Its name, for people.
    pub(super) fn name(self, kind: Kind) -> String {
        let (known, otherwise) = match self {
            Self::Number(number) => (
                by_number(kind, number),
                format!("the codec with the number {number}"),
            ),
            Self::Letters(letters) => (by_letters(kind, letters), spelled(letters)),
            Self::Unknown => (None, "an unknown codec".to_owned()),
        };
        known.map_or(otherwise, |known| known.name.to_owned())
    }

    /// What is wrong with it, and what would play it.
    pub(super) fn complaint(self, kind: Kind) -> String {
        let name = self.name(kind);
        let form = match self {
            Self::Number(_) => "",
            Self::Letters(_) | Self::Unknown => " in enhanced RTMP",
        };
        let usual = match kind {
            Kind::Audio => "AAC",
            Kind::Video => "H.264",
        };
        // The release whose flvdemux reads extended headers.
        let newer = match self {
            Self::Letters(letters) if [*b"hvc1", *b"avc1", *b"mp4a"].contains(&letters) => {
                " or install GStreamer 1.28"
            }
            Self::Number(12) if kind == Kind::Video => " or install GStreamer 1.28",
            _ => "",
        };
        format!(
            "its {kind} is {name}{form}, which the installed flvdemux cannot read: let the sender send {usual}{newer}"
        )
    }
}

/// Numbers that every flvdemux knows, or knows to be of no use.
fn is_old(kind: Kind, number: u8) -> bool {
    match kind {
        Kind::Video => matches!(number, 2..=9),
        Kind::Audio => matches!(number, 0..=8 | 10 | 11 | 14),
    }
}

/// The codecs that have a number by custom; AV1 and Opus as some servers send them.
fn by_number(kind: Kind, number: u8) -> Option<Known> {
    let letters = match (kind, number) {
        (Kind::Video, 7) => *b"avc1",
        (Kind::Video, 12) => *b"hvc1",
        (Kind::Video, 13) => *b"av01",
        (Kind::Audio, 2 | 14) => *b".mp3",
        (Kind::Audio, 10) => *b"mp4a",
        (Kind::Audio, 13) => *b"Opus",
        _ => return None,
    };
    by_letters(kind, letters)
}

fn by_letters(kind: Kind, letters: [u8; 4]) -> Option<Known> {
    let (name, media) = match (kind, &letters) {
        (Kind::Video, b"avc1") => ("H.264", "video/x-h264"),
        (Kind::Video, b"hvc1" | b"hev1") => ("HEVC", "video/x-h265"),
        (Kind::Video, b"vvc1") => ("VVC", "video/x-h266"),
        (Kind::Video, b"av01") => ("AV1", "video/x-av1"),
        (Kind::Video, b"vp08") => ("VP8", "video/x-vp8"),
        (Kind::Video, b"vp09") => ("VP9", "video/x-vp9"),
        (Kind::Audio, b"mp4a") => ("AAC", "audio/mpeg"),
        (Kind::Audio, b".mp3") => ("MP3", "audio/mpeg"),
        (Kind::Audio, b"Opus") => ("Opus", "audio/x-opus"),
        (Kind::Audio, b"fLaC") => ("FLAC", "audio/x-flac"),
        (Kind::Audio, b"ac-3") => ("AC-3", "audio/x-ac3"),
        (Kind::Audio, b"ec-3") => ("E-AC-3", "audio/x-eac3"),
        _ => return None,
    };
    Some(Known { name, media })
}

/// Letters of no known codec, as far as they can be shown.
fn spelled(letters: [u8; 4]) -> String {
    let shown = letters.map(|letter| match letter {
        b' '..=b'~' => char::from(letter),
        _ => '?',
    });
    format!("\"{}\"", String::from_iter(shown))
}

fn extended_video(first: u8, rest: &[u8]) -> Option<Content> {
    let (packet, rest) = without_extensions(first & 0x0f, rest).unwrap_or((EXTENSION, &[]));
    if first >> 4 & 0x07 == COMMAND && packet != METADATA {
        return None;
    }
    Some(extended(packet, VIDEO_MULTITRACK, rest))
}

/// Behind the byte with the packet type.
fn extended(packet: u8, multitrack: u8, rest: &[u8]) -> Content {
    let read = || {
        let (packet, rest) = without_extensions(packet, rest)?;
        if packet != multitrack {
            let letters = rest.first_chunk::<4>()?;
            return Some(Content::main(Codec::Letters(*letters)));
        }
        // Behind a byte that says how the tracks follow: of the first one.
        let (letters, track) = rest.get(1..)?.split_first_chunk::<4>()?;
        Some(Content {
            codec: Codec::Letters(*letters),
            track: *track.first()?,
        })
    };
    read().unwrap_or_else(|| Content::main(Codec::Unknown))
}

/// The packet type behind all extensions of a header (`ModEx`), and what follows it.
fn without_extensions(mut packet: u8, mut rest: &[u8]) -> Option<(u8, &[u8])> {
    while packet == EXTENSION {
        let (size, behind) = rest.split_first()?;
        let (size, behind) = match size {
            // The size is too large for one byte.
            255 => {
                let (size, behind) = behind.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*size)) + 1, behind)
            }
            size => (usize::from(*size) + 1, behind),
        };
        let (types, behind) = behind.get(size..)?.split_first()?;
        packet = types & 0x0f;
        rest = behind;
    }
    Some((packet, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn old() -> Knowledge {
        let media = ["video/x-h264", "audio/mpeg", "video/x-vp6-flash"];
        Knowledge {
            extended: false,
            media: media.map(str::to_owned).to_vec(),
        }
    }

    fn new() -> Knowledge {
        let mut new = old();
        new.extended = true;
        new.media.push("video/x-h265".to_owned());
        new
    }

    fn letters(kind: Kind, body: &[u8]) -> Option<(String, u8)> {
        let content = Content::of(kind, body)?;
        match content.codec {
            Codec::Letters(letters) => {
                let letters = String::from_utf8_lossy(&letters).into_owned();
                Some((letters, content.track))
            }
            other => panic!("{other:?}"),
        }
    }

    fn number(kind: Kind, body: &[u8]) -> Option<u8> {
        match Content::of(kind, body)?.codec {
            Codec::Number(number) => Some(number),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_flv_has_always_said_is_a_number() {
        for (body, expected) in [
            (&b"\x17\0\0\0\0"[..], Some(7)),
            (b"\x27\x01\0\0\0", Some(7)),
            (b"\x1c\0", Some(12)),
            (b"\x24", Some(4)),
            (b"\x57\0", None),
            (b"", None),
        ] {
            assert_eq!(number(Kind::Video, body), expected, "{body:?}");
        }
        for (body, expected) in [
            (&b"\xaf\0\x12\x10"[..], Some(10)),
            (b"\x2f", Some(2)),
            (b"\xd0", Some(13)),
            (b"", None),
        ] {
            assert_eq!(number(Kind::Audio, body), expected, "{body:?}");
        }
    }

    #[test]
    fn an_extended_header_has_four_letters() {
        let nano = b"\x97\x02\0\0\x01\x01hvc1";
        let long = [&b"\x97\xff\x01\0"[..], &[0; 257], b"\x01av01"].concat();
        for (body, expected) in [
            (&b"\x90hvc1\x01"[..], Some(("hvc1", 0))),
            (b"\xa3hvc1", Some(("hvc1", 0))),
            (b"\x91av01", Some(("av01", 0))),
            // Behind a time in nanoseconds, and behind an extension of 257 bytes.
            (nano, Some(("hvc1", 0))),
            (&long, Some(("av01", 0))),
            // One track, and tracks of codecs of their own.
            (b"\x96\x01avc1\x02\0\0", Some(("avc1", 2))),
            (b"\x96\x21vp09\x03", Some(("vp09", 3))),
            // A command, and metadata that have its frame type.
            (b"\xd0\x01", None),
            (b"\xd4hvc1", Some(("hvc1", 0))),
        ] {
            let expected = expected.map(|(letters, track)| (letters.to_owned(), track));
            assert_eq!(letters(Kind::Video, body), expected, "{body:?}");
        }
        for (body, expected) in [
            (&b"\x90mp4a\x12"[..], ("mp4a", 0)),
            (b"\x91Opus", ("Opus", 0)),
            (b"\x95\x01ac-3\x01", ("ac-3", 1)),
        ] {
            let expected = Some((expected.0.to_owned(), expected.1));
            assert_eq!(letters(Kind::Audio, body), expected, "{body:?}");
        }
    }

    #[test]
    fn what_ends_too_soon_is_an_unknown_codec() {
        for body in [
            &b"\x90hvc"[..],
            b"\x97",
            b"\x97\x02\0\0",
            b"\x97\xff\x01",
            b"\x96",
        ] {
            let content = Content::of(Kind::Video, body);
            let unknown = Content::main(Codec::Unknown);
            assert_eq!(content, Some(unknown), "{body:?}");
        }
    }

    #[test]
    fn a_flvdemux_knows_what_its_pads_may_be() {
        let [hevc, avc, av1] = [*b"hvc1", *b"avc1", *b"av01"].map(Codec::Letters);
        for (codec, knows) in [
            (Codec::Number(7), [true, true]),
            (Codec::Number(4), [true, true]),
            (Codec::Number(12), [false, true]),
            (Codec::Number(13), [false, false]),
            (Codec::Number(0), [false, false]),
            (hevc, [false, true]),
            (avc, [false, true]),
            (av1, [false, false]),
            (Codec::Unknown, [false, true]),
        ] {
            let seen = [old(), new()].map(|demuxer| demuxer.covers(Kind::Video, codec));
            assert_eq!(seen, knows, "{codec:?}");
        }
        for (codec, knows) in [
            (Codec::Number(10), [true, true]),
            (Codec::Number(13), [false, false]),
            (Codec::Letters(*b"mp4a"), [false, true]),
            (Codec::Letters(*b"ec-3"), [false, false]),
        ] {
            let seen = [old(), new()].map(|demuxer| demuxer.covers(Kind::Audio, codec));
            assert_eq!(seen, knows, "{codec:?}");
        }
    }

    #[test]
    fn a_complaint_names_the_codec_and_what_would_play() {
        let hevc = Codec::Letters(*b"hvc1").complaint(Kind::Video);
        for word in ["HEVC", "enhanced RTMP", "H.264", "1.28"] {
            assert!(hevc.contains(word), "{hevc}");
        }
        let opus = Codec::Letters(*b"Opus").complaint(Kind::Audio);
        assert!(opus.contains("Opus") && opus.contains("send AAC"), "{opus}");
        let strange = Codec::Letters(*b"\0xy\xff").complaint(Kind::Video);
        assert!(strange.contains("\"?xy?\""), "{strange}");
        let number = Codec::Number(15).complaint(Kind::Video);
        assert!(number.contains("number 15"), "{number}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_and_none_beyond_the_look(body: Vec<u8>) {
            for kind in [Kind::Audio, Kind::Video] {
                let content = Content::of(kind, &body);
                prop_assert!(content.is_some() || body.is_empty() || is_command(kind, &body));
                if let Some(content) = content {
                    let _ = content.codec.complaint(kind);
                    let _ = [old(), new()].map(|demuxer| demuxer.covers(kind, content.codec));
                }
            }
        }

        /// What is cut off makes a codec unknown, and never another one.
        #[test]
        fn what_is_cut_off_is_never_mistaken(body: Vec<u8>, at in 0..LOOK) {
            for kind in [Kind::Audio, Kind::Video] {
                let whole = Content::of(kind, &body);
                let cut = Content::of(kind, body.get(..at).unwrap_or(&body));
                let is_known = |content: &Content| content.codec != Codec::Unknown;
                if let Some(cut) = cut.filter(is_known) {
                    prop_assert_eq!(Some(cut), whole);
                }
            }
        }
    }

    fn is_command(kind: Kind, body: &[u8]) -> bool {
        kind == Kind::Video && body.first().is_some_and(|first| first >> 4 & 7 == COMMAND)
    }
}
