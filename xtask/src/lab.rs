//! The folders of `lab`: crates outside the workspace, each with a lock file of its own, whose tests hold the project's claims
//! about other people's crates.
//!
//! What is built from source there in C and C++ (the feature `heavy` of `lab/streams`) is left to a person: it takes minutes.
//! So is clippy, which would check some hundred crates of others anew.

use crate::peers;
use crate::shell::{self, Outcome, cargo};

/// Builds and tests each folder, and compares the page of `lab/streams` with what its streams do.
pub(crate) fn run() -> Outcome {
    // The system's OpenSSL, which some of the streams stand on, and PostgreSQL.
    peers::install_missing()?;
    for folder in FOLDERS {
        let manifest = format!("lab/{folder}/Cargo.toml");
        shell::run(cargo(&["fmt", "--manifest-path", &manifest, "--check"]))?;
        let target = shell::target_folder();
        let mut test = cargo(&["test", "--quiet", "--locked", "--manifest-path", &manifest]);
        test.arg("--target-dir").arg(&target);
        shell::run(test)?;
    }
    let mut page = cargo(&["run", "--quiet", "--locked", "--manifest-path", "lab/streams/Cargo.toml"]);
    page.arg("--target-dir").arg(shell::target_folder()).args(["--", "--check"]);
    shell::run(page)
}

const FOLDERS: [&str; 3] = ["incident", "streams", "ecosystem"];
