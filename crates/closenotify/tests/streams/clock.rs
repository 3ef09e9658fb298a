//! Handshakes where there is no clock: nobody who did not set a timeout needs one.

use crate::peer::{Configs, Side, Wire, by_hand, feed, output_of};
use closenotify::{HandshakeError, LazyConfigAcceptor, Linger};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use testkit::certs::TlsVersion;
use testkit::executor::CountingWaker;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

/// A runtime that was built without `enable_time`.
fn without_clock<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// The timeouts that need no clock: the default, and none.
const CLOCKLESS: [Option<Option<Duration>>; 2] = [None, Some(None)];

#[test]
fn without_a_clock_both_sides_handshake_when_no_timeout_is_set() {
    for version in TlsVersion::EACH {
        for timeout in CLOCKLESS {
            for lazy in [false, true] {
                let configs = Configs::of(version);
                let (mut connector, mut acceptor) = (configs.connector(), configs.acceptor());
                let (to_server, to_client) = duplex(1000);
                let mut chooser = LazyConfigAcceptor::new(to_client);
                if let Some(timeout) = timeout {
                    connector = connector.handshake_timeout(timeout);
                    acceptor = acceptor.handshake_timeout(timeout);
                    chooser = chooser.handshake_timeout(timeout);
                }
                without_clock(async {
                    let accept = async {
                        if lazy {
                            return chooser.await?.into_stream(acceptor).await;
                        }
                        let (transport, _nothing_read) = chooser.take_io().unwrap();
                        acceptor.accept(transport).await
                    };
                    let (client, server) =
                        tokio::join!(connector.connect("localhost".try_into().unwrap(), to_server), accept);
                    let (mut client, mut server) = (client.unwrap(), server.unwrap());
                    client.write_all(b"hello").await.unwrap();
                    client.shutdown().await.unwrap();
                    let mut got = Vec::new();
                    server.read_to_end(&mut got).await.unwrap();
                    assert_eq!(got, b"hello");
                });
            }
        }
    }
}

#[cfg(feature = "early-data")]
#[test]
fn without_a_clock_early_data_is_sent_and_read() {
    for timeout in CLOCKLESS {
        let (server, client) = testkit::tickets::early_configs(10_000);
        let (server, client) = (Arc::new(server), Arc::new(client));
        let (mut acceptor, mut connector) =
            (closenotify::TlsAcceptor::from(server), closenotify::TlsConnector::from(client));
        if let Some(timeout) = timeout {
            acceptor = acceptor.handshake_timeout(timeout);
            connector = connector.handshake_timeout(timeout);
        }
        let (to_server, to_client) = duplex(1000);
        without_clock(async {
            let connect = connector.connect_early("localhost".try_into().unwrap(), to_server, &b"early"[..]);
            let accept = async {
                let mut early = acceptor.accept_early(to_client).await?;
                let mut got = Vec::new();
                early.read_to_end(&mut got).await?;
                early.finish().await?;
                io::Result::Ok(got)
            };
            let (client, got) = tokio::join!(connect, accept);
            assert_eq!((client.unwrap().facts().early_data(), got.unwrap()), (Some(5), b"early".to_vec()));
        });
    }
}

#[track_caller]
fn assert_no_clock<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    assert_eq!(HandshakeError::find(&error), Some(&HandshakeError::NoClock));
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("enable_time"), "it says what to do: {error}");
}

/// On a runtime without one, and outside of any.
#[test]
fn without_a_clock_a_timeout_that_is_set_fails_the_handshake() {
    const SET: Duration = Duration::from_secs(5);
    let configs = Configs::of(TlsVersion::V13);
    let connect = || configs.connector().handshake_timeout(SET).connect("localhost".try_into().unwrap(), Wire::new().0);
    let accept = || configs.acceptor().handshake_timeout(SET).accept(Wire::new().0);
    let lazy = || LazyConfigAcceptor::new(Wire::new().0).handshake_timeout(SET);
    without_clock(async {
        assert_no_clock(connect().await);
        assert_no_clock(accept().await);
        assert_no_clock(lazy().await);
    });
    let waker = CountingWaker::new();
    fn ready<T>(polled: Poll<T>) -> T {
        let Poll::Ready(result) = polled else { panic!("it waits for a clock that is not there") };
        result
    }
    assert_no_clock(ready(waker.poll(pin!(connect()))));
    assert_no_clock(ready(waker.poll(pin!(accept()))));
    assert_no_clock(ready(waker.poll(pin!(lazy()))));
    // Each runtime is asked anew: one with a clock has it.
    by_hand(|| assert!(waker.poll(pin!(accept())).is_pending()));
}

/// A future may be polled outside of any runtime, as by another executor.
#[test]
fn outside_of_a_runtime_both_sides_handshake() {
    for version in TlsVersion::EACH {
        for timeout in CLOCKLESS {
            for side in [Side::Client, Side::Server] {
                let configs = Configs::of(version);
                let (mut connector, mut acceptor) = (configs.connector(), configs.acceptor());
                if let Some(timeout) = timeout {
                    connector = connector.handshake_timeout(timeout);
                    acceptor = acceptor.handshake_timeout(timeout);
                }
                let (wire, handle) = Wire::new();
                let met = crate::peer::meet_by(&connector, &acceptor, configs.peer_of(side), side, wire, &handle);
                assert!(met.stream.received_ending().is_none());
            }
            let (wire, handle) = Wire::new();
            let mut client = Configs::of(version).peer_of(Side::Server);
            handle.push_data(output_of(&mut client));
            let mut lazy = LazyConfigAcceptor::new(wire);
            if let Some(timeout) = timeout {
                lazy = lazy.handshake_timeout(timeout);
            }
            let Poll::Ready(Ok(start)) = CountingWaker::new().poll(pin!(lazy)) else { panic!("no ClientHello") };
            let config = Arc::new(Configs::of(version).server.clone());
            assert!(CountingWaker::new().poll(pin!(start.into_stream(config))).is_pending());
            feed(&mut client, &handle.take_written()).unwrap();
        }
    }
}

#[test]
fn without_a_clock_both_sides_close_end_tls_and_linger() {
    for version in TlsVersion::EACH {
        let meet = || async move {
            let configs = Configs::of(version);
            let (to_server, to_client) = duplex(1000);
            let (connector, acceptor) = (configs.connector(), configs.acceptor());
            let (client, server) =
                tokio::join!(connector.connect("localhost".try_into().unwrap(), to_server), acceptor.accept(to_client));
            (client.unwrap(), server.unwrap())
        };
        without_clock(async {
            let (client, server) = meet().await;
            let (client, server) = tokio::join!(client.close(Linger::default()), server.close(Linger::default()));
            assert!(client.is_clean() && server.is_clean());
            let (client, server) = meet().await;
            let time = Duration::from_secs(5);
            let (client, server) = tokio::join!(client.end_tls(time), server.end_tls(time));
            assert!(client.is_ok() && server.is_ok());
            let (ours, mut theirs) = duplex(1000);
            theirs.write_all(b"late").await.unwrap();
            theirs.shutdown().await.unwrap();
            assert_eq!(closenotify::linger(ours, Linger::default()).await, 4);
        });
    }
}
