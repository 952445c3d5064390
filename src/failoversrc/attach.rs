// SPDX-License-Identifier: MPL-2.0
//! Sources come and go: a new one is put into the bin and its pads are led through the switch to the
//! outputs, an old one is taken out. Called by the owner and by the sources' own threads.

use super::CAT;
use super::control::Order;
use super::imp::{FailoverSrc, lock};
use super::input::Again;
use super::output::{Output, Plan};
use crate::clock::remove_running;
use crate::policy::{InputId, StreamId};
use crate::sources::{Description, Kind, Known, Secrets, Source};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// The present attempt of an input.
pub(super) struct Registered {
    run: u64,
    number: u64,
    /// What no text about it may show.
    secrets: Arc<Secrets>,
    /// What its failure said of the next one.
    again: Again,
    /// The streams that are not played, by their codecs.
    unusable: BTreeSet<(Kind, String)>,
    bin: gst::glib::WeakRef<gst::Bin>,
    /// The application knows that it brings other languages.
    pub(super) told_languages: bool,
}

impl Registered {
    pub(super) fn is_attempt(&self, number: u64) -> bool {
        self.number == number
    }
}

impl FailoverSrc {
    /// Puts a new source into the bin, in NULL; its pads will be attached as they come. Not where the application
    /// has ended the run from its handler.
    pub(super) fn prepare(
        &self,
        run: u64,
        input: InputId,
        number: u64,
        description: &Description,
        source: &Source,
    ) -> bool {
        let obj = self.obj();
        obj.emit_by_name::<()>(
            "configure-source",
            &[&crate::switch::number(input), &source.core],
        );
        // Read only once: a source may speak while it holds what its properties want.
        let mut secrets = description.secrets();
        secrets.add_all(source.secrets());
        // Its state is its own: the bin never waits for it.
        source.bin.set_locked_state(true);
        let Some(_inside) = self.runs.enter(run) else {
            return false;
        };
        {
            let mut registered = self.registered();
            if self.run() != run {
                return false;
            }
            registered.insert(
                input,
                Registered {
                    run,
                    number,
                    secrets: Arc::new(secrets),
                    again: Again::Soon,
                    unusable: BTreeSet::new(),
                    bin: source.bin.downgrade(),
                    told_languages: false,
                },
            );
        }
        if self.settings().output == super::Output::Decoded {
            source.judge_by(judge);
        }
        let weak = obj.downgrade();
        source.listen(move |message| {
            if let Some(element) = weak.upgrade() {
                element.imp().source_message(input, number, message);
            }
        });
        self.follow_pads(input, number, source);
        if let Err(error) = obj.add(&source.bin) {
            gst::error!(CAT, imp = self, "input {}: {error}", input.0);
        }
        self.run() == run
    }

    /// Leads the pads of a source where they belong, as they come and go.
    fn follow_pads(&self, input: InputId, number: u64, source: &Source) {
        let obj = self.obj();
        let weak = obj.downgrade();
        source.on_language(move || {
            if let Some(element) = weak.upgrade() {
                element.imp().languages_known(input, number);
            }
        });
        let weak = obj.downgrade();
        source.bin.connect_pad_added(move |bin, pad| {
            if let Some(element) = weak.upgrade() {
                element.imp().attach(input, number, bin, pad);
            }
        });
        let weak = obj.downgrade();
        source.bin.connect_pad_removed(move |bin, pad| {
            if let Some(element) = weak.upgrade() {
                element.imp().detach(input, number, bin, pad);
            }
        });
        let weak = obj.downgrade();
        source.bin.connect_no_more_pads(move |_| {
            if let Some(element) = weak.upgrade() {
                element.imp().order(Order::Complete(input));
            }
        });
    }

    /// Takes a source out of the bin; it is not in NULL yet.
    pub(super) fn withdraw(&self, input: InputId, number: u64, source: &Source) {
        {
            let mut registered = self.registered();
            if registered.get(&input).is_some_and(|r| r.number == number) {
                registered.remove(&input);
            }
        }
        // Its threads are to come to their end.
        let waiting = self.outputs().take_waiting(number);
        for (pad, probe) in waiting {
            pad.remove_probe(probe);
        }
        let obj = self.obj();
        if source.bin.parent().as_ref() == Some(obj.upcast_ref()) {
            remove_running(&*obj, &source.bin);
        }
    }

    pub(super) fn note_again(&self, input: InputId, attempt: u64, again: Again) {
        let mut registered = self.registered();
        if let Some(present) = registered.get_mut(&input).filter(|r| r.number == attempt) {
            present.again = again;
        }
    }

    /// What the failure of the present attempt said of the next one.
    pub(super) fn again(&self, input: InputId) -> Again {
        let registered = self.registered();
        registered.get(&input).map_or(Again::Soon, |r| r.again)
    }

    /// What a source, or somebody about it, says, as it may be shown; `None` if it is not the present one.
    pub(super) fn redacted(&self, input: InputId, attempt: u64, text: &str) -> Option<String> {
        let secrets = {
            let registered = self.registered();
            let present = registered.get(&input).filter(|r| r.number == attempt)?;
            present.secrets.clone()
        };
        Some(secrets.take_out_of(text))
    }

    /// Whether the present attempt has not said of a stream of this codec yet that it is not played.
    pub(super) fn is_first_unusable(
        &self,
        input: InputId,
        attempt: u64,
        kind: Kind,
        codec: &str,
    ) -> bool {
        let mut registered = self.registered();
        let present = registered.get_mut(&input).filter(|r| r.number == attempt);
        present.is_some_and(|present| present.unusable.insert((kind, codec.to_owned())))
    }

    /// An input with the number of its present attempt.
    pub(super) fn attempt_of(&self, input: InputId) -> Option<(InputId, u64)> {
        let registered = self.registered();
        registered
            .get(&input)
            .map(|present| (input, present.number))
    }

    pub(super) fn is_present(&self, input: InputId, number: u64) -> bool {
        self.run_of(input, number).is_some()
    }

    /// The sources of all present attempts.
    pub(super) fn present_sources(&self) -> Vec<((InputId, u64), gst::Bin)> {
        let registered = self.registered();
        let present = registered.iter();
        present
            .filter_map(|(input, r)| Some(((*input, r.number), r.bin.upgrade()?)))
            .collect()
    }

    /// The run of an attempt, if it is the present one of its input.
    pub(super) fn run_of(&self, input: InputId, number: u64) -> Option<u64> {
        let registered = self.registered();
        let present = registered.get(&input).filter(|r| r.number == number);
        present.map(|present| present.run)
    }

    fn attach(&self, input: InputId, number: u64, bin: &gst::Bin, pad: &gst::Pad) {
        let (Some(kind), Some(run)) = (kind_of(pad), self.run_of(input, number)) else {
            return;
        };
        let Some(_inside) = self.runs.enter(run) else {
            return;
        };
        self.lead(run, (input, number), bin, kind, pad);
        self.update_slates();
    }

    /// The output for a stream, and its new pad if there was none yet. The caller holds `making`, and adds the
    /// pad when it does not any more.
    pub(super) fn provide(
        &self,
        run: u64,
        kind: Kind,
        number: usize,
    ) -> Result<(StreamId, Option<gst::GhostPad>), gst::glib::BoolError> {
        if let Some(stream) = self.outputs().stream(kind, number) {
            return Ok((stream, None));
        }
        let stream = self.outputs().next_stream();
        let obj = self.obj();
        let is_on = || self.run() == run;
        let made = Output::make(obj.upcast_ref(), kind, number, stream, &self.plan(), &is_on);
        let (output, ghost) = made?;
        let mut outputs = self.outputs();
        if !is_on() {
            drop(outputs);
            output.dismantle(obj.upcast_ref());
            return Err(gst::glib::bool_error!("the run has ended meanwhile"));
        }
        outputs.add(output);
        Ok((stream, Some(ghost)))
    }

    /// A new pad of this run. The application may stop all from a handler, be it that of the pad before.
    pub(super) fn show(&self, run: u64, ghost: &gst::GhostPad) {
        if self.run() != run {
            let _ = ghost.set_active(false);
            return;
        }
        gst::info!(CAT, imp = self, "new output {}", ghost.name());
        let _ = self.obj().add_pad(ghost);
        if self.run() != run && ghost.parent().is_some() {
            let _ = ghost.set_active(false);
            let _ = self.obj().remove_pad(ghost);
        }
    }

    fn detach(&self, input: InputId, number: u64, bin: &gst::Bin, pad: &gst::Pad) {
        let Some(run) = self.run_of(input, number) else {
            return;
        };
        let Some(_inside) = self.runs.enter(run) else {
            return;
        };
        let (lost, follower) = {
            // One that is just coming is there afterwards, or takes the place that is free then.
            let _one_at_a_time = lock(&self.making);
            let _ = self.outputs().waits_no_more(pad);
            let lost = self.lose(input, number, pad);
            let follower = lost.and_then(|(kind, index)| {
                let name = self.outputs().follower(kind, index, (input, number))?;
                bin.static_pad(&name)
            });
            (lost, follower)
        };
        if let Some((kind, _)) = lost {
            if let Some(follower) = follower {
                self.move_up(input, number, &follower, kind);
            }
            self.pad_gone(run, (input, number), bin, kind);
        }
        self.update_slates();
    }

    /// This pad feeds its output no more. Which one that was.
    pub(super) fn lose(
        &self,
        input: InputId,
        number: u64,
        pad: &gst::Pad,
    ) -> Option<(Kind, usize)> {
        let (kind, index, stream) = {
            let mut outputs = self.outputs();
            let lost = outputs.lost(input, number, &pad.name())?;
            (lost.kind, lost.number, lost.stream)
        };
        self.switch().imp().stream_gone(input, stream);
        Some((kind, index))
    }

    /// Leads a stream to the output of the one that it follows, when nothing is on its way through the pad.
    fn move_up(&self, input: InputId, number: u64, pad: &gst::Pad, kind: Kind) {
        let (weak, run) = (self.obj().downgrade(), self.run());
        pad.add_probe(gst::PadProbeType::IDLE, move |pad, _| {
            if let Some(element) = weak.upgrade() {
                let shell = element.imp();
                let Some(_inside) = shell.runs.enter(run) else {
                    return gst::PadProbeReturn::Remove;
                };
                shell.lose(input, number, pad);
                if let Some(sink) = pad.peer() {
                    let _ = pad.unlink(&sink);
                }
                if let Some(bin) = pad.parent().and_downcast::<gst::Bin>() {
                    shell.lead(run, (input, number), &bin, kind, pad);
                }
                shell.update_slates();
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Once a run, for applications that wait for it, such as playbin. A stream that nobody knew of
    /// may still bring a pad later.
    pub(super) fn say_no_more_pads(&self, run: u64) {
        let inside = self.runs.enter(run);
        if inside.is_some() && !self.said_no_more_pads.swap(true, SeqCst) {
            self.obj().no_more_pads();
        }
    }

    pub(super) fn plan(&self) -> Plan {
        let settings = self.settings();
        Plan {
            form: settings.output,
            fill: settings.slate,
            from_start: settings.slate_from_start,
            latency: settings.latency,
            id: self.obj().name().to_string(),
        }
    }

    /// PAUSED→READY: the pads go with the run that they belong to.
    pub(super) fn remove_outputs(&self) {
        let obj = self.obj();
        self.outputs().clear();
        self.said_no_more_pads.store(false, SeqCst);
        for pad in obj.src_pads() {
            let _ = pad.set_active(false);
            let _ = obj.remove_pad(&pad);
        }
        let switch = self.switch();
        for child in obj.children() {
            if &child == switch.upcast_ref::<gst::Element>() {
                continue;
            }
            // A source that its owner has not given up yet; it is stopped by whoever leads it.
            if !child.is_locked_state() {
                let _ = child.set_state(gst::State::Null);
            }
            let _ = obj.remove(&child);
        }
        for pad in switch.sink_pads() {
            switch.release_request_pad(&pad);
        }
    }
}

/// The pad of the switch for a stream of an input.
pub(super) fn sink_name(input: InputId, stream: StreamId) -> String {
    match stream.0 {
        0 => format!("sink_{}", input.0),
        further => format!("sink_{}_{further}", input.0),
    }
}

/// What has no decoder here is of no use.
fn judge(caps: &gst::CapsRef, known: Known) -> Result<(), String> {
    match known {
        Known::Announced => super::decode::may_decode(caps),
        Known::Final => super::decode::can_decode(caps),
    }
}

/// `video_2` is a picture.
fn kind_of(pad: &gst::Pad) -> Option<Kind> {
    let name = pad.name();
    let (kind, _) = name.split_once('_')?;
    match kind {
        "video" => Some(Kind::Video),
        "audio" => Some(Kind::Audio),
        _ => None,
    }
}
