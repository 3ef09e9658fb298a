//! The survey of real subjects: installs them, runs the checker on each, and writes docs/survey.md and docs/survey.html.
//!
//! It judges nothing: what a cell says is what `closenotify check` said. Which cells are surprising, and why they are as they
//! are, is written by hand in docs/survey.md.

mod matrix;
mod page;
mod prepare;
mod report;
mod run;
mod small;
mod subjects;
mod surprises;

use crate::shell::{Failure, Outcome};
use prepare::Prepared;
use subjects::Subject;

/// Runs the subjects of these ids, all when there is none, and writes the pages with what is known of the others.
pub(crate) fn run(ids: &[String]) -> Outcome {
    let chosen = choose(ids)?;
    let prepared = Prepared::new(&chosen, true)?;
    let mut failures = Vec::new();
    for (at, subject) in chosen.iter().enumerate() {
        for round in 1..=ROUNDS {
            println!(
                "survey: [{}/{}] {} {}, round {round} of {ROUNDS}",
                at + 1,
                chosen.len(),
                subject.kind,
                subject.id
            );
            // One that cannot be run does not cost the reports of the others.
            if let Err(failure) = run::round(&prepared, subject, round) {
                println!("survey: {}: {failure}", subject.id);
                failures.push(subject.id);
                break;
            }
        }
    }
    drop(prepared);
    write_pages()?;
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("could not be run: {0}\nRerun: cargo xtask survey {0}", failures.join(" "))))
}

/// Writes the pages from the reports of earlier runs.
pub(crate) fn write_pages() -> Outcome {
    let known = report::Known::read()?;
    let surprises = matrix::write(&known)?;
    page::write(&known, &surprises)
}

/// Runs the small survey and compares what is stable with `docs/survey-small.txt`, or writes it there.
pub(crate) fn small(write: bool) -> Outcome {
    small::run(write)
}

fn choose(ids: &[String]) -> Outcome<Vec<&'static Subject>> {
    if ids.is_empty() {
        return Ok(subjects::all().collect());
    }
    let find = |id: &String| {
        subjects::find(id).ok_or_else(|| {
            let known: Vec<&str> = subjects::all().map(|subject| subject.id).collect();
            Failure::new(format!("there is no subject {id}; there are {}", known.join(", "))).with_code(2)
        })
    };
    ids.iter().map(find).collect()
}

/// How often each subject is run: a cell that is not the same each time depends on time, and says so.
const ROUNDS: usize = 2;
