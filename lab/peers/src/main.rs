//! Subjects of the survey that are written in Rust: a server, a client and a proxy, as people build them.
//!
//! `peers server OVER ADDR CERT KEY [half-close]`, `peers client OVER ADDR CA` (a URL for reqwest), `peers
//! proxy ADDR UPSTREAM CERT KEY`; OVER is `tokio-rustls` or `closenotify`, and for a client also `reqwest`. `peers plain ADDR
//! COMMAND…` is the plain server behind those that only end TLS. They do nothing to look better than they are: settings are
//! those of the libraries, and an error ends one session.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "programs talk")]

mod client;
mod plain;
mod proxy;
mod server;
mod tls;

use std::process::ExitCode;

/// What went wrong, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = match words[..] {
        ["server", "tokio-rustls", addr, cert, key] => server::tokio_rustls(addr, cert, key, false).await,
        ["server", "tokio-rustls", addr, cert, key, "half-close"] => server::tokio_rustls(addr, cert, key, true).await,
        ["server", "closenotify", addr, cert, key] => server::closenotify(addr, cert, key, false).await,
        ["server", "closenotify", addr, cert, key, "half-close"] => server::closenotify(addr, cert, key, true).await,
        ["client", "tokio-rustls", addr, ca] => client::tokio_rustls(addr, ca).await,
        ["client", "closenotify", addr, ca] => client::closenotify(addr, ca).await,
        #[cfg(feature = "reqwest")]
        ["client", "reqwest", addr, ca] => client::reqwest(addr, ca).await,
        ["proxy", addr, upstream, cert, key] => proxy::run(addr, upstream, cert, key).await,
        ["plain", addr, ref command @ ..] => plain::run(addr, command).await,
        ["versions"] => {
            print!("{}", versions());
            Ok(())
        }
        _ => Err("see the head of src/main.rs for the arguments".into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The crates that were built in, as their lock file says: `name version`, a line each.
fn versions() -> String {
    let mut packages = include_str!("../Cargo.lock").split("[[package]]").skip(1).filter_map(|package| {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_start_matches(" = ").trim_matches('"'))
        };
        Some((field("name")?, field("version")?))
    });
    let shown = ["closenotify", "hyper", "reqwest", "rustls", "tokio", "tokio-rustls"];
    let mut lines = String::new();
    while let Some((name, version)) = packages.find(|(name, _)| shown.contains(name)) {
        lines.push_str(&format!("{name} {version}\n"));
    }
    lines
}
