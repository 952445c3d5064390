// SPDX-License-Identifier: MPL-2.0
//! PURE: the property `uri` taken apart. `failover:?primary=…&backup=…` names inputs and settings,
//! the address of an Ant Media player page names streams; both come to inputs in their order of
//! preference and settings by name.

use percent_encoding::percent_decode_str;

use super::player;
use super::settings::Refusal;

const SCHEME: &str = "failover:";

/// What one text asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Configuration {
    /// URIs, the primary first.
    pub(super) inputs: Vec<String>,
    /// Settings by their names, as they were written.
    pub(super) fields: Vec<(String, String)>,
}

/// Takes `failover:?…`, the address of a player page, or `failover:` followed by one.
pub(super) fn parse(uri: &str) -> Result<Configuration, Refusal> {
    if player::is_page(uri) {
        return player::parse(uri);
    }
    let rest = scheme_taken(uri).ok_or_else(form)?;
    if player::is_page(rest) {
        return player::parse(rest);
    }
    let query = rest.trim_start_matches('/').strip_prefix('?');
    own_query(query.ok_or_else(form)?)
}

fn form() -> Refusal {
    "write it as failover:?primary=URI&backup=URI with percent-encoded values, or as the address of \
     an Ant Media player page, https://HOST:5443/APP/play.html?id=PRIMARY&backupStreamId=BACKUP"
        .to_owned()
}

fn scheme_taken(uri: &str) -> Option<&str> {
    let (scheme, rest) = uri.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then_some(rest)
}

fn own_query(query: &str) -> Result<Configuration, Refusal> {
    let mut primary = None;
    let mut backups = vec![];
    let mut fields = vec![];
    for (key, value) in pairs(query)? {
        match key.as_str() {
            "primary" if value.is_empty() => return Err("primary= is empty".to_owned()),
            "backup" if value.is_empty() => return Err("backup= is empty".to_owned()),
            "primary" if primary.is_some() => {
                return Err("primary= comes twice: further inputs are backup=".to_owned());
            }
            "primary" => primary = Some(value),
            "backup" => backups.push(value),
            _ => fields.push((key, value)),
        }
    }
    let mut inputs = vec![primary.ok_or("a failover: URI needs primary=…")?];
    inputs.extend(backups);
    Ok(Configuration { inputs, fields })
}

/// Keys and values of a query, decoded.
pub(super) fn pairs(query: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(key)?, decoded(value)?))
        })
        .collect()
}

/// Without its escapes; what is no escape, or is no text, is an error. A plus is a plus.
pub(super) fn decoded(text: &str) -> Result<String, Refusal> {
    let is_escape = |tail: &str| {
        let digits = tail.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let decoded = percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(decoded) if text.split('%').skip(1).all(is_escape) => Ok(decoded.into_owned()),
        // The text itself may hold a secret.
        _ => Err("a value in it is not percent-encoded: write % as %25".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn inputs_come_in_their_order_and_settings_by_name() {
        let uri =
            "failover:?timeout=5&backup=b1&primary=rtmp%3A%2F%2Fh%2Fa%3Fx%3D1%26y%3D2&backup=b2";
        let parsed = parse(uri).unwrap();
        assert_eq!(parsed.inputs, ["rtmp://h/a?x=1&y=2", "b1", "b2"]);
        assert_eq!(parsed.fields, [("timeout".to_owned(), "5".to_owned())]);
    }

    #[test]
    fn the_scheme_may_be_followed_by_slashes_and_written_large() {
        for uri in [
            "failover:?primary=p",
            "failover://?primary=p",
            "FailOver:?primary=p",
        ] {
            assert_eq!(parse(uri).unwrap().inputs, ["p"], "{uri}");
        }
    }

    #[test]
    fn an_error_names_what_was_wrong() {
        for (uri, word) in [
            ("", "failover:?primary"),
            ("rtmp://h/a/b", "failover:?primary"),
            ("failover:", "failover:?primary"),
            ("failover:?", "needs primary"),
            ("failover:?backup=b", "needs primary"),
            ("failover:?primary=", "primary= is empty"),
            ("failover:?primary=a&backup=", "backup= is empty"),
            ("failover:?primary=a&primary=b", "twice"),
            ("failover:?primary=%ZZ", "percent-encoded"),
            ("failover:?primary=100%", "percent-encoded"),
            ("failover:?primary=%FF", "percent-encoded"),
        ] {
            let error = parse(uri).unwrap_err();
            assert!(error.contains(word), "{uri}: {error}");
        }
    }

    #[test]
    fn a_player_page_may_follow_the_scheme() {
        let page = "https://h:5443/live/play.html?id=p&playOrder=webrtc";
        assert_eq!(parse(&format!("failover:{page}")), parse(page));
        assert_eq!(parse(page).unwrap().inputs, ["amss://h:5443/live/p"]);
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".*") {
            let _ = parse(&text);
            let _ = parse(&format!("failover:?primary={text}"));
            for name in ["id", "name", "streamId"] {
                let _ = parse(&format!("https://h/a/play.html?{name}={text}"));
            }
        }
    }
}
