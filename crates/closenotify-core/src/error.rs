//! Errors other than endings: a handshake fails ([`HandshakeError`]), or a write to a session that is over fails
//! ([`SendError`]). `Debug` prints the same text as `Display`, because a `main` that returns an error prints `Debug`.

use crate::alert::AlertDescription;
use crate::ending::{Deadline, TruncatedAt, io_kind_word};
use crate::limits::HELLO_MAX;
use crate::reason;
use crate::violation::Violation;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a handshake failed. There was no session, so there is no ending. A `close_notify` before the handshake is complete is
/// an error ([`Alert`](Self::Alert)), never a clean end.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer sent an alert.
    Alert(AlertDescription),
    /// The peer sent something that is not TLS.
    NotTls {
        /// Whether it looks like a plain HTTP request, sent to a TLS port by mistake.
        plain_http: bool,
    },
    /// We rejected what the peer sent: its certificate, its parameters or a message.
    Refused(rustls::Error),
    /// The peer broke the record protocol.
    Violation(Violation),
    /// The ClientHello is longer than [`HELLO_MAX`].
    HelloTooLong,
    /// The server chose TLS 1.2, and the client's early data is more than its keys may protect.
    EarlyDataTooLong,
    /// The [`CryptoProvider`](rustls::crypto::CryptoProvider) does not hand out the keys of the negotiated cipher suite.
    NoKeyExtraction,
    /// A handshake timeout is set, but the runtime has no clock.
    NoClock,
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
    /// Finds a handshake error in `error` or among its [sources](find_source).
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
            Self::Violation(_) => "violation".into(),
            Self::HelloTooLong => "hello_too_long".into(),
            Self::EarlyDataTooLong => "early_data_too_long".into(),
            Self::NoKeyExtraction => "no_key_extraction".into(),
            Self::NoClock => "no_clock".into(),
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
            Self::Alert(_) | Self::NotTls { .. } | Self::Refused(_) | Self::Violation(_) | Self::HelloTooLong => {
                io::ErrorKind::InvalidData
            }
            Self::EarlyDataTooLong => io::ErrorKind::InvalidInput,
            Self::NoKeyExtraction | Self::NoClock => io::ErrorKind::Unsupported,
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
            Self::Refused(error) => {
                f.write_str("the handshake was refused: ")?;
                reason::explain(error, f)
            }
            Self::Violation(violation) => write!(f, "the peer broke the protocol: {violation}"),
            Self::HelloTooLong => write!(f, "the ClientHello is longer than {HELLO_MAX} bytes"),
            Self::EarlyDataTooLong => f.write_str(
                "the early data is more than the keys of a TLS 1.2 session may protect; send less of it early",
            ),
            Self::NoKeyExtraction => f.write_str(
                "the crypto provider does not hand out the keys of its cipher suites \
                 (extract_keys of its AEAD); use another provider",
            ),
            Self::NoClock => f.write_str(
                "a handshake timeout is set, but the Tokio runtime has no clock: call enable_time on its builder, \
                 or switch the timeout off",
            ),
            Self::Truncated { silent: true, .. } => f.write_str("the peer disconnected without sending anything"),
            Self::Truncated { .. } => f.write_str("the peer disconnected before the handshake was complete"),
            Self::Reset => f.write_str("the peer reset the connection before the handshake was complete"),
            Self::Failed(kind) => write!(f, "the connection failed before the handshake was complete: {kind}"),
            Self::TimedOut(deadline) => write!(f, "{deadline} passed before the handshake was complete"),
        }
    }
}

impl fmt::Debug for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for HandshakeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

/// Finds an error of type `E`: `error` itself, or one of its sources at any depth.
///
/// [`Error::source`] of an [`io::Error`] skips the error that it wraps. This function looks at that error too, so it also
/// finds an error in an `io::Error` that an HTTP library wraps in its own error.
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
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The session is over: a fatal alert was sent or received, or the peer broke the protocol (RFC 9846 section 6.2).
    SessionOver,
    /// The keys of a TLS 1.2 session have protected as many records as they may. Nothing was taken; data that was taken
    /// before is not affected.
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

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for SendError {}
