// SPDX-License-Identifier: MPL-2.0
//! What the fuzzer begins with, and what it once found (`fuzz/seeds/`), as it is and with pieces
//! taken out, doubled, exchanged and spoilt.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use crate::webrtc::fuzzing;

/// A file of each target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    let files = fs::read_dir(folder.join(target)).expect("seeds");
    let mut seeds: Vec<_> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let bytes = fs::read(&path).expect("its bytes");
            (path.display().to_string(), bytes)
        })
        .collect();
    seeds.sort();
    assert!(seeds.len() >= 3, "{target} has {} seeds", seeds.len());
    seeds
}

fn run_all(target: &str, entry: fn(&[u8])) {
    for (name, bytes) in seeds(target) {
        println!("{name}");
        entry(&bytes);
    }
}

#[test]
fn no_seed_harms_its_reader() {
    run_all("answer", fuzzing::answer);
    run_all("headers", fuzzing::headers);
    run_all("messages", fuzzing::messages);
}

/// What is done to a seed.
#[derive(Clone, Debug)]
enum Spoil {
    Cut,
    Double,
    Overwrite(u8),
    Insert(&'static str),
}

fn spoil() -> impl Strategy<Value = (Spoil, prop::sample::Index, usize)> {
    let words = [
        "\n",
        "\r\n",
        "\n\n",
        ":",
        ",",
        ";",
        "\"",
        "<",
        ">",
        "\\",
        "{",
        "}",
        "null",
        "m=",
        "a=",
        "//",
        "%00",
        "\u{fffd}",
        "99999999999999999999",
        "-1",
        "\0",
    ];
    let how = prop_oneof![
        Just(Spoil::Cut),
        Just(Spoil::Double),
        any::<u8>().prop_map(Spoil::Overwrite),
        prop::sample::select(words.to_vec()).prop_map(Spoil::Insert),
    ];
    (how, any::<prop::sample::Index>(), 0usize..40)
}

fn spoilt(mut bytes: Vec<u8>, how: &[(Spoil, prop::sample::Index, usize)]) -> Vec<u8> {
    for (how, place, length) in how {
        let from = place.index(bytes.len() + 1);
        let to = (from + length).min(bytes.len());
        match how {
            Spoil::Cut => drop(bytes.drain(from..to)),
            Spoil::Double => {
                let piece = bytes[from..to].to_vec();
                drop(bytes.splice(to..to, piece));
            }
            Spoil::Overwrite(byte) => bytes[from..to].fill(*byte),
            Spoil::Insert(word) => drop(bytes.splice(from..from, word.bytes())),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn no_spoilt_seed_harms_its_reader(
        seed in any::<prop::sample::Index>(),
        how in prop::collection::vec(spoil(), 1..6),
    ) {
        for (target, entry) in [
            ("answer", fuzzing::answer as fn(&[u8])),
            ("headers", fuzzing::headers),
            ("messages", fuzzing::messages),
        ] {
            let (_, bytes) = seed.get(&seeds(target)).clone();
            entry(&spoilt(bytes, &how));
        }
    }
}
