// SPDX-License-Identifier: MPL-2.0
//! PURE: the words between a session and its signalling protocol.
//!
//! A protocol is a step machine ([`Protocol`]) without I/O, clock or thread. It is told what happened
//! and what time it is ([`News`]), and answers with what is to be done ([`Ask`]), in that order. Time
//! is the span since the session began. The contract:
//!
//! 1. The first news is [`News::Begin`]. After each news, its asks are carried out in their order, and
//!    [`Protocol::due`] says when to wake it ([`News::Wake`]); a wake-up too many is harmless.
//! 2. [`Ask::Fail`], [`Ask::Finish`] and [`Ask::Bye`] end the session; what is asked after them is not
//!    done. Before the first two the machine may still ask for a polite good-bye, which is sent as far
//!    as time allows.
//! 3. [`News::Leave`] comes at most once, when the user goes. From then on only requests and texts are
//!    carried out, there is no peer connection any more, and the machine ends with [`Ask::Bye`] soon.
//!
//! Texts that a machine hands over are for people: without tokens, and what comes from a server only
//! through [`quoted`].

use std::time::Duration;

use crate::redact::Secrets;

/// One signalling protocol, for one session.
pub(crate) trait Protocol: Send {
    fn tell(&mut self, news: News, now: Duration) -> Vec<Ask>;

    /// When it wants to be woken.
    fn due(&self) -> Option<Duration>;

    /// A text without what the protocol knows to be secret: a server may repeat what it was told, and what it has
    /// told.
    fn hide(&self, text: &str) -> String;
}

/// What a protocol is told.
#[allow(dead_code)] // Some of it is for protocols that need a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    Begin,
    /// The answer to a request.
    Response {
        request: RequestId,
        response: Response,
    },
    /// There is no answer to a request, and will be none.
    NoResponse {
        request: RequestId,
        trouble: Trouble,
    },
    /// The socket that was asked for is open.
    Opened,
    Text(String),
    /// The socket is closed, or never opened. `status`: what the server answered to the opening, when
    /// it was no 101.
    Closed {
        trouble: Trouble,
        status: Option<u16>,
    },
    /// The local description that was asked for, or that answers an offer; it is just being applied.
    Local(Description),
    /// A candidate of ours. They come after the local description.
    Candidate(Candidate),
    GatheringComplete,
    /// Media can flow.
    Connected,
    /// The other side has said good-bye to everything that it sent (RTCP BYE), or closed the connection
    /// (DTLS).
    Gone,
    /// What was asked of the peer connection cannot be done, or ICE or DTLS failed.
    PeerFailed(PeerTrouble, String),
    Wake,
    Leave,
}

/// What a protocol asks for.
#[allow(dead_code)] // Some of it is for protocols that need a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Exactly one [`News::Response`] or [`News::NoResponse`] follows. Redirects are not followed.
    Http(Request),
    /// Opens the session's one WebSocket: [`News::Opened`], then texts, then [`News::Closed`] once.
    Open(Opening),
    Send(String),
    /// To be asked before an offer is created or a remote description set.
    IceServers(Vec<IceServer>),
    CreateOffer,
    /// An offer is answered by the peer connection: [`News::Local`].
    SetRemote(Description),
    AddCandidate(Candidate),
    /// Nothing will come until the server says so, and the session waits for that.
    Wait(String),
    /// For the log only: something is not as it should be, and the session goes on.
    Warn(String),
    Fail(Failure),
    /// The stream is over: end of stream, not a failure.
    Finish(String),
    /// After [`News::Leave`]: all is said.
    Bye,
}

/// Chosen by the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RequestId(pub(crate) u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Patch,
    Delete,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// For the whole exchange.
    pub(crate) limit: Duration,
}

/// Bounded by who made it; header names are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

#[allow(dead_code)]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    /// ws:// or wss://.
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) limit: Duration,
}

/// Why a server cannot be talked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No such host, refused, no route, broken off.
    Unreachable(String),
    Timeout,
    /// A certificate that cannot be trusted, or no common cipher.
    Tls(String),
    /// Not the protocol, or larger than its bounds.
    Garbage(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerTrouble {
    /// A description was refused: the two sides do not fit together.
    Description,
    /// No path, or no keys, between the two sides.
    Connection,
    /// Whoever answers on the path is not whom the description announces.
    Identity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Offer,
    Answer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) kind: Kind,
    pub(crate) sdp: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    /// Which m-section it belongs to.
    pub(crate) mline: u32,
    pub(crate) mid: Option<String>,
    /// `candidate:…`; empty: there are no more.
    pub(crate) text: String,
}

/// `url`: `stun:host:port` or `turn:host:port?transport=tcp`, as in an RTCIceServer.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct IceServer {
    pub(crate) url: String,
    pub(crate) username: Option<String>,
    pub(crate) credential: Option<String>,
}

impl IceServer {
    /// Who knows them may use the server.
    pub(crate) fn add_to(&self, secrets: &mut Secrets) {
        let both = [&self.username, &self.credential];
        both.into_iter()
            .flatten()
            .for_each(|text| secrets.add(text));
        if self.url.contains('@') {
            secrets.add_uri(&self.url);
        }
    }
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    /// What was wrong and what to do, in one sentence without a full stop.
    pub(crate) text: String,
    pub(crate) retry: Retry,
}

/// When it makes sense to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// At whatever pace the user has.
    Soon,
    /// Not before this long.
    Later(Duration),
    /// Not until something is configured differently.
    Never,
}

/// Why an attempt ended, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody there.
    Unreachable,
    /// It does not answer in time.
    Timeout,
    Tls,
    /// It wants a token, or another one.
    Unauthorized,
    /// There is no such stream, or not now.
    NotFound,
    /// Too much to do, or too many viewers.
    Busy,
    /// It refuses for another reason.
    Refused,
    /// It does not keep to the protocol.
    BadAnswer,
    /// No common codec.
    Incompatible,
    /// The two sides agreed, and no media path came about.
    NoConnection,
    /// The sender cannot be told from an impostor, or is one.
    Identity,
    /// The server ended the session.
    Closed,
    /// What was asked for can never work.
    Settings,
}

impl Cause {
    pub(crate) fn nick(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Tls => "tls",
            Self::Unauthorized => "unauthorized",
            Self::NotFound => "not-found",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::BadAnswer => "bad-answer",
            Self::Incompatible => "incompatible",
            Self::NoConnection => "no-connection",
            Self::Identity => "identity",
            Self::Closed => "closed",
            Self::Settings => "settings",
        }
    }
}

/// Between two attempts with a sender that is not who it should be. Neither an attacker nor a wrong setting goes away
/// within seconds, and each attempt is one more chance for an attacker and one more line in somebody's log. A server
/// that is set right is still played within a minute.
const IMPOSTOR_PAUSE: Duration = Duration::from_secs(60);

impl Failure {
    /// At the pace that goes with its cause.
    pub(crate) fn of(cause: Cause, text: impl Into<String>) -> Self {
        let retry = match cause {
            Cause::Identity => Retry::Later(IMPOSTOR_PAUSE),
            _ => Retry::Soon,
        };
        Self::new(cause, text, retry)
    }

    pub(crate) fn soon(cause: Cause, text: impl Into<String>) -> Self {
        Self::new(cause, text, Retry::Soon)
    }

    #[allow(dead_code)]
    pub(crate) fn never(cause: Cause, text: impl Into<String>) -> Self {
        Self::new(cause, text, Retry::Never)
    }

    pub(crate) fn new(cause: Cause, text: impl Into<String>, retry: Retry) -> Self {
        Self {
            cause,
            text: text.into(),
            retry,
        }
    }
}

impl Trouble {
    /// The failure that it comes to. `whom`: the server as it may be shown.
    pub(crate) fn failure(&self, whom: &str) -> Failure {
        let (cause, text) = match self {
            Self::Unreachable(why) => (
                Cause::Unreachable,
                format!("{whom} cannot be reached: {}", quoted(why)),
            ),
            Self::Timeout => (Cause::Timeout, format!("{whom} does not answer in time")),
            Self::Tls(why) => (
                Cause::Tls,
                format!("no secure connection to {whom}: {}", quoted(why)),
            ),
            Self::Garbage(why) => (
                Cause::BadAnswer,
                format!("{whom} does not answer as a server should: {}", quoted(why)),
            ),
        };
        Failure::soon(cause, text)
    }
}

impl News {
    /// Before anybody reads, shortens or logs it.
    pub(crate) fn without_secrets(self, hide: impl Fn(&str) -> String) -> Self {
        match self {
            Self::NoResponse { request, trouble } => Self::NoResponse {
                request,
                trouble: trouble.without_secrets(hide),
            },
            Self::Closed { trouble, status } => Self::Closed {
                trouble: trouble.without_secrets(hide),
                status,
            },
            Self::PeerFailed(trouble, text) => Self::PeerFailed(trouble, hide(&text)),
            news => news,
        }
    }
}

impl Trouble {
    fn without_secrets(self, hide: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Unreachable(text) => Self::Unreachable(hide(&text)),
            Self::Tls(text) => Self::Tls(hide(&text)),
            Self::Garbage(text) => Self::Garbage(hide(&text)),
            Self::Timeout => Self::Timeout,
        }
    }
}

impl Response {
    /// The first header of this name, which is in lower case.
    pub(crate) fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.headers_named(name).next()
    }

    pub(crate) fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(n, _)| n == name);
        named.map(|(_, value)| value.trim())
    }
}

/// A stranger's text for people: one short line of plain characters.
pub(crate) fn quoted(text: &str) -> String {
    const LONGEST: usize = 120;
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let plain: String = plain.take(LONGEST + 1).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Without what may hold a token.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} {:?}, {} bytes",
            self.id,
            self.method,
            self.body.len()
        )
    }
}

impl std::fmt::Debug for Opening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opening")
    }
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IceServer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_becomes_one_short_line() {
        assert_eq!(quoted(" no\r\n such\tstream \u{7}"), "no such stream");
        let long = quoted(&"ä".repeat(500));
        assert_eq!(long.chars().count(), 121);
    }
}
