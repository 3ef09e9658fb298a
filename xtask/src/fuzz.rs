//! The fuzz targets, built with stable Rust and run for a bounded number of inputs.
//!
//! The flags of the fuzzer reach the target itself alone, not what it depends on, so that everything else is that of the
//! tests and is built once. What is generic in the streams is compiled into the target and so guides the fuzzer; for a long
//! run that sees all there is cargo-fuzz.

use std::fs;

use crate::shell::{self, Failure, Outcome, cargo};

/// Builds and runs every target.
pub(crate) fn smoke() -> Outcome {
    let manifest = "fuzz/Cargo.toml";
    shell::run(cargo(&["fmt", "--manifest-path", manifest, "--check"]))?;
    let built = shell::target_folder();
    let artifacts = shell::root().join("fuzz/artifacts");
    let made = fs::create_dir_all(&artifacts);
    made.map_err(|error| Failure::new(format!("{} cannot be made: {error}", artifacts.display())))?;
    for (target, runs, longest) in TARGETS {
        let mut build = cargo(&["rustc", "--quiet", "--locked", "--manifest-path", manifest, "--bin", target]);
        build.arg("--target-dir").arg(&built).args(["--", "-Dwarnings"]).args(FLAGS);
        shell::run(build)?;
        let program = built.join("debug").join(target);
        let prefix = artifacts.join(format!("{target}-"));
        let arguments = [
            format!("-runs={runs}"),
            format!("-max_len={longest}"),
            "-len_control=0".to_owned(),
            "-timeout=20".to_owned(),
            "-verbosity=0".to_owned(),
            "-print_funcs=0".to_owned(),
            "-print_final_stats=1".to_owned(),
            format!("-artifact_prefix={}", prefix.display()),
        ];
        let mut run = shell::command(&program.to_string_lossy(), &arguments);
        // Its first line is the place of the panic; the rest would be the fuzzer's.
        run.env("RUST_BACKTRACE", "0");
        shell::run(run).map_err(|failure| Failure {
            message: format!("{failure}\nthe input is in fuzz/artifacts; `{} FILE` runs it again", program.display()),
            ..failure
        })?;
    }
    Ok(())
}

/// Name, how many inputs, and how many bytes an input has at most.
const TARGETS: [(&str, u32, u32); 4] = [
    ("header_walker", 100_000, 64),
    ("receiver_bytes", 2_000, 600),
    ("handshake_bytes", 2_000, 200),
    ("operations", 1_000, 300),
];

/// What makes rustc count the edges that a run passes, for libFuzzer to see; all of it is stable.
const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];
