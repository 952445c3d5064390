// SPDX-License-Identifier: MPL-2.0
//! MECHANISM: `failoverswitch`. Knows pads, segments and buffers, and decides nothing by itself: which
//! input is on air is the [policy](crate::policy)'s word.

mod brain;
pub mod cut;
mod cutting;
mod events;
mod flow;
mod imp;
mod pad;
mod pads;
mod report;
mod sending;
pub mod standby;
mod state;
pub mod timeline;

use crate::policy::{Cause, HealthKind, InputId};
use gst::glib;
use gst::prelude::*;
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
    /// Only when told to.
    #[enum_value(name = "Only when told to", nick = "manual")]
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
    },
    EverythingDown,
    SomethingUp,
    /// A cold standby is needed.
    Start(InputId),
    /// It is not needed any more.
    Stop(InputId),
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "failoverswitch",
        gst::Rank::NONE,
        FailoverSwitch::static_type(),
    )
}
