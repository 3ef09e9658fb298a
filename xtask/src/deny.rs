//! What the dependency graph may hold, judged by cargo-deny from `deny.toml`.
//!
//! Advisories need a database from the network. Where it cannot be had that is said, never passed over.

use std::process::Stdio;
use std::time::Duration;

use crate::shell::{self, Failure, Outcome, cargo};

/// Licences, bans and sources, then advisories where their database can be reached.
pub(crate) fn run() -> Outcome {
    install_if_missing()?;
    shell::run(cargo(&["deny", "--locked", "check", "-D", "unmatched-skip", "bans", "licenses", "sources"]))?;
    if fetch_advisories()? {
        shell::run(cargo(&["deny", "--locked", "check", "--disable-fetch", "advisories"]))
    } else {
        println!("deny: ADVISORIES NOT CHECKED: their database cannot be reached from here");
        Ok(())
    }
}

fn install_if_missing() -> Outcome {
    let there = shell::output(cargo(&["deny", "--version"]));
    if there.is_ok_and(|said| said.split_whitespace().last() == Some(VERSION)) {
        return Ok(());
    }
    // Its release profile is one unit with fat link-time optimisation and takes several times as long to build; it
    // runs for a second here.
    let mut install = cargo(&["install", "--locked", "cargo-deny", "--version", VERSION, "--profile", "dev"]);
    // A target folder of its own, gone after the build, and no debug information in it.
    install.env_remove("CARGO_TARGET_DIR").env("CARGO_PROFILE_DEV_DEBUG", "0");
    shell::run(install)
}

/// Whether the database is here and fresh now.
fn fetch_advisories() -> Outcome<bool> {
    let mut fetch = cargo(&["deny", "--log-level", "off", "fetch", "db"]);
    fetch.env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        fetch.spawn().map_err(|error| Failure::new(format!("`cargo deny fetch db` cannot be started: {error}")))?;
    Ok(shell::wait(&mut child, FETCH_LIMIT)?.is_some_and(|status| status.success()))
}

const VERSION: &str = "0.20.2";

/// A network that swallows packets must not hold up a run.
const FETCH_LIMIT: Duration = Duration::from_secs(60);
