// SPDX-License-Identifier: MPL-2.0
//! The script: what is done to the publishers, and what must come of it.
//!
//! Owns the server, the publishers and the viewer while it runs.

use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use gst::prelude::*;

use crate::lab::{Picture, Publisher, Server};
use crate::report::{self, Outcome, Switched};
use crate::viewer::{Seen, Viewer};
use crate::{Args, interrupted, tone};

pub(crate) const FRAME: Duration = Duration::from_millis(40);
const FIRST_PICTURE: Duration = Duration::from_secs(15);
/// Watched after each switch, so that what follows it is seen too.
const AFTERMATH: Duration = Duration::from_millis(1500);

/// One event, and who must be seen and heard after it.
pub(crate) struct Step {
    pub(crate) what: &'static str,
    act: fn(&mut Publisher, &mut Publisher) -> io::Result<()>,
    pub(crate) expected: Seen,
    /// From one live picture to another: there must be a switch report, and black has no place.
    live: bool,
    within: Duration,
}

pub(crate) const SCRIPT: &[Step] = &[
    Step {
        what: "kill -9 the primary publisher",
        act: |primary, _| {
            primary.kill9();
            Ok(())
        },
        expected: Seen::Backup,
        live: true,
        within: Duration::from_secs(5),
    },
    Step {
        what: "start the primary again",
        act: |primary, _| primary.restart(),
        expected: Seen::Primary,
        live: true,
        within: Duration::from_secs(20),
    },
    Step {
        what: "freeze the primary (SIGSTOP)",
        act: |primary, _| primary.freeze(),
        expected: Seen::Backup,
        live: true,
        within: Duration::from_secs(5),
    },
    Step {
        what: "thaw the primary (SIGCONT)",
        act: |primary, _| primary.thaw(),
        expected: Seen::Primary,
        live: true,
        within: Duration::from_secs(25),
    },
    Step {
        what: "kill -9 both publishers",
        act: |primary, backup| {
            primary.kill9();
            backup.kill9();
            Ok(())
        },
        expected: Seen::Slate,
        live: false,
        within: Duration::from_secs(10),
    },
    Step {
        what: "start the backup again",
        act: |_, backup| backup.restart(),
        expected: Seen::Backup,
        live: false,
        within: Duration::from_secs(20),
    },
];

/// Everything that the demo has started. Dropped, it is gone.
pub(crate) struct Stage {
    // In this order they go: the viewer first, so that it does not complain of the rest.
    viewer: Viewer,
    source: gst::Element,
    primary: Publisher,
    backup: Publisher,
    _server: Server,
    start: Instant,
}

impl Stage {
    /// Starts server, publishers and viewer, and waits until the primary is on the screen.
    pub(crate) fn set(args: &Args) -> Result<Self, Box<dyn Error>> {
        let server = Server::start()?;
        let picture = Picture::new("PRIMARY")
            .background("0x1450a0")
            .tone(tone::PRIMARY_HZ);
        let mut primary = Publisher::start(&server.url("primary"), picture)?;
        let picture = Picture::new("BACKUP")
            .background("0xb4540c")
            .tone(tone::BACKUP_HZ);
        let mut backup = Publisher::start(&server.url("backup"), picture)?;
        primary.wait_until_publishing()?;
        backup.wait_until_publishing()?;

        println!("RTMP server   rtmp://127.0.0.1:{}/live", server.port());
        println!(
            "Publishers    PRIMARY (blue, {} Hz), BACKUP (orange, {} Hz)",
            tone::PRIMARY_HZ,
            tone::BACKUP_HZ
        );
        println!(
            "Player        failoversrc primary-uri=…/primary backup-uri=…/backup timeout={} s recovery-time={} s\n",
            args.timeout, args.recovery
        );
        let source = gst::ElementFactory::make("failoversrc")
            .property("primary-uri", server.url("primary"))
            .property("backup-uri", server.url("backup"))
            .property("timeout", nanoseconds(args.timeout))
            .property("recovery-time", nanoseconds(args.recovery))
            .build()?;
        let start = Instant::now();
        let viewer = Viewer::play(&source, args.window)?;
        let stage = Self {
            viewer,
            source,
            primary,
            backup,
            _server: server,
            start,
        };
        report::line(Duration::ZERO, "do", "play");
        if stage
            .wait_for(Seen::Primary, FIRST_PICTURE, &mut Vec::new())?
            .is_none()
        {
            return Err("the primary did not come onto the screen".into());
        }
        stage.tell("see", "PRIMARY is on the screen, and its tone in the air");
        Ok(stage)
    }

    /// Does what the step says, watches what comes of it, and measures it.
    pub(crate) fn play(&mut self, step: &'static Step) -> Result<Outcome, Box<dyn Error>> {
        let mut switches = Vec::new();
        self.watch(AFTERMATH, &mut switches)?;
        switches.clear();

        println!();
        self.tell("do", step.what);
        let acted = Instant::now();
        (step.act)(&mut self.primary, &mut self.backup)?;
        let came = self.wait_for(step.expected, step.within, &mut switches)?;
        self.watch(AFTERMATH, &mut switches)?;

        let (picture, sound) = self.viewer.first(step.expected, acted);
        let cut = picture.unwrap_or(acted);
        let still = self
            .viewer
            .longest_still(acted - FRAME, Instant::now(), !step.live);
        let status = self.status();
        let told =
            status == report::status_of(step.expected) && (!step.live || !switches.is_empty());
        let outcome = Outcome {
            step,
            told,
            still: still.saturating_sub(FRAME),
            black: if step.live {
                self.viewer.black(acted, cut)
            } else {
                Duration::ZERO
            },
            took: came.map(|came| came - acted),
            sound_after_picture: sound.zip(picture).map(|(sound, picture)| {
                sound.saturating_duration_since(picture).as_secs_f64()
                    - picture.saturating_duration_since(sound).as_secs_f64()
            }),
            shots: report::SHOTS.map(|offset| self.viewer.screen_at(report::shift(cut, offset))),
            switches,
        };
        self.tell("see", &outcome.sentence());
        Ok(outcome)
    }

    /// Waits until `expected` is both seen and heard, and says when it was.
    fn wait_for(
        &self,
        expected: Seen,
        limit: Duration,
        switches: &mut Vec<Switched>,
    ) -> Result<Option<Instant>, Box<dyn Error>> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if self.viewer.now() == (expected, expected) {
                return Ok(Some(Instant::now()));
            }
            self.listen(switches)?;
        }
        Ok(None)
    }

    fn watch(&self, span: Duration, switches: &mut Vec<Switched>) -> Result<(), Box<dyn Error>> {
        let deadline = Instant::now() + span;
        while Instant::now() < deadline {
            self.listen(switches)?;
        }
        Ok(())
    }

    /// Takes one message, waiting for it a little, and tells what the element says in it.
    fn listen(&self, switches: &mut Vec<Switched>) -> Result<(), Box<dyn Error>> {
        if interrupted() {
            return Err("interrupted".into());
        }
        let Some(message) = self.viewer.pop_message(Duration::from_millis(20)) else {
            return Ok(());
        };
        match message.view() {
            gst::MessageView::Error(error) => {
                Err(format!("the pipeline failed: {}", error.error()).into())
            }
            gst::MessageView::Eos(_) => Err("the output ended".into()),
            gst::MessageView::Element(element) => {
                let Some(structure) = element.structure() else {
                    return Ok(());
                };
                if let Some(switched) = Switched::from_structure(structure) {
                    self.tell("say", &switched.sentence());
                    switches.push(switched);
                } else if let Some(sentence) = report::input_state(structure) {
                    self.tell("say", &sentence);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The element's own word for what it sends.
    fn status(&self) -> String {
        let value = self.source.property_value("status");
        let status = gst::glib::EnumValue::from_value(&value);
        status.map_or_else(String::new, |(_, status)| status.nick().to_owned())
    }

    fn tell(&self, who: &str, what: &str) {
        report::line(self.start.elapsed(), who, what);
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    Duration::from_secs_f64(seconds.clamp(0.0, 1e6)).as_nanos() as u64
}
