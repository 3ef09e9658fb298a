//! Why a takeover failed, for the person who ordered it.

use std::path::PathBuf;
use std::{error, fmt, io};

/// Why a takeover failed. In the predecessor it is something to log; in the successor it ends the start.
#[derive(Debug)]
pub(crate) struct TakeoverError {
    /// The takeover socket.
    pub(crate) path: PathBuf,
    /// What happened there.
    pub(crate) cause: Cause,
}

/// What happened at the takeover socket.
#[derive(Debug)]
pub(crate) enum Cause {
    /// The socket cannot be bound.
    Bind(io::Error),
    /// The socket cannot be connected to.
    Connect(io::Error),
    /// The other process runs as a user that is not trusted.
    Stranger {
        /// Its user.
        uid: u32,
    },
    /// The other process did not send, or take, something in time.
    TooSlow,
    /// The other process closed the connection before it was done.
    Closed,
    /// The other process refused.
    Refused {
        /// What it gave as its reason.
        why: String,
    },
    /// The other process sent a malformed message, or one out of turn.
    Malformed {
        /// In what way.
        what: String,
    },
    /// A call of the system failed.
    Io(io::Error),
}

impl fmt::Display for TakeoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::Bind(error) => match error.kind() {
                io::ErrorKind::AddrInUse => write!(
                    f,
                    "cannot offer the listeners at {path}: another process does; give each proxy a `takeover` path of its own"
                ),
                io::ErrorKind::AlreadyExists => {
                    write!(f, "cannot offer the listeners at {path}: the file exists and is not a socket; remove it")
                }
                _ => write!(
                    f,
                    "cannot offer the listeners at {path}: {error}; the directory must exist and be writable for the proxy's user"
                ),
            },
            Cause::Connect(error) => {
                write!(
                    f,
                    "cannot take the listeners over at {path}: {error}; start as the user of the running proxy, or as root"
                )
            }
            Cause::Stranger { uid } => write!(
                f,
                "takeover at {path} refused: the other process runs as user {uid}; both must run as the same user, or the new one as root"
            ),
            Cause::TooSlow => {
                write!(f, "takeover at {path} failed: the other process did not answer in time; it is not affected")
            }
            Cause::Closed => write!(
                f,
                "takeover at {path} failed: the other process closed the connection; if another takeover has just succeeded, start again"
            ),
            Cause::Refused { why } => write!(f, "takeover at {path} refused by the other process: {why}"),
            Cause::Malformed { what } => write!(
                f,
                "takeover at {path} failed: {what}; the other process is not closenotify, or an incompatible version: stop it and start this one"
            ),
            Cause::Io(error) => write!(f, "takeover at {path} failed: {error}"),
        }
    }
}

impl error::Error for TakeoverError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match &self.cause {
            Cause::Bind(error) | Cause::Connect(error) | Cause::Io(error) => Some(error),
            _ => None,
        }
    }
}
