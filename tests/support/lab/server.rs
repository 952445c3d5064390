// SPDX-License-Identifier: MPL-2.0
//! An RTMP server of our own: nginx with its RTMP module, on loopback and a free port.
//!
//! Owns the server's configuration and life. Needs no privileges and touches no system nginx.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Process, Scratch};

const START_DEADLINE: Duration = Duration::from_secs(5);

/// A server that accepts connections. Dropping it kills it.
pub(crate) struct Server {
    process: Process,
    folder: Scratch,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> io::Result<Self> {
        let folder = Scratch::new()?;
        // Between finding a free port and binding it, another process may take it.
        let mut last_error = io::Error::other("no free port");
        for _ in 0..5 {
            let port = free_port()?;
            match launch(&folder, port) {
                Ok(process) => {
                    return Ok(Self {
                        process,
                        folder,
                        port,
                    });
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Where a stream is published and played. The server keeps a player of an absent stream waiting.
    pub(crate) fn url(&self, stream: &str) -> String {
        self.url_in("live", stream)
    }

    /// As [`Self::url`], in another application of the server: `noidle` refuses to play an absent
    /// stream, `dropidle` ends a publisher that is silent for 3 seconds.
    pub(crate) fn url_in(&self, application: &str, stream: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{application}/{stream}", self.port)
    }

    /// SIGKILL: connections break at once.
    pub(crate) fn kill(&mut self) {
        self.process.kill9();
    }

    /// SIGTERM, as an operator would stop it.
    pub(crate) fn stop(&mut self) {
        self.process.terminate();
    }

    /// Starts it again on the same port, after [`Self::kill`] or [`Self::stop`].
    pub(crate) fn restart(&mut self) -> io::Result<()> {
        self.process.kill9();
        self.process = launch(&self.folder, self.port)?;
        Ok(())
    }

    pub(crate) fn freeze(&mut self) -> io::Result<()> {
        self.process.freeze()
    }

    pub(crate) fn thaw(&mut self) -> io::Result<()> {
        self.process.thaw()
    }
}

/// A port that nobody listens on right now: for a server that is absent, or not there yet.
pub(crate) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

/// As [`free_port`], for datagrams.
pub(crate) fn free_udp_port() -> io::Result<u16> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(socket.local_addr()?.port())
}

/// Asks every 5 ms until `done` says yes; `false` when `limit` has passed first.
pub(crate) fn poll_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if done() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn find_rtmp_module() -> Option<PathBuf> {
    [
        "/usr/lib/nginx/modules",
        "/usr/lib64/nginx/modules",
        "/usr/local/lib/nginx/modules",
        "/opt/homebrew/lib/nginx/modules",
    ]
    .map(|folder| PathBuf::from(folder).join("ngx_rtmp_module.so"))
    .into_iter()
    .find(|file| file.is_file())
}

fn launch(folder: &Scratch, port: u16) -> io::Result<Process> {
    let module = find_rtmp_module()
        .ok_or_else(|| io::Error::other("the RTMP module of nginx is not installed"))?;
    let path = folder.path();
    let config = path.join("nginx.conf");
    let log = path.join("error.log");
    fs::write(&config, configuration(&module.display().to_string(), port))?;
    let args = [
        "-p".into(),
        path.display().to_string(),
        "-c".into(),
        config.display().to_string(),
        "-e".into(),
        log.display().to_string(),
    ];
    let id = path.join("nginx.pid");
    let _ = fs::remove_file(&id);
    let mut process = Process::spawn("nginx", &args, &path.join("nginx.log"))?;
    // Connecting is not enough of a proof: it may be a stranger's server that answers, while ours still tries
    // to have the port. It writes its id when it has.
    let mut ended = false;
    let answers = poll_until(START_DEADLINE, || {
        ended = !process.is_running();
        ended || id.exists() && accepts(port)
    });
    match answers && !ended && process.is_running() {
        true => Ok(process),
        false => Err(process.failure("the RTMP server did not start")),
    }
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok()
}

/// One process without workers, so that a signal to it is a signal to the whole server.
fn configuration(module: &str, port: u16) -> String {
    format!(
        "load_module {module};
daemon off;
master_process off;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 512; }}
rtmp {{
    access_log off;
    server {{
        listen 127.0.0.1:{port};
        application live {{ live on; }}
        application noidle {{ live on; idle_streams off; }}
        application dropidle {{ live on; drop_idle_publisher 3s; }}
    }}
}}
"
    )
}
