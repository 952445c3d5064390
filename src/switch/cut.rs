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
/// How much later than by habit the newest raw piece may come and still be of use.
const MOST_JITTER: i64 = 500_000_000;
/// How far a living input may be moved later, beyond its own lateness, when its key frames always
/// come behind.
const MOST_SHIFT: i64 = 250_000_000;
/// A hole that a living input may be about to fill.
const WORTH_WAITING: i64 = 150_000_000;
/// A group of so few pictures is decoded in no time.
const CHEAP: usize = 3;
/// A latency that hides the decoding of any sane group.
const CATCH_UP: i64 = 500_000_000;
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
    let most = situation.lateness.saturating_add(MOST_SHIFT);
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
        let show = if self.alive {
            position.end
        } else {
            position.end.max(late)
        };
        let first = pieces.iter().rposition(|p| p.key && p.start <= show)?;
        let costly = pieces.len() - first > CHEAP && self.latency < CATCH_UP;
        (!self.alive || !costly).then_some(Cut::CatchUp { first, show })
    }

    /// What is held back of the old input can be exchanged for the new one's, from the last key frame
    /// on that leaves no hole behind it.
    fn exchange(&self, pieces: &[Placed]) -> Option<usize> {
        let end = self.position.filter(|_| self.position != self.left)?.end;
        if self.unseen || self.coding != Coding::Delta {
            return None;
        }
        pieces.iter().rposition(|piece| {
            piece.key
                && piece.start <= end.saturating_add(piece.half())
                && self.left.is_none_or(|left| left.is_followed_by(piece))
        })
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
            hole <= piece.half() || hole > WORTH_WAITING
        })
    }

    fn is_on_time(&self, piece: &Placed, newest: bool) -> bool {
        let allowed = match newest {
            true => self.lateness.saturating_add(MOST_JITTER),
            false => STILL_ON_TIME,
        };
        let due = piece.start.saturating_add(self.latency);
        self.coding != Coding::Raw || due >= self.now.saturating_sub(allowed)
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

    pub(super) fn middle(&self) -> i64 {
        self.start.saturating_add(self.half())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FRAME: i64 = 20_000_000;

    fn frame(n: i64, key: bool) -> Placed {
        Placed {
            order: n * FRAME,
            start: n * FRAME,
            end: (n + 1) * FRAME,
            key,
        }
    }

    fn sent_up_to(n: i64) -> Option<Position> {
        Some(Position {
            order: n * FRAME,
            start: n * FRAME,
            end: (n + 1) * FRAME,
        })
    }

    fn situation(coding: Coding, position: Option<Position>, now: i64) -> Situation {
        Situation {
            coding,
            divisible: false,
            position,
            left: position,
            now,
            latency: 0,
            lateness: 0,
            alive: false,
            waited: false,
            missed: false,
            unseen: false,
        }
    }

    fn at(first: usize) -> Cut {
        Cut::At { first, shift: 0 }
    }

    #[test]
    fn raw_pieces_from_memory_that_are_late_are_not_sent() {
        let pieces = [frame(10, true), frame(11, true), frame(12, true)];
        let now = situation(Coding::Raw, sent_up_to(3), 12 * FRAME);
        assert_eq!(find(&now, &pieces), at(2));
        let hidden = Situation {
            latency: FRAME,
            ..now
        };
        assert_eq!(find(&hidden, &pieces), at(1));
    }

    #[test]
    fn the_newest_piece_of_an_input_that_is_always_late_is_sent() {
        let late = situation(Coding::Raw, sent_up_to(3), 60 * FRAME);
        assert_eq!(find(&late, &[frame(10, true)]), Cut::Ready);
        let by_habit = Situation {
            lateness: 40 * FRAME,
            ..late
        };
        assert_eq!(find(&by_habit, &[frame(10, true)]), at(0));
    }

    #[test]
    fn encoded_video_is_cut_on_a_key_frame_only() {
        let dead = situation(Coding::Delta, sent_up_to(3), 12 * FRAME);
        assert_eq!(
            find(&dead, &[frame(11, false), frame(12, false)]),
            Cut::Wait
        );
        assert_eq!(find(&dead, &[frame(4, true), frame(5, false)]), at(0));
    }

    #[test]
    fn a_key_frame_that_was_shown_already_is_not_repeated() {
        let dead = situation(Coding::Delta, sent_up_to(3), 12 * FRAME);
        assert_eq!(find(&dead, &[frame(3, true), frame(4, false)]), Cut::Wait);
        assert_eq!(find(&dead, &[frame(2, true), frame(4, true)]), at(1));
    }

    #[test]
    fn before_a_decoder_no_key_frame_is_waited_for() {
        let dead = Situation {
            unseen: true,
            ..situation(Coding::Delta, sent_up_to(3), 12 * FRAME)
        };
        let pieces: Vec<_> = (0..12).map(|n| frame(n, n == 0 || n == 10)).collect();
        // Late pictures are not shown: the last key frame before now is enough.
        let now = 12 * FRAME;
        assert_eq!(
            find(&dead, &pieces),
            Cut::CatchUp {
                first: 10,
                show: now
            }
        );
        // With the latency to hide it, the cut is where the output stopped.
        let hidden = Situation {
            latency: 10 * FRAME,
            ..dead
        };
        let stopped = 4 * FRAME;
        assert_eq!(
            find(&hidden, &pieces),
            Cut::CatchUp {
                first: 0,
                show: stopped
            }
        );
        let sound = Situation {
            coding: Coding::Independent,
            ..hidden
        };
        assert_eq!(follow(&sound, &pieces, stopped), 4);
    }

    #[test]
    fn a_living_input_is_left_for_a_key_frame_that_comes_just_behind_it() {
        let alive = Situation {
            unseen: true,
            alive: true,
            ..situation(Coding::Delta, sent_up_to(3), 4 * FRAME)
        };
        let caught_up = Cut::CatchUp {
            first: 1,
            show: 4 * FRAME,
        };
        assert_eq!(find(&alive, &[frame(2, false), frame(3, true)]), caught_up);
        let long: Vec<_> = (0..4).map(|n| frame(n, n == 0)).collect();
        assert_eq!(find(&alive, &long), Cut::Wait);
        let hidden = Situation {
            latency: 100 * FRAME,
            ..alive
        };
        let whole = Cut::CatchUp {
            first: 0,
            show: 4 * FRAME,
        };
        assert_eq!(find(&hidden, &long), whole);
    }

    #[test]
    fn what_is_held_back_is_exchanged_from_the_last_key_frame_on() {
        let pieces: Vec<_> = (0..12).map(|n| frame(n, n % 4 == 0)).collect();
        for alive in [false, true] {
            let held = Situation {
                alive,
                left: sent_up_to(3),
                ..situation(Coding::Delta, sent_up_to(9), 12 * FRAME)
            };
            assert_eq!(find(&held, &pieces), at(8));
            // Nothing has left yet, and nothing is to be skipped.
            let early = Situation {
                left: None,
                position: sent_up_to(6),
                ..held
            };
            assert_eq!(find(&early, &pieces), at(4));
            let gone = Situation {
                left: sent_up_to(8),
                ..held
            };
            assert_eq!(find(&gone, &pieces), Cut::Wait);
        }
    }

    #[test]
    fn a_living_input_is_left_without_a_hole() {
        let alive = Situation {
            alive: true,
            ..situation(Coding::Delta, sent_up_to(3), 5 * FRAME)
        };
        assert_eq!(find(&alive, &[frame(5, true)]), Cut::Ready);
        assert_eq!(find(&alive, &[frame(4, true)]), at(0));
        let waited = Situation {
            waited: true,
            ..alive
        };
        assert_eq!(find(&waited, &[frame(5, true)]), at(0));
    }

    #[test]
    fn an_input_that_always_comes_just_behind_is_moved_later() {
        let behind = Situation {
            alive: true,
            missed: true,
            ..situation(Coding::Delta, sent_up_to(3), 4 * FRAME)
        };
        assert_eq!(
            find(&behind, &[frame(3, true)]),
            Cut::At {
                first: 0,
                shift: FRAME
            }
        );
        let patient = Situation {
            waited: false,
            missed: false,
            ..behind
        };
        assert_eq!(find(&patient, &[frame(3, true)]), Cut::Wait);
    }

    #[test]
    fn raw_sound_is_cut_where_it_is_wanted() {
        let sound = Situation {
            divisible: true,
            ..situation(Coding::Raw, sent_up_to(3), 12 * FRAME)
        };
        let long = |n: i64| Placed {
            end: (n + 5) * FRAME,
            ..frame(n, true)
        };
        let pieces: Vec<_> = (0..15).step_by(5).map(long).collect();
        let hidden = Situation {
            latency: 100 * FRAME,
            ..sound
        };
        // The first reaches over the end of what was sent, and the second over the floor.
        assert_eq!(follow(&hidden, &pieces, i64::MIN), 0);
        assert_eq!(follow(&hidden, &pieces, 7 * FRAME), 1);
        assert_eq!(follow(&hidden, &pieces, 15 * FRAME), 3);
    }

    #[test]
    fn sound_follows_the_picture() {
        let sound = situation(Coding::Independent, sent_up_to(3), 12 * FRAME);
        let pieces: Vec<_> = (4..10).map(|n| frame(n, true)).collect();
        assert_eq!(follow(&sound, &pieces, 7 * FRAME), 3);
        assert_eq!(follow(&sound, &pieces, 70 * FRAME), 6);
        assert_eq!(follow(&sound, &pieces, i64::MIN), 0);
    }

    fn any_coding() -> impl Strategy<Value = Coding> {
        prop_oneof![
            Just(Coding::Raw),
            Just(Coding::Independent),
            Just(Coding::Delta)
        ]
    }

    proptest! {
        #[test]
        fn a_cut_never_repeats_goes_back_or_starts_on_a_delta_frame(
            coding in any_coding(),
            sent in proptest::option::of(0i64..40),
            first in 0i64..40,
            keys in proptest::collection::vec(any::<bool>(), 1..40),
            late in 0i64..20,
            alive: bool,
            waited: bool,
            missed: bool,
        ) {
            let pieces: Vec<_> = keys.iter().enumerate().map(|(i, k)| frame(first + i as i64, *k)).collect();
            let last = first + pieces.len() as i64 - 1;
            let position = sent.and_then(sent_up_to);
            let situation = Situation { coding, divisible: false, position, left: position, now: (last + late) * FRAME, latency: 0, lateness: 0, alive, waited, missed, unseen: false };
            // The naive answer: the first piece that breaks no rule, looked for one by one.
            let naive = (0..pieces.len()).find(|i| {
                let n = first + *i as i64;
                let usable = coding != Coding::Delta || keys[*i];
                let on_time = coding != Coding::Raw || *i + 1 == pieces.len() || late == 0 && n == last;
                usable && on_time && sent.is_none_or(|s| n > s)
            });
            match find(&situation, &pieces) {
                Cut::At { first: i, shift: 0 } if i < pieces.len() => prop_assert_eq!(Some(i), naive),
                Cut::At { shift: 0, .. } => prop_assert!(waited && naive.is_none() && coding != Coding::Delta),
                Cut::At { first: i, shift } => {
                    prop_assert!(missed && naive.is_none() && i == pieces.len() - 1);
                    prop_assert!(coding == Coding::Delta && keys[i]);
                    prop_assert_eq!(pieces[i].start + shift, position.map_or(0, |p| p.end));
                }
                Cut::CatchUp { .. } => prop_assert!(false, "no decoder follows"),
                Cut::Ready => prop_assert!(!waited && (alive && naive.is_some() || naive.is_none() && coding != Coding::Delta)),
                Cut::Wait => prop_assert!(naive.is_none() && coding == Coding::Delta),
            }
        }
    }
}
