// SPDX-License-Identifier: MPL-2.0
//! Whatever a server says, in whatever order.

use super::super::*;
use super::URI;
use super::script::*;
use proptest::prelude::*;
use serde_json::{Value, json};

proptest! {
    #[test]
    fn nothing_that_is_told_makes_it_panic_or_hoard(steps in prop::collection::vec(any_news(), 0..200)) {
        let mut script = Script::new(URI);
        script.tell(News::Begin);
        for (news, millis) in steps {
            script.now += Duration::from_millis(millis);
            let asks = script.tell(news);
            prop_assert!(asks.len() <= 3 + MOST_CANDIDATES);
            for ask in &asks {
                if let Ask::Send(text) = ask {
                    prop_assert!(text.len() <= LONGEST_SENT);
                    prop_assert!(serde_json::from_str::<Value>(text).is_ok());
                }
            }
            prop_assert!(script.machine.early.len() <= MOST_CANDIDATES);
            // A wake-up in time leaves nothing overdue.
            script.tell(News::Wake);
            prop_assert!(script.machine.due().is_none_or(|due| due > script.now));
        }
        let last = script.tell(News::Leave);
        prop_assert_eq!(last.last(), Some(&Ask::Bye));
    }
}

fn any_news() -> impl Strategy<Value = (News, u64)> {
    let word = prop_oneof![
        Just("cam1".to_owned()),
        Just("no_stream_exist".to_owned()),
        Just("already_playing".to_owned()),
        Just("streaming_started".to_owned()),
        Just("play_finished".to_owned()),
        Just("offer".to_owned()),
        Just("candidate:1".to_owned()),
        Just("stun:h".to_owned()),
        ".{0,20}",
    ];
    let value = prop_oneof![
        word.prop_map(Value::String),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        Just(Value::Null),
        Just(json!([])),
        Just(json!({"a": 1})),
    ];
    let key = prop::sample::select(vec![
        "streamId",
        "subscriberId",
        "definition",
        "information",
        "type",
        "sdp",
        "label",
        "id",
        "candidate",
        "stunServerUri",
        "turnServerUsername",
    ]);
    let command = prop::sample::select(vec![
        "takeConfiguration",
        "takeCandidate",
        "notification",
        "error",
        "iceServerConfig",
        "pong",
        "stop",
    ]);
    let message =
        (command, prop::collection::vec((key, value), 0..6)).prop_map(|(command, fields)| {
            let mut object = serde_json::Map::new();
            object.insert("command".to_owned(), json!(command));
            object.extend(
                fields
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value)),
            );
            News::Text(Value::Object(object).to_string())
        });
    let trouble = || Trouble::Unreachable("x".to_owned());
    let news = prop_oneof![
        6 => message,
        1 => ".*".prop_map(News::Text),
        1 => Just(News::Opened),
        1 => Just(News::Closed { trouble: trouble(), status: None }),
        1 => ".{0,50}".prop_map(|sdp| local(&sdp)),
        1 => (any::<u32>(), ".{0,50}").prop_map(|(line, text)| News::Candidate(a_candidate(line, &text))),
        1 => Just(News::GatheringComplete),
        1 => Just(News::Gone),
        1 => Just(News::Connected),
        1 => ".{0,50}".prop_map(|text| News::PeerFailed(PeerTrouble::Connection, text)),
        2 => Just(News::Wake),
    ];
    (news, 0..20_000u64)
}
