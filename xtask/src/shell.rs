//! Running commands: where, how they are shown, and how a failure is said.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

/// The optional features that the workspace is tested with: those that need no other build.
pub(crate) const FEATURES: &str = "closenotify/early-data";

/// How a script ended.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why a script stopped, and its exit code.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What to tell a person: what failed, and what to do.
    pub(crate) message: String,
    /// The exit code; never 0.
    pub(crate) code: u8,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// The same with another exit code.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// Where cargo builds, for packages outside the workspace to build there as well.
pub(crate) fn target_folder() -> PathBuf {
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// A command that runs in the root of the workspace.
pub(crate) fn command<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    // Set by cargo for what it runs; by name for an xtask that was started by hand.
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    command(&cargo, arguments)
}

/// Shows and runs `command`; a failure names it.
pub(crate) fn run(mut command: Command) -> Outcome {
    let shown = show(&command);
    println!("$ {shown}");
    let status = command.status().map_err(|error| Failure::new(format!("`{shown}` cannot be started: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{shown}` failed: {status}"))) }
}

/// Runs `command` quietly; its standard output as text.
pub(crate) fn output(mut command: Command) -> Outcome<String> {
    let shown = show(&command);
    let output = command.output().map_err(|error| Failure::new(format!("`{shown}` cannot be started: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(format!("`{shown}` failed: {}\n{}", output.status, said.trim_end())));
    }
    String::from_utf8(output.stdout).map_err(|_| Failure::new(format!("`{shown}` printed no UTF-8")))
}

/// Waits for `child` until `limit` has passed; `None`, and the child is killed, when it has.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Outcome<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    let failed = |error| Failure::new(format!("a process cannot be waited for: {error}"));
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            // Both fail only on a process that is gone.
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        // std has no wait with a time limit.
        thread::park_timeout(Duration::from_millis(10));
    }
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
