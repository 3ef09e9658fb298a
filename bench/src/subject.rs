//! The child process: one work with one stack, printed as one line of JSON.

use crate::stacks::{Name, OpenSsl, Ours, Plain, S2n, TokioRustls};
use crate::works::{self, Sample, Work};
use clap::Args;
use std::io;

/// What a child process is to do.
#[derive(Args, Clone, Copy, Debug)]
pub struct Subject {
    /// The work
    #[arg(long)]
    pub work: Work,
    /// The stack
    #[arg(long)]
    pub stack: Name,
    /// How much of it
    #[arg(long)]
    pub count: u64,
}

impl Subject {
    /// Does it.
    ///
    /// # Errors
    ///
    /// When the stack cannot do it, or a session fails.
    pub fn run(self) -> io::Result<Sample> {
        match self.stack {
            Name::Closenotify => works::run::<Ours>(self.work, self.count),
            Name::TokioRustls => works::run::<TokioRustls>(self.work, self.count),
            Name::TokioOpenssl => works::run::<OpenSsl>(self.work, self.count),
            Name::S2nTlsTokio => works::run::<S2n>(self.work, self.count),
            Name::Tcp => works::run::<Plain>(self.work, self.count),
        }
    }

    /// Does it and prints it.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn print(self) -> io::Result<()> {
        let sample = self.run()?;
        println!("{}", serde_json::to_string(&sample)?);
        Ok(())
    }
}
