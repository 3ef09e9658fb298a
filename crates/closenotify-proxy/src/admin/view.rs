//! The JSON of `/sessions` and `/status.json`.
//!
//! Names and words are those of the log. Times are milliseconds or RFC 3339.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::{Value, json};

use crate::board::BUCKET_SECONDS;
use crate::events::{DIRECTIONS, Phase, SessionResult, timestamp};
use crate::live::{Shown, View};
use crate::telemetry::{Stage, Telemetry};

/// The sessions that run: how many in all, and those that were asked for.
pub(super) fn sessions(total: usize, views: &[Arc<View>]) -> Sessions {
    Sessions { total, shown: views.len(), sessions: views.iter().map(|view| Session::from(view.shown())).collect() }
}

#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    total: usize,
    shown: usize,
    sessions: Vec<Session>,
}

#[derive(Debug, Serialize)]
struct Session {
    session: u64,
    listener: String,
    client: String,
    sni: Option<String>,
    upstream: Option<String>,
    phase: Phase,
    age_ms: u64,
    /// `open`, or how it ended; null before the relay.
    client_received: Option<Cow<'static, str>>,
    client_sent: Option<Cow<'static, str>>,
    upstream_received: Option<Cow<'static, str>>,
    upstream_sent: Option<Cow<'static, str>>,
    bytes_from_client: u64,
    bytes_from_upstream: u64,
    unsent_to_client: Option<u64>,
    unsent_to_upstream: Option<u64>,
    /// Since the last progress that was seen.
    quiet_ms: u64,
    polls: u64,
    wasted_polls: u64,
}

impl From<Shown> for Session {
    fn from(shown: Shown) -> Self {
        let Shown { session, listener, client, sni, upstream, phase, age, quiet, sample } = shown;
        let halves = match phase {
            Phase::Relay => sample.endings.words().map(|word| word.or(Some("open".into()))),
            Phase::Handshake | Phase::Connect => DIRECTIONS.map(|_| None),
        };
        let [client_received, client_sent, upstream_received, upstream_sent] = halves;
        Self {
            session,
            listener: listener.to_string(),
            client,
            sni,
            upstream,
            phase,
            age_ms: millis(age),
            client_received,
            client_sent,
            upstream_received,
            upstream_sent,
            bytes_from_client: sample.bytes_from_client,
            bytes_from_upstream: sample.bytes_from_upstream,
            unsent_to_client: sample.unsent_to_client,
            unsent_to_upstream: sample.unsent_to_upstream,
            quiet_ms: millis(quiet),
            polls: sample.polls,
            wasted_polls: sample.wasted_polls,
        }
    }
}

/// Everything else on the page; of the sessions that did not end clean only those with this `result`, if one is given.
pub(super) fn status(telemetry: &Telemetry, result: Option<SessionResult>) -> Value {
    let seen = telemetry.snapshot(result);
    let now = SystemTime::now();
    let event = |kept: &crate::board::Kept<crate::events::Event>| {
        json!({
            "time": timestamp(kept.when),
            "event": kept.what.word(),
            "level": kept.what.level().word(),
            "text": kept.what.to_string(),
        })
    };
    let lines = telemetry.events().lines();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": timestamp(now),
        "stage": match telemetry.stage() {
            Stage::Starting => "starting",
            Stage::Ready => "ready",
            Stage::Draining => "draining",
        },
        "uptime_seconds": seen.uptime,
        "sessions": telemetry.live().len(),
        "results": SessionResult::ALL.map(SessionResult::word),
        "totals": seen.totals,
        "bucket_seconds": BUCKET_SECONDS,
        "buckets": seen.buckets,
        "unclean": seen.unclean.iter().map(|kept| json!({
            "time": timestamp(kept.when),
            "result": kept.what.result().word(),
            "session": kept.what.session,
            "reason": kept.what.reason(),
            "line": kept.what.to_string(),
        })).collect::<Vec<_>>(),
        "spins": seen.spins.iter().map(event).collect::<Vec<_>>(),
        "events": seen.events.iter().map(event).collect::<Vec<_>>(),
        "certificates": seen.certificates.iter().map(|(listener, path, expires)| json!({
            "listener": listener,
            "path": path.to_string_lossy(),
            "expires": timestamp(*expires),
            "days": days(now, *expires),
        })).collect::<Vec<_>>(),
        "upstreams": telemetry.upstreams().iter().map(|(upstream, state)| json!({
            "upstream": upstream,
            "address": state.address,
            "resting": state.resting,
        })).collect::<Vec<_>>(),
        "lines_lost": lines.lost,
        "lines_waiting": lines.waiting,
    })
}

/// Days from `now` until `then`; negative afterwards.
fn days(now: SystemTime, then: SystemTime) -> i64 {
    let days = |duration: Duration| i64::try_from(duration.as_secs() / (24 * 60 * 60)).unwrap_or(i64::MAX);
    match then.duration_since(now) {
        Ok(left) => days(left),
        Err(over) => -1 - days(over.duration()),
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_down_through_zero() {
        let hours = |hours: u64| Duration::from_secs(hours * 60 * 60);
        let now = SystemTime::UNIX_EPOCH + hours(1_000_000);
        assert_eq!(days(now, now + hours(49)), 2);
        assert_eq!(days(now, now + hours(1)), 0);
        assert_eq!(days(now, now - hours(1)), -1);
        assert_eq!(days(now, now - hours(49)), -3);
    }
}
