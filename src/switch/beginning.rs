// SPDX-License-Identifier: MPL-2.0
//! PURE: whether encoded video can be decoded from what came.

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Beginning {
    /// Not before its next key frame.
    #[default]
    Awaited,
    Made,
    /// It fell silent. Behind a discontinuity what it refers to is lost, as where a source has connected again by itself.
    Doubted,
}

impl Beginning {
    /// A frame comes. Whether it is of use.
    pub(super) fn with(&mut self, key: bool, discont: bool) -> bool {
        if key {
            *self = Self::Made;
        } else if discont && *self == Self::Doubted {
            *self = Self::Awaited;
        }
        self.is_made()
    }

    pub(super) fn is_made(self) -> bool {
        self != Self::Awaited
    }

    /// The stream has fallen silent.
    pub(super) fn doubt(&mut self) {
        if self.is_made() {
            *self = Self::Doubted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_a_key_frame_and_again_behind_a_silence_with_a_loss() {
        const KEY: (bool, bool) = (true, false);
        const DELTA: (bool, bool) = (false, false);
        const TORN: (bool, bool) = (false, true);
        for (silent_before, frames, useful) in [
            (None, [DELTA, KEY, DELTA, TORN], [false, true, true, true]),
            (
                Some(1),
                [KEY, DELTA, TORN, DELTA],
                [true, true, false, false],
            ),
            (Some(1), [KEY, TORN, DELTA, KEY], [true, false, false, true]),
            (Some(1), [KEY, KEY, TORN, DELTA], [true, true, true, true]),
            (
                Some(0),
                [TORN, DELTA, KEY, TORN],
                [false, false, true, true],
            ),
        ] {
            let mut beginning = Beginning::default();
            let came = frames
                .into_iter()
                .enumerate()
                .map(|(number, (key, discont))| {
                    if silent_before == Some(number) {
                        beginning.doubt();
                    }
                    beginning.with(key, discont)
                });
            assert_eq!(came.collect::<Vec<_>>(), useful, "{frames:?}");
        }
    }
}
