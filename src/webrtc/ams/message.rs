// SPDX-License-Identifier: MPL-2.0
//! PURE: the messages between player and server, one JSON object each. What comes is read loosely,
//! since servers differ, and within bounds; what is unknown is [`Message::Other`].

use serde_json::{Value, json};

use super::address::Address;
use crate::webrtc::signalling::{Candidate, IceServer};

/// The server takes no longer texts.
pub(super) const LONGEST_SENT: usize = 81_920;
/// Nor does it send any; a little more is forgiven.
pub(super) const LONGEST_TAKEN: usize = 256 * 1024;
const LONGEST_CANDIDATE: usize = 1024;
const LONGEST_NAME: usize = 256;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    Offer {
        sdp: String,
    },
    Candidate(Candidate),
    Note(Note),
    Error {
        definition: String,
        information: String,
    },
    IceServers(Vec<IceServer>),
    Pong,
    /// Of no concern to this session.
    Other,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Note {
    PlayStarted,
    PlayFinished,
    StreamingStarted,
    ServerWillStop,
}

/// Reads what the server sent about this stream; `None` where it is no message at all.
pub(super) fn read(text: &str, address: &Address) -> Option<Message> {
    if text.len() > LONGEST_TAKEN {
        return None;
    }
    let value: Value = serde_json::from_str(text).ok()?;
    let object = value.as_object()?;
    let said = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let command = said("command");
    if is_of_another(said("streamId"), &address.stream) {
        return Some(Message::Other);
    }
    Some(match command {
        "takeConfiguration" if said("type") == "offer" => Message::Offer {
            sdp: said("sdp").to_owned(),
        },
        "takeCandidate" => candidate(said("candidate"), object.get("label"), said("id")),
        "notification" if is_of_another(said("subscriberId"), &address.subscriber) => {
            Message::Other
        }
        "notification" => note(said("definition")),
        "error" => Message::Error {
            definition: said("definition").to_owned(),
            information: said("information").to_owned(),
        },
        "iceServerConfig" => Message::IceServers(ice_servers(
            said("stunServerUri"),
            said("turnServerUsername"),
            said("turnServerCredential"),
        )),
        "pong" => Message::Pong,
        _ => Message::Other,
    })
}

/// A name that is said and is not ours; where either side says none, it is ours.
fn is_of_another(said: &str, own: &str) -> bool {
    !said.is_empty() && !own.is_empty() && said != own
}

fn note(definition: &str) -> Message {
    Message::Note(match definition {
        "play_started" => Note::PlayStarted,
        "play_finished" => Note::PlayFinished,
        "streaming_started" => Note::StreamingStarted,
        "server_will_stop" => Note::ServerWillStop,
        _ => return Message::Other,
    })
}

fn candidate(text: &str, label: Option<&Value>, id: &str) -> Message {
    // Browsers write the line of the SDP with its beginning, some servers without.
    let text = text.trim().trim_start_matches("a=");
    let is_known = text.is_empty() || text.starts_with("candidate:");
    let is_one_line = !text.contains(['\r', '\n']);
    if !is_known || !is_one_line || text.len() > LONGEST_CANDIDATE || id.len() > LONGEST_NAME {
        return Message::Other;
    }
    Message::Candidate(Candidate {
        mline: label.and_then(line_number).unwrap_or(0),
        mid: (!id.is_empty()).then(|| id.to_owned()),
        text: text.to_owned(),
    })
}

/// An integral number, however it is written.
fn line_number(label: &Value) -> Option<u32> {
    let text = match label {
        Value::String(text) => text.clone(),
        label => label.to_string(),
    };
    let whole = text.strip_suffix(".0").unwrap_or(&text);
    whole.parse().ok()
}

fn ice_servers(uri: &str, username: &str, credential: &str) -> Vec<IceServer> {
    let is_known = ["stun:", "stuns:", "turn:", "turns:"]
        .iter()
        .any(|scheme| uri.starts_with(scheme));
    let fits = [uri, username, credential]
        .iter()
        .all(|text| text.len() <= LONGEST_NAME && !text.chars().any(char::is_control));
    if !is_known || !fits {
        return vec![];
    }
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let is_turn = uri.starts_with("turn");
    vec![IceServer {
        url: uri.to_owned(),
        username: given(username).filter(|_| is_turn),
        credential: given(credential).filter(|_| is_turn),
    }]
}

/// Absent values are empty, never null.
pub(super) fn play(address: &Address) -> String {
    json!({
        "command": "play",
        "streamId": address.stream,
        "token": address.token,
        "room": "",
        "trackList": [],
        "subscriberId": address.subscriber,
        "subscriberCode": address.code,
        "viewerInfo": "",
        "role": "",
        "userPublishId": "",
    })
    .to_string()
}

/// With the stream, since older servers want one in every message but ping.
pub(super) fn ask_for_ice_servers(stream: &str) -> String {
    json!({"command": "getIceServerConfig", "streamId": stream}).to_string()
}

pub(super) fn answer(stream: &str, sdp: &str) -> String {
    json!({"command": "takeConfiguration", "streamId": stream, "type": "answer", "sdp": sdp})
        .to_string()
}

pub(super) fn take_candidate(stream: &str, candidate: &Candidate) -> String {
    let line = candidate.mline.to_string();
    json!({
        "command": "takeCandidate",
        "streamId": stream,
        "label": candidate.mline,
        "id": candidate.mid.as_deref().unwrap_or(&line),
        "candidate": candidate.text,
    })
    .to_string()
}

pub(super) fn stop(stream: &str) -> String {
    json!({"command": "stop", "streamId": stream}).to_string()
}

pub(super) fn ping() -> String {
    json!({"command": "ping"}).to_string()
}
