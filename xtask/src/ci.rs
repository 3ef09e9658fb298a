//! Everything that must hold before a change is taken, in the order in which it fails fastest.

use std::time::{Duration, Instant};

use crate::shell::{self, Failure, Outcome, cargo};
use crate::{
    api, bench, callgrind, cases, deny, deps, examples, features, fuzz, kubernetes, lab, msrv, package, quickstart,
    readme, survey, test, unexpected_eof,
};

/// Runs every step; stops at the first that fails, and names it.
pub(crate) fn run() -> Outcome {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    let mut sum = None;
    for &name in STEPS {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = match name {
            "fmt" => shell::run(cargo(&["fmt", "--all", "--check"])),
            "clippy" => {
                let arguments = [
                    "clippy",
                    "--workspace",
                    "--all-targets",
                    "--locked",
                    "--features",
                    shell::FEATURES,
                    "--",
                    "-D",
                    "warnings",
                ];
                shell::run(cargo(&arguments))
            }
            "deps" => deps::run(),
            "cases" => cases::run(),
            "kubernetes" => kubernetes::run(),
            "test" => test::run(&[]).map(|tests| sum = Some(tests)),
            "api" => api::run(false),
            "features" => features::run(),
            "package" => package::run(),
            "msrv" => msrv::run(),
            "systems" => msrv::systems(),
            "examples" => examples::run(),
            "fuzz-smoke" => fuzz::smoke(),
            "lab" => lab::run(),
            "bench" => bench::quick(),
            "callgrind" => callgrind::run(false),
            "survey" => survey::small(false),
            "docs" => {
                let mut doc = cargo(&["doc", "--workspace", "--no-deps", "--locked", "--features", shell::FEATURES]);
                doc.env("RUSTDOCFLAGS", "-D warnings");
                shell::run(doc)
            }
            "deny" => deny::run(),
            "quickstart" => quickstart::run(),
            "unexpected-eof" => unexpected_eof::run(),
            "readme" => readme::run(),
            _ => unreachable!("every name in STEPS has an arm"),
        };
        let took = start.elapsed();
        if let Err(failure) = outcome {
            println!("== {name} FAILED after {:.1} s", took.as_secs_f64());
            return Err(Failure { message: format!("step {name}: {failure}"), ..failure });
        }
        println!("== {name} ok, {:.1} s", took.as_secs_f64());
        times.push((name, took));
    }
    println!();
    for (name, took) in times {
        println!("{name:15}{:7.1} s", took.as_secs_f64());
    }
    if let Some(sum) = sum {
        println!("{sum}");
    }
    Ok(())
}

const STEPS: &[&str] = &[
    "fmt",
    "clippy",
    "deps",
    "cases",
    "kubernetes",
    "api",
    "test",
    "features",
    "examples",
    "fuzz-smoke",
    "lab",
    "bench",
    "callgrind",
    "survey",
    "docs",
    "package",
    "msrv",
    "systems",
    "deny",
    "quickstart",
    "unexpected-eof",
    "readme",
];
