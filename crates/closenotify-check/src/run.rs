//! Runs the selected cases: those that can at the same time, those that must be alone behind the others.
//!
//! The order of the outcomes is that of the cases, whatever finished first.

use crate::case::{Case, Level, Subject};
use crate::cases;
use crate::error::{CheckError, CheckErrorKind};
use crate::outcome::{Outcome, Run};
use closenotify_probe::Version;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;

/// How a run is made.
#[derive(Clone)]
pub struct Options {
    /// Beginnings of ids; empty: all cases.
    pub select: Vec<String>,
    /// Levels; empty: all.
    pub levels: Vec<Level>,
    /// Versions; empty: both.
    pub versions: Vec<Version>,
    /// How many cases at the same time, at least 1.
    pub jobs: usize,
    /// How long to wait for what a subject should do.
    pub timeout: Duration,
    /// How long CPU time is watched.
    pub watch: Duration,
    /// Told of each case as it begins and ends.
    pub watcher: Arc<dyn Watcher>,
    /// Tells the run to stop early.
    pub stop: tokio::sync::watch::Receiver<bool>,
}

/// Is told how a run goes on.
pub trait Watcher: Send + Sync {
    /// A case begins.
    fn began(&self, _case: &'static Case, _version: Version) {}
    /// A case is over; so many of so many are.
    fn ended(&self, _outcome: &Outcome, _done: usize, _of: usize) {}
}

/// Says nothing.
#[derive(Debug)]
pub struct Silent;

impl Watcher for Silent {}

/// The cases to run, with their versions.
pub(crate) struct Plan {
    subject: Subject,
    cases: Vec<(&'static Case, Version)>,
}

impl Plan {
    pub(crate) fn new(subject: Subject, options: &Options) -> Result<Self, CheckError> {
        let cases = select(subject, &options.select, &options.levels, &options.versions)?;
        Ok(Self { subject, cases })
    }
}

/// The cases for a subject that a selection names, with their versions.
///
/// # Errors
///
/// When there is none, or when one of the beginnings matches none.
pub fn select(
    subject: Subject,
    prefixes: &[String],
    levels: &[Level],
    versions: &[Version],
) -> Result<Vec<(&'static Case, Version)>, CheckError> {
    let all = cases::of(subject);
    let nothing = |message: String| CheckError::new(CheckErrorKind::NothingMatched, message);
    if let Some(prefix) = prefixes.iter().find(|prefix| !all.iter().any(|case| case.id.starts_with(prefix.as_str()))) {
        return Err(nothing(format!("no case begins with `{prefix}`; --list shows them all")));
    }
    let selected: Vec<_> = all
        .into_iter()
        .filter(|case| prefixes.is_empty() || prefixes.iter().any(|prefix| case.id.starts_with(prefix.as_str())))
        .filter(|case| levels.is_empty() || levels.contains(&case.level))
        .flat_map(|case| case.versions.iter().map(move |version| (case, *version)))
        .filter(|(_, version)| versions.is_empty() || versions.contains(version))
        .collect();
    if selected.is_empty() {
        return Err(nothing("no case has these ids, levels and versions together; --list shows them all".to_owned()));
    }
    Ok(selected)
}

/// Runs a plan with what checks one case.
pub(crate) async fn run(
    plan: Plan,
    name: String,
    notes: Vec<String>,
    options: &Options,
    one: impl AsyncFn(&'static Case, Version) -> Outcome,
) -> Run {
    let (began, start) = (SystemTime::now(), Instant::now());
    let of = plan.cases.len();
    let done = std::cell::Cell::new(0);
    let slots = Semaphore::new(options.jobs.max(1));
    let checked = async |case: &'static Case, version: Version| {
        let _slot = slots.acquire().await.ok()?;
        if *options.stop.borrow() {
            return None;
        }
        options.watcher.began(case, version);
        let mut stop = options.stop.clone();
        let outcome = tokio::select! {
            outcome = one(case, version) => outcome,
            // Whoever could stop it may be gone, and it goes on then.
            Ok(_) = stop.wait_for(|stop| *stop) => return None,
        };
        done.set(done.get() + 1);
        options.watcher.ended(&outcome, done.get(), of);
        Some(outcome)
    };
    let together = plan.cases.iter().map(|(case, version)| async {
        match case.runs_alone() {
            true => None,
            false => checked(case, *version).await,
        }
    });
    let mut outcomes = futures_util::future::join_all(together).await;
    for (at, (case, version)) in plan.cases.iter().enumerate() {
        if case.runs_alone() {
            outcomes[at] = checked(case, *version).await;
        }
    }
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    let interrupted = (outcomes.len() < of).then(|| of - outcomes.len());
    Run { subject: plan.subject, name, began, took: start.elapsed(), outcomes, notes, interrupted }
}
