// SPDX-License-Identifier: MPL-2.0
//! What was asked for, and what it comes to: raw settings become a `Resolved` once, at NULL→READY,
//! so that what can never work fails once, with one clear error, and nothing is validated twice.

use super::{Output, Slate, Standby, address};
use crate::policy::Span;
use crate::sources::Description;
use crate::switch::SwitchBack;
use crate::switch::standby::Bounds;
use gst::prelude::*;

pub(super) const SECOND: u64 = 1_000_000_000;
/// A server that has the stream brings its first buffer within a second or two; a viewer who waits longer has gone.
pub(super) const STARTUP: u64 = 2 * SECOND;

#[derive(Clone)]
pub(super) struct Settings {
    pub(super) uri: Option<String>,
    /// Why the last `uri` that was set cannot be used.
    pub(super) refused_uri: Option<Refusal>,
    pub(super) primary_uri: Option<String>,
    pub(super) backup_uri: Option<String>,
    pub(super) primary_source: Option<gst::Element>,
    pub(super) backup_source: Option<gst::Element>,
    pub(super) backup_uris: Vec<String>,
    pub(super) timeout: u64,
    pub(super) startup_timeout: u64,
    /// 0: as the timeout.
    pub(super) video_timeout: u64,
    pub(super) audio_timeout: u64,
    pub(super) recovery_time: u64,
    pub(super) switch_back: SwitchBack,
    pub(super) latency: u64,
    pub(super) standby_max_time: u64,
    pub(super) standby_max_bytes: u64,
    pub(super) output: Output,
    pub(super) standby: Standby,
    pub(super) slate: Slate,
    pub(super) slate_from_start: bool,
    pub(super) retry_initial: u64,
    pub(super) retry_max: u64,
    pub(super) force_input: i32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: None,
            refused_uri: None,
            primary_uri: None,
            backup_uri: None,
            primary_source: None,
            backup_source: None,
            backup_uris: vec![],
            timeout: SECOND,
            startup_timeout: STARTUP,
            video_timeout: 0,
            audio_timeout: 0,
            recovery_time: 5 * SECOND,
            switch_back: SwitchBack::default(),
            latency: 0,
            standby_max_time: Bounds::TIME,
            standby_max_bytes: Bounds::BYTES,
            output: Output::default(),
            standby: Standby::default(),
            slate: Slate::default(),
            slate_from_start: false,
            retry_initial: SECOND / 2,
            retry_max: 30 * SECOND,
            force_input: -1,
        }
    }
}

/// Valid by its type: at least one input, each of them possible.
#[derive(Clone)]
pub(super) struct Resolved {
    pub(super) inputs: Vec<Description>,
    /// The second is the backup.
    pub(super) has_backup: bool,
    pub(super) standby: Standby,
}

/// A configuration that can never work, in words for whoever wrote it.
pub(super) type Refusal = String;

impl Settings {
    pub(super) fn resolve(&self) -> Result<Resolved, Refusal> {
        if let Some(refusal) = &self.refused_uri {
            return Err(format!("uri: {refusal}"));
        }
        let mut inputs = vec![];
        let primary = one("primary", &self.primary_uri, &self.primary_source)?;
        let backup = one("backup", &self.backup_uri, &self.backup_source)?;
        if primary.is_none() {
            return Err(
                "no primary is set: set primary-uri or primary-source (or uri=failover:?primary=…)"
                    .to_owned(),
            );
        }
        if let (Some(Description::Element(a)), Some(Description::Element(b))) = (&primary, &backup)
            && a == b
        {
            return Err(format!(
                "element '{}' is both primary-source and backup-source: give each input its own",
                a.name()
            ));
        }
        let has_backup = backup.is_some();
        let named = |name: String, input| (name, input);
        inputs.extend(primary.map(|input| named("primary".to_owned(), input)));
        inputs.extend(backup.map(|input| named("backup".to_owned(), input)));
        let further = self.backup_uris.iter().enumerate();
        inputs.extend(
            further
                .map(|(i, uri)| named(format!("backup-uris[{i}]"), Description::Uri(uri.clone()))),
        );
        for (name, input) in &inputs {
            input.check().map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Resolved {
            inputs: inputs.into_iter().map(|(_, input)| input).collect(),
            has_backup,
            standby: self.standby,
        })
    }

    pub(super) fn startup(&self) -> Span {
        Span::from_nanos(self.startup_timeout)
    }

    /// Takes a whole configuration from one text: [`address`]. On a refusal nothing changes.
    pub(super) fn apply_uri(&mut self, uri: &str) -> Result<(), Refusal> {
        let asked = address::parse(uri)?;
        let mut changed = self.clone();
        for (key, value) in &asked.fields {
            changed.apply_field(key, value)?;
        }
        let mut inputs = asked.inputs.into_iter();
        changed.primary_uri = inputs.next();
        changed.backup_uri = inputs.next();
        changed.backup_uris = inputs.collect();
        changed.uri = Some(uri.to_owned());
        changed.refused_uri = None;
        *self = changed;
        Ok(())
    }

    /// No refusal repeats what was written: it may be a part of a URI whose `&` was not escaped, and of its password.
    fn apply_field(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        let time = || {
            let message = format!("{key} of a failover: URI is a number of nanoseconds");
            // The properties take one less than all.
            let time = value.parse::<u64>().ok().filter(|time| *time < u64::MAX);
            time.ok_or(message)
        };
        // These take all.
        let own = || {
            let all = if value == "-1" {
                Some(u64::MAX)
            } else {
                value.parse().ok()
            };
            all.ok_or_else(|| format!("{key} of a failover: URI is a number of nanoseconds, or -1"))
        };
        match key {
            "timeout" => self.timeout = time()?,
            "startup-timeout" => self.startup_timeout = time()?,
            "video-timeout" => self.video_timeout = own()?,
            "audio-timeout" => self.audio_timeout = own()?,
            "recovery-time" => self.recovery_time = time()?,
            "latency" => self.latency = time()?,
            "retry-initial" => self.retry_initial = time()?,
            "retry-max" => self.retry_max = time()?,
            "standby" => self.standby = nick("standby", value)?,
            "slate" => self.slate = nick("slate", value)?,
            "output" => self.output = nick("output", value)?,
            "switch-back" => self.switch_back = nick("switch-back", value)?,
            "force-input" => {
                let input = value.parse::<i32>().ok().filter(|input| *input >= -1);
                self.force_input = input
                    .ok_or("force-input of a failover: URI is the number of an input or -1")?;
            }
            _ => {
                return Err(
                    "a field of the failover: URI is none of primary, backup, timeout, \
                            startup-timeout, video-timeout, audio-timeout, recovery-time, retry-initial, retry-max, latency, \
                            standby, slate, output, switch-back, force-input; percent-encode the \
                            URIs in it"
                        .to_owned(),
                );
            }
        }
        Ok(())
    }
}

fn one(
    name: &str,
    uri: &Option<String>,
    source: &Option<gst::Element>,
) -> Result<Option<Description>, Refusal> {
    match (uri.as_deref().filter(|uri| !uri.is_empty()), source) {
        (Some(_), Some(_)) => Err(format!(
            "both {name}-uri and {name}-source are set: set one of them"
        )),
        (Some(uri), None) => Ok(Some(Description::Uri(uri.to_owned()))),
        (None, Some(source)) => Ok(Some(Description::Element(source.clone()))),
        (None, None) => Ok(None),
    }
}

/// An enum value by its nick.
fn nick<T>(field: &str, value: &str) -> Result<T, Refusal>
where
    T: StaticType + for<'v> gst::glib::value::FromValue<'v>,
{
    let class = gst::glib::EnumClass::with_type(T::static_type());
    let chosen = class
        .as_ref()
        .and_then(|class| class.to_value_by_nick(value));
    chosen
        .and_then(|value| value.get::<T>().ok())
        .ok_or_else(|| {
            let values = class.as_ref().map(|class| class.values());
            let nicks: Vec<_> = values
                .into_iter()
                .flatten()
                .map(|value| value.nick())
                .collect();
            format!("{field} of a failover: URI is one of {}", nicks.join(", "))
        })
}
