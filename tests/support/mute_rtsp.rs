// SPDX-License-Identifier: MPL-2.0
//! An RTSP server that grants UDP and sends nothing by it, as where a firewall stands between. Over TCP it sends a picture.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use gst::prelude::*;

const SDP: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
    m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n";

/// Nobody may hold up the one that sends to all.
const LONGEST_WRITE: Duration = Duration::from_secs(2);

pub(crate) struct MuteRtsp {
    port: u16,
    shared: Arc<Shared>,
    sender: gst::Pipeline,
}

#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connections: Vec<TcpStream>,
    /// Those that are sent to.
    players: Vec<TcpStream>,
    /// What was asked for, one word for each SETUP.
    asked: Vec<&'static str>,
}

impl MuteRtsp {
    /// Sends what this element in gst-launch syntax gives, encoded.
    pub(crate) fn start(picture: &str) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let shared = Arc::<Shared>::default();
        let sender = sender(picture, &shared);
        let accepting = shared.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if accepting.ends.load(SeqCst) {
                    return;
                }
                let (shared, kept) = (accepting.clone(), connection.try_clone());
                shared.lock().connections.extend(kept);
                thread::spawn(move || serve(&shared, connection));
            }
        });
        Ok(Self {
            port,
            shared,
            sender,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://127.0.0.1:{}/live", self.port)
    }

    /// By which transports streams were asked for so far.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        self.shared.lock().asked.clone()
    }

    /// Closes all connections, and takes new ones.
    pub(crate) fn hang_up(&self) {
        self.shared.hang_up();
    }
}

impl Drop for MuteRtsp {
    fn drop(&mut self) {
        self.shared.ends.store(true, SeqCst);
        let _ = self.sender.set_state(gst::State::Null);
        self.shared.hang_up();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang_up(&self) {
        let mut state = self.lock();
        state.players.clear();
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// A packet for all that play, each in the first channel of its connection.
    fn send(&self, packet: &[u8]) {
        let length = u16::try_from(packet.len()).expect("a packet");
        let framed = [&[b'$', 0][..], &length.to_be_bytes(), packet].concat();
        self.lock()
            .players
            .retain_mut(|player| player.write_all(&framed).is_ok());
    }
}

fn sender(picture: &str, shared: &Arc<Shared>) -> gst::Pipeline {
    let line = format!(
        "{picture} ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=10 ! \
         rtph264pay config-interval=-1 pt=96 ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&line).expect(&line);
    let pipeline = pipeline.downcast::<gst::Pipeline>().expect("a pipeline");
    let out = pipeline.by_name("out").and_downcast::<gst_app::AppSink>();
    let shared = shared.clone();
    let callbacks = gst_app::AppSinkCallbacks::builder().new_sample(move |out| {
        let sample = out.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        if let Some(Ok(packet)) = sample.buffer().map(gst::BufferRef::map_readable) {
            shared.send(&packet);
        }
        Ok(gst::FlowSuccess::Ok)
    });
    out.expect("an appsink").set_callbacks(callbacks.build());
    pipeline.set_state(gst::State::Playing).expect("it sends");
    pipeline
}

fn serve(shared: &Shared, mut connection: TcpStream) {
    let _ = connection.set_write_timeout(Some(LONGEST_WRITE));
    let Ok(mut reader) = connection.try_clone().map(BufReader::new) else {
        return;
    };
    let mut over_tcp = false;
    while let Ok(Some(request)) = next_request(&mut reader) {
        let line = |name: &str| {
            let mut lines = request.lines();
            let mut found = lines.find_map(|line| line.strip_prefix(name));
            found.take().unwrap_or_default().trim().to_owned()
        };
        let mut more = String::new();
        let mut body = "";
        let method = request.split(' ').next().unwrap_or_default();
        match method {
            "OPTIONS" => more += "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
            "DESCRIBE" => {
                body = SDP;
                more += "Content-Type: application/sdp\r\n";
                more += &format!("Content-Length: {}\r\n", SDP.len());
            }
            "SETUP" => {
                let transport = line("Transport:");
                over_tcp = transport.contains("TCP");
                shared
                    .lock()
                    .asked
                    .push(if over_tcp { "TCP" } else { "UDP" });
                let granted = match over_tcp {
                    true => "RTP/AVP/TCP;unicast;interleaved=0-1".to_owned(),
                    false => format!("{transport};server_port=9-10"),
                };
                more += &format!("Transport: {granted}\r\nSession: 1;timeout=60\r\n");
            }
            _ => more += "Session: 1\r\n",
        }
        let sequence = line("CSeq:");
        let answer = format!("RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{more}\r\n{body}");
        let mut state = shared.lock();
        if connection.write_all(answer.as_bytes()).is_err() {
            return;
        }
        if method == "PLAY" && over_tcp {
            state.players.extend(connection.try_clone());
        }
    }
}

/// The head of the next request; what is sent in the channels between them is passed over.
fn next_request(reader: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    loop {
        match reader.fill_buf()?.first() {
            None => return Ok(None),
            Some(b'$') => {
                let mut head = [0; 4];
                reader.read_exact(&mut head)?;
                let length = u64::from(u16::from_be_bytes([head[2], head[3]]));
                io::copy(&mut reader.take(length), &mut io::sink())?;
            }
            Some(_) => {
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut request)? == 0 {
                        return Ok(None);
                    }
                }
                return Ok(Some(request));
            }
        }
    }
}
