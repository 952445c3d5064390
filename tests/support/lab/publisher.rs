// SPDX-License-Identifier: MPL-2.0
//! A live publisher: ffmpeg, sending a picture that says who it is and a tone; or what it is given, by the program that
//! speaks the protocol (`sender.rs`).
//!
//! Owns what is sent and the sending process. Knows nothing of who plays it.

use std::io::{self, BufRead, BufReader, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use super::process::{Process, Scratch};
use super::sender::Sender;

pub(super) const QUIETLY: &str =
    "-hide_banner -loglevel warning -nostdin -progress pipe:1 -stats_period 0.1";
const PUBLISH_DEADLINE: Duration = Duration::from_secs(10);

/// What a publisher sends. H.264 and AAC.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    /// Written large in the middle; letters, digits and spaces only.
    pub(crate) text: String,
    /// Background, as ffmpeg spells colours: `0x1450a0` or `navy`.
    pub(crate) background: String,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) fps: u32,
    /// Frames from one key frame to the next.
    pub(crate) gop: u32,
    /// Frequency of the tone; `None` sends no audio at all.
    pub(crate) tone_hz: Option<u32>,
    pub(crate) sample_rate: u32,
    /// `false` sends no video at all.
    pub(crate) video: bool,
}

impl Picture {
    /// 640x360 at 25 frames/s, a key frame each second, 440 Hz.
    pub(crate) fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            background: "0x1450a0".to_owned(),
            width: 640,
            height: 360,
            fps: 25,
            gop: 25,
            tone_hz: Some(440),
            sample_rate: 44_100,
            video: true,
        }
    }

    pub(crate) fn background(mut self, colour: &str) -> Self {
        self.background = colour.to_owned();
        self
    }

    pub(crate) fn tone(mut self, hz: u32) -> Self {
        self.tone_hz = Some(hz);
        self
    }

    pub(crate) fn without_audio(mut self) -> Self {
        self.tone_hz = None;
        self
    }

    pub(crate) fn without_video(mut self) -> Self {
        self.video = false;
        self
    }

    pub(crate) fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    pub(crate) fn fps(mut self, fps: u32) -> Self {
        self.fps = fps;
        self
    }

    pub(crate) fn gop(mut self, frames: u32) -> Self {
        self.gop = frames;
        self
    }

    pub(crate) fn sample_rate(mut self, hz: u32) -> Self {
        self.sample_rate = hz;
        self
    }
}

/// Writes FLV, in real time, until it cannot be written any more. It is called once for each start of a
/// publisher, in a thread of its own, and what it writes is sent as it is.
pub(crate) type Reel = Arc<dyn Fn(&mut dyn Write) -> io::Result<()> + Send + Sync>;

/// What is sent.
#[derive(Clone)]
enum Content {
    Picture(Picture),
    Reel(Reel),
}

/// A running publisher. Dropping it kills it.
pub(crate) struct Publisher {
    process: Process,
    first_output: Receiver<()>,
    folder: Scratch,
    url: String,
    content: Content,
}

impl Publisher {
    /// Starts sending; returns at once, see [`Self::wait_until_publishing`].
    pub(crate) fn start(url: &str, picture: Picture) -> io::Result<Self> {
        Self::send(url, Content::Picture(picture))
    }

    /// As [`Self::start`], of what the reel writes.
    pub(crate) fn relay(url: &str, reel: Reel) -> io::Result<Self> {
        Self::send(url, Content::Reel(reel))
    }

    fn send(url: &str, content: Content) -> io::Result<Self> {
        let folder = Scratch::new()?;
        let (process, first_output) = launch(&folder, url, &content)?;
        Ok(Self {
            process,
            first_output,
            folder,
            url: url.to_owned(),
            content,
        })
    }

    /// Waits until the first media have been sent, or can be asked for; an error when that does not happen.
    pub(crate) fn wait_until_publishing(&mut self) -> io::Result<()> {
        match self.first_output.recv_timeout(PUBLISH_DEADLINE) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.process.failure("the publisher does not publish")),
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// SIGKILL: the server sees the connection end at once.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// SIGSTOP: the connection stays open and silent.
    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        self.process.freeze()
    }

    /// SIGCONT: goes on, and sends what it missed in a burst.
    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        self.process.thaw()
    }

    /// Publishes the same again, with timestamps that begin at zero again.
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.process.kill9();
        (self.process, self.first_output) = launch(&self.folder, &self.url, &self.content)?;
        Ok(())
    }
}

fn launch(folder: &Scratch, url: &str, content: &Content) -> io::Result<(Process, Receiver<()>)> {
    let log = folder.path().join("publisher.log");
    let (mut process, says_so): (_, fn(&str) -> bool) = match content {
        Content::Picture(picture) => {
            let process = Process::spawn("ffmpeg", &drawn(url, picture), &log)?;
            (process, has_sent)
        }
        Content::Reel(reel) => {
            let sender = Sender::to(url)?;
            let mut process = Process::spawn_fed(&sender.program, &sender.args, &log)?;
            let (reel, stdin) = (reel.clone(), process.take_stdin());
            // It ends with the process, which breaks the pipe.
            thread::spawn(move || stdin.map(|mut stdin| reel(&mut stdin)));
            (process, sender.says_so)
        }
    };
    let (sender, receiver) = sync_channel(1);
    if let Some(stdout) = process.take_stdout() {
        // Reads to the end, since a full pipe would hold the publisher up.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if says_so(&line) {
                    let _ = sender.try_send(());
                }
            }
        });
    }
    Ok((process, receiver))
}

/// Whether a line of ffmpeg's progress says that something has left.
pub(super) fn has_sent(line: &str) -> bool {
    let microseconds = line.strip_prefix("out_time_us=");
    microseconds.and_then(|us| us.trim().parse().ok()) > Some(0_i64)
}

fn drawn(url: &str, picture: &Picture) -> Vec<String> {
    let fps = picture.fps;
    let mut args = words(QUIETLY);
    if picture.video {
        args.extend(words("-re -f lavfi -i"));
        args.push(drawing(picture));
    }
    if let Some(hz) = picture.tone_hz {
        let rate = picture.sample_rate;
        args.extend(words("-re -f lavfi -i"));
        args.push(format!("sine=frequency={hz}:sample_rate={rate}"));
        args.extend(words("-c:a aac -b:a 96k"));
    }
    if picture.video {
        args.extend(words(
            "-c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p",
        ));
        args.extend(words("-threads 1 -b:v 800k -sc_threshold 0"));
        args.extend(words(&format!(
            "-r {fps} -g {gop} -keyint_min {gop}",
            gop = picture.gop
        )));
    }
    // MPEG-TS as ffmpeg makes it by itself: frames of audio by the packet.
    let format = if url.starts_with("udp:") {
        "mpegts"
    } else {
        "flv"
    };
    args.extend(words("-f"));
    args.extend([format.to_owned(), url.to_owned()]);
    args
}

/// The name in large letters, a clock, a frame counter, and a bar that moves with every frame.
fn drawing(picture: &Picture) -> String {
    let Picture {
        text,
        background,
        width,
        height,
        fps,
        ..
    } = picture;
    let letters = "font='DejaVu Sans\\:bold':fontcolor=white:x=(w-tw)/2";
    format!(
        "color=c={background}:s={width}x{height}:r={fps},\
         drawtext={letters}:fontsize=h/4.5:y=h*0.2:text={text},\
         drawtext={letters}:fontsize=h/7:y=h*0.52:text='%{{localtime\\:%T}}',\
         drawtext={letters}:fontsize=h/10:y=h*0.72:text='frame %{{frame_num}}',\
         drawtext={letters}:fontsize=h/12:y=h*0.88:x=mod(n*w/{fps}\\,w):text='██'"
    )
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
