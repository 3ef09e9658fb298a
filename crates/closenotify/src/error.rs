//! The errors of reading and writing, typed, and the one table from them to [`io::ErrorKind`].
//!
//! They travel inside an [`io::Error`], since that is what the traits return, and that one often inside the error of another
//! library. [`ReadError::find`] and [`WriteError::find`] get them out again, and [`is_truncation`] and its like answer what
//! is mostly asked, so that nobody matches on strings.

use closenotify_core::{HandshakeError, ReceivedEnding, SendError, find_source};
use std::error::Error;
use std::fmt;
use std::io;

/// Whether `error` is, or comes from, a read that found the connection ended without `close_notify`: what was read may not
/// be everything.
///
/// It takes an [`io::Error`], and any other that has one among its sources, as those of hyper and reqwest have. It does not
/// ask for the error's kind: `UnexpectedEof` is also what [`read_exact`](tokio::io::AsyncReadExt::read_exact) answers at a
/// clean end, and a handshake that was cut off is a [`HandshakeError`], with no session to be truncated.
///
/// Whether it does any harm is a question of your protocol's framing: see the page [`ending`](crate::ending).
///
/// ```
/// # use tokio::io::{AsyncRead, AsyncReadExt};
/// # async fn receive(mut stream: impl AsyncRead + Unpin) -> std::io::Result<()> {
/// let mut message = Vec::new();
/// match stream.read_to_end(&mut message).await {
///     Ok(_) => println!("all of it"),
///     Err(error) if closenotify::is_truncation(&error) => println!("{} bytes, and maybe not all", message.len()),
///     Err(error) => return Err(error),
/// }
/// # Ok(())
/// # }
/// ```
pub fn is_truncation(error: &(dyn Error + 'static)) -> bool {
    matches!(ReadError::find(error).map(ReadError::ending), Some(ReceivedEnding::Truncated { .. }))
}

/// Whether `error` is, or comes from, a read, a write or a handshake of this crate that found the connection reset by the
/// peer. What the peer had sent before may be lost with it.
pub fn is_reset(error: &(dyn Error + 'static)) -> bool {
    ReadError::find(error).is_some_and(|error| error.ending == ReceivedEnding::Reset)
        || WriteError::find(error) == Some(&WriteError::Transport(io::ErrorKind::ConnectionReset))
        || HandshakeError::find(error) == Some(&HandshakeError::Reset)
}

/// Whether `error` is, or comes from, a write behind our own end of the sending half: a mistake of the program's, where
/// another `BrokenPipe` is the connection's.
pub fn is_write_after_close(error: &(dyn Error + 'static)) -> bool {
    WriteError::find(error) == Some(&WriteError::AfterClose)
}

/// Why a read failed: the ending of the receiving half, which is none that the reader takes for a clean end.
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
    ///     println!("the server gave up: {alert}");
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
            ReceivedEnding::CloseNotify { .. } | ReceivedEnding::Abandoned => io::ErrorKind::Other,
            ReceivedEnding::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            ReceivedEnding::Reset => io::ErrorKind::ConnectionReset,
            ReceivedEnding::Alert(_) => io::ErrorKind::ConnectionAborted,
            ReceivedEnding::Violation(_) => io::ErrorKind::InvalidData,
            ReceivedEnding::TimedOut(_) => io::ErrorKind::TimedOut,
            ReceivedEnding::Failed(kind) => *kind,
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

/// Why a write, a flush or a shutdown failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The sending half was closed before: nothing may follow a close_notify.
    AfterClose,
    /// The session cannot send.
    Send(SendError),
    /// The transport took no byte of a write, which would never end.
    Zero,
    /// Writing the transport failed.
    Transport(io::ErrorKind),
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
            Self::Send(SendError::KeysExhausted) => io::ErrorKind::Other,
            Self::Zero => io::ErrorKind::WriteZero,
            Self::Transport(kind) => kind,
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
                f.write_str("the sending half is closed: nothing can be written behind its close_notify")
            }
            Self::Send(error) => error.fmt(f),
            Self::Zero => f.write_str("the transport took no byte of a write"),
            Self::Transport(kind) => write!(f, "writing to the connection failed: {kind}"),
        }
    }
}

impl Error for WriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Send(error) => Some(error),
            Self::AfterClose | Self::Zero | Self::Transport(_) => None,
        }
    }
}
