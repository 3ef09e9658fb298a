//! The commands of `docs/unexpected-eof.md`, run as a reader would run them.
//!
//! Each line that the page shows after a command must be among what the command prints, in this order; `…` stands for anything.
//! Blocks that are not marked as `console` are left to people.

use std::fs;

use crate::peers;
use crate::quickstart::{Folder, Running};
use crate::shell::{self, Failure, Outcome};

/// Starts the server of the page, and runs every other command of it.
pub(crate) fn run() -> Outcome {
    peers::install_missing()?;
    let page = shell::root().join(PAGE);
    let page = fs::read_to_string(&page)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", page.display())))?;
    let folder = Folder::copy_of(&shell::root().join(LAB))?;
    let mut server: Option<(Running, [String; 2])> = None;
    let mut commands = 0;
    for Step { command, expected } in steps(&page) {
        if let Some(start) = command.strip_prefix(SERVER) {
            let mut running = Running::start(folder.command("sh", &["-c", &format!("exec {SERVER}{start} 0 0")]))?;
            let line = running.line()?;
            let words: Vec<&str> = line.split(' ').collect();
            let ["listening", "on", first, "and", second] = words[..] else {
                return Err(Failure::new(format!("the server printed `{line}`, and not its ports")));
            };
            server = Some((running, [first.to_owned(), second.to_owned()]));
            continue;
        }
        let mut line = command.to_owned();
        if let Some((_, ports)) = &server {
            line = line.replace("8443", &ports[0]).replace("8444", &ports[1]);
        }
        println!("$ {line}");
        let mut shell = folder.command("sh", &["-c", &format!("exec 2>&1; {line}")]);
        // As in .cargo/config.toml, so that aws-lc is not compiled again.
        shell.env("CARGO_TARGET_DIR", shell::target_folder()).env("CARGO_PROFILE_DEV_BUILD_OVERRIDE_DEBUG", "false");
        let printed = shell::output(shell)?;
        if let Some(missing) = missing(&printed, &expected) {
            return Err(Failure::new(format!("{PAGE} shows `{missing}` after `{command}`, which printed:\n{printed}")));
        }
        commands += 1;
    }
    if commands < COMMANDS_MIN {
        return Err(Failure::new(format!("{PAGE} has {commands} commands, and had {COMMANDS_MIN} at least")));
    }
    println!("unexpected-eof: {commands} commands print what the page shows");
    Ok(())
}

/// A command of the page, and the lines after it.
struct Step<'a> {
    command: &'a str,
    expected: Vec<&'a str>,
}

fn steps(page: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for block in page.split("```console\n").skip(1) {
        for line in block.lines().take_while(|line| *line != "```") {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command, expected: Vec::new() }),
                (None, Some(step)) => step.expected.push(line),
                (None, None) => {}
            }
        }
    }
    steps
}

/// The first expected line that is not printed after the ones before it.
fn missing<'a>(printed: &str, expected: &[&'a str]) -> Option<&'a str> {
    let mut lines = printed.lines();
    expected.iter().find(|expected| !lines.any(|line| matches(line, expected))).copied()
}

/// Whether `line` is `pattern`, where `…` stands for anything.
fn matches(line: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else {
        return line == pattern;
    };
    let Some(after) = line.strip_prefix(start) else {
        return false;
    };
    after.char_indices().map(|(at, _)| at).chain([after.len()]).any(|at| matches(&after[at..], rest))
}

const PAGE: &str = "docs/unexpected-eof.md";

const LAB: &str = "lab/unexpected-eof";

const SERVER: &str = "python3 server.py";

/// So that a change of the page's format does not leave it unchecked.
const COMMANDS_MIN: usize = 15;

#[cfg(test)]
mod tests {
    use super::{matches, missing, steps};

    #[test]
    fn an_ellipsis_stands_for_anything_and_nothing_else_does() {
        assert!(matches("a:12:b", "a:…:b"));
        assert!(matches("error at 3", "…at 3…"));
        assert!(matches("as it is", "as it is"));
        assert!(!matches("a:12:c", "a:…:b"));
        assert!(!matches("as it is not", "as it is"));
    }

    #[test]
    fn lines_are_looked_for_in_their_order() {
        assert_eq!(missing("one\nnoise\ntwo\n", &["one", "two"]), None);
        assert_eq!(missing("two\none\n", &["one", "two"]), Some("two"));
        assert_eq!(missing("", &["one"]), Some("one"));
    }

    #[test]
    fn only_console_blocks_have_steps() {
        let page = "```console\n$ a\nout\n$ b\n```\n```text\n$ c\n```\n";
        let found: Vec<_> = steps(page).into_iter().map(|step| (step.command, step.expected)).collect();
        assert_eq!(found, [("a", vec!["out"]), ("b", vec![])]);
    }
}
