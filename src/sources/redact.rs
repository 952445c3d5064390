// SPDX-License-Identifier: MPL-2.0
//! What of a URI may be shown, and taking the rest out of any text.
//!
//! Works on plain text, so that a malformed URI keeps its secrets too. Owns no element and reads no
//! property.

const MASK: &str = "***";

/// Below this length a secret is only taken out where it stands as a word of its own: a password
/// `a` must not turn every message into stars.
const WORD_LENGTH: usize = 4;

/// The secrets of one description, ready to be taken out of any text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Secrets {
    /// Longest first, so that a secret that contains another one goes as a whole.
    needles: Vec<String>,
}

impl Secrets {
    pub(super) fn of_uri(uri: &str) -> Self {
        let mut secrets = Self::default();
        secrets.add_uri(uri);
        secrets
    }

    pub(super) fn add_uri(&mut self, uri: &str) {
        let parts = Parts::of(uri);
        for secret in parts.secrets() {
            self.add(secret);
        }
        // `failover:?primary=…`: a value is a URI with secrets of its own.
        for value in parts.query.split(['&', '=']) {
            let inner = unescape(value);
            if !Parts::of(&inner).scheme.is_empty() && inner.len() < uri.len() {
                self.add_uri(&inner);
            }
        }
    }

    /// Takes `secret` as it is and as it reads without percent escapes.
    pub(super) fn add(&mut self, secret: &str) {
        let plain = unescape(secret);
        for needle in [secret.to_string(), plain] {
            if !needle.is_empty() && needle != MASK && !self.needles.contains(&needle) {
                self.needles.push(needle);
            }
        }
        self.needles
            .sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    }

    pub(super) fn take_out_of(&self, text: &str) -> String {
        self.needles
            .iter()
            .fold(text.to_string(), |text, needle| mask(&text, needle))
    }
}

/// The URI without userinfo, query, fragment and RTMP stream key.
pub(super) fn shown_uri(uri: &str) -> String {
    let parts = Parts::of(uri);
    if parts.scheme.is_empty() {
        // Whatever this is, it may be a bare stream key.
        return "(not a URI)".to_string();
    }
    let path = match parts.stream_key() {
        Some(key) => {
            let kept = parts.path.trim_end_matches('/');
            format!("{}{MASK}", kept.strip_suffix(key).unwrap_or_default())
        }
        None => parts.path.to_string(),
    };
    format!("{}{}{}{path}", parts.scheme, parts.opening, parts.host)
}

/// The scheme in lower case, or nothing if there is none.
pub(super) fn scheme(uri: &str) -> String {
    Parts::of(uri)
        .scheme
        .trim_end_matches(':')
        .to_ascii_lowercase()
}

/// `host[:port]`, or nothing if there is none.
pub(super) fn host(uri: &str) -> &str {
    Parts::of(uri).host
}

/// The pieces of a URI as they are written.
#[derive(Default)]
struct Parts<'a> {
    /// With its colon.
    scheme: &'a str,
    /// `//` if there is an authority.
    opening: &'a str,
    userinfo: &'a str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, rest) = match uri.find(':') {
            Some(end) if is_scheme(&uri[..end]) => uri.split_at(end + 1),
            _ => return Self::without_scheme(uri),
        };
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let Some(rest) = rest.strip_prefix("//") else {
            return Self {
                scheme,
                path: rest,
                query,
                fragment,
                ..Self::default()
            };
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (userinfo, host, path) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (userinfo, host, path),
            // A password with an unescaped slash: all before the last `@` is userinfo.
            None => match rest.rsplit_once('@') {
                Some((userinfo, rest)) => {
                    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                    (userinfo, host, path)
                }
                None => ("", authority, path),
            },
        };
        Self {
            scheme,
            opening: "//",
            userinfo,
            host,
            path,
            query,
            fragment,
        }
    }

    /// Not a URI at all: every bit of it is secret.
    fn without_scheme(text: &'a str) -> Self {
        Self {
            query: text,
            ..Self::default()
        }
    }

    fn stream_key(&self) -> Option<&'a str> {
        let is_rtmp = self
            .scheme
            .get(..4)
            .is_some_and(|s| s.eq_ignore_ascii_case("rtmp"));
        let key = self.path.trim_end_matches('/').rsplit('/').next()?;
        (is_rtmp && !key.is_empty()).then_some(key)
    }

    fn secrets(&self) -> Vec<&'a str> {
        let mut secrets = vec![self.userinfo, self.query, self.fragment];
        secrets.extend(self.userinfo.split(':'));
        secrets.extend(self.stream_key());
        for parameter in self.query.split('&') {
            let value = parameter.split_once('=').map_or(parameter, |(_, v)| v);
            secrets.push(value);
            // `app?token=x/key`: some servers want the query before the stream key.
            secrets.extend(value.split('/'));
        }
        secrets
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// `%41` is `A`. What is no valid escape stays as it is.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digit = |at: usize| tail.get(at).and_then(|&b| char::from(b).to_digit(16));
        let (byte, after) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, &tail[2..]),
            _ => (first, tail),
        };
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn mask(text: &str, needle: &str) -> String {
    if needle.len() >= WORD_LENGTH {
        return text.replace(needle, MASK);
    }
    let is_word = |c: char| c.is_alphanumeric();
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for (start, _) in text.match_indices(needle) {
        let end = start + needle.len();
        let bounded = !text[..start].ends_with(is_word) && !text[end..].starts_with(is_word);
        if bounded {
            masked.push_str(&text[done..start]);
            masked.push_str(MASK);
            done = end;
        }
    }
    masked.push_str(&text[done..]);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_no_userinfo_query_or_stream_key() {
        for (uri, shown) in [
            ("rtmp://h:1935/live/s3cret", "rtmp://h:1935/live/***"),
            ("rtmp://h/app/inst/key?token=t", "rtmp://h/app/inst/***"),
            ("RTMPS://me:pw@h/live/key/", "RTMPS://h/live/***"),
            ("rtmp://me:p/w@h/live/key", "rtmp://h/live/***"),
            ("rtmp://h", "rtmp://h"),
            ("srt://h:9000?passphrase=0123456789", "srt://h:9000"),
            ("https://u:p@h/a/b.m3u8?t=1#x", "https://h/a/b.m3u8"),
            ("rtsp://u:p@[::1]:554/cam", "rtsp://[::1]:554/cam"),
            ("file:///tmp/a.mp4", "file:///tmp/a.mp4"),
            ("just-a-key", "(not a URI)"),
            ("", "(not a URI)"),
        ] {
            assert_eq!(shown_uri(uri), shown, "{uri}");
        }
    }

    #[test]
    fn secrets_vanish_from_text_that_repeats_them_in_any_form() {
        let uri = "rtmp://me:pass%20word@h/live/streamkey?token=abc123&x=yz";
        let secrets = Secrets::of_uri(uri);
        let text = format!(
            "cannot open {uri}: user me, 'pass word' or 'pass%20word' is wrong, \
             'streamkey' denied, token abc123, x is yz"
        );
        let redacted = secrets.take_out_of(&text);
        for secret in ["pass", "streamkey", "abc123", "yz", " me", "token=abc"] {
            assert!(!redacted.contains(secret), "{secret} in {redacted}");
        }
        assert!(redacted.contains("cannot open rtmp://***@h/live/***?***"));
        assert!(redacted.contains("denied"));
    }

    #[test]
    fn short_secrets_go_as_words_only() {
        let secrets = Secrets::of_uri("http://h/x?a=1");
        assert_eq!(secrets.take_out_of("code 1 of 11"), "code *** of 11");
    }

    #[test]
    fn a_query_before_the_stream_key_hides_both() {
        let secrets = Secrets::of_uri("rtmp://h/app?token=tttt/thekey");
        assert_eq!(secrets.take_out_of("tttt and thekey"), "*** and ***");
        assert_eq!(shown_uri("rtmp://h/app?token=tttt/thekey"), "rtmp://h/***");
    }

    #[test]
    fn a_configuration_in_one_uri_hides_what_its_inputs_hide() {
        let uri = "failover:?primary=rtmp%3A%2F%2Fh%2Flive%2Fthekey&backup=amss%3A%2F%2Fh%2Fa%2Fs%3Ftoken%3Djwt123%26subscriberCode%3Dcode77";
        assert_eq!(shown_uri(uri), "failover:");
        let secrets = Secrets::of_uri(uri);
        let text = format!("{uri}: rtmp://h/live/thekey, jwt123 and code77 refused at h");
        let redacted = secrets.take_out_of(&text);
        for secret in ["thekey", "jwt123", "code77"] {
            assert!(!redacted.contains(secret), "{secret} in {redacted}");
        }
        assert!(redacted.ends_with("refused at h"), "{redacted}");
    }

    #[test]
    fn ant_media_forms_show_stream_and_place_and_no_right_to_watch() {
        for (uri, shown) in [
            (
                "amss://h:5443/live/primary?token=jwt123&subscriberId=me77&subscriberCode=code77",
                "amss://h:5443/live/primary",
            ),
            (
                "https://h:5443/live/streams/primary.m3u8?token=jwt123&subscriberId=me77&subscriberCode=code77",
                "https://h:5443/live/streams/primary.m3u8",
            ),
            (
                "https://h:5443/live/play.html?id=primary&token=jwt123&subscriberId=me77&subscriberCode=code77",
                "https://h:5443/live/play.html",
            ),
        ] {
            assert_eq!(shown_uri(uri), shown);
            let redacted = Secrets::of_uri(uri)
                .take_out_of(&format!("{uri} {{\"token\":\"jwt123\"}} me77 code77"));
            for secret in ["jwt123", "me77", "code77"] {
                assert!(!redacted.contains(secret), "{secret} in {redacted}");
            }
        }
    }

    #[test]
    fn what_is_no_uri_is_secret_as_a_whole() {
        let secrets = Secrets::of_uri("my-stream-key");
        assert_eq!(secrets.take_out_of("bad: my-stream-key"), "bad: ***");
    }

    #[test]
    fn a_file_has_no_secrets() {
        assert_eq!(Secrets::of_uri("file:///tmp/a.mp4"), Secrets::default());
    }
}
