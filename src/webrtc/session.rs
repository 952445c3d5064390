// SPDX-License-Identifier: MPL-2.0
//! One attempt to play: a thread that carries words between the signalling protocol, the peer
//! connection and the wire. Nobody waits for it, and it ends by itself soon after the user has left.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::http::Http;
use super::identity::Announced;
use super::peer::{Peer, Setup};
use super::sdp::Outline;
use super::signalling::{
    Ask, Cause, Description, Failure, IceServer, Kind, News, Opening, PeerTrouble, Protocol,
    Trouble,
};
use super::ws::Socket;
use super::{CAT, WebRtcPlaySrc};
use crate::clock::Stopwatch;

/// For what is still to be said when a session has failed.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the session's thread is told.
enum Order {
    /// From the wire.
    News(News),
    /// From the peer connection of this number.
    Peer(u32, News),
    Follow(gst::State),
    /// The application wants no more of the stream.
    EndStream,
    Leave,
}

/// The way to reach a session. Dropping it ends the session.
pub(super) struct Handle {
    orders: Sender<Order>,
}

impl Handle {
    pub(super) fn follow(&self, state: gst::State) {
        let _ = self.orders.send(Order::Follow(state));
    }

    /// The stream ends here, as if the server had ended it. Whether there is a stream that can end.
    pub(super) fn end_stream(&self) -> bool {
        self.orders.send(Order::EndStream).is_ok()
    }

    /// Something inside the peer connection failed.
    pub(super) fn peer_failed(&self, text: String) {
        let news = News::PeerFailed(PeerTrouble::Connection, text);
        let _ = self.orders.send(Order::News(news));
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Leave);
    }
}

/// How a session goes about it.
pub(super) struct Plan {
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) setup: Setup,
    pub(super) verify_tls: bool,
    /// Held as long as the session lives.
    pub(super) alive: Arc<()>,
    /// The run of the element that it belongs to.
    pub(super) run: u64,
}

struct Session {
    element: glib::WeakRef<WebRtcPlaySrc>,
    plan: Plan,
    orders: Sender<Order>,
    clock: Stopwatch,
    ice: Vec<IceServer>,
    peer: Option<Peer>,
    /// Numbers the peer connections, so that late words of an old one are told from the present's.
    peers: u32,
    http: Option<Http>,
    socket: Option<Socket>,
    /// Requests that are not answered.
    open: usize,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Playing,
    /// The user is gone.
    Leaving,
    /// All is decided; requests that are on their way get until then.
    Ending {
        until: Duration,
    },
    Over,
}

/// Begins a session; `None` if the system has no thread to give.
pub(super) fn start(element: &WebRtcPlaySrc, plan: Plan) -> Option<Handle> {
    let (orders, inbox) = channel();
    let session = Session {
        element: element.downgrade(),
        plan,
        orders: orders.clone(),
        clock: Stopwatch::start(),
        ice: Vec::new(),
        peer: None,
        peers: 0,
        http: None,
        socket: None,
        open: 0,
        stage: Stage::Playing,
    };
    std::thread::Builder::new()
        .name(format!("webrtcplay:{}", element.name()))
        .spawn(move || session.run(&inbox))
        .ok()?;
    Some(Handle { orders })
}

impl Session {
    fn run(mut self, inbox: &Receiver<Order>) {
        self.tell(News::Begin);
        while self.stage != Stage::Over {
            let due = match self.stage {
                Stage::Ending { until } => Some(until),
                _ => self.plan.protocol.due(),
            };
            let order = match due {
                Some(due) => inbox.recv_timeout(due.saturating_sub(self.clock.elapsed())),
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match order {
                Ok(order) => self.obey(order),
                Err(RecvTimeoutError::Timeout) if self.is_ending() => self.stage = Stage::Over,
                Err(RecvTimeoutError::Timeout) => self.tell(News::Wake),
                Err(RecvTimeoutError::Disconnected) => self.stage = Stage::Over,
            }
            self.end_when_all_is_said();
        }
    }

    fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending { .. })
    }

    fn end_when_all_is_said(&mut self) {
        if self.is_ending() && self.open == 0 {
            self.stage = Stage::Over;
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Leave => self.leave(),
            Order::EndStream if self.stage == Stage::Playing => {
                self.leave();
                if let Some(element) = self.present_element() {
                    element.say_finished("the application ended the stream");
                }
            }
            Order::EndStream => (),
            Order::Follow(state) => {
                if let Some(peer) = &self.peer {
                    peer.follow(state);
                }
            }
            Order::Peer(number, _) if number != self.peers || self.peer.is_none() => (),
            Order::Peer(_, news) | Order::News(news) => {
                if matches!(news, News::Response { .. } | News::NoResponse { .. }) {
                    self.open = self.open.saturating_sub(1);
                }
                self.tell(news);
            }
        }
    }

    fn leave(&mut self) {
        self.peer = None;
        if self.stage == Stage::Playing {
            self.stage = Stage::Leaving;
            self.tell(News::Leave);
        }
    }

    fn tell(&mut self, news: News) {
        if !matches!(self.stage, Stage::Playing | Stage::Leaving) {
            return;
        }
        let news = news.without_secrets(|text| self.hide(text));
        if let Some(element) = self.element.upgrade() {
            gst::debug!(CAT, obj = element, "{}", name_of(&news));
        }
        let asks = self.plan.protocol.tell(news, self.clock.elapsed());
        for ask in asks {
            if matches!(self.stage, Stage::Playing | Stage::Leaving) {
                self.carry_out(ask);
            }
        }
    }

    fn carry_out(&mut self, ask: Ask) {
        let is_here = self.stage == Stage::Playing;
        match ask {
            Ask::Http(request) => self.request(request),
            Ask::IceServers(servers) => {
                if let Some(element) = self.element.upgrade() {
                    element.imp().keep_secret(&servers);
                }
                self.ice = servers;
            }
            Ask::CreateOffer if is_here => {
                if let Some(peer) = self.new_peer() {
                    peer.create_offer();
                }
            }
            Ask::SetRemote(description) if is_here => self.set_remote(&description),
            Ask::AddCandidate(candidate) if is_here => {
                if let Some(peer) = &mut self.peer {
                    peer.add_candidate(candidate);
                }
            }
            Ask::CreateOffer | Ask::SetRemote(_) | Ask::AddCandidate(_) => (),
            Ask::Wait(text) => self.say(|element| element.say_waiting(&text)),
            Ask::Warn(text) => self.say(|element| element.log_warning(&text)),
            Ask::Fail(failure) => {
                self.end();
                self.say(|element| element.say_failure(&failure));
            }
            Ask::Finish(text) => {
                self.end();
                self.say(|element| element.say_finished(&text));
            }
            Ask::Bye => self.end(),
            Ask::Open(opening) => self.open(opening),
            Ask::Send(text) => {
                if let Some(socket) = &self.socket {
                    socket.send(text);
                }
            }
        }
    }

    /// Without what the server knows, has told, or is told by our settings.
    fn hide(&self, text: &str) -> String {
        let text = self.plan.protocol.hide(text);
        let element = self.element.upgrade();
        match element {
            Some(element) => element.imp().redacted(&text),
            None => text,
        }
    }

    fn say(&self, words: impl FnOnce(&WebRtcPlaySrc)) {
        if let (Some(element), true) = (self.present_element(), self.stage != Stage::Leaving) {
            words(&element);
        }
    }

    /// Not of a later run: the order to leave may still be on its way.
    fn present_element(&self) -> Option<WebRtcPlaySrc> {
        self.element.upgrade().filter(|e| e.plays(self.plan.run))
    }

    fn end(&mut self) {
        self.peer = None;
        let until = self.clock.elapsed() + LAST_WORDS;
        self.stage = Stage::Ending { until };
    }

    fn request(&mut self, request: super::signalling::Request) {
        if self.http.is_none() {
            let orders = self.orders.clone();
            let tell = move |news| {
                let _ = orders.send(Order::News(news));
            };
            self.http = Http::start(self.plan.verify_tls, tell).ok();
        }
        self.open = self.open.saturating_add(1);
        match &self.http {
            Some(http) => http.send(request),
            None => {
                let trouble = Trouble::Unreachable("the system has no thread to give".to_owned());
                let request = request.id;
                let news = News::NoResponse { request, trouble };
                let _ = self.orders.send(Order::News(news));
            }
        }
    }

    fn open(&mut self, opening: Opening) {
        let orders = self.orders.clone();
        let tell = move |news| {
            let _ = orders.send(Order::News(news));
        };
        match Socket::open(opening, self.plan.verify_tls, tell) {
            Ok(socket) => self.socket = Some(socket),
            Err(error) => {
                let trouble =
                    Trouble::Unreachable(format!("the system has no more to give: {error}"));
                let status = None;
                let _ = self
                    .orders
                    .send(Order::News(News::Closed { trouble, status }));
            }
        }
    }

    /// A new peer connection in the place of the one before.
    fn new_peer(&mut self) -> Option<&mut Peer> {
        self.peer = None;
        self.peers = self.peers.saturating_add(1);
        let element = self.element.upgrade()?;
        let (orders, number) = (self.orders.clone(), self.peers);
        let tell = Arc::new(move |news| {
            let _ = orders.send(Order::Peer(number, news));
        });
        let alive = self.plan.alive.clone();
        let Plan { setup, run, .. } = &self.plan;
        match Peer::new(&element, *run, setup, &self.ice, tell, alive) {
            Ok(peer) => Some(self.peer.insert(peer)),
            // What is left to be done follows from the order to leave.
            Err(_) if !element.plays(*run) => None,
            Err(text) => {
                self.carry_out(Ask::Fail(Failure::soon(Cause::Settings, text)));
                None
            }
        }
    }

    fn set_remote(&mut self, description: &Description) {
        let Some(outline) = Outline::of(description.kind, &description.sdp) else {
            let text = "the server's description is no session description (SDP)".to_owned();
            return self.tell(News::PeerFailed(PeerTrouble::Description, text));
        };
        let announced = match Announced::of(&outline) {
            Ok(announced) => announced,
            // The protocol has looked at that as well; nothing begins without it.
            Err((_, text)) => return self.tell(News::PeerFailed(PeerTrouble::Identity, text)),
        };
        let is_offer = description.kind == Kind::Offer;
        // An offer in the place of our own needs a peer connection that has made none. So does one that announces
        // other certificates: webrtcbin keeps the transport that it has.
        let fits = |peer: &Peer| !peer.has_offered() && !peer.is_announced_otherwise(&announced);
        let is_fresh = self.peer.as_ref().is_some_and(fits);
        if is_offer && !is_fresh && self.new_peer().is_none() {
            return;
        }
        if let Some(element) = self.element.upgrade() {
            element.expose(self.plan.run, &outline);
        }
        if let Some(peer) = &mut self.peer {
            peer.set_remote(description, announced);
        }
    }
}

/// Without what may be secret.
fn name_of(news: &News) -> String {
    match news {
        News::Response { response, .. } => format!("response {}", response.status),
        News::NoResponse { trouble, .. } => format!("no response: {trouble:?}"),
        News::Local(description) => format!("local {:?}", description.kind),
        News::Candidate(_) => "local candidate".to_owned(),
        News::PeerFailed(trouble, text) => format!("peer failed: {trouble:?}, {text}"),
        News::Text(_) => "text".to_owned(),
        news => format!("{news:?}"),
    }
}
