// SPDX-License-Identifier: MPL-2.0
//! What `failoverswitch` says: its events downstream, its messages, its statistics.

#[path = "support/stage/mod.rs"]
mod stage;

use gst::prelude::*;
use stage::{Feed, Frame, Frames, Seen, Stage, aac, caps, h264, pair, pcm, raw};

/// There and back: a stall at 1 s, a return at about 4 s.
fn there_and_back(stage: &Stage, primary: &Feed, backup: &Feed) {
    stage.every(20, 0..6_000, |at| {
        if !(1_000..3_000).contains(&at) {
            primary.push(Frame::at(at));
        }
        backup.push(Frame::at(at));
    });
}

fn input_of(stats: &gst::Structure, input: usize) -> gst::Structure {
    let inputs = stats.get::<gst::ArrayRef>("inputs").expect("inputs");
    inputs.as_slice()[input].get().expect("an input")
}

#[test]
fn the_programme_is_one_stream_with_one_segment_over_all_cuts() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
    there_and_back(&stage, &primary, &backup);
    assert_eq!(stage.sent().runs().len(), 3);
    assert_eq!(stage.out.events(gst::EventType::StreamStart).len(), 1);
    assert_eq!(stage.out.events(gst::EventType::Segment).len(), 1);
    assert_eq!(stage.out.events(gst::EventType::Caps).len(), 1);
    stage.out.assert_one_programme();
}

#[test]
fn caps_are_sent_again_where_they_differ() {
    let stage = Stage::new(&[("timeout", "500000000"), ("recovery-time", "1000000000")]);
    let small = caps("video/x-raw,format=I420,width=8,height=8,framerate=50/1");
    let (primary, backup) = (stage.feed("sink_0", &raw()), stage.feed("sink_1", &small));
    stage.play();
    there_and_back(&stage, &primary, &backup);
    let seen = stage.out.events(gst::EventType::Caps);
    let seen: Vec<_> = seen
        .iter()
        .map(|event| match event.view() {
            gst::EventView::Caps(caps) => caps.caps_owned(),
            _ => panic!("{event:?}"),
        })
        .collect();
    assert_eq!(seen, [raw(), small, raw()]);
    stage.out.assert_one_programme();
}

#[test]
fn caps_that_change_on_air_are_passed_on() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let small = caps("video/x-raw,format=I420,width=8,height=8,framerate=50/1");
    stage.every(20, 0..400, |at| {
        if at == 200 {
            primary.pad.push_event(gst::event::Caps::new(&small));
            backup.pad.push_event(gst::event::Caps::new(&h264()));
        }
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    assert_eq!(stage.out.pad.current_caps(), Some(small));
    assert_eq!(stage.out.events(gst::EventType::Caps).len(), 2);
}

#[test]
fn tags_of_the_input_on_air_alone_are_passed_on() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let tags = |title: &str| {
        let mut tags = gst::TagList::new();
        if let Some(tags) = tags.get_mut() {
            tags.add::<gst::tags::Title>(&title, gst::TagMergeMode::Replace);
        }
        gst::event::Tag::new(tags)
    };
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    primary.pad.push_event(tags("primary"));
    backup.pad.push_event(tags("backup"));
    let titles = |stage: &Stage| {
        let events = stage.out.events(gst::EventType::Tag);
        let titles = events.iter().filter_map(|event| match event.view() {
            gst::EventView::Tag(tag) => tag
                .tag()
                .get::<gst::tags::Title>()
                .map(|t| t.get().to_owned()),
            _ => None,
        });
        titles.collect::<Vec<_>>()
    };
    assert_eq!(titles(&stage), ["primary"]);
    primary.eos();
    stage.every(20, 200..400, |at| backup.push(Frame::at(at)));
    assert_eq!(titles(&stage), ["primary", "backup"]);
}

#[test]
fn what_a_standby_says_downstream_stays_with_it() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    stage.every(20, 0..200, |at| {
        primary.push(Frame::at(at));
        backup.push(Frame::at(at));
    });
    let before = stage.out.seen().len();
    let structure = gst::Structure::new_empty("hello");
    backup
        .pad
        .push_event(gst::event::CustomDownstream::new(structure.clone()));
    backup
        .pad
        .push_event(gst::event::Gap::new(stage::ms(200), None));
    assert_eq!(stage.out.seen().len(), before);
    primary
        .pad
        .push_event(gst::event::CustomDownstream::new(structure));
    let last = stage.out.seen().pop();
    assert!(matches!(last, Some(Seen::Event(event)) if event.has_name("hello")));
}

#[test]
fn the_report_of_a_failover_has_its_cost() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
    there_and_back(&stage, &primary, &backup);
    let reports = stage.told("failover-switched");
    assert_eq!(reports.len(), 3);
    let names: Vec<_> = reports[1].fields().map(ToString::to_string).collect();
    let fields = [
        "from",
        "to",
        "cause",
        "running-time",
        "detection",
        "gap",
        "hidden",
        "decoded-unseen",
        "key-frame-wait",
        "audio-video-offset",
    ];
    assert_eq!(names, fields);
    let (start, failover, back) = (&reports[0], &reports[1], &reports[2]);
    assert_eq!((start.get("from"), start.get("to")), (Ok(-1), Ok(0)));
    assert_eq!(start.get::<String>("cause").as_deref(), Ok("startup"));
    assert_eq!((failover.get("from"), failover.get("to")), (Ok(0), Ok(1)));
    assert_eq!(failover.get::<String>("cause").as_deref(), Ok("stall"));
    assert_eq!(failover.get("running-time"), Ok(1_480_000_000u64));
    assert_eq!(failover.get("detection"), Ok(500_000_000u64));
    assert_eq!(failover.get("gap"), Ok(500_000_000u64));
    assert_eq!(failover.get("hidden"), Ok(false));
    assert_eq!(failover.get("key-frame-wait"), Ok(0u64));
    assert_eq!((back.get("from"), back.get("to")), (Ok(1), Ok(0)));
    assert_eq!(back.get::<String>("cause").as_deref(), Ok("recovered"));
    assert!(
        back.get::<u64>("gap").is_ok_and(|gap| gap <= 20_000_000),
        "{back:?}"
    );
}

#[test]
fn the_report_of_an_encoded_cut_has_its_wait_for_the_key_frame() {
    let stage = Stage::usual();
    let (primary, backup) = (stage.feed("sink_0", &h264()), stage.feed("sink_1", &h264()));
    stage.play();
    let frame = |at| Frame::at(at).delta_unless(at.is_multiple_of(1_000));
    stage.every(20, 0..1_600, |at| {
        primary.push(frame(at));
        backup.push(frame(at));
    });
    primary.eos();
    stage.every(20, 1_600..3_000, |at| backup.push(frame(at)));
    let reports = stage.told("failover-switched");
    let failover = reports.last().expect("a report");
    assert_eq!(failover.get::<String>("cause").as_deref(), Ok("eos"));
    // Decided at 1580, when the end was told; the key frame came at 2000.
    assert_eq!(failover.get("key-frame-wait"), Ok(420_000_000u64));
    assert_eq!(failover.get("gap"), Ok(420_000_000u64));
}

#[test]
fn the_states_of_an_input_are_told_in_their_order() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
    there_and_back(&stage, &primary, &backup);
    primary.eos();
    let told = stage.told("failover-input-state");
    let names: Vec<_> = told[0].fields().map(ToString::to_string).collect();
    assert_eq!(names, ["input", "old", "new", "cause"]);
    let of_primary = told.iter().filter(|state| state.get("input") == Ok(0i32));
    let text = |state: &gst::Structure, field| state.get::<String>(field).expect("a text");
    let states: Vec<_> = of_primary
        .map(|state| [text(state, "old"), text(state, "new"), text(state, "cause")].join(" "))
        .collect();
    let expected = [
        "idle flowing none",
        "flowing stalled stall",
        "stalled flowing none",
        "flowing down eos",
    ];
    assert_eq!(states, expected);
}

#[test]
fn the_statistics_name_every_input_and_the_last_switch() {
    let (stage, primary, backup) = pair(&raw(), &[]);
    let stats = stage.stats();
    assert_eq!(stats.name(), "application/x-failover-stats");
    assert_eq!(
        (stats.get("num-switches"), stats.get("on-air")),
        (Ok(0u64), Ok(-1))
    );
    stage.every(20, 0..2_000, |at| {
        if at < 1_000 {
            primary.push(Frame::at(at));
        }
        backup.push(Frame::at(at).later(1_000_000));
    });
    stage.to(2_000);
    let stats = stage.stats();
    assert_eq!(
        (stats.get("num-switches"), stats.get("on-air")),
        (Ok(1u64), Ok(1))
    );
    let last = stats
        .get::<gst::Structure>("last-switch")
        .expect("the last switch");
    assert_eq!(
        last,
        stage.told("failover-switched").pop().expect("a report")
    );
    let (first, second) = (input_of(&stats, 0), input_of(&stats, 1));
    assert_eq!((first.get("input"), second.get("input")), (Ok(0), Ok(1)));
    assert_eq!(first.get::<String>("state").as_deref(), Ok("stalled"));
    assert_eq!(second.get::<String>("state").as_deref(), Ok("flowing"));
    assert_eq!(
        (first.get("buffers"), second.get("buffers")),
        (Ok(50u64), Ok(100u64))
    );
    assert_eq!(first.get("last-buffer-age"), Ok(1_020_000_000u64));
    assert_eq!(second.get("last-buffer-age"), Ok(20_000_000u64));
    assert_eq!(first.get("time-offset"), Ok(0i64));
    assert_eq!(second.get("time-offset"), Ok(-1_000_000_000_000i64));
}

#[test]
fn a_standby_keeps_no_more_than_it_needs() {
    let stage = Stage::usual();
    let (primary, backup) = (stage.feed("sink_0", &h264()), stage.feed("sink_1", &h264()));
    stage.play();
    let kept = |stage: &Stage, input| {
        let stats = input_of(&stage.stats(), input);
        stats.get::<u64>("standby-bytes").expect("bytes")
    };
    // Eight bytes each; a group of pictures is 50 of them, and a few are of the next.
    stage.every(20, 0..60_000, |at| {
        let frame = Frame::at(at).delta_unless(at.is_multiple_of(1_000));
        primary.push(frame);
        backup.push(frame);
        assert!(kept(&stage, 0) == 0 && kept(&stage, 1) <= 440);
    });
    assert!(kept(&stage, 1) >= 400);
}

#[test]
fn the_active_pad_is_notified_once_for_each_switch() {
    let (stage, primary, backup) = pair(&raw(), &[("recovery-time", "1000000000")]);
    let (told, seen) = std::sync::mpsc::channel();
    stage
        .switch
        .connect_notify(Some("active-pad"), move |switch, _| {
            let _ = told.send(switch.property::<Option<gst::Pad>>("active-pad"));
        });
    there_and_back(&stage, &primary, &backup);
    let seen: Vec<_> = seen.try_iter().flatten().collect();
    assert_eq!(
        seen,
        [
            primary.sink.clone(),
            backup.sink.clone(),
            primary.sink.clone()
        ]
    );
}

#[test]
fn the_defaults_are_those_that_users_of_its_peers_know() {
    stage::init();
    let switch = gst::ElementFactory::make("failoverswitch")
        .build()
        .expect("failoverswitch");
    assert_eq!(switch.property::<u64>("timeout"), 1_000_000_000);
    assert_eq!(switch.property::<u64>("latency"), 0);
    assert_eq!(switch.property::<u64>("recovery-time"), 5_000_000_000);
    assert!(switch.property::<bool>("auto-switch"));
    assert!(!switch.property::<bool>("immediate-fallback"));
    assert!(!switch.property::<bool>("stop-on-eos"));
    assert_eq!(switch.property::<Option<gst::Pad>>("active-pad"), None);
    let property = switch.find_property("switch-back").expect("switch-back");
    let (_, value) = gst::glib::EnumValue::from_value(&switch.property_value(property.name()))
        .map(|value| (value.1.value(), value.1.nick().to_owned()))
        .expect("an enum");
    assert_eq!(value, "after-recovery");
    let factory = switch.factory().expect("a factory");
    let templates: Vec<_> = factory
        .static_pad_templates()
        .iter()
        .map(|template| template.name_template().to_string())
        .collect();
    for name in ["sink_%u", "sink_%u_%u", "src", "src_%u"] {
        assert!(templates.iter().any(|t| t == name), "{templates:?}");
    }
}

#[test]
fn properties_that_an_operator_turns_can_be_turned_while_playing() {
    let (stage, ..) = pair(&raw(), &[]);
    let names = [
        "timeout",
        "startup-timeout",
        "recovery-time",
        "switch-back",
        "auto-switch",
        "latency",
        "active-pad",
        "immediate-fallback",
        "stop-on-eos",
    ];
    for name in names {
        let property = stage.switch.find_property(name).expect(name);
        let playing = gst::PARAM_FLAG_MUTABLE_PLAYING;
        assert!(property.flags().contains(playing), "{name}");
        assert!(
            property.blurb().is_some_and(|blurb| !blurb.is_empty()),
            "{name}"
        );
    }
}

#[test]
fn its_pads_are_its_children() {
    let (stage, primary, _backup) = pair(&raw(), &[]);
    let proxy = stage
        .switch
        .dynamic_cast_ref::<gst::ChildProxy>()
        .expect("a child proxy");
    assert_eq!(proxy.children_count(), 2);
    proxy.set_child_property("sink_0::priority", 8u32);
    assert_eq!(primary.sink.property::<u32>("priority"), 8);
}

#[test]
fn how_far_the_sound_begins_from_the_picture_is_told() {
    for (pictures, caps, by) in [
        (h264(), aac(), -8),
        (h264(), aac(), 8),
        (raw(), pcm(), -8),
        (raw(), pcm(), 8),
    ] {
        let stage = Stage::usual();
        let feeds: Vec<_> = (0..2)
            .map(|input| {
                let sound = stage.feed(&format!("sink_{input}_1"), &caps);
                (stage.feed(&format!("sink_{input}"), &pictures), sound)
            })
            .collect();
        stage.play();
        let push = |(picture, sound): &(Feed, Feed), at: u64| {
            picture.push(stage::frame_of(&pictures, at));
            sound.push(Frame::at(at.saturating_add_signed(by)));
        };
        stage.every(20, 20..1_000, |at| {
            feeds.iter().for_each(|feed| push(feed, at))
        });
        stage.every(20, 1_000..3_000, |at| push(&feeds[1], at));
        let report = stage.told("failover-switched").pop().expect("a switch");
        assert_eq!(report.get::<&str>("cause"), Ok("stall"));
        // Raw sound is cut where the picture begins.
        let expected = if caps == pcm() { 0 } else { by * 1_000_000 };
        assert_eq!(
            report.get("audio-video-offset"),
            Ok(expected),
            "{caps} {by}"
        );
    }
}
