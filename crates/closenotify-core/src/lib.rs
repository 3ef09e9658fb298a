//! How a TLS session ends, without I/O: a [`Handshake`] that turns into two halves, a [`Receiver`] and a [`Sender`],
//! each of which ends on its own and keeps how.
//!
//! This crate has no socket, reads no clock and knows no runtime. The caller owns the transport and the time:
//! ciphertext goes in through a [`BytesMut`](bytes::BytesMut) that the caller fills, plaintext comes out of it,
//! and the other way round. It never guesses: the caller tells it how the transport ended
//! ([`TransportEnd`]), and it returns what that means for the session ([`ReceivedEnding`]).
//!
//! rustls makes the handshake. After it the halves are independent: records are decrypted in place in the caller's buffer
//! and sealed into the caller's buffer, with the AEADs of the configuration's crypto provider, and no lock is taken for
//! data.
//!
//! ```text
//!            Handshake ──complete──▶ Session ──┬──▶ Receiver            Sender
//!                                              │     Open                 Open
//!                                              │      │ close_notify       │ close()
//!                                              │      │ EOF, reset, alert  ▼
//!                                              │      ▼                  consumed: the alert is queued after
//!                                              │     Ended(ending)       the data, and SentEnding is returned
//!                                              ├──▶ Exporter
//!                                              └──▶ SessionFacts
//! ```
//!
//! # Calling order
//!
//! - [`ServerSetup`] or [`ClientSetup`] once for an acceptor or a connector.
//! - [`Handshake::advance`] whenever ciphertext has arrived; after each call [`Handshake::take_output`], written to the
//!   peer. On an error too: the output then holds the alert that tells the peer why.
//! - Early data (feature `early-data`) is sent by `Handshake::client_early` and received by `Handshake::server_early`.
//! - [`Receiver::read`], or [`Receiver::open`] and [`Receiver::consume`], until they return [`Read::NeedInput`] or
//!   [`Read::Ended`]; when they also return that [the sender owes something](SenderOwes), [`Sender::take_owed`] before the
//!   next write.
//! - [`Receiver::transport_ended`] once, when the transport has no more.
//! - [`Sender::write`], then [`Sender::close`], which takes the sender: nothing can be written after it.
//!
//! # Alerts
//!
//! A peer that breaks the protocol gets the fatal alert that RFC 9846 (RFC 5246 for TLS 1.2) names:
//! [`Violation::alert`] lists them. It holds for everything after the handshake, and for the handshake as long as nothing is
//! sealed. Once the records of a handshake are sealed only rustls has the keys, and the alert is rustls' own, or one of two
//! that it can be made to send. There, and only there, the peer gets `decode_error` where the RFC names
//!
//! - `record_overflow`, for a record whose header announces too much;
//! - `unexpected_message`, for another record inside a handshake message, an empty alert, a heartbeat, or a fifth
//!   `user_canceled`; in TLS 1.2 for an empty handshake record between our Finished and the peer's;
//! - `illegal_parameter`, for a message of more than 64 KiB.
//!
//! An empty sealed handshake record is passed over there, 32 times in a row at most. A handshake that
//! [fails for our own reasons](HandshakeError::NoKeyExtraction) ends without an alert.
//!
//! # Example
//!
//! A client and a server in one process.
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
