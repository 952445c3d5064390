#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A WHEP server with aiortc: a moving picture and a tone, and faults on request.

Prints its port in the first line. Everything stays on 127.0.0.1, or on the address of a network
namespace of its own (--host). With --cert and --key, files in PEM form, it speaks HTTPS.

    whep.py [--codec h264|vp8] [--colour RRGGBB] [--tone HZ] [--no-audio] [--ecdsa-only]
            [--announce MANNER] [--host ADDRESS] [--cert FILE --key FILE] [--numbered NAME@EPOCH]
            [--named MANNER]

With --announce the description does not show the server's certificate as it is:
    another    that of somebody else, as if there was an impostor on the path
    flipped    one digit of each hash is another
    weak       by SHA-1 only
    spelled    in other letters, beside a weak one
    session    for all sections at once

With --named a session has no address of its own:
    below      an ETag without quotes, a Location that is the request's own; it is ended at /whep/NAME/ETAG
    endpoint   an ETag and no Location; it is changed and ended at /whep/NAME, by If-Match
    nothing    neither

With --offer it is no server but the sending half of one session: it prints its offer, and takes the
answer and candidates from its input, a JSON object in each line. With --data-channel there is one in
the offer; with --apart each of its streams has a transport of its own.

POST /whep/NAME plays. The faults, each a GET:
    /ctl/stall        nothing is sent any more, connections stay; /ctl/resume
    /ctl/mute         no pictures any more, sound goes on; /ctl/resume
    /ctl/hold         nothing is sent, and nothing is lost: it is all late afterwards
    /ctl/drain?stand=1&pace=1.5   from then on: as late as it is for so long, then so much faster until it is not
    /ctl/close        every connection is closed, cleanly
    /ctl/delay?s=4    answers come so much later
    /ctl/status?code=503&n=2[&after=3]   the next n answers are refusals
    /ctl/asked        how many key frames players have asked for, as a number
    /ctl/count        how many sessions there are, as a number
    /ctl/ended        how many sessions their players have ended (DELETE), as a number
    /ctl/times        of the last session: when it was asked for, answered, connected; Unix time each
    /ctl/announce?as=another    from the next session on
    /ctl/offer        the last offer that came
    /ctl/answer       the last answer that was given
"""

import argparse
import array
import asyncio
import fractions
import json
import math
import ssl
import sys
import time
import uuid

import aioice.ice
from aiohttp import web
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
    rtcdtlstransport,
)
from aiortc.mediastreams import MediaStreamTrack
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame, VideoFrame

WIDTH, HEIGHT, FPS = 320, 192, 25
RATE, CHUNK = 48000, 960


def let_rsa_in():
    """webrtcbin of GStreamer 1.22 has an RSA certificate; aiortc offers suites for ECDSA only."""
    plain = rtcdtlstransport.RTCCertificate._create_ssl_context

    def patched(self, srtp_profiles):
        context = plain(self, srtp_profiles)
        context.set_cipher_list(
            b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
            b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305:"
            b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA"
        )
        return context

    rtcdtlstransport.RTCCertificate._create_ssl_context = patched


def count_requests_for_key_frames():
    plain = RTCRtpSender._send_keyframe

    def counted(self):
        FAULTS.asked += 1
        return plain(self)

    RTCRtpSender._send_keyframe = counted


def fingerprints(certificate):
    hashes = (f"a=fingerprint:{f.algorithm} {f.value}" for f in certificate.getFingerprints())
    return list(hashes)


def announced(sdp, manner):
    """The description, with what it says of certificates as --announce has it."""
    if not manner:
        return sdp
    lines = [line for line in sdp.splitlines() if not line.startswith("a=fingerprint:")]
    own = list(dict.fromkeys(line for line in sdp.splitlines() if line.startswith("a=fingerprint:")))
    weak = "a=fingerprint:sha-1 " + ":".join(["AB"] * 20)
    common, said = [], []
    if manner == "another":
        said = fingerprints(rtcdtlstransport.RTCCertificate.generateCertificate())
    elif manner == "flipped":
        said = [line[:-1] + ("1" if line[-1] == "0" else "0") for line in own]
    elif manner == "weak":
        said = [weak]
    elif manner == "spelled":
        swapped = (line.removeprefix("a=fingerprint:").swapcase() for line in own)
        said = [weak] + ["a=fingerprint:" + line for line in swapped]
    elif manner == "session":
        common = own
    result = []
    for line in lines:
        if line.startswith("m="):
            # The session level ends where the first section begins.
            result, common = result + common, []
        result.append(line)
        if line.startswith("m="):
            result += said
    return "\r\n".join(result) + "\r\n"


class Faults:
    announce = None
    stalled = False
    muted = False
    delay = 0.0
    refusals = []
    # Since when all is held back; then how late it is, until when it stays so, and how fast it makes it up.
    held_since = None
    late, stand_until, pace = 0.0, 0.0, 1.0

    def hold(self):
        self.held_since = time.monotonic()

    def drain(self, stand, pace):
        now = time.monotonic()
        self.late, self.stand_until, self.pace = now - self.held_since, now + stand, pace
        self.held_since = None

    def lag(self):
        if self.held_since is not None:
            return math.inf
        made_up = max(0, time.monotonic() - self.stand_until) * (self.pace - 1)
        return max(0, self.late - made_up)

    # Key frames that players have asked for.
    asked = 0
    # Sessions that players have ended.
    ended = 0


FAULTS = Faults()
SESSIONS = {}
SAID = {"offer": "", "answer": ""}
TIMES = []


class Paced(MediaStreamTrack):
    """Frame n at n times its length, later ones as they come due; a fault holds them back."""

    def __init__(self, epoch=None):
        super().__init__()
        self.start = None
        self.number = 0
        if epoch is not None:
            # In step with whoever began at the same time.
            elapsed = time.time() - epoch
            self.start = time.monotonic() - elapsed
            self.number = int(elapsed * FPS)

    async def due(self, seconds):
        if self.start is None:
            self.start = time.monotonic() - self.number * seconds
        self.number += 1
        await self.until(self.start + self.number * seconds)
        while FAULTS.stalled or (FAULTS.muted and self.kind == "video"):
            await asyncio.sleep(0.02)
            # What was not sent is lost, as a camera's pictures would be.
            self.number = int((time.monotonic() - self.start) / seconds)
        return self.number

    async def until(self, due):
        await asyncio.sleep(max(0, due - time.monotonic()))
        while due + FAULTS.lag() > time.monotonic():
            await asyncio.sleep(0.005)


class Picture(Paced):
    kind = "video"

    def __init__(self, colour):
        super().__init__()
        red, green, blue = (int(colour[at : at + 2], 16) for at in (0, 2, 4))
        luma = 0.257 * red + 0.504 * green + 0.098 * blue + 16
        first = -0.148 * red - 0.291 * green + 0.439 * blue + 128
        second = 0.439 * red - 0.368 * green - 0.071 * blue + 128
        self.colour = int(luma), int(first), int(second)

    async def recv(self):
        number = await self.due(1 / FPS)
        frame = VideoFrame(WIDTH, HEIGHT, "yuv420p")
        # One colour, and below the middle a bar that moves.
        for plane, value, size in zip(frame.planes, self.colour, (1, 2, 2)):
            plain = bytes([value]) * plane.line_size
            barred = bytearray(plain)
            if size == 1:
                at = (number * 8) % (WIDTH - 24)
                barred[at : at + 24] = bytes([235]) * 24
            half = HEIGHT // size // 2
            plane.update(plain * half + bytes(barred) * half)
        frame.pts, frame.time_base = number * 90000 // FPS, fractions.Fraction(1, 90000)
        return frame


class Numbered(Paced):
    """Frames that carry name and number in their pixels, as tests/support/meter/code.rs draws them."""

    kind = "video"
    ACROSS, DOWN, SPELLING, DARK, LIGHT = 32, 18, (0, 8, 17), 40, 210
    # After eight seconds numbers begin again, as on a tape.
    CYCLE = 8 * FPS

    def __init__(self, name, epoch):
        super().__init__(epoch)
        self.name = name

    @staticmethod
    def scatter(value):
        mixed = (value + 0x51ED270B) & 0xFFFFFFFF
        for factor in (0x7FEB352D, 0x846CA68B):
            mixed = ((mixed ^ mixed >> 16) * factor) & 0xFFFFFFFF
        return mixed ^ mixed >> 15

    def is_light(self, number, word, x, y):
        block = y * self.ACROSS + x
        if y in self.SPELLING:
            return word >> (self.ACROSS - 1 - x) & 1
        if block % 2 == 0:
            return self.scatter(self.name << 16 | block) & 1
        turn = (number + block) // 64
        return self.scatter(self.name << 28 | block << 16 | turn) & 1

    async def recv(self):
        place = await self.due(1 / FPS)
        number = place % self.CYCLE
        payload = self.name << 16 | number
        word = payload << 12 | self.scatter(payload) & 0xFFF
        width, height = 320, 180
        frame = VideoFrame(width, height, "yuv420p")
        luma, *colours = frame.planes
        across, down = width // self.ACROSS, height // self.DOWN
        blocks = bytes([self.DARK]) * across, bytes([self.LIGHT]) * across
        padding = bytes(luma.line_size - width)
        rows = (
            b"".join(blocks[self.is_light(number, word, x, y)] for x in range(self.ACROSS))
            for y in range(self.DOWN)
        )
        luma.update(b"".join((row + padding) * down for row in rows))
        for plane in colours:
            plane.update(bytes([128]) * plane.buffer_size)
        frame.pts, frame.time_base = place * 90000 // FPS, fractions.Fraction(1, 90000)
        return frame


class Tone(Paced):
    kind = "audio"

    def __init__(self, hertz):
        super().__init__()
        wave = (8000 * math.sin(math.tau * hertz * n / RATE) for n in range(CHUNK * 5))
        samples = array.array("h", map(int, wave)).tobytes()
        # A tenth of a second, which holds whole waves of every multiple of 10 Hz.
        self.chunks = [samples[at : at + 2 * CHUNK] for at in range(0, len(samples), 2 * CHUNK)]

    async def recv(self):
        number = await self.due(CHUNK / RATE)
        frame = AudioFrame("s16", "mono", CHUNK)
        frame.planes[0].update(self.chunks[number % len(self.chunks)])
        frame.sample_rate = RATE
        frame.pts, frame.time_base = number * CHUNK, fractions.Fraction(1, RATE)
        return frame


def preferred(codec):
    wanted = f"video/{codec}", "video/rtx"
    codecs = RTCRtpSender.getCapabilities("video").codecs
    return [c for c in codecs if c.mimeType.lower() in wanted]


def picture(options):
    if not options.numbered:
        return Picture(options.colour)
    name, epoch = options.numbered.split("@")
    return Numbered(int(name), float(epoch))


async def play(request):
    TIMES[:] = [time.time()]
    if FAULTS.delay:
        await asyncio.sleep(FAULTS.delay)
    if FAULTS.refusals:
        code, after = FAULTS.refusals.pop(0)
        return web.Response(status=code, headers={"Retry-After": after} if after else {})
    options = request.app["options"]
    connection = RTCPeerConnection()
    name = uuid.uuid4().hex
    SESSIONS[name] = connection

    @connection.on("connectionstatechange")
    async def changed():
        if connection.connectionState == "connected":
            TIMES.append(time.time())
        if connection.connectionState in ("failed", "closed"):
            SESSIONS.pop(name, None)
            await connection.close()

    SAID["offer"] = await request.text()
    offer = RTCSessionDescription(SAID["offer"], "offer")
    # Codecs are agreed on while the offer is set.
    connection.addTransceiver("video").setCodecPreferences(preferred(options.codec))
    await connection.setRemoteDescription(offer)
    for transceiver in connection.getTransceivers():
        if transceiver.kind == "video":
            connection.addTrack(picture(options))
        elif not options.no_audio:
            connection.addTrack(Tone(options.tone))
    await connection.setLocalDescription(await connection.createAnswer())
    SAID["answer"] = announced(connection.localDescription.sdp, FAULTS.announce)
    TIMES.append(time.time())
    return web.Response(
        status=201,
        text=SAID["answer"],
        content_type="application/sdp",
        headers=naming(request, name),
    )


def naming(request, name):
    """How the answer names the session."""
    return {
        None: {"Location": f"/session/{name}", "ETag": f'"{name}"'},
        "below": {"Location": str(request.url), "ETag": name},
        "endpoint": {"ETag": f'"{name}"'},
        "nothing": {},
    }[request.app["options"].named]


def named(request):
    """The session that a request is about."""
    by_condition = request.headers.get("If-Match", "").strip('"')
    return request.match_info.get("session", by_condition)


async def trickle(request):
    return web.Response(status=204 if named(request) in SESSIONS else 404)


async def end(request):
    connection = SESSIONS.pop(named(request), None)
    if connection:
        FAULTS.ended += 1
        await connection.close()
    return web.Response(status=200 if connection else 404)


async def control(request):
    what, query = request.match_info["what"], request.query
    if what == "stall":
        FAULTS.stalled = True
    elif what == "mute":
        FAULTS.muted = True
    elif what == "resume":
        FAULTS.stalled = FAULTS.muted = False
    elif what == "hold":
        FAULTS.hold()
    elif what == "drain":
        FAULTS.drain(float(query["stand"]), float(query["pace"]))
    elif what == "close":
        for connection in list(SESSIONS.values()):
            await connection.close()
        SESSIONS.clear()
    elif what == "delay":
        FAULTS.delay = float(query["s"])
    elif what == "status":
        refusal = (int(query["code"]), query.get("after"))
        FAULTS.refusals = [refusal] * int(query.get("n", 1))
    elif what == "announce":
        FAULTS.announce = query["as"]
    elif what == "asked":
        return web.Response(text=str(FAULTS.asked))
    elif what == "ended":
        return web.Response(text=str(FAULTS.ended))
    elif what == "count":
        return web.Response(text=str(len(SESSIONS)))
    elif what == "times":
        return web.Response(text=" ".join(map(str, TIMES)))
    elif what in SAID:
        return web.Response(text=SAID[what])
    else:
        return web.Response(status=404)
    return web.Response(text="ok")


async def offer(options):
    """The sending half of a session whose signalling is somebody else's."""
    apart = RTCConfiguration(bundlePolicy=RTCBundlePolicy.MAX_COMPAT)
    connection = RTCPeerConnection(apart if options.apart else None)
    if options.data_channel:
        connection.createDataChannel("data")
    connection.addTrack(picture(options))
    if not options.no_audio:
        connection.addTrack(Tone(options.tone))
    for transceiver in connection.getTransceivers():
        transceiver.direction = "sendonly"
        if transceiver.kind == "video":
            transceiver.setCodecPreferences(preferred(options.codec))

    @connection.on("connectionstatechange")
    async def changed():
        print(json.dumps({"state": connection.connectionState}), flush=True)

    await connection.setLocalDescription(await connection.createOffer())
    sdp = announced(connection.localDescription.sdp, options.announce)
    if options.apart:
        lines = (line for line in sdp.splitlines() if not line.startswith("a=group:"))
        sdp = "\r\n".join(lines) + "\r\n"
    print(json.dumps({"sdp": sdp}), flush=True)
    reader = asyncio.StreamReader(limit=1 << 20)
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while line := await reader.readline():
        said = json.loads(line)
        if "sdp" in said:
            answer = RTCSessionDescription(said["sdp"], "answer")
            await connection.setRemoteDescription(answer)
        elif " udp " in said["candidate"].lower():
            candidate = candidate_from_sdp(said["candidate"].removeprefix("candidate:"))
            candidate.sdpMLineIndex = said["label"]
            await connection.addIceCandidate(candidate)
    await connection.close()


async def serve(options):
    app = web.Application()
    app["options"] = options
    app.router.add_post("/whep/{name}", play)
    sessions = {
        None: "/session/{session}",
        "below": "/whep/{name}/{session}",
        "endpoint": "/whep/{name}",
        "nothing": None,
    }[options.named]
    if sessions:
        app.router.add_patch(sessions, trickle)
        app.router.add_delete(sessions, end)
    app.router.add_get("/ctl/{what}", control)
    runner = web.AppRunner(app)
    await runner.setup()
    # The address of a namespace may come later than its server.
    host = "127.0.0.1" if options.host == "127.0.0.1" else "0.0.0.0"
    secure = None
    if options.cert:
        secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        secure.load_cert_chain(options.cert, options.key)
    site = web.TCPSite(runner, host, options.port, ssl_context=secure)
    await site.start()
    print(site._server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--codec", choices=["h264", "vp8"], default="h264")
    parser.add_argument("--colour", default="2050a0", help="RRGGBB")
    parser.add_argument("--tone", type=int, default=440, help="Hz, a multiple of 10")
    parser.add_argument("--no-audio", action="store_true")
    parser.add_argument("--ecdsa-only", action="store_true")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--offer", action="store_true")
    parser.add_argument("--data-channel", action="store_true")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--announce")
    parser.add_argument("--cert")
    parser.add_argument("--numbered", help="NAME@EPOCH: numbered frames, frame 0 at that Unix time")
    parser.add_argument("--key")
    parser.add_argument("--named", choices=["below", "endpoint", "nothing"])
    options = parser.parse_args()
    if not options.ecdsa_only:
        let_rsa_in()
    count_requests_for_key_frames()
    FAULTS.announce = options.announce
    # aioice leaves loopback out; here there is nothing else.
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: [options.host]
    try:
        asyncio.run(offer(options) if options.offer else serve(options))
    except KeyboardInterrupt:
        pass


main()
