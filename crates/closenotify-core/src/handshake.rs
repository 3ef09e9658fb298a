//! The handshake: takes ciphertext, produces ciphertext, and becomes a session when it is complete.
//!
//! It does no I/O and keeps no time: its owner reads, writes and enforces the deadline.

use crate::ending::TransportEnd;
use crate::engine::HandshakeEngine;
use crate::error::HandshakeError;
use crate::exporter::Exporter;
use crate::facts::SessionFacts;
use crate::gate::{Gate, Pass, looks_like_http};
use crate::keys::{Opening, Sealing};
use crate::receiver::{Receiver, truncated_at};
use crate::record::{Walk, walk};
use crate::sender::Sender;
use crate::setup::{ClientSetup, ServerSetup};
use crate::violation::{Violation, alert_for};
#[cfg(feature = "early-data")]
use bytes::Bytes;
use bytes::{Buf as _, BytesMut};
use rustls::Error;
use rustls::pki_types::ServerName;
use std::fmt;

/// A TLS session before its handshake is complete.
///
/// Call [`advance`](Self::advance) whenever ciphertext has arrived; a client also calls it once before. After each call,
/// also after an error, call [`take_output`](Self::take_output) and write the output to the peer: it holds our handshake
/// messages, or the alert that tells the peer why the handshake failed. When `advance` returns [`Progress::Complete`] and
/// the output is taken, call [`into_session`](Self::into_session).
pub struct Handshake {
    pub(crate) state: State,
    gate: Gate,
    /// Whether the peer has sent nothing yet.
    silent: bool,
    /// Whether a record of the peer's was taken.
    met: bool,
    /// Ciphertext to be sent.
    pub(crate) output: BytesMut,
    /// What a client sends first, until the handshake is complete.
    #[cfg(feature = "early-data")]
    pub(crate) early: Bytes,
    /// How much of it went out as early data.
    #[cfg(feature = "early-data")]
    pub(crate) early_sent: usize,
}

/// ```text
///  Running ──complete──▶ Complete
///     │ any error
///     ▼
///  Failed, for ever
/// ```
pub(crate) enum State {
    Running(Box<HandshakeEngine>),
    Complete(Box<Session>),
    Failed(HandshakeError),
}

/// How far a handshake is.
///
/// Not `#[non_exhaustive]`: a handshake continues or is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More ciphertext is needed.
    NeedInput,
    /// The handshake is complete. Any input that is left belongs to the session's [`Receiver`].
    Complete,
}

/// A session after its handshake: two halves, the exporter and the facts.
///
/// Not `#[non_exhaustive]`: callers destructure it.
pub struct Session {
    /// The direction from the peer.
    pub receiver: Receiver,
    /// The direction to the peer.
    pub sender: Sender,
    /// Keying material of the session.
    pub exporter: Exporter,
    /// What the handshake negotiated.
    pub facts: SessionFacts,
}

impl Handshake {
    /// Starts a handshake as a client of the server `name`.
    ///
    /// # Errors
    ///
    /// If rustls rejects the configuration.
    pub fn client(setup: impl Into<ClientSetup>, name: ServerName<'static>) -> Result<Self, Error> {
        let mut output = BytesMut::new();
        let engine = HandshakeEngine::client(&setup.into(), name, &mut output)?;
        Ok(Self { output, ..Self::new(engine) })
    }

    /// Starts a handshake as a server.
    ///
    /// It rejects early data (RFC 9846 section 4.3.10) even if the configuration allows it: early data can be replayed, and a
    /// [`Receiver`] could not tell it from other data. The client then sends the data again after the handshake. To accept
    /// early data, use `server_early` (feature `early-data`).
    ///
    /// # Errors
    ///
    /// If rustls rejects the configuration.
    pub fn server(setup: impl Into<ServerSetup>) -> Result<Self, Error> {
        Ok(Self::new(HandshakeEngine::server(&setup.into())?))
    }

    pub(crate) fn new(engine: HandshakeEngine) -> Self {
        Self {
            state: State::Running(Box::new(engine)),
            gate: Gate::default(),
            silent: true,
            met: false,
            output: BytesMut::new(),
            #[cfg(feature = "early-data")]
            early: Bytes::new(),
            #[cfg(feature = "early-data")]
            early_sent: 0,
        }
    }

    /// Takes complete records from the front of `input`, one by one, until the handshake is complete or no complete record is
    /// left. Bytes after the record that completes the handshake stay in `input`.
    ///
    /// Input that cannot be TLS fails at the first byte that shows it.
    ///
    /// # Errors
    ///
    /// If the peer sends a fatal alert or a `close_notify`, or something that cannot be accepted. The handshake has then
    /// failed, and every later call returns the same error. [`take_output`](Self::take_output) may hold an alert for the peer.
    pub fn advance(&mut self, input: &mut BytesMut) -> Result<Progress, HandshakeError> {
        while self.step(input)? {}
        Ok(if let State::Complete(_) = self.state { Progress::Complete } else { Progress::NeedInput })
    }

    /// Takes one record; `false` if no complete record is there, or none is needed.
    pub(crate) fn step(&mut self, input: &mut BytesMut) -> Result<bool, HandshakeError> {
        let engine = match &mut self.state {
            State::Running(engine) => engine,
            State::Complete(_) => return Ok(false),
            State::Failed(error) => return Err(error.clone()),
        };
        self.silent &= input.is_empty();
        let phase = engine.phase();
        let length = match walk(input, self.gate.content_max(phase)) {
            Walk::Incomplete => return Ok(false),
            Walk::Malformed(malformed) => {
                let violation = Violation::from(malformed);
                engine.alert(violation.alert(), &mut self.output);
                return Err(self.fail(no_record(violation, (!self.met).then_some(&input[..]))));
            }
            Walk::Record(length) => length,
        };
        let record = &mut input[..length];
        let taken = match self.gate.check(record, phase) {
            Ok(Pass::Through) => engine.open(record, &mut self.output).map_err(|(error, alerted)| {
                if !alerted && !matches!(error, Error::AlertReceived(_)) {
                    engine.alert(alert_for(&error), &mut self.output);
                }
                refused(error)
            }),
            Ok(Pass::Ignored) => Ok(()),
            Ok(Pass::Alert(alert)) => Err(HandshakeError::Alert(alert)),
            Err(violation) => {
                engine.alert(violation.alert(), &mut self.output);
                Err(HandshakeError::Violation(violation))
            }
        };
        input.advance(length);
        self.met = true;
        match taken.and_then(|()| self.complete()) {
            Ok(()) => Ok(true),
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Appends the bytes to be written to the peer to `output`.
    pub fn take_output(&mut self, output: &mut BytesMut) {
        let ours = std::mem::take(&mut self.output);
        if output.is_empty() && output.capacity() < ours.len() {
            *output = ours;
        } else {
            output.extend_from_slice(&ours);
        }
    }

    /// Returns what it means for the handshake that the transport has ended, with `input` unread.
    pub fn transport_ended(&self, end: TransportEnd, input: &[u8]) -> HandshakeError {
        unfinished(end, input, self.silent)
    }

    /// The session.
    ///
    /// # Panics
    ///
    /// If the handshake is not complete. This is a bug in the caller; no peer can cause it.
    pub fn into_session(self) -> Session {
        match self.state {
            State::Complete(session) => *session,
            State::Running(_) | State::Failed(_) => panic!("into_session before `advance` returned Progress::Complete"),
        }
    }

    /// Makes the session, once the handshake is complete.
    fn complete(&mut self) -> Result<(), HandshakeError> {
        match &self.state {
            State::Running(engine) if engine.is_complete() => {}
            _ => return Ok(()),
        }
        let failed = State::Failed(HandshakeError::NoKeyExtraction);
        let State::Running(engine) = std::mem::replace(&mut self.state, failed) else { return Ok(()) };
        let inside_message = engine.is_inside_message();
        let mut session = session(*engine).ok_or(HandshakeError::NoKeyExtraction)?;
        if inside_message {
            // TLS 1.2 only: in TLS 1.3 a message that spans a change of keys fails earlier.
            let violation = Violation::interleaved();
            session
                .sender
                .take_owed(crate::owes::SenderOwes::end(crate::owes::End::Alert(violation.alert())), &mut self.output);
            return Err(HandshakeError::Violation(violation));
        }
        #[cfg(feature = "early-data")]
        self.repeat_early(&mut session)?;
        self.state = State::Complete(Box::new(session));
        Ok(())
    }

    fn fail(&mut self, error: HandshakeError) -> HandshakeError {
        self.state = State::Failed(error.clone());
        error
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Running(_) => "running",
            State::Complete(_) => "complete",
            State::Failed(_) => "failed",
        };
        f.debug_struct("Handshake").field("state", &state).finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("facts", &self.facts).finish_non_exhaustive()
    }
}

/// The session of a complete handshake; `None` if the crypto provider does not hand out its keys.
fn session(engine: HandshakeEngine) -> Option<Session> {
    let agreed = engine.agreed()?;
    let (suite, kernel) = (agreed.suite, agreed.kernel);
    let receiver = Receiver::new(Opening::new(suite, agreed.receiving)?, suite, agreed.side, kernel.clone());
    #[cfg(feature = "early-data")]
    let receiver = {
        let mut receiver = receiver;
        receiver.begin_with(agreed.early);
        receiver
    };
    let sender = Sender::new(Sealing::new(suite, agreed.sending)?, suite, kernel, agreed.record_max);
    Some(Session { receiver, sender, exporter: agreed.exporter, facts: agreed.facts })
}

/// The error for bytes that do not begin a record; `first` holds them if they are the first of the connection.
pub(crate) fn no_record(violation: Violation, first: Option<&[u8]>) -> HandshakeError {
    match first {
        Some(input) => HandshakeError::NotTls { plain_http: looks_like_http(input) },
        None => HandshakeError::Violation(violation),
    }
}

/// The handshake error for an error of the TLS library.
pub(crate) fn refused(error: Error) -> HandshakeError {
    match error {
        Error::AlertReceived(alert) => HandshakeError::Alert(u8::from(alert).into()),
        error => HandshakeError::Refused(error),
    }
}

/// The handshake error for the end of the transport; `silent` if no byte was taken before.
pub(crate) fn unfinished(end: TransportEnd, input: &[u8], silent: bool) -> HandshakeError {
    match end {
        TransportEnd::Eof => HandshakeError::Truncated { at: truncated_at(input), silent: silent && input.is_empty() },
        TransportEnd::Reset => HandshakeError::Reset,
        TransportEnd::Failed(kind) => HandshakeError::Failed(kind),
        TransportEnd::TimedOut(deadline) => HandshakeError::TimedOut(deadline),
        TransportEnd::Abandoned => HandshakeError::Failed(std::io::ErrorKind::Interrupted),
    }
}
