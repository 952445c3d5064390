// SPDX-License-Identifier: MPL-2.0
//! Inputs that have no end by their nature and come to one all the same: live streams by HTTP whose server closes, and
//! playlists whose publisher dies.

#[path = "support/http.rs"]
mod http;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/recording.rs"]
mod recording;

use std::time::Duration;

use gst::prelude::*;
use http::Http;
use programme::{Look, MS, Programme, both};
use recording::Recording;

const BOTH: [&str; 2] = ["audio_0", "video_0"];

/// Each connection lasts that long.
fn closing(look: Look, seconds: u32) -> Http {
    let recording = Recording::new(look, seconds, "ts");
    let bytes = std::fs::read(recording.path()).expect("a recording");
    Http::live(bytes, Duration::from_secs(seconds.into()))
}

#[test]
fn two_streams_by_http_that_close_are_asked_for_again_and_end_nothing() {
    let (primary, backup) = (closing(Look::Primary, 3), closing(Look::Backup, 4));
    let programme = Programme::new()
        .set("primary-uri", primary.uri("live.ts"))
        .set("backup-uri", backup.uri("live.ts"))
        .set("recovery-time", 500 * MS)
        .set("retry-max", 500 * MS)
        .start();
    programme.until("both are asked for again", |record| {
        record.attempts(0) >= 3 && record.attempts(1) >= 2
    });
    programme.until("something is shown again", |record| {
        let last = record.output("video_0").and_then(|video| video.seen.last());
        last.is_some_and(|seen| seen.look != Look::Slate)
    });
    assert!(!programme.record().eos);
    programme.finish(&BOTH);
}

#[test]
fn a_stream_by_http_that_closes_is_returned_to() {
    let primary = closing(Look::Primary, 4);
    let programme = Programme::new()
        .set("primary-uri", primary.uri("live.ts"))
        .set("backup-source", both(Look::Backup))
        .set("recovery-time", 500 * MS)
        .set("retry-max", 500 * MS)
        .start();
    programme.until_all_show(Look::Primary);
    programme.until_switches(3);
    let switches = programme.record().switches();
    assert_eq!(
        switches[1..3],
        [(0, 1, "eos".to_owned()), (1, 0, "recovered".to_owned())]
    );
    programme.finish(&BOTH);
}

/// A live playlist in a folder of its own, as long as its publisher lives.
struct Playlist {
    folder: std::path::PathBuf,
    publisher: gst::Element,
}

impl Playlist {
    /// No two frames of it are the same.
    fn publish(folder: std::path::PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("a folder");
        let at = folder.display();
        let line = format!(
            "hlssink2 name=hls target-duration=1 playlist-length=4 max-files=8 \
             location={at}/%05d.ts playlist-location={at}/live.m3u8 \
             videotestsrc is-live=true pattern=snow ! \
             video/x-raw,format=I420,width=160,height=90,framerate=25/1 ! \
             x264enc tune=zerolatency speed-preset=ultrafast key-int-max=25 ! hls.video \
             audiotestsrc is-live=true wave=white-noise ! audio/x-raw,rate=44100,channels=2 ! \
             avenc_aac ! hls.audio"
        );
        programme::init();
        let publisher = gst::parse::launch(&line).expect("a valid line");
        publisher.set_state(gst::State::Playing).expect("PLAYING");
        Self { folder, publisher }
    }

    /// The playlist stays as it is: no segment follows, and no end.
    fn die(self) -> std::path::PathBuf {
        self.publisher.set_state(gst::State::Null).expect("NULL");
        self.folder
    }
}

#[test]
fn what_a_dead_playlist_still_names_is_no_recovery() {
    let folder = std::env::temp_dir().join(format!("failover-playlist-{}", std::process::id()));
    let playlist = Playlist::publish(folder.clone());
    let server = Http::files(folder.clone());
    let there = || folder.join("live.m3u8").exists() && folder.join("00003.ts").exists();
    let published = lab::poll_until(Duration::from_secs(20), there);
    assert!(published, "nothing was published");
    let programme = Programme::new()
        .set("primary-uri", server.uri("live.m3u8"))
        .set("backup-source", both(Look::Backup))
        .set("startup-timeout", 20_000 * MS)
        .set("recovery-time", 1_000 * MS)
        .set("retry-max", 500 * MS)
        .start();
    programme.until("the playlist plays", |record| record.told(0, "flowing"));
    programme.until("it goes on", |record| {
        let video = record.output("video_0");
        video.is_some_and(|video| video.passed.len() > 75)
    });
    programme.src.set_property("startup-timeout", 2_000 * MS);
    let folder = playlist.die();
    programme.until_all_show(Look::Backup);
    // Two more attempts: each of them finds the last segments again.
    let attempts = programme.record().attempts(0);
    programme.until("it is tried again", |record| {
        record.attempts(0) > attempts + 1
    });
    assert_eq!(programme.record().switches().len(), 2);
    // Another publisher begins, with the numbers of the first one.
    let playlist = Playlist::publish(folder);
    programme.until("it is returned to", |record| record.switches().len() == 3);
    assert_eq!(
        programme.record().switches()[2],
        (1, 0, "recovered".to_owned())
    );
    let folder = playlist.die();
    programme.finish(&BOTH);
    let _ = std::fs::remove_dir_all(folder);
}
