//! `docs/check-cases.md` is made from the cases; this holds it to them.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

use closenotify_check::{Case, Subject, cases_of};
use closenotify_probe::Version;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check-cases.md");

#[test]
fn page_of_cases_is_up_to_date() {
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let there = std::fs::read_to_string(PAGE).unwrap();
    let how = "make it anew: UPDATE_DOCS=1 cargo test -p closenotify-check --test docs";
    assert!(there == page, "docs/check-cases.md is not what the cases say; {how}");
}

fn page() -> String {
    let subjects = [Subject::Server, Subject::Client, Subject::Proxy];
    let count: usize = subjects.iter().map(|subject| cases_of(*subject).len()).sum();
    let mut page = format!(
        "# The cases of closenotify check\n\n\
         <!-- made by: UPDATE_DOCS=1 cargo test -p closenotify-check --test docs -->\n\n\
         All {count} of them; what the verdicts and the levels mean is in [check.md](check.md). `closenotify check server --list\n\
         --verbose` prints what the checker does in each, step by step, what is allowed, what harm it does otherwise and how to\n\
         mend it. *Seen* names the real bugs behind a case, by their rows in [cases.md](cases.md).\n"
    );
    for subject in subjects {
        let cases = cases_of(subject);
        page += &format!("\n## {}: {} cases\n", capital(subject.word()), cases.len());
        let mut topic = "";
        for case in cases {
            if case.topic() != topic {
                topic = case.topic();
                page += &format!("\n### {}/{topic}\n\n", subject.word());
                page += "| id | asks | level | TLS | clauses | seen |\n|---|---|---|---|---|---|\n";
            }
            page += &row(case);
        }
    }
    page
}

fn row(case: &Case) -> String {
    let versions: Vec<_> = case
        .versions
        .iter()
        .map(|version| match version {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        })
        .collect();
    let [name, asks] = [case.id.rsplit('/').next().unwrap(), case.requirement].map(|text| text.replace('|', "\\|"));
    format!(
        "| `{name}` | {asks} | {} | {} | {} | {} |\n",
        case.level,
        versions.join(", "),
        case.clauses.join(", "),
        case.origin.join(" ")
    )
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}
