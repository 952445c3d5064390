// SPDX-License-Identifier: MPL-2.0
//! `webrtcplaysrc` and servers that behave badly: each has one clear cause in the message, with what it
//! means for the next attempt, and is said goodbye to where there is something to end.

mod support {
    pub(crate) mod alone;
    pub(crate) mod rude;
    pub(crate) mod witness;
}

use std::time::{Duration, Instant};

use gst::prelude::*;
use support::alone::{end, in_a_pipeline};
use support::rude::{Asked, Manner, Rude, answer};
use support::witness::Log;

const PATIENCE: Duration = Duration::from_secs(20);

/// What the element said at its end.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    cause: String,
    retry: String,
    retry_after: Option<u64>,
    text: String,
}

struct Player {
    pipeline: gst::Pipeline,
    src: gst::Element,
}

impl Player {
    fn new(uri: &str) -> Self {
        let (pipeline, src) = in_a_pipeline(uri);
        Self { pipeline, src }
    }

    fn play(self) -> Self {
        self.pipeline
            .set_state(gst::State::Playing)
            .expect("PLAYING");
        self
    }

    fn error(&self) -> Said {
        let bus = self.pipeline.bus().expect("a bus");
        let limit = gst::ClockTime::try_from(PATIENCE).expect("a time");
        let message = bus.timed_pop_filtered(limit, &[gst::MessageType::Error]);
        let message = message.expect("an error");
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!("only errors were asked for")
        };
        assert_eq!(
            message.src(),
            Some(self.src.upcast_ref()),
            "it is not the element's own"
        );
        let details = error.details().expect("details");
        Said {
            cause: details.get("cause").expect("a cause"),
            retry: details.get("retry").expect("a retry class"),
            retry_after: details.get("retry-after").ok(),
            text: error.error().message().to_owned(),
        }
    }

    fn stop(&self) {
        let begun = Instant::now();
        self.pipeline.set_state(gst::State::Null).expect("NULL");
        let took = begun.elapsed();
        assert!(
            took < Duration::from_millis(500),
            "it took {took:?} to stop"
        );
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        end(&self.pipeline, &self.src);
    }
}

/// What a server that behaves so comes to.
fn comes_to(manners: Vec<Manner>) -> Said {
    let server = Rude::start(manners);
    let player = Player::new(&server.uri()).play();
    let said = player.error();
    player.stop();
    said
}

fn status(status: u16) -> Manner {
    Manner::Answer(status, vec![], String::new())
}

fn with(status: u16, name: &'static str, value: &str) -> Manner {
    Manner::Answer(status, vec![(name, value.to_owned())], String::new())
}

/// A 201 whose body is made of the offer.
macro_rules! answering {
    ($make:expr) => {
        Manner::Do(|asked| {
            let make: fn(&str) -> String = $make;
            let location = ("Location", "/session/1".to_owned());
            match asked.method.as_str() {
                "POST" => Manner::Answer(201, vec![location], make(&asked.body)),
                _ => Manner::Answer(200, vec![], String::new()),
            }
        })
    };
}

#[test]
fn refusals_say_what_they_mean() {
    for (manner, cause, retry, words) in [
        (status(401), "unauthorized", "never", "set auth-token"),
        (status(403), "unauthorized", "never", "set auth-token"),
        (status(404), "not-found", "soon", "no such stream"),
        (status(409), "not-found", "soon", "at the moment"),
        (status(405), "refused", "soon", "does not speak WHEP"),
        (
            status(406),
            "incompatible",
            "soon",
            "does not accept the offer",
        ),
        (
            status(415),
            "incompatible",
            "soon",
            "does not accept the offer",
        ),
        (status(500), "refused", "soon", "status 500"),
        (status(303), "refused", "soon", "status 303"),
        (status(503), "busy", "soon", "busy"),
        (with(503, "Retry-After", "7"), "busy", "later", "busy"),
        (
            with(404, "Retry-After", "7"),
            "not-found",
            "later",
            "no such stream",
        ),
        (
            with(401, "Retry-After", "7"),
            "unauthorized",
            "later",
            "auth-token",
        ),
        (status(307), "bad-answer", "soon", "redirects to nowhere"),
        (
            with(307, "Location", "/whep/stream"),
            "bad-answer",
            "soon",
            "in a circle",
        ),
        (
            with(307, "Location", "http://"),
            "bad-answer",
            "soon",
            "redirects to nowhere",
        ),
        (
            with(307, "Location", "file:///etc"),
            "bad-answer",
            "soon",
            "redirects to nowhere",
        ),
    ] {
        let said = comes_to(vec![manner]);
        let is_expected = said.cause == cause && said.retry == retry && said.text.contains(words);
        assert!(is_expected, "not {cause}, {retry}, {words}: {said:?}");
        let seven = (retry == "later").then_some(7_000_000_000);
        assert_eq!(said.retry_after, seven, "{said:?}");
    }
}

#[test]
fn answers_that_can_never_work_are_told_at_once() {
    for (manner, cause, words) in [
        (answering!(|_| String::new()), "bad-answer", "is empty"),
        (
            answering!(|_| "<html>hello</html>".into()),
            "bad-answer",
            "no session description",
        ),
        (
            answering!(|_| "v=0\r\n".into()),
            "bad-answer",
            "not as many m-sections",
        ),
        (
            answering!(|offer| answer(offer).replace("passive", "actpass")),
            "bad-answer",
            "actpass",
        ),
        (answering!(swapped), "bad-answer", "another order"),
        (
            answering!(|offer| answer(offer).replace("a=candidate", "a=x")),
            "no-connection",
            "no candidates",
        ),
        (
            answering!(|offer| answer(offer).replace("sendonly", "inactive")),
            "incompatible",
            "neither picture nor sound",
        ),
        (
            answering!(|offer| refused(&answer(offer))),
            "incompatible",
            "neither picture nor sound",
        ),
        (
            answering!(|offer| answer(offer).replace("a=fingerprint", "a=x")),
            "bad-answer",
            "no keys",
        ),
        (
            answering!(|offer| answer(offer).replace("a=rtpmap", "a=x")),
            "incompatible",
            "no codec",
        ),
        (
            answering!(|offer| "x".repeat(offer.len() + 400_000)),
            "bad-answer",
            "as a server should",
        ),
    ] {
        let begun = Instant::now();
        let said = comes_to(vec![manner]);
        let is_expected = said.cause == cause && said.retry == "soon" && said.text.contains(words);
        assert!(is_expected, "not {cause}, {words}: {said:?}");
        assert!(
            begun.elapsed() < Duration::from_secs(12),
            "{words} took long"
        );
    }
}

fn swapped(offer: &str) -> String {
    let answer = answer(offer);
    let mut parts = answer.split("m=");
    let (head, video, audio) = (parts.next(), parts.next(), parts.next());
    let all = head.zip(video).zip(audio);
    let ((head, video), audio) = all.expect("a picture and sound are offered");
    format!("{head}m={audio}m={video}")
}

fn refused(answer: &str) -> String {
    let lines = answer.lines().map(|line| match line.split_once(' ') {
        Some((media, rest)) if media.starts_with("m=") => {
            let rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
            format!("{media} 0 {rest}\r\n")
        }
        _ => format!("{line}\r\n"),
    });
    lines.collect()
}

#[test]
fn bytes_that_are_no_http_are_told_as_such() {
    for bytes in [
        b"SSH-2.0-OpenSSH\r\n".to_vec(),
        b"HTTP/1.1 201 Created\r\nContent-Length: 99\r\n\r\nv=0".to_vec(),
        b"HTTP/1.1 99999 x\r\n\r\n".to_vec(),
        [
            b"HTTP/1.1 201 x\r\nX: ".to_vec(),
            vec![b'a'; 100_000],
            b"\r\n\r\n".to_vec(),
        ]
        .concat(),
        vec![0, 255, 254, 10, 13],
    ] {
        let said = comes_to(vec![Manner::Bytes(bytes)]);
        let causes = ["bad-answer", "unreachable"];
        assert!(causes.contains(&said.cause.as_str()), "{said:?}");
        assert_eq!(said.retry, "soon");
    }
}

#[test]
fn a_server_that_closes_or_is_not_there_is_unreachable() {
    let said = comes_to(vec![Manner::Close]);
    assert_eq!(said.cause, "unreachable", "{said:?}");
    let player = Player::new("whep://127.0.0.1:9/x").play();
    let said = player.error();
    assert_eq!(said.cause, "unreachable", "{said:?}");
    assert!(
        said.text.contains("127.0.0.1:9 cannot be reached"),
        "{said:?}"
    );
}

#[test]
fn a_server_that_hangs_is_given_up_in_time_and_holds_up_no_stop() {
    let server = Rude::start(vec![Manner::Hang]);
    let player = Player::new(&server.uri()).play();
    assert_eq!(server.asked().method, "POST");
    player.stop();
    let player = player.play();
    let said = player.error();
    assert_eq!(said.cause, "timeout", "{said:?}");
    player.stop();
}

#[test]
fn a_path_that_nobody_answers_on_ends_the_session_at_the_server() {
    let server = Rude::start(vec![answering!(answer)]);
    let player = Player::new(&server.uri()).play();
    assert_eq!(server.asked().method, "POST");
    let said = player.error();
    assert_eq!(
        (said.cause.as_str(), said.retry.as_str()),
        ("no-connection", "soon")
    );
    let asked = server.asked();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("DELETE", "/session/1")
    );
}

/// The good-byes of a session that only its ETag names.
fn check_goodbyes(server: &Rude) {
    for path in ["/whep/stream/the-session", "/whep/stream"] {
        let asked = server.asked();
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str()),
            ("DELETE", path)
        );
        assert_eq!(asked.header("if-match"), Some("\"the-session\""));
    }
}

#[test]
fn a_session_that_only_its_etag_names_is_said_goodbye_to() {
    let server = Rude::start(vec![Manner::Do(|asked| {
        let etag = vec![("ETag", "\"the-session\"".to_owned())];
        match asked.method.as_str() {
            "POST" => Manner::Answer(201, etag, answer(&asked.body)),
            // An answer to the good-bye names no session.
            _ => Manner::Answer(200, etag, String::new()),
        }
    })]);
    let player = Player::new(&server.uri()).play();
    assert_eq!(server.asked().method, "POST");
    player.stop();
    check_goodbyes(&server);
    let player = player.play();
    assert_eq!(server.asked().method, "POST");
    assert_eq!(player.error().cause, "no-connection");
    check_goodbyes(&server);
    assert!(server.is_left_alone(Duration::from_millis(300)));
}

#[test]
fn a_server_that_names_no_session_is_said_no_goodbye_and_that_is_logged_once() {
    let log = Log::of_all();
    let server = Rude::start(vec![Manner::Do(|asked| {
        // As frameworks make it of each answer.
        let etag = vec![("ETag", "W/\"5b-hash\"".to_owned())];
        Manner::Answer(201, etag, answer(&asked.body))
    })]);
    let player = Player::new(&server.uri()).play();
    assert_eq!(server.asked().method, "POST");
    assert_eq!(player.error().cause, "no-connection");
    player.stop();
    assert!(server.is_left_alone(Duration::from_millis(300)));
    let shown = format!("127.0.0.1:{} names no session", server.port());
    let lines = log.lines();
    let told = lines.iter().filter(|line| line.contains(&shown));
    assert_eq!(told.count(), 1, "{lines:?}");
}

#[test]
fn a_stop_says_goodbye_even_when_the_answer_is_still_to_come() {
    let server = Rude::start(vec![Manner::Do(|asked| {
        // Long enough for the stop to come first.
        std::thread::sleep(Duration::from_millis(700));
        match asked.method.as_str() {
            "POST" => Manner::Answer(
                201,
                vec![("Location", "sub/2".to_owned())],
                answer(&asked.body),
            ),
            _ => Manner::Answer(200, vec![], String::new()),
        }
    })]);
    let player = Player::new(&server.uri()).play();
    // It is asked before the manner takes effect.
    let deadline = Instant::now() + PATIENCE;
    while !is_connected_to(server.port()) {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::sleep(Duration::from_millis(5));
    }
    player.stop();
    assert_eq!(server.asked().method, "POST");
    let asked = server.asked();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("DELETE", "/whep/sub/2")
    );
}

fn is_connected_to(port: u16) -> bool {
    let remote = format!("0100007F:{port:04X} 01");
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap_or_default();
    table.lines().any(|line| line.contains(&remote))
}

#[test]
fn the_token_goes_to_its_server_and_to_no_other() {
    let other = Rude::start(vec![status(404)]);
    let away = format!("http://127.0.0.1:{}/elsewhere", other.port());
    let server = Rude::start(vec![
        with(307, "Location", "/moved"),
        with(308, "Location", &away),
    ]);
    let player = Player::new(&server.uri());
    player.src.set_property("auth-token", "s3cret-token");
    let headers = gst::Structure::builder("headers")
        .field("X-Viewer", "me")
        .build();
    player.src.set_property("extra-headers", headers);
    let player = player.play();
    let said = player.error();
    assert_eq!(said.cause, "not-found");
    for _ in 0..2 {
        let asked = server.asked();
        assert_eq!(asked.header("authorization"), Some("Bearer s3cret-token"));
        assert_eq!(asked.header("x-viewer"), Some("me"));
    }
    let asked = other.asked();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/elsewhere")
    );
    assert!(
        !asked.head.contains("s3cret") && !asked.head.contains("viewer"),
        "{}",
        asked.head
    );
    assert_eq!(asked.header("content-type"), Some("application/sdp"));
    assert!(asked.body.contains("a=candidate"), "the offer is kept");
}

#[test]
fn a_token_is_in_no_message() {
    let echo: fn(&Asked) -> Manner = |asked| Manner::Answer(500, vec![], asked.head.clone());
    let server = Rude::start(vec![Manner::Do(echo)]);
    let player = Player::new(&server.uri());
    player.src.set_property("auth-token", "s3cret-token");
    let said = player.play().error();
    assert!(!said.text.contains("s3cret"), "{said:?}");
}

#[test]
fn what_can_never_work_fails_before_anything_is_asked() {
    for (uri, words) in [
        ("", "no URI is set"),
        ("whep:/x", "whep://host"),
        ("whep://", "host"),
        ("whep://user:pw@127.0.0.1/x", "auth-token"),
        ("whep://127.0.0.1:99999/x", "port"),
        ("rtmp://127.0.0.1/x", "no scheme that webrtcplaysrc plays"),
    ] {
        let player = Player::new(uri);
        assert!(
            player.pipeline.set_state(gst::State::Ready).is_err(),
            "{uri}"
        );
        let bus = player.pipeline.bus().expect("a bus");
        let message = bus
            .pop_filtered(&[gst::MessageType::Error])
            .expect("an error");
        let text = format!("{message:?}");
        assert!(
            text.contains(words) && !text.contains("pw@"),
            "{uri}: {text}"
        );
    }
}
