//! The `closenotify` command: arguments in, exit code out.
//!
//! It parses, wires the parts of the libraries together, passes signals on and prints where it listens. Whatever
//! carries bytes or decides about endings is not here.

mod args;
mod check;
mod demo;
mod exit;
mod help;
mod packaging;
mod proxy;
mod signals;

use std::io::{self, Write};
use std::process;

use clap::Parser;

use crate::args::{Args, Command};
use crate::exit::{ExitCode, Failure};

fn main() -> process::ExitCode {
    let args = Args::parse();
    let outcome = match args.command {
        Command::Proxy(args) => proxy::run(args),
        Command::Check(args) => check::run(args),
        Command::Man { dir } => packaging::man(dir.as_deref()),
        Command::Completions { shell } => packaging::completions(shell),
    };
    let code = outcome.unwrap_or_else(|Failure { code, message }| {
        // Whoever closed stderr does not want to read it.
        let _ = writeln!(io::stderr(), "error: {message}");
        code
    });
    ExitCode::into(code)
}
