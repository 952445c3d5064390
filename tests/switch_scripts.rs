// SPDX-License-Identifier: MPL-2.0
//! Random scripts of pushes, silences, ends, restarts, flushes and jumps of time: whatever the inputs of
//! `failoverswitch` do, time never goes back and no cut falls on a delta frame.

#[path = "support/stage/mod.rs"]
mod stage;

use proptest::prelude::*;
use stage::{Feed, Frame, Sent, Stage, h264, raw};
use std::ops::Range;

/// What an input does for 200 ms.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Push,
    Silence,
    Eos,
    /// A new stream, from zero.
    Restart,
    Flush,
    /// Another time base, without a word.
    Jump(u64),
}

/// Time bases that are far from ours: a live source that is ahead of the clock by a little would be
/// held back by it, and the script with it.
const FAR: Range<u64> = 100_000..5_000_000;

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        30 => Just(Deed::Push),
        12 => Just(Deed::Silence),
        1 => Just(Deed::Eos),
        2 => Just(Deed::Restart),
        1 => Just(Deed::Flush),
        1 => FAR.prop_map(Deed::Jump),
    ]
}

/// An input that follows a script.
struct Actor {
    feed: Feed,
    caps: gst::Caps,
    /// Its own time when running time is `since`.
    base: u64,
    since: u64,
    ended: bool,
    silent: bool,
    frames: u64,
}

impl Actor {
    fn begin(&mut self, deed: Deed, now: u64) {
        self.silent = matches!(deed, Deed::Silence | Deed::Eos);
        match deed {
            Deed::Push | Deed::Silence => (),
            Deed::Eos => {
                self.feed.eos();
                self.ended = true;
            }
            Deed::Restart => {
                self.feed.start(&self.caps);
                (self.base, self.since, self.frames) = (0, now, 0);
                self.ended = false;
            }
            Deed::Flush => {
                self.feed.flush();
                self.feed.segment();
            }
            Deed::Jump(base) => (self.base, self.since) = (base, now),
        }
    }

    /// A key frame each five.
    fn push(&mut self, now: u64) {
        if !self.silent && !self.ended {
            let frame = Frame::at(self.base + now - self.since);
            let _ = self
                .feed
                .try_push(frame.delta_unless(self.frames.is_multiple_of(5)));
            self.frames += 1;
        }
    }
}

/// Frames that left a switch whose inputs followed the script, each from its own time base.
fn play(caps: &gst::Caps, script: &[Vec<Deed>], bases: &[u64], recovery: u64) -> Vec<Sent> {
    let recovery = (recovery * 1_000_000).to_string();
    let stage = Stage::new(&[("timeout", "300000000"), ("recovery-time", &recovery)]);
    let actor = |(n, base): (usize, &u64)| Actor {
        feed: stage.feed(&format!("sink_{n}"), caps),
        caps: caps.clone(),
        base: *base,
        since: 0,
        ended: false,
        silent: false,
        frames: 0,
    };
    let mut actors: Vec<_> = bases.iter().enumerate().map(actor).collect();
    stage.play();
    for (deeds, start) in script.iter().zip((0u64..).step_by(200)) {
        stage.to(start);
        for (actor, deed) in actors.iter_mut().zip(deeds) {
            actor.begin(*deed, start);
        }
        stage.every(20, start..start + 200, |now| {
            actors.iter_mut().for_each(|actor| actor.push(now));
        });
    }
    stage.sent()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_script_makes_time_go_back_or_a_cut_fall_on_a_delta_frame(
        script in prop::collection::vec(prop::collection::vec(deed(), 3), 1..40),
        bases in prop::collection::vec(prop_oneof![Just(0), FAR], 2..=3),
        recovery in prop_oneof![Just(0u64), Just(500), Just(2_000)],
        encoded in any::<bool>(),
    ) {
        let caps = if encoded { h264() } else { raw() };
        let sent = play(&caps, &script, &bases, recovery);
        stage::assert_no_step_back(&sent);
        for pair in sent.windows(2) {
            if pair[0].input != pair[1].input {
                prop_assert!(pair[1].discont, "a cut without DISCONT: {pair:?}");
                prop_assert!(!encoded || !pair[1].delta, "a cut on a delta frame: {pair:?}");
            }
        }
    }
}
