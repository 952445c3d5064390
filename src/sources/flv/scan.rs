// SPDX-License-Identifier: MPL-2.0
//! Finds the tags in FLV that comes in pieces of any size, as over HTTP.
//!
//! Pure. Keeps no more of a tag than its beginning. What is no FLV, or ceases to be, is not looked at any further.

use super::codec::LOOK;
use super::{BODY, HEADER};
use crate::sources::Kind;

/// Behind each tag stands its size.
const SIZE_BEHIND: usize = 4;
/// A tag with metadata.
const SCRIPT: u8 = 18;

#[derive(Debug, Default)]
pub(super) struct Scanner {
    /// The beginning of what comes next.
    head: Vec<u8>,
    /// So much is of no interest.
    skip: usize,
    /// The header of all was there.
    is_open: bool,
    is_lost: bool,
}

impl Scanner {
    /// Tells of each tag with media whose beginning is there with this piece: its kind, and how its body begins.
    pub(super) fn feed(&mut self, mut piece: &[u8], seen: &mut impl FnMut(Kind, &[u8])) {
        while !self.is_lost && !piece.is_empty() {
            let (_, rest) = piece.split_at(self.skip.min(piece.len()));
            self.skip -= piece.len() - rest.len();
            let missing = self.wanted().saturating_sub(self.head.len());
            let (more, rest) = rest.split_at(missing.min(rest.len()));
            self.head.extend_from_slice(more);
            piece = rest;
            if self.skip == 0 && self.head.len() == self.wanted() {
                self.look(seen);
            }
        }
    }

    /// As much as has to be there before anything can be said.
    fn wanted(&self) -> usize {
        match (self.is_open, self.size()) {
            (false, _) => HEADER,
            (true, None) => BODY,
            (true, Some(size)) => BODY + size.min(LOOK),
        }
    }

    /// Of the body of the tag, once that is known.
    fn size(&self) -> Option<usize> {
        let head = self.head.first_chunk::<BODY>().filter(|_| self.is_open)?;
        let [_, high, middle, low, ..] = *head;
        usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok()
    }

    fn look(&mut self, seen: &mut impl FnMut(Kind, &[u8])) {
        match self.size() {
            Some(size) => {
                let (tag, body) = self.head.split_at(BODY);
                match tag.first() {
                    Some(8) => seen(Kind::Audio, body),
                    Some(9) => seen(Kind::Video, body),
                    other => self.is_lost = other != Some(&SCRIPT),
                }
                self.skip = size - body.len() + SIZE_BEHIND;
            }
            None => {
                // The header says how long it is, for those to come.
                let length = match self.head.first_chunk::<HEADER>() {
                    Some([b'F', b'L', b'V', _, _, a, b, c, d, ..]) => {
                        u32::from_be_bytes([*a, *b, *c, *d])
                    }
                    _ => 0,
                };
                let length = usize::try_from(length).unwrap_or(0);
                let behind = (length + SIZE_BEHIND).checked_sub(HEADER);
                self.is_lost = behind.is_none();
                self.skip = behind.unwrap_or(0);
                self.is_open = true;
            }
        }
        self.head.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tag(kind: u8, body: &[u8]) -> Vec<u8> {
        let [_, _, _, _, _, size @ ..] = body.len().to_be_bytes();
        [&[kind][..], &size, &[0; 7], body, b"size"].concat()
    }

    fn flv(tags: &[Vec<u8>]) -> Vec<u8> {
        [b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec(), tags.concat()].concat()
    }

    fn scanned<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(Kind, Vec<u8>)> {
        let (mut scanner, mut all) = (Scanner::default(), Vec::new());
        for piece in pieces {
            scanner.feed(piece, &mut |kind, body| all.push((kind, body.to_vec())));
            assert!(scanner.head.len() <= BODY + LOOK);
        }
        all
    }

    #[test]
    fn each_tag_with_media_is_seen_once() {
        let all = flv(&[
            tag(18, b"onMetaData"),
            tag(9, b"\x90hvc1"),
            tag(8, b""),
            tag(8, &[0xaf; 1000]),
        ]);
        let seen = scanned([&all[..]]);
        let expected = [
            (Kind::Video, b"\x90hvc1".to_vec()),
            (Kind::Audio, Vec::new()),
            (Kind::Audio, vec![0xaf; LOOK]),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_is_no_flv_is_left_alone() {
        let ts = [b"\x47\0\0\0".to_vec(), tag(9, b"\x90hvc1")].concat();
        assert_eq!(scanned([&ts[..]]), []);
        let short = [b"FLV\x01\x05\0\0\0\x02\0\0\0\0".to_vec(), tag(9, b"x")].concat();
        assert_eq!(scanned([&short[..]]), []);
        // Out of step.
        let broken = flv(&[tag(77, b"x"), tag(9, b"\x90hvc1")]);
        assert_eq!(scanned([&broken[..]]), []);
    }

    fn any_tags() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let kind = prop_oneof![Just(8u8), Just(9), Just(18)];
        let body = proptest::collection::vec(any::<u8>(), 0..200);
        proptest::collection::vec((kind, body), 0..8)
            .prop_map(|tags| tags.iter().map(|(kind, body)| tag(*kind, body)).collect())
    }

    proptest! {
        #[test]
        fn the_pieces_are_of_no_account(tags in any_tags(), sizes in proptest::collection::vec(1usize..50, 1..40)) {
            let all = flv(&tags);
            let whole = scanned([&all[..]]);
            let mut rest = &all[..];
            let mut pieces = Vec::new();
            for size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, behind) = rest.split_at((*size).min(rest.len()));
                pieces.push(piece);
                rest = behind;
            }
            let media = tags.iter().filter(|tag| tag[0] != 18).count();
            prop_assert_eq!(whole.len(), media);
            prop_assert_eq!(scanned(pieces), whole);
        }

        #[test]
        fn any_bytes_are_read(pieces: Vec<Vec<u8>>) {
            let header = flv(&[]);
            let pieces = std::iter::once(&header[..]).chain(pieces.iter().map(Vec::as_slice));
            let _ = scanned(pieces);
        }
    }
}
