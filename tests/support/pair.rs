// SPDX-License-Identifier: MPL-2.0
//! A primary and a backup in step, of numbered frames and tones, the programme that plays them, and the meter at its
//! output: what was seen and heard from one act to the next.
//!
//! Needs `evidence`, `lab`, `meter` and `programme` beside it.

// Every test takes the part that it needs.
#![allow(dead_code)]

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::evidence::Evidence;
use crate::lab::Publisher;
use crate::meter::code::Inscription;
use crate::meter::{Meter, Recipe, Report, Seen, Tape};
use crate::programme::Programme;

pub(crate) const PRIMARY: u8 = 0;
pub(crate) const BACKUP: u8 = 1;
const LIMIT: Duration = Duration::from_secs(20);
/// What is in two reports: the last pictures of one act, where the cut to the next begins.
const SHARED: f64 = 0.2;

pub(crate) struct Pair {
    pub(crate) tapes: [Arc<Tape>; 2],
    pub(crate) primary: Publisher,
    pub(crate) backup: Publisher,
    pub(crate) programme: Programme,
    pub(crate) meter: Meter,
    /// Pictures of half a second: so many of one input in a row are no chance.
    steady: usize,
    /// What came before is in no report any more.
    from: f64,
    _evidence: Evidence,
}

impl Pair {
    /// Both publish, each to its URL; the programme is not started.
    pub(crate) fn publish(
        urls: [String; 2],
        recipe: impl Fn(u8) -> Recipe,
        programme: Programme,
    ) -> io::Result<Self> {
        let evidence = Evidence::keep();
        let epoch = Instant::now();
        let recipes = [PRIMARY, BACKUP].map(recipe);
        let tapes = recipes.map(|recipe| Arc::new(Tape::record(&recipe, epoch)));
        let [mut primary, mut backup] = [
            relay(&urls[0], tapes[0].clone())?,
            relay(&urls[1], tapes[1].clone())?,
        ];
        primary.wait_until_publishing()?;
        backup.wait_until_publishing()?;
        let numbering = recipes[0].numbering();
        let meter = Meter::new(numbering);
        meter.follow(&programme.src);
        Ok(Self {
            tapes,
            primary,
            backup,
            programme,
            meter,
            steady: numbering.fps as usize / 2,
            from: 0.0,
            _evidence: evidence,
        })
    }

    /// The primary is on air and the backup stands by.
    pub(crate) fn until_on_air(&mut self) {
        self.until_shown(PRIMARY);
        self.programme
            .until("the backup stands by", |record| record.told(1, "flowing"));
    }

    /// The primary has been on the screen for so many pictures; what came before is in no report.
    pub(crate) fn until_settled(&mut self, pictures: usize) {
        let shown = self
            .meter
            .comes_true(LIMIT, |seen| seen.shows(PRIMARY, pictures));
        assert!(shown, "the primary does not stay");
        self.from = self.meter.now() - SHARED;
    }

    /// What was seen and heard from the last such report on, until this input was steadily on the screen.
    pub(crate) fn until_shown(&mut self, name: u8) -> Report {
        let steady = self.steady;
        self.until(&format!("input {name}"), |seen| seen.shows(name, steady))
    }

    /// As [`Self::until_shown`], until the screen was black.
    pub(crate) fn until_black(&mut self) -> Report {
        let steady = self.steady;
        self.until("black", |seen| {
            let mut last = seen.pictures.iter().rev().take(steady);
            last.len() == steady && last.all(|picture| picture.says == Inscription::Black)
        })
    }

    fn until(&mut self, what: &str, done: impl Fn(&Seen) -> bool) -> Report {
        let shown = self.meter.comes_true(LIMIT, done);
        let report = self.meter.report(self.from);
        let switched = self.programme.record().reports.last().cloned();
        println!("{report:?}\n{switched:?}");
        assert!(shown, "{what} does not come: {report:?}");
        // With the last pictures of this one begins the next, and none is of the input before: what returns after a burst
        // shows many at once.
        let since = self.meter.seen(Seen::shown_since);
        self.from = since.max(self.meter.now() - SHARED);
        report
    }

    pub(crate) fn finish(self) {
        self.programme.finish(&["audio_0", "video_0"]);
    }
}

fn relay(url: &str, tape: Arc<Tape>) -> io::Result<Publisher> {
    Publisher::relay(url, Arc::new(move |to| tape.play(to)))
}
