// SPDX-License-Identifier: MPL-2.0
//! The bin that every source lives in: finds the streams of the elements inside (`find.rs`), normalises
//! each and exposes it once its final caps are known (`plug.rs`). Here is what it remembers of them.
//!
//! Knows pads and parsers, not protocols. Never starts, stops or restarts itself, and never judges
//! a stream: one that is silent is simply not there yet.
//!
//! ```text
//! watched element ─pad─> [demuxer, watched in turn] ─pad─> parser ! capsfilter ! queue ─> video_0
//! ```
//!
//! A pad is decided about when its caps are known, in the thread that brings them, before they are
//! sent on. Linking there is safe: GStreamer sends the sticky events again to a peer that a probe has
//! linked. Each stream has a queue, thus a thread of its own, and is exposed by it, so none waits
//! for another; but for what comes in real time over one connection, where nobody holds a stream up.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::language::Language;
use super::memory::Recollection;
use super::order::Order;
use super::parse::Kind;
use super::unusable::Judge;
use super::{CAT, Track};
use crate::clock::Stopwatch;

/// A stream that a source has only said to come keeps its number for so long: all packets of one session begin
/// within moments, and one that is announced and never sent must not keep it for ever.
const EXPECTED_FOR: Duration = Duration::from_secs(3);

glib::wrapper! {
    pub(crate) struct SourceBin(ObjectSubclass<imp::SourceBin>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

impl SourceBin {
    pub(super) fn new(name: &str) -> Self {
        glib::Object::builder().property("name", name).build()
    }

    /// Messages go to this listener, and no more to the parent, which GStreamer calls without a
    /// reference: it may be gone by the time at which a source that was given up fails.
    pub(super) fn set_listener(&self, listener: Listener) {
        let _ = self.imp().listener.set(listener);
    }

    /// Gives an element of the application back, as it came. The bin must be in NULL.
    pub(super) fn release(&self, core: &gst::Element) {
        self.forget_application();
        if core.parent().as_ref() != Some(self.upcast_ref()) {
            return;
        }
        leaving().push(core.clone());
        core.set_locked_state(false);
        if let Err(error) = self.remove(core) {
            gst::warning!(CAT, obj = self, "cannot give back {}: {error}", core.name());
        }
        leaving().retain(|element| element != core);
    }

    /// Whether a change of state to NULL has come to its end, here and in the core, which may be led
    /// by itself.
    pub(super) fn is_stopped(&self, core: &gst::Element) -> bool {
        let stopped = (gst::State::Null, gst::State::VoidPending);
        state_of(self.upcast_ref()) == stopped && state_of(core) == stopped
    }

    /// One question less. After the last one it is known that there are no more pads; and if there
    /// was none at all, there will be nothing to play.
    pub(super) fn settle(&self, what: &gst::Object) {
        let is_down = self.is_going_down();
        let (all_known, is_empty, unusable) = {
            let mut state = self.state();
            state.unsettled.retain(|open| open != what);
            let all_known = state.unsettled.is_empty() && !state.told && !is_down;
            state.told |= all_known;
            let is_empty = state.next_audio + state.next_video == 0;
            (all_known, is_empty, state.unusable.join("; "))
        };
        if !all_known {
            return;
        }
        if is_empty {
            let text = match unusable.as_str() {
                "" => "no audio or video in it",
                unusable => unusable,
            };
            gst::element_error!(self, gst::StreamError::WrongType, ("{}", text));
        }
        self.no_more_pads();
    }

    /// The streams of a kind, in the order in which the source announced them: those that are here or on their way now,
    /// and were not over before the newest one was announced.
    pub(super) fn tracks(&self, kind: Kind) -> Vec<Track> {
        // An element may not know what it brings before it runs. Asked with no lock held.
        let unknown = self.state().order.unknown();
        let known = unknown
            .into_iter()
            .filter_map(|pad| Some((self.kind_to_come(&pad)?, pad)));
        let known: Vec<_> = known.collect();
        let mut state = self.state();
        for (kind, pad) in known {
            state.order.set_kind(&pad, Some(kind));
        }
        let waiting = state
            .expecting
            .as_ref()
            .is_some_and(|since| since.elapsed() < EXPECTED_FOR);
        let tracks = state.order.tracks(kind, waiting).into_iter();
        let of_source = |source: gst::Pad| {
            let stream = state.streams.iter().find(|stream| stream.source == source);
            stream.and_then(|stream| stream.outlet.clone())
        };
        let tracks = tracks.map(|(source, language)| Track {
            pad: source.and_then(of_source),
            language,
        });
        tracks.collect()
    }

    pub(super) fn set_language_listener(&self, tell: Arc<dyn Fn() + Send + Sync>) {
        self.state().on_language = Some(tell);
    }

    /// The source says more of the stream on this pad.
    pub(super) fn note_tags(&self, pad: &gst::Pad, tags: &gst::TagListRef) {
        let Some(language) = language_in(tags) else {
            return;
        };
        let tell = {
            let mut state = self.state();
            let is_news = state.order.set_language(pad, language);
            state.on_language.clone().filter(|_| is_news)
        };
        // With no lock held.
        if let Some(tell) = tell {
            gst::debug!(CAT, obj = self, "{}: {language}", pad.name());
            tell();
        }
    }

    /// A source says which streams it is going to bring.
    pub(super) fn will_come(&self, number: u32, kind: Option<Kind>) {
        let mut state = self.state();
        state.expecting.get_or_insert_with(Stopwatch::start);
        state.order.will_come(number, kind);
    }

    fn forget_application(&self) {
        let nothing = State {
            told: true,
            ..State::default()
        };
        let old = std::mem::replace(&mut *self.state(), nothing);
        for (element, id) in old.handlers {
            if let Some(element) = element.upgrade() {
                element.disconnect(id);
            }
        }
        for lifted in old.lifted {
            lifted.remove();
        }
    }

    pub(super) fn remember(&self, element: &gst::Element, ids: Vec<glib::SignalHandlerId>) {
        let handlers = ids.into_iter().map(|id| (element.downgrade(), id));
        self.state().handlers.extend(handlers);
    }

    /// On the way to READY or NULL, or there.
    pub(super) fn is_going_down(&self) -> bool {
        let (current, pending) = state_of(self.upcast_ref());
        match pending {
            gst::State::VoidPending => current <= gst::State::Ready,
            pending => pending <= gst::State::Ready && pending < current,
        }
    }

    /// All comes in real time and in the order of its times: a thread for each stream would cost more than
    /// it does.
    pub(super) fn set_in_real_time(&self) {
        self.state().in_real_time = true;
    }

    pub(super) fn is_in_real_time(&self) -> bool {
        self.state().in_real_time
    }

    pub(super) fn set_memory(&self, memory: Recollection) {
        self.state().memory = memory;
    }

    pub(super) fn memory(&self) -> Recollection {
        self.state().memory.clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.imp()
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an attempt has this element, or is just giving it back: it has no parent any more before its
/// pads are unlinked and its bus is taken away, and whoever took it then would lose both.
pub(super) fn is_taken(element: &gst::Element) -> bool {
    // In this order: it is on the list before its parent goes.
    let is_inside = element
        .parent()
        .is_some_and(|parent| parent.is::<SourceBin>());
    is_inside || leaving().contains(element)
}

/// Elements that are just given back.
fn leaving() -> MutexGuard<'static, Vec<gst::Element>> {
    static LEAVING: Mutex<Vec<gst::Element>> = Mutex::new(Vec::new());
    LEAVING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) type Listener = Box<dyn Fn(gst::Message) + Send + Sync>;

/// A playlist's language that has a region is no code to hlsdemux, but a name.
fn language_in(tags: &gst::TagListRef) -> Option<Language> {
    let code = tags.index::<gst::tags::LanguageCode>(0);
    let named = || Language::of(tags.index::<gst::tags::LanguageName>(0)?.get());
    code.and_then(|code| Language::of(code.get()))
        .or_else(named)
}

/// The current state and the pending one, without waiting.
fn state_of(element: &gst::Element) -> (gst::State, gst::State) {
    let (_, current, pending) = ElementExt::state(element, gst::ClockTime::ZERO);
    (current, pending)
}

#[derive(Default)]
pub(super) struct State {
    pub(super) streams: Vec<Stream>,
    /// Of all pads inside that may bring streams.
    pub(super) order: Order<gst::Pad>,
    /// Since when streams are expected that a source has said to come.
    pub(super) expecting: Option<Stopwatch>,
    pub(super) lifted: Vec<Lifted>,
    /// Elements that may still bring pads, and pads that may still bring caps.
    pub(super) unsettled: Vec<gst::Object>,
    /// How many pads an element is going to have.
    pub(super) announced: Vec<(gst::Element, usize)>,
    /// The streams, by id, of the present programme of each demuxer of MPEG-TS.
    pub(super) programmes: Vec<(gst::Element, BTreeSet<String>)>,
    /// Whether no-more-pads was emitted.
    pub(super) told: bool,
    /// Streams have no queues.
    pub(super) in_real_time: bool,
    /// What the attempts of this input have learnt.
    pub(super) memory: Recollection,
    /// Says which streams are of no use downstream.
    pub(super) judge: Option<Judge>,
    /// Told of news of languages.
    pub(super) on_language: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Why streams of it are not played.
    pub(super) unusable: Vec<String>,
    pub(super) next_audio: u32,
    pub(super) next_video: u32,
    pub(super) handlers: Vec<(glib::WeakRef<gst::Element>, glib::SignalHandlerId)>,
}

/// A pad inside, what was linked to it, and the pad of this bin that came of it.
pub(super) struct Stream {
    pub(super) source: gst::Pad,
    pub(super) elements: Vec<gst::Element>,
    pub(super) outlet: Option<gst::Pad>,
    /// It is of a programme that its demuxer has brought as a whole.
    pub(super) is_settled: bool,
}

impl Stream {
    pub(super) fn dismantle(self, bin: &SourceBin) {
        // The elements first: their thread may just be adding the pad.
        for element in self.elements {
            // Locked, so that a state change of the bin cannot wake it up again.
            element.set_locked_state(true);
            let _ = element.set_state(gst::State::Null);
            let _ = bin.remove(&element);
        }
        if let Some(outlet) = self.outlet {
            let _ = outlet.set_active(false);
            let _ = bin.remove_pad(&outlet);
        }
    }
}

/// A ghost pad that this bin put on a bin of the application.
pub(super) struct Lifted {
    pub(super) inner: gst::Pad,
    pub(super) owner: gst::Bin,
    pub(super) outer: gst::Pad,
}

impl Lifted {
    pub(super) fn remove(self) {
        let _ = self.outer.set_active(false);
        let _ = self.owner.remove_pad(&self.outer);
    }
}

mod imp {
    use std::sync::{LazyLock, OnceLock};

    use super::*;

    #[derive(Default)]
    pub(crate) struct SourceBin {
        pub(super) state: Mutex<State>,
        pub(super) listener: OnceLock<Listener>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for SourceBin {
        const NAME: &'static str = "GstFailoverSourceBin";
        type Type = super::SourceBin;
        type ParentType = gst::Bin;
    }

    impl ObjectImpl for SourceBin {
        fn dispose(&self) {
            self.obj().forget_application();
        }
    }

    impl GstObjectImpl for SourceBin {}

    impl ElementImpl for SourceBin {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                ["audio_%u", "video_%u"]
                    .into_iter()
                    .filter_map(|name| {
                        gst::PadTemplate::new(
                            name,
                            gst::PadDirection::Src,
                            gst::PadPresence::Sometimes,
                            &gst::Caps::new_any(),
                        )
                        .ok()
                    })
                    .collect()
            });
            &TEMPLATES
        }

        fn post_message(&self, message: gst::Message) -> bool {
            match self.listener.get() {
                Some(listener) => {
                    listener(message);
                    true
                }
                None => self.parent_post_message(message),
            }
        }
    }

    impl BinImpl for SourceBin {
        fn handle_message(&self, message: gst::Message) {
            if let gst::MessageView::StreamCollection(collection) = message.view()
                && let Some(by) = message.src()
            {
                let collection = collection.stream_collection();
                self.obj().programme_is(by, &collection);
                self.obj().announced(by, collection.len());
            }
            self.parent_handle_message(message);
        }
    }
}
