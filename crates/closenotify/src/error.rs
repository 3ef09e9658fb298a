//! The errors of reading and writing, typed, and the one table from them to [`io::ErrorKind`].
//!
//! The traits of Tokio return an [`io::Error`], so these travel inside one, and often inside the error of another library.
//! [`ReadError::find`] and [`WriteError::find`] return them, and [`is_truncation`] and its siblings cover the common cases, so
//! that nobody matches on strings. An error of the transport is none of these: it is returned as it is.

use closenotify_core::{Deadline, ReceivedEnding, SendError, find_source};
use std::error::Error;
use std::fmt;
use std::io;

/// Whether `error` is, or comes from, a read that found the connection ended without `close_notify`: data may be missing.
///
/// Pass an [`io::Error`], or any error with one among its sources, such as those of hyper and reqwest. The kind is not enough:
/// [`read_exact`](tokio::io::AsyncReadExt::read_exact) also returns `UnexpectedEof` at a clean end, and a handshake that ends
/// early is a [`HandshakeError`](crate::HandshakeError), with no session to be truncated.
///
/// Whether it matters depends on your protocol's framing: see the page [`ending`](crate::ending).
///
/// ```
/// # use tokio::io::{AsyncRead, AsyncReadExt};
/// # async fn receive(mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
/// let mut message = Vec::new();
/// match stream.read_to_end(&mut message).await {
///     Ok(_) => println!("complete"),
///     Err(error) if closenotify::is_truncation(&error) => println!("truncated after {} bytes", message.len()),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
pub fn is_truncation(error: &(dyn Error + 'static)) -> bool {
    matches!(ReadError::find(error).map(ReadError::ending), Some(ReceivedEnding::Truncated { .. }))
}

/// Whether `error` is, or comes from, a read, a write or a handshake that found the connection reset by the peer. A reset may
/// destroy what the peer sent before it.
///
/// The transport's own error is returned as it is, so this looks for an [`io::Error`] of the kind `ConnectionReset` among the
/// sources.
pub fn is_reset(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionReset) {
            return true;
        }
        // The source of an `io::Error` passes over the very error that it was made of.
        next = match io.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    false
}

/// Whether `error` is, or comes from, a write after we ended the sending half. That is a bug in the program; any other
/// `BrokenPipe` comes from the connection.
pub fn is_write_after_close(error: &(dyn Error + 'static)) -> bool {
    WriteError::find(error) == Some(&WriteError::AfterClose)
}

/// Why a read failed: the receiving half ended, and not with a clean end.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadError {
    ending: ReceivedEnding,
}

impl ReadError {
    /// Finds a read error: `error` itself or one of its sources, at any depth. It works for the [`io::Error`] of a read and for
    /// the error of a library that wraps it.
    ///
    /// ```
    /// # fn see(error: &hyper::Error) {
    /// use closenotify::{ReadError, ReceivedEnding};
    ///
    /// if let Some(ReceivedEnding::Alert(alert)) = ReadError::find(error).map(ReadError::ending) {
    ///     println!("the server sent the fatal alert {alert}");
    /// }
    /// # }
    /// ```
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find_source(error)
    }

    /// How the receiving half ended.
    pub fn ending(&self) -> &ReceivedEnding {
        &self.ending
    }

    pub(crate) fn io(ending: &ReceivedEnding) -> io::Error {
        let kind = match ending {
            // Not an error; only to be exhaustive.
            ReceivedEnding::CloseNotify | ReceivedEnding::Abandoned => io::ErrorKind::Other,
            ReceivedEnding::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            ReceivedEnding::Reset => io::ErrorKind::ConnectionReset,
            ReceivedEnding::Alert(_) => io::ErrorKind::ConnectionAborted,
            ReceivedEnding::Violation(_) => io::ErrorKind::InvalidData,
            ReceivedEnding::TimedOut(_) => io::ErrorKind::TimedOut,
            ReceivedEnding::Failed(kind) => *kind,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, Self { ending: ending.clone() })
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ending.fmt(f)
    }
}

impl Error for ReadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.ending {
            ReceivedEnding::Violation(violation) => Some(violation),
            _ => None,
        }
    }
}

/// Why a write, a flush or a shutdown failed, other than by an error of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The sending half is closed: nothing may follow a close_notify.
    AfterClose,
    /// The session cannot send.
    Send(SendError),
    /// The transport accepted no byte of a write.
    Zero,
    /// The transport reported that it took more than it was given.
    Overcount {
        /// How many bytes it was given.
        given: usize,
        /// How many it reported.
        reported: usize,
    },
    /// A deadline of ours passed before the close_notify was sent: in a shutdown of [`CloseOnShutdown`](crate::CloseOnShutdown).
    TimedOut(Deadline),
}

impl WriteError {
    /// Finds a write error, as [`ReadError::find`] finds a read error.
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        find_source(error)
    }

    pub(crate) fn kind(self) -> io::ErrorKind {
        match self {
            Self::AfterClose => io::ErrorKind::BrokenPipe,
            Self::Send(SendError::SessionOver) => io::ErrorKind::ConnectionAborted,
            Self::Send(_) => io::ErrorKind::Other,
            Self::Zero => io::ErrorKind::WriteZero,
            Self::Overcount { .. } => io::ErrorKind::InvalidData,
            Self::TimedOut(_) => io::ErrorKind::TimedOut,
        }
    }

    pub(crate) fn io(self) -> io::Error {
        io::Error::new(self.kind(), self)
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AfterClose => {
                f.write_str("the sending half is closed: nothing can be written after its close_notify")
            }
            Self::Send(error) => error.fmt(f),
            Self::Zero => f.write_str("the transport accepted no byte of a write"),
            Self::Overcount { given, reported } => {
                write!(
                    f,
                    "the transport is broken: it was given {given} bytes to write and reported {reported} written"
                )
            }
            Self::TimedOut(deadline) => write!(f, "{deadline} passed before the close_notify was sent"),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Send(error) => Some(error),
            Self::AfterClose | Self::Zero | Self::Overcount { .. } | Self::TimedOut(_) => None,
        }
    }
}
