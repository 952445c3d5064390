// SPDX-License-Identifier: MPL-2.0
//! PURE: headers of a WHEP server that have a grammar of their own: Link and Retry-After.

use std::time::Duration;

use super::signalling::IceServer;

/// More of them help nobody.
const MOST_SERVERS: usize = 8;
const LONGEST_VALUE: usize = 1024;
/// A server may ask for patience, not for good-bye.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// It says when by the calendar, or unreadably.
const USUAL_WAIT: Duration = Duration::from_secs(10);

/// `<turn:host?transport=udp>; rel="ice-server"; username="u"; credential="c"`, several in a header or
/// a header for each. What is none is passed over.
pub(crate) fn ice_servers<'a>(headers: impl Iterator<Item = &'a str>) -> Vec<IceServer> {
    let links = headers.flat_map(|header| split(header, ','));
    links.filter_map(ice_server).take(MOST_SERVERS).collect()
}

fn ice_server(link: &str) -> Option<IceServer> {
    let mut parts = split(link, ';').into_iter();
    let target = parts.next()?.trim();
    let url = target.strip_prefix('<')?.strip_suffix('>')?.trim();
    let mut is_ice_server = false;
    let (mut username, mut credential) = (None, None);
    for part in parts {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let value = unquoted(value.trim());
        match name.trim().to_ascii_lowercase().as_str() {
            "rel" => is_ice_server = value.split_whitespace().any(|rel| rel == "ice-server"),
            "username" => username = Some(value),
            "credential" => credential = Some(value),
            _ => (),
        }
    }
    let scheme = url.split_once(':')?.0.to_ascii_lowercase();
    let is_known = matches!(scheme.as_str(), "stun" | "stuns" | "turn" | "turns");
    let short = |text: &Option<String>| text.as_ref().is_none_or(|t| t.len() <= LONGEST_VALUE);
    let fits = url.len() <= LONGEST_VALUE && short(&username) && short(&credential);
    (is_ice_server && is_known && fits).then(|| IceServer {
        url: url.to_owned(),
        username,
        credential,
    })
}

/// At a separator that stands neither in quotes nor in angle brackets.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    text.split(|c: char| {
        let was_escaped = std::mem::take(&mut escaped);
        match c {
            '\\' if quoted && !was_escaped => escaped = true,
            '"' if !was_escaped && !bracketed => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => (),
        }
        c == separator && !quoted && !bracketed
    })
    .collect()
}

fn unquoted(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let Some(inner) = inner else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

/// How long the server wants not to be asked, within reason.
pub(crate) fn retry_after(header: &str) -> Duration {
    match header.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds).min(LONGEST_WAIT),
        Err(_)
            if header.trim().chars().all(|c| c.is_ascii_digit()) && !header.trim().is_empty() =>
        {
            LONGEST_WAIT
        }
        Err(_) => USUAL_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(header: &str) -> Vec<(String, Option<String>, Option<String>)> {
        let servers = ice_servers([header].into_iter());
        let plain = |s: IceServer| (s.url, s.username, s.credential);
        servers.into_iter().map(plain).collect()
    }

    #[test]
    fn ice_servers_are_read_from_links() {
        let link = r#"<stun:stun.example.net>; rel="ice-server", <turn:t.example.net?transport=udp>; rel=ice-server; username="a,b;c"; credential="q\"x"; credential-type="password""#;
        let turn = (
            "turn:t.example.net?transport=udp".to_owned(),
            Some("a,b;c".to_owned()),
            Some("q\"x".to_owned()),
        );
        let stun = ("stun:stun.example.net".to_owned(), None, None);
        assert_eq!(servers(link), [stun, turn]);
    }

    #[test]
    fn other_links_are_passed_over() {
        for link in [
            r#"<https://h/x>; rel="ice-server""#,
            r#"<stun:h>; rel="next""#,
            "stun:h; rel=ice-server",
            "<stun:h",
            "<>;rel=ice-server",
            "",
            ",;,\"<",
        ] {
            assert_eq!(servers(link), [], "{link}");
        }
    }

    #[test]
    fn a_server_cannot_ask_for_more_patience_than_a_minute() {
        for (header, seconds) in [
            ("2", 2),
            (" 0 ", 0),
            ("86400", 60),
            ("99999999999999999999999999", 60),
            ("Wed, 21 Oct 2026 07:28:00 GMT", 10),
            ("-1", 10),
            ("", 10),
        ] {
            assert_eq!(
                retry_after(header),
                Duration::from_secs(seconds),
                "{header}"
            );
        }
    }
}
