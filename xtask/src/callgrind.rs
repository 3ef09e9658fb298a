//! How many instructions the library's hot paths take, by valgrind, compared with `bench/callgrind.json`.
//!
//! The count does not depend on the load of the machine, and hardly on anything else: what keys and randoms are drawn changes
//! it by a tenth of a percent. Another processor or compiler may change it by more; the file names those it was made with, and
//! where they differ a drift fails nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fmt, fs, thread};

use serde::{Deserialize, Serialize};

use crate::shell::{self, Failure, Outcome};
use crate::{bench, peers};

/// Counts each path; fails when one has drifted further than the file allows, in either direction, on a machine as that of the
/// file. With `bless` the counts are written to the file instead; what drift is allowed stays.
pub(crate) fn run(bless: bool) -> Outcome {
    if !peers::is_there("valgrind") {
        peers::install(&["valgrind"])?;
    }
    let mut expected = Expected::read()?;
    let program = bench::build()?.join("hot_path");
    let folder = shell::target_folder().join("callgrind");
    fs::create_dir_all(&folder).map_err(|error| failed("cannot be made", &folder, &error))?;
    let mut drifted = Vec::new();
    // All at once: a count does not depend on what else runs, and each takes one core.
    let counts = thread::scope(|scope| {
        let running: Vec<_> = expected
            .paths
            .keys()
            .map(|path| {
                let out = folder.join(format!("{path}.out"));
                let program = &program;
                scope.spawn(move || count(program, path, &out))
            })
            .collect();
        running.into_iter().map(|one| one.join().expect("nothing in it panics")).collect::<Outcome<Vec<u64>>>()
    })?;
    println!("{:18}{:>14}{:>14}{:>9}{:>9}", "path", "instructions", "expected", "drift", "allowed");
    for ((path, expected), counted) in expected.paths.iter_mut().zip(counts) {
        let drift = counted as f64 / expected.instructions as f64 - 1.0;
        let Count { instructions, allowed_drift } = *expected;
        println!("{path:18}{counted:14}{instructions:14}{:8.2}%{:8.2}%", drift * 100.0, allowed_drift * 100.0);
        if drift.abs() > allowed_drift {
            drifted.push(path.as_str().to_owned());
        }
        expected.instructions = counted;
    }
    let here = Machine::here()?;
    if bless {
        return Expected { machine: here, ..expected }.write();
    }
    if drifted.is_empty() {
        return Ok(());
    }
    if here != expected.machine {
        println!(
            "callgrind: NOT COMPARED: the counts of {FILE} are of another machine.\n  there: {}\n  here:  {here}",
            expected.machine
        );
        return Ok(());
    }
    Err(Failure::new(format!(
        "{}: drifted further than {FILE} allows. `callgrind_annotate {}/PATH.out` tells where the instructions go; if the \
         change is meant, `cargo xtask callgrind --bless` writes the file",
        drifted.join(", "),
        folder.display(),
    )))
}

/// The file of what is expected.
#[derive(Serialize, Deserialize)]
struct Expected {
    #[serde(flatten)]
    machine: Machine,
    paths: BTreeMap<String, Count>,
}

/// What the counts depend on beside our code.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct Machine {
    compiler: String,
    valgrind: String,
    processor: String,
}

impl Machine {
    fn here() -> Outcome<Self> {
        let first_line = |program, argument| {
            let output = shell::output(shell::command(program, &[argument]))?;
            Outcome::Ok(output.lines().next().unwrap_or_default().to_owned())
        };
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Ok(Self {
            compiler: first_line("rustc", "--version")?,
            valgrind: first_line("valgrind", "--version")?,
            processor: model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}", self.compiler, self.valgrind, self.processor)
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Count {
    instructions: u64,
    allowed_drift: f64,
}

impl Expected {
    fn read() -> Outcome<Self> {
        let path = shell::root().join(FILE);
        let text = fs::read_to_string(&path).map_err(|error| failed("cannot be read", &path, &error))?;
        serde_json::from_str(&text).map_err(|error| failed("is not what it should be", &path, &error))
    }

    fn write(self) -> Outcome {
        let path = shell::root().join(FILE);
        let mut text = serde_json::to_string_pretty(&self).map_err(|error| failed("cannot be made", &path, &error))?;
        text.push('\n');
        fs::write(&path, text).map_err(|error| failed("cannot be written", &path, &error))
    }
}

/// Runs one path under callgrind; how many instructions it took.
fn count(program: &Path, path: &str, out: &PathBuf) -> Outcome<u64> {
    let arguments = [
        "--quiet",
        "--tool=callgrind",
        "--collect-atstart=no",
        "--toggle-collect=bench::hot::measured*",
        &format!("--callgrind-out-file={}", out.display()),
        &program.to_string_lossy(),
        path,
    ];
    shell::output(shell::command("valgrind", &arguments))?;
    let text = fs::read_to_string(out).map_err(|error| failed("cannot be read", out, &error))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    match total {
        None | Some(0) => Err(Failure::new(format!("{} has no count: was `measured` found?", out.display()))),
        Some(total) => Ok(total),
    }
}

fn failed(what: &str, path: &Path, error: &dyn fmt::Display) -> Failure {
    Failure::new(format!("{} {what}: {error}", path.display()))
}

const FILE: &str = "bench/callgrind.json";
