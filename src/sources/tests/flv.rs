// SPDX-License-Identifier: MPL-2.0
//! FLV with codecs that flvdemux does not know, and FLV whose video is late: tag by tag as rtmp2src gives them, and as bytes.

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
    demultiplex(&bin, src.upcast_ref()).expect("demuxers");
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

/// FLV as bytes, with a header that says these flags.
fn bytes(flags: u8, tags: impl IntoIterator<Item = gst::Buffer>) -> Vec<u8> {
    let tags = tags.into_iter().flat_map(|tag| {
        let map = tag.into_mapped_buffer_readable();
        map.expect("it is readable").to_vec()
    });
    let header = [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0];
    header.into_iter().chain(tags).collect()
}

/// Who says that it is FLV.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Said {
    ByCaps,
    ByItself,
}

/// Plays these bytes in buffers of such a size, as over HTTP: a tag may begin and end anywhere in a buffer. The connection stays
/// open.
fn play_bytes(bytes: &[u8], size: usize, said: Said) -> Player {
    let (source, src) = connection(said);
    for piece in bytes.chunks(size) {
        let piece = gst::Buffer::from_slice(piece.to_vec());
        src.push_buffer(piece).expect("taken");
    }
    Player::start(source)
}

fn connection(said: Said) -> (Source, gst_app::AppSrc) {
    gst::init().expect("GStreamer");
    let src = gst_app::AppSrc::builder().build();
    if said == Said::ByCaps {
        src.set_caps(Some(&gst::Caps::builder("video/x-flv").build()));
    }
    src.set_max_bytes(0);
    let bin = SourceBin::new("http");
    bin.add(&src).expect("room");
    bin.watch(src.upcast_ref());
    let source = Source {
        core: src.clone().upcast(),
        bin: bin.upcast(),
        timestamps: Timestamps::Own,
    };
    (source, src)
}

#[test]
fn codecs_are_seen_in_pieces_of_any_size() {
    gst::init().expect("GStreamer");
    for (size, said, body, name) in [
        (7, Said::ByCaps, &b"\x91av01\x12\0\x0a"[..], "AV1"),
        (1000, Said::ByCaps, b"\xa3vp09\0\0\0\x01", "VP9"),
        (1000, Said::ByItself, b"\xa3vp09\0\0\0\x01", "VP9"),
    ] {
        // Typefinding wants to see some.
        let frames = (0..200).map(|number| tag(VIDEO, number * 40, body));
        let tags = std::iter::once(tag(18, 0, b"\x02\0\x0aonMetaData")).chain(frames);
        let player = play_bytes(&bytes(5, tags), size, said);
        player.wait(name, |event| match event {
            Event::Error(text) => text.contains(name) && text.contains("H.264"),
            _ => false,
        });
    }
}

#[test]
fn audio_that_flvdemux_does_not_know_is_left_out_of_bytes() {
    let tags = picture();
    let tags = tags
        .into_iter()
        .flat_map(|of_video| [tag(AUDIO, 0, b"\x91Opus\0\0\0\0"), of_video]);
    let player = play_bytes(&bytes(5, tags), 100, Said::ByCaps);
    player.wait("video", is_video);
    player.wait("its being told", |event| {
        *event == Event::Unusable("Opus".to_owned())
    });
    player.wait("its being all", |event| *event == Event::NoMorePads);
    let seen = player.seen();
    assert!(!seen.iter().any(is_error), "{seen:?}");
}

fn is_video(event: &Event) -> bool {
    matches!(event, Event::Flowing(pad, _) if pad == "video_0")
}

fn is_error(event: &Event) -> bool {
    matches!(event, Event::Error(_))
}

/// So many seconds of audio.
fn audio(seconds: u32) -> Vec<gst::Buffer> {
    let frames = (0..seconds * 50).map(|number| tag(AUDIO, number * 20, b"\xaf\x01\x21\x10"));
    let configuration = tag(AUDIO, 0, b"\xaf\0\x12\x10");
    std::iter::once(configuration).chain(frames).collect()
}

/// More than flvdemux waits for.
const LATE: u32 = 8;

/// Audio, and video that begins so much later. Without the metadata, which tell of both before they come.
fn late_video() -> Vec<gst::Buffer> {
    let is_script = |tag: &gst::Buffer| tag.map_readable().is_ok_and(|map| map[0] == 18);
    let video = picture().into_iter().filter(|tag| !is_script(tag));
    let later = video.map(|tag| {
        let mut bytes = tag.map_readable().expect("it is readable").to_vec();
        let time = u32::from_be_bytes([bytes[7], bytes[4], bytes[5], bytes[6]]);
        let [highest, time @ ..] = (time + LATE * 1000).to_be_bytes();
        bytes[4..7].copy_from_slice(&time);
        bytes[7] = highest;
        gst::Buffer::from_slice(bytes)
    });
    audio(LATE).into_iter().chain(later).collect()
}

#[test]
fn video_that_begins_long_after_its_audio_joins() {
    for (flags, size, said) in [
        (5, 7, Said::ByCaps),
        (5, 4096, Said::ByItself),
        // The header was written before there was video.
        (4, 1_000_000, Said::ByCaps),
    ] {
        let player = play_bytes(&bytes(flags, late_video()), size, said);
        player.wait("video", is_video);
        let seen = player.seen();
        let time = seen.iter().find_map(|event| match event {
            Event::Flowing(pad, time) if pad == "video_0" => *time,
            _ => None,
        });
        let late = gst::ClockTime::from_seconds(LATE.into());
        assert_eq!(time, Some(late), "{flags} {size} {said:?}");
        let pads = player.pads().into_iter().map(|(name, _)| name);
        assert_eq!(pads.collect::<Vec<_>>(), ["audio_0", "video_0"]);
        assert!(!seen.iter().any(is_error), "{seen:?}");
    }
}

#[test]
fn a_file_whose_video_is_late_plays_to_its_end() {
    for (name, tags, pads) in [
        ("late", late_video(), &["audio_0", "video_0"][..]),
        ("audio", audio(1), &["audio_0"]),
    ] {
        let name = format!("failover-{name}-{}.flv", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes(5, tags)).expect("a file");
        let player = uris::play(&uri(&format!("file://{}", path.display())));
        player.wait_all("the end of every stream", |seen| {
            let ended = seen.iter().filter(|event| matches!(event, Event::Ended(_)));
            ended.count() == pads.len() && seen.contains(&Event::NoMorePads)
        });
        let names = player.pads().into_iter().map(|(name, _)| name);
        assert_eq!(names.collect::<Vec<_>>(), pads);
        let seen = player.seen();
        assert!(!seen.iter().any(is_error), "{seen:?}");
        let _ = std::fs::remove_file(path);
    }
}

#[test]
fn bytes_that_are_no_tag_are_an_error_in_words() {
    gst::init().expect("GStreamer");
    let broken = [bytes(5, audio(1)), b"<html>offline</html>".to_vec()].concat();
    let page = b"<html>the stream is offline</html>".to_vec();
    for (bytes, words) in [(broken, "the FLV is broken"), (page, "an FLV header")] {
        let player = play_bytes(&bytes, 100, Said::ByCaps);
        player.wait(
            words,
            |event| matches!(event, Event::Error(text) if text.contains(words)),
        );
    }
}

/// As where a queue before it overflows.
#[test]
fn what_follows_lost_bytes_is_played() {
    let (source, src) = connection(Said::ByCaps);
    let start = bytes(5, audio(1));
    let cut = start.len() - 3;
    let push = |bytes: &[u8], flags| {
        let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
        buffer.make_mut().set_flags(flags);
        src.push_buffer(buffer).expect("taken");
    };
    push(&start[..cut], gst::BufferFlags::empty());
    let mut flags = gst::BufferFlags::DISCONT;
    for tag in picture() {
        push(&tag.map_readable().expect("it is readable"), flags);
        flags = gst::BufferFlags::empty();
    }
    let player = Player::start(source);
    player.wait("video", is_video);
    let seen = player.seen();
    assert!(!seen.iter().any(is_error), "{seen:?}");
}
