//! Runs the examples of `closenotify`. An example with a client of its own runs to its end. A server gets the curl line that it
//! prints and a Ctrl-C, and then must meet every case of `closenotify check server`.
//!
//! What they print is not judged: that the streams work under these libraries is tested in `tests/ecosystem`.

use crate::peers;
use crate::readme::{Demo, curl};
use crate::shell::{self, Failure, Outcome, cargo};
use serde_json::Value;
use std::fs;
use std::net::TcpListener;

/// Runs every example.
pub(crate) fn run() -> Outcome {
    // curl, for those that serve.
    peers::install_missing()?;
    let found = names()?;
    let mut known: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    if found != known {
        return Err(Failure::new(format!("{FOLDER} has {found:?}, and xtask/src/examples.rs runs {known:?}")));
    }
    // Built first, so that the limits are those of the examples and not of the compiler.
    shell::run(cargo(&["build", "--quiet", "--locked", "-p", "closenotify", "--examples"]))?;
    shell::run(cargo(&["build", "--quiet", "--locked", "-p", "closenotify-cli", "--bin", "closenotify"]))?;
    for (name, page) in EXAMPLES {
        println!("$ cargo run -p closenotify --example {name}");
        let mut example = Demo::start(cargo(&["run", "--quiet", "--locked", "-p", "closenotify", "--example", name]))?;
        let run = match page {
            None => example.ended("by itself"),
            Some(page) => example
                .curl_line()
                .and_then(|line| curl(&line, page))
                .and_then(|_| example.end_by("INT"))
                .and_then(|()| meets_every_case(name)),
        };
        run.map_err(|failure| Failure { message: format!("example {name}: {failure}"), ..failure })?;
    }
    Ok(())
}

/// Runs the checker on the server example `name`; every case must be judged, and met.
fn meets_every_case(name: &str) -> Outcome {
    let example = shell::target_folder().join("debug/examples").join(name).display().to_string();
    let report = shell::target_folder().join(format!("example-{name}.json"));
    let address = free_address()?;
    let mut check = cargo(&["run", "--quiet", "--locked", "-p", "closenotify-cli", "--bin", "closenotify", "--"]);
    check.args(["check", "server", "--strict", "--app", "http1:/big", "--timeout", "20s", "--json"]).arg(&report);
    check.args([&address, "--", &example, "{addr}", "{cert}", "{key}"]);
    let run = check.output().map_err(|error| Failure::new(format!("the checker cannot be started: {error}")))?;
    // For a person who looks for what is wrong.
    let said = [run.stdout, run.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    if !run.status.success() {
        return Err(Failure::new(format!("`closenotify check server`: {}\n{said}", run.status)));
    }
    let text = fs::read_to_string(&report)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", report.display())))?;
    let summary = all_met(&text).map_err(|why| Failure::new(format!("{why}\n{said}")))?;
    println!("example {name}: {summary}");
    Ok(())
}

/// That every outcome of this report is met: how many there are, or what else there is.
fn all_met(report: &str) -> Result<String, String> {
    let report: Value = serde_json::from_str(report).map_err(|error| format!("the report is no JSON: {error}"))?;
    let all = report["outcomes"].as_array().map_or(0, Vec::len);
    let counts = &report["counts"];
    if all > 0 && counts["met"].as_u64() == Some(all as u64) {
        Ok(format!("all {all} results are met"))
    } else {
        Err(format!("not all {all} results are met: {counts}"))
    }
}

/// An address on which nobody listens.
fn free_address() -> Outcome<String> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    address.map(|address| address.to_string()).map_err(|error| Failure::new(format!("no free port: {error}")))
}

/// The examples that there are, sorted. What they share is in a folder.
fn names() -> Outcome<Vec<String>> {
    let folder = shell::root().join(FOLDER);
    let unreadable = |error| Failure::new(format!("{} cannot be read: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(".rs").map(ToOwned::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

const FOLDER: &str = "crates/closenotify/examples";

/// Each with what the page says that it serves, if it serves one.
const EXAMPLES: [(&str, Option<&str>); 5] = [
    ("codec", None),
    ("hyper_client", None),
    ("proxy_copy_bidirectional", None),
    ("axum_server", Some("hello")),
    ("hyper_server", Some("HTTP/")),
];

#[cfg(test)]
mod tests {
    use super::all_met;

    #[test]
    fn only_a_report_in_which_all_is_met_is_taken() {
        let report = |met: u64, other: u64| {
            let counts = serde_json::json!({"met": met, "not_applicable": other});
            let outcomes = vec!["one"; usize::try_from(met + other).unwrap()];
            serde_json::json!({"counts": counts, "outcomes": outcomes}).to_string()
        };
        assert_eq!(all_met(&report(2, 0)).as_deref(), Ok("all 2 results are met"));
        for bad in [&report(2, 1), &report(0, 0), "{}", ""] {
            assert!(all_met(bad).is_err(), "{bad}");
        }
    }
}
