// SPDX-License-Identifier: MPL-2.0
//! Inputs with a stream that nothing here decodes: the others are played, the application is told once, and an input that has
//! all of it goes first.

#[path = "support/programme/mod.rs"]
mod programme;

use std::sync::Once;

use gst::prelude::*;
use programme::{Look, MS, Programme, both, element, init, picture, tone};

const X264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10";
const AC3: &str = "avenc_ac3 ! ac3parse";

/// Takes all decoders of AC-3 and Speex away, as on a machine that has none.
fn without_decoders() {
    static ONCE: Once = Once::new();
    init();
    ONCE.call_once(|| {
        let kind = gst::ElementFactoryType::DECODER;
        for factory in gst::ElementFactory::factories_with_type(kind, gst::Rank::NONE) {
            let decodes = |media| {
                let caps = gst::Caps::builder(media).build();
                factory.can_sink_any_caps(&caps) && !factory.klass().contains("Bin")
            };
            if decodes("audio/x-ac3") || decodes("audio/x-speex") {
                factory.set_rank(gst::Rank::NONE);
            }
        }
    });
}

/// MPEG-TS with a picture, and with sound encoded by each of these.
fn transport_stream(look: Look, encoders: &[&str]) -> gst::Element {
    let mut line = format!(
        "mpegtsmux name=mux {} ! {X264} ! h264parse ! queue ! mux.",
        picture(look)
    );
    for encoder in encoders {
        line += &format!(" {} ! audioconvert ! {encoder} ! queue ! mux.", tone(look));
    }
    element(&line)
}

/// How often the application was told of a stream that is not played, and in which words.
fn told(programme: &Programme) -> Vec<String> {
    let record = programme.record();
    let messages = record.messages.iter();
    let told = messages.filter(|text| text.starts_with("failover-stream-unusable"));
    told.cloned().collect()
}

fn check_told_once(programme: &Programme, kind: &str, codec: &str) {
    programme.until("it is told", |record| {
        let mut messages = record.messages.iter();
        messages.any(|text| text.starts_with("failover-stream-unusable"))
    });
    let told = told(programme);
    let [text] = told.as_slice() else {
        panic!("not told once: {told:?}");
    };
    for word in ["input=(int)0", kind, codec, "decoder"] {
        assert!(text.contains(word), "{word:?} is not in {text:?}");
    }
}

#[test]
fn a_track_that_nobody_decodes_leaves_the_others_alone() {
    without_decoders();
    let primary = transport_stream(Look::Primary, &[AC3, "avenc_aac ! aacparse"]);
    let programme = Programme::new()
        .set("primary-source", primary)
        .set("backup-source", both(Look::Backup))
        .start();
    // The one that is played is the first.
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    check_told_once(&programme, "audio", "audio/x-ac3");
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup")]);
    assert_eq!(programme.record().attempts(0), 1);
    programme.finish(&["audio_0", "video_0"]);
}

#[test]
fn silence_stands_for_the_only_sound_where_nobody_decodes_it() {
    without_decoders();
    let programme = Programme::new()
        .set("primary-source", transport_stream(Look::Primary, &[AC3]))
        .start();
    programme.until_show(Look::Primary, Look::Slate);
    check_told_once(&programme, "audio", "audio/x-ac3");
    assert_eq!(programme.record().attempts(0), 1);
    programme.finish(&["audio_0", "video_0"]);
}

#[test]
fn an_input_with_all_of_it_goes_before_one_that_is_not_decoded_whole() {
    without_decoders();
    let programme = Programme::new()
        .set("primary-source", transport_stream(Look::Primary, &[AC3]))
        .set("backup-source", both(Look::Backup))
        .set("startup-timeout", 1000 * MS)
        .start();
    programme.until_all_show(Look::Backup);
    programme.until("it is incomplete", |record| record.told(0, "incomplete"));
    check_told_once(&programme, "audio", "audio/x-ac3");
    assert!(!programme.record().told(0, "down"));
    assert_eq!(programme.record().attempts(0), 1, "it is left alone");
    programme.finish(&["audio_0", "video_0"]);
}

#[test]
fn an_input_of_which_nothing_is_decoded_fails_in_clear_words() {
    without_decoders();
    let sound = element(&format!("{} ! audioconvert ! {AC3}", tone(Look::Primary)));
    let programme = Programme::new()
        .set("primary-source", sound)
        .set("backup-source", both(Look::Backup))
        .start();
    programme.until_all_show(Look::Backup);
    programme.until("it is told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| s.input == 0 && s.new == "down" && s.text.contains("audio/x-ac3"))
    });
    programme.check_no_error();
    programme.stop();
}

#[test]
fn a_codec_that_nobody_decodes_may_come_later() {
    without_decoders();
    let sound = |encoder| {
        format!(
            "{} ! audioconvert ! audioresample ! {encoder} ! select.",
            tone(Look::Primary)
        )
    };
    let [opus, speex] = ["opusenc", "speexenc"].map(sound);
    let primary = element(&format!(
        "{} input-selector name=select sync-mode=clock {opus} {speex}",
        picture(Look::Primary)
    ));
    let programme = Programme::new().set("primary-source", &primary).start();
    programme.until_all_show(Look::Primary);
    let bin = primary.downcast_ref::<gst::Bin>().expect("a bin");
    let select = bin.by_name("select").expect("a selector");
    select.set_property("active-pad", select.static_pad("sink_1"));
    check_told_once(&programme, "audio", "audio/x-speex");
    programme.until_show(Look::Primary, Look::Slate);
    assert_eq!(programme.record().attempts(0), 1);
    programme.check_no_error();
    programme.stop();
}
