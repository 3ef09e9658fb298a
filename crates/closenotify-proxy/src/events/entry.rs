//! The record of one session: filled while it runs, rendered once when it is over, for people or for machines, in the same
//! words.
//!
//! It never holds a secret or a byte of what was relayed. `docs/ledger.md` lists its fields, and a test compares.

use closenotify::{HandshakeError, SessionFacts};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use super::endings::{DIRECTIONS, Received, SessionEndings};
use super::result::{EndedFirst, Phase, SessionResult, Stop, classify};
use super::text::{Quoted, Value, bounded, timestamp};

/// One session. `docs/ledger.md` says what each field means.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) started: SystemTime,
    pub(crate) session: u64,
    /// The listener's name.
    pub(crate) listener: Arc<str>,
    /// An address and a port, or `unix`. With a PROXY header: what the header says.
    pub(crate) client: String,
    /// The address that the connection came from, where a PROXY header named another one as the client.
    pub(crate) proxied_by: Option<String>,
    /// The name of the upstream that the route chose.
    pub(crate) upstream_name: Option<Arc<str>>,
    /// The address that was reached, or the one tried last.
    pub(crate) upstream: Option<String>,
    /// Connections that were tried.
    pub(crate) attempts: u32,
    pub(crate) phase: Phase,
    /// `complete`, `passthrough`, or the word for why it failed.
    pub(crate) handshake: Cow<'static, str>,
    pub(crate) endings: SessionEndings,
    pub(crate) ended_first: Option<EndedFirst>,
    /// Set when the proxy ended a session that could have gone on.
    pub(crate) stop: Option<Stop>,
    /// What was said first on why it did not end well. [`reason`](Self::reason) has more.
    explained: Option<String>,
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
    /// The name in the client's certificate.
    pub(crate) client_certificate: Option<String>,
    pub(crate) resumed: Option<bool>,
    pub(crate) polls: u64,
    pub(crate) wasted_polls: u64,
}

impl Entry {
    /// The entry of a connection that was accepted now.
    pub(crate) fn new(session: u64, listener: Arc<str>, client: String) -> Self {
        Self {
            started: SystemTime::now(),
            session,
            listener,
            client,
            proxied_by: None,
            upstream_name: None,
            upstream: None,
            attempts: 0,
            phase: Phase::Handshake,
            handshake: "complete".into(),
            endings: SessionEndings::default(),
            ended_first: None,
            stop: None,
            explained: None,
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
            client_certificate: None,
            resumed: None,
            polls: 0,
            wasted_polls: 0,
        }
    }

    /// Records a handshake that failed.
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
        if let HandshakeError::TimedOut(deadline) = error {
            self.stop.get_or_insert(Stop::Deadline(*deadline));
        }
        self.explain(error.to_string());
    }

    /// Records what the handshake agreed on.
    pub(crate) fn facts(&mut self, facts: &SessionFacts) {
        self.tls_version = Some(facts.version_name());
        self.cipher_suite = Some(facts.cipher_suite_name());
        self.alpn = facts.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
        self.sni = facts.server_name().map(str::to_owned).or_else(|| self.sni.take());
        self.resumed = Some(facts.resumed());
    }

    /// Says why the session did not end well, in words for the person on call. What is said first stays.
    pub(crate) fn explain(&mut self, reason: impl Into<String>) {
        self.explained.get_or_insert_with(|| bounded(&reason.into()).into_owned());
    }

    /// What became of the session.
    pub(crate) fn result(&self) -> SessionResult {
        classify(&self.endings, self.phase, self.ended_first, self.stop)
    }

    /// Why the session did not end clean, in plain words; `None` when every ending was clean.
    pub(crate) fn reason(&self) -> Option<Cow<'_, str>> {
        if let Some(explained) = &self.explained {
            return Some(explained.into());
        }
        let client = self.endings.client_received.as_ref();
        if self.result() == SessionResult::Complete {
            let how = match client.filter(|client| client.is_truncated_by_peer())? {
                Received::Tls(closenotify::ReceivedEnding::Reset) => "by a reset",
                _ => "without close_notify",
            };
            return Some(format!("the client left {how} after its complete answer; nothing was lost").into());
        }
        if let Some(stop) = self.stop {
            return Some(stop.to_string().into());
        }
        let client = client.filter(|client| client.is_truncated_by_peer()).map(|client| format!("client: {client}"));
        let upstream = self.endings.upstream_received.as_ref().filter(|upstream| upstream.is_truncated_by_peer());
        let upstream = upstream.map(|upstream| format!("upstream: {upstream}, so the answer may be incomplete"));
        let undelivered = || {
            let sent = self.endings.client_sent.as_ref().filter(|sent| !sent.is_complete())?;
            Some(match sent.alert() {
                Some(alert) => format!("client: the proxy sent the fatal alert {alert}"),
                None => "client: it left before its answer was complete".into(),
            })
        };
        let found = match self.ended_first {
            Some(EndedFirst::Upstream) => upstream.or(client),
            _ => client.or(upstream),
        };
        found.or_else(undelivered).map(|reason| bounded(&reason).into_owned().into())
    }

    /// The JSON form, without a newline.
    pub(super) fn to_json(&self) -> String {
        // Strings and numbers only: there is nothing in it that JSON cannot hold.
        serde_json::to_string(&Line::of(self)).unwrap_or_default()
    }
}

/// The form for people.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = Line::of(self);
        let relayed = self.phase == Phase::Relay;
        write!(f, "{} {} session={}", line.result.word(), line.time, line.session)?;
        write!(f, " listener={} client={}", Value(line.listener), Value(line.client))?;
        if let Some(by) = line.proxied_by {
            write!(f, " proxied_by={}", Value(by))?;
        }
        if let Some(name) = line.upstream_name {
            write!(f, " upstream_name={}", Value(name))?;
        }
        if let Some(upstream) = line.upstream {
            write!(f, " upstream={}", Value(upstream))?;
        }
        if !relayed {
            write!(f, " phase={} handshake={}", self.phase.word(), Value(line.handshake))?;
        }
        for (name, word) in DIRECTIONS.iter().zip(self.endings.words()) {
            if let Some(word) = word {
                write!(f, " {name}={word}")?;
            }
        }
        if let Some(first) = self.ended_first {
            write!(f, " ended_first={}", first.word())?;
        }
        if let Some(reason) = &line.reason {
            write!(f, " reason={}", Quoted(reason))?;
        }
        if relayed {
            write!(f, " bytes_from_client={}", self.bytes_from_client)?;
            write!(f, " bytes_from_upstream={}", self.bytes_from_upstream)?;
        }
        for (name, count) in [("trailing_bytes", self.trailing_bytes), ("discarded_bytes", self.discarded_bytes)] {
            if count > 0 {
                write!(f, " {name}={count}")?;
            }
        }
        if self.attempts > 1 {
            write!(f, " attempts={}", self.attempts)?;
        }
        write!(f, " duration_ms={}", self.duration_ms)?;
        for (name, value) in [
            ("tls_version", line.tls_version),
            ("cipher_suite", line.cipher_suite),
            ("alpn", line.alpn.as_deref()),
            ("sni", line.sni.as_deref()),
            ("client_certificate", line.client_certificate.as_deref()),
        ] {
            if let Some(value) = value {
                write!(f, " {name}={}", Value(value))?;
            }
        }
        if relayed {
            write!(f, " polls={} wasted_polls={}", self.polls, self.wasted_polls)?;
        }
        Ok(())
    }
}

/// The fields of the JSON form, in their order.
#[derive(Serialize)]
struct Line<'a> {
    result: SessionResult,
    event: &'static str,
    time: String,
    session: u64,
    listener: &'a str,
    client: &'a str,
    proxied_by: Option<&'a str>,
    upstream_name: Option<&'a str>,
    upstream: Option<&'a str>,
    attempts: u32,
    phase: Phase,
    handshake: &'a str,
    client_received: Option<Cow<'static, str>>,
    client_sent: Option<Cow<'static, str>>,
    upstream_received: Option<Cow<'static, str>>,
    upstream_sent: Option<Cow<'static, str>>,
    ended_first: Option<EndedFirst>,
    reason: Option<Cow<'a, str>>,
    trailing_bytes: u64,
    bytes_from_client: u64,
    bytes_from_upstream: u64,
    discarded_bytes: u64,
    handshake_ms: f64,
    duration_ms: f64,
    tls_version: Option<&'static str>,
    cipher_suite: Option<&'a str>,
    alpn: Option<Cow<'a, str>>,
    sni: Option<Cow<'a, str>>,
    client_certificate: Option<Cow<'a, str>>,
    resumed: Option<bool>,
    polls: u64,
    wasted_polls: u64,
}

impl<'a> Line<'a> {
    fn of(entry: &'a Entry) -> Self {
        let [client_received, client_sent, upstream_received, upstream_sent] = entry.endings.words();
        Self {
            result: entry.result(),
            event: "session",
            time: timestamp(entry.started),
            session: entry.session,
            listener: &entry.listener,
            client: &entry.client,
            proxied_by: entry.proxied_by.as_deref(),
            upstream_name: entry.upstream_name.as_deref(),
            upstream: entry.upstream.as_deref(),
            attempts: entry.attempts,
            phase: entry.phase,
            handshake: &entry.handshake,
            client_received,
            client_sent,
            upstream_received,
            upstream_sent,
            ended_first: entry.ended_first,
            reason: entry.reason(),
            trailing_bytes: entry.trailing_bytes,
            bytes_from_client: entry.bytes_from_client,
            bytes_from_upstream: entry.bytes_from_upstream,
            discarded_bytes: entry.discarded_bytes,
            handshake_ms: entry.handshake_ms,
            duration_ms: entry.duration_ms,
            tls_version: entry.tls_version,
            cipher_suite: entry.cipher_suite.as_deref(),
            alpn: entry.alpn.as_deref().map(bounded),
            sni: entry.sni.as_deref().map(bounded),
            client_certificate: entry.client_certificate.as_deref().map(bounded),
            resumed: entry.resumed,
            polls: entry.polls,
            wasted_polls: entry.wasted_polls,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::documented;
    use super::super::text::TEXT_MAX;
    use super::*;
    use crate::relay::TcpEnding;
    use closenotify::{AlertDescription, Deadline, ReceivedEnding, SentEnding};

    fn entry() -> Entry {
        Entry::new(7, "web".into(), "[::1]:5".into())
    }

    #[test]
    fn json_has_the_documented_fields_in_their_order_and_no_other() {
        let json = entry().to_json();
        let fields = documented::session_fields();
        let at = |field: &String| json.find(&format!("\"{field}\":"));
        let places: Vec<_> = fields.iter().map(at).collect();
        assert!(places.iter().all(Option::is_some), "{places:?} in {json}");
        assert!(places.is_sorted(), "{places:?} in {json}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value.as_object().unwrap().len(), fields.len());
    }

    #[test]
    fn both_forms_lead_with_the_result() {
        let mut entry = entry();
        entry.phase = Phase::Relay;
        entry.upstream_name = Some("app".into());
        entry.upstream = Some("10.0.0.1:8080".into());
        entry.endings.client(ReceivedEnding::CloseNotify, SentEnding::Aborted);
        entry.endings.upstream(TcpEnding::Reset, TcpEnding::Fin);
        entry.ended_first = Some(EndedFirst::Client);
        entry.started = SystemTime::UNIX_EPOCH;
        entry.duration_ms = 1.5;
        assert!(entry.to_json().starts_with(r#"{"result":"answer_truncated","event":"session","#));
        assert_eq!(
            entry.to_string(),
            "answer_truncated 1970-01-01T00:00:00.000Z session=7 listener=web client=[::1]:5 upstream_name=app \
             upstream=10.0.0.1:8080 client_received=close_notify client_sent=aborted upstream_received=reset \
             upstream_sent=fin ended_first=client \
             reason=\"upstream: the peer reset the connection, so the answer may be incomplete\" bytes_from_client=0 \
             bytes_from_upstream=0 duration_ms=1.5 polls=0 wasted_polls=0"
        );
    }

    #[test]
    fn what_a_peer_chose_cannot_forge_or_fill_a_line() {
        let mut entry = entry();
        entry.explain("a \"quoted\"\nline");
        entry.alpn = Some("h2 result=complete".into());
        entry.client_certificate = Some("x".repeat(100_000));
        let text = entry.to_string();
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains(r#" reason="a \"quoted\"\nline" "#), "{text}");
        assert!(text.contains(r#" alpn="h2 result=complete" "#), "{text}");
        assert!(text.len() < 2 * TEXT_MAX && entry.to_json().len() < 3 * TEXT_MAX);
        let mut entry = self::entry();
        entry.explain("y".repeat(100_000));
        assert!(entry.to_json().len() < 2 * TEXT_MAX);
    }

    #[test]
    fn reasons_tell_the_person_on_call_what_happened() {
        use {EndedFirst as First, ReceivedEnding as R, SentEnding as S, TcpEnding as T};
        let rows = [
            (R::CloseNotify, S::CloseNotify, T::Fin, T::Fin, First::Client, None),
            (
                R::Reset,
                S::CloseNotify,
                T::Fin,
                T::Reset,
                First::Upstream,
                Some("the client left by a reset after its complete answer; nothing was lost"),
            ),
            (
                R::Truncated { at: closenotify::TruncatedAt::Boundary },
                S::CloseNotify,
                T::Fin,
                T::Fin,
                First::Upstream,
                Some("the client left without close_notify after its complete answer; nothing was lost"),
            ),
            (
                R::Reset,
                S::Aborted,
                T::Abandoned,
                T::Reset,
                First::Client,
                Some("client: the peer reset the connection"),
            ),
            (
                R::CloseNotify,
                S::Failed(std::io::ErrorKind::BrokenPipe),
                T::Fin,
                T::Fin,
                First::Client,
                Some("client: it left before its answer was complete"),
            ),
            (
                R::Abandoned,
                S::Alert(AlertDescription::INTERNAL_ERROR),
                T::Abandoned,
                T::Reset,
                First::Proxy,
                Some("client: the proxy sent the fatal alert internal_error"),
            ),
        ];
        for (client_received, client_sent, upstream_received, upstream_sent, first, reason) in rows {
            let mut entry = entry();
            entry.phase = Phase::Relay;
            entry.endings.client(client_received, client_sent);
            entry.endings.upstream(upstream_received, upstream_sent);
            entry.ended_first = Some(first);
            assert_eq!(entry.reason().as_deref(), reason, "{:?}", entry.endings);
        }
    }

    #[test]
    fn what_the_proxy_ended_says_so() {
        for (stop, reason) in [
            (Stop::Deadline(Deadline::Idle), "the idle deadline passed"),
            (Stop::Deadline(Deadline::Drain), "the proxy stopped before the session had ended"),
            (
                Stop::Deadline(Deadline::Connect),
                "the connect deadline passed: no address of the upstream was reached in time",
            ),
            (Stop::Deadline(Deadline::Lifetime), "the session reached its maximum lifetime"),
            (Stop::Spin, "the proxy spun on this session; it is a bug of the proxy: please report it"),
            (Stop::Internal, "an internal error of the proxy: please report it"),
        ] {
            let mut entry = entry();
            entry.stop = Some(stop);
            assert_eq!(entry.reason().as_deref(), Some(reason));
        }
    }

    #[test]
    fn a_failed_handshake_says_why_in_words() {
        let mut refused = entry();
        let old = rustls::Error::PeerIncompatible(rustls::PeerIncompatible::Tls12NotOffered);
        refused.handshake_failed(&HandshakeError::Refused(old));
        assert_eq!((refused.result(), &*refused.handshake), (SessionResult::Refused, "refused"));
        let reason = refused.reason().unwrap().into_owned();
        assert!(reason.contains("TLS 1.1 or older; TLS 1.2 and 1.3 are supported"), "{reason}");

        let mut late = entry();
        late.handshake_failed(&HandshakeError::TimedOut(Deadline::Handshake));
        assert_eq!((late.result(), &*late.handshake), (SessionResult::TimedOut, "timed_out_handshake"));
    }

    #[tokio::test]
    async fn the_facts_of_a_handshake_are_entered() {
        let authority = testkit::certs::Authority::new();
        let version = testkit::certs::TlsVersion::V13;
        let (one, other) = tokio::io::duplex(64 * 1024);
        let connector = closenotify::TlsConnector::from(authority.client_config(version));
        let acceptor = closenotify::TlsAcceptor::from(authority.server_config(version));
        let (client, server) =
            tokio::join!(connector.connect("localhost".try_into().unwrap(), one), acceptor.accept(other));
        let (_client, server) = (client.unwrap(), server.unwrap());
        let mut entry = entry();
        entry.facts(server.facts());
        assert_eq!((entry.tls_version, entry.sni.as_deref()), (Some("TLSv1.3"), Some("localhost")));
        assert_eq!(entry.resumed, Some(false));
        assert!(entry.cipher_suite.unwrap().starts_with("TLS_"));
    }
}
