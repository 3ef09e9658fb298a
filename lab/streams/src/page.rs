//! The generated part of the page `docs/pollcheck-results.md`: one row a stream.
//!
//! It refuses to explain a finding: each of them has its section on the page, written by hand.

use crate::{Stream, all};
use pollcheck::Report;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{fs, io, thread};

/// Where the page is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pollcheck-results.md")
}

/// The page with the rows of all streams that this build has made anew; the others stay as they are.
///
/// # Errors
///
/// When the page cannot be read or has lost its marks, or the lock file names a crate of a row not at all.
pub fn made(mut progress: impl FnMut(&Stream, &Report)) -> io::Result<String> {
    let page = fs::read_to_string(path())?;
    let lost = || io::Error::other("the page has lost its marks");
    let (head, rest) = page.split_once(BEGIN).ok_or_else(lost)?;
    let (old, tail) = rest.split_once(END).ok_or_else(lost)?;
    let versions = versions(include_str!("../Cargo.lock"));
    let mut rows: Vec<(String, String)> = old.lines().skip(HEAD.lines().count()).filter_map(parse).collect();
    for (stream, report) in checked(all()) {
        progress(&stream, &report);
        let crates: io::Result<Vec<String>> = stream.crates.iter().map(|name| version(&versions, name)).collect();
        let key = format!("{} | {}", stream.name, stream.crates[0]);
        let row = row(&stream, &crates?.join(", "), &report);
        match rows.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = row,
            None => rows.push((key, row)),
        }
    }
    let mut table = String::from(HEAD);
    for (_, row) in &rows {
        let _ = writeln!(table, "{row}");
    }
    Ok(format!("{head}{BEGIN}{table}{END}{tail}"))
}

/// Each stream with its report, in their order, worked out by two threads.
fn checked(streams: Vec<Stream>) -> Vec<(Stream, Report)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(stream) = streams.get(next.fetch_add(1, Relaxed)) {
            done.push((stream.name, stream.crates[0], (stream.check)()));
        }
        done
    };
    let mut reports: Vec<_> = thread::scope(|scope| {
        let workers = [scope.spawn(work), scope.spawn(work)];
        workers.into_iter().flat_map(|worker| worker.join().expect("pollcheck catches the panics of streams")).collect()
    });
    let report_of = |stream: Stream| {
        let at = reports.iter().position(|(name, of, _)| (*name, *of) == (stream.name, stream.crates[0]));
        let (_, _, report) = reports.swap_remove(at.expect("each stream was checked"));
        (stream, report)
    };
    streams.into_iter().map(report_of).collect()
}

fn row(stream: &Stream, crates: &str, report: &Report) -> String {
    let mut found: Vec<String> = report.violations().iter().map(|violation| violation.rule().to_string()).collect();
    found.sort_unstable();
    let links: Vec<String> =
        found.iter().map(|rule| format!("[{rule}](../crates/pollcheck/docs/rules.md#{rule})")).collect();
    let found = if links.is_empty() { "nothing".to_owned() } else { links.join(", ") };
    format!("| {} | {crates} | {} | {} | {found} |", stream.name, report.runs(), report.faults())
}

/// A row of the page, with what tells it from the others: the type and its crate.
fn parse(line: &str) -> Option<(String, String)> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (name, crates) = (cells.next()?, cells.next()?);
    Some((format!("{name} | {}", crates.split(' ').next()?), line.to_owned()))
}

fn version(versions: &BTreeMap<String, String>, name: &str) -> io::Result<String> {
    let version = versions.get(name).ok_or_else(|| io::Error::other(format!("Cargo.lock has no {name}")))?;
    Ok(format!("{name} {version}"))
}

/// The crates of a lock file, each with its version, the newest where there are several.
fn versions(lock: &str) -> BTreeMap<String, String> {
    let value =
        |line: &str, key: &str| Some(line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"')?.to_owned());
    let mut versions = BTreeMap::new();
    let mut name = None;
    for line in lock.lines() {
        if let Some(found) = value(line, "name") {
            name = Some(found);
        } else if let Some(version) = value(line, "version")
            && let Some(name) = name.take()
        {
            versions.insert(name, version);
        }
    }
    versions
}

const BEGIN: &str = "<!-- begin: made by lab/streams -->\n";
const END: &str = "<!-- end -->\n";
const HEAD: &str = "| stream | crate | runs | faults | pollcheck found |\n|---|---|---|---|---|\n";
