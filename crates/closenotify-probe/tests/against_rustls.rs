//! The hand-made records against rustls: what the probe seals it opens, and the other way, in both versions and all suites.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use closenotify_probe::{
    ClientSetup, Identity, Log, Peer, Piece, Received, Sent, ServerSetup, Stop, TcpEnd, TlsEnd, Version, alert,
};
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

fn suites(version: Version) -> Vec<u16> {
    match version {
        Version::Tls12 => vec![0xc02b, 0xc02c, 0xcca9],
        Version::Tls13 => vec![0x1301, 0x1302, 0x1303],
    }
}

fn provider(suite: u16) -> Arc<rustls::crypto::CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|known| u16::from(known.suite()) == suite);
    assert_eq!(provider.cipher_suites.len(), 1);
    Arc::new(provider)
}

/// A rustls server on a thread that handshakes once and goes on with `run`.
fn rustls_server(
    identity: &Identity,
    suite: u16,
    run: impl FnOnce(StreamOwned<ServerConnection, TcpStream>) + Send + 'static,
) -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    let cert = CertificateDer::from_pem_slice(identity.cert_pem.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider(suite))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (io, _) = listener.accept().unwrap();
        run(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), io));
    });
    (addr, thread)
}

fn client_setup(identity: &Identity, version: Version) -> ClientSetup {
    ClientSetup::new("localhost".try_into().unwrap(), &identity.trust(), version, &[]).unwrap()
}

async fn probe_client(addr: std::net::SocketAddr, setup: &ClientSetup, stop: Stop, log: &Log) -> Peer {
    let io = Peer::connect(addr, TIMEOUT, None).await.unwrap();
    Peer::client(io, setup, stop, log, TIMEOUT).await.unwrap().0
}

#[tokio::test]
async fn a_client_and_rustls_understand_each_other_in_every_suite() {
    let identity = Identity::new().unwrap();
    for version in Version::ALL {
        for suite in suites(version) {
            let (addr, server) = rustls_server(&identity, suite, |mut tls| {
                let mut heard = Vec::new();
                tls.read_to_end(&mut heard).unwrap();
                assert_eq!(heard.len(), 100_000);
                tls.write_all(&heard).unwrap();
                tls.conn.send_close_notify();
                tls.flush().unwrap();
                tls.sock.shutdown(Shutdown::Write).unwrap();
            });
            let log = Log::new();
            let mut peer = probe_client(addr, &client_setup(&identity, version), Stop::Complete, &log).await;
            assert_eq!(peer.send(&[Piece::Data(vec![7; 100_000]), Piece::CLOSE_NOTIFY], TIMEOUT).await, Sent::Whole);
            assert!(peer.until(TIMEOUT, Received::is_over).await);
            peer.received(|received| {
                assert_eq!(received.data, vec![7; 100_000]);
                assert_eq!((received.tls_end, received.tcp_end), (Some(TlsEnd::CloseNotify), Some(TcpEnd::Fin)));
                assert_eq!((received.unreadable, received.data_behind), (0, 0));
                assert_eq!(received.alerts, [(alert::WARNING, alert::CLOSE_NOTIFY)]);
            });
            server.join().unwrap();
        }
    }
}

#[tokio::test]
async fn a_server_and_rustls_understand_each_other_in_both_versions() {
    let identity = Identity::new().unwrap();
    for version in Version::ALL {
        let setup = ServerSetup::new(&identity, &[version], &[]).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(identity.ca_pem.as_bytes()).unwrap()).unwrap();
        let client = std::thread::spawn(move || {
            let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let conn = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
            let mut tls = StreamOwned::new(conn, TcpStream::connect(addr).unwrap());
            tls.write_all(b"question").unwrap();
            tls.conn.send_close_notify();
            tls.flush().unwrap();
            let mut answer = String::new();
            tls.read_to_string(&mut answer).unwrap();
            answer
        });
        let log = Log::new();
        let (io, _) = listener.accept().await.unwrap();
        let (mut peer, facts) = Peer::server(io, &setup, Stop::Complete, &log, TIMEOUT).await.unwrap();
        let facts = facts.unwrap();
        assert_eq!((facts.version, facts.sni.as_deref()), (version, Some("localhost")));
        assert!(peer.until(TIMEOUT, |received| received.tls_end == Some(TlsEnd::CloseNotify)).await);
        assert_eq!(peer.received(|received| received.data.clone()), b"question");
        assert_eq!(peer.send(&[Piece::Data(b"answer".to_vec()), Piece::CLOSE_NOTIFY], TIMEOUT).await, Sent::Whole);
        peer.fin();
        assert_eq!(client.join().unwrap(), "answer");
    }
}

#[tokio::test]
async fn key_updates_are_followed_in_both_directions() {
    let identity = Identity::new().unwrap();
    let (addr, server) = rustls_server(&identity, 0x1302, |mut tls| {
        let mut heard = [0; 4];
        tls.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"onto");
        tls.write_all(b"next").unwrap();
        tls.conn.refresh_traffic_keys().unwrap();
        tls.write_all(b"more").unwrap();
    });
    let log = Log::new();
    let mut peer = probe_client(addr, &client_setup(&identity, Version::Tls13), Stop::Complete, &log).await;
    peer.send(&[Piece::Data(b"on".to_vec()), Piece::KeyUpdate { request: true }, Piece::Data(b"to".to_vec())], TIMEOUT)
        .await;
    assert!(peer.until(TIMEOUT, |received| received.data == b"nextmore").await, "{:?}", log.events());
    assert_eq!(peer.received(|received| (received.key_updates, received.unreadable)), (2, 0));
    server.join().unwrap();
}

#[tokio::test]
async fn a_broken_seal_a_part_and_a_second_alert_arrive_as_what_they_are() {
    let identity = Identity::new().unwrap();
    type Case = (Piece, fn(&rustls::Error) -> bool);
    let cases: [Case; 3] = [
        (Piece::Garbled(b"x".to_vec()), |error| matches!(error, rustls::Error::DecryptError)),
        (Piece::fatal(alert::INTERNAL_ERROR), |error| matches!(error, rustls::Error::AlertReceived(_))),
        (Piece::Record { kind: 21, content: vec![] }, |error| matches!(error, rustls::Error::InvalidMessage(_))),
    ];
    for version in Version::ALL {
        for (piece, expected) in &cases {
            let expected = *expected;
            let (addr, server) = rustls_server(&identity, suites(version)[0], move |mut tls| {
                let error = tls.read(&mut [0; 10]).unwrap_err();
                let error = error.get_ref().unwrap().downcast_ref::<rustls::Error>().unwrap().clone();
                assert!(expected(&error), "{error:?}");
            });
            let log = Log::new();
            let mut peer = probe_client(addr, &client_setup(&identity, version), Stop::Complete, &log).await;
            assert_eq!(peer.send(std::slice::from_ref(piece), TIMEOUT).await, Sent::Whole);
            server.join().unwrap();
        }
    }
}

#[tokio::test]
async fn an_alert_before_the_finished_is_sealed_with_the_keys_of_the_handshake() {
    let identity = Identity::new().unwrap();
    for version in Version::ALL {
        let (addr, server) = rustls_server(&identity, suites(version)[0], |mut tls| {
            let error = tls.read(&mut [0; 10]).unwrap_err();
            assert!(format!("{error}").contains("DecodeError"), "{error}");
        });
        let log = Log::new();
        let mut peer = probe_client(addr, &client_setup(&identity, version), Stop::BeforeFinished, &log).await;
        assert_eq!(peer.send(&[Piece::fatal(alert::DECODE_ERROR)], TIMEOUT).await, Sent::Whole);
        server.join().unwrap();
    }
}

#[tokio::test]
async fn a_reset_is_a_reset_and_a_held_finished_goes_with_the_first_piece() {
    let identity = Identity::new().unwrap();
    let (addr, server) = rustls_server(&identity, 0x1301, |mut tls| {
        let mut heard = Vec::new();
        let error = tls.read_to_end(&mut heard).and_then(|_| tls.sock.read(&mut [0; 1])).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        assert_eq!(heard, b"with the Finished");
    });
    let log = Log::new();
    let mut peer = probe_client(addr, &client_setup(&identity, Version::Tls13), Stop::HoldLast, &log).await;
    peer.send(&[Piece::Data(b"with the Finished".to_vec()), Piece::CLOSE_NOTIFY], TIMEOUT).await;
    // The server's tickets say that it has taken the Finished, and what was with it.
    assert!(peer.until(TIMEOUT, |received| received.tickets > 0).await);
    peer.reset().await;
    server.join().unwrap();
}
