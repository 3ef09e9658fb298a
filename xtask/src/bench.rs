//! The bench of the library, in the folder `bench`: a package outside the workspace, built as it is released.
//!
//! What it measures and how is its own business; the page `docs/performance.md` tells it.

use std::path::PathBuf;

use clap::Subcommand;

use crate::peers;
use crate::shell::{self, Failure, Outcome, cargo};

/// What can be measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// The library beside tokio-rustls, tokio-openssl, s2n-tls-tokio and raw TCP: writes docs/performance.md
    ///
    /// Takes some minutes. Nothing else should run meanwhile, but CPU time is what is compared, so that it may.
    Library {
        /// How many rounds of what is timed
        #[arg(long, default_value_t = 5)]
        rounds: u16,
        /// One short round, without a page; fails when a count (allocations, bytes, heap) is above its target
        #[arg(long, conflicts_with = "rounds")]
        quick: bool,
    },
}

/// Builds it and runs it.
pub(crate) fn run(what: &Bench) -> Outcome {
    match what {
        Bench::Library { quick: true, .. } => quick(),
        Bench::Library { rounds, quick: false } => {
            let program = build()?;
            let arguments = ["library".to_owned(), "--rounds".to_owned(), rounds.to_string()];
            shell::run(shell::command(&program.join("bench").to_string_lossy(), &arguments))
        }
    }
}

/// The step of CI: that it builds, runs, and that what no load of the machine changes is at its target.
pub(crate) fn quick() -> Outcome {
    shell::run(cargo(&["fmt", "--manifest-path", MANIFEST, "--check"]))?;
    let program = build()?.join("bench");
    let mut test = cargo(&["test", "--release", "--quiet", "--locked", "--manifest-path", MANIFEST, "--lib"]);
    test.arg("--target-dir").arg(shell::target_folder());
    shell::run(test)?;
    shell::run(shell::command(&program.to_string_lossy(), &["library", "--quick"])).map_err(|failure| Failure {
        message: format!(
            "{failure}\neither a count in the table above is not at its target, or a work failed with the message above"
        ),
        ..failure
    })
}

/// Builds all of its programs; the folder that they are in.
pub(crate) fn build() -> Outcome<PathBuf> {
    // The system's OpenSSL, which tokio-openssl stands on.
    peers::install_missing()?;
    let target = shell::target_folder();
    let mut build = cargo(&["build", "--release", "--quiet", "--locked", "--manifest-path", MANIFEST]);
    build.arg("--target-dir").arg(&target);
    shell::run(build)?;
    Ok(target.join("release"))
}

const MANIFEST: &str = "bench/Cargo.toml";
