//! What a failed handshake returns.

use crate::setup::{configs, name};
use closenotify::{HandshakeError, find_source, rustls};
use std::error::Error;
use std::io;
use testkit::certs::TlsVersion;
use tokio::io::duplex;

/// The errors of a client of tokio-rustls and of ours that do not trust the server.
async fn untrusted(tls: TlsVersion) -> [io::Error; 2] {
    let ((_, server), (client, _)) = (configs(tls), configs(tls));
    let acceptor = tokio_rustls::TlsAcceptor::from(server);
    let (near, far) = duplex(1 << 16);
    let connector = tokio_rustls::TlsConnector::from(client.clone());
    let (theirs, _) = tokio::join!(connector.connect(name(), near), acceptor.accept(far));
    let (near, far) = duplex(1 << 16);
    let connector = closenotify::TlsConnector::from(client);
    let (ours, _) = tokio::join!(connector.connect(name(), near), acceptor.accept(far));
    [theirs.unwrap_err(), ours.unwrap_err()]
}

#[tokio::test]
async fn the_text_of_a_failed_handshake_differs_and_its_type_is_found() {
    for tls in TlsVersion::EACH {
        let [theirs, ours] = untrusted(tls).await;
        println!("{theirs}\n{ours}");
        assert_eq!(theirs.kind(), ours.kind());
        assert_ne!(theirs.to_string(), ours.to_string());
        // `get_ref` gives the error of rustls itself there, and ours here; it is among the sources of both.
        assert!(theirs.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()));
        assert!(ours.get_ref().is_some_and(|inner| inner.is::<HandshakeError>()));
        for error in [&theirs, &ours] {
            let found = find_source::<rustls::Error>(error as &(dyn Error + 'static));
            assert!(matches!(found, Some(rustls::Error::InvalidCertificate(_))), "{error:?}");
        }
    }
}
