//! What is counted of sessions and events, and that Prometheus' own checker has nothing to say.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use closenotify::{AlertDescription, HandshakeError, ReceivedEnding, SentEnding};

use super::*;
use crate::events::event_tests::one_of_each;
use crate::relay::TcpEnding;

fn line<'a>(text: &'a str, series: &str) -> &'a str {
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("no {series} in\n{text}"))
}

/// Metrics in which everything has happened.
pub(crate) fn busy() -> (Metrics, Now) {
    let metrics = Metrics::new();
    let web = metrics.listener("web");
    let mut entry = Entry::new(1, "web".into(), "192.0.2.1:5".into());
    entry.handshake_failed(&HandshakeError::Alert(AlertDescription::from(231)));
    metrics.session(&web, &entry);
    let mut entry = Entry::new(2, "web".into(), "192.0.2.1:6".into());
    entry.phase = Phase::Relay;
    entry.endings.client(ReceivedEnding::CloseNotify, SentEnding::Aborted);
    entry.endings.upstream(TcpEnding::Reset, TcpEnding::Fin);
    entry.ended_first = Some(EndedFirst::Client);
    (entry.bytes_from_client, entry.bytes_from_upstream) = (10, 2000);
    (entry.handshake_ms, entry.duration_ms) = (3.0, 700.0);
    metrics.session(&web, &entry);
    entry.handshake = "passthrough".into();
    metrics.session(&metrics.listener("raw"), &entry);
    for event in one_of_each() {
        metrics.event(&event);
    }
    metrics.upstream_attempt("app", "10.0.0.1:8080", false);
    let soon = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    metrics.certificates("web", &[(Path::new("/etc/closenotify/web.pem"), soon)]);
    let sessions = BTreeMap::from([("web".into(), 3)]);
    let resting = Some("connection refused".to_owned());
    let upstreams = vec![("app".into(), AddressState { address: "10.0.0.1:8080".into(), sessions: 2, resting })];
    (metrics, Now { sessions, draining: 0, upstreams, lines: LineCounts { written: 5, lost: 1, waiting: 2 } })
}

#[test]
fn sessions_and_events_are_counted() {
    let (metrics, now) = busy();
    metrics.render(&now);
    let text = metrics.render(&now);
    for (series, value) in [
        ("closenotify_sessions_total{listener=\"web\",result=\"answer_truncated\"}", "1"),
        ("closenotify_sessions_total{listener=\"web\",result=\"refused\"}", "1"),
        ("closenotify_sessions_total{listener=\"web\",result=\"complete\"}", "0"),
        ("closenotify_endings_total{direction=\"upstream_received\",ending=\"reset\"}", "2"),
        ("closenotify_endings_total{direction=\"client_sent\",ending=\"aborted\"}", "2"),
        ("closenotify_ended_first_total{side=\"client\"}", "3"),
        ("closenotify_handshake_failures_total{listener=\"web\",reason=\"alert_unknown\"}", "1"),
        ("closenotify_bytes_total{direction=\"from_upstream\",listener=\"web\"}", "2000"),
        ("closenotify_session_duration_seconds_count", "3"),
        ("closenotify_handshake_duration_seconds_count", "1"),
        ("closenotify_sessions{listener=\"web\"}", "3"),
        ("closenotify_ledger_lines_total", "5"),
        ("closenotify_ledger_lines_lost_total", "1"),
        ("closenotify_ledger_lines_waiting", "2"),
        ("closenotify_spins_total", "1"),
        ("closenotify_reloads_total{result=\"failed\"}", "1"),
        ("closenotify_config_last_reload_successful", "0"),
        ("closenotify_accept_pauses_total{reason=\"sessions\"}", "1"),
        ("closenotify_accept_pauses_total{reason=\"accept_failed\"}", "1"),
        ("closenotify_connections_refused_total{reason=\"sessions\"}", "0"),
        ("closenotify_upstream_attempts_total{address=\"10.0.0.1:8080\",result=\"failed\",upstream=\"app\"}", "1"),
        ("closenotify_upstream_resting{address=\"10.0.0.1:8080\",upstream=\"app\"}", "1"),
        ("closenotify_upstream_attempts_total{address=\"10.0.0.1:8080\",result=\"ok\",upstream=\"app\"}", "0"),
        (
            "closenotify_certificate_expiry_timestamp_seconds{listener=\"web\",path=\"/etc/closenotify/web.pem\"}",
            "1800000000",
        ),
    ] {
        assert_eq!(line(&text, series), value, "{series}");
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    let (metrics, mut now) = busy();
    metrics.certificates("other", &[(Path::new("/b.pem"), SystemTime::UNIX_EPOCH)]);
    metrics.certificates("web", &[(Path::new("/new.pem"), SystemTime::UNIX_EPOCH)]);
    now.sessions.clear();
    now.upstreams.clear();
    let text = metrics.render(&now);
    assert!(!text.contains("web.pem") && text.contains("/new.pem") && text.contains("/b.pem"), "{text}");
    assert!(!text.contains("closenotify_sessions{"), "{text}");
    assert!(!text.contains("closenotify_upstream_resting{"), "{text}");
    let removed = Event::Reloaded { added: vec![], removed: vec!["web".into()], changed: vec![] };
    metrics.event(&removed);
    assert!(!metrics.render(&now).contains("/new.pem"));
}

#[test]
fn promtool_has_nothing_to_say() {
    let (metrics, now) = busy();
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is in the Debian package `prometheus`; `cargo xtask peers` installs it");
    promtool.stdin.take().unwrap().write_all(metrics.render(&now).as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
