//! What a package installs beside the binary: man pages and shell completions, made of the same texts as `--help`.
//!
//! It knows no system's directories.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::Args;
use crate::exit::{ExitCode, Failure};

/// Prints the page of the command, or writes those of all commands to a directory.
pub(crate) fn man(dir: Option<&Path>) -> Result<ExitCode, Failure> {
    let Some(dir) = dir else {
        return print(&page(&command()));
    };
    for command in with_subcommands(&command()) {
        let path = dir.join(Man::new(command.clone()).get_filename());
        fs::write(&path, page(&command)).map_err(|error| {
            let message = format!("cannot write {}: {error}; give an existing, writable directory", path.display());
            Failure::new(ExitCode::Internal, message)
        })?;
    }
    Ok(ExitCode::Fine)
}

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    let mut command = Args::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "closenotify", &mut script);
    print(&script)
}

fn command() -> Command {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    command
}

/// A command and all below it that `--help` shows.
fn with_subcommands(command: &Command) -> Vec<Command> {
    let below = command.get_subcommands().filter(|below| !below.is_hide_set());
    std::iter::once(command.clone()).chain(below.flat_map(with_subcommands)).collect()
}

/// One page. The sections after the options are tables, so their lines are kept.
fn page(command: &Command) -> Vec<u8> {
    let man =
        Man::new(command.clone()).manual("closenotify").source(concat!("closenotify ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    let mut render = || -> io::Result<()> {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        man.render_synopsis_section(&mut page)?;
        man.render_description_section(&mut page)?;
        man.render_options_section(&mut page)?;
        if command.get_subcommands().any(|below| !below.is_hide_set()) {
            man.render_subcommands_section(&mut page)?;
        }
        let after = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        for section in after.split("\n\n") {
            let Some((heading, text)) = section.split_once(":\n") else { continue };
            let mut roff = Roff::new();
            let heading = if heading == "Exit codes" { "Exit status" } else { heading };
            roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
            for line in text.lines() {
                roff.text([roman(line)]);
            }
            roff.control("fi", []);
            roff.to_writer(&mut page)?;
        }
        Ok(())
    };
    render().expect("a Vec takes all that is written");
    // Each section comes with the definition of the apostrophe; the page needs it once.
    let page = String::from_utf8(page).expect("roff is text");
    let body = page.replace(APOSTROPHE, "");
    format!("{APOSTROPHE}{body}").into_bytes()
}

fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        // Whoever closed it has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(ExitCode::Internal, format!("cannot write to stdout: {error}")))
        }
        _ => Ok(ExitCode::Fine),
    }
}

const APOSTROPHE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
