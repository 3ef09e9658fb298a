//! Compares what was seen with what is allowed.
//!
//! The same for all cases and all subjects. Silence is no failure unless the case is about time; what was not asked is not
//! judged.

use crate::case::{Allowed, Also, Case, DataSeen, Ending, Subject};
use crate::outcome::Verdict;
use closenotify_probe::{By, Event, Link, Received, TcpEnd, TlsEnd, What, alert};
use std::time::Duration;

/// What was seen of a subject.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// What became of the data, and how much there was, in words.
    pub(crate) data: Option<(DataSeen, String)>,
    /// How the TLS direction ended; `None` where the probe reset the connection and nothing can be seen.
    pub(crate) close: Option<Closed>,
    /// What the upstream of a proxy saw.
    pub(crate) upstream_data: Option<(DataSeen, String)>,
    /// How the connection to the upstream of a proxy ended.
    pub(crate) upstream_close: Option<Closed>,
    /// CPU time taken while it was watched, and for how long that was.
    pub(crate) cpu: Option<(Duration, Duration)>,
    /// Whether another session was served afterwards.
    pub(crate) alive: Option<bool>,
    /// How long was waited for what did not come.
    pub(crate) timeout: Duration,
}

/// How a direction ended, and what else is to be known of its end.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) ending: Ending,
    pub(crate) alert: Option<u8>,
    /// Whether it is that of a link without TLS.
    plain: bool,
    failed: Vec<Also>,
}

/// The verdicts and the words of an outcome.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) data: Option<Verdict>,
    pub(crate) close: Option<Verdict>,
    pub(crate) allowed: String,
    pub(crate) seen: String,
    pub(crate) code: String,
    pub(crate) wrong_at: Option<usize>,
}

impl Closed {
    /// Of what was received, so far as the case asks.
    pub(crate) fn of(received: &Received, also: &[Also]) -> Self {
        let ending = match (received.tls_end, received.tcp_end) {
            (Some(TlsEnd::CloseNotify), Some(TcpEnd::Fin)) => Ending::CloseNotifyFin,
            (Some(TlsEnd::CloseNotify), Some(TcpEnd::Reset)) => Ending::CloseNotifyReset,
            (Some(TlsEnd::CloseNotify), None) => Ending::CloseNotifyOpen,
            (Some(TlsEnd::Alert(_)), Some(TcpEnd::Fin)) => Ending::AlertFin,
            (Some(TlsEnd::Alert(_)), Some(TcpEnd::Reset)) => Ending::AlertReset,
            (Some(TlsEnd::Alert(_)), None) => Ending::AlertOpen,
            (None, Some(TcpEnd::Fin)) => Ending::Fin,
            (None, Some(TcpEnd::Reset)) => Ending::Reset,
            (None, None) => Ending::Open,
        };
        let alert = match received.tls_end {
            Some(TlsEnd::Alert(code)) => Some(code),
            _ => None,
        };
        let close_notifies = || received.alerts.iter().filter(|(_, code)| *code == alert::CLOSE_NOTIFY);
        let failed = |also: &Also| match also {
            Also::NothingBehind => received.data_behind > 0,
            Also::OneCloseNotify => close_notifies().count() > 1,
            Also::WarningLevel => close_notifies().any(|(level, _)| *level != alert::WARNING),
            Also::KeyUpdateAnswered => received.key_updates == 0,
            Also::WholeRecords => received.cut_inside_record,
        };
        Self { ending, alert, plain: false, failed: also.iter().copied().filter(failed).collect() }
    }

    /// The same of a link without TLS.
    pub(crate) fn of_plain(received: &Received) -> Self {
        Self { plain: true, ..Self::of(received, &[]) }
    }

    fn text(&self) -> String {
        let mut text = if self.plain { self.ending.plain_text() } else { self.ending.text() }.to_owned();
        if let Some(code) = self.alert {
            text.push_str(&format!(" (the alert is {})", alert::name(code)));
        }
        for also in &self.failed {
            text.push_str(&format!("; not: {}", also.text()));
        }
        text
    }

    fn code(&self, of: &str) -> String {
        let alert = self.alert.map(|code| format!("({})", alert::name(code))).unwrap_or_default();
        let failed: String = self.failed.iter().map(|also| format!(",{}", also.failed_word())).collect();
        format!("{of}={}{alert}{failed}", self.ending.word())
    }
}

impl Seen {
    /// Whether the subject burnt CPU time: it asked for more than a third of the time that it was watched for.
    fn is_busy(&self) -> Option<bool> {
        self.cpu.map(|(busy, watched)| busy * 3 > watched)
    }
}

impl Judged {
    /// Where the case says nothing about the subject.
    pub(crate) fn not_applicable(case: &Case, why: &str) -> Self {
        Self::without_sight(case, Verdict::NotApplicable(why.to_owned()))
    }

    /// Where nothing could be seen.
    pub(crate) fn inconclusive(case: &Case, why: &str) -> Self {
        Self::without_sight(case, Verdict::Inconclusive(why.to_owned()))
    }

    fn without_sight(case: &Case, verdict: Verdict) -> Self {
        let asks_data = case.allowed.data.is_some() || case.allowed.upstream_data.is_some();
        Self {
            data: asks_data.then(|| verdict.clone()),
            close: Some(verdict),
            allowed: allowed_text(case),
            seen: String::new(),
            code: String::new(),
            wrong_at: None,
        }
    }
}

/// Judges a case.
pub(crate) fn judge(case: &Case, seen: &Seen, events: &[Event]) -> Judged {
    let allowed = &case.allowed;
    let data = [
        data_verdict(allowed, allowed.data, seen.data.as_ref(), seen.close.as_ref(), seen, ""),
        data_verdict(
            allowed,
            allowed.upstream_data,
            seen.upstream_data.as_ref(),
            seen.upstream_close.as_ref(),
            seen,
            "the upstream: ",
        ),
    ];
    let close = [
        close_verdict(allowed, allowed.close, allowed.also, seen.close.as_ref(), seen, ""),
        close_verdict(allowed, allowed.upstream_close, &[], seen.upstream_close.as_ref(), seen, "the upstream: "),
        cpu_verdict(allowed, seen),
        alive_verdict(allowed, seen),
    ];
    let wrong_at = wrong_at(events, Link::Tls, &[&data[0], &close[0]])
        .or_else(|| wrong_at(events, Link::Upstream, &[&data[1], &close[1]]));
    Judged {
        data: worst(data),
        close: worst(close),
        allowed: allowed_text(case),
        seen: seen_text(allowed, seen),
        code: code(allowed, seen),
        wrong_at,
    }
}

fn data_verdict(
    allowed: &Allowed,
    of: Option<&[DataSeen]>,
    seen: Option<&(DataSeen, String)>,
    closed: Option<&Closed>,
    all: &Seen,
    whose: &str,
) -> Option<Verdict> {
    let of = of?;
    let (data, amount) = match seen {
        Some(seen) => seen,
        None => return Some(Verdict::Inconclusive(format!("{whose}nothing could be seen of the data"))),
    };
    if of.contains(data) {
        return Some(Verdict::Met);
    }
    let waiting = closed.is_some_and(|closed| closed.ending == Ending::Open);
    if waiting && !allowed.in_time && matches!(data, DataSeen::Nothing | DataSeen::Cut) {
        let time = all.timeout.as_millis();
        return Some(Verdict::Inconclusive(format!(
            "{whose}{amount} after {time} ms, and no end; --timeout waits longer"
        )));
    }
    if *data == DataSeen::Undecided && !allowed.in_time {
        return Some(Verdict::Inconclusive(format!("{whose}{amount}; --timeout waits longer")));
    }
    Some(Verdict::NotMet(format!("{whose}{amount}")))
}

fn close_verdict(
    allowed: &Allowed,
    of: Option<&[Ending]>,
    also: &[Also],
    seen: Option<&Closed>,
    all: &Seen,
    whose: &str,
) -> Option<Verdict> {
    if of.is_none() && also.is_empty() {
        return None;
    }
    let Some(closed) = seen else {
        return Some(Verdict::Inconclusive(format!("{whose}nothing could be seen of the end")));
    };
    if let Some(of) = of {
        if !of.contains(&closed.ending) {
            if closed.ending == Ending::Open && !allowed.in_time {
                let time = all.timeout.as_millis();
                return Some(Verdict::Inconclusive(format!("{whose}no end after {time} ms; --timeout waits longer")));
            }
            return Some(Verdict::NotMet(format!("{whose}{}", closed.text())));
        }
        if let Some(code) = closed.alert
            && !allowed.alerts.is_empty()
            && !allowed.alerts.contains(&code)
        {
            return Some(Verdict::NotMet(format!("{whose}the alert is {}", alert::name(code))));
        }
    }
    match closed.failed.first() {
        Some(_) => Some(Verdict::NotMet(format!("{whose}{}", closed.text()))),
        None => Some(Verdict::Met),
    }
}

fn cpu_verdict(allowed: &Allowed, seen: &Seen) -> Option<Verdict> {
    if !allowed.quiet {
        return None;
    }
    Some(match (seen.is_busy(), seen.cpu) {
        (Some(true), Some((busy, watched))) => {
            Verdict::NotMet(format!("it asked for {} ms of CPU time in {} ms", busy.as_millis(), watched.as_millis()))
        }
        (Some(false), _) => Verdict::Met,
        _ => Verdict::NotApplicable(
            "no process is watched; name it with --pid, or let it be started with -- COMMAND".into(),
        ),
    })
}

fn alive_verdict(allowed: &Allowed, seen: &Seen) -> Option<Verdict> {
    if !allowed.alive {
        return None;
    }
    Some(match seen.alive {
        Some(true) => Verdict::Met,
        Some(false) => Verdict::NotMet("it serves no other session afterwards".into()),
        None => Verdict::Inconclusive("it was not asked for another session".into()),
    })
}

/// The worst of several; one that does not apply stands only where there is no other.
fn worst<const N: usize>(verdicts: [Option<Verdict>; N]) -> Option<Verdict> {
    verdicts.into_iter().flatten().reduce(|one, other| if other.weight() > one.weight() { other } else { one })
}

/// The event where it goes wrong: the subject's first end on the link, or its last event where it has none.
fn wrong_at(events: &[Event], link: Link, verdicts: &[&Option<Verdict>]) -> Option<usize> {
    verdicts.iter().any(|verdict| matches!(verdict, Some(Verdict::NotMet(_)))).then_some(())?;
    let by_subject = |event: &Event| event.by == By::Subject && event.link == link;
    events
        .iter()
        .position(|event| by_subject(event) && event.what.is_end())
        .or_else(|| events.iter().rposition(|event| event.link == link && !matches!(event.what, What::Note(_))))
}

pub(crate) fn allowed_text(case: &Case) -> String {
    let allowed = &case.allowed;
    let mut parts = Vec::new();
    let whose = |upstream: bool| match (case.subject(), upstream) {
        (Subject::Proxy, false) => "to the client: ",
        (Subject::Proxy, true) => "to the upstream: ",
        _ => "",
    };
    for (upstream, data, close) in
        [(false, allowed.data, allowed.close), (true, allowed.upstream_data, allowed.upstream_close)]
    {
        if let Some(data) = data {
            parts.push(format!("{}{}", whose(upstream), either(data.iter().map(|data| data.text()))));
        }
        if let Some(close) = close {
            let text = if upstream { Ending::plain_text } else { Ending::text };
            parts.push(format!("{}{}", whose(upstream), either(close.iter().map(|close| text(*close)))));
        }
    }
    if !allowed.alerts.is_empty() {
        parts.push(format!("an alert only if it is {}", either(allowed.alerts.iter().map(|code| alert::name(*code)))));
    }
    parts.extend(allowed.also.iter().map(|also| also.text().to_owned()));
    if allowed.in_time {
        parts.push("in time".to_owned());
    }
    if allowed.quiet {
        parts.push("no CPU time burnt".to_owned());
    }
    if allowed.alive {
        parts.push("another session served afterwards".to_owned());
    }
    parts.join("; ")
}

fn seen_text(allowed: &Allowed, seen: &Seen) -> String {
    let mut parts = Vec::new();
    for (whose, data, close) in
        [("", &seen.data, &seen.close), ("at the upstream: ", &seen.upstream_data, &seen.upstream_close)]
    {
        parts.extend(data.iter().map(|(_, amount)| format!("{whose}{amount}")));
        parts.extend(close.iter().map(|close| format!("{whose}{}", close.text())));
    }
    if let (true, Some((busy, watched))) = (allowed.quiet, seen.cpu) {
        parts.push(format!("{} ms of CPU time in {} ms", busy.as_millis(), watched.as_millis()));
    }
    match seen.alive {
        Some(true) if allowed.alive => parts.push("another session was served".to_owned()),
        Some(false) if allowed.alive => parts.push("no other session was served".to_owned()),
        _ => {}
    }
    parts.join("; ")
}

/// What was asked for and seen, without times and amounts.
fn code(allowed: &Allowed, seen: &Seen) -> String {
    let mut parts = Vec::new();
    if let (Some(_), Some((data, _))) = (allowed.data, &seen.data) {
        parts.push(format!("data={}", data.word()));
    }
    if let (true, Some(close)) = (allowed.close.is_some() || !allowed.also.is_empty(), &seen.close) {
        parts.push(close.code("close"));
    }
    if let (Some(_), Some((data, _))) = (allowed.upstream_data, &seen.upstream_data) {
        parts.push(format!("upstream-data={}", data.word()));
    }
    if let (Some(_), Some(close)) = (allowed.upstream_close, &seen.upstream_close) {
        parts.push(close.code("upstream-close"));
    }
    if let (true, Some(busy)) = (allowed.quiet, seen.is_busy()) {
        parts.push(format!("cpu={}", if busy { "busy" } else { "quiet" }));
    }
    if let (true, Some(alive)) = (allowed.alive, seen.alive) {
        parts.push(format!("alive={}", if alive { "yes" } else { "no" }));
    }
    parts.join(" ")
}

fn either(of: impl Iterator<Item = impl ToString>) -> String {
    let mut all: Vec<_> = of.map(|one| one.to_string()).collect();
    match all.pop() {
        Some(last) if all.is_empty() => last,
        Some(last) => format!("{}, or {last}", all.join(", or ")),
        None => "nothing".to_owned(),
    }
}
