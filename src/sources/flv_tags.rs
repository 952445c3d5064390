// SPDX-License-Identifier: MPL-2.0
//! An element that sends FLV which comes in buffers of any size on with one tag in each, as rtmp2src has it.
//!
//! Glue around [`Splitter`]. It runs in the thread of its upstream and knows nothing of what is in a tag.

use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::flv::split::{Broken, Splitter};

glib::wrapper! {
    pub(crate) struct FlvTags(ObjectSubclass<imp::FlvTags>)
        @extends gst::Element, gst::Object;
}

impl FlvTags {
    pub(super) fn new() -> Self {
        glib::Object::new()
    }
}

mod imp {
    use super::*;

    pub(crate) struct FlvTags {
        sink: gst::Pad,
        src: gst::Pad,
        splitter: Mutex<Splitter>,
    }

    impl FlvTags {
        fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
            if buffer.flags().contains(gst::BufferFlags::DISCONT) {
                self.splitter().restart();
            }
            let mut rest = map.as_slice();
            loop {
                // No lock while it is pushed.
                let next = self.splitter().next(&mut rest);
                match next {
                    Ok(Some(tag)) => self.src.push(gst::Buffer::from_mut_slice(tag))?,
                    Ok(None) => return Ok(gst::FlowSuccess::Ok),
                    Err(broken) => return Err(self.fail(broken)),
                };
            }
        }

        fn fail(&self, broken: Broken) -> gst::FlowError {
            let text = broken.to_string();
            match broken {
                Broken::NotFlv => {
                    gst::element_imp_error!(self, gst::StreamError::WrongType, ("{}", text))
                }
                Broken::OutOfStep => {
                    gst::element_imp_error!(self, gst::StreamError::Demux, ("{}", text))
                }
            }
            gst::FlowError::Error
        }

        fn sink_event(&self, event: gst::Event) -> bool {
            if event.type_() == gst::EventType::FlushStop {
                self.splitter().restart();
            }
            gst::Pad::event_default(&self.sink, Some(&*self.obj()), event)
        }

        fn splitter(&self) -> MutexGuard<'_, Splitter> {
            self.splitter.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FlvTags {
        const NAME: &'static str = "GstFailoverFlvTags";
        type Type = super::FlvTags;
        type ParentType = gst::Element;

        fn with_class(_: &Self::Class) -> Self {
            let sink = gst::Pad::builder(gst::PadDirection::Sink).name("sink");
            let sink = sink.chain_function(|_, parent, buffer| {
                let panicked = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, panicked, |tags| tags.chain(buffer))
            });
            let sink = sink.event_function(|_, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |tags| tags.sink_event(event))
            });
            Self {
                sink: sink.build(),
                src: gst::Pad::builder(gst::PadDirection::Src)
                    .name("src")
                    .build(),
                splitter: Mutex::default(),
            }
        }
    }

    impl ObjectImpl for FlvTags {
        fn constructed(&self) {
            self.parent_constructed();
            for pad in [&self.sink, &self.src] {
                if self.obj().add_pad(pad).is_err() {
                    gst::error!(CAT, imp = self, "Cannot add pad {}", pad.name());
                }
            }
        }
    }

    impl GstObjectImpl for FlvTags {}

    impl ElementImpl for FlvTags {}
}
