// SPDX-License-Identifier: MPL-2.0
//! PURE: a WHEP server's addresses, who may be sent the token, and what its refusals mean.

use url::Url;

use super::link;
use super::signalling::{Cause, IceServer, Response, Retry, quoted};
use super::target::Target;
use crate::escape::escaped;
use crate::redact::Secrets;

/// Longer locations are none.
const LONGEST_LOCATION: usize = 8 * 1024;

/// Longer entity tags are none.
const LONGEST_ETAG: usize = 256;

/// Shorter names in a path are words.
const SHORTEST_TICKET: usize = 12;

/// The endpoint as it was given, and where redirects have led.
pub(super) struct Server {
    given: Url,
    endpoint: Url,
    token: Option<String>,
    headers: Vec<(String, String)>,
    /// Ours, and what this server has told us alone.
    secrets: Secrets,
}

/// Something at the server: a session with its version, or the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionUrl {
    pub(super) url: Url,
    pub(super) etag: Option<String>,
    /// The session has no address of its own: its ETag tells it from the others at the endpoint.
    is_shared: bool,
}

impl SessionUrl {
    /// What a request must not reach another session without.
    pub(super) fn if_match(&self) -> Option<&str> {
        self.etag.as_deref().filter(|_| self.is_shared)
    }

    /// Where the session can be ended; each of them names this session and no other.
    pub(super) fn ends(&self) -> Vec<Self> {
        // First the name below the endpoint (Ant Media), which means nothing else anywhere. Then the endpoint, on the
        // condition of the ETag: what is created and has no Location is at the request's own URL (RFC 9110, 15.3.2).
        let below = self.if_match().map(|etag| Self {
            url: below(&self.url, etag),
            ..self.clone()
        });
        below.into_iter().chain([self.clone()]).collect()
    }
}

/// The address of a session below its endpoint. It keeps the query, which may say who asks.
fn below(endpoint: &Url, etag: &str) -> Url {
    // No name climbs: `..` has no letter in it, and a slash is escaped.
    let name = escaped(name_in(etag));
    let path = endpoint.path().trim_end_matches('/');
    let mut url = endpoint.clone();
    url.set_path(&format!("{path}/{name}"));
    url
}

/// Some servers write their names without the quotes.
fn name_in(etag: &str) -> &str {
    etag.trim_matches('"')
}

/// Whether an ETag can name a session: a strong one. `*` is every session. Frameworks give each answer a weak one (`W/`), made
/// of its body.
fn names_a_session(etag: &str) -> bool {
    let is_visible = etag.bytes().all(|byte| byte.is_ascii_graphic());
    let has_a_word = name_in(etag).bytes().any(|b| b.is_ascii_alphanumeric());
    let start = etag.get(..2).unwrap_or_default();
    is_visible && has_a_word && !start.eq_ignore_ascii_case("W/")
}

pub(super) struct Refusal {
    pub(super) cause: Cause,
    pub(super) text: String,
    pub(super) retry: Retry,
}

impl Server {
    pub(super) fn of(target: &Target) -> Result<Self, String> {
        let uri = target.uri.trim();
        let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
        let http = match scheme.to_ascii_lowercase().as_str() {
            "whep" => "http",
            _ => "https",
        };
        let Some(authority) = rest.strip_prefix("//") else {
            return Err("write it as whep://host:port/path".to_owned());
        };
        // The parser would take the first word of the path for the host.
        if authority.starts_with(['/', '\\']) {
            return Err("it has no host".to_owned());
        }
        let url = Url::parse(&format!("{http}:{rest}")).map_err(|error| error.to_string())?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err("it has no host".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user or password in it is not used: set auth-token".to_owned());
        }
        Ok(Self {
            given: url.clone(),
            endpoint: url,
            token: target.token.clone().filter(|token| !token.is_empty()),
            headers: target.headers.clone(),
            secrets: target.secrets(),
        })
    }

    pub(super) fn endpoint(&self) -> SessionUrl {
        SessionUrl {
            url: self.endpoint.clone(),
            etag: None,
            is_shared: false,
        }
    }

    /// Host and port, for people.
    pub(super) fn shown(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        match self.endpoint.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// A server may repeat what it was told.
    pub(super) fn hide(&self, text: &str) -> String {
        self.secrets.take_out_of(text)
    }

    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// The user's headers and token, for the server that they are meant for and for no other.
    pub(super) fn headers_for(&self, to: &SessionUrl) -> Vec<(String, String)> {
        if to.url.origin() != self.given.origin() {
            return Vec::new();
        }
        let mut headers = self.headers.clone();
        let has_own = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        if let (Some(token), false) = (&self.token, has_own) {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        headers
    }

    pub(super) fn redirect(&mut self, location: Option<&str>) -> Result<(), String> {
        let to = self
            .resolve(location)
            .ok_or("the server redirects to nowhere (no usable Location)")?;
        self.keep_secret(&to);
        self.endpoint = to;
        Ok(())
    }

    /// Where the session is, if the server says so in a usable way: by an address of its own (Location), else by its ETag.
    pub(super) fn session(&mut self, response: &Response) -> Option<SessionUrl> {
        let etag = response.header("etag");
        let etag = etag.filter(|etag| etag.len() <= LONGEST_ETAG);
        let own = self.resolve(response.header("location"));
        if let Some(url) = own.filter(|url| *url != self.endpoint) {
            self.keep_secret(&url);
            return Some(SessionUrl {
                url,
                etag: etag.map(str::to_owned),
                is_shared: false,
            });
        }
        let etag = etag.filter(|etag| names_a_session(etag))?;
        if name_in(etag).len() >= SHORTEST_TICKET {
            self.secrets.add_whole(name_in(etag));
        }
        Some(SessionUrl {
            etag: Some(etag.to_owned()),
            is_shared: true,
            ..self.endpoint()
        })
    }

    /// What is to be said of a server that names no session.
    pub(super) fn names_none(&self) -> String {
        format!(
            "{} names no session (no usable Location, no strong ETag): it cannot be told when the session ends \
             and has to notice that by itself",
            self.shown()
        )
    }

    /// Who knows such a name, or its token, may end the session.
    fn keep_secret(&mut self, url: &Url) {
        self.secrets.add_uri(url.as_str());
        let names = url.path().split('/');
        for name in names.filter(|name| name.len() >= SHORTEST_TICKET) {
            self.secrets.add_whole(name);
        }
    }

    pub(super) fn keep_servers_secret(&mut self, servers: &[IceServer]) {
        servers
            .iter()
            .for_each(|server| server.add_to(&mut self.secrets));
    }

    /// Never from a secure connection to one that is not, and never as somebody else.
    fn resolve(&self, location: Option<&str>) -> Option<Url> {
        let location = location.filter(|l| !l.is_empty() && l.len() <= LONGEST_LOCATION)?;
        let url = self.endpoint.join(location).ok()?;
        let is_safe =
            url.scheme() == "https" || (url.scheme() == "http" && self.endpoint.scheme() == "http");
        let is_whole = url.host_str().is_some_and(|host| !host.is_empty());
        let is_nobodys = url.username().is_empty() && url.password().is_none();
        (is_safe && is_whole && is_nobodys).then_some(url)
    }
}

/// What a refusal means: in words, and for the next attempt.
pub(super) fn classify(response: &Response, server: &Server) -> Refusal {
    let whom = server.shown();
    let status = response.status;
    let wait = response.header("retry-after").map(link::retry_after);
    let later = wait.map_or(Retry::Soon, Retry::Later);
    // What only another token or setting can change is not asked for again, unless it is asked to be.
    let final_word = wait.map_or(Retry::Never, Retry::Later);
    let (cause, text, retry) = match status {
        401 | 403 if server.has_token() => (
            Cause::Unauthorized,
            format!("{whom} refuses the token ({status}): set another auth-token"),
            final_word,
        ),
        401 | 403 => (
            Cause::Unauthorized,
            format!("{whom} lets nobody in without a token ({status}): set auth-token"),
            final_word,
        ),
        404 | 410 => (
            Cause::NotFound,
            format!(
                "{whom} has no such stream ({status}): check the path, or wait for its publisher"
            ),
            later,
        ),
        409 => (
            Cause::NotFound,
            format!("{whom} does not have the stream at the moment (409)"),
            later,
        ),
        405 | 501 => (
            Cause::Refused,
            format!("{whom} does not speak WHEP at this path ({status}): check the URI"),
            later,
        ),
        406 | 415 | 422 | 400 => (
            Cause::Incompatible,
            format!(
                "{whom} does not accept the offer ({status}){}",
                said(response, server)
            ),
            later,
        ),
        429 | 503 => (
            Cause::Busy,
            format!("{whom} is busy ({status}){}", said(response, server)),
            later,
        ),
        _ => (
            Cause::Refused,
            format!(
                "{whom} answers with status {status}{}",
                said(response, server)
            ),
            later,
        ),
    };
    Refusal { cause, text, retry }
}

/// The server's own words, where they are words. Hidden before they are shortened: half a token is
/// still one.
fn said(response: &Response, server: &Server) -> String {
    let body = response.body.trim();
    let is_page = body.starts_with('<') || body.is_empty();
    match is_page {
        true => String::new(),
        false => format!(": {}", quoted(&server.hide(body))),
    }
}
