//! One hot path, once, to be run under callgrind.

use bench::hot::Path;
use bench::stacks::{Name, OpenSsl, Ours, Plain, S2n, TokioRustls};
use clap::Parser;

/// Runs one hot path once.
#[derive(Parser)]
struct Arguments {
    /// Which
    path: Path,
    /// With what
    #[arg(long, default_value = "closenotify")]
    stack: Name,
}

fn main() -> std::io::Result<()> {
    let Arguments { path, stack } = Arguments::parse();
    match stack {
        Name::Closenotify => path.run::<Ours>(),
        Name::TokioRustls => path.run::<TokioRustls>(),
        Name::TokioOpenssl => path.run::<OpenSsl>(),
        Name::S2nTlsTokio => path.run::<S2n>(),
        Name::Tcp => path.run::<Plain>(),
    }
}
