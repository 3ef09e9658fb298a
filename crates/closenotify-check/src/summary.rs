//! What a run comes to: each outcome with the file of known deviations applied, the counts, and how the command ends.
//!
//! It never looks at a connection; it only weighs verdicts that were given. Nothing here can turn a run in which nothing was
//! judged into one that passed.
//!
//! What an outcome does to the run:
//!
//! ```text
//!  verdict          no entry for it                    entry, `seen` is what was seen   entry, other behaviour
//!  met              Met                                -                                Contradicted (stale)
//!  not met          Failed, or Warned at SHOULD, MAY   Known                            Contradicted
//!  inconclusive     Unclear                            Known                            Contradicted
//!  not applicable   NotApplicable                      NotApplicable                    NotApplicable
//! ```

use crate::case::Level;
use crate::expect::{Deviation, Deviations};
use crate::outcome::{Outcome, Run, Verdict};
use crate::report::safe;

/// Which levels fail a run when a case is not met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strictness {
    /// MUST and practice fail it; SHOULD and MAY only warn.
    #[default]
    Ordinary,
    /// `--strict`: every level fails it.
    Strict,
}

/// A run with every outcome weighed.
#[derive(Debug)]
pub struct Judged<'a> {
    run: &'a Run,
    deviations: &'a Deviations,
    strictness: Strictness,
    rulings: Vec<Ruling>,
}

/// What one outcome does to the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// As it should be.
    Met,
    /// Not met, and the run fails.
    Failed,
    /// Not met at a level that only warns.
    Warned,
    /// Not met or inconclusive, exactly as the file of known deviations says.
    Known(Deviation),
    /// The file of known deviations says something else, and the run fails.
    Contradicted {
        /// The entry.
        entry: Deviation,
        /// What is wrong with it and what to do, with the file, the line and the id.
        says: String,
    },
    /// What was seen does not tell.
    Unclear {
        /// Whether the run is not as good as met: the level is one at which not met would fail it.
        counts: bool,
    },
    /// The case says nothing about this subject. An entry for it is left alone, as for a case that was not selected.
    NotApplicable,
}

/// How many outcomes there were. Each outcome is in exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Met.
    pub met: usize,
    /// Not met, known deviations left out.
    pub not_met: usize,
    /// Not met or inconclusive, but exactly as the file of known deviations says.
    pub known: usize,
    /// Inconclusive, known deviations left out.
    pub inconclusive: usize,
    /// Not applicable.
    pub not_applicable: usize,
}

/// How the command ends. The worst that is true is taken, in the order given here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The engine could not run at all. Said by who has its error: there is no run to decide on.
    CouldNotRun,
    /// Something was not met at a level that fails the run, or the file of known deviations says otherwise than what was
    /// seen (a stale entry included).
    SomeNotMet,
    /// It was interrupted before all cases were run; of those that were, nothing failed.
    Interrupted,
    /// No case was judged: none was selected, or none applies to this subject.
    NothingMatched,
    /// Nothing failed, and at least one outcome was inconclusive at a level at which not met would have failed the run.
    InconclusiveOnly,
    /// Every case that applies was met, is a known deviation, or only warns.
    AllMet,
}

impl<'a> Judged<'a> {
    /// Weighs each outcome of a run.
    #[must_use]
    pub fn new(run: &'a Run, deviations: &'a Deviations, strictness: Strictness) -> Self {
        let rulings = run.outcomes.iter().map(|outcome| Ruling::of(outcome, deviations, strictness)).collect();
        Self { run, deviations, strictness, rulings }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &'a Run {
        self.run
    }

    /// The file of known deviations, as given; `None` where there is none.
    #[must_use]
    pub fn file(&self) -> Option<&'a str> {
        let file = self.deviations.file();
        (!file.is_empty()).then_some(file)
    }

    /// Which levels fail the run.
    #[must_use]
    pub fn strictness(&self) -> Strictness {
        self.strictness
    }

    /// Each outcome with what it does to the run, in the order of the cases.
    pub fn each(&self) -> impl Iterator<Item = (&'a Outcome, &Ruling)> {
        self.run.outcomes.iter().zip(&self.rulings)
    }

    /// How many outcomes there were that `select` takes.
    pub fn counts(&self, mut select: impl FnMut(&Outcome) -> bool) -> Counts {
        let mut counts = Counts::default();
        for (outcome, ruling) in self.each().filter(|(outcome, _)| select(outcome)) {
            *match (ruling, outcome.verdict()) {
                (Ruling::Known(_), _) => &mut counts.known,
                (_, Verdict::Met) => &mut counts.met,
                (_, Verdict::NotMet(_)) => &mut counts.not_met,
                (_, Verdict::Inconclusive(_)) => &mut counts.inconclusive,
                (_, Verdict::NotApplicable(_)) => &mut counts.not_applicable,
            } += 1;
        }
        counts
    }

    /// How the command ends; never [`Decision::CouldNotRun`].
    #[must_use]
    pub fn decision(&self) -> Decision {
        let any = |test: fn(&Ruling) -> bool| self.rulings.iter().any(test);
        if any(|ruling| matches!(ruling, Ruling::Failed | Ruling::Contradicted { .. })) {
            Decision::SomeNotMet
        } else if self.run.interrupted.is_some() {
            Decision::Interrupted
        } else if !any(|ruling| *ruling != Ruling::NotApplicable) {
            Decision::NothingMatched
        } else if any(|ruling| *ruling == Ruling::Unclear { counts: true }) {
            Decision::InconclusiveOnly
        } else {
            Decision::AllMet
        }
    }
}

impl Strictness {
    /// Whether a case of this level fails the run when it is not met.
    #[must_use]
    pub fn counts(self, level: Level) -> bool {
        match level {
            Level::Must | Level::Practice => true,
            Level::Should | Level::May => self == Self::Strict,
        }
    }
}

impl Ruling {
    fn of(outcome: &Outcome, deviations: &Deviations, strictness: Strictness) -> Self {
        let counts = strictness.counts(outcome.case.level);
        let entry = deviations.of(outcome);
        match (outcome.verdict(), entry) {
            (Verdict::NotApplicable(_), _) => Self::NotApplicable,
            (Verdict::Met, None) => Self::Met,
            (Verdict::NotMet(_), None) if counts => Self::Failed,
            (Verdict::NotMet(_), None) => Self::Warned,
            (Verdict::Inconclusive(_), None) => Self::Unclear { counts },
            (Verdict::NotMet(_) | Verdict::Inconclusive(_), Some(entry)) if entry.seen == outcome.code => {
                Self::Known(entry.clone())
            }
            (verdict, Some(entry)) => Self::Contradicted {
                says: contradiction(verdict, outcome, entry, deviations.file()),
                entry: entry.clone(),
            },
        }
    }

    /// One or two words, the same in every report.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Failed => "not met",
            Self::Warned => "warning",
            Self::Known(_) => "known deviation",
            Self::Contradicted { .. } => "unexpected",
            Self::Unclear { .. } => "inconclusive",
            Self::NotApplicable => "not applicable",
        }
    }

    /// The entry of the file of known deviations that it comes from.
    #[must_use]
    pub fn entry(&self) -> Option<&Deviation> {
        match self {
            Self::Known(entry) | Self::Contradicted { entry, .. } => Some(entry),
            Self::Met | Self::Failed | Self::Warned | Self::Unclear { .. } | Self::NotApplicable => None,
        }
    }
}

impl Counts {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> usize {
        self.met + self.not_met + self.known + self.inconclusive + self.not_applicable
    }
}

impl Decision {
    /// One word, as in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::CouldNotRun => "could_not_run",
            Self::SomeNotMet => "some_not_met",
            Self::Interrupted => "interrupted",
            Self::NothingMatched => "nothing_matched",
            Self::InconclusiveOnly => "inconclusive_only",
            Self::AllMet => "all_met",
        }
    }

    /// One sentence for people, without a full stop.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::CouldNotRun => "the cases could not be run",
            Self::SomeNotMet => "some cases are not met",
            Self::Interrupted => "interrupted before all cases were run",
            Self::NothingMatched => "no case was judged, so nothing can be said",
            Self::InconclusiveOnly => "nothing failed, but some cases are inconclusive",
            Self::AllMet => "every case that applies is met",
        }
    }
}

/// What is wrong with an entry, and what to do.
fn contradiction(verdict: &Verdict, outcome: &Outcome, entry: &Deviation, file: &str) -> String {
    let (file, line, id) = (safe::one_line(file), entry.line, outcome.id());
    let version = match entry.version {
        None if outcome.case.versions.len() > 1 => ", or say in `version` where it still is so",
        _ => "",
    };
    match verdict {
        Verdict::Met => format!("{file}:{line}: {id}: it is met now; remove the entry{version}"),
        _ => format!(
            "{file}:{line}: {id}: `seen` is \"{}\", but it was \"{}\"; mend the subject, or write that{version}",
            safe::one_line(&entry.seen),
            safe::one_line(&outcome.code)
        ),
    }
}
