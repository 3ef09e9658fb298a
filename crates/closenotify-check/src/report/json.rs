//! The report for programs: one JSON object, complete, with a schema version. `docs/check-json.md` says what each field is.
//!
//! It cuts nothing and leaves no field out: what does not apply is `null`. A field that is removed or means something else
//! raises [`SCHEMA`]; a new one does not.

use super::began;
use crate::outcome::{Outcome, Verdict};
use crate::summary::{Judged, Ruling, Strictness};
use closenotify_probe::{Event, What, alert};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;

/// The version of the format.
pub const SCHEMA: u32 = 1;

/// Writes the report, indented, with a newline at the end.
///
/// # Errors
///
/// What `out` fails with.
pub fn write(judged: &Judged<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document::from(judged)).map_err(io::Error::from)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    version: &'static str,
    subject: &'static str,
    name: &'a str,
    began: String,
    took_ms: f64,
    decision: &'static str,
    strict: bool,
    interrupted: Option<usize>,
    notes: &'a [String],
    expect: Option<&'a str>,
    counts: Counts,
    outcomes: Vec<OutcomeOut<'a>>,
}

#[derive(Serialize)]
struct Counts {
    met: usize,
    not_met: usize,
    known: usize,
    inconclusive: usize,
    not_applicable: usize,
}

#[derive(Serialize)]
struct OutcomeOut<'a> {
    id: String,
    case: &'static str,
    tls: &'static str,
    requirement: &'static str,
    level: String,
    clauses: &'static [&'static str],
    origin: &'static [&'static str],
    ruling: &'static str,
    verdict: &'static str,
    data: Option<VerdictOut<'a>>,
    close: Option<VerdictOut<'a>>,
    allowed: &'a str,
    seen: &'a str,
    code: &'a str,
    deviation: Option<DeviationOut<'a>>,
    harm: &'static str,
    mend: &'static str,
    took_ms: f64,
    wrong_at: Option<usize>,
    events: Vec<EventOut>,
}

#[derive(Serialize)]
struct VerdictOut<'a> {
    verdict: &'static str,
    why: Option<&'a str>,
}

#[derive(Serialize)]
struct DeviationOut<'a> {
    line: usize,
    seen: &'a str,
    reason: &'a str,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct EventOut {
    at_ms: f64,
    link: String,
    by: String,
    kind: &'static str,
    text: String,
    bytes: Option<usize>,
    alert: Option<AlertOut>,
}

#[derive(Serialize)]
struct AlertOut {
    level: u8,
    code: u8,
    name: String,
}

impl<'a> From<&'a Judged<'a>> for Document<'a> {
    fn from(judged: &'a Judged<'a>) -> Self {
        let run = judged.run();
        let counts = judged.counts(|_| true);
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            subject: run.subject.word(),
            name: &run.name,
            began: began(run.began),
            took_ms: ms(run.took),
            decision: judged.decision().word(),
            strict: judged.strictness() == Strictness::Strict,
            interrupted: run.interrupted,
            notes: &run.notes,
            expect: judged.file(),
            counts: Counts {
                met: counts.met,
                not_met: counts.not_met,
                known: counts.known,
                inconclusive: counts.inconclusive,
                not_applicable: counts.not_applicable,
            },
            outcomes: judged.each().map(|(outcome, ruling)| OutcomeOut::new(outcome, ruling)).collect(),
        }
    }
}

impl<'a> OutcomeOut<'a> {
    fn new(outcome: &'a Outcome, ruling: &'a Ruling) -> Self {
        let case = outcome.case;
        Self {
            id: outcome.id(),
            case: case.id,
            tls: outcome.version_word(),
            requirement: case.requirement,
            level: case.level.to_string(),
            clauses: case.clauses,
            origin: case.origin,
            ruling: ruling_word(ruling),
            verdict: verdict_word(outcome.verdict()),
            data: outcome.data.as_ref().map(VerdictOut::from),
            close: outcome.close.as_ref().map(VerdictOut::from),
            allowed: &outcome.allowed,
            seen: &outcome.seen,
            code: &outcome.code,
            deviation: ruling.entry().map(|entry| DeviationOut {
                line: entry.line,
                seen: &entry.seen,
                reason: &entry.reason,
                problem: match ruling {
                    Ruling::Contradicted { says, .. } => Some(says),
                    _ => None,
                },
            }),
            harm: case.harm,
            mend: case.mend,
            took_ms: ms(outcome.took),
            wrong_at: outcome.wrong_at,
            events: outcome.events.iter().map(EventOut::from).collect(),
        }
    }
}

impl<'a> From<&'a Verdict> for VerdictOut<'a> {
    fn from(verdict: &'a Verdict) -> Self {
        Self { verdict: verdict_word(verdict), why: verdict.why() }
    }
}

impl From<&Event> for EventOut {
    fn from(event: &Event) -> Self {
        let alert = |level, code| Some(AlertOut { level, code, name: alert::name(code) });
        let (kind, bytes, alert) = match &event.what {
            What::Connected => ("connected", None, None),
            What::Handshaken(_) => ("handshaken", None, None),
            What::Flight(_) => ("flight", None, None),
            What::Data(bytes) => ("data", Some(*bytes), None),
            What::CloseNotify { level } => ("close_notify", None, alert(*level, alert::CLOSE_NOTIFY)),
            What::Alert { level, code } => ("alert", None, alert(*level, *code)),
            What::KeyUpdate { .. } => ("key_update", None, None),
            What::Ticket => ("ticket", None, None),
            What::Odd(_) => ("odd", None, None),
            What::Fin => ("fin", None, None),
            What::Reset => ("reset", None, None),
            What::Note(_) => ("note", None, None),
        };
        let (link, by) = (event.link.to_string(), event.by.to_string());
        Self { at_ms: ms(event.at), link, by, kind, text: event.what.to_string(), bytes, alert }
    }
}

/// Identifiers have no blanks in JSON.
fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::NotMet(_) => "not_met",
        Verdict::NotApplicable(_) => "not_applicable",
        Verdict::Inconclusive(_) => "inconclusive",
    }
}

fn ruling_word(ruling: &Ruling) -> &'static str {
    match ruling {
        Ruling::Met => "met",
        Ruling::Failed => "failed",
        Ruling::Warned => "warned",
        Ruling::Known(_) => "known",
        Ruling::Contradicted { .. } => "contradicted",
        Ruling::Unclear { counts: true } => "unclear",
        Ruling::Unclear { counts: false } => "unclear_ignored",
        Ruling::NotApplicable => "not_applicable",
    }
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}
