//! What can go wrong, sorted by who is to blame: the peer broke the protocol ([`Violation`]), the handshake did not
//! come about ([`HandshakeError`]), the caller writes to a session that is over ([`SendError`]).

use crate::alert::AlertDescription;
use crate::ending::{Deadline, TruncatedAt, io_kind_word};
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

/// The peer broke the protocol.
///
/// Displays as what it did; [`source`](Error::source) is the TLS library's own error where there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation(Fault);

#[derive(Clone, Debug, PartialEq)]
enum Fault {
    Tls(rustls::Error),
    MalformedRecord,
    TooManyDatalessRecords,
    Panicked,
}

impl Violation {
    pub(crate) fn tls(error: rustls::Error) -> Self {
        Self(Fault::Tls(error))
    }

    pub(crate) fn malformed_record() -> Self {
        Self(Fault::MalformedRecord)
    }

    pub(crate) fn too_many_dataless_records() -> Self {
        Self(Fault::TooManyDatalessRecords)
    }

    pub(crate) fn panicked() -> Self {
        Self(Fault::Panicked)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Fault::Tls(error) => error.fmt(f),
            Fault::MalformedRecord => f.write_str("bytes that are no TLS record"),
            Fault::TooManyDatalessRecords => write!(
                f,
                "more than {} records in a row without application data",
                crate::receiver::DATALESS_RECORDS_MAX
            ),
            Fault::Panicked => f.write_str("a record after our own close_notify that the TLS library cannot answer"),
        }
    }
}

impl Error for Violation {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Fault::Tls(error) => Some(error),
            Fault::MalformedRecord | Fault::TooManyDatalessRecords | Fault::Panicked => None,
        }
    }
}

/// Why a handshake did not come about. No session has existed, so there is no ending: a peer's `close_notify` before the
/// handshake is complete is an error like any other ([`Alert`](Self::Alert)), never a clean end.
#[derive(Clone, Debug, PartialEq)]
pub enum HandshakeError {
    /// The peer sent an alert.
    Alert(AlertDescription),
    /// What arrived is not TLS.
    NotTls {
        /// It looks like a plain HTTP request, sent to the TLS port by mistake.
        plain_http: bool,
    },
    /// What the peer offered was refused: its certificate, its parameters, its messages.
    Refused(rustls::Error),
    /// The transport ended before the handshake was complete.
    Truncated {
        /// Where in the record stream.
        at: TruncatedAt,
        /// Whether the peer had sent any byte at all.
        silent: bool,
    },
    /// The peer reset the transport.
    Reset,
    /// Reading or writing the transport failed.
    Failed(io::ErrorKind),
    /// A deadline of ours passed.
    TimedOut(Deadline),
}

impl HandshakeError {
    /// The handshake's error in `error` or among its [sources](find_source), if there is one.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find_source(error)
    }

    /// The stable machine word.
    pub fn word(&self) -> Cow<'static, str> {
        match self {
            Self::Alert(alert) => format!("alert_{alert}").into(),
            Self::NotTls { plain_http: true } => "not_tls_plain_http".into(),
            Self::NotTls { plain_http: false } => "not_tls".into(),
            Self::Refused(_) => "refused".into(),
            Self::Truncated { at: TruncatedAt::Boundary, .. } => "truncated_boundary".into(),
            Self::Truncated { at: TruncatedAt::InsideRecord, .. } => "truncated_inside_record".into(),
            Self::Reset => "reset".into(),
            Self::Failed(kind) => format!("failed_{}", io_kind_word(*kind)).into(),
            Self::TimedOut(deadline) => format!("timed_out_{}", deadline.word()).into(),
        }
    }

    /// The [`io::ErrorKind`] that stands for this error in an [`io::Error`].
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Alert(_) | Self::NotTls { .. } | Self::Refused(_) => io::ErrorKind::InvalidData,
            Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::Reset => io::ErrorKind::ConnectionReset,
            Self::Failed(kind) => *kind,
            Self::TimedOut(_) => io::ErrorKind::TimedOut,
        }
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alert(AlertDescription::CLOSE_NOTIFY) => {
                f.write_str("the peer closed (close_notify) before the handshake was complete")
            }
            Self::Alert(alert) => write!(f, "the peer refused the handshake with the alert {alert}"),
            Self::NotTls { plain_http: true } => {
                f.write_str("the peer sent plain HTTP to a TLS port; it should use https://")
            }
            Self::NotTls { plain_http: false } => f.write_str("what the peer sent is not TLS"),
            Self::Refused(error) => write!(f, "the handshake was refused: {error}"),
            Self::Truncated { silent: true, .. } => f.write_str("the peer disconnected without sending anything"),
            Self::Truncated { .. } => f.write_str("the peer disconnected before the handshake was complete"),
            Self::Reset => f.write_str("the peer reset the connection before the handshake was complete"),
            Self::Failed(kind) => write!(f, "the connection failed before the handshake was complete: {kind}"),
            Self::TimedOut(deadline) => write!(f, "{deadline} passed before the handshake was complete"),
        }
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Alert(_)
            | Self::NotTls { .. }
            | Self::Truncated { .. }
            | Self::Reset
            | Self::Failed(_)
            | Self::TimedOut(_) => None,
        }
    }
}

/// The error of type `E` that `error` is, or that is among its sources, at any depth.
///
/// [`Error::source`] of an [`io::Error`] passes over the very error that it was made of. This looks there too, so an
/// `io::Error` inside the error of an HTTP library is found out as well as one at hand.
///
/// ```
/// use closenotify_core::{HandshakeError, find_source};
/// use std::io;
///
/// let error = io::Error::new(io::ErrorKind::ConnectionReset, HandshakeError::Reset);
/// let wrapped = io::Error::other(error);
/// assert_eq!(find_source(&wrapped), Some(&HandshakeError::Reset));
/// ```
pub fn find_source<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Why nothing more can be sent on a session whose sender was still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The session is over: a fatal alert was sent or received, or the peer broke the protocol (RFC 9846 section 6.2).
    SessionOver,
    /// The keys of a TLS 1.2 session have protected all the records they may. Nothing was taken; the data that was
    /// taken before is unharmed.
    KeysExhausted,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SessionOver => "the session was ended by a fatal error; nothing can be sent on it",
            Self::KeysExhausted => "the session's TLS 1.2 keys are used up; reconnect, or use TLS 1.3",
        })
    }
}

impl Error for SendError {}
