//! The cargo features of the published crates: every combination that matters builds, and the tests pass on ring.
//!
//! The default features, aws-lc-rs among them, are what every other step uses. `fips` is left out: it needs CMake and Go.

use crate::shell::{self, Failure, Outcome, cargo};

/// Checks each combination, that a build on ring alone has no aws-lc, and runs the tests of both crates on ring.
pub(crate) fn run() -> Outcome {
    for features in COMBINATIONS {
        // The features of closenotify turn on those of closenotify-core, so that one call checks both crates. Clippy, because
        // it fails on a warning in our code alone, and what is built for it is what other steps build.
        let mut check = cargo(&["clippy", "--quiet", "--locked", "-p", "closenotify-core", "-p", "closenotify"]);
        check.args(["--no-default-features", "--features", features, "--", "-D", "warnings"]);
        shell::run(check)?;
    }
    // The tests of the core talk to closenotify-probe too, which is always on aws-lc-rs; those of the streams need ring alone.
    ring_alone("closenotify-core", "normal,build")?;
    ring_alone("closenotify", "normal,build,dev")?;
    // Each by itself: together, rustls would have both providers in the tests of the streams as well.
    for (package, tests) in RING_TESTS {
        let mut test = cargo(&["test", "--locked", "-p", package, "--no-default-features", "--features", RING]);
        test.args(["--lib", "--test", tests, "--", "--skip", LONG]).env("PROPTEST_CASES", CASES);
        shell::run(test)?;
    }
    Ok(())
}

/// That `package` on ring needs no crate of aws-lc over these kinds of dependencies.
fn ring_alone(package: &str, edges: &str) -> Outcome {
    let arguments = ["tree", "--locked", "-p", package, "--no-default-features", "--features", RING];
    let mut tree = cargo(&arguments);
    tree.args(["--edges", edges, "--target", "all", "--prefix", "none", "--format", "{p}"]);
    let tree = shell::output(tree)?;
    let has = |name: &str| tree.lines().find(|line| line.starts_with(name));
    if has("ring ").is_none() {
        return Err(Failure::new(format!("{package} on ring does not depend on ring:\n{tree}")));
    }
    match has("aws-lc") {
        None => Ok(()),
        Some(found) => Err(Failure::new(format!(
            "{package} on ring alone depends on {found}; `cargo tree -p {package} --no-default-features --features ring \
             -e {edges} -i aws-lc-rs` shows through what"
        ))),
    }
}

/// Each feature alone, none, what tokio-rustls' users combine, and all.
const COMBINATIONS: [&str; 9] = [
    "",
    "aws_lc_rs",
    "ring",
    "tls12",
    "logging",
    "early-data",
    "ring,tls12,logging,early-data",
    "aws_lc_rs,ring,tls12,logging,early-data",
    "aws_lc_rs,ring,tls12,logging,early-data,hyper-util,tokio-postgres,tonic",
];

const RING: &str = "ring,tls12,logging,early-data";

/// The tests that depend on the provider. Loom, pollcheck and the model see no difference, and other libraries over our streams
/// see our streams alone.
const RING_TESTS: [(&str, &str); 2] = [("closenotify-core", "core"), ("closenotify", "streams")];

/// A session cut at each of its bytes: most of the time of the core's tests, and the same with any provider.
const LONG: &str = "cuts::";

/// The random tests search on aws-lc-rs; here they only have to run.
const CASES: &str = "32";
