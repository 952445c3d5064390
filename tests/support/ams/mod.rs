// SPDX-License-Identifier: MPL-2.0
//! A small server that speaks Ant Media's WebSocket protocol, with webrtcbin behind it: streams of a
//! look each, and every fault that a player meets, at the moment that a test wants it.
//!
//! It lives in the test's process, on a port of its own, and goes with it; its media can be a process
//! of their own. What it says is checked against Ant Media's own browser SDK (tests/ams_sdk.rs).

// Every test takes the part that it needs.
#![allow(dead_code)]

mod apart;
mod connection;
mod media;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::programme::Look;
use apart::{Half, Spare};
use media::Media;

const DEADLINE: Duration = Duration::from_secs(40);

pub(crate) struct AmsServer {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    streams: BTreeMap<String, Look>,
    viewers: BTreeMap<u64, Viewer>,
    sessions: Vec<Session>,
    /// Killed: they say nothing any more, and go with the server.
    dead: Vec<Session>,
    /// What was asked for, in its order.
    said: Vec<Value>,
    refusals: BTreeMap<String, Value>,
    habits: Habits,
    /// For the next session of the stream whose media are apart.
    spare: Option<Spare>,
    /// Bytes of media that publishers have sent.
    received: u64,
    closing: bool,
}

/// How the server goes about it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Habits {
    /// Candidates go before the offer that they belong to.
    pub(crate) early_candidates: bool,
    /// There is a data channel in every offer.
    pub(crate) data_channel: bool,
    /// Offers do not say which SSRC belongs to which section.
    pub(crate) unannounced: bool,
    /// What repairs a stream is offered with it: RTX and FEC.
    pub(crate) repair: bool,
    /// Key frames are made only when they are asked for, and the first one is lost.
    pub(crate) headless: bool,
    /// Answers are taken so late, and what could not be sent until then is sent all the same.
    pub(crate) held_up: Option<Duration>,
    /// The stream whose sessions have a process each for their media, with aiortc. It lives no longer
    /// than the session's socket.
    pub(crate) apart: Option<&'static str>,
    /// How those processes speak of their certificates (`whep.py --announce`).
    pub(crate) announce: Option<&'static str>,
    /// Each of their streams has a transport of its own.
    pub(crate) unbundled: bool,
    /// Pings are not answered.
    pub(crate) deaf: bool,
    /// Who may play: nobody without this.
    pub(crate) token: Option<&'static str>,
}

/// An open socket.
struct Viewer {
    orders: Sender<Order>,
    waits_for: BTreeSet<String>,
}

/// One stream to, or from, one socket.
struct Session {
    viewer: u64,
    stream: String,
    media: Half,
}

/// What a connection's thread is told.
enum Order {
    Say(Value),
    /// Break off, without a word.
    Hang,
}

impl AmsServer {
    pub(crate) fn start() -> Self {
        Self::with(Habits::default())
    }

    pub(crate) fn with(habits: Habits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared::default());
        shared.lock().habits = habits;
        let server = shared.clone();
        std::thread::spawn(move || {
            for (number, tcp) in (1..).zip(listener.incoming()) {
                let shared = server.clone();
                if shared.lock().closing {
                    break;
                }
                if let Ok(tcp) = tcp {
                    std::thread::spawn(move || connection::serve(&shared, number, tcp));
                }
            }
        });
        Self { port, shared }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn uri(&self, stream: &str) -> String {
        format!("ams://127.0.0.1:{}/live/{stream}", self.port)
    }

    /// The address of a player page.
    pub(crate) fn page(&self, query: &str) -> String {
        format!("http://127.0.0.1:{}/live/play.html?{query}", self.port)
    }

    /// A stream begins; who waits for it is told.
    pub(crate) fn publish(&self, stream: &str, look: Look) {
        let mut state = self.shared.lock();
        state.streams.insert(stream.to_owned(), look);
        for viewer in state.viewers.values_mut() {
            if viewer.waits_for.remove(stream) {
                viewer.say(notification("streaming_started", stream));
            }
        }
        drop(state);
        self.prepare(stream);
    }

    /// The next session of the stream whose media are apart need not wait for their process.
    fn prepare(&self, stream: &str) {
        let state = self.shared.lock();
        let (look, habits) = (state.streams.get(stream).copied(), state.habits);
        drop(state);
        if let Some(look) = look.filter(|_| habits.apart == Some(stream)) {
            let spare = Spare::start(look, habits);
            self.shared.lock().spare = Some(spare);
        }
    }

    /// A stream ends as it should.
    pub(crate) fn unpublish(&self, stream: &str) {
        let mut state = self.shared.lock();
        state.streams.remove(stream);
        for session in state.take_sessions(|session| session.stream == stream) {
            if let Some(viewer) = state.viewers.get(&session.viewer) {
                viewer.say(notification("play_finished", stream));
            }
            session.media.stop();
        }
    }

    /// Its media end for ever, its session is forgotten, and nobody is told: neither by a word nor by
    /// the good-byes of RTCP and DTLS, which a process that is killed does not say either.
    pub(crate) fn kill(&self, stream: &str) {
        let mut state = self.shared.lock();
        let sessions = state.take_sessions(|session| session.stream == stream);
        for session in &sessions {
            session.media.kill();
        }
        state.dead.extend(sessions);
        drop(state);
        self.prepare(stream);
    }

    /// Its media stand still, or go on; everything else lives.
    pub(crate) fn freeze(&self, stream: &str, frozen: bool) {
        self.with_media(stream, |media| media.freeze(frozen));
    }

    /// Its pictures stand still, or go on; its sound is heard.
    pub(crate) fn mute(&self, stream: &str, muted: bool) {
        self.with_media(stream, |media| media.mute(muted));
    }

    /// A new offer in the middle of the programme.
    pub(crate) fn renegotiate(&self, stream: &str) {
        self.with_media(stream, Media::offer);
    }

    /// The media of a stream come from another process from now on, which offers itself on the same socket and speaks so
    /// of its certificate.
    pub(crate) fn renew(&self, stream: &str, announce: Option<&'static str>) {
        let (look, habits) = {
            let state = self.shared.lock();
            let look = state.streams.get(stream).copied();
            (look.expect("a stream"), state.habits)
        };
        let habits = Habits { announce, ..habits };
        let spare = Spare::start(look, habits);
        let mut state = self.shared.lock();
        let State {
            sessions, viewers, ..
        } = &mut *state;
        let session = sessions.iter_mut().find(|s| s.stream == stream);
        let session = session.expect("a session");
        let orders = viewers[&session.viewer].orders.clone();
        let say = move |message| drop(orders.send(Order::Say(message)));
        let new = Half::sending(look, stream, habits, Some(spare), Arc::new(say));
        std::mem::replace(&mut session.media, new).stop();
    }

    fn with_media(&self, stream: &str, act: impl Fn(&Media)) {
        let state = self.shared.lock();
        let sessions = state.sessions.iter();
        let own = sessions.filter(|session| session.stream == stream);
        own.for_each(|session| act(session.media.here()));
    }

    /// Every socket breaks; media go on.
    pub(crate) fn drop_sockets(&self) {
        for viewer in std::mem::take(&mut self.shared.lock().viewers).values() {
            let _ = viewer.orders.send(Order::Hang);
        }
    }

    /// To every socket.
    pub(crate) fn say(&self, message: &Value) {
        for viewer in self.shared.lock().viewers.values() {
            viewer.say(message.clone());
        }
    }

    /// From now on `play` of this stream is answered with this error.
    pub(crate) fn refuse(&self, stream: &str, definition: &str, information: &str) {
        let refusal = error(definition, stream, information);
        self.shared
            .lock()
            .refusals
            .insert(stream.to_owned(), refusal);
    }

    pub(crate) fn allow(&self, stream: &str) {
        self.shared.lock().refusals.remove(stream);
    }

    /// How often this command was given for this stream.
    pub(crate) fn asked(&self, command: &str, stream: &str) -> usize {
        self.shared.lock().asked(command, stream)
    }

    /// Waits until it was given so often.
    pub(crate) fn until_asked(&self, command: &str, stream: &str, times: usize) {
        let what = format!("{command} {stream}, {times} times");
        self.until(&what, |state| state.asked(command, stream) >= times);
    }

    pub(crate) fn until_received(&self, bytes: u64) {
        self.until("media are published", |state| state.received >= bytes);
    }

    pub(crate) fn until_left(&self) {
        self.until("everybody has left", |state| state.sessions.is_empty());
    }

    pub(crate) fn last(&self, command: &str) -> Option<Value> {
        let state = self.shared.lock();
        let mut said = state.said.iter().rev();
        said.find(|message| message["command"] == command).cloned()
    }

    fn until(&self, what: &str, done: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.shared.lock();
        while !done(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "not so in time: {what}; said: {:?}",
                state.said
            );
            let wait = self.shared.changed.wait_timeout(state, left);
            state = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for AmsServer {
    fn drop(&mut self) {
        let sessions = {
            let mut state = self.shared.lock();
            state.closing = true;
            for viewer in state.viewers.values() {
                let _ = viewer.orders.send(Order::Hang);
            }
            let mut all = std::mem::take(&mut state.dead);
            all.extend(state.take_sessions(|_| true));
            all
        };
        for session in sessions {
            session.media.stop();
        }
        // So that the thread that accepts looks up.
        let _ = std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        media::wait_for_stopped();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }
}

impl State {
    fn take_sessions(&mut self, chosen: impl Fn(&Session) -> bool) -> Vec<Session> {
        self.sessions
            .extract_if(.., |session| chosen(session))
            .collect()
    }

    fn asked(&self, command: &str, stream: &str) -> usize {
        let is_it = |m: &&Value| m["command"] == command && m["streamId"] == stream;
        self.said.iter().filter(is_it).count()
    }
}

impl Viewer {
    fn say(&self, message: Value) {
        let _ = self.orders.send(Order::Say(message));
    }
}

fn notification(definition: &str, stream: &str) -> Value {
    json!({"command": "notification", "definition": definition, "streamId": stream, "subscriberId": ""})
}

fn error(definition: &str, stream: &str, information: &str) -> Value {
    json!({"command": "error", "definition": definition, "streamId": stream, "error_code": "404",
        "information": information})
}
