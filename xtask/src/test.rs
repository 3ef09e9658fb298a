//! The README's test command: every test of the workspace, and one line that sums them up.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::{env, fmt};

use crate::peers;
use crate::shell::{self, Failure, Outcome, cargo};

/// Installs missing peers, runs every test, prints the sum last.
pub(crate) fn run(arguments: &[String]) -> Outcome<Sum> {
    peers::install_missing()?;
    let mut command =
        bounded(cargo(&["test", "--workspace", "--locked", "--no-fail-fast", "--features", shell::FEATURES]));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    println!("$ cargo test --workspace --locked --no-fail-fast --features {} {}", shell::FEATURES, arguments.join(" "));
    let unreadable = |error| Failure::new(format!("the output of `cargo test` cannot be read: {error}"));
    let mut child =
        command.spawn().map_err(|error| Failure::new(format!("`cargo test` cannot be started: {error}")))?;
    let mut sum = Sum::default();
    let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.map_err(unreadable)?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        sum.add(&line);
    }
    let status = child.wait().map_err(unreadable)?;
    println!("{sum}");
    if status.success() {
        Ok(sum)
    } else if status.code() == Some(TIMED_OUT) {
        Err(Failure::new(format!(
            "the tests did not end within {LIMIT_SECONDS} s; the last line names where they hung"
        )))
    } else {
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        Err(Failure::new(format!("`cargo test` failed: {status}")).with_code(code))
    }
}

/// `cargo` as it is; where nobody watches, within a limit that ends the tests with it.
///
/// Not for a person at a terminal: `timeout` takes the tests out of reach of Ctrl-C.
fn bounded(cargo: Command) -> Command {
    if env::var_os("CI").is_none() {
        return cargo;
    }
    let limit = LIMIT_SECONDS.to_string();
    let mut command = shell::command("timeout", &["--kill-after=10", &limit]);
    command.arg(cargo.get_program()).args(cargo.get_args());
    command
}

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Sum {
    /// Takes the counts out of a line `test result: …`; any other line changes nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// For building and running every test, where nobody watches.
const LIMIT_SECONDS: u32 = 3000;

/// What `timeout` answers when the time was up.
const TIMED_OUT: i32 = 124;

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn result_lines_are_summed_and_others_are_not() {
        let mut sum = Sum::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s",
            "test answer_survives ... ok",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.50s",
            "12 passed of something else",
        ] {
            sum.add(line);
        }
        assert_eq!(sum.to_string(), "5 passed, 1 failed, 1 skipped");
    }
}
