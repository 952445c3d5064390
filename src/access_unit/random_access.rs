// SPDX-License-Identifier: MPL-2.0
//! PURE: where the decoding of H.264 and H.265 can begin, from the bytes of an access unit.
//!
//! A parser calls each picture that refers to none a key frame. But pictures behind an I picture that is no IDR may refer to
//! what was before it, as encoders make them at a change of scene: who begins there shows broken frames until the next
//! IDR. A recovery point says that they do not (H.264 D.2.8; with a `recovery_frame_cnt` of 0 the picture itself is
//! right). In H.265 such a picture has a type of its own (7.4.2.2: CRA and BLA). Pictures that are shown before it and
//! refer to earlier ones are left out elsewhere.

use std::ops::RangeInclusive;

/// What an access unit is coded in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Codec {
    H264,
    H265,
}

/// H.264 7.4.1: a slice of an IDR picture, other slices, supplemental information.
const IDR: u8 = 5;
const SLICES: RangeInclusive<u8> = 1..=5;
const SEI: u8 = 6;
/// H.264 D.1: the message that is a recovery point.
const RECOVERY_POINT: u32 = 6;
/// H.265 7.4.2.2: slices, and of them those of pictures with which decoding can begin.
const SLICES_H265: RangeInclusive<u8> = 0..=31;
const RANDOM_ACCESS: RangeInclusive<u8> = 16..=21;

/// Whether decoding can begin with this access unit, a byte stream with start codes. Looks no further than its first slice.
pub(super) fn is_random_access(codec: Codec, unit: &[u8]) -> bool {
    let mut is_recovery_point = false;
    for nal in nals(unit) {
        let Some(first) = nal.first() else {
            continue;
        };
        match codec {
            Codec::H264 => match first & 0x1f {
                IDR => return true,
                kind if SLICES.contains(&kind) => return is_recovery_point,
                SEI => is_recovery_point |= recovers_at_once(nal),
                _ => {}
            },
            Codec::H265 => {
                let kind = first >> 1 & 0x3f;
                if SLICES_H265.contains(&kind) {
                    return RANDOM_ACCESS.contains(&kind);
                }
            }
        }
    }
    false
}

/// The NAL units between the start codes.
fn nals(unit: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = behind_start_code(unit);
    std::iter::from_fn(move || {
        let nal = rest?;
        rest = behind_start_code(nal);
        // A start code and the zero before it are not part of it; the end of one is not looked at here.
        let length = rest.map_or(nal.len(), |rest| nal.len() - rest.len());
        nal.get(..length)
    })
}

fn behind_start_code(bytes: &[u8]) -> Option<&[u8]> {
    let place = bytes.windows(3).position(|three| three == [0, 0, 1])?;
    bytes.get(place + 3..)
}

/// A recovery point whose picture is right itself is among these messages.
fn recovers_at_once(nal: &[u8]) -> bool {
    let mut bytes = unescaped(nal).skip(1);
    loop {
        let (Some(kind), Some(size)) = (number(&mut bytes), number(&mut bytes)) else {
            return false;
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        if kind == RECOVERY_POINT {
            // ue(v), which is 0 where its first bit is set.
            return size > 0 && bytes.next().is_some_and(|byte| byte & 0x80 != 0);
        }
        if size > 0 && bytes.nth(size - 1).is_none() {
            return false;
        }
    }
}

/// H.264 7.3.2.3.1: bytes of 255 count, and one that is less ends it.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let mut sum = 0_u32;
    loop {
        let byte = bytes.next()?;
        sum = sum.saturating_add(u32::from(byte));
        if byte != 255 {
            return Some(sum);
        }
    }
}

/// Without the bytes that keep start codes out of the contents (H.264 7.4.1).
fn unescaped(nal: &[u8]) -> impl Iterator<Item = u8> {
    let mut zeros = 0;
    nal.iter().copied().filter(move |byte| {
        let is_escape = zeros >= 2 && *byte == 3;
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
        !is_escape
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn unit(nals: &[&[u8]]) -> Vec<u8> {
        let coded = nals.iter().map(|nal| [&[0, 0, 0, 1], *nal].concat());
        coded.collect::<Vec<_>>().concat()
    }

    const DELIMITER: &[u8] = &[0x09, 0xf0];
    const PARAMETERS: &[u8] = &[0x67, 0x42, 0, 0x0a];
    const IDR_SLICE: &[u8] = &[0x65, 0x88, 0x84];
    const I_SLICE: &[u8] = &[0x41, 0x9a, 0x24];

    #[test]
    fn an_idr_is_one_whatever_stands_before_it() {
        let units: [&[&[u8]]; 3] = [
            &[IDR_SLICE],
            &[DELIMITER, PARAMETERS, IDR_SLICE],
            &[
                DELIMITER,
                PARAMETERS,
                &[0x06, 5, 1, 9, 0x80],
                IDR_SLICE,
                I_SLICE,
            ],
        ];
        for nals in units {
            assert!(is_random_access(Codec::H264, &unit(nals)), "{nals:?}");
        }
    }

    #[test]
    fn a_picture_that_refers_to_none_is_none_by_that() {
        for nals in [
            vec![I_SLICE],
            vec![DELIMITER, PARAMETERS, I_SLICE],
            vec![I_SLICE, IDR_SLICE],
        ] {
            assert!(!is_random_access(Codec::H264, &unit(&nals)), "{nals:?}");
        }
    }

    #[test]
    fn a_recovery_point_is_one_where_its_own_picture_is_right() {
        let point = |count: u8| [0x06, 6, 1, count, 0x80];
        // ue(v): 1 is 0, 010 is 1.
        for (count, expected) in [(0b1100_0000, true), (0b0100_0000, false)] {
            let sei = point(count);
            let nals = unit(&[DELIMITER, &sei, I_SLICE]);
            assert_eq!(is_random_access(Codec::H264, &nals), expected, "{count:b}");
        }
    }

    #[test]
    fn a_recovery_point_behind_other_messages_is_found() {
        // A picture timing of four bytes that had to be escaped, and one of 255 + 2 bytes.
        let mut long = vec![0x06, 1, 4, 0, 0, 3, 1, 7, 4, 255, 2];
        long.extend([1; 257]);
        long.extend([6, 1, 0xc0, 0x80]);
        assert!(is_random_access(Codec::H264, &unit(&[&long, I_SLICE])));
    }

    #[test]
    fn in_h265_the_type_says_it() {
        for (kind, expected) in [
            (1, false),
            (9, false),
            (16, true),
            (19, true),
            (20, true),
            (21, true),
            (22, false),
        ] {
            let slice = [kind << 1, 1, 0xaf];
            let nals = unit(&[&[35 << 1, 1, 0x50], &[32 << 1, 1, 0xc], &slice]);
            assert_eq!(is_random_access(Codec::H265, &nals), expected, "{kind}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), Just(3), any::<u8>()], 0..200)) {
            let _ = is_random_access(Codec::H264, &bytes);
            let _ = is_random_access(Codec::H265, &bytes);
        }

        #[test]
        fn an_escaped_message_is_the_message(payload in prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..60)) {
            let size = u8::try_from(payload.len()).expect("small");
            let mut plain = vec![0x06, 5, size];
            plain.extend(&payload);
            plain.extend([6, 1, 0xc0, 0x80]);
            let (mut escaped, mut zeros) = (vec![], 0);
            for byte in plain {
                if zeros >= 2 && byte <= 3 {
                    escaped.push(3);
                    zeros = 0;
                }
                escaped.push(byte);
                zeros = if byte == 0 { zeros + 1 } else { 0 };
            }
            prop_assert!(is_random_access(Codec::H264, &unit(&[&escaped, I_SLICE])));
        }
    }
}
