// SPDX-License-Identifier: MPL-2.0
//! The lab itself: its server and publishers do what the other tests take for granted.

#[path = "support/lab/mod.rs"]
mod lab;

use std::io;
use std::net::TcpStream;
use std::path::Path;

use lab::{Picture, Publisher, Server};

#[test]
fn a_publisher_publishes_again_after_it_was_killed() -> io::Result<()> {
    let server = Server::start()?;
    let mut publisher = Publisher::start(&server.url("stream"), Picture::new("TEST"))?;
    publisher.wait_until_publishing()?;
    publisher.kill9();
    assert!(!publisher.is_running());
    publisher.restart()?;
    publisher.wait_until_publishing()
}

#[test]
fn picture_and_tone_can_be_left_out() -> io::Result<()> {
    let server = Server::start()?;
    let silent = Picture::new("SILENT")
        .without_audio()
        .size(320, 180)
        .fps(30)
        .gop(60);
    let blind = Picture::new("BLIND")
        .without_video()
        .tone(880)
        .sample_rate(48_000);
    for (name, picture) in [("silent", silent), ("blind", blind)] {
        let mut publisher = Publisher::start(&server.url(name), picture)?;
        publisher.wait_until_publishing()?;
        assert!(publisher.is_running());
    }
    Ok(())
}

#[test]
fn a_server_comes_back_on_its_port() -> io::Result<()> {
    let mut server = Server::start()?;
    let address = ("127.0.0.1", server.port());
    server.kill();
    assert!(TcpStream::connect(address).is_err());
    server.restart()?;
    assert!(TcpStream::connect(address).is_ok());
    server.stop();
    assert!(TcpStream::connect(address).is_err());
    Ok(())
}

#[test]
fn a_publisher_without_a_server_is_an_error_that_says_why() -> io::Result<()> {
    let mut server = Server::start()?;
    server.kill();
    let mut publisher = Publisher::start(&server.url("stream"), Picture::new("TEST"))?;
    let error = publisher
        .wait_until_publishing()
        .expect_err("nobody listens");
    assert!(error.to_string().contains("refused"), "{error}");
    Ok(())
}

#[test]
fn a_frozen_publisher_goes_when_it_is_dropped() -> io::Result<()> {
    let server = Server::start()?;
    let mut publisher = Publisher::start(&server.url("stream"), Picture::new("TEST"))?;
    publisher.wait_until_publishing()?;
    publisher.freeze()?;
    let process = format!("/proc/{}", publisher.id());
    drop(publisher);
    assert!(!Path::new(&process).exists());
    Ok(())
}
