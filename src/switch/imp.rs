// SPDX-License-Identifier: MPL-2.0
//! The GObject shell of `failoverswitch`: properties, pads, states. What they mean stands elsewhere.

use super::CAT;
use super::SwitchBack;
use super::brain::Listener;
use super::pad::FailoverSwitchPad;
use super::settings::{DEFAULT_RECOVERY, DEFAULT_TIMEOUT, Settings};
use super::standby::Bounds;
use super::state::State;
use crate::clock::{Alarm, RunningTime};
use crate::message::hold_parents;
use crate::policy::{InputId, Observation, StreamId};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

#[derive(glib::Properties)]
#[properties(wrapper_type = super::FailoverSwitch)]
pub struct FailoverSwitch {
    #[property(name = "timeout", nick = "Timeout", type = u64, member = timeout,
        get, set = Self::set_timeout, maximum = u64::MAX - 1, default = DEFAULT_TIMEOUT,
        blurb = "A stream of the active input without a buffer for this long is lacking: the input is left for one that has it (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "startup-timeout", nick = "Startup Timeout", type = u64, member = startup_timeout,
        get, set = Self::set_startup_timeout, default = u64::MAX,
        blurb = "Time for an input to deliver its first buffer before the next is tried, -1 = as timeout (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "video-timeout", nick = "Video Timeout", type = u64, member = video_timeout,
        get, set = Self::set_video_timeout,
        blurb = "The timeout of video alone, 0 = as timeout, -1 = video may pause for ever (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "audio-timeout", nick = "Audio Timeout", type = u64, member = audio_timeout,
        get, set = Self::set_audio_timeout,
        blurb = "The timeout of audio alone, 0 = as timeout, -1 = audio may pause for ever (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "recovery-time", nick = "Recovery Time", type = u64, member = recovery_time,
        get, set = Self::set_recovery_time, maximum = u64::MAX - 1, default = DEFAULT_RECOVERY,
        blurb = "How long a preferred input must be healthy to be switched back to, 0 = its first buffer is enough (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "switch-back", nick = "Switch Back", type = SwitchBack, member = switch_back,
        get, set = Self::set_switch_back,
        blurb = "When to go back to a preferred input that is well again",
        builder(SwitchBack::default()).mutable_playing())]
    #[property(name = "auto-switch", nick = "Auto Switch", type = bool, member = auto_switch,
        get, set = Self::set_auto_switch, default = true,
        blurb = "Switch by itself; otherwise active-pad decides alone", builder().mutable_playing())]
    #[property(name = "immediate-fallback", nick = "Immediate Fallback", type = bool, member = immediate_fallback,
        get, set = Self::set_immediate_fallback,
        blurb = "At the start, the first input with a buffer goes on air; otherwise the preferred one is waited for",
        builder().mutable_playing())]
    #[property(name = "stop-on-eos", nick = "Stop On EOS", type = bool, member = stop_on_eos, get, set,
        blurb = "The end of the input on air ends the output, even where another could take over",
        builder().mutable_playing())]
    pub(super) settings: Mutex<Settings>,
    state: Mutex<State>,
    pub(super) time: RunningTime,
    pub(super) alarm: Alarm,
    listener: Mutex<Option<Listener>>,
    #[property(name = "latency", nick = "Latency", type = u64, get = Self::latency, set = Self::set_latency,
        maximum = u64::MAX - 1,
        blurb = "Latency reported on top of the inputs' own; sinks wait for it, and what they wait with is held here (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "standby-max-time", nick = "Standby Max Time", type = u64,
        get = Self::standby_max_time, set = Self::set_standby_max_time, maximum = u64::MAX - 1, default = Bounds::TIME,
        blurb = "The most that a stream of an input keeps for a cut, but no less than the latency: a longer group of pictures is dropped whole (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "standby-max-bytes", nick = "Standby Max Bytes", type = u64,
        get = Self::standby_max_bytes, set = Self::set_standby_max_bytes, default = Bounds::BYTES,
        blurb = "The most that a stream of an input keeps for a cut, and an output holds for the latency (in bytes)",
        builder().mutable_playing())]
    #[property(name = "active-pad", nick = "Active Pad", type = Option<gst::Pad>,
        get = Self::active_pad, set = Self::set_active_pad,
        blurb = "The sink pad whose input is on air; can be set when auto-switch is off",
        builder().mutable_playing())]
    _virtual: (),
}

impl Default for FailoverSwitch {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            state: Mutex::new(State::new(settings.config())),
            settings: Mutex::new(settings),
            time: RunningTime::default(),
            alarm: Alarm::default(),
            listener: Mutex::default(),
            _virtual: (),
        }
    }
}

impl FailoverSwitch {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn settings(&self) -> Settings {
        self.lock_settings().clone()
    }

    fn lock_settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever listens owns the switch: it says what ends the programme.
    pub(crate) fn set_listener(&self, listener: Option<Listener>) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = listener;
    }

    pub(super) fn listener(&self) -> Option<Listener> {
        self.listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn is_owned(&self) -> bool {
        self.listener().is_some()
    }

    fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let config = {
            let mut settings = self.lock_settings();
            change(&mut settings);
            settings.config()
        };
        self.consult(|policy, now| policy.observe(now, Observation::Configured(config)));
    }

    fn set_timeout(&self, value: u64) {
        self.configure(|settings| settings.timeout = value);
    }

    fn set_startup_timeout(&self, value: u64) {
        self.configure(|settings| settings.startup_timeout = value);
    }

    fn set_video_timeout(&self, value: u64) {
        self.configure(|settings| settings.video_timeout = value);
    }

    fn set_audio_timeout(&self, value: u64) {
        self.configure(|settings| settings.audio_timeout = value);
    }

    fn set_recovery_time(&self, value: u64) {
        self.configure(|settings| settings.recovery_time = value);
    }

    fn set_switch_back(&self, value: SwitchBack) {
        self.configure(|settings| settings.switch_back = value);
    }

    fn set_auto_switch(&self, value: bool) {
        self.configure(|settings| settings.auto_switch = value);
        if value {
            self.hold(None);
        }
    }

    fn set_immediate_fallback(&self, value: bool) {
        self.configure(|settings| settings.immediate_fallback = value);
    }

    fn latency(&self) -> u64 {
        self.state().latency.nseconds()
    }

    fn set_latency(&self, value: u64) {
        self.state().latency = gst::ClockTime::from_nseconds(value.min(u64::MAX - 1));
        self.open_outlets();
        self.look_at_outlets();
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
    }

    fn standby_max_time(&self) -> u64 {
        self.state().bounds.time
    }

    fn set_standby_max_time(&self, value: u64) {
        self.state().bounds.time = value;
    }

    fn standby_max_bytes(&self) -> u64 {
        self.state().bounds.bytes as u64
    }

    fn set_standby_max_bytes(&self, value: u64) {
        self.state().bounds.bytes = usize::try_from(value).unwrap_or(usize::MAX);
    }

    fn active_pad(&self) -> Option<gst::Pad> {
        let state = self.state();
        let input = state.inputs.get(&state.on_air?)?;
        input
            .sinks
            .values()
            .next()
            .map(|sink| sink.pad.clone().upcast())
    }

    fn set_active_pad(&self, pad: Option<gst::Pad>) {
        if self.settings().auto_switch {
            gst::warning!(
                CAT,
                imp = self,
                "active-pad is for auto-switch=false, ignored"
            );
            return;
        }
        let Some(pad) = pad else {
            self.hold(None);
            return;
        };
        let own = pad.parent().as_ref() == Some(self.obj().upcast_ref::<gst::Object>());
        let place = pad.downcast_ref::<FailoverSwitchPad>().filter(|_| own);
        match place.and_then(|pad| pad.imp().place.get()) {
            Some(place) => self.hold(Some(place.input)),
            None => gst::warning!(
                CAT,
                imp = self,
                "{} is no sink pad of this element, ignored",
                pad.name()
            ),
        }
    }

    fn stats(&self) -> gst::Structure {
        let now = self.time.now();
        self.state().stats(now)
    }

    /// The inputs of the next run, in their order; none is on air.
    pub(crate) fn set_inputs(&self, standbys: &[crate::policy::Standby]) {
        let config = self.lock_settings().config();
        let mut state = self.state();
        let inputs = || (0..).map(InputId).zip(standbys);
        state
            .inputs
            .retain(|id, _| inputs().any(|(known, _)| known == *id));
        for (id, standby) in inputs() {
            state.inputs.entry(id).or_default().standby = *standby;
        }
        state.renew(config);
    }

    fn start(&self) {
        let around = hold_parents(&*self.obj());
        let config = self.lock_settings().config();
        {
            let mut state = self.state();
            state.renew(config);
            if let Some(pipeline) = around.last().and_then(|o| o.downcast_ref::<gst::Element>()) {
                state.pipeline = pipeline.downgrade();
            }
        }
        self.time.reset();
        self.consult(|_, _| ());
    }

    fn start_time(&self) {
        let obj = self.obj();
        if let (Some(clock), Some(base)) = (obj.clock(), obj.base_time()) {
            self.time.start(clock, base);
            self.consult(|policy, now| policy.wake(now));
        }
    }

    fn stop_time(&self) {
        self.time.stop();
        self.alarm.clear();
        for input in self.state().inputs.values() {
            input.wake_waiters();
        }
    }

    fn set_closed(&self, closed: bool) {
        for input in self.state().inputs.values() {
            for sink in input.sinks.values() {
                // Between two runs the pads forget a flush as well.
                sink.pad.imp().flushing.store(false, Relaxed);
                sink.pad.imp().closed.store(closed, Relaxed);
            }
            input.wake_waiters();
        }
        self.time.nudge();
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FailoverSwitch {
    const NAME: &'static str = "GstFailoverSwitch";
    type Type = super::FailoverSwitch;
    type ParentType = gst::Element;
    type Interfaces = (gst::ChildProxy,);
}

impl ObjectImpl for FailoverSwitch {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Switches so far, the input on air, the last switch and every input with its state")
                .read_only()
                .build();
            let mut all = FailoverSwitch::derived_properties().to_vec();
            all.push(stats);
            all
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.derived_set_property(id, value, pspec);
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            _ => self.derived_property(id, pspec),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj()
            .set_element_flags(gst::ElementFlags::REQUIRE_CLOCK);
        // The always pad is there before the first input.
        self.output(StreamId(0));
    }
}

impl GstObjectImpl for FailoverSwitch {}

impl ElementImpl for FailoverSwitch {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Stream failover switch",
                "Generic",
                "Sends the most preferred healthy input, switches when it stalls or fails, and back",
                "The failoversrc developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let any = gst::Caps::new_any();
            let pad_type = FailoverSwitchPad::static_type();
            let request = |name| {
                gst::PadTemplate::with_gtype(
                    name,
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &any,
                    pad_type,
                )
            };
            let src = |name, presence| {
                gst::PadTemplate::new(name, gst::PadDirection::Src, presence, &any)
            };
            [
                request("sink_%u"),
                request("sink_%u_%u"),
                src("src", gst::PadPresence::Always),
                src("src_%u", gst::PadPresence::Sometimes),
            ]
            .into_iter()
            .flatten()
            .collect()
        });
        TEMPLATES.as_ref()
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        self.provide_pad(template, name)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        self.withdraw_pad(pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.start();
                self.set_closed(false);
            }
            gst::StateChange::PlayingToPaused => self.stop_time(),
            gst::StateChange::PausedToReady => {
                self.stop_time();
                self.set_closed(true);
                self.stop_outlets();
            }
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::ReadyToPaused => self.open_outlets(),
            gst::StateChange::PausedToReady => self.join_outlets(),
            gst::StateChange::PausedToPlaying => self.start_time(),
            _ => (),
        }
        Ok(success)
    }

    /// Some are said in threads that nobody waits for.
    fn post_message(&self, message: gst::Message) -> bool {
        let _held = hold_parents(&*self.obj());
        self.parent_post_message(message)
    }
}

impl ChildProxyImpl for FailoverSwitch {
    fn children_count(&self) -> u32 {
        self.obj().num_sink_pads().into()
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        self.obj().static_pad(name).map(Cast::upcast)
    }

    fn child_by_index(&self, index: u32) -> Option<glib::Object> {
        let pads = self.obj().sink_pads();
        pads.get(usize::try_from(index).ok()?)
            .cloned()
            .map(Cast::upcast)
    }
}
