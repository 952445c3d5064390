// SPDX-License-Identifier: MPL-2.0
//! Inputs with several tracks of sound: each output has the same track at every start.

#[path = "support/programme/mod.rs"]
mod programme;

use std::process::Command;

use programme::{Look, MS, Programme};

const TRACKS: [(&str, Look); 3] = [
    ("audio_0", Look::Primary),
    ("audio_1", Look::Backup),
    ("audio_2", Look::Third),
];

/// A picture and three tones, in this container.
fn file(extension: &str) -> String {
    let name = format!("failover-tracks-{}.{extension}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y"]);
    ffmpeg.args(["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25"]);
    for (_, look) in TRACKS {
        let tone = format!("sine=frequency={}", look.tone());
        ffmpeg.args(["-f", "lavfi", "-i", &tone]);
    }
    ffmpeg.args([
        "-map", "0", "-map", "1", "-map", "2", "-map", "3", "-t", "20",
    ]);
    ffmpeg.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-pix_fmt",
        "yuv420p",
        "-g",
        "25",
    ]);
    let made = ffmpeg.args(["-c:a", "aac"]).arg(&path).status();
    assert!(made.expect("ffmpeg").success());
    path.to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn tracks_keep_their_outputs_at_every_start() {
    for extension in ["ts", "mkv"] {
        let path = file(extension);
        for start in 0..12 {
            let programme = Programme::new()
                .set("primary-uri", format!("file://{path}"))
                .set("startup-timeout", 20_000 * MS)
                .start();
            println!("{extension}, start {start}");
            for (name, look) in TRACKS {
                programme.until_output_shows(name, look);
            }
            programme.stop();
        }
        let _ = std::fs::remove_file(path);
    }
}
