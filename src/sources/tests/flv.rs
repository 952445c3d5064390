// SPDX-License-Identifier: MPL-2.0
//! FLV with codecs that flvdemux does not know, tag by tag as rtmp2src gives them.

use super::*;
use crate::sources::bin::SourceBin;
use crate::sources::flv::demultiplex;

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;

/// The tags of a short picture.
fn picture() -> Vec<gst::Buffer> {
    gst::init().expect("GStreamer");
    let line = "videotestsrc num-buffers=25 ! video/x-raw,width=64,height=64,framerate=25/1 \
        ! x264enc tune=zerolatency ! h264parse ! flvmux streamable=true ! appsink name=out sync=false";
    let pipeline = gst::parse::launch(line).expect(line);
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let out = pipeline.by_name("out").and_downcast::<gst_app::AppSink>();
    let out = out.expect("an appsink");
    pipeline.set_state(gst::State::Playing).expect("PLAYING");
    let patience = gst::ClockTime::from_seconds(PATIENCE.as_secs());
    let samples = std::iter::from_fn(|| out.try_pull_sample(patience));
    let mut buffers: Vec<_> = samples.filter_map(|s| s.buffer_owned()).collect();
    pipeline.set_state(gst::State::Null).expect("NULL");
    assert!(buffers.len() > 25, "{}", buffers.len());
    let header = buffers.remove(0);
    assert_eq!(header.size(), 13, "it comes alone");
    buffers
}

fn header() -> gst::Buffer {
    gst::init().expect("GStreamer");
    gst::Buffer::from_slice(*b"FLV\x01\x05\0\0\0\x09\0\0\0\0")
}

fn tag(kind: u8, time: u32, body: &[u8]) -> gst::Buffer {
    let length = u32::try_from(body.len()).expect("a small body");
    let [_, size @ ..] = length.to_be_bytes();
    let [highest, time @ ..] = time.to_be_bytes();
    let end = (length + 11).to_be_bytes();
    let head = [&[kind][..], &size, &time, &[highest, 0, 0, 0]].concat();
    gst::Buffer::from_slice([&head, body, &end].concat())
}

/// Plays these tags; the connection stays open.
fn play(tags: impl IntoIterator<Item = gst::Buffer>) -> Player {
    let bin = SourceBin::new("flv");
    bin.set_in_real_time();
    let src = gst_app::AppSrc::builder().name("connection").build();
    src.set_max_bytes(0);
    bin.add(&src).expect("room");
    demultiplex(&bin, src.upcast_ref(), "rtmp://h/live/x").expect("demuxers");
    for tag in tags {
        src.push_buffer(tag).expect("taken");
    }
    Player::start(Source {
        core: src.upcast(),
        bin: bin.upcast(),
        timestamps: Timestamps::Own,
    })
}

/// rtmp2src sends the header with the first tag.
fn joined(tags: Vec<gst::Buffer>) -> Vec<gst::Buffer> {
    let mut tags = tags.into_iter();
    let mut first = header();
    first.append(tags.next().expect("a tag"));
    std::iter::once(first).chain(tags).collect()
}

#[test]
fn video_that_flvdemux_does_not_know_fails_in_words_that_name_it() {
    gst::init().expect("GStreamer");
    let demuxer = parse::make("flvdemux").expect("flvdemux");
    let is_new = demuxer.pad_template("video_%u").is_some();
    for (body, name) in [
        (&b"\x90hvc1\x01\0\0\0"[..], "HEVC"),
        (b"\xa3hvc1\0\0\0\x01", "HEVC"),
        (b"\x1c\0\0\0\0\0\0\0", "HEVC"),
        (b"\x91av01\x12\0\x0a", "AV1"),
        (b"\x97\x02\0\0\0\x01vp09\0", "VP9"),
        (b"\x9f", "unknown codec"),
        (b"\x1b\0\0\0\0\0\0\0", "number 11"),
    ] {
        if is_new && ["HEVC", "unknown codec"].contains(&name) {
            continue;
        }
        for first in [true, false] {
            let mut tags = vec![tag(VIDEO, 0, body), tag(VIDEO, 40, body)];
            if !first {
                tags.insert(0, tag(18, 0, b"\x02\0\x0aonMetaData"));
            }
            let player = play(joined(tags));
            player.wait(name, |event| match event {
                Event::Error(text) => text.contains(name) && text.contains("H.264"),
                _ => false,
            });
            let errors = player.seen().into_iter();
            let errors = errors.filter(|event| matches!(event, Event::Error(_)));
            assert_eq!(errors.count(), 1, "{name}");
        }
    }
}

#[test]
fn sound_that_flvdemux_does_not_know_leaves_the_picture_alone() {
    for (body, name) in [
        (&b"\x91Opus\0\0\0\0"[..], "Opus"),
        (b"\x91ac-3\0\0\0\0", "AC-3"),
        (b"\xd1\0\0\0\0\0", "Opus"),
    ] {
        // Before the picture, and between its frames.
        let mut tags = Vec::new();
        for tag_of_picture in picture() {
            tags.push(tag(AUDIO, 0, body));
            tags.push(tag_of_picture);
        }
        let player = play(joined(tags));
        player.wait(
            "the picture",
            |event| matches!(event, Event::Flowing(pad, _) if pad == "video_0"),
        );
        player.wait(name, |event| *event == Event::Unusable(name.to_owned()));
        player.wait("its being all", |event| *event == Event::NoMorePads);
        let told = player.seen().into_iter();
        let told = told.filter(|event| matches!(event, Event::Unusable(_) | Event::Error(_)));
        assert_eq!(told.count(), 1, "{name}");
    }
}

#[test]
fn further_tracks_of_an_extended_header_are_passed_over() {
    let mut tags = Vec::new();
    for tag_of_picture in picture() {
        tags.push(tag_of_picture);
        tags.push(tag(VIDEO, 0, b"\x96\0hvc1\x01\0\0\0"));
        tags.push(tag(AUDIO, 0, b"\x95\x01Opus\x01\0\0\0"));
    }
    let player = play(joined(tags));
    player.wait(
        "the picture",
        |event| matches!(event, Event::Flowing(pad, _) if pad == "video_0"),
    );
    let seen = player.seen();
    let is_complaint = |event: &Event| matches!(event, Event::Error(_) | Event::Unusable(_));
    assert!(!seen.iter().any(is_complaint), "{seen:?}");
}

/// As over HTTP: a tag may begin and end anywhere in a buffer.
#[test]
fn codecs_are_seen_in_pieces_of_any_size() {
    gst::init().expect("GStreamer");
    for (size, body, name) in [
        (7, &b"\x91av01\x12\0\x0a"[..], "AV1"),
        (1000, b"\xa3vp09\0\0\0\x01", "VP9"),
    ] {
        let tags = [tag(18, 0, b"\x02\0\x0aonMetaData"), tag(VIDEO, 0, body)];
        let bytes = joined(tags.to_vec()).into_iter().flat_map(|buffer| {
            let map = buffer.into_mapped_buffer_readable();
            map.expect("it is readable").to_vec()
        });
        let bytes: Vec<_> = bytes.collect();
        let src = gst_app::AppSrc::builder()
            .caps(&gst::Caps::builder("video/x-flv").build())
            .build();
        src.set_max_bytes(0);
        let bin = SourceBin::new("http");
        bin.add(&src).expect("room");
        bin.watch(src.upcast_ref());
        for piece in bytes.chunks(size) {
            let piece = gst::Buffer::from_slice(piece.to_vec());
            src.push_buffer(piece).expect("taken");
        }
        let player = Player::start(Source {
            core: src.upcast(),
            bin: bin.upcast(),
            timestamps: Timestamps::Own,
        });
        player.wait(name, |event| match event {
            Event::Error(text) => text.contains(name) && text.contains("H.264"),
            _ => false,
        });
    }
}
