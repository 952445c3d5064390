// SPDX-License-Identifier: MPL-2.0
//! What a viewer sees of a failure and of the return, ours and the peer's, frame by frame.

use std::fmt::Write;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::lab::{Publisher, Server};
use crate::meter::{self, Drawing, Meter, Numbering, Recipe, Report, Tape};
use crate::progress;

const PRIMARY: u8 = 0;
const BACKUP: u8 = 1;
/// Both elements get this.
const TIMEOUT: u64 = 500_000_000;
const RECOVERY: u64 = 3_000_000_000;
const START: Duration = Duration::from_secs(25);
const LEAVE: Duration = Duration::from_secs(12);
const RETURN: Duration = Duration::from_secs(12);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// No more buffers; with a publisher, it is frozen by SIGSTOP.
    Stall,
    /// The publisher is killed with -9.
    Kill,
    /// The sound goes on.
    PictureStalls,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Raw,
    /// H.264 before the switch, a decoder behind it; so many lines.
    H264(u32),
    /// H.264 and AAC of so many lines, from a server, by `failoversrc` and `fallbacksrc`.
    Rtmp(u32),
}

struct Scene {
    title: &'static str,
    media: Media,
    fault: Fault,
    latency: u64,
}

const MS: u64 = 1_000_000;

const SCENES: [Scene; 10] = [
    Scene {
        title: "raw, latency 0, the primary stalls",
        media: Media::Raw,
        fault: Fault::Stall,
        latency: 0,
    },
    Scene {
        title: "raw, latency 1 s, the primary stalls",
        media: Media::Raw,
        fault: Fault::Stall,
        latency: 1000 * MS,
    },
    Scene {
        title: "H.264, latency 1.5 s, it stalls in mid-GOP",
        media: Media::H264(360),
        fault: Fault::Stall,
        latency: 1500 * MS,
    },
    Scene {
        title: "H.264 720p, latency 0, it stalls in mid-GOP",
        media: Media::H264(720),
        fault: Fault::Stall,
        latency: 0,
    },
    Scene {
        title: "RTMP, latency 2 s, publisher killed",
        media: Media::Rtmp(360),
        fault: Fault::Kill,
        latency: 2000 * MS,
    },
    Scene {
        title: "RTMP, latency 2 s, publisher frozen",
        media: Media::Rtmp(360),
        fault: Fault::Stall,
        latency: 2000 * MS,
    },
    Scene {
        title: "RTMP, latency 2 s, only the picture stalls",
        media: Media::Rtmp(360),
        fault: Fault::PictureStalls,
        latency: 2000 * MS,
    },
    Scene {
        title: "RTMP, latency 0, publisher frozen",
        media: Media::Rtmp(360),
        fault: Fault::Stall,
        latency: 0,
    },
    Scene {
        title: "RTMP, latency 0, publisher killed",
        media: Media::Rtmp(360),
        fault: Fault::Kill,
        latency: 0,
    },
    Scene {
        title: "RTMP 720p, latency 0, publisher killed",
        media: Media::Rtmp(720),
        fault: Fault::Kill,
        latency: 0,
    },
];

/// One row for each scene, element and direction; those with this word.
pub(crate) fn table(word: &str) -> String {
    let mut table = String::from(
        "What a viewer sees: 50 frames/s, H.264 with a GOP of 2 s, no key frame on request, both inputs in step, timeout 500 ms; \
         640x360 unless another size is said; over RTMP with AAC, a real server and real publishers. \
         Freeze: the longest time that a synchronised sink shows one picture, beyond one frame. \
         Sound: the longest gap in AAC frames, and its distance from the picture, positive when it is late. Mixed: picture of one input, sound of the other.\n\n\
         | case | element | | freeze | lost | repeated | broken | black | cuts | sound gap | sound against picture | mixed |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for scene in &SCENES {
        for ours in [false, true] {
            let element = scene.element(ours);
            if !scene.title.contains(word) && !element.contains(word) {
                continue;
            }
            progress(&format!("viewer: {}: {element}", scene.title));
            let mut rows = [String::new(), String::new()];
            match scene.play(ours) {
                Ok(reports) => {
                    rows = reports.map(|report| {
                        report.map_or_else(
                            || "not within 12 s | | | | | | | | ".to_owned(),
                            |report| row(&report),
                        )
                    })
                }
                Err(error) => rows[0] = format!("failed: {error} | | | | | | | | "),
            }
            for (way, row) in ["there", "back"].iter().zip(rows) {
                let _ = writeln!(table, "| {} | `{element}` | {way} | {row} |", scene.title);
            }
        }
    }
    table
}

fn row(report: &Report) -> String {
    let Report { sight, hearing, .. } = report;
    let has_sound = hearing.samples > 0;
    let gap = hearing.hole.max(hearing.overlap).max(hearing.silent);
    let sound = match (has_sound, hearing.behind_picture) {
        (false, _) => "– | – | –".to_owned(),
        (true, offsets) => format!(
            "{:.1} | {} | {:.0} ms",
            gap as f64 / 1024.0,
            offsets.map_or_else(
                || "–".to_owned(),
                |[least, _, most]| format!("{:+.1} to {:+.1} ms", least * 1e3, most * 1e3)
            ),
            hearing.mixed * 1e3
        ),
    };
    format!(
        "{:.0} ms | {} | {} | {} | {} | {} | {sound}",
        sight.freeze * 1e3,
        sight.lost,
        sight.repeated,
        sight.broken,
        sight.black,
        sight.switches(),
    )
}

/// What is played, and what can be done to it.
struct Stage {
    pipeline: gst::Pipeline,
    meter: Meter,
    valve: Option<gst::Element>,
    tape: Option<Arc<Tape>>,
    lab: Option<(Server, Publisher, Publisher)>,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

impl Scene {
    fn element(&self, ours: bool) -> &'static str {
        match (self.media, ours) {
            (Media::Rtmp(_), true) => "failoversrc",
            (Media::Rtmp(_), false) => "fallbacksrc",
            (_, true) => "failoverswitch",
            (_, false) => "fallbackswitch",
        }
    }

    /// There and back; `None` for what did not happen.
    fn play(&self, ours: bool) -> Result<[Option<Report>; 2], String> {
        let mut stage = match self.media {
            Media::Raw => self.switch(ours, 360),
            Media::H264(height) => self.switch(ours, height),
            Media::Rtmp(height) => self
                .players(ours, height)
                .map_err(|error| error.to_string())?,
        };
        let meter = stage.meter.clone();
        // Long enough for a standby to hold a group of pictures, and not at the end of one.
        if !meter.comes_true(START, |seen| seen.shows(PRIMARY, 170)) {
            return Err("the primary does not come".to_owned());
        }
        let from = meter.now() - 2.0;
        stage
            .set_fault(self.fault, true)
            .map_err(|error| error.to_string())?;
        let left = meter.comes_true(LEAVE, |seen| seen.shows(BACKUP, 50));
        if !left {
            return Ok([None, None]);
        }
        let there = Some(meter.report(from));
        let from = meter.now() - 0.5;
        stage
            .set_fault(self.fault, false)
            .map_err(|error| error.to_string())?;
        let returned = meter.comes_true(RETURN, |seen| seen.shows(PRIMARY, 50));
        let back = returned.then(|| meter.report(from));
        Ok([there, back])
    }

    fn switch(&self, ours: bool, height: u32) -> Stage {
        let element = self.element(ours);
        let (parser, decoder) = match self.media {
            Media::Raw => ("", ""),
            _ => ("h264parse ! ", "avdec_h264 ! "),
        };
        let own = if ours {
            format!("recovery-time={RECOVERY}")
        } else {
            String::new()
        };
        // A switch may hold an input back: it must not lose frames before it.
        let input = |n: u32| {
            format!(
                "appsrc name=in{n} ! {parser}valve name=valve{n} ! \
                 queue max-size-time=10000000000 max-size-bytes=0 max-size-buffers=0 ! s.sink_{n} "
            )
        };
        let line = format!(
            "{element} name=s timeout={TIMEOUT} latency={} {own} ! {decoder} \
             videoconvert ! video/x-raw,format=I420 ! fakesink name=out sync=false async=false {} {}",
            self.latency,
            input(0),
            input(1)
        );
        let pipeline = launch(&line);
        let switch = pipeline.by_name("s").expect("the switch");
        for (pad, priority) in [("sink_0", 0u32), ("sink_1", 1)] {
            switch
                .static_pad(pad)
                .expect("a pad")
                .set_property("priority", priority);
        }
        let recipes = [PRIMARY, BACKUP].map(|name| recipe(name, height));
        let mut numbering = recipes[0].numbering();
        for (recipe, source) in recipes.iter().zip(["in0", "in1"]) {
            if self.media == Media::Raw {
                numbering = Numbering {
                    cycle: 65_536,
                    ..numbering
                };
                meter::show(&pipeline, source, recipe.drawing);
            } else {
                Arc::new(Tape::record(recipe, Instant::now())).show(&pipeline, source);
            }
        }
        let meter = Meter::new(numbering);
        meter.watch(&sink_pad(&pipeline, "out"));
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        let valve = pipeline.by_name("valve0");
        Stage {
            pipeline,
            meter,
            valve,
            tape: None,
            lab: None,
        }
    }

    fn players(&self, ours: bool, height: u32) -> io::Result<Stage> {
        let epoch = Instant::now();
        let recipes = [PRIMARY, BACKUP].map(|name| recipe(name, height));
        let [primary_tape, backup_tape] =
            recipes.map(|recipe| Arc::new(Tape::record(&recipe, epoch)));
        let server = Server::start()?;
        let primary = publish(&server, "primary", &primary_tape)?;
        let backup = publish(&server, "backup", &backup_tape)?;
        let element = player(
            ours,
            &server.url("primary"),
            &server.url("backup"),
            self.latency,
        );
        let pipeline = gst::Pipeline::new();
        let meter = Meter::new(recipes[0].numbering());
        measure(&pipeline, &element, &meter);
        pipeline
            .set_state(gst::State::Playing)
            .map_err(io::Error::other)?;
        Ok(Stage {
            pipeline,
            meter,
            valve: None,
            tape: Some(primary_tape),
            lab: Some((server, primary, backup)),
        })
    }
}

impl Stage {
    fn set_fault(&mut self, fault: Fault, on: bool) -> io::Result<()> {
        if let Some(valve) = &self.valve {
            valve.set_property("drop", on);
        }
        let Some((_, primary, _)) = &mut self.lab else {
            return Ok(());
        };
        match (fault, on) {
            (Fault::Stall, true) => primary.freeze(),
            (Fault::Stall, false) => primary.thaw(),
            (Fault::Kill, true) => {
                primary.kill9();
                Ok(())
            }
            (Fault::Kill, false) => primary.restart(),
            (Fault::PictureStalls, on) => {
                self.tape.iter().for_each(|tape| tape.stall_picture(on));
                Ok(())
            }
        }
    }
}

/// 50 frames/s, a key frame every 2 seconds, sound.
pub(crate) fn recipe(name: u8, height: u32) -> Recipe {
    let drawing = Drawing {
        name,
        width: height * 16 / 9,
        height,
        fps: 50,
        grain: 0,
    };
    Recipe {
        drawing,
        kbit: height * 4,
        ..Recipe::small(name)
    }
}

pub(crate) fn publish(server: &Server, stream: &str, tape: &Arc<Tape>) -> io::Result<Publisher> {
    let tape = tape.clone();
    let mut publisher = Publisher::relay(&server.url(stream), Arc::new(move |to| tape.play(to)))?;
    publisher.wait_until_publishing()?;
    Ok(publisher)
}

/// Ours or the peer's, with the same timeout and latency.
pub(crate) fn player(ours: bool, primary: &str, backup: &str, latency: u64) -> gst::Element {
    let element = if ours {
        let maker = gst::ElementFactory::make("failoversrc");
        let maker = maker
            .property("primary-uri", primary)
            .property("backup-uri", backup);
        maker
            .property("latency", latency)
            .property("recovery-time", RECOVERY)
    } else {
        let maker = gst::ElementFactory::make("fallbacksrc");
        let maker = maker
            .property("uri", primary)
            .property("fallback-uri", backup);
        maker
            .property("min-latency", latency)
            .property("restart-on-eos", true)
    };
    element
        .property("timeout", TIMEOUT)
        .build()
        .expect("the element")
}

/// Sinks for what the element brings, with the meter on them.
pub(crate) fn measure(pipeline: &gst::Pipeline, element: &gst::Element, meter: &Meter) {
    pipeline.add(element).expect("added");
    let (pipeline, meter) = (pipeline.downgrade(), meter.clone());
    element.connect_pad_added(move |_, pad| {
        let Some(pipeline) = pipeline.upgrade() else {
            return;
        };
        if pad.direction() != gst::PadDirection::Src {
            return;
        }
        let convert = match pad.name().starts_with("video") {
            true => "videoconvert ! video/x-raw,format=I420",
            false => "audioconvert ! audio/x-raw,format=F32LE,layout=interleaved",
        };
        let line = format!("{convert} ! fakesink name=out sync=false async=false");
        let sink = gst::parse::bin_from_description(&line, true).expect("a sink");
        pipeline.add(&sink).expect("added");
        let out = sink.by_name("out").and_then(|out| out.static_pad("sink"));
        meter.watch(&out.expect("its pad"));
        sink.sync_state_with_parent().expect("it plays");
        pad.link(&sink.static_pad("sink").expect("its pad"))
            .expect("linked");
    });
}

pub(crate) fn launch(line: &str) -> gst::Pipeline {
    let pipeline = gst::parse::launch(line).expect("a valid line");
    pipeline.downcast().expect("a pipeline")
}

pub(crate) fn sink_pad(pipeline: &gst::Pipeline, sink: &str) -> gst::Pad {
    let sink = pipeline.by_name(sink).expect("a sink");
    sink.static_pad("sink").expect("its pad")
}
