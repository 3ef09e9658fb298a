//! Early data (RFC 9846 section 4.3.10): what a client sends with its ClientHello, before the server has sent anything.
//!
//! A client passes its early data to the constructor. None of it is lost: what the server does not accept is sent as ordinary
//! data after the handshake. A server reads early data separately, because it can be a replay. It is never reported as
//! complete before the client's Finished: an EndOfEarlyData can be replayed with the rest, a Finished cannot.

use crate::engine::HandshakeEngine;
use crate::error::{HandshakeError, SendError};
use crate::facts::SessionFacts;
use crate::handshake::{Handshake, Session, State};
use crate::limits::WRITE_MAX;
use crate::setup::{ClientSetup, ServerSetup};
use bytes::{BufMut, Bytes, BytesMut};
use rustls::Error;
use rustls::pki_types::ServerName;
use std::io::IoSlice;

/// How far a server's handshake is that [accepts early data](Handshake::server_early).
///
/// Not `#[non_exhaustive]`: a server must handle each, and there is no fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyProgress {
    /// More ciphertext is needed.
    NeedInput,
    /// Early data has arrived, and was accepted: [`Handshake::read_early`].
    EarlyData,
    /// The handshake is complete, without early data.
    Complete,
}

/// What [`Handshake::read_early`] returned.
///
/// Not `#[non_exhaustive]`: a reader must handle each, and there is no fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyRead {
    /// This many bytes of early data, at least one, were put into the buffer.
    Data(usize),
    /// More ciphertext is needed.
    NeedInput,
    /// There is no more: the client has finished, and the handshake is complete.
    Ended,
}

impl Handshake {
    /// Starts a handshake as a client of the server `name`, and sends `early` with its first flight.
    ///
    /// If the configuration holds a ticket of the server that allows early data, the first bytes of `early` follow the
    /// ClientHello in one record. It holds at most 4 KiB less 17 bytes: more could fail the handshake at a server on
    /// rustls 0.23 that rejects it. A ticket that allows less than four times as much may be used for less, or
    /// not at all. Calling this allows early data, whatever `enable_early_data` of the configuration is.
    ///
    /// The rest is sent as ordinary data as soon as the handshake is complete, as part of the
    /// [output](Self::take_output). So is all of it if there is no such ticket or the server rejects early data.
    /// [`SessionFacts::early_data`](crate::SessionFacts::early_data) returns how much the server accepted.
    ///
    /// An attacker who records early data can replay it. The server may also act on it even if the handshake then fails.
    ///
    /// # Errors
    ///
    /// If rustls rejects the configuration.
    pub fn client_early(setup: impl Into<ClientSetup>, name: ServerName<'static>, early: Bytes) -> Result<Self, Error> {
        let setup = setup.into();
        if early.is_empty() {
            return Self::client(setup, name);
        }
        let mut output = BytesMut::new();
        let (engine, early_sent) = HandshakeEngine::client_early(&setup, name, &early, &mut output)?;
        let mut handshake = Self::new(engine);
        (handshake.output, handshake.early, handshake.early_sent) = (output, early, early_sent);
        Ok(handshake)
    }

    /// Starts a handshake as a server that accepts early data, up to `max_early_data_size` of the configuration (0: none).
    ///
    /// Call [`advance_to_early`](Self::advance_to_early), then [`read_early`](Self::read_early), and
    /// [`advance`](Self::advance) when you have read all of it or want no more. Early data that you did not read is kept: the
    /// session's [`Receiver`](crate::Receiver) returns it first.
    ///
    /// # Errors
    ///
    /// If rustls rejects the configuration.
    pub fn server_early(setup: impl Into<ServerSetup>) -> Result<Self, Error> {
        Ok(Self::new(HandshakeEngine::server_early(&setup.into())?))
    }

    /// Like [`advance`](Self::advance), but stops where early data begins.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    pub fn advance_to_early(&mut self, input: &mut BytesMut) -> Result<EarlyProgress, HandshakeError> {
        loop {
            match &self.state {
                State::Running(engine) if engine.early_accepted() => return Ok(EarlyProgress::EarlyData),
                State::Complete(_) => return Ok(EarlyProgress::Complete),
                State::Running(_) | State::Failed(_) => {}
            }
            if !self.step(input)? {
                return Ok(EarlyProgress::NeedInput);
            }
        }
    }

    /// Decrypts complete records from the front of `input`, one by one, until there is early data, and moves it to `out`,
    /// which must have room for at least one byte. At most one record is buffered, unless [`advance`](Self::advance) was
    /// called before.
    ///
    /// [`EarlyRead::Ended`] is not the end of the session: the client may send more in the session. A `close_notify` or the
    /// end of the transport before it is an error, so truncated early data never looks complete.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance); also if the client sends more early data than it may.
    pub fn read_early(&mut self, input: &mut BytesMut, out: &mut impl BufMut) -> Result<EarlyRead, HandshakeError> {
        loop {
            let taken = match &mut self.state {
                State::Running(engine) => engine.take_early(out),
                State::Complete(session) => session.receiver.read_early(out),
                State::Failed(_) => 0,
            };
            if taken > 0 {
                return Ok(EarlyRead::Data(taken));
            }
            if let State::Complete(_) = self.state {
                return Ok(EarlyRead::Ended);
            }
            if !self.step(input)? {
                return Ok(EarlyRead::NeedInput);
            }
        }
    }

    /// Encrypts bytes of `plaintext`, at most [`WRITE_MAX`](crate::WRITE_MAX), and appends the records to `output`. This is
    /// for a server's response to early data, before the client has finished. Returns how many bytes it took. Returns
    /// `None` if nothing may be sent yet: `send_half_rtt_data` of the configuration is not set, or no early data was
    /// accepted.
    pub fn write_early(&mut self, plaintext: &[IoSlice<'_>], output: &mut BytesMut) -> Option<usize> {
        let mut sealed = BytesMut::new();
        let taken = match &mut self.state {
            State::Running(engine) => {
                let mut taken = Vec::new();
                for slice in plaintext {
                    taken.extend_from_slice(&slice[..slice.len().min(WRITE_MAX - taken.len())]);
                }
                engine.seal_half_rtt(&taken, &mut sealed)
            }
            State::Complete(session) => session.sender.write(plaintext, &mut sealed).ok(),
            State::Failed(_) => None,
        }?;
        self.output.unsplit(sealed);
        self.take_output(output);
        Some(taken)
    }

    /// What is negotiated so far. At a server, after [`EarlyProgress::EarlyData`], everything is known but the amount of early
    /// data. After a failure, nothing is.
    pub fn facts(&self) -> SessionFacts {
        match &self.state {
            State::Running(engine) => engine.facts(),
            State::Complete(session) => session.facts.clone(),
            State::Failed(_) => SessionFacts::nothing(),
        }
    }

    /// A client's bytes that were not taken as early data go out as soon as the handshake is complete.
    pub(crate) fn repeat_early(&mut self, session: &mut Session) -> Result<(), HandshakeError> {
        let early = std::mem::take(&mut self.early);
        let accepted = session.facts.early_data().is_some();
        let mut rest = &early[if accepted { self.early_sent } else { 0 }..];
        while !rest.is_empty() {
            let taken = session.sender.write(&[IoSlice::new(rest)], &mut self.output).map_err(|error| match error {
                SendError::KeysExhausted => HandshakeError::EarlyDataTooLong,
                SendError::SessionOver => HandshakeError::NoKeyExtraction,
            })?;
            rest = &rest[taken..];
        }
        Ok(())
    }
}
