//! The arguments, parsed into the types of the libraries.
//!
//! Everything that can be refused without touching a file or a socket is refused here, as bad usage.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use clap_complete::Shell;
pub(crate) use closenotify_proxy::config::parse_duration as duration;

use crate::check::args::CheckArgs;
use crate::exit::ExitCode;
use crate::help;
use crate::proxy::args::ProxyArgs;

/// TLS tools that get connection shutdown right
#[derive(Debug, Parser)]
#[command(name = "closenotify", version, long_about = help::ABOUT, after_long_help = help::after(&ExitCode::ALL))]
#[command(max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Terminate TLS, relay to an upstream, and pass each ending on as what it was
    #[command(long_about = help::PROXY_ABOUT, after_long_help = help::proxy_after(), after_help = help::PROXY_SHORT_AFTER)]
    #[command(override_usage = help::PROXY_USAGE)]
    Proxy(ProxyArgs),

    /// Check how a TLS server, client or proxy ends its sessions
    #[command(long_about = help::CHECK_ABOUT, after_long_help = help::check_after())]
    Check(CheckArgs),

    /// Print the man page, or write those of every command to a directory
    #[command(hide = true)]
    Man {
        /// An existing directory
        dir: Option<PathBuf>,
    },

    /// Print the completions for a shell
    #[command(hide = true)]
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
