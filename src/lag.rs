// SPDX-License-Identifier: MPL-2.0
//! The event by which a source says that what it brings is late, though it looks on time: its sender was
//! held up, lost nothing, and has yet to make that up. Who has another input waits with a return to this one.

/// A serialized downstream event of this structure, at each change.
const NAME: &str = "failover-lag";
/// How late, in nanoseconds (guint64); 0: not any more.
const TIME: &str = "time";

pub(crate) fn event(time: gst::ClockTime) -> gst::Event {
    let structure = gst::Structure::builder(NAME).field(TIME, time.nseconds());
    gst::event::CustomDownstream::new(structure.build())
}

/// How late, if it is this event.
pub(crate) fn of(event: &gst::EventRef) -> Option<gst::ClockTime> {
    let structure = event.structure().filter(|_| event.has_name(NAME))?;
    structure.get(TIME).ok().map(gst::ClockTime::from_nseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        gst::init().expect("GStreamer");
        let time = gst::ClockTime::from_mseconds(2_200);
        assert_eq!(of(&event(time)), Some(time));
        let other = gst::Structure::builder("other").field(TIME, 1u64).build();
        assert_eq!(of(&gst::event::CustomDownstream::new(other)), None);
        let odd = gst::Structure::builder(NAME).field(TIME, "late").build();
        assert_eq!(of(&gst::event::CustomDownstream::new(odd)), None);
        assert_eq!(of(&gst::event::Eos::new()), None);
    }
}
