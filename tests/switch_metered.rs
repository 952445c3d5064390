// SPDX-License-Identifier: MPL-2.0
//! `failoverswitch` on a real clock with real encoders and a decoder behind it, measured frame by frame:
//! H.264 with a key frame every 2 seconds, two inputs in step.

#[path = "support/meter/mod.rs"]
mod meter;
#[path = "support/programme/mod.rs"]
mod programme;

use std::time::Duration;

use gst::prelude::*;

use meter::{Drawing, Meter, Numbering, Report};

const NUMBERING: Numbering = Numbering {
    fps: 50,
    cycle: 65_536,
};
const LIMIT: Duration = Duration::from_secs(20);

struct Line {
    pipeline: gst::Pipeline,
    meter: Meter,
}

impl Line {
    /// Two inputs, each behind a valve, `codec` before the switch and `decoder` after it.
    fn play(properties: &str, codec: &str, decoder: &str) -> Self {
        programme::init();
        let input =
            |n: u32| format!("appsrc name=in{n} ! {codec} valve name=valve{n} ! s.sink_{n}");
        let line = format!(
            "failoverswitch name=s timeout=500000000 recovery-time=1000000000 {properties} \
             ! {decoder} fakesink name=out sync=false async=false {} {}",
            input(0),
            input(1)
        );
        let pipeline = gst::parse::launch(&line).expect("a valid line");
        let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
        for (name, source) in [(0, "in0"), (1, "in1")] {
            let drawing = Drawing {
                name,
                width: 320,
                height: 180,
                fps: 50,
                grain: 0,
            };
            meter::show(&pipeline, source, drawing);
        }
        for valve in ["valve0", "valve1"] {
            refuse_key_frames(&pipeline.by_name(valve).expect("a valve"));
        }
        let meter = Meter::new(NUMBERING);
        let sink = pipeline.by_name("out").expect("a sink");
        meter.watch(&sink.static_pad("sink").expect("its pad"));
        pipeline.set_state(gst::State::Playing).expect("PLAYING");
        Self { pipeline, meter }
    }

    fn stall(&self, stalls: bool) {
        let valve = self.pipeline.by_name("valve0").expect("a valve");
        valve.set_property("drop", stalls);
    }

    /// What is seen from `from` on, until this input is steadily on the screen.
    fn until_shown(&self, name: u8, pictures: usize, from: f64) -> Report {
        let shown = self
            .meter
            .comes_true(LIMIT, |seen| seen.shows(name, pictures));
        let report = self.meter.report(from);
        println!("{report:?}");
        assert!(shown, "input {name} does not come: {report:?}");
        report
    }
}

/// As a publisher on the other side of a server does.
fn refuse_key_frames(valve: &gst::Element) {
    let pad = valve.static_pad("src").expect("its pad");
    pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, |_, info| {
        match info.event().map(|event| event.type_()) {
            Some(gst::EventType::CustomUpstream) => gst::PadProbeReturn::Drop,
            _ => gst::PadProbeReturn::Ok,
        }
    });
}

impl Drop for Line {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

const X264: &str = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=100 bitrate=800 \
    option-string=scenecut=0 ! \
    h264parse !";

/// From the stall in the middle of a group of pictures to the backup, and back.
fn stall_and_return(line: &Line) -> [Report; 2] {
    line.until_shown(0, 170, 0.0);
    line.stall(true);
    let left = line.until_shown(1, 25, 0.5);
    line.stall(false);
    let back = line.until_shown(0, 25, line.meter.now() - 0.2);
    [left, back]
}

/// Every picture once and in order. When each is shown depends, for what is sent at its time, on how
/// busy the machine is; `make bench` measures that.
fn check_whole(report: &Report) {
    let sight = &report.sight;
    assert_eq!(sight.switches(), 1, "{report:?}");
    let wrong = (sight.lost, sight.repeated, sight.broken, sight.reordered);
    assert_eq!(wrong, (0, 0, 0, 0), "{report:?}");
}

#[test]
fn raw_pictures_lose_nothing_behind_a_latency() {
    meter::on_a_steady_machine(|| {
        let line = Line::play("latency=1000000000", "", "");
        for report in stall_and_return(&line) {
            check_whole(&report);
            assert!(report.sight.freeze <= 0.020, "{report:?}");
        }
    });
}

/// The group of pictures that the standby keeps is decoded unseen.
#[test]
fn pictures_that_are_decoded_next_lose_nothing_behind_a_latency() {
    for decoder in ["avdec_h264 !", "queue ! decodebin !"] {
        meter::on_a_steady_machine(|| {
            let line = Line::play("latency=1500000000", X264, decoder);
            for report in stall_and_return(&line) {
                check_whole(&report);
                assert!(report.sight.freeze <= 0.020, "{report:?}");
            }
        });
    }
}

/// Who is behind a tee may want every key frame: what is held back is exchanged, from one on.
#[test]
fn encoded_pictures_lose_nothing_behind_a_latency() {
    meter::on_a_steady_machine(|| {
        let line = Line::play("latency=3000000000", X264, "tee ! avdec_h264 !");
        for report in stall_and_return(&line) {
            check_whole(&report);
        }
    });
}

#[test]
fn without_latency_a_decoder_shows_nothing_broken() {
    meter::on_a_steady_machine(|| {
        let line = Line::play("", X264, "avdec_h264 !");
        let [left, back] = stall_and_return(&line);
        assert_eq!(
            (left.sight.broken, left.sight.reordered),
            (0, 0),
            "{left:?}"
        );
        assert_eq!(
            (left.sight.repeated, left.sight.switches()),
            (0, 1),
            "{left:?}"
        );
        check_whole(&back);
    });
}
