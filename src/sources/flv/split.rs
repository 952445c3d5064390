// SPDX-License-Identifier: MPL-2.0
//! Splits an FLV byte stream into its header and its tags, wherever its buffers begin and end.
//!
//! Pure. It keeps one tag at most, which the format bounds ([`LARGEST`]): while a tag is incomplete nothing leaves, and the silence is
//! for the health of the input to judge.
//!
//! A type that flvdemux does not know is skipped by its size, as flvdemux does. Where no tag can begin, the stream is broken: its sizes
//! lead nowhere from there on, and a new connection is in step at once.

use super::{BODY, HEADER};

/// Behind each tag, and behind the header, stands the size of that tag.
const SIZE_BEHIND: usize = 4;
/// The size field of a tag has 24 bits.
pub(in crate::sources) const LARGEST: usize = BODY + 0x00ff_ffff + SIZE_BEHIND;
/// Room is made at once for a tag of up to this size, which is more than most frames have; a size is only a claim.
const TRUSTED: usize = 256 * 1024;
/// The least that a header says of its own length.
const LEAST_HEADER: usize = HEADER - SIZE_BEHIND;
/// Audio, video and metadata.
const KNOWN: [u8; 3] = [8, 9, 18];

#[derive(Debug, Default)]
pub(in crate::sources) struct Splitter {
    /// The beginning of the next header or tag.
    kept: Vec<u8>,
    /// How many of the next bytes belong to nothing that leaves.
    skip: usize,
    /// The header has come.
    is_open: bool,
}

/// Why no tag follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sources) enum Broken {
    /// It does not begin with a header.
    NotFlv,
    /// No tag begins where one should.
    OutOfStep,
}

/// What the bytes that are kept come to.
enum Step {
    Incomplete,
    Skip(usize),
    Whole,
}

impl Splitter {
    /// Takes bytes off the front of `piece` until a header or a tag is complete, or none are left.
    pub(in crate::sources) fn next(
        &mut self,
        piece: &mut &[u8],
    ) -> Result<Option<Vec<u8>>, Broken> {
        loop {
            self.skip -= take(piece, self.skip).len();
            let missing = self.wanted().saturating_sub(self.kept.len());
            let more = take(piece, missing);
            self.kept.extend_from_slice(more);
            if self.skip > 0 || more.len() < missing {
                return Ok(None);
            }
            match self.step()? {
                // Now it is known how much is wanted.
                Step::Incomplete => self.kept.reserve_exact(self.wanted().min(TRUSTED) - BODY),
                Step::Skip(skip) => {
                    self.skip = skip;
                    self.kept.clear();
                }
                Step::Whole => return Ok(Some(std::mem::take(&mut self.kept))),
            }
        }
    }

    /// Bytes are lost before the next ones: they begin with a tag, as flvdemux has it, or with a header.
    pub(in crate::sources) fn restart(&mut self) {
        self.kept.clear();
        self.skip = 0;
    }

    /// How many bytes tell more than those that are kept.
    fn wanted(&self) -> usize {
        match (self.is_open, self.kept.first_chunk::<BODY>()) {
            (false, _) => HEADER,
            (true, None) => BODY,
            (true, Some(head)) => BODY + size(head) + SIZE_BEHIND,
        }
    }

    fn step(&mut self) -> Result<Step, Broken> {
        let Some(head) = self.kept.first_chunk::<BODY>() else {
            return Ok(Step::Incomplete);
        };
        let header = header_length(head);
        if !self.is_open {
            let length = header.ok_or(Broken::NotFlv)?;
            self.is_open = true;
            self.skip = length - LEAST_HEADER;
            return Ok(Step::Whole);
        }
        if self.kept.len() > BODY {
            return Ok(Step::Whole);
        }
        let [kind, .., a, b, c] = *head;
        match header {
            // A relay whose sender was replaced: the next one begins with a header, too.
            Some(length) => Ok(Step::Skip(length + SIZE_BEHIND - BODY)),
            None if KNOWN.contains(&kind) => Ok(Step::Incomplete),
            // The number of the stream is always 0.
            None if [a, b, c] == [0; 3] => Ok(Step::Skip(size(head) + SIZE_BEHIND)),
            None => Err(Broken::OutOfStep),
        }
    }
}

/// Of the body of a tag.
fn size(head: &[u8; BODY]) -> usize {
    let [_, high, middle, low, ..] = head.map(usize::from);
    high << 16 | middle << 8 | low
}

/// How long a header is that begins so, without the size behind it; `None` for what is none.
fn header_length(head: &[u8; BODY]) -> Option<usize> {
    let [b'F', b'L', b'V', _, _, a, b, c, d, ..] = *head else {
        return None;
    };
    let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    (LEAST_HEADER..=LARGEST).contains(&length).then_some(length)
}

/// Up to so many bytes off the front of `piece`.
fn take<'a>(piece: &mut &'a [u8], most: usize) -> &'a [u8] {
    let (taken, rest) = piece.split_at(most.min(piece.len()));
    *piece = rest;
    taken
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotFlv => "what was to be FLV does not begin with an FLV header",
            Self::OutOfStep => "the FLV is broken: no tag begins where one should",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const START: &[u8] = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";

    fn tag(kind: u8, body: &[u8]) -> Vec<u8> {
        let [_, _, _, _, _, size @ ..] = body.len().to_be_bytes();
        [&[kind][..], &size, b"time\0\0\0", body, b"size"].concat()
    }

    /// All that leaves, and why it ended.
    fn split<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Vec<u8>>, Result<(), Broken>) {
        let (mut splitter, mut all) = (Splitter::default(), Vec::new());
        for mut piece in pieces {
            loop {
                match splitter.next(&mut piece) {
                    Ok(Some(whole)) => all.push(whole),
                    Ok(None) => break,
                    Err(broken) => return (all, Err(broken)),
                }
                assert!(splitter.kept.len() <= LARGEST);
            }
            assert!(piece.is_empty(), "{piece:?} is not looked at");
        }
        (all, Ok(()))
    }

    fn whole(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), Broken>) {
        split([&parts.concat()[..]])
    }

    /// Reads it from one slice, field by field.
    fn model(mut bytes: &[u8]) -> (Vec<Vec<u8>>, Result<(), Broken>) {
        let mut all = Vec::new();
        if bytes.len() < 13 {
            return (all, Ok(()));
        }
        let length = |bytes: &[u8]| u32::from_be_bytes(bytes[5..9].try_into().unwrap()) as usize;
        let is_header =
            |bytes: &[u8]| bytes.starts_with(b"FLV") && (9..=LARGEST).contains(&length(bytes));
        if !is_header(bytes) {
            return (all, Err(Broken::NotFlv));
        }
        all.push(bytes[..13].to_vec());
        bytes = bytes.get(length(bytes) + 4..).unwrap_or_default();
        while bytes.len() >= 11 {
            let size = usize::from(bytes[1]) * 65_536 + usize::from(bytes[2]) * 256;
            let end = 11 + size + usize::from(bytes[3]) + 4;
            let end = match bytes[0] {
                _ if is_header(bytes) => length(bytes) + 4,
                8 | 9 | 18 => {
                    all.extend(bytes.get(..end).map(<[u8]>::to_vec));
                    end
                }
                _ if bytes[8..11] == [0, 0, 0] => end,
                _ => return (all, Err(Broken::OutOfStep)),
            };
            bytes = bytes.get(end..).unwrap_or_default();
        }
        (all, Ok(()))
    }

    #[test]
    fn the_header_and_each_tag_leave_whole() {
        let tags = [
            tag(18, b"onMetaData"),
            tag(9, b"\x90hvc1"),
            tag(8, b""),
            tag(8, &[0xaf; 70_000]),
        ];
        let (left, ended) = whole(&[START, &tags.concat(), b"\x09\0\0"]);
        let expected: Vec<_> = std::iter::once(START.to_vec()).chain(tags).collect();
        assert_eq!((left, ended), (expected, Ok(())));
    }

    #[test]
    fn what_flvdemux_would_skip_is_skipped() {
        let long = b"FLV\x01\x05\0\0\0\x0cnew\0\0\0\0";
        let (kept, other) = (tag(9, b"kept"), tag(15, b"other"));
        // A longer header, a type of tag that is not known, and a header between tags.
        for parts in [
            [&long[..], &other, &kept],
            [START, &other, &kept],
            [START, START, &kept],
            [START, long, &kept],
        ] {
            let (left, ended) = whole(&parts);
            assert_eq!((left.last(), left.len(), ended), (Some(&kept), 2, Ok(())));
        }
    }

    #[test]
    fn what_is_no_flv_is_said() {
        let ts = [&[0x47][..], &tag(9, b"picture")].concat();
        assert_eq!(whole(&[&ts]), (vec![], Err(Broken::NotFlv)));
        let short = b"FLV\x01\x05\0\0\0\x02\0\0\0\0";
        assert_eq!(whole(&[short]), (vec![], Err(Broken::NotFlv)));
        let (left, ended) = whole(&[START, b"plain English text", &tag(9, b"picture")]);
        assert_eq!((left.len(), ended), (1, Err(Broken::OutOfStep)));
    }

    #[test]
    fn what_follows_lost_bytes_begins_with_a_tag() {
        let (mut splitter, kept) = (Splitter::default(), tag(9, b"kept"));
        let cut = [START, &tag(8, b"lost")[..14]].concat();
        assert_eq!(splitter.next(&mut &cut[..]), Ok(Some(START.to_vec())));
        assert_eq!(splitter.next(&mut &cut[13..]), Ok(None));
        splitter.restart();
        assert_eq!(splitter.next(&mut &kept[..]), Ok(Some(kept.clone())));
    }

    #[test]
    fn a_claim_of_size_takes_no_room() {
        let mut splitter = Splitter::default();
        let claim = [START, b"\x09\xff\xff\xfftime\0\0\0\x17"].concat();
        let mut rest = &claim[..];
        assert!(
            splitter
                .next(&mut rest)
                .is_ok_and(|header| header.is_some())
        );
        assert_eq!(splitter.next(&mut rest), Ok(None));
        assert!(splitter.kept.capacity() <= 2 * TRUSTED);
    }

    fn any_stream() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![4 => Just(8u8), 4 => Just(9), 1 => Just(18), 1 => any::<u8>()];
        let body = proptest::collection::vec(any::<u8>(), 0..200);
        let part = prop_oneof![
            20 => (kind, body).prop_map(|(kind, body)| tag(kind, &body)),
            1 => Just(START.to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 0..30),
        ];
        proptest::collection::vec(part, 0..12).prop_map(|parts| [START, &parts.concat()].concat())
    }

    fn in_pieces<'a>(mut bytes: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
        let mut sizes = sizes.iter().cycle();
        let pieces = std::iter::from_fn(|| {
            let size = sizes.next().filter(|_| !bytes.is_empty());
            size.map(|size| take(&mut bytes, *size))
        });
        pieces.collect()
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same_tags(bytes in any_stream(), sizes in proptest::collection::vec(1usize..50, 1..40)) {
            prop_assert_eq!(split(in_pieces(&bytes, &sizes)), model(&bytes));
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, is_open: bool, sizes in proptest::collection::vec(1usize..50, 1..40)) {
            let start = if is_open { START } else { &[] };
            let bytes = [start, &bytes].concat();
            prop_assert_eq!(split(in_pieces(&bytes, &sizes)), model(&bytes));
        }
    }
}
