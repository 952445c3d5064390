// SPDX-License-Identifier: MPL-2.0
//! Real RTMP streams, with a real server and real publishers: whatever dies, the output plays on and
//! the reports say what happened.

#[path = "support/lab/mod.rs"]
mod lab;
#[path = "support/programme/mod.rs"]
mod programme;

use std::time::{Duration, Instant};
use std::{fs, io};

use gst::prelude::*;
use lab::{Picture, Publisher, Server};
use programme::{Look, MS, Programme};

const BOTH: [&str; 2] = ["audio_0", "video_0"];

/// What a publisher of this look sends: small, a key frame each second.
fn drawn(look: Look) -> Picture {
    Picture::new(match look {
        Look::Primary => "PRIMARY",
        _ => "BACKUP",
    })
    .background(&format!("0x{:06x}", look.colour()))
    .tone(look.tone())
    .size(320, 180)
    .fps(25)
    .gop(25)
}

fn publish(server: &Server, name: &str, picture: Picture) -> io::Result<Publisher> {
    let mut publisher = Publisher::start(&server.url(name), picture)?;
    publisher.wait_until_publishing()?;
    Ok(publisher)
}

/// Both inputs by their usual names, not started.
fn player(server: &Server) -> Programme {
    Programme::new()
        .set("primary-uri", server.url("primary"))
        .set("backup-uri", server.url("backup"))
}

/// A server, both publishers, and a programme that shows the primary.
fn on_air() -> io::Result<(Server, Publisher, Publisher, Programme)> {
    let server = Server::start()?;
    let primary = publish(&server, "primary", drawn(Look::Primary))?;
    let backup = publish(&server, "backup", drawn(Look::Backup))?;
    let programme = player(&server).start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    Ok((server, primary, backup, programme))
}

/// The server gives a new player sound at once, and the picture from the next key frame on. flvdemux alone would
/// take this for a stream without one.
#[test]
fn a_picture_that_comes_long_after_the_sound_is_shown() -> io::Result<()> {
    let server = Server::start()?;
    // Key frames 12 s apart: the one at the start has been missed.
    let seldom = drawn(Look::Primary).gop(300);
    let _primary = publish(&server, "primary", seldom)?;
    let programme = Programme::new()
        .set("primary-uri", server.url("primary"))
        .start();
    programme.until_all_show(Look::Primary);
    let [sound, picture] = ["audio_0", "video_0"].map(|name| {
        let record = programme.record();
        let mut seen = record.output(name).expect("an output").seen.iter();
        let first = seen.find(|seen| seen.look == Look::Primary);
        first.expect("it was shown").arrival
    });
    assert!(picture - sound > Duration::from_secs(6));
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn the_end_of_a_stream_of_sound_alone_is_no_error() -> io::Result<()> {
    let server = Server::start()?;
    let sound = drawn(Look::Primary).without_video();
    let mut primary = publish(&server, "primary", sound)?;
    let _backup = publish(&server, "backup", drawn(Look::Backup))?;
    let programme = player(&server).start();
    programme.until_output_shows("audio_0", Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    primary.kill9();
    programme.until_all_show(Look::Backup);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "eos")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_killed_publisher_is_covered_and_taken_back() -> io::Result<()> {
    let (_server, mut primary, _backup, programme) = on_air()?;
    primary.kill9();
    programme.until_all_show(Look::Backup);
    primary.restart()?;
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "eos"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_second_run_goes_on_air_like_the_first() -> io::Result<()> {
    let (_server, _primary, mut backup, programme) = on_air()?;
    backup.kill9();
    for state in [gst::State::Ready, gst::State::Null] {
        assert!(programme::set_state_bounded(&programme.pipeline, state));
        programme.clear();
        programme.play();
        programme.until_all_show(Look::Primary);
    }
    programme.finish_without_outputs();
    Ok(())
}

/// An application such as playbin waits for that.
#[test]
fn that_there_are_no_more_pads_is_known_with_the_second() -> io::Result<()> {
    let server = Server::start()?;
    let _primary = publish(&server, "primary", drawn(Look::Primary))?;
    let programme = Programme::new().set("primary-uri", server.url("primary"));
    let (tell, told) = std::sync::mpsc::channel();
    programme.src.connect_no_more_pads(move |src| {
        let position = src.query_position::<gst::ClockTime>();
        let _ = tell.send((src.num_src_pads(), position));
    });
    programme.play();
    let (pads, position) = told
        .recv_timeout(Duration::from_secs(40))
        .expect("no more pads");
    assert_eq!(pads, 2);
    // flvdemux alone waits for six seconds of the stream.
    assert!(
        position < Some(gst::ClockTime::from_seconds(5)),
        "{position:?}"
    );
    programme.finish_without_outputs();
    Ok(())
}

#[test]
fn a_frozen_publisher_is_a_stall_and_its_burst_does_no_harm() -> io::Result<()> {
    let (_server, mut primary, _backup, programme) = on_air()?;
    primary.freeze()?;
    programme.until_all_show(Look::Backup);
    primary.thaw()?;
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "stall"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_killed_server_leaves_a_slate_until_it_is_back() -> io::Result<()> {
    let (mut server, mut primary, mut backup, programme) = on_air()?;
    server.kill();
    programme.until_all_show(Look::Slate);
    // Told of a moment after they are seen.
    programme.until("both are down", |record| {
        record.told(0, "down") && record.told(1, "down")
    });
    server.restart()?;
    primary.restart()?;
    backup.restart()?;
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_server_that_is_absent_at_first_is_found_when_it_comes() -> io::Result<()> {
    let mut server = Server::start()?;
    server.kill();
    let programme = player(&server).start();
    programme.until_all_show(Look::Slate);
    programme.until("it was told why", |record| {
        let refused = |input| {
            let mut states = record.states.iter();
            states.any(|s| s.input == input && s.cause == "error" && s.text.contains("refused"))
        };
        refused(0) && refused(1)
    });
    server.restart()?;
    let _primary = publish(&server, "primary", drawn(Look::Primary))?;
    let _backup = publish(&server, "backup", drawn(Look::Backup))?;
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_stream_that_is_not_yet_published_is_covered_until_it_comes() -> io::Result<()> {
    let server = Server::start()?;
    let _backup = publish(&server, "backup", drawn(Look::Backup))?;
    let programme = player(&server).set("startup-timeout", 3000 * MS).start();
    programme.until_all_show(Look::Backup);
    let _primary = publish(&server, "primary", drawn(Look::Primary))?;
    programme.until_switches(2);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 1, "startup"), (1, 0, "recovered")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn with_both_publishers_dead_black_and_silence_flow_until_one_is_back() -> io::Result<()> {
    let (_server, mut primary, mut backup, programme) = on_air()?;
    primary.kill9();
    backup.kill9();
    programme.until_all_show(Look::Slate);
    programme.until_all_show(Look::Slate);
    backup.restart()?;
    programme.until_all_show(Look::Backup);
    let first = programme
        .record()
        .switches()
        .into_iter()
        .take(2)
        .collect::<Vec<_>>();
    assert_eq!(
        first,
        [(-1, 0, "startup".to_owned()), (0, 1, "eos".to_owned())]
    );
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn a_primary_without_a_backup_is_waited_for() -> io::Result<()> {
    let server = Server::start()?;
    let mut primary = publish(&server, "primary", drawn(Look::Primary))?;
    let programme = Programme::new()
        .set("primary-uri", server.url("primary"))
        .start();
    programme.until_all_show(Look::Primary);
    primary.kill9();
    programme.until_all_show(Look::Slate);
    primary.restart()?;
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup")]);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn what_an_input_has_not_is_filled_in() -> io::Result<()> {
    let server = Server::start()?;
    let mut primary = publish(&server, "primary", drawn(Look::Primary).without_audio())?;
    let _backup = publish(&server, "backup", drawn(Look::Backup).without_video())?;
    let programme = player(&server).start();
    programme.until_show(Look::Primary, Look::Slate);
    primary.kill9();
    programme.until_show(Look::Slate, Look::Backup);
    primary.restart()?;
    programme.until_show(Look::Primary, Look::Slate);
    programme.finish(&BOTH);
    Ok(())
}

#[test]
fn encoded_output_has_one_form_and_every_cut_is_on_a_key_frame() -> io::Result<()> {
    let server = Server::start()?;
    let mut primary = publish(&server, "primary", drawn(Look::Primary))?;
    let _backup = publish(&server, "backup", drawn(Look::Backup))?;
    let programme = player(&server).set_nick("output", "encoded").start();
    programme.until_all_show(Look::Primary);
    programme.until("the backup stands by", |record| record.told(1, "flowing"));
    primary.kill9();
    programme.until_all_show(Look::Backup);
    primary.restart()?;
    programme.until_switches(3);
    programme.until_all_show(Look::Primary);
    programme.check_switches(&[(-1, 0, "startup"), (0, 1, "eos"), (1, 0, "recovered")]);
    check_encoded(&programme);
    programme.finish(&BOTH);
    Ok(())
}

fn check_encoded(programme: &Programme) {
    let record = programme.record();
    let video = record.output("video_0").expect("a picture");
    for caps in &video.caps {
        let caps = caps.structure(0).expect("fixed caps");
        assert_eq!(caps.name(), "video/x-h264");
        assert_eq!(caps.get::<&str>("stream-format"), Ok("byte-stream"));
        assert_eq!(caps.get::<&str>("alignment"), Ok("au"));
    }
    for caps in &record.output("audio_0").expect("sound").caps {
        let caps = caps.structure(0).expect("fixed caps");
        assert_eq!(caps.name(), "audio/mpeg");
        assert_eq!(caps.get::<i32>("mpegversion"), Ok(4));
        assert_eq!(caps.get::<&str>("stream-format"), Ok("raw"));
    }
    let cuts: Vec<_> = video
        .passed
        .iter()
        .filter(|passed| passed.discont)
        .collect();
    assert!(
        cuts.len() >= 3,
        "the start and two switches: {} cuts",
        cuts.len()
    );
    assert!(
        cuts.iter().all(|cut| !cut.delta_unit),
        "a cut on a delta frame"
    );
    assert!(!video.passed[0].delta_unit, "it starts on a delta frame");
    // A decoder that was fed from key frames on never shows anything but the two inputs.
    let strange = video
        .seen
        .iter()
        .filter(|s| !matches!(s.look, Look::Primary | Look::Backup));
    assert_eq!(strange.count(), 0, "broken pictures");
}

#[test]
fn a_cold_backup_is_connected_only_while_it_is_needed() -> io::Result<()> {
    let server = Server::start()?;
    let mut primary = publish(&server, "primary", drawn(Look::Primary))?;
    let _backup = publish(&server, "backup", drawn(Look::Backup))?;
    let programme = player(&server)
        .set_nick("standby", "cold")
        // A publisher that a busy machine holds up for half of this is reason enough to connect the backup.
        .set("timeout", 4_000 * MS)
        .start();
    programme.until_all_show(Look::Primary);
    assert_eq!(programme.record().attempts(1), 0, "not needed, yet tried");
    assert_eq!(connections_to(server.port())?, 1);
    primary.kill9();
    programme.until_all_show(Look::Backup);
    primary.restart()?;
    programme.until_all_show(Look::Primary);
    programme.until("the backup is stopped again", |record| {
        record.told(1, "idle")
    });
    let deadline = Instant::now() + Duration::from_secs(20);
    while connections_to(server.port())? > 1 {
        assert!(Instant::now() < deadline, "the backup stays connected");
        std::thread::yield_now();
    }
    programme.until_all_show(Look::Primary);
    programme.finish(&BOTH);
    Ok(())
}

/// How many connections to this port this process has.
fn connections_to(port: u16) -> io::Result<usize> {
    let mut ours = vec![];
    for entry in fs::read_dir("/proc/self/fd")? {
        // A descriptor may be closed while we look.
        let target = entry
            .and_then(|entry| fs::read_link(entry.path()))
            .unwrap_or_default();
        let inode = target
            .to_string_lossy()
            .trim_start_matches("socket:[")
            .trim_end_matches(']')
            .to_owned();
        ours.push(inode);
    }
    let remote = format!(":{port:04X}");
    let table = fs::read_to_string("/proc/self/net/tcp")?;
    let is_ours = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields
            .get(2)
            .is_some_and(|address| address.ends_with(&remote))
            && fields.get(3) == Some(&"01")
            && fields
                .get(9)
                .is_some_and(|inode| ours.iter().any(|o| o == inode))
    };
    Ok(table.lines().filter(is_ours).count())
}

/// Publishes these FLV tags by RTMP in real time, by their times in milliseconds.
fn publish_tags(url: &str, tags: impl Iterator<Item = (u64, Vec<u8>)>) -> gst::Pipeline {
    let line = format!(
        "appsrc name=in format=time max-bytes=0 caps=video/x-flv ! identity sync=true ! \
         rtmp2sink location={url} sync=false async=false"
    );
    let pipeline = gst::parse::launch(&line).expect(&line);
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let source = pipeline.by_name("in").and_downcast::<gst_app::AppSrc>();
    let source = source.expect("an appsrc");
    let header = (0, b"FLV\x01\x05\0\0\0\x09\0\0\0\0".to_vec());
    for (time, bytes) in std::iter::once(header).chain(tags) {
        let mut buffer = gst::Buffer::from_slice(bytes);
        let pts = gst::ClockTime::from_mseconds(time);
        buffer.make_mut().set_pts(pts);
        source.push_buffer(buffer).expect("taken");
    }
    pipeline
        .set_state(gst::State::Playing)
        .expect("it publishes");
    pipeline
}

/// A video tag.
fn video_tag(time: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a small body");
    let [_, size @ ..] = length.to_be_bytes();
    let [highest, time @ ..] = time.to_be_bytes();
    let end = (length + 11).to_be_bytes();
    [&[9][..], &size, &time, &[highest, 0, 0, 0], body, &end].concat()
}

/// flvdemux would bring nothing of it, and say nothing.
#[test]
fn enhanced_rtmp_that_flvdemux_does_not_know_is_named_and_covered() -> io::Result<()> {
    programme::init();
    let server = Server::start()?;
    let _backup = publish(&server, "backup", drawn(Look::Backup))?;
    // By the number that some servers use.
    let frame = [b"\x1d".as_slice(), &[0; 200]].concat();
    let frames = (0..1500u32).map(|number| {
        let time = number * 40;
        (time.into(), video_tag(time, &frame))
    });
    let primary = publish_tags(&server.url("primary"), frames);
    let programme = player(&server).start();
    programme.until("it is told why", |record| {
        let mut states = record.states.iter();
        states.any(|s| {
            s.input == 0 && s.new == "down" && s.cause == "error" && s.text.contains("AV1")
        })
    });
    programme.until_all_show(Look::Backup);
    // Not at the usual pace of failures, which would be several attempts a second.
    assert_eq!(programme.record().attempts(0), 1);
    programme.finish(&BOTH);
    primary.set_state(gst::State::Null).expect("NULL");
    Ok(())
}
