//! The quick starts in the READMEs of closenotify, closenotify-core and pollcheck, as a stranger would paste them.
//!
//! A fenced block after a line that is only a path in backticks and a colon becomes that file. The blocks of a README are built
//! as a package of their own, against the crates of this workspace; then its commands run, and what they print must be what the
//! README shows. The library snippet of the root README is compiled with them.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{fs, thread};

use crate::peers;
use crate::shell::{self, Failure, Outcome};

/// Builds the files of the quick starts, and runs their commands.
pub(crate) fn run() -> Outcome {
    peers::install_missing()?;
    // What the builds may not download.
    shell::run(shell::cargo(&["fetch", "--locked"]))?;
    clients_and_server()?;
    pollcheck()?;
    println!("quickstart: the programs print what the READMEs show");
    Ok(())
}

/// The echo server of closenotify, its client, and the blocking client of closenotify-core.
fn clients_and_server() -> Outcome {
    let [streams, core, root] = [STREAMS, CORE, "README.md"].map(|path| read(&shell::root().join(path)));
    let (streams, core, root) = (streams?, core?, root?);
    let folder = Folder::new("streams")?;
    // Another program may listen on the port of the README.
    folder.package(&streams, "127.0.0.1:0")?;
    let snippet = block(&root, "rust").ok_or_else(|| Failure::new("README.md has no block of Rust"))?;
    folder.write("src/lib.rs", &format!("#![allow(dead_code)]\n{snippet}"))?;
    shell::run(folder.cargo(&["build", "--lib", "--bin", "server"]))?;
    let (openssl, _) = shown(&streams, "openssl req ")?;
    shell::run(folder.command("sh", &["-c", openssl]))?;

    let (_, expected) = shown(&streams, "cargo run --bin server")?;
    let [first, session] = expected[..] else {
        return Err(Failure::new(format!("{STREAMS} shows {} lines of the server, and not two", expected.len())));
    };
    let mut server = Running::start(folder.program("server"))?;
    let line = server.line()?;
    let (text, address) = line.rsplit_once(' ').unwrap_or((&line, ""));
    same(&format!("{text} {ADDRESS}"), first, "the server")?;

    folder.package(&streams, address)?;
    shell::run(folder.cargo(&["build", "--bin", "client"]))?;
    let printed = shell::output(folder.program("client"))?;
    same(printed.trim_end(), &shown(&streams, "cargo run --bin client")?.1.join("\n"), "the client")?;
    same(&server.line()?, session, "the server")?;

    let blocking = Folder::new("core")?;
    blocking.package(&core, address)?;
    blocking.write("cert.pem", &read(&folder.0.join("cert.pem"))?)?;
    shell::run(blocking.cargo(&["build"]))?;
    let printed = shell::output(blocking.program("hello-core"))?;
    same(printed.trim_end(), &shown(&core, "cargo run")?.1.join("\n"), "the blocking client")?;
    same(&server.line()?, session, "the server")
}

/// The test at the top of pollcheck's README; the rest of that page is tested by the crate itself.
fn pollcheck() -> Outcome {
    let readme = read(&shell::root().join(POLLCHECK))?;
    let [toml, test] = ["toml", "rust"].map(|language| block(&readme, language));
    let (Some(toml), Some(test)) = (toml, test) else {
        return Err(Failure::new(format!("{POLLCHECK} does not start with a block of TOML and one of Rust")));
    };
    let folder = Folder::new("pollcheck")?;
    let package = "[package]\nname = \"hello-pollcheck\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    folder.write("Cargo.toml", &format!("{package}\n{toml}"))?;
    folder.write("src/lib.rs", test)?;
    folder.lock()?;
    let mut tests = folder.cargo(&["test", "--lib"]);
    tests.args(["--config", "profile.dev.package.pollcheck.opt-level=1"]);
    shell::run(tests)
}

/// The path and the text of each block that is a file.
fn files(readme: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut path = None;
    let mut lines = readme.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let text: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.extend(path.take().map(|path| (path, text.join("\n") + "\n")));
        } else if !line.is_empty() {
            path = line.strip_prefix('`').and_then(|line| line.strip_suffix("`:"));
        }
    }
    found
}

/// The text of the first block in this language.
fn block<'a>(text: &'a str, language: &str) -> Option<&'a str> {
    let (_, after) = text.split_once(&format!("```{language}\n"))?;
    after.split_once("```").map(|(block, _)| block)
}

/// The command that starts so, and the lines that the README shows after it.
fn shown<'a>(readme: &'a str, start: &str) -> Outcome<(&'a str, Vec<&'a str>)> {
    let mut lines =
        readme.lines().skip_while(|line| !line.strip_prefix("$ ").is_some_and(|line| line.starts_with(start)));
    let Some(command) = lines.next() else {
        return Err(Failure::new(format!("no README shows `{start}`")));
    };
    let output = lines.take_while(|line| *line != "```" && !line.starts_with("$ ")).collect();
    Ok((command.trim_start_matches("$ "), output))
}

fn same(printed: &str, expected: &str, who: &str) -> Outcome {
    if printed == expected {
        return Ok(());
    }
    Err(Failure::new(format!("{who} printed:\n{printed}\nwhere the README shows:\n{expected}")))
}

fn read(path: &Path) -> Outcome<String> {
    fs::read_to_string(path).map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))
}

/// A package in a temporary folder; removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Outcome<Self> {
        let folder = std::env::temp_dir().join(format!("closenotify-{name}-{}", std::process::id()));
        let failed = |error| Failure::new(format!("{} cannot be created: {error}", folder.display()));
        fs::create_dir_all(folder.join("src/bin")).map_err(failed)?;
        Ok(Self(folder))
    }

    /// The files of `from`, and those of its `src`.
    pub(crate) fn copy_of(from: &Path) -> Outcome<Self> {
        let folder = Self::new("copy")?;
        for part in [".", "src"] {
            let failed = |error| Failure::new(format!("{} cannot be copied: {error}", from.join(part).display()));
            for entry in fs::read_dir(from.join(part)).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                if entry.path().is_file() {
                    fs::copy(entry.path(), folder.0.join(part).join(entry.file_name())).map_err(failed)?;
                }
            }
        }
        Ok(folder)
    }

    /// The files of a README, with `address` for the one in it.
    fn package(&self, readme: &str, address: &str) -> Outcome {
        for (path, text) in files(readme) {
            self.write(path, &text.replace(ADDRESS, address))?;
        }
        self.lock()
    }

    /// The versions that the workspace is tested with.
    fn lock(&self) -> Outcome {
        self.write("Cargo.lock", &read(&shell::root().join("Cargo.lock"))?)
    }

    fn write(&self, path: &str, text: &str) -> Outcome {
        let path = self.0.join(path);
        fs::write(&path, text).map_err(|error| Failure::new(format!("{} cannot be written: {error}", path.display())))
    }

    /// A command that runs in this folder.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = shell::command(program, arguments);
        command.current_dir(&self.0);
        command
    }

    /// Cargo on this package, with the workspace's crates, settings and build folder, so that little is built twice.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = shell::cargo(arguments);
        command.current_dir(&self.0).arg("--offline");
        let manifest = fs::read_to_string(self.0.join("Cargo.toml")).unwrap_or_default();
        for name in ["closenotify", "closenotify-core", "pollcheck"] {
            if !manifest.lines().any(|line| line.starts_with(&format!("{name} = "))) {
                continue;
            }
            let path = shell::root().join("crates").join(name);
            command.args(["--config", &format!("patch.crates-io.{name}.path={path:?}")]);
        }
        command.args(["--config", "profile.dev.debug=1", "--config", "profile.dev.build-override.debug=false"]);
        command.env("CARGO_TARGET_DIR", shell::target_folder());
        command
    }

    /// A program that was built.
    fn program(&self, name: &str) -> Command {
        let program = shell::target_folder().join("debug").join(name);
        self.command(&program.to_string_lossy(), &[])
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder does no damage.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A program that runs; killed when dropped.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts `command`.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Failure::new(format!("the server cannot start: {error}")))?;
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout.take(OUTPUT_MAX)).lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Ok(Self { child, lines })
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> Outcome<String> {
        self.lines
            .recv_timeout(LIMIT)
            .map_err(|_| Failure::new(format!("the server ended, or printed no line for {LIMIT:?}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only on a process that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const STREAMS: &str = "crates/closenotify/README.md";

const CORE: &str = "crates/closenotify-core/README.md";

const POLLCHECK: &str = "crates/pollcheck/README.md";

const ADDRESS: &str = "127.0.0.1:8443";

const LIMIT: Duration = Duration::from_secs(30);

const OUTPUT_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::{block, files, shown};

    const PAGE: &str =
        "# X\n\n`src/a.rs`:\n\n```rust\nfn a() {}\n```\n\ntext\n\n```console\n$ one --flag\nout\n$ two\n```\n";

    #[test]
    fn a_block_after_its_path_is_a_file_and_no_other() {
        assert_eq!(files(PAGE), [("src/a.rs", "fn a() {}\n".to_owned())]);
    }

    #[test]
    fn the_first_block_of_a_language_is_found() {
        assert_eq!(block(PAGE, "rust"), Some("fn a() {}\n"));
        assert_eq!(block(PAGE, "toml"), None);
    }

    #[test]
    fn a_command_is_found_with_its_output() {
        assert_eq!(shown(PAGE, "one").expect("shown"), ("one --flag", vec!["out"]));
        assert_eq!(shown(PAGE, "two").expect("shown"), ("two", vec![]));
        assert!(shown(PAGE, "three").is_err());
    }
}
