// SPDX-License-Identifier: MPL-2.0
//! A scripted HTTP server: for each request in turn it does what it is told, however rude.

#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What is done with a request.
#[derive(Clone)]
pub(crate) enum Manner {
    /// An answer: status, further headers, body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// These very bytes.
    Bytes(Vec<u8>),
    /// No answer, and the connection stays open.
    Hang,
    /// No answer, and the connection is closed.
    Close,
    /// What depends on the request.
    Do(fn(&Asked) -> Self),
}

/// A request that came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    /// All of it, names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let mut named = lines.filter(|(n, _)| *n == name);
        named.next().map(|(_, value)| value.trim())
    }
}

pub(crate) struct Rude {
    port: u16,
    asked: Mutex<Receiver<Asked>>,
    manners: Arc<Mutex<Vec<Manner>>>,
}

impl Rude {
    /// The last manner is for all further requests.
    pub(crate) fn start(manners: Vec<Manner>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (tell, asked) = channel();
        let manners = Arc::new(Mutex::new(manners));
        let script = manners.clone();
        // Ends with the process; it waits for nothing but connections.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (script, tell) = (script.clone(), tell.clone());
                std::thread::spawn(move || serve(stream, &script, &tell));
            }
        });
        Self {
            port,
            asked: Mutex::new(asked),
            manners,
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("whep://127.0.0.1:{}/whep/stream", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From the next request on.
    pub(crate) fn now(&self, manners: Vec<Manner>) {
        *self.manners.lock().unwrap_or_else(PoisonError::into_inner) = manners;
    }

    /// The next request that came.
    pub(crate) fn asked(&self) -> Asked {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked
            .recv_timeout(Duration::from_secs(20))
            .expect("a request")
    }

    /// Whether no request comes for a while.
    pub(crate) fn is_left_alone(&self, span: Duration) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.recv_timeout(span).is_err()
    }
}

fn serve(mut stream: TcpStream, script: &Mutex<Vec<Manner>>, tell: &Sender<Asked>) {
    while let Some(asked) = read(&mut stream) {
        let mut manner = {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            match script.len() {
                0 => Manner::Close,
                1 => script[0].clone(),
                _ => script.remove(0),
            }
        };
        if let Manner::Do(act) = manner {
            manner = act(&asked);
        }
        let _ = tell.send(asked);
        match manner {
            Manner::Answer(status, headers, body) => {
                let headers: String = headers
                    .iter()
                    .map(|(n, v)| format!("{n}: {v}\r\n"))
                    .collect();
                let length = body.len();
                let text = format!(
                    "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
                );
                let _ = stream.write_all(text.as_bytes());
            }
            Manner::Bytes(bytes) => {
                let _ = stream.write_all(&bytes);
                return;
            }
            // Until the other side goes.
            Manner::Hang => {
                let _ = stream.read(&mut [0; 16]);
                return;
            }
            Manner::Close | Manner::Do(_) => return,
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut first = head.lines().next()?.split(' ').map(str::to_owned);
    let mut asked = Asked {
        method: first.next()?,
        path: first.next()?,
        head,
        body: String::new(),
    };
    let length = asked.header("content-length").and_then(|l| l.parse().ok());
    let mut body = bytes.split_off(head_end + 4);
    while body.len() < length.unwrap_or(0) {
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => body.extend_from_slice(&chunk[..count]),
        }
    }
    asked.body = String::from_utf8_lossy(&body).into_owned();
    Some(asked)
}

/// What a server would make of our offer, with a candidate that nobody listens on.
pub(crate) fn answer(offer: &str) -> String {
    let mut answer = String::new();
    for line in offer.lines() {
        let line = match line {
            "a=setup:actpass" => "a=setup:passive",
            "a=recvonly" => "a=sendonly",
            line if line.starts_with("a=candidate") || line.starts_with("a=end-of") => continue,
            line if line.starts_with("a=ice-options") || line == "a=bundle-only" => continue,
            line => line,
        };
        // Of a bundled section the offer gives no port; an answer without one refuses it.
        let line = line.replace("m=audio 0 ", "m=audio 9 ");
        answer.push_str(&format!("{line}\r\n"));
        if line.starts_with("a=mid:") {
            answer.push_str("a=candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host\r\n");
        }
    }
    answer
}
