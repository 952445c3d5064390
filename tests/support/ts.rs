// SPDX-License-Identifier: MPL-2.0
//! MPEG-TS whose programme map changes in mid-stream, made of a recording: packet by packet, nothing encoded again.
//!
//! Knows a map of one packet, and one programme with H.264 and AAC.

const PACKET: usize = 188;
/// ISO/IEC 13818-1, table 2-34.
const AVC: u8 = 0x1b;
const AAC: u8 = 0x0f;

/// What a part of the stream brings.
#[derive(Clone, Copy)]
pub(crate) struct Streams {
    /// As it is in the recording, or with this PID.
    pub(crate) video: Option<Pid>,
    pub(crate) audio: Option<Pid>,
}

#[derive(Clone, Copy)]
pub(crate) enum Pid {
    Own,
    Is(u16),
}

impl Pid {
    fn of(self, own: u16) -> u16 {
        match self {
            Self::Own => own,
            Self::Is(pid) => pid,
        }
    }
}

/// The recording in as many parts of the same length, each with a version of the map of its own, which is its first packet.
pub(crate) fn remapped(recording: &[u8], parts: &[Streams]) -> Vec<u8> {
    let packets: Vec<&[u8]> = recording.chunks_exact(PACKET).collect();
    let map_pid = packets.iter().find(|p| pid_of(p) == 0).map(|pat| {
        let section = section(pat);
        u16::from_be_bytes([section[10] & 0x1f, section[11]])
    });
    let map_pid = map_pid.expect("a programme");
    let is_map = |packet: &&&[u8]| pid_of(packet) == map_pid;
    let map = packets.iter().find(is_map).expect("a map");
    let own = |kind: u8| {
        let mut entries = entries(section(map)).into_iter();
        entries.find(|(of, ..)| *of == kind).map(|(_, pid, _)| pid)
    };
    let (video, audio) = (own(AVC).expect("H.264"), own(AAC).expect("AAC"));
    let mut out = Vec::with_capacity(recording.len());
    let mut part = 0;
    for (number, packet) in packets.iter().enumerate() {
        // A part begins with its map.
        if pid_of(packet) == map_pid {
            part = number * parts.len() / packets.len();
        }
        let streams = parts[part];
        let new = |own| match own {
            own if own == video => streams.video.map(|pid| pid.of(own)),
            own if own == audio => streams.audio.map(|pid| pid.of(own)),
            other => Some(other),
        };
        if pid_of(packet) == map_pid {
            out.extend(with_map(packet, u8::try_from(part).unwrap_or(0), new));
        } else if let Some(pid) = new(pid_of(packet)) {
            out.extend(with_pid(packet, pid));
        }
    }
    out
}

fn pid_of(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

fn with_pid(packet: &[u8], pid: u16) -> Vec<u8> {
    let mut packet = packet.to_vec();
    let [high, low] = pid.to_be_bytes();
    packet[1] = packet[1] & 0xe0 | high;
    packet[2] = low;
    packet
}

/// Where the section of a packet begins.
fn begin(packet: &[u8]) -> usize {
    let has_adaptation = packet[3] & 0x20 != 0;
    let payload = 4 + if has_adaptation {
        1 + usize::from(packet[4])
    } else {
        0
    };
    payload + 1 + usize::from(packet[payload])
}

fn section(packet: &[u8]) -> &[u8] {
    let section = &packet[begin(packet)..];
    &section[..3 + length(section[1], section[2])]
}

fn length(high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high & 0x0f, low]))
}

/// Of a map: each stream's type, its PID, and where its entry is.
fn entries(map: &[u8]) -> Vec<(u8, u16, std::ops::Range<usize>)> {
    let mut at = 12 + length(map[10], map[11]);
    let mut entries = vec![];
    while at < map.len() - 4 {
        let end = at + 5 + length(map[at + 3], map[at + 4]);
        let pid = u16::from_be_bytes([map[at + 1] & 0x1f, map[at + 2]]);
        entries.push((map[at], pid, at..end));
        at = end;
    }
    entries
}

fn with_map(packet: &[u8], version: u8, new: impl Fn(u16) -> Option<u16>) -> Vec<u8> {
    let old = section(packet);
    let mut map = old[..12 + length(old[10], old[11])].to_vec();
    map[5] = map[5] & 0xc1 | version << 1;
    let clock = u16::from_be_bytes([map[8] & 0x1f, map[9]]);
    let [high, low] = new(clock).unwrap_or(clock).to_be_bytes();
    (map[8], map[9]) = (map[8] & 0xe0 | high, low);
    for (_, pid, entry) in entries(old) {
        if let Some(pid) = new(pid) {
            let [high, low] = pid.to_be_bytes();
            let begin = map.len();
            map.extend(&old[entry]);
            (map[begin + 1], map[begin + 2]) = (map[begin + 1] & 0xe0 | high, low);
        }
    }
    let [high, low] = u16::try_from(map.len() + 4 - 3).unwrap_or(0).to_be_bytes();
    (map[1], map[2]) = (map[1] & 0xf0 | high, low);
    map.extend(crc(&map).to_be_bytes());
    let mut packet = packet[..begin(packet)].to_vec();
    packet.extend(map);
    packet.resize(PACKET, 0xff);
    packet
}

fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |crc, byte| {
        let crc = crc ^ u32::from(*byte) << 24;
        (0..8).fold(crc, |crc, _| match crc >> 31 {
            0 => crc << 1,
            _ => crc << 1 ^ 0x04c1_1db7,
        })
    })
}
