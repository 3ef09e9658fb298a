//! The receiving half: ciphertext in, plaintext out, then exactly one ending, for good.
//!
//! Records are decrypted in place, in the caller's own buffer, one at a time. Nothing after the peer's `close_notify` is
//! parsed or delivered: it stays in the buffer.

use crate::alert::AlertDescription;
use crate::ending::{ReceivedEnding, TransportEnd, TruncatedAt};
use crate::kernel::Kernel;
use crate::keys::Opening;
use crate::limits::{
    DATALESS_RECORDS_MAX, EMPTY_RECORDS_MAX, KEY_UPDATES_MAX, RENEGOTIATIONS_MAX, SEALED_MAX_12, SEALED_MAX_13,
    WARNINGS_MAX,
};
use crate::messages::{CLIENT_HELLO, Fate, HELLO_REQUEST, KEY_UPDATE, Messages, NEW_SESSION_TICKET};
use crate::owes::{End, SenderOwes};
use crate::record::{ALERT, APPLICATION_DATA, CHANGE_CIPHER_SPEC, HANDSHAKE, HEADER, Walk, walk};
use crate::violation::Violation;
use bytes::{Buf as _, BufMut, BytesMut};
use rustls::{Side, SupportedCipherSuite};
use std::fmt;

/// The receiving half of a session.
///
/// ```text
///  Open ──close_notify, transport_ended, fatal alert, violation──▶ Ended(ending)
///   │ open, read: Data, NeedInput                                   open, read: Ended, always
/// ```
///
/// All plaintext that arrived before an ending is delivered before the ending, however the bytes were segmented and
/// however small the reader's buffer is.
///
/// There are two ways to read. [`read`](Self::read) copies into the caller's buffer. [`open`](Self::open),
/// [`plaintext`](Self::plaintext) and [`consume`](Self::consume) leave the plaintext where it was decrypted, at the front of
/// `input`. Pass the same `input` each time; between calls, only append to it.
pub struct Receiver {
    keys: Opening,
    suite: SupportedCipherSuite,
    side: Side,
    /// Makes the next keys, in TLS 1.3.
    kernel: Option<Kernel>,
    state: State,
    /// How much plaintext `input` begins with.
    opened: usize,
    /// How many bytes of the record follow its plaintext.
    tail: usize,
    messages: Messages,
    counts: Counts,
    /// A server's early data that has not been read yet.
    #[cfg(feature = "early-data")]
    early: BytesMut,
}

#[derive(Debug)]
enum State {
    Open,
    Ended(ReceivedEnding),
}

/// Counters for the limits.
#[derive(Default)]
struct Counts {
    /// Since application data.
    dataless: u32,
    /// Since a record that was not empty.
    empty: u32,
    /// Since application data.
    key_updates: u32,
    /// In the session.
    warnings: u32,
    /// In the session.
    renegotiations: u32,
}

/// What [`Receiver::read`] or [`Receiver::open`] returned.
///
/// Not `#[non_exhaustive]`: a reader must handle each, and there is no fourth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// So many bytes of plaintext, at least one: read into the buffer, or opened and not yet consumed.
    Data(usize),
    /// There is no plaintext until more ciphertext has arrived.
    NeedInput,
    /// There is no more plaintext: [`Receiver::ending`] is why.
    Ended,
}

/// What a record came to.
enum Content {
    /// It has plaintext: where in the record, and how much.
    Data { start: usize, length: usize },
    /// It has none.
    Nothing(SenderOwes),
    /// It ends the half.
    End(ReceivedEnding, SenderOwes),
}

impl Receiver {
    pub(crate) fn new(keys: Opening, suite: SupportedCipherSuite, side: Side, kernel: Option<Kernel>) -> Self {
        Self {
            keys,
            suite,
            side,
            kernel,
            state: State::Open,
            opened: 0,
            tail: 0,
            messages: Messages::default(),
            counts: Counts::default(),
            #[cfg(feature = "early-data")]
            early: BytesMut::new(),
        }
    }

    /// Makes the half begin with the early data that was not read.
    #[cfg(feature = "early-data")]
    pub(crate) fn begin_with(&mut self, early: BytesMut) {
        self.early = early;
    }

    /// Decrypts records at the front of `input` in place, until there is plaintext, no complete record is left, or the half
    /// ends.
    ///
    /// After [`Read::Data`] the front of `input` is [plaintext](Self::plaintext); [consume](Self::consume) it. While some of
    /// it is left, this returns `Data` at once and decrypts nothing: at most one record is open at a time.
    ///
    /// Bytes after a `close_notify` stay in `input`.
    pub fn open(&mut self, input: &mut BytesMut) -> (Read, SenderOwes) {
        let mut owes = SenderOwes::default();
        #[cfg(feature = "early-data")]
        if !self.early.is_empty() {
            self.place_early(input);
        }
        loop {
            if self.opened > 0 {
                return (Read::Data(self.opened), owes);
            }
            if let State::Ended(_) = self.state {
                return (Read::Ended, owes);
            }
            match self.open_record(input) {
                None => return (Read::NeedInput, owes),
                Some(Content::Data { .. }) => {}
                Some(Content::Nothing(more)) => owes.merge(more),
                Some(Content::End(ending, last)) => {
                    owes.merge(last);
                    self.state = State::Ended(ending);
                }
            }
        }
    }

    /// The plaintext that [`open`](Self::open) left at the front of `input` and that is not [consumed](Self::consume) yet.
    pub fn plaintext<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[..self.opened]
    }

    /// Removes `amount` bytes of plaintext from the front of `input`. With the last byte, the rest of the record goes too.
    ///
    /// # Panics
    ///
    /// If there are fewer than `amount` bytes of plaintext. This is a bug in the caller; no peer can cause it.
    pub fn consume(&mut self, input: &mut BytesMut, amount: usize) {
        assert!(amount <= self.opened, "{amount} bytes consumed of {} that are opened", self.opened);
        self.opened -= amount;
        input.advance(amount);
        if self.opened == 0 {
            input.advance(std::mem::take(&mut self.tail));
        }
    }

    /// The part of `input` that is not decrypted: ciphertext, or bytes after the end.
    pub fn unopened<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        &input[self.opened + self.tail..]
    }

    /// Decrypts records from the front of `input`, one by one, into `out`, until `out` is full, no complete record is left,
    /// or the half ends. `out` must have room for at least one byte.
    ///
    /// Bytes after a `close_notify` stay in `input`. So does plaintext that `out` has no room for.
    pub fn read(&mut self, input: &mut BytesMut, out: &mut impl BufMut) -> (Read, SenderOwes) {
        let mut owes = SenderOwes::default();
        let mut delivered = 0;
        while out.has_remaining_mut() {
            let (read, more) = self.open(input);
            owes.merge(more);
            match read {
                Read::Data(length) => {
                    let length = length.min(out.remaining_mut());
                    out.put_slice(&input[..length]);
                    self.consume(input, length);
                    delivered += length;
                }
                none if delivered == 0 => return (none, owes),
                Read::NeedInput | Read::Ended => break,
            }
        }
        (Read::Data(delivered), owes)
    }

    /// Moves early data that a server has not [read](crate::Handshake::read_early) yet to `out`, as far as there is room.
    /// Returns how many bytes, 0 when none are left. Call it before the first [`read`](Self::read) or [`open`](Self::open),
    /// which would return the same bytes.
    #[cfg(feature = "early-data")]
    pub fn read_early(&mut self, out: &mut impl BufMut) -> usize {
        let length = self.early.len().min(out.remaining_mut());
        if length > 0 {
            out.put_slice(&self.early.split_to(length));
            if self.early.is_empty() {
                self.early = BytesMut::new();
            }
        }
        length
    }

    /// Records how the transport ended, with `input` unread. Does nothing if the half has ended already: a later fault never
    /// overwrites an earlier ending. Plaintext that is already decrypted is still delivered before the ending.
    ///
    /// Call it when a read has returned [`Read::NeedInput`] and no more input will come, or when you stop reading.
    pub fn transport_ended(&mut self, end: TransportEnd, input: &[u8]) {
        if let State::Open = self.state {
            self.state = State::Ended(match end {
                TransportEnd::Eof => ReceivedEnding::Truncated { at: truncated_at(self.unopened(input)) },
                TransportEnd::Reset => ReceivedEnding::Reset,
                TransportEnd::Failed(kind) => ReceivedEnding::Failed(kind),
                TransportEnd::TimedOut(deadline) => ReceivedEnding::TimedOut(deadline),
                TransportEnd::Abandoned => ReceivedEnding::Abandoned,
            });
        }
    }

    /// How the half ended; `None` while it is open. Once set, it never changes.
    pub fn ending(&self) -> Option<&ReceivedEnding> {
        match &self.state {
            State::Open => None,
            State::Ended(ending) => Some(ending),
        }
    }

    /// Opens the record at the front of `input`; `None` if it is incomplete.
    fn open_record(&mut self, input: &mut BytesMut) -> Option<Content> {
        let length = match walk(input, if self.is_tls13() { SEALED_MAX_13 } else { SEALED_MAX_12 }) {
            Walk::Incomplete => return None,
            Walk::Malformed(malformed) => return Some(violated(malformed.into())),
            Walk::Record(length) => length,
        };
        let content = self.look_into(&mut input[..length]).unwrap_or_else(violated);
        match &content {
            Content::Data { start, length: plaintext } => {
                self.opened = *plaintext;
                self.tail = length - start - plaintext;
                input.advance(*start);
            }
            Content::Nothing(_) | Content::End(..) => input.advance(length),
        }
        Some(content)
    }

    /// Decrypts a record and follows what is in it.
    fn look_into(&mut self, record: &mut [u8]) -> Result<Content, Violation> {
        let kind = record[0];
        match (self.is_tls13(), kind) {
            (true, APPLICATION_DATA) | (false, ALERT | HANDSHAKE | APPLICATION_DATA) => {}
            // TLS 1.3 allows these for old middleboxes, but only during the handshake.
            (_, CHANGE_CIPHER_SPEC) => return Err(Violation::unexpected_record(kind)),
            (true, ALERT | HANDSHAKE) => return Err(Violation::unsealed(kind)),
            _ => return Err(Violation::unexpected_record(kind)),
        }
        let version = u16::from_be_bytes([record[1], record[2]]);
        let opened = self.keys.open(kind, version, &mut record[HEADER..])?;
        let start = HEADER + opened.start;
        let content = &record[start..start + opened.length];
        if self.messages.is_partial() && opened.kind != HANDSHAKE && !is_fatal(opened.kind, content, self.is_tls13()) {
            return Err(Violation::interleaved());
        }
        if opened.kind == APPLICATION_DATA && !content.is_empty() {
            let Counts { warnings, renegotiations, .. } = self.counts;
            self.counts = Counts { warnings, renegotiations, ..Counts::default() };
            return Ok(Content::Data { start, length: opened.length });
        }
        self.counts.dataless += 1;
        self.counts.empty = if content.is_empty() { self.counts.empty + 1 } else { 0 };
        let content = match opened.kind {
            ALERT | HANDSHAKE if content.is_empty() => return Err(Violation::empty_content(opened.kind)),
            ALERT => self.follow_alert(content)?,
            HANDSHAKE => Content::Nothing(self.follow_messages(content)?),
            APPLICATION_DATA => Content::Nothing(SenderOwes::default()),
            other => return Err(Violation::unexpected_record(other)),
        };
        // An end counts, however many records without data came before it.
        if let Content::Nothing(_) = content {
            if self.counts.empty > EMPTY_RECORDS_MAX {
                return Err(Violation::too_many_empty_records());
            }
            if self.counts.dataless > DATALESS_RECORDS_MAX {
                return Err(Violation::too_many_dataless_records());
            }
        }
        Ok(content)
    }

    /// RFC 9846 section 6, RFC 5246 section 7.2.
    fn follow_alert(&mut self, content: &[u8]) -> Result<Content, Violation> {
        let [level, code] = *content else { return Err(Violation::alert_length(content.len())) };
        if !matches!(level, WARNING | FATAL) {
            return Err(Violation::alert_level(level));
        }
        match AlertDescription::from(code) {
            // Its level does not matter.
            AlertDescription::CLOSE_NOTIFY => Ok(Content::End(ReceivedEnding::CloseNotify, SenderOwes::default())),
            alert if is_fatal(ALERT, content, self.is_tls13()) => {
                Ok(Content::End(ReceivedEnding::Alert(alert), SenderOwes::end(End::Silent)))
            }
            _warning => {
                self.counts.warnings += 1;
                if self.counts.warnings > WARNINGS_MAX {
                    return Err(Violation::too_many_warnings());
                }
                Ok(Content::Nothing(SenderOwes::default()))
            }
        }
    }

    /// The messages of a session whose handshake is complete: RFC 9846 section 4.7, RFC 5246 section 7.4.1.
    fn follow_messages(&mut self, mut content: &[u8]) -> Result<SenderOwes, Violation> {
        let mut owes = SenderOwes::default();
        let (is_tls13, side) = (self.is_tls13(), self.side);
        while !content.is_empty() {
            let judge = |kind, length| match (kind, side) {
                (NEW_SESSION_TICKET, Side::Client) if is_tls13 => Ok(Fate::Keep),
                (KEY_UPDATE, _) if is_tls13 && length == 1 => Ok(Fate::Keep),
                (KEY_UPDATE, _) if is_tls13 => Err(Violation::message_length(kind)),
                (HELLO_REQUEST, Side::Client) if !is_tls13 && length > 0 => Err(Violation::message_length(kind)),
                (HELLO_REQUEST, Side::Client) | (CLIENT_HELLO, Side::Server) if !is_tls13 => Ok(Fate::Skip),
                _ => Err(Violation::unexpected_message(kind)),
            };
            let message = self.messages.next(&mut content, judge)?;
            if message.is_some() && !content.is_empty() {
                // Each message costs as much as one in a record of its own. The last is counted with the record.
                self.counts.dataless += 1;
                if self.counts.dataless > DATALESS_RECORDS_MAX {
                    return Err(Violation::too_many_dataless_records());
                }
            }
            match message {
                None => {}
                Some((KEY_UPDATE, body)) => {
                    if !content.is_empty() {
                        return Err(Violation::not_last());
                    }
                    owes.merge(self.follow_key_update(&body)?);
                }
                Some((NEW_SESSION_TICKET, body)) => self.take_ticket(&body)?,
                Some(_renegotiation) => {
                    self.counts.renegotiations += 1;
                    if self.counts.renegotiations > RENEGOTIATIONS_MAX {
                        return Err(Violation::too_many_renegotiations());
                    }
                    owes.merge(SenderOwes::NO_RENEGOTIATION);
                }
            }
        }
        Ok(owes)
    }

    /// RFC 9846 section 4.7.3.
    fn follow_key_update(&mut self, body: &[u8]) -> Result<SenderOwes, Violation> {
        let owes = match *body {
            [0] => SenderOwes::default(),
            [1] => SenderOwes::KEY_UPDATE,
            [value] => return Err(Violation::key_update_value(value)),
            _ => return Err(Violation::message_length(KEY_UPDATE)),
        };
        self.counts.key_updates += 1;
        if self.counts.key_updates > KEY_UPDATES_MAX {
            return Err(Violation::too_many_key_updates());
        }
        let kernel = self.kernel.as_ref().ok_or_else(|| Violation::unexpected_message(KEY_UPDATE))?;
        let secrets = kernel.update_receiving().map_err(Violation::tls)?;
        self.keys = Opening::new(self.suite, secrets).ok_or_else(Violation::undecryptable)?;
        Ok(owes)
    }

    /// RFC 9846 section 4.7.1. If the store cannot keep the ticket, the session goes on: the peer did nothing wrong.
    fn take_ticket(&mut self, body: &[u8]) -> Result<(), Violation> {
        match self.kernel.as_ref().map(|kernel| kernel.take_ticket(body)) {
            Some(Err(error @ (rustls::Error::InvalidMessage(_) | rustls::Error::PeerMisbehaved(_)))) => {
                Err(Violation::tls(error))
            }
            _ => Ok(()),
        }
    }

    fn is_tls13(&self) -> bool {
        matches!(self.suite, SupportedCipherSuite::Tls13(_))
    }

    /// Moves the early data to the front of `input`, as if it had been opened there.
    #[cfg(feature = "early-data")]
    fn place_early(&mut self, input: &mut BytesMut) {
        let mut early = std::mem::take(&mut self.early);
        self.opened = early.len();
        early.extend_from_slice(input);
        *input = early;
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("state", &self.state).field("opened", &self.opened).finish_non_exhaustive()
    }
}

fn violated(violation: Violation) -> Content {
    let owes = SenderOwes::end(End::Alert(violation.alert()));
    Content::End(ReceivedEnding::Violation(violation), owes)
}

/// Whether a record's content is a fatal alert. In TLS 1.3 all alerts but two are, whatever their level (RFC 9846
/// section 6).
fn is_fatal(kind: u8, content: &[u8], is_tls13: bool) -> bool {
    match *content {
        [level @ (WARNING | FATAL), code] if kind == ALERT => match AlertDescription::from(code) {
            AlertDescription::CLOSE_NOTIFY => false,
            AlertDescription::USER_CANCELED if is_tls13 => false,
            _ => is_tls13 || level == FATAL,
        },
        _ => false,
    }
}

pub(crate) fn truncated_at(input: &[u8]) -> TruncatedAt {
    if input.is_empty() { TruncatedAt::Boundary } else { TruncatedAt::InsideRecord }
}

/// The levels of alerts.
const WARNING: u8 = 1;
const FATAL: u8 = 2;
