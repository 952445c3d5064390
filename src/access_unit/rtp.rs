// SPDX-License-Identifier: MPL-2.0
//! What the header of an RTP packet says (RFC 3550, 5.1).

#[derive(Clone, Copy)]
pub(crate) struct Header {
    /// The last packet of its picture.
    pub(crate) marker: bool,
    pub(crate) number: u16,
    /// That of its picture, by the sender's clock.
    pub(crate) timestamp: u32,
    /// The SSRC.
    pub(crate) source: u32,
}

impl Header {
    pub(crate) fn of(buffer: &gst::BufferRef) -> Option<Self> {
        let mut bytes = [0; 12];
        // It panics where there is less than is asked for.
        if buffer.size() < bytes.len() {
            return None;
        }
        buffer.copy_to_slice(0, &mut bytes).ok()?;
        let [_, second, n1, n2, t1, t2, t3, t4, s1, s2, s3, s4] = bytes;
        Some(Self {
            marker: second & 0x80 != 0,
            number: u16::from_be_bytes([n1, n2]),
            timestamp: u32::from_be_bytes([t1, t2, t3, t4]),
            source: u32::from_be_bytes([s1, s2, s3, s4]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_and_what_is_too_short_has_none() {
        gst::init().expect("GStreamer");
        let bytes = [0x80, 0xE0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 99];
        let header = Header::of(&gst::Buffer::from_slice(bytes)).expect("a header");
        let numbers = (header.number, header.timestamp, header.source);
        assert_eq!(numbers, (0x0102, 0x0304_0506, 0x0708_090A));
        assert!(header.marker);
        assert!(Header::of(&gst::Buffer::from_slice([0x80; 11])).is_none());
    }
}
