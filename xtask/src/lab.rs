//! The folders of `lab`: crates outside the workspace, each with a lock file of its own, whose tests hold the project's claims
//! about other people's crates.
//!
//! What is built from source there in C and C++ (the feature `heavy` of `lab/streams`) is left to a person: it takes minutes.

use crate::peers;
use crate::shell::{self, Outcome, cargo};

/// Checks, builds and tests each folder, and compares the page of `lab/streams` with what its streams do.
pub(crate) fn run() -> Outcome {
    // The system's OpenSSL, which some of the streams stand on.
    peers::install_missing()?;
    for folder in FOLDERS {
        let manifest = format!("lab/{folder}/Cargo.toml");
        shell::run(cargo(&["fmt", "--manifest-path", &manifest, "--check"]))?;
        let target = shell::target_folder();
        for command in [&["clippy", "--all-targets"] as &[_], &["test", "--quiet"]] {
            let mut cargo = cargo(command);
            cargo.args(["--locked", "--manifest-path", &manifest]).arg("--target-dir").arg(&target);
            if command[0] == "clippy" {
                cargo.args(["--", "-D", "warnings"]);
            }
            shell::run(cargo)?;
        }
    }
    let mut page = cargo(&["run", "--quiet", "--locked", "--manifest-path", "lab/streams/Cargo.toml"]);
    page.arg("--target-dir").arg(shell::target_folder()).args(["--", "--check"]);
    shell::run(page)
}

const FOLDERS: [&str; 2] = ["incident", "streams"];
