// SPDX-License-Identifier: MPL-2.0
//! What is a secret stays one, in any spelling; what is none is shown.

use proptest::prelude::*;

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
        ("https://h/a%40b/c%20d.ts", "https://h/a%40b/c%20d.ts"),
        ("udp://@239.1.1.1:1234", "udp://239.1.1.1:1234"),
        ("just-a-key", "(not a URI)"),
        ("", "(not a URI)"),
    ] {
        assert_eq!(shown_uri(uri), shown, "{uri}");
    }
}

#[test]
fn where_the_password_ends_is_not_clear_and_too_little_is_shown() {
    for (uri, shown) in [
        ("rtsp://me:se#cret@h/x", "rtsp://***"),
        ("rtsp://me:se?cret@h/x", "rtsp://***"),
        ("rtsp://me:se/cret@h/x", "rtsp://h/x"),
        ("rtsp://me:se@cret@h/x", "rtsp://h/x"),
        ("rtsp://me:se@h/cret@x/y", "rtsp://x/y"),
        ("rtsp://me:secret%40h/x", "rtsp://***"),
        ("rtsp://me:se@cret%40h/x", "rtsp://***"),
        ("rtsp://me:secret", "rtsp://***"),
        ("rtsp://me:sec/ret", "rtsp://***"),
        ("rtsp://me:sec/ret%40h/x", "rtsp://***"),
        ("rtsp://me:pw@h:port/x", "rtsp://h:***/x"),
        ("rtsp:///me:secret@h/x", "rtsp://h/x"),
        ("rtsp:/me:secret@h/x", "(not a URI)"),
        ("me:secret@h/x", "(not a URI)"),
        ("srt://:9?passphrase=ab@cdef", "srt://***"),
        ("rtmp://h/live/the@key", "rtmp://***"),
        ("rtmp://me:p/w@h/live/key", "rtmp://h/live/***"),
        ("rtsp://h/user=me&password=p@cdef/1.sdp", "rtsp://***"),
        ("srt://h:9?passphrase=se#cret&streamid=x@y", "srt://***"),
        ("http://h/x?mail=me@example.com", "http://***"),
        (
            "rtsp://h/user=me&password=secret/1.sdp",
            "rtsp://h/***/1.sdp",
        ),
    ] {
        assert_eq!(shown_uri(uri), shown, "{uri}");
    }
}

#[test]
fn an_address_that_a_server_led_to_is_shown_without_its_secrets() {
    let text = "cannot open 'https://u:p@cdn/a.ts?signature=abcd#x', see rtmp://h/live/key";
    let shown = Secrets::default().take_out_of(text);
    assert_eq!(
        shown,
        "cannot open 'https://cdn/a.ts', see rtmp://h/live/***"
    );
}

#[test]
fn a_secret_is_found_however_it_is_spelt() {
    let secrets = Secrets::of_uri("rtsp://me:p\u{e4}ss\"w%6Frd#1@h/x");
    for spelt in [
        "p\u{e4}ss\"w%6Frd#1",
        "P\u{e4}SS\"word#1",
        "p%C3%A4ss%22w%6frd%231",
        "p%25C3%25A4ss%2522word%25231",
        r#"p\303\244ss\"word#1"#,
        r#"p\\303\\244ss\\\"word#1"#,
    ] {
        assert_eq!(
            secrets.take_out_of(&format!("<{spelt}>")),
            "<***>",
            "{spelt}"
        );
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
    assert!(redacted.contains("cannot open rtmp://h/live/***"));
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
        (
            "https://h:5443/live/play.html?streamId=primary&token=jwt123&subscriberId=me77&subscriberCode=code77",
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

/// What a person may have typed.
#[derive(Debug, Clone)]
struct Typed {
    uri: String,
    secrets: Vec<String>,
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn any_secret() -> impl Strategy<Value = String> {
    let printable = prop_oneof![
        4 => "[!-~]{1,14}",
        2 => "[a-z0-9]{1,5}[#?/@:%&=;+ ]{1,2}[a-zA-Z0-9]{1,6}[#?/@:]?[a-z0-9]{0,6}",
        1 => "[ -~\u{e4}\u{416}\u{5bc6}\u{1f511}]{1,12}",
    ];
    (printable, 0..3).prop_map(|(text, form)| match form {
        0 => escaped(&text),
        1 => text
            .replace('%', "%25")
            .replace('@', "%40")
            .replace('/', "%2F"),
        _ => text,
    })
}

fn any_uri() -> impl Strategy<Value = Typed> {
    let scheme = prop::sample::select(
        &[
            "rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "srt", "whep", "wheps", "ams",
            "amss", "xyz",
        ][..],
    );
    let userinfo = prop::option::of((any_secret(), prop::option::of(any_secret())));
    let host = prop::sample::select(&["h", "10.0.0.1:9", "[::1]:55", ":90"][..]);
    let path = prop_oneof![Just("/p/q.x".to_owned()), "(/[!-~]{0,5}){0,3}"];
    let query = prop::collection::vec(
        (
            prop::sample::select(&["token", "passphrase", "a", "streamid"][..]),
            any_secret(),
        ),
        0..3,
    );
    (
        scheme,
        userinfo,
        host,
        path,
        query,
        prop::option::of(any_secret()),
        prop::option::of(any_secret()),
    )
        .prop_map(|(scheme, userinfo, host, path, query, fragment, key)| {
            let mut secrets = vec![];
            let mut uri = format!("{scheme}://");
            if let Some((user, password)) = userinfo {
                uri += &user;
                secrets.push(user);
                if let Some(password) = password {
                    uri += &format!(":{password}");
                    secrets.push(password);
                }
                uri.push('@');
            }
            uri += host;
            uri += &path;
            if let Some(key) = key.filter(|_| scheme.starts_with("rtmp")) {
                // The last name of the path, by definition.
                let key = key.replace('/', "%2F");
                uri += &format!("/live/{key}");
                secrets.push(key);
            }
            for (index, (name, value)) in query.into_iter().enumerate() {
                uri += &format!("{}{name}={value}", if index == 0 { '?' } else { '&' });
                secrets.push(value);
            }
            if let Some(fragment) = fragment {
                uri += &format!("#{fragment}");
                secrets.push(fragment);
            }
            Typed { uri, secrets }
        })
}

fn decoded(text: &str) -> String {
    String::from_utf8_lossy(&unescape(text.as_bytes())).into_owned()
}

/// Each secret and each piece of it that can be told from other words.
fn pieces(typed: &Typed) -> Vec<String> {
    let all = typed
        .secrets
        .iter()
        .flat_map(|secret| [secret.clone(), decoded(secret)]);
    let mut pieces: Vec<String> = all
        .flat_map(|secret| {
            let parts: Vec<_> = secret
                .split(|c| "#?/@:&=;%+ ".contains(c))
                .map(str::to_owned)
                .collect();
            parts.into_iter().chain([secret])
        })
        .map(|piece| piece.to_lowercase())
        .filter(|piece| piece.chars().count() >= WORD_LENGTH && is_worth_hiding(piece))
        .collect();
    pieces.dedup();
    pieces
}

/// More than separators between single letters, and more than stars, which a mask is made of.
fn is_worth_hiding(piece: &str) -> bool {
    let mut words = piece.split(|c: char| "#?/@:&=;%+ *".contains(c));
    words.any(|word| {
        let letters = word.chars().count();
        letters >= WORD_LENGTH || letters > 1 && word.contains(char::is_alphanumeric)
    })
}

fn octal(text: &str) -> String {
    let letter = |byte: u8| match byte {
        b' '..=b'~' if b"\"\\".contains(&byte) => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    text.bytes().map(letter).collect()
}

/// The URI as elements, servers and structures repeat it: whole, cut, escaped, not escaped.
fn repeated(uri: &str) -> Vec<String> {
    let mut cut = vec![uri.to_owned(), decoded(uri)];
    for (at, separator) in uri.char_indices().filter(|(_, c)| "#?/@:&=;".contains(*c)) {
        cut.extend([
            uri[..at].to_owned(),
            uri[at + separator.len_utf8()..].to_owned(),
        ]);
    }
    let spelt = |text: &String| {
        let quoted = octal(text);
        [
            text.clone(),
            text.to_lowercase(),
            escaped(text),
            escaped(text).to_lowercase(),
            text.replace('%', "%25")
                .replace('#', "%23")
                .replace(' ', "+"),
            format!("{text:?}"),
            octal(&quoted),
            quoted,
        ]
    };
    cut.iter().flat_map(spelt).collect()
}

/// The text as whoever reads it may read it.
fn readings(text: &str) -> Vec<String> {
    let plain = decoded(text);
    let plainer = decoded(&plain);
    [text.to_owned(), plain, plainer]
        .map(|text| text.to_lowercase())
        .to_vec()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nothing_of_a_secret_is_in_what_is_shown(typed in any_uri()) {
        let shown = shown_uri(&typed.uri);
        for piece in pieces(&typed) {
            for reading in readings(&shown) {
                prop_assert!(!reading.contains(&piece), "{piece} in {shown}");
            }
        }
    }

    #[test]
    fn nothing_of_a_secret_is_in_a_text_that_repeats_the_uri(typed in any_uri()) {
        let secrets = Secrets::of_uri(&typed.uri);
        for text in repeated(&typed.uri) {
            let redacted = secrets.take_out_of(&format!("no: {text} (1)"));
            for piece in pieces(&typed) {
                for reading in readings(&redacted) {
                    prop_assert!(!reading.contains(&piece), "{piece} in {redacted}, of {text}");
                }
            }
        }
    }

    #[test]
    fn whatever_the_text_something_is_made_of_it(uri in "\\PC*", text in ".*") {
        let _ = Secrets::of_uri(&uri).take_out_of(&text);
        let _ = shown_uri(&uri);
    }

    #[test]
    fn what_is_no_secret_is_still_there(text in "[ a-z/.]{0,40}") {
        prop_assert_eq!(Secrets::of_uri("https://10.0.0.1/p/q.ts").take_out_of(&text), text);
    }
}
