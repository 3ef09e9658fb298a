//! Runs pollcheck on each stream, and writes the table of the page `docs/pollcheck-results.md`.
//!
//! `cargo run --locked` makes the rows of this build anew; with `-- --check` nothing is written, and it exits with 1 when the
//! page says something else. With a part of a stream's name as its argument it prints the reports of these streams instead.

use std::process::ExitCode;
use streams::page;

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    match argument.as_deref() {
        None => write(false),
        Some("--check") => write(true),
        Some(part) => {
            for stream in streams::all() {
                let label = format!("{} {}", stream.crates[0], stream.name);
                if label.contains(part) {
                    println!("{label}\n{}", (stream.check)());
                }
            }
            ExitCode::SUCCESS
        }
    }
}

fn write(only_check: bool) -> ExitCode {
    let made = page::made(|stream, report| {
        println!("{} {}: {} found in {} runs", stream.crates[0], stream.name, report.violations().len(), report.runs());
    });
    let path = page::path();
    let result = made.and_then(|page| {
        if only_check {
            Ok(std::fs::read_to_string(&path)? == page)
        } else {
            std::fs::write(&path, page).map(|()| true)
        }
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!(
                "{} is not what the streams do now; `cargo run --locked` in lab/streams writes it",
                path.display()
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
