// SPDX-License-Identifier: MPL-2.0
//! By URI: files, HTTP, HLS, RTMP.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Instant;

use super::media::Running;
use super::*;

const H264: &str = "video/x-h264,stream-format=byte-stream,alignment=au,parsed=true";
const AAC: &str = "audio/mpeg,mpegversion=4,stream-format=raw,framed=true";

pub(super) fn play(description: &Description) -> Player {
    assert_eq!(description.check(), Ok(()));
    Player::start(description.build("source").expect("source"))
}

/// Checks that these pads, and no others, came with caps like these.
pub(super) fn assert_pads(player: &Player, expected: &[(&str, &str)]) {
    let pads = player.pads();
    let names: Vec<_> = pads.iter().map(|(name, _)| name.as_str()).collect();
    let wanted: Vec<_> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, wanted);
    for ((name, caps), (_, form)) in pads.iter().zip(expected) {
        let form: gst::Caps = form.parse().expect("caps");
        assert!(caps.is_fixed() && caps.is_subset(&form), "{name}: {caps}");
    }
}

fn plays_to_its_end(description: &Description, expected: &[(&str, &str)]) {
    let player = play(description);
    let count = expected.len();
    player.wait_all("the end of every stream", |seen| {
        let ended = seen.iter().filter(|e| matches!(e, Event::Ended(_)));
        ended.count() == count && seen.contains(&Event::NoMorePads)
    });
    assert_pads(&player, expected);
    let seen = player.seen();
    assert!(
        !seen.iter().any(|e| matches!(e, Event::Error(_))),
        "{seen:?}"
    );
}

#[test]
fn files_come_in_one_form_whatever_their_container() {
    for extension in ["mp4", "ts", "mkv", "flv"] {
        let description = uri(&media::uri(extension));
        plays_to_its_end(&description, &[("audio_0", AAC), ("video_0", H264)]);
    }
}

#[test]
fn raw_audio_needs_no_parser() {
    plays_to_its_end(&uri(&media::uri("wav")), &[("audio_0", "audio/x-raw")]);
}

#[test]
fn files_and_playlists_come_over_http() {
    let server = Http::start();
    for extension in ["mp4", "ts", "m3u8"] {
        let description = uri(&format!("http://{}/programme.{extension}", server.address));
        plays_to_its_end(&description, &[("audio_0", AAC), ("video_0", H264)]);
    }
}

#[test]
fn text_served_as_flv_is_an_error_and_no_pad() {
    let server = Http::start();
    let player = play(&uri(&format!(
        "http://{}/liar.flv?token=t0ken",
        server.address
    )));
    player.wait("an error", |e| matches!(e, Event::Error(_)));
    assert_eq!(player.pads(), []);
}

#[test]
fn a_file_that_is_not_there_is_an_error_at_run_time() {
    let player = play(&uri("file:///nonexistent/programme.mp4"));
    player.wait("an error", |e| matches!(e, Event::Error(_)));
    assert_eq!(player.pads(), []);
}

#[test]
fn rtmp_comes_in_one_form_and_ends_with_its_publisher() {
    let server = Rtmp::start();
    let publisher = server.publish("secretkey");
    let player = play(&uri(&format!("rtmp://{}/live/secretkey", server.address)));
    player.wait_all("both streams", |seen| {
        let flowing = seen.iter().filter(|e| matches!(e, Event::Flowing(..)));
        flowing.count() == 2
    });
    assert_pads(&player, &[("audio_0", AAC), ("video_0", H264)]);

    drop(publisher);
    player.wait_all("the end of both", |seen| {
        let ended = seen.iter().filter(|e| matches!(e, Event::Ended(_)));
        ended.count() == 2
    });
}

#[test]
fn an_rtmp_server_that_is_not_there_is_an_error_without_the_key() {
    let description = uri("rtmp://127.0.0.1:1/live/secretkey?t=t0ken");
    let player = play(&description);
    player.wait("an error", |e| matches!(e, Event::Error(_)));
    assert_eq!(player.pads(), []);
    for event in player.seen() {
        let text = description.secrets().take_out_of(&format!("{event:?}"));
        assert!(
            !text.contains("secretkey") && !text.contains("t0ken"),
            "{text}"
        );
    }
}

#[test]
fn a_transport_stream_over_udp_plays() {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let to = format!("udp://{}", socket.local_addr().expect("its address"));
    drop(socket);
    let player = play(&uri(&to));
    let arguments = format!("-re {} -f mpegts {to}", media::PROGRAMME);
    let _sender = Running::start(&mut media::ffmpeg(&arguments));
    player.wait_all("both streams", |seen| {
        let flowing = seen.iter().filter(|e| matches!(e, Event::Flowing(..)));
        flowing.count() == 2
    });
    assert_pads(&player, &[("audio_0", AAC), ("video_0", H264)]);
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Serves the media folder, and a text that claims to be FLV, until it is dropped.
struct Http {
    address: std::net::SocketAddr,
}

impl Http {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut first = String::new();
                let peeked = BufReader::new(&stream).read_line(&mut first);
                if peeked.is_err() || first.starts_with("STOP") {
                    return;
                }
                let _ = answer(stream, &first);
            }
        });
        Self { address }
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        if let Ok(mut stream) = TcpStream::connect(self.address) {
            let _ = stream.write_all(b"STOP\r\n");
        }
    }
}

fn answer(mut stream: TcpStream, request: &str) -> std::io::Result<()> {
    let path = request.split_whitespace().nth(1).unwrap_or("/");
    let (kind, body) = if path.starts_with("/liar.flv") {
        let text = "<html>the stream is offline</html>\n".repeat(100);
        ("video/x-flv", text.into_bytes())
    } else {
        let file = media::folder().join(path.trim_start_matches('/'));
        ("application/octet-stream", std::fs::read(file)?)
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// nginx with its RTMP module, and publishers, until it is dropped.
struct Rtmp {
    address: String,
    folder: std::path::PathBuf,
    nginx: Running,
}

impl Rtmp {
    /// Another one may take the free port before nginx does, so there is a second try and a third.
    fn start() -> Self {
        let mut tries = (0..3).map(|_| Self::launch());
        tries
            .find_map(Self::once_listening)
            .expect("nginx to listen")
    }

    fn launch() -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let name = format!("failover-nginx-{}", address.replace(':', "-"));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for nginx");
        let config = format!(
            "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
             daemon off; master_process off; pid nginx.pid; error_log error.log;\n\
             events {{}}\n\
             rtmp {{ server {{ listen {address}; application live {{ live on; }} }} }}\n"
        );
        std::fs::write(folder.join("nginx.conf"), config).expect("a configuration");
        let mut nginx = Command::new("/usr/sbin/nginx");
        nginx
            .args(["-e", "error.log", "-c", "nginx.conf", "-p"])
            .arg(&folder);
        let nginx = Running::start(&mut nginx);
        Self {
            address,
            folder,
            nginx,
        }
    }

    fn once_listening(mut self) -> Option<Self> {
        let deadline = Instant::now() + PATIENCE;
        while self.nginx.is_alive() && Instant::now() < deadline {
            if TcpStream::connect(&self.address).is_ok() {
                return Some(self);
            }
            std::thread::yield_now();
        }
        None
    }

    fn publish(&self, key: &str) -> Running {
        let to = format!("rtmp://{}/live/{key}", self.address);
        let arguments = format!("-re {} -f flv {to}", media::PROGRAMME);
        Running::start(&mut media::ffmpeg(&arguments))
    }
}

impl Drop for Rtmp {
    fn drop(&mut self) {
        // nginx itself ends after this, and needs the folder no more.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
