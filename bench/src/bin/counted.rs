//! A child process that counts its heap; its CPU time is not looked at, since counting takes some.

use bench::subject::Subject;
use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Does one work with one stack, and prints what it took.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    subject: Subject,
}

fn main() -> std::io::Result<()> {
    Arguments::parse().subject.print()
}
