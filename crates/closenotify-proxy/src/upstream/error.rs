//! Why an upstream was not reached: for each address, a text for the log line and a stable word for machines.

use std::borrow::Cow;
use std::time::Duration;
use std::{error, fmt, io};

use closenotify::{HandshakeError, io_kind_word};

use super::lookup::LookupError;

/// Why an upstream was not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectError {
    pub(super) upstream: String,
    /// Why each address that was tried failed; at least one.
    pub(super) attempts: Vec<AttemptError>,
}

impl ConnectError {
    /// The stable machine word of the last attempt.
    pub(crate) fn word(&self) -> &str {
        self.attempts.last().map_or("failed_other", AttemptError::word)
    }

    /// Whether the last attempt came to nothing in its time.
    pub(crate) fn is_timeout(&self) -> bool {
        self.word() == TIMED_OUT
    }

    /// Why each address that was tried failed.
    pub(crate) fn attempts(&self) -> &[AttemptError] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot reach the upstream {}", self.upstream)?;
        for (at, attempt) in self.attempts.iter().enumerate() {
            write!(f, "{} {attempt}", if at == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

impl error::Error for ConnectError {}

/// Why one address was not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AttemptError {
    address: String,
    word: Cow<'static, str>,
    reason: String,
    /// The cause is a shortage in this process; it says nothing about the address.
    ours: bool,
}

impl AttemptError {
    /// The address as configured.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The stable machine word: `failed_` and the kind of an error, or `tls_` and the word of a handshake that failed.
    pub(crate) fn word(&self) -> &str {
        &self.word
    }

    /// In words, without the address.
    pub(crate) fn reason(&self) -> &str {
        &self.reason
    }

    pub(super) fn is_ours(&self) -> bool {
        self.ours
    }

    pub(super) fn lookup(address: &str, error: &LookupError) -> Self {
        Self::new(address, error.word(), format!("the name is not resolved: {}", error.reason))
    }

    pub(super) fn late(address: &str, what: Late, timeout: Duration) -> Self {
        let timeout = humantime::format_duration(timeout);
        let reason = match what {
            Late::Lookup => format!("the name was not resolved within {timeout}; check the resolver"),
            Late::Connection => format!("no connection within {timeout}"),
            Late::Header => format!("the PROXY protocol header was not taken within {timeout}"),
            Late::Handshake => format!("the TLS handshake was not complete within {timeout}"),
        };
        Self::new(address, TIMED_OUT, reason)
    }

    /// Every address of a name failed. The word is that of the first one, which is preferred, unless another failed from a
    /// shortage in this process.
    pub(super) fn connections(address: &str, mut failures: Vec<(String, io::Error)>) -> Self {
        failures.sort_by_key(|(_, error)| !is_ours(error));
        let word = failures.first().map_or("other", |(_, error)| io_kind_word(error.kind()));
        let several = failures.len() > 1 || failures.first().is_some_and(|(tried, _)| tried != address);
        let mut reasons = Vec::new();
        for (tried, error) in &failures {
            let reason = in_words(error);
            reasons.push(if several { format!("{reason} ({tried})") } else { reason });
        }
        let ours = failures.first().is_some_and(|(_, error)| is_ours(error));
        Self { ours, ..Self::new(address, format!("failed_{word}"), reasons.join(", ")) }
    }

    pub(super) fn header(address: &str, error: &io::Error) -> Self {
        let reason = format!("sending the PROXY protocol header failed: {}", in_words(error));
        Self::new(address, format!("failed_{}", io_kind_word(error.kind())), reason)
    }

    pub(super) fn handshake(address: &str, error: &io::Error, timeout: Duration) -> Self {
        match HandshakeError::find(error) {
            Some(HandshakeError::TimedOut(_)) => Self::late(address, Late::Handshake, timeout),
            Some(error) => Self::new(address, format!("tls_{}", error.word()), format!("TLS to the upstream: {error}")),
            None => {
                let word = format!("failed_{}", io_kind_word(error.kind()));
                Self::new(address, word, format!("the connection failed in the TLS handshake: {}", in_words(error)))
            }
        }
    }

    #[cfg(test)]
    pub(super) fn planted(address: &str, reason: &str) -> Self {
        Self::new(address, "failed_other", reason.to_owned())
    }

    fn new(address: &str, word: impl Into<Cow<'static, str>>, reason: String) -> Self {
        Self { address: address.to_owned(), word: word.into(), reason, ours: false }
    }
}

impl fmt::Display for AttemptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.reason)
    }
}

impl error::Error for AttemptError {}

/// Which step was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    Lookup,
    Connection,
    Header,
    Handshake,
}

/// Whether the cause is a shortage of descriptors or memory in this process or system.
fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| ours.map(Errno::raw_os_error).contains(&code))
}

/// The error's text, with a hint where the cause is not plain.
fn in_words(error: &io::Error) -> String {
    // Rust appends "(os error N)".
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
    match error.kind() {
        io::ErrorKind::NotFound => format!("{text}; nothing has created the socket"),
        io::ErrorKind::ConnectionRefused => format!("{text}; nothing listens there"),
        io::ErrorKind::PermissionDenied => format!("{text}; the proxy's user may not connect to it"),
        _ if is_ours(error) => format!("{text} in the proxy; raise the limit, or lower limits.sessions"),
        _ => text,
    }
}

const TIMED_OUT: &str = "failed_timed_out";

#[cfg(test)]
mod tests {
    use super::*;

    fn os(errno: rustix::io::Errno) -> io::Error {
        errno.into()
    }

    #[test]
    fn a_line_names_each_address_and_why() {
        use rustix::io::Errno;
        let refused = vec![("10.0.0.1:80".to_owned(), os(Errno::CONNREFUSED))];
        let unreachable =
            vec![("10.0.0.2:80".to_owned(), os(Errno::HOSTUNREACH)), ("[::2]:80".to_owned(), os(Errno::NETUNREACH))];
        let error = ConnectError {
            upstream: "app".into(),
            attempts: vec![
                AttemptError::connections("10.0.0.1:80", refused),
                AttemptError::connections("app.internal:80", unreachable),
                AttemptError::late("10.0.0.3:80", Late::Handshake, Duration::from_secs(5)),
            ],
        };
        assert_eq!(
            error.to_string(),
            "cannot reach the upstream app: 10.0.0.1:80: connection refused; nothing listens there; \
             app.internal:80: no route to host (10.0.0.2:80), network is unreachable ([::2]:80); \
             10.0.0.3:80: the TLS handshake was not complete within 5s"
        );
        assert_eq!(error.word(), "failed_timed_out");
        let words: Vec<_> = error.attempts().iter().map(AttemptError::word).collect();
        assert_eq!(words, ["failed_connection_refused", "failed_host_unreachable", "failed_timed_out"]);
        assert!(error.attempts().iter().all(|attempt| !attempt.is_ours()));
    }

    #[test]
    fn a_shortage_of_ours_comes_first_and_says_what_to_do() {
        use rustix::io::Errno;
        let failures =
            vec![("10.0.0.1:80".to_owned(), os(Errno::CONNREFUSED)), ("10.0.0.2:80".to_owned(), os(Errno::MFILE))];
        let error = AttemptError::connections("app:80", failures);
        assert!(error.is_ours());
        assert!(error.reason().starts_with("too many open files in the proxy; raise the limit"), "{error}");
    }
}
