//! An error of the transport, kept so that it can be returned more than once.
//!
//! [`io::Error`] cannot be cloned. Whoever meets the failure first gets the transport's own error; every later call gets
//! one of the same kind, the same error code and the same text.

use std::fmt;
use std::io;

pub(crate) struct Failure {
    kind: io::ErrorKind,
    code: Option<i32>,
    text: String,
    /// `None` once it was handed out.
    original: Option<io::Error>,
}

impl Failure {
    pub(crate) fn new(error: io::Error) -> Self {
        Self { kind: error.kind(), code: error.raw_os_error(), text: error.to_string(), original: Some(error) }
    }

    pub(crate) fn kind(&self) -> io::ErrorKind {
        self.kind
    }

    /// The transport's own error the first time, then one like it.
    pub(crate) fn error(&mut self) -> io::Error {
        self.original.take().unwrap_or_else(|| match self.code {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(self.kind, self.text.clone()),
        })
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("kind", &self.kind).field("text", &self.text).finish()
    }
}

/// An error like `error`: its kind, its code and its text.
pub(crate) fn like(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}
