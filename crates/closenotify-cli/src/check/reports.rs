//! Where the reports go, and what the run comes to.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;
use std::sync::Mutex;

use closenotify_check::expect::Deviations;
use closenotify_check::report::progress::{Progress, ProgressStyle};
use closenotify_check::report::{html, json, junit, text};
use closenotify_check::summary::{Decision, Judged, Strictness};
use closenotify_check::{Case, Outcome, Run, Watcher};
use closenotify_probe::Version;

use crate::check::args::CommonArgs;
use crate::exit::{ExitCode, Failure};

/// Progress on stderr: a line that is rewritten on a terminal, nothing elsewhere.
pub(crate) fn progress(total: usize) -> Shown {
    let style = match io::stderr().is_terminal() {
        true => ProgressStyle::Rewritten(COLUMNS),
        false => ProgressStyle::Silent,
    };
    Shown(Mutex::new(Progress::new(io::stderr(), style, total)))
}

/// Progress that many tasks may tell of.
pub(crate) struct Shown(Mutex<Progress<io::Stderr>>);

impl Watcher for Shown {
    fn began(&self, case: &'static Case, version: Version) {
        if let Ok(mut progress) = self.0.lock() {
            progress.started(&format!("{} ({version})", case.id));
        }
    }

    fn ended(&self, outcome: &Outcome, done: usize, of: usize) {
        if let Ok(mut progress) = self.0.lock() {
            progress.finished(outcome);
            if done == of {
                progress.done();
            }
        }
    }
}

/// Opens every file of a report once, so that none is refused when the work is done.
pub(crate) fn can_be_written(common: &CommonArgs) -> Result<(), Failure> {
    for (flag, file) in files(common) {
        if file.as_os_str() != "-" {
            File::options().create(true).append(true).open(file).map_err(|error| unwritable(flag, file, &error))?;
        }
    }
    let to_stdout = files(common).filter(|(_, file)| file.as_os_str() == "-").count();
    match to_stdout {
        0 | 1 => Ok(()),
        _ => Err(Failure::new(ExitCode::Usage, "only one report can go to stdout; give the others a file")),
    }
}

/// Writes every report that was asked for, and says how to end.
pub(crate) fn write(common: &CommonArgs, run: &Run, deviations: &Deviations) -> Result<ExitCode, Failure> {
    let strictness = if common.strict { Strictness::Strict } else { Strictness::Ordinary };
    let judged = Judged::new(run, deviations, strictness);
    for (flag, file) in files(common) {
        let failed = |error: io::Error| unwritable(flag, file, &error);
        let mut out: Box<dyn Write> = match file.as_os_str() == "-" {
            true => Box::new(io::stdout().lock()),
            false => Box::new(BufWriter::new(File::create(file).map_err(failed)?)),
        };
        match flag {
            "--json" => json::write(&judged, &mut out),
            "--junit" => junit::write(&judged, &mut out),
            _ => html::write(&judged, &mut out),
        }
        .and_then(|()| out.flush())
        .map_err(failed)?;
    }
    if files(common).all(|(_, file)| file.as_os_str() != "-") {
        let colour = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let options = text::TextOptions { colour, verbose: common.verbose };
        let mut out = BufWriter::new(io::stdout().lock());
        // Whoever closed stdout has seen enough; the exit code says the rest.
        let _ = text::write(&judged, options, &mut out).and_then(|()| out.flush());
    }
    Ok(match judged.decision() {
        Decision::AllMet => ExitCode::Fine,
        Decision::SomeNotMet => ExitCode::NotMet,
        Decision::CouldNotRun => ExitCode::NoSubject,
        Decision::NothingMatched => ExitCode::NothingMatched,
        Decision::InconclusiveOnly => ExitCode::Inconclusive,
        Decision::Interrupted => ExitCode::Interrupted,
    })
}

fn files(common: &CommonArgs) -> impl Iterator<Item = (&'static str, &Path)> {
    [("--json", &common.json), ("--junit", &common.junit), ("--html", &common.html)]
        .into_iter()
        .filter_map(|(flag, file)| Some((flag, file.as_deref()?)))
}

fn unwritable(flag: &str, file: &Path, error: &io::Error) -> Failure {
    Failure::new(ExitCode::Usage, format!("{flag} {}: cannot be written: {error}", file.display()))
}

/// A line of progress is cut to this; terminals are seldom narrower.
const COLUMNS: usize = 80;
