// SPDX-License-Identifier: MPL-2.0
//! Messages from threads that may outlive the stop of their element.
//!
//! A bin is called with what its children post, and whoever calls holds no reference to it: the handler
//! of a bin's inner bus has a bare pointer (`gst_bin_init()`). That is right for threads that a change
//! to NULL ends. Where nobody waits for a thread, it holds what its words pass through.

use gst::prelude::*;

/// All that the element is in, innermost first: it lives while this is held.
pub(crate) fn hold_parents(element: &impl IsA<gst::Object>) -> Vec<gst::Object> {
    std::iter::successors(element.parent(), GstObjectExt::parent).collect()
}
