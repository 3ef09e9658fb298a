//! Early data (RFC 9846 section 4.3.10): what a client sends with its ClientHello, before the server has sent anything.
//!
//! A client passes it up front, and none of it is lost or sent twice: what the server does not accept follows as
//! ordinary data. A server reads it by itself, since what arrives before the client has finished can be a replay. It is never
//! reported as complete before the client's Finished: an EndOfEarlyData can be replayed with the rest, a Finished cannot.

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

/// What a [`Handshake::read_early`] came to.
///
/// Not `#[non_exhaustive]`: a reader must handle each, and there is no fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyRead {
    /// This many bytes of early data, at least one, were put into the buffer.
    Data(usize),
    /// There is none until more ciphertext has arrived.
    NeedInput,
    /// There is no more: the client has finished, and the handshake is complete.
    Ended,
}

impl Handshake {
    /// A handshake as a client that wants to talk to `name`, and sends `early` with its first flight.
    ///
    /// Where the configuration holds a ticket of the server's that allows early data, the first bytes of `early` go out
    /// after the ClientHello: in one record, of a quarter of what the ticket allows, and of 4 KiB, at most, less 17 bytes.
    /// A server over rustls 0.23 that refuses more than it can skip would fail the handshake. Of a ticket that allows less
    /// than three quarters of 16 KiB less may be used, or nothing. To call this is to allow early data, whatever
    /// `enable_early_data` of the configuration is.
    ///
    /// What does not fit, and all of it where there is no such ticket or the server refuses, goes out as ordinary data as soon
    /// as the handshake is complete: it is part of the [output](Self::take_output).
    /// [`SessionFacts::early_data`](crate::SessionFacts::early_data) has how much the server accepted.
    ///
    /// Bytes that went out early may reach the server more than once, by somebody who recorded them, and may have been acted
    /// on though the handshake fails.
    ///
    /// # Errors
    ///
    /// When rustls rejects the configuration.
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

    /// A handshake as a server that accepts early data, up to the `max_early_data_size` of the configuration (0 is none).
    ///
    /// Drive it with [`advance_to_early`](Self::advance_to_early), then with [`read_early`](Self::read_early) and, when all is
    /// read or reading is given up, with [`advance`](Self::advance). Early data that was not read is held, and is what the
    /// session's [`Receiver`](crate::Receiver) begins with.
    ///
    /// # Errors
    ///
    /// When rustls rejects the configuration.
    pub fn server_early(setup: impl Into<ServerSetup>) -> Result<Self, Error> {
        Ok(Self::new(HandshakeEngine::server_early(&setup.into())?))
    }

    /// As [`advance`](Self::advance), but stops where early data begins.
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

    /// Decrypts complete records from the front of `input`, one by one, until there is early data, and moves that to `out`,
    /// which must have room for at least a byte. One record is held at most, unless [`advance`](Self::advance) has gone on.
    ///
    /// [`EarlyRead::Ended`] is not the end of the session: the client may go on, in the session. A `close_notify` among the
    /// early data, or the end of the transport, is an error, so that what was truncated never looks complete.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance); also when the client sends more early data than it may.
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

    /// Encrypts from `plaintext`, at most [`WRITE_MAX`](crate::WRITE_MAX) bytes, and appends the records to `output`: a
    /// server's answer before the client has finished. Returns how many bytes were taken; `None` when nothing may be sent
    /// before the handshake is complete, because `send_half_rtt_data` of the configuration is not set or no early data was
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

    /// What is agreed on so far: at a server that was told of [early data](EarlyProgress::EarlyData), everything but how
    /// much early data there is. After a failure nothing is.
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
