//! The handshake as an object that takes ciphertext, makes ciphertext, and turns into a session when it is complete.
//!
//! It does not time itself and does not read or write: its owner does, and owns the deadline.

use crate::alert::AlertDescription;
use crate::ending::TransportEnd;
use crate::engine::HandshakeEngine;
use crate::error::HandshakeError;
use crate::facts::SessionFacts;
use crate::receiver::{Receiver, truncated_at};
use crate::record::{Walk, walk};
use crate::sender::Sender;
use bytes::{Buf as _, Bytes, BytesMut};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, Error, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// A TLS session before its handshake is complete.
///
/// Call [`advance`](Self::advance) whenever ciphertext has arrived (a client also once before any has), and after each call
/// [`take_output`](Self::take_output) and write that to the peer: it holds our flights, and after an error the alert
/// that tells the peer why. When `advance` says [`Progress::Complete`] and the output is taken, [`into_session`](Self::into_session).
pub struct Handshake {
    pub(crate) engine: HandshakeEngine,
    silent: bool,
    /// What a client wants to say first, until the handshake is complete.
    pub(crate) early: Bytes,
    /// How much of it went out as early data.
    pub(crate) early_sent: usize,
    /// What goes out before what the engine has.
    pub(crate) output: BytesMut,
}

/// How far a handshake is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More ciphertext is needed.
    NeedInput,
    /// The handshake is complete. What is left in the input belongs to the session's [`Receiver`].
    Complete,
}

/// A session after its handshake: two halves and the facts.
pub struct Session {
    /// The direction from the peer.
    pub receiver: Receiver,
    /// The direction to the peer.
    pub sender: Sender,
    /// What was agreed on.
    pub facts: SessionFacts,
}

impl Handshake {
    /// A handshake as a client that wants to talk to `name`.
    ///
    /// # Errors
    ///
    /// When rustls refuses the configuration.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Self, Error> {
        Ok(Self::new(HandshakeEngine::client(config, name)?))
    }

    /// A handshake as a server.
    ///
    /// Early data (RFC 9846 section 4.3.10) is not accepted, whatever `config` allows: it can be replayed, and a receiver
    /// has no way to say so. The client is told to send it again. [`server_early`](Self::server_early) accepts it.
    ///
    /// # Errors
    ///
    /// When rustls refuses the configuration.
    pub fn server(config: Arc<ServerConfig>) -> Result<Self, Error> {
        Ok(Self::new(HandshakeEngine::server(config)?))
    }

    pub(crate) fn new(engine: HandshakeEngine) -> Self {
        Self { engine, silent: true, early: Bytes::new(), early_sent: 0, output: BytesMut::new() }
    }

    /// Takes the whole records at the front of `input` one by one, until the handshake is complete or there are no more.
    /// Bytes behind the record that completes it stay in `input`.
    ///
    /// # Errors
    ///
    /// When the peer refuses, closes (a `close_notify` here is an error), or sends what cannot be accepted. The handshake is
    /// over then; [`take_output`](Self::take_output) may hold an alert for the peer.
    pub fn advance(&mut self, input: &mut BytesMut) -> Result<Progress, HandshakeError> {
        while !self.engine.is_complete() {
            if !self.step(input)? {
                return Ok(Progress::NeedInput);
            }
        }
        Ok(Progress::Complete)
    }

    /// Takes one record; `false` when there is none.
    pub(crate) fn step(&mut self, input: &mut BytesMut) -> Result<bool, HandshakeError> {
        self.silent &= input.is_empty();
        let Some(length) = record_length(input) else { return Ok(false) };
        let fed = open_record(input, |record| self.engine.open(record));
        input.advance(length);
        fed?;
        self.repeat_early()?;
        Ok(true)
    }

    /// Appends what is to be written to the peer to `output`.
    pub fn take_output(&mut self, output: &mut BytesMut) {
        if output.is_empty() {
            *output = std::mem::take(&mut self.output);
        } else {
            output.extend_from_slice(&std::mem::take(&mut self.output));
        }
        self.engine.take_output(output);
    }

    /// What it means that the transport ended now, with `input` unread.
    pub fn transport_ended(&self, end: TransportEnd, input: &[u8]) -> HandshakeError {
        unfinished(end, input, self.silent)
    }

    /// The session.
    ///
    /// # Panics
    ///
    /// When the handshake is not complete, which is a fault of the caller that no peer can cause.
    pub fn into_session(self) -> Session {
        assert!(self.engine.is_complete(), "into_session before `advance` said Progress::Complete");
        let (receiving, sending, facts) = self.engine.split();
        Session { receiver: Receiver::new(receiving), sender: Sender::new(sending), facts }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("complete", &self.engine.is_complete()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// What the end of a transport means before the handshake is complete; `silent` when nothing had been taken before.
pub(crate) fn unfinished(end: TransportEnd, input: &[u8], silent: bool) -> HandshakeError {
    match end {
        TransportEnd::Eof => HandshakeError::Truncated { at: truncated_at(input), silent: silent && input.is_empty() },
        TransportEnd::Reset => HandshakeError::Reset,
        TransportEnd::Failed(kind) => HandshakeError::Failed(kind),
        TransportEnd::TimedOut(deadline) => HandshakeError::TimedOut(deadline),
        TransportEnd::Abandoned => HandshakeError::Failed(std::io::ErrorKind::Interrupted),
    }
}

/// How long the record is that `input` begins with, or the part of it that is known to be none; `None` when more bytes
/// must tell.
pub(crate) fn record_length(input: &[u8]) -> Option<usize> {
    match walk(input) {
        Walk::Incomplete => None,
        Walk::Record(length) | Walk::Malformed(length) => Some(length),
    }
}

/// Gives the record that `input` begins with to the TLS library, and says what came of it. There must be
/// [one](record_length).
pub(crate) fn open_record<T>(input: &[u8], open: impl FnOnce(&[u8]) -> Result<T, Error>) -> Result<T, HandshakeError> {
    let (record, malformed) = match walk(input) {
        Walk::Incomplete => (input, false),
        Walk::Record(length) => (&input[..length], false),
        Walk::Malformed(length) => (&input[..length], true),
    };
    match open(record) {
        Err(Error::AlertReceived(alert)) => Err(HandshakeError::Alert(u8::from(alert).into())),
        _ if malformed => Err(HandshakeError::NotTls { plain_http: looks_like_http(input) }),
        Err(error) => Err(HandshakeError::Refused(error)),
        // rustls passes over it as over any warning, and would wait on.
        Ok(_) if is_plain_close_notify(record) => Err(HandshakeError::Alert(AlertDescription::CLOSE_NOTIFY)),
        Ok(opened) => Ok(opened),
    }
}

/// Whether the bytes, at least five, begin with an HTTP/1 method or the HTTP/2 preface.
fn looks_like_http(input: &[u8]) -> bool {
    METHODS.iter().any(|method| method.bytes().zip(input).all(|(expected, seen)| expected == *seen))
}

/// Whether the record is a close_notify in plaintext. A sealed one is longer.
fn is_plain_close_notify(record: &[u8]) -> bool {
    matches!(record, [21, 3, _, 0, 2, _level, 0])
}

const METHODS: [&str; 10] =
    ["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "TRACE ", "CONNECT ", "PRI "];
