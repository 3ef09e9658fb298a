//! Why a proxy cannot start.

use std::{error, fmt, io};

use crate::descriptors::TooFewFiles;
use crate::events::OpenError;
use crate::listen::{InheritedError, ListenError};
use crate::privileges::PrivilegesError;
use crate::takeover::TakeoverError;
use crate::tls::TlsError;

/// Why a proxy cannot start. Its text says what to do next.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The log cannot be opened.
    Log(OpenError),
    /// A certificate, a key or another file of TLS cannot be used.
    Tls(TlsError),
    /// An address cannot be listened on, or the sockets of the service manager or of a predecessor cannot be used.
    Listen(Box<dyn error::Error + Send + Sync>),
    /// The sockets of the service manager and the settings do not fit.
    Unwanted(String),
    /// The process cannot become the user of the settings.
    Privileges(Box<dyn error::Error + Send + Sync>),
    /// The limit of open files leaves no room for a session.
    TooFewFiles(Box<dyn error::Error + Send + Sync>),
    /// The system refuses threads, memory or descriptors.
    Internal(io::Error),
}

impl StartError {
    pub(super) fn listen(error: ListenError) -> Self {
        Self::Listen(error.into())
    }

    pub(super) fn inherited(error: InheritedError) -> Self {
        Self::Listen(error.into())
    }

    pub(super) fn takeover(error: TakeoverError) -> Self {
        Self::Listen(error.into())
    }

    pub(super) fn privileges(error: PrivilegesError) -> Self {
        Self::Privileges(error.into())
    }

    pub(super) fn files(error: TooFewFiles) -> Self {
        Self::TooFewFiles(error.into())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(error) => error.fmt(f),
            Self::Tls(error) => error.fmt(f),
            Self::Listen(error) | Self::Privileges(error) | Self::TooFewFiles(error) => error.fmt(f),
            Self::Unwanted(reason) => f.write_str(reason),
            Self::Internal(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl error::Error for StartError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Log(error) => error.source(),
            Self::Tls(error) => error.source(),
            Self::Listen(error) | Self::Privileges(error) | Self::TooFewFiles(error) => error.source(),
            Self::Unwanted(_) => None,
            Self::Internal(error) => Some(error),
        }
    }
}
