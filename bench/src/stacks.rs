//! The TLS stacks, behind one trait, each set to the same protocol: TLS 1.3, AES-128-GCM, X25519, ECDSA on P-256.
//!
//! Everything else is left as the stack comes: sizes of buffers, of records, of what it reads at once.

mod openssl;
mod ours;
mod plain;
mod rustls_configs;
mod s2n;
mod tokio_rustls;

use crate::certs::Identity;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub use self::openssl::OpenSsl;
pub use self::ours::Ours;
pub use self::plain::Plain;
pub use self::s2n::S2n;
pub use self::tokio_rustls::TokioRustls;

/// A stream in both directions, of whatever kind.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for T {}

/// A client's and a server's side of one TLS stack, with their configurations.
pub trait Stack: Sized + Send + Sync + 'static {
    /// A client's session.
    type Client<T: Stream>: Stream;
    /// A server's session.
    type Server<T: Stream>: Stream;

    /// Both configurations.
    ///
    /// # Errors
    ///
    /// When the stack does not take them.
    fn new(identity: &Identity, resumption: Resumption) -> io::Result<Self>;

    /// A client's handshake; resumes the last session that there is, if the configuration does.
    fn connect<T: Stream>(&self, transport: T) -> impl Future<Output = io::Result<Self::Client<T>>>;

    /// A server's handshake.
    fn accept<T: Stream>(&self, transport: T) -> impl Future<Output = io::Result<Self::Server<T>>>;

    /// What the client's handshake came to; `None` where there is no TLS.
    fn facts<T: Stream>(client: &Self::Client<T>) -> Option<Facts>;

    /// Both halves of a client's session, as the stack's documentation has it.
    fn split_client(client: Self::Client<TcpStream>) -> (impl Reader, impl Writer);

    /// Both halves of a server's session.
    fn split_server(server: Self::Server<TcpStream>) -> (impl Reader, impl Writer);

    /// Ends a client's session cleanly.
    fn close_client<T: Stream>(client: Self::Client<T>) -> impl Future<Output = io::Result<()>> {
        shutdown_and_drain(client)
    }

    /// Ends a server's session cleanly.
    fn close_server<T: Stream>(server: Self::Server<T>) -> impl Future<Output = io::Result<()>> {
        shutdown_and_drain(server)
    }
}

/// A half that reads.
pub trait Reader: AsyncRead + Unpin + Send + 'static {}

impl<T: AsyncRead + Unpin + Send + 'static> Reader for T {}

/// A half that writes.
pub trait Writer: AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncWrite + Unpin + Send + 'static> Writer for T {}

/// Whether sessions are resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// Never: the server sends no ticket.
    Never,
    /// By a ticket, stateless at the server; it sends one in each handshake.
    Tickets,
}

/// What a handshake came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Whether it is TLS 1.3 with `TLS_AES_128_GCM_SHA256`.
    pub suite: bool,
    /// Whether a session was resumed.
    pub resumed: bool,
}

/// The stacks by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// This library.
    Closenotify,
    /// What it is measured against.
    TokioRustls,
    /// The system's OpenSSL.
    TokioOpenssl,
    /// s2n-tls over AWS-LC.
    S2nTlsTokio,
    /// No TLS: what the transport alone costs.
    Tcp,
}

impl Name {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 5] = [Self::Closenotify, Self::TokioRustls, Self::TokioOpenssl, Self::S2nTlsTokio, Self::Tcp];

    /// As the page writes it.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Closenotify => "closenotify",
            Self::TokioRustls => "tokio-rustls",
            Self::TokioOpenssl => "tokio-openssl",
            Self::S2nTlsTokio => "s2n-tls-tokio",
            Self::Tcp => "raw TCP",
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is what these stacks have for two halves")]
fn split_by_tokio<T: Stream>(stream: T) -> (impl Reader, impl Writer) {
    tokio::io::split(stream)
}

async fn shutdown_and_drain(mut stream: impl Stream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = [0; 64];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}
