//! The ClientHello before the configuration: for a server that chooses by what the client asked for.
//!
//! It looks and takes nothing: until a configuration is given, every byte stays in the caller's buffer, so that a server
//! that decides otherwise (to pass the connection on, to speak something else) has lost none.

use crate::ending::TransportEnd;
use crate::engine::{AcceptedEngine, AcceptingEngine};
use crate::error::HandshakeError;
use crate::handshake::{Handshake, open_record, record_length, unfinished};
use bytes::{Buf as _, BytesMut};
use rustls::server::ClientHello;
use rustls::{Error, ServerConfig};
use std::fmt;
use std::sync::Arc;

/// The most bytes that a ClientHello may take, records and all.
pub const HELLO_MAX: usize = 128 * 1024;

/// Waits for a ClientHello.
#[derive(Default)]
pub struct HelloReader {
    engine: AcceptingEngine,
    /// How much of the input the engine has seen.
    seen: usize,
    output: BytesMut,
}

impl HelloReader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the whole records of `input` that it has not seen; answers when the ClientHello is whole. `input` must
    /// begin with what it began with before.
    ///
    /// # Errors
    ///
    /// As [`Handshake::advance`]; [`take_output`](Self::take_output) may hold an alert for the peer. A ClientHello of more
    /// than [`HELLO_MAX`] bytes is refused.
    pub fn look(&mut self, input: &[u8]) -> Result<Option<HelloReceived>, HandshakeError> {
        while let Some(length) = record_length(&input[self.seen..]) {
            let accepted = open_record(&input[self.seen..], |record| self.engine.open(record, &mut self.output))?;
            self.seen += length;
            if let Some(engine) = accepted {
                return Ok(Some(HelloReceived { engine, seen: self.seen }));
            }
        }
        if input.len() > HELLO_MAX {
            return Err(HandshakeError::Refused(Error::General("the ClientHello is too long".into())));
        }
        Ok(None)
    }

    /// What it means that the transport ended now, with `input` as it is.
    pub fn transport_ended(&self, end: TransportEnd, input: &[u8]) -> HandshakeError {
        unfinished(end, &input[self.seen..], self.seen == 0)
    }

    /// Appends what is to be written to the peer to `output`: an alert, after an error.
    pub fn take_output(&mut self, output: &mut BytesMut) {
        output.extend_from_slice(&self.output.split());
    }
}

impl fmt::Debug for HelloReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloReader").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// A whole ClientHello, and a handshake that waits for its configuration.
pub struct HelloReceived {
    engine: AcceptedEngine,
    seen: usize,
}

impl HelloReceived {
    /// What the client asked for.
    pub fn client_hello(&self) -> ClientHello<'_> {
        self.engine.client_hello()
    }

    /// Goes on with `config`, and takes the ClientHello out of `input`. Early data is refused, as by [`Handshake::server`].
    ///
    /// # Errors
    ///
    /// When the client asked for nothing that `config` has. An alert for the peer has been appended to `output` then.
    pub fn configure(
        self,
        config: Arc<ServerConfig>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Handshake, HandshakeError> {
        input.advance(self.seen);
        self.engine.configure(config, output).map(Handshake::new).map_err(HandshakeError::Refused)
    }

    /// As [`configure`](Self::configure), for a handshake that accepts early data as
    /// [`Handshake::server_early`] does.
    ///
    /// # Errors
    ///
    /// As [`configure`](Self::configure).
    pub fn configure_early(
        self,
        config: Arc<ServerConfig>,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<Handshake, HandshakeError> {
        input.advance(self.seen);
        self.engine.configure_early(config, output).map(Handshake::new).map_err(HandshakeError::Refused)
    }
}

impl fmt::Debug for HelloReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HelloReceived").field("server_name", &self.client_hello().server_name()).finish_non_exhaustive()
    }
}
