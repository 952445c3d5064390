// SPDX-License-Identifier: MPL-2.0
//! Finding the source pads of the elements in a [`SourceBin`], now and later, at any depth of the
//! application's plain bins, and waiting until a pad's caps are known.
//!
//! Decides nothing about a stream: that is for `plug.rs`.

use std::sync::{Mutex, PoisonError};

use gst::prelude::*;

use super::CAT;
use super::bin::{Lifted, SourceBin, State, Stream};
use super::parse::{Kind, announced_kind, is_made_by, kind_of_name};
use super::plug::prepare;
use super::unusable::Known;
use crate::access_unit;

impl SourceBin {
    /// Follows every source pad that `element`, a child of this bin, has or will have. In a plain
    /// bin, made by the application or from a description, loose ends inside are found as well.
    pub(super) fn watch(&self, element: &gst::Element) {
        if has_sometimes_pads(element) {
            self.state().unsettled.push(element.clone().upcast());
        }
        let on_added = self.callback(|bin, element, pad| bin.found(element, pad));
        let on_removed = self.callback(|bin, _, pad| bin.lost(pad));
        let bin = self.downgrade();
        let ids = vec![
            element.connect_pad_added(on_added),
            element.connect_pad_removed(on_removed),
            element.connect_no_more_pads(move |element| {
                if let Some(bin) = bin.upgrade() {
                    bin.settle(element.upcast_ref());
                }
            }),
        ];
        self.remember(element, ids);
        self.expect_session(element);
        if let Some(inner) = plain_bin(element) {
            self.watch_inside(inner);
        }
        for pad in element.src_pads() {
            self.found(element, &pad);
        }
    }

    fn watch_inside(&self, inner: &gst::Bin) {
        let bin = self.downgrade();
        let id = inner.connect_element_added(move |_, child| {
            if let Some(bin) = bin.upgrade() {
                bin.watch(child);
            }
        });
        self.remember(inner.upcast_ref(), vec![id]);
        // A bin lists the newest first.
        for child in inner.children().into_iter().rev() {
            self.lift_loose_ends(&child);
            self.watch(&child);
        }
    }

    /// Pads that are always there and that nothing inside has linked so far, nobody will. Some
    /// encoders refuse to start with such a pad, so it goes to the surface before they do.
    fn lift_loose_ends(&self, child: &gst::Element) {
        if plain_bin(child).is_some() {
            return;
        }
        for pad in child.src_pads() {
            let template = pad.pad_template();
            let is_always = template.is_some_and(|t| t.presence() == gst::PadPresence::Always);
            if is_always && !pad.is_linked() {
                self.lift(&pad);
            }
        }
    }

    fn found(&self, element: &gst::Element, pad: &gst::Pad) {
        if pad.direction() != gst::PadDirection::Src || pad.is_linked() {
            return;
        }
        let is_ours = element.parent().as_ref() == Some(self.upcast_ref());
        if is_ours && self.continues(element, pad) {
            return;
        }
        self.state().unsettled.push(pad.clone().upcast());
        if is_ours {
            self.place(element, pad);
        }
        if is_ours && let Some(form) = origin(pad).as_ref().and_then(access_unit::form) {
            self.route_depayloaded(pad, &form);
            self.settle(pad.upcast_ref());
            return;
        }
        self.once_typed(pad, move |bin, pad, caps| {
            if pad.is_linked() {
                // Somebody inside wanted it after all.
            } else if is_ours {
                bin.route(pad, caps);
            } else {
                bin.lift(pad);
            }
            bin.settle(pad.upcast_ref());
        });
        self.settle_complete();
    }

    /// A session description tells rtspsrc of its streams before any of them comes.
    pub(super) fn expect_session(&self, element: &gst::Element) {
        if !is_made_by(element, "rtspsrc") {
            return;
        }
        let bin = self.downgrade();
        // After the application, whose no ends it.
        let id = element.connect("select-stream", true, move |values| {
            let number = values.get(1).and_then(|value| value.get::<u32>().ok());
            let caps = values
                .get(2)
                .and_then(|value| value.get::<gst::Caps>().ok());
            if let (Some(bin), Some((number, caps))) = (bin.upgrade(), number.zip(caps)) {
                bin.will_come(number, announced_kind(&caps));
            }
            Some(true.to_value())
        });
        self.remember(element, vec![id]);
    }

    /// Gives the streams of this pad their place. Before anything comes of it, so that it is of no account which thread
    /// comes first.
    fn place(&self, element: &gst::Element, pad: &gst::Pad) {
        let kind = self.kind_to_come(pad);
        let mut state = self.state();
        let reads = |stream: &&Stream| stream.elements.contains(element);
        let container = state.streams.iter().find(reads).map(|s| s.source.clone());
        let State { order, streams, .. } = &mut *state;
        // What comes after the end of another stream follows it, and is not one more.
        let is_over = |stream: &&Stream| stream.source.pad_flags().contains(gst::PadFlags::EOS);
        for ended in streams.iter().filter(is_over) {
            order.gone(&ended.source);
        }
        order.found(pad, container.as_ref(), number_in_session(pad), kind);
        drop(state);
        self.note_sticky_tags(pad);
    }

    /// What a pad is going to bring for an output, as far as it is known already.
    pub(super) fn kind_to_come(&self, pad: &gst::Pad) -> Option<Kind> {
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        if caps.is_any() {
            return kind_of_name(pad.name().split_once('_')?.0);
        }
        let kind = announced_kind(&caps)?;
        let caps = media_before(pad).unwrap_or(caps);
        let is_usable = self.refusal(&caps, Known::Announced).is_none();
        is_usable.then_some(kind)
    }

    /// parsebin and its like do not say no-more-pads: they announce a collection of streams, and are
    /// done when it is there.
    pub(super) fn announced(&self, by: &gst::Object, streams: usize) {
        let mut state = self.state();
        let State {
            unsettled,
            announced,
            ..
        } = &mut *state;
        let element = unsettled.iter().find_map(|open| {
            let element = open.downcast_ref::<gst::Element>()?;
            (open == by || by.has_as_ancestor(open)).then(|| element.clone())
        });
        if let Some(element) = element {
            announced.retain(|(other, _)| *other != element);
            announced.push((element, streams));
        }
        drop(state);
        self.settle_complete();
    }

    fn settle_complete(&self) {
        let announced = self.state().announced.clone();
        for (element, streams) in announced {
            if usize::from(element.num_src_pads()) >= streams {
                self.settle(element.upcast_ref());
            }
        }
    }

    fn lost(&self, pad: &gst::Pad) {
        // On the way down nothing needs to be taken apart: the whole bin goes.
        if !self.is_going_down() {
            let mut state = self.state();
            state.order.gone(pad);
            let stream = take(&mut state.streams, |s| s.source == *pad);
            let lifted = take(&mut state.lifted, |l| l.inner == *pad);
            drop(state);
            for element in stream.iter().flat_map(|stream| &stream.elements) {
                self.settle(element.upcast_ref());
                for pad in element.src_pads() {
                    self.settle(pad.upcast_ref());
                }
            }
            // Not in this thread, which may be the one that feeds what is to be stopped.
            self.call_async(move |bin| {
                lifted.into_iter().for_each(Lifted::remove);
                stream.into_iter().for_each(|stream| stream.dismantle(bin));
            });
        }
        self.settle(pad.upcast_ref());
    }

    /// Calls `decide` once, with the pad blocked, when its caps are known; or with None when data
    /// flows without any.
    pub(super) fn once_typed<F>(&self, pad: &gst::Pad, decide: F)
    where
        F: FnOnce(&Self, &gst::Pad, Option<&gst::CapsRef>) + Send + 'static,
    {
        if let Some(caps) = pad.current_caps() {
            // At once, before data flows: a file can then be read in pull mode.
            return decide(self, pad, Some(&caps));
        }
        let bin = self.downgrade();
        let decide = Mutex::new(Some(decide));
        let mask = gst::PadProbeType::BLOCK
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(mask, move |pad, info| {
            let Some(bin) = bin.upgrade().filter(|bin| pad.has_as_ancestor(bin)) else {
                return gst::PadProbeReturn::Remove;
            };
            let caps = match info.event().map(|event| event.view()) {
                Some(gst::EventView::Caps(caps)) => Some(caps.caps_owned()),
                Some(gst::EventView::Eos(_)) => {
                    // Ended before it said what it was.
                    bin.state().order.gone(pad);
                    bin.settle(pad.upcast_ref());
                    return gst::PadProbeReturn::Pass;
                }
                Some(_) => return gst::PadProbeReturn::Pass,
                None => pad.current_caps(),
            };
            let decide = decide.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(decide) = decide {
                bin.keep_pushing(pad);
                decide(&bin, pad, caps.as_deref());
            }
            gst::PadProbeReturn::Remove
        });
    }

    /// Lets nobody turn `pad` to pull mode, now that data flows: its thread would have to stop itself.
    fn keep_pushing(&self, pad: &gst::Pad) {
        let bin = self.downgrade();
        pad.add_probe(gst::PadProbeType::QUERY_UPSTREAM, move |pad, info| {
            if bin.upgrade().is_none_or(|bin| !pad.has_as_ancestor(&bin)) {
                return gst::PadProbeReturn::Remove;
            }
            match info.query_mut().map(|query| query.view_mut()) {
                Some(gst::QueryViewMut::Scheduling(query)) => {
                    query.set(gst::SchedulingFlags::SEQUENTIAL, 1, -1, 0);
                    query.add_scheduling_modes([gst::PadMode::Push]);
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }

    /// A pad inside an application's bin: brought to that bin's surface, where it is found again.
    fn lift(&self, pad: &gst::Pad) {
        let Some(element) = pad.parent_element() else {
            return;
        };
        let Some(owner) = element.parent().and_downcast::<gst::Bin>() else {
            return;
        };
        let name = format!("{}-{}", element.name(), pad.name());
        let ghost = gst::GhostPad::builder_with_target(pad).map(|ghost| ghost.name(name).build());
        let Ok(ghost) = ghost else {
            gst::warning!(
                CAT,
                obj = self,
                "cannot bring {} to the surface",
                pad.name()
            );
            return;
        };
        prepare(&ghost, pad);
        self.state().lifted.push(Lifted {
            inner: pad.clone(),
            owner: owner.clone(),
            outer: ghost.clone().upcast(),
        });
        if owner.add_pad(&ghost).is_err() {
            gst::warning!(
                CAT,
                obj = self,
                "no place for {} in {}",
                pad.name(),
                owner.name()
            );
        }
    }

    fn callback<F>(&self, call: F) -> impl Fn(&gst::Element, &gst::Pad) + Send + Sync + 'static
    where
        F: Fn(&Self, &gst::Element, &gst::Pad) + Send + Sync + 'static,
    {
        let bin = self.downgrade();
        move |element, pad| {
            if let Some(bin) = bin.upgrade() {
                call(&bin, element, pad);
            }
        }
    }
}

fn take<T>(list: &mut Vec<T>, wanted: impl Fn(&T) -> bool) -> Option<T> {
    let found = list.iter().position(wanted)?;
    Some(list.swap_remove(found))
}

/// What goes into a parser that has not said yet what comes out: one may be for several codecs.
fn media_before(pad: &gst::Pad) -> Option<gst::Caps> {
    let passes = |element: &gst::Element| {
        let factory = element.factory();
        factory.is_some_and(|f| f.klass().contains("Parser") || f.name() == "capsfilter")
    };
    let mut pad = targets(pad).last()?;
    loop {
        let sink = pad.parent_element().filter(passes)?.static_pad("sink")?;
        if let Some(caps) = sink.current_caps() {
            let media = caps.structure(0)?.name();
            return Some(gst::Caps::new_empty_simple(media));
        }
        pad = sink.peer()?;
    }
}

/// The element that a pad on the surface of bins belongs to.
fn origin(pad: &gst::Pad) -> Option<gst::Element> {
    targets(pad).last().and_then(|pad| pad.parent_element())
}

/// The pad, and those that it stands for.
fn targets(pad: &gst::Pad) -> impl Iterator<Item = gst::Pad> {
    std::iter::successors(Some(pad.clone()), |pad| {
        pad.downcast_ref::<gst::GhostPad>()?.target()
    })
}

/// The number that a session description gives a stream. Its pads come in the order of the first packets.
fn number_in_session(pad: &gst::Pad) -> Option<u32> {
    let mut pads = targets(pad);
    let of_session = pads.find(|pad| {
        let element = pad.parent_element();
        element.is_some_and(|element| is_made_by(&element, "rtspsrc"))
    })?;
    let name = of_session.name();
    let mut numbers = name.split('_').filter_map(|word| word.parse().ok());
    numbers.next()
}

/// A bin that hides nothing: not a subclass with a mind of its own, such as decodebin.
fn plain_bin(element: &gst::Element) -> Option<&gst::Bin> {
    let bin = element.downcast_ref::<gst::Bin>()?;
    (bin.type_() == gst::Bin::static_type()).then_some(bin)
}

pub(super) fn has_sometimes_pads(element: &gst::Element) -> bool {
    element.pad_template_list().iter().any(|template| {
        template.direction() == gst::PadDirection::Src
            && template.presence() == gst::PadPresence::Sometimes
    })
}
