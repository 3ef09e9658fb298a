//! The planted server.

use std::process::ExitCode;

pub(crate) async fn run(_words: &[String]) -> Result<ExitCode, String> {
    Err("it is not there yet".to_owned())
}
