//! What the tests of all three subjects share.

use closenotify_check::{Case, Level, Options, Outcome, Silent};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Options for cases whose ids begin so; all cases when there is none.
pub(crate) fn options(select: &[&str]) -> Options {
    let (_never, stop) = tokio::sync::watch::channel(false);
    Options {
        select: select.iter().map(|id| (*id).to_owned()).collect(),
        levels: Vec::new(),
        versions: Vec::new(),
        jobs: 8,
        timeout: Duration::from_secs(2),
        watch: Duration::from_millis(300),
        watcher: Arc::new(Silent),
        stop,
    }
}

/// An outcome in a line, and its events.
pub(crate) fn verdicts(outcome: &Outcome) -> String {
    let Outcome { data, close, code, events, .. } = outcome;
    let events: String = events
        .iter()
        .map(|event| format!("\n    {:>5} ms {:<8} {}", event.at.as_millis(), event.by.to_string(), event.what))
        .collect();
    format!("{} [{code}] data: {data:?} close: {close:?}{events}", outcome.id())
}

/// Ids are unique and of three parts, origins are in `docs/cases.md`, and every text says something.
pub(crate) fn assert_well_formed(cases: &[&Case]) {
    let docs = include_str!("../../../../docs/cases.md");
    let mut ids = BTreeSet::new();
    for case in cases {
        assert!(ids.insert(case.id), "{} is there twice", case.id);
        assert_eq!(case.id.split('/').count(), 3, "{}", case.id);
        assert!(
            case.id.bytes().all(|byte| byte.is_ascii_lowercase() || b"/-0123456789".contains(&byte)),
            "{}",
            case.id
        );
        for text in [case.requirement, case.harm, case.mend] {
            assert!(text.len() > 15 && !text.ends_with('.'), "{}: {text:?}", case.id);
        }
        assert!(!case.clauses.is_empty() || !case.origin.is_empty(), "{} comes from nowhere", case.id);
        assert!(case.level == Level::Practice || !case.clauses.is_empty(), "{} has no clause", case.id);
        for origin in case.origin {
            assert!(docs.contains(&format!("\n| {origin} |")), "{}: docs/cases.md has no {origin}", case.id);
        }
        assert!(!case.steps.is_empty() && !case.versions.is_empty(), "{}", case.id);
    }
}
