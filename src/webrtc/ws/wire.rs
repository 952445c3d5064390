// SPDX-License-Identifier: MPL-2.0
//! I/O: from a URL to an open WebSocket that never blocks, and what its errors mean.

use std::io::{self, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Poll};
use rustls::{ClientConnection, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::handshake::{HandshakeError, MidHandshake};
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Error, WebSocket};
use url::Url;

use super::{End, LARGEST_MESSAGE, MOST_WAITING, WIRE, tls};
use crate::webrtc::signalling::{Opening, Trouble};

pub(super) type Wire = WebSocket<Stream>;

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Connects to whichever address of the host answers; `left` is the time that is left. Looking up a
/// name takes the time that the system takes for it.
pub(super) fn connect(
    url: &str,
    verify_tls: bool,
    left: impl Fn() -> Duration,
) -> Result<Stream, Trouble> {
    let unusable = |_| Trouble::Garbage("no URL of a socket".to_owned());
    let url = Url::parse(url).map_err(unusable)?;
    let addresses = url.socket_addrs(|| None);
    let mut last = Trouble::Unreachable("its name has no address".to_owned());
    for address in addresses.map_err(unreachable)? {
        let left = left();
        if left.is_zero() {
            return Err(Trouble::Timeout);
        }
        match std::net::TcpStream::connect_timeout(&address, left) {
            Ok(tcp) => {
                tcp.set_nonblocking(true).map_err(unreachable)?;
                // Candidates are small and wanted at once.
                tcp.set_nodelay(true).map_err(unreachable)?;
                return secured(TcpStream::from_std(tcp), &url, verify_tls);
            }
            Err(error) => last = unreachable(error),
        }
    }
    Err(last)
}

fn secured(tcp: TcpStream, url: &Url, verify_tls: bool) -> Result<Stream, Trouble> {
    if url.scheme() != "wss" {
        return Ok(Stream::Plain(tcp));
    }
    let host = url.host_str().unwrap_or_default();
    let connection = tls::connection(host, verify_tls).map_err(Trouble::Tls)?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, tcp))))
}

/// A greeting that is under way.
pub(super) struct Handshake(MidHandshake<ClientHandshake<Stream>>);

pub(super) enum Step {
    Done(Box<Wire>),
    Waits(Handshake),
}

/// Begins the greeting of WebSockets, over a stream that the poll watches from now on.
pub(super) fn greet(opening: &Opening, mut stream: Stream, poll: &Poll) -> Result<Handshake, End> {
    let both = Interest::READABLE | Interest::WRITABLE;
    let watched = poll.registry().register(stream.tcp(), WIRE, both);
    watched.map_err(unreachable)?;
    let mut request = opening
        .url
        .as_str()
        .into_client_request()
        .map_err(trouble_of)?;
    for (name, value) in &opening.headers {
        let unusable = || Trouble::Garbage("a header of ours is no header".to_owned());
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
        let value = HeaderValue::from_str(value).map_err(|_| unusable())?;
        request.headers_mut().insert(name, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(MOST_WAITING)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    let begun = ClientHandshake::start(stream, request, Some(config));
    begun.map(Handshake).map_err(trouble_of)
}

impl Handshake {
    pub(super) fn proceed(self) -> Result<Step, End> {
        match self.0.handshake() {
            Ok((wire, _)) => Ok(Step::Done(Box::new(wire))),
            Err(HandshakeError::Interrupted(again)) => Ok(Step::Waits(Self(again))),
            Err(HandshakeError::Failure(error)) => Err(trouble_of(error)),
        }
    }
}

pub(super) fn would_wait(error: &Error) -> bool {
    matches!(error, Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// What cannot go out at once goes out later.
pub(super) fn passed(result: Result<(), Error>) -> Result<(), End> {
    match result {
        Err(error) if !would_wait(&error) => Err(trouble_of(error)),
        _ => Ok(()),
    }
}

pub(super) fn trouble_of(error: Error) -> End {
    if let Error::Http(response) = &error {
        let status = response.status().as_u16();
        return End {
            trouble: Trouble::Garbage(format!("HTTP {status}")),
            status: Some(status),
        };
    }
    let trouble = match error {
        Error::Io(error) => unreachable(error),
        Error::ConnectionClosed | Error::AlreadyClosed => Trouble::Unreachable(String::new()),
        Error::Protocol(error) => Trouble::Garbage(error.to_string()),
        error => Trouble::Garbage(error.to_string()),
    };
    trouble.into()
}

/// TLS hides its errors in those of the stream.
fn unreachable(error: io::Error) -> Trouble {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(tls) => Trouble::Tls(rustls::Error::to_string(tls)),
        None if error.kind() == io::ErrorKind::TimedOut => Trouble::Timeout,
        None => Trouble::Unreachable(error.to_string()),
    }
}

impl Stream {
    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => tls.get_mut(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(buffer),
            Self::Tls(tls) => tls.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}
