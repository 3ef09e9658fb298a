//! With one provider of cryptography among the features, rustls' builders find it by themselves, and a session works.
//!
//! It has nothing to do where both are on or none: rustls has no default then.

#![cfg(any(all(feature = "ring", not(feature = "aws_lc_rs")), all(feature = "aws_lc_rs", not(feature = "ring"))))]
#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use closenotify::rustls::{ClientConfig, ServerConfig};
use closenotify::{Linger, TlsAcceptor, TlsConnector};
use std::sync::Arc;
use testkit::certs::Authority;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn one_provider_is_the_default_of_the_builders() {
    let authority = Authority::new();
    let leaf = authority.issue(&["localhost"]);
    let client = ClientConfig::builder().with_root_certificates(authority.roots()).with_no_client_auth();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(leaf.chain(), leaf.key_der()).unwrap();
    let (to_server, to_client) = tokio::io::duplex(1000);
    let (connector, acceptor) = (TlsConnector::from(Arc::new(client)), TlsAcceptor::from(Arc::new(server)));
    let (client, server) =
        tokio::join!(connector.connect("localhost".try_into().unwrap(), to_server), acceptor.accept(to_client));
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    client.write_all(b"hello").await.unwrap();
    client.flush().await.unwrap();
    let mut got = [0; 5];
    server.read_exact(&mut got).await.unwrap();
    assert_eq!(&got, b"hello");
    let (client, server) = tokio::join!(client.close(Linger::default()), server.close(Linger::default()));
    assert!(client.is_clean() && server.is_clean());
}
