//! What came of a case, and of a run of cases: everything that a report needs, and nothing that must be computed again.
//!
//! An outcome has up to two verdicts: what the subject did with the data, and how it closed.

use crate::case::{Case, Subject};
use closenotify_probe::{Event, Version};
use std::time::{Duration, SystemTime};

/// What came of one case in one version of TLS.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The case.
    pub case: &'static Case,
    /// The version of TLS.
    pub version: Version,
    /// What the subject did with the data; `None` where the case does not ask.
    pub data: Option<Verdict>,
    /// How it closed, CPU time and what came after included; `None` where the case does not ask.
    pub close: Option<Verdict>,
    /// What was allowed, in words.
    pub allowed: String,
    /// What was seen, in words.
    pub seen: String,
    /// What was seen in the words of a file of known deviations ("data=nothing close=fin"). The same behaviour makes the same
    /// text in every run: no times, no counts.
    pub code: String,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The event where the ending goes wrong, where it can be told.
    pub wrong_at: Option<usize>,
    /// How long it took.
    pub took: Duration,
}

/// A judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was seen was allowed.
    Met,
    /// What was seen was not allowed, and why not.
    NotMet(String),
    /// The case says nothing about this subject, and why not.
    NotApplicable(String),
    /// What was seen does not tell, and why not.
    Inconclusive(String),
}

/// A run of cases against one subject.
#[derive(Clone, Debug)]
pub struct Run {
    /// What kind of subject.
    pub subject: Subject,
    /// Its address or its command, as the user gave it.
    pub name: String,
    /// When the run began.
    pub began: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// What came of each case, in the order of the cases.
    pub outcomes: Vec<Outcome>,
    /// What a reader should know ("no process is watched, so CPU time is not judged").
    pub notes: Vec<String>,
    /// How many cases were still to run when it was interrupted; `None` when it was not.
    pub interrupted: Option<usize>,
}

impl Verdict {
    /// One or two words, the same in every report.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::NotMet(_) => "not met",
            Self::NotApplicable(_) => "not applicable",
            Self::Inconclusive(_) => "inconclusive",
        }
    }

    /// Why, where there is something to say.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Met => None,
            Self::NotMet(why) | Self::NotApplicable(why) | Self::Inconclusive(why) => Some(why),
        }
    }

    /// How much it weighs where one of several must stand for all.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::NotMet(_) => 3,
            Self::Inconclusive(_) => 2,
            Self::Met => 1,
            Self::NotApplicable(_) => 0,
        }
    }
}

impl Outcome {
    /// The id with the version, as in reports and in files of known deviations: `server/end/one-close-notify@1.3`.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}@{}", self.case.id, self.version_word())
    }

    /// The version as in ids: `1.3`.
    #[must_use]
    pub fn version_word(&self) -> &'static str {
        match self.version {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        }
    }

    /// The verdict of both together: the worse.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        match (&self.data, &self.close) {
            (Some(data), Some(close)) if data.weight() > close.weight() => data,
            (_, Some(close)) => close,
            (Some(data), None) => data,
            (None, None) => &Verdict::Met,
        }
    }
}
