// SPDX-License-Identifier: MPL-2.0
//! A line between sockets of the loopback, with packets that are none of libsrt's.

use std::net::UdpSocket;
use std::time::Duration;

use super::*;

/// No packet takes as long on a loopback.
const AT_MOST: Duration = Duration::from_secs(5);

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
    socket.set_read_timeout(Some(AT_MOST)).expect("a timeout");
    socket
}

fn free() -> SocketAddr {
    socket().local_addr().expect("its address")
}

fn call() -> Vec<u8> {
    let mut packet = vec![0; 64];
    packet[0] = 0x80;
    packet[43] = 1;
    packet
}

fn data(last: u8) -> Vec<u8> {
    let mut packet = vec![0; 64];
    packet[15] = 9;
    packet[63] = last;
    packet
}

fn read(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut packet = [0; 2048];
    let (size, from) = socket.recv_from(&mut packet).expect("a packet");
    (packet[..size].to_vec(), from)
}

/// The srtsrc of an attempt.
fn attempt(line: &Line) -> UdpSocket {
    let port = line.lead_on().expect("a port");
    let source = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).expect("the port is free");
    source.set_read_timeout(Some(AT_MOST)).expect("a timeout");
    source
}

#[test]
fn packets_go_both_ways_and_a_call_finds_the_attempt_of_its_time() {
    let local = free();
    let line = Line::open(local).expect("a line");
    let caller = socket();
    let first = attempt(&line);
    caller.send_to(&call(), local).expect("sent");
    let (packet, leg) = read(&first);
    assert_eq!(packet, call());
    first.send_to(&data(1), leg).expect("sent");
    assert_eq!(read(&caller), (data(1), local));
    caller.send_to(&data(2), local).expect("sent");
    assert_eq!(read(&first), (data(2), leg));
    // Another attempt begins before the call was answered: the caller asks again, by and by.
    let second = attempt(&line);
    caller.send_to(&call(), local).expect("sent");
    assert_eq!(read(&second).0, call());
}

#[test]
fn the_port_is_open_from_one_attempt_to_the_next_and_closed_at_the_end() {
    let local = free();
    let line = Line::open(local).expect("a line");
    drop(attempt(&line));
    assert!(UdpSocket::bind(local).is_err(), "open");
    drop(attempt(&line));
    assert!(UdpSocket::bind(local).is_err(), "open");
    drop(line);
    UdpSocket::bind(local).expect("closed");
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = socket();
    let error = Line::open(taken.local_addr().expect("its address"));
    let error = error.map(drop).expect_err("taken");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
}
