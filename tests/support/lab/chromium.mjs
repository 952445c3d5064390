// SPDX-License-Identifier: MPL-2.0
// A WHEP server whose WebRTC stack is a browser's: a page in headless Chromium answers the offers,
// with a canvas of one colour and a tone. Prints its port in the first line.
//
//     node chromium.mjs COLOUR TONE [CODEC]        RRGGBB, Hz, h264 or vp8
//
// POST /whep/NAME plays. GET /ctl/stopvideo, /ctl/closeall, /ctl/pids (the browser's processes that
// make the media), each on request. Everything stays on 127.0.0.1.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { readFileSync, readdirSync } from "node:fs";

const require = createRequire(`${process.env.LAB_NPM}/`);
const { chromium } = require("playwright-core");
const [colour, tone, codec = "h264"] = process.argv.slice(2);

const browser = await chromium.launch({
  executablePath: process.env.LAB_CHROMIUM,
  handleSIGTERM: false,
  handleSIGINT: false,
  args: [
    // The tests may run as root; the page is ours and nothing else is opened.
    "--no-sandbox",
    "--allow-loopback-in-peer-connection",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--no-proxy-server",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
  ],
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => browser.close().finally(() => process.exit(0)));
}
const page = await browser.newPage();

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks).toString();
  const say = (status, text, headers = {}) => response.writeHead(status, headers).end(text);
  try {
    if (request.url === "/page") say(200, "<!doctype html>", { "Content-Type": "text/html" });
    else if (request.method === "POST") {
      const { name, sdp } = await page.evaluate((offer) => answer(offer), body);
      say(201, sdp, { "Content-Type": "application/sdp", Location: `/session/${name}` });
    } else if (request.method === "DELETE") {
      await page.evaluate((name) => end(name), request.url.split("/").pop());
      say(200, "");
    } else if (request.url === "/ctl/stopvideo") say(200, await page.evaluate(() => stopVideo()));
    else if (request.url === "/ctl/closeall") say(200, await page.evaluate(() => closeAll()));
    else if (request.url === "/ctl/count") say(200, String(await page.evaluate(() => count())));
    else if (request.url === "/ctl/pids") say(200, renderers().join(" "));
    else say(404, "");
  } catch (error) {
    say(500, String(error));
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const port = server.address().port;
// The page comes from loopback, so that the browser trusts it as it trusts a secure one.
await page.goto(`http://127.0.0.1:${port}/page`);
await page.evaluate(prepare, { colour, tone: Number(tone), codec });
console.log(port);

// Runs in the page.
function prepare({ colour, tone, codec }) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [320, 192];
  const context = canvas.getContext("2d");
  let number = 0;
  setInterval(() => {
    context.fillStyle = `#${colour}`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = "white";
    context.fillRect((number++ * 8) % canvas.width, 96, 24, 96);
  }, 40);
  const audio = new AudioContext();
  const [oscillator, output] = [audio.createOscillator(), audio.createMediaStreamDestination()];
  oscillator.frequency.value = tone;
  oscillator.connect(output);
  oscillator.start();
  const tracks = [...canvas.captureStream(25).getTracks(), ...output.stream.getTracks()];
  const sessions = new Map();

  // The browser sends what the offer names first, whatever its answer prefers.
  const preferring = (codec, sdp) => {
    const named = new RegExp(`^a=rtpmap:(\\d+) ${codec}/`, "im").exec(sdp);
    if (!named) return sdp;
    return sdp.replace(/^(m=video \d+ \S+)(.*)$/m, (_, head, payloads) => {
      const others = payloads.trim().split(" ").filter((payload) => payload !== named[1]);
      return [head, named[1], ...others].join(" ");
    });
  };
  window.answer = async (sdp) => {
    const connection = new RTCPeerConnection();
    const name = String(sessions.size + 1);
    sessions.set(name, connection);
    await connection.setRemoteDescription({ type: "offer", sdp: preferring(codec, sdp) });
    for (const transceiver of connection.getTransceivers()) {
      const kind = transceiver.receiver.track.kind;
      transceiver.direction = "sendonly";
      await transceiver.sender.replaceTrack(tracks.find((track) => track.kind === kind));
    }
    await connection.setLocalDescription(await connection.createAnswer());
    await new Promise((resolve) => {
      const look = () => connection.iceGatheringState === "complete" && resolve();
      connection.onicegatheringstatechange = look;
      look();
    });
    return { name, sdp: connection.localDescription.sdp };
  };
  window.end = (name) => {
    sessions.get(name)?.close();
    sessions.delete(name);
  };
  window.closeAll = () => {
    for (const name of [...sessions.keys()]) window.end(name);
    return "ok";
  };
  window.count = () => sessions.size;
  window.stopVideo = () => {
    tracks.find((track) => track.kind === "video").stop();
    return "ok";
  };
}

// The page's processes: descendants of ours that render.
function renderers() {
  const parents = new Map();
  const found = [];
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      parents.set(pid, stat.slice(stat.lastIndexOf(")")).split(" ")[2]);
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (command.includes("--type=renderer")) found.push(pid);
    } catch {
      // It ended while we looked.
    }
  }
  const isOurs = (pid) => pid === String(process.pid) || (parents.has(pid) && isOurs(parents.get(pid)));
  return found.filter(isOurs);
}
