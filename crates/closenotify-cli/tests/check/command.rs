//! The binary as a process, and what it said.

use std::process::{Command, Stdio};

/// How the command ended and what it said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `closenotify check` with these arguments to its end.
pub(crate) fn check(args: &[&str]) -> Said {
    let output =
        Command::new(env!("CARGO_BIN_EXE_closenotify")).arg("check").args(args).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}
