// SPDX-License-Identifier: MPL-2.0
//! A program that is run as a user would run it, and what it prints. Needs the lab beside it.

#![allow(dead_code)]

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{Process, Scratch};

const PATIENCE: Duration = Duration::from_secs(30);

/// A program under test, and the lines that it prints.
pub(crate) struct Run {
    pub(crate) process: Process,
    lines: Receiver<String>,
    seen: Vec<String>,
    _folder: Scratch,
}

impl Run {
    pub(crate) fn start(program: &Path, args: &[&str]) -> io::Result<Self> {
        let folder = Scratch::new()?;
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let program = program.display().to_string();
        let mut process = Process::spawn(&program, &args, &folder.path().join("log"))?;
        let (sender, lines) = channel();
        let stdout = process
            .take_stdout()
            .ok_or_else(|| io::Error::other("no stdout"))?;
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self {
            process,
            lines,
            seen: Vec::new(),
            _folder: folder,
        })
    }

    pub(crate) fn wait_for(&mut self, text: &str) -> io::Result<()> {
        self.wait_until(text, |line| line.contains(text))
    }

    /// Reads on until a line is as wanted.
    pub(crate) fn wait_until(
        &mut self,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let seen = self.seen.join("\n  ");
                return Err(self
                    .process
                    .failure(&format!("no «{what}» after\n  {seen}\n")));
            };
            let found = wanted(&line);
            self.seen.push(line);
            if found {
                return Ok(());
            }
        }
    }

    /// The failure of another program that depends on this one, and what this one has said.
    pub(crate) fn told_beside(&mut self, failure: &io::Error) -> io::Error {
        self.seen.extend(self.lines.try_iter());
        let state = match self.process.is_running() {
            true => "runs",
            false => "has ended",
        };
        let log = self.process.log_tail(20);
        let seen = self.seen.join("\n  ");
        io::Error::other(format!(
            "{failure}\nbeside a program that {state} and said\n  {seen}\n  {log}"
        ))
    }

    pub(crate) fn frames(&self) -> u64 {
        self.seen
            .iter()
            .rev()
            .find_map(|line| frame_number(line))
            .unwrap_or(0)
    }

    pub(crate) fn end_by_ctrl_c(mut self) -> io::Result<()> {
        self.process.interrupt()?;
        let status = self.process.wait(Duration::from_secs(5))?;
        match status.is_some_and(|status| status.success()) {
            true => Ok(()),
            false => Err(self.process.failure(&format!("Ctrl-C ended in {status:?}"))),
        }
    }
}

pub(crate) fn frame_number(line: &str) -> Option<u64> {
    line.strip_prefix("frame=")?.trim().parse().ok()
}

/// A file that the build of the tests has left two folders above this test's own.
pub(crate) fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let profile = test
        .parent()
        .and_then(Path::parent)
        .unwrap_or_else(|| Path::new("."));
    profile.join(name)
}
