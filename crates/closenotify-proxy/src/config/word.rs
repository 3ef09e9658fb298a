//! Settings that are one word of a few, each list of words in one place; and the nearest right word to a wrong one.

use super::{Balance, LogFormat, ProxyProtocol, SpinAction, TlsVersion, TruncationPolicy, WhenFull};
use crate::events::SessionResult;

/// A value that is written as one word of a few.
pub(super) trait Word: Copy + 'static {
    /// Each value with its word.
    fn all() -> Vec<(&'static str, Self)>;
}

/// The words for a type, in the order of its documentation.
pub(super) fn words<T: Word>() -> Vec<&'static str> {
    T::all().into_iter().map(|(word, _)| word).collect()
}

/// The one of `candidates` that a slip of the keyboard is likely to have turned into `word`.
pub(super) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_from(LIKENESS_MIN, word, candidates)
}

/// As [`nearest`], for candidates from further away, of which one that is not much alike is not what was meant.
pub(super) fn much_alike<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_from(LIKENESS_WITHIN, word, candidates)
}

/// As [`nearest`], for a word that is hardly another one.
pub(super) fn nearly_same<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_from(LIKENESS_SAME, word, candidates)
}

/// What to write in place of a wrong word: the nearest right one, or all of them.
pub(super) fn instead(word: &str, candidates: &[&str]) -> String {
    match nearest(word, candidates.iter().copied()) {
        Some(candidate) => format!("did you mean {candidate:?}?"),
        None => format!("write {}", one_of(candidates)),
    }
}

/// Words as a person lists them: `"a", "b" or "c"`.
pub(super) fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Whether a client must have a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AuthMode {
    Required,
    Optional,
}

impl Word for AuthMode {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("required", Self::Required), ("optional", Self::Optional)]
    }
}

impl Word for LogFormat {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("text", Self::Text), ("json", Self::Json)]
    }
}

impl Word for SessionResult {
    fn all() -> Vec<(&'static str, Self)> {
        Self::ALL.into_iter().map(|result| (result.word(), result)).collect()
    }
}

impl Word for WhenFull {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("wait", Self::Wait), ("refuse", Self::Refuse)]
    }
}

impl Word for SpinAction {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("end", Self::End), ("report", Self::Report)]
    }
}

impl Word for TlsVersion {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("1.2", Self::V12), ("1.3", Self::V13)]
    }
}

impl Word for TruncationPolicy {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("strict", Self::Strict), ("tolerant", Self::Tolerant)]
    }
}

impl Word for Balance {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("round_robin", Self::RoundRobin), ("least_sessions", Self::LeastSessions)]
    }
}

impl Word for ProxyProtocol {
    fn all() -> Vec<(&'static str, Self)> {
        vec![("v1", Self::V1), ("v2", Self::V2)]
    }
}

fn nearest_from<'a>(min: f64, word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > WORD_MAX {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .take(CANDIDATES_MAX)
        .filter(|candidate| candidate.len() <= WORD_MAX)
        .map(|candidate| (likeness(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= min)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// From 0 to 1. A word within the other ("sessions" in "max_sessions") is as good as a slip.
fn likeness(one: &str, other: &str) -> f64 {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    let within = short.len() >= WITHIN_MIN && long.contains(short);
    strsim::jaro_winkler(one, other).max(if within { LIKENESS_WITHIN } else { 0.0 })
}

/// Likeness from 0 to 1 from which on a word is taken for a slip of another.
const LIKENESS_MIN: f64 = 0.75;

const LIKENESS_WITHIN: f64 = 0.8;

const LIKENESS_SAME: f64 = 0.9;

/// Shorter words are within too many others.
const WITHIN_MIN: usize = 4;

/// Longer words are compared with nothing: the work grows with their square.
const WORD_MAX: usize = 64;

/// How many words a wrong one is compared with.
const CANDIDATES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slip_names_the_word_that_was_meant() {
        for (wrong, right) in [("strikt", "strict"), ("STRICT", "strict"), ("tolerent", "tolerant")] {
            assert_eq!(instead(wrong, &words::<TruncationPolicy>()), format!("did you mean {right:?}?"));
        }
        assert_eq!(nearest("least-sessions", words::<Balance>()), Some("least_sessions"));
        assert_eq!(much_alike("port", ["format", "sessions"]), None);
        assert_eq!(nearest("max_sessions", ["name", "sessions"]), Some("sessions"));
        assert_eq!(nearest("certificate", ["name", "listen", "certificates"]), Some("certificates"));
    }

    #[test]
    fn word_like_no_other_gets_the_whole_list() {
        assert_eq!(instead("q", &words::<WhenFull>()), r#"write "wait" or "refuse""#);
        assert_eq!(instead(&"x".repeat(9999), &["a", "b", "c"]), r#"write "a", "b" or "c""#);
    }
}
