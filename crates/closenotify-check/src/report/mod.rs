//! Reports: the same run for people (text, one HTML page) and for machines (JSON, JUnit XML).
//!
//! A report computes nothing anew and judges nothing: what it prints is in [`Judged`]. Whatever came from a peer, a command
//! line or a file goes through [`safe`] or through the escaping of its format first.

pub mod html;
pub mod json;
pub mod junit;
mod ladder;
pub mod progress;
pub mod safe;
pub mod text;

use crate::case::Case;
use crate::outcome::{Outcome, Verdict};
use crate::summary::{Decision, Judged, Ruling};
use closenotify_probe::Event;
use std::time::{Duration, SystemTime};

/// A heading, and the rulings that stand under it.
type Group = (&'static str, fn(&Ruling) -> bool);

/// The order in which people want to read outcomes: what fails the run first.
const GROUPS: [Group; 6] = [
    ("Not met", |ruling| matches!(ruling, Ruling::Failed)),
    ("Not as the file of known deviations says", |ruling| matches!(ruling, Ruling::Contradicted { .. })),
    ("Not met, a warning at this level", |ruling| matches!(ruling, Ruling::Warned)),
    ("Inconclusive", |ruling| matches!(ruling, Ruling::Unclear { .. })),
    ("Known deviations", |ruling| matches!(ruling, Ruling::Known(_))),
    ("Met", |ruling| matches!(ruling, Ruling::Met)),
];

/// A part of a list of events that is short enough to be shown.
enum Shown<'a> {
    /// An event, and its place in the whole list.
    Event(usize, &'a Event),
    /// So many are left out here.
    Left(usize),
}

/// The first and the last events, and those around the one where it goes wrong.
fn excerpt(outcome: &Outcome) -> Vec<Shown<'_>> {
    let events = &outcome.events;
    let near = |at: usize| outcome.wrong_at.is_some_and(|wrong| at.abs_diff(wrong) <= AROUND);
    let all = events.len() <= FIRST + LAST;
    let mut shown = Vec::new();
    for (at, event) in events.iter().enumerate() {
        if all || at < FIRST || at + LAST >= events.len() || near(at) {
            shown.push(Shown::Event(at, event));
        } else if let Some(Shown::Left(left)) = shown.last_mut() {
            *left += 1;
        } else {
            shown.push(Shown::Left(1));
        }
    }
    shown
}

/// What a report says first.
fn headline(judged: &Judged<'_>) -> &'static str {
    let counts = judged.counts(|_| true);
    match judged.decision() {
        Decision::AllMet if counts.not_met > 0 => "nothing fails the run, but there are warnings",
        Decision::AllMet if counts.known > 0 => "every case that applies is met or a known deviation",
        decision => decision.sentence(),
    }
}

/// The counts that are not zero, worst first: "3 not met, 79 met".
fn counted(judged: &Judged<'_>) -> String {
    let counts = judged.counts(|_| true);
    let parts: Vec<_> = [
        (counts.not_met, "not met"),
        (counts.known, if counts.known == 1 { "known deviation" } else { "known deviations" }),
        (counts.inconclusive, "inconclusive"),
        (counts.not_applicable, "not applicable"),
        (counts.met, "met"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    if parts.is_empty() { "no case was run".to_owned() } else { parts.join(", ") }
}

/// What a reader must know of the run as a whole, in sentences that are fit to be shown.
fn remarks(judged: &Judged<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(left) = judged.run().interrupted {
        let were = if left == 1 { "case was" } else { "cases were" };
        remarks.push(format!("interrupted: {left} {were} still to run"));
    }
    let warned = judged.each().filter(|(_, ruling)| **ruling == Ruling::Warned).count();
    if warned > 0 {
        remarks.push(format!("{warned} not met at SHOULD or MAY, which only warns; --strict makes it fail the run"));
    }
    remarks.extend(judged.run().notes.iter().map(|note| safe::one_line(note)));
    remarks
}

/// The reasons of the verdicts of one kind, each once, with the outcomes that have it.
fn by_reason<'a>(judged: &Judged<'a>, take: fn(&Ruling) -> bool) -> Vec<(String, Vec<&'a Outcome>)> {
    let mut reasons: Vec<(String, Vec<&'a Outcome>)> = Vec::new();
    for (outcome, _) in judged.each().filter(|(_, ruling)| take(ruling)) {
        let reason = safe::one_line(outcome.verdict().why().unwrap_or_default());
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => reasons.push((reason, vec![outcome])),
        }
    }
    reasons
}

/// Each verdict of an outcome with what it is about, and its reason where there is one.
fn verdicts(outcome: &Outcome) -> impl Iterator<Item = (&'static str, &Verdict)> {
    [("data", outcome.data.as_ref()), ("close", outcome.close.as_ref())]
        .into_iter()
        .filter_map(|(about, verdict)| verdict.map(|verdict| (about, verdict)))
}

/// The middle part of an id, which is what cases are grouped by.
fn topic(case: &Case) -> &'static str {
    case.id.split('/').nth(1).unwrap_or(case.id)
}

/// A time for people: `12 ms`, from ten seconds on `12.3 s`.
fn time(time: Duration) -> String {
    if time < Duration::from_secs(10) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// When the run began, UTC, RFC 3339, whole seconds.
fn began(at: SystemTime) -> String {
    humantime::format_rfc3339_seconds(at).to_string()
}

/// So many events are always shown from the beginning.
const FIRST: usize = 40;
/// So many from the end.
const LAST: usize = 20;
/// So many on either side of the one where it goes wrong.
const AROUND: usize = 5;
