//! Why nothing could be checked, in words that say what to do.

use std::fmt;

/// Something that keeps a whole run from being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckError {
    /// What kind of failure it is.
    pub kind: CheckErrorKind,
    /// What happened, where, and what to do.
    pub message: String,
}

/// The kinds of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckErrorKind {
    /// There is no subject: nothing listens, it does not speak TLS, its certificate is not good, its command died.
    Subject,
    /// No case matched the selection.
    NothingMatched,
    /// A file or an argument is wrong.
    Usage,
    /// The checker's own machine would not do it: no port, no file.
    System,
}

impl CheckError {
    pub(crate) fn new(kind: CheckErrorKind, message: impl ToString) -> Self {
        Self { kind, message: message.to_string() }
    }

    pub(crate) fn subject(message: impl ToString) -> Self {
        Self::new(CheckErrorKind::Subject, message)
    }

    pub(crate) fn system(message: impl ToString) -> Self {
        Self::new(CheckErrorKind::System, message)
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CheckError {}
