// SPDX-License-Identifier: MPL-2.0
//! PURE: where a cut falls. Numbers of output time only, nanoseconds.
//!
//! One stream of the new input, its *gate*, decides for all: the video where there is one. A gate of
//! encoded video opens on a key frame only. What was sent is never sent again and time never goes
//! back. While the old input still delivers, nothing may be lost either, so the new one waits until
//! it fits on to the end of what was sent. The other streams follow the gate.

use super::standby::Coding;

/// How late a raw piece from memory may be sent, so that no sink shows it late.
const STILL_ON_TIME: i64 = 2_000_000;
/// How far a living input may be moved later, beyond its own lateness, when its key frames always
/// come behind.
const MOST_SHIFT: i64 = 250_000_000;
/// A hole that a living input may be about to fill.
const WORTH_WAITING: i64 = 150_000_000;
/// An active input that falls further behind is placed anew.
const MOST_BEHIND: i64 = 1_000_000_000;
/// A group of so few pictures is decoded in no time.
const CHEAP: usize = 3;
/// A latency that hides the decoding of any sane group.
const CATCH_UP: i64 = 500_000_000;
/// Times of whole milliseconds are this far apart from the true ones, at most.
const ROUNDED: i64 = 2_000_000;
/// What is taken for the length of a piece that does not say.
const SOME_LENGTH: i64 = 10_000_000;

/// Where an output stream stands: the last piece that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    pub order: i64,
    pub start: i64,
    /// The furthest end of all that was sent.
    pub end: i64,
}

/// A piece at hand, in output time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    pub order: i64,
    pub start: i64,
    pub end: i64,
    pub key: bool,
}

/// What a cut depends on.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    pub coding: Coding,
    /// A piece can be cut in two: raw sound.
    pub divisible: bool,
    /// `None`: nothing was sent on this stream yet.
    pub position: Option<Position>,
    /// What has left for good: as `position`, unless pieces are held back.
    pub left: Option<Position>,
    /// Where the first of the leaving input's other streams stopped.
    pub others_end: Option<i64>,
    pub now: i64,
    /// What was promised downstream: a piece is on time until start + latency.
    pub latency: i64,
    /// How late the new input's pieces come by habit.
    pub lateness: i64,
    /// The input that leaves still delivers on this stream.
    pub alive: bool,
    /// Waited long enough for a piece that leaves no hole.
    pub waited: bool,
    /// Key frames came, and came too late.
    pub missed: bool,
    /// A decoder follows: what lies before the cut may be sent to it and is not shown.
    pub unseen: bool,
    /// Where the new input's next key frame should be.
    pub next_key: Option<i64>,
    /// What one of its pictures takes a decoder, about.
    pub decoding: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// Nothing at hand to begin with.
    Wait,
    /// There is, but the living input should first come up to it.
    Ready,
    /// Begin with piece `first` (it may be yet to come), the new input moved later by `shift`.
    At { first: usize, shift: i64 },
    /// Begin with key frame `first`, decode unseen up to `show`, and show from there.
    CatchUp { first: usize, show: i64 },
}

/// Looks for the cut among the pieces of the gate; the last one has just arrived.
pub fn find(situation: &Situation, pieces: &[Placed]) -> Cut {
    if let Some(catch_up) = situation.catch_up(pieces) {
        return catch_up;
    }
    if let Some(first) = situation.exchange(pieces) {
        return Cut::At { first, shift: 0 };
    }
    let newest = pieces.len().saturating_sub(1);
    let usable = |(i, piece): &(usize, &Placed)| {
        (situation.coding != Coding::Delta || piece.key)
            && situation.is_on_time(piece, *i == newest)
    };
    let fitting = pieces
        .iter()
        .enumerate()
        .filter(usable)
        .find(|(_, piece)| situation.fits(piece));
    if let Some((first, piece)) = fitting {
        if situation.joins(piece) || situation.waited || !situation.alive {
            return Cut::At { first, shift: 0 };
        }
        return Cut::Ready;
    }
    if situation.coding == Coding::Delta {
        return shifted(situation, pieces, newest);
    }
    if situation.waited {
        // It lags behind: the old one stops here, and it begins when it has come this far.
        return Cut::At {
            first: pieces.len(),
            shift: 0,
        };
    }
    Cut::Ready
}

/// The first piece to be sent of a stream of the new input, none of it before `floor`; the number of
/// pieces when it is yet to come.
pub fn follow(situation: &Situation, pieces: &[Placed], floor: i64) -> usize {
    if situation.unseen {
        return catch_up_from(situation.coding, pieces, floor);
    }
    let newest = pieces.len().saturating_sub(1);
    pieces
        .iter()
        .enumerate()
        .find(|(i, piece)| {
            (situation.coding != Coding::Delta || piece.key)
                && situation.is_on_time(piece, *i == newest)
                && situation.reaches(piece, floor)
                && situation.fits(piece)
        })
        .map_or(pieces.len(), |(i, _)| i)
}

/// Until when an input that is active is waited for, while nothing that it brings is sent: the output stands at
/// `from`, and a piece that starts at `start` comes now. What lies behind `from` by that much comes by then.
pub fn awaited_until(from: i64, start: i64, now: i64, latency: i64) -> i64 {
    let late = now.saturating_sub(start).min(MOST_BEHIND).max(latency);
    from.saturating_add(late)
}

/// Where a decoder has to begin to show what is at `show`.
fn catch_up_from(coding: Coding, pieces: &[Placed], show: i64) -> usize {
    let before = pieces.iter().rposition(|p| p.key && p.start <= show);
    let reached = pieces.iter().position(|p| p.end > show);
    match coding {
        Coding::Delta => before.or_else(|| pieces.iter().position(|p| p.key)),
        Coding::Raw | Coding::Independent => reached,
    }
    .unwrap_or(pieces.len())
}

/// Where the pictures of a group begin that lie behind `end` for the greater part, going by the pace of the
/// one before. A segment that starts just there shows them all, and of the one before nothing.
fn shown_from(group: &[Placed], end: i64) -> i64 {
    let before = group.iter().filter(|piece| piece.middle() < end);
    let Some(before) = before.max_by_key(|piece| piece.start) else {
        return end;
    };
    let length = before.end.saturating_sub(before.start);
    if length <= 0 {
        return end;
    }
    let missing = end.saturating_sub(before.half()).saturating_sub(before.end);
    let pictures = missing.max(0).saturating_add(length - 1) / length;
    let begin = before
        .start
        .saturating_add(length.saturating_mul(pictures + 1));
    begin.saturating_add(ROUNDED)
}

/// A living input whose key frame came too late: after enough patience it is moved later by that
/// much, for its next key frame would come just as late.
fn shifted(situation: &Situation, pieces: &[Placed], newest: usize) -> Cut {
    let (Some(position), Some(piece)) = (situation.position, pieces.get(newest)) else {
        return Cut::Wait;
    };
    let behind = position
        .end
        .saturating_sub(piece.start)
        .max(position.order.saturating_add(1).saturating_sub(piece.order));
    // What was sent ahead of the clock will not come back to it.
    let ran_ahead = position.end.saturating_sub(situation.now).max(0);
    let most = situation.lateness.max(ran_ahead).saturating_add(MOST_SHIFT);
    if piece.key && situation.missed && behind <= most {
        return Cut::At {
            first: newest,
            shift: behind.max(0),
        };
    }
    Cut::Wait
}

impl Situation {
    /// A decoder follows: no key frame is waited for. What would be late is not shown either. A living
    /// input is left only where the decoder has caught up at once, or where the latency hides it.
    fn catch_up(&self, pieces: &[Placed]) -> Option<Cut> {
        let position = self
            .position
            .filter(|_| self.unseen && self.coding == Coding::Delta)?;
        let late = self.now.saturating_sub(self.latency);
        let end = if self.alive {
            position.end
        } else {
            self.stopped_at(&position).max(late)
        };
        let first = pieces.iter().rposition(|p| p.key && p.start <= end)?;
        let group = pieces.get(first..)?;
        let worthwhile = if self.alive {
            group.len() <= CHEAP || self.latency >= CATCH_UP
        } else {
            !self.brings_a_key_frame_before(group, end)
        };
        let show = shown_from(group, end);
        worthwhile.then_some(Cut::CatchUp { first, show })
    }

    /// The next key frame is there before these are decoded.
    fn brings_a_key_frame_before(&self, group: &[Placed], end: i64) -> bool {
        let pictures = i64::try_from(group.len()).unwrap_or(i64::MAX);
        let decoded = self
            .now
            .saturating_add(pictures.saturating_mul(self.decoding));
        let hidden = end.saturating_add(self.latency) >= decoded;
        let newest = group.last().map_or(i64::MAX, |piece| piece.start);
        let next = self.next_key.filter(|next| *next > newest);
        let there = next.map(|next| next.max(self.now).saturating_add(self.lateness));
        !hidden && there.is_some_and(|there| there < decoded)
    }

    /// What is held back of the old input can be exchanged for the new one's, from the last key frame
    /// on that leaves no hole behind it.
    fn exchange(&self, pieces: &[Placed]) -> Option<usize> {
        let position = self.position.filter(|_| self.position != self.left)?;
        let end = self.stopped_at(&position);
        if self.unseen || self.coding != Coding::Delta {
            return None;
        }
        pieces.iter().rposition(|piece| {
            piece.key
                && piece.start <= end.saturating_add(piece.half())
                && self.left.is_none_or(|left| left.is_followed_by(piece))
        })
    }

    /// Where the old input ceased to be whole, as far as what came since can be taken back.
    fn stopped_at(&self, position: &Position) -> i64 {
        let others = self.others_end.filter(|_| !self.alive);
        let left = self.left.map_or(i64::MIN, |left| left.end);
        others.unwrap_or(position.end).max(left).min(position.end)
    }

    /// Neither repeats nor goes back.
    fn fits(&self, piece: &Placed) -> bool {
        self.position.is_none_or(|position| {
            let later = piece.order > position.order && piece.start > position.start;
            (later || self.divisible) && self.reaches(piece, position.end)
        })
    }

    /// Begins there or later, but for what can be cut off, or for half a piece.
    fn reaches(&self, piece: &Placed, from: i64) -> bool {
        if self.divisible && piece.end > piece.start {
            piece.end > from
        } else {
            piece.middle() >= from
        }
    }

    /// Leaves no hole behind what was sent, or one that the old input will not fill soon.
    fn joins(&self, piece: &Placed) -> bool {
        self.position.is_none_or(|position| {
            let hole = piece.start.saturating_sub(position.end);
            let next = position.end.saturating_sub(position.start);
            let is_filled = position.end.saturating_add(next) <= piece.middle();
            hole <= piece.half() || !is_filled || hole > WORTH_WAITING
        })
    }

    /// What has just come cannot come sooner, however late it is, and what follows it will be no earlier.
    fn is_on_time(&self, piece: &Placed, newest: bool) -> bool {
        let due = piece.start.saturating_add(self.latency);
        self.coding != Coding::Raw || newest || due >= self.now.saturating_sub(STILL_ON_TIME)
    }
}

impl Position {
    fn is_followed_by(&self, piece: &Placed) -> bool {
        let in_order = piece.order > self.order && piece.start > self.start;
        in_order && piece.middle() >= self.end
    }
}

impl Placed {
    pub(super) fn half(&self) -> i64 {
        let length = self.end.saturating_sub(self.start);
        if length > 0 {
            length / 2
        } else {
            SOME_LENGTH / 2
        }
    }

    /// When a picture is shown that comes behind this key frame, the first of an input on air. `None`: one that is
    /// decoded behind it and shown before it needs what was cut off. Where decoding goes back as well, it is
    /// the sender's time that does, as behind a jitter buffer after a burst: what follows needs the picture.
    pub(super) fn start_behind(&self, order: i64, start: i64) -> Option<i64> {
        let is_leading = start < self.start && order >= self.order;
        (!is_leading).then(|| start.max(self.start))
    }

    pub(super) fn middle(&self) -> i64 {
        self.start.saturating_add(self.half())
    }
}

#[cfg(test)]
mod tests;
