//! How a TLS session ends, without I/O: a [`Handshake`] that turns into two halves, a [`Receiver`] and a [`Sender`],
//! each of which ends on its own and says how.
//!
//! This crate has no socket, reads no clock and knows no runtime. The caller owns the transport and the time:
//! ciphertext goes in through a [`BytesMut`](bytes::BytesMut) that the caller fills, plaintext comes out into the
//! caller's buffer, and the other way round. What it refuses to do: to guess. The end of the transport is told to it
//! ([`TransportEnd`]); what that end means for the session is what it answers ([`ReceivedEnding`]).
//!
//! ```text
//!            Handshake ──complete──▶ Session ──┬──▶ Receiver            Sender
//!                                              │     Open                 Open
//!                                              │      │ close_notify       │ close()
//!                                              │      │ EOF, reset, alert  ▼
//!                                              │      ▼                  consumed: the alert is queued behind
//!                                              │     Ended(ending)       the data, SentEnding says what it was
//!                                              └──▶ SessionFacts
//! ```
//!
//! # Calling order
//!
//! - [`Handshake::advance`] whenever ciphertext has arrived; after each call [`Handshake::take_output`], written to the
//!   peer. On an error too: the output then holds the alert that tells the peer why.
//! - Early data is said first by [`Handshake::client_early`], and heard by [`Handshake::server_early`].
//! - [`Receiver::read`] until it answers [`Read::NeedInput`] or [`Read::Ended`]; when it also says that
//!   [the sender owes bytes](SenderOwes), [`Sender::take_owed`].
//! - [`Receiver::transport_ended`] once, when the transport has no more.
//! - [`Sender::write`], then [`Sender::close`], which takes the sender: nothing can be written after it.
//!
//! # Example
//!
//! A client and a server in one process; see `tests/` for the endings.
//!
//! ```
//! use bytes::BytesMut;
//! use closenotify_core::{Handshake, Progress, Read, ReceivedEnding};
//! use std::io::IoSlice;
//! # use std::sync::Arc;
//! # let authority = testkit::certs::Authority::new();
//! # let server_config = authority.server_config(testkit::certs::TlsVersion::Both);
//! # let client_config = authority.client_config(testkit::certs::TlsVersion::Both);
//!
//! let mut client = Handshake::client(client_config, "localhost".try_into()?)?;
//! let mut server = Handshake::server(server_config)?;
//! let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
//! loop {
//!     client.take_output(&mut to_server);
//!     let at_server = server.advance(&mut to_server)?;
//!     server.take_output(&mut to_client);
//!     let at_client = client.advance(&mut to_client)?;
//!     if (at_client, at_server) == (Progress::Complete, Progress::Complete) {
//!         break;
//!     }
//! }
//! let (mut client, mut server) = (client.into_session(), server.into_session());
//!
//! client.sender.write(&[IoSlice::new(b"hello")], &mut to_server)?;
//! client.sender.close(&mut to_server);
//!
//! let mut received = Vec::new();
//! assert_eq!(server.receiver.read(&mut to_server, &mut received).0, Read::Data(5));
//! assert_eq!(server.receiver.read(&mut to_server, &mut received).0, Read::Ended);
//! assert_eq!(received, b"hello");
//! assert_eq!(server.receiver.ending(), Some(&ReceivedEnding::CloseNotify));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod alert;
mod capture;
#[cfg(feature = "early-data")]
mod early;
mod ending;
mod engine;
mod error;
mod exporter;
mod facts;
mod gate;
mod handshake;
mod hello;
mod kernel;
mod keys;
mod limits;
mod messages;
mod owes;
mod reason;
mod receiver;
mod record;
mod sender;
mod setup;
mod violation;
mod wire;

pub use alert::AlertDescription;
#[cfg(feature = "early-data")]
pub use early::{EarlyProgress, EarlyRead};
pub use ending::{Deadline, ReceivedEnding, SentEnding, TransportEnd, TruncatedAt, io_kind_word};
pub use error::{HandshakeError, SendError, find_source};
pub use exporter::Exporter;
pub use facts::SessionFacts;
pub use handshake::{Handshake, Progress, Session};
pub use hello::{HelloReader, HelloReceived};
pub use limits::{DATALESS_RECORDS_MAX, HELLO_MAX, WRITE_MAX};
pub use owes::SenderOwes;
pub use receiver::{Read, Receiver};
pub use sender::Sender;
pub use setup::{ClientSetup, ServerSetup};
pub use violation::Violation;
