// SPDX-License-Identifier: MPL-2.0
//! Live FLV by HTTP whose video begins later than flvdemux waits for it, as where a server has audio at once and its next key frame
//! is far.

#[path = "support/http.rs"]
mod http;
#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/recording.rs"]
mod recording;

use std::time::Duration;

use http::Http;
use programme::{Look, MS, Programme, both};
use recording::Recording;

const BOTH: [&str; 2] = ["audio_0", "video_0"];
const HEADER: usize = 13;
const VIDEO: u8 = 9;
const AUDIO: u8 = 8;
const SCRIPT: u8 = 18;
/// flvdemux waits for six seconds, in the time of the stream.
const LATE: Duration = Duration::from_secs(7);

/// The tags of an FLV file, with their times.
fn tags(bytes: &[u8]) -> Vec<(Duration, &[u8])> {
    let mut rest = &bytes[HEADER..];
    let mut tags = vec![];
    while let [_, a, b, c, low @ .., _] = rest.get(..9).unwrap_or_default() {
        let size = u32::from_be_bytes([0, *a, *b, *c]);
        let time = u32::from_be_bytes([low[3], low[0], low[1], low[2]]);
        let end = 11 + 4 + usize::try_from(size).expect("24 bits");
        let (tag, behind) = rest.split_at(end);
        tags.push((Duration::from_millis(time.into()), tag));
        rest = behind;
    }
    tags
}

/// Sends audio, and after a while video beside it, each as it is made; the header knows of no video yet. Then it closes.
fn late_video(look: Look, seconds: u32) -> Http {
    let late = u32::try_from(LATE.as_secs()).expect("a few seconds");
    let recording = Recording::new(look, late + seconds, "flv");
    let bytes = std::fs::read(recording.path()).expect("a recording");
    let mut header = bytes[..HEADER].to_vec();
    header[4] = 4;
    let is_configuration = |tag: &[u8]| tag[0] == VIDEO && tag[12] == 0;
    let (first, rest): (Vec<_>, Vec<_>) = tags(&bytes)
        .into_iter()
        .partition(|(_, tag)| is_configuration(tag));
    let (_, configuration) = first.first().expect("what the video is");
    let frames = rest
        .into_iter()
        .filter(|(time, tag)| tag[0] == AUDIO || (tag[0] == VIDEO && *time >= LATE));
    let mut chunks = vec![(Duration::ZERO, header)];
    let mut is_configured = false;
    for (time, tag) in frames {
        if tag[0] == VIDEO && !std::mem::replace(&mut is_configured, true) {
            chunks.push((time, configuration.to_vec()));
        }
        chunks.push((time, tag.to_vec()));
    }
    Http::timed("video/x-flv", chunks)
}

#[test]
fn video_that_begins_long_after_its_audio_joins_and_is_cut_to_and_from() {
    let server = late_video(Look::Primary, 4);
    let programme = Programme::new()
        .set("primary-uri", server.uri("live.flv"))
        .set("backup-source", both(Look::Backup))
        .set("startup-timeout", 1_000 * MS)
        .set("recovery-time", 500 * MS)
        .start();
    programme.until_all_show(Look::Backup);
    // Its video has come.
    programme.until_all_show(Look::Primary);
    // It has closed.
    programme.until_all_show(Look::Backup);
    let switches = programme.record().switches();
    assert_eq!(
        switches[switches.len() - 2..],
        [(1, 0, "recovered".to_owned()), (0, 1, "eos".to_owned())]
    );
    assert!(!programme.record().eos);
    programme.finish(&BOTH);
}

/// Its metadata say how long it is, or it has none, as what was live once and was recorded.
#[test]
fn a_file_plays_to_its_end() {
    let recording = Recording::new(Look::Primary, 2, "flv");
    let bytes = std::fs::read(recording.path()).expect("a recording");
    let without = recording.path().with_extension("live.flv");
    let media = tags(&bytes).into_iter().filter(|(_, tag)| tag[0] != SCRIPT);
    let media = media.flat_map(|(_, tag)| tag.to_vec());
    let bytes: Vec<_> = bytes[..HEADER].iter().copied().chain(media).collect();
    std::fs::write(&without, bytes).expect("a file");
    let uri = gst::glib::filename_to_uri(&without, None).expect("a full path");
    for uri in [recording.uri(), uri.to_string()] {
        let programme = Programme::new().set("primary-uri", uri).start();
        programme.until("it ends", |record| record.eos);
        {
            let record = programme.record();
            assert_eq!(record.attempts(0), 1);
            for name in BOTH {
                let output = record.output(name).expect("it was there");
                assert!(output.has_shown(Look::Primary), "{name}");
            }
        }
        programme.finish(&BOTH);
    }
    let _ = std::fs::remove_file(without);
}
