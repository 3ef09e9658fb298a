//! What `tls_peer.py` says about the connection that it played.

use serde::Deserialize;

/// One connection as the Python peer saw it.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    /// What was received, in order.
    pub events: Vec<Event>,
    /// Bytes of data received.
    pub received: u64,
    /// Bytes of data sent.
    pub sent: u64,
    /// SHA-256 of all data received, in hexadecimal.
    pub sha256: String,
    /// The TLS version in OpenSSL's words, such as `TLSv1.3`; `None` on plain TCP or before the handshake is done.
    pub tls: Option<String>,
    /// How receiving ended.
    pub state: State,
    /// How TCP ended towards this peer; `None` while it is open.
    pub tcp: Option<TcpEnd>,
    /// Whether every action was played.
    pub done: bool,
    /// Why not every action was played.
    pub failure: Option<String>,
}

impl Report {
    /// The events in words, without times: `data 5`, `close_notify`, `alert 40`, `trailing 1`, `fin`, `rst`,
    /// `tls_error …`.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        self.events.iter().map(|event| event.what.to_string()).collect()
    }

    /// All received data as text, if each stretch of it is at most 256 bytes; longer ones are cut there.
    #[must_use]
    pub fn text(&self) -> String {
        self.events
            .iter()
            .filter_map(|event| match &event.what {
                What::Data { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect()
    }
}

/// One event, and when.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// Seconds since the TCP connection was there.
    #[serde(rename = "t")]
    pub at: f64,
    /// The event.
    #[serde(flatten)]
    pub what: What,
}

/// What the Python peer received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// Data, with nothing else between its bytes.
    Data {
        /// How many bytes.
        n: u64,
        /// Their SHA-256, in hexadecimal.
        sha256: String,
        /// The first 256 bytes as text.
        text: String,
    },
    /// The peer's `close_notify`.
    CloseNotify,
    /// Any other alert that ended the session.
    Alert {
        /// Its number (RFC 8446, section 6).
        description: u8,
        /// Its name.
        name: String,
    },
    /// Bytes of TCP behind the peer's `close_notify`.
    Trailing {
        /// How many.
        n: u64,
    },
    /// A FIN.
    Fin,
    /// A reset.
    Rst,
    /// OpenSSL refused what it received.
    TlsError {
        /// Its reason.
        reason: String,
    },
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data { n, .. } => write!(f, "data {n}"),
            Self::CloseNotify => f.write_str("close_notify"),
            Self::Alert { description, .. } => write!(f, "alert {description}"),
            Self::Trailing { n } => write!(f, "trailing {n}"),
            Self::Fin => f.write_str("fin"),
            Self::Rst => f.write_str("rst"),
            Self::TlsError { reason } => write!(f, "tls_error {reason}"),
        }
    }
}

/// How receiving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// With a `close_notify`.
    CloseNotify,
    /// TLS, with a FIN and no `close_notify`.
    Truncated,
    /// Plain TCP, with a FIN.
    Fin,
    /// With a reset.
    Rst,
    /// With a fatal alert.
    Alert,
    /// With something that OpenSSL refused.
    TlsError,
    /// Not at all, as far as this peer has read.
    Open,
}

/// How TCP ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TcpEnd {
    /// With a FIN.
    Fin,
    /// With a reset.
    Rst,
}
