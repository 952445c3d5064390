// SPDX-License-Identifier: MPL-2.0
//! I/O: a session's HTTP requests, one after the other in a thread of their own, so that whoever asks
//! never waits. Everything that comes off the wire is bounded here.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use ureq::http;
use ureq::tls::{RootCerts, TlsConfig};

use super::signalling::{Method, News, Request, Response, Trouble};

/// A session description of a hundred streams is smaller.
const LARGEST_BODY: u64 = 256 * 1024;
const LARGEST_HEADERS: usize = 32 * 1024;
/// To look up a name, and to be let in at all.
const CONNECT: Duration = Duration::from_secs(5);

/// Requests that are under way end when this is dropped, except for a connection that is just being
/// made, which takes up to five seconds more in the thread that nobody waits for.
pub(super) struct Http {
    agent: ureq::Agent,
    requests: Sender<Request>,
}

impl Http {
    pub(super) fn start(
        verify_tls: bool,
        tell: impl Fn(News) + Send + 'static,
    ) -> std::io::Result<Self> {
        let agent = agent(verify_tls);
        let (requests, inbox) = channel();
        let own = agent.clone();
        std::thread::Builder::new()
            .name("webrtcplay:http".to_owned())
            .spawn(move || work(&own, &inbox, &tell))?;
        Ok(Self { agent, requests })
    }

    pub(super) fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.agent.clone().shutdown();
    }
}

fn agent(verify_tls: bool) -> ureq::Agent {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .disable_verification(!verify_tls)
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        // Where a redirect leads, and who gets the token there, is the protocol's decision.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .max_response_header_size(LARGEST_HEADERS)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .user_agent(concat!("webrtcplaysrc/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn work(agent: &ureq::Agent, inbox: &Receiver<Request>, tell: &impl Fn(News)) {
    while let Ok(request) = inbox.recv() {
        let id = request.id;
        tell(match exchange(agent, request) {
            Ok(response) => News::Response {
                request: id,
                response,
            },
            Err(trouble) => News::NoResponse {
                request: id,
                trouble,
            },
        });
    }
}

fn exchange(agent: &ureq::Agent, request: Request) -> Result<Response, Trouble> {
    let method = match request.method {
        Method::Post => http::Method::POST,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
    };
    let mut builder = http::Request::builder().method(method).uri(&request.url);
    for (name, value) in &request.headers {
        builder = builder.header(name, value);
    }
    let limit = Some(request.limit);
    let unusable = |error: http::Error| Trouble::Garbage(error.to_string());
    let answer = if request.method == Method::Delete {
        let request = builder.body(()).map_err(unusable)?;
        let request = agent.configure_request(request);
        agent.run(request.timeout_global(limit).build())
    } else {
        let request = builder.body(request.body).map_err(unusable)?;
        let request = agent.configure_request(request);
        agent.run(request.timeout_global(limit).build())
    };
    read(answer.map_err(|error| trouble(&error))?)
}

fn read(mut answer: http::Response<ureq::Body>) -> Result<Response, Trouble> {
    let status = answer.status().as_u16();
    let headers = answer.headers().iter();
    let headers = headers
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body = answer.body_mut().with_config().limit(LARGEST_BODY);
    let body = match body.read_to_vec() {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        // Its status says enough.
        Err(_) if status >= 300 => String::new(),
        Err(error) => return Err(trouble(&error)),
    };
    Ok(Response {
        status,
        headers,
        body,
    })
}

fn trouble(error: &ureq::Error) -> Trouble {
    use ureq::Error;
    match error {
        Error::Timeout(_) => Trouble::Timeout,
        Error::HostNotFound => Trouble::Unreachable("no host of that name".to_owned()),
        Error::ConnectionFailed => Trouble::Unreachable("no connection".to_owned()),
        Error::Tls(why) => Trouble::Tls((*why).to_owned()),
        Error::Rustls(why) => Trouble::Tls(why.to_string()),
        Error::Pem(_) | Error::TlsRequired => Trouble::Tls(error.to_string()),
        Error::Io(io) if io.kind() == std::io::ErrorKind::TimedOut => Trouble::Timeout,
        // What rustls finds wrong while it reads comes as an error of reading.
        Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData => {
            Trouble::Tls(io.to_string())
        }
        Error::Io(io) => Trouble::Unreachable(io.to_string()),
        _ => Trouble::Garbage(error.to_string()),
    }
}
