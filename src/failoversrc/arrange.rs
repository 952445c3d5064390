// SPDX-License-Identifier: MPL-2.0
//! Leads each stream of an input through the switch to the output that it belongs to ([`tracks`](super::tracks)), and to
//! another one when its source, or a more preferred input, says more of languages. Called by the sources' own threads.

use super::CAT;
use super::attach::sink_name;
use super::imp::{FailoverSrc, lock};
use super::output::{Place, link_switch};
use crate::policy::InputId;
use crate::sources::{self, Kind, Track};
use gst::prelude::*;
use gst::subclass::prelude::*;

/// What has come of it.
#[derive(Default)]
struct Arranged {
    /// The new pads, which the caller shows.
    new: Vec<gst::GhostPad>,
    /// The streams that feed another output than they should.
    elsewhere: Vec<((InputId, u64), gst::Pad)>,
    /// Outputs have other languages than before.
    languages: bool,
}

impl FailoverSrc {
    /// Leads a source's pad to its output, which is made if need be.
    pub(super) fn lead(
        &self,
        run: u64,
        attempt: (InputId, u64),
        bin: &gst::Bin,
        kind: Kind,
        pad: &gst::Pad,
    ) {
        let arranged = self.arrange(run, attempt, bin, kind, Some(pad));
        self.finish(run, attempt.0, kind, arranged);
        // What has become known before the pad fed anything.
        self.match_again(run, attempt, bin, kind);
    }

    /// The language of a stream of this attempt is known.
    pub(super) fn languages_known(&self, input: InputId, number: u64) {
        let attempt = (input, number);
        let Some(run) = self.run_of(input, number) else {
            return;
        };
        // Whatever it brings will be led to the right place at once.
        if !self.outputs().is_feeding(attempt) {
            return;
        }
        let Some(_inside) = self.runs.enter(run) else {
            return;
        };
        let mut sources = self.present_sources().into_iter();
        let Some((_, bin)) = sources.find(|(other, _)| *other == attempt) else {
            return;
        };
        for kind in [Kind::Video, Kind::Audio] {
            self.match_again(run, attempt, &bin, kind);
        }
        self.update_slates();
    }

    /// Shows what is new, and moves what is elsewhere. Where outputs have other languages by it, the streams of the other
    /// inputs are matched again. With no lock held.
    fn finish(&self, run: u64, input: InputId, kind: Kind, arranged: Arranged) {
        let Arranged {
            mut new,
            mut elsewhere,
            languages,
        } = arranged;
        if languages {
            let others = self.present_sources().into_iter();
            for (other, bin) in others.filter(|((other, _), _)| *other != input) {
                let arranged = self.arrange(run, other, &bin, kind, None);
                new.extend(arranged.new);
                elsewhere.extend(arranged.elsewhere);
            }
        }
        for ghost in new {
            self.show(run, &ghost);
        }
        for (attempt, pad) in elsewhere {
            self.move_when_idle(run, attempt, kind, &pad);
        }
    }

    /// Leads the streams of a kind where they belong: the `new` one, and those that wait for a place.
    fn arrange(
        &self,
        run: u64,
        attempt: (InputId, u64),
        bin: &gst::Bin,
        kind: Kind,
        new: Option<&gst::Pad>,
    ) -> Arranged {
        let mut arranged = Arranged::default();
        let _one_at_a_time = lock(&self.making);
        if self.run_of(attempt.0, attempt.1) != Some(run) {
            return arranged;
        }
        for place in self.places(attempt, bin, kind, new) {
            if place.is_elsewhere() {
                arranged.elsewhere.push((attempt, place.pad));
                continue;
            }
            if place.now.is_none() {
                if Some(&place.pad) != new && !self.outputs().is_waiting(&place.pad) {
                    continue;
                }
                let fed_by = self.outputs().fed_by(attempt, (kind, place.wanted));
                if fed_by.is_some() {
                    // By a stream that belongs elsewhere, and has not gone there yet.
                    self.hold(&place.pad, attempt);
                    continue;
                }
                match self.link(run, attempt, kind, &place) {
                    Ok(ghost) => arranged.new.extend(ghost),
                    Err(_) if self.run() != run => (),
                    Err(error) => gst::error!(CAT, imp = self, "input {}: {error}", attempt.0.0),
                }
                self.let_go(&place.pad);
            }
            if let Some(language) = place.language {
                let output = (kind, place.wanted);
                arranged.languages |= self.outputs().note_language(output, attempt.0, language);
            }
        }
        arranged
    }

    fn places(
        &self,
        attempt: (InputId, u64),
        bin: &gst::Bin,
        kind: Kind,
        new: Option<&gst::Pad>,
    ) -> Vec<Place> {
        let mut tracks = sources::tracks(bin, kind);
        if let Some(new) = new
            && tracks.iter().all(|track| track.pad.as_ref() != Some(new))
        {
            // It has come to its end already.
            let pad = Some(new.clone());
            tracks.insert(
                0,
                Track {
                    pad,
                    language: None,
                },
            );
        }
        self.outputs().places(kind, attempt, tracks)
    }

    /// Takes a stream from its output when nothing is on its way through the pad: an event that is pushed meanwhile
    /// would count as sent to the next output. Two streams may have to change places, so it waits until its own is free.
    fn move_when_idle(&self, run: u64, attempt: (InputId, u64), kind: Kind, pad: &gst::Pad) {
        let weak = self.obj().downgrade();
        pad.add_probe(gst::PadProbeType::IDLE, move |pad, _| {
            if let Some(element) = weak.upgrade()
                && let Some(bin) = pad.parent().and_downcast::<gst::Bin>()
            {
                element.imp().move_away(run, attempt, &bin, kind, pad);
            }
            gst::PadProbeReturn::Remove
        });
    }

    fn move_away(
        &self,
        run: u64,
        attempt: (InputId, u64),
        bin: &gst::Bin,
        kind: Kind,
        pad: &gst::Pad,
    ) {
        let Some(_inside) = self.runs.enter(run) else {
            return;
        };
        {
            let _one_at_a_time = lock(&self.making);
            if self.run_of(attempt.0, attempt.1) != Some(run) {
                return;
            }
            let places = self.places(attempt, bin, kind, None);
            let mut elsewhere = places.iter().filter(|place| place.is_elsewhere());
            if let Some(place) = elsewhere.find(|place| place.pad == *pad) {
                let language = place.language.map(|language| language.to_string());
                let language = language.unwrap_or_else(|| "unknown".to_owned());
                gst::info!(
                    CAT,
                    imp = self,
                    "input {}: its {kind} ({language}) moves from {:?} to {}",
                    attempt.0.0,
                    place.now,
                    place.wanted
                );
                self.hold(pad, attempt);
                if let Some(sink) = pad.peer() {
                    let _ = pad.unlink(&sink);
                }
                self.lose(attempt.0, attempt.1, pad);
            }
        }
        self.match_again(run, attempt, bin, kind);
        self.update_slates();
    }

    /// Something has changed for the streams of an attempt.
    fn match_again(&self, run: u64, attempt: (InputId, u64), bin: &gst::Bin, kind: Kind) {
        let arranged = self.arrange(run, attempt, bin, kind, None);
        self.finish(run, attempt.0, kind, arranged);
    }

    /// A pad has gone. Another one may wait for its place.
    pub(super) fn pad_gone(&self, run: u64, attempt: (InputId, u64), bin: &gst::Bin, kind: Kind) {
        if self.outputs().has_waiting(attempt) {
            self.match_again(run, attempt, bin, kind);
        }
    }

    /// Lets a stream wait, since a pad that is not linked may end the whole source.
    fn hold(&self, pad: &gst::Pad, attempt: (InputId, u64)) {
        if self.outputs().is_waiting(pad) {
            return;
        }
        let blocked = gst::PadProbeType::BLOCK_DOWNSTREAM;
        if let Some(probe) = pad.add_probe(blocked, |_, _| gst::PadProbeReturn::Ok) {
            self.outputs().wait(pad, attempt, probe);
        }
    }

    fn let_go(&self, pad: &gst::Pad) {
        let probe = self.outputs().waits_no_more(pad);
        if let Some(probe) = probe {
            pad.remove_probe(probe);
        }
    }

    /// The caller holds `making`.
    fn link(
        &self,
        run: u64,
        (input, number): (InputId, u64),
        kind: Kind,
        place: &Place,
    ) -> Result<Option<gst::GhostPad>, gst::glib::BoolError> {
        let obj = self.obj();
        let (switch, index, pad) = (self.switch(), place.wanted, &place.pad);
        let (stream, ghost) = self.provide(run, kind, index)?;
        let name = sink_name(input, stream);
        let sink = switch
            .static_pad(&name)
            .or_else(|| switch.request_pad_simple(&name))
            .ok_or_else(|| gst::glib::bool_error!("the switch has no pad {name}"))?;
        link_switch(obj.upcast_ref(), switch, stream, kind, index)?;
        if let Some(old) = sink.peer() {
            let _ = old.unlink(&sink);
        }
        pad.link(&sink)
            .map_err(|error| gst::glib::bool_error!("{} does not link: {error}", pad.name()))?;
        self.outputs()
            .fed(kind, index, (input, number), &pad.name());
        Ok(ghost)
    }
}
