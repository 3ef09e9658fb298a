//! One place to report to: what is reported once is written to the log, counted in the metrics and shown on the page.
//!
//! It decides nothing about sessions, and nothing that it does can fail or wait.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use crate::board::{Board, Snapshot};
use crate::events::{Entry, Event, Events, SessionResult};
use crate::listener::Slot;
use crate::live::{LiveSession, LiveSessions};
use crate::metrics::{ListenerMetrics, Metrics, Now};
use crate::upstream::{AddressState, Upstream};

/// Log, metrics, live sessions and the board of a process. Shared by all workers.
#[derive(Debug)]
pub(crate) struct Telemetry {
    events: Events,
    metrics: Metrics,
    live: Arc<LiveSessions>,
    board: Board,
    stage: AtomicU8,
    /// Those that accept connections.
    listeners: Mutex<BTreeSet<Arc<str>>>,
    /// Those that sessions go to, by name.
    upstreams: Mutex<Vec<(String, Arc<Slot<Upstream>>)>>,
}

/// Where the process is in its life.
///
/// ```text
/// Starting ──ready()──▶ Ready ──Event::Draining──▶ Draining
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It does not listen yet.
    Starting,
    /// It takes connections.
    Ready,
    /// It takes no connections, or only those for a successor.
    Draining,
}

impl Telemetry {
    /// One that reports to this log.
    pub(crate) fn new(events: Events) -> Arc<Self> {
        Self::since(Instant::now(), events)
    }

    /// One that began at this time.
    fn since(start: Instant, events: Events) -> Arc<Self> {
        Arc::new(Self {
            events,
            metrics: Metrics::new(),
            live: Arc::default(),
            board: Board::new(start),
            stage: AtomicU8::new(Stage::Starting as u8),
            listeners: Mutex::default(),
            upstreams: Mutex::default(),
        })
    }

    /// The log.
    pub(crate) fn events(&self) -> &Events {
        &self.events
    }

    /// The metrics, for what neither a session nor an event counts.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The sessions that run.
    pub(crate) fn live(&self) -> &Arc<LiveSessions> {
        &self.live
    }

    /// A listener accepts connections from now on. What is returned is for its sessions.
    pub(crate) fn listener(&self, name: &str) -> ListenerMetrics {
        let metrics = self.metrics.listener(name);
        self.open_listeners().insert(Arc::clone(metrics.name()));
        metrics
    }

    /// A session begins.
    pub(crate) fn open(&self, listener: &ListenerMetrics, number: u64, client: String) -> LiveSession {
        self.live.open(number, client, Arc::clone(listener.name()))
    }

    /// A session is over.
    pub(crate) fn closed(&self, listener: &ListenerMetrics, entry: Entry) {
        self.events.session(&entry);
        self.metrics.session(listener, &entry);
        self.board.session(entry, Instant::now());
    }

    /// Something else happened. Each time is counted, also where no line is written for it.
    pub(crate) fn tell(&self, event: &Event) {
        match event {
            Event::Draining { .. } | Event::Aborting { .. } => self.set_stage(Stage::Draining),
            Event::Reloaded { removed, .. } => {
                self.open_listeners().retain(|name| !removed.iter().any(|gone| **gone == **name));
            }
            _ => {}
        }
        self.metrics.event(event);
        if self.events.tell(event) {
            self.board.event(event);
        }
    }

    /// All listeners accept connections. Does nothing once draining was ordered.
    pub(crate) fn ready(&self) {
        let _ = self.stage.compare_exchange(
            Stage::Starting as u8,
            Stage::Ready as u8,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Where the process is.
    pub(crate) fn stage(&self) -> Stage {
        match self.stage.load(Ordering::Relaxed) {
            stage if stage == Stage::Starting as u8 => Stage::Starting,
            stage if stage == Stage::Ready as u8 => Stage::Ready,
            _ => Stage::Draining,
        }
    }

    /// Sets the certificates that a listener uses, each with the time when it expires.
    pub(crate) fn set_certificates(&self, listener: &str, all: Vec<(PathBuf, SystemTime)>) {
        let pairs: Vec<(&Path, SystemTime)> = all.iter().map(|(path, expires)| (&**path, *expires)).collect();
        self.metrics.certificates(listener, &pairs);
        self.board.certificates(listener, all);
    }

    /// Sets the upstreams, each with its name.
    pub(crate) fn watch_upstreams(&self, all: Vec<(String, Arc<Slot<Upstream>>)>) {
        *self.upstreams.lock().unwrap_or_else(PoisonError::into_inner) = all;
    }

    /// What each address of each upstream does now.
    pub(crate) fn upstreams(&self) -> Vec<(String, AddressState)> {
        let watched = self.upstreams.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let states = |(name, slot): (String, Arc<Slot<Upstream>>)| {
            slot.get().addresses().into_iter().map(move |state| (name.clone(), state))
        };
        watched.into_iter().flat_map(states).collect()
    }

    /// The text that Prometheus reads.
    pub(crate) fn metrics_text(&self) -> String {
        let running = self.live.by_listener();
        let open = self.open_listeners().clone();
        let draining = match self.stage() {
            Stage::Draining => running.values().sum(),
            Stage::Starting | Stage::Ready => {
                running.iter().filter(|(name, _)| !open.contains(*name)).map(|(_, count)| count).sum()
            }
        };
        let mut sessions: BTreeMap<_, _> = open.into_iter().map(|name| (name, 0)).collect();
        sessions.extend(running);
        self.metrics.render(&Now { sessions, draining, upstreams: self.upstreams(), lines: self.events.lines() })
    }

    /// What the page shows beside live sessions.
    pub(crate) fn snapshot(&self, result: Option<SessionResult>) -> Snapshot {
        self.board.snapshot(result, Instant::now())
    }

    fn set_stage(&self, stage: Stage) {
        self.stage.store(stage as u8, Ordering::Relaxed);
    }

    fn open_listeners(&self) -> MutexGuard<'_, BTreeSet<Arc<str>>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{LogFormat, LogSettings, WhenFull};
    use crate::events::{Limit, Phase};
    use std::time::Duration;

    impl Telemetry {
        /// Puts a session on the board alone, as if it had ended so long ago.
        pub(crate) fn plant(&self, entry: Entry, ago: Duration) {
            self.board.session(entry, Instant::now().checked_sub(ago).unwrap_or_else(Instant::now));
        }
    }

    /// One that reports to a file in a folder that goes with it, and runs for half an hour where the machine does.
    pub(crate) fn quiet() -> (Arc<Telemetry>, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let file = Some(folder.path().join("log"));
        let settings = LogSettings { format: LogFormat::Json, file, skip: Vec::new() };
        let start = Instant::now().checked_sub(Duration::from_secs(1800)).unwrap_or_else(Instant::now);
        (Telemetry::since(start, Events::open(&settings).unwrap()), folder)
    }

    fn value(telemetry: &Telemetry, series: &str) -> String {
        let text = telemetry.metrics_text();
        let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {series} in\n{text}")).to_owned()
    }

    #[test]
    fn one_report_reaches_log_metrics_and_board() {
        let (telemetry, folder) = quiet();
        let web = telemetry.listener("web");
        assert_eq!(value(&telemetry, "closenotify_sessions{listener=\"web\"}"), "0");
        let session = telemetry.open(&web, 1, "192.0.2.1:5".into());
        session.set_phase(Phase::Relay);
        assert_eq!(value(&telemetry, "closenotify_sessions{listener=\"web\"}"), "1");
        drop(session);
        telemetry.closed(&web, Entry::new(1, "web".into(), "192.0.2.1:5".into()));
        assert!(telemetry.events().flush(Duration::from_secs(20)));
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert!(log.starts_with(r#"{"result":"refused","event":"session""#), "{log}");
        assert_eq!(value(&telemetry, "closenotify_sessions_total{listener=\"web\",result=\"refused\"}"), "1");
        assert_eq!(value(&telemetry, "closenotify_sessions{listener=\"web\"}"), "0");
        assert_eq!(telemetry.snapshot(None).unclean.len(), 1);
    }

    #[test]
    fn what_happens_a_thousand_times_is_one_line_and_a_thousand_counts() {
        let (telemetry, _folder) = quiet();
        let event = Event::LimitReached { limit: Limit::Sessions, value: 2, action: WhenFull::Refuse };
        for _ in 0..1000 {
            telemetry.tell(&event);
        }
        assert_eq!(value(&telemetry, "closenotify_connections_refused_total{reason=\"sessions\"}"), "1000");
        // A machine that stands still for seconds may have written a few.
        assert!(telemetry.snapshot(None).events.len() < 10);
    }

    #[test]
    fn sessions_drain_with_their_listener_or_with_the_process() {
        let telemetry = Telemetry::new(
            Events::open(&LogSettings { file: Some("/dev/null".into()), ..Default::default() }).unwrap(),
        );
        assert_eq!(telemetry.stage(), Stage::Starting);
        let (web, db) = (telemetry.listener("web"), telemetry.listener("db"));
        telemetry.ready();
        assert_eq!(telemetry.stage(), Stage::Ready);
        let _sessions = [telemetry.open(&web, 1, "unix".into()), telemetry.open(&db, 2, "unix".into())];
        assert_eq!(value(&telemetry, "closenotify_sessions_draining"), "0");
        telemetry.tell(&Event::Reloaded { added: vec![], removed: vec!["db".into()], changed: vec![] });
        assert_eq!(value(&telemetry, "closenotify_sessions_draining"), "1");
        telemetry.tell(&Event::Draining { signal: "SIGTERM".into(), drain: Duration::from_secs(30) });
        assert_eq!(value(&telemetry, "closenotify_sessions_draining"), "2");
        telemetry.ready();
        assert_eq!(telemetry.stage(), Stage::Draining, "never backwards");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_rests_until_its_rest_is_over_and_not_until_somebody_comes() {
        let (telemetry, _folder) = quiet();
        let resting = || value(&telemetry, "closenotify_upstream_resting{address=\"192.0.2.1:1\",upstream=\"app\"}");
        let upstream = Upstream::planted("app", &[("192.0.2.1:1", Some("connection refused"))]);
        telemetry.watch_upstreams(vec![("app".into(), Arc::new(Slot::new(upstream)))]);
        assert_eq!(resting(), "1");
        assert_eq!(telemetry.upstreams()[0].1.resting.as_deref(), Some("connection refused"));
        tokio::time::advance(Duration::from_secs(60 * 60)).await;
        assert_eq!(resting(), "0");
        assert_eq!(telemetry.upstreams()[0].1.resting, None);
    }

    #[test]
    fn upstreams_and_certificates_follow_the_settings() {
        let (telemetry, _folder) = quiet();
        let watch = |addresses: &[(&str, Option<&str>)]| {
            let upstream = Arc::new(Slot::new(Upstream::planted("app", addresses)));
            telemetry.watch_upstreams(vec![("app".into(), upstream)]);
            telemetry.metrics_text()
        };
        assert!(watch(&[("a:1", Some("no")), ("b:1", None)]).contains("closenotify_upstream_resting{address=\"b:1\""));
        assert!(!watch(&[("a:1", Some("no"))]).contains("closenotify_upstream_resting{address=\"b:1\""));
        assert_eq!(value(&telemetry, "closenotify_upstream_resting{address=\"a:1\",upstream=\"app\"}"), "1");
        telemetry.metrics().upstream_attempt("app", "a:1", true);
        let attempts = "closenotify_upstream_attempts_total{address=\"a:1\",result=\"ok\",upstream=\"app\"}";
        assert_eq!(value(&telemetry, attempts), "1");
        telemetry.set_certificates("web", vec![("/a.pem".into(), SystemTime::UNIX_EPOCH)]);
        assert_eq!(telemetry.snapshot(None).certificates.len(), 1);
        assert!(telemetry.metrics_text().contains("path=\"/a.pem\""));
    }
}
