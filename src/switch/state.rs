// SPDX-License-Identifier: MPL-2.0
//! What `failoverswitch` knows, under its one lock, and how a buffer becomes a piece of a standby.
//! Nothing here calls out: what is to be said and sent is handed back to the caller.

use super::SwitchEvent;
use super::ageing::Ageing;
use super::beginning::Beginning;
use super::cadence::Cadence;
use super::delays::signed;
use super::format::{Format, Frame};
use super::lateness::{Allowance, Habit, Reader};
use super::outlet::Output;
use super::pace::{Pace, Said, Times};
use super::pad::FailoverSwitchPad;
use super::past::Past;
use super::report::Report;
use super::rest::Rest;
use super::standby::{Bounds, Coding, Rhythm, Standby};
use super::timeline::{TimeBase, Timeline};
use crate::policy::{Cause, Config, InputId, Moment, Observation, Policy, Span, StreamId};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// How long a new input that is ready waits for a living one to come up to it.
pub(super) const PATIENCE: Span = Span::from_millis(150);

/// What a raw standby keeps beyond the latency: pictures that just came are good for a cut.
pub(super) const JUST_NOW: i64 = 60_000_000;

pub(super) type Segment = gst::FormattedSegment<gst::ClockTime>;

pub(super) struct State {
    pub(super) policy: Policy,
    pub(super) next_wake: Option<Moment>,
    pub(super) inputs: BTreeMap<InputId, Input>,
    pub(super) outputs: BTreeMap<StreamId, Output>,
    /// Whose buffers are sent.
    pub(super) on_air: Option<InputId>,
    /// What was on air and is gone, until something else is.
    pub(super) removed: Option<InputId>,
    /// Decided, not yet made.
    pub(super) pending: Option<Pending>,
    pub(super) latency: gst::ClockTime,
    /// Of what one stream keeps, or holds.
    pub(super) bounds: Bounds,
    /// A decoder follows every output.
    pub(super) unseen: bool,
    /// Nothing is sent: PAUSED, for an owner that is live.
    pub(super) halted: bool,
    /// The pipeline that this is in.
    pub(super) pipeline: gst::glib::WeakRef<gst::Element>,
    pub(super) switches: u64,
    pub(super) last_report: Option<Report>,
    /// Decided and not told yet.
    pub(super) news: VecDeque<SwitchEvent>,
    /// A thread is telling it.
    pub(super) telling: bool,
    pub(super) group: gst::GroupId,
}

pub(super) struct Input {
    pub(super) standby: crate::policy::Standby,
    pub(super) timeline: Timeline,
    pub(super) sinks: BTreeMap<StreamId, Sink>,
    /// Counts its attempts: what waits of one is no part of the next.
    pub(super) attempt: u64,
    /// A stream of it has ended, and the others go on: when that is taken to be so.
    pub(super) goes_on_at: Option<Moment>,
    /// Since when its present source has brought something.
    pub(super) fed_since: Option<Moment>,
    pub(super) rest: Rest,
    pub(super) reader: Reader,
    /// What the latency adds for it.
    pub(super) allowance: Allowance,
    /// Its source may begin with what an attempt before has brought.
    pub(super) may_repeat: bool,
    /// It has had no end at some time: what it plays again is no programme of its own.
    pub(super) was_endless: bool,
}

pub(super) struct Sink {
    pub(super) pad: FailoverSwitchPad,
    pub(super) segment: Option<Segment>,
    /// What comes now is; what is kept may be older.
    pub(super) format: Arc<Format>,
    pub(super) standby: Standby<Frame>,
    pub(super) rhythm: Rhythm,
    pub(super) ageing: Ageing,
    pub(super) pace: Pace,
    pub(super) habit: Habit,
    pub(super) past: Past,
    pub(super) cadence: Cadence,
    /// The newest buffer that came.
    pub(super) stamp: Option<Moment>,
    /// The policy is told of the next buffer at once, not at its next wake-up.
    pub(super) announce: bool,
    /// Its source is late, says so, and makes it up.
    pub(super) lags: bool,
    /// Whether what comes can be decoded.
    pub(super) beginning: Beginning,
    /// On air and past its first buffer.
    pub(super) open: bool,
    /// On air and not open: a key frame has come, and could not be sent.
    pub(super) refused_key: bool,
    /// On air, but nothing before this (output time) is sent.
    pub(super) floor: i64,
    /// On air, and what lies before the cut is sent for the decoder's sake.
    pub(super) catch_up: bool,
    pub(super) eos: bool,
    /// And its source has one by its nature.
    pub(super) has_end: bool,
    /// Its source has it no more.
    pub(super) gone: bool,
    /// How many sources have been unlinked from it.
    pub(super) sources: u64,
    pub(super) upstream: Option<Upstream>,
    pub(super) buffers: u64,
}

/// What a LATENCY query answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Upstream {
    pub(super) live: bool,
    pub(super) min: gst::ClockTime,
    pub(super) max: Option<gst::ClockTime>,
}

impl Upstream {
    /// Asks what feeds a pad; to be called with no lock held.
    pub(super) fn ask(pad: &FailoverSwitchPad) -> Option<Self> {
        let mut query = gst::query::Latency::new();
        pad.peer_query(&mut query).then(|| {
            let (live, min, max) = query.result();
            Self { live, min, max }
        })
    }
}

/// A switch that was decided and waits for its cut.
pub(super) struct Pending {
    pub(super) to: InputId,
    pub(super) cause: Cause,
    pub(super) detection: Span,
    pub(super) since: Moment,
    /// Nothing of the old input is sent any more that ends later than this (output time).
    pub(super) gate: Option<i64>,
    /// Since when the new input has had a place to begin.
    pub(super) ready_since: Option<Moment>,
    /// Key frames that came and did not fit.
    pub(super) missed: u32,
    /// The old input has failed, and what it brings is of another attempt: no part of the programme.
    pub(super) left: bool,
    /// The old input has waited in vain for the new one's key frame.
    pub(super) impatient: bool,
    /// Pieces that are sent only for the decoder's sake.
    pub(super) unseen: u32,
    pub(super) asked_at: Moment,
}

impl State {
    pub(super) fn new(config: Config) -> Self {
        Self {
            policy: Policy::new(config, Moment::ZERO),
            next_wake: None,
            inputs: BTreeMap::new(),
            outputs: BTreeMap::new(),
            on_air: None,
            removed: None,
            pending: None,
            latency: gst::ClockTime::ZERO,
            bounds: Bounds::default(),
            unseen: false,
            halted: false,
            pipeline: gst::glib::WeakRef::new(),
            switches: 0,
            last_report: None,
            news: VecDeque::new(),
            telling: false,
            group: gst::GroupId::next(),
        }
    }

    /// As new, for another run: pads and priorities stay, nothing of what was seen does.
    pub(super) fn renew(&mut self, config: Config) {
        self.policy = Policy::new(config, Moment::ZERO);
        self.next_wake = None;
        self.on_air = None;
        self.removed = None;
        self.pending = None;
        self.halted = false;
        self.switches = 0;
        self.last_report = None;
        self.group = gst::GroupId::next();
        for output in self.outputs.values_mut() {
            output.reset();
        }
        for (id, input) in &mut self.inputs {
            input.restart();
            input.allowance = Allowance::default();
            input.reader = Reader::default();
            input.timeline.freeze(false);
            input.was_endless = false;
            for sink in input.sinks.values_mut() {
                sink.past = Past::default();
                sink.pad.imp().on_air.store(false, Relaxed);
                sink.pad.imp().freed.store(0, Relaxed);
            }
            let first = input.sinks.values().next();
            let priority = first.map(|sink| sink.pad.imp().priority.load(Relaxed));
            self.policy.observe(
                Moment::ZERO,
                Observation::InputAdded {
                    input: *id,
                    priority: priority.unwrap_or(id.0),
                    standby: input.standby,
                },
            );
            for stream in input.sinks.keys() {
                let (input, stream) = (*id, *stream);
                self.policy
                    .observe(Moment::ZERO, Observation::StreamAdded { input, stream });
            }
        }
    }

    /// Whether the input has no pad left and is gone with this one.
    pub(super) fn remove_sink(&mut self, input: InputId, stream: StreamId, forget: bool) -> bool {
        let Some(streams) = self.inputs.get_mut(&input) else {
            return false;
        };
        streams.sinks.remove(&stream);
        let gone = forget && streams.sinks.is_empty();
        if gone {
            self.inputs.remove(&input);
            if self.is_on_air(input) {
                self.removed = self.on_air.take();
            }
            if self.pending.as_ref().is_some_and(|p| p.to == input) {
                self.give_up_cut();
            }
        }
        gone
    }

    pub(super) fn sink(&self, input: InputId, stream: StreamId) -> Option<&Sink> {
        self.inputs.get(&input)?.sinks.get(&stream)
    }

    pub(super) fn sink_mut(&mut self, input: InputId, stream: StreamId) -> Option<&mut Sink> {
        self.inputs.get_mut(&input)?.sinks.get_mut(&stream)
    }

    pub(super) fn is_on_air(&self, input: InputId) -> bool {
        self.on_air == Some(input)
    }

    /// The pipeline is on its way to PAUSED, which it reaches when every sink has something to begin with. It is
    /// in PAUSED before a sink lets anything pass.
    pub(super) fn is_prerolling(&self) -> bool {
        let pipeline = self.pipeline.upgrade();
        pipeline.is_some_and(|pipeline| pipeline.current_state() < gst::State::Paused)
    }

    /// On air, and not about to be left for a failure that is over by now.
    pub(super) fn is_sent(&self, input: InputId) -> bool {
        self.is_on_air(input) && !self.pending.as_ref().is_some_and(|p| p.left)
    }

    /// What the input on air brings from now on is of another attempt: where it is about to be left, it is not
    /// gone back to for that.
    pub(super) fn leave(&mut self) {
        if let Some(pending) = &mut self.pending {
            pending.left = true;
        }
    }

    /// No cut is to be made any more: what is on air stays there, perhaps with another attempt, whose caps were not
    /// sent so far.
    pub(super) fn give_up_cut(&mut self) {
        if !self.pending.take().is_some_and(|pending| pending.left) {
            return;
        }
        for output in self.outputs.values_mut() {
            output.sticky_due = true;
            output.discont = true;
        }
    }

    /// The stream of an input that decides where a cut falls: its video, if it is encoded and flows.
    pub(super) fn gate_of(&self, input: InputId) -> Option<StreamId> {
        let sinks = &self.inputs.get(&input)?.sinks;
        sinks
            .iter()
            .find(|(_, sink)| sink.format.coding == Coding::Delta && sink.is_fed())
            .map(|(stream, _)| *stream)
    }

    /// Latency in total: the most that an input declares and takes by habit, and our own on top. One pass: every
    /// buffer of a standby asks.
    pub(super) fn reported_latency(&self) -> (gst::ClockTime, Option<gst::ClockTime>) {
        self.total_latency(|input| input.allowance.nanos())
    }

    /// Without what was learned of the inputs: what is in step leaves no later for that.
    pub(super) fn promised_latency(&self) -> gst::ClockTime {
        self.total_latency(|_| 0).0
    }

    fn total_latency(
        &self,
        learned: impl Fn(&Input) -> u64,
    ) -> (gst::ClockTime, Option<gst::ClockTime>) {
        let (mut min, mut max) = (gst::ClockTime::ZERO, None::<gst::ClockTime>);
        for input in self.inputs.values() {
            let answers = input.sinks.values().filter_map(|sink| sink.upstream);
            let mut declared = gst::ClockTime::ZERO;
            for upstream in answers.filter(|upstream| upstream.live) {
                declared = declared.max(upstream.min);
                max = max.into_iter().chain(upstream.max).min();
            }
            let late = gst::ClockTime::from_nseconds(learned(input));
            min = min.max(declared.saturating_add(late));
        }
        let min = min.saturating_add(self.latency);
        // An input that can hold back little cannot be asked for more, but what we add is held
        // downstream: the answer is never one that no sink could satisfy.
        (min, max.map(|max| max.max(min)))
    }
}

impl Default for Input {
    fn default() -> Self {
        Self {
            standby: crate::policy::Standby::Hot,
            timeline: Timeline::new(TimeBase::Guess),
            sinks: BTreeMap::new(),
            attempt: 0,
            goes_on_at: None,
            fed_since: None,
            rest: Rest::default(),
            reader: Reader::default(),
            allowance: Allowance::default(),
            may_repeat: false,
            was_endless: false,
        }
    }
}

impl Input {
    /// Another source will feed this input: nothing of the old one's time or pictures holds.
    pub(super) fn restart(&mut self) {
        self.wake_waiters();
        self.attempt += 1;
        self.timeline.reset();
        self.goes_on_at = None;
        self.fed_since = None;
        self.rest.reset();
        self.allowance.restart();
        for sink in self.sinks.values_mut() {
            sink.renew();
            sink.past.begin();
            sink.lags = false;
            sink.eos = false;
            sink.stamp = None;
        }
    }

    /// Counts the sources that have fed a stream.
    pub(super) fn attempt_of(&self, stream: StreamId) -> u64 {
        let sources = self.sinks.get(&stream).map_or(0, |sink| sink.sources);
        self.attempt.wrapping_add(sources)
    }

    /// What is kept of a stream, or of all, is of another time base than what comes now.
    pub(super) fn forget_kept(&mut self, of: Option<StreamId>) {
        let sinks = self.sinks.iter_mut();
        for (_, sink) in sinks.filter(|(stream, _)| of.is_none_or(|of| of == **stream)) {
            sink.standby.clear();
        }
    }

    /// From when on (input time) a stream keeps what it brings, where the window begins at `from`: sound
    /// as far back as the pictures that it belongs to.
    pub(super) fn keeps_from(&self, stream: StreamId, from: i64, on_air: bool) -> i64 {
        let coding = self.sinks.get(&stream).map(|sink| sink.format.coding);
        if coding != Some(Coding::Independent) {
            return from;
        }
        if on_air {
            // The pictures may have begun already, and are kept no more.
            return i64::MIN;
        }
        let pictures = self
            .sinks
            .values()
            .filter(|s| s.format.coding == Coding::Delta);
        let begin = pictures.filter_map(|sink| sink.standby.pieces().next());
        begin.map(|piece| piece.start).fold(from, i64::min)
    }

    pub(super) fn is_eos(&self) -> bool {
        let mut fed = self
            .sinks
            .values()
            .filter(|sink| sink.is_known())
            .peekable();
        fed.peek().is_some() && fed.all(|sink| sink.eos)
    }

    pub(super) fn has_ended_streams(&self) -> bool {
        self.sinks.values().any(|sink| sink.eos)
    }

    pub(super) fn lags(&self) -> bool {
        self.sinks.values().any(|sink| sink.lags)
    }

    /// Lets no wait of its pads go on without a look at what has changed.
    pub(super) fn wake_waiters(&self) {
        for sink in self.sinks.values() {
            sink.pad.imp().wait.cancel();
        }
    }
}

impl Sink {
    pub(super) fn new(pad: FailoverSwitchPad) -> Self {
        Self {
            pad,
            segment: None,
            format: Arc::default(),
            standby: Standby::default(),
            rhythm: Rhythm::default(),
            ageing: Ageing::default(),
            pace: Pace::default(),
            habit: Habit::default(),
            past: Past::default(),
            cadence: Cadence::default(),
            stamp: None,
            announce: true,
            lags: false,
            beginning: Beginning::default(),
            open: false,
            refused_key: false,
            floor: i64::MIN,
            catch_up: false,
            eos: false,
            has_end: false,
            gone: false,
            sources: 0,
            upstream: None,
            buffers: 0,
        }
    }

    /// What comes from now on is of this format. Behind frames of another codec a stream begins again with a key frame.
    pub(super) fn set_format(&mut self, format: Format) {
        if format.coding != self.format.coding {
            self.standby.clear();
        }
        if format.is_other_codec(&self.format) {
            self.beginning = Beginning::Awaited;
            self.ageing = Ageing::default();
        }
        self.format = Arc::new(format);
    }

    /// A buffer that has just come, and what it is.
    pub(super) fn frame(&self, buffer: gst::Buffer) -> Frame {
        let format = self.format.clone();
        Frame { buffer, format }
    }

    /// What comes now is of another source, or behind a flush: nothing of the stream so far holds.
    pub(super) fn renew(&mut self) {
        self.standby.clear();
        self.rhythm = Rhythm::default();
        self.ageing = Ageing::default();
        self.habit = Habit::default();
        self.cadence.begin();
        self.pace = Pace::default();
        self.beginning = Beginning::Awaited;
        self.open = false;
        self.refused_key = false;
        self.announce = true;
    }

    /// Encoded video begins with its first key frame: what comes before it is of no use, and the
    /// silence until then is no stall.
    pub(super) fn begins_with(&mut self, buffer: &gst::BufferRef) -> bool {
        let flags = buffer.flags();
        let refers = flags.contains(gst::BufferFlags::DELTA_UNIT);
        let key = !refers || self.format.coding != Coding::Delta;
        self.beginning
            .with(key, flags.contains(gst::BufferFlags::DISCONT))
    }

    pub(super) fn is_fed(&self) -> bool {
        self.stamp.is_some() && !self.eos
    }

    pub(super) fn is_known(&self) -> bool {
        self.stamp.is_some() || self.eos
    }

    /// Times of a buffer in running time, and whether it has any itself; else they are those of `present`, its input's time
    /// now, and it lasts as long as those before. Asked once of each.
    pub(super) fn times(
        &mut self,
        buffer: &gst::BufferRef,
        now: Moment,
        present: impl Fn() -> i64,
        live: bool,
        longest: u64,
    ) -> (Times, bool) {
        let running = |ts: Option<gst::ClockTime>| {
            let ts = ts?;
            match &self.segment {
                Some(segment) => match segment.to_running_time_full(ts)? {
                    gst::Signed::Positive(time) => Some(signed(time.nseconds())),
                    gst::Signed::Negative(time) => Some(-signed(time.nseconds())),
                },
                None => Some(signed(ts.nseconds())),
            }
        };
        let (pts, dts) = (running(buffer.pts()), running(buffer.dts()));
        let said = Said {
            order: dts.or(pts).unwrap_or_else(&present),
            start: pts.or(dts).unwrap_or_else(&present),
            duration: buffer.duration().map(gst::ClockTime::nseconds),
            samples: self
                .format
                .samples
                .map(|samples| samples.last(buffer.size())),
        };
        let is_timed = pts.is_some() || dts.is_some();
        let now = signed(now.nanos());
        (self.pace.believe(said, now, live, longest), is_timed)
    }
}
