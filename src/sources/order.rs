// SPDX-License-Identifier: MPL-2.0
//! Which of its kind a stream is: the how manieth by the order in which its source announced it, whichever thread
//! comes first with data.
//!
//! Pure. Nobody waits here. A stream that was announced keeps its place until it is known that it is none of
//! that kind or is gone, so that those behind it do not take its number.

use super::parse::Kind;

/// Its own number among what the same demuxer announced, behind the place of what that demuxer reads.
type Place = Vec<u32>;

/// What a source has announced, by the pads (`P`) of its elements.
#[derive(Debug)]
pub(super) struct Order<P> {
    all: Vec<Announced<P>>,
    next: u32,
}

#[derive(Debug)]
struct Announced<P> {
    /// None: said to come.
    pad: Option<P>,
    place: Place,
    /// None: not known yet, nothing for the output, or a container whose streams stand for it.
    kind: Option<Kind>,
    /// How many it has announced itself.
    inside: u32,
}

impl<P> Default for Order<P> {
    fn default() -> Self {
        Self {
            all: Vec::new(),
            next: 0,
        }
    }
}

impl<P: PartialEq + Clone> Order<P> {
    /// A pad has appeared, the first time: of the demuxer that reads `container`, or of the source itself. `number` is the source's own.
    pub(super) fn found(
        &mut self,
        pad: &P,
        container: Option<&P>,
        number: Option<u32>,
        kind: Option<Kind>,
    ) {
        if self.of(pad).is_some() {
            return;
        }
        let container = container.and_then(|pad| self.of(pad));
        let (mut place, next) = match container {
            Some(container) => {
                // From now on its streams stand for it.
                container.kind = None;
                (container.place.clone(), &mut container.inside)
            }
            None => (Place::new(), &mut self.next),
        };
        place.push(number.unwrap_or(*next));
        *next += 1;
        self.all
            .retain(|other| other.pad.is_some() || other.place != place);
        self.all.push(Announced {
            pad: Some(pad.clone()),
            place,
            kind,
            inside: 0,
        });
    }

    /// The source says that it is going to bring a stream with this number. It may say so again.
    pub(super) fn will_come(&mut self, number: u32, kind: Option<Kind>) {
        let place = vec![number];
        if self.all.iter().all(|other| other.place != place) {
            self.all.push(Announced {
                pad: None,
                place,
                kind,
                inside: 0,
            });
        }
    }

    pub(super) fn set_kind(&mut self, pad: &P, kind: Option<Kind>) {
        if let Some(announced) = self.of(pad) {
            announced.kind = kind;
        }
    }

    /// The pads of which it is not known what they bring.
    pub(super) fn unknown(&self) -> Vec<P> {
        let unknown = self
            .all
            .iter()
            .filter(|a| a.kind.is_none() && a.inside == 0);
        unknown.filter_map(|other| other.pad.clone()).collect()
    }

    pub(super) fn gone(&mut self, pad: &P) {
        self.all.retain(|other| other.pad.as_ref() != Some(pad));
    }

    /// The stream of the one pad goes on at the other.
    pub(super) fn replaced(&mut self, old: &P, new: &P) {
        if let Some(announced) = self.of(old) {
            announced.pad = Some(new.clone());
        }
    }

    /// How many of its kind come before this one. Those that were only said to come hold their places where it is still
    /// `waiting` for them.
    pub(super) fn rank(&self, pad: &P, waiting: bool) -> usize {
        let Some(own) = self.all.iter().find(|a| a.pad.as_ref() == Some(pad)) else {
            return 0;
        };
        let before = |other: &&Announced<P>| {
            let is_of_kind = other.kind.is_some() && other.kind == own.kind;
            is_of_kind && other.place < own.place && (waiting || other.pad.is_some())
        };
        self.all.iter().filter(before).count()
    }

    fn of(&mut self, pad: &P) -> Option<&mut Announced<P>> {
        self.all
            .iter_mut()
            .find(|other| other.pad.as_ref() == Some(pad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Audio, Video};

    fn rank(order: &Order<&'static str>, pad: &'static str) -> usize {
        order.rank(&pad, false)
    }

    #[test]
    fn each_kind_is_counted_in_the_order_of_announcement() {
        let mut order = Order::default();
        for (pad, kind) in [
            ("a", Audio),
            ("v", Video),
            ("b", Audio),
            ("c", Audio),
            ("w", Video),
        ] {
            order.found(&pad, None, None, Some(kind));
        }
        for (pad, place) in [("a", 0), ("b", 1), ("c", 2), ("v", 0), ("w", 1)] {
            assert_eq!(rank(&order, pad), place, "{pad}");
        }
        // One that continues at another pad keeps its place.
        order.replaced(&"b", &"e");
        assert_eq!((rank(&order, "e"), rank(&order, "c")), (1, 2));
        order.replaced(&"e", &"b");
        // One that turns out to be something else, and one that goes, leave their places.
        order.set_kind(&"a", None);
        assert_eq!((rank(&order, "b"), rank(&order, "c")), (0, 1));
        order.gone(&"b");
        assert_eq!(rank(&order, "c"), 0);
    }

    #[test]
    fn streams_stand_where_their_container_stands() {
        let mut order = Order::default();
        order.found(&"first", None, None, Some(Audio));
        order.found(&"second", None, None, Some(Audio));
        order.found(&"third", None, None, None);
        assert_eq!(order.unknown(), ["third"]);
        // Until it is known what is in the first, the second is the second.
        order.found(&"b", Some(&"second"), None, Some(Audio));
        assert_eq!(rank(&order, "b"), 1);
        order.found(&"a0", Some(&"first"), None, Some(Audio));
        order.found(&"a1", Some(&"first"), None, Some(Audio));
        let ranks = ["a0", "a1", "b"].map(|pad| rank(&order, pad));
        assert_eq!(ranks, [0, 1, 2]);
        assert_eq!(order.unknown(), ["third"], "containers are known");
    }

    #[test]
    fn numbers_of_the_source_count_and_not_who_comes_first() {
        let mut order = Order::default();
        for (number, kind) in [(0, Video), (1, Audio), (2, Audio)] {
            order.will_come(number, Some(kind));
        }
        order.found(&"second", None, Some(2), Some(Audio));
        assert_eq!(order.rank(&"second", true), 1);
        assert_eq!(rank(&order, "second"), 0, "not expected any more");
        order.found(&"first", None, Some(1), Some(Audio));
        order.found(&"picture", None, Some(0), Some(Video));
        let ranks = ["first", "second", "picture"].map(|pad| order.rank(&pad, true));
        assert_eq!(ranks, [0, 1, 0]);
    }
}
