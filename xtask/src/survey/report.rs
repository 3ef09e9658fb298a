//! What the reports of the checker say, as far as the pages need it: subjects, cases, and a cell for each pair.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::run::reports;
use super::subjects::{self, Kind, Subject};
use crate::shell::{Failure, Outcome};

/// All that is known from the last runs.
#[derive(Debug)]
pub(super) struct Known {
    /// In the order of the tables; those without a report are left out.
    pub(super) surveyed: Vec<Surveyed>,
}

/// A subject with its reports.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) subject: &'static Subject,
    pub(super) version: String,
    /// When the last run began: a day.
    pub(super) day: String,
    /// How many runs there were.
    pub(super) rounds: usize,
    /// By case, in the order of the checker.
    pub(super) cells: Vec<Cell>,
}

/// A case in both versions of TLS.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) case: String,
    pub(super) requirement: String,
    pub(super) level: String,
    pub(super) clauses: Vec<String>,
    pub(super) harm: String,
    /// By version of TLS, `1.2` first.
    pub(super) tls: BTreeMap<String, Seen>,
}

/// What was seen in one version of TLS, in all rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The worst.
    pub(super) verdict: Verdict,
    /// Different ones, the most frequent first, with how often.
    pub(super) codes: Vec<(String, usize)>,
    /// What was seen in words, in a round with the worst verdict.
    pub(super) words: String,
    /// Why, in that round.
    pub(super) why: String,
}

/// A judgement of the checker; the worst is last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    NotApplicable,
    Met,
    Inconclusive,
    NotMet,
}

/// The fields of a report that are used here; `docs/check-json.md` has all.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) schema: u32,
    pub(super) began: String,
    pub(super) outcomes: Vec<ReportedOutcome>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReportedOutcome {
    pub(super) id: String,
    pub(super) case: String,
    pub(super) tls: String,
    pub(super) requirement: String,
    pub(super) level: String,
    pub(super) clauses: Vec<String>,
    pub(super) verdict: Verdict,
    pub(super) data: Option<Judged>,
    pub(super) close: Option<Judged>,
    pub(super) seen: String,
    pub(super) code: String,
    pub(super) harm: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Judged {
    pub(super) why: Option<String>,
}

impl Known {
    /// Reads all reports.
    pub(super) fn read() -> Outcome<Self> {
        let mut surveyed = Vec::new();
        for subject in subjects::all() {
            let mut rounds = Vec::new();
            for round in 1.. {
                let path = reports().join(format!("{}.{round}.json", subject.id));
                if !path.exists() {
                    break;
                }
                rounds.push(Report::read(&path)?);
            }
            if !rounds.is_empty() {
                surveyed.push(Surveyed::new(subject, &rounds)?);
            }
        }
        if surveyed.is_empty() {
            return Err(Failure::new("there is no report yet; run cargo xtask survey"));
        }
        Ok(Self { surveyed })
    }

    /// The subjects of a kind.
    pub(super) fn of(&self, kind: Kind) -> Vec<&Surveyed> {
        self.surveyed.iter().filter(|surveyed| surveyed.subject.kind == kind).collect()
    }
}

impl Surveyed {
    fn new(subject: &'static Subject, rounds: &[Report]) -> Outcome<Self> {
        let path = reports().join(format!("{}.version", subject.id));
        let version = fs::read_to_string(&path)
            .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
        let last = rounds.last().expect("there is a round");
        let mut cells: Vec<Cell> = Vec::new();
        for outcome in &last.outcomes {
            let seen =
                Seen::new(rounds.iter().flat_map(|round| &round.outcomes).filter(|other| other.id == outcome.id));
            match cells.iter_mut().find(|cell| cell.case == outcome.case) {
                Some(cell) => drop(cell.tls.insert(outcome.tls.clone(), seen)),
                None => cells.push(Cell {
                    case: outcome.case.clone(),
                    requirement: outcome.requirement.clone(),
                    level: outcome.level.clone(),
                    clauses: outcome.clauses.clone(),
                    harm: outcome.harm.clone(),
                    tls: BTreeMap::from([(outcome.tls.clone(), seen)]),
                }),
            }
        }
        let day = last.began.chars().take(10).collect();
        Ok(Self { subject, version, day, rounds: rounds.len(), cells })
    }

    /// The cell of a case.
    pub(super) fn cell(&self, case: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.case == case)
    }

    /// How many outcomes have this verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.cells.iter().flat_map(|cell| cell.tls.values()).filter(|seen| seen.verdict == verdict).count()
    }
}

impl Cell {
    /// The verdict for each version, one where they agree.
    pub(super) fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts: Vec<Verdict> = self.tls.values().map(|seen| seen.verdict).collect();
        verdicts.dedup();
        verdicts
    }

    /// Whether rounds differed.
    pub(super) fn varies(&self) -> bool {
        self.tls.values().any(Seen::varies)
    }
}

impl Seen {
    fn new<'a>(rounds: impl Iterator<Item = &'a ReportedOutcome>) -> Self {
        let rounds: Vec<_> = rounds.collect();
        let worst = rounds.iter().max_by_key(|outcome| outcome.verdict).expect("there is a round");
        let mut codes: Vec<(String, usize)> = Vec::new();
        for outcome in &rounds {
            match codes.iter_mut().find(|(code, _)| *code == outcome.code) {
                Some((_, count)) => *count += 1,
                None => codes.push((outcome.code.clone(), 1)),
            }
        }
        codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let why = |judged: &Option<Judged>| judged.as_ref().and_then(|judged| judged.why.clone());
        let why = [why(&worst.data), why(&worst.close)].into_iter().flatten().collect::<Vec<_>>().join("; ");
        Self { verdict: worst.verdict, codes, words: worst.seen.clone(), why }
    }

    /// Whether rounds differed.
    pub(super) fn varies(&self) -> bool {
        self.codes.len() > 1
    }

    /// The codes in a line: `data=whole close=fin`, or several with how often each was seen.
    pub(super) fn code(&self) -> String {
        match &self.codes[..] {
            [(code, _)] => code.clone(),
            codes => codes.iter().map(|(code, count)| format!("{count}x {code}")).collect::<Vec<_>>().join(", "),
        }
    }
}

impl Report {
    /// Reads a report of the checker.
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let failed = |error: &dyn std::fmt::Display| Failure::new(format!("{}: {error}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
        let report: Self = serde_json::from_str(&text).map_err(|error| failed(&error))?;
        if report.schema != SCHEMA {
            return Err(failed(&format!("schema {}, and {SCHEMA} is understood here", report.schema)));
        }
        Ok(report)
    }
}

const SCHEMA: u32 = 1;
