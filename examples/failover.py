#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Plays the first healthy one of two URIs, and prints each switch as it happens.

    make install
    examples/failover.py rtmp://a.example/live/x rtmp://b.example/live/x
"""

import argparse
import signal
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402  (the version comes first)

SECOND = Gst.SECOND


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("primary")
    parser.add_argument("backup")
    parser.add_argument("--timeout", type=float, default=1.0, help="seconds without a buffer: stalled")
    parser.add_argument("--recovery", type=float, default=5.0, help="seconds healthy before switching back")
    parser.add_argument("--fakesink", action="store_true", help="show and play nothing, in real time")
    args = parser.parse_args()

    Gst.init(None)
    source = Gst.ElementFactory.make("failoversrc")
    if source is None:
        sys.exit("there is no failoversrc: run `make install`, or set GST_PLUGIN_PATH")
    source.set_property("primary-uri", args.primary)
    source.set_property("backup-uri", args.backup)
    source.set_property("timeout", int(args.timeout * SECOND))
    source.set_property("recovery-time", int(args.recovery * SECOND))

    pipeline = Gst.Pipeline.new()
    pipeline.add(source)
    source.connect("pad-added", play_pad, pipeline, args.fakesink)
    sys.exit(run(pipeline))


def play_pad(_source, pad, pipeline, fakesink):
    if fakesink:
        description = "queue ! fakesink sync=true"
    elif pad.get_name().startswith("video"):
        description = "queue ! videoconvert ! autovideosink"
    else:
        description = "queue ! audioconvert ! audioresample ! autoaudiosink"
    sink = Gst.parse_bin_from_description(description, True)
    pipeline.add(sink)
    sink.sync_state_with_parent()
    pad.link(sink.get_static_pad("sink"))


def run(pipeline):
    """Plays until Ctrl-C, the end or an error; returns the exit code."""
    loop = GLib.MainLoop()
    failures = []
    for number in (signal.SIGINT, signal.SIGTERM):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::element", on_element)
    bus.connect("message::eos", lambda *_: loop.quit())
    bus.connect("message::latency", lambda *_: pipeline.recalculate_latency())

    def on_error(_bus, message):
        failures.append(message.parse_error()[0].message)
        loop.quit()

    bus.connect("message::error", on_error)
    pipeline.set_state(Gst.State.PLAYING)
    try:
        loop.run()
    finally:
        pipeline.set_state(Gst.State.NULL)
        bus.remove_signal_watch()
    for failure in failures:
        print(f"failover.py: {failure}", file=sys.stderr)
    return 1 if failures else 0


def on_element(_bus, message):
    structure = message.get_structure()
    names = [structure.nth_field_name(n) for n in range(structure.n_fields())]
    value = {name: structure.get_value(name) for name in names}
    if structure.get_name() == "failover-switched":
        detection, gap = value["detection"] / SECOND, value["gap"] / SECOND
        print(
            f"switched {value['from']} -> {value['to']}: {value['cause']}, "
            f"detected in {detection:.2f} s, gap {gap:.2f} s",
            flush=True,
        )
    elif structure.get_name() == "failover-input-state":
        print(f"input {value['input']}: {value['old']} -> {value['new']} ({value['cause']})", flush=True)


if __name__ == "__main__":
    main()
