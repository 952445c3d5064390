// SPDX-License-Identifier: MPL-2.0
//! PURE: `ams://host:port/app/stream?token=…` taken apart: where the server's socket is, which stream
//! is asked for, and who asks.

use percent_encoding::percent_decode_str;
use url::Url;

use crate::escape::escaped;
use crate::redact::Secrets;

/// Where Ant Media listens without being told otherwise.
const PORT: u16 = 5080;
const SECURE_PORT: u16 = 5443;

const FORM: &str = "write it as ams://HOST[:5080]/APP/STREAM or amss://HOST[:5443]/APP/STREAM";

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// The server's WebSocket.
    pub(crate) socket: String,
    pub(crate) stream: String,
    pub(crate) token: String,
    pub(crate) subscriber: String,
    pub(crate) code: String,
    /// As it may be shown: without who asks.
    pub(crate) shown: String,
}

impl Address {
    pub(crate) fn parse(uri: &str) -> Result<Self, String> {
        let url = Url::parse(uri).map_err(|error| format!("{error}: {FORM}"))?;
        let (scheme, default) = match url.scheme() {
            "ams" => ("ws", PORT),
            "amss" => ("wss", SECURE_PORT),
            _ => return Err(FORM.to_owned()),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| format!("it has no host: {FORM}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(
                "it names a user: who may watch is said by ?token= or ?subscriberId=".into(),
            );
        }
        let port = url.port().unwrap_or(default);
        let (app, stream) = names(url.path())?;
        let folders: Vec<_> = app.split('/').map(escaped).collect();
        let mut address = Self {
            socket: format!(
                "{scheme}://{host}:{port}/{}/websocket?target=edge",
                folders.join("/")
            ),
            shown: format!(
                "{}://{host}:{port}/{}/{}",
                url.scheme(),
                escaped(&app),
                escaped(&stream)
            ),
            stream,
            token: String::new(),
            subscriber: String::new(),
            code: String::new(),
        };
        address.take_query(url.query().unwrap_or_default())?;
        Ok(address)
    }

    /// What no message may show.
    pub(super) fn add_to(&self, secrets: &mut Secrets) {
        [&self.token, &self.code]
            .into_iter()
            .for_each(|text| secrets.add(text));
    }

    fn take_query(&mut self, query: &str) -> Result<(), String> {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value)?;
            match key {
                "token" => self.token = value,
                "subscriberId" => self.subscriber = value,
                "subscriberCode" => self.code = value,
                // A key that is not known may be a misspelt one with a secret behind it.
                _ => return Err(
                    "its query has something other than token=, subscriberId= and subscriberCode="
                        .to_owned(),
                ),
            }
        }
        Ok(())
    }
}

/// Application and stream. The first name is the application (`%2F` in it makes it a path); over
/// WebRTC a stream is known by the last name of the rest.
fn names(path: &str) -> Result<(String, String), String> {
    let path = path.trim_start_matches('/');
    let (app, rest) = path.split_once('/').unwrap_or((path, ""));
    let (app, rest) = (decoded(app)?, decoded(rest)?);
    let app = app.trim_matches('/').to_owned();
    if app.is_empty() {
        return Err(format!("it names no application: {FORM}"));
    }
    let stream = rest.rsplit('/').next().unwrap_or_default();
    if stream.is_empty() {
        return Err(format!("it names no stream: {FORM}"));
    }
    Ok((app, stream.to_owned()))
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    let decoded = decoded.map_err(|_| "an escape in it is no text (UTF-8)".to_owned())?;
    if decoded.chars().any(char::is_control) {
        return Err("there is a control character in it".to_owned());
    }
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_socket_stands_beside_the_application() {
        for (uri, socket, stream) in [
            (
                "ams://h/live/p",
                "ws://h:5080/live/websocket?target=edge",
                "p",
            ),
            (
                "amss://h/live/p",
                "wss://h:5443/live/websocket?target=edge",
                "p",
            ),
            (
                "AMSS://h:443/live/p",
                "wss://h:443/live/websocket?target=edge",
                "p",
            ),
            (
                "ams://[::1]:81/live/p",
                "ws://[::1]:81/live/websocket?target=edge",
                "p",
            ),
            (
                "ams://h/live/room/p",
                "ws://h:5080/live/websocket?target=edge",
                "p",
            ),
            (
                "ams://h/live/room%2Fp",
                "ws://h:5080/live/websocket?target=edge",
                "p",
            ),
            (
                "ams://h/a%2Flive/p",
                "ws://h:5080/a/live/websocket?target=edge",
                "p",
            ),
            (
                "ams://h/my%20app/p%C3%A4",
                "ws://h:5080/my%20app/websocket?target=edge",
                "pä",
            ),
        ] {
            let address = Address::parse(uri).unwrap_or_else(|error| panic!("{uri}: {error}"));
            assert_eq!(
                (address.socket.as_str(), address.stream.as_str()),
                (socket, stream)
            );
        }
    }

    #[test]
    fn who_asks_is_kept_and_not_shown() {
        let uri = "amss://h/live/p?token=a%26b&subscriberId=me&subscriberCode=7%2B7";
        let address = Address::parse(uri).unwrap();
        assert_eq!(
            (address.token.as_str(), address.subscriber.as_str()),
            ("a&b", "me")
        );
        assert_eq!(address.code, "7+7");
        assert_eq!(address.shown, "amss://h:5443/live/p");
    }

    #[test]
    fn an_error_names_what_was_wrong() {
        for (uri, word) in [
            ("", "ams://HOST"),
            ("ams", "ams://HOST"),
            ("ams://", "no host"),
            ("ams:///live/p", "no host"),
            ("ams://h", "no application"),
            ("ams://h/", "no application"),
            ("ams://h/live", "no stream"),
            ("ams://h/live/", "no stream"),
            ("ams://h/live/x/", "no stream"),
            ("ams://h:port/live/p", "port"),
            ("ams://h:99999/live/p", "port"),
            ("ams://me:s3cret@h/live/p", "names a user"),
            ("ams://h/live/p?tokn=s3cret", "other than token="),
            ("ams://h/live/p?token=%FFs3cret", "no text"),
            ("ams://h/live/p%0A", "control character"),
            ("https://h/live/p", "ams://HOST"),
        ] {
            let Err(error) = Address::parse(uri) else {
                panic!("{uri} is taken");
            };
            assert!(error.contains(word), "{uri}: {error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".*") {
            let _ = Address::parse(&text);
            let _ = Address::parse(&format!("ams://h/{text}"));
            let _ = Address::parse(&format!("ams://h/a/b?{text}"));
        }
    }
}
