// SPDX-License-Identifier: MPL-2.0
//! PURE: ICE servers as browsers write them, and as webrtcbin wants them.

use super::signalling::IceServer;
use crate::escape::escaped;

/// `turn:host:port?transport=udp` with its user becomes `turn://user:credential@host:port?transport=udp`.
/// `None`: not usable.
pub(super) fn uri(server: &IceServer) -> Option<String> {
    let (scheme, rest) = server.url.split_once(':')?;
    let rest = rest.trim_start_matches('/');
    let visible = rest.chars().all(|c| c.is_ascii_graphic() && c != '@');
    if rest.is_empty() || !visible {
        return None;
    }
    match scheme.to_ascii_lowercase().as_str() {
        "stun" => Some(format!("stun://{rest}")),
        scheme @ ("turn" | "turns") => {
            let user = escaped(server.username.as_deref()?);
            let credential = escaped(server.credential.as_deref()?);
            Some(format!("{scheme}://{user}:{credential}@{rest}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_server_gets_its_user_into_the_uri() {
        let server = |url: &str, user: Option<&str>| IceServer {
            url: url.to_owned(),
            username: user.map(str::to_owned),
            credential: user.map(|_| "p@:/".to_owned()),
        };
        for (url, user, expected) in [
            (
                "turn:h:1?transport=tcp",
                Some("u:1"),
                Some("turn://u%3A1:p%40%3A%2F@h:1?transport=tcp"),
            ),
            ("TURNS:h", Some("u"), Some("turns://u:p%40%3A%2F@h")),
            ("stun:h:3478", None, Some("stun://h:3478")),
            ("stun://h", None, Some("stun://h")),
            ("turn:h", None, None),
            ("stun:", None, None),
            ("stun:a b", None, None),
            ("http://h", None, None),
            ("h", None, None),
        ] {
            assert_eq!(uri(&server(url, user)).as_deref(), expected, "{url}");
        }
    }
}
