// SPDX-License-Identifier: MPL-2.0
//! A child process that cannot outlive us, and the folder where it leaves its log.
//!
//! Owns starting, signalling and reaping. Knows nothing of what the process does.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use std::os::unix::process::CommandExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A running child. Dropping it kills it, frozen or not, and reaps it.
///
/// The kernel kills it as well when the thread that started it ends, even by SIGKILL. So start
/// processes from a thread that lives as long as they should.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints on stderr goes to `log`, stdout to [`Self::take_stdout`].
    pub(crate) fn spawn(program: &str, args: &[String], log: &Path) -> io::Result<Self> {
        Self::spawn_with(program, args, log, Stdio::null())
    }

    /// As [`Self::spawn`], and what is written to [`Self::take_stdin`] is its input.
    pub(crate) fn spawn_fed(program: &str, args: &[String], log: &Path) -> io::Result<Self> {
        Self::spawn_with(program, args, log, Stdio::piped())
    }

    fn spawn_with(program: &str, args: &[String], log: &Path, stdin: Stdio) -> io::Result<Self> {
        let program = find_program(program)
            .ok_or_else(|| io::Error::other(format!("{program} is not installed")))?;
        let child = tied_to_this_thread(&program)
            .args(args)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(File::create(log)?)
            // Ctrl-C in the terminal is for us; we take the children down ourselves.
            .process_group(0)
            .spawn()?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// SIGKILL, and waits until the process is gone. Without effect on one that has ended.
    pub(crate) fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits until the process is gone; SIGKILL when that takes more than 2 seconds.
    pub(crate) fn terminate(&mut self) {
        // A stopped process sees no SIGTERM.
        let _ = self.thaw();
        let _ = self.signal(Signal::SIGTERM);
        let _ = self.wait(Duration::from_secs(2));
        self.kill9();
    }

    /// SIGINT, as Ctrl-C sends it.
    pub(crate) fn interrupt(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGINT)
    }

    /// How the process ended; `None` when it still runs after `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let mut status = None;
        super::server::poll_until(limit, || {
            status = self.child.try_wait().transpose();
            status.is_some()
        });
        status.transpose()
    }

    /// SIGSTOP: connections stay open, nothing moves.
    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.child.stdin.take()
    }

    /// An error that says what the process wrote last.
    pub(crate) fn failure(&self, what: &str) -> io::Error {
        io::Error::other(format!("{what}\n  {}", self.log_tail(5)))
    }

    pub(crate) fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let all: Vec<&str> = log.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n  ")
    }

    /// Safe from hitting a stranger: until we reap our child, its id is not given out again.
    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if !self.is_running() {
            return Err(self.failure("the process has already ended"));
        }
        let pid = i32::try_from(self.child.id()).map_err(io::Error::other)?;
        kill(Pid::from_raw(pid), signal).map_err(io::Error::from)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// A folder of our own under the temporary one, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("failover-lab-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The program's full path; daemons live outside an ordinary user's PATH.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(
            [
                "/usr/sbin",
                "/usr/local/sbin",
                "/usr/local/bin",
                "/opt/homebrew/bin",
            ]
            .map(PathBuf::from),
        )
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// A command whose process the kernel kills when this thread dies, where setpriv can ask for that.
fn tied_to_this_thread(program: &Path) -> Command {
    match find_program("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}
