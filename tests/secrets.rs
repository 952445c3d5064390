// SPDX-License-Identifier: MPL-2.0
//! Nothing of a password, a token or a stream key is told: not by a line of the log at any level, a message, a
//! signal or `stats`, however it was typed, and whatever a server or an element repeats of it.

#[path = "support/programme/mod.rs"]
mod programme;
#[path = "support/rude.rs"]
mod rude;
#[path = "support/witness.rs"]
mod witness;

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::prelude::*;
use programme::{Look, MS, Programme, element, picture};
use rude::{Asked, Manner, Rude};
use witness::Log;

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:9";

/// No password of these is a word of any message.
const SECRETS: [&str; 8] = [
    "secra", "cretx", "keyke", "ticke", "crede", "usern", "heade", "sessi0n",
];

/// As people type it: escaped, not escaped, half escaped.
const PASSWORDS: [&str; 12] = [
    "seCRa#cretX",
    "seCRa?cretX",
    "seCRa/cretX",
    "seCRa@cretX",
    "seCRa:cretX",
    "seCRa%cretX",
    "seCRa&cretX",
    "seCRa=cretX",
    "seCRa%23cretX",
    "seCRa cretX",
    "seCRa\"cretX",
    "@seCRa//cretX?#",
];

/// The log is one for the whole process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    programme::init();
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check<'a>(of: &str, texts: impl IntoIterator<Item = &'a String>) {
    for text in texts {
        let lower = text.to_lowercase();
        let told = SECRETS.iter().find(|secret| lower.contains(**secret));
        assert!(told.is_none(), "{told:?} of {of} in {text:?}");
    }
}

/// All that the application is told.
fn check_programme(programme: &Programme, log: &Log) {
    let record = programme.record();
    let texts = [&record.errors, &record.warnings, &record.messages];
    texts
        .into_iter()
        .for_each(|texts| check("a message", texts));
    let structures = record.signalled.iter().chain(&record.reports);
    check(
        "a signal",
        &structures.map(ToString::to_string).collect::<Vec<_>>(),
    );
    check("a state", record.states.iter().map(|state| &state.text));
    let stats = programme
        .src
        .property::<gst::Structure>("stats")
        .to_string();
    check("the stats", [&stats]);
    check("the log", &log.lines());
}

fn uris(password: &str) -> Vec<String> {
    vec![
        format!("rtsp://admin:{password}@{NOBODY}/x"),
        // Who escapes the one escapes the other.
        format!("rtsp://admin:{}%40{NOBODY}/x", password.replace('@', "%40")),
        format!("rtsp:/admin:{password}@{NOBODY}/x"),
        format!("http://{password}:x@{NOBODY}/x"),
        format!("http://admin:{password}@{NOBODY}/x.m3u8?token={password}"),
        format!("rtmp://admin:{password}@{NOBODY}/live/kEyKe?token={password}"),
        // A stream key is the last name of a path.
        format!("rtmp://{NOBODY}/live/kEyKe{}", password.replace('/', "%2F")),
        format!("srt://{NOBODY}?mode=caller&passphrase={password}&streamid={password}"),
        format!("whep://{NOBODY}/x?token={password}"),
        format!("whep://admin:{password}@{NOBODY}/x"),
        format!("ams://{NOBODY}/live/x?token={password}"),
        format!("ams://admin:{password}@{NOBODY}/live/x"),
        format!("nonsense://admin:{password}@{NOBODY}/x"),
        format!("admin:{password}@{NOBODY}/x"),
        password.to_owned(),
    ]
}

/// Whether it is tried at all. If not, it is told why.
fn is_taken(uri: &str) -> bool {
    let programme = Programme::new().set("primary-uri", uri);
    let taken = programme.pipeline.set_state(gst::State::Ready).is_ok();
    let record = programme.record();
    assert_eq!(record.errors.len(), usize::from(!taken), "{uri}");
    check(uri, &record.errors);
    taken
}

#[test]
fn a_password_is_not_told_however_it_is_typed() {
    let _alone = alone();
    let log = Log::of_all();
    let all = PASSWORDS.iter().flat_map(|password| uris(password));
    let taken: Vec<String> = all.filter(|uri| is_taken(uri)).collect();
    assert!(taken.len() > 40, "hardly any is tried: {taken:?}");
    for uris in taken.chunks(24) {
        let programme = Programme::new()
            .set("primary-source", element(&picture(Look::Primary)))
            .set("backup-uris", gst::Array::new(uris))
            .set("startup-timeout", 500 * MS)
            .set_nick("slate", "none")
            .set_nick("output", "encoded")
            .start();
        programme.until("all have failed", |record| {
            let mut inputs = 1..=i32::try_from(uris.len()).expect("a small number");
            inputs.all(|input| {
                let mut states = record.states.iter().filter(|state| state.input == input);
                record.attempts(input) > 1 || states.any(|state| !state.text.is_empty())
            })
        });
        programme.stop();
        check_programme(&programme, &log);
    }
    assert!(log.lines().len() > 100, "{:?}", log.lines());
}

#[test]
fn a_uri_that_is_refused_later_or_in_a_configuration_is_not_told_either() {
    let _alone = alone();
    let log = Log::of_all();
    let programme = Programme::new()
        .set("primary-uri", "file:///does/not/exist")
        .set_nick("slate", "none")
        .start();
    let handler = programme
        .src
        .dynamic_cast_ref::<gst::URIHandler>()
        .expect("one");
    let player = gst::ElementFactory::make("webrtcplaysrc")
        .build()
        .expect("one");
    let player = player.dynamic_cast::<gst::URIHandler>().expect("one");
    for password in PASSWORDS {
        for uri in uris(password) {
            programme.src.set_property("primary-uri", &uri);
            let escaped: String = uri.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let wholes = [
                format!("failover:?primary={uri}"),
                format!("failover:?primary={escaped}&slate={password}"),
                format!("failover:?primary={escaped}&timeout={password}"),
                format!("failover:?primary={escaped}&{password}"),
                format!("failover:http://admin:{password}@h/live/play.html?id=x&token={password}"),
                format!("failover:http://h/live/play.html?id=x&playOrder={password}"),
            ];
            let errors = wholes.iter().map(|whole| handler.set_uri(whole));
            // What is no URI of its own is refused by GStreamer, in words of its own.
            let is_its = ["whep:", "ams:"]
                .iter()
                .any(|scheme| uri.starts_with(scheme));
            let errors = errors.chain(is_its.then(|| player.set_uri(&uri)));
            let errors = errors.filter_map(|result| Some(result.err()?.to_string()));
            check(&uri, &errors.collect::<Vec<_>>());
        }
    }
    programme.stop();
    for password in PASSWORDS {
        let uri = format!("failover:?primary=rtsp://me:{password}@h/x&{password}={password}");
        let programme = Programme::new().set("uri", &uri);
        let _ = programme.pipeline.set_state(gst::State::Ready);
        check_programme(&programme, &log);
    }
    check_programme(&programme, &log);
}

/// In its reason, which elements pass on, and in its body.
fn repeat(asked: &Asked) -> Manner {
    let all = format!("{} {:?}", asked.path, asked.head).replace(['\r', '\n'], " ");
    let reason = all.chars().take(300).collect::<String>();
    let bytes = format!("HTTP/1.1 403 no {reason}\r\nContent-Length: 4\r\n\r\nnono");
    Manner::Bytes(bytes.into_bytes())
}

#[test]
fn what_a_server_repeats_and_an_element_passes_on_is_not_told() {
    let _alone = alone();
    let log = Log::of_all();
    let server = Rude::start(vec![Manner::Do(repeat)]);
    let at = format!("127.0.0.1:{}", server.port());
    let source = element(&format!(
        "souphttpsrc is-live=true location=http://{at}/x?token=seCRa%23cretX user-id=uSErn user-pw=cretX extra-headers=\"h,x=heADe\" ! tsdemux"
    ));
    let programme = Programme::new()
        .set("primary-source", source)
        .set(
            "backup-uri",
            format!("http://admin:seCRa%23cretX@{at}/kEyKe=1?token=cretX"),
        )
        .set("startup-timeout", 2000 * MS)
        .set_nick("slate", "none")
        .start();
    programme.until("both have failed, in the words of the server", |record| {
        [0, 1].iter().all(|input| {
            let mut states = record.states.iter();
            states.any(|state| state.input == *input && state.text.contains("no "))
        })
    });
    programme.stop();
    check_programme(&programme, &log);
}

fn plays(server: &Rude, log: &Log, words: &str) {
    let uri = format!("{}?jwt=seCRa%2Dx.cretX", server.uri());
    let turns = gst::Array::new(["turn://uSErn:crEDe%40x@127.0.0.1:9?transport=tcp"]);
    let headers = gst::Structure::builder("h")
        .field("x-key", "heADe kEyKe")
        .build();
    let source = gst::ElementFactory::make("webrtcplaysrc")
        .property("uri", uri)
        .property("auth-token", "seCRa.cretX")
        .property("turn-servers", turns)
        .property("extra-headers", headers)
        .build()
        .expect("webrtcplaysrc");
    let programme = Programme::new()
        .set("primary-source", source)
        .set_nick("slate", "none")
        .set("startup-timeout", 20_000 * MS)
        .start();
    programme.until(words, |record| {
        let mut states = record.states.iter();
        states.any(|state| state.input == 0 && state.text.contains(words))
    });
    programme.stop();
    check_programme(&programme, log);
}

/// What it was told, in the beginning of the body, where it is short enough to be shown.
fn deny(asked: &Asked) -> Manner {
    let told = "no SECRa.cretX seCRa%2dx.cretX heADe crEDe@x uSErn";
    Manner::Answer(400, vec![], format!("{told} {}", asked.path))
}

/// What it has told.
fn deny_with_own(_: &Asked) -> Manner {
    let told = r#"no {"tICke":"uSErn2","crEDe\/1":"SESSI0Nticket99"}"#;
    Manner::Answer(400, vec![], told.to_owned())
}

#[test]
fn a_whep_server_that_repeats_everything_is_shown_without_it() {
    let _alone = alone();
    let log = Log::of_all();
    plays(
        &Rude::start(vec![Manner::Do(deny)]),
        &log,
        "does not accept the offer (400)",
    );
    // What a redirect says alone.
    let location = "/seSSI0Nticket99/x?ticket=tICke&user=uSErn2&c=crEDe/1#kEyKe";
    let to = Manner::Answer(307, vec![("Location", location.to_owned())], String::new());
    plays(
        &Rude::start(vec![to, Manner::Do(deny_with_own)]),
        &log,
        "does not accept the offer (400)",
    );
    // To whom nobody answers, by a name that is a secret.
    let location = "http://seCRa.cretX.invalid/x?ticket=tICke".to_owned();
    let to = Manner::Answer(307, vec![("Location", location)], String::new());
    plays(&Rude::start(vec![to]), &log, "cannot be reached");
}

/// A session without a path: the second offer is refused, with all that the first answer had told.
fn answer(asked: &Asked) -> Manner {
    let link = "<turn:127.0.0.1:9?transport=tcp>; rel=\"ice-server\"; username=\"uSErn2\"; credential=\"crEDe/1\"";
    let location = "/session/SESSI0Nticket99?t=tICke";
    let headers = vec![("Location", location.to_owned()), ("Link", link.to_owned())];
    Manner::Answer(201, headers, rude::answer(&asked.body))
}

#[test]
fn what_a_server_told_in_confidence_is_not_told_when_it_repeats_it() {
    let _alone = alone();
    let log = Log::of_all();
    plays(
        &Rude::start(vec![Manner::Do(answer), Manner::Do(deny_with_own)]),
        &log,
        "does not accept the offer (400)",
    );
}
