// SPDX-License-Identifier: MPL-2.0
//! A source that hangs in a state change until it is let go, or does not start at all.

#![allow(dead_code)]

use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::subclass::prelude::*;

/// Where it hangs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum At {
    /// READY to PAUSED.
    Start,
    /// PAUSED to READY.
    Stop,
}

impl At {
    fn transition(self) -> gst::StateChange {
        match self {
            Self::Start => gst::StateChange::ReadyToPaused,
            Self::Stop => gst::StateChange::PausedToReady,
        }
    }
}

glib::wrapper! {
    pub(crate) struct Stuck(ObjectSubclass<imp::Stuck>) @extends gst::Element, gst::Object;
}

impl Stuck {
    /// The source, and what lets it go.
    pub(crate) fn new(at: At) -> (Self, Gate) {
        let source: Self = glib::Object::new();
        let gate = Gate::default();
        let _ = source.imp().hangs.set((at, gate.clone()));
        (source, gate)
    }

    /// One that cannot start, and says no word about it.
    pub(crate) fn unwilling() -> Self {
        let source: Self = glib::Object::new();
        let _ = source.imp().unwilling.set(());
        source
    }
}

/// Shut until it is opened, for ever then.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<Seen>, Condvar)>);

#[derive(Default)]
struct Seen {
    stuck: bool,
    open: bool,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.change(|seen| seen.open = true);
    }

    pub(crate) fn wait_until_stuck(&self, limit: Duration) {
        let (seen, changed) = &*self.0;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let result = changed.wait_timeout_while(seen, limit, |seen| !seen.stuck);
        let (seen, _) = result.unwrap_or_else(PoisonError::into_inner);
        assert!(seen.stuck, "nobody came to the gate");
    }

    fn pass(&self) {
        self.change(|seen| seen.stuck = true);
        let (seen, changed) = &*self.0;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(seen, |seen| !seen.open));
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        let (seen, changed) = &*self.0;
        change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
        changed.notify_all();
    }
}

mod imp {
    use std::sync::LazyLock;

    use gst::prelude::*;

    use super::*;

    #[derive(Default)]
    pub(crate) struct Stuck {
        pub(super) hangs: OnceLock<(At, Gate)>,
        pub(super) unwilling: OnceLock<()>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Stuck {
        const NAME: &'static str = "GstTestStuck";
        type Type = super::Stuck;
        type ParentType = gst::Element;
    }

    impl ObjectImpl for Stuck {
        fn constructed(&self) {
            self.parent_constructed();
            let obj = self.obj();
            obj.set_element_flags(gst::ElementFlags::SOURCE);
            if let Some(template) = obj.pad_template("src") {
                let pad = gst::Pad::from_template(&template);
                let _ = obj.add_pad(&pad);
            }
        }
    }

    impl GstObjectImpl for Stuck {}

    impl ElementImpl for Stuck {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                gst::PadTemplate::new(
                    "src",
                    gst::PadDirection::Src,
                    gst::PadPresence::Always,
                    &gst::Caps::new_any(),
                )
                .into_iter()
                .collect()
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            transition: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            if let Some((at, gate)) = self.hangs.get()
                && at.transition() == transition
            {
                gate.pass();
            }
            if self.unwilling.get().is_some() && transition == At::Start.transition() {
                return Err(gst::StateChangeError);
            }
            self.parent_change_state(transition)
        }
    }
}
