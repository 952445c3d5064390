// SPDX-License-Identifier: MPL-2.0
//! The outputs: one per stream that any input has, made when the stream is first seen and kept for
//! the element's life. Behind the switch each has its own thread, one decoder and one slate.

mod places;

use self::places::Waiting;
pub(super) use self::places::{Difference, Place};
use super::decode::Decode;
use super::slate::{self, Slate};
use super::tracks::Languages;
use super::{FailoverSrc, Output as Form, Slate as Fill, refusal};
use crate::clock::Stopwatch;
use crate::policy::{InputId, StreamId};
use crate::sources::{Kind, Language};
use crate::switch::FailoverSwitch;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

/// What an output may hold up beyond the latency: a stream of 100 Mbit/s for some seconds, or some raw
/// pictures. A muxer holds up the sound until there is a picture, which may take a long group of pictures; and
/// both may come by one thread.
const QUEUE_BYTES: u32 = 96 << 20;
const QUEUE_TIME: u64 = 20_000_000_000;

/// One output pad and what is behind it.
pub(super) struct Output {
    pub(super) kind: Kind,
    /// The how manieth of its kind.
    pub(super) number: usize,
    pub(super) stream: StreamId,
    queue: gst::Element,
    pub(super) slate: Option<Slate>,
    pub(super) decode: Option<Decode>,
    /// The inputs that feed it.
    fed_by: BTreeMap<InputId, Feeder>,
}

/// The attempt of an input that last fed an output, and by which of its pads.
struct Feeder {
    attempt: u64,
    pad: String,
    since: Stopwatch,
    /// Its stream has come to its end; the pad is still there.
    ended: bool,
    language: Option<Language>,
}

/// A stream that came so short a time before another one went is the one that follows it. What is known of streams that
/// came no longer ago may be known in part.
const FOLLOWS: Duration = Duration::from_secs(1);

/// An input's streams come one by one, its video up to a group of pictures after its sound. What has
/// not come after this long is taken for missing.
pub(super) const COMPLETE_AFTER: Duration = Duration::from_secs(3);

/// All outputs.
#[derive(Default)]
pub(super) struct Outputs {
    all: Vec<Output>,
    /// Since when the present attempt of each input has fed something.
    feeding: BTreeMap<InputId, (u64, Stopwatch)>,
    pub(super) languages: Languages,
    /// Streams whose outputs are fed by others still.
    waiting: Vec<Waiting>,
}

/// What a new output needs to know.
pub(super) struct Plan {
    pub(super) form: Form,
    pub(super) fill: Fill,
    /// Before anything is on air, too.
    pub(super) from_start: bool,
    pub(super) latency: u64,
    /// Makes the stream ids of one element differ from those of another.
    pub(super) id: String,
}

impl Output {
    /// A new output for a stream, and its pad, which the caller adds. What is put into the bin is told to the
    /// application, which may ask anything: with no lock held that an answer needs.
    pub(super) fn make(
        bin: &gst::Bin,
        kind: Kind,
        number: usize,
        stream: StreamId,
        plan: &Plan,
        is_on: &impl Fn() -> bool,
    ) -> Result<(Self, gst::GhostPad), gst::glib::BoolError> {
        let element = bin.downcast_ref::<FailoverSrc>();
        let name = pad_name(kind, number);
        let queue = gst::ElementFactory::make("queue")
            .name(format!("{name}-queue"))
            .property("max-size-buffers", 0u32)
            .property("max-size-bytes", QUEUE_BYTES)
            .property("max-size-time", longest(plan.latency))
            .build()?;
        let mut chain = vec![queue.clone()];
        let slate = (plan.form == Form::Decoded).then(|| {
            let kind = match kind {
                Kind::Audio => slate::Kind::Audio,
                Kind::Video => slate::Kind::Video,
            };
            Slate::new(kind, mode(plan.fill), &format!("{}/{name}", plan.id))
        });
        let decode = slate
            .is_some()
            .then(|| Decode::new(&format!("{name}-decode")));
        if let (Some(decode), Some(element)) = (&decode, element) {
            let element = element.downgrade();
            decode.on_refusal(move |text| {
                if let Some(element) = element.upgrade() {
                    element.imp().undecodable((kind, number), text);
                }
            });
        }
        chain.extend(decode.clone().map(Cast::upcast));
        chain.extend(slate.clone().map(Cast::upcast));
        let joined = add(bin, &chain, is_on).and_then(|()| join(bin, kind, &name, &chain));
        if joined.is_err() {
            take_out(bin, &chain);
        }
        let ghost = joined?;
        let output = Self {
            kind,
            number,
            stream,
            queue,
            slate,
            decode,
            fed_by: BTreeMap::new(),
        };
        Ok((output, ghost))
    }

    fn is_fed_by(&self, input: InputId) -> bool {
        let feeder = self.fed_by.get(&input);
        feeder.is_some_and(|feeder| !feeder.ended)
    }

    /// Takes out what was made for it.
    pub(super) fn dismantle(self, bin: &gst::Bin) {
        let decode = self.decode.map(Cast::upcast);
        let slate = self.slate.map(Cast::upcast);
        let chain = [Some(self.queue), decode, slate];
        take_out(bin, &chain.into_iter().flatten().collect::<Vec<_>>());
    }

    /// The end of a stream that no input has ever fed.
    pub(super) fn end_unfed(&self) {
        let sink = self.queue.static_pad("sink");
        if let Some(sink) = sink.filter(|sink| !sink.is_linked()) {
            sink.send_event(gst::event::Eos::new());
        }
    }
}

impl Outputs {
    fn find(&mut self, kind: Kind, number: usize) -> Option<&mut Output> {
        self.all
            .iter_mut()
            .find(|output| output.kind == kind && output.number == number)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Output> {
        self.all.iter()
    }

    pub(super) fn queues(&self) -> Vec<gst::Element> {
        self.all.iter().map(|output| output.queue.clone()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.feeding.clear();
        self.languages.clear();
        self.waiting.clear();
    }

    /// The stream of an output that is there already.
    pub(super) fn stream(&mut self, kind: Kind, number: usize) -> Option<StreamId> {
        self.find(kind, number).map(|output| output.stream)
    }

    /// The stream of the output that is made next.
    pub(super) fn next_stream(&self) -> StreamId {
        StreamId(u32::try_from(self.all.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn add(&mut self, output: Output) {
        self.all.push(output);
    }

    /// An input feeds this output from now on. What an earlier attempt fed is forgotten only now:
    /// while nothing new comes, its last picture stands.
    pub(super) fn fed(
        &mut self,
        kind: Kind,
        number: usize,
        (input, attempt): (InputId, u64),
        by: &str,
    ) {
        for output in &mut self.all {
            let earlier = output.fed_by.get(&input);
            if earlier.is_some_and(|earlier| earlier.attempt < attempt) {
                output.fed_by.remove(&input);
            }
        }
        if let Some(output) = self.find(kind, number) {
            let feeder = Feeder {
                attempt,
                pad: by.to_owned(),
                since: Stopwatch::start(),
                ended: false,
                language: None,
            };
            output.fed_by.insert(input, feeder);
        }
        let since = self.feeding.get(&input);
        if since.is_none_or(|(earlier, _)| *earlier < attempt) {
            self.feeding.insert(input, (attempt, Stopwatch::start()));
        }
    }

    pub(super) fn is_feeding(&self, (input, attempt): (InputId, u64)) -> bool {
        let since = self.feeding.get(&input);
        since.is_some_and(|(present, _)| *present == attempt)
    }

    /// By which of its pads an input feeds this output, and whether it feeds another one.
    pub(super) fn fed_by(
        &self,
        (input, attempt): (InputId, u64),
        (kind, number): (Kind, usize),
    ) -> Option<(String, bool)> {
        let feeds = |output: &&Output| {
            let by = output.fed_by.get(&input);
            by.is_some_and(|feeder| feeder.attempt == attempt && !feeder.ended)
        };
        let feeding = self.all.iter().filter(feeds);
        let (own, others): (Vec<_>, Vec<_>) =
            feeding.partition(|output| (output.kind, output.number) == (kind, number));
        let feeder = own.first()?.fed_by.get(&input)?;
        Some((feeder.pad.clone(), !others.is_empty()))
    }

    /// A pad of an input has vanished while its source goes on, or feeds another output. The one that it has fed.
    pub(super) fn lost(&mut self, input: InputId, attempt: u64, by: &str) -> Option<&Output> {
        let feeds = |output: &&mut Output| {
            let present = output.fed_by.get(&input);
            present.is_some_and(|feeder| feeder.attempt == attempt && feeder.pad == by)
        };
        let output = self.all.iter_mut().find(feeds)?;
        output.fed_by.remove(&input);
        Some(output)
    }

    /// The pad of the stream that follows the one which this output had: a demuxer adds the new one before it
    /// takes the old one away.
    pub(super) fn follower(&self, kind: Kind, number: usize, of: (InputId, u64)) -> Option<String> {
        let (input, attempt) = of;
        let further = |output: &&Output| output.kind == kind && output.number > number;
        let mut feeders = self
            .all
            .iter()
            .filter(further)
            .filter_map(|o| o.fed_by.get(&input));
        let follows =
            |feeder: &&Feeder| feeder.attempt == attempt && feeder.since.elapsed() < FOLLOWS;
        feeders.find(follows).map(|feeder| feeder.pad.clone())
    }

    /// A stream of an input has ended. What follows for the others is waited for, as at the start.
    pub(super) fn ended(&mut self, stream: StreamId, input: InputId) {
        let outputs = self.all.iter_mut();
        for output in outputs.filter(|output| output.stream == stream) {
            if let Some(feeder) = output.fed_by.get_mut(&input) {
                feeder.ended = true;
            }
        }
        if let Some((_, since)) = self.feeding.get_mut(&input) {
            *since = Stopwatch::start();
        }
    }

    /// Slates are wanted where nothing is on air, or where the input on air has no such stream, or does not send it.
    pub(super) fn wanted_slates(
        &self,
        down: bool,
        on_air: Option<InputId>,
        unsent: &[StreamId],
    ) -> Vec<(Slate, bool)> {
        let complete = |input: &InputId| {
            let since = self.feeding.get(input);
            since.is_some_and(|(_, watch)| watch.elapsed() >= COMPLETE_AFTER)
        };
        let on_air = on_air.filter(complete);
        let is_unfed = |output: &Output| on_air.is_some_and(|input| !output.is_fed_by(input));
        let wanted = |output: &Output| down || unsent.contains(&output.stream) || is_unfed(output);
        let slates = self
            .all
            .iter()
            .filter_map(|o| Some((o.slate.clone()?, wanted(o))));
        slates.collect()
    }
}

/// Puts the elements of an output into the bin, as long as the run is on: the application hears of each, and may
/// stop all or take its time.
fn add(
    bin: &gst::Bin,
    chain: &[gst::Element],
    is_on: &impl Fn() -> bool,
) -> Result<(), gst::glib::BoolError> {
    for element in chain {
        bin.add(element)?;
        if !is_on() {
            return Err(gst::glib::bool_error!("the run has ended meanwhile"));
        }
    }
    Ok(())
}

/// Links the elements of an output, one behind the other. The pad at their end.
fn join(
    bin: &gst::Bin,
    kind: Kind,
    name: &str,
    chain: &[gst::Element],
) -> Result<gst::GhostPad, gst::glib::BoolError> {
    gst::Element::link_many(chain)?;
    for element in chain.iter().rev() {
        element.sync_state_with_parent()?;
    }
    let last = chain.last().and_then(|element| element.static_pad("src"));
    let template = bin.pad_template(&format!("{}_%u", kind.name()));
    let (Some(last), Some(template)) = (last, template) else {
        return Err(gst::glib::bool_error!("no source pad for output {name}"));
    };
    let ghost = gst::GhostPad::builder_from_template_with_target(&template, &last)?;
    let guarded = chain.last().is_some_and(|last| last.is::<Slate>());
    let ghost = match guarded {
        true => refusal::guard(ghost, name, bin.downcast_ref::<FailoverSrc>()),
        false => ghost,
    };
    let ghost = ghost.name(name).build();
    let _ = ghost.set_active(true);
    Ok(ghost)
}

fn take_out(bin: &gst::Bin, chain: &[gst::Element]) {
    for element in chain {
        let _ = element.set_state(gst::State::Null);
        // A stop may have taken it out already.
        if element.parent().as_ref() == Some(bin.upcast_ref()) {
            let _ = bin.remove(element);
        }
    }
}

/// Sinks wait for the latency, and what they wait with stands in the queues.
pub(super) fn longest(latency: u64) -> u64 {
    QUEUE_TIME.saturating_add(latency)
}

pub(super) fn mode(fill: Fill) -> slate::Mode {
    match fill {
        Fill::Black => slate::Mode::Black,
        Fill::Hold => slate::Mode::Hold,
        Fill::None => slate::Mode::None,
    }
}

/// How the pad of an output is called.
pub(super) fn pad_name(kind: Kind, number: usize) -> String {
    format!("{kind}_{number}")
}

/// Leads the switch's output for a stream into its chain; the pad exists once the first input asked
/// for the stream.
pub(super) fn link_switch(
    bin: &gst::Bin,
    switch: &FailoverSwitch,
    stream: StreamId,
    kind: Kind,
    number: usize,
) -> Result<(), gst::glib::BoolError> {
    let name = match stream.0 {
        0 => "src".to_owned(),
        further => format!("src_{further}"),
    };
    let queue = bin.by_name(&format!("{}-queue", pad_name(kind, number)));
    let sink = queue.and_then(|queue| queue.static_pad("sink"));
    let src = switch.static_pad(&name);
    if let (Some(src), Some(sink)) = (src, sink)
        && !src.is_linked()
    {
        src.link(&sink)
            .map_err(|error| gst::glib::bool_error!("cannot link {name}: {error}"))?;
    }
    Ok(())
}
