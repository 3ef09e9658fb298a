//! A handshake that is refused over a real socket: the peer gets the alert and an end, though it sent much that nobody read;
//! and the wait for it is bounded.

use crate::peer::{Configs, Side, Wire};
use closenotify::{HandshakeError, LazyConfigAcceptor, Linger, linger};
use std::io::{self, ErrorKind};
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::transport::{DoneStep, Handle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

/// No test waits for this long: it turns a hang into a failure.
const HANG: Duration = Duration::from_secs(60);

/// How a refusal is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// By nothing but a drop.
    Drop,
    Lingering,
    Fallible,
    Lazy,
}

/// The server's side, or with `Side::Client` a client that is answered by something else than TLS.
async fn refuse(tcp: TcpStream, side: Side, by: By) -> io::Error {
    let configs = Configs::of(TlsVersion::V13);
    let bounds = Linger { time: HANG, ..Linger::default() };
    let connect = |tcp| configs.connector().connect("localhost".try_into().unwrap(), tcp);
    match (by, side) {
        (By::Drop, Side::Server) => configs.acceptor().accept(tcp).await.unwrap_err(),
        (By::Drop, Side::Client) => connect(tcp).await.unwrap_err(),
        (By::Lingering, Side::Server) => configs.acceptor().accept(tcp).lingering(bounds).await.unwrap_err(),
        (By::Lingering, Side::Client) => connect(tcp).lingering(bounds).await.unwrap_err(),
        (By::Fallible, Side::Server) => {
            let (error, tcp) = configs.acceptor().accept(tcp).into_fallible().await.unwrap_err();
            linger(tcp, bounds).await;
            error
        }
        (By::Fallible, Side::Client) => {
            let (error, tcp) = connect(tcp).into_fallible().await.unwrap_err();
            linger(tcp, bounds).await;
            error
        }
        (By::Lazy, _) => {
            let mut lazy = LazyConfigAcceptor::new(tcp);
            let error = (&mut lazy).await.unwrap_err();
            let (tcp, read) = lazy.take_io().unwrap();
            assert!(!read.is_empty());
            linger(tcp, bounds).await;
            error
        }
    }
}

/// What a peer gets that sends `bytes` and then reads to the end.
async fn told(side: Side, by: By, bytes: &[u8]) -> (io::Error, io::Result<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    // All of it is in our kernel, unread, before the handshake begins.
    peer.write_all(bytes).await.unwrap();
    let all = async {
        let refused = tokio::spawn(refuse(tcp, side, by));
        let mut got = Vec::new();
        if by == By::Drop {
            // What the kernel does at the drop is done before the peer looks.
            let error = refused.await.unwrap();
            return (error, peer.read_to_end(&mut got).await.map(|_| got));
        }
        let read = peer.read_to_end(&mut got).await.map(|_| got);
        drop(peer);
        (refused.await.unwrap(), read)
    };
    timeout(HANG, all).await.unwrap()
}

fn much(beginning: &[u8]) -> Vec<u8> {
    let mut bytes = beginning.to_vec();
    bytes.resize(100_000, b'x');
    bytes
}

/// A record of an alert, as far as it is in clear.
fn ends_with_an_alert(got: &[u8]) -> bool {
    got.len() >= 7 && got[got.len() - 7..][..5] == [21, 3, 3, 0, 2] && got[got.len() - 2] == 2
}

#[tokio::test]
async fn a_refused_peer_gets_the_alert_and_an_end_though_much_of_it_was_not_read() {
    for bytes in [much(b"GET / HTTP/1.1\r\n\r\n"), much(b"\x16\x03\x01\x00\x00"), much(b"SSH-2.0-OpenSSH\r\n")] {
        for (side, by) in [
            (Side::Server, By::Lingering),
            (Side::Server, By::Fallible),
            (Side::Server, By::Lazy),
            (Side::Client, By::Lingering),
            (Side::Client, By::Fallible),
        ] {
            let (error, got) = told(side, by, &bytes).await;
            assert!(HandshakeError::find(&error).is_some(), "{error}");
            let got = got.unwrap_or_else(|error| panic!("{side:?} {by:?}: {error}"));
            assert!(ends_with_an_alert(&got), "{side:?} {by:?}: {got:?}");
        }
    }
}

/// Its control: what the kernel does without.
#[tokio::test]
async fn a_refusal_that_is_only_dropped_is_destroyed_by_a_reset() {
    for side in [Side::Server, Side::Client] {
        let (_, got) = told(side, By::Drop, &much(b"GET / HTTP/1.1\r\n\r\n")).await;
        assert_eq!(got.unwrap_err().kind(), ErrorKind::ConnectionReset, "{side:?}");
    }
}

/// Refuses over a scripted transport; how long it took.
async fn refused(wire: Wire, bounds: Linger) -> Duration {
    let start = Instant::now();
    let accept = Configs::of(TlsVersion::V13).acceptor().accept(wire);
    let error = accept.lingering(bounds).await.unwrap_err();
    assert_eq!(HandshakeError::find(&error), Some(&HandshakeError::NotTls { plain_http: true }));
    start.elapsed()
}

fn told_and_dropped(handle: &Handle) {
    assert!(ends_with_an_alert(&handle.written()), "{:?}", handle.written());
    assert!(handle.is_read_dropped() && handle.is_write_dropped());
}

#[tokio::test(start_paused = true)]
async fn a_refused_peer_cannot_hold_the_transport_for_long() {
    let bounds = Linger::default();
    // Silent.
    let (wire, handle) = Wire::new();
    handle.push_data(*b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(refused(wire, bounds).await, bounds.idle);
    assert!(handle.is_shut_down());
    told_and_dropped(&handle);

    // One that sends on.
    let (wire, handle) = Wire::new();
    handle.push_data(*b"GET / HTTP/1.1\r\n\r\n");
    let dripping = async {
        while !handle.is_read_dropped() {
            sleep(Duration::from_secs(1)).await;
            handle.push_data(*b"more");
        }
    };
    let (took, ()) = tokio::join!(refused(wire, bounds), dripping);
    assert_eq!(took, bounds.time);
    told_and_dropped(&handle);

    // One over a transport that does not end.
    let (wire, handle) = Wire::new();
    handle.push_data(*b"GET / HTTP/1.1\r\n\r\n");
    handle.push_shutdown(DoneStep::Pending);
    assert_eq!(refused(wire, bounds).await, bounds.idle);
    told_and_dropped(&handle);
}

#[tokio::test(start_paused = true)]
async fn a_refused_peer_is_read_up_to_the_bound_and_by_less_than_a_read_more() {
    for bound in [0, 1, 40_000] {
        let (wire, handle) = Wire::new();
        handle.push_data(*b"GET / HTTP/1.1\r\n\r\n");
        for _ in 0..40 {
            handle.push_data(vec![b'x'; 16_384]);
        }
        let took = refused(wire, Linger { bytes: bound, ..Linger::default() }).await;
        assert_eq!(took, Duration::ZERO);
        let read = handle.bytes_read() as u64 - 18;
        assert!((bound..bound + 16_384).contains(&read), "{read} of {bound}");
        told_and_dropped(&handle);
    }
    // And it says how much.
    let (wire, handle) = Wire::new();
    handle.push_data(vec![0; 5000]);
    handle.push_read(testkit::transport::ReadStep::Eof);
    assert_eq!(linger(wire, Linger::default()).await, 5000);
}
