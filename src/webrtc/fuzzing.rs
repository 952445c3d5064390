// SPDX-License-Identifier: MPL-2.0
//! Everything that comes off the wire, made up: what a stranger may write to us goes to whoever reads
//! it in a session, and the contract of the protocols is watched. For the fuzzer (`fuzz/`), and for the
//! tests, which run the same over the seeds that are kept there.

use std::time::Duration;

use super::identity::Announced;
use super::sdp::Outline;
use super::signalling::{
    Ask, Candidate, Description, Kind, Method, News, Protocol, Request, RequestId, Response,
    Trouble,
};
use super::target::Target;
use super::{link, sdp, turn};

const TOKEN: &str = "the-t0ken";
/// As webrtcbin writes it.
const OFFER: &str = "v=0\r\no=- 1 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-options:trickle\r\n\
    a=group:BUNDLE video0 audio1\r\n\
    m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\na=rtcp-mux\r\na=recvonly\r\n\
    a=rtpmap:96 H264/90000\r\na=mid:video0\r\na=fingerprint:sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n\
    m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\n\
    a=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\na=bundle-only\r\na=rtcp-mux\r\n\
    a=recvonly\r\na=rtpmap:111 OPUS/48000/2\r\na=mid:audio1\r\na=fingerprint:sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA\r\n";

/// The body of a WHEP server's answer, or of its counter-offer.
pub fn answer(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for status in [201, 406] {
        let mut session = whep();
        let headers = [("location", "/session/1"), ("etag", "\"1\"")];
        let asks = session.respond(status, &headers, &text);
        session.describe(&asks);
        session.tell(News::Candidate(candidate()));
        session.tell(News::Connected);
        session.leave();
    }
    let candidates = [candidate()];
    let whole = sdp::with_candidates(&text, &candidates, true);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(whole.lines().count() >= lines, "a line is lost");
    let _ = sdp::fragment(&text, &candidates, false);
    let _ = sdp::check_answer(&text, OFFER);
    spell_out(&text);
}

/// What is announced is announced as well by the description that webrtcbin gets.
fn spell_out(text: &str) {
    let announced = |text: &str| Announced::of(&Outline::of(Kind::Offer, text)?).ok();
    if let Some(first) = announced(text) {
        let again = announced(&first.spelled_out(text));
        assert_eq!(again.as_ref(), Some(&first), "{text}");
    }
}

/// Status and headers of a WHEP server: a line for each header, a blank one between answers. The first
/// word of the first line is the status.
pub fn headers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut session = whep();
    for answer in text.split("\n\n").take(8) {
        let mut lines = answer.lines();
        let status = lines.next().unwrap_or_default();
        let status = status.split(' ').next().and_then(|word| word.parse().ok());
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
        for (_, value) in &headers {
            read(value);
        }
        let asks = session.respond(status.unwrap_or(201), &headers, &answered());
        session.describe(&asks);
        session.tell(News::Wake);
    }
    session.leave();
}

fn read(value: &str) {
    for server in link::ice_servers([value].into_iter()) {
        if let Some(uri) = turn::uri(&server) {
            let is_one_word = uri.chars().all(|c| c.is_ascii_graphic());
            assert!(is_one_word && uri.contains("://"), "{uri}");
        }
    }
    assert!(link::retry_after(value) <= Duration::from_secs(60));
}

/// Texts on the socket of an Ant Media server, one in each line. What begins with `!` happens on our
/// side: `!connected`, `!gone`, `!closed`, `!wake`.
pub fn messages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let uri = format!("ams://host/live/stream?token={TOKEN}&subscriberId=me");
    let Some(mut session) = Watched::begin(&uri) else {
        return;
    };
    session.tell(News::Opened);
    for line in text.lines().take(64) {
        let news = match line {
            "!connected" => News::Connected,
            "!gone" => News::Gone,
            "!wake" => News::Wake,
            "!closed" => News::Closed {
                trouble: Trouble::Timeout,
                status: None,
            },
            text => News::Text(text.to_owned()),
        };
        let asks = session.tell(news);
        session.describe(&asks);
    }
    session.leave();
}

/// A session that has sent its offer.
fn whep() -> Watched {
    let target = "whep://host/endpoint";
    let mut session = Watched::begin(target).unwrap_or_else(Watched::nobody);
    session.tell(News::Local(Description {
        kind: Kind::Offer,
        sdp: OFFER.to_owned(),
    }));
    session.tell(News::GatheringComplete);
    session
}

/// An answer that is good.
fn answered() -> String {
    let passive = OFFER
        .replace("actpass", "passive")
        .replace("recvonly", "sendonly");
    let bundled = passive.replace("m=audio 0", "m=audio 9");
    bundled.replace(
        "a=mid:",
        "a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\na=mid:",
    )
}

fn candidate() -> Candidate {
    Candidate {
        mline: 0,
        mid: None,
        text: "candidate:1 1 UDP 1 192.0.2.7 7 typ host".to_owned(),
    }
}

/// A protocol whose contract is watched.
struct Watched {
    machine: Option<Box<dyn Protocol>>,
    now: Duration,
    is_over: bool,
    /// The last request, which is to be answered.
    request: Option<RequestId>,
}

impl Watched {
    fn begin(uri: &str) -> Option<Self> {
        let target = Target {
            uri: uri.to_owned(),
            token: Some(TOKEN.to_owned()),
            ..Target::default()
        };
        let mut session = Self {
            machine: Some(target.protocol().ok()?),
            ..Self::nobody()
        };
        session.tell(News::Begin);
        Some(session)
    }

    fn nobody() -> Self {
        Self {
            machine: None,
            now: Duration::ZERO,
            is_over: false,
            request: None,
        }
    }

    fn tell(&mut self, news: News) -> Vec<Ask> {
        let Some(machine) = &mut self.machine else {
            return vec![];
        };
        self.now += Duration::from_millis(700);
        let asks = machine.tell(news, self.now);
        assert!(
            !self.is_over || asks.iter().all(|ask| *ask == Ask::Bye),
            "asked after the end"
        );
        for (place, ask) in asks.iter().enumerate() {
            let ends = matches!(ask, Ask::Fail(_) | Ask::Finish(_) | Ask::Bye);
            assert!(
                !ends || place + 1 == asks.len(),
                "something follows the end"
            );
            self.is_over |= ends;
            check(ask);
            if let Ask::Http(request) = ask {
                self.request = Some(request.id);
            }
        }
        assert!(
            !self.is_over || machine.due().is_none(),
            "it wakes after the end"
        );
        asks
    }

    fn respond(&mut self, status: u16, headers: &[(&str, &str)], body: &str) -> Vec<Ask> {
        let Some(request) = self.request else {
            return vec![];
        };
        let lower = |(name, value): &(&str, &str)| (name.to_ascii_lowercase(), (*value).to_owned());
        self.tell(News::Response {
            request,
            response: Response {
                status,
                headers: headers.iter().map(lower).collect(),
                body: body.to_owned(),
            },
        })
    }

    /// As the peer connection does when it is asked to.
    fn describe(&mut self, asks: &[Ask]) {
        for ask in asks {
            let kind = match ask {
                Ask::SetRemote(remote) if remote.kind == Kind::Offer => Kind::Answer,
                Ask::CreateOffer => Kind::Offer,
                _ => continue,
            };
            let sdp = OFFER.to_owned();
            self.tell(News::Local(Description { kind, sdp }));
            self.tell(News::Candidate(candidate()));
            self.tell(News::GatheringComplete);
        }
    }

    /// The user goes; it ends soon, whatever comes.
    fn leave(&mut self) {
        self.tell(News::Leave);
        for _ in 0..8 {
            self.tell(News::Wake);
        }
        assert!(self.machine.is_none() || self.is_over, "it does not end");
    }
}

/// What is said to people shows no token, and requests carry it to its own server only.
fn check(ask: &Ask) {
    match ask {
        Ask::Fail(failure) => check_text(&failure.text),
        Ask::Wait(text) | Ask::Warn(text) | Ask::Finish(text) => check_text(text),
        Ask::Http(request) => check_request(request),
        Ask::AddCandidate(candidate) => {
            assert!(!candidate.text.contains(['\r', '\n']), "{candidate:?}");
        }
        _ => (),
    }
}

fn check_text(text: &str) {
    assert!(!text.contains(TOKEN), "{text}");
}

fn check_request(request: &Request) {
    let own = request.url.starts_with("http://host/");
    let mut headers = request.headers.iter();
    let tells = headers.any(|(_, value)| value.contains(TOKEN));
    assert!(own || !tells, "the token goes to {}", request.url);
    let is_web = request.url.starts_with("http://") || request.url.starts_with("https://");
    assert!(is_web, "{}", request.url);
    assert!(request.method == Method::Post || request.body.len() < 128 * 1024);
}
