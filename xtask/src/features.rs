//! The cargo features of the published crates: every combination that matters builds, and the tests pass on ring.
//!
//! The default features, aws-lc-rs among them, are what every other step uses. `fips` is left out: it needs CMake and Go.

use crate::shell::{self, Failure, Outcome, cargo};

/// Checks each combination, that a build on ring alone has no aws-lc, and runs the tests of both crates on ring.
pub(crate) fn run() -> Outcome {
    for package in ["closenotify-core", "closenotify"] {
        for features in COMBINATIONS {
            let arguments = ["check", "--quiet", "--locked", "-p", package, "--no-default-features", "--features"];
            let mut check = cargo(&arguments);
            check.arg(features).env("RUSTFLAGS", "-Dwarnings").arg("--target-dir").arg(target());
            shell::run(check)?;
        }
        ring_alone(package)?;
    }
    shell::run(cargo(&[
        "check",
        "--quiet",
        "--locked",
        "-p",
        "testkit",
        "--no-default-features",
        "--features",
        "ring",
    ]))?;
    let mut test = cargo(&["test", "--locked", "-p", "closenotify-core", "-p", "closenotify", "--no-default-features"]);
    test.args(["--features", RING_TESTS]);
    shell::run(test)
}

/// That `package` on ring needs no crate of aws-lc.
fn ring_alone(package: &str) -> Outcome {
    let arguments = ["tree", "--locked", "-p", package, "--no-default-features", "--features", RING];
    let mut tree = cargo(&arguments);
    tree.args(["--edges", "all", "--target", "all", "--prefix", "none", "--format", "{p}"]);
    let tree = shell::output(tree)?;
    let has = |name: &str| tree.lines().find(|line| line.starts_with(name));
    if has("ring ").is_none() {
        return Err(Failure::new(format!("{package} on ring does not depend on ring:\n{tree}")));
    }
    match has("aws-lc") {
        None => Ok(()),
        Some(found) => Err(Failure::new(format!(
            "{package} on ring alone depends on {found}; `cargo tree -p {package} --no-default-features --features ring \
             -i aws-lc-rs` shows through what"
        ))),
    }
}

/// A folder of its own: other flags would build everything again, here and in the next step.
fn target() -> std::path::PathBuf {
    shell::target_folder().join("features")
}

/// Each feature alone, none, and what tokio-rustls' users combine.
const COMBINATIONS: [&str; 8] = [
    "",
    "aws_lc_rs",
    "ring",
    "tls12",
    "logging",
    "early-data",
    "ring,tls12,logging,early-data",
    "aws_lc_rs,ring,tls12,logging,early-data",
];

const RING: &str = "ring,tls12,logging,early-data";

const RING_TESTS: &str =
    "closenotify-core/ring,closenotify/ring,closenotify/tls12,closenotify/logging,closenotify/early-data";
