//! This library.

use super::{Facts, Reader, Resumption, Stack, Stream, Writer, rustls_configs};
use crate::certs::{Identity, NAME};
use closenotify::{Linger, ReceivedEnding, SentEnding, TlsAcceptor, TlsConnector, client, server};
use std::io;
use tokio::net::TcpStream;

/// This library, with `into_split` and `close`.
pub struct Ours {
    connector: TlsConnector,
    acceptor: TlsAcceptor,
}

impl Stack for Ours {
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
        let facts = client.facts();
        let suite = facts.version_name() == "TLSv1.3" && facts.cipher_suite_name() == "TLS_AES_128_GCM_SHA256";
        Some(Facts { suite, resumed: facts.resumed() })
    }

    fn split_client(client: Self::Client<TcpStream>) -> (impl Reader, impl Writer) {
        client.into_split()
    }

    fn split_server(server: Self::Server<TcpStream>) -> (impl Reader, impl Writer) {
        server.into_split()
    }

    async fn close_client<T: Stream>(client: Self::Client<T>) -> io::Result<()> {
        let ended = client.close(Linger::default()).await;
        clean(&ended.received, &ended.sent)
    }

    async fn close_server<T: Stream>(server: Self::Server<T>) -> io::Result<()> {
        let ended = server.close(Linger::default()).await;
        clean(&ended.received, &ended.sent)
    }
}

fn clean(received: &ReceivedEnding, sent: &SentEnding) -> io::Result<()> {
    if matches!((received, sent), (ReceivedEnding::CloseNotify, SentEnding::CloseNotify)) {
        return Ok(());
    }
    Err(io::Error::other(format!("not a clean end: received {received:?}, sent {sent:?}")))
}
