// SPDX-License-Identifier: MPL-2.0
//! PURE: which output each stream of an input goes to, among those of its kind: by its language where both have one, else by
//! the order of its source.
//!
//! Late tags change nothing: as long as an attempt begins, the result is that of what is known now, whatever was known before.

use crate::policy::InputId;
use crate::sources::{Kind, Language};
use std::collections::{BTreeMap, BTreeSet};

/// One stream of an input. Those of a kind stand in the order of their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) language: Option<Language>,
    /// The output that it feeds already.
    pub(super) at: Option<usize>,
    /// It has fed it for so long that nothing but its language moves it.
    pub(super) settled: bool,
}

/// Which language each output has: that of the input that fed it first.
#[derive(Debug, Default)]
pub(super) struct Languages {
    said: BTreeMap<(Kind, usize), Said>,
    /// The inputs that were active. What they have brought no output changes any more.
    active: BTreeSet<InputId>,
}

/// A language, and the input that brought it.
#[derive(Debug, Clone, Copy)]
struct Said {
    by: InputId,
    language: Language,
}

impl Languages {
    /// This input is active.
    pub(super) fn activated(&mut self, input: InputId) {
        self.active.insert(input);
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn of(&self, kind: Kind, output: usize) -> Option<Language> {
        self.said.get(&(kind, output)).map(|said| said.language)
    }

    /// Those of the outputs of a kind that bind this input. Of what was never active only what is preferred to it does: it is
    /// of no account which of them connects first.
    pub(super) fn that_bind(&self, input: InputId, kind: Kind) -> Vec<Option<Language>> {
        let of_kind = self.said.iter().filter(|((other, _), _)| *other == kind);
        let binding = of_kind.filter(|(_, said)| self.binds(said, input));
        let mut languages = Vec::new();
        for ((_, output), said) in binding {
            languages.resize(*output, None);
            languages.push(Some(said.language));
        }
        languages
    }

    fn binds(&self, said: &Said, input: InputId) -> bool {
        said.by < input || self.active.contains(&said.by)
    }

    /// An output is fed with this language. Whether the output has another language by that.
    pub(super) fn fed(
        &mut self,
        (kind, output): (Kind, usize),
        by: InputId,
        language: Language,
    ) -> bool {
        let old = self.said.get(&(kind, output));
        let stays = old.is_some_and(|old| self.binds(old, by));
        let is_news = !stays && old.is_none_or(|old| old.language != language);
        if !stays {
            self.said.insert((kind, output), Said { by, language });
        }
        is_news
    }
}

/// The number of the output for each of the streams, from the languages of the outputs that there are. A higher number
/// is that of one more output.
pub(super) fn outputs_for(languages: &[Option<Language>], tracks: &[Track]) -> Vec<usize> {
    let mut given = vec![None; tracks.len()];
    let of = |output: usize| languages.get(output).copied().flatten();
    let is_right = |track: &Track, output| track.language.is_some() && track.language == of(output);
    // What is right already stays, so that a second stream of a language does not move the first.
    for (track, given) in tracks.iter().zip(&mut given) {
        *given = track.at.filter(|at| track.settled && is_right(track, *at));
    }
    for (index, track) in tracks.iter().enumerate() {
        if given[index].is_none() {
            let mut free = (0..languages.len()).filter(|output| !given.contains(&Some(*output)));
            given[index] = free.find(|output| is_right(track, *output));
        }
    }
    let by_language = given.iter().any(Option::is_some);
    for (index, track) in tracks.iter().enumerate() {
        let stays = given[index].is_none() && (track.settled || !by_language);
        let at = track.at.filter(|at| stays && !given.contains(&Some(*at)));
        given[index] = given[index].or(at);
    }
    let taken = given.clone();
    let mut left = (0..).filter(|output| !taken.contains(&Some(*output)));
    let numbers = given.into_iter().map(|given| given.or_else(|| left.next()));
    numbers.map(Option::unwrap_or_default).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn language(code: &str) -> Option<Language> {
        Language::of(code)
    }

    #[test]
    fn an_output_has_the_language_of_the_most_preferred_input_until_one_is_active() {
        let [english, german, french] =
            ["en", "de", "fr"].map(|code| language(code).expect("a code"));
        let [primary, backup, third] = [0, 1, 2].map(InputId);
        let first = (Kind::Audio, 0);
        let mut languages = Languages::default();
        assert!(languages.fed(first, backup, german));
        assert!(languages.fed((Kind::Audio, 2), backup, french));
        assert!(!languages.fed(first, third, english));
        for input in [primary, backup] {
            assert_eq!(languages.that_bind(input, Kind::Audio), []);
        }
        let bind = [Some(german), None, Some(french)];
        assert_eq!(languages.that_bind(third, Kind::Audio), bind);
        assert_eq!(languages.that_bind(third, Kind::Video), []);
        assert!(languages.fed(first, primary, english));
        assert!(!languages.fed(first, primary, english), "no news");
        assert_eq!(languages.that_bind(backup, Kind::Audio), [Some(english)]);
        // The backup's picture was active alone.
        languages.activated(backup);
        let bind = [None, None, Some(french)];
        assert_eq!(languages.that_bind(primary, Kind::Audio), bind);
        languages.activated(primary);
        let bind = [Some(english), None, Some(french)];
        assert_eq!(languages.that_bind(primary, Kind::Audio), bind);
        assert!(!languages.fed(first, primary, german));
        assert_eq!(languages.of(Kind::Audio, 0), Some(english));
        assert!(
            languages.fed((Kind::Audio, 1), third, german),
            "it had none"
        );
        languages.clear();
        assert_eq!(languages.of(Kind::Audio, 0), None);
    }

    fn new(code: &str) -> Track {
        Track {
            language: language(code),
            at: None,
            settled: false,
        }
    }

    fn check(outputs: &str, tracks: &str, expected: &[usize]) {
        let outputs: Vec<_> = outputs.split_whitespace().map(language).collect();
        let tracks: Vec<_> = tracks.split_whitespace().map(new).collect();
        let found = outputs_for(&outputs, &tracks);
        assert_eq!(found, expected, "{outputs:?} {tracks:?}");
    }

    #[test]
    fn a_language_goes_to_its_output_and_the_rest_by_order() {
        for (outputs, tracks, expected) in [
            ("", "", &[] as &[usize]),
            ("", "deu eng", &[0, 1]),
            ("eng deu", "deu eng", &[1, 0]),
            ("en de", "ger eng", &[1, 0]),
            ("eng deu", "deu", &[1]),
            ("eng deu", "fra", &[0]),
            ("eng deu", "- -", &[0, 1]),
            ("- -", "deu eng", &[0, 1]),
            ("eng deu", "- eng", &[1, 0]),
            ("eng deu", "fra eng", &[1, 0]),
            ("eng deu", "fra spa eng", &[1, 2, 0]),
            ("eng deu", "eng eng deu", &[0, 2, 1]),
            ("deu eng eng", "eng eng deu", &[1, 2, 0]),
            ("eng", "deu fra eng", &[1, 2, 0]),
        ] {
            check(outputs, tracks, expected);
        }
    }

    #[test]
    fn what_has_settled_is_moved_by_its_language_only() {
        let outputs = ["eng", "deu"].map(language);
        let at = |code, at, settled| Track {
            at: Some(at),
            settled,
            ..new(code)
        };
        for (tracks, expected) in [
            // It brings the German that another one wants: nothing known, so both stay.
            (vec![at("-", 1, true), new("-")], vec![1, 0]),
            (vec![at("-", 0, true), new("eng")], vec![1, 0]),
            (vec![at("deu", 0, true), at("eng", 1, true)], vec![1, 0]),
            (vec![new("eng"), at("eng", 0, true)], vec![1, 0]),
            (vec![new("eng"), at("eng", 0, false)], vec![0, 1]),
        ] {
            assert_eq!(outputs_for(&outputs, &tracks), expected, "{tracks:?}");
        }
    }

    /// As simple as it can be told: of nothing that is fed already.
    fn model(languages: &[Option<Language>], tracks: &[Option<Language>]) -> Vec<usize> {
        let mut free: Vec<usize> = (0..languages.len() + tracks.len()).collect();
        let mut found = vec![None; tracks.len()];
        for (track, found) in tracks.iter().zip(&mut found) {
            let same = |output: &&usize| {
                track.is_some() && languages.get(**output).copied().flatten() == *track
            };
            if let Some(output) = free.iter().find(same).copied() {
                free.retain(|other| *other != output);
                *found = Some(output);
            }
        }
        let mut free = free.into_iter();
        let rest = found.into_iter().map(|found| found.or_else(|| free.next()));
        rest.map(|found| found.expect("there is one left"))
            .collect()
    }

    fn some_language() -> impl Strategy<Value = Option<Language>> {
        prop::sample::select(vec!["-", "en", "de", "fr", "es"]).prop_map(language)
    }

    fn some_languages() -> impl Strategy<Value = Vec<Option<Language>>> {
        prop::collection::vec(some_language(), 0..6)
    }

    prop_compose! {
        /// Of streams of which each feeds another output, if any.
        fn some_tracks()(
            tracks in prop::collection::vec((some_language(), any::<bool>(), any::<bool>()), 0..6),
            outputs in Just((0..8usize).collect::<Vec<_>>()).prop_shuffle(),
        ) -> Vec<Track> {
            let tracks = tracks.into_iter().zip(outputs);
            let tracks = tracks.map(|((language, feeds, settled), output)| Track {
                language,
                at: feeds.then_some(output),
                settled: feeds && settled,
            });
            tracks.collect()
        }
    }

    proptest! {
        #[test]
        fn what_is_new_goes_where_the_model_says(outputs in some_languages(), tracks in some_languages()) {
            let new: Vec<_> = tracks.iter().map(|language| Track { language: *language, ..new("-") }).collect();
            prop_assert_eq!(outputs_for(&outputs, &new), model(&outputs, &tracks));
        }

        #[test]
        fn no_output_has_two_streams_and_a_language_is_at_its_output(
            outputs in some_languages(), tracks in some_tracks()
        ) {
            let found = outputs_for(&outputs, &tracks);
            prop_assert_eq!(found.len(), tracks.len());
            for (index, output) in found.iter().enumerate() {
                prop_assert!(!found[..index].contains(output), "{:?}", found);
            }
            // No output goes without its language, or to another one, while a stream of it is elsewhere.
            for (output, language) in outputs.iter().enumerate().filter(|(_, l)| l.is_some()) {
                let is_right = |index: usize| found[index] == output && tracks[index].language == *language;
                let is_wrong = |index: usize| {
                    tracks[index].language == *language && outputs.get(found[index]) != Some(language)
                };
                let all = 0..tracks.len();
                prop_assert!(
                    all.clone().any(is_right) || !all.clone().any(is_wrong),
                    "output {} of {:?}: {:?}", output, outputs, found
                );
            }
            // Asked again, nothing moves.
            let placed: Vec<_> = std::iter::zip(&tracks, &found)
                .map(|(track, output)| Track { at: Some(*output), ..*track })
                .collect();
            prop_assert_eq!(outputs_for(&outputs, &placed), found);
        }

        #[test]
        fn where_no_language_is_known_what_is_fed_stays_and_the_rest_comes_in_order(
            outputs in some_languages(), tracks in some_tracks()
        ) {
            let unknown: Vec<_> = tracks.iter().map(|track| Track { language: None, ..*track }).collect();
            let found = outputs_for(&outputs, &unknown);
            let mut before = None;
            for (track, output) in unknown.iter().zip(found) {
                match track.at {
                    Some(at) => prop_assert_eq!(output, at),
                    None => {
                        prop_assert!(before < Some(output));
                        before = Some(output);
                    }
                }
            }
        }

        /// Tags come one by one, and each time all are matched again.
        #[test]
        fn it_is_of_no_account_in_which_order_tags_come(
            outputs in some_languages(), tracks in some_languages(),
            order in Just((0..6usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let mut known = vec![new("-"); tracks.len()];
            for index in order.into_iter().filter(|index| *index < tracks.len()) {
                known[index].language = tracks[index];
                for (output, track) in outputs_for(&outputs, &known).into_iter().zip(&mut known) {
                    track.at = Some(output);
                }
            }
            let found: Vec<_> = known.iter().filter_map(|track| track.at).collect();
            prop_assert_eq!(found, model(&outputs, &tracks));
        }
    }
}
