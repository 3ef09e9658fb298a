//! What a session holds, counted by the allocator: at rest, and with a peer or a transport that does not play along.
//!
//! It is alone in its program, since the counter knows no threads. `cargo test -p closenotify --test memory -- --nocapture`
//! prints the table that the crate's page shows. What the cryptographic library takes from C's heap is not counted.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

#[path = "streams/peer.rs"]
#[expect(dead_code, reason = "it serves the other tests, too")]
mod peer;

use closenotify::TlsStream;
use peer::{Configs, EACH, Met, Side, Wire, by_hand, data, done, flush, read, write};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::pin::Pin;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{Handle, WriteStep};
use tokio::io::AsyncBufRead as _;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const KIB: usize = 1024;

/// The longest record on the wire, which is held whole, whatever the limit.
const RECORD: usize = 5 + 16 * KIB + 2 * KIB;

fn live() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// What dropping it gives back.
fn held<T>(of: T) -> usize {
    let before = live();
    drop(of);
    before - live()
}

/// Everything that a session goes through, after which it is at rest.
const TRAFFIC: [&str; 5] = ["handshake", "small read", "large read", "large read to the byte", "large write"];

fn carry(stream: &mut TlsStream<Wire>, wire: &Handle, peer: &mut rustls::Connection, traffic: &str) {
    let waker = CountingWaker::new();
    let big = vec![1; 64 * KIB];
    let receive = |stream: &mut TlsStream<Wire>, bytes: Vec<u8>, length: usize| {
        wire.push_data(bytes);
        let mut got = 0;
        while got < length {
            got += done(read(&waker, stream, length - got)).len();
        }
    };
    match traffic {
        "small read" => receive(stream, data(peer, b"hello"), 5),
        "large read" => receive(stream, data(peer, &big), big.len()),
        // Nobody asks for more: the buffers must be given back without that.
        "handshake" => return,
        "large read to the byte" => return receive(stream, data(peer, &big), big.len()),
        "large write" => {
            assert_eq!(done(write(&waker, stream, &big)), big.len());
            done(flush(&waker, stream));
            let written = wire.take_written();
            assert_eq!(peer::read_at(peer, &written), (big, Ok(false)));
        }
        other => panic!("{other}"),
    }
    assert!(read(&waker, stream, 10).is_pending());
}

fn at_rest(version: TlsVersion, side: Side, traffic: &str, split: bool) -> usize {
    let Met { mut stream, wire, mut peer } = peer::meet(version, side);
    if split {
        let (mut reader, mut writer) = stream.into_split();
        for _ in 0..2 {
            let mut joined = reader.reunite(writer).unwrap();
            carry(&mut joined, &wire, &mut peer, traffic);
            (reader, writer) = joined.into_split();
        }
        return held((reader, writer));
    }
    for _ in 0..2 {
        carry(&mut stream, &wire, &mut peer, traffic);
    }
    held(stream)
}

/// A peer that sends and sends to a user who reads a byte, and a user who writes to a transport that takes nothing.
fn besieged(version: TlsVersion, side: Side, limit: usize) -> (usize, usize, usize) {
    let waker = CountingWaker::new();
    let met = || {
        let configs = Configs::of(version);
        let (wire, handle) = Wire::new();
        let (connector, acceptor) = (configs.connector().buffer_limit(limit), configs.acceptor().buffer_limit(limit));
        peer::meet_by(&connector, &acceptor, configs.peer_of(side), side, wire, &handle)
    };
    let rest = held(met().stream);
    let flood = |peer: &mut rustls::Connection| data(peer, &vec![1; 1_000 * KIB]);
    let Met { mut stream, wire, mut peer } = met();
    wire.push_data(flood(&mut peer));
    assert_eq!(done(read(&waker, &mut stream, 1)), [1]);
    let reading = held(stream) - rest;

    let Met { mut stream, wire, mut peer } = met();
    wire.push_data(flood(&mut peer));
    waker.with_context(|cx| assert!(Pin::new(&mut stream).poll_fill_buf(cx).is_ready()));
    Pin::new(&mut stream).consume(1);
    let buffered = held(stream) - rest;

    let Met { mut stream, wire, .. } = met();
    wire.push_write(WriteStep::Pending);
    let big = vec![0; 1_000 * KIB];
    assert_eq!(done(write(&waker, &mut stream, &big)), limit.clamp(16 * KIB, 64 * KIB));
    assert!(write(&waker, &mut stream, &big).is_pending());
    (reading, buffered, held(stream) - rest)
}

/// The most that a server holds while a client sends a ClientHello of this length, in pieces, until it is refused.
fn in_the_handshake(length: u16, piece: usize) -> usize {
    let waker = CountingWaker::new();
    let (wire, handle) = Wire::new();
    let mut accept = Box::pin(Configs::of(TlsVersion::V13).acceptor().accept(wire));
    let mut record = vec![0; 16 * KIB + 5];
    record[..5].copy_from_slice(&[22, 3, 1, 64, 0]);
    let mut bytes = record.repeat(5);
    let [high, low] = length.to_be_bytes();
    bytes[5..9].copy_from_slice(&[1, 0, high, low]);
    let (before, mut most) = (live(), 0);
    for piece in bytes.chunks(piece) {
        handle.push_data(piece);
        let polled = waker.poll(accept.as_mut());
        if polled.is_ready() {
            return most;
        }
        most = most.max(live() - before);
    }
    panic!("80 KiB are no ClientHello");
}

/// What one of many connections costs whose client has sent `said` and is silent, without what was there before.
fn silent(said: &[u8], sessions: usize) -> usize {
    let waker = CountingWaker::new();
    let accept = || {
        let (wire, handle) = Wire::new();
        if !said.is_empty() {
            handle.push_data(said);
        }
        Box::pin(Configs::of(TlsVersion::V13).acceptor().accept(wire))
    };
    let mut accepting: Vec<_> = (0..sessions).map(|_| accept()).collect();
    let before = live();
    for accept in &mut accepting {
        assert!(waker.poll(accept.as_mut()).is_pending());
    }
    (live() - before) / sessions
}

/// The crate's page says this.
fn assert_page(sentence: &str) {
    let page = include_str!("../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//!"));
    let page = page.map(str::trim).collect::<Vec<_>>().join(" ");
    assert!(page.contains(sentence), "the section Memory of src/lib.rs should say: {sentence}");
}

#[test]
fn a_session_holds_nothing_at_rest_and_no_more_than_its_limit_ever() {
    by_hand(|| {
        eprintln!("at rest, bytes of heap | TLS 1.2 client | server | TLS 1.3 client | server");
        let stream = size_of::<closenotify::client::TlsStream<tokio::net::TcpStream>>();
        eprintln!("and a TlsStream<TcpStream> itself: {stream}");
        assert_page(&format!("The stream itself is {stream} bytes over a `TcpStream`"));
        for traffic in TRAFFIC {
            for split in [false, true] {
                // The first of each kind makes what all have in common.
                let _common = EACH.map(|(version, side)| at_rest(version, side, traffic, split));
                let held = EACH.map(|(version, side)| at_rest(version, side, traffic, split));
                eprintln!("{traffic}, {} | {held:?}", if split { "split" } else { "joined" });
                // Keys and what resumption needs; not a buffer.
                assert!(held.into_iter().all(|held| held <= 3 * KIB), "{traffic}");
            }
        }
        for said in [&b""[..], &[22], &[22, 3, 1, 64, 0, 1, 0]] {
            // The first of them makes the buffer that all use in turn.
            let _common = silent(said, 1);
            let held = silent(said, 100);
            eprintln!("at a server, while its client is silent after {} bytes | {held}", said.len());
            assert!(held < KIB, "{held}");
        }
        eprintln!("at a server, while a ClientHello of this length arrives | at most");
        for length in [1_000, 20_000, 65_000] {
            let most = [100, 1_000, 9_000].map(|piece| in_the_handshake(length, piece));
            eprintln!("{length} | {most:?} in pieces of 100, 1000 and 9000");
            assert!(most.into_iter().all(|most| most <= 136 * KIB));
        }
        eprintln!("with a limit of | input and a record, user reads a byte | the same by poll_fill_buf | output");
        for limit in [0, 16 * KIB, 20_000, 64 * KIB, usize::MAX] {
            for (version, side) in EACH {
                let _common = besieged(version, side, limit);
                let (reading, buffered, writing) = besieged(version, side, limit);
                eprintln!("{limit}, {version:?} {side:?} | {reading} | {buffered} | {writing}");
                let limit = limit.clamp(16 * KIB, 64 * KIB);
                // Records are opened in place.
                assert!(reading <= limit.max(RECORD) + KIB, "{reading}");
                assert!(buffered <= limit.max(RECORD) + KIB, "{buffered}");
                assert!(writing <= limit + 29 * limit.div_ceil(16 * KIB), "{writing}");
            }
        }
    });
}
