//! The published crates as crates.io would get them: packed, unpacked and built from what was packed.
//!
//! Without a provider: theirs are C, which takes most of the time and no code of ours depends on.

use crate::shell::{self, Outcome, cargo};

/// Packs the three crates in one call, so that the one that needs another builds against it.
pub(crate) fn run() -> Outcome {
    shell::run(cargo(&[
        "package",
        "--locked",
        "--allow-dirty",
        "-p",
        "pollcheck",
        "-p",
        "closenotify-core",
        "-p",
        "closenotify",
        "--no-default-features",
        "--features",
        "closenotify/tls12,closenotify/logging,closenotify/early-data",
    ]))
}
