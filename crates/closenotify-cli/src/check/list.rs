//! `--list`: what would be run, and nothing is.

use std::io::{self, Write as _};

use closenotify_check::{Case, Subject, select};
use closenotify_probe::Version;

use crate::check::args::CommonArgs;
use crate::check::failure;
use crate::exit::{ExitCode, Failure};

/// Prints the selected cases; with --verbose all that is known of each.
pub(crate) fn print(subject: Subject, common: &CommonArgs) -> Result<ExitCode, Failure> {
    let selected = select(subject, &common.cases, &common.levels(), &common.versions()).map_err(failure)?;
    let mut text = String::new();
    let mut last: Option<&Case> = None;
    for (case, _) in &selected {
        if last.is_some_and(|last| last.id == case.id) {
            continue;
        }
        last = Some(case);
        let versions: Vec<_> = selected
            .iter()
            .filter(|(other, _)| other.id == case.id)
            .map(|(_, version)| match version {
                Version::Tls12 => "1.2",
                Version::Tls13 => "1.3",
            })
            .collect();
        text += &format!("{}\n    {} · TLS {}", case.id, case.level, versions.join(", "));
        for clause in case.clauses {
            text += &format!(" · {clause}");
        }
        text += &format!("\n    {}\n", case.requirement);
        if common.verbose {
            for (at, step) in case.steps.iter().enumerate() {
                text += &format!("      {}. {step}\n", at + 1);
            }
            text += &format!("    allowed: {}\n", case.allowed_text());
            if !case.origin.is_empty() {
                text += &format!("    seen in the wild: {} (docs/cases.md)\n", case.origin.join(", "));
            }
            text += &format!("    harm: {}\n    mend: {}\n", case.harm, case.mend);
        }
    }
    // Whoever closed stdout has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(ExitCode::Fine)
}
