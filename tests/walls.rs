// SPDX-License-Identifier: MPL-2.0
//! The walls of the house (ARCHITECTURE.md), held by reading `src/`: who may import whom, what stays
//! pure, who may ask for the time, how long a file and a function may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A floor, and the floors that it may name.
const MAY_NAME: [(&str, &[&str]); 12] = [
    ("access_unit", &["access_unit"]),
    ("policy", &["policy"]),
    ("clock", &["clock", "policy"]),
    ("escape", &["escape"]),
    ("message", &["message"]),
    ("lag", &["lag"]),
    ("redact", &["redact"]),
    ("switch", &["switch", "policy", "clock", "message", "lag"]),
    (
        "sources",
        &["sources", "webrtc", "clock", "redact", "access_unit"],
    ),
    (
        "webrtc",
        &[
            "webrtc",
            "clock",
            "escape",
            "message",
            "lag",
            "redact",
            "access_unit",
        ],
    ),
    (
        "failoversrc",
        &[
            "failoversrc",
            "switch",
            "sources",
            "policy",
            "clock",
            "escape",
            "message",
        ],
    ),
    (
        "lib",
        &[
            "failoversrc",
            "switch",
            "sources",
            "webrtc",
            "policy",
            "clock",
            "escape",
            "message",
            "lag",
            "redact",
            "access_unit",
        ],
    ),
];

/// Files, or folders of them, that know numbers only.
const PURE: &[&str] = &[
    "policy/",
    "escape.rs",
    "redact.rs",
    "access_unit/random_access.rs",
    "switch/ageing.rs",
    "switch/bases.rs",
    "switch/beginning.rs",
    "switch/delays.rs",
    "switch/timeline.rs",
    "switch/standby.rs",
    "switch/cadence.rs",
    "switch/held.rs",
    "switch/pace.rs",
    "switch/rest.rs",
    "switch/lateness.rs",
    "switch/past.rs",
    "switch/cut.rs",
    "failoversrc/address.rs",
    "failoversrc/input.rs",
    "failoversrc/player.rs",
    "failoversrc/slate/place.rs",
    "failoversrc/tracks.rs",
    "sources/flv/",
    "sources/language.rs",
    "sources/order.rs",
    "sources/srt/",
    "webrtc/ams.rs",
    "webrtc/ams/",
    "webrtc/signalling.rs",
    "webrtc/target.rs",
    "webrtc/whep.rs",
    "webrtc/whep_server.rs",
    "webrtc/sdp.rs",
    "webrtc/identity.rs",
    "webrtc/link.rs",
    "webrtc/turn.rs",
];

/// What no pure file says: the framework, time, threads, chance, and maps without an order.
const IMPURE: [&str; 12] = [
    "gst",
    "gst_video",
    "gst_audio",
    "gst_base",
    "glib",
    "Instant",
    "SystemTime",
    "thread",
    "Mutex",
    "rand",
    "HashMap",
    "HashSet",
];

/// What only `clock.rs` says.
const TIME: [&str; 11] = [
    "Instant",
    "SystemTime",
    "SystemClock",
    "wait_timeout",
    "current_running_time",
    "current_clock_time",
    "new_single_shot_id",
    "new_periodic_id",
    "monotonic_time",
    "real_time",
    "clock_id",
];

/// What can panic.
const PANICS: [&str; 6] = [
    ".unwrap()",
    ".expect(",
    "panic!(",
    "todo!(",
    "unimplemented!(",
    "unreachable!(",
];

const LONGEST_FILE: usize = 450;
const LONGEST_FUNCTION: usize = 70;

#[test]
fn floors_name_only_the_floors_that_they_may() {
    let mut complaints = vec![];
    for file in production() {
        let floor = file.floor();
        let allowed = MAY_NAME.iter().find(|(name, _)| *name == floor);
        let Some((_, allowed)) = allowed else {
            complaints.push(format!("{}: floor '{floor}' is not in MAY_NAME", file.path));
            continue;
        };
        for (number, line) in file.code() {
            let named = line.split("crate::").skip(1).map(first_word);
            complaints.extend(
                named
                    .filter(|name| floors().contains(name) || name.is_empty())
                    .filter(|name| !allowed.contains(name))
                    .map(|name| format!("{}:{number}: {floor} names crate::{name}", file.path)),
            );
            if line.contains(&"super::".repeat(file.depth())) {
                complaints.push(format!(
                    "{}:{number}: leaves its floor by super::",
                    file.path
                ));
            }
        }
    }
    tell(complaints);
}

#[test]
fn pure_files_know_numbers_only() {
    let mut complaints = vec![];
    let mut seen = BTreeSet::new();
    for file in production() {
        let Some(rule) = PURE.iter().find(|rule| file.path.starts_with(**rule)) else {
            continue;
        };
        seen.insert(*rule);
        for (number, line) in file.code() {
            let words = words(line).filter(|word| IMPURE.contains(word));
            complaints.extend(words.map(|word| format!("{}:{number}: names {word}", file.path)));
        }
    }
    let missing = PURE.iter().filter(|rule| !seen.contains(*rule));
    complaints.extend(missing.map(|rule| format!("{rule} is not there any more")));
    tell(complaints);
}

#[test]
fn only_the_clock_asks_what_time_it_is() {
    let mut complaints = vec![];
    for file in production().iter().filter(|file| file.path != "clock.rs") {
        for (number, line) in file.code() {
            let words = words(line).filter(|word| TIME.contains(word));
            let words = words.chain(line.contains("thread::sleep").then_some("sleep"));
            complaints.extend(words.map(|word| format!("{}:{number}: names {word}", file.path)));
        }
    }
    tell(complaints);
}

#[test]
fn production_code_has_no_panic_in_it() {
    let mut complaints = vec![];
    for file in production() {
        for (number, line) in file.code() {
            let found = PANICS.iter().filter(|panic| line.contains(**panic));
            complaints.extend(found.map(|panic| format!("{}:{number}: {panic}", file.path)));
        }
    }
    tell(complaints);
}

#[test]
fn files_and_functions_are_short() {
    let mut complaints = vec![];
    for file in production() {
        let lines = file.code().count();
        if lines > LONGEST_FILE {
            complaints.push(format!("{}: {lines} lines of code", file.path));
        }
        for (name, lines) in file.functions() {
            if lines > LONGEST_FUNCTION {
                complaints.push(format!("{}: fn {name} has {lines} lines", file.path));
            }
        }
    }
    tell(complaints);
}

#[test]
fn every_file_says_its_licence_and_what_it_owns() {
    let mut complaints = vec![];
    for file in read("src") {
        let mut lines = file.text.lines();
        if lines.next() != Some("// SPDX-License-Identifier: MPL-2.0") {
            complaints.push(format!("{}: no licence in its first line", file.path));
        }
        if !lines.next().is_some_and(|line| line.starts_with("//! ")) {
            complaints.push(format!("{}: does not say what it owns", file.path));
        }
    }
    tell(complaints);
}

#[test]
fn nobody_is_led_to_a_folder_of_one_machine() {
    let homes = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/Us", "ers/"),
    ];
    let mut complaints = vec![];
    for folder in [
        "src", "tests", "examples", "benches", "scripts", "docs", ".ci",
    ] {
        for file in read(folder) {
            let found = homes.iter().filter(|home| file.text.contains(**home));
            complaints.extend(found.map(|home| format!("{folder}/{}: {home}", file.path)));
        }
    }
    for name in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Makefile"] {
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        let found = homes.iter().filter(|home| text.contains(**home));
        complaints.extend(found.map(|home| format!("{name}: {home}")));
    }
    tell(complaints);
}

#[test]
fn the_reader_of_source_code_reads_right() {
    let text = "fn long() {\n    // one.unwrap()\n    two();\n}\n\n#[cfg(test)]\nmod tests {\n    fn x() { y.unwrap() }\n}\n";
    let file = File {
        path: "switch/sub/made_up.rs".to_owned(),
        text: text.to_owned(),
    };
    let code: Vec<_> = file.code().collect();
    assert_eq!(code, [(1, "fn long() {"), (3, "    two();"), (4, "}")]);
    assert_eq!(file.functions(), [("long".to_owned(), 4)]);
    assert_eq!((file.floor(), file.depth()), ("switch", 3));
    assert_eq!(first_word("policy::Moment;"), "policy");
    assert_eq!(
        words("a.clock_id(gst::X)").collect::<Vec<_>>(),
        ["a", "clock_id", "gst", "X"]
    );
}

struct File {
    /// Below the folder that was read.
    path: String,
    text: String,
}

impl File {
    /// The lines that count: no comments, no blank ones, no tests, which stand last.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = lines
            .windows(2)
            .position(|pair| pair[0].trim() == "#[cfg(test)]" && pair[1].trim_end().ends_with('{'));
        let end = tests.unwrap_or(lines.len());
        let numbered = lines.into_iter().take(end).enumerate();
        numbered
            .filter(|(_, line)| !line.trim().is_empty() && !line.trim().starts_with("//"))
            .map(|(index, line)| (index + 1, line))
    }

    fn floor(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// How many times `super::` leads from here out of the crate's floors.
    fn depth(&self) -> usize {
        let path = self.path.trim_end_matches(".rs").trim_end_matches("/mod");
        path.split('/').count()
    }

    /// Name and length of each function, found by the indentation that rustfmt gives.
    fn functions(&self) -> Vec<(String, usize)> {
        let lines: Vec<_> = self.text.lines().collect();
        let mut found = vec![];
        for (start, line) in lines.iter().enumerate() {
            let Some((before, after)) = line.split_once("fn ") else {
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let is_function = before.trim().split(' ').all(|word| {
                word.is_empty() || word.starts_with("pub") || word == "const" || word.ends_with(')')
            });
            if !is_function || line.ends_with(';') || line.ends_with('}') {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let rest = lines.iter().skip(start);
            if let Some(length) = rest.clone().position(|line| *line == close) {
                found.push((first_word(after).to_owned(), length + 1));
            }
        }
        found
    }
}

/// All of `src/` that ends up in the plugin.
fn production() -> Vec<File> {
    let files = read("src");
    let test_modules = test_modules(&files);
    assert!(files.len() > 20, "src/ was not found");
    files
        .into_iter()
        .filter(|file| {
            !test_modules.iter().any(|module| {
                file.path == format!("{module}.rs") || file.path.starts_with(&format!("{module}/"))
            })
        })
        .collect()
}

/// Paths, without `.rs`, of the modules that are declared for tests only.
fn test_modules(files: &[File]) -> Vec<String> {
    let mut modules = vec![];
    for file in files {
        let folder = match file.path.strip_suffix("/mod.rs") {
            Some(folder) => folder,
            None => file.path.trim_end_matches(".rs"),
        };
        let lines: Vec<_> = file.text.lines().collect();
        let tests = ["#[cfg(test)]", "#[cfg(any(test, fuzzing))]"];
        for pair in lines.windows(2).filter(|pair| tests.contains(&pair[0])) {
            let name = pair[1].rsplit("mod ").next().unwrap_or_default();
            if let Some(name) = name.strip_suffix(';') {
                modules.push(format!("{folder}/{name}"));
            }
        }
    }
    modules
}

/// Every text file below a folder of the repository, in order of its path.
fn read(folder: &str) -> Vec<File> {
    let top = root().join(folder);
    let mut files = vec![];
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if let (Ok(text), Ok(below)) =
                (fs::read_to_string(&path), path.strip_prefix(&top))
            {
                let path = below.to_string_lossy().into_owned();
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn floors() -> [&'static str; 12] {
    MAY_NAME.map(|(floor, _)| floor)
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

fn tell(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
