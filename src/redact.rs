// SPDX-License-Identifier: MPL-2.0
//! PURE: what of a URI may be shown, and taking the rest out of any text.
//!
//! Works on plain text, so that a malformed URI keeps its secrets too. Where it is not clear what a part of a
//! URI is, it counts as a secret: a URI that shows too little is a nuisance, one that shows a password is not.
//! Owns no element and reads no property.

use std::collections::BTreeSet;

const MASK: &str = "***";

/// Below this length a secret is only taken out where it stands as a word of its own: a password
/// `a` must not turn every message into stars.
const WORD_LENGTH: usize = 4;

/// What a text may be escaped over and over: a URI in a query, in a structure, in a structure.
const DEEPEST: usize = 3;

/// More of them are in no URI that anybody typed.
const MOST_ENDS: usize = 8;

/// Names of parameters that errors speak of, and that nobody takes for a password.
const KEYS: [&str; 24] = [
    "backup",
    "channel",
    "key",
    "latency",
    "mode",
    "name",
    "passphrase",
    "password",
    "pbkeylen",
    "primary",
    "slate",
    "standby",
    "streamid",
    "subscribercode",
    "subscriberid",
    "subtype",
    "timeout",
    "token",
    "transport",
    "uri",
    "url",
    "user",
    "username",
    "video",
];

/// The secrets of one description, ready to be taken out of any text.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Secrets {
    /// In lower case: a server may spell a name as it likes.
    needles: BTreeSet<Vec<u8>>,
}

impl Secrets {
    pub(crate) fn of_uri(uri: &str) -> Self {
        let mut secrets = Self::default();
        secrets.add_uri(uri);
        secrets
    }

    pub(crate) fn add_uri(&mut self, uri: &str) {
        self.add_nested(uri, DEEPEST);
    }

    fn add_nested(&mut self, uri: &str, depth: usize) {
        let parts = Parts::of(uri);
        parts
            .secrets()
            .into_iter()
            .for_each(|secret| self.add(secret));
        self.add_query(parts.query);
        // A `#` in a value of a query.
        self.add_query(parts.fragment);
        // `failover:?primary=…`: a value is a URI with secrets of its own.
        for value in parts.query.split(['&', '=']) {
            let inner = String::from_utf8_lossy(&unescape(value.as_bytes())).into_owned();
            if depth > 0 && !Parts::of(&inner).scheme.is_empty() {
                self.add_nested(&inner, depth - 1);
            }
        }
    }

    fn add_query(&mut self, query: &str) {
        self.add_whole(query);
        for parameter in query.split(['&', ';']) {
            let (key, value) = parameter.split_once('=').unwrap_or(("", parameter));
            if !KEYS.contains(&key.to_ascii_lowercase().as_str()) {
                self.add(key);
            }
            self.add(value);
            // `app?token=x/key`: some servers want the query before the stream key.
            for part in value.split('/') {
                self.add_whole(part);
            }
        }
    }

    pub(crate) fn add_all(&mut self, other: Self) {
        self.needles.extend(other.needles);
    }

    /// Takes `secret` and each piece of it: others cut it where they see a separator.
    pub(crate) fn add(&mut self, secret: &str) {
        let between = |separators: &'static [u8]| move |byte: &u8| separators.contains(byte);
        let is_reserved = |byte: &u8| byte.is_ascii() && !is_word(*byte) && !b"-._~".contains(byte);
        // Letters of other scripts are escaped by one and left as they are by another.
        let is_not_plain = |byte: &u8| !byte.is_ascii_alphanumeric();
        for text in self.add_whole(secret) {
            let pieces = text
                .split(between(b"#?/@:"))
                .chain(text.split(between(b"#?/@:&=;+ ")))
                .chain(text.split(between(b"#?/@:&=;+ %")))
                .chain(text.split(is_reserved))
                .chain(text.split(|byte| !is_word(*byte)))
                .chain(text.split(is_not_plain));
            // A single letter is nobody's secret.
            for piece in pieces.filter(|piece| piece.len() > 1) {
                self.add_needle(piece);
            }
        }
    }

    /// As it is and as it reads without percent escapes, which may stand for escapes.
    pub(crate) fn add_whole(&mut self, secret: &str) -> [Vec<u8>; 3] {
        let plain = unescape(secret.as_bytes());
        let plainer = unescape(&plain);
        let readings = [secret.as_bytes().to_vec(), plain, plainer];
        readings.iter().for_each(|text| self.add_needle(text));
        readings
    }

    fn add_needle(&mut self, needle: &[u8]) {
        let can_be_found = match needle.len() {
            0..WORD_LENGTH => needle.iter().any(|byte| is_word(*byte)),
            _ => needle.iter().any(|byte| *byte != b'*'),
        };
        if can_be_found && !needle.is_empty() {
            let lower = String::from_utf8_lossy(needle).to_lowercase();
            self.needles.insert(lower.into_bytes());
            self.needles.insert(needle.to_ascii_lowercase());
        }
    }

    /// The text without the secrets, in whatever way it spells them, and without what other addresses in it hold.
    pub(crate) fn take_out_of(&self, text: &str) -> String {
        let mut hidden = vec![false; text.len()];
        self.look_for(&Spelling::of(text), DEEPEST, &mut hidden);
        let mut masked = String::with_capacity(text.len());
        let mut was_hidden = false;
        for (start, letter) in text.char_indices() {
            let bytes = hidden.iter().skip(start).take(letter.len_utf8());
            let is_hidden = bytes.into_iter().any(|hidden| *hidden);
            match is_hidden {
                true if !was_hidden => masked.push_str(MASK),
                true => (),
                false => masked.push(letter),
            }
            was_hidden = is_hidden;
        }
        show_addresses(&masked)
    }

    fn look_for(&self, text: &Spelling, depth: usize, hidden: &mut [bool]) {
        self.needles
            .iter()
            .for_each(|needle| text.hide(needle, hidden));
        if depth > 0 {
            let plainer = [text.without(percent_escape), text.without(backslash_escape)];
            for plainer in plainer.into_iter().flatten() {
                self.look_for(&plainer, depth - 1, hidden);
            }
        }
    }
}

/// How many, and no more.
impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} secrets", self.needles.len())
    }
}

/// The URI without userinfo, query, fragment and RTMP stream key.
pub(crate) fn shown_uri(uri: &str) -> String {
    let parts = Parts::of(uri);
    if parts.scheme.is_empty() {
        // Whatever this is, it may be a bare stream key.
        return "(not a URI)".to_owned();
    }
    let Parts {
        scheme, opening, ..
    } = parts;
    if parts.is_unclear {
        return format!("{scheme}{opening}{MASK}");
    }
    let host = match parts.odd_port() {
        Some(port) => format!(
            "{}{MASK}",
            parts.host.strip_suffix(port).unwrap_or_default()
        ),
        None => parts.host.to_owned(),
    };
    let path = match parts.stream_key() {
        Some(_) => parts.path.trim_end_matches('/'),
        None => parts.path,
    };
    let last = path.split('/').count().saturating_sub(1);
    let names = path.split('/').enumerate().map(|(index, name)| {
        let is_key = index == last && parts.stream_key().is_some();
        if is_key || parts.is_parameter(name) {
            MASK
        } else {
            name
        }
    });
    let path: Vec<_> = names.collect();
    format!("{scheme}{opening}{host}{}", path.join("/"))
}

/// The scheme in lower case, or nothing if there is none.
pub(crate) fn scheme(uri: &str) -> String {
    Parts::of(uri)
        .scheme
        .trim_end_matches(':')
        .to_ascii_lowercase()
}

/// `host[:port]`, or nothing if there is none.
pub(crate) fn host(uri: &str) -> &str {
    Parts::of(uri).host
}

/// The pieces of a URI as they are written.
#[derive(Default)]
struct Parts<'a> {
    /// With its colon.
    scheme: &'a str,
    /// `//` if there is an authority.
    opening: &'a str,
    /// There is a way to read it in which no part of it may be shown.
    is_unclear: bool,
    userinfo: &'a str,
    host: &'a str,
    path: &'a str,
    query: &'a str,
    fragment: &'a str,
    /// All behind the opening.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    fn of(uri: &'a str) -> Self {
        let (scheme, all) = match uri.find(':') {
            Some(end) if is_scheme(&uri[..end]) => uri.split_at(end + 1),
            _ => return Self::without_scheme(uri),
        };
        let (rest, fragment) = all.split_once('#').unwrap_or((all, ""));
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let parts = Self {
            scheme,
            query,
            fragment,
            ..Self::default()
        };
        let Some(rest) = rest.strip_prefix("//") else {
            // `user:password@host` has no scheme, though it looks like it.
            return match all.contains('@') {
                true => Self::without_scheme(uri),
                false => Self {
                    path: rest,
                    ..parts
                },
            };
        };
        let end_of = |text: &str| text.find('/').unwrap_or(text.len());
        // A password may have an unescaped slash: all before the last `@` is userinfo.
        let (userinfo, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (host, path) = rest.split_at(end_of(rest));
        let parts = Self {
            opening: "//",
            userinfo,
            host,
            path,
            rest: &all[2..],
            ..parts
        };
        Self {
            is_unclear: parts.may_be_all_secret(),
            ..parts
        }
    }

    /// Whether what would be shown as the host may be something else that is secret: an `@` in a query, in the
    /// parameters of a path, in a stream key; or a user, with a password in the place of a port.
    fn may_be_all_secret(&self) -> bool {
        let is_key = self.is_of("rtmp") && self.path.trim_end_matches('/').is_empty();
        let name_before = self.userinfo.rsplit_once('/').map(|(_, name)| name);
        let is_secret_name =
            |name: &str| is_key || [name, self.host].iter().any(|part| self.is_parameter(part));
        [self.query, self.fragment]
            .iter()
            .any(|part| part.contains('@'))
            || name_before.is_some_and(is_secret_name)
            // No host has an `@`, escaped or not.
            || self.host.contains("%40")
            || self.userinfo.is_empty() && self.odd_port().is_some()
    }

    /// Not a URI at all: every bit of it is secret.
    fn without_scheme(text: &'a str) -> Self {
        Self {
            rest: text,
            is_unclear: true,
            ..Self::default()
        }
    }

    fn is_of(&self, schemes: &str) -> bool {
        let start = self.scheme.get(..schemes.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(schemes))
    }

    fn stream_key(&self) -> Option<&'a str> {
        let key = self.path.trim_end_matches('/').rsplit('/').next()?;
        (self.is_of("rtmp") && !key.is_empty()).then_some(key)
    }

    /// What stands in the place of a port and is none.
    fn odd_port(&self) -> Option<&'a str> {
        let (_, port) = self.host.rsplit_once(':')?;
        let is_odd = !port.ends_with(']') && port.parse::<u16>().is_err();
        (is_odd && !port.is_empty()).then_some(port)
    }

    /// `/user=me&password=pw/`, `/hdnts=…/`: cameras and networks have parameters in their paths.
    fn is_parameter(&self, name: &str) -> bool {
        name.contains('=') && !self.is_of("file:")
    }

    /// All but those of the query and the fragment.
    fn secrets(&self) -> Vec<&'a str> {
        let mut secrets = vec![self.userinfo];
        secrets.extend(self.stream_key());
        secrets.extend(self.odd_port());
        secrets.extend(self.path.split('/').filter(|name| self.is_parameter(name)));
        secrets.extend(self.is_unclear.then_some(self.rest));
        // Each `@` may be the end of a userinfo, whatever is before it.
        let ends = self.rest.rmatch_indices('@').take(MOST_ENDS);
        let userinfos = ends.filter_map(|(end, _)| self.rest.get(..end));
        for userinfo in userinfos.chain([self.userinfo]) {
            secrets.extend(userinfo.split(':'));
            // Nor is it clear which colon ends the user's name.
            let colons = userinfo.match_indices(':').take(MOST_ENDS);
            let either_side = colons.map(|(at, _)| [&userinfo[..at], &userinfo[at + 1..]]);
            secrets.extend(either_side.flatten());
        }
        secrets
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_of_scheme)
}

fn is_of_scheme(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '+' | '-' | '.')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii()
}

/// The text with each address in it as it may be shown: not ours, but those that a server led to.
fn show_addresses(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(middle) = rest.find("://") {
        let (before, after) = rest.split_at(middle);
        let start = before.trim_end_matches(is_of_scheme).len();
        let is_end = |c: char| c.is_whitespace() || c.is_control() || "\"'<>`".contains(c);
        let end = middle + after.find(is_end).unwrap_or(after.len());
        shown.push_str(&rest[..start]);
        let address = &rest[start..end];
        match is_scheme(&rest[start..middle]) {
            true => shown.push_str(&shown_uri(address)),
            false => shown.push_str(address),
        }
        rest = &rest[end..];
    }
    shown.push_str(rest);
    shown
}

/// A text as bytes in lower case, some of which may stand for more than one of the text.
struct Spelling {
    bytes: Vec<u8>,
    /// Where each byte begins in the text, and at last where the text ends.
    starts: Vec<usize>,
}

impl Spelling {
    fn of(text: &str) -> Self {
        Self {
            bytes: text.as_bytes().to_ascii_lowercase(),
            starts: (0..=text.len()).collect(),
        }
    }

    /// Without one kind of escapes; `None` if there is none in it.
    fn without(&self, escape: fn(&[u8]) -> Option<(u8, usize)>) -> Option<Self> {
        let (mut bytes, mut starts) = (vec![], vec![]);
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let (byte, length) = escape(&self.bytes[at..]).unwrap_or((byte, 1));
            bytes.push(byte.to_ascii_lowercase());
            starts.extend(self.starts.get(at));
            at += length;
        }
        starts.extend(self.starts.last());
        (bytes.len() < self.bytes.len()).then_some(Self { bytes, starts })
    }

    fn hide(&self, needle: &[u8], hidden: &mut [bool]) {
        let is_word_at = |at: Option<usize>| {
            let byte = at.and_then(|at| self.bytes.get(at));
            byte.is_some_and(|byte| is_word(*byte))
        };
        let mut next = 0;
        while let Some(found) = find(self.bytes.get(next..).unwrap_or_default(), needle) {
            let (start, end) = (next + found, next + found + needle.len());
            next = start + 1;
            let is_within_a_word = is_word_at(start.checked_sub(1)) || is_word_at(Some(end));
            if needle.len() < WORD_LENGTH && is_within_a_word {
                continue;
            }
            if let (Some(&from), Some(&to)) = (self.starts.get(start), self.starts.get(end)) {
                let places = hidden.get_mut(from..to);
                places
                    .into_iter()
                    .flatten()
                    .for_each(|hidden| *hidden = true);
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, others) = needle.split_first()?;
    let mut places = bytes.iter().enumerate().filter(|(_, byte)| *byte == first);
    let found = places.find(|(at, _)| bytes[at + 1..].starts_with(others));
    found.map(|(at, _)| at)
}

/// `%41` is `A`. What is no valid escape stays as it is.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let (byte, length) = percent_escape(rest).unwrap_or((first, 1));
        bytes.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    bytes
}

/// The byte that an escape at the start of the text stands for, and the length of the escape.
fn percent_escape(text: &[u8]) -> Option<(u8, usize)> {
    let (first, digits) = (text.first()?, text.get(1..3)?);
    (*first == b'%').then_some(())?;
    Some((number(digits, 16)?, 3))
}

/// As in strings of programs, of JSON, and of structures of GStreamer, which escape bytes in octal.
fn backslash_escape(text: &[u8]) -> Option<(u8, usize)> {
    let (first, second) = (text.first()?, text.get(1)?);
    (*first == b'\\').then_some(())?;
    let octal = text.get(1..4).and_then(|digits| number(digits, 8));
    let unicode = text.get(2..6).filter(|_| *second == b'u');
    let unicode = unicode.and_then(|digits| number(digits, 16));
    let octal = octal.map(|byte| (byte, 4));
    let unicode = unicode.map(|byte| (byte, 6));
    Some(octal.or(unicode).unwrap_or((*second, 2)))
}

/// `None`: these are no digits, or it is no byte.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    let digits = std::str::from_utf8(digits).ok()?;
    let is_plain = digits.bytes().all(|digit| digit.is_ascii_alphanumeric());
    let number = u32::from_str_radix(digits, radix)
        .ok()
        .filter(|_| is_plain)?;
    u8::try_from(number).ok()
}

#[cfg(test)]
mod tests;
