//! What the proxy counts, for Prometheus.
//!
//! A session costs a handful of atomic additions, at its end; bytes of a session that runs are not counted yet. Whatever a
//! peer chooses never becomes a label: labels are listeners, upstreams and words of closed lists.

mod process;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use prometheus::core::Collector;
use prometheus::{
    Counter, Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry, TextEncoder,
};

use crate::config::WhenFull;
use crate::events::{DIRECTIONS, EndedFirst, Entry, Event, Limit, LineCounts, Phase, SessionResult, label};
use crate::upstream::AddressState;

/// All metrics of a process.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    sessions: IntCounterVec,
    endings: IntCounterVec,
    ended_first: [IntCounter; 3],
    handshake_failures: IntCounterVec,
    bytes: IntCounterVec,
    trailing_bytes: IntCounter,
    discarded_bytes: IntCounter,
    session_duration: Histogram,
    handshake_duration: Histogram,
    live: IntGaugeVec,
    live_draining: IntGauge,
    wasted_polls: IntCounter,
    spins: IntCounter,
    expiry: GaugeVec,
    reloads: IntCounterVec,
    reload_successful: IntGauge,
    certificate_rejections: IntCounter,
    ledger_lines: IntCounter,
    ledger_lines_lost: IntCounter,
    ledger_lines_waiting: IntGauge,
    upstream_attempts: IntCounterVec,
    upstream_resting: IntGaugeVec,
    upstream_sessions: IntGaugeVec,
    lookup_failures: IntCounter,
    refused: IntCounterVec,
    accept_pauses: IntCounterVec,
    process: process::Process,
    /// What is set at each look; one look at a time.
    looking: Mutex<()>,
}

impl Metrics {
    /// All of them, at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let metrics = Self {
            sessions: counters(
                &registry,
                "sessions_total",
                "Sessions that are over, by what became of them.",
                &["listener", "result"],
            ),
            endings: counters(
                &registry,
                "endings_total",
                "Directions of sessions that are over, by how each ended.",
                &["direction", "ending"],
            ),
            ended_first: {
                let sides =
                    counters(&registry, "ended_first_total", "Sessions that are over, by who ended first.", &["side"]);
                EndedFirst::ALL.map(|side| sides.with_label_values(&[side.word()]))
            },
            handshake_failures: counters(
                &registry,
                "handshake_failures_total",
                "TLS handshakes with clients that failed, by reason.",
                &["listener", "reason"],
            ),
            bytes: counters(
                &registry,
                "bytes_total",
                "Plaintext bytes relayed by sessions that are over, by the side that they came from.",
                &["listener", "direction"],
            ),
            trailing_bytes: counter(
                &registry,
                "trailing_bytes_total",
                "Bytes that clients sent after their close_notify.",
            ),
            discarded_bytes: counter(
                &registry,
                "discarded_bytes_total",
                "Bytes of clients discarded after their answer was complete.",
            ),
            session_duration: histogram(
                &registry,
                "session_duration_seconds",
                "Duration of sessions that are over.",
                &[0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0],
            ),
            handshake_duration: histogram(
                &registry,
                "handshake_duration_seconds",
                "Duration of TLS handshakes with clients that succeeded.",
                &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0],
            ),
            live: gauges(&registry, "sessions", "Sessions that run now.", &["listener"]),
            live_draining: gauge(&registry, "sessions_draining", "Sessions that run now on a listener that is closed."),
            wasted_polls: counter(
                &registry,
                "wasted_polls_total",
                "Polls of sessions that achieved nothing although nothing had happened.",
            ),
            spins: counter(&registry, "spins_total", "Sessions that spun: ten thousand wasted polls within a second."),
            expiry: {
                let name = "certificate_expiry_timestamp_seconds";
                let opts = opts(name, "When each certificate in use expires, as a Unix time.");
                registered(&registry, GaugeVec::new(opts, &["listener", "path"]))
            },
            reloads: counters(&registry, "reloads_total", "Reloads of the settings.", &["result"]),
            reload_successful: gauge(
                &registry,
                "config_last_reload_successful",
                "Whether the last load of the settings succeeded.",
            ),
            certificate_rejections: counter(
                &registry,
                "certificate_rejections_total",
                "Files of certificates, keys, OCSP responses, CA certificates and ticket keys that could not be used.",
            ),
            ledger_lines: counter(&registry, "ledger_lines_total", "Lines of the log that were written."),
            ledger_lines_lost: counter(&registry, "ledger_lines_lost_total", "Lines of the log that were lost."),
            ledger_lines_waiting: gauge(
                &registry,
                "ledger_lines_waiting",
                "Lines of the log that are not written yet. Many, or for long: its disk is full, or its reader does not read.",
            ),
            upstream_attempts: counters(
                &registry,
                "upstream_attempts_total",
                "Connections to upstreams that were tried, by configured address.",
                &["upstream", "address", "result"],
            ),
            upstream_resting: gauges(
                &registry,
                "upstream_resting",
                "Whether an address of an upstream rests now, or is being tried after its rest, because it failed. A rest is 1 to 30 s.",
                &["upstream", "address"],
            ),
            upstream_sessions: gauges(
                &registry,
                "upstream_sessions",
                "Sessions that an address of an upstream has, those that connect included.",
                &["upstream", "address"],
            ),
            lookup_failures: counter(
                &registry,
                "lookup_failures_total",
                "Names of upstreams that could not be resolved.",
            ),
            refused: counters(
                &registry,
                "connections_refused_total",
                "Connections that were reset because there was no room.",
                &["reason"],
            ),
            accept_pauses: counters(
                &registry,
                "accept_pauses_total",
                "Times that accepting stopped because there was no room.",
                &["reason"],
            ),
            process: process::Process::new(&registry),
            looking: Mutex::new(()),
            registry,
        };
        let build =
            gauges(&metrics.registry, "build_info", "Always 1; the version of the program is a label.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        metrics.reload_successful.set(1);
        // Zero before the first time, so that a rate has a beginning.
        for result in ["ok", "failed"] {
            metrics.reloads.with_label_values(&[result]);
        }
        for limit in Limit::ALL {
            metrics.refused.with_label_values(&[limit.word()]);
            metrics.accept_pauses.with_label_values(&[limit.word()]);
        }
        metrics.accept_pauses.with_label_values(&["accept_failed"]);
        metrics
    }

    /// The handles of a listener; asked for once when it starts.
    pub(crate) fn listener(&self, name: &str) -> ListenerMetrics {
        ListenerMetrics {
            name: name.into(),
            results: SessionResult::ALL.map(|result| self.sessions.with_label_values(&[name, result.word()])),
            bytes: ["from_client", "from_upstream"].map(|side| self.bytes.with_label_values(&[name, side])),
        }
    }

    /// Counts a session that is over.
    pub(crate) fn session(&self, listener: &ListenerMetrics, entry: &Entry) {
        let result = entry.result();
        let at = SessionResult::ALL.iter().position(|known| *known == result).expect("ALL has all of them");
        listener.results[at].inc();
        listener.bytes[0].inc_by(entry.bytes_from_client);
        listener.bytes[1].inc_by(entry.bytes_from_upstream);
        for (direction, ending) in DIRECTIONS.iter().zip(entry.endings.labels()) {
            if let Some(ending) = ending {
                self.endings.with_label_values(&[*direction, &*ending]).inc();
            }
        }
        if let Some(first) = entry.ended_first {
            let at = EndedFirst::ALL.iter().position(|known| *known == first).expect("ALL has all of them");
            self.ended_first[at].inc();
        }
        if entry.phase == Phase::Handshake {
            let reason = label(entry.handshake.clone());
            self.handshake_failures.with_label_values(&[&*listener.name, &*reason]).inc();
        } else if entry.handshake == "complete" {
            self.handshake_duration.observe(entry.handshake_ms / 1e3);
        }
        self.session_duration.observe(entry.duration_ms / 1e3);
        self.trailing_bytes.inc_by(entry.trailing_bytes);
        self.discarded_bytes.inc_by(entry.discarded_bytes);
        self.wasted_polls.inc_by(entry.wasted_polls);
    }

    /// Counts an event.
    pub(crate) fn event(&self, event: &Event) {
        match event {
            Event::AcceptFailed { .. } => self.accept_pauses.with_label_values(&["accept_failed"]).inc(),
            Event::LimitReached { limit, action, .. } => {
                let counted = match action {
                    WhenFull::Wait => &self.accept_pauses,
                    WhenFull::Refuse => &self.refused,
                };
                counted.with_label_values(&[limit.word()]).inc();
            }
            Event::Reloaded { removed, .. } => {
                self.reloads.with_label_values(&["ok"]).inc();
                self.reload_successful.set(1);
                for listener in removed {
                    self.certificates(listener, &[]);
                }
            }
            Event::ReloadFailed { .. } => {
                self.reloads.with_label_values(&["failed"]).inc();
                self.reload_successful.set(0);
            }
            Event::CertificateRejected { .. } => self.certificate_rejections.inc(),
            Event::LookupFailed { .. } => self.lookup_failures.inc(),
            Event::Spin { .. } => self.spins.inc(),
            _ => {}
        }
    }

    /// Sets the certificates that a listener uses, and when each expires; those it had before are forgotten.
    pub(crate) fn certificates(&self, listener: &str, all: &[(&Path, SystemTime)]) {
        let _one_at_a_time = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        for family in self.expiry.collect() {
            for metric in family.get_metric() {
                let value = |name| {
                    metric.get_label().iter().find(|pair| pair.name() == name).map(prometheus::proto::LabelPair::value)
                };
                if let (Some(owner), Some(path)) = (value("listener"), value("path"))
                    && owner == listener
                {
                    let _ = self.expiry.remove_label_values(&[owner, path]);
                }
            }
        }
        for (path, expires) in all {
            let seconds = expires.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
            self.expiry.with_label_values(&[listener, &*path.to_string_lossy()]).set(seconds);
        }
    }

    /// Counts an attempt to connect to an upstream's address, as configured.
    pub(crate) fn upstream_attempt(&self, upstream: &str, address: &str, connected: bool) {
        let [ok, failed] = ATTEMPT_RESULTS;
        let result = if connected { ok } else { failed };
        self.upstream_attempts.with_label_values(&[upstream, address, result]).inc();
    }

    /// All metrics as text, and what is not counted but looked up: `now`.
    pub(crate) fn render(&self, now: &Now) -> String {
        let _one_at_a_time = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        self.live.reset();
        for (listener, count) in &now.sessions {
            self.live.with_label_values(&[listener]).set(int(*count));
        }
        self.live_draining.set(int(now.draining));
        self.upstream_sessions.reset();
        self.upstream_resting.reset();
        for (upstream, AddressState { address, sessions, resting }) in &now.upstreams {
            let sessions = i64::try_from(*sessions).unwrap_or(i64::MAX);
            self.upstream_sessions.with_label_values(&[upstream, address]).set(sessions);
            self.upstream_resting.with_label_values(&[upstream, address]).set(resting.is_some().into());
            // Zero before the first time, so that a rate has a beginning.
            for result in ATTEMPT_RESULTS {
                self.upstream_attempts.with_label_values(&[upstream, address, result]);
            }
        }
        catch_up(&self.ledger_lines, now.lines.written);
        catch_up(&self.ledger_lines_lost, now.lines.lost);
        self.ledger_lines_waiting.set(i64::try_from(now.lines.waiting).unwrap_or(i64::MAX));
        self.process.look();
        let mut text = Vec::new();
        // Into memory, and of families that were registered: nothing can fail.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

/// The metrics of one listener.
#[derive(Clone, Debug)]
pub(crate) struct ListenerMetrics {
    name: Arc<str>,
    results: [IntCounter; 6],
    bytes: [IntCounter; 2],
}

impl ListenerMetrics {
    /// The listener's name.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// What is looked up when somebody asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Now {
    /// Sessions that run, by listener; every listener is there.
    pub(crate) sessions: BTreeMap<Arc<str>, usize>,
    /// Those of them whose listener is closed.
    pub(crate) draining: usize,
    /// The addresses of the upstreams, each with its upstream's name.
    pub(crate) upstreams: Vec<(String, AddressState)>,
    pub(crate) lines: LineCounts,
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace(NAMESPACE)
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::with_opts(opts(name, help)))
}

fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(registry, IntCounterVec::new(opts(name, help), labels))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::with_opts(opts(name, help)))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    registered(registry, IntGaugeVec::new(opts(name, help), labels))
}

fn histogram(registry: &Registry, name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::new(name, help).namespace(NAMESPACE).buckets(buckets.to_vec());
    registered(registry, Histogram::with_opts(opts))
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let made = made.expect("names, labels and buckets are constants that a test has seen");
    registry.register(Box::new(made.clone())).expect("each name is registered once; a test has seen it");
    made
}

/// Brings a counter to a total that is counted elsewhere.
fn catch_up(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn int(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

const NAMESPACE: &str = "closenotify";

/// What becomes of an attempt to connect to an upstream.
const ATTEMPT_RESULTS: [&str; 2] = ["ok", "failed"];
