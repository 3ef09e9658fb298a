//! TLS streams, each as a client and a server of the same crate that talk to each other.

use crate::{Stream, with_clock, with_handshake};
use pollcheck::Report;
use rustls::client::Resumption;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use std::sync::Arc;

#[cfg(feature = "heavy")]
pub mod heavy;
#[cfg(feature = "openssl")]
pub mod openssl;
mod wire;

/// The rows of this file.
pub fn streams() -> Vec<Stream> {
    let row = |name, crates, check| Stream { name, crates, check };
    #[allow(unused_mut, reason = "without the feature there is nothing to add")]
    let mut streams = vec![
        row("`TlsStream`, TLS 1.3", &["tokio-rustls", "rustls"] as &[_], (|| rustls_pair(TLS13)) as fn() -> Report),
        row("`TlsStream`, TLS 1.2", &["tokio-rustls", "rustls"], || rustls_pair(TLS12)),
        row("`TlsStream`, TLS 1.3", &["closenotify", "rustls"], || ours(TLS13)),
        row("`TlsStream`, TLS 1.2", &["closenotify", "rustls"], || ours(TLS12)),
        row("`ReadHalf` and `WriteHalf`, TLS 1.3", &["closenotify", "rustls"], || ours_split(TLS13)),
        row("`ReadHalf` and `WriteHalf`, TLS 1.2", &["closenotify", "rustls"], || ours_split(TLS12)),
    ];
    #[cfg(feature = "openssl")]
    streams.extend(openssl::streams());
    #[cfg(feature = "heavy")]
    streams.extend(heavy::streams());
    streams
}

const TLS12: &SupportedProtocolVersion = &rustls::version::TLS12;
const TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;

/// A self-signed certificate of `localhost`: itself and its key, in PEM.
pub fn certificate() -> (String, String) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    (key.cert.pem(), key.signing_key.serialize_pem())
}

/// The configurations of a server and of a client that trusts it.
pub fn rustls_configs(version: &'static SupportedProtocolVersion) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let certificate = key.cert.der().clone();
    let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("what rcgen makes is PKCS#8");
    let server = ServerConfig::builder_with_protocol_versions(&[version])
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], private)
        .expect("the key is the certificate's");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("rcgen's certificate is well formed");
    let mut client =
        ClientConfig::builder_with_protocol_versions(&[version]).with_root_certificates(roots).with_no_client_auth();
    // Each run must do the same as the one before.
    client.resumption = Resumption::disabled();
    (Arc::new(server), Arc::new(client))
}

fn rustls_pair(version: &'static SupportedProtocolVersion) -> Report {
    let (server, client) = rustls_configs(version);
    with_handshake().pair_async(|left, right| {
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&client));
        let connect = connector.connect("localhost".try_into().expect("a DNS name"), left);
        (connect, tokio_rustls::TlsAcceptor::from(Arc::clone(&server)).accept(right))
    })
}

fn ours(version: &'static SupportedProtocolVersion) -> Report {
    let (server, client) = rustls_configs(version);
    with_clock(|| {
        with_handshake().pair_async(|left, right| {
            let connector = closenotify::TlsConnector::from(Arc::clone(&client));
            let connect = connector.connect("localhost".try_into().expect("a DNS name"), left);
            (connect, closenotify::TlsAcceptor::from(Arc::clone(&server)).accept(right))
        })
    })
}

fn ours_split(version: &'static SupportedProtocolVersion) -> Report {
    let (server, client) = rustls_configs(version);
    let split = |stream: closenotify::TlsStream<wire::Wire>| {
        let (read, write) = stream.into_split();
        tokio::io::join(read, write)
    };
    with_clock(|| {
        with_handshake().pair_async(|left, right| {
            let connector = closenotify::TlsConnector::from(Arc::clone(&client));
            let connect = connector.connect("localhost".try_into().expect("a DNS name"), wire::Wire(left));
            let accept = closenotify::TlsAcceptor::from(Arc::clone(&server)).accept(wire::Wire(right));
            (async move { connect.await.map(|stream| split(stream.into())) }, async move {
                accept.await.map(|stream| split(stream.into()))
            })
        })
    })
}
