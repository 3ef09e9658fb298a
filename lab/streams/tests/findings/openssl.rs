//! Over OpenSSL: tokio-openssl and tokio-native-tls.

use crate::tls;
use crate::transport::{Knobs, Transport, pair, poll_shutdown};
use openssl::ssl::{Ssl, SslVersion};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use streams::tls::openssl::{contexts, native_configs};
use tokio_native_tls::TlsStream;
use tokio_openssl::SslStream;

const VERSIONS: [SslVersion; 2] = [SslVersion::TLS1_2, SslVersion::TLS1_3];

async fn openssl(
    version: SslVersion,
    pending_flushes: usize,
) -> Result<[SslStream<Transport>; 2], openssl::ssl::Error> {
    Ok(openssl_with_knobs(version, pending_flushes).await?.0)
}

async fn openssl_with_knobs(
    version: SslVersion,
    pending_flushes: usize,
) -> Result<([SslStream<Transport>; 2], Arc<Knobs>), openssl::ssl::Error> {
    let (near, far, knobs) = pair();
    knobs.pending_flushes.store(pending_flushes, Relaxed);
    let (client, server) = contexts(version);
    let stream = |context, transport| SslStream::new(Ssl::new(context).unwrap(), transport).unwrap();
    let (mut client, mut server) = (stream(&client, near), stream(&server, far));
    tokio::try_join!(Pin::new(&mut client).connect(), Pin::new(&mut server).accept())?;
    Ok(([client, server], knobs))
}

async fn native(pending_flushes: usize) -> Result<([TlsStream<Transport>; 2], Arc<Knobs>), native_tls::Error> {
    let (near, far, knobs) = pair();
    knobs.pending_flushes.store(pending_flushes, Relaxed);
    let (connector, acceptor) = native_configs();
    let (client, server) = tokio::try_join!(connector.connect("localhost", near), acceptor.accept(far))?;
    Ok(([client, server], knobs))
}

#[tokio::test]
async fn tokio_openssl_handshake_fails_when_a_flush_is_pending() {
    for version in VERSIONS {
        assert!(openssl(version, 0).await.is_ok());
        let error = openssl(version, 1).await.expect_err("a flush was pending, and the handshake went on");
        assert_eq!(error.io_error().unwrap().kind(), std::io::ErrorKind::WouldBlock);
    }
}

#[tokio::test]
async fn tokio_native_tls_handshake_fails_when_a_flush_is_pending() {
    assert!(native(0).await.is_ok());
    assert!(native(1).await.is_err());
}

#[tokio::test]
async fn tokio_openssl_does_not_shut_its_transport_down_until_the_peer_ends() {
    for version in VERSIONS {
        let ([client, _server], knobs) = openssl_with_knobs(version, 0).await.unwrap();
        tls::transport_is_not_shut_down_until_the_peer_ends(client, &knobs);
    }
}

#[tokio::test]
async fn tokio_openssl_second_shutdown_waits_for_the_peer() {
    for version in VERSIONS {
        let [client, _server] = openssl(version, 0).await.unwrap();
        tls::second_shutdown_waits_for_the_peer(client);
    }
}

#[tokio::test]
async fn tokio_native_tls_second_shutdown_waits_for_the_peer() {
    let ([client, _server], _) = native(0).await.unwrap();
    tls::second_shutdown_waits_for_the_peer(client);
}

#[tokio::test]
async fn tokio_openssl_shorter_write_behind_a_dropped_one_fails() {
    for version in VERSIONS {
        let [client, server] = openssl(version, 0).await.unwrap();
        tls::shorter_write_behind_a_dropped_one_fails(client, server).await;
    }
}

#[tokio::test]
async fn tokio_native_tls_shorter_write_behind_a_dropped_one_fails() {
    let ([client, server], _) = native(0).await.unwrap();
    tls::shorter_write_behind_a_dropped_one_fails(client, server).await;
}

#[tokio::test]
async fn tokio_openssl_dropped_write_arrives_in_place_of_the_next() {
    for version in VERSIONS {
        let [client, server] = openssl(version, 0).await.unwrap();
        tls::dropped_write_arrives_in_place_of_the_next(client, server).await;
    }
}

#[tokio::test]
async fn tokio_native_tls_dropped_write_arrives_in_place_of_the_next() {
    let ([client, server], _) = native(0).await.unwrap();
    tls::dropped_write_arrives_in_place_of_the_next(client, server).await;
}

#[tokio::test]
async fn tokio_native_tls_never_shuts_its_transport_down() {
    let ([mut client, _server], knobs) = native(0).await.unwrap();
    assert!(matches!(poll_shutdown(&mut client), Poll::Ready(Ok(()))));
    assert_eq!(knobs.shutdowns.load(Relaxed), 0);
}

#[tokio::test]
async fn tokio_native_tls_does_not_tell_that_the_flush_of_its_shutdown_failed() {
    let ([mut client, _server], knobs) = native(0).await.unwrap();
    knobs.failing_flushes.store(1, Relaxed);
    assert!(matches!(poll_shutdown(&mut client), Poll::Ready(Ok(()))));
    assert_eq!(knobs.failing_flushes.load(Relaxed), 0, "it was asked, and failed");
}

#[tokio::test]
async fn tokio_native_tls_does_not_repeat_a_flush_of_its_shutdown_that_was_pending() {
    let ([mut client, _server], knobs) = native(0).await.unwrap();
    knobs.pending_flushes.store(2, Relaxed);
    assert!(matches!(poll_shutdown(&mut client), Poll::Ready(Ok(()))), "though nothing says that the alert has left");
    assert_eq!(knobs.pending_flushes.load(Relaxed), 1, "it was asked once");
}
