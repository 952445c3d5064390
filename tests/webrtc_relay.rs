// SPDX-License-Identifier: MPL-2.0
//! Through a real STUN and TURN server, coturn on loopback: the address that others see us at is
//! offered, and media come where nothing but a relay is allowed. Without coturn these tests say that
//! they are skipped.

#[path = "support/lab/mod.rs"]
mod lab;

mod support {
    pub(crate) mod alone;
}

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use gst::prelude::*;
use lab::{TurnServer, WhepServer, poll_until};
use support::alone::{Alone, PATIENCE};

fn coturn() -> io::Result<Option<TurnServer>> {
    if let Some(why) = TurnServer::missing() {
        eprintln!("skipped: {why}");
        return Ok(None);
    }
    TurnServer::start().map(Some)
}

fn only_by_relay(player: &Alone) {
    player.configure(|webrtcbin| webrtcbin.set_property_from_str("ice-transport-policy", "relay"));
}

#[test]
fn media_come_where_only_a_relay_is_allowed() -> io::Result<()> {
    let Some(turn) = coturn()? else {
        return Ok(());
    };
    let server = WhepServer::start()?;
    let player = Alone::new(&server.url());
    only_by_relay(&player);
    player
        .src
        .set_property("turn-servers", gst::Array::new([turn.turn_uri()]));
    let player = player.play();
    player.until("video_0", 10);
    player.until("audio_0", 10);
    let candidates = player.candidates();
    let all_relayed = candidates.iter().all(|text| text.contains("typ relay"));
    assert!(all_relayed && !candidates.is_empty(), "{candidates:?}");
    let relayed = || turn.has_relayed();
    assert!(poll_until(PATIENCE, relayed), "coturn knows nothing of it");
    Ok(())
}

#[test]
fn a_relay_that_lets_nobody_in_is_a_path_that_is_not_there() -> io::Result<()> {
    let Some(turn) = coturn()? else {
        return Ok(());
    };
    let server = WhepServer::start()?;
    let player = Alone::new(&server.url());
    only_by_relay(&player);
    let wrong = turn.turn_uri().replace("viewer", "stranger");
    player
        .src
        .set_property("turn-servers", gst::Array::new([wrong]));
    let player = player.play();
    let (cause, text) = player.failure();
    assert_eq!(cause, "no-connection", "{text}");
    assert!(!text.contains("let:me"), "{text}");
    assert!(!turn.has_relayed());
    Ok(())
}

#[test]
fn the_address_that_a_stun_server_sees_is_offered() -> io::Result<()> {
    let Some(turn) = coturn()? else {
        return Ok(());
    };
    let nat = nat(turn.port())?;
    let server = WhepServer::start()?;
    let player = Alone::new(&server.url());
    player
        .src
        .set_property("stun-server", format!("stun://127.0.0.1:{}", nat.port()));
    let player = player.play();
    player.until("video_0", 1);
    let seen = || player.candidates().iter().any(|c| c.contains("typ srflx"));
    assert!(poll_until(PATIENCE, seen), "{:?}", player.candidates());
    let offer = server.control("offer")?;
    assert!(offer.contains("typ srflx"), "it came too late: {offer}");
    Ok(())
}

/// Stands between us and the server, which therefore sees another port than ours.
fn nat(server: u16) -> io::Result<SocketAddr> {
    let inside = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = inside.local_addr()?;
    // Ends with the process; it waits for nothing but packets.
    std::thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok((length, from)) = inside.recv_from(&mut packet) {
            let Ok(outside) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)) else {
                return;
            };
            let _ = outside.send_to(&packet[..length], (Ipv4Addr::LOCALHOST, server));
            let Ok(back) = inside.try_clone() else { return };
            std::thread::spawn(move || {
                let mut packet = [0; 2048];
                let _ = outside.set_read_timeout(Some(PATIENCE));
                if let Ok(length) = outside.recv(&mut packet) {
                    let _ = back.send_to(&packet[..length], from);
                }
            });
        }
    });
    Ok(address)
}
