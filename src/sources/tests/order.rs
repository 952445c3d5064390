// SPDX-License-Identifier: MPL-2.0
//! The order of streams is the source's, whichever of their threads comes first.

use super::uris::play;
use super::*;

const CAPS: &str = "audio/x-raw,format=S16LE,rate=8000,channels=1,layout=interleaved";

fn rank(pad: &gst::Pad) -> usize {
    let (bin, name) = (pad.parent().expect("its bin"), pad.name());
    let is_audio = name.starts_with("audio");
    let kind = if is_audio { Kind::Audio } else { Kind::Video };
    let tracks = tracks(&bin, kind);
    let own = tracks
        .iter()
        .position(|track| track.pad.as_ref() == Some(pad));
    own.expect("its place")
}

/// The streams of a description, each named by an appsrc, and pushed when the test wants it.
struct Streams {
    player: Player,
    names: Vec<String>,
}

impl Streams {
    fn play(text: &str) -> Self {
        let player = play(&described(text));
        Self {
            player,
            names: vec![],
        }
    }

    /// One buffer of this appsrc; which of its kind its stream turns out to be.
    fn push(&mut self, name: &str) -> usize {
        let source = self.player.bin().by_name(name).expect(name);
        let buffer = gst::Buffer::with_size(160).expect("memory");
        let flow = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        assert_eq!(flow, gst::FlowReturn::Ok);
        let new = |seen: &[Event]| {
            seen.iter().find_map(|event| match event {
                Event::Flowing(pad, _) if !self.names.contains(pad) => Some(pad.clone()),
                _ => None,
            })
        };
        self.player
            .wait_all("a new stream", |seen| new(seen).is_some());
        let pad = new(&self.player.seen());
        self.names.extend(pad.clone());
        let pad = pad.and_then(|pad| self.player.bin().static_pad(&pad));
        rank(&pad.expect("its pad"))
    }
}

fn appsrc(name: &str, caps: &str) -> String {
    format!("appsrc name={name} is-live=true format=time caps={caps} ! identity")
}

#[test]
fn a_stream_that_comes_first_does_not_take_the_number_of_another() {
    let picture = "video/x-raw,format=GRAY8,width=10,height=16,framerate=25/1";
    let text = [
        appsrc("a", CAPS),
        appsrc("picture", picture),
        appsrc("b", CAPS),
        appsrc("c", CAPS),
    ]
    .join(" ");
    for order in [["c", "a", "b"], ["b", "c", "a"], ["c", "b", "a"]] {
        let mut streams = Streams::play(&text);
        for name in order {
            let wanted = usize::from(name.as_bytes()[0] - b'a');
            assert_eq!(streams.push(name), wanted, "{name} of {order:?}");
        }
        assert_eq!(streams.push("picture"), 0);
    }
}

/// Each packet stream has a demuxer of its own, whose stream comes later still.
#[test]
fn a_stream_in_packets_keeps_the_place_of_its_packets() {
    let caps = "audio/x-alaw,rate=8000,channels=1";
    let packets = |name| format!("{} ! rtppcmapay min-ptime=1", appsrc(name, caps));
    let mut streams = Streams::play(&["a", "b", "c"].map(packets).join(" "));
    let ranks = ["b", "c", "a"].map(|name| streams.push(name));
    assert_eq!(ranks, [1, 2, 0]);
}

/// The order in which a demuxer adds its pads, though each has a thread of its own behind it.
#[test]
fn tracks_of_a_file_keep_their_order() {
    for extension in ["tracks.mkv", "tracks.ts"] {
        for _ in 0..25 {
            let source = uri(&format!("file://{}", media::tracks(extension)));
            let source = source.build("source").expect("a source");
            let (tell, told) = std::sync::mpsc::channel();
            source.bin.connect_pad_added(move |_, pad| {
                let caps = pad.current_caps();
                let rate = caps.and_then(|caps| caps.structure(0)?.get::<i32>("rate").ok());
                let _ = tell.send((rate, rank(pad)));
            });
            let player = Player::start(source);
            player.wait("all streams", |event| *event == Event::NoMorePads);
            let mut tracks: Vec<_> = told.try_iter().collect();
            tracks.sort_unstable();
            let rates = [None, Some(32_000), Some(44_100), Some(48_000)];
            let expected: Vec<_> = std::iter::zip(rates, [0, 2, 1, 0]).collect();
            assert_eq!(tracks, expected, "{extension}");
        }
    }
}
