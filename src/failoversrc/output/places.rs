// SPDX-License-Identifier: MPL-2.0
//! Which output each stream of an attempt belongs to, by what its source says of it and what it feeds already; and in
//! which languages the attempt differs from the outputs.

use super::{COMPLETE_AFTER, FOLLOWS, Feeder, Outputs, pad_name};
use crate::failoversrc::tracks::{Track, outputs_for};
use crate::policy::InputId;
use crate::sources::{Kind, Language, Track as Announced};
use gst::prelude::*;

/// Where a stream of an attempt belongs.
pub(in crate::failoversrc) struct Place {
    pub(in crate::failoversrc) pad: gst::Pad,
    pub(in crate::failoversrc) language: Option<Language>,
    /// The number of the output that it feeds now.
    pub(in crate::failoversrc) now: Option<usize>,
    pub(in crate::failoversrc) wanted: usize,
}

impl Place {
    /// It feeds another output than it should.
    pub(in crate::failoversrc) fn is_elsewhere(&self) -> bool {
        self.now.is_some_and(|now| now != self.wanted)
    }
}

/// An output whose language an input does not bring, and what it brings there.
pub(in crate::failoversrc) struct Difference {
    pub(in crate::failoversrc) output: String,
    pub(in crate::failoversrc) language: Language,
    pub(in crate::failoversrc) brings: Option<Language>,
}

/// A stream whose output is fed by another stream of its attempt still. Its pad is blocked.
pub(super) struct Waiting {
    attempt: (InputId, u64),
    pad: gst::Pad,
    probe: gst::PadProbeId,
}

impl Outputs {
    pub(in crate::failoversrc) fn wait(
        &mut self,
        pad: &gst::Pad,
        attempt: (InputId, u64),
        probe: gst::PadProbeId,
    ) {
        let pad = pad.clone();
        self.waiting.push(Waiting {
            attempt,
            pad,
            probe,
        });
    }

    pub(in crate::failoversrc) fn is_waiting(&self, pad: &gst::Pad) -> bool {
        self.waiting.iter().any(|waiting| waiting.pad == *pad)
    }

    pub(in crate::failoversrc) fn has_waiting(&self, attempt: (InputId, u64)) -> bool {
        self.waiting
            .iter()
            .any(|waiting| waiting.attempt == attempt)
    }

    /// What blocks it.
    pub(in crate::failoversrc) fn waits_no_more(
        &mut self,
        pad: &gst::Pad,
    ) -> Option<gst::PadProbeId> {
        let index = self
            .waiting
            .iter()
            .position(|waiting| waiting.pad == *pad)?;
        Some(self.waiting.swap_remove(index).probe)
    }

    /// An attempt is over. Its pads that waited, with what blocks them.
    pub(in crate::failoversrc) fn take_waiting(
        &mut self,
        attempt: u64,
    ) -> Vec<(gst::Pad, gst::PadProbeId)> {
        let waiting = std::mem::take(&mut self.waiting);
        let (over, others): (Vec<_>, Vec<_>) = waiting
            .into_iter()
            .partition(|waiting| waiting.attempt.1 == attempt);
        self.waiting = others;
        over.into_iter().map(|w| (w.pad, w.probe)).collect()
    }

    /// The outputs for the streams of an attempt, of those that have a pad. A stream in the place of one that has gone
    /// takes that one's output.
    pub(in crate::failoversrc) fn places(
        &self,
        kind: Kind,
        (input, attempt): (InputId, u64),
        announced: Vec<Announced>,
    ) -> Vec<Place> {
        let feeders = self.feeders(kind, (input, attempt));
        let now = |pad: &gst::Pad| {
            let name = pad.name();
            feeders.iter().find(|(_, feeder)| feeder.pad == name)
        };
        let is_announced = |feeder: &Feeder| {
            let mut pads = announced.iter().filter_map(|track| track.pad.as_ref());
            pads.any(|pad| pad.name() == feeder.pad)
        };
        let mut tracks: Vec<_> = announced
            .iter()
            .map(|track| {
                let now = track.pad.as_ref().and_then(now);
                Track {
                    language: track.language,
                    at: now.map(|(output, _)| *output),
                    settled: now.is_some_and(|(_, feeder)| feeder.since.elapsed() >= FOLLOWS),
                }
            })
            .collect();
        // What the source has given up already, and is about to take away.
        let leaving = feeders.iter().filter(|(_, feeder)| !is_announced(feeder));
        tracks.extend(leaving.map(|(output, feeder)| Track {
            language: feeder.language,
            at: Some(*output),
            settled: true,
        }));
        let languages = self.languages.that_bind(input, kind);
        let wanted = outputs_for(&languages, &tracks);
        let all = announced.into_iter().zip(tracks).zip(wanted);
        let places = all.filter_map(|((announced, track), wanted)| {
            Some(Place {
                pad: announced.pad?,
                language: track.language,
                now: track.at,
                wanted,
            })
        });
        places.collect()
    }

    /// What an attempt feeds the outputs of a kind with.
    fn feeders(&self, kind: Kind, (input, attempt): (InputId, u64)) -> Vec<(usize, &Feeder)> {
        let of_kind = self.all.iter().filter(|output| output.kind == kind);
        let feeders = of_kind.filter_map(|output| {
            let feeder = output.fed_by.get(&input)?;
            let feeds = feeder.attempt == attempt && !feeder.ended;
            feeds.then_some((output.number, feeder))
        });
        feeders.collect()
    }

    /// The language of what feeds an output is known. Whether the output has another language by that.
    pub(in crate::failoversrc) fn note_language(
        &mut self,
        (kind, number): (Kind, usize),
        input: InputId,
        language: Language,
    ) -> bool {
        let output = self.find(kind, number);
        if let Some(feeder) = output.and_then(|output| output.fed_by.get_mut(&input)) {
            feeder.language = Some(language);
        }
        self.languages.fed((kind, number), input, language)
    }

    /// What an attempt brings in other languages than the outputs have, once all of its streams have come. Of an input that
    /// says no language nothing is known.
    pub(in crate::failoversrc) fn differences(
        &self,
        (input, attempt): (InputId, u64),
    ) -> Vec<Difference> {
        let since = self.feeding.get(&input);
        let is_complete = since.is_some_and(|(_, since)| since.elapsed() >= COMPLETE_AFTER);
        let mut found = Vec::new();
        for kind in [Kind::Video, Kind::Audio] {
            let feeders = self.feeders(kind, (input, attempt));
            let knows = feeders.iter().any(|(_, feeder)| feeder.language.is_some());
            let outputs = self.all.iter().filter(|output| output.kind == kind);
            found.extend(
                outputs
                    .filter(|_| is_complete && knows)
                    .filter_map(|output| {
                        let language = self.languages.of(kind, output.number)?;
                        let feeder = feeders.iter().find(|(number, _)| *number == output.number);
                        let brings = feeder.map(|(_, feeder)| feeder.language);
                        let differs =
                            brings.is_none_or(|brings| brings.is_some_and(|l| l != language));
                        differs.then(|| Difference {
                            output: pad_name(kind, output.number),
                            language,
                            brings: brings.flatten(),
                        })
                    }),
            );
        }
        found
    }
}
