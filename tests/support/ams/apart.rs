// SPDX-License-Identifier: MPL-2.0
//! The media of one session as a process of its own, which can be killed or stopped: aiortc, a stack
//! that shares no code with GStreamer's.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::media::{Media, Say};
use super::{Habits, notification};
use crate::lab::{Process, SCRIPT, Scratch, python};
use crate::programme::Look;

pub(super) struct Apart {
    process: Mutex<Process>,
    input: Mutex<ChildStdin>,
    _folder: Scratch,
}

/// One that nobody plays yet. It takes seconds to start on a busy machine, and a player does not wait for ever.
pub(super) struct Spare {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it said first: its offer.
    offer: String,
    folder: Scratch,
}

impl Spare {
    /// Waits until it could be played. It lives no longer than the thread that starts it.
    pub(super) fn start(look: Look, habits: Habits) -> Self {
        let folder = Scratch::new().expect("a folder");
        let (colour, tone) = (format!("{:06x}", look.colour()), look.tone().to_string());
        let mut arguments = vec![SCRIPT, "--offer", "--colour", &colour, "--tone", &tone];
        if habits.data_channel {
            arguments.push("--data-channel");
        }
        if habits.unbundled {
            arguments.push("--apart");
        }
        if let Some(manner) = habits.announce {
            arguments.extend(["--announce", manner]);
        }
        let arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        let python = python().expect("aiortc").display().to_string();
        let process = Process::spawn_fed(&python, &arguments, &folder.path().join("log"));
        let mut process = process.expect("it starts");
        let output = process.take_stdout().expect("it is piped");
        let input = process.take_stdin().expect("it is piped");
        let (mut output, mut offer) = (BufReader::new(output), String::new());
        let read = output.read_line(&mut offer);
        read.expect("an offer");
        Self {
            process,
            input,
            output,
            offer,
            folder,
        }
    }
}

impl Apart {
    /// What is offered to a player.
    fn sending(spare: Spare, stream: &str, say: Say) -> Self {
        let (stream, offer) = (stream.to_owned(), spare.offer);
        let further = spare.output.lines().map_while(Result::ok);
        std::thread::spawn(move || {
            for line in std::iter::once(offer).chain(further) {
                let said: Value = serde_json::from_str(&line).expect("JSON");
                if let Some(sdp) = said["sdp"].as_str() {
                    say(json!({"command": "takeConfiguration", "streamId": stream,
                        "type": "offer", "sdp": sdp, "linkSession": null, "subscriberId": ""}));
                } else if said["state"] == "connected" {
                    say(notification("play_started", &stream));
                }
            }
        });
        Self {
            process: Mutex::new(spare.process),
            input: Mutex::new(spare.input),
            _folder: spare.folder,
        }
    }

    fn tell(&self, message: &Value) {
        let mut input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        // It may be dead.
        let _ = writeln!(input, "{message}");
    }

    fn with_process<T>(&self, act: impl FnOnce(&mut Process) -> T) -> T {
        act(&mut self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The media of one session, wherever they are.
pub(super) enum Half {
    Here(Media),
    Apart(Apart),
}

impl Half {
    /// Offers as soon as it can.
    pub(super) fn sending(
        look: Look,
        stream: &str,
        habits: Habits,
        spare: Option<Spare>,
        say: Say,
    ) -> Self {
        if habits.apart == Some(stream) {
            let spare = spare.unwrap_or_else(|| Spare::start(look, habits));
            return Self::Apart(Apart::sending(spare, stream, say));
        }
        Self::Here(Media::sending(look, stream, habits, say))
    }

    /// Only this one's wishes can be so special.
    pub(super) fn here(&self) -> &Media {
        match self {
            Self::Here(media) => media,
            Self::Apart(_) => panic!("media of another process cannot do this"),
        }
    }

    pub(super) fn take_answer(&self, sdp: &str) {
        match self {
            Self::Here(media) => media.take_answer(sdp),
            Self::Apart(apart) => apart.tell(&json!({"sdp": sdp})),
        }
    }

    pub(super) fn take_candidate(&self, label: u64, mid: &str, candidate: &str) {
        match self {
            Self::Here(media) => media.take_candidate(label, mid, candidate),
            Self::Apart(apart) => apart.tell(&json!({"label": label, "candidate": candidate})),
        }
    }

    /// Nothing is sent any more, for ever, and nobody is told. A process is killed; what lives here
    /// falls silent, since its good-byes cannot be held back otherwise.
    pub(super) fn kill(&self) {
        match self {
            Self::Here(media) => media.freeze(true),
            Self::Apart(apart) => apart.with_process(Process::kill9),
        }
    }

    pub(super) fn ended_word(&self) -> &'static str {
        match self {
            Self::Here(media) => media.ended_word(),
            Self::Apart(_) => "play_finished",
        }
    }

    pub(super) fn stop(self) {
        match self {
            Self::Here(media) => media.stop(),
            Self::Apart(apart) => apart.with_process(Process::kill9),
        }
    }
}
