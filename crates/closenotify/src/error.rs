//! The errors of reading and writing, typed, and the one table from them to [`io::ErrorKind`].
//!
//! They travel inside an [`io::Error`], since that is what the traits return, and that one often inside the error of another
//! library. [`ReadError::find`] and [`WriteError::find`] get them out again, and [`is_truncation`] and its like answer the
//! common questions, so that nobody matches on strings. An error of the transport is none of these: it is returned as it is.

use closenotify_core::{Deadline, ReceivedEnding, SendError, find_source};
use std::error::Error;
use std::fmt;
use std::io;

/// Whether `error` is, or comes from, a read that found the connection ended without `close_notify`: what was read may not
/// be everything.
///
/// It takes an [`io::Error`], and any other that has one among its sources, as those of hyper and reqwest have. It does not
/// look at the error's kind: `UnexpectedEof` is also what [`read_exact`](tokio::io::AsyncReadExt::read_exact) returns at a
/// clean end, and a handshake that was cut off is a [`HandshakeError`], with no session to be truncated.
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

/// Whether `error` is, or comes from, a read, a write or a handshake that found the connection reset by the peer. What the
/// peer had sent before may be lost with it.
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

/// Whether `error` is, or comes from, a write after our own end of the sending half: a mistake of the program's, where any
/// other `BrokenPipe` is the connection's.
pub fn is_write_after_close(error: &(dyn Error + 'static)) -> bool {
    WriteError::find(error) == Some(&WriteError::AfterClose)
}

/// Why a read failed: the ending of the receiving half, which is not one that the reader takes for a clean end.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadError {
    ending: ReceivedEnding,
}

impl ReadError {
    /// The read error that `error` is, or that is among its sources, at any depth: in the [`io::Error`] of a read as well as
    /// in the error of a library that wraps it.
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
            // A clean end is no error; the arm is for a caller that asks all the same.
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
    /// The sending half was closed before: nothing may follow a close_notify.
    AfterClose,
    /// The session cannot send.
    Send(SendError),
    /// The transport took no byte of a write, which would never end.
    Zero,
    /// The transport reported that it took more than it was given.
    Overcount {
        /// How many bytes it was given.
        given: usize,
        /// How many it reported.
        reported: usize,
    },
    /// A deadline of ours passed before the end was sent: a shutdown of [`CloseOnShutdown`](crate::CloseOnShutdown).
    TimedOut(Deadline),
}

impl WriteError {
    /// The write error that `error` is, or that is among its sources, at any depth, as [`ReadError::find`] does it.
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
            Self::Zero => f.write_str("the transport took no byte of a write"),
            Self::Overcount { given, reported } => {
                write!(f, "the transport is broken: it reported {reported} bytes written of {given} that it was given")
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
