// SPDX-License-Identifier: MPL-2.0
//! MECHANISM: `failoverswitch`. Knows pads, segments and buffers, and decides nothing by itself: which
//! input is on air is the [policy](crate::policy)'s word.
//!
//! # failoverswitch
//!
//! Several inputs carry the same programme and one of them should go out, the best that is healthy.
//! `failoverswitch` is an `input-selector` that decides by itself: it leaves an input whose buffers
//! stop, and comes back when the preferred one has proved itself. Any caps will do; encoded video is
//! cut on key frames only, and where a decoder follows that need not be waited for. An input that stands by never blocks what feeds it.
//!
//! ```sh
//! gst-launch-1.0 -m failoverswitch name=s timeout=500000000 ! videoconvert ! autovideosink \
//!   videotestsrc is-live=true num-buffers=100 ! s.sink_0 \
//!   videotestsrc is-live=true pattern=ball ! s.sink_1
//! ```
//!
//! Streams that belong together switch together: `sink_0` and `sink_0_1` are input 0 and lead to `src`
//! and `src_1`.
//!
//! ```sh
//! gst-launch-1.0 failoverswitch name=s \
//!   s.src ! queue ! videoconvert ! autovideosink \
//!   s.src_1 ! queue ! audioconvert ! autoaudiosink \
//!   videotestsrc is-live=true ! s.sink_0    audiotestsrc is-live=true freq=440 ! s.sink_0_1 \
//!   videotestsrc is-live=true pattern=ball ! s.sink_1    audiotestsrc is-live=true freq=660 ! s.sink_1_1
//! ```
//!
//! ## Properties by task
//!
//! * Which input is preferred: the pads' `priority`, lower first; it starts as the input's number.
//! * When an input is lost: `timeout`, `startup-timeout`; the pads' `is-healthy` tells.
//! * When it is trusted again: `switch-back`, `recovery-time`.
//! * At the start: `immediate-fallback`. At an end: `stop-on-eos`.
//! * What comes out: `latency`. What hides a switch: for raw media the timeout and 100 ms, for encoded
//!   media the timeout, one distance of key frames and 100 ms; with a decoder next, the timeout and the time
//!   to decode one group of pictures. `standby-max-time` and `standby-max-bytes` bound what is kept for that.
//! * By hand: `auto-switch=false`, then `active-pad`. How it stands: `active-pad`, `stats`.
//!
//! ## Messages
//!
//! `failover-switched` for each switch, with its cause and cost, and `failover-input-state` for each
//! change of an input.
//!
//! ## Events
//!
//! A source that knows that it is late, and will make that up, says so by a serialized custom event: a structure
//! `failover-lag` whose `time` (guint64) is how late, in nanoseconds, and 0 when it is no more. The recovery
//! time of that input begins then; where there is nothing better, it plays as any other. `webrtcplaysrc` says this of itself.
//!
//! Since: 0.1

pub mod ageing;
mod arrival;
pub mod bases;
mod beginning;
mod brain;
pub mod cadence;
pub mod cut;
mod cutting;
pub mod delays;
mod downstream;
mod ending;
mod events;
mod flow;
mod flush;
mod format;
pub mod held;
mod imp;
mod lagging;
mod lane;
pub mod lateness;
mod outlet;
mod owner;
pub mod pace;
mod pad;
mod pads;
pub mod past;
mod report;
pub mod rest;
mod sending;
mod settings;
mod situation;
mod sound;
pub mod standby;
mod standstill;
mod state;
pub mod timeline;
mod withheld;

use crate::policy::{Cause, HealthKind, InputId, Span, StreamId};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::LazyLock;

pub(crate) use report::{Report, input_state, number};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "failoverswitch",
        gst::DebugColorFlags::empty(),
        Some("Stream failover switch"),
    )
});

glib::wrapper! {
    /// The element `failoverswitch`.
    pub struct FailoverSwitch(ObjectSubclass<imp::FailoverSwitch>)
        @extends gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

impl FailoverSwitch {
    /// For tests that turn the clock by hand: how many waits for it are on, `None` while anything can
    /// still be sent without it.
    #[doc(hidden)]
    pub fn waits(&self) -> Option<u32> {
        self.imp().waits()
    }

    /// For tests: what `failoversrc` says of inputs whose thread may be held up while they stand by.
    #[doc(hidden)]
    pub fn let_rest(&self, input: u32) {
        self.imp().let_rest(crate::policy::InputId(input), true);
    }
}

/// When to go back to a preferred input that is well again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, glib::Enum)]
#[repr(u32)]
#[enum_type(name = "GstFailoverSwitchBack")]
pub enum SwitchBack {
    /// When it has been healthy for the recovery time.
    #[default]
    #[enum_value(
        name = "When it has been healthy for the recovery time",
        nick = "after-recovery"
    )]
    AfterRecovery = 0,
    /// Only when the input on air fails.
    #[enum_value(name = "Only when the input on air fails", nick = "on-failure")]
    OnFailure = 1,
    /// Never back by itself. When the input on air fails, a healthy one behind it follows, and
    /// one before it only where there is none. With two inputs this is [`Self::OnFailure`].
    #[enum_value(
        name = "Only when told to; a failure goes on to a later input, if one is healthy",
        nick = "manual"
    )]
    Manual = 2,
}

impl From<SwitchBack> for crate::policy::SwitchBack {
    fn from(mode: SwitchBack) -> Self {
        match mode {
            SwitchBack::AfterRecovery => Self::AfterRecovery,
            SwitchBack::OnFailure => Self::OnFailure,
            SwitchBack::Manual => Self::Manual,
        }
    }
}

/// What happened, for the owner of a switch.
#[derive(Clone, Debug)]
pub(crate) enum SwitchEvent {
    Switched(Report),
    Health {
        input: InputId,
        old: HealthKind,
        new: HealthKind,
        cause: Option<Cause>,
        silence: Option<Silence>,
        /// What it lacks, if it is incomplete.
        missing: Vec<StreamId>,
    },
    /// Which streams of an input pause has changed.
    Pauses,
    EverythingDown,
    SomethingUp,
    /// A cold standby is needed.
    Start(InputId),
    /// It is not needed any more.
    Stop(InputId),
    /// A stream of an input has come to its end.
    StreamEnded {
        input: InputId,
        stream: StreamId,
    },
    /// Downstream wants no more of this stream.
    Ended(StreamId),
}

/// Which stream an input was given up for, and how long it has been silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    pub(crate) stream: StreamId,
    pub(crate) lasts: Span,
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "failoverswitch",
        gst::Rank::NONE,
        FailoverSwitch::static_type(),
    )
}
