//! What can go wrong besides an ending: a handshake fails ([`HandshakeError`]), and a caller writes to a session that is over
//! ([`SendError`]). Both print as the same text with `{}` and `{:?}`, so that a `main` that returns them prints it.

use crate::alert::AlertDescription;
use crate::ending::{Deadline, TruncatedAt, io_kind_word};
use crate::limits::HELLO_MAX;
use crate::reason;
use crate::violation::Violation;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

/// Why a handshake failed. No session has existed, so there is no ending: a peer's `close_notify` before the
/// handshake is complete is an error like any other ([`Alert`](Self::Alert)), never a clean end.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
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
    /// The peer broke the protocol of records.
    Violation(Violation),
    /// The ClientHello is longer than [`HELLO_MAX`].
    HelloTooLong,
    /// A client's early data is more than the keys of the TLS 1.2 session that came of it may protect.
    EarlyDataTooLong,
    /// The cipher suite's implementation in the [`CryptoProvider`](rustls::crypto::CryptoProvider) does not hand out keys.
    NoKeyExtraction,
    /// A timeout of the handshake is set, and the runtime has no clock to time it with.
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
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
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

impl fmt::Debug for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error for SendError {}
