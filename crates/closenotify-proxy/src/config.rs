//! What a proxy is told before it starts: the settings of `--config FILE`, checked, as values.
//!
//! [`Config::from_file`] reads the file; nothing is read from the environment, and no certificate is loaded. Every value says what it is by its
//! type; references between settings (a route to its upstream) are resolved before such a value exists.

mod duration;
mod file;
mod listener;
mod pattern;
mod problem;
mod reference;
mod route;
mod schema;
mod section;
#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests;
mod unique;
mod upstream;
mod word;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rustls_pki_types::ServerName;

use crate::address::Endpoint;
use crate::events::SessionResult;

pub use duration::parse_duration;
pub use file::{ConfigFile, FileKind, NamedFile, NamedUser};
pub use problem::{ConfigErrors, Problem, Severity};
pub use reference::reference;

/// All settings of a proxy.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where metrics, health, live sessions and the page are served. `None`: nowhere.
    pub admin: Option<Endpoint>,
    /// Where the log goes, and what is in it.
    pub log: LogSettings,
    /// How much is taken on at a time.
    pub limits: Limits,
    /// How the process runs.
    pub process: ProcessSettings,
    /// At least one; names are unique.
    pub listeners: Vec<Arc<ListenerSettings>>,
    /// By name. Every name that a route refers to is here.
    pub upstreams: BTreeMap<String, Arc<UpstreamSettings>>,
}

/// The log: session lines and everything else that is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of a line.
    pub format: LogFormat,
    /// `None`: standard error. Reopened on SIGUSR1.
    pub file: Option<PathBuf>,
    /// Sessions with these results get no line. They are counted in the metrics all the same.
    pub skip: Vec<SessionResult>,
}

/// How much is taken on at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at a time, all listeners together. `None`: as many as the descriptor limit allows.
    pub sessions: Option<u32>,
    /// Sessions at a time from one client address. `None`: no limit of its own.
    pub sessions_per_address: Option<u32>,
    /// TLS handshakes begun in a second. `None`: no limit.
    pub handshakes_per_second: Option<u32>,
    /// What happens to a connection beyond `sessions` or `handshakes_per_second`.
    pub when_full: WhenFull,
}

/// What happens to a connection for which there is no room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenFull {
    /// It waits in the listen queue of the kernel.
    #[default]
    Wait,
    /// It is accepted and reset at once.
    Refuse,
}

/// How the process runs. A reload changes `drain` and `spin` only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSettings {
    /// Threads that serve sessions. `None`: one a core.
    pub workers: Option<NonZeroUsize>,
    /// The user to become after binding.
    pub user: Option<String>,
    /// The group to become after binding. `None`: the user's.
    pub group: Option<String>,
    /// The Unix socket at which a successor takes the listeners over.
    pub takeover: Option<PathBuf>,
    /// From the order to drain until the sessions still running are reset. Default 30 s.
    pub drain: Duration,
    /// What happens to a session that spins.
    pub spin: SpinAction,
}

impl Default for ProcessSettings {
    fn default() -> Self {
        Self {
            workers: None,
            user: None,
            group: None,
            takeover: None,
            drain: Duration::from_secs(30),
            spin: SpinAction::End,
        }
    }
}

/// What happens to a session that spins: one whose polls achieve nothing, ten thousand times within a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SpinAction {
    /// It is reset, logged and counted.
    #[default]
    End,
    /// It is logged and counted, and goes on.
    Report,
}

/// One listener: its addresses, its TLS, and where its sessions go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// In lines and metrics.
    pub name: String,
    /// At least one. Port 0 takes a free one.
    pub listen: Vec<Endpoint>,
    /// Certificates and all else of TLS.
    pub tls: TlsSettings,
    /// What a client's missing `close_notify` means for the upstream.
    pub truncation: TruncationPolicy,
    /// The networks whose connections begin with a PROXY protocol header. From any other network a header is not expected.
    pub accept_proxy_protocol: Vec<IpNet>,
    /// How long each wait may be.
    pub timeouts: Timeouts,
    /// At least one, a route without names last. [`route`](Self::route) chooses.
    pub routes: Vec<Route>,
}

impl ListenerSettings {
    /// The route for a client that asks for this server name, or for none: the one with exactly this name, or else the one with a
    /// wildcard for it, or else the one without names. `None`: the client is refused.
    pub fn route(&self, sni: Option<&str>) -> Option<&Route> {
        let named = |wildcard: bool| {
            let fits = move |pattern: &NamePattern| {
                matches!(pattern, NamePattern::Wildcard(_)) == wildcard && sni.is_some_and(|name| pattern.matches(name))
            };
            self.routes.iter().find(move |route| route.sni.iter().any(fits))
        };
        named(false).or_else(|| named(true)).or_else(|| self.routes.iter().find(|route| route.sni.is_empty()))
    }
}

/// The TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// Where the certificates come from.
    pub certificates: CertificateSource,
    /// The protocols offered by ALPN, most preferred first. Empty: ALPN is not used.
    pub alpn: Vec<String>,
    /// The oldest version accepted.
    pub min_tls: TlsVersion,
    /// Whether clients are asked for a certificate. `None`: they are not.
    pub client_auth: Option<ClientAuth>,
    /// A file or directory with the ticket keys that a fleet shares. `None`: keys of this process only.
    pub ticket_keys: Option<PathBuf>,
}

/// Where a listener's certificates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files that hold a chain and its key, and directories of certificates. Empty where every route passes TLS through.
    Paths(Vec<PathBuf>),
    /// One chain and its key, each in a file of its own.
    Pair {
        /// The chain, leaf first.
        cert: PathBuf,
        /// The key of the leaf.
        key: PathBuf,
    },
    /// One made up in memory for localhost.
    SelfSigned,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V12,
    /// TLS 1.3.
    V13,
}

/// Which clients are let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuth {
    /// Whether a client without a certificate is refused.
    pub required: bool,
    /// The PEM file with the trusted CA certificates.
    pub ca: PathBuf,
    /// Rules of which a client's certificate must match one: `CN=name`, or a DNS name, URI, mail or IP address of its
    /// subjectAltName; `*` stands for any characters. Empty: every certificate that the CA certificates vouch for.
    pub allow: Vec<String>,
}

/// Where the sessions for some server names go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The server names that match. Empty: every one, and clients that send none.
    pub sni: Vec<NamePattern>,
    /// Where they go.
    pub target: RouteTarget,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteTarget {
    /// TLS ends here; the plaintext goes to the upstream with this name.
    Terminate(String),
    /// TLS does not end here; its bytes go to the upstream with this name.
    Passthrough(String),
}

/// A server name, or all names one label below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NamePattern {
    /// This name, in lower case.
    Exact(String),
    /// `*.` and this name, in lower case.
    Wildcard(String),
}

impl NamePattern {
    /// Whether the pattern covers a server name, in any case.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(own) => own.eq_ignore_ascii_case(name),
            Self::Wildcard(parent) => {
                name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && parent.eq_ignore_ascii_case(rest))
            }
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

/// One upstream: the servers that do the same work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// In lines and metrics.
    pub name: String,
    /// At least one.
    pub addresses: Vec<Endpoint>,
    /// How one of them is chosen for a session.
    pub balance: Balance,
    /// TLS to the upstream. `None`: plaintext.
    pub tls: Option<UpstreamTls>,
    /// The PROXY protocol header sent first. `None`: none.
    pub send_proxy_protocol: Option<ProxyProtocol>,
}

/// How an address is chosen for a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// One after the other.
    #[default]
    RoundRobin,
    /// The one with the fewest sessions.
    LeastSessions,
}

/// TLS to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name that its certificate must have; also sent as SNI.
    pub name: ServerName<'static>,
    /// The PEM file with the trusted CA certificates.
    pub ca: PathBuf,
    /// The PEM file with our client certificate's chain and key.
    pub certificate: Option<PathBuf>,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary, with TLVs.
    V2,
}

/// What the upstream gets when a client's stream ends without `close_notify`. RFC 9846, 6.1.
///
/// Under either the ending is recorded as the truncation it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TruncationPolicy {
    /// A reset: a truncated stream must not look complete.
    #[default]
    Strict,
    /// FIN where the client's FIN came between two records, as if the stream were complete; a reset after a fatal alert or a
    /// FIN inside a record. For protocols that frame their own messages, and clients that never send close_notify.
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
    /// From the accepted connection to the end of the TLS handshake, PROXY protocol header included. Default 10 s.
    pub handshake: Duration,
    /// Without progress in either direction while both are open. Default 5 min.
    pub idle: Duration,
    /// Without progress when one direction has ended and the other has not. Default 1 min.
    pub half_close: Duration,
    /// The whole session. `None`: no limit.
    pub lifetime: Option<Duration>,
    /// To connect to one address of the upstream, its TLS handshake included. Default 5 s.
    pub connect: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(5 * 60),
            half_close: Duration::from_secs(60),
            lifetime: None,
            connect: Duration::from_secs(5),
        }
    }
}

/// The form of a line of the log.
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
