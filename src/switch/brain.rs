// SPDX-License-Identifier: MPL-2.0
//! Where the policy meets the pads: it is told what was seen, its actions are carried out, its next
//! wake-up is armed, and what happened is told to the world once no lock is held.

use super::cutting::Plan;
use super::imp::FailoverSwitch;
use super::pad::FailoverSwitchPad;
use super::report::{self, Report, number};
use super::standby::Coding;
use super::state::{Pending, Sink, State};
use super::{CAT, Silence, SwitchEvent};
use crate::policy::{
    Action, Cause, Health, HealthKind, InputId, Moment, Observation, Policy, Span, StreamId,
};
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;

/// What is to be said after the lock is gone.
#[derive(Default)]
pub(super) struct Outbox {
    /// For so long nobody looked.
    pub(super) stood_still: Option<Span>,
    /// There is something to tell.
    pub(super) news: bool,
    pub(super) health: Vec<FailoverSwitchPad>,
    pub(super) key_frames: Vec<FailoverSwitchPad>,
    pub(super) latency_changed: bool,
    /// A stream pauses for longer than the timeout.
    pub(super) rhythm: Option<(FailoverSwitchPad, Span)>,
    /// Streams that nobody has any more.
    pub(super) over: Vec<StreamId>,
    /// The policy was asked: its next wake-up may have moved.
    pub(super) consulted: bool,
}

impl FailoverSwitch {
    /// Tells the policy something and does what it says.
    pub(super) fn consult(&self, tell: impl FnOnce(&mut Policy, Moment)) {
        let mut outbox = Outbox::default();
        {
            let mut state = self.state();
            let now = self.time.now();
            state.consult(now, &mut outbox, |policy| tell(policy, now));
        }
        self.say(outbox);
    }

    /// The wake-up: runs in the clock's thread, so it only decides and tells.
    fn ring(&self) {
        self.look_downstream();
        self.consult(|policy, now| policy.wake(now));
    }

    /// Arms the one wake-up for when the policy next wants to look.
    pub(super) fn arm(&self) {
        let next = self.state().next_wake;
        if let Some(at) = next {
            let weak = self.obj().downgrade();
            self.alarm.set(&self.time, at, move || {
                if let Some(switch) = weak.upgrade() {
                    switch.imp().ring();
                }
            });
        }
    }

    /// With no lock held.
    pub(super) fn say(&self, outbox: Outbox) {
        if outbox.consulted {
            self.arm();
        }
        if let Some(span) = outbox.stood_still {
            gst::info!(
                CAT,
                imp = self,
                "all stood still for {span}: no input's silence"
            );
        }
        if let Some((pad, pause)) = outbox.rhythm {
            gst::warning!(
                CAT,
                obj = pad,
                "buffers come every {pause} by nature, and the timeout is no longer: silent after three times as long"
            );
        }
        for pad in outbox.key_frames {
            self.ask_key_frame(&pad);
        }
        for pad in outbox.health {
            pad.notify_is_healthy();
        }
        if outbox.news {
            self.tell_all();
        }
        for stream in outbox.over {
            self.send_eos_behind(|one| one == stream);
        }
        if outbox.latency_changed {
            let obj = self.obj();
            let (min, _) = self.state().reported_latency();
            gst::info!(CAT, imp = self, "the latency is {min} from now on");
            let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
        }
    }

    fn ask_key_frame(&self, pad: &FailoverSwitchPad) {
        gst::debug!(CAT, obj = pad, "asking for a key frame");
        // Standard form of GstForceKeyUnit, as gst_video_event_new_upstream_force_key_unit makes it.
        let event = gst_video::UpstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build();
        pad.push_event(event);
    }

    /// In the order in which it was decided: threads that have left the lock one after the other would not keep
    /// it. So one of them tells what there is, and what the others bring meanwhile.
    fn tell_all(&self) {
        if std::mem::replace(&mut self.state().telling, true) {
            return;
        }
        loop {
            let event = {
                let mut state = self.state();
                let event = state.news.pop_front();
                state.telling = event.is_some();
                event
            };
            let Some(event) = event else {
                return;
            };
            self.tell(event);
        }
    }

    fn tell(&self, event: SwitchEvent) {
        match &event {
            SwitchEvent::Health {
                input,
                old,
                new,
                cause,
                silence,
                missing,
            } => {
                let cause_name = cause.map_or("none", |cause| cause.as_str());
                let mut evidence = silence.map_or_else(String::new, |silence| silence.to_string());
                let names = self.names_of(missing);
                if !names.is_empty() {
                    evidence += &format!(": without {}", names.join(", "));
                }
                gst::info!(
                    CAT,
                    imp = self,
                    "input {}: {} -> {} ({cause_name}{evidence})",
                    input.0,
                    old.as_str(),
                    new.as_str()
                );
                self.post(report::input_state(*input, [*old, *new], *cause, names));
            }
            SwitchEvent::EverythingDown => {
                gst::warning!(CAT, imp = self, "every input is down");
            }
            SwitchEvent::SomethingUp => gst::info!(CAT, imp = self, "an input is back"),
            SwitchEvent::Pauses
            | SwitchEvent::Start(_)
            | SwitchEvent::Stop(_)
            | SwitchEvent::Ended(_)
            | SwitchEvent::StreamEnded { .. } => (),
            SwitchEvent::Switched(report) => self.tell_switched(report),
        }
        self.listen(event);
    }

    /// Streams by the pads that they leave through.
    fn names_of(&self, streams: &[StreamId]) -> Vec<String> {
        let state = self.state();
        let outputs = streams.iter().filter_map(|id| state.outputs.get(id));
        outputs.map(|output| output.pad.name().into()).collect()
    }

    fn tell_switched(&self, report: &Report) {
        gst::info!(
            CAT,
            imp = self,
            "on air: {} -> {} because of {}; found after {}, gap {}, key frame after {}",
            report.from.map_or(-1, number),
            number(report.to),
            report.cause.as_str(),
            crate::clock::clock_time(report.detection),
            crate::clock::clock_time(report.gap),
            crate::clock::clock_time(report.key_frame_wait),
        );
        self.obj().notify("active-pad");
        self.post(report.to_structure("failover-switched"));
    }

    fn post(&self, structure: gst::Structure) {
        if self.is_owned() {
            // The owner tells the world.
            return;
        }
        let obj = self.obj();
        let message = gst::message::Element::builder(structure).src(&*obj);
        let _ = obj.post_message(message.build());
    }

    pub(super) fn listen(&self, event: SwitchEvent) {
        let listener = self.listener();
        if let Some(listener) = listener {
            listener(event);
        }
    }
}

impl State {
    pub(super) fn consult(
        &mut self,
        now: Moment,
        outbox: &mut Outbox,
        tell: impl FnOnce(&mut Policy),
    ) {
        outbox.stood_still = self.forgive_stand_still(now);
        self.report_stamps(now);
        tell(&mut self.policy);
        outbox.consulted = true;
        while let Some(action) = self.policy.next_action() {
            self.carry_out(action, now, outbox);
        }
        self.note_streams_over(now, outbox);
        let over = self.inputs.values().filter_map(|input| input.goes_on_at);
        self.next_wake = over.chain(self.policy.next_wake()).min();
    }

    /// The hot path only leaves stamps; before it decides, the policy gets them all.
    fn report_stamps(&mut self, now: Moment) {
        for (input, streams) in &mut self.inputs {
            // A push that does not return is downstream's fault, and it holds up every stream that
            // the same thread feeds.
            let stuck = streams.sinks.values().fold(false, |stuck, sink| {
                sink.pad.imp().pushes.is_stuck() | stuck
            });
            for (stream, sink) in &mut streams.sinks {
                if stuck && sink.stamp.is_some() {
                    sink.stamp = Some(now);
                }
                if let (Some(at), false) = (sink.stamp, sink.eos) {
                    let (input, stream) = (*input, *stream);
                    let arrived = Observation::Arrived { input, stream, at };
                    self.policy.observe(now, arrived);
                }
            }
        }
    }

    fn carry_out(&mut self, action: Action, now: Moment, outbox: &mut Outbox) {
        match action {
            Action::Switch {
                to,
                cause,
                detection,
                ..
            } => {
                if self.is_on_air(to) {
                    // Back before the cut was made.
                    self.give_up_cut();
                    self.policy.observe(now, Observation::Cut { input: to });
                    return;
                }
                let gate = self.gate_of(to);
                outbox.ask_key_frame(gate.and_then(|stream| self.sink(to, stream)));
                let left = self.pending.take().is_some_and(|pending| pending.left);
                self.pending = Some(Pending {
                    to,
                    cause,
                    detection,
                    since: now,
                    left,
                    gate: None,
                    ready_since: None,
                    missed: 0,
                    impatient: false,
                    unseen: 0,
                    asked_at: now,
                });
                if cause == Cause::Manual && gate.is_none() {
                    // Nothing to wait for: the next buffer is the new input's.
                    self.make_cut(Plan::new(to, StreamId(0), true), now, outbox);
                }
                if let Some(input) = self.inputs.get(&to) {
                    input.wake_waiters();
                }
            }
            Action::HealthChanged {
                input,
                old,
                new,
                cause,
            } => {
                let is_silent = cause == Some(Cause::Stall) || new == HealthKind::Incomplete;
                let silence = is_silent.then(|| self.silence_of(input, now)).flatten();
                self.health_changed(input, [old, new], cause, silence, outbox);
            }
            Action::PausesChanged { .. } => self.note(SwitchEvent::Pauses, outbox),
            Action::EverythingDown => self.note(SwitchEvent::EverythingDown, outbox),
            Action::SomethingUp => self.note(SwitchEvent::SomethingUp, outbox),
            Action::Start { input } => self.note(SwitchEvent::Start(input), outbox),
            Action::Stop { input } => self.note(SwitchEvent::Stop(input), outbox),
        }
    }

    fn health_changed(
        &mut self,
        input: InputId,
        [old, new]: [HealthKind; 2],
        cause: Option<Cause>,
        silence: Option<Silence>,
        outbox: &mut Outbox,
    ) {
        let missing: Vec<_> = self.policy.lacking(input).collect();
        if let Some(streams) = self.inputs.get_mut(&input) {
            for (stream, sink) in &mut streams.sinks {
                // What an incomplete input does bring needs no look at each buffer.
                let is_silent = match new {
                    HealthKind::Flowing => false,
                    HealthKind::Incomplete => missing.contains(stream),
                    _ => true,
                };
                sink.announce |= is_silent;
                if is_silent && new != HealthKind::Suspect {
                    sink.beginning.doubt();
                }
                let healthy = new.is_healthy();
                if sink.pad.imp().healthy.swap(healthy, Relaxed) != healthy {
                    outbox.health.push(sink.pad.clone());
                }
            }
        }
        if new == HealthKind::Suspect && self.is_on_air(input) {
            self.warm_standbys(input, outbox);
        }
        // To be suspect is our own worry: outside it reads as flowing.
        let plain = |kind| match kind {
            HealthKind::Suspect => HealthKind::Flowing,
            other => other,
        };
        let (old, new) = (plain(old), plain(new));
        if old != new {
            let event = SwitchEvent::Health {
                input,
                old,
                new,
                cause,
                silence,
                missing,
            };
            self.note(event, outbox);
        }
    }

    /// To be told once no lock is held.
    pub(super) fn note(&mut self, event: SwitchEvent, outbox: &mut Outbox) {
        self.news.push_back(event);
        outbox.news = true;
    }

    fn silence_of(&self, input: InputId, now: Moment) -> Option<Silence> {
        let (stream, last) = self.policy.longest_silent(input)?;
        let mut lacking = self.policy.lacking(input);
        lacking.find(|one| *one == stream)?;
        let lasts = now - last;
        Some(Silence { stream, lasts })
    }

    /// The input on air may be dying: what could take over should have a fresh key frame by then.
    fn warm_standbys(&self, on_air: InputId, outbox: &mut Outbox) {
        for input in self.inputs.keys().filter(|input| **input != on_air) {
            let healthy = self
                .policy
                .health(*input)
                .is_some_and(|h: Health| h.is_healthy());
            let gate = self.gate_of(*input).filter(|_| healthy);
            outbox.ask_key_frame(gate.and_then(|stream| self.sink(*input, stream)));
        }
    }
}

impl Outbox {
    pub(super) fn ask_key_frame(&mut self, sink: Option<&Sink>) {
        if let Some(sink) = sink.filter(|sink| sink.format.coding == Coding::Delta) {
            self.key_frames.push(sink.pad.clone());
        }
    }
}

/// Told of all that happens, with no lock held.
pub(crate) type Listener = std::sync::Arc<dyn Fn(SwitchEvent) + Send + Sync>;
