//! The ClientHello before the configuration: the choice, the failures, and that no byte is lost on the way.

use crate::peer::{Configs, Side, Wire, done, feed, output_of, read, write};
use closenotify::{Deadline, HandshakeError, LazyConfigAcceptor, TlsStream, TruncatedAt};
use rustls::Connection;
use std::io::{self, ErrorKind, Write as _};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use testkit::transport::{Handle, ReadStep};
use tokio::time::{Instant, advance};

fn why(error: &io::Error) -> HandshakeError {
    error.get_ref().and_then(|inner| inner.downcast_ref::<HandshakeError>()).cloned().unwrap()
}

fn client(version: TlsVersion) -> (Connection, Vec<u8>) {
    let mut client = Configs::of(version).peer_of(Side::Server);
    let hello = output_of(&mut client);
    (client, hello)
}

/// Carries flights between an accepting future and its client until it has answered.
fn carry<F: Future>(future: F, wire: &Handle, client: &mut Connection) -> F::Output {
    let mut future = pin!(future);
    let waker = CountingWaker::new();
    for _ in 0..8 {
        let polled = waker.poll(future.as_mut());
        let _ = feed(client, &wire.take_written());
        let answer = output_of(client);
        if !answer.is_empty() {
            wire.push_data(answer);
        }
        if let Poll::Ready(output) = polled {
            return output;
        }
    }
    panic!("the future does not answer");
}

#[tokio::test]
async fn the_configuration_is_chosen_by_what_the_client_asks_for_however_its_hello_is_cut() {
    for version in TlsVersion::EACH {
        for piece in [1, 7, 10_000] {
            let (mut client, hello) = client(version);
            client.writer().write_all(b"first words").unwrap();
            let (wire, handle) = Wire::new();
            for piece in hello.chunks(piece) {
                handle.push_data(piece);
            }
            let start = LazyConfigAcceptor::new(wire).await.unwrap();
            assert_eq!(start.client_hello().server_name(), Some("localhost"));
            let accept = start.into_stream(Arc::new(Configs::of(version).server.clone()));
            let mut stream = TlsStream::from(carry(accept, &handle, &mut client).unwrap());
            let Poll::Ready(Ok(words)) = read(&CountingWaker::new(), &mut stream, 64) else { panic!("they are there") };
            assert_eq!(words, b"first words");
        }
    }
}

#[tokio::test]
async fn what_is_no_tls_can_be_had_back_whole() {
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (wire, handle) = Wire::new();
    handle.push_data(*request);
    let mut acceptor = LazyConfigAcceptor::new(wire);
    let error = (&mut acceptor).await.unwrap_err();
    assert_eq!(why(&error), HandshakeError::NotTls { plain_http: true });
    let (_wire, bytes) = acceptor.take_io().unwrap();
    assert_eq!(bytes, request);
    assert!(acceptor.take_io().is_none());
    assert_eq!(acceptor.await.unwrap_err().kind(), ErrorKind::Other);
}

#[tokio::test]
async fn half_a_hello_can_be_had_back_and_a_whole_one_too() {
    let (_client, hello) = client(TlsVersion::V13);
    let waker = CountingWaker::new();
    let (wire, handle) = Wire::new();
    handle.push_data(&hello[..100]);
    let mut acceptor = LazyConfigAcceptor::new(wire);
    assert!(waker.poll(pin!(&mut acceptor)).is_pending());
    assert_eq!(acceptor.take_io().unwrap().1, &hello[..100]);

    let (wire, handle) = Wire::new();
    handle.push_data([&hello[..], b"behind"].concat());
    let start = LazyConfigAcceptor::new(wire).await.unwrap();
    assert_eq!(start.into_io().1, [&hello[..], b"behind"].concat());
}

/// The twin of a loop that spun on a peer that had gone before its ClientHello was whole.
/// docs/cases.md R24
#[tokio::test]
async fn a_peer_that_leaves_before_its_hello_is_whole_costs_two_polls_and_no_wake() {
    let (_client, hello) = client(TlsVersion::V13);
    for cut in [0, 1, 5, 100] {
        let (wire, handle) = Wire::new();
        let mut acceptor = pin!(LazyConfigAcceptor::new(wire));
        let waker = CountingWaker::new();
        if cut > 0 {
            handle.push_data(&hello[..cut]);
        }
        assert!(waker.poll(acceptor.as_mut()).is_pending());
        assert_eq!(waker.wakes(), 0);
        handle.push_read(ReadStep::Eof);
        assert_eq!(waker.wakes(), 1);
        let Poll::Ready(Err(error)) = waker.poll(acceptor.as_mut()) else { panic!("it knows the end") };
        let at = if cut == 0 { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord };
        assert_eq!(why(&error), HandshakeError::Truncated { at, silent: cut == 0 });
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    }
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_we_have_is_told_so() {
    let (mut client, hello) = client(TlsVersion::V13);
    let (wire, handle) = Wire::new();
    handle.push_data(hello);
    let start = LazyConfigAcceptor::new(wire).await.unwrap();
    let error = start.into_stream(Arc::new(Configs::of(TlsVersion::V12).server.clone())).await.unwrap_err();
    assert!(matches!(why(&error), HandshakeError::Refused(_)), "{error:?}");
    let told = feed(&mut client, &handle.take_written()).unwrap_err();
    assert!(matches!(told, rustls::Error::AlertReceived(_)), "{told:?}");
}

#[tokio::test]
async fn a_hello_without_end_is_refused() {
    let (wire, handle) = Wire::new();
    // Records of one byte of a handshake message that says it is 64 KiB long.
    handle.push_data(b"\x16\x03\x01\x00\x04\x01\x00\xff\xff");
    for _ in 0..40_000 {
        handle.push_data(*b"\x16\x03\x01\x00\x01\x00");
    }
    let error = LazyConfigAcceptor::new(wire).await.unwrap_err();
    assert_eq!(why(&error), HandshakeError::HelloTooLong);
    let read = 40_000 - handle.polls().read as usize;
    assert!(read > 15_000, "not much more than 128 KiB is held; {read} records were left unread");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_runs_from_the_first_poll_to_the_stream() {
    let (_client, hello) = client(TlsVersion::V13);
    let (wire, handle) = Wire::new();
    let begun = Instant::now();
    let mut acceptor = LazyConfigAcceptor::new(wire).handshake_timeout(Duration::from_secs(3));
    assert!(CountingWaker::new().poll(pin!(&mut acceptor)).is_pending());
    advance(Duration::from_secs(2)).await;
    handle.push_data(hello);
    let start = acceptor.await.unwrap();
    let error = start.into_stream(Arc::new(Configs::of(TlsVersion::V13).server.clone())).await.unwrap_err();
    assert_eq!(why(&error), HandshakeError::TimedOut(Deadline::Handshake));
    assert_eq!(begun.elapsed().as_secs(), 3);
}

#[tokio::test]
async fn what_the_stream_holds_is_limited_as_by_an_acceptor() {
    for version in TlsVersion::EACH {
        let (mut client, hello) = client(version);
        let (wire, handle) = Wire::new();
        handle.push_data(hello);
        let start = LazyConfigAcceptor::new(wire).buffer_limit(20_000).await.unwrap();
        let accept = start.into_stream(Arc::new(Configs::of(version).server.clone()));
        let mut stream = TlsStream::from(carry(accept, &handle, &mut client).unwrap());
        assert_eq!(done(write(&CountingWaker::new(), &mut stream, &[0; 100_000])), 20_000);
    }
}
