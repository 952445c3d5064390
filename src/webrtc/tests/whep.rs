// SPDX-License-Identifier: MPL-2.0
//! Stories of the WHEP machine, told step by step.

use std::time::Duration;

use crate::webrtc::signalling::{
    Ask, Candidate, Cause, Description, Kind, Method, News, PeerTrouble, Protocol, Request,
    RequestId, Response, Retry, Trouble,
};
use crate::webrtc::target::Target;

const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE video0 audio1\r\n\
    a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:video0\r\na=setup:actpass\r\na=recvonly\r\na=rtpmap:96 H264/90000\r\n\
    m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=bundle-only\r\na=mid:audio1\r\na=setup:actpass\r\na=recvonly\r\na=rtpmap:111 OPUS/48000/2\r\n";

fn answer() -> String {
    let answer = OFFER
        .replace("actpass", "active")
        .replace("recvonly", "sendonly");
    let answer = answer
        .replace("m=audio 0", "m=audio 9")
        .replace("a=bundle-only\r\n", "");
    format!("{answer}a=candidate:1 1 UDP 1 127.0.0.1 9 typ host\r\n")
}

/// A machine, and the time that it is told.
struct Stage {
    machine: Box<dyn Protocol>,
    now: Duration,
}

impl Stage {
    fn new() -> Self {
        let target = Target {
            uri: "whep://host:8889/live/whep".to_owned(),
            token: Some("token".to_owned()),
            ..Target::default()
        };
        Self::of(&target)
    }

    fn of(target: &Target) -> Self {
        let machine = target.protocol().expect("a good URI");
        let now = Duration::ZERO;
        Self { machine, now }
    }

    /// The POST to this target, which needs no candidates.
    fn posted_to(target: &Target) -> (Self, Request) {
        let mut stage = Self::of(target);
        stage.tell(News::Begin);
        stage.local(Kind::Offer);
        let asks = stage.tell(News::GatheringComplete);
        (stage, only_request(asks))
    }

    fn tell(&mut self, news: News) -> Vec<Ask> {
        self.machine.tell(news, self.now)
    }

    /// To the next deadline.
    fn wait(&mut self) -> Vec<Ask> {
        self.now = self.machine.due().expect("a deadline");
        self.tell(News::Wake)
    }

    fn local(&mut self, kind: Kind) -> Vec<Ask> {
        let sdp = OFFER.to_owned();
        self.tell(News::Local(Description { kind, sdp }))
    }

    /// The POST that has been asked for, after gathering.
    fn posted() -> (Self, Request) {
        let mut stage = Self::new();
        assert_eq!(stage.tell(News::Begin), [Ask::CreateOffer]);
        assert_eq!(stage.local(Kind::Offer), []);
        assert_eq!(stage.tell(candidate("candidate:1")), []);
        let asks = stage.tell(News::GatheringComplete);
        (stage, only_request(asks))
    }

    fn reply(
        &mut self,
        to: &Request,
        status: u16,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Vec<Ask> {
        let headers = headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let response = Response {
            status,
            headers: headers.collect(),
            body: body.to_owned(),
        };
        let request = to.id;
        self.tell(News::Response { request, response })
    }
}

fn candidate(text: &str) -> News {
    News::Candidate(Candidate {
        mline: 0,
        mid: None,
        text: text.to_owned(),
    })
}

fn only_request(asks: Vec<Ask>) -> Request {
    match <[Ask; 1]>::try_from(asks) {
        Ok([Ask::Http(request)]) => request,
        other => panic!("not one request: {other:?}"),
    }
}

fn failure(asks: &[Ask]) -> (Cause, Retry) {
    match asks.last() {
        Some(Ask::Fail(failure)) => (failure.cause, failure.retry),
        other => panic!("not a failure: {other:?}"),
    }
}

fn remote(sdp: &str) -> Ask {
    Ask::SetRemote(Description {
        kind: Kind::Answer,
        sdp: sdp.to_owned(),
    })
}

#[test]
fn a_session_is_agreed_played_and_ended() {
    let (mut stage, post) = Stage::posted();
    assert_eq!(
        (post.method, post.url.as_str()),
        (Method::Post, "http://host:8889/live/whep")
    );
    let has = |request: &Request, name: &str, value: &str| {
        request
            .headers
            .contains(&(name.to_owned(), value.to_owned()))
    };
    assert!(has(&post, "content-type", "application/sdp"));
    assert!(has(&post, "authorization", "Bearer token"));
    assert!(
        post.body
            .contains("a=candidate:1\r\na=end-of-candidates\r\nm=audio")
    );
    let asks = stage.reply(&post, 201, &[("location", "../s/1")], &answer());
    assert_eq!(asks, [remote(&answer())]);
    assert_eq!(stage.tell(News::Connected), []);
    assert_eq!(stage.machine.due(), None);
    let delete = only_request(stage.tell(News::Leave));
    assert_eq!(
        (delete.method, delete.url.as_str()),
        (Method::Delete, "http://host:8889/s/1")
    );
    assert!(has(&delete, "authorization", "Bearer token"));
    assert_eq!(stage.reply(&delete, 200, &[], ""), [Ask::Bye]);
}

#[test]
fn servers_that_answer_200_or_202_are_played_too() {
    for status in [200, 202] {
        let (mut stage, post) = Stage::posted();
        let headers = [("location", "/s/1")];
        assert_eq!(
            stage.reply(&post, status, &headers, &answer()),
            [remote(&answer())]
        );
        assert_eq!(only_request(stage.tell(News::Leave)).method, Method::Delete);
    }
}

fn requests(asks: Vec<Ask>) -> Vec<Request> {
    let request = |ask| match ask {
        Ask::Http(request) => request,
        other => panic!("not a request: {other:?}"),
    };
    asks.into_iter().map(request).collect()
}

/// Where good-byes go, in their order, each on the condition of this ETag.
fn check_ends(asks: &[Request], etag: &str, urls: &[&str]) {
    let condition = ("if-match".to_owned(), etag.to_owned());
    for request in asks {
        assert_eq!(request.method, Method::Delete);
        assert!(request.headers.contains(&condition), "{request:?}");
    }
    let asked: Vec<_> = asks.iter().map(|request| request.url.as_str()).collect();
    assert_eq!(asked, urls);
}

const ENDPOINT: &str = "http://host:8889/live/whep";

#[test]
fn a_session_without_an_address_of_its_own_is_ended_by_its_etag() {
    for (etag, name) in [
        ("\"3f-a\"", "3f-a"),
        // Ant Media and others leave the quotes out.
        ("3f-a", "3f-a"),
        ("\"a/../b?c#d\"", "a%2F..%2Fb%3Fc%23d"),
    ] {
        for location in [
            None,
            Some(""),
            // As Ant Media says it.
            Some("/live/whep"),
            Some(ENDPOINT),
            // Where nobody goes.
            Some("ftp://host/s/1"),
            Some("http://user:pw@host/s/1"),
        ] {
            let (mut stage, post) = Stage::posted();
            let mut headers = vec![("etag", etag)];
            headers.extend(location.map(|location| ("location", location)));
            let asks = stage.reply(&post, 201, &headers, &answer());
            assert_eq!(asks, [remote(&answer())], "{headers:?}");
            stage.tell(News::Connected);
            let ends = requests(stage.tell(News::Leave));
            check_ends(&ends, etag, &[&format!("{ENDPOINT}/{name}"), ENDPOINT]);
            // Whatever it says to the good-bye is no new session.
            let headers = [("location", "/s/2"), ("etag", "\"2\"")];
            assert_eq!(stage.reply(&ends[0], 404, &headers, ""), []);
            assert_eq!(stage.reply(&ends[1], 200, &headers, ""), [Ask::Bye]);
        }
    }
}

#[test]
fn a_session_with_an_address_of_its_own_is_ended_there_alone() {
    let (mut stage, post) = Stage::posted();
    let headers = [("location", "/s/1"), ("etag", "\"3f-a\"")];
    stage.reply(&post, 201, &headers, &answer());
    let delete = only_request(stage.tell(News::Leave));
    assert_eq!(delete.url, "http://host:8889/s/1");
    // The draft wants no condition on a DELETE.
    assert!(delete.headers.iter().all(|(name, _)| name != "if-match"));
    let headers = [("location", "/s/2"), ("etag", "\"2\"")];
    assert_eq!(stage.reply(&delete, 200, &headers, ""), [Ask::Bye]);
}

#[test]
fn what_names_no_session_is_played_and_told_once_in_the_log() {
    let long = format!("\"{}\"", "x".repeat(256));
    for etag in [
        None,
        Some(""),
        Some("\"\""),
        Some("*"),
        Some("\"..\""),
        Some("W/\"3f-a\""),
        Some("w/\"3f-a\""),
        Some("a b"),
        Some("\u{e4}\u{e4}"),
        Some(long.as_str()),
    ] {
        let (mut stage, post) = Stage::posted();
        let headers: Vec<_> = etag.map(|etag| ("etag", etag)).into_iter().collect();
        let asks = stage.reply(&post, 201, &headers, &answer());
        let [played, Ask::Warn(text)] = asks.as_slice() else {
            panic!("{etag:?}: {asks:?}");
        };
        assert_eq!(*played, remote(&answer()));
        assert!(text.starts_with("host:8889 names no session"), "{text}");
        assert_eq!(stage.tell(candidate("candidate:2")), [], "{etag:?}");
        assert_eq!(stage.tell(News::Leave), [Ask::Bye], "{etag:?}");
    }
}

#[test]
fn late_candidates_of_a_session_without_an_address_go_to_the_endpoint_by_its_etag() {
    let mut stage = Stage::new();
    stage.tell(News::Begin);
    stage.local(Kind::Offer);
    let post = only_request(stage.wait());
    assert_eq!(stage.tell(candidate("candidate:1")), []);
    let asks = stage.reply(&post, 201, &[("etag", "3f-a")], &answer());
    let [_, Ask::Http(patch)] = asks.as_slice() else {
        panic!("no candidate follows: {asks:?}");
    };
    assert_eq!(
        (patch.method, patch.url.as_str()),
        (Method::Patch, ENDPOINT)
    );
    let conditions = patch.headers.iter().filter(|(name, _)| name == "if-match");
    let conditions: Vec<_> = conditions.map(|(_, value)| value.as_str()).collect();
    assert_eq!(conditions, ["3f-a"]);
}

#[test]
fn a_counter_offer_without_an_address_is_answered_at_the_endpoint_by_its_etag() {
    let offer = answer().replace("active", "actpass");
    let (mut stage, post) = Stage::posted();
    let kind = Kind::Offer;
    let asks = stage.reply(&post, 406, &[("etag", "\"3f-a\"")], &offer);
    let sdp = offer.clone();
    assert_eq!(asks, [Ask::SetRemote(Description { kind, sdp })]);
    stage.local(Kind::Answer);
    let patch = only_request(stage.tell(News::GatheringComplete));
    assert_eq!(
        (patch.method, patch.url.as_str()),
        (Method::Patch, ENDPOINT)
    );
    let condition = ("if-match".to_owned(), "\"3f-a\"".to_owned());
    assert!(patch.headers.contains(&condition));
    let (mut stage, post) = Stage::posted();
    let asks = stage.reply(&post, 406, &[("etag", "W/\"3f-a\"")], &offer);
    assert_eq!(failure(&asks), (Cause::BadAnswer, Retry::Soon));
}

#[test]
fn every_end_says_goodbye_to_a_session_that_only_its_etag_names() {
    let below = format!("{ENDPOINT}/3f-a");
    let urls = [below.as_str(), ENDPOINT];
    let headers = [("etag", "\"3f-a\""), ("link", "<stun:s>; rel=ice-server")];
    let ends_of = |mut asks: Vec<Ask>, others: usize| {
        asks.truncate(asks.len() - others);
        check_ends(&requests(asks), "\"3f-a\"", &urls);
    };
    // Told to leave before the answer.
    let (mut stage, post) = Stage::posted();
    assert_eq!(stage.tell(News::Leave), []);
    ends_of(stage.reply(&post, 201, &headers, &answer()), 0);
    assert_eq!(stage.wait(), [Ask::Bye], "it does not wait for ever");
    // The sender is gone.
    let (mut stage, post) = Stage::posted();
    stage.reply(&post, 201, &headers, &answer());
    ends_of(stage.tell(News::Gone), 1);
    // No path: a second offer, with the server's ICE servers.
    let (mut stage, post) = Stage::posted();
    stage.reply(&post, 201, &headers, &answer());
    ends_of(stage.wait(), 2);
    // An answer that is none.
    let (mut stage, post) = Stage::posted();
    ends_of(stage.reply(&post, 201, &headers, ""), 1);
}

#[test]
fn an_etag_that_ends_a_session_goes_where_the_session_is_and_is_shown_to_nobody() {
    let target = Target {
        uri: "whep://host/live/a-long-stream-name?jwt=abc".to_owned(),
        token: Some("token".to_owned()),
        ..Target::default()
    };
    let (mut stage, post) = Stage::posted_to(&target);
    let post = only_request(stage.reply(&post, 307, &[("location", "http://other/w/?x=1")], ""));
    stage.reply(&post, 201, &[("etag", "\"0123456789abcdef\"")], &answer());
    let hidden = stage
        .machine
        .hide("a-long-stream-name: 0123456789ABCDEF is gone");
    assert_eq!(hidden, "a-long-stream-name: *** is gone");
    let ends = requests(stage.tell(News::Leave));
    let urls = ["http://other/w/0123456789abcdef?x=1", "http://other/w/?x=1"];
    check_ends(&ends, "\"0123456789abcdef\"", &urls);
    for request in &ends {
        let mut values = request.headers.iter().map(|(_, value)| value);
        assert!(values.all(|value| !value.contains("token")), "{request:?}");
    }
}

#[test]
fn slow_gathering_is_not_waited_for_and_late_candidates_follow() {
    let mut stage = Stage::new();
    stage.tell(News::Begin);
    stage.local(Kind::Offer);
    let post = only_request(stage.wait());
    assert_eq!(stage.now, Duration::from_millis(500));
    assert!(!post.body.contains("end-of-candidates"));
    assert_eq!(stage.tell(candidate("candidate:1")), []);
    let headers = [("location", "/s"), ("etag", "\"v1\"")];
    let asks = stage.reply(&post, 201, &headers, &answer());
    let [_, Ask::Http(patch)] = asks.as_slice() else {
        panic!("no candidate follows: {asks:?}");
    };
    assert_eq!(patch.method, Method::Patch);
    assert!(
        patch
            .headers
            .contains(&("if-match".to_owned(), "\"v1\"".to_owned()))
    );
    assert_eq!(
        patch.body,
        "a=group:BUNDLE video0 audio1\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:video0\r\na=candidate:1\r\n"
    );
    // One after the other.
    assert_eq!(stage.tell(candidate("candidate:2")), []);
    let next = only_request(stage.reply(&patch.clone(), 204, &[], ""));
    assert!(next.body.contains("candidate:2") && !next.body.contains("candidate:1\r"));
    // A server that wants no more gets no more, and the stream plays on.
    assert_eq!(stage.reply(&next, 405, &[], ""), []);
    assert_eq!(stage.tell(News::GatheringComplete), []);
}

#[test]
fn a_counter_offer_is_answered_where_the_server_says() {
    let (mut stage, post) = Stage::posted();
    let offer = answer().replace("active", "actpass");
    let asks = stage.reply(&post, 406, &[("location", "/s/2")], &offer);
    let kind = Kind::Offer;
    assert_eq!(asks, [Ask::SetRemote(Description { kind, sdp: offer })]);
    assert_eq!(stage.local(Kind::Answer), []);
    let patch = only_request(stage.tell(News::GatheringComplete));
    assert_eq!(
        (patch.method, patch.url.as_str()),
        (Method::Patch, "http://host:8889/s/2")
    );
    assert_eq!(stage.reply(&patch, 204, &[], ""), []);
    assert_eq!(only_request(stage.tell(News::Leave)).method, Method::Delete);
}

#[test]
fn ice_servers_of_the_server_are_tried_when_there_is_no_path_without_them() {
    let (mut stage, post) = Stage::posted();
    let link = "<turn:t:3478>; rel=\"ice-server\"; username=\"u\"; credential=\"c\"";
    let headers = [("location", "/s/1"), ("link", link)];
    stage.reply(&post, 201, &headers, &answer());
    let asks = stage.wait();
    assert_eq!(stage.now, Duration::from_secs(2));
    let [
        Ask::Http(delete),
        Ask::IceServers(servers),
        Ask::CreateOffer,
    ] = asks.as_slice()
    else {
        panic!("no second offer: {asks:?}");
    };
    assert_eq!((delete.method, servers.len()), (Method::Delete, 1));
    stage.local(Kind::Offer);
    let post = only_request(stage.tell(News::GatheringComplete));
    stage.reply(&post, 201, &headers, &answer());
    let failed = stage.tell(News::PeerFailed(
        PeerTrouble::Connection,
        "no path".to_owned(),
    ));
    assert_eq!(
        failure(&failed),
        (Cause::NoConnection, Retry::Soon),
        "twice is enough"
    );
}

/// Tried again a minute later, and not in a second offer.
const SLOWLY: (Cause, Retry) = (Cause::Identity, Retry::Later(Duration::from_secs(60)));

#[test]
fn an_impostor_ends_the_session_whatever_else_could_be_tried() {
    for is_connected in [false, true] {
        let (mut stage, post) = Stage::posted();
        let headers = [("location", "/s/1"), ("link", "<stun:s>; rel=ice-server")];
        stage.reply(&post, 201, &headers, &answer());
        if is_connected {
            stage.tell(News::Connected);
        }
        let trouble = PeerTrouble::Identity;
        let asks = stage.tell(News::PeerFailed(trouble, "an impostor".to_owned()));
        let [Ask::Http(delete), Ask::Fail(failed)] = asks.as_slice() else {
            panic!("something else is tried: {asks:?}");
        };
        assert_eq!(delete.method, Method::Delete);
        assert_eq!(failed.text, "host:8889: an impostor");
        assert_eq!(failure(&asks), SLOWLY);
        assert_eq!(stage.machine.due(), None);
    }
}

#[test]
fn a_description_that_nobody_can_be_held_to_is_not_set() {
    for spoilt in [
        answer().replace("sha-256", "sha-1"),
        answer().replace("sha-256 AA", "sha-256 XX"),
        answer().replace("sha-256 AA:", "sha-256 "),
    ] {
        for (status, spoilt) in [
            (201, spoilt.clone()),
            (406, spoilt.replace("active", "actpass")),
        ] {
            let (mut stage, post) = Stage::posted();
            let asks = stage.reply(&post, status, &[("location", "/s/1")], &spoilt);
            assert!(
                matches!(asks.as_slice(), [Ask::Http(_), Ask::Fail(_)]),
                "{asks:?}"
            );
            assert_eq!(failure(&asks), SLOWLY, "{spoilt}");
        }
    }
}

#[test]
fn a_connection_makes_the_servers_ice_servers_needless() {
    let (mut stage, post) = Stage::posted();
    let headers = [("link", "<stun:s>; rel=ice-server")];
    stage.reply(&post, 201, &headers, &answer());
    stage.tell(News::Connected);
    assert_eq!(stage.machine.due(), None);
    let failed = stage.tell(News::PeerFailed(PeerTrouble::Connection, "lost".to_owned()));
    assert_eq!(failure(&failed), (Cause::NoConnection, Retry::Soon));
}

#[test]
fn no_path_in_time_is_a_failure() {
    let (mut stage, post) = Stage::posted();
    stage.reply(&post, 201, &[("location", "/s/1")], &answer());
    let asks = stage.wait();
    assert_eq!(stage.now, Duration::from_secs(15));
    assert!(matches!(asks.first(), Some(Ask::Http(r)) if r.method == Method::Delete));
    assert_eq!(failure(&asks), (Cause::NoConnection, Retry::Soon));
}

#[test]
fn leaving_waits_for_the_answer_that_says_what_to_end() {
    let (mut stage, post) = Stage::posted();
    assert_eq!(stage.tell(News::Leave), []);
    let delete = only_request(stage.reply(&post, 201, &[("location", "/s")], &answer()));
    assert_eq!(delete.method, Method::Delete);
    assert_eq!(stage.wait(), [Ask::Bye], "it does not wait for ever");
}

#[test]
fn leaving_before_anything_was_asked_is_the_end() {
    let mut stage = Stage::new();
    stage.tell(News::Begin);
    assert_eq!(stage.tell(News::Leave), [Ask::Bye]);
    assert_eq!(stage.local(Kind::Offer), [], "nothing more is asked");
}

#[test]
fn a_sender_that_says_goodbye_ends_the_stream() {
    let (mut stage, post) = Stage::posted();
    stage.reply(&post, 201, &[("location", "/s")], &answer());
    let asks = stage.tell(News::Gone);
    assert!(
        matches!(asks.as_slice(), [Ask::Http(_), Ask::Finish(_)]),
        "{asks:?}"
    );
}

#[test]
fn secure_connections_are_never_left_for_open_ones() {
    let target = Target {
        uri: "wheps://host/x".to_owned(),
        token: Some("token".to_owned()),
        ..Target::default()
    };
    let (mut stage, post) = Stage::posted_to(&target);
    assert_eq!(post.url, "https://host/x");
    let asks = stage.reply(&post, 307, &[("location", "http://host/x")], "");
    assert_eq!(failure(&asks), (Cause::BadAnswer, Retry::Soon));
}

#[test]
fn no_answer_at_all_is_told_as_it_is() {
    for (trouble, cause) in [
        (Trouble::Timeout, Cause::Timeout),
        (
            Trouble::Unreachable("refused".to_owned()),
            Cause::Unreachable,
        ),
        (Trouble::Tls("expired".to_owned()), Cause::Tls),
        (Trouble::Garbage("x".to_owned()), Cause::BadAnswer),
    ] {
        let (mut stage, post) = Stage::posted();
        let request = post.id;
        let late = RequestId(99);
        let other = trouble.clone();
        assert_eq!(
            stage.tell(News::NoResponse {
                request: late,
                trouble: other
            }),
            []
        );
        let asks = stage.tell(News::NoResponse { request, trouble });
        assert_eq!(failure(&asks), (cause, Retry::Soon));
    }
}

#[test]
fn what_opens_a_door_at_the_server_is_shown_to_nobody() {
    let target = Target {
        uri: "whep://host/live/whep?jwt=query%2Dsecret&x=1".to_owned(),
        headers: vec![("authorization".to_owned(), "Basic header-secret".to_owned())],
        ..Target::default()
    };
    let (mut stage, post) = Stage::posted_to(&target);
    // Far enough behind for the quotation to end in the middle of it.
    let padding = "x".repeat(110);
    let body = format!("query-secret query%2Dsecret header-secret {padding} query-secret");
    let asks = stage.reply(&post, 422, &[], &body);
    let Some(Ask::Fail(failure)) = asks.last() else {
        panic!("not a failure: {asks:?}");
    };
    assert!(failure.text.contains("***"), "{}", failure.text);
    for secret in ["secret", "query"] {
        assert!(!failure.text.contains(secret), "{}", failure.text);
    }
}
