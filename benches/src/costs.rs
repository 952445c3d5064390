// SPDX-License-Identifier: MPL-2.0
//! What a player costs beside a plain one, a standby, and a crowd of them.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::child::{Cost, cost};
use crate::lab::{Publisher, Server};
use crate::meter::{Drawing, Recipe, Tape};
use crate::progress;

const LENGTH: Duration = Duration::from_secs(10);
/// Candidates take turns, and the round of the least CPU time counts: others on the machine only add to it.
const ROUNDS: usize = 4;
const CROWD: usize = 50;
/// So many that two cores decode.
const FEW: usize = 5;

/// A server and two publishers in step.
struct Studio {
    server: Server,
    _publishers: [Publisher; 2],
}

impl Studio {
    fn open(height: u32, fps: u32, kbit: u32, with_sound: bool) -> Self {
        let epoch = Instant::now();
        let server = Server::start().expect("an RTMP server");
        let publishers = [(0, "primary"), (1, "backup")].map(|(name, stream)| {
            let drawing = Drawing {
                name,
                width: height * 16 / 9,
                height,
                fps,
                grain: 24,
            };
            let recipe = Recipe {
                drawing,
                gop: fps,
                kbit,
                with_sound,
            };
            let tape = Arc::new(Tape::record(&recipe, epoch));
            let reel = Arc::new(move |to: &mut dyn io::Write| tape.play(to));
            let publisher = Publisher::relay(&server.url(stream), reel);
            let mut publisher = publisher.expect("a publisher");
            publisher.wait_until_publishing().expect("it publishes");
            publisher
        });
        Self {
            server,
            _publishers: publishers,
        }
    }

    fn primary(&self) -> String {
        self.server.url("primary")
    }

    fn backup(&self) -> String {
        self.server.url("backup")
    }
}

const SINK: &str = "fakesink name=picture sync=true async=false";

/// CPU and memory of two 1080p30 inputs, beside a plain player of one.
pub(crate) fn decoded() -> String {
    let studio = Studio::open(1080, 30, 4000, false);
    let (primary, backup) = (studio.primary(), studio.backup());
    let lines = [
        (
            "plain `rtmp2src ! flvdemux ! h264parse ! avdec_h264`, one input",
            format!("rtmp2src location={primary} ! flvdemux ! h264parse ! avdec_h264 ! {SINK}"),
        ),
        (
            "`failoversrc`, two inputs",
            format!("failoversrc primary-uri={primary} backup-uri={backup} ! {SINK}"),
        ),
        (
            "`fallbacksrc`, two inputs",
            format!("fallbacksrc uri={primary} fallback-uri={backup} enable-audio=false ! {SINK}"),
        ),
    ];
    let costs = in_turns("decoded", &lines);
    let mut table = String::from(
        "Decoded, 1080p at 30 frames/s, H.264 of 4 Mbit/s over RTMP: CPU of the process, in a process of its own.\n\n\
         | player | CPU of a core | beside plain | memory | beside plain | threads | frames | lost |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    let plain = costs[0];
    for ((name, _), cost) in lines.iter().zip(&costs) {
        let _ = match (cost, plain) {
            (Some(cost), Some(plain)) => writeln!(
                table,
                "| {name} | {:.1} % | {:.2} | {:.0} MiB | {:.2} | {} | {} | {} |",
                cost.cpu * 100.0,
                cost.cpu / plain.cpu,
                cost.memory,
                cost.memory / plain.memory,
                cost.threads,
                cost.frames,
                cost.lost
            ),
            _ => writeln!(table, "| {name} | failed | | | | | | |"),
        };
    }
    table
}

/// What a hot standby at 720p30 adds.
pub(crate) fn standby() -> String {
    let studio = Studio::open(720, 30, 2500, true);
    let (primary, backup) = (studio.primary(), studio.backup());
    let ours = "failoversrc name=f output=encoded";
    let ours_sinks = format!("f.video_0 ! {SINK} f.audio_0 ! fakesink async=false");
    let peers = "fallbacksrc name=f";
    let peers_sinks = format!("f. ! video/x-raw ! {SINK} f. ! audio/x-raw ! fakesink async=false");
    let lines = [
        ("", format!("{ours} primary-uri={primary} {ours_sinks}")),
        (
            "",
            format!("{ours} primary-uri={primary} backup-uri={backup} {ours_sinks}"),
        ),
        ("", format!("{peers} uri={primary} {peers_sinks}")),
        (
            "",
            format!("{peers} uri={primary} fallback-uri={backup} {peers_sinks}"),
        ),
        (
            "",
            format!(
                "rtmp2src location={backup} ! flvdemux name=d d.video ! fakesink name=picture async=false \
                 d.audio ! fakesink async=false"
            ),
        ),
    ];
    let costs = in_turns("standby", &lines);
    let mut table = String::from(
        "What a hot standby adds, 720p at 30 frames/s, H.264 of 2.5 Mbit/s and AAC over RTMP: CPU of a core.\n\n\
         | player | alone | with a standby | the standby |\n|---|--:|--:|--:|\n",
    );
    if let Some(received) = costs[4] {
        let share = received.cpu * 100.0;
        let _ = writeln!(
            table,
            "| `rtmp2src ! flvdemux`, nothing done with it | {share:.2} % | – | – |"
        );
    }
    for (name, pair) in [
        ("`failoversrc output=encoded`", &costs[..2]),
        ("`fallbacksrc`", &costs[2..4]),
    ] {
        let _ = match pair {
            [Some(alone), Some(with)] => writeln!(
                table,
                "| {name} | {:.2} % | {:.2} % | {:+.2} % |",
                alone.cpu * 100.0,
                with.cpu * 100.0,
                (with.cpu - alone.cpu) * 100.0
            ),
            _ => writeln!(table, "| {name} | failed | | |"),
        };
    }
    table
}

/// Many of them in one process.
pub(crate) fn crowd() -> String {
    let studio = Studio::open(720, 30, 2500, true);
    let (primary, backup) = (studio.primary(), studio.backup());
    let sinks = |n: usize, video: &str, audio: &str| {
        format!(
            "f{n}. ! {video} ! fakesink name=picture{n} sync=true async=false \
             f{n}. ! {audio} ! fakesink sync=true async=false "
        )
    };
    let ours = |n: usize| {
        format!(
            "failoversrc name=f{n} output=encoded primary-uri={primary} backup-uri={backup} {}",
            sinks(n, "video/x-h264", "audio/mpeg")
        )
    };
    let peers = |n: usize| {
        format!(
            "fallbacksrc name=f{n} uri={primary} fallback-uri={backup} {}",
            sinks(n, "video/x-raw", "audio/x-raw")
        )
    };
    type Row<'a> = (usize, &'a str, &'a dyn Fn(usize) -> String);
    let rows: [Row; 3] = [
        (CROWD, "`failoversrc output=encoded`", &ours),
        (CROWD, "`fallbacksrc`, which decodes", &peers),
        (FEW, "`fallbacksrc`, which decodes", &peers),
    ];
    let mut table = format!(
        "{CROWD} or {FEW} in one process, two RTMP inputs each, of 720p at 30 frames/s, H.264 of 2.5 Mbit/s and AAC, two publishers, one server.\n\n\
         | players | CPU of a core | each | memory of each | threads of each | frames | lost |\n\
         |---|--:|--:|--:|--:|--:|--:|\n"
    );
    for (count, name, one) in rows {
        let name = format!("{count} × {name}");
        progress(&format!("crowd: {name}"));
        let each = |figure: f64| figure / count as f64;
        let line: String = (0..count).map(one).collect();
        let _ = match cost(&line, LENGTH) {
            Ok(cost) => writeln!(
                table,
                "| {name} | {:.0} % | {:.2} % | {:.1} MiB | {:.1} | {} | {} |",
                cost.cpu * 100.0,
                each(cost.cpu) * 100.0,
                each(cost.memory),
                each(cost.threads),
                cost.frames,
                cost.lost
            ),
            Err(error) => {
                let error = told(&error);
                writeln!(table, "| {name} | failed: {error} | | | | | |")
            }
        };
    }
    table
}

/// The least cost of each line, or `None` for one that fails.
fn in_turns<T>(scenario: &str, lines: &[(T, String)]) -> Vec<Option<Cost>> {
    let mut costs = vec![vec![]; lines.len()];
    for round in 1..=ROUNDS {
        for (number, (line, costs)) in lines.iter().zip(&mut costs).enumerate() {
            progress(&format!(
                "{scenario}: round {round} of {ROUNDS}, player {} of {}",
                number + 1,
                lines.len()
            ));
            match cost(&line.1, LENGTH) {
                Ok(cost) => costs.push(cost),
                Err(error) => progress(&format!("failed: {}", told(&error))),
            }
        }
    }
    let least = |costs: Vec<Cost>| costs.into_iter().min_by(|a, b| a.cpu.total_cmp(&b.cpu));
    costs.into_iter().map(least).collect()
}

/// The first line of an error.
fn told(error: &io::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}
