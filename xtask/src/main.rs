//! Every script of this workspace, as `cargo xtask COMMAND`.
//!
//! It refuses to be clever: a command runs what a person would type, prints it, and stops at the first failure with
//! a word on what to do.
#![allow(clippy::print_stdout, reason = "a script talks on standard output")]

mod api;
mod bench;
mod callgrind;
mod cases;
mod ci;
mod config_docs;
mod deb;
mod deny;
mod deps;
mod examples;
mod features;
mod fuzz;
mod kubernetes;
mod lab;
mod msrv;
mod package;
mod peers;
mod quickstart;
mod readme;
mod shell;
mod survey;
mod test;
mod unexpected_eof;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::shell::Outcome;

/// Every script of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install missing peers if possible, run every test, and end in one line: N passed, N failed, N skipped
    ///
    /// Exit code: cargo's; 3 when peers are missing and cannot be installed from here.
    Test {
        /// More arguments for `cargo test`, such as a part of a test's name; the tests' own behind `-- --`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install the programs that the tests talk to, from Debian packages, as root
    ///
    /// Exit code: 3 when something is missing and cannot be installed from here.
    Peers,
    /// Check the rules between our crates: who may depend on whom, who may name what
    Deps,
    /// Measure, side by side with others, and write the page of the numbers
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Count the instructions of the library's hot paths with valgrind, and compare them with bench/callgrind.json
    ///
    /// Installs valgrind from Debian's package, as root, when it is missing.
    Callgrind {
        /// Write what was counted to bench/callgrind.json
        #[arg(long)]
        bless: bool,
    },
    /// Compare docs/cases.md with the tests: what a case names exists, and says so
    Cases,
    /// Check licences, banned and doubled crates, and sources with cargo-deny; installs it when missing
    ///
    /// Advisories are checked only where their database can be reached; otherwise that is said.
    Deny,
    /// Build the Debian package with cargo-deb, and as root install it, try it and purge it; builds the release binary
    Deb,
    /// Validate the manifests in deploy/kubernetes with kubernetes-validate, from PyPI into the target folder
    Kubernetes,
    /// Compare the public API of the published crates with public-api.txt beside each manifest
    Api {
        /// Write the files
        #[arg(long)]
        bless: bool,
    },
    /// Compare docs/config.md with the settings that the proxy reads; a test does it in CI
    ConfigDocs {
        /// Write the file
        #[arg(long)]
        bless: bool,
    },
    /// Check the combinations of features of closenotify-core and closenotify, and run their tests on ring
    Features,
    /// Check the published crates with Rust 1.85, from Debian packages that are unpacked into the target folder
    Msrv,
    /// Check the published crates for Windows and macOS, against the sources of the standard library of Rust 1.85
    Systems,
    /// Pack the published crates as for crates.io, and build what was packed
    Package,
    /// Run each example of `closenotify`; those that serve must meet every case of `closenotify check server`
    Examples,
    /// Build the fuzz targets with stable Rust and run each for a bounded number of inputs; needs a C++ compiler
    FuzzSmoke,
    /// Test the folders of `lab`, and compare docs/pollcheck-results.md with what its streams do
    Lab,
    /// Build and run the quick start of crates/closenotify/README.md in a package of its own
    Quickstart,
    /// Run the commands of docs/unexpected-eof.md against its server, and compare what they print
    UnexpectedEof,
    /// Run the README's commands: start the demo, run the curl line that it prints, stop it with SIGTERM
    Readme,
    /// Run the checker on real servers, clients and proxies, and write docs/survey.md and docs/survey.html
    ///
    /// Installs them from Debian packages, as root, without starting their services; takes about half an hour. Exit code: 3
    /// when something is missing and cannot be installed from here.
    Survey {
        /// Only these subjects, by id; the pages keep what earlier runs on this machine say of the others
        subjects: Vec<String>,
        /// Only write the pages, from the reports of earlier runs on this machine
        #[arg(long, conflicts_with_all = ["subjects", "small"])]
        pages: bool,
        /// Run a few subjects, and compare what is stable with docs/survey-small.txt; a step of CI
        #[arg(long, conflicts_with = "subjects")]
        small: bool,
        /// With --small: write docs/survey-small.txt
        #[arg(long, requires = "small")]
        write: bool,
    },
    /// Everything that must hold before a change is taken: fmt, clippy, deps, cases, kubernetes, api, test, features, examples, fuzz-smoke, lab, bench, callgrind, survey, docs, package, msrv, systems, deny, quickstart, unexpected-eof, readme
    ///
    /// Prints each step's name and duration, and stops at the first failure.
    Ci,
}

fn main() -> ExitCode {
    let outcome = run(Arguments::parse().command);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Test { arguments } => test::run(&arguments).map(|_| ()),
        Command::Peers => peers::install_missing(),
        Command::Deps => deps::run(),
        Command::Bench(what) => bench::run(&what),
        Command::Callgrind { bless } => callgrind::run(bless),
        Command::Cases => cases::run(),
        Command::Deb => deb::run(),
        Command::Deny => deny::run(),
        Command::Kubernetes => kubernetes::run(),
        Command::Api { bless } => api::run(bless),
        Command::ConfigDocs { bless } => config_docs::run(bless),
        Command::Features => features::run(),
        Command::Msrv => msrv::run(),
        Command::Systems => msrv::systems(),
        Command::Package => package::run(),
        Command::Examples => examples::run(),
        Command::FuzzSmoke => fuzz::smoke(),
        Command::Lab => lab::run(),
        Command::Quickstart => quickstart::run(),
        Command::UnexpectedEof => unexpected_eof::run(),
        Command::Readme => readme::run(),
        Command::Survey { pages: true, .. } => survey::write_pages(),
        Command::Survey { small: true, write, .. } => survey::small(write),
        Command::Survey { subjects, .. } => survey::run(&subjects),
        Command::Ci => ci::run(),
    }
}
