//! Reads the ClientHello before there is a configuration: for a server that chooses one by what the client asked for.
//!
//! Until a configuration is given, every byte stays in the caller's buffer. So a server can still pass the connection on
//! unchanged.

use crate::ending::TransportEnd;
use crate::engine::HandshakeEngine;
use crate::error::HandshakeError;
use crate::gate::{Gate, Pass, Phase};
use crate::handshake::{Handshake, no_record, refused, unfinished};
use crate::limits::HELLO_MAX;
use crate::messages::CLIENT_HELLO;
use crate::record::{ALERT, Walk, walk};
use crate::setup::ServerSetup;
use crate::violation::{Violation, alert_for, correct_alert};
use crate::wire::FirstMessage;
use bytes::BytesMut;
use rustls::server::{Accepted, Acceptor, ClientHello};
use rustls::{Error, PeerIncompatible};
use std::fmt;

/// Reads a ClientHello without taking it out of the input.
#[derive(Default)]
pub struct HelloReader {
    acceptor: Acceptor,
    gate: Gate,
    first: FirstMessage,
    failed: Option<HandshakeError>,
    /// How much of the input has been looked at.
    seen: usize,
    output: BytesMut,
}

impl HelloReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the complete records of `input` that are new since the last call, and returns the ClientHello once it is
    /// complete. Between calls, only append to `input`.
    ///
    /// # Errors
    ///
    /// As [`Handshake::advance`]; [`take_output`](Self::take_output) may hold an alert for the peer. A ClientHello may have
    /// 64 KiB, and [`HELLO_MAX`] bytes including the headers of its records.
    pub fn look(&mut self, input: &[u8]) -> Result<Option<HelloReceived>, HandshakeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.look_on(input).inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn look_on(&mut self, input: &[u8]) -> Result<Option<HelloReceived>, HandshakeError> {
        loop {
            let rest = &input[self.seen..];
            let length = match walk(rest, self.gate.content_max(Phase::Open)) {
                Walk::Incomplete if input.len() > HELLO_MAX => return Err(self.too_long()),
                Walk::Incomplete => return Ok(None),
                Walk::Malformed(malformed) => {
                    let violation = Violation::from(malformed);
                    self.alert(violation.alert().code());
                    return Err(no_record(violation, (self.seen == 0).then_some(rest)));
                }
                Walk::Record(length) => length,
            };
            let record = &rest[..length];
            match self.gate.check(record, Phase::Open) {
                Ok(Pass::Through) => {
                    self.first.look(record);
                    if self.first.found().is_too_old {
                        let error = Error::from(PeerIncompatible::Tls12NotOffered);
                        self.alert(alert_for(&error).code());
                        return Err(refused(error));
                    }
                    if let Some(accepted) = self.accept(record)? {
                        return Ok(Some(HelloReceived { accepted, seen: self.seen + length }));
                    }
                }
                Ok(Pass::Ignored) => {}
                Ok(Pass::Alert(alert)) => return Err(HandshakeError::Alert(alert)),
                Err(violation) => {
                    self.alert(violation.alert().code());
                    return Err(HandshakeError::Violation(violation));
                }
            }
            self.seen += length;
        }
    }

    /// Passes a record to the TLS library.
    fn accept(&mut self, mut record: &[u8]) -> Result<Option<Accepted>, HandshakeError> {
        while !record.is_empty() {
            // It holds 64 KiB, the headers of the records included.
            if self.acceptor.read_tls(&mut record).is_err() {
                return Err(self.too_long());
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(accepted) => return Ok(accepted),
                Err((error, mut alert)) => {
                    let before = self.output.len();
                    // Appending to memory takes everything and does not fail.
                    let _ = alert.write_all(&mut bytes::BufMut::writer(&mut self.output));
                    if self.output.len() == before {
                        self.alert(alert_for(&error).code());
                    }
                    correct_alert(&error, self.first.found().is_incomplete, &mut self.output);
                    return Err(refused(error));
                }
            }
        }
        Ok(None)
    }

    fn too_long(&mut self) -> HandshakeError {
        self.alert(Violation::message_too_long(CLIENT_HELLO).alert().code());
        HandshakeError::HelloTooLong
    }

    fn alert(&mut self, code: u8) {
        self.output.extend_from_slice(&[ALERT, 3, 3, 0, 2, FATAL, code]);
    }

    /// Returns what it means for the handshake that the transport has ended, with `input` as it is.
    pub fn transport_ended(&self, end: TransportEnd, input: &[u8]) -> HandshakeError {
        unfinished(end, &input[self.seen..], self.seen == 0)
    }

    /// Appends the bytes to be written to the peer to `output`: after an error, an alert.
    pub fn take_output(&mut self, output: &mut BytesMut) {
        output.extend_from_slice(&self.output.split());
    }
}

impl fmt::Debug for HelloReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloReader").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// A complete ClientHello; the handshake needs a configuration to continue.
pub struct HelloReceived {
    accepted: Accepted,
    seen: usize,
}

impl HelloReceived {
    /// What the client asked for.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.accepted.client_hello()
    }

    /// Continues with `setup`, and takes the ClientHello out of `input`. Early data is rejected, as by [`Handshake::server`].
    ///
    /// # Errors
    ///
    /// If the client and the configuration have nothing in common. The alert for the peer is then appended to `output`.
    pub fn configure(
        self,
        setup: impl Into<ServerSetup>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Handshake, HandshakeError> {
        let engine = HandshakeEngine::server(&setup.into()).map_err(HandshakeError::Refused)?;
        self.begin(engine, input, output)
    }

    /// Like [`configure`](Self::configure), but accepts early data, as [`Handshake::server_early`] does.
    ///
    /// # Errors
    ///
    /// As [`configure`](Self::configure).
    #[cfg(feature = "early-data")]
    pub fn configure_early(
        self,
        setup: impl Into<ServerSetup>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Handshake, HandshakeError> {
        let engine = HandshakeEngine::server_early(&setup.into()).map_err(HandshakeError::Refused)?;
        self.begin(engine, input, output)
    }

    /// Lets a handshake read the ClientHello again: rustls' `Accepted` cannot become the kind of connection that we need.
    fn begin(
        self,
        engine: HandshakeEngine,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Handshake, HandshakeError> {
        let mut hello = input.split_to(self.seen);
        let mut handshake = Handshake::new(engine);
        match handshake.advance(&mut hello) {
            Ok(_) => Ok(handshake),
            Err(error) => {
                handshake.take_output(output);
                Err(error)
            }
        }
    }
}

impl fmt::Debug for HelloReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloReceived").field("server_name", &self.client_hello().server_name()).finish_non_exhaustive()
    }
}

const FATAL: u8 = 2;
