//! The ledger: one line a session, for people or for machines, and the same words in both.
//!
//! It is written when a session is over, whole, whatever became of it. Field names and words are stable; `docs/ledger.md`
//! lists them. It never holds a secret or a byte of what was relayed.

use crate::config::LogFormat;
use crate::relay::TcpEnding;
use closenotify::{HandshakeError, ReceivedEnding, SentEnding, SessionFacts};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// Where the ledger goes.
pub struct Ledger {
    format: LogFormat,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Ledger {
    /// A ledger on standard error.
    pub fn stderr(format: LogFormat) -> Self {
        Self::new(format, Box::new(io::stderr()))
    }

    /// A ledger that is written to `out`, a line a write.
    pub fn new(format: LogFormat, out: Box<dyn Write + Send>) -> Self {
        Self { format, out: Mutex::new(out) }
    }

    /// Writes the line of a session.
    pub(crate) fn session(&self, entry: &Entry) {
        self.line(match self.format {
            LogFormat::Text => entry.to_string(),
            // An entry is made of strings and numbers: there is nothing in it that JSON cannot hold.
            LogFormat::Json => serde_json::to_string(entry).unwrap_or_default(),
        });
    }

    /// Writes that connections cannot be accepted now.
    pub(crate) fn accept_failed(&self, error: &io::Error) {
        let now = timestamp(SystemTime::now());
        self.line(match self.format {
            LogFormat::Text => format!("{now} cannot accept connections: {error}; trying again"),
            LogFormat::Json => {
                serde_json::json!({"event": "accept_failed", "time": now, "reason": error.to_string()}).to_string()
            }
        });
    }

    fn line(&self, mut line: String) {
        line.push('\n');
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody has to read it: a closed standard error is no reason to end sessions.
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("format", &self.format).finish_non_exhaustive()
    }
}

/// One session. The field names are those of the JSON form; `docs/ledger.md` says what each means.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) event: &'static str,
    pub(crate) time: String,
    pub(crate) session: u64,
    pub(crate) client: SocketAddr,
    pub(crate) upstream: Option<SocketAddr>,
    pub(crate) phase: Phase,
    pub(crate) handshake: Cow<'static, str>,
    pub(crate) client_received: Option<Cow<'static, str>>,
    pub(crate) client_sent: Option<Cow<'static, str>>,
    pub(crate) upstream_received: Option<Cow<'static, str>>,
    pub(crate) upstream_sent: Option<Cow<'static, str>>,
    pub(crate) ended_first: Option<EndedFirst>,
    pub(crate) reason: Option<String>,
    pub(crate) trailing_bytes: u64,
    pub(crate) bytes_from_client: u64,
    pub(crate) bytes_from_upstream: u64,
    pub(crate) discarded_bytes: u64,
    pub(crate) handshake_ms: f64,
    pub(crate) duration_ms: f64,
    pub(crate) tls_version: Option<&'static str>,
    pub(crate) cipher_suite: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) sni: Option<String>,
    pub(crate) resumed: Option<bool>,
    pub(crate) polls: u64,
    pub(crate) wasted_polls: u64,
}

/// How far a session got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The TLS handshake did not come about.
    Handshake,
    /// The upstream could not be reached.
    Connect,
    /// Bytes could flow.
    Relay,
}

/// Who ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndedFirst {
    /// The client, or its connection.
    Client,
    /// The upstream, or its connection.
    Upstream,
    /// The proxy, by a deadline or an order.
    Proxy,
}

impl Entry {
    pub(crate) fn new(session: u64, client: SocketAddr) -> Self {
        Self {
            event: "session",
            time: timestamp(SystemTime::now()),
            session,
            client,
            upstream: None,
            phase: Phase::Handshake,
            handshake: "complete".into(),
            client_received: None,
            client_sent: None,
            upstream_received: None,
            upstream_sent: None,
            ended_first: None,
            reason: None,
            trailing_bytes: 0,
            bytes_from_client: 0,
            bytes_from_upstream: 0,
            discarded_bytes: 0,
            handshake_ms: 0.0,
            duration_ms: 0.0,
            tls_version: None,
            cipher_suite: None,
            alpn: None,
            sni: None,
            resumed: None,
            polls: 0,
            wasted_polls: 0,
        }
    }

    pub(crate) fn handshake_failed(&mut self, error: &HandshakeError) {
        self.handshake = error.word();
        self.ended_first = Some(match error {
            HandshakeError::TimedOut(_)
            | HandshakeError::Refused(_)
            | HandshakeError::Violation(_)
            | HandshakeError::HelloTooLong
            | HandshakeError::NoKeyExtraction => EndedFirst::Proxy,
            _ => EndedFirst::Client,
        });
        self.reason = Some(error.to_string());
    }

    pub(crate) fn facts(&mut self, facts: &SessionFacts) {
        self.tls_version = Some(facts.version_name());
        self.cipher_suite = Some(facts.cipher_suite_name());
        self.alpn = facts.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        self.sni = facts.server_name().map(str::to_owned);
        self.resumed = Some(facts.resumed());
    }

    pub(crate) fn client_ended(&mut self, received: &ReceivedEnding, sent: &SentEnding) {
        self.client_received = Some(received.word());
        self.client_sent = Some(sent.word());
        if !matches!(received, ReceivedEnding::CloseNotify | ReceivedEnding::Abandoned) {
            self.explain(format!("client: {received}"));
        }
        if let SentEnding::Failed(_) = sent {
            self.explain(format!("to the client: {sent}"));
        }
    }

    pub(crate) fn upstream_ended(&mut self, received: TcpEnding, sent: TcpEnding) {
        self.upstream_received = Some(received.word());
        self.upstream_sent = Some(sent.word());
        match received {
            TcpEnding::Reset => self.explain("upstream: it reset the connection, so the answer may be cut".into()),
            TcpEnding::Failed(kind) => self.explain(format!("upstream: reading failed: {kind}")),
            TcpEnding::Fin | TcpEnding::TimedOut(_) | TcpEnding::Abandoned => {}
        }
        if let TcpEnding::Failed(kind) = sent {
            self.explain(format!("to the upstream: writing failed: {kind}"));
        }
    }

    /// Says why the session did not end clean; what is said first stays.
    pub(crate) fn explain(&mut self, reason: String) {
        self.reason.get_or_insert(reason);
    }
}

/// The form for people.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} session={} client={}", self.time, self.session, self.client)?;
        match self.phase {
            Phase::Handshake => write!(f, " handshake failed: {}", self.handshake)?,
            Phase::Connect => f.write_str(" upstream not reached")?,
            Phase::Relay => {}
        }
        if let Some(upstream) = self.upstream {
            write!(f, " upstream={upstream}")?;
        }
        for (name, ending) in [
            ("client_received", &self.client_received),
            ("client_sent", &self.client_sent),
            ("upstream_received", &self.upstream_received),
            ("upstream_sent", &self.upstream_sent),
        ] {
            if let Some(ending) = ending {
                write!(f, " {name}={ending}")?;
            }
        }
        if let Some(first) = self.ended_first {
            write!(f, " ended_first={}", format!("{first:?}").to_ascii_lowercase())?;
        }
        if self.phase == Phase::Relay {
            write!(f, " bytes_from_client={}", self.bytes_from_client)?;
            write!(f, " bytes_from_upstream={}", self.bytes_from_upstream)?;
        }
        if self.trailing_bytes > 0 {
            write!(f, " trailing_bytes={}", self.trailing_bytes)?;
        }
        write!(f, " duration={:.3}s", self.duration_ms / 1e3)?;
        if let (Some(version), Some(suite)) = (self.tls_version, &self.cipher_suite) {
            write!(f, " {version} {suite}")?;
        }
        if let Some(sni) = &self.sni {
            write!(f, " sni={sni}")?;
        }
        if self.phase == Phase::Relay {
            write!(f, " polls={} wasted_polls={}", self.polls, self.wasted_polls)?;
        }
        if let Some(reason) = &self.reason {
            f.write_str(" reason=\"")?;
            // What a peer chose must not look like the end of the line or of the field.
            for letter in reason.chars() {
                match letter {
                    '"' => f.write_str("\\\"")?,
                    control if control.is_control() => write!(f, "{}", control.escape_default())?,
                    other => f.write_char(other)?,
                }
            }
            f.write_char('"')?;
        }
        Ok(())
    }
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_chose_cannot_forge_a_line() {
        let mut entry = Entry::new(1, "127.0.0.1:5".parse().unwrap());
        entry.explain("a \"quoted\"\nline".into());
        entry.sni = Some("name".into());
        let text = entry.to_string();
        assert_eq!(text.lines().count(), 1);
        assert!(text.ends_with(r#"reason="a \"quoted\"\nline""#), "{text}");
    }
}
