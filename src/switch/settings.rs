// SPDX-License-Identifier: MPL-2.0
//! What a user sets at `failoverswitch`, and what the policy is told of it.

use super::SwitchBack;
use crate::policy::{Config, Span};

pub(super) const DEFAULT_TIMEOUT: u64 = 1_000_000_000;
pub(super) const DEFAULT_RECOVERY: u64 = 5_000_000_000;
/// As the recovery time, but the most that relapses make of it.
const RECOVERY_MAX: Span = Span::from_secs(300);

/// Times in nanoseconds.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) timeout: u64,
    pub(crate) startup_timeout: u64,
    /// 0: as the timeout.
    pub(crate) video_timeout: u64,
    pub(crate) audio_timeout: u64,
    pub(crate) recovery_time: u64,
    pub(crate) switch_back: SwitchBack,
    pub(crate) auto_switch: bool,
    pub(crate) immediate_fallback: bool,
    pub(crate) stop_on_eos: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: DEFAULT_TIMEOUT,
            startup_timeout: u64::MAX,
            video_timeout: 0,
            audio_timeout: 0,
            recovery_time: DEFAULT_RECOVERY,
            switch_back: SwitchBack::default(),
            auto_switch: true,
            immediate_fallback: false,
            stop_on_eos: false,
        }
    }
}

impl Settings {
    /// As the policy takes them.
    pub(super) fn config(&self) -> Config {
        let startup = match self.startup_timeout {
            u64::MAX => self.timeout,
            own => own,
        };
        let own = |timeout: u64| (timeout > 0).then(|| Span::from_nanos(timeout));
        Config {
            timeout: Span::from_nanos(self.timeout),
            video_timeout: own(self.video_timeout),
            audio_timeout: own(self.audio_timeout),
            startup_timeout: Span::from_nanos(startup),
            recovery_time: Span::from_nanos(self.recovery_time),
            recovery_max: RECOVERY_MAX,
            switch_back: self.switch_back.into(),
            immediate: self.immediate_fallback,
            automatic: self.auto_switch,
        }
    }
}
