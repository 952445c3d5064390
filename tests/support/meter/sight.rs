// SPDX-License-Identifier: MPL-2.0
//! What a viewer saw: pictures that arrived, counted.
//!
//! Numbers only. All times are seconds of running time.

use std::collections::BTreeSet;

use super::code::Inscription;

/// A picture that came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Picture {
    pub(crate) arrival: f64,
    /// When it is to be shown by its timestamp, before any latency.
    pub(crate) time: f64,
    pub(crate) says: Inscription,
}

impl Picture {
    pub(crate) fn name(&self) -> Option<u8> {
        match self.says {
            Inscription::Frame { name, .. } => Some(name),
            Inscription::Black | Inscription::Broken => None,
        }
    }
}

/// How frames are numbered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbering {
    pub(crate) fps: u32,
    /// After so many frames numbers begin at zero again.
    pub(crate) cycle: u32,
}

impl Numbering {
    pub(crate) fn frame(self) -> f64 {
        1.0 / f64::from(self.fps)
    }

    /// What is equal to `number`, up to whole cycles, and nearest to `about`.
    fn unwrapped(self, number: u16, about: f64) -> i64 {
        let (number, cycle) = (f64::from(number), f64::from(self.cycle));
        (number + ((about - number) / cycle).round() * cycle) as i64
    }
}

#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Sight {
    pub(crate) pictures: usize,
    /// Numbers that never came, between the first and the last that did.
    pub(crate) lost: usize,
    /// Pictures with a number that was there before.
    pub(crate) repeated: usize,
    /// Pictures that came after a later one.
    pub(crate) reordered: usize,
    pub(crate) broken: usize,
    pub(crate) black: usize,
    /// Pictures that came more than a frame after they were to be shown.
    pub(crate) late: usize,
    /// The longest time for which one picture stood on a synchronised screen, beyond one frame.
    pub(crate) freeze: f64,
    pub(crate) freeze_at: f64,
    /// Who was seen, one after the other, and how many pictures of each.
    pub(crate) runs: Vec<(u8, usize)>,
}

impl Sight {
    /// Whether a picture of one input was followed by one of another this often.
    pub(crate) fn switches(&self) -> usize {
        self.runs.len().saturating_sub(1)
    }
}

/// Counts what arrived until `end`, on a screen that shows everything `latency` after its time.
pub(crate) fn sight(pictures: &[Picture], numbering: Numbering, latency: f64, end: f64) -> Sight {
    let mut sight = Sight {
        pictures: pictures.len(),
        ..Sight::default()
    };
    let mut numbers = Numbers::new(numbering);
    let mut screen = Screen::default();
    for picture in pictures {
        let due = picture.time + latency;
        sight.late += usize::from(picture.arrival > due + numbering.frame());
        let news = match picture.says {
            Inscription::Black => {
                sight.black += 1;
                false
            }
            Inscription::Broken => {
                sight.broken += 1;
                true
            }
            Inscription::Frame { name, number } => {
                match sight.runs.last_mut() {
                    Some((last, count)) if *last == name => *count += 1,
                    _ => sight.runs.push((name, 1)),
                }
                numbers.take(number, picture.time, &mut sight)
            }
        };
        if news {
            screen.show(picture.arrival.max(due));
        }
    }
    screen.show(end);
    sight.lost = numbers.missing();
    sight.freeze = (screen.longest - numbering.frame()).max(0.0);
    sight.freeze_at = screen.longest_from;
    sight
}

/// The numbers that came.
struct Numbers {
    numbering: Numbering,
    seen: BTreeSet<i64>,
    /// The last, and its time.
    last: Option<(i64, f64)>,
}

impl Numbers {
    fn new(numbering: Numbering) -> Self {
        Self {
            numbering,
            seen: BTreeSet::new(),
            last: None,
        }
    }

    /// Whether it is news.
    fn take(&mut self, number: u16, time: f64, sight: &mut Sight) -> bool {
        let about = self.last.map_or_else(
            || f64::from(number),
            |(last, then)| last as f64 + (time - then) * f64::from(self.numbering.fps),
        );
        let number = self.numbering.unwrapped(number, about);
        let highest = self.seen.last().copied();
        self.last = Some((number, time));
        let news = self.seen.insert(number);
        sight.repeated += usize::from(!news);
        sight.reordered += usize::from(news && highest.is_some_and(|highest| number < highest));
        news
    }

    fn missing(&self) -> usize {
        let span = match (self.seen.first(), self.seen.last()) {
            (Some(first), Some(last)) => last - first + 1,
            _ => 0,
        };
        usize::try_from(span).unwrap_or(0) - self.seen.len()
    }
}

/// A screen: since when it shows what it shows.
#[derive(Default)]
struct Screen {
    since: Option<f64>,
    longest: f64,
    longest_from: f64,
}

impl Screen {
    fn show(&mut self, at: f64) {
        let Some(since) = self.since else {
            self.since = Some(at);
            return;
        };
        if at - since > self.longest {
            (self.longest, self.longest_from) = (at - since, since);
        }
        self.since = Some(since.max(at));
    }
}
