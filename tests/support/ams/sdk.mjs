// SPDX-License-Identifier: MPL-2.0
// Ant Media's own browser SDK in a headless Chromium, against the server of these tests.
//
//   node sdk.mjs FOLDER-OF-NODE-MODULES CHROMIUM PORT play|publish STREAM
//
// Says on standard output what the SDK tells, a word a line, and `frames` once for every peer connection
// whose pictures advance. It plays again when a stream ends, and when it is told that one has come back.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const [folder, chromium, port, mode, stream] = process.argv.slice(2);
const require = createRequire(`${folder}/node_modules/`);
const { chromium: launcher } = require("playwright-core");
const sdk = readFileSync(`${folder}/node_modules/@antmedia/webrtc_adaptor/dist/browser/webrtc_adaptor.js`);

// Cameras are for pages of this machine only. What blurs backgrounds comes from elsewhere, and is not used.
const pages = createServer((request, response) => {
    const isSdk = request.url === "/sdk.js";
    response.setHeader("Content-Type", isSdk ? "text/javascript" : "text/html");
    response.end(isSdk ? sdk : "<video id=remote autoplay muted playsinline></video><video id=local autoplay muted></video><script>SelfieSegmentation = class { setOptions() {} onResults() {} }</script><script src=/sdk.js></script>");
});
await new Promise((done) => pages.listen(0, "127.0.0.1", done));

const browser = await launcher.launch({
    executablePath: chromium,
    headless: true,
    args: ["--no-sandbox", "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required",
        "--disable-features=WebRtcHideLocalIpsWithMdns", "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream", "--no-proxy-server", "--disable-background-networking",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
process.on("SIGTERM", () => browser.close().then(() => process.exit(0)));
const page = await browser.newPage();
page.on("pageerror", (error) => console.log(`page-error ${error.message}`));
await page.exposeFunction("say", (word) => console.log(word));
await page.goto(`http://127.0.0.1:${pages.address().port}/`);
await page.evaluate(({ port, mode, stream }) => {
    const plays = mode === "play";
    const Adaptor = (window.webrtc_adaptor ?? window).WebRTCAdaptor ?? window.WebRTCAdaptor;
    const video = document.getElementById("remote");
    const go = (adaptor) => (plays ? adaptor.play(stream, "") : adaptor.publish(stream, ""));
    let told = null;
    const adaptor = new Adaptor({
        websocket_url: `ws://127.0.0.1:${port}/live/websocket`,
        mediaConstraints: plays ? { video: false, audio: false } : { video: true, audio: true },
        peerconnection_config: { iceServers: [] },
        isPlayMode: plays,
        remoteVideoId: "remote",
        localVideoId: "local",
        remoteVideoElement: video,
        localVideoElement: document.getElementById("local"),
        reconnectIfRequiredFlag: false,
        callback: (info) => {
            window.say(info);
            if (info === "initialized" || info === "play_finished" || info === "streaming_started") {
                // A player page makes everything anew, too.
                if (info !== "initialized") adaptor.closePeerConnection(stream);
                go(adaptor);
            }
        },
        callbackError: (error) => window.say(`error ${error}`),
    });
    const decoded = async (peer) => {
        const stats = await peer?.getStats();
        return [...(stats?.values() ?? [])].find((s) => s.type === "inbound-rtp" && s.kind === "video")?.framesDecoded ?? 0;
    };
    setInterval(async () => {
        const peer = adaptor.remotePeerConnection[stream];
        const frames = await decoded(peer);
        if (frames > 20 && told !== peer) {
            told = peer;
            window.say("frames");
        }
    }, 100);
}, { port, mode, stream });
