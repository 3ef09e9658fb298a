//! TLS streams over libraries that are built from source.
//!
//! They cannot be in one program with OpenSSL.

use crate::tls::certificate;
use crate::{Stream, with_clock, with_handshake};
use pollcheck::Report;
use std::io;

/// The rows of this file.
pub fn streams() -> Vec<Stream> {
    let row = |name, crates, check| Stream { name, crates, check };
    vec![
        row("`SslStream`", &["tokio-boring", "boring"] as &[_], boring_pair as fn() -> Report),
        row("`TlsStream`, TLS 1.3", &["s2n-tls-tokio", "s2n-tls"], || s2n_pair("default_tls13")),
        row("`TlsStream`, TLS 1.2", &["s2n-tls-tokio", "s2n-tls"], || s2n_pair("20190214")),
    ]
}

/// A connector and a server's context.
pub fn boring_contexts() -> (boring::ssl::SslConnector, boring::ssl::SslAcceptor) {
    use boring::ssl::{SslAcceptor, SslConnector, SslMethod};
    let (certificate, key) = certificate();
    let certificate = boring::x509::X509::from_pem(certificate.as_bytes()).expect("rcgen writes PEM");
    let key = boring::pkey::PKey::private_key_from_pem(key.as_bytes()).expect("rcgen writes PEM");
    let mut client = SslConnector::builder(SslMethod::tls()).expect("a plain one");
    client.cert_store_mut().add_cert(certificate.clone()).expect("one certificate");
    let mut server = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("a plain one");
    server.set_certificate(&certificate).expect("the certificate is well formed");
    server.set_private_key(&key).expect("the key is the certificate's");
    (client.build(), server.build())
}

fn boring_pair() -> Report {
    let (client, server) = boring_contexts();
    with_handshake().pair_async(|left, right| {
        let configuration = client.configure().expect("a session takes memory only");
        let server = server.clone();
        (
            async move {
                let connected = tokio_boring::connect(configuration, "localhost", left).await;
                connected.map_err(|error| io::Error::other(error.to_string()))
            },
            async move {
                let accepted = tokio_boring::accept(&server, right).await;
                accepted.map_err(|error| io::Error::other(error.to_string()))
            },
        )
    })
}

/// One configuration, of a server and of a client that trusts it.
pub fn s2n_config(policy: &str) -> s2n_tls::config::Config {
    let (certificate, key) = certificate();
    let mut builder = s2n_tls::config::Builder::new();
    let policy = s2n_tls::security::Policy::from_version(policy).expect("s2n-tls has a policy of this name");
    builder.set_security_policy(&policy).expect("a policy of its own");
    builder.load_pem(certificate.as_bytes(), key.as_bytes()).expect("rcgen writes PEM");
    builder.trust_pem(certificate.as_bytes()).expect("rcgen writes PEM");
    builder.build().expect("the configuration is whole")
}

fn s2n_pair(policy: &str) -> Report {
    let config = s2n_config(policy);
    with_clock(|| {
        with_handshake().pair_async(|left, right| {
            let connector = s2n_tls_tokio::TlsConnector::new(config.clone());
            let acceptor = s2n_tls_tokio::TlsAcceptor::new(config.clone());
            (async move { connector.connect("localhost", left).await.map_err(io::Error::other) }, async move {
                acceptor.accept(right).await.map_err(io::Error::other)
            })
        })
    })
}
