// SPDX-License-Identifier: MPL-2.0
//! What descriptions announce, and which certificates fit.

use proptest::prelude::*;

use crate::webrtc::identity::{Announced, Fingerprint, Hash, certificate};
use crate::webrtc::sdp::Outline;
use crate::webrtc::signalling::{Cause, Kind};

const NAMES: [(Hash, &str, usize); 3] = [
    (Hash::Sha256, "sha-256", 32),
    (Hash::Sha384, "sha-384", 48),
    (Hash::Sha512, "sha-512", 64),
];

/// What a certificate of this number hashes to.
fn shown(number: u8) -> Vec<Fingerprint> {
    let all = NAMES.iter().map(|&(hash, _, length)| {
        let digest = vec![number; length];
        Fingerprint { hash, digest }
    });
    all.collect()
}

fn line(name: &str, octet: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let known = NAMES.iter().find(|(_, known, _)| *known == lower);
    let length = known.map_or(20, |(_, _, length)| *length);
    format!("a=fingerprint:{name} {}\r\n", vec![octet; length].join(":"))
}

fn video(lines: &str) -> String {
    format!("m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n{lines}")
}

fn audio(lines: &str) -> String {
    format!("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n{lines}")
}

fn read(sdp: &str) -> Result<Announced, (Cause, String)> {
    let sdp = format!("v=0\r\n{sdp}");
    Announced::of(&Outline::of(Kind::Offer, &sdp).expect("a description"))
}

fn announced(sdp: &str) -> Announced {
    read(sdp).unwrap_or_else(|flaw| panic!("{sdp}: {flaw:?}"))
}

fn refusal(sdp: &str) -> String {
    match read(sdp) {
        Err((Cause::Identity, text)) => text,
        other => panic!("{sdp}: {other:?}"),
    }
}

#[test]
fn a_certificate_has_to_be_the_one_that_is_announced() {
    for (name, octet) in [
        ("sha-256", "AB"),
        ("SHA-256", "ab"),
        ("sha-384", "aB"),
        ("Sha-512", "AB"),
    ] {
        let announced = announced(&video(&line(name, octet)));
        assert!(announced.announces_for(0, &shown(0xAB)), "{name} {octet}");
        assert!(!announced.announces_for(0, &shown(0xAC)), "{name} {octet}");
        assert!(!announced.announces_for(0, &[]), "no certificate");
        assert!(!announced.announces_for(1, &shown(0xAB)), "no section");
    }
}

#[test]
fn every_strong_hash_that_is_offered_counts() {
    let both =
        |first, second| announced(&video(&(line("sha-256", first) + &line("sha-512", second))));
    assert!(both("AB", "AB").announces_for(0, &shown(0xAB)));
    assert!(!both("AB", "AC").announces_for(0, &shown(0xAB)));
    assert!(!both("AC", "AB").announces_for(0, &shown(0xAB)));
    // A hash that the verifier cannot make fits nothing.
    let without = shown(0xAB).into_iter().filter(|f| f.hash != Hash::Sha512);
    let without: Vec<_> = without.collect();
    assert!(!both("AB", "AB").announces_for(0, &without));
}

#[test]
fn each_of_several_certificates_may_be_shown() {
    let lines = ["sha-256", "sha-512"].map(|name| line(name, "AB") + &line(name, "AC"));
    let announced = announced(&video(&lines.concat()));
    assert!(announced.announces_for(0, &shown(0xAB)));
    assert!(announced.announces_for(0, &shown(0xAC)));
    assert!(!announced.announces_for(0, &shown(0xAD)));
}

#[test]
fn a_sections_own_fingerprints_are_taken_before_the_sessions() {
    let common = line("sha-256", "AA");
    let sdp = common + &video(&line("sha-256", "BB")) + &audio("");
    let announced = announced(&sdp);
    assert!(announced.announces_for(0, &shown(0xBB)) && !announced.announces_for(0, &shown(0xAA)));
    assert!(announced.announces_for(1, &shown(0xAA)) && !announced.announces_for(1, &shown(0xBB)));
    assert!(announced.announces(&shown(0xAA)) && announced.announces(&shown(0xBB)));
    assert!(!announced.announces(&shown(0xCC)));
}

#[test]
fn a_shared_transport_is_announced_by_the_first_open_section_of_its_group() {
    let group = "a=group:BUNDLE v a\r\n".to_owned();
    let own = line("sha-256", "AA");
    let grouped = announced(&(group.clone() + &video(&own) + &audio("")));
    assert!(grouped.announces_for(1, &shown(0xAA)));
    let both = announced(&(group.clone() + &video(&own) + &audio(&line("sha-256", "BB"))));
    assert!(both.announces_for(1, &shown(0xAA)) && !both.announces(&shown(0xBB)));
    let text = refusal(&(video(&own) + &audio("")));
    assert!(text.contains("m-section 1"), "{text}");
    let refused = video(&own).replace("video 9", "video 0");
    refusal(&(group + &refused + &audio("")));
}

#[test]
fn weak_hashes_alone_are_no_identity() {
    for name in ["sha-1", "md5", "SHA-1", "sha-224", "none"] {
        let text = refusal(&video(&line(name, "AB")));
        assert!(
            text.contains("weak hashes only") && text.contains("sha-256"),
            "{text}"
        );
        let beside = announced(&video(&(line(name, "00") + &line("sha-256", "AB"))));
        assert!(beside.announces_for(0, &shown(0xAB)), "{name}");
    }
    assert!(refusal(&video("")).contains("no a=fingerprint"));
}

#[test]
fn what_cannot_be_read_is_not_left_out() {
    let good = line("sha-256", "AB");
    for bad in [
        "a=fingerprint:\r\n".to_owned(),
        "a=fingerprint:sha-256\r\n".to_owned(),
        "a=fingerprint:sha-256 AB:CD\r\n".to_owned(),
        line("sha-256", "ABC"),
        line("sha-256", "+A"),
        line("sha-256", "A"),
        line("sha-256", "ä"),
        good.replace("\r\n", ":AB\r\n"),
        good.replace("\r\n", " AB\r\n"),
        good.replace(':', "-")
            .replace("fingerprint-", "fingerprint:"),
        line("sha-512", "AB").replace("sha-512", "sha-256"),
        line("sha-256", "AB").replace("sha-256", "sha-512"),
    ] {
        let text = refusal(&video(&(good.clone() + &bad)));
        assert!(text.contains("cannot be read"), "{bad}: {text}");
    }
    let text = refusal(&video(&good.repeat(17)));
    assert!(text.contains("more certificates"), "{text}");
    announced(&video(&good.repeat(16)));
    announced(&(good.repeat(20) + &video(&good))).announces_for(0, &shown(0xAB));
}

#[test]
fn what_will_not_come_needs_no_certificate() {
    let good = video(&line("sha-256", "AB"));
    let refused = audio("a=fingerprint:x\r\n").replace("audio 9", "audio 0");
    for other in [
        refused,
        audio("a=inactive\r\n"),
        "m=application 9 X y\r\n".to_owned(),
    ] {
        let announced = announced(&(good.clone() + &other));
        assert!(!announced.announces_for(1, &shown(0xAB)), "{other}");
    }
}

#[test]
fn other_certificates_need_another_transport() {
    let one = announced(&(video(&line("sha-256", "AA")) + &audio(&line("sha-256", "AA"))));
    let more = announced(&(video(&line("sha-256", "AA"))));
    let spelled = announced(&(line("SHA-256", "aa") + &video("") + &audio("")));
    let other = announced(&(video(&line("sha-256", "AA")) + &audio(&line("sha-256", "AB"))));
    assert!(!one.differs_from(&one) && !one.differs_from(&more) && !more.differs_from(&one));
    assert!(!one.differs_from(&spelled));
    assert!(one.differs_from(&other) && other.differs_from(&one));
    assert!(
        !Announced::default().differs_from(&other),
        "nothing was announced yet"
    );
}

#[test]
fn a_description_is_spelled_out_for_every_webrtcbin() {
    let sdp = format!(
        "v=0\r\ns=-\r\n{}{}{}",
        line("sha-256", "aa"),
        video(&(line("SHA-512", "bb") + &line("sha-1", "cc") + &line("SHA-256", "bb"))),
        audio("a=x\r\n"),
    );
    let outline = Outline::of(Kind::Offer, &sdp).expect("a description");
    let announced = Announced::of(&outline).expect("good");
    let spelled = announced.spelled_out(&sdp);
    let expected = format!(
        "v=0\r\ns=-\r\n{}{}",
        video(&(line("sha-256", "BB") + &line("sha-512", "BB"))),
        audio(&("a=x\r\n".to_owned() + &line("sha-256", "AA"))),
    );
    assert_eq!(spelled, expected);
}

#[test]
fn a_certificate_is_taken_out_of_its_pem_text() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\nMIIB\nAQ==\n-----END {label}-----\n");
    let certificate_pem = pem("CERTIFICATE");
    assert_eq!(certificate(&certificate_pem), Some(vec![0x30, 0x82, 1, 1]));
    assert_eq!(certificate(""), None);
    assert_eq!(certificate("no certificate"), None);
    assert_eq!(certificate(&pem("PRIVATE KEY")), None);
    assert_eq!(
        certificate(&("x".repeat(64 * 1024) + &certificate_pem)),
        None
    );
}

fn fingerprint_line() -> impl Strategy<Value = String> {
    let name = prop_oneof!["sha-(1|256|384|512)", "SHA-256", "[a-z0-9-]{0,8}"];
    let octets = prop_oneof![Just(32usize), Just(48), Just(64), 0usize..70,];
    let octet = prop_oneof!["[0-9A-F]{2}", "[0-9a-f]{2}", "\\PC{0,3}"];
    let odd = "a=fingerprint:?\\PC{0,40}".prop_map(|odd| odd + "\r\n");
    let plain = (name, octet, octets).prop_map(|(name, octet, length)| {
        format!("a=fingerprint:{name} {}\r\n", vec![octet; length].join(":"))
    });
    prop_oneof![4 => plain, 1 => odd]
}

proptest! {
    /// Whatever is written: no certificate fits whose hash does not stand there, and what is read survives being
    /// spelled out.
    #[test]
    fn nothing_is_announced_that_is_not_written(
        common in prop::collection::vec(fingerprint_line(), 0..3),
        first in prop::collection::vec(fingerprint_line(), 0..4),
        second in prop::collection::vec(fingerprint_line(), 0..4),
        is_grouped in any::<bool>(),
        number in any::<u8>(),
    ) {
        let group = if is_grouped { "a=group:BUNDLE v a\r\n" } else { "" };
        let common = common.concat();
        let sdp = format!("v=0\r\n{group}{common}{}{}", video(&first.concat()), audio(&second.concat()));
        let outline = Outline::of(Kind::Offer, &sdp).expect("a description");
        let Ok(announced) = Announced::of(&outline) else { return Ok(()) };
        let lower = sdp.to_ascii_lowercase();
        if announced.announces(&shown(number)) {
            let octet = format!("{number:02x}");
            let stands = NAMES.iter().any(|(_, name, length)| {
                lower.contains(&format!("{name} {}", vec![octet.clone(); *length].join(":")))
            });
            prop_assert!(stands, "{sdp}");
        }
        let spelled = announced.spelled_out(&sdp);
        let again = Outline::of(Kind::Offer, &spelled).expect("a description");
        prop_assert_eq!(Announced::of(&again), Ok(announced));
    }

    #[test]
    fn no_text_harms_the_reader_of_certificates(text in ".{0,200}") {
        let text = format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n");
        let _ = certificate(&text);
    }
}
