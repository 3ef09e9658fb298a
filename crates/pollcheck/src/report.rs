//! The verdict: each rule that was broken, what it rests on, and the history that led there.

use std::fmt;

use crate::history::{History, Side};
use crate::rules::Rule;

/// What a check found.
///
/// Its `Display` form is short enough to read; [`Report::assert_clean`] prints it in a test.
#[derive(Clone, Debug)]
#[must_use = "a verdict that nobody reads"]
pub struct Report {
    seed: u64,
    violations: Vec<Violation>,
    explored: Vec<Explored>,
}

impl Report {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, violations: Vec::new(), explored: Vec::new() }
    }

    /// Whether no rule was broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
    }

    /// The rules that were broken, each once, in the order in which they were found.
    ///
    /// What the same fault does in a scenario that goes further is left out: a stream that never flushes also stalls
    /// with both halves busy, and the longer history would say less.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// The seed of the random schedules.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many runs were made, those of shrinking included.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.explored.iter().map(|explored| explored.runs).sum()
    }

    /// What was searched, by scenario.
    #[must_use]
    pub fn explored(&self) -> &[Explored] {
        &self.explored
    }

    /// How many faults of the transports were scripted, each at its own call.
    #[must_use]
    pub fn faults(&self) -> usize {
        self.explored.iter().map(|explored| explored.faults).sum()
    }

    /// The scripted faults that were never met, in words: none, unless the stream is not deterministic.
    #[must_use]
    pub fn unused_faults(&self) -> Vec<&str> {
        self.explored.iter().flat_map(|explored| explored.unused.iter().map(String::as_str)).collect()
    }

    /// Fails a test unless no rule was broken and every scripted fault was met.
    ///
    /// # Panics
    ///
    /// With the report.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.is_clean(), "{self}");
        assert!(
            self.unused_faults().is_empty(),
            "faults that were scripted and never used: {:?}",
            self.unused_faults()
        );
    }

    pub(crate) fn add(&mut self, violation: Violation) {
        match self.violations.iter_mut().find(|known| known.rule == violation.rule) {
            Some(known) if violation.history.events().len() < known.history.events().len() => *known = violation,
            Some(_) => {}
            None => self.violations.push(violation),
        }
    }

    pub(crate) fn add_explored(&mut self, explored: Explored) {
        self.explored.push(explored);
    }

    /// Leaves out what follows from something else that was found: its history says nothing new.
    pub(crate) fn drop_consequences(&mut self) {
        let broken: Vec<Rule> = self.violations.iter().map(|violation| violation.rule).collect();
        self.violations.retain(|violation| {
            !CONSEQUENCES.iter().any(|(cause, effects)| broken.contains(cause) && effects.contains(&violation.rule))
        });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = match self.violations.len() {
            0 => "no rule is broken".to_owned(),
            1 => "1 rule is broken".to_owned(),
            n => format!("{n} rules are broken"),
        };
        write!(f, "pollcheck: {rules} in {} runs with {} faults", self.runs(), self.faults())?;
        writeln!(f, " (seed {:#x})", self.seed)?;
        for violation in &self.violations {
            write!(f, "\n{violation}")?;
        }
        Ok(())
    }
}

/// One rule that was broken, with the shortest history that was found.
#[derive(Clone, Debug)]
pub struct Violation {
    pub(crate) rule: Rule,
    pub(crate) seen: String,
    pub(crate) scenario: &'static str,
    pub(crate) from: Side,
    pub(crate) schedule: Vec<usize>,
    pub(crate) history: History,
}

impl Violation {
    /// The rule.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// What was seen, in one sentence that begins with the end it concerns.
    #[must_use]
    pub fn seen(&self) -> &str {
        &self.seen
    }

    /// The scenario in which it was seen.
    #[must_use]
    pub fn scenario(&self) -> &'static str {
        self.scenario
    }

    /// What happened up to then.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.rule, self.seen)?;
        writeln!(f, "  rests on: {} ({})", self.rule.sentence(), self.rule.source())?;
        writeln!(f, "  page:     {}", self.rule.page())?;
        let to = self.from.other();
        writeln!(f, "  scenario: {}, {} to {to}, schedule {:?}", self.scenario, self.from, self.schedule)?;
        writeln!(f, "  history:")?;
        write!(f, "{}", self.history)
    }
}

/// How far one scenario was searched, in one direction.
#[derive(Clone, Debug)]
pub struct Explored {
    pub(crate) scenario: &'static str,
    pub(crate) from: Side,
    pub(crate) runs: usize,
    pub(crate) all_to_depth: Option<usize>,
    pub(crate) faults: usize,
    pub(crate) unused: Vec<String>,
}

impl Explored {
    pub(crate) fn new(scenario: &'static str, from: Side) -> Self {
        Self { scenario, from, runs: 0, all_to_depth: None, faults: 0, unused: Vec::new() }
    }

    /// The scenario.
    #[must_use]
    pub fn scenario(&self) -> &'static str {
        self.scenario
    }

    /// The end that its bytes came from.
    #[must_use]
    pub fn from(&self) -> Side {
        self.from
    }

    /// How many runs were made.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// The number of events all of whose interleavings were tried; `None` if that was not finished, because the
    /// scenario failed too often or is one of faults.
    #[must_use]
    pub fn all_to_depth(&self) -> Option<usize> {
        self.all_to_depth
    }
}

/// What a broken rule of the left does to scenarios that go further: there the same fault looks like those of the
/// right, and the history of the left one says more.
const CONSEQUENCES: &[(Rule, &[Rule])] = &[
    (Rule::NeverReady, STANDSTILL),
    (Rule::HeldBack, STANDSTILL),
    (Rule::EndUnnoticed, STANDSTILL),
    (Rule::EndBeforeBufferedBytes, STANDSTILL),
    (Rule::EmptyReadBeforeEnd, STANDSTILL),
    (Rule::FlushWithBytesInside, STANDSTILL),
    // A flush that does nothing cannot say that it is too late.
    (Rule::FlushWithBytesInside, &[Rule::WriteAfterShutdown]),
    (Rule::ShutdownWithoutFlush, STANDSTILL),
    (Rule::ShutdownNotForwarded, STANDSTILL),
    (Rule::BytesAltered, STANDSTILL),
    (Rule::ZeroWrite, STANDSTILL),
    (Rule::ErrorFromNothing, STANDSTILL),
];

const STANDSTILL: &[Rule] = &[
    Rule::BytesAlteredByDrop,
    Rule::DuplexStall,
    Rule::EmptyBufferMishandled,
    Rule::FilledPartTouched,
    Rule::ReadingEndsWithShutdown,
];
