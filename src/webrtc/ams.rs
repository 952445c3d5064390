// SPDX-License-Identifier: MPL-2.0
//! PURE: how a stream of an Ant Media server is played. One WebSocket for one attempt: `play`, the
//! server offers, we answer, candidates go both ways; `stop` at the end.
//!
//! * A stream that is not there is waited for on the open socket: the server says when it is.
//! * Once media can flow, the socket is a convenience: it may close or fall silent, and media, which
//!   others watch, plays on. Until then its silence is a failure.
//! * One socket is one session: what the server says on it is about this session, unless it names
//!   another stream or subscriber.

mod address;
mod errors;
mod message;

use std::time::Duration;

use self::address::Address;
use self::errors::Remedy;
use self::message::{LONGEST_SENT, LONGEST_TAKEN, Message, Note};
use super::identity::Announced;
use super::sdp::Outline;
use super::signalling::{
    Ask, Candidate, Cause, Description, Failure, Kind, News, Opening, PeerTrouble, Protocol, Retry,
    Trouble, quoted,
};
use super::target::Target;
use crate::redact::Secrets;

const OPENING: Duration = Duration::from_secs(10);
/// The server pings nobody; this is what its own player does.
const PING: Duration = Duration::from_secs(3);
/// Silence after which a socket counts as dead.
const SILENCE: Duration = Duration::from_secs(10);
/// From `play` to an offer or a refusal.
const ANSWER: Duration = Duration::from_secs(10);
/// From the first offer to a media path. libnice gives up within seven seconds, or never.
const CONNECTION: Duration = Duration::from_secs(15);
/// Between `stop` and `play`, as the server's own player does.
const AFTER_STOP: Duration = Duration::from_millis(500);
/// A word that the stream is back may be lost: asked again after these pauses, ever longer.
const ASK_AGAIN: Duration = Duration::from_secs(2);
const ASK_AGAIN_MOST: Duration = Duration::from_secs(30);
/// More candidates than any server has.
const MOST_CANDIDATES: usize = 64;

pub(crate) struct Ams {
    address: Address,
    /// What no message may show.
    secrets: Secrets,
    headers: Vec<(String, String)>,
    phase: Phase,
    socket: Option<Socket>,
    /// Candidates that came before their offer.
    early: Vec<Candidate>,
    /// Names of the sections of the current offer.
    mids: Vec<Option<String>>,
    /// How many candidates of the current offer were taken.
    candidates: usize,
    /// An offer is being answered; the next one waits, the newest counts.
    answering: bool,
    next_offer: Option<String>,
    /// The server was told once to forget an earlier session of ours.
    stopped_first: bool,
    /// It named its ICE servers.
    told_ice_servers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Opening,
    /// Asked for the stream.
    Asked {
        until: Duration,
    },
    /// Not there: the server will say, and we ask again at `again`.
    Waiting {
        again: Duration,
        pause: Duration,
    },
    /// Between `stop` and `play`.
    Pausing {
        until: Duration,
    },
    /// Offer and answer, then ICE and DTLS.
    Connecting {
        until: Duration,
    },
    Playing,
    Over,
}

/// The open socket.
#[derive(Debug, Clone, Copy)]
struct Socket {
    ping: Duration,
    heard: Duration,
}

impl Ams {
    pub(crate) fn new(target: &Target) -> Result<Self, String> {
        let mut address = Address::parse(&target.uri)?;
        if let Some(token) = &target.token {
            address.token.clone_from(token);
        }
        let mut secrets = target.secrets();
        address.add_to(&mut secrets);
        Ok(Self {
            secrets,
            address,
            headers: target.headers.clone(),
            phase: Phase::Opening,
            socket: None,
            early: vec![],
            mids: vec![],
            candidates: 0,
            answering: false,
            next_offer: None,
            stopped_first: false,
            told_ice_servers: false,
        })
    }

    fn opened(&mut self, now: Duration) -> Vec<Ask> {
        self.socket = Some(Socket {
            ping: now + PING,
            heard: now,
        });
        let mut asks = vec![Ask::Send(message::ask_for_ice_servers(
            &self.address.stream,
        ))];
        asks.extend(self.play(now));
        asks
    }

    fn play(&mut self, now: Duration) -> Vec<Ask> {
        self.phase = Phase::Asked {
            until: now + ANSWER,
        };
        self.send(message::play(&self.address))
    }

    fn text(&mut self, text: &str, now: Duration) -> Vec<Ask> {
        if let Some(socket) = &mut self.socket {
            socket.heard = now;
        }
        match message::read(text, &self.address) {
            Some(Message::Offer { sdp }) => self.offer(sdp, now),
            Some(Message::Candidate(candidate)) => self.candidate(candidate),
            Some(Message::Note(note)) => self.note(note, now),
            Some(Message::Error {
                definition,
                information,
            }) => self.error(&definition, &information, now),
            Some(Message::IceServers(servers))
                if self.is_before_offer()
                    && !std::mem::replace(&mut self.told_ice_servers, true) =>
            {
                let secrets = &mut self.secrets;
                servers.iter().for_each(|server| server.add_to(secrets));
                vec![Ask::IceServers(servers)]
            }
            Some(Message::IceServers(_) | Message::Pong | Message::Other) => vec![],
            None if text.len() > LONGEST_TAKEN => {
                self.fail(Cause::BadAnswer, "a message is too long", Retry::Soon)
            }
            // Its pages and proxies may say anything; silence is judged by the deadlines.
            None => vec![],
        }
    }

    fn is_before_offer(&self) -> bool {
        !matches!(self.phase, Phase::Connecting { .. } | Phase::Playing)
    }

    fn offer(&mut self, sdp: String, now: Duration) -> Vec<Ask> {
        if sdp.is_empty() {
            return self.fail(Cause::BadAnswer, "the offer is empty", Retry::Soon);
        }
        let outline = Outline::of(Kind::Offer, &sdp).unwrap_or_default();
        if outline.is_too_long() {
            let text = "the offer has more m-sections than any stream";
            return self.fail(Cause::BadAnswer, text, Retry::Soon);
        }
        if let Err((cause, text)) = Announced::of(&outline) {
            let text = format!("{}: {text}", self.address.shown);
            return self.end(Failure::of(cause, text));
        }
        if self.answering {
            self.next_offer = Some(sdp);
            return vec![];
        }
        if self.is_before_offer() {
            self.phase = Phase::Connecting {
                until: now + CONNECTION,
            };
        }
        self.answering = true;
        let sections = outline.sections.into_iter();
        self.mids = sections.map(|section| section.mid).collect();
        self.candidates = self.early.len();
        let kind = Kind::Offer;
        let mut asks = vec![Ask::SetRemote(Description { kind, sdp })];
        asks.extend(self.early.drain(..).map(Ask::AddCandidate));
        asks
    }

    fn candidate(&mut self, candidate: Candidate) -> Vec<Ask> {
        if self.is_before_offer() {
            if self.early.len() < MOST_CANDIDATES {
                self.early.push(candidate);
            }
            return vec![];
        }
        self.candidates += 1;
        if self.candidates > MOST_CANDIDATES {
            return vec![];
        }
        vec![Ask::AddCandidate(candidate)]
    }

    /// Our candidate, under the name that the server gave to the section.
    fn own(&mut self, mut candidate: Candidate) -> Vec<Ask> {
        let index = usize::try_from(candidate.mline).unwrap_or(usize::MAX);
        let named = self.mids.get(index).cloned().flatten();
        candidate.mid = candidate.mid.or(named);
        self.send(message::take_candidate(&self.address.stream, &candidate))
    }

    fn note(&mut self, note: Note, now: Duration) -> Vec<Ask> {
        match (note, self.phase) {
            (Note::StreamingStarted, Phase::Waiting { .. }) => self.play(now),
            // Otherwise it answers a `stop` of ours.
            (Note::PlayFinished, Phase::Playing) => self.finish(),
            (Note::PlayFinished, Phase::Connecting { .. }) => {
                let text = "the stream ended before it began";
                self.fail(Cause::Closed, text, Retry::Soon)
            }
            // While it is still playing: another input can take over unseen.
            (Note::ServerWillStop, _) => {
                self.fail(Cause::Closed, "the server is about to stop", Retry::Soon)
            }
            (Note::PlayStarted | Note::PlayFinished | Note::StreamingStarted, _) => vec![],
        }
    }

    fn finish(&mut self) -> Vec<Ask> {
        self.phase = Phase::Over;
        let text = "the server says that the stream ended";
        vec![Ask::Finish(format!("{}: {text}", self.address.shown))]
    }

    fn error(&mut self, definition: &str, information: &str, now: Duration) -> Vec<Ask> {
        let whom = &self.address.shown;
        let remedy = errors::remedy(definition, information, whom, |text| self.hide(text));
        match (remedy, self.phase) {
            (Remedy::Wait, Phase::Asked { .. } | Phase::Waiting { .. }) => self.wait(now),
            (Remedy::Wait, Phase::Connecting { .. }) => {
                self.fail(Cause::NotFound, "the stream is gone", Retry::Soon)
            }
            (Remedy::StopFirst, Phase::Asked { .. }) if !self.stopped_first => {
                self.stopped_first = true;
                self.phase = Phase::Pausing {
                    until: now + AFTER_STOP,
                };
                self.send(message::stop(&self.address.stream))
            }
            (Remedy::StopFirst, Phase::Asked { .. }) => {
                let text = "the server thinks that this stream is played already";
                self.fail(Cause::Refused, text, Retry::Soon)
            }
            // Media flows: what else went wrong does not stop it.
            (Remedy::Fail(failure), Phase::Playing) if failure.retry != Retry::Never => vec![],
            (Remedy::Fail(failure), _) => self.end(failure),
            (Remedy::Wait | Remedy::StopFirst, _) => vec![],
        }
    }

    fn wait(&mut self, now: Duration) -> Vec<Ask> {
        if matches!(self.phase, Phase::Waiting { .. }) {
            return vec![];
        }
        self.phase = Phase::Waiting {
            again: now + ASK_AGAIN,
            pause: ASK_AGAIN,
        };
        let whom = &self.address.shown;
        vec![Ask::Wait(format!(
            "{whom}: nobody publishes this stream now"
        ))]
    }

    fn local(&mut self, description: &Description, now: Duration) -> Vec<Ask> {
        if description.kind != Kind::Answer {
            return vec![];
        }
        self.answering = false;
        let mut asks = self.send(message::answer(&self.address.stream, &description.sdp));
        if let Some(sdp) = self.next_offer.take()
            && self.phase != Phase::Over
        {
            asks.extend(self.offer(sdp, now));
        }
        asks
    }

    fn peer_failed(&mut self, trouble: PeerTrouble, text: &str) -> Vec<Ask> {
        match trouble {
            PeerTrouble::Description => {
                let text = quoted(text);
                let text = format!("the server's offer cannot be answered: {text}");
                self.fail(Cause::Incompatible, &text, Retry::Soon)
            }
            PeerTrouble::Connection => {
                let text = quoted(text);
                let text = format!("no media path to the server: {text}");
                self.fail(Cause::NoConnection, &text, Retry::Soon)
            }
            PeerTrouble::Identity => {
                let text = format!("{}: {text}", self.address.shown);
                self.end(Failure::of(Cause::Identity, text))
            }
        }
    }

    fn closed(&mut self, trouble: &Trouble, status: Option<u16>) -> Vec<Ask> {
        let was_open = self.socket.take().is_some();
        match self.phase {
            // What a lost socket means is decided by the media.
            Phase::Playing | Phase::Over => vec![],
            _ if was_open => {
                let text = format!("the server closed the socket{}", errors::why(trouble));
                self.fail(Cause::Closed, &text, Retry::Soon)
            }
            _ => {
                let failure = match status {
                    Some(status) => errors::refused(status, &self.address.shown),
                    None => trouble.failure(&self.address.shown),
                };
                self.end(failure)
            }
        }
    }

    fn wake(&mut self, now: Duration) -> Vec<Ask> {
        if let Some(failure) = self.overdue(now) {
            return self.end(failure);
        }
        let mut asks = vec![];
        match self.phase {
            Phase::Waiting { again, pause } if now >= again => {
                let pause = (pause * 2).min(ASK_AGAIN_MOST);
                // Still waiting, whatever the answer: nobody is told the same again.
                self.phase = Phase::Waiting {
                    again: now + pause,
                    pause,
                };
                asks.extend(self.send(message::play(&self.address)));
            }
            Phase::Pausing { until } if now >= until => asks.extend(self.play(now)),
            _ => (),
        }
        if let Some(socket) = &mut self.socket
            && now >= socket.ping
        {
            socket.ping = now + PING;
            asks.extend(self.send(message::ping()));
        }
        asks
    }

    fn overdue(&self, now: Duration) -> Option<Failure> {
        let whom = &self.address.shown;
        let is_silent = self
            .socket
            .is_some_and(|socket| now >= socket.heard + SILENCE);
        let (cause, text) = match self.phase {
            Phase::Over | Phase::Playing => return None,
            Phase::Asked { until } if now >= until => {
                (Cause::Timeout, "the server does not answer in time")
            }
            Phase::Connecting { until } if now >= until => {
                (Cause::NoConnection, "no media path to the server in time")
            }
            _ if is_silent => (Cause::Timeout, "the server does not answer pings any more"),
            _ => return None,
        };
        Some(Failure::soon(cause, format!("{whom}: {text}")))
    }

    fn leave(&mut self) -> Vec<Ask> {
        let is_open = self.socket.is_some() && self.phase != Phase::Over;
        self.phase = Phase::Over;
        let stop = is_open.then(|| Ask::Send(message::stop(&self.address.stream)));
        stop.into_iter().chain([Ask::Bye]).collect()
    }

    fn send(&mut self, text: String) -> Vec<Ask> {
        if text.len() > LONGEST_SENT {
            let text = "our message is longer than the server takes";
            return self.fail(Cause::Incompatible, text, Retry::Soon);
        }
        if self.socket.is_none() {
            return vec![];
        }
        vec![Ask::Send(text)]
    }

    fn fail(&mut self, cause: Cause, text: &str, retry: Retry) -> Vec<Ask> {
        let text = format!("{}: {text}", self.address.shown);
        self.end(Failure::new(cause, text, retry))
    }

    fn end(&mut self, mut failure: Failure) -> Vec<Ask> {
        if self.phase == Phase::Over {
            return vec![];
        }
        failure.text = self.hide(&failure.text);
        let is_open = self.socket.is_some();
        let asked = !matches!(self.phase, Phase::Opening);
        self.phase = Phase::Over;
        let stop = (is_open && asked).then(|| Ask::Send(message::stop(&self.address.stream)));
        stop.into_iter().chain([Ask::Fail(failure)]).collect()
    }
}

impl Protocol for Ams {
    fn tell(&mut self, news: News, now: Duration) -> Vec<Ask> {
        if self.phase == Phase::Over && news != News::Leave {
            return vec![];
        }
        match news {
            News::Begin => vec![Ask::Open(Opening {
                url: self.address.socket.clone(),
                headers: self.headers.clone(),
                limit: OPENING,
            })],
            News::Opened => self.opened(now),
            News::Text(text) => self.text(&text, now),
            News::Closed { trouble, status } => self.closed(&trouble, status),
            News::Local(description) => self.local(&description, now),
            News::Candidate(candidate) if !candidate.text.is_empty() => self.own(candidate),
            News::Connected => {
                if !self.is_before_offer() {
                    self.phase = Phase::Playing;
                }
                vec![]
            }
            News::Gone if self.phase == Phase::Playing => self.finish(),
            News::PeerFailed(trouble, text) => self.peer_failed(trouble, &text),
            News::Wake => self.wake(now),
            News::Leave => self.leave(),
            // Its own player says no end of candidates, so the server waits for none.
            News::Candidate(_) | News::GatheringComplete | News::Gone => vec![],
            News::Response { .. } | News::NoResponse { .. } => vec![],
        }
    }

    fn hide(&self, text: &str) -> String {
        self.secrets.take_out_of(text)
    }

    fn due(&self) -> Option<Duration> {
        let phase = match self.phase {
            Phase::Over => return None,
            Phase::Asked { until } | Phase::Pausing { until } | Phase::Connecting { until } => {
                Some(until)
            }
            Phase::Waiting { again, .. } => Some(again),
            Phase::Opening | Phase::Playing => None,
        };
        let ping = self.socket.map(|socket| socket.ping);
        let silence = self
            .socket
            .filter(|_| self.phase != Phase::Playing)
            .map(|socket| socket.heard + SILENCE);
        [phase, ping, silence].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
