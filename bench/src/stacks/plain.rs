//! No TLS at all: what the transport costs every stack.

use super::{Facts, Reader, Resumption, Stack, Stream, Writer};
use crate::certs::Identity;
use std::io;
use tokio::net::TcpStream;

/// The transport itself, split by tokio's own halves.
pub struct Plain;

impl Stack for Plain {
    type Client<T: Stream> = T;
    type Server<T: Stream> = T;

    fn new(_identity: &Identity, _resumption: Resumption) -> io::Result<Self> {
        Ok(Self)
    }

    async fn connect<T: Stream>(&self, transport: T) -> io::Result<T> {
        Ok(transport)
    }

    async fn accept<T: Stream>(&self, transport: T) -> io::Result<T> {
        Ok(transport)
    }

    fn facts<T: Stream>(_client: &T) -> Option<Facts> {
        None
    }

    fn split_client(client: TcpStream) -> (impl Reader, impl Writer) {
        client.into_split()
    }

    fn split_server(server: TcpStream) -> (impl Reader, impl Writer) {
        server.into_split()
    }
}
