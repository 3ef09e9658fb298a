//! The receiving half: ciphertext in, plaintext out, then exactly one ending for ever.
//!
//! It refuses to look behind the peer's `close_notify`: what lies there is counted, never parsed, never delivered.

use crate::ending::{ReceivedEnding, TransportEnd, TruncatedAt};
use crate::engine::{Opened, ReceivingEngine};
use crate::error::Violation;
use crate::record::{Walk, walk};
use bytes::{Buf as _, BufMut, BytesMut};
use std::fmt;

/// How many records in a row may carry no application data (empty records, KeyUpdates, tickets, warnings) before the
/// peer is found to break the protocol. So a read does a bounded amount of work for nothing.
///
/// rustls gives up earlier on some: 32 empty records in a row, 32 KeyUpdates without data between, 4 warnings in all.
pub const DATALESS_RECORDS_MAX: u32 = 64;

/// The receiving half of a session.
///
/// ```text
///  Open ──close_notify, transport_ended, fatal alert, violation──▶ Ended(ending)
///   │ read: Data, NeedInput                                         read: Ended, for ever
/// ```
///
/// All plaintext in front of an ending is delivered before the ending is seen, however the bytes are cut and however small
/// the reader's buffer is.
pub struct Receiver {
    engine: ReceivingEngine,
    state: State,
    dataless: u32,
    /// Whether the TLS library has seen a record that made its buffer grow, as those of the handshake may have.
    large: bool,
}

#[derive(Debug)]
enum State {
    Open,
    Ended(ReceivedEnding),
}

/// What a [`Receiver::read`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// This many bytes of plaintext, at least one, were put into the buffer.
    Data(usize),
    /// There is no plaintext until more ciphertext has arrived.
    NeedInput,
    /// There is no more plaintext: [`Receiver::ending`] says why.
    Ended,
}

/// Whether receiving has made bytes that the sender must write: the answer to a KeyUpdate, a fatal alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the peer waits for what the sender owes: call `Sender::take_owed` and write its output"]
pub struct SenderOwes(pub bool);

impl Receiver {
    pub(crate) fn new(engine: ReceivingEngine) -> Self {
        Self { engine, state: State::Open, dataless: 0, large: true }
    }

    /// Decrypts whole records from the front of `input`, one by one, into `out`, until `out` is full, the records run
    /// out, or the half ends. `out` must have room for at least a byte.
    ///
    /// Bytes behind a `close_notify` stay in `input`.
    pub fn read(&mut self, input: &mut BytesMut, out: &mut impl BufMut) -> (Read, SenderOwes) {
        let mut engine = self.engine.lock();
        let mut delivered = engine.take_plaintext(out);
        let mut worked = false;
        while out.has_remaining_mut() && matches!(self.state, State::Open) {
            let (length, malformed) = match walk(input) {
                Walk::Incomplete => break,
                Walk::Record(length) => (length, false),
                Walk::Malformed(length) => (length, true),
            };
            let opened = engine.open(&input[..length]);
            input.advance(length);
            worked = true;
            self.large |= length > SHRUNK;
            self.state = match opened {
                Opened::Record if malformed => {
                    engine.fail();
                    State::Ended(ReceivedEnding::Violation(Violation::malformed_record()))
                }
                Opened::Record => {
                    let taken = engine.take_plaintext(out);
                    delivered += taken;
                    self.dataless = if taken > 0 { 0 } else { self.dataless + 1 };
                    if self.dataless <= DATALESS_RECORDS_MAX {
                        continue;
                    }
                    engine.fail();
                    State::Ended(ReceivedEnding::Violation(Violation::too_many_dataless_records()))
                }
                Opened::CloseNotify => State::Ended(ReceivedEnding::CloseNotify { trailing: input.len() as u64 }),
                Opened::Alert(alert) => State::Ended(ReceivedEnding::Alert(alert)),
                Opened::Violation(violation) => State::Ended(ReceivedEnding::Violation(violation)),
            };
        }
        let owes = SenderOwes(worked && engine.owes());
        let read = match (&self.state, delivered) {
            (State::Ended(_), 0) => Read::Ended,
            (State::Open, 0) => Read::NeedInput,
            (_, delivered) => Read::Data(delivered),
        };
        (read, owes)
    }

    /// Moves to `out` what a server has not [read](crate::Handshake::read_early) of the early data, as far as there is
    /// room; returns how many bytes, 0 when nothing is left of it. [`read`](Self::read) begins with the same bytes.
    pub fn read_early(&mut self, out: &mut impl BufMut) -> usize {
        self.engine.lock().take_early(out)
    }

    /// Tells the half that its transport has no more, with `input` unread. Does nothing when the half has ended already: a
    /// later fault never overwrites an earlier ending.
    ///
    /// To be called when [`read`](Self::read) has answered [`Read::NeedInput`], or when the owner gives up.
    pub fn transport_ended(&mut self, end: TransportEnd, input: &BytesMut) {
        if let State::Open = self.state {
            self.state = State::Ended(match end {
                TransportEnd::Eof => ReceivedEnding::Truncated { at: truncated_at(input) },
                TransportEnd::Reset => ReceivedEnding::Reset,
                TransportEnd::Failed(kind) => ReceivedEnding::Failed(kind),
                TransportEnd::TimedOut(deadline) => ReceivedEnding::TimedOut(deadline),
                TransportEnd::Abandoned => ReceivedEnding::Abandoned,
            });
        }
    }

    /// How the half ended; `None` while it is open. Once there, it never changes.
    pub fn ending(&self) -> Option<&ReceivedEnding> {
        match &self.state {
            State::Open => None,
            State::Ended(ending) => Some(ending),
        }
    }

    /// Fills `output` with keying material that both sides of the session can compute and nobody else (RFC 9846 section
    /// 7.5, RFC 5705), for `label` and `context`. It stays possible when the half has ended.
    ///
    /// # Errors
    ///
    /// When `output` is empty or longer than the exporter can fill, or the session failed.
    pub fn export_keying_material<T: AsMut<[u8]>>(
        &self,
        output: T,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<T, rustls::Error> {
        self.engine.lock().export(output, label, context)
    }

    /// Gives back the memory that the TLS library holds for input, down to 4 KiB. To be called when the session comes to
    /// rest.
    pub fn shrink(&mut self) {
        if std::mem::take(&mut self.large) {
            self.engine.lock().shrink();
        }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("state", &self.state).finish_non_exhaustive()
    }
}

pub(crate) fn truncated_at(input: &[u8]) -> TruncatedAt {
    if input.is_empty() { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord }
}

/// What the TLS library keeps of its input buffer when it is shrunk, in bytes.
const SHRUNK: usize = 4096;
