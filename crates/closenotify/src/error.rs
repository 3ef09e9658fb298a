//! The errors of reading and writing, typed, and the one table from them to [`io::ErrorKind`].
//!
//! They travel inside an [`io::Error`], since that is what the traits return; [`ReadError::of`] and [`WriteError::of`] get
//! them out again, so that nobody matches on strings.

use closenotify_core::{ReceivedEnding, SendError};
use std::error::Error;
use std::fmt;
use std::io;

/// Why a read failed: the ending of the receiving half, which is none that the reader takes for a clean end.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadError {
    ending: ReceivedEnding,
}

impl ReadError {
    /// The read error inside an [`io::Error`], if there is one.
    ///
    /// ```
    /// # fn see(error: &std::io::Error) {
    /// use closenotify::{ReadError, ReceivedEnding};
    ///
    /// if let Some(ReceivedEnding::Truncated { .. }) = ReadError::of(error).map(ReadError::ending) {
    ///     println!("the answer may be cut");
    /// }
    /// # }
    /// ```
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
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
    /// The write error inside an [`io::Error`], if there is one.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
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
