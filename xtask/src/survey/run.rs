//! One run of the checker on one subject.
//!
//! Nothing is left running when it ends, however it ends: the checker stops what it started, `timeout` stops a checker that
//! hangs, and the kernel (`setpriv --pdeathsig`) tells that when we are gone.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::prepare::{Prepared, free_address};
use super::subjects::{Kind, Subject};
use crate::shell::{self, Failure, Outcome};

/// Where reports are kept, `ID.ROUND.json`.
pub(super) fn reports() -> PathBuf {
    shell::target_folder().join("survey")
}

/// Runs the checker; its report is in [`reports`], and a line about it on standard output.
///
/// Fails when there is no report, with what the checker said.
pub(super) fn round(prepared: &Prepared, subject: &Subject, round: usize) -> Outcome {
    let folder = reports();
    let failed = |error| Failure::new(format!("{} cannot be written: {error}", folder.display()));
    fs::create_dir_all(&folder).map_err(failed)?;
    fs::write(folder.join(format!("{}.version", subject.id)), prepared.version(subject)?).map_err(failed)?;
    let report = folder.join(format!("{}.{round}.json", subject.id));
    // A port that was free may be taken by the time that the subject listens.
    check(prepared, subject, &report, &[]).or_else(|_| check(prepared, subject, &report, &[]))
}

/// Runs the checker with more options.
pub(super) fn check(prepared: &Prepared, subject: &Subject, report: &Path, options: &[&str]) -> Outcome {
    let (addr, other) = (free_address()?.to_string(), free_address()?.to_string());
    let said = report.with_extension("txt");
    let errors = report.with_extension("err");
    let create = |path: &Path| {
        File::create(path).map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
    };
    // Half a report, and one of an earlier run, are not to be taken for this one's.
    let part = report.with_extension("part");
    let _ = fs::remove_file(report);

    let mut command = shell::command("setpriv", &["--pdeathsig", "TERM", "timeout", "--foreground"]);
    command.args(["--kill-after", "10", &LIMIT.as_secs().to_string()]).arg(&prepared.closenotify);
    command.args(["check", &subject.kind.to_string()]).args(subject.options).args(options).arg("--json").arg(&part);
    if subject.kind == Kind::Proxy {
        command.args(["--upstream", &other]);
    }
    if subject.kind != Kind::Client {
        command.arg(&addr);
    }
    command.args(["--", "sh"]).arg(prepared.script(subject));
    command.args(subject.kind.places().iter().map(|place| format!("{{{place}}}")));
    command.env("work", &prepared.work).env("peers", &prepared.peers).env("closenotify", &prepared.closenotify);
    if subject.kind == Kind::Server {
        command.env("upstream", &other).env("behind", format!("{} plain {other}", prepared.peers.display()));
    } else {
        command.env("behind", "");
    }
    command.stdin(std::process::Stdio::null()).stdout(create(&said)?).stderr(create(&errors)?);

    let start = Instant::now();
    let status = command.status().map_err(|error| Failure::new(format!("the checker cannot be started: {error}")))?;
    let took = start.elapsed();
    // Not met and inconclusive are what we came for.
    if !matches!(status.code(), Some(0 | 6 | 9)) || fs::rename(&part, report).is_err() {
        let text = fs::read_to_string(&errors).unwrap_or_default();
        let last: Vec<&str> = text.lines().rev().take(12).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(Failure::new(format!("the checker ended with {status}\n{}", last.join("\n"))));
    }
    let text = fs::read_to_string(&said).unwrap_or_default();
    let summary = text.lines().find(|line| line.contains(" results in ")).unwrap_or("done");
    println!("survey: {}: {summary} ({:.1} s)", subject.id, took.as_secs_f64());
    Ok(())
}

/// Nothing takes nearly so long.
const LIMIT: Duration = Duration::from_secs(600);
