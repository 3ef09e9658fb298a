//! tokio-rustls, over the same rustls with the same configurations as this library.

use super::{Facts, Reader, Resumption, Stack, Stream, Writer, rustls_configs, split_by_tokio};
use crate::certs::{Identity, NAME};
use rustls::{CipherSuite, HandshakeKind, ProtocolVersion};
use std::io;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

/// tokio-rustls, split by tokio.
pub struct TokioRustls {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Stack for TokioRustls {
    type Client<T: Stream> = client::TlsStream<T>;
    type Server<T: Stream> = server::TlsStream<T>;

    fn new(identity: &Identity, resumption: Resumption) -> io::Result<Self> {
        Ok(Self {
            connector: TlsConnector::from(rustls_configs::client(identity, resumption)?),
            acceptor: TlsAcceptor::from(rustls_configs::server(identity, resumption)?),
        })
    }

    async fn connect<T: Stream>(&self, transport: T) -> io::Result<Self::Client<T>> {
        let name = NAME.try_into().expect("the name is a valid DNS name");
        self.connector.connect(name, transport).await
    }

    async fn accept<T: Stream>(&self, transport: T) -> io::Result<Self::Server<T>> {
        self.acceptor.accept(transport).await
    }

    fn facts<T: Stream>(client: &Self::Client<T>) -> Option<Facts> {
        let connection = client.get_ref().1;
        let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        Some(Facts {
            suite: suite == Some(CipherSuite::TLS13_AES_128_GCM_SHA256)
                && connection.protocol_version() == Some(ProtocolVersion::TLSv1_3),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
        })
    }

    fn split_client(client: Self::Client<TcpStream>) -> (impl Reader, impl Writer) {
        split_by_tokio(client)
    }

    fn split_server(server: Self::Server<TcpStream>) -> (impl Reader, impl Writer) {
        split_by_tokio(server)
    }
}
