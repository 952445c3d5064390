// SPDX-License-Identifier: MPL-2.0
//! The naive model's comparison of the inputs: what all bring, and what each of them lacks of it.

use super::model::{Entry, Model};
use super::model_health::Level;
use super::*;

/// How things stood after one entry of the log.
#[derive(Default)]
pub(super) struct Comparison {
    inputs: Vec<(InputId, Lacking)>,
}

/// What an input lacks: pictures, then all else.
#[derive(Clone, Default)]
pub(super) struct Lacking {
    pub(super) lack: (usize, usize),
    /// Of it, what it has had its time for.
    pub(super) due: (usize, usize),
    /// What it never brought in this attempt and has had its time for.
    pub(super) missed: Vec<StreamId>,
}

impl Comparison {
    pub(super) fn of(&self, input: InputId) -> Lacking {
        let known = self.inputs.iter().find(|(one, _)| *one == input);
        known
            .map(|(_, lacking)| lacking.clone())
            .unwrap_or_default()
    }

    pub(super) fn knows(&self, input: InputId) -> bool {
        self.inputs.iter().any(|(one, _)| *one == input)
    }
}

impl Model {
    /// After the entry that was written last.
    pub(super) fn compare(&self) -> Comparison {
        let end = self.log.len() - 1;
        let brought: Vec<_> = self
            .inputs()
            .into_iter()
            .map(|input| (input, self.brings(input)))
            .collect();
        let mut programme = Vec::<(StreamId, Moment)>::new();
        for (stream, since) in brought.iter().flat_map(|(_, streams)| streams) {
            let may_never_come = self.own_timeout(*stream, end) == Span::MAX;
            match programme.iter_mut().find(|known| known.0 == *stream) {
                _ if may_never_come => {}
                Some(known) => known.1 = known.1.min(*since),
                None => programme.push((*stream, *since)),
            }
        }
        let inputs = brought.iter();
        let inputs =
            inputs.map(|(input, streams)| (*input, self.lacking(*input, streams, &programme)));
        Comparison {
            inputs: inputs.collect(),
        }
    }

    /// What a healthy input brings, and since when.
    fn brings(&self, input: InputId) -> Vec<(StreamId, Moment)> {
        let end = self.log.len() - 1;
        if !self.kind_at_end(input).is_healthy() {
            return Vec::new();
        }
        let mut streams = self.counted(input, end);
        streams.retain(|stream| stream.removed.is_none());
        streams.retain(|stream| self.pulse(stream, end) != Level::Silent);
        let brings = streams.iter();
        brings
            .filter_map(|stream| Some((stream.id, self.began(stream)?)))
            .collect()
    }

    fn lacking(
        &self,
        input: InputId,
        brings: &[(StreamId, Moment)],
        programme: &[(StreamId, Moment)],
    ) -> Lacking {
        let end = self.log.len() - 1;
        let (now, entry) = self.log[end];
        let has = |stream| brings.iter().any(|(one, _)| *one == stream);
        let lost = self.lost(input);
        let mut missed = self.still_missed(input);
        missed.retain(|stream| !has(*stream) && programme.iter().any(|one| one.0 == *stream));
        let fed_since = brings.iter().map(|(_, since)| *since).min();
        for (stream, since) in programme.iter().copied() {
            let Some(fed_since) = fed_since else {
                break;
            };
            let timeout = self.timeout_of(input, stream, end);
            let begun = self.waiting_since(input) + self.configs[end].startup_timeout;
            let went = self.went(input, stream).unwrap_or(fed_since);
            let due = begun.max(fed_since.max(since).max(went) + timeout);
            let never = self.configs[end].startup_timeout == Span::MAX;
            let is_new = !has(stream) && !lost.contains(&stream) && !missed.contains(&stream);
            if matches!(entry, Entry::Wake) && is_new && !never && due <= now {
                missed.push(stream);
            }
        }
        let count = |is_lacking: &dyn Fn(StreamId) -> bool| {
            let lacking = programme.iter().map(|(stream, _)| *stream);
            let lacking = lacking.filter(|stream| !has(*stream) && is_lacking(*stream));
            let is_video = |stream: &StreamId| self.media_of(*stream, end) == Media::Video;
            let (videos, others) = lacking.partition::<Vec<_>, _>(is_video);
            (videos.len(), others.len())
        };
        Lacking {
            lack: count(&|_| true),
            due: count(&|stream| missed.contains(&stream) || lost.contains(&stream)),
            missed,
        }
    }

    /// When the input's stream went that had brought something in this attempt.
    fn went(&self, input: InputId, stream: StreamId) -> Option<Moment> {
        let streams = self.streams(input, self.log.len() - 1);
        let mut went = streams
            .iter()
            .filter(|one| one.id == stream && !one.beats.is_empty());
        went.rfind(|one| one.removed.is_some())
            .and_then(|one| Some(self.log[one.removed?].0))
    }

    fn lost(&self, input: InputId) -> Vec<StreamId> {
        let end = self.log.len() - 1;
        let mut counted = self.counted(input, end);
        counted.retain(|stream| self.pulse(stream, end) == Level::Silent);
        counted.iter().map(|stream| stream.id).collect()
    }

    /// What was missed before, unless another attempt has begun.
    fn still_missed(&self, input: InputId) -> Vec<StreamId> {
        let end = self.log.len() - 1;
        let mut missed = self.comparison().of(input).missed;
        let counted = self.counted(input, end);
        missed.retain(|stream| {
            !counted
                .iter()
                .any(|one| one.id == *stream && one.removed.is_none())
        });
        match self.log[end].1 {
            Entry::Fact(Observation::Connecting { input: one })
            | Entry::Fact(Observation::InputAdded { input: one, .. })
            | Entry::Stopped(one)
                if one == input =>
            {
                missed.clear();
            }
            Entry::Fact(Observation::Failed { input: one, .. })
                if one == input && self.is_running(input) =>
            {
                missed.clear();
            }
            _ => {}
        }
        missed
    }
}
