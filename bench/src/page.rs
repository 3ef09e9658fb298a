//! The generated part of the page `docs/performance.md`, between its marks; the words around it are written by hand.

use crate::runner::{Results, name_of};
use crate::stacks::Name;
use crate::targets::{Bound, TARGETS, Target, What};
use crate::works::Work;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;
use std::{fs, io, thread};

/// Where the page is.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md")
}

/// What the numbers depend on, read before the run.
pub struct Machine {
    processor: String,
    cores: usize,
    kernel: String,
    load: String,
    commit: String,
    compiler: String,
}

impl Machine {
    /// This one, now.
    ///
    /// # Errors
    ///
    /// When /proc cannot be read.
    pub fn now() -> io::Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let load = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            processor: model.map_or("an unnamed processor", |(_, name)| name.trim()).to_owned(),
            cores: thread::available_parallelism()?.get(),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            commit: first_line("git", &["rev-parse", "--short", "HEAD"]),
            compiler: first_line("rustc", &["--version"]),
        })
    }
}

/// The page with its generated part made anew.
///
/// # Errors
///
/// When the page cannot be read or has lost its marks, or the lock file does not name a crate.
pub fn made(results: &Results, machine: &Machine) -> io::Result<String> {
    let page = fs::read_to_string(path())?;
    let lost = || io::Error::other("the page has lost its marks");
    let (head, rest) = page.split_once(BEGIN).ok_or_else(lost)?;
    let (_, tail) = rest.split_once(END).ok_or_else(lost)?;
    let made = [conditions(results, machine)?, targets(results), tables(results)].join("\n");
    Ok(format!("{head}{BEGIN}{made}{END}{tail}"))
}

/// The table of the targets.
#[must_use]
pub fn targets(results: &Results) -> String {
    rows_of(results, &TARGETS)
}

/// The table of those targets that no load of the machine changes, and whether all are reached.
#[must_use]
pub fn counts(results: &Results) -> (String, bool) {
    let counted: Vec<Target> = TARGETS.into_iter().filter(Target::is_counted).collect();
    let reached = counted.iter().all(|target| target.judge(results).is_some_and(|verdict| verdict.reached));
    (rows_of(results, &counted), reached)
}

fn rows_of(results: &Results, targets: &[Target]) -> String {
    let mut table = String::from(
        "| work | compared | closenotify | tokio-rustls | ratio | target | reached |\n|---|---|---|---|---|---|---|\n",
    );
    for target in targets {
        let Some(verdict) = target.judge(results) else { continue };
        let bound = match target.bound {
            Bound::AtMost(most) => format!("at most {most:.2}"),
            Bound::AtLeast(least) => format!("at least {least:.2}"),
            Bound::AtMostOneOrBelow(bytes) => format!("at most 1.00, or below {bytes} bytes"),
        };
        let shown = |value| shown(target.work, target.what, value);
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {:.2} | {bound} | {} |",
            label(target.work),
            unit(target.work, target.what),
            shown(verdict.ours),
            shown(verdict.theirs),
            verdict.ratio,
            if verdict.reached { "yes" } else { "**no**" },
        );
    }
    table
}

fn conditions(results: &Results, machine: &Machine) -> io::Result<String> {
    let versions = versions(include_str!("../Cargo.lock"));
    let named = ["closenotify", "tokio-rustls", "rustls", "aws-lc-rs", "tokio-openssl", "s2n-tls-tokio", "tokio"];
    let mut crates = Vec::new();
    for name in named {
        let version = versions.get(name).ok_or_else(|| io::Error::other(format!("Cargo.lock has no {name}")))?;
        crates.push(format!("{name} {version}"));
    }
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let Machine { processor, cores, kernel, load, commit, compiler } = machine;
    Ok(format!(
        "- Command: `cargo xtask bench library --rounds {}`, on {}, at commit {commit}\n\
         - Machine: {processor}, {cores} cores, Linux {kernel}; load average when it began: {load}\n\
         - Versions: {}; {}; {compiler}\n",
        results.rounds(),
        &date[..10],
        crates.join(", "),
        openssl::version::version(),
    ))
}

/// One table for each family of works, a stack a row.
fn tables(results: &Results) -> String {
    let mut text = String::new();
    for (title, columns) in TABLES {
        let _ = write!(text, "### {title}\n\n| stack |");
        for (work, what) in columns {
            let _ = write!(text, " {}: {} |", label(*work), unit(*work, *what));
            if is_compared(*what) {
                text.push_str(" to tokio-rustls |");
            }
        }
        let cells = columns.iter().map(|(_, what)| 1 + usize::from(is_compared(*what))).sum::<usize>();
        let resident = columns.iter().any(|(work, _)| *work == Work::AtRest);
        if resident {
            text.push_str(" client, resident memory | server, resident memory |");
        }
        let _ = writeln!(text, "\n|---|{}", "---|".repeat(cells + 2 * usize::from(resident)));
        for stack in Name::ALL {
            let _ = write!(text, "| {} |", stack.label());
            for (work, what) in columns {
                text.push_str(&cell(results, *work, stack, *what));
            }
            if let Some([client, server]) = results.resident(stack).filter(|_| resident) {
                let _ = write!(text, " {client:.0} | {server:.0} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

fn cell(results: &Results, work: Work, stack: Name, what: What) -> String {
    let Some([least, median, most]) = results.spread(work, stack, what) else {
        return if is_compared(what) { " not measured | |".to_owned() } else { " not measured |".to_owned() };
    };
    let shown = |value| shown(work, what, value);
    if !is_compared(what) {
        return format!(" {} |", shown(median));
    }
    let ratio = results.ratio(work, stack, what).map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
    format!(" {} ({} to {}) | {ratio} |", shown(median), shown(least), shown(most))
}

/// Times have a spread and a ratio, counts have neither.
fn is_compared(what: What) -> bool {
    matches!(what, What::Cpu | What::Throughput)
}

fn label(work: Work) -> String {
    let label = match work {
        Work::Bulk16K => "bulk, writes of 16 KiB",
        Work::Bulk64K => "bulk, writes of 64 KiB",
        Work::RoundTrip100 => "round trip of 100 B",
        Work::RoundTrip1K => "round trip of 1 KiB",
        Work::RoundTrip16K => "round trip of 16 KiB",
        Work::BothHalves => "both halves busy",
        Work::HandshakeFull => "full handshake",
        Work::HandshakeResumed => "resumed handshake",
        Work::AtRest => "session at rest",
        Work::AtRestServer => return name_of(work),
    };
    label.to_owned()
}

fn is_bulk(work: Work) -> bool {
    matches!(work, Work::Bulk16K | Work::Bulk64K | Work::BothHalves)
}

fn unit(work: Work, what: What) -> &'static str {
    match what {
        What::Cpu if work == Work::BothHalves => "CPU s per GB each way",
        What::Cpu if is_bulk(work) => "CPU s per GB",
        What::Cpu => "CPU µs",
        What::Throughput => "MB/s each way",
        What::Allocations => "allocations",
        What::Allocated => "bytes asked for",
        What::ClientHeap => "client, heap bytes",
        What::ServerHeap => "server, heap bytes",
    }
}

/// A value of a unit of work, as the page writes it.
fn shown(work: Work, what: What, value: f64) -> String {
    match what {
        // The unit of work is a MB.
        What::Cpu if is_bulk(work) => format!("{:.3}", value * 1e3),
        What::Cpu => format!("{:.1}", value * 1e6),
        What::Throughput | What::Allocations | What::Allocated | What::ClientHeap | What::ServerHeap => {
            format!("{value:.0}")
        }
    }
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let text = String::from_utf8(text.unwrap_or_default()).unwrap_or_default();
    text.lines().next().unwrap_or("unknown").to_owned()
}

/// The crates of a lock file, each with its version.
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

const TABLES: [(&str, &[(Work, What)]); 6] = [
    ("Bulk", &[(Work::Bulk16K, What::Cpu), (Work::Bulk64K, What::Cpu)]),
    (
        "Round trips",
        &[(Work::RoundTrip100, What::Cpu), (Work::RoundTrip1K, What::Cpu), (Work::RoundTrip16K, What::Cpu)],
    ),
    (
        "Memory asked for in a round trip, both ends",
        &[
            (Work::RoundTrip100, What::Allocations),
            (Work::RoundTrip100, What::Allocated),
            (Work::RoundTrip1K, What::Allocations),
            (Work::RoundTrip1K, What::Allocated),
            (Work::RoundTrip16K, What::Allocations),
            (Work::RoundTrip16K, What::Allocated),
        ],
    ),
    ("Both halves busy, in two threads", &[(Work::BothHalves, What::Throughput), (Work::BothHalves, What::Cpu)]),
    ("Handshakes", &[(Work::HandshakeFull, What::Cpu), (Work::HandshakeResumed, What::Cpu)]),
    ("Sessions at rest", &[(Work::AtRest, What::ClientHeap), (Work::AtRest, What::ServerHeap)]),
];

const BEGIN: &str = "<!-- begin: made by cargo xtask bench library -->\n";
const END: &str = "<!-- end: library -->\n";
