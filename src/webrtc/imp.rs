// SPDX-License-Identifier: MPL-2.0
//! The GObject shell of `webrtcplaysrc`: properties, states, and the peer connection that is in it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::pads::Outlets;
use super::peer::Setup;
use super::session::{self, Handle, Plan};
use super::signalling::IceServer;
use super::target::{SCHEMES, Target};
use crate::clock::remove_running;
use crate::message::hold_parents;
use crate::redact::Secrets;

const MILLISECOND: u64 = 1_000_000;
/// As webrtcbin has it.
const JITTER_LATENCY: u64 = 200 * MILLISECOND;

#[derive(Clone)]
struct Settings {
    uri: Option<String>,
    auth_token: Option<String>,
    stun_server: Option<String>,
    turn_servers: Vec<String>,
    extra_headers: Option<gst::Structure>,
    jitter_latency: u64,
    tls_validation: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: None,
            auth_token: None,
            stun_server: None,
            turn_servers: Vec::new(),
            extra_headers: None,
            jitter_latency: JITTER_LATENCY,
            tls_validation: true,
        }
    }
}

#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::WebRtcPlaySrc)]
pub struct WebRtcPlaySrc {
    #[property(name = "auth-token", nick = "Authentication Token", type = Option<String>, member = auth_token, get, set,
        blurb = "Bearer token for the server, and for no other that it redirects to", builder().mutable_ready())]
    #[property(name = "stun-server", nick = "STUN Server", type = Option<String>, member = stun_server, get, set,
        blurb = "STUN server as stun://host:port, null = none", builder().mutable_ready())]
    #[property(name = "jitter-latency", nick = "Jitter Latency", type = u64, member = jitter_latency, get, set,
        maximum = 60_000 * MILLISECOND, default = JITTER_LATENCY,
        blurb = "How long a missing packet is waited for, and the latency that sinks are told (in nanoseconds)",
        builder().mutable_ready())]
    #[property(name = "tls-validation", nick = "TLS Validation", type = bool, member = tls_validation, get, set,
        default = true, blurb = "Whether the server's certificate is checked", builder().mutable_ready())]
    settings: Mutex<Settings>,
    pub(super) outlets: Outlets,
    session: Mutex<Option<Handle>>,
    inside: Mutex<Inside>,
    /// What servers have told: users and passwords of others.
    told: Mutex<Secrets>,
    /// Held by every session and peer connection that is on its way to stop.
    stopping: Arc<()>,
    sessions: AtomicU64,
}

/// The peer connection in the element.
#[derive(Default)]
struct Inside {
    open: bool,
    /// Counts the starts: what an earlier session still does is no part of this one.
    run: u64,
    peer: Option<gst::Bin>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl super::WebRtcPlaySrc {
    /// Whether this run is still on.
    pub(super) fn plays(&self, run: u64) -> bool {
        let inside = lock(&self.imp().inside);
        inside.open && inside.run == run
    }

    /// Takes the bin of a peer connection in; not when its run is over.
    pub(super) fn take_in(&self, run: u64, peer: &gst::Bin) -> bool {
        // Its state is led by its session: the element never waits for it.
        peer.set_locked_state(true);
        if self.add(peer).is_err() {
            return false;
        }
        self.hear(peer);
        let imp = self.imp();
        let is_open = {
            let mut inside = lock(&imp.inside);
            let is_open = inside.open && inside.run == run;
            if is_open {
                inside.peer = Some(peer.clone());
            }
            is_open
        };
        if !is_open {
            let _ = self.remove(peer);
        }
        is_open
    }

    /// Its threads may still have something to say when this element is gone already, and the bus that
    /// a bin gives its children does not keep that bin alive.
    fn hear(&self, peer: &gst::Bin) {
        let bus = gst::Bus::new();
        let element = self.downgrade();
        bus.set_sync_handler(move |_, message| {
            if let Some(element) = element.upgrade() {
                element.imp().handle_message(message.clone());
            }
            gst::BusSyncReply::Drop
        });
        peer.set_bus(Some(&bus));
    }

    /// Takes it out; it is not in NULL yet.
    pub(super) fn let_go(&self, peer: &gst::Bin) {
        let imp = self.imp();
        {
            let mut inside = lock(&imp.inside);
            if inside.peer.as_ref() == Some(peer) {
                inside.peer = None;
            }
        }
        if peer.parent().as_ref() == Some(self.upcast_ref()) {
            self.cut_off();
            remove_running(self, peer);
        }
    }
}

impl WebRtcPlaySrc {
    fn target(&self) -> Target {
        let settings = lock(&self.settings).clone();
        let headers = settings.extra_headers.iter().flat_map(|structure| {
            structure.iter().filter_map(|(name, value)| {
                let value = value.transform::<String>().ok()?;
                Some((name.to_string(), value.get::<String>().ok()?))
            })
        });
        Target {
            uri: settings.uri.unwrap_or_default(),
            token: settings.auth_token,
            headers: headers.collect(),
        }
    }

    /// A text without what it may not show.
    pub(super) fn redacted(&self, text: &str) -> String {
        let mut secrets = self.target().secrets();
        let settings = lock(&self.settings).clone();
        let servers = settings.turn_servers.iter().chain(&settings.stun_server);
        servers.for_each(|server| secrets.add_uri(server));
        let text = secrets.take_out_of(text);
        lock(&self.told).take_out_of(&text)
    }

    pub(super) fn keep_secret(&self, servers: &[IceServer]) {
        let mut told = lock(&self.told);
        servers.iter().for_each(|server| server.add_to(&mut told));
    }

    /// The text is one of ours, without anything that was set.
    fn refuse(&self, text: &str) -> gst::StateChangeError {
        gst::element_imp_error!(self, gst::ResourceError::Settings, ["{text}"]);
        gst::StateChangeError
    }

    /// NULL→READY: what can never work is said here.
    fn check(&self) -> Result<(), gst::StateChangeError> {
        if let Err(text) = self.target().protocol() {
            return Err(self.refuse(&text));
        }
        if let Some(element) = super::media::missing() {
            let text = format!("the GStreamer element '{element}' is not installed");
            return Err(self.refuse(&text));
        }
        Ok(())
    }

    /// The first PLAYING begins the session; later ones end a pause.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        if let Some(session) = &*lock(&self.session) {
            session.follow(gst::State::Playing);
            return Ok(());
        }
        let target = self.target();
        let protocol = target.protocol().map_err(|text| self.refuse(&text))?;
        let settings = lock(&self.settings).clone();
        let plan = Plan {
            protocol,
            setup: Setup {
                stun_server: settings.stun_server.filter(|server| !server.is_empty()),
                turn_servers: settings.turn_servers,
                jitter_latency_ms: u32::try_from(settings.jitter_latency / MILLISECOND)
                    .unwrap_or(u32::MAX),
                own_addresses: target.own_addresses(),
            },
            verify_tls: settings.tls_validation,
            alive: self.stopping.clone(),
            run: {
                let mut inside = lock(&self.inside);
                inside.open = true;
                inside.run += 1;
                inside.run
            },
        };
        *lock(&self.told) = Secrets::default();
        let Some(session) = session::start(&self.obj(), plan) else {
            return Err(self.refuse("the system has no thread to give"));
        };
        self.sessions.fetch_add(1, Relaxed);
        *lock(&self.session) = Some(session);
        Ok(())
    }

    fn pause(&self) {
        if let Some(session) = &*lock(&self.session) {
            session.follow(gst::State::Paused);
        }
    }

    /// Everything is let go of; what has to be said to the server is said behind our back.
    fn stop(&self) {
        let session = lock(&self.session).take();
        drop(session);
        let peer = {
            let mut inside = lock(&self.inside);
            inside.open = false;
            inside.peer.clone()
        };
        if let Some(peer) = peer {
            self.obj().let_go(&peer);
        }
    }

    fn stats(&self) -> gst::Structure {
        let stopping = Arc::strong_count(&self.stopping).saturating_sub(1);
        // The session that is on, and the peer connection that is in.
        let is_on = usize::from(lock(&self.session).is_some());
        let is_in = usize::from(lock(&self.inside).peer.is_some());
        let stopping = stopping.saturating_sub(is_on + is_in);
        gst::Structure::builder("application/x-webrtcplaysrc-stats")
            .field("num-sessions", self.sessions.load(Relaxed))
            .field("num-stopping", u64::try_from(stopping).unwrap_or(u64::MAX))
            .build()
    }
}

#[glib::object_subclass]
impl ObjectSubclass for WebRtcPlaySrc {
    const NAME: &'static str = "GstWebRtcPlaySrc";
    type Type = super::WebRtcPlaySrc;
    type ParentType = gst::Bin;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for WebRtcPlaySrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let uri = glib::ParamSpecString::builder("uri")
                .nick("URI")
                .blurb("What to play: whep(s)://host:port/path over HTTP(S), ams(s)://host:port/app/stream from an Ant Media server")
                .mutable_ready()
                .build();
            let turn = glib::ParamSpecString::builder("turn-server").build();
            let turns = gst::ParamSpecArray::builder("turn-servers")
                .nick("TURN Servers")
                .blurb("TURN servers, each as turn(s)://user:password@host:port?transport=udp")
                .element_spec(&turn)
                .mutable_ready()
                .build();
            let headers = glib::ParamSpecBoxed::builder::<gst::Structure>("extra-headers")
                .nick("Extra Headers")
                .blurb("Further HTTP headers for the server, a structure of strings")
                .mutable_ready()
                .build();
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                .nick("Statistics")
                .blurb("Sessions so far, and how much of them is still on its way to stop")
                .read_only()
                .build();
            let mut all = WebRtcPlaySrc::derived_properties().to_vec();
            all.extend([uri, turns, headers, stats]);
            all
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        match pspec.name() {
            "uri" => {
                let uri = value.get::<Option<String>>().ok().flatten();
                lock(&self.settings).uri = uri;
            }
            "turn-servers" => {
                let servers = value.get::<gst::Array>().ok();
                let servers = servers.iter().flat_map(|servers| servers.iter());
                let servers = servers.filter_map(|server| server.get::<String>().ok());
                lock(&self.settings).turn_servers = servers.collect();
            }
            "extra-headers" => {
                let headers = value.get::<Option<gst::Structure>>().ok().flatten();
                lock(&self.settings).extra_headers = headers;
            }
            _ => self.derived_set_property(id, value, pspec),
        }
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "uri" => lock(&self.settings).uri.to_value(),
            "turn-servers" => gst::Array::new(&lock(&self.settings).turn_servers).to_value(),
            "extra-headers" => lock(&self.settings).extra_headers.to_value(),
            "stats" => self.stats().to_value(),
            _ => self.derived_property(id, pspec),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            // @webrtcbin: of this attempt, before it negotiates. In the session's thread.
            let ready = glib::subclass::Signal::builder("webrtcbin-ready");
            vec![ready.param_types([gst::Element::static_type()]).build()]
        });
        SIGNALS.as_ref()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_suppressed_flags(gst::ElementFlags::SOURCE | gst::ElementFlags::SINK);
        obj.set_element_flags(gst::ElementFlags::SOURCE);
    }
}

impl GstObjectImpl for WebRtcPlaySrc {}

impl ElementImpl for WebRtcPlaySrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "WebRTC player source",
                "Source/Network",
                "Plays one WebRTC stream that is signalled by WHEP or by Ant Media's WebSocket",
                "The failoversrc developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let template = |name, caps: &str| {
                let caps = caps.parse().unwrap_or_else(|_| gst::Caps::new_any());
                let sometimes = gst::PadPresence::Sometimes;
                gst::PadTemplate::new(name, gst::PadDirection::Src, sometimes, &caps)
            };
            let video = "video/x-h264; video/x-vp8; video/x-vp9; video/x-av1";
            [
                template("video_%u", video),
                template("audio_%u", "audio/x-opus"),
            ]
            .into_iter()
            .flatten()
            .collect()
        });
        TEMPLATES.as_ref()
    }

    /// An application ends a recording by sending EOS: it is the end of what leaves the pads, and nothing for webrtcbin.
    /// `nicesrc` of 1.28 takes it for an error.
    fn send_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos
            && let Some(session) = &*lock(&self.session)
        {
            return session.end_stream();
        }
        self.parent_send_event(event)
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        gst::debug!(CAT, imp = self, "{transition:?}");
        match transition {
            gst::StateChange::NullToReady => self.check()?,
            gst::StateChange::PlayingToPaused => self.pause(),
            gst::StateChange::PausedToReady => self.stop(),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToPlaying => self.start()?,
            gst::StateChange::PausedToReady => self.obj().remove_pads(),
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

impl BinImpl for WebRtcPlaySrc {
    /// An error inside is the session's to explain; what else is said there in words may repeat an address.
    fn handle_message(&self, message: gst::Message) {
        match message.view() {
            gst::MessageView::Error(error) => {
                let text = format!("the connection broke: {}", error.error().message());
                if let Some(session) = &*lock(&self.session) {
                    session.peer_failed(text);
                }
            }
            gst::MessageView::Warning(warning) => {
                let text = self.redacted(warning.error().message());
                let warning = gst::message::Warning::builder(gst::ResourceError::Failed, &text);
                self.parent_handle_message(warning.src(&*self.obj()).build());
            }
            gst::MessageView::Info(info) => {
                let text = self.redacted(info.error().message());
                gst::info!(CAT, imp = self, "{text}");
            }
            _ => self.parent_handle_message(message),
        }
    }
}

impl URIHandlerImpl for WebRtcPlaySrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        &SCHEMES
    }

    fn uri(&self) -> Option<String> {
        lock(&self.settings).uri.clone()
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        let target = Target {
            uri: uri.to_owned(),
            ..Target::default()
        };
        let checked = target.protocol();
        checked.map_err(|text| glib::Error::new(gst::URIError::BadUri, &text))?;
        lock(&self.settings).uri = Some(uri.to_owned());
        Ok(())
    }
}
