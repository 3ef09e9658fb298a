//! The generated part of docs/survey.md: the subjects, and for each kind the matrix of cases and subjects.
//!
//! What is around the markers is written by hand and left alone.

use std::fmt::Write as _;
use std::fs;

use super::report::{Cell, Known, Surveyed, Verdict};
use super::subjects::Kind;
use super::surprises::{self, PAGE, Surprise};
use crate::shell::{self, Failure, Outcome};

/// Writes what is between the markers; what is surprising, as the rest of the page says it.
pub(super) fn write(known: &Known) -> Outcome<Vec<Surprise>> {
    let path = shell::root().join(PAGE);
    let page = fs::read_to_string(&path).map_err(|error| Failure::new(format!("{PAGE} cannot be read: {error}")))?;
    let surprises = surprises::parse(&page)?;
    surprises::check(&surprises, known)?;
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| Failure::new(format!("{PAGE} has no {BEGIN} and {END}")))?;
    let page = format!("{before}{BEGIN}\n{}\n{END}{after}", generated(known, &surprises));
    fs::write(&path, page).map_err(|error| Failure::new(format!("{PAGE} cannot be written: {error}")))?;
    println!("survey: {PAGE} is written");
    Ok(surprises)
}

fn generated(known: &Known, surprises: &[Surprise]) -> String {
    let mut text = String::new();
    for kind in Kind::ALL {
        let subjects = known.of(kind);
        if !subjects.is_empty() {
            section(&mut text, kind, &subjects, surprises);
        }
    }
    text
}

fn section(text: &mut String, kind: Kind, subjects: &[&Surveyed], surprises: &[Surprise]) {
    let _ = write!(text, "\n## {}\n\n", kind.heading());
    let _ = writeln!(text, "| | subject | version | how it was run | surveyed | runs | ✓ | ✗ | ? | · |");
    let _ = writeln!(text, "|---|---|---|---|---|---|---|---|---|---|");
    for (at, one) in subjects.iter().enumerate() {
        let count = |verdict| one.count(verdict);
        let _ = writeln!(
            text,
            "| {} | {} (`{}`) | {} | {} | {} | {} | {} | {} | {} | {} |",
            at + 1,
            one.subject.name,
            one.subject.id,
            one.version,
            one.subject.how,
            one.day,
            one.rounds,
            count(Verdict::Met),
            count(Verdict::NotMet),
            count(Verdict::Inconclusive),
            count(Verdict::NotApplicable),
        );
    }
    let numbers: String = (1..=subjects.len()).map(|number| format!(" {number} |")).collect();
    let _ = write!(text, "\n| case | level |{numbers}\n|---|---|{}\n", "---|".repeat(subjects.len()));
    for case in cases(subjects) {
        let id = case.case.strip_prefix(&format!("{kind}/")).unwrap_or(&case.case);
        let _ = write!(text, "| `{id}` | {} |", case.level);
        for subject in subjects {
            let symbols = subject.cell(&case.case).map_or_else(|| " ".to_owned(), symbols);
            let found = surprises.iter().find(|surprise| surprise.is_about(subject.subject.id, &case.case));
            let _ = match found {
                Some(surprise) => write!(text, " [{symbols}](#{}) |", surprise.anchor()),
                None => write!(text, " {symbols} |"),
            };
        }
        text.push('\n');
    }
}

/// The cases that any of the subjects has, in the order of the checker.
pub(super) fn cases<'a>(subjects: &[&'a Surveyed]) -> Vec<&'a Cell> {
    let longest = subjects.iter().max_by_key(|subject| subject.cells.len());
    longest.map(|subject| subject.cells.iter().collect()).unwrap_or_default()
}

/// One for both versions of TLS, two where they differ; with a tilde where rounds do.
fn symbols(cell: &Cell) -> String {
    let mut symbols: String = cell.verdicts().into_iter().map(symbol).collect();
    if cell.varies() {
        symbols.push('~');
    }
    symbols
}

/// A verdict in one character.
pub(super) fn symbol(verdict: Verdict) -> char {
    match verdict {
        Verdict::Met => '✓',
        Verdict::NotMet => '✗',
        Verdict::Inconclusive => '?',
        Verdict::NotApplicable => '·',
    }
}

const BEGIN: &str = "<!-- written by cargo xtask survey: begin -->";
const END: &str = "<!-- written by cargo xtask survey: end -->";
