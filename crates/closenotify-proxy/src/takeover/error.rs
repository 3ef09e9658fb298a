//! Why a takeover failed, for the person who ordered it.

use std::path::PathBuf;
use std::{error, fmt, io};

/// Why a takeover failed, in the successor, whose start it ends.
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

/// Why a successor did not take over, in the predecessor, which logs it and goes on.
#[derive(Debug)]
pub(crate) struct OfferError(pub(crate) TakeoverError);

impl fmt::Display for OfferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.0.path.display();
        match &self.0.cause {
            Cause::Stranger { uid } => write!(
                f,
                "a process of user {uid} asked at {path}; start the new process as the user of this one, or as root"
            ),
            Cause::TooSlow => {
                write!(f, "the new process asked at {path}, and was not ready in time; its log says what it waited for")
            }
            Cause::Closed => {
                write!(f, "the new process asked at {path}, and ended before it was ready; its log says why")
            }
            Cause::Malformed { what } => write!(
                f,
                "{what}, at {path}; the new process is not closenotify, or of a version that cannot take over from this one"
            ),
            _ => self.0.fmt(f),
        }
    }
}

impl error::Error for OfferError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.0.source()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_goes_on_is_not_told_to_start_again() {
        let said = |cause| OfferError(TakeoverError { path: "/run/t.sock".into(), cause }).to_string();
        for (cause, words) in [
            (Cause::Closed, "ended before it was ready; its log says why"),
            (Cause::TooSlow, "not ready in time"),
            (Cause::Stranger { uid: 7 }, "user 7"),
            (Cause::Malformed { what: "a message came out of turn".into() }, "a message came out of turn"),
            (Cause::Io(io::ErrorKind::OutOfMemory.into()), "out of memory"),
        ] {
            let text = said(cause);
            assert!(text.contains(words) && text.contains("/run/t.sock"), "{text}");
            assert!(!text.contains("start again") && !text.contains("stop it"), "{text}");
        }
    }
}
