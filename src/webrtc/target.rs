// SPDX-License-Identifier: MPL-2.0
//! PURE: what a session is to play: the URI, checked, with what goes with it. Picks the protocol.

use super::ams::Ams;
use super::signalling::Protocol;
use super::whep::Whep;
use crate::redact::Secrets;

/// The schemes that can be played.
pub(crate) const SCHEMES: [&str; 4] = ["whep", "wheps", "ams", "amss"];

/// Longer URIs and header values than any server takes.
const LONGEST: usize = 8 * 1024;

/// What to play, and as whom.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) uri: String,
    pub(crate) token: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
}

impl Target {
    /// The protocol of this URI; else what is wrong with it, for people.
    pub(crate) fn protocol(&self) -> Result<Box<dyn Protocol>, String> {
        if self.uri.len() > LONGEST {
            return Err("the URI is too long".to_owned());
        }
        self.headers.iter().try_for_each(check_header)?;
        if let Some(token) = &self.token {
            check_header(&("auth-token".to_owned(), token.clone()))?;
        }
        match scheme(&self.uri).as_str() {
            "whep" | "wheps" => Ok(Box::new(Whep::new(self)?)),
            "ams" | "amss" => Ok(Box::new(Ams::new(self)?)),
            "" => Err("no URI is set: write whep://host/path or ams://host/app/stream".to_owned()),
            // What stands before a colon may be a user, and a password behind it.
            _ => Err(format!(
                "its scheme is no scheme that webrtcplaysrc plays ({})",
                SCHEMES.join(", ")
            )),
        }
    }
}

impl Target {
    /// What no message may show: the token, and what else may open a door at the server.
    pub(crate) fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::of_uri(&self.uri);
        let values = self.headers.iter().map(|(_, value)| value);
        values
            .chain(&self.token)
            .for_each(|value| secrets.add(value));
        secrets
    }

    /// What the ICE agent must be told to use: the loopback addresses, when the server is on one.
    pub(crate) fn own_addresses(&self) -> Vec<&'static str> {
        let (_, rest) = self.uri.split_once("://").unwrap_or_default();
        let url = url::Url::parse(&format!("http://{rest}")).ok();
        match url.as_ref().and_then(url::Url::host) {
            Some(url::Host::Ipv4(ip)) if ip.is_loopback() => vec!["127.0.0.1"],
            Some(url::Host::Ipv6(ip)) if ip.is_loopback() => vec!["::1"],
            Some(url::Host::Domain(name)) if name.eq_ignore_ascii_case("localhost") => {
                vec!["127.0.0.1", "::1"]
            }
            _ => Vec::new(),
        }
    }
}

/// In lower case; empty when there is none.
pub(crate) fn scheme(uri: &str) -> String {
    let scheme = uri.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.to_ascii_lowercase()
}

/// A header is one line of visible characters.
fn check_header((name, value): &(String, String)) -> Result<(), String> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        return Err("a name in extra-headers is no name of an HTTP header".to_owned());
    }
    let visible = |c: char| (' '..='~').contains(&c);
    if value.len() > LONGEST || !value.chars().all(visible) {
        return Err(format!("{name} has characters that no HTTP header has"));
    }
    Ok(())
}
