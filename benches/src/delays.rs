// SPDX-License-Identifier: MPL-2.0
//! How late a player shows what is sent, and how soon it shows a first picture: plain, ours and the
//! peer's at once, on the same streams.

use std::fmt::Write;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::lab::{Publisher, Server};
use crate::meter::{Meter, Recipe, Tape};
use crate::{percentile, progress, scenes};

const TRIALS: usize = 5;
const LIMIT: Duration = Duration::from_secs(20);

struct Player {
    name: &'static str,
    pipeline: gst::Pipeline,
    meter: Meter,
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Player {
    fn plain(url: &str, meter: Meter) -> Self {
        let line = format!(
            "rtmp2src location={url} ! flvdemux name=d d.video ! queue ! h264parse ! avdec_h264 \
             ! fakesink name=out sync=false async=false \
             d.audio ! queue ! aacparse ! avdec_aac ! fakesink sync=false async=false"
        );
        let pipeline = scenes::launch(&line);
        meter.watch(&scenes::sink_pad(&pipeline, "out"));
        Self {
            name: "plain",
            pipeline,
            meter,
        }
    }

    fn of(ours: bool, server: &Server, meter: Meter) -> Self {
        let pipeline = gst::Pipeline::new();
        let element = scenes::player(ours, &server.url("primary"), &server.url("backup"), 0);
        scenes::measure(&pipeline, &element, &meter);
        let name = if ours {
            "`failoversrc`"
        } else {
            "`fallbacksrc`"
        };
        Self {
            name,
            pipeline,
            meter,
        }
    }

    /// The middle delay of the last second.
    fn delay(&self, epoch: Instant) -> f64 {
        let delay = self.meter.delay(epoch, self.meter.now() - 1.0);
        delay.map_or(f64::NAN, |[middle, _]| middle * 1e3)
    }
}

pub(crate) fn table() -> String {
    let epoch = Instant::now();
    let recipes = [0, 1].map(|name| Recipe {
        gop: 25,
        ..scenes::recipe(name, 360)
    });
    let tapes = recipes.map(|recipe| Arc::new(Tape::record(&recipe, epoch)));
    let server = Server::start().expect("an RTMP server");
    let publish = |name, tape| scenes::publish(&server, name, tape).expect("a publisher");
    let mut primary = publish("primary", &tapes[0]);
    let _backup = publish("backup", &tapes[1]);
    let start = || {
        let meter = || Meter::new(recipes[0].numbering());
        let players = [
            Player::plain(&server.url("primary"), meter()),
            Player::of(true, &server, meter()),
            Player::of(false, &server, meter()),
        ];
        for player in &players {
            player
                .pipeline
                .set_state(gst::State::Playing)
                .expect("PLAYING");
        }
        players
    };
    let mut firsts = [vec![], vec![], vec![]];
    let mut players = None;
    for trial in 1..=TRIALS {
        progress(&format!("delay: start {trial} of {TRIALS}"));
        // The others go before the next begin.
        drop(players.take());
        let started = start();
        for (player, firsts) in started.iter().zip(&mut firsts) {
            let came = player.meter.comes_true(LIMIT, |seen| seen.shows(0, 1));
            firsts.push(
                player
                    .meter
                    .first_picture()
                    .filter(|_| came)
                    .unwrap_or(f64::NAN),
            );
        }
        players = Some(started);
    }
    let players = players.expect("a last trial");
    let reference = Player::plain(&server.url("backup"), Meter::new(recipes[0].numbering()));
    reference
        .pipeline
        .set_state(gst::State::Playing)
        .expect("PLAYING");
    progress("delay: on the primary, after a switch, after a thaw's burst");
    let delays = follow(&players, &reference, &mut primary, epoch);
    write(&players, &firsts, &delays)
}

/// Of each player: on the primary, after the switch, and after the return.
fn follow(
    players: &[Player],
    reference: &Player,
    primary: &mut Publisher,
    epoch: Instant,
) -> Vec<[f64; 3]> {
    let measure = |plain: &Player| -> Vec<f64> {
        thread::sleep(Duration::from_secs(3));
        let others = players[1..].iter().map(|player| player.delay(epoch));
        std::iter::once(plain.delay(epoch)).chain(others).collect()
    };
    let before = measure(&players[0]);
    primary.freeze().expect("frozen");
    for player in &players[1..] {
        player.meter.comes_true(LIMIT, |seen| seen.shows(1, 25));
    }
    let switched = measure(reference);
    primary.thaw().expect("thawed");
    for player in &players[1..] {
        player.meter.comes_true(LIMIT, |seen| seen.shows(0, 25));
    }
    let back = measure(&players[0]);
    let rows = before.into_iter().zip(switched).zip(back);
    rows.map(|((before, switched), back)| [before, switched, back])
        .collect()
}

fn write(players: &[Player], firsts: &[Vec<f64>; 3], delays: &[[f64; 3]]) -> String {
    let mut table = format!(
        "Delay from publisher to output and first picture after PLAYING over RTMP, H.264 640x360 at 50 frames/s with a GOP of 0.5 s and AAC, \
         latency 0. The players start together and wait for the same key frame; {TRIALS} starts. A plain player of the backup is the measure after the switch; \
         the thawed publisher sends what it missed in a burst.\n\n\
         | player | first picture, median | after plain's, at most | delay | after a switch | after thaw and return |\n|---|--:|--:|--:|--:|--:|\n"
    );
    for ((player, first), [before, switched, back]) in players.iter().zip(firsts).zip(delays) {
        let behind = first
            .iter()
            .zip(&firsts[0])
            .map(|(first, plain)| first - plain);
        let _ = writeln!(
            table,
            "| {} | {:.2} s | {:+.2} s | {} | {} | {} |",
            player.name,
            percentile(first, 0.5),
            percentile(&behind.collect::<Vec<_>>(), 1.0),
            shown(*before),
            shown(*switched),
            shown(*back),
        );
    }
    table
}

fn shown(delay: f64) -> String {
    match delay.is_finite() {
        true => format!("{delay:.0} ms"),
        false => "nothing came".to_owned(),
    }
}
