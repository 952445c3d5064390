// SPDX-License-Identifier: MPL-2.0
//! PURE: which certificates a session description announces (`a=fingerprint`, RFC 8122), and whether the one that a
//! DTLS handshake shows is among them.
//!
//! Nothing but this tells the server from whoever sits on the media path: certificates of WebRTC are signed by nobody.
//! The rules, where RFC 8122 and RFC 8827 leave a choice:
//!
//! * Hashes from SHA-256 up count. Weaker ones are passed over, and a description that has no other is refused.
//! * A certificate has to match a fingerprint of *each* such hash that is offered. RFC 8122 (section 5.1) wants the
//!   most preferred hash, and has every certificate announced with the same set of hashes. So whoever keeps to it
//!   matches in all of them, and there is no preference that somebody could speculate on.
//! * A value that cannot be read is no fingerprint that may be left out: the description is refused.
//! * A section's own fingerprints are taken before those of the session level. In a group that shares a transport, those
//!   of the first section that is open in it hold for all (RFC 9143, section 7.1.3).

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::sdp::{Flaw, Outline, Section};
use super::signalling::{Cause, quoted};

/// More than any certificate, whose keys are its largest part: those of RSA with 16384 bits have 4 KiB in PEM form.
const LONGEST_PEM: usize = 64 * 1024;

/// In the order in which webrtcbin is told of them: 1.28.5 looks at the first only, and does not know SHA-384.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
    Sha384,
}

impl Hash {
    pub(crate) const ALL: [Self; 3] = [Self::Sha256, Self::Sha512, Self::Sha384];

    fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|hash| hash.name().eq_ignore_ascii_case(name))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha512 => "sha-512",
            Self::Sha384 => "sha-384",
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Sha384 => 48,
        }
    }
}

/// A hash of a certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fingerprint {
    pub(crate) hash: Hash,
    pub(crate) digest: Vec<u8>,
}

impl Fingerprint {
    /// The value of an `a=fingerprint` line; nothing where its hash does not count.
    fn read(value: &str) -> Result<Option<Self>, Flaw> {
        let mut words = value.split_whitespace();
        let (Some(name), Some(hex), None) = (words.next(), words.next(), words.next()) else {
            return Err(unreadable(value));
        };
        let Some(hash) = Hash::named(name) else {
            return Ok(None);
        };
        let octets = hex.split(':').map(octet);
        let digest = octets.collect::<Option<Vec<u8>>>();
        let digest = digest.filter(|digest| digest.len() == hash.length());
        let digest = digest.ok_or_else(|| unreadable(value))?;
        Ok(Some(Self { hash, digest }))
    }

    /// As RFC 8122 has it, in upper case.
    fn line(&self) -> String {
        let octets: Vec<_> = self.digest.iter().map(|o| format!("{o:02X}")).collect();
        format!(
            "a=fingerprint:{} {}\r\n",
            self.hash.name(),
            octets.join(":")
        )
    }
}

fn octet(hex: &str) -> Option<u8> {
    let is_hex = hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    u8::from_str_radix(hex, 16).ok().filter(|_| is_hex)
}

/// The fingerprints of each m-section, in order and without repetitions. One in which nothing comes may have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Announced {
    sections: Vec<Vec<Fingerprint>>,
}

impl Announced {
    pub(crate) fn of(outline: &Outline) -> Result<Self, Flaw> {
        let sections = outline.sections.iter().enumerate();
        let sections = sections.map(|(number, section)| {
            let fingerprints = announced_by(outline, section);
            match section.refused {
                // Nothing comes there, so nothing about it can be wrong.
                true => Ok(fingerprints.unwrap_or_default()),
                false if section.is_coming() => fingerprints.and_then(|f| at_least_one(number, f)),
                false => fingerprints,
            }
        });
        let sections = sections.collect::<Result<_, _>>()?;
        Ok(Self { sections })
    }

    /// Whether the certificate with these hashes is announced for an m-section.
    pub(crate) fn announces_for(&self, mline: u32, shown: &[Fingerprint]) -> bool {
        let index = usize::try_from(mline).unwrap_or(usize::MAX);
        let section = self.sections.get(index);
        section.is_some_and(|announced| fits(announced, shown))
    }

    /// Whether it is announced for any of them.
    pub(crate) fn announces(&self, shown: &[Fingerprint]) -> bool {
        self.sections.iter().any(|announced| fits(announced, shown))
    }

    /// Whether a section of both is announced with other certificates: then its transport has to be a new one
    /// (RFC 8842, section 5.5).
    pub(crate) fn differs_from(&self, later: &Self) -> bool {
        let both = self.sections.iter().zip(&later.sections);
        let mut open = both.filter(|(ours, theirs)| !ours.is_empty() && !theirs.is_empty());
        open.any(|(ours, theirs)| ours != theirs)
    }

    /// The description as every webrtcbin understands it: each section with its own fingerprints. 1.22 refuses one that
    /// has them at both levels, later ones refuse a section that has none, and 1.28.5 compares letter by letter.
    pub(crate) fn spelled_out(&self, sdp: &str) -> String {
        let mut text = String::with_capacity(sdp.len() * 2);
        let mut sections = self.sections.iter();
        let mut present: Option<&Vec<Fingerprint>> = None;
        let lines = sdp.lines().filter(|line| !line.trim().is_empty());
        for line in lines.filter(|line| !line.trim().starts_with("a=fingerprint:")) {
            if line.trim().starts_with("m=") {
                write_all(&mut text, present.take());
                present = sections.next();
            }
            text.push_str(line.trim_end());
            text.push_str("\r\n");
        }
        write_all(&mut text, present);
        text
    }
}

fn write_all(text: &mut String, fingerprints: Option<&Vec<Fingerprint>>) {
    text.extend(fingerprints.into_iter().flatten().map(Fingerprint::line));
}

fn announced_by(outline: &Outline, section: &Section) -> Result<Vec<Fingerprint>, Flaw> {
    let speaks = first_of_its_group(outline, section).unwrap_or(section);
    if speaks.has_too_many_fingerprints() {
        let text = "the server announces more certificates than any server has";
        return Err((Cause::Identity, text.to_owned()));
    }
    let mut found = Vec::new();
    for value in &speaks.fingerprints {
        found.extend(Fingerprint::read(value)?);
    }
    if found.is_empty() && !speaks.fingerprints.is_empty() {
        let text = "the server announces its certificate by weak hashes only, so it cannot be told from an impostor: \
                    it must offer a=fingerprint with sha-256";
        return Err((Cause::Identity, text.to_owned()));
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The section whose transport it shares.
fn first_of_its_group<'a>(outline: &'a Outline, section: &Section) -> Option<&'a Section> {
    let mid = section.mid.as_ref()?;
    let group = outline.bundles.iter().find(|mids| mids.contains(mid))?;
    let open = |mid: &String| {
        let mut open = outline.sections.iter().filter(|section| !section.refused);
        open.find(|section| section.mid.as_ref() == Some(mid))
    };
    group.iter().find_map(open)
}

fn at_least_one(number: usize, found: Vec<Fingerprint>) -> Result<Vec<Fingerprint>, Flaw> {
    if found.is_empty() {
        let text = format!(
            "the server does not announce its certificate (no a=fingerprint for m-section {number}), so it cannot be \
             told from an impostor"
        );
        return Err((Cause::Identity, text));
    }
    Ok(found)
}

fn unreadable(value: &str) -> Flaw {
    let text = format!(
        "the server announces its certificate by a fingerprint that cannot be read: {}",
        quoted(value)
    );
    (Cause::Identity, text)
}

/// For each hash that is announced, one of its fingerprints is that of the certificate.
fn fits(announced: &[Fingerprint], shown: &[Fingerprint]) -> bool {
    let fits_in = |hash: Hash| {
        let mut of_hash = announced.iter().filter(|f| f.hash == hash).peekable();
        of_hash.peek().is_none() || of_hash.any(|fingerprint| shown.contains(fingerprint))
    };
    !announced.is_empty() && Hash::ALL.into_iter().all(fits_in)
}

/// The certificate in a PEM text, as it was on the wire.
pub(crate) fn certificate(pem: &str) -> Option<Vec<u8>> {
    if pem.len() > LONGEST_PEM {
        return None;
    }
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).ok()?;
    Some(der.to_vec())
}

/// Another certificate than the description announces was shown.
pub(crate) fn impostor() -> String {
    "whoever sends the media shows another certificate than the server's description announces: somebody sits on the \
     media path, or the server is misconfigured (a proxy that passes on another server's description?)"
        .to_owned()
}
