//! TLS sessions that end correctly, without I/O: a [`Handshake`] becomes a [`Receiver`] and a [`Sender`], and each half ends
//! on its own and records how.
//!
//! The crate opens no socket, reads no clock and needs no runtime. You own the transport and the time: pass in ciphertext
//! as a [`BytesMut`](bytes::BytesMut) and get plaintext from the same buffer, and the other way round. When the transport
//! ends, pass in how ([`TransportEnd`]); the receiver returns what that means for the session ([`ReceivedEnding`]).
//!
//! rustls performs the handshake. After it, the two halves are independent: records are decrypted in place in your input
//! buffer and encrypted into your output buffer, with the AEADs of the configuration's crypto provider. Data never takes a
//! lock, so the halves can run on different threads.
//!
//! ```text
//!            Handshake ──complete──▶ Session ──┬──▶ Receiver            Sender
//!                                              │     Open                 Open
//!                                              │      │ close_notify       │ close()
//!                                              │      │ EOF, reset, alert  ▼
//!                                              │      ▼                  consumed: close_notify is queued after
//!                                              │     Ended(ending)       the data, and SentEnding is returned
//!                                              ├──▶ Exporter
//!                                              └──▶ SessionFacts
//! ```
//!
//! # Calling order
//!
//! 1. Make a [`ServerSetup`] or [`ClientSetup`] once for each acceptor or connector.
//! 2. Call [`Handshake::advance`] whenever ciphertext has arrived, and [`Handshake::take_output`] after each call. Write
//!    that output to the peer, also after an error: it may hold the alert. When `advance` returns
//!    [`Progress::Complete`], call [`Handshake::into_session`].
//! 3. To receive, call [`Receiver::read`], which copies into your buffer. To avoid the copy, call [`Receiver::open`], use
//!    [`Receiver::plaintext`], and call [`Receiver::consume`]. Repeat until you get [`Read::NeedInput`] or [`Read::Ended`].
//! 4. Both also return [what the sender owes the peer](SenderOwes). Pass it to [`Sender::take_owed`] before the next write,
//!    and write the output.
//! 5. When the transport has no more input, call [`Receiver::transport_ended`] once.
//! 6. To send, call [`Sender::write`], then [`Sender::close`]. `close` consumes the sender, so a write after it does not
//!    compile.
//!
//! # Features
//!
//! Names and defaults are those of tokio-rustls.
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `aws_lc_rs`, `ring` | `aws_lc_rs` | the crypto provider. With both, rustls has no default: pass one to its builders |
//! | `fips` | no | aws-lc-rs in its FIPS build; needs CMake and Go |
//! | `tls12` | yes | TLS 1.2 |
//! | `logging` | yes | log messages of rustls, through the crate `log` |
//! | `early-data` | no | 0-RTT: `Handshake::client_early` sends it, `Handshake::server_early` receives it |
//!
//! # Alerts
//!
//! A peer that breaks the protocol gets the fatal alert that RFC 9846 (RFC 5246 for TLS 1.2) names; [`Violation::alert`]
//! lists them. This holds after the handshake, and during it until we start to encrypt.
//!
//! From then until the handshake is complete, only rustls has the keys. It sends the alerts for the errors that it finds.
//! For the errors that this crate finds, it can be made to send only `unexpected_message` or `decode_error`. So during that
//! time the peer gets `decode_error` where the RFC names
//!
//! - `record_overflow`, for a record whose header announces too much;
//! - `unexpected_message`, for another record inside a handshake message, an empty alert, a heartbeat, or a fifth
//!   `user_canceled`; in TLS 1.2, for an empty handshake record between our Finished and the peer's;
//! - `illegal_parameter`, for a message of more than 64 KiB.
//!
//! Up to 32 empty encrypted handshake records in a row are ignored during that time. A handshake that
//! [fails because the provider does not hand out keys](HandshakeError::NoKeyExtraction) ends without an alert.
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
