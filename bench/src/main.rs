//! The bench of the library: runs it, writes its page, or checks what does not depend on time.

use bench::page;
use bench::runner::{self, Amount};
use bench::subject::Subject;
use clap::{Parser, Subcommand};
use std::io;
use std::process::ExitCode;

/// What the library costs beside other stacks.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything, and write docs/performance.md
    Library {
        /// How many rounds of what is timed, 5 or more for the page
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
        rounds: u16,
        /// One short round; no page is written. Fails when a count, which no load of the machine changes, is above its target
        #[arg(long)]
        quick: bool,
    },
    /// Do one work with one stack, and print what it took as JSON
    Subject(Subject),
}

fn main() -> io::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Library { quick: true, .. } => {
            let results = runner::run(Amount::QUICK)?;
            let (table, reached) = page::counts(&results);
            print!("{table}");
            Ok(if reached { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        Command::Library { rounds, quick: false } => {
            let machine = page::Machine::now()?;
            let results = runner::run(Amount { rounds: rounds.into(), divisor: 1 })?;
            let page = page::made(&results, &machine)?;
            std::fs::write(page::path(), page)?;
            print!("{}", page::targets(&results));
            Ok(ExitCode::SUCCESS)
        }
        Command::Subject(subject) => subject.print().map(|()| ExitCode::SUCCESS),
    }
}
