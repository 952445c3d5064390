// SPDX-License-Identifier: MPL-2.0
//! What keeps a stopped `webrtcbin` from being freed, and how it is prevented.
//!
//! While ICE is not connected, webrtcbin blocks the pad in front of a transport's decryption. That block keeps the
//! transport's receiving bin alive, and only the bin's way from READY to NULL removes it. Two events bring a block
//! after that: ICE changes its state, in libnice's thread or in webrtcbin's own, or webrtcbin's thread applies a
//! description that it had begun with. Then the bin keeps itself alive, with nicesrc, the decryption and their sockets.
//! The state of ICE even reaches a receiving bin that is freed. webrtcbin has done so up to 1.28 at least.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

/// What libnice calls a change of ICE's state.
const STATE_CHANGED: &str = "component-state-changed";
/// What webrtcbin calls the bin that receives from a transport.
const RECEIVER: &str = "TransportReceiveBin";
/// A handler of a state change only takes short locks: this is many times what it needs on a busy machine.
const HANDLERS: Duration = Duration::from_secs(2);

/// The state changes of a webrtcbin's ICE, which can be cut off.
#[derive(Clone, Default)]
pub(super) struct IceStates(Arc<(Mutex<Inner>, Condvar)>);

#[derive(Default)]
struct Inner {
    is_cut_off: bool,
    /// State changes that webrtcbin is handling, in whatever threads.
    handled: usize,
}

impl IceStates {
    /// Those of a new webrtcbin: its own handlers, one for each transport, must come later.
    pub(super) fn watch(webrtc: &gst::Element) -> Self {
        let this = Self::default();
        let Some(nice) = nice(webrtc) else {
            return this;
        };
        let first = this.clone();
        nice.connect(STATE_CHANGED, false, move |values| {
            let nice = values.first()?.get::<glib::Object>().ok()?;
            if !first.begin() {
                nice.stop_signal_emission_by_name(STATE_CHANGED);
            }
            None
        });
        let last = this.clone();
        nice.connect(STATE_CHANGED, true, move |_| {
            last.end();
            None
        });
        this
    }

    /// webrtcbin hears of no state change any more, and handles none when this returns.
    pub(super) fn cut_off(&self) {
        let mut inner = self.lock();
        inner.is_cut_off = true;
        let is_busy = |inner: &mut Inner| inner.handled > 0;
        drop(self.0.1.wait_timeout_while(inner, HANDLERS, is_busy));
    }

    fn begin(&self) -> bool {
        let mut inner = self.lock();
        if !inner.is_cut_off {
            inner.handled = inner.handled.saturating_add(1);
        }
        !inner.is_cut_off
    }

    fn end(&self) {
        let mut inner = self.lock();
        inner.handled = inner.handled.saturating_sub(1);
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// libnice's agent in a webrtcbin, if it is that what its ICE is made with.
pub(super) fn nice(webrtc: &gst::Element) -> Option<glib::Object> {
    let agent = webrtc.property::<Option<gst::Object>>("ice-agent");
    let agent = agent.filter(|agent| agent.has_property("agent"))?;
    agent.property::<Option<glib::Object>>("agent")
}

/// Removes the blocks that came into a webrtcbin after it had stopped: it is in NULL, and its thread has ended.
pub(super) fn unblock(webrtc: &gst::Element) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else {
        return;
    };
    for receiver in bin.children() {
        if receiver.type_().name() == RECEIVER && is_blocked(&receiver) {
            // The only way that removes them.
            let _ = receiver.set_state(gst::State::Ready);
            let _ = receiver.set_state(gst::State::Null);
        }
    }
}

fn is_blocked(receiver: &gst::Element) -> bool {
    let bin = receiver.downcast_ref::<gst::Bin>();
    let children = bin.map(|bin| bin.children()).unwrap_or_default();
    let mut pads = children.iter().flat_map(|child| child.pads());
    pads.any(|pad| pad.is_blocked())
}

#[cfg(test)]
mod tests {
    use super::*;
    use gst_webrtc::{
        WebRTCRTPTransceiver, WebRTCRTPTransceiverDirection, WebRTCSessionDescription,
    };

    /// libnice's number of the state that it takes when it begins to gather candidates.
    const GATHERING: u32 = 1;

    /// A webrtcbin that has a transport, in a bin that plays, and what receives in it.
    fn negotiating() -> (gst::Bin, gst::Element, IceStates, gst::Element) {
        gst::init().expect("GStreamer");
        let webrtc = gst::ElementFactory::make("webrtcbin")
            .property_from_str("bundle-policy", "max-bundle")
            .build()
            .expect("webrtcbin");
        let states = IceStates::watch(&webrtc);
        let bin = gst::Bin::new();
        bin.add(&webrtc).expect("room");
        bin.set_state(gst::State::Playing).expect("PLAYING");
        let caps = super::super::media::offered(super::super::pads::Kind::Audio);
        let direction = WebRTCRTPTransceiverDirection::Recvonly;
        webrtc
            .emit_by_name::<Option<WebRTCRTPTransceiver>>("add-transceiver", &[&direction, &caps]);
        let promise = gst::Promise::new();
        webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
        promise.wait();
        let offer = promise.get_reply().and_then(|reply| {
            let offer = reply.get::<WebRTCSessionDescription>("offer");
            offer.ok()
        });
        let promise = gst::Promise::new();
        let offer = offer.expect("an offer");
        webrtc.emit_by_name::<()>("set-local-description", &[&offer, &promise]);
        promise.wait();
        let children = webrtc.downcast_ref::<gst::Bin>().expect("a bin").children();
        let mut children = children.into_iter();
        let receiver = children.find(|child| child.type_().name() == RECEIVER);
        (bin, webrtc, states, receiver.expect("a transport"))
    }

    /// As libnice does it, in whatever thread.
    fn change_state(webrtc: &gst::Element) {
        let nice = nice(webrtc).expect("libnice");
        nice.emit_by_name::<()>(STATE_CHANGED, &[&1u32, &1u32, &GATHERING]);
    }

    #[test]
    fn ice_that_changes_its_state_after_the_stop_blocks_nothing() {
        let (bin, webrtc, states, receiver) = negotiating();
        states.cut_off();
        bin.set_state(gst::State::Null).expect("NULL");
        change_state(&webrtc);
        assert!(!is_blocked(&receiver));
    }

    #[test]
    fn what_was_blocked_after_the_stop_is_freed() {
        let (bin, webrtc, _states, receiver) = negotiating();
        bin.set_state(gst::State::Null).expect("NULL");
        change_state(&webrtc);
        assert!(
            is_blocked(&receiver),
            "webrtcbin blocks no more: this is not needed"
        );
        unblock(&webrtc);
        assert!(!is_blocked(&receiver));
        let weak = receiver.downgrade();
        drop((bin, webrtc, receiver));
        assert!(weak.upgrade().is_none(), "it keeps itself alive");
    }

    #[test]
    fn a_state_change_that_is_being_handled_is_waited_for() {
        let states = IceStates::default();
        assert!(states.begin());
        let handler = std::thread::spawn({
            let states = states.clone();
            move || {
                while states.begin() {
                    states.end();
                    std::thread::yield_now();
                }
                // It is cut off now, and waits for the first one.
                states.end();
            }
        });
        states.cut_off();
        assert_eq!(states.lock().handled, 0);
        handler.join().expect("no panic");
    }
}
