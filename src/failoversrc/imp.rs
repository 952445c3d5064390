// SPDX-License-Identifier: MPL-2.0
//! The GObject shell of `failoversrc`: properties, states, messages of its children.

use super::control::{Control, LONGEST_STOP, Order};
use super::output::Outputs;
use super::runs::Runs;
use super::settings::{Resolved, SECOND, STARTUP, Settings};
use super::{CAT, Output, Slate, Standby, Status, tell};
use crate::clock::Stopwatch;
use crate::message::hold_parents;
use crate::policy::{InputId, Standby as Keep};
use crate::switch::standby::Bounds;
use crate::switch::{FailoverSwitch, SwitchBack, SwitchEvent};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::Sender;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use super::attach::Registered;

const LONGEST: u64 = u64::MAX - 1;

#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::FailoverSrc)]
pub struct FailoverSrc {
    #[property(name = "uri", nick = "URI", type = Option<String>, member = uri, get, set = Self::set_uri_property,
        blurb = "A whole configuration in one: failover:?primary=URI&backup=URI&timeout=NANOSECONDS with percent-encoded values, or the address of an Ant Media player page",
        builder().mutable_ready())]
    #[property(name = "primary-uri", nick = "Primary URI", type = Option<String>, member = primary_uri, get,
        set = Self::set_primary_uri,
        blurb = "URI of the primary: rtmp(s), rtsp, srt, http(s), file and all that GStreamer plays; a change restarts it",
        builder().mutable_playing())]
    #[property(name = "backup-uri", nick = "Backup URI", type = Option<String>, member = backup_uri, get,
        set = Self::set_backup_uri, blurb = "URI of the backup; a change restarts it",
        builder().mutable_playing())]
    #[property(name = "primary-source", nick = "Primary Source", type = Option<gst::Element>, member = primary_source,
        get, set, blurb = "An element, or in gst-launch a description, instead of primary-uri", builder().mutable_ready())]
    #[property(name = "backup-source", nick = "Backup Source", type = Option<gst::Element>, member = backup_source,
        get, set, blurb = "An element, or in gst-launch a description, instead of backup-uri", builder().mutable_ready())]
    #[property(name = "timeout", nick = "Timeout", type = u64, member = timeout, get, set = Self::set_timeout,
        maximum = LONGEST, default = SECOND,
        blurb = "A stream of the active input without a buffer for this long is lacking: the input is left for one that has it, at least 1 ms (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "startup-timeout", nick = "Startup Timeout", type = u64, member = startup_timeout, get,
        set = Self::set_startup_timeout, maximum = LONGEST, default = STARTUP,
        blurb = "Time for an input to deliver its first buffer before the next is tried, at least 1 ms (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "video-timeout", nick = "Video Timeout", type = u64, member = video_timeout, get,
        set = Self::set_video_timeout,
        blurb = "The timeout of video alone, 0 = as timeout, -1 = video may pause for ever (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "audio-timeout", nick = "Audio Timeout", type = u64, member = audio_timeout, get,
        set = Self::set_audio_timeout,
        blurb = "The timeout of audio alone, 0 = as timeout, -1 = audio may pause for ever (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "recovery-time", nick = "Recovery Time", type = u64, member = recovery_time, get,
        set = Self::set_recovery_time, maximum = LONGEST, default = 5 * SECOND,
        blurb = "How long a preferred input must be healthy to be switched back to; every relapse doubles it; 0 = its first buffer is enough (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "switch-back", nick = "Switch Back", type = SwitchBack, member = switch_back, get,
        set = Self::set_switch_back, blurb = "When to go back to a preferred input that is well again",
        builder(SwitchBack::default()).mutable_playing())]
    #[property(name = "latency", nick = "Latency", type = u64, member = latency, get, set = Self::set_latency,
        maximum = LONGEST,
        blurb = "Extra latency for sinks to wait; a failover is hidden when it covers timeout plus the time to decode a group of pictures, 0 = none (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "standby-max-time", nick = "Standby Max Time", type = u64, member = standby_max_time, get,
        set = Self::set_standby_max_time, maximum = LONGEST, default = Bounds::TIME,
        blurb = "The most that a stream of an input keeps for a cut, but no less than the latency: a longer group of pictures is dropped whole (in nanoseconds)",
        builder().mutable_playing())]
    #[property(name = "standby-max-bytes", nick = "Standby Max Bytes", type = u64, member = standby_max_bytes, get,
        set = Self::set_standby_max_bytes, default = Bounds::BYTES,
        blurb = "The most that a stream of an input keeps for a cut (in bytes)", builder().mutable_playing())]
    #[property(name = "output", nick = "Output", type = Output, member = output, get, set,
        blurb = "What the output pads carry", builder(Output::default()).mutable_ready())]
    #[property(name = "standby", nick = "Standby", type = Standby, member = standby, get, set,
        blurb = "Whether backups are connected before they are needed", builder(Standby::default()).mutable_ready())]
    #[property(name = "slate", nick = "Slate", type = Slate, member = slate, get, set = Self::set_slate,
        blurb = "What is sent when every input is down, with output=decoded", builder(Slate::default()).mutable_playing())]
    #[property(name = "slate-from-start", nick = "Slate From Start", type = bool, member = slate_from_start, get, set,
        blurb = "Sends the slate until the first input is on air, too", builder().mutable_ready())]
    #[property(name = "retry-initial", nick = "Retry Initial", type = u64, member = retry_initial, get, set,
        maximum = LONGEST, default = SECOND / 2,
        blurb = "Least time between the starts of two attempts of an input; doubles with each failure, and attempts go on for ever (in nanoseconds)",
        builder().mutable_ready())]
    #[property(name = "retry-max", nick = "Retry Max", type = u64, member = retry_max, get, set,
        maximum = LONGEST, default = 30 * SECOND,
        blurb = "Most time between the starts of two attempts of an input (in nanoseconds)",
        builder().mutable_ready())]
    #[property(name = "force-input", nick = "Force Input", type = i32, member = force_input, get,
        set = Self::set_force_input, minimum = -1, default = -1,
        blurb = "Hold this input on air whatever its health: 0 = primary, 1 = backup and so on, -1 = automatic",
        builder().mutable_playing())]
    settings: Mutex<Settings>,
    #[property(name = "active-input", nick = "Active Input", type = i32, get = Self::active_input,
        minimum = -1, default = -1, blurb = "The input on air: 0 = primary, 1 = backup and so on, -1 = none yet")]
    #[property(name = "switches", nick = "Switches", type = u64, get = Self::switches,
        blurb = "How often the input on air has changed since the start")]
    _virtual: (),
    #[property(name = "status", nick = "Status", type = Status, get = Self::status,
        blurb = "What the viewer gets", builder(Status::default()))]
    status: Mutex<Status>,
    switch: OnceLock<FailoverSwitch>,
    control: Mutex<Option<Control>>,
    orders: Mutex<Option<Sender<Order>>>,
    pub(super) attempts: Mutex<BTreeMap<InputId, Registered>>,
    pub(super) outputs: Mutex<Outputs>,
    failures: Mutex<BTreeMap<InputId, String>>,
    pub(super) stopping: Arc<()>,
    playing: AtomicBool,
    /// The second input of this run is the backup, not the first of the further ones.
    pub(super) has_backup: AtomicBool,
    pub(super) down: AtomicBool,
    pub(super) slates: Mutex<()>,
    /// Held by whoever makes an output.
    pub(super) making: Mutex<()>,
    pub(super) runs: Runs,
    pub(super) said_no_more_pads: AtomicBool,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FailoverSrc {
    pub(super) fn settings(&self) -> Settings {
        lock(&self.settings).clone()
    }

    /// There from the construction on.
    pub(super) fn switch(&self) -> &FailoverSwitch {
        self.switch
            .get_or_init(|| glib::Object::builder().property("name", "switch").build())
    }

    pub(super) fn orders(&self) -> Option<Sender<Order>> {
        lock(&self.orders).clone()
    }

    pub(super) fn lock_settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    pub(super) fn order(&self, order: Order) {
        if let Some(orders) = self.orders() {
            let _ = orders.send(order);
        }
    }

    pub(super) fn has_control(&self) -> bool {
        lock(&self.orders).is_some()
    }

    pub(super) fn outputs(&self) -> MutexGuard<'_, Outputs> {
        lock(&self.outputs)
    }

    pub(super) fn registered(&self) -> MutexGuard<'_, BTreeMap<InputId, Registered>> {
        lock(&self.attempts)
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, BTreeMap<InputId, String>> {
        lock(&self.failures)
    }

    /// The number of this run.
    pub(super) fn run(&self) -> u64 {
        self.runs.present()
    }

    /// Held by every source that is on its way to stop.
    pub(super) fn stopping(&self) -> Arc<()> {
        self.stopping.clone()
    }

    pub(super) fn is_playing(&self) -> bool {
        self.playing.load(SeqCst)
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(SeqCst)
    }

    pub(super) fn has_end(&self, input: InputId) -> bool {
        self.switch().imp().has_end(input)
    }

    pub(super) fn swap_status(&self, status: Status) -> Status {
        std::mem::replace(&mut *lock(&self.status), status)
    }

    fn status(&self) -> Status {
        *lock(&self.status)
    }

    fn active_input(&self) -> i32 {
        let on_air = self.switch().imp().on_air();
        on_air
            .filter(|_| self.has_control())
            .map_or(-1, crate::switch::number)
    }

    fn switches(&self) -> u64 {
        self.switch().imp().switches()
    }

    pub(super) fn restart_input(&self, input: i32) {
        if let Ok(input) = u32::try_from(input) {
            self.order(Order::Restart(InputId(input)));
        }
    }

    /// From the switch, in any thread: the slates follow at once, the rest is the owner's.
    fn on_switch_event(&self, event: SwitchEvent) {
        match event {
            SwitchEvent::Ended(stream) => self.end_slate(stream),
            SwitchEvent::StreamEnded { input, stream } => self.outputs().ended(stream, input),
            SwitchEvent::Switched(ref report) => {
                self.outputs().languages.activated(report.to);
            }
            _ => (),
        }
        self.update_slates();
        self.order(Order::Switch(event));
    }

    /// What can never work is said here: at NULL→READY, and again before each run, for in READY
    /// everything may be changed.
    fn resolve(&self) -> Result<Resolved, gst::StateChangeError> {
        self.settings().resolve().map_err(|refusal| {
            gst::element_imp_error!(self, gst::ResourceError::Settings, ["{refusal}"]);
            gst::StateChangeError
        })
    }

    /// The switch learns of the inputs of the next run.
    fn prepare_switch(&self) -> Result<(), gst::StateChangeError> {
        let resolved = self.resolve()?;
        let decoded = self.settings().output == Output::Decoded;
        let keeps = (0..resolved.inputs.len()).map(|index| match resolved.standby {
            Standby::Cold if index > 0 => Keep::Cold,
            Standby::Hot | Standby::Cold => Keep::Hot,
        });
        let switch = self.switch().imp();
        switch.set_decoder_follows(decoded);
        switch.set_inputs(&keeps.collect::<Vec<_>>());
        self.has_backup.store(resolved.has_backup, SeqCst);
        Ok(())
    }

    fn start(&self) -> Result<(), gst::StateChangeError> {
        self.playing.store(true, SeqCst);
        self.switch().imp().set_halted(false);
        if self.has_control() {
            self.order(Order::Resume);
            return Ok(());
        }
        let resolved = self.resolve()?;
        let started = {
            // The owner's first words wait until there is a way to send them.
            let mut orders = lock(&self.orders);
            let control = Control::start(&self.obj(), &resolved);
            *orders = control.as_ref().map(Control::sender);
            control
        };
        let Some(control) = started else {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Failed,
                ["the system has no thread to give"]
            );
            return Err(gst::StateChangeError);
        };
        *lock(&self.control) = Some(control);
        self.set_force_input(self.settings().force_input);
        self.update_status();
        Ok(())
    }

    fn pause(&self) {
        self.playing.store(false, SeqCst);
        self.switch().imp().set_halted(true);
        self.order(Order::Pause);
    }

    fn stop(&self) {
        let since = Stopwatch::start();
        let makers = self.runs.end();
        // What the owner and the sources have begun counts no more, be they held up or not.
        self.registered().clear();
        self.playing.store(false, SeqCst);
        lock(&self.orders).take();
        let control = lock(&self.control).take();
        if let Some(control) = control {
            control.stop();
        }
        makers.wait(LONGEST_STOP.saturating_sub(since.elapsed()));
        self.down.store(false, SeqCst);
        self.failures().clear();
        self.update_status();
    }
}

#[glib::object_subclass]
impl ObjectSubclass for FailoverSrc {
    const NAME: &'static str = "GstFailoverSrc";
    type Type = super::FailoverSrc;
    type ParentType = gst::Bin;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for FailoverSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let uri = glib::ParamSpecString::builder("backup-uri").build();
            let further = gst::ParamSpecArray::builder("backup-uris")
                .nick("Backup URIs")
                .blurb("URIs of further backups, in order of preference")
                .element_spec(&uri)
                .mutable_ready()
                .build();
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Switches so far, the input on air, the last switch and every input with its state")
                .read_only()
                .build();
            let mut all = FailoverSrc::derived_properties().to_vec();
            all.extend([further, stats]);
            all
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        if pspec.name() == "backup-uris" {
            let uris = value.get::<gst::Array>().ok();
            let uris = uris.iter().flat_map(|uris| uris.iter());
            let uris = uris.filter_map(|uri| uri.get::<String>().ok()).collect();
            lock(&self.settings).backup_uris = uris;
        } else {
            self.derived_set_property(id, value, pspec);
        }
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "backup-uris" => gst::Array::new(self.settings().backup_uris).to_value(),
            "stats" => self.stats().to_value(),
            _ => self.derived_property(id, pspec),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        tell::signals()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_suppressed_flags(gst::ElementFlags::SOURCE | gst::ElementFlags::SINK);
        obj.set_element_flags(gst::ElementFlags::SOURCE);
        let switch = self.switch();
        switch.set_property("startup-timeout", STARTUP);
        let weak = obj.downgrade();
        switch.imp().set_listener(Some(Arc::new(move |event| {
            if let Some(element) = weak.upgrade() {
                element.imp().on_switch_event(event);
            }
        })));
        if let Err(error) = obj.add(switch) {
            gst::error!(CAT, imp = self, "no switch: {error}");
        }
    }
}

impl GstObjectImpl for FailoverSrc {}

impl ElementImpl for FailoverSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Stream failover source",
                "Generic/Source/Bin",
                "Plays a primary live stream, a backup when it stalls or fails, and the primary again when it is well",
                "The failoversrc developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name| {
                gst::PadTemplate::new(
                    name,
                    gst::PadDirection::Src,
                    gst::PadPresence::Sometimes,
                    &gst::Caps::new_any(),
                )
            };
            [template("video_%u"), template("audio_%u")]
                .into_iter()
                .flatten()
                .collect()
        });
        TEMPLATES.as_ref()
    }

    /// An application ends a recording by sending EOS: it is the end of the output, and no input's
    /// failure.
    fn send_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos && self.has_control() {
            self.order(Order::End);
            return true;
        }
        self.parent_send_event(event)
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        gst::debug!(CAT, imp = self, "{transition:?}");
        match transition {
            gst::StateChange::NullToReady => self.prepare_switch()?,
            gst::StateChange::ReadyToPaused => {
                self.prepare_switch()?;
                self.switch().imp().set_halted(true);
            }
            gst::StateChange::PlayingToPaused => self.pause(),
            gst::StateChange::PausedToReady => self.stop(),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToPlaying => self.start()?,
            gst::StateChange::PausedToReady => self.remove_outputs(),
            _ => (),
        }
        // Live: nothing comes in PAUSED, so nobody should wait for it.
        match transition {
            gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused => {
                Ok(gst::StateChangeSuccess::NoPreroll)
            }
            _ => Ok(success),
        }
    }

    /// Some are said in threads that nobody waits for.
    fn post_message(&self, message: gst::Message) -> bool {
        let _held = hold_parents(&*self.obj());
        self.parent_post_message(message)
    }
}

impl BinImpl for FailoverSrc {}

impl URIHandlerImpl for FailoverSrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        &["failover"]
    }

    fn uri(&self) -> Option<String> {
        self.settings().uri
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        self.apply_uri(uri)
            .map_err(|refusal| glib::Error::new(gst::URIError::BadUri, &refusal))
    }
}
