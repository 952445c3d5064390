// SPDX-License-Identifier: MPL-2.0
//! Texts from strangers: no answer, header, link or description does harm, whatever is in it, and the
//! machine keeps its contract.

use std::time::Duration;

use proptest::prelude::*;

use crate::webrtc::signalling::{
    Ask, Candidate, Description, Kind, News, PeerTrouble, RequestId, Response, Trouble, quoted,
};
use crate::webrtc::target::Target;
use crate::webrtc::{link, sdp, turn};

/// Text that looks like a session description often enough to get past its first line.
fn description() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("m=video 9 UDP/TLS/RTP/SAVPF 96".to_owned()),
        Just("m=audio 0 X 1".to_owned()),
        Just("m=".to_owned()),
        Just("m=application 9 UDP/DTLS/SCTP webrtc-datachannel".to_owned()),
        "a=(mid|setup|rtpmap|candidate|fingerprint|ice-ufrag|sendonly|inactive|bundle-only)(:\\PC{0,12})?",
        "a=rtpmap:(96|97) (H264|RTX|VP8)(/90000)?",
        "\\PC{0,20}",
    ];
    let end = prop_oneof![Just("\r\n"), Just("\n"), Just("\r"), Just("\n\n")];
    (any::<bool>(), prop::collection::vec((line, end), 0..20)).prop_map(|(begins, lines)| {
        let lines: String = lines.into_iter().map(|(line, end)| line + end).collect();
        if begins {
            format!("v=0\r\n{lines}")
        } else {
            lines
        }
    })
}

fn header() -> impl Strategy<Value = (String, String)> {
    let name = prop_oneof![
        Just("location"),
        Just("link"),
        Just("etag"),
        Just("retry-after")
    ];
    let value = prop_oneof![
        "(https?|ftp|)(:|)(//|/|)(host|other|\\[::1\\]|)(:[0-9]{0,6}|)/?\\PC{0,12}",
        "<(stun|turn|x):\\PC{0,8}>?; ?rel=\"?ice-server\"?; username=\"?\\PC{0,6}\"?",
        "[0-9]{0,30}",
        ".{0,60}",
    ];
    (name, value).prop_map(|(name, value)| (name.to_owned(), value))
}

fn candidate() -> impl Strategy<Value = Candidate> {
    (any::<u32>(), "\\PC{0,20}").prop_map(|(mline, text)| Candidate {
        mline: mline % 4,
        mid: None,
        text,
    })
}

fn news() -> impl Strategy<Value = News> {
    let status = prop_oneof![
        Just(201u16),
        Just(200),
        Just(307),
        Just(406),
        Just(503),
        Just(401),
        any::<u16>(),
    ];
    let request = (0u32..6).prop_map(RequestId);
    let headers = prop::collection::vec(header(), 0..4);
    let response = (request.clone(), status, headers, description()).prop_map(
        |(request, status, headers, body)| News::Response {
            request,
            response: Response {
                status,
                headers,
                body,
            },
        },
    );
    prop_oneof![
        4 => response,
        1 => request.prop_map(|request| News::NoResponse { request, trouble: Trouble::Timeout }),
        3 => (any::<bool>(), description()).prop_map(|(offer, sdp)| News::Local(Description {
            kind: if offer { Kind::Offer } else { Kind::Answer },
            sdp,
        })),
        2 => candidate().prop_map(News::Candidate),
        2 => Just(News::GatheringComplete),
        1 => Just(News::Connected),
        1 => Just(News::Gone),
        1 => Just(News::PeerFailed(PeerTrouble::Connection, String::new())),
        1 => Just(News::PeerFailed(PeerTrouble::Identity, String::new())),
        2 => Just(News::Wake),
        1 => Just(News::Leave),
        1 => Just(News::Text("x".to_owned())),
    ]
}

/// Wherever a long text is cut off, a token that a server repeats is not shown, nor a part of it.
#[test]
fn half_a_token_is_not_shown_either() {
    let failure = |uri: &str, news: &[News]| {
        let target = Target {
            uri: uri.to_owned(),
            token: Some("s3cret-token".to_owned()),
            ..Target::default()
        };
        let mut machine = target.protocol().expect("a good URI");
        let asks = news
            .iter()
            .flat_map(|n| machine.tell(n.clone(), Duration::ZERO));
        let asks: Vec<_> = asks.collect();
        match asks.last() {
            Some(Ask::Fail(failure)) => failure.text.clone(),
            other => panic!("{other:?}"),
        }
    };
    for length in 90..130 {
        let said = format!("{} s3cret-token", "x".repeat(length));
        let response = Response {
            status: 500,
            body: said.clone(),
            ..Response::default()
        };
        let request = RequestId(1);
        let local = Description {
            kind: Kind::Offer,
            sdp: "v=0".to_owned(),
        };
        let by_whep = failure(
            "whep://host/x",
            &[
                News::Begin,
                News::Local(local),
                News::GatheringComplete,
                News::Response { request, response },
            ],
        );
        let refusal = format!(r#"{{"command":"error","definition":"{said}"}}"#);
        let news = [News::Begin, News::Opened, News::Text(refusal)];
        for text in [by_whep, failure("ams://host/app/x", &news)] {
            assert!(text.contains("xxx") && !text.contains("s3"), "{text}");
        }
    }
}

proptest! {
    #[test]
    fn no_news_harms_the_machine(all in prop::collection::vec(news(), 0..30)) {
        let target = Target {
            uri: "whep://host/x".to_owned(),
            token: Some("the-token".to_owned()),
            ..Target::default()
        };
        let mut machine = target.protocol().expect("a good URI");
        let mut now = Duration::ZERO;
        let mut is_over = false;
        machine.tell(News::Begin, now);
        for news in all {
            now += Duration::from_millis(300);
            let asks = machine.tell(news, now);
            prop_assert!(!is_over || asks.is_empty(), "something is asked after the end");
            for (place, ask) in asks.iter().enumerate() {
                let ends = matches!(ask, Ask::Fail(_) | Ask::Finish(_) | Ask::Bye);
                prop_assert!(!ends || place + 1 == asks.len(), "something follows the end");
                is_over |= ends;
                if let Ask::Http(request) = ask {
                    let is_ours = request.url.starts_with("http://host/");
                    let has_token = request.headers.iter().any(|(_, v)| v.contains("the-token"));
                    prop_assert!(is_ours || !has_token, "the token goes to {}", request.url);
                }
            }
            prop_assert!(!is_over || machine.due().is_none(), "it wakes after the end");
        }
    }

    #[test]
    fn no_description_harms_its_readers(
        ours in description(),
        theirs in description(),
        candidates in prop::collection::vec(candidate(), 0..4),
        complete in any::<bool>(),
    ) {
        let _ = sdp::check_answer(&ours, &theirs);
        let _ = sdp::check_offer(&theirs);
        let with = sdp::with_candidates(&ours, &candidates, complete);
        prop_assert!(with.lines().count() >= ours.lines().filter(|l| !l.trim().is_empty()).count());
        let _ = sdp::fragment(&theirs, &candidates, complete);
    }

    #[test]
    fn no_header_harms_its_readers(value in ".{0,200}", structured in header()) {
        for text in [value.as_str(), structured.1.as_str()] {
            for server in link::ice_servers([text].into_iter()) {
                let _ = turn::uri(&server);
            }
            prop_assert!(link::retry_after(text) <= Duration::from_secs(60));
            prop_assert!(quoted(text).chars().count() <= 121);
        }
    }

    #[test]
    fn no_uri_harms_its_readers(rest in "\\PC{0,40}", scheme in "(wheps?|WHEP|ams|)(://|:|)") {
        let target = Target { uri: format!("{scheme}{rest}"), ..Target::default() };
        let _ = target.protocol();
        let _ = target.own_addresses();
    }
}

/// What the session level says must not be taken once for each section.
#[test]
fn what_is_read_of_a_description_is_bounded() {
    let endless = format!(
        "v=0\n{}{}",
        "a=rtpmap:\n".repeat(13_000),
        "m=\n".repeat(43_000)
    );
    let outline = sdp::Outline::of(Kind::Offer, &endless).expect("a description");
    assert!(outline.is_too_long());
    assert!(outline.sections.len() <= 129);
    assert!(outline.sections.iter().all(|s| s.codecs.is_empty()));
    assert!(sdp::check_offer(&endless).is_err());
    let one = format!(
        "v=0\nm=video 9 X 0\n{}",
        "a=rtpmap:96 H264\n".repeat(13_000)
    );
    let outline = sdp::Outline::of(Kind::Offer, &one).expect("a description");
    assert_eq!(outline.sections[0].codecs.len(), 128);
}
