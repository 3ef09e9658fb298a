//! Tokio TLS streams, over rustls, that get connection shutdown right.
//!
//! A TLS session has two directions. Each ends on its own with a `close_notify` alert. Any other end, such as a bare FIN, a
//! reset, a fatal alert or a timeout, means something else, and this crate reports it as what it was:
//!
//! - [`TlsConnector`] and [`TlsAcceptor`] make [`client::TlsStream`] and [`server::TlsStream`]. Names and shapes are those of
//!   tokio-rustls where the meaning is the same.
//! - Each direction's ending is a typed value: [`received_ending`](TlsStream::received_ending),
//!   [`sent_ending`](TlsStream::sent_ending).
//! - A missing `close_notify` is an error, unless you set [`Truncation::AsEof`] because your protocol frames its own messages.
//!   The page [`ending`] explains when it is harmless, and what to do.
//! - [`into_split`](TlsStream::into_split) returns two halves that own their half of the transport.
//! - [`shutdown`](tokio::io::AsyncWriteExt::shutdown) ends the sending direction only. [`close`](TlsStream::close) ends both
//!   within limits and loses nothing. [`end_tls`](TlsStream::end_tls) ends TLS and returns the transport.
//!   [`close_on_shutdown`](TlsStream::close_on_shutdown) makes a shutdown a close, for hyper, h2, axum and other libraries that
//!   own the stream.
//! - Early data (0-RTT, feature `early-data`): `TlsConnector::connect_early` sends it and returns an ordinary stream;
//!   `TlsAcceptor::accept_early` receives it as a type of its own, because it can be a replay.
//! - [`LazyConfigAcceptor`] shows a server the ClientHello before it chooses its configuration, and can return every byte that
//!   was read.
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
//!     stream.write_all(b"complete response").await?; // our direction is still open
//!     std::io::Result::Ok(stream.close(Linger::default()).await)
//! });
//!
//! let mut stream = TlsConnector::from(client_config).connect("localhost".try_into()?, to_server).await?;
//! stream.write_all(b"request").await?;
//! stream.shutdown().await?; // our close_notify: the request is complete
//! let mut response = String::new();
//! stream.read_to_string(&mut response).await?; // fails if the response is truncated
//! assert_eq!(response, "complete response");
//! drop(stream);
//!
//! let ended = server.await??;
//! assert!(matches!(ended.received, ReceivedEnding::CloseNotify { .. }));
//! assert_eq!(ended.sent, SentEnding::CloseNotify);
//! # Ok(())
//! # }
//! ```
//!
//! The crate's `examples` folder has an HTTP client, HTTP servers with hyper and axum, a proxy and a codec.
//!
//! # Features
//!
//! Named as in tokio-rustls, with the same defaults.
//!
//! | feature | default | effect |
//! |---|---|---|
//! | `aws_lc_rs` | yes | aws-lc-rs does the cryptography |
//! | `tls12` | yes | TLS 1.2, next to TLS 1.3 |
//! | `logging` | yes | rustls logs through the `log` crate |
//! | `ring` | no | *ring* does the cryptography; to use it alone, set `default-features = false` |
//! | `fips` | no | aws-lc-rs in its FIPS build |
//! | `early-data` | no | TLS 1.3 early data (0-RTT), which an attacker can replay |
//! | `hyper-util`, `tonic`, `tokio-postgres` | no | implements traits of that crate for the streams and the connector |
//!
//! With exactly one of `aws_lc_rs` and `ring`, `ClientConfig::builder()` and `ServerConfig::builder()` of [`rustls`] use it. With
//! both, pass a provider to `builder_with_provider`, or install one as the default of the process.
//!
//! # Errors and their [`ErrorKind`](std::io::ErrorKind)
//!
//! An error of the transport is returned as it is: its `raw_os_error` and its type are kept, on every path. Later calls return
//! an error with the same kind, code and text. All other errors have a typed source:
//!
//! | what happened | kind | source |
//! |---|---|---|
//! | reading or writing the transport failed | the transport's | the transport's own |
//! | the connection ended without close_notify | `UnexpectedEof` | [`ReadError`] |
//! | a write found the connection reset, and a read found its end | `ConnectionReset` | [`ReadError`] |
//! | the peer sent a fatal alert | `ConnectionAborted` | [`ReadError`] |
//! | the peer broke the protocol | `InvalidData` | [`ReadError`] |
//! | a write after our own close_notify | `BrokenPipe` | [`WriteError`] |
//! | a write to a session that a fatal error ended | `ConnectionAborted` | [`WriteError`] |
//! | a write to a TLS 1.2 session whose keys are used up | `Other` | [`WriteError`] |
//! | the transport accepted no byte of a write | `WriteZero` | [`WriteError`] |
//! | the transport reported more bytes than it was given | `InvalidData` | [`WriteError`] |
//! | the shutdown of a [`CloseOnShutdown`] timed out | `TimedOut` | [`WriteError`] |
//! | the handshake failed | see [`HandshakeError::io_kind`] | [`HandshakeError`] |
//!
//! After an error, every later call in that direction returns it again. An error never turns into an end of file or into data.
//!
//! Other libraries wrap these errors in their own. [`is_truncation`], [`is_reset`] and [`is_write_after_close`] look through
//! that; [`ReadError::find`], [`WriteError::find`] and [`HandshakeError::find`] return the typed error. h2, and hyper's HTTP/2
//! with it, keeps only the kind and the text of a read error.
//!
//! # Memory
//!
//! A session at rest holds no buffer: not before its first read or write, and not after any, joined or split. Buffers for
//! reading come from a pool that each thread keeps, at most four of 64 KiB, and return to it with their last byte. What stays on
//! the heap is keys, and what a client needs to store tickets:
//!
//! | heap of a session at rest, bytes | TLS 1.2 | TLS 1.3 |
//! |---|---|---|
//! | client | 730 | 2722 |
//! | server | 265 | 1089 |
//! | more when it is split | 240 | 240 |
//!
//! The stream itself is 752 bytes over a `TcpStream`. Memory that the cryptographic library allocates in C is not counted.
//!
//! If a peer sends without end and nobody reads, or if a transport accepts nothing, a connection holds at most the following,
//! with a `buffer_limit` of L bytes from 16 to 64 KiB ([`TlsConnector::buffer_limit`], [`TlsAcceptor::buffer_limit`],
//! [`LazyConfigAcceptor::buffer_limit`]; 64 KiB by default):
//!
//! | buffer | at most |
//! |---|---|
//! | ciphertext that was read, with one record opened in place | L, or one record (18437 bytes) where that is more |
//! | ciphertext that was written and that the transport has not taken | L and 29 bytes a record |
//!
//! A write accepts nothing more until the transport has taken the previous one. A configuration with a small
//! `max_fragment_size` makes more records of the same L. Raw bytes that arrive with a close_notify stay in the first of the two
//! buffers, for `end_tls`.
//!
//! The limit does not apply to handshakes. While a client is silent, a handshake holds no buffer. While a ClientHello of 65,000
//! bytes arrives, a server holds 138 kB in addition to what the configuration shares, for no longer than its
//! [`handshake_timeout`](TlsAcceptor::handshake_timeout).
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
