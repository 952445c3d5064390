// SPDX-License-Identifier: MPL-2.0
//! A machine that is told news, and what was said put in words.

use super::super::*;
use super::URI;
use serde_json::{Value, json};

/// A machine, and the time.
pub(super) struct Script {
    pub(super) machine: Ams,
    pub(super) now: Duration,
}

impl Script {
    pub(super) fn new(uri: &str) -> Self {
        let target = Target {
            uri: uri.to_owned(),
            ..Target::default()
        };
        Self::of(Ams::new(&target).unwrap_or_else(|error| panic!("{error}")))
    }

    pub(super) fn of(machine: Ams) -> Self {
        let now = Duration::ZERO;
        Self { machine, now }
    }

    /// Asked for the stream.
    pub(super) fn asked() -> Self {
        let mut script = Self::new(URI);
        script.tell(News::Begin);
        script.tell(News::Opened);
        script
    }

    pub(super) fn playing() -> Self {
        let mut script = Self::asked();
        script.says(&offer("v=0"));
        script.tell(local("v=0"));
        script.tell(News::Connected);
        script
    }

    pub(super) fn tell(&mut self, news: News) -> Vec<Ask> {
        self.machine.tell(news, self.now)
    }

    pub(super) fn says(&mut self, message: &Value) -> Vec<Ask> {
        self.tell(News::Text(message.to_string()))
    }

    pub(super) fn sent(&mut self, news: News) -> Vec<Value> {
        sent(&self.tell(news))
    }

    /// Wakes it whenever it wants for so many seconds, and answers its pings.
    pub(super) fn live(&mut self, seconds: u64, mut look: impl FnMut(&mut Self, &[Ask])) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.machine.due().filter(|due| *due <= end) {
            self.now = due;
            let asks = self.tell(News::Wake);
            if commands(&asks).iter().any(|command| command == "ping") {
                self.says(&json!({"command": "pong"}));
            }
            look(self, &asks);
        }
    }

    /// The same, and nothing is answered.
    pub(super) fn quiet(&mut self, seconds: u64, mut look: impl FnMut(&[Ask])) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.machine.due().filter(|due| *due <= end) {
            self.now = due;
            let asks = self.tell(News::Wake);
            look(&asks);
        }
    }

    pub(super) fn answer_pings_until_failure(&mut self) -> (u64, Cause) {
        let mut failed = None;
        self.live(60, |script, asks| {
            if let Some(Ask::Fail(failure)) = asks.last() {
                failed = Some((script.now.as_secs(), failure.cause));
            }
        });
        failed.expect("a failure")
    }
}

pub(super) fn sent(asks: &[Ask]) -> Vec<Value> {
    let texts = asks.iter().filter_map(|ask| match ask {
        Ask::Send(text) => Some(text),
        _ => None,
    });
    texts
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect()
}

pub(super) fn commands(asks: &[Ask]) -> Vec<String> {
    let sent = sent(asks);
    let command = |value: &Value| value["command"].as_str().unwrap_or_default().to_owned();
    sent.iter().map(command).collect()
}

pub(super) fn failure(asks: &[Ask]) -> Failure {
    match asks.last() {
        Some(Ask::Fail(failure)) => failure.clone(),
        _ => panic!("no failure: {asks:?}"),
    }
}

pub(super) fn offer(sdp: &str) -> Value {
    json!({"command": "takeConfiguration", "streamId": "cam1", "type": "offer", "sdp": sdp,
        "idMapping": {"0": "cam1"}, "linkSession": null, "subscriberId": ""})
}

pub(super) fn set_remote(sdp: &str) -> Ask {
    let kind = Kind::Offer;
    Ask::SetRemote(Description {
        kind,
        sdp: sdp.to_owned(),
    })
}

pub(super) fn local(sdp: &str) -> News {
    let kind = Kind::Answer;
    News::Local(Description {
        kind,
        sdp: sdp.to_owned(),
    })
}

pub(super) fn a_candidate(mline: u32, text: &str) -> Candidate {
    Candidate {
        mline,
        mid: Some(format!("mid{mline}")),
        text: text.to_owned(),
    }
}

pub(super) fn their_candidate(text: &str) -> Value {
    json!({"command": "takeCandidate", "streamId": "cam1", "label": 0, "id": "0", "candidate": text})
}

pub(super) fn note(definition: &str) -> Value {
    json!({"command": "notification", "definition": definition, "streamId": "cam1", "subscriberId": "me"})
}

pub(super) fn error(definition: &str, information: &str) -> Value {
    json!({"command": "error", "definition": definition, "streamId": "cam1", "error_code": "404",
        "information": information})
}
