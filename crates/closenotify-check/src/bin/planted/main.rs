//! `planted server|client|proxy …`: a peer made of the probe, right in every case but for one planted fault.
//!
//! It is what the checker is itself checked with: without a fault it must meet every case, with a fault it must fail at least
//! one. It speaks just enough HTTP to be asked, and is fit for nothing else.

mod client;
mod client_faults;
mod proxy;
mod proxy_faults;
mod server;
mod server_faults;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match (words.first().map(String::as_str), runtime) {
        (Some("server"), Ok(runtime)) => runtime.block_on(server::run(&words[1..])),
        (Some("proxy"), Ok(runtime)) => runtime.block_on(proxy::run(&words[1..])),
        (Some("client"), Ok(runtime)) => runtime.block_on(client::run(&words[1..])),
        (_, Ok(_)) => Err("usage: planted server|client|proxy OPTIONS [--fault NAME]".to_owned()),
        (_, Err(error)) => Err(format!("no runtime: {error}")),
    };
    match outcome {
        Ok(code) => code,
        Err(message) => {
            use std::io::Write as _;
            // Whoever closed stderr does not want to read it.
            let _ = writeln!(std::io::stderr(), "planted: {message}");
            ExitCode::from(2)
        }
    }
}

/// The value behind `--name`.
fn option<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word.strip_prefix("--") == Some(name))?;
    words.get(at + 1).map(String::as_str)
}

/// Takes the whole peer down.
#[expect(clippy::disallowed_methods, reason = "that is the fault: it takes all sessions with it")]
fn die() -> ! {
    std::process::exit(1)
}
