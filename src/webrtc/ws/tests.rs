// SPDX-License-Identifier: MPL-2.0
//! The socket against servers on this machine, polite and rude ones.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

#[test]
fn texts_go_both_ways_and_the_last_words_arrive() {
    let server = Server::start(|tcp| {
        let mut wire = tungstenite::accept(tcp).expect("a greeting");
        wire.send(Message::text("hello")).expect("sent");
        let mut heard = vec![];
        while let Ok(Message::Text(text)) = wire.read() {
            heard.push(text.as_str().to_owned());
        }
        heard
    });
    let (socket, news) = server.dial();
    assert_eq!(next(&news), News::Opened);
    assert_eq!(next(&news), News::Text("hello".to_owned()));
    for number in 0..100 {
        socket.send(number.to_string());
    }
    socket.send("stop".to_owned());
    drop(socket);
    let heard = server.outcome();
    assert_eq!(heard.len(), 101);
    assert_eq!(heard.last().map(String::as_str), Some("stop"));
    assert!(
        news.recv_timeout(LIMIT).is_err(),
        "nothing is told after good-bye"
    );
}

#[test]
fn the_servers_good_bye_is_told_once() {
    let server = Server::start(|tcp| {
        let mut wire = tungstenite::accept(tcp).expect("a greeting");
        wire.close(None).expect("closed");
        while wire.read().is_ok() {}
        vec![]
    });
    let (_socket, news) = server.dial();
    assert_eq!(next(&news), News::Opened);
    assert!(matches!(
        next(&news),
        News::Closed {
            trouble: Trouble::Unreachable(_),
            status: None
        }
    ));
    assert!(news.recv_timeout(LIMIT).is_err());
}

#[test]
fn a_connection_that_breaks_is_closed() {
    let server = Server::start(|tcp| {
        drop(tungstenite::accept(tcp));
        vec![]
    });
    let (_socket, news) = server.dial();
    assert_eq!(next(&news), News::Opened);
    assert!(matches!(next(&news), News::Closed { .. }));
}

#[test]
fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let (_socket, news) = dial(&format!("ws://127.0.0.1:{port}/"), LIMIT, true);
    let News::Closed {
        trouble: Trouble::Unreachable(why),
        ..
    } = next(&news)
    else {
        panic!("it is open");
    };
    assert!(why.contains("refused"), "{why}");
}

#[test]
fn a_refusal_says_its_status() {
    let server = Server::start(|mut tcp| {
        head(&mut tcp);
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        tcp.write_all(answer).expect("written");
        vec![]
    });
    let (_socket, news) = server.dial();
    assert!(matches!(
        next(&news),
        News::Closed {
            status: Some(503),
            ..
        }
    ));
}

#[test]
fn a_server_that_never_greets_is_left_in_time() {
    let server = Server::start(|mut tcp| {
        let mut rest = vec![];
        let _ = tcp.read_to_end(&mut rest);
        vec![]
    });
    let (_socket, news) = dial(&server.url, Duration::from_millis(200), true);
    assert!(matches!(
        next(&news),
        News::Closed {
            trouble: Trouble::Timeout,
            ..
        }
    ));
    server.outcome();
}

#[test]
fn leaving_ends_a_greeting_that_is_under_way() {
    let (met, meeting) = channel();
    let server = Server::start(move |mut tcp| {
        head(&mut tcp);
        met.send(()).expect("the test is there");
        let mut rest = vec![];
        let _ = tcp.read_to_end(&mut rest);
        vec![]
    });
    let (socket, news) = dial(&server.url, Duration::from_secs(600), true);
    meeting.recv_timeout(LIMIT).expect("a connection");
    drop(socket);
    server.outcome();
    assert!(news.recv_timeout(LIMIT).is_err());
}

#[test]
fn a_message_without_measure_closes_the_socket() {
    for flood in [false, true] {
        let server = Server::start(move |tcp| {
            let mut wire = tungstenite::accept(tcp).expect("a greeting");
            let (size, count) = if flood {
                (100_000, 100)
            } else {
                (LARGEST_MESSAGE + 1, 1)
            };
            for _ in 0..count {
                if wire.send(Message::text("x".repeat(size))).is_err() {
                    break;
                }
            }
            while wire.read().is_ok() {}
            vec![]
        });
        let (_socket, news) = server.dial();
        assert_eq!(next(&news), News::Opened);
        let mut texts = 0;
        loop {
            match next(&news) {
                News::Text(_) => texts += 1,
                News::Closed {
                    trouble: Trouble::Garbage(_),
                    ..
                } => break,
                other => panic!("{other:?}"),
            }
        }
        assert!(texts < 60, "{texts} long texts");
    }
}

#[test]
fn what_nobody_reads_is_not_hoarded() {
    let (done, is_done) = channel::<()>();
    let server = Server::start(move |tcp| {
        let wire = tungstenite::accept(tcp).expect("a greeting");
        let _ = is_done.recv_timeout(LIMIT);
        drop(wire);
        vec![]
    });
    let (socket, news) = server.dial();
    assert_eq!(next(&news), News::Opened);
    // What the system takes for sockets, and what we keep, is a few megabytes.
    for _ in 0..1000 {
        socket.send("x".repeat(80_000));
    }
    assert!(matches!(
        next(&news),
        News::Closed {
            trouble: Trouble::Garbage(_),
            ..
        }
    ));
    done.send(()).expect("the server is there");
}

#[test]
fn a_certificate_of_nobody_is_not_trusted_unless_told_so() {
    for verify in [true, false] {
        let server = Server::start_tls();
        let (_socket, news) = dial(&server.url, LIMIT, verify);
        match next(&news) {
            News::Closed {
                trouble: Trouble::Tls(why),
                ..
            } if verify => {
                assert!(why.contains("certificate"), "{why}");
            }
            News::Opened if !verify => assert_eq!(next(&news), News::Text("safe".to_owned())),
            other => panic!("{other:?}"),
        }
    }
}

/// One connection's worth of a server.
struct Server {
    url: String,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn start(serve: impl FnOnce(TcpStream) -> Vec<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let thread = std::thread::spawn(move || {
            let (tcp, _) = listener.accept().expect("a connection");
            tcp.set_read_timeout(Some(LIMIT)).expect("a limit");
            serve(tcp)
        });
        let url = format!("ws://127.0.0.1:{port}/app/websocket?target=edge");
        Self { url, thread }
    }

    fn start_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a certificate");
        let mut server = Self::start(move |tcp| {
            let connection = rustls::ServerConnection::new(Arc::new(config)).expect("TLS");
            let stream = rustls::StreamOwned::new(connection, tcp);
            if let Ok(mut wire) = tungstenite::accept(stream) {
                let _ = wire.send(Message::text("safe"));
                while wire.read().is_ok() {}
            }
            vec![]
        });
        server.url = server.url.replace("ws://127.0.0.1", "wss://localhost");
        server
    }

    fn dial(&self) -> (Socket, Receiver<News>) {
        dial(&self.url, LIMIT, true)
    }

    fn outcome(self) -> Vec<String> {
        self.thread.join().expect("the server is well")
    }
}

fn dial(url: &str, limit: Duration, verify_tls: bool) -> (Socket, Receiver<News>) {
    let (tell, news) = channel();
    let url = url.to_owned();
    let headers = vec![("X-Test".to_owned(), "yes".to_owned())];
    let opening = Opening {
        url,
        headers,
        limit,
    };
    let socket = Socket::open(opening, verify_tls, move |news| {
        let _ = tell.send(news);
    });
    (socket.expect("a thread"), news)
}

fn next(news: &Receiver<News>) -> News {
    news.recv_timeout(LIMIT).expect("news")
}

/// The head of a request.
fn head(tcp: &mut TcpStream) {
    let mut head = vec![];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
}
