// SPDX-License-Identifier: MPL-2.0
//! PURE: what can be told of a session description by reading it.
//!
//! webrtcbin accepts answers that can never work and then says nothing for ever. Here it is said at
//! once. Reads as much as it needs and trusts nothing; is no parser of SDP.

use super::identity::Announced;
use super::signalling::{Candidate, Cause, Kind};

/// More m-sections than any stream has, and more than there are payload types (RFC 3551: seven bits).
const MOST_SECTIONS: usize = 128;
const MOST_CODECS: usize = 128;
/// More than any server has certificates and hashes for them. One more than these is kept, so that it shows.
const MOST_FINGERPRINTS: usize = 16;
/// Longer than a fingerprint of SHA-512 with its name.
const LONGEST_FINGERPRINT: usize = 256;
/// More groups than there are sections to share.
const MOST_BUNDLES: usize = 16;

/// One m-section, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) media: String,
    /// Port 0 refuses the section, unless an offer says that it is bundled.
    pub(crate) refused: bool,
    pub(crate) bundle_only: bool,
    pub(crate) mid: Option<String>,
    /// Whether its side sends.
    pub(crate) sends: bool,
    pub(crate) setup: Option<String>,
    /// The values of its `a=fingerprint` lines, or of the session level's where it has none (RFC 8122, section 5).
    pub(crate) fingerprints: Vec<String>,
    has_own_fingerprint: bool,
    pub(crate) has_ufrag: bool,
    pub(crate) candidates: usize,
    /// Payload type and encoding name in upper case.
    pub(crate) codecs: Vec<(String, String)>,
}

/// Sections, and what the session level says for all of them. Of too many, one more than are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) sections: Vec<Section>,
    /// The mids of the sections that share a transport, for each such group.
    pub(crate) bundles: Vec<Vec<String>>,
}

/// What is wrong with an answer.
pub(crate) type Flaw = (Cause, String);

impl Outline {
    /// `None` for what is no session description.
    pub(crate) fn of(kind: Kind, sdp: &str) -> Option<Self> {
        if !sdp.trim_start().starts_with("v=0") {
            return None;
        }
        let mut common = Section {
            sends: true,
            ..Section::default()
        };
        let mut sections: Vec<Section> = Vec::new();
        let mut bundles = Vec::new();
        for line in sdp.lines().map(str::trim) {
            if let Some(media) = line.strip_prefix("m=") {
                if sections.len() > MOST_SECTIONS {
                    break;
                }
                sections.push(common.begin(media));
            } else if let Some(mids) = line.strip_prefix("a=group:BUNDLE ") {
                if bundles.len() < MOST_BUNDLES {
                    let mids = mids.split_whitespace().take(MOST_SECTIONS);
                    bundles.push(mids.map(str::to_owned).collect());
                }
            } else if let Some(attribute) = line.strip_prefix("a=") {
                sections.last_mut().unwrap_or(&mut common).note(attribute);
            }
        }
        for section in &mut sections {
            // Only an offer may have no port of its own and mean it.
            section.refused &= kind == Kind::Answer || !section.bundle_only;
        }
        Some(Self { sections, bundles })
    }

    pub(crate) fn is_too_long(&self) -> bool {
        self.sections.len() > MOST_SECTIONS
    }

    /// The sections of pictures and sound in which something will be sent to us.
    pub(crate) fn coming(&self) -> impl Iterator<Item = (usize, &Section)> {
        let all = self.sections.iter().enumerate();
        all.filter(|(_, section)| section.is_coming())
    }
}

impl Section {
    /// A section begins with what the session level said, of what can be said there.
    fn begin(&self, line: &str) -> Self {
        let mut words = line.split_whitespace();
        Self {
            media: words.next().unwrap_or_default().to_owned(),
            refused: words.next() == Some("0"),
            mid: None,
            has_own_fingerprint: false,
            candidates: 0,
            codecs: Vec::new(),
            ..self.clone()
        }
    }

    fn note(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "mid" => self.mid = Some(value.to_owned()),
            "setup" => self.setup = Some(value.to_ascii_lowercase()),
            "sendonly" | "sendrecv" => self.sends = true,
            "recvonly" | "inactive" => self.sends = false,
            "fingerprint" => self.note_fingerprint(value),
            "ice-ufrag" => self.has_ufrag = true,
            "candidate" => self.candidates = self.candidates.saturating_add(1),
            "bundle-only" => self.bundle_only = true,
            "rtpmap" if self.codecs.len() < MOST_CODECS => {
                let (payload, format) = value.split_once(' ').unwrap_or((value, ""));
                let codec = format.split('/').next().unwrap_or_default();
                let codec = codec.trim().to_ascii_uppercase();
                self.codecs.push((payload.trim().to_owned(), codec));
            }
            _ => (),
        }
    }

    fn note_fingerprint(&mut self, value: &str) {
        if !std::mem::replace(&mut self.has_own_fingerprint, true) {
            self.fingerprints.clear();
        }
        if self.fingerprints.len() <= MOST_FINGERPRINTS {
            let value = value.chars().take(LONGEST_FINGERPRINT);
            self.fingerprints.push(value.collect());
        }
    }

    pub(crate) fn has_too_many_fingerprints(&self) -> bool {
        self.fingerprints.len() > MOST_FINGERPRINTS
    }

    pub(crate) fn is_coming(&self) -> bool {
        self.is_media() && !self.refused && self.sends
    }

    fn is_media(&self) -> bool {
        matches!(self.media.as_str(), "audio" | "video")
    }

    /// Whether there is a codec, and not only its repair, that both sides name alike.
    fn shares_a_codec_with(&self, other: &Self) -> bool {
        let is_repair = |name: &str| matches!(name, "RTX" | "RED" | "ULPFEC" | "FLEXFEC-03");
        self.codecs
            .iter()
            .any(|codec| !is_repair(&codec.1) && other.codecs.contains(codec))
    }
}

/// Whether our offer and this answer can come to something.
pub(crate) fn check_answer(offer: &str, answer: &str) -> Result<Outline, Flaw> {
    let bad = |text: &str| (Cause::BadAnswer, format!("the server's answer {text}"));
    if answer.trim().is_empty() {
        return Err(bad("is empty"));
    }
    let outline =
        Outline::of(Kind::Answer, answer).ok_or_else(|| bad("is no session description (SDP)"))?;
    let offered = Outline::of(Kind::Offer, offer).unwrap_or_default().sections;
    let answered = &outline.sections;
    if offered.len() != answered.len() {
        return Err(bad("has not as many m-sections as the offer"));
    }
    if offered
        .iter()
        .zip(answered)
        .any(|(o, a)| o.media != a.media)
    {
        return Err(bad("has its m-sections in another order than the offer"));
    }
    let open: Vec<_> = offered
        .iter()
        .zip(answered)
        .filter(|(_, a)| !a.refused)
        .collect();
    if open
        .iter()
        .any(|(_, a)| a.setup.as_deref() == Some("actpass"))
    {
        return Err(bad(
            "does not say who begins (setup:actpass), as only an offer may",
        ));
    }
    check_coming(&outline)?;
    if let Some((_, a)) = open
        .iter()
        .find(|(o, a)| a.is_media() && !a.shares_a_codec_with(o))
    {
        let text = format!(
            "the server answers with no codec that was offered for {}",
            a.media
        );
        return Err((Cause::Incompatible, text));
    }
    let has_keys = |a: &Section| !a.fingerprints.is_empty() && a.has_ufrag;
    if !open.iter().any(|(_, a)| has_keys(a)) {
        return Err(bad("has no keys (fingerprint, ice-ufrag)"));
    }
    check_candidates(answered)?;
    Announced::of(&outline)?;
    Ok(outline)
}

/// Whether a server's offer can come to something. Its candidates may follow.
pub(crate) fn check_offer(offer: &str) -> Result<Outline, Flaw> {
    let outline = Outline::of(Kind::Offer, offer).ok_or_else(|| {
        let text = "the server's offer is no session description (SDP)".to_owned();
        (Cause::BadAnswer, text)
    })?;
    if outline.is_too_long() {
        let text = "the server's offer has more m-sections than any stream".to_owned();
        return Err((Cause::BadAnswer, text));
    }
    check_coming(&outline)?;
    Announced::of(&outline)?;
    Ok(outline)
}

fn check_coming(outline: &Outline) -> Result<(), Flaw> {
    if outline.coming().next().is_none() {
        let text = "the server will send neither picture nor sound: it has no stream of that \
                    name, or none in H.264, VP8, VP9 or Opus";
        return Err((Cause::Incompatible, text.to_owned()));
    }
    Ok(())
}

/// A server over HTTP has no way to send candidates later.
fn check_candidates(answered: &[Section]) -> Result<(), Flaw> {
    if answered.iter().all(|section| section.candidates == 0) {
        let text = "the server's answer names no address to connect to (no candidates): check \
                    what address the server is told to announce";
        return Err((Cause::NoConnection, text.to_owned()));
    }
    Ok(())
}

/// The description with candidates in their sections.
pub(crate) fn with_candidates(sdp: &str, candidates: &[Candidate], complete: bool) -> String {
    let mut text = String::with_capacity(sdp.len() + 128 * candidates.len());
    let mut section: Option<u32> = None;
    let end = |text: &mut String, section: Option<u32>| {
        let Some(section) = section else { return };
        for candidate in candidates.iter().filter(|c| c.mline == section) {
            if !candidate.text.is_empty() {
                text.push_str(&format!("a={}\r\n", candidate.text));
            }
        }
        if complete {
            text.push_str("a=end-of-candidates\r\n");
        }
    };
    for line in sdp.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("m=") {
            end(&mut text, section);
            section = Some(section.map_or(0, |number| number.saturating_add(1)));
        }
        text.push_str(line.trim_end());
        text.push_str("\r\n");
    }
    end(&mut text, section);
    text
}

/// The part of a description that brings further candidates (RFC 8840).
pub(crate) fn fragment(sdp: &str, candidates: &[Candidate], complete: bool) -> String {
    let line_with = |name: &str| {
        sdp.lines()
            .map(str::trim)
            .find(|line| line.starts_with(name))
    };
    let mut text = String::new();
    for name in ["a=group:", "a=ice-ufrag:", "a=ice-pwd:"] {
        if let Some(line) = line_with(name) {
            text.push_str(&format!("{line}\r\n"));
        }
    }
    let heads: Vec<&str> = sdp.lines().filter(|line| line.starts_with("m=")).collect();
    let outline = Outline::of(Kind::Offer, sdp).unwrap_or_default();
    for (number, (section, head)) in outline.sections.iter().zip(heads).enumerate() {
        let mut own = candidates
            .iter()
            .filter(|c| usize::try_from(c.mline) == Ok(number))
            .peekable();
        if own.peek().is_none() && !(complete && number == 0) {
            continue;
        }
        text.push_str(&format!("{}\r\n", head.trim()));
        if let Some(mid) = &section.mid {
            text.push_str(&format!("a=mid:{mid}\r\n"));
        }
        for candidate in own.filter(|c| !c.text.is_empty()) {
            text.push_str(&format!("a={}\r\n", candidate.text));
        }
        if complete {
            text.push_str("a=end-of-candidates\r\n");
        }
    }
    text
}
