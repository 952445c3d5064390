// SPDX-License-Identifier: MPL-2.0
//! Ant Media's own browser SDK plays from, and publishes to, the server that the other tests take for
//! an Ant Media server: what that server says is what the real clients expect. The SDK comes from npm
//! when the tests are set up; without it, or without a browser, this says that it is skipped.

#[path = "support/ams/mod.rs"]
mod ams;
#[path = "support/evidence.rs"]
mod evidence;
#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use ams::AmsServer;
use evidence::Evidence;
use lab::Scratch;
use programme::Look;

const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn the_real_sdk_plays_ends_waits_and_plays_again() {
    let Some(setup) = Setup::find() else { return };
    let _evidence = Evidence::keep();
    let server = AmsServer::start();
    server.publish("primary", Look::Primary);
    let mut sdk = setup.start(&server, "play", "primary");
    sdk.until("play_started");
    sdk.until("frames");
    server.unpublish("primary");
    sdk.until("play_finished");
    sdk.until("error no_stream_exist");
    server.publish("primary", Look::Backup);
    sdk.until("streaming_started");
    sdk.until("frames");
    sdk.until("pong");
}

#[test]
fn the_real_sdk_publishes() {
    let Some(setup) = Setup::find() else { return };
    let _evidence = Evidence::keep();
    let server = AmsServer::start();
    let mut sdk = setup.start(&server, "publish", "camera");
    sdk.until("publish_started");
    server.until_received(100_000);
}

/// Where everything is.
struct Setup {
    node: PathBuf,
    chromium: PathBuf,
    modules: PathBuf,
}

impl Setup {
    fn find() -> Option<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let modules = target
            .unwrap_or_else(|| root.join("target"))
            .join("lab/npm");
        let sdk = modules.join("node_modules/@antmedia/webrtc_adaptor");
        let driver = modules.join("node_modules/playwright-core");
        let found = [
            ("node", program(&["node"])),
            (
                "chromium",
                program(&["chromium", "chromium-browser", "google-chrome"]),
            ),
            (
                "@antmedia/webrtc_adaptor of npm",
                sdk.exists().then_some(sdk),
            ),
            ("playwright-core of npm", driver.exists().then_some(driver)),
        ];
        let lacking: Vec<_> = found.iter().filter(|(_, path)| path.is_none()).collect();
        if let [(name, _), ..] = lacking[..] {
            eprintln!("skipped: there is no {name}; `make setup` installs it");
            return None;
        }
        let [(_, node), (_, chromium), ..] = found;
        Some(Self {
            node: node?,
            chromium: chromium?,
            modules,
        })
    }

    fn start(&self, server: &AmsServer, mode: &str, stream: &str) -> Sdk {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/ams/sdk.mjs");
        let folder = Scratch::new().expect("a folder");
        let mut child = Command::new(&self.node)
            // The browser leaves things behind.
            .env("TMPDIR", folder.path())
            .arg(script)
            .arg(&self.modules)
            .arg(&self.chromium)
            .args([&server.port().to_string(), mode, stream])
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let (said, words) = channel();
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                println!("sdk: {line}");
                let _ = said.send(line);
            }
        });
        Sdk {
            child,
            words,
            early: Vec::new(),
            _folder: folder,
        }
    }
}

/// A browser with a page of the SDK in it.
struct Sdk {
    child: Child,
    words: Receiver<String>,
    /// What was said before a test waited for it.
    early: Vec<String>,
    _folder: Scratch,
}

impl Sdk {
    /// Each word counts once. What is told by the socket and what by the media come in either order.
    fn until(&mut self, word: &str) {
        if let Some(place) = self.early.iter().position(|said| said == word) {
            self.early.remove(place);
            return;
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let said = self.words.recv_timeout(left);
            match said {
                Ok(said) if said == word => return,
                Ok(said) => {
                    assert!(!said.starts_with("page-error"), "{said}");
                    self.early.push(said);
                }
                Err(_) => panic!("the SDK never says {word}"),
            }
        }
    }
}

impl Drop for Sdk {
    fn drop(&mut self) {
        // It takes the browser with it.
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&folders).collect();
    let paths = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    paths.into_iter().find(|path| path.is_file())
}
