// SPDX-License-Identifier: MPL-2.0
//! PURE: WHEP (draft-ietf-wish-whep) as a step machine: one POST with our offer, the server's answer,
//! and DELETE at the end.
//!
//! ```text
//! Describing ─local─► Gathering ─complete, or half a second─► Asking ─201─► Playing ─leave─► Leaving
//!      ▲                                                        │
//!      └──────────────── 406: the server's own offer ───────────┘
//! ```
//!
//! Candidates that come within half a second go with the offer; later ones follow by PATCH where the
//! server takes them, which its ETag says. Where the server gives no Location, the ETag names the session.
//! ICE servers that it names are too late for this offer: they are used when no path is found without
//! them, in a second offer.

use std::time::Duration;

use super::link;
use super::sdp;
use super::signalling::{
    Ask, Candidate, Cause, Description, Failure, IceServer, Kind, Method, News, PeerTrouble,
    Protocol, Request, RequestId, Response, quoted,
};
use super::target::Target;
use super::whep_server::{Refusal, Server, SessionUrl, classify};

/// Candidates of the machine itself are there in milliseconds; those of a slow STUN server may follow.
const GATHERING: Duration = Duration::from_millis(500);
/// For the server to answer.
const EXCHANGE: Duration = Duration::from_secs(10);
/// For the path and the keys, after the answer. ICE itself gives up after seven seconds.
const CONNECTING: Duration = Duration::from_secs(15);
/// For a path without the ICE servers that the server names.
const WITHOUT_SERVERS: Duration = Duration::from_secs(2);
/// For the good-bye.
const PARTING: Duration = Duration::from_secs(2);
const MOST_REDIRECTS: u32 = 5;
const MOST_CANDIDATES: usize = 64;

pub(crate) struct Whep {
    server: Server,
    phase: Phase,
    /// What there is to end at the server.
    session: Option<SessionUrl>,
    local: Local,
    /// ICE servers that the server named, until they are used.
    servers: Vec<IceServer>,
    trickle: Trickle,
    /// This is the second offer, with those servers.
    second: bool,
    redirects: u32,
    requests: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    /// The peer connection makes an offer, or the answer to the server's.
    Describing,
    Gathering {
        until: Duration,
    },
    Asking {
        request: RequestId,
    },
    /// Agreed; `patience` until there is a connection.
    Playing {
        patience: Option<Duration>,
    },
    /// Only the answer to this request is waited for.
    Leaving {
        request: RequestId,
        until: Duration,
        /// It is the good-bye, and not the offer.
        is_good_bye: bool,
    },
    Over,
}

/// Our side of the agreement.
#[derive(Default)]
struct Local {
    description: Option<Description>,
    candidates: Vec<Candidate>,
    complete: bool,
}

/// Whether candidates may follow the offer.
#[derive(Default)]
struct Trickle {
    taken: bool,
    pending: Option<RequestId>,
    /// How many candidates the server has, and whether it knows that there are no more.
    sent: usize,
    told_end: bool,
}

impl Whep {
    pub(crate) fn new(target: &Target) -> Result<Self, String> {
        Ok(Self {
            server: Server::of(target)?,
            phase: Phase::New,
            session: None,
            local: Local::default(),
            servers: Vec::new(),
            trickle: Trickle::default(),
            second: false,
            redirects: 0,
            requests: 0,
        })
    }

    /// The next request, with the user's headers and no body yet.
    fn request(&mut self, method: Method, to: &SessionUrl, limit: Duration) -> Request {
        self.requests = self.requests.saturating_add(1);
        let mut headers = self.server.headers_for(to);
        headers.extend(to.if_match().map(|etag| header("if-match", etag)));
        Request {
            id: RequestId(self.requests),
            method,
            url: to.url.to_string(),
            headers,
            body: String::new(),
            limit,
        }
    }

    /// The offer goes to the endpoint; the answer to a counter-offer goes to the session.
    fn send_description(&mut self) -> Vec<Ask> {
        let Some(local) = &self.local.description else {
            return Vec::new();
        };
        let complete = self.local.complete;
        let body = sdp::with_candidates(&local.sdp, &self.local.candidates, complete);
        let is_answer = local.kind == Kind::Answer;
        self.trickle.sent = self.local.candidates.len();
        self.trickle.told_end = complete;
        let (method, to) = match (&self.session, is_answer) {
            (Some(session), true) => (Method::Patch, session.clone()),
            _ => (Method::Post, self.server.endpoint()),
        };
        let mut request = self.request(method, &to, EXCHANGE);
        request.body = body;
        let headers = &mut request.headers;
        headers.push(header("content-type", "application/sdp"));
        headers.push(header("accept", "application/sdp"));
        self.phase = Phase::Asking {
            request: request.id,
        };
        vec![Ask::Http(request)]
    }

    fn response(&mut self, id: RequestId, response: &Response, now: Duration) -> Vec<Ask> {
        match self.phase {
            Phase::Asking { request } if request == id => self.answered(response, now),
            Phase::Leaving {
                request,
                is_good_bye,
                ..
            } if request == id => match is_good_bye {
                true => self.bye(),
                false => self.let_go(response, now),
            },
            _ if self.trickle.pending == Some(id) => {
                self.trickle.pending = None;
                self.trickle.taken &= (200..300).contains(&response.status);
                self.send_candidates()
            }
            _ => Vec::new(),
        }
    }

    /// What the server says to our offer, or to our answer to its own.
    fn answered(&mut self, response: &Response, now: Duration) -> Vec<Ask> {
        let ours = self.local.description.as_ref().map(|local| local.kind);
        match response.status {
            200..=299 if ours == Some(Kind::Answer) => self.play(now),
            200..=299 => self.agreed(response, now),
            301 | 302 | 307 | 308 => self.redirected(response),
            406 if ours == Some(Kind::Offer)
                && sdp::Outline::of(Kind::Offer, &response.body).is_some() =>
            {
                self.countered(response)
            }
            _ => {
                let Refusal { cause, text, retry } = classify(response, &self.server);
                self.fail(Failure::new(cause, text, retry))
            }
        }
    }

    fn agreed(&mut self, response: &Response, now: Duration) -> Vec<Ask> {
        self.note_session(response);
        let offer = self.local.description.as_ref();
        let offer = offer.map_or("", |local| local.sdp.as_str());
        if let Err((cause, text)) = sdp::check_answer(offer, &response.body) {
            return self.fail(Failure::of(cause, text));
        }
        let mut asks = vec![Ask::SetRemote(Description {
            kind: Kind::Answer,
            sdp: response.body.clone(),
        })];
        if self.session.is_none() && !self.second {
            asks.push(Ask::Warn(self.server.names_none()));
        }
        asks.extend(self.play(now));
        asks
    }

    fn countered(&mut self, response: &Response) -> Vec<Ask> {
        self.note_session(response);
        if self.session.is_none() {
            let text = "the server made an offer of its own (406) and did not say where to answer \
                        it (no Location, no ETag)";
            return self.fail(Failure::soon(Cause::BadAnswer, text));
        }
        if let Err((cause, text)) = sdp::check_offer(&response.body) {
            return self.fail(Failure::of(cause, text));
        }
        self.begin_anew(Ask::SetRemote(Description {
            kind: Kind::Offer,
            sdp: response.body.clone(),
        }))
    }

    fn redirected(&mut self, response: &Response) -> Vec<Ask> {
        self.redirects = self.redirects.saturating_add(1);
        if self.redirects > MOST_REDIRECTS {
            let text = "the server redirects in a circle".to_owned();
            return self.fail(Failure::soon(Cause::BadAnswer, text));
        }
        let is_patch = self.session.is_some();
        match self.server.redirect(response.header("location")) {
            Err(text) => self.fail(Failure::soon(Cause::BadAnswer, text)),
            Ok(()) if is_patch => {
                let text = "the server redirects the answer to its own offer".to_owned();
                self.fail(Failure::soon(Cause::BadAnswer, text))
            }
            Ok(()) => self.send_description(),
        }
    }

    /// Where the session is at the server, what else its answer says of it.
    fn note_session(&mut self, response: &Response) {
        self.session = self.server.session(response);
        let session = self.session.as_ref();
        self.trickle.taken = session.is_some_and(|session| session.etag.is_some());
        if !self.second {
            self.servers = link::ice_servers(response.headers_named("link"));
            self.server.keep_servers_secret(&self.servers);
        }
    }

    fn play(&mut self, now: Duration) -> Vec<Ask> {
        let patience = match self.servers.is_empty() {
            true => CONNECTING,
            false => WITHOUT_SERVERS,
        };
        self.phase = Phase::Playing {
            patience: Some(now + patience),
        };
        self.send_candidates()
    }

    fn send_candidates(&mut self) -> Vec<Ask> {
        let is_new = self.local.candidates.len() > self.trickle.sent
            || (self.local.complete && !self.trickle.told_end);
        let may = self.trickle.taken && self.trickle.pending.is_none();
        let (Some(session), Some(local), true, true) =
            (&self.session, &self.local.description, is_new, may)
        else {
            return Vec::new();
        };
        let (to, complete) = (session.clone(), self.local.complete);
        let further = self.local.candidates.get(self.trickle.sent..);
        let body = sdp::fragment(&local.sdp, further.unwrap_or_default(), complete);
        let mut request = self.request(Method::Patch, &to, EXCHANGE);
        self.trickle.pending = Some(request.id);
        self.trickle.sent = self.local.candidates.len();
        self.trickle.told_end = complete;
        request.body = body;
        let headers = &mut request.headers;
        headers.push(header("content-type", "application/trickle-ice-sdpfrag"));
        if to.if_match().is_none() {
            headers.extend(to.etag.iter().map(|etag| header("if-match", etag)));
        }
        vec![Ask::Http(request)]
    }

    fn later_candidates(&mut self) -> Vec<Ask> {
        match self.phase {
            Phase::Playing { .. } => self.send_candidates(),
            _ => Vec::new(),
        }
    }

    /// No path: once more with the server's ICE servers, if it named any.
    fn no_connection(&mut self, text: &str) -> Vec<Ask> {
        if self.servers.is_empty() {
            return self.fail(Failure::soon(Cause::NoConnection, text));
        }
        let servers = std::mem::take(&mut self.servers);
        let mut asks: Vec<Ask> = self.good_bye().into_iter().map(Ask::Http).collect();
        asks.push(Ask::IceServers(servers));
        self.second = true;
        asks.extend(self.begin_anew(Ask::CreateOffer));
        asks
    }

    /// From a description on: with a new peer connection, since it takes the place of another one.
    fn begin_anew(&mut self, with: Ask) -> Vec<Ask> {
        self.local = Local::default();
        self.trickle = Trickle::default();
        self.phase = Phase::Describing;
        vec![with]
    }

    fn fail(&mut self, mut failure: Failure) -> Vec<Ask> {
        failure.text = self.server.hide(&failure.text);
        self.end(Ask::Fail(failure))
    }

    fn finish(&mut self, text: &str) -> Vec<Ask> {
        self.end(Ask::Finish(text.to_owned()))
    }

    fn end(&mut self, with: Ask) -> Vec<Ask> {
        let good_bye = self.good_bye().into_iter().map(Ask::Http);
        self.phase = Phase::Over;
        good_bye.chain([with]).collect()
    }

    /// The end of the session at the server, if there is one, in each way that the server may know.
    fn good_bye(&mut self) -> Vec<Request> {
        let session = self.session.take();
        let ends = session.iter().flat_map(SessionUrl::ends);
        ends.map(|end| self.request(Method::Delete, &end, PARTING))
            .collect()
    }

    fn leave(&mut self, now: Duration) -> Vec<Ask> {
        match self.phase {
            // The answer will say what there is to end.
            Phase::Asking { request } if self.session.is_none() => {
                self.phase = Phase::Leaving {
                    request,
                    until: now + PARTING,
                    is_good_bye: false,
                };
                Vec::new()
            }
            _ => self.part(now),
        }
    }

    /// The last answer, after which there may be a session to end.
    fn let_go(&mut self, response: &Response, now: Duration) -> Vec<Ask> {
        if matches!(response.status, 200..=299 | 406) {
            self.session = self.server.session(response);
        }
        self.part(now)
    }

    /// Says good-bye where there is a session to end, and waits for the last answer.
    fn part(&mut self, now: Duration) -> Vec<Ask> {
        let good_bye = self.good_bye();
        let Some(last) = good_bye.last() else {
            return self.bye();
        };
        self.phase = Phase::Leaving {
            request: last.id,
            until: now + PARTING,
            is_good_bye: true,
        };
        good_bye.into_iter().map(Ask::Http).collect()
    }

    fn bye(&mut self) -> Vec<Ask> {
        self.phase = Phase::Over;
        vec![Ask::Bye]
    }

    fn wake(&mut self, now: Duration) -> Vec<Ask> {
        if self.due().is_none_or(|due| due > now) {
            return Vec::new();
        }
        match self.phase {
            Phase::Gathering { .. } => self.send_description(),
            Phase::Playing { .. } => {
                self.no_connection("the server agreed, and no connection to it came about in time")
            }
            Phase::Leaving { .. } => self.bye(),
            _ => Vec::new(),
        }
    }
}

impl Protocol for Whep {
    fn tell(&mut self, news: News, now: Duration) -> Vec<Ask> {
        if self.phase == Phase::Over {
            return Vec::new();
        }
        let is_leaving = matches!(self.phase, Phase::Leaving { .. });
        match news {
            News::Begin => self.begin_anew(Ask::CreateOffer),
            News::Local(description) if self.phase == Phase::Describing => {
                self.local.description = Some(description);
                let until = now + GATHERING;
                self.phase = Phase::Gathering { until };
                Vec::new()
            }
            News::Candidate(candidate) => {
                if self.local.candidates.len() < MOST_CANDIDATES {
                    self.local.candidates.push(candidate);
                }
                self.later_candidates()
            }
            News::GatheringComplete => {
                self.local.complete = true;
                match self.phase {
                    Phase::Gathering { .. } => self.send_description(),
                    _ => self.later_candidates(),
                }
            }
            News::Connected => {
                if let Phase::Playing { patience } = &mut self.phase {
                    *patience = None;
                    self.servers.clear();
                }
                Vec::new()
            }
            News::Response { request, response } => self.response(request, &response, now),
            News::NoResponse { request, trouble } => match self.phase {
                Phase::Asking { request: awaited } if awaited == request => {
                    self.fail(trouble.failure(&self.server.shown()))
                }
                Phase::Leaving {
                    request: awaited, ..
                } if awaited == request => self.bye(),
                _ => {
                    // Candidates that do not arrive were a courtesy.
                    self.trickle.taken &= self.trickle.pending != Some(request);
                    Vec::new()
                }
            },
            News::PeerFailed(..) | News::Gone if is_leaving => Vec::new(),
            News::Gone => self.finish("the server has ended the stream"),
            News::PeerFailed(PeerTrouble::Connection, text) => self.no_connection(&text),
            News::PeerFailed(PeerTrouble::Description, text) => {
                self.fail(Failure::soon(Cause::Incompatible, quoted(&text)))
            }
            News::PeerFailed(PeerTrouble::Identity, text) => {
                let whom = self.server.shown();
                self.fail(Failure::of(Cause::Identity, format!("{whom}: {text}")))
            }
            News::Wake => self.wake(now),
            News::Leave => self.leave(now),
            News::Local(_) | News::Opened | News::Text(_) | News::Closed { .. } => Vec::new(),
        }
    }

    fn hide(&self, text: &str) -> String {
        self.server.hide(text)
    }

    fn due(&self) -> Option<Duration> {
        match self.phase {
            Phase::Gathering { until } | Phase::Leaving { until, .. } => Some(until),
            Phase::Playing { patience } => patience,
            Phase::New | Phase::Describing | Phase::Asking { .. } | Phase::Over => None,
        }
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
