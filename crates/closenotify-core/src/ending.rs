//! How a half ends: one closed list for each direction. Each ending has a text for people ([`Display`](fmt::Display)) and one
//! stable word for machines (`word`), the same in types, logs, metrics and documents.
//!
//! An ending keeps its cause, is recorded once, and a later fault never overwrites an earlier ending.

use crate::alert::AlertDescription;
use crate::violation::Violation;
use std::borrow::Cow;
use std::fmt;
use std::io;

/// How the receiving half of a session ended: what the peer, the transport or we did.
///
/// | ending | machine word | what it means |
/// |---|---|---|
/// | `CloseNotify` | `close_notify` | the peer has sent everything; nothing is missing |
/// | `Truncated` at a boundary | `truncated_boundary` | the transport ended between two records without a close_notify |
/// | `Truncated` inside a record | `truncated_inside_record` | the transport ended inside a record |
/// | `Reset` | `reset` | the transport was reset |
/// | `Alert(x)` | `alert_x` | the peer gave up with a fatal alert |
/// | `Violation` | `violation` | the peer broke the protocol |
/// | `TimedOut(d)` | `timed_out_d` | a deadline of ours passed |
/// | `Failed(kind)` | `failed_kind` | reading the transport failed otherwise |
/// | `Abandoned` | `abandoned` | we stopped reading before any end came |
///
/// Only the first is proof that everything the peer sent has arrived (RFC 9846 section 6.1).
///
/// ```
/// use closenotify_core::{ReceivedEnding, TruncatedAt};
///
/// let ending = ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord };
/// assert_eq!(ending.word(), "truncated_inside_record");
/// assert!(!ending.is_clean());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ReceivedEnding {
    /// The peer's `close_notify`, after all of its data. Bytes after it stay in the input: never parsed, never delivered.
    CloseNotify,
    /// The transport ended without a `close_notify`: the receiver cannot know whether it has everything.
    Truncated {
        /// Where in the record stream the transport ended.
        at: TruncatedAt,
    },
    /// The transport was reset.
    Reset,
    /// The peer sent a fatal alert.
    Alert(AlertDescription),
    /// The peer broke the protocol.
    Violation(Violation),
    /// A deadline of ours passed.
    TimedOut(Deadline),
    /// Reading the transport failed with something other than a reset.
    Failed(io::ErrorKind),
    /// We stopped reading before the peer's end arrived.
    Abandoned,
}

impl ReceivedEnding {
    /// Whether everything that the peer sent is known to have arrived: true only for `CloseNotify`.
    pub fn is_clean(&self) -> bool {
        *self == Self::CloseNotify
    }

    /// The stable machine word.
    pub fn word(&self) -> Cow<'static, str> {
        match self {
            Self::CloseNotify => "close_notify".into(),
            Self::Truncated { at: TruncatedAt::Boundary } => "truncated_boundary".into(),
            Self::Truncated { at: TruncatedAt::InsideRecord } => "truncated_inside_record".into(),
            Self::Reset => "reset".into(),
            Self::Alert(alert) => format!("alert_{alert}").into(),
            Self::Violation(_) => "violation".into(),
            Self::TimedOut(deadline) => format!("timed_out_{}", deadline.word()).into(),
            Self::Failed(kind) => format!("failed_{}", io_kind_word(*kind)).into(),
            Self::Abandoned => "abandoned".into(),
        }
    }
}

impl fmt::Display for ReceivedEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloseNotify => f.write_str("the peer closed cleanly (close_notify)"),
            Self::Truncated { at: TruncatedAt::Boundary } => {
                f.write_str("the connection ended without close_notify, so data may be missing")
            }
            Self::Truncated { at: TruncatedAt::InsideRecord } => {
                f.write_str("the connection ended inside a TLS record, so data is missing")
            }
            Self::Reset => f.write_str("the peer reset the connection"),
            Self::Alert(alert) => write!(f, "the peer gave up with the fatal alert {alert}"),
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::TimedOut(deadline) => write!(f, "{deadline} passed"),
            Self::Failed(kind) => write!(f, "reading from the connection failed: {kind}"),
            Self::Abandoned => f.write_str("reading was given up before the peer's end came"),
        }
    }
}

/// How the sending half of a session ended: what we sent last.
///
/// | ending | machine word | what it means |
/// |---|---|---|
/// | `CloseNotify` | `close_notify` | all data and our close_notify were handed to the transport and flushed |
/// | `Alert(x)` | `alert_x` | we sent a fatal alert |
/// | `Aborted` | `aborted` | we dropped or reset it: no close_notify, so the peer can tell |
/// | `Failed(kind)` | `failed_kind` | writing to the transport failed |
/// | `TimedOut(d)` | `timed_out_d` | a deadline of ours passed before the end was sent |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SentEnding {
    /// Our `close_notify` is on the wire after all data, flushed.
    CloseNotify,
    /// We sent this fatal alert; nothing follows it.
    Alert(AlertDescription),
    /// We dropped or reset the half before it was finished.
    Aborted,
    /// Writing to the transport failed.
    Failed(io::ErrorKind),
    /// A deadline of ours passed before the end was on the wire.
    TimedOut(Deadline),
}

impl SentEnding {
    /// Whether the peer can tell that it has everything: true only for `CloseNotify`.
    pub fn is_clean(&self) -> bool {
        *self == Self::CloseNotify
    }

    /// The stable machine word.
    pub fn word(&self) -> Cow<'static, str> {
        match self {
            Self::CloseNotify => "close_notify".into(),
            Self::Alert(alert) => format!("alert_{alert}").into(),
            Self::Aborted => "aborted".into(),
            Self::Failed(kind) => format!("failed_{}", io_kind_word(*kind)).into(),
            Self::TimedOut(deadline) => format!("timed_out_{}", deadline.word()).into(),
        }
    }
}

impl fmt::Display for SentEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CloseNotify => f.write_str("we closed cleanly (close_notify)"),
            Self::Alert(alert) => write!(f, "we gave up with the fatal alert {alert}"),
            Self::Aborted => f.write_str("we gave up without close_notify, so that the peer can tell"),
            Self::Failed(kind) => write!(f, "writing to the connection failed: {kind}"),
            Self::TimedOut(deadline) => write!(f, "{deadline} passed before the end was sent"),
        }
    }
}

/// Where in the stream of records the transport ended.
///
/// Not `#[non_exhaustive]`: there is no third place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TruncatedAt {
    /// Between two records.
    Boundary,
    /// After at least one byte of a record and before its last.
    InsideRecord,
}

/// Which of our deadlines passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Deadline {
    /// The handshake was not complete in time.
    Handshake,
    /// No byte moved in either direction for too long.
    Idle,
    /// One direction had ended, and no byte moved in the other for too long.
    HalfClose,
    /// The close was not complete in time.
    Close,
    /// The process is shutting down, and the session did not finish in time.
    Drain,
    /// The session lasted longer than a session may.
    Lifetime,
    /// A connection of ours was not established in time.
    Connect,
}

impl Deadline {
    /// The stable machine word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Idle => "idle",
            Self::HalfClose => "half_close",
            Self::Close => "close",
            Self::Drain => "drain",
            Self::Lifetime => "lifetime",
            Self::Connect => "connect",
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake deadline",
            Self::Idle => "the idle deadline",
            Self::HalfClose => "the half-close deadline",
            Self::Close => "the close deadline",
            Self::Drain => "the drain deadline",
            Self::Lifetime => "the lifetime limit",
            Self::Connect => "the connect deadline",
        })
    }
}

/// How the transport ended, as its owner saw it: the argument of
/// [`Receiver::transport_ended`](crate::Receiver::transport_ended).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportEnd {
    /// A read returned no bytes: the peer's FIN.
    Eof,
    /// A read or a write failed because the peer reset the connection.
    Reset,
    /// A read failed with another error.
    Failed(io::ErrorKind),
    /// The owner's deadline passed.
    TimedOut(Deadline),
    /// The owner stopped reading.
    Abandoned,
}

impl From<io::ErrorKind> for TransportEnd {
    fn from(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::ConnectionReset => Self::Reset,
            other => Self::Failed(other),
        }
    }
}

/// A stable machine word for an [`io::ErrorKind`]: its name in snake case (`broken_pipe`), `other` for a kind that sockets
/// do not report.
pub fn io_kind_word(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "not_found",
        io::ErrorKind::PermissionDenied => "permission_denied",
        io::ErrorKind::ConnectionRefused => "connection_refused",
        io::ErrorKind::ConnectionReset => "connection_reset",
        io::ErrorKind::HostUnreachable => "host_unreachable",
        io::ErrorKind::NetworkUnreachable => "network_unreachable",
        io::ErrorKind::ConnectionAborted => "connection_aborted",
        io::ErrorKind::NotConnected => "not_connected",
        io::ErrorKind::AddrInUse => "addr_in_use",
        io::ErrorKind::AddrNotAvailable => "addr_not_available",
        io::ErrorKind::NetworkDown => "network_down",
        io::ErrorKind::BrokenPipe => "broken_pipe",
        io::ErrorKind::AlreadyExists => "already_exists",
        io::ErrorKind::WouldBlock => "would_block",
        io::ErrorKind::InvalidInput => "invalid_input",
        io::ErrorKind::InvalidData => "invalid_data",
        io::ErrorKind::TimedOut => "timed_out",
        io::ErrorKind::WriteZero => "write_zero",
        io::ErrorKind::Interrupted => "interrupted",
        io::ErrorKind::Unsupported => "unsupported",
        io::ErrorKind::UnexpectedEof => "unexpected_eof",
        io::ErrorKind::OutOfMemory => "out_of_memory",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ending_has_a_word_of_its_own() {
        let received = [
            ReceivedEnding::CloseNotify,
            ReceivedEnding::Truncated { at: TruncatedAt::Boundary },
            ReceivedEnding::Truncated { at: TruncatedAt::InsideRecord },
            ReceivedEnding::Reset,
            ReceivedEnding::Alert(AlertDescription::DECODE_ERROR),
            ReceivedEnding::Violation(Violation::too_many_dataless_records()),
            ReceivedEnding::TimedOut(Deadline::HalfClose),
            ReceivedEnding::Failed(io::ErrorKind::HostUnreachable),
            ReceivedEnding::Abandoned,
        ]
        .map(|ending| ending.word().into_owned());
        assert_eq!(
            received,
            [
                "close_notify",
                "truncated_boundary",
                "truncated_inside_record",
                "reset",
                "alert_decode_error",
                "violation",
                "timed_out_half_close",
                "failed_host_unreachable",
                "abandoned"
            ]
        );
        let sent = [
            SentEnding::CloseNotify,
            SentEnding::Alert(AlertDescription::BAD_RECORD_MAC),
            SentEnding::Aborted,
            SentEnding::Failed(io::ErrorKind::BrokenPipe),
            SentEnding::TimedOut(Deadline::Close),
        ]
        .map(|ending| ending.word().into_owned());
        assert_eq!(sent, ["close_notify", "alert_bad_record_mac", "aborted", "failed_broken_pipe", "timed_out_close"]);
    }
}
