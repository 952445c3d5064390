// SPDX-License-Identifier: MPL-2.0
//! One socket of the server: commands in, answers out.

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use super::apart::Half;
use super::media::Media;
use super::{Order, Session, Shared, Viewer, error, notification};

/// How long an order waits at most while nothing is said.
const LOOK: Duration = Duration::from_millis(5);

pub(super) fn serve(shared: &Arc<Shared>, number: u64, tcp: TcpStream) {
    let _ = tcp.set_read_timeout(Some(Duration::from_secs(10)));
    let _ = tcp.set_nodelay(true);
    // What is no WebSocket is a request for a page that is not here.
    let Ok(mut wire) = tungstenite::accept(tcp) else {
        return;
    };
    let _ = wire.get_ref().set_read_timeout(Some(LOOK));
    let (orders, inbox) = channel();
    let viewer = Viewer {
        orders: orders.clone(),
        waits_for: BTreeSet::new(),
    };
    shared.note(|state| drop(state.viewers.insert(number, viewer)));
    let mut connection = Connection {
        shared,
        number,
        orders,
    };
    let hung = connection.run(&mut wire, &inbox);
    drop(wire);
    if !hung {
        shared.note(|state| {
            state.viewers.remove(&number);
            // As the real one does: a socket takes its sessions with it.
            for session in state.take_sessions(|session| session.viewer == number) {
                session.media.stop();
            }
        });
    }
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    number: u64,
    orders: Sender<Order>,
}

impl Connection<'_> {
    /// Whether it ended because a test wanted so.
    fn run(&mut self, wire: &mut WebSocket<TcpStream>, inbox: &Receiver<Order>) -> bool {
        loop {
            for order in inbox.try_iter() {
                match order {
                    Order::Hang => return true,
                    Order::Say(message) => {
                        if wire.send(Message::text(message.to_string())).is_err() {
                            return false;
                        }
                    }
                }
            }
            match wire.read() {
                Ok(Message::Text(text)) => {
                    let message = serde_json::from_str(text.as_str()).expect("JSON");
                    self.hear(&message);
                }
                Ok(_) => (),
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => (),
                Err(_) => return false,
            }
        }
    }

    fn say(&self, message: Value) {
        let _ = self.orders.send(Order::Say(message));
    }

    fn hear(&mut self, message: &Value) {
        self.shared.note(|state| state.said.push(message.clone()));
        let stream = message["streamId"].as_str().unwrap_or_default();
        match message["command"].as_str().unwrap_or_default() {
            "ping" if self.shared.lock().habits.deaf => (),
            "ping" => self.say(json!({"command": "pong"})),
            _ if stream.is_empty() => self.say(error("noStreamNameSpecified", "", "")),
            "getIceServerConfig" => self.say(json!({"command": "iceServerConfig",
                "streamId": stream, "stunServerUri": "stun:127.0.0.1:9",
                "turnServerUsername": "", "turnServerCredential": ""})),
            "play" => self.play(stream, message),
            "publish" => self.publish(stream),
            "takeConfiguration" => {
                let sdp = message["sdp"].as_str().expect("an SDP");
                let held_up = self.shared.lock().habits.held_up;
                std::thread::sleep(held_up.unwrap_or_default());
                self.with_session(stream, |media| match message["type"].as_str() {
                    Some("offer") => media.here().take_offer(sdp),
                    _ => media.take_answer(sdp),
                });
            }
            "takeCandidate" => {
                let label = message["label"].as_u64().expect("an integral label");
                let candidate = message["candidate"].as_str().expect("a candidate");
                let mid = message["id"].as_str().expect("an id");
                self.with_session(stream, |media| media.take_candidate(label, mid, candidate));
            }
            "getStreamInfo" => self.stream_info(stream),
            "getTrackList" => {
                self.say(json!({"command": "trackList", "streamId": stream, "trackList": []}));
            }
            "stop" => self.stop(stream),
            _ => (),
        }
    }

    fn play(&self, stream: &str, message: &Value) {
        let mut state = self.shared.lock();
        if let Some(refusal) = state.refusals.get(stream) {
            return self.say(refusal.clone());
        }
        if state
            .habits
            .token
            .is_some_and(|token| message["token"] != token)
        {
            return self.say(error("unauthorized_access", stream, ""));
        }
        let mut sessions = state.sessions.iter();
        if sessions.any(|s| s.viewer == self.number && s.stream == stream) {
            return self.say(error("already_playing", stream, ""));
        }
        let Some(look) = state.streams.get(stream).copied() else {
            if let Some(viewer) = state.viewers.get_mut(&self.number) {
                viewer.waits_for.insert(stream.to_owned());
            }
            let information = "stream_not_exist_or_not_streaming";
            return self.say(error("no_stream_exist", stream, information));
        };
        let (orders, name) = (self.orders.clone(), stream.to_owned());
        let say = move |message| drop(orders.send(Order::Say(message)));
        let habits = state.habits;
        let spare = state.spare.take_if(|_| habits.apart == Some(stream));
        let media = Half::sending(look, &name, habits, spare, Arc::new(say));
        state.sessions.push(Session {
            viewer: self.number,
            stream: name,
            media,
        });
    }

    fn publish(&self, stream: &str) {
        let (orders, name) = (self.orders.clone(), stream.to_owned());
        let say = move |message| drop(orders.send(Order::Say(message)));
        let shared = self.shared.clone();
        let count = move |bytes| shared.note(|state| state.received += bytes);
        let media = Half::Here(Media::receiving(&name, Arc::new(say), count));
        self.shared.lock().sessions.push(Session {
            viewer: self.number,
            stream: name,
            media,
        });
        self.say(json!({"command": "start", "streamId": stream, "subscriberId": ""}));
    }

    fn stop(&self, stream: &str) {
        let is_it = |s: &Session| s.viewer == self.number && s.stream == stream;
        self.shared.note(|state| {
            for session in state.take_sessions(is_it) {
                let ended = session.media.ended_word();
                session.media.stop();
                self.say(notification(ended, stream));
            }
        });
    }

    fn stream_info(&self, stream: &str) {
        if !self.shared.lock().streams.contains_key(stream) {
            let information = "stream_not_exist_or_not_streaming";
            return self.say(error("no_stream_exist", stream, information));
        }
        self.say(json!({"command": "streamInformation", "streamId": stream, "streamInfo": [
            {"streamWidth": 320, "streamHeight": 180, "videoBitrate": 500_000, "audioBitrate": 64_000,
             "videoCodec": "h264"}]}));
    }

    fn with_session(&self, stream: &str, act: impl FnOnce(&Half)) {
        let state = self.shared.lock();
        let mut sessions = state.sessions.iter();
        if let Some(session) = sessions.find(|s| s.viewer == self.number && s.stream == stream) {
            act(&session.media);
        }
    }
}
