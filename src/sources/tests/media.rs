// SPDX-License-Identifier: MPL-2.0
//! One short programme in many wrappers, made once by ffmpeg.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The path of the programme in this container: mp4, ts, mkv, flv, wav or m3u8.
pub(super) fn path(extension: &str) -> String {
    let path = folder().join(format!("programme.{extension}"));
    path.to_str().expect("a path in UTF-8").to_string()
}

pub(super) fn uri(extension: &str) -> String {
    format!("file://{}", path(extension))
}

/// Kept between runs; the number changes with the content.
pub(super) fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join("gst-plugin-failover-media-2");
        if !folder.exists() {
            // Made under another name first, so that nobody ever sees half of it.
            let draft = folder.with_extension(std::process::id().to_string());
            std::fs::create_dir_all(&draft).expect("a folder for media");
            make(&draft);
            if std::fs::rename(&draft, &folder).is_err() {
                let _ = std::fs::remove_dir_all(&draft);
            }
        }
        folder
    })
}

/// A picture and three tracks of sound, told apart by their rates: mkv or ts.
pub(super) fn tracks(name: &str) -> String {
    let path = folder().join(name);
    path.to_str().expect("a path in UTF-8").to_string()
}

/// Arguments of ffmpeg for the programme itself, without a destination.
pub(super) const PROGRAMME: &str = "-f lavfi -i testsrc2=s=160x120:r=25 \
    -f lavfi -i sine -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 \
    -c:a aac";

pub(super) fn ffmpeg(arguments: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments.split_whitespace())
        .stdin(Stdio::null());
    command
}

/// A process that ends with the test, however that ends.
pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(command: &mut Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Self(
            command
                .spawn()
                .unwrap_or_else(|e| panic!("{command:?}: {e}")),
        )
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn make(folder: &std::path::Path) {
    let run = |arguments: String| {
        let status = ffmpeg(&arguments).current_dir(folder).status();
        assert!(status.expect("ffmpeg").success(), "ffmpeg {arguments}");
    };
    run(format!("{PROGRAMME} -t 2 programme.mp4"));
    for extension in ["ts", "mkv", "flv"] {
        run(format!("-i programme.mp4 -c copy programme.{extension}"));
    }
    for extension in ["mkv", "ts"] {
        run(format!(
            "-i programme.mp4 -map 0:v -map 0:a -map 0:a -map 0:a -c:v copy -c:a aac \
             -ar:a:0 48000 -ar:a:1 44100 -ar:a:2 32000 tracks.{extension}"
        ));
    }
    run("-i programme.mp4 programme.wav".to_string());
    run("-i programme.mp4 -c copy -hls_time 1 -hls_list_size 0 programme.m3u8".to_string());
}
