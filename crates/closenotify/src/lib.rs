//! Tokio TLS streams whose every session ends right, over rustls.
//!
//! A TLS session is two one-way streams. Each ends on its own, by its own `close_notify`; everything else (a bare FIN, a
//! reset, a fatal alert, a deadline) is some other ending, and means something else. This crate says which:
//!
//! - [`TlsConnector`] and [`TlsAcceptor`] make [`client::TlsStream`] and [`server::TlsStream`]; names and shapes are those of
//!   tokio-rustls where the meaning is the same.
//! - Each half's ending is a typed value: [`received_ending`](TlsStream::received_ending),
//!   [`sent_ending`](TlsStream::sent_ending).
//! - A missing `close_notify` is an error unless you say that your protocol frames its own messages ([`Truncation`]). The
//!   page [`ending`] says when it is harmless, and what to write.
//! - [`into_split`](TlsStream::into_split) gives two halves that own their half of the transport.
//! - Closing comes in three strengths: [`shutdown`](tokio::io::AsyncWriteExt::shutdown) ends the sending half and leaves the
//!   other open; [`close`](TlsStream::close) ends both within bounds and loses nothing; [`end_tls`](TlsStream::end_tls) ends
//!   TLS and gives the transport back. [`close_on_shutdown`](TlsStream::close_on_shutdown) makes the first the second, for
//!   hyper, h2, axum and others that take a stream over.
//! - Early data (0-RTT): [`connect_early`](TlsConnector::connect_early) says something with the first flight, and gives an
//!   ordinary stream; [`accept_early`](TlsAcceptor::accept_early) hears it, with a type of its own, for it can be a replay.
//! - [`LazyConfigAcceptor`] shows the ClientHello to a server that chooses its configuration by it, and can give every byte
//!   back.
//! - No task ever wakes itself, whatever the peer sends.
//!
//! # Example
//!
//! ```
//! use closenotify::{Linger, ReceivedEnding, SentEnding, TlsAcceptor, TlsConnector};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let authority = testkit::certs::Authority::new();
//! # let server_config = authority.server_config(testkit::certs::TlsVersion::Both);
//! # let client_config = authority.client_config(testkit::certs::TlsVersion::Both);
//! let (to_server, to_client) = tokio::io::duplex(1024);
//! let server = tokio::spawn(async move {
//!     let mut stream = TlsAcceptor::from(server_config).accept(to_client).await?;
//!     let mut request = String::new();
//!     stream.read_to_string(&mut request).await?; // returns at the client's close_notify
//!     stream.write_all(b"whole answer").await?; // and the answer still flows
//!     std::io::Result::Ok(stream.close(Linger::default()).await)
//! });
//!
//! let mut stream = TlsConnector::from(client_config).connect("localhost".try_into()?, to_server).await?;
//! stream.write_all(b"request").await?;
//! stream.shutdown().await?; // our close_notify: the request is whole
//! let mut answer = String::new();
//! stream.read_to_string(&mut answer).await?; // an error if the answer were cut
//! assert_eq!(answer, "whole answer");
//! drop(stream);
//!
//! let ended = server.await??;
//! assert!(matches!(ended.received, ReceivedEnding::CloseNotify { .. }));
//! assert_eq!(ended.sent, SentEnding::CloseNotify);
//! # Ok(())
//! # }
//! ```
//!
//! Under hyper, axum, `copy_bidirectional` and codecs: see `examples/` of the crate.
//!
//! # Errors and their [`ErrorKind`](std::io::ErrorKind)
//!
//! | what happened | kind | source |
//! |---|---|---|
//! | the connection ended without close_notify | `UnexpectedEof` | [`ReadError`] |
//! | the peer reset the connection | `ConnectionReset` | [`ReadError`] |
//! | the peer sent a fatal alert | `ConnectionAborted` | [`ReadError`] |
//! | the peer broke the protocol | `InvalidData` | [`ReadError`] |
//! | reading the transport failed otherwise | the transport's | [`ReadError`] |
//! | a write after our own close | `BrokenPipe` | [`WriteError`] |
//! | a write on a session that a fatal error ended | `ConnectionAborted` | [`WriteError`] |
//! | a TLS 1.2 session whose keys are used up | `Other` | [`WriteError`] |
//! | the transport took no byte of a write | `WriteZero` | [`WriteError`] |
//! | writing the transport failed otherwise | the transport's | [`WriteError`] |
//! | the handshake did not come about | see [`HandshakeError::io_kind`] | [`HandshakeError`] |
//!
//! An error of a half is answered again on every later call: it never turns into an end or into data.
//!
//! Other libraries wrap these errors in their own. [`is_truncation`], [`is_reset`] and [`is_write_after_close`] look through
//! that; [`ReadError::find`], [`WriteError::find`] and [`HandshakeError::find`] get the typed error out. One library keeps
//! none: h2, and with it the HTTP/2 of hyper, copies the kind and the text of a read error.
//!
//! # Memory
//!
//! A session at rest holds no buffer: not before its first read or write, not after any, joined or split. A buffer for reading
//! comes from a pool of at most four of 64 KiB that each thread keeps, and goes back to it with the last byte. What is left on
//! the heap is keys and what a client needs to store tickets:
//!
//! | heap of a session at rest, bytes | TLS 1.2 | TLS 1.3 |
//! |---|---|---|
//! | client | 730 | 2722 |
//! | server | 265 | 1089 |
//! | more when it is split | 240 | 240 |
//!
//! The stream itself is 752 bytes over a `TcpStream`. What the cryptographic library takes from C's heap is not counted.
//!
//! When a peer sends without end and nobody reads, or a transport takes nothing, one connection holds at most, with a
//! `buffer_limit` of L bytes, 16 to 64 KiB ([`TlsConnector::buffer_limit`], [`TlsAcceptor::buffer_limit`],
//! [`LazyConfigAcceptor::buffer_limit`]; 64 KiB when not set):
//!
//! | buffer | at most |
//! |---|---|
//! | ciphertext that was read, with one record opened in place | L, or one record (18437 bytes) where that is more |
//! | ciphertext that was written and that the transport has not taken | L and 29 bytes a record |
//!
//! A write takes nothing more before the transport has taken what it was given. A configuration with a small
//! `max_fragment_size` makes more records of the same L. After a close_notify the raw bytes that came with it are kept for
//! `end_tls`, in the first of the two.
//!
//! A handshake is not limited by it: a server holds 134 kB beside what the configuration shares while a ClientHello of 65,000
//! bytes arrives, for no longer than its [`handshake_timeout`](TlsAcceptor::handshake_timeout).
//!
//! The numbers are those of `cargo test -p closenotify --test memory -- --nocapture`, which fails when they grow.

mod accept;
mod buffers;
pub mod client;
mod clock;
mod close;
mod close_on_shutdown;
#[cfg(any(feature = "hyper-util", feature = "tokio-postgres", feature = "tonic"))]
mod compat;
mod connect;
#[cfg(feature = "early-data")]
mod early;
pub mod ending;
mod error;
mod failure;
mod flight;
mod handshake;
mod lazy;
mod link;
mod outbox;
mod reading;
mod send_queue;
pub mod server;
mod shared;
mod split;
mod stream;
mod sync;
mod transport;
mod turn;

pub use accept::{Accept, TlsAcceptor};
pub use close::{EndTlsError, EndTlsFault, Ended, Linger, linger};
pub use close_on_shutdown::{CloseOnShutdown, WhenEnded};
pub use closenotify_core::{
    AlertDescription, Deadline, HandshakeError, ReceivedEnding, SendError, SentEnding, SessionFacts, TruncatedAt,
    Violation, find_source, io_kind_word,
};
#[cfg(feature = "tokio-postgres")]
pub use compat::PostgresConnect;
#[cfg(feature = "tonic")]
pub use compat::TlsConnectInfo;
pub use connect::{Connect, TlsConnector};
#[cfg(feature = "early-data")]
pub use early::{AcceptEarly, EarlyStream};
pub use error::{ReadError, WriteError, is_reset, is_truncation, is_write_after_close};
pub use handshake::Fallible;
pub use lazy::{LazyConfigAcceptor, StartHandshake};
pub use reading::Truncation;
/// The library that does TLS itself: its configurations are what connectors and acceptors are made from.
pub use rustls;
pub use send_queue::send_queue;
pub use split::{ReadHalf, ReuniteError, SplitTransport, WriteHalf};
pub use stream::TlsStream;
pub use transport::Splittable;
