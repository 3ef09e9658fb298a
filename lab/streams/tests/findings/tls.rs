//! What several TLS streams have in common, as sequences of polls on a client and a server that have shaken hands.

use crate::transport::{Knobs, poll_shutdown, poll_write};
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The transport is ready to be shut down, and is not asked again: the second poll waits for the peer instead.
pub fn transport_is_not_shut_down_until_the_peer_ends(mut client: impl AsyncWrite + Unpin, knobs: &Knobs) {
    knobs.pending_shutdowns.store(1, Relaxed);
    assert!(poll_shutdown(&mut client).is_pending(), "the transport's own is pending");
    assert_eq!(knobs.shutdowns.load(Relaxed), 1);
    for _ in 0..3 {
        assert!(poll_shutdown(&mut client).is_pending());
    }
    assert_eq!(knobs.shutdowns.load(Relaxed), 1, "it would have been done at the second call");
}

/// The first shutdown was answered `Ok`; the second waits for the peer.
pub fn second_shutdown_waits_for_the_peer(mut client: impl AsyncWrite + Unpin) {
    assert!(matches!(poll_shutdown(&mut client), Poll::Ready(Ok(()))));
    assert!(poll_shutdown(&mut client).is_pending());
}

/// A write is pending and its future is dropped; a shorter one of other bytes fails.
pub async fn shorter_write_behind_a_dropped_one_fails<S: AsyncRead + AsyncWrite + Unpin>(mut client: S, mut server: S) {
    assert!(poll_write(&mut client, &[b'a'; 2000]).is_pending());
    let mut memory = [0; 2000];
    let reading = async {
        loop {
            // Only to make room; the write may fail without any.
            let _ = server.read(&mut memory).await;
        }
    };
    let written = tokio::select! {
        biased;
        written = client.write(&[b'b'; 10]) => written,
        () = reading => unreachable!("it goes on for ever"),
    };
    assert!(written.is_err(), "{written:?}");
}

/// A write is pending and its future is dropped; another of the same length is answered `Ok`, and the peer reads the bytes
/// of the first.
pub async fn dropped_write_arrives_in_place_of_the_next<S: AsyncRead + AsyncWrite + Unpin>(
    mut client: S,
    mut server: S,
) {
    assert!(poll_write(&mut client, &[b'a'; 2000]).is_pending());
    let mut memory = [0; 2000];
    let (written, read) = tokio::join!(client.write(&[b'b'; 2000]), server.read_exact(&mut memory));
    assert_eq!(written.expect("it is told as done"), 2000);
    read.expect("all of it arrives");
    assert_eq!(memory, [b'a'; 2000], "the bytes of the write that was dropped");
}
