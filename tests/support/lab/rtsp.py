#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""An RTSP server, gst-rtsp-server, that serves one live stream: H.264 and AAC, as FLV on its input.

    rtsp.py --port PORT

It listens on 127.0.0.1, and serves /live. All viewers share one medium, which begins when the first
of them comes and ends with the last. It listens from its input's first picture on, which a line says, and ends with its
input, after five minutes at the latest.
"""

import argparse
import os
import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

LONGEST_LIFE = 300
SOUND, PICTURE = 8, 9
# As most people write it. Whoever is asked for a picture's parameters sends them before every key frame.
LINE = """(
    appsrc name=picture is-live=true format=time block=false
        ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1
    appsrc name=sound is-live=true format=time block=false
        ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"""


class Medium:
    """One medium of the server, from the picture on that comes next, as a camera would send it."""

    def __init__(self, element, heads):
        self.element = element
        self.sources = {}
        for kind, name in ((PICTURE, "picture"), (SOUND, "sound")):
            source = element.get_by_name(name)
            source.set_property("caps", heads[kind])
            self.sources[kind] = source
        # What is added to the sender's times.
        self.offset = None

    def take(self, kind, is_key, time, data):
        if self.offset is None:
            clock = self.element.get_clock()
            if kind != PICTURE or clock is None:
                return
            self.offset = clock.get_time() - self.element.get_base_time() - time
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = buffer.dts = time + self.offset
        if kind == PICTURE and not is_key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        self.sources[kind].emit("push-buffer", buffer)


class Reader(threading.Thread):
    """Reads the input for ever: without a viewer what comes is lost, as a camera's pictures would be."""

    def __init__(self, begun):
        super().__init__(daemon=True)
        self.input = sys.stdin.buffer
        self.begun = begun
        self.heads = {}
        self.medium = None

    def run(self):
        self.input.read(13)
        while len(head := self.input.read(11)) == 11:
            kind, size = head[0], int.from_bytes(head[1:4], "big")
            time = int.from_bytes(head[7:8] + head[4:7], "big") * Gst.MSECOND
            body = self.input.read(size)
            self.input.read(4)
            self.tag(kind, time, body)
        os._exit(0)

    def tag(self, kind, time, body):
        length = {PICTURE: 5, SOUND: 2}.get(kind)
        if not length:
            return
        is_head, data = body[1] == 0, body[length:]
        if is_head:
            self.heads[kind] = caps(kind, data)
            return
        if self.begun and len(self.heads) == 2:
            GLib.idle_add(self.begun)
            self.begun = None
        medium = self.medium
        if medium:
            medium.take(kind, body[0] >> 4 == 1, time, data)

    def configure(self, _factory, media):
        medium = Medium(media.get_element(), self.heads)
        self.medium = medium

        def unprepared(_media):
            if self.medium is medium:
                self.medium = None

        media.connect("unprepared", unprepared)


def caps(kind, config):
    if kind == PICTURE:
        line = "video/x-h264,stream-format=avc,alignment=au"
    else:
        line = "audio/mpeg,mpegversion=4,stream-format=raw"
    return Gst.Caps.from_string(f"{line},codec_data=(buffer){config.hex()}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", required=True)
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)

    def begun():
        if not server.attach(None):
            sys.exit("it cannot have this port")
        print("publishing", flush=True)

    reader = Reader(begun)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(LINE)
    factory.set_shared(True)
    factory.connect("media-configure", reader.configure)
    server.get_mount_points().add_factory("/live", factory)
    reader.start()
    GLib.timeout_add_seconds(LONGEST_LIFE, lambda: os._exit(0))
    GLib.MainLoop().run()


main()
