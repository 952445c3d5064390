// SPDX-License-Identifier: MPL-2.0
//! The property `uri` of failoversrc: a whole configuration in one text.

use gst::prelude::*;

#[test]
fn a_failover_uri_says_what_is_wrong_with_it() {
    init();
    let set = |uri: &str| {
        let src = gst::ElementFactory::make("failoversrc")
            .build()
            .expect("failoversrc");
        let handler = src
            .dynamic_cast::<gst::URIHandler>()
            .expect("a URI handler");
        let result = handler.set_uri(uri);
        result.map_err(|error| error.to_string())
    };
    for (uri, word) in [
        ("failover:", "failover:?"),
        ("failover:nothing", "failover:?"),
        ("failover:?", "primary"),
        ("failover:?backup=rtmp%3A%2F%2Fh%2Fa%2Fb", "primary"),
        (
            "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&timeout=soon",
            "timeout",
        ),
        (
            "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&timeout=-1",
            "timeout",
        ),
        (
            "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&timeout=99999999999999999999999",
            "timeout",
        ),
        (
            "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&slate=pink",
            "slate of a failover: URI is one of black, hold, none",
        ),
        (
            "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&colour=pink",
            "none of primary",
        ),
        ("failover:?primary=%ZZ", "encoded"),
        (
            "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&force-input=-2",
            "force-input",
        ),
        ("failover:https://h:5443/live/play.html", "no id="),
    ] {
        let error = set(uri).expect_err(uri);
        assert!(error.contains(word), "{uri}: {error}");
    }
    let good = "failover:?primary=rtmp%3A%2F%2Fh%2Fa%2Fb&backup=rtmp%3A%2F%2Fh%2Fa%2Fc&timeout=500000000&slate=hold";
    assert_eq!(set(good), Ok(()));
}

#[test]
fn a_uri_property_that_cannot_be_used_is_an_error_at_the_start() {
    init();
    let src = gst::ElementFactory::make("failoversrc")
        .property("uri", "https://h:5443/live/play.html?id=p&playOrder=flash")
        .build()
        .expect("failoversrc");
    let bus = gst::Bus::new();
    src.set_bus(Some(&bus));
    assert!(src.set_state(gst::State::Ready).is_err());
    let error = bus
        .pop_filtered(&[gst::MessageType::Error])
        .expect("an error");
    let text = error.structure().map(ToString::to_string);
    assert!(text.expect("a text").contains("playOrder"));
    src.set_property(
        "uri",
        "failover:?primary=file%3A%2F%2F%2Fdoes%2Fnot%2Fexist",
    );
    assert!(src.set_state(gst::State::Ready).is_ok());
    assert!(src.set_state(gst::State::Null).is_ok());
}

#[test]
fn a_player_page_is_the_same_however_it_names_its_stream() {
    init();
    for scheme in ["", "failover:"] {
        for name in ["id", "name", "streamId"] {
            let page = "https://h:5443/live/play.html";
            let uri =
                format!("{scheme}{page}?{name}=p&backupStreamId=b&playOrder=webrtc&token=t0ken");
            let src = gst::ElementFactory::make("failoversrc")
                .property("uri", &uri)
                .build()
                .expect("failoversrc");
            for (property, stream) in [("primary-uri", "p"), ("backup-uri", "b")] {
                let is = src.property::<Option<String>>(property);
                let wanted = format!("amss://h:5443/live/{stream}?token=t0ken");
                assert_eq!(is, Some(wanted), "{uri}");
            }
            assert!(src.set_state(gst::State::Ready).is_ok(), "{uri}");
            assert!(src.set_state(gst::State::Null).is_ok());
        }
    }
}

#[test]
fn every_setting_of_a_failover_uri_is_a_property_of_that_name() {
    init();
    let src = gst::ElementFactory::make("failoversrc")
        .build()
        .expect("failoversrc");
    let fields = [
        ("timeout", "500000000"),
        ("startup-timeout", "600000000"),
        ("recovery-time", "700000000"),
        ("retry-initial", "800000000"),
        ("retry-max", "900000000"),
        ("latency", "1000000000"),
        ("standby", "cold"),
        ("slate", "hold"),
        ("output", "encoded"),
        ("switch-back", "on-failure"),
        ("force-input", "1"),
    ];
    let query = fields.map(|(name, value)| format!("&{name}={value}"));
    let uri = format!(
        "failover:?primary=a%3Ab&backup=c%3Ad&backup=e%3Af{}",
        query.concat()
    );
    src.set_property("uri", &uri);
    for (name, value) in fields {
        let is = src.property_value(name).serialize().expect("a text");
        assert_eq!(is, value, "{name}");
    }
    assert_eq!(src.property::<String>("primary-uri"), "a:b");
    assert_eq!(src.property::<String>("backup-uri"), "c:d");
    assert_eq!(src.property::<gst::Array>("backup-uris").len(), 1);
    assert_eq!(src.property::<String>("uri"), uri);
}

fn init() {
    gst::init().expect("GStreamer");
    gstfailover::plugin_register_static().expect("the plugin");
}
