// SPDX-License-Identifier: MPL-2.0
//! For tests: decoders of a codec that nobody else knows, of which only the last in rank works.

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use std::sync::Once;

pub(super) const CODEC: &str = "video/x-failover-fake-codec";

pub(super) fn register() {
    static ONCE: Once = Once::new();
    gst::init().unwrap();
    ONCE.call_once(|| {
        for (name, rank, type_) in [
            ("fakedeaf", 300, Deaf::static_type()),
            ("fakebarren", 290, Barren::static_type()),
            ("fakegood", 280, Good::static_type()),
        ] {
            gst::Element::register(None, name, gst::Rank::from(rank), type_).unwrap();
        }
    });
}

macro_rules! decoder {
    ($module:ident, $name:ident, $starts:expr, $works:expr) => {
        mod $module {
            use super::*;
            #[derive(Default)]
            pub struct Imp;
            #[glib::object_subclass]
            impl ObjectSubclass for Imp {
                const NAME: &'static str = concat!("GstFailoverFake", stringify!($name));
                type Type = super::$name;
                type ParentType = gst::Element;
            }
            impl ObjectImpl for Imp {
                fn constructed(&self) {
                    self.parent_constructed();
                    add_pads(self.obj().upcast_ref(), $works);
                }
            }
            impl GstObjectImpl for Imp {}
            impl ElementImpl for Imp {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static DATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
                        std::sync::LazyLock::new(|| {
                            gst::subclass::ElementMetadata::new(
                                "Fake",
                                "Codec/Decoder/Video",
                                "Fake",
                                "Test",
                            )
                        });
                    Some(&DATA)
                }
                fn pad_templates() -> &'static [gst::PadTemplate] {
                    static PADS: std::sync::LazyLock<Vec<gst::PadTemplate>> =
                        std::sync::LazyLock::new(templates);
                    &PADS
                }
                fn change_state(
                    &self,
                    transition: gst::StateChange,
                ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
                    if !$starts {
                        return Err(gst::StateChangeError);
                    }
                    self.parent_change_state(transition)
                }
            }
        }
        glib::wrapper! {
            pub struct $name(ObjectSubclass<$module::Imp>) @extends gst::Element, gst::Object;
        }
    };
}

decoder!(deaf, Deaf, false, true);
decoder!(barren, Barren, true, false);
decoder!(good, Good, true, true);

fn templates() -> Vec<gst::PadTemplate> {
    let raw = "video/x-raw,format=GRAY8,width=2,height=2";
    [
        ("sink", gst::PadDirection::Sink, CODEC),
        ("src", gst::PadDirection::Src, raw),
    ]
    .into_iter()
    .map(|(name, direction, caps)| {
        let caps = caps.parse::<gst::Caps>().unwrap();
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
    })
    .collect()
}

fn add_pads(element: &gst::Element, works: bool) {
    let template = |name| element.pad_template(name).unwrap();
    let src = gst::Pad::from_template(&template("src"));
    let out = src.clone();
    let sink = gst::Pad::builder_from_template(&template("sink"))
        .chain_function(move |_, parent, buffer| {
            if works {
                return out.push(buffer);
            }
            let element = parent.unwrap().downcast_ref::<gst::Element>().unwrap();
            gst::element_error!(element, gst::StreamError::Decode, ["fake"]);
            Err(gst::FlowError::Error)
        })
        .build();
    element.add_pad(&sink).unwrap();
    element.add_pad(&src).unwrap();
}
