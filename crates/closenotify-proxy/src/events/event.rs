//! Everything that the proxy reports beside its sessions: one closed list, with one word, one level and one text each.
//!
//! An event says what happened; who counts it or writes it is not its concern. `docs/ledger.md` lists all of them, and a test
//! compares.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::text::{bounded, timestamp};
use crate::config::{SpinAction, WhenFull};

/// Something that happened to the proxy as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The process has its settings and begins.
    Started {
        /// Of this program.
        version: &'static str,
        /// Of this process.
        pid: u32,
        /// Threads that serve sessions.
        workers: usize,
    },
    /// A listener accepts connections.
    Listening {
        /// Its name.
        listener: String,
        /// Where, with the port that was taken.
        address: String,
    },
    /// A listener cannot accept connections now, and tries again. One line a second at most.
    AcceptFailed {
        /// Its name.
        listener: String,
        /// What the system says.
        reason: String,
    },
    /// There is no room for a connection. One line a second and limit at most.
    LimitReached {
        /// Which limit.
        limit: Limit,
        /// Its value.
        value: u64,
        /// What happens to the connection.
        action: WhenFull,
    },
    /// The limit of open files allows fewer sessions than the settings.
    LimitLowered {
        /// Both numbers, and what to do.
        reason: String,
    },
    /// Draining was ordered.
    Draining {
        /// By what.
        signal: String,
        /// For how long at most.
        drain: Duration,
    },
    /// Aborting was ordered.
    Aborting {
        /// By what.
        signal: String,
    },
    /// No session is left after the order to drain.
    Drained {
        /// Sessions that came to their own end.
        finished: u64,
        /// Sessions that were reset.
        aborted: u64,
    },
    /// New settings are in force.
    Reloaded {
        /// Listeners that are new.
        added: Vec<String>,
        /// Listeners that are gone; their sessions go on.
        removed: Vec<String>,
        /// Listeners with other settings, for new sessions.
        changed: Vec<String>,
    },
    /// The new settings are wrong; the old ones stay in force.
    ReloadFailed {
        /// What is wrong, and where.
        error: String,
    },
    /// New certificates, ticket keys or other settings of TLS are in use at a listener.
    TlsReloaded {
        /// Its name.
        listener: String,
        /// What changed, in words.
        changes: Vec<String>,
    },
    /// New CA certificates or another client certificate are in use to an upstream.
    UpstreamTlsReloaded {
        /// Its name.
        upstream: String,
        /// What changed, in words.
        changes: Vec<String>,
    },
    /// A certificate, a key, an OCSP response, a file of CA certificates or of ticket keys cannot be used; what was good stays in
    /// use.
    CertificateRejected {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what stays in use.
        reason: String,
    },
    /// A certificate has few days left.
    CertificateExpiresSoon {
        /// The file.
        path: PathBuf,
        /// Days left; negative once it has expired.
        days: i64,
    },
    /// An upstream's address is not used for a while.
    UpstreamFailing {
        /// The upstream's name.
        upstream: String,
        /// The address, as configured.
        address: String,
        /// What failed.
        reason: String,
    },
    /// An upstream's address is used again.
    UpstreamRecovered {
        /// The upstream's name.
        upstream: String,
        /// The address, as configured.
        address: String,
    },
    /// A name cannot be resolved. One line a second at most.
    LookupFailed {
        /// The name.
        name: String,
        /// What the resolver says.
        reason: String,
    },
    /// A session spins.
    Spin {
        /// Its number.
        session: u64,
        /// Polls that achieved nothing,
        wasted: u64,
        /// within this time.
        within: Duration,
        /// What happens to it.
        action: SpinAction,
    },
    /// The log file was opened anew.
    LogReopened {
        /// Its path.
        path: PathBuf,
    },
    /// The log file cannot be opened; lines still go to the file that is open.
    LogReopenFailed {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Lines were lost, because the log could not be written fast enough.
    LinesLost {
        /// How many, since the last such line.
        lines: u64,
    },
    /// A successor can take the listeners over.
    TakeoverOffered {
        /// The socket at which.
        path: PathBuf,
    },
    /// A successor has taken the listeners over.
    TakeoverDone {
        /// How many sockets.
        sockets: usize,
    },
    /// A successor came and did not take the listeners over; this process goes on.
    TakeoverFailed {
        /// Why.
        reason: String,
    },
    /// A thread panicked: a bug of ours.
    InternalError {
        /// What it says.
        message: String,
        /// Where, in our sources.
        location: String,
    },
}

/// A limit on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// Sessions at a time.
    Sessions,
    /// Sessions at a time from one client address.
    SessionsPerAddress,
    /// Handshakes in a second.
    HandshakesPerSecond,
}

impl Limit {
    pub(crate) const ALL: [Self; 3] = [Self::Sessions, Self::SessionsPerAddress, Self::HandshakesPerSecond];

    /// The stable machine word: the name of the setting.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::SessionsPerAddress => "sessions_per_address",
            Self::HandshakesPerSecond => "handshakes_per_second",
        }
    }
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Nothing to do.
    Info,
    /// Somebody should look at it in working hours.
    Warning,
    /// Sessions or lines are lost, or an order was not carried out.
    Error,
}

impl Level {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl Event {
    /// The stable machine word.
    pub fn word(&self) -> &'static str {
        self.parts().0
    }

    pub(crate) fn level(&self) -> Level {
        self.parts().1
    }

    /// `ok` or `failed`: the first word of the line, where a session has its result.
    pub(crate) fn result(&self) -> &'static str {
        match (self, self.level()) {
            (Self::CertificateExpiresSoon { .. }, _) | (_, Level::Info) => "ok",
            (_, Level::Warning | Level::Error) => "failed",
        }
    }

    /// What at most one line a second is written for, if it is that kind of event.
    pub(super) fn throttled(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::AcceptFailed { .. } | Self::LookupFailed { .. } => Some((self.word(), "")),
            Self::LimitReached { limit, .. } => Some((self.word(), limit.word())),
            _ => None,
        }
    }

    /// The line for people, without a newline.
    pub(super) fn to_text(&self, now: SystemTime, times: Option<u64>) -> String {
        let mut line = format!("{} {} {}: {self}", self.result(), timestamp(now), self.word());
        if let Some(times @ 2..) = times {
            line += &format!(" ({times} times)");
        }
        line
    }

    /// The JSON form, without a newline.
    pub(super) fn to_json(&self, now: SystemTime, times: Option<u64>) -> String {
        serde_json::to_string(&Line { event: self, time: timestamp(now), times }).unwrap_or_default()
    }

    /// Word, level and fields.
    fn parts(&self) -> (&'static str, Level, Vec<(&'static str, Field<'_>)>) {
        use Field::{Days, List, Number, Text};
        let text = |value: &str| Text(bounded(value).into_owned().into());
        let path = |path: &PathBuf| Text(bounded(&path.to_string_lossy()).into_owned().into());
        match self {
            Self::Started { version, pid, workers } => (
                "started",
                Level::Info,
                vec![
                    ("version", text(version)),
                    ("pid", Number(u64::from(*pid))),
                    ("workers", Number(*workers as u64)),
                ],
            ),
            Self::Listening { listener, address } => {
                ("listening", Level::Info, vec![("listener", text(listener)), ("address", text(address))])
            }
            Self::AcceptFailed { listener, reason } => {
                ("accept_failed", Level::Error, vec![("listener", text(listener)), ("reason", text(reason))])
            }
            Self::LimitReached { limit, value, action } => (
                "limit_reached",
                Level::Warning,
                vec![
                    ("limit", Text(limit.word().into())),
                    ("value", Number(*value)),
                    ("action", Text(when_full(*action).into())),
                ],
            ),
            Self::LimitLowered { reason } => ("limit_lowered", Level::Warning, vec![("reason", text(reason))]),
            Self::Draining { signal, drain } => {
                ("draining", Level::Info, vec![("signal", text(signal)), ("drain_ms", Number(millis(*drain)))])
            }
            Self::Aborting { signal } => ("aborting", Level::Warning, vec![("signal", text(signal))]),
            Self::Drained { finished, aborted } => (
                "drained",
                if *aborted == 0 { Level::Info } else { Level::Warning },
                vec![("finished", Number(*finished)), ("aborted", Number(*aborted))],
            ),
            Self::Reloaded { added, removed, changed } => (
                "reloaded",
                Level::Info,
                vec![("added", List(added)), ("removed", List(removed)), ("changed", List(changed))],
            ),
            Self::ReloadFailed { error } => ("reload_failed", Level::Error, vec![("error", text(error))]),
            Self::TlsReloaded { listener, changes } => {
                ("tls_reloaded", Level::Info, vec![("listener", text(listener)), ("changes", List(changes))])
            }
            Self::UpstreamTlsReloaded { upstream, changes } => {
                ("upstream_tls_reloaded", Level::Info, vec![("upstream", text(upstream)), ("changes", List(changes))])
            }
            Self::CertificateRejected { path: file, reason } => {
                ("certificate_rejected", Level::Error, vec![("path", path(file)), ("reason", text(reason))])
            }
            Self::CertificateExpiresSoon { path: file, days } => {
                ("certificate_expires_soon", Level::Warning, vec![("path", path(file)), ("days", Days(*days))])
            }
            Self::UpstreamFailing { upstream, address, reason } => (
                "upstream_failing",
                Level::Warning,
                vec![("upstream", text(upstream)), ("address", text(address)), ("reason", text(reason))],
            ),
            Self::UpstreamRecovered { upstream, address } => {
                ("upstream_recovered", Level::Info, vec![("upstream", text(upstream)), ("address", text(address))])
            }
            Self::LookupFailed { name, reason } => {
                ("lookup_failed", Level::Warning, vec![("name", text(name)), ("reason", text(reason))])
            }
            Self::Spin { session, wasted, within, action } => (
                "spin",
                Level::Error,
                vec![
                    ("session", Number(*session)),
                    ("wasted", Number(*wasted)),
                    ("within_ms", Number(millis(*within))),
                    ("action", Text(spin_action(*action).into())),
                ],
            ),
            Self::LogReopened { path: file } => ("log_reopened", Level::Info, vec![("path", path(file))]),
            Self::LogReopenFailed { path: file, reason } => {
                ("log_reopen_failed", Level::Error, vec![("path", path(file)), ("reason", text(reason))])
            }
            Self::LinesLost { lines } => ("lines_lost", Level::Error, vec![("lines", Number(*lines))]),
            Self::TakeoverOffered { path: file } => ("takeover_offered", Level::Info, vec![("path", path(file))]),
            Self::TakeoverDone { sockets } => {
                ("takeover_done", Level::Info, vec![("sockets", Number(*sockets as u64))])
            }
            Self::TakeoverFailed { reason } => ("takeover_failed", Level::Error, vec![("reason", text(reason))]),
            Self::InternalError { message, location } => {
                ("internal_error", Level::Error, vec![("message", text(message)), ("location", text(location))])
            }
        }
    }
}

/// What happened and what follows, on one line.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Started { version, pid, workers } => {
                format!("closenotify {version}, process {pid}, {workers} workers")
            }
            Self::Listening { listener, address } => format!("listener {listener} on {address}"),
            Self::LimitLowered { reason } => reason.clone(),
            Self::AcceptFailed { listener, reason } => {
                format!("listener {listener} cannot accept connections: {reason}; it tries again")
            }
            Self::LimitReached { limit, value, action } => format!(
                "the limit {} = {value} is reached; {}",
                limit.word(),
                match action {
                    WhenFull::Wait => "connections wait until there is room",
                    WhenFull::Refuse => "connections are reset",
                }
            ),
            Self::Draining { signal, drain } => {
                format!("{signal}: draining for up to {}; a second signal aborts", humantime::format_duration(*drain))
            }
            Self::Aborting { signal } => format!("{signal}: the sessions that still run are reset"),
            Self::Drained { finished, aborted } => format!("{finished} sessions finished, {aborted} aborted"),
            Self::Reloaded { added, removed, changed } => {
                let mut text = "the new settings are in force".to_owned();
                for (what, names) in [("added", added), ("removed", removed), ("changed", changed)] {
                    if !names.is_empty() {
                        text += &format!("; {what}: {}", names.join(", "));
                    }
                }
                text
            }
            Self::ReloadFailed { error } => format!("the old settings stay in force: {error}"),
            Self::TlsReloaded { listener, changes } => format!("listener {listener}: {}", changes.join("; ")),
            Self::UpstreamTlsReloaded { upstream, changes } => format!("upstream {upstream}: {}", changes.join("; ")),
            // It names the file.
            Self::CertificateRejected { path: _, reason } => reason.clone(),
            Self::CertificateExpiresSoon { path, days: days @ ..0 } => {
                format!("{}: expired {} days ago; replace it", path.display(), days.unsigned_abs())
            }
            Self::CertificateExpiresSoon { path, days } => {
                format!("{}: expires in {days} days; replace it", path.display())
            }
            Self::UpstreamFailing { upstream, address, reason } => {
                format!("upstream {upstream}: {address} is not used for a while: {reason}")
            }
            Self::UpstreamRecovered { upstream, address } => format!("upstream {upstream}: {address} is used again"),
            Self::LookupFailed { name, reason } => format!("cannot resolve {name}: {reason}"),
            Self::Spin { session, wasted, within, action } => format!(
                "session {session} was polled {wasted} times for nothing within {}; {}. It is a bug of the proxy: \
                 please report it",
                humantime::format_duration(Duration::from_millis(millis(*within))),
                match action {
                    SpinAction::End => "it is reset",
                    SpinAction::Report => "it goes on, as the settings say",
                }
            ),
            Self::LogReopened { path } => format!("lines go to {}", path.display()),
            Self::LogReopenFailed { path, reason } => {
                format!("cannot open {}: {reason}; lines still go to the file that was open", path.display())
            }
            Self::LinesLost { lines } => {
                format!(
                    "{lines} ledger lines lost: the log could not be written; the metrics have counted the sessions"
                )
            }
            Self::TakeoverOffered { path } => format!("a successor can take over at {}", path.display()),
            Self::TakeoverDone { sockets } => format!("a successor has taken over {sockets} sockets"),
            Self::TakeoverFailed { reason } => format!("no successor took over: {reason}; this process goes on"),
            Self::InternalError { message, location } => {
                format!("{message}, at {location}. It is a bug of the proxy: please report it")
            }
        };
        // Paths and errors may hold what a file's author chose.
        for letter in bounded(&text).chars() {
            match letter {
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                other => fmt::Write::write_char(f, other)?,
            }
        }
        Ok(())
    }
}

enum Field<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Days(i64),
    List(&'a [String]),
}

struct Line<'a> {
    event: &'a Event,
    time: String,
    times: Option<u64>,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (word, level, fields) = self.event.parts();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("result", self.event.result())?;
        map.serialize_entry("event", word)?;
        map.serialize_entry("time", &self.time)?;
        map.serialize_entry("level", level.word())?;
        for (name, field) in fields {
            match field {
                Field::Text(text) => map.serialize_entry(name, &text)?,
                Field::Number(number) => map.serialize_entry(name, &number)?,
                Field::Days(days) => map.serialize_entry(name, &days)?,
                Field::List(list) => map.serialize_entry(name, list)?,
            }
        }
        if let Some(times) = self.times {
            map.serialize_entry("times", &times)?;
        }
        map.end()
    }
}

pub(crate) fn when_full(action: WhenFull) -> &'static str {
    match action {
        WhenFull::Wait => "wait",
        WhenFull::Refuse => "refuse",
    }
}

fn spin_action(action: SpinAction) -> &'static str {
    match action {
        SpinAction::End => "end",
        SpinAction::Report => "report",
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::documented;
    use super::*;

    /// One of each. A new variant does not compile until it has its place here.
    pub(crate) fn one_of_each() -> Vec<Event> {
        let name = || "web".to_owned();
        let path = || PathBuf::from("/etc/closenotify/web.pem");
        let after = |event: &Event| {
            Some(match event {
                Event::Started { .. } => Event::Listening { listener: name(), address: "[::]:443".into() },
                Event::Listening { .. } => {
                    Event::AcceptFailed { listener: name(), reason: "Too many open files".into() }
                }
                Event::AcceptFailed { .. } => {
                    Event::LimitReached { limit: Limit::Sessions, value: 20_000, action: WhenFull::Wait }
                }
                Event::LimitReached { .. } => Event::LimitLowered { reason: "the limit of open files is 1024".into() },
                Event::LimitLowered { .. } => {
                    Event::Draining { signal: "SIGTERM".into(), drain: Duration::from_secs(30) }
                }
                Event::Draining { .. } => Event::Aborting { signal: "SIGTERM".into() },
                Event::Aborting { .. } => Event::Drained { finished: 3, aborted: 1 },
                Event::Drained { .. } => {
                    Event::Reloaded { added: vec![name()], removed: vec![], changed: vec!["db".into()] }
                }
                Event::Reloaded { .. } => Event::ReloadFailed { error: "closenotify.toml:3:1: unknown key".into() },
                Event::ReloadFailed { .. } => {
                    Event::TlsReloaded { listener: name(), changes: vec!["ticket keys changed".into()] }
                }
                Event::TlsReloaded { .. } => Event::UpstreamTlsReloaded {
                    upstream: "app".into(),
                    changes: vec!["trusted CA certificates changed".into()],
                },
                Event::UpstreamTlsReloaded { .. } => {
                    Event::CertificateRejected { path: path(), reason: "no private key in the file".into() }
                }
                Event::CertificateRejected { .. } => Event::CertificateExpiresSoon { path: path(), days: 9 },
                Event::CertificateExpiresSoon { .. } => Event::UpstreamFailing {
                    upstream: "app".into(),
                    address: "10.0.0.1:8080".into(),
                    reason: "connection refused".into(),
                },
                Event::UpstreamFailing { .. } => {
                    Event::UpstreamRecovered { upstream: "app".into(), address: "10.0.0.1:8080".into() }
                }
                Event::UpstreamRecovered { .. } => {
                    Event::LookupFailed { name: "app.internal".into(), reason: "it has no address".into() }
                }
                Event::LookupFailed { .. } => Event::Spin {
                    session: 7,
                    wasted: 10_000,
                    within: Duration::from_millis(12),
                    action: SpinAction::End,
                },
                Event::Spin { .. } => Event::LogReopened { path: "/var/log/closenotify.log".into() },
                Event::LogReopened { .. } => Event::LogReopenFailed {
                    path: "/var/log/closenotify.log".into(),
                    reason: "Permission denied".into(),
                },
                Event::LogReopenFailed { .. } => Event::LinesLost { lines: 12 },
                Event::LinesLost { .. } => Event::TakeoverOffered { path: "/run/closenotify/takeover.sock".into() },
                Event::TakeoverOffered { .. } => Event::TakeoverDone { sockets: 4 },
                Event::TakeoverDone { .. } => Event::TakeoverFailed { reason: "it ended before it was ready".into() },
                Event::TakeoverFailed { .. } => Event::InternalError {
                    message: "index out of bounds".into(),
                    location: "crates/closenotify-proxy/src/session.rs:7".into(),
                },
                Event::InternalError { .. } => return None,
            })
        };
        let first = Event::Started { version: "0.1.0", pid: 4711, workers: 2 };
        std::iter::successors(Some(first), after).collect()
    }

    #[test]
    fn events_and_their_fields_are_documented() {
        let ours: Vec<_> = one_of_each()
            .iter()
            .map(|event| {
                let (word, level, fields) = event.parts();
                let mut fields: Vec<_> = fields.iter().map(|(name, _)| (*name).to_owned()).collect();
                if event.throttled().is_some() {
                    fields.push("times".into());
                }
                (word.to_owned(), level.word().to_owned(), fields)
            })
            .map(
                |(word, level, fields)| {
                    if word == "drained" { (word, "info".into(), fields) } else { (word, level, fields) }
                },
            )
            .collect();
        assert_eq!(ours, documented::events());
    }

    #[test]
    fn both_forms_lead_with_the_result() {
        let now = SystemTime::UNIX_EPOCH;
        let limit = Event::LimitReached { limit: Limit::Sessions, value: 20_000, action: WhenFull::Wait };
        assert_eq!(
            limit.to_json(now, Some(31)),
            r#"{"result":"failed","event":"limit_reached","time":"1970-01-01T00:00:00.000Z","level":"warning","limit":"sessions","value":20000,"action":"wait","times":31}"#
        );
        assert_eq!(
            limit.to_text(now, Some(31)),
            "failed 1970-01-01T00:00:00.000Z limit_reached: the limit sessions = 20000 is reached; connections wait until \
             there is room (31 times)"
        );
        let drained = Event::Drained { finished: 2, aborted: 0 };
        assert_eq!(drained.to_text(now, None), "ok 1970-01-01T00:00:00.000Z drained: 2 sessions finished, 0 aborted");
        for event in one_of_each() {
            let json = event.to_json(now, None);
            assert!(
                json.starts_with(&format!(r#"{{"result":"{}","event":"{}","#, event.result(), event.word())),
                "{json}"
            );
        }
    }

    #[test]
    fn no_event_spans_lines() {
        let event = Event::ReloadFailed { error: "line 1\nok 1970 drained: forged\u{1b}[2J".into() };
        let text = event.to_text(SystemTime::UNIX_EPOCH, None);
        assert_eq!(text.lines().count(), 1);
        assert!(text.chars().all(|letter| !letter.is_control()), "{text}");
    }
}
