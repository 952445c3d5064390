// SPDX-License-Identifier: MPL-2.0
//! Inputs with the same languages in another order: each output keeps its language across a switch. A tone stands for each.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::process::Command;

use gst::prelude::*;

use lab::{Process, free_udp_port};
use programme::{Look, Programme, Record, element, open, picture, tone};

const START: (i32, i32, &str) = (-1, 0, "startup");
const ALL: [&str; 3] = ["audio_0", "audio_1", "video_0"];
/// By its look, what is heard: English, German, and French.
const ENGLISH: Look = Look::Primary;
const GERMAN: Look = Look::Backup;
const FRENCH: Look = Look::Third;

/// The sound of these languages in this order, beside a picture.
fn ffmpeg(languages: &[(&str, Look)], seconds: u32) -> Vec<String> {
    let mut args = "-nostdin -v error -y -re -f lavfi -i testsrc2=s=160x120:r=25".to_owned();
    for (_, look) in languages {
        args += &format!(" -re -f lavfi -i sine=frequency={}", look.tone());
    }
    for input in 0..=languages.len() {
        args += &format!(" -map {input}");
    }
    for (index, (language, _)) in languages.iter().enumerate() {
        if !language.is_empty() {
            args += &format!(" -metadata:s:a:{index} language={language}");
        }
    }
    args += &format!(
        " -t {seconds} -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 10 -c:a aac -ac 1"
    );
    args.split(' ').map(str::to_owned).collect()
}

/// A file of it; its URI.
fn file(extension: &str, name: &str, languages: &[(&str, Look)], seconds: u32) -> String {
    let name = format!(
        "failover-languages-{}-{name}.{extension}",
        std::process::id()
    );
    let path = std::env::temp_dir().join(name);
    let args = ffmpeg(languages, seconds);
    let args = args.into_iter().filter(|arg| arg != "-re");
    let made = Command::new("ffmpeg").args(args).arg(&path).status();
    assert!(made.expect("ffmpeg").success());
    format!("file://{}", path.display())
}

fn remove(uris: &[&String]) {
    for uri in uris {
        let _ = std::fs::remove_file(uri.trim_start_matches("file://"));
    }
}

/// The primary has come to its end, and the backup is active.
fn behind_the_end_of(primary: &str, backup: &str) -> Programme {
    let programme = Programme::new()
        .set("primary-uri", primary)
        .set("backup-uri", backup)
        .start();
    programme.until_switches(2);
    programme
}

/// What was told of languages of an input.
fn told(record: &Record, input: i32) -> Vec<String> {
    let messages = record.messages.iter();
    let told = messages.filter(|text| text.starts_with("failover-languages-differ"));
    let of_input = told.filter(|text| text.contains(&format!("input=(int){input}")));
    of_input.map(|text| text.replace('\\', "")).collect()
}

/// An output has sent no other tone for longer than one buffer.
fn check_only(programme: &Programme, name: &str, look: Look) {
    let record = programme.record();
    let seen = &record.output(name).expect(name).seen;
    let mut others = vec![];
    for pair in seen.windows(2) {
        let is_other = |look: Look| look == Look::Other || look == Look::Slate;
        if pair[0].look == pair[1].look && pair[0].look != look && !is_other(pair[0].look) {
            others.push(pair[0].look);
        }
    }
    assert!(others.is_empty(), "{name}: {others:?}");
}

#[test]
fn a_backup_with_its_languages_in_another_order_changes_none() {
    // MPEG-TS says the language when it announces a stream, Matroska and MP4 behind the caps.
    // Which input connects first is of no account.
    for (extension, starts) in [("ts", 3), ("mkv", 2), ("mp4", 1)] {
        let in_order = [("eng", ENGLISH), ("deu", GERMAN)];
        let primary = file(extension, "primary", &in_order, 2);
        let other_order = [("ger", GERMAN), ("eng", ENGLISH)];
        let backup = file(extension, "backup", &other_order, 20);
        for start in 0..starts {
            println!("{extension}, start {start}");
            let programme = behind_the_end_of(&primary, &backup);
            programme.until_output_shows("audio_0", ENGLISH);
            programme.until_output_shows("audio_1", GERMAN);
            check_only(&programme, "audio_0", ENGLISH);
            check_only(&programme, "audio_1", GERMAN);
            programme.check_switches(&[START, (0, 1, "eos")]);
            assert_eq!(told(&programme.record(), 1), [] as [&str; 0]);
            programme.finish(&ALL);
        }
        remove(&[&primary, &backup]);
    }
}

#[test]
fn live_senders_that_die_and_come_back_keep_the_languages() {
    let ports = [0, 1].map(|_| free_udp_port().expect("a port"));
    let uris = ports.map(|port| format!("udp://127.0.0.1:{port}"));
    let logs = std::env::temp_dir().join(format!("failover-languages-{}.log", std::process::id()));
    let send = |input: usize, languages: &[(&str, Look)]| {
        let mut args = ffmpeg(languages, 100);
        let url = format!("{}?pkt_size=1316", uris[input]);
        args.extend(["-f".to_owned(), "mpegts".to_owned(), url]);
        Process::spawn("ffmpeg", &args, &logs).expect("ffmpeg")
    };
    let in_order = [("eng", ENGLISH), ("deu", GERMAN)];
    let other_order = [("deu", GERMAN), ("eng", ENGLISH)];
    let programme = Programme::new()
        .set("primary-uri", &uris[0])
        .set("backup-uri", &uris[1])
        .start();
    let _backup = send(1, &other_order);
    // It is connected before the primary is, and that counts for nothing.
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    let mut primary = send(0, &in_order);
    let hears_the_same = || {
        programme.until_output_shows("audio_0", ENGLISH);
        programme.until_output_shows("audio_1", GERMAN);
    };
    hears_the_same();
    primary.kill9();
    programme.until_switches(2);
    hears_the_same();
    // The operator has exchanged them meanwhile, which tsdemux does not see on PIDs that it knows.
    programme.src.emit_by_name::<()>("restart-input", &[&0i32]);
    let _primary = send(0, &other_order);
    programme.until_switches(3);
    hears_the_same();
    check_only(&programme, "audio_0", ENGLISH);
    check_only(&programme, "audio_1", GERMAN);
    programme.check_switches(&[START, (0, 1, "stall"), (1, 0, "recovered")]);
    programme.finish(&ALL);
    let _ = std::fs::remove_file(logs);
}

#[test]
fn another_language_takes_what_is_left_and_is_told_of_once() {
    let primary = file("ts", "differs", &[("eng", ENGLISH), ("deu", GERMAN)], 2);
    let backup = file("ts", "french", &[("fra", FRENCH), ("eng", ENGLISH)], 20);
    let programme = behind_the_end_of(&primary, &backup);
    programme.until_output_shows("audio_0", ENGLISH);
    programme.until_output_shows("audio_1", FRENCH);
    check_only(&programme, "audio_0", ENGLISH);
    programme.until("it is told", |record| !told(record, 1).is_empty());
    let record = programme.record();
    let told_of = told(&record, 1);
    let [text] = told_of.as_slice() else {
        panic!("not told once: {told_of:?}");
    };
    assert!(text.contains("audio_1 is de, it brings fr"), "{text}");
    assert!(!text.contains("audio_0"), "{text}");
    assert_eq!(told(&record, 0), [] as [&str; 0]);
    drop(record);
    programme.finish(&ALL);
    remove(&[&primary, &backup]);
}

#[test]
fn an_input_with_one_of_the_languages_leaves_the_other_silent() {
    let primary = file("ts", "both", &[("eng", ENGLISH), ("deu", GERMAN)], 2);
    let backup = file("ts", "german", &[("deu", GERMAN)], 20);
    let programme = behind_the_end_of(&primary, &backup);
    programme.until_output_shows("audio_1", GERMAN);
    programme.until_output_shows("audio_0", Look::Slate);
    check_only(&programme, "audio_0", ENGLISH);
    check_only(&programme, "audio_1", GERMAN);
    programme.until("it is told", |record| {
        let told = told(record, 1);
        told.iter()
            .any(|text| text.contains("audio_0 is en, it brings none"))
    });
    programme.finish(&ALL);
    remove(&[&primary, &backup]);
}

#[test]
fn what_says_no_language_comes_in_its_order() {
    let primary = file("ts", "tagged", &[("eng", ENGLISH), ("deu", GERMAN)], 2);
    let backup = file("ts", "untagged", &[("", GERMAN), ("", ENGLISH)], 20);
    let programme = behind_the_end_of(&primary, &backup);
    programme.until_output_shows("audio_0", GERMAN);
    programme.until_output_shows("audio_1", ENGLISH);
    programme.finish(&ALL);
    remove(&[&primary, &backup]);
}

/// Two sounds and a picture by an element, whose tags come behind the caps. Nothing at all comes of a sound before its valve is
/// opened.
fn tagged(languages: &[(&str, Look); 2], drops: bool) -> gst::Element {
    let mut line = picture(Look::Primary);
    for (index, (language, look)) in languages.iter().enumerate() {
        line += &format!(
            " {} ! valve name=sound{index} drop={drops} drop-mode=drop-all ! taginject tags=language-code={language}",
            tone(*look)
        );
    }
    element(&line)
}

#[test]
fn a_primary_that_connects_later_says_which_output_has_which_language() {
    let primary = tagged(&[("en", ENGLISH), ("de", GERMAN)], true);
    let backup = tagged(&[("deu", GERMAN), ("eng", ENGLISH)], false);
    let programme = Programme::new()
        .set("primary-source", &primary)
        .set("backup-source", &backup)
        .start();
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    for sound in ["sound1", "sound0"] {
        open(&primary, sound, true);
    }
    programme.until_output_shows("audio_0", ENGLISH);
    programme.until_output_shows("audio_1", GERMAN);
    for sound in ["sound0", "sound1"] {
        open(&primary, sound, false);
    }
    programme.until_switches(2);
    programme.until_output_shows("audio_0", ENGLISH);
    programme.until_output_shows("audio_1", GERMAN);
    programme.check_switches(&[START, (0, 1, "incomplete")]);
    programme.stop();
    programme.check_no_error();
}
