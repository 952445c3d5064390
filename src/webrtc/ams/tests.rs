// SPDX-License-Identifier: MPL-2.0
//! What the machine says and does, told as scripts: news in, asks out, time by hand.

mod anything;
mod script;

use super::*;
use script::*;
use serde_json::json;

const URI: &str = "amss://h:5443/live/cam1?token=s3cret&subscriberId=me&subscriberCode=c0de";

#[test]
fn a_session_from_play_to_stop() {
    let mut script = Script::new(URI);
    let asks = script.tell(News::Begin);
    let [Ask::Open(opening)] = &asks[..] else {
        panic!("{asks:?}");
    };
    assert_eq!(opening.url, "wss://h:5443/live/websocket?target=edge");
    let sent = script.sent(News::Opened);
    assert_eq!(sent[0]["command"], "getIceServerConfig");
    assert_eq!(
        sent[1],
        json!({"command": "play", "streamId": "cam1", "token": "s3cret", "room": "", "trackList": [],
            "subscriberId": "me", "subscriberCode": "c0de", "viewerInfo": "", "role": "", "userPublishId": ""})
    );
    let config = json!({"command": "iceServerConfig", "stunServerUri": "turn:t:3478",
        "turnServerUsername": "u", "turnServerCredential": "p"});
    let asks = script.says(&config);
    assert!(
        matches!(&asks[..], [Ask::IceServers(servers)] if servers[0].url == "turn:t:3478"
        && servers[0].username.as_deref() == Some("u"))
    );
    let sdp = format!(
        "v=0\r\na=fingerprint:sha-256 {}\r\nm=audio 9 X 0\r\na=mid:audio7\r\nm=video 9 X 0\r\na=mid:video7\r\n",
        ["AA"; 32].join(":")
    );
    assert_eq!(script.says(&offer(&sdp)), [set_remote(&sdp)]);
    let sent = script.sent(local("v=0 answer"));
    let answer = json!({"command": "takeConfiguration", "streamId": "cam1", "type": "answer", "sdp": "v=0 answer"});
    assert_eq!(sent, [answer]);
    let sent = script.sent(News::Candidate(a_candidate(1, "candidate:2 udp")));
    assert_eq!(sent[0]["label"], json!(1));
    assert_eq!(sent[0]["id"], "mid1");
    assert_eq!(sent[0]["candidate"], "candidate:2 udp");
    let mid = None;
    let nameless = Candidate {
        mline: 1,
        mid,
        text: "candidate:3 tcp".to_owned(),
    };
    assert_eq!(
        script.sent(News::Candidate(nameless))[0]["id"],
        "video7",
        "the offer's name"
    );
    assert_eq!(script.tell(News::GatheringComplete), []);
    assert_eq!(script.says(&note("play_started")), []);
    assert_eq!(script.tell(News::Connected), []);
    let asks = script.tell(News::Leave);
    assert_eq!(commands(&asks), ["stop"]);
    assert_eq!(asks.last(), Some(&Ask::Bye));
    assert_eq!(script.machine.due(), None);
}

#[test]
fn candidates_before_the_offer_follow_it_in_their_order() {
    let mut script = Script::asked();
    for number in 0..200 {
        assert_eq!(
            script.says(&their_candidate(&format!("candidate:{number}"))),
            []
        );
    }
    let asks = script.says(&offer("v=0"));
    assert_eq!(asks[0], set_remote("v=0"));
    assert_eq!(asks.len(), 1 + MOST_CANDIDATES);
    assert!(matches!(&asks[1], Ask::AddCandidate(first) if first.text == "candidate:0"));
    assert_eq!(script.says(&their_candidate("candidate:x")), []);
}

#[test]
fn candidates_are_taken_in_every_form_that_servers_write() {
    let mut script = Script::asked();
    script.says(&offer("v=0"));
    for (label, line) in [
        (json!(2), 2),
        (json!(2.0), 2),
        (json!("2"), 2),
        (json!(null), 0),
        (json!(-1), 0),
    ] {
        let asks = script.says(
            &json!({"command": "takeCandidate", "streamId": "cam1", "label": label,
            "id": null, "candidate": "candidate:1 1 UDP 1 h 1 typ host", "linkSession": null}),
        );
        let candidate = Candidate {
            mline: line,
            mid: None,
            text: "candidate:1 1 UDP 1 h 1 typ host".into(),
        };
        assert_eq!(asks, [Ask::AddCandidate(candidate)]);
    }
    let end = script.says(&their_candidate(""));
    assert!(matches!(&end[..], [Ask::AddCandidate(end)] if end.text.is_empty()));
    for text in [
        "rubbish",
        "candidate:1\r\na=setup:active",
        &"candidate:".repeat(200),
    ] {
        assert_eq!(script.says(&their_candidate(text)), [], "{text}");
    }
}

#[test]
fn a_new_offer_is_answered_and_the_newest_counts() {
    let mut script = Script::playing();
    assert_eq!(script.says(&offer("second")), [set_remote("second")]);
    assert_eq!(script.says(&offer("third")), []);
    assert_eq!(script.says(&offer("fourth")), []);
    let asks = script.tell(local("answer"));
    assert_eq!(commands(&asks), ["takeConfiguration"]);
    assert_eq!(asks.last(), Some(&set_remote("fourth")));
    assert_eq!(
        commands(&script.tell(local("answer"))),
        ["takeConfiguration"]
    );
}

#[test]
fn an_absent_stream_is_waited_for_on_the_open_socket() {
    let mut script = Script::asked();
    let absent = error("no_stream_exist", "stream_not_exist_or_not_streaming");
    assert!(matches!(&script.says(&absent)[..], [Ask::Wait(_)]));
    assert_eq!(script.says(&json!({"command": "notification", "definition": "streaming_started", "streamId": "other"})), []);
    let asks = script.says(&note("streaming_started"));
    assert_eq!(commands(&asks), ["play"]);
    assert!(matches!(&script.says(&absent)[..], [Ask::Wait(_)]));
    script.says(&note("streaming_started"));
    assert_eq!(script.says(&offer("v=0")), [set_remote("v=0")]);
}

#[test]
fn a_lost_word_that_the_stream_is_back_costs_a_question_now_and_then() {
    let mut script = Script::asked();
    script.says(&error("no_stream_exist", ""));
    let mut asked = vec![];
    script.live(120, |script, asks| {
        if commands(asks).iter().any(|command| command == "play") {
            asked.push(script.now.as_secs());
            let absent = error("no_stream_exist", "");
            assert_eq!(script.says(&absent), [], "nobody is told twice");
        }
    });
    assert_eq!(asked, [2, 6, 14, 30, 60, 90, 120]);
}

#[test]
fn the_end_of_the_stream_is_an_end_and_no_failure() {
    let mut script = Script::playing();
    assert!(matches!(
        &script.says(&note("play_finished"))[..],
        [Ask::Finish(_)]
    ));
    assert_eq!(script.says(&note("play_finished")), []);
    assert!(
        matches!(&Script::playing().tell(News::Gone)[..], [Ask::Finish(_)]),
        "its media say so"
    );
}

#[test]
fn the_end_of_another_session_is_not_ours() {
    let mut script = Script::playing();
    for other in [
        json!({"command": "notification", "definition": "play_finished", "streamId": "other"}),
        json!({"command": "notification", "definition": "play_finished", "streamId": "cam1", "subscriberId": "you"}),
    ] {
        assert_eq!(script.says(&other), []);
    }
    let mut script = Script::asked();
    assert_eq!(
        script.says(&note("play_finished")),
        [],
        "before anything was played"
    );
}

#[test]
fn media_plays_on_without_its_socket() {
    let mut script = Script::playing();
    let closed = News::Closed {
        trouble: Trouble::Unreachable("reset".into()),
        status: None,
    };
    assert_eq!(script.tell(closed), []);
    script.live(60, |_, asks| assert_eq!(asks, &[]));
    assert_eq!(script.machine.due(), None);
    assert_eq!(script.tell(News::Leave), [Ask::Bye]);
}

#[test]
fn media_plays_on_beside_a_silent_socket() {
    let mut script = Script::playing();
    let mut pings = 0;
    script.quiet(60, |asks| {
        assert_eq!(commands(asks), ["ping"]);
        pings += 1;
    });
    assert_eq!(pings, 20);
}

#[test]
fn a_socket_that_answers_no_ping_has_failed_where_nothing_plays() {
    let mut script = Script::asked();
    script.says(&error("no_stream_exist", ""));
    let (mut pings, mut failed) = (0, None);
    for _ in 0..40 {
        let Some(due) = script.machine.due() else {
            break;
        };
        script.now = due;
        let asks = script.tell(News::Wake);
        pings += commands(&asks)
            .iter()
            .filter(|command| *command == "ping")
            .count();
        if let Some(Ask::Fail(failure)) = asks.last() {
            failed = Some((script.now.as_secs(), failure.cause, failure.retry));
        }
    }
    assert_eq!(
        (pings, failed),
        (3, Some((10, Cause::Timeout, Retry::Soon)))
    );
}

#[test]
fn every_step_that_stays_away_is_a_failure_in_its_time() {
    let mut asked = Script::asked();
    assert_eq!(asked.answer_pings_until_failure(), (10, Cause::Timeout));
    let mut offered = Script::asked();
    offered.says(&offer("v=0"));
    offered.tell(local("answer"));
    assert_eq!(
        offered.answer_pings_until_failure(),
        (15, Cause::NoConnection)
    );
}

#[test]
fn a_sender_that_is_not_who_it_should_be_ends_the_session_at_any_time() {
    let slowly = (Cause::Identity, Retry::Later(Duration::from_secs(60)));
    let of = |asks: &[Ask]| {
        let failure = failure(asks);
        assert!(
            failure.text.starts_with("amss://h:5443/live/cam1: "),
            "{failure:?}"
        );
        (failure.cause, failure.retry)
    };
    let mut offered = Script::asked();
    offered.says(&offer("v=0"));
    for mut script in [offered, Script::playing()] {
        let news = News::PeerFailed(PeerTrouble::Identity, "an impostor".to_owned());
        let asks = script.tell(news);
        assert_eq!(of(&asks), slowly);
        assert_eq!(commands(&asks), ["stop"]);
    }
    // An offer that nobody can be held to is not answered, be it the first or a later one.
    let weak = "v=0\r\nm=video 9 X 0\r\na=fingerprint:sha-1 AA\r\n";
    for sdp in [weak, "v=0\r\nm=video 9 X 0\r\n"] {
        for mut script in [Script::asked(), Script::playing()] {
            assert_eq!(of(&script.says(&offer(sdp))), slowly);
        }
    }
}

#[test]
fn a_socket_that_never_opens_says_why() {
    for (status, cause, retry) in [
        (None, Cause::Unreachable, Retry::Soon),
        (
            Some(404),
            Cause::NotFound,
            Retry::Later(Duration::from_secs(10)),
        ),
        (Some(403), Cause::Unauthorized, Retry::Never),
        (
            Some(503),
            Cause::Busy,
            Retry::Later(Duration::from_secs(10)),
        ),
        (Some(200), Cause::BadAnswer, Retry::Soon),
    ] {
        let mut script = Script::new(URI);
        script.tell(News::Begin);
        let failure = failure(&script.tell(News::Closed {
            trouble: Trouble::Unreachable("refused".into()),
            status,
        }));
        assert_eq!((failure.cause, failure.retry), (cause, retry), "{status:?}");
        assert!(
            failure.text.contains("amss://h:5443/live/cam1"),
            "{}",
            failure.text
        );
    }
}

#[test]
fn a_socket_that_closes_before_media_is_a_failure() {
    for mut script in [Script::asked(), {
        let mut s = Script::asked();
        s.says(&offer("v=0"));
        s
    }] {
        let closed = News::Closed {
            trouble: Trouble::Unreachable(String::new()),
            status: None,
        };
        assert_eq!(failure(&script.tell(closed)).cause, Cause::Closed);
    }
}

#[test]
fn a_server_that_is_about_to_stop_is_left_while_it_plays() {
    let mut script = Script::playing();
    let asks = script.says(&json!({"command": "notification", "definition": "server_will_stop"}));
    assert_eq!(
        (failure(&asks).cause, failure(&asks).retry),
        (Cause::Closed, Retry::Soon)
    );
    assert_eq!(commands(&asks), ["stop"], "it is polite");
}

#[test]
fn each_error_has_its_class() {
    let soon = Retry::Soon;
    let later = |seconds| Retry::Later(Duration::from_secs(seconds));
    for (definition, information, cause, retry) in [
        (
            "no_stream_exist",
            "webrtc_not_enabled",
            Cause::Refused,
            Retry::Never,
        ),
        ("noStreamNameSpecified", "", Cause::Settings, Retry::Never),
        ("invalidStreamName", "", Cause::Settings, Retry::Never),
        ("unauthorized_access", "", Cause::Unauthorized, Retry::Never),
        ("user_blocked", "", Cause::Unauthorized, Retry::Never),
        ("highResourceUsage", "", Cause::Busy, later(10)),
        ("viewerLimitReached", "", Cause::Busy, later(10)),
        ("not_initialized_yet", "", Cause::Busy, soon),
        ("data_store_not_available", "", Cause::Busy, soon),
        (
            "license_suspended_please_renew_license",
            "",
            Cause::Refused,
            Retry::Never,
        ),
        (
            "stream_not_active_or_expired",
            "",
            Cause::NotFound,
            later(10),
        ),
        (
            "notSetRemoteDescription",
            "",
            Cause::Incompatible,
            Retry::Never,
        ),
        (
            "notSetLocalDescription",
            "",
            Cause::Incompatible,
            Retry::Never,
        ),
        ("server_error_check_logs", "", Cause::Refused, later(5)),
        ("encoderNotOpened", "", Cause::Refused, later(5)),
        ("encoderBlocked", "", Cause::Refused, later(5)),
        ("something_new", "", Cause::Refused, later(5)),
    ] {
        let failure = failure(&Script::asked().says(&error(definition, information)));
        assert_eq!(
            (failure.cause, failure.retry),
            (cause, retry),
            "{definition}"
        );
        assert!(
            failure.text.starts_with("amss://h:5443/live/cam1: "),
            "{}",
            failure.text
        );
        let playing = Script::playing().says(&error(definition, information));
        assert_eq!(
            playing.is_empty(),
            retry != Retry::Never,
            "{definition} while media flows"
        );
    }
}

#[test]
fn a_stream_that_is_played_already_is_stopped_first_and_once() {
    let mut script = Script::asked();
    assert_eq!(
        commands(&script.says(&error("already_playing", ""))),
        ["stop"]
    );
    assert_eq!(
        script.says(&note("play_finished")),
        [],
        "the answer to our own stop"
    );
    script.now = script.machine.due().expect("a pause");
    assert_eq!(script.now, AFTER_STOP);
    assert_eq!(commands(&script.tell(News::Wake)), ["play"]);
    let failure = failure(&script.says(&error("already_playing", "")));
    assert_eq!(failure.retry, Retry::Soon);
    assert_eq!(Script::playing().says(&error("already_playing", "")), []);
}

#[test]
fn what_is_not_known_is_passed_over() {
    let mut script = Script::playing();
    for text in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{",
        "{}",
        "{\"command\": 7}",
        "{\"command\": \"bitrateMeasurement\"}",
        "{\"command\":\"notification\",\"definition\":\"resolutionChangeInfo\",\"streamId\":\"cam1\"}",
        "{\"command\":\"takeConfiguration\",\"type\":\"answer\",\"sdp\":\"v=0\"}",
        "<html>hello</html>",
    ] {
        assert_eq!(script.tell(News::Text(text.to_owned())), [], "{text}");
    }
    let deep = "[".repeat(100_000);
    assert_eq!(script.tell(News::Text(deep)), []);
}

#[test]
fn no_message_is_longer_than_the_server_takes_or_we_do() {
    let mut script = Script::asked();
    script.says(&offer("v=0"));
    let asks = script.tell(local(&"a".repeat(LONGEST_SENT)));
    assert_eq!(failure(&asks).cause, Cause::Incompatible);
    let long = News::Text(" ".repeat(LONGEST_TAKEN + 1));
    assert_eq!(failure(&Script::asked().tell(long)).cause, Cause::BadAnswer);
}

#[test]
fn no_text_shows_who_asks() {
    let echo = error("s3cret and c0de are wrong", "");
    let text = failure(&Script::asked().says(&echo)).text;
    assert!(!text.contains("s3cret") && !text.contains("c0de"), "{text}");
}

#[test]
fn a_secret_that_is_a_part_of_another_leaves_nothing_of_it() {
    let uri = "ams://h/live/cam1?token=abcd&subscriberId=me&subscriberCode=abcd1234";
    let mut script = Script::new(uri);
    script.tell(News::Begin);
    script.tell(News::Opened);
    let text = failure(&script.says(&error("abcd1234 is wrong", ""))).text;
    assert!(!text.contains("1234"), "{text}");
}

#[test]
fn a_token_of_its_own_goes_before_that_of_the_uri() {
    let target = Target {
        uri: URI.to_owned(),
        token: Some("other".to_owned()),
        ..Target::default()
    };
    let mut script = Script::of(Ams::new(&target).unwrap_or_else(|error| panic!("{error}")));
    script.tell(News::Begin);
    assert_eq!(script.sent(News::Opened)[1]["token"], "other");
}
