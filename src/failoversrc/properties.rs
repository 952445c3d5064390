// SPDX-License-Identifier: MPL-2.0
//! What a changed property does: it is kept, and where it can act at once it is handed on. Nothing
//! here blocks.

use super::control::Order;
use super::imp::FailoverSrc;
use super::output::{longest, mode};
use super::{CAT, Slate};
use crate::policy::InputId;
use crate::sources::Description;
use crate::switch::SwitchBack;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

impl FailoverSrc {
    pub(super) fn set_timeout(&self, value: u64) {
        self.lock_settings().timeout = value;
        self.switch().set_property("timeout", value);
    }

    pub(super) fn set_startup_timeout(&self, value: u64) {
        self.lock_settings().startup_timeout = value;
        self.switch().set_property("startup-timeout", value);
        self.order(Order::Patience(self.settings().startup()));
    }

    pub(super) fn set_video_timeout(&self, value: u64) {
        self.lock_settings().video_timeout = value;
        self.switch().set_property("video-timeout", value);
    }

    pub(super) fn set_audio_timeout(&self, value: u64) {
        self.lock_settings().audio_timeout = value;
        self.switch().set_property("audio-timeout", value);
    }

    pub(super) fn set_recovery_time(&self, value: u64) {
        self.lock_settings().recovery_time = value;
        self.switch().set_property("recovery-time", value);
    }

    pub(super) fn set_switch_back(&self, value: SwitchBack) {
        self.lock_settings().switch_back = value;
        self.switch().set_property("switch-back", value);
    }

    pub(super) fn set_latency(&self, value: u64) {
        self.lock_settings().latency = value;
        let queues = self.outputs().queues();
        for queue in queues {
            queue.set_property("max-size-time", longest(value));
        }
        self.switch().set_property("latency", value);
    }

    pub(super) fn set_standby_max_time(&self, value: u64) {
        self.lock_settings().standby_max_time = value;
        self.switch().set_property("standby-max-time", value);
    }

    pub(super) fn set_standby_max_bytes(&self, value: u64) {
        self.lock_settings().standby_max_bytes = value;
        self.switch().set_property("standby-max-bytes", value);
    }

    pub(super) fn set_slate(&self, value: Slate) {
        self.lock_settings().slate = value;
        for output in self.outputs().iter() {
            if let Some(slate) = &output.slate {
                slate.set_mode(mode(value));
            }
        }
    }

    pub(super) fn set_force_input(&self, value: i32) {
        let input = u32::try_from(value).ok().map(InputId);
        let switch = self.switch().imp();
        if self.has_control() && input.is_some_and(|input| !switch.has_input(input)) {
            gst::warning!(
                CAT,
                imp = self,
                "force-input: there is no input {value}, ignored"
            );
            return;
        }
        self.lock_settings().force_input = value;
        switch.hold(input);
    }

    pub(super) fn set_primary_uri(&self, uri: Option<String>) {
        let is_element = self.settings().primary_source.is_some();
        if self.describe(InputId(0), uri.as_deref(), is_element) {
            self.lock_settings().primary_uri = uri;
        }
    }

    pub(super) fn set_backup_uri(&self, uri: Option<String>) {
        let is_element = self.settings().backup_source.is_some();
        if self.has_control() && !self.has_backup.load(SeqCst) {
            let text = "backup-uri: this run began without a backup, it is for the next one";
            gst::warning!(CAT, imp = self, "{text}");
        } else if !self.describe(InputId(1), uri.as_deref(), is_element) {
            return;
        }
        self.lock_settings().backup_uri = uri;
    }

    /// A new URI for a running input; one that can never work changes nothing. Whether it is to be kept.
    fn describe(&self, input: InputId, uri: Option<&str>, is_element: bool) -> bool {
        if !self.has_control() {
            return true;
        }
        let checked = match uri {
            _ if is_element => Err("it plays an element".to_owned()),
            None | Some("") => Err("it needs a URI while it plays".to_owned()),
            Some(uri) => {
                let description = Description::Uri(uri.to_owned());
                let checked = description.check().map_err(|error| error.to_string());
                checked.map(|()| description)
            }
        };
        match checked {
            Ok(description) => {
                self.order(Order::Describe(input, description));
                true
            }
            Err(text) => {
                gst::warning!(CAT, imp = self, "input {} stays as it is: {text}", input.0);
                false
            }
        }
    }

    pub(super) fn set_uri_property(&self, uri: Option<String>) {
        let Some(uri) = uri else {
            let mut settings = self.lock_settings();
            settings.uri = None;
            settings.refused_uri = None;
            return;
        };
        // A property cannot be refused: it is said at the start.
        if let Err(refusal) = self.apply_uri(&uri) {
            gst::warning!(CAT, imp = self, "uri is not used: {refusal}");
            self.lock_settings().refused_uri = Some(refusal);
        }
    }

    pub(super) fn apply_uri(&self, uri: &str) -> Result<(), String> {
        let settings = {
            let mut settings = self.lock_settings();
            settings.apply_uri(uri)?;
            settings.clone()
        };
        let switch = self.switch();
        switch.set_property("timeout", settings.timeout);
        switch.set_property("startup-timeout", settings.startup_timeout);
        switch.set_property("video-timeout", settings.video_timeout);
        switch.set_property("audio-timeout", settings.audio_timeout);
        switch.set_property("recovery-time", settings.recovery_time);
        switch.set_property("switch-back", settings.switch_back);
        switch.set_property("latency", settings.latency);
        Ok(())
    }

    pub(super) fn stats(&self) -> gst::Structure {
        let mut stats = self.switch().property::<gst::Structure>("stats");
        let filled: u64 = self
            .outputs()
            .iter()
            .filter_map(|output| output.slate.as_ref())
            .map(super::slate::Slate::filled)
            .sum();
        let stopping = Arc::strong_count(&self.stopping).saturating_sub(1);
        let failed: u64 = self
            .outputs()
            .iter()
            .filter_map(|output| output.decode.as_ref())
            .map(super::decode::Decode::failures)
            .sum();
        stats.set("num-slate-buffers", filled);
        stats.set("num-decoder-failures", failed);
        stats.set(
            "num-sources-stopping",
            u32::try_from(stopping).unwrap_or(u32::MAX),
        );
        stats
    }
}
