// SPDX-License-Identifier: MPL-2.0
//! The end of a programme: what stops behind its back has stopped. A process that exits under threads of
//! webrtcbin may crash in the destructors of their libraries.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;

/// Nobody waits for a source that never stops.
const LIMIT: Duration = Duration::from_secs(2);

/// The WebRTC sources that there were.
#[derive(Clone, Default)]
pub(super) struct Ending(Arc<Mutex<Vec<gst::Element>>>);

impl Ending {
    pub(super) fn note(&self, source: &gst::Element) {
        let is_webrtc = source
            .factory()
            .is_some_and(|factory| factory.name() == "webrtcplaysrc");
        if is_webrtc {
            let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            sources.push(source.clone());
        }
    }

    /// Until nothing of `src`, in NULL, is still on its way there.
    pub(super) fn wait(&self, src: &gst::Element) {
        let sources = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let is_over = || {
            let stats = src.property::<gst::Structure>("stats");
            stats.get("num-sources-stopping") == Ok(0u32)
                && sources.iter().all(|source| {
                    let stats = source.property::<gst::Structure>("stats");
                    stats.get("num-stopping") == Ok(0u64)
                })
        };
        let limit = Instant::now() + LIMIT;
        while !is_over() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
