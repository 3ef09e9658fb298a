//! What data costs in allocations, counted by the allocator. It is alone in its program, since the counter knows no threads.
//!
//! What the cryptographic library takes from C's heap is not counted.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use bytes::BytesMut;
use closenotify_core::{Handshake, Progress, Read, Session};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::io::IoSlice;
use testkit::certs::TlsVersion;
use testkit::plain::Configs;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// How often `run` asks for memory.
fn allocations(run: impl FnOnce()) -> usize {
    let count = || HEAP.stats().allocations + HEAP.stats().reallocations;
    let before = count();
    run();
    count() - before
}

fn sessions(version: TlsVersion) -> (Session, Session) {
    let configs = Configs::of(version);
    let mut server = Handshake::server(configs.server.clone()).unwrap();
    let mut client = Handshake::client(configs.client.clone(), "localhost".try_into().unwrap()).unwrap();
    let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
    loop {
        client.take_output(&mut to_server);
        let at_server = server.advance(&mut to_server).unwrap();
        server.take_output(&mut to_client);
        if (client.advance(&mut to_client).unwrap(), at_server) == (Progress::Complete, Progress::Complete) {
            return (client.into_session(), server.into_session());
        }
    }
}

/// Receiving asks for none, sending for the record that the provider makes. One test, since the counter knows no threads.
#[test]
fn data_costs_one_allocation_a_record_sent_and_none_received() {
    for version in TlsVersion::EACH {
        let (mut client, mut server) = sessions(version);
        for size in [1, 100, 16 * 1024] {
            let payload = vec![7; size];
            let mut wire = BytesMut::with_capacity(64 * (size + 64));
            let sent = allocations(|| {
                for _ in 0..50 {
                    assert_eq!(client.sender.write(&[IoSlice::new(&payload)], &mut wire), Ok(size));
                }
            });
            assert_eq!(sent, 50, "{version:?}, {size} bytes");
            let (mut buffer, mut left) = (vec![0; 64 * 1024], 50 * size);
            let received = allocations(|| {
                while left > 0 {
                    let (read, owes) = server.receiver.read(&mut wire, &mut &mut buffer[..]);
                    let Read::Data(length) = read else { panic!("{read:?}") };
                    assert!(owes.is_nothing() && buffer[..length].iter().all(|byte| *byte == 7));
                    left -= length;
                }
            });
            assert_eq!(received, 0, "{version:?}, {size} bytes");
            assert!(wire.is_empty());
            let mut in_place = BytesMut::with_capacity(64 * (size + 64));
            for _ in 0..20 {
                client.sender.write(&[IoSlice::new(&payload)], &mut in_place).unwrap();
            }
            let received = allocations(|| {
                while let (Read::Data(length), _) = server.receiver.open(&mut in_place) {
                    assert!(server.receiver.plaintext(&in_place).iter().all(|byte| *byte == 7));
                    server.receiver.consume(&mut in_place, length);
                }
            });
            assert_eq!(received, 0, "{version:?}, {size} bytes in place");
            assert!(in_place.is_empty());
        }
        // A buffer without room gets the record as it is: the provider's allocation, and what shares it.
        let (payload, mut wire) = (vec![7; 16 * 1024], BytesMut::new());
        let sent = allocations(|| {
            client.sender.write(&[IoSlice::new(&payload)], &mut wire).unwrap();
        });
        assert!(sent <= 2 && wire.len() > payload.len(), "{version:?}: {sent}");
    }
}
