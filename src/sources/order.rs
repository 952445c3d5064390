// SPDX-License-Identifier: MPL-2.0
//! Which of its kind a stream is: the how manieth by the order in which its source announced it, whichever thread
//! comes first with data; and its language.
//!
//! Pure. Nobody waits here. A stream that was announced keeps its place until it is known that it is none of
//! that kind or is gone, so that those behind it do not take its number.

use super::language::Language;
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
    /// As far as it is known.
    language: Option<Language>,
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
            language: None,
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
                language: None,
                inside: 0,
            });
        }
    }

    pub(super) fn set_kind(&mut self, pad: &P, kind: Option<Kind>) {
        if let Some(announced) = self.of(pad) {
            announced.kind = kind;
        }
    }

    /// Whether that is news.
    pub(super) fn set_language(&mut self, pad: &P, language: Language) -> bool {
        let announced = self.of(pad);
        let old = announced.and_then(|announced| announced.language.replace(language));
        old != Some(language)
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

    /// All of a kind, in order, each with its pad, if it is there, and its language. Those that were only said to come
    /// hold their places where it is still `waiting` for them.
    pub(super) fn tracks(&self, kind: Kind, waiting: bool) -> Vec<(Option<P>, Option<Language>)> {
        let is_of_kind =
            |other: &&Announced<P>| other.kind == Some(kind) && (waiting || other.pad.is_some());
        let mut tracks: Vec<_> = self.all.iter().filter(is_of_kind).collect();
        tracks.sort_by(|a, b| a.place.cmp(&b.place));
        let tracks = tracks.into_iter();
        tracks
            .map(|track| (track.pad.clone(), self.language(track)))
            .collect()
    }

    /// Where a stream says none itself, that of the container that it comes in: a playlist has a container for each language.
    fn language(&self, track: &Announced<P>) -> Option<Language> {
        let holds = |other: &&Announced<P>| {
            other.language.is_some() && track.place.starts_with(&other.place)
        };
        let nearest = self.all.iter().filter(holds).max_by_key(|a| a.place.len());
        nearest.and_then(|nearest| nearest.language)
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
        rank_while(order, pad, false)
    }

    fn rank_while(order: &Order<&'static str>, pad: &'static str, waiting: bool) -> usize {
        let mut ranks = [Audio, Video].into_iter().filter_map(|kind| {
            let tracks = order.tracks(kind, waiting);
            tracks.iter().position(|(own, _)| *own == Some(pad))
        });
        ranks.next().unwrap_or(0)
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
        assert_eq!(rank_while(&order, "second", true), 1);
        assert_eq!(rank(&order, "second"), 0, "not expected any more");
        order.found(&"first", None, Some(1), Some(Audio));
        order.found(&"picture", None, Some(0), Some(Video));
        let ranks = ["first", "second", "picture"].map(|pad| rank_while(&order, pad, true));
        assert_eq!(ranks, [0, 1, 0]);
    }

    #[test]
    fn a_stream_has_its_own_language_or_that_of_its_container() {
        let mut order = Order::default();
        let [english, german] = ["en", "de"].map(|code| Language::of(code).expect("a code"));
        order.found(&"rendition", None, None, None);
        assert!(order.set_language(&"rendition", german));
        assert!(!order.set_language(&"rendition", german), "no news");
        order.found(&"plain", None, None, Some(Audio));
        order.found(&"a", Some(&"rendition"), None, Some(Audio));
        order.found(&"b", Some(&"rendition"), None, Some(Audio));
        assert!(order.set_language(&"b", english));
        let tracks = order.tracks(Audio, false);
        let expected = [
            (Some("a"), Some(german)),
            (Some("b"), Some(english)),
            (Some("plain"), None),
        ];
        assert_eq!(tracks, expected);
        assert!(order.tracks(Video, false).is_empty());
    }
}
