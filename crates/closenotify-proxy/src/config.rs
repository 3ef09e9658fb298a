//! What a proxy is told before it starts.
//!
//! Values only: nothing is read from files or the environment here, and nothing is checked that its type does not
//! already say.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::address::HostPort;

/// All that a proxy needs to know.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// Where TLS clients connect to. Port 0 takes a free one.
    pub listen: HostPort,
    /// Where their plaintext goes, over plain TCP. A name is resolved for each session.
    pub upstream: HostPort,
    /// The certificate and all else of TLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// What a client's missing `close_notify` means for the upstream.
    pub truncation: TruncationPolicy,
    /// How long each wait may be.
    pub timeouts: Timeouts,
    /// The form of the ledger and the log.
    pub log: LogFormat,
}

/// What the upstream gets when a client's stream ends without `close_notify`: by a bare FIN or a fatal alert.
///
/// Under either the ending is recorded as the truncation it was. RFC 9846, 6.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TruncationPolicy {
    /// A reset: what was cut must not look whole.
    #[default]
    Strict,
    /// FIN, as if the stream were whole. For protocols that frame their own messages, and clients that never close.
    Tolerant,
}

impl fmt::Display for TruncationPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strict => "strict",
            Self::Tolerant => "tolerant",
        })
    }
}

/// How long a session may wait for each thing; when the time is over the session is reset and the reason recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timeouts {
    /// From the accepted connection to the end of the TLS handshake. Default 10 s.
    pub handshake: Duration,
    /// Without a byte in either direction while both are open. Default 5 min.
    pub idle: Duration,
    /// Without a byte when one direction has ended and the other has not. Default 1 min.
    pub half_close: Duration,
    /// From the order to drain until the sessions still running are reset. Default 30 s.
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(5 * 60),
            half_close: Duration::from_secs(60),
            drain: Duration::from_secs(30),
        }
    }
}

/// The form of what is written to stderr, one line a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people: words and `key=value`.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
