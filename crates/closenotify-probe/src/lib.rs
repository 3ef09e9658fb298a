//! A TLS peer, client or server, that makes a true handshake and then writes and reads single records by hand.
//!
//! A TLS library protects its user from doing wrong; a checker must be able to. Here the handshake is rustls', the keys are
//! taken out of it, and from then on every record, alert, FIN and reset is sent when a script says so, in any order, whole
//! or in part: [`Peer::send`] takes [`Piece`]s. Whatever the other end does is read in the background and becomes an
//! [`Event`] with its time in a [`Log`]; what it amounts to is a [`Received`].
//!
//! It judges nothing, and it shares no code with the streams that it is used to check.
//!
//! ```text
//!   Stream ──tcp──▶ handshake (rustls, one record at a time) ──keys──▶ Peer ──┬─ send, fin, reset   (the script)
//!                        │ stopped at a step                                 └─ reader task ──▶ Log, Received
//!                        └──────────────── what keys there are ──────────────▶ Peer
//! ```

pub mod alert;
mod error;
pub mod event;
mod handshake;
mod identity;
mod keys;
mod peer;
mod reading;
mod record;

pub use error::{Fault, HandshakeError};
pub use event::{By, Event, Link, Log, What};
pub use handshake::{ClientSetup, Facts, ServerSetup, Stop, Version};
pub use identity::{Identity, Trust};
pub use peer::{Pace, Peer, Sent};
pub use reading::{Received, TcpEnd, TlsEnd};
pub use record::Piece;
