//! The arguments, parsed into the types of the libraries.
//!
//! Everything that can be refused without touching a file or a socket is refused here, as bad usage.

use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand, ValueEnum};
use closenotify_proxy::address::AddressError;
use closenotify_proxy::{HostPort, LogFormat, Timeouts, TruncationPolicy};

use crate::check::args::CheckArgs;
use crate::exit::ExitCode;
use crate::help;

/// TLS whose every session ends right
#[derive(Debug, Parser)]
#[command(name = "closenotify", version, about, long_about = help::ABOUT, after_long_help = help::exit_codes(&ExitCode::ALL))]
#[command(max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Terminate TLS, relay to a plain TCP upstream, and carry every ending through
    #[command(long_about = help::PROXY_ABOUT, after_long_help = help::proxy_after(), after_help = help::PROXY_SHORT_AFTER)]
    #[command(override_usage = help::PROXY_USAGE)]
    Proxy(ProxyArgs),

    /// Say what a server, a client or a proxy does wrong when a TLS session ends
    #[command(long_about = help::CHECK_ABOUT, after_long_help = help::check_after())]
    Check(CheckArgs),
}

/// The arguments of `closenotify proxy`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ProxyArgs {
    /// Serve a built-in HTTP upstream with a self-signed certificate
    ///
    /// Nothing else is needed, and nothing is written to disk: the certificate (for localhost, 127.0.0.1 and ::1) and
    /// its key live in memory. Prints a curl command to start with. Not with --cert, --key or --upstream.
    #[arg(long, conflicts_with_all = ["cert", "key", "upstream"])]
    demo: bool,

    /// Where TLS clients connect to
    ///
    /// host:port or [ipv6]:port. Port 0 takes a free one; the address bound is printed on stdout.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: HostPort,

    /// The certificate chain, PEM, leaf first
    ///
    /// Refused (exit code 3) when the leaf has expired, is not valid yet or does not match the key.
    #[arg(long, value_name = "PEM")]
    cert: Option<PathBuf>,

    /// The private key of the leaf, PEM, unencrypted
    ///
    /// PKCS#8, SEC1 or PKCS#1. May be the same file as --cert.
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,

    /// Where the plaintext goes, over plain TCP
    ///
    /// host:port or [ipv6]:port, the port from 1 to 65535. A name is resolved anew for each session.
    #[arg(long, value_name = "ADDR", value_parser = target)]
    upstream: Option<HostPort>,

    /// What a missing close_notify of the client means for the upstream
    ///
    /// A client that ends by a bare FIN or a fatal alert may have been cut off. strict: the upstream gets a reset.
    /// tolerant: the upstream gets FIN, for protocols that frame their own messages and clients that never close.
    /// Either way the session is recorded as truncated.
    #[arg(long, value_name = "POLICY", value_enum, default_value_t = Truncation::Strict)]
    truncation: Truncation,

    /// Time for the TLS handshake
    ///
    /// From the accepted connection to the end of the handshake. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    handshake_timeout: Duration,

    /// Time without a byte while both directions are open
    ///
    /// Then both sides are reset. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    idle_timeout: Duration,

    /// Time without a byte when one direction has ended
    ///
    /// Then both sides are reset. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1m")]
    half_close_timeout: Duration,

    /// Time for open sessions to finish after a signal
    ///
    /// Then those that still run are aborted. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    drain: Duration,

    /// Form of the log and the session ledger on stderr
    ///
    /// text: for people. json: one object a line.
    #[arg(long, value_name = "FORM", value_enum, default_value_t = Log::Text)]
    log: Log,
}

/// The arguments with nothing left to check.
#[derive(Debug)]
pub(crate) struct ProxyCommand {
    pub(crate) listen: HostPort,
    pub(crate) source: Source,
    pub(crate) truncation: TruncationPolicy,
    pub(crate) timeouts: Timeouts,
    pub(crate) drain: Duration,
    pub(crate) log: LogFormat,
}

/// Where the certificate and the upstream come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// Both are made up.
    Demo,
    /// Both are given.
    Given { cert: PathBuf, key: PathBuf, upstream: HostPort },
}

impl ProxyArgs {
    /// Ends the process with bad usage, as clap does, when --demo and one of --cert, --key and --upstream are missing.
    pub(crate) fn parse(self) -> ProxyCommand {
        let source = match (self.demo, self.cert, self.key, self.upstream) {
            (true, ..) => Source::Demo,
            (false, Some(cert), Some(key), Some(upstream)) => Source::Given { cert, key, upstream },
            (false, cert, key, upstream) => {
                let missing: Vec<_> =
                    [("--cert", cert.is_none()), ("--key", key.is_none()), ("--upstream", upstream.is_none())]
                        .into_iter()
                        .filter_map(|(name, missing)| missing.then_some(name))
                        .collect();
                let message = format!(
                    "without --demo, --cert, --key and --upstream are required; missing: {}",
                    missing.join(", ")
                );
                usage_error(&message)
            }
        };
        ProxyCommand {
            listen: self.listen,
            source,
            truncation: self.truncation.into(),
            timeouts: Timeouts {
                handshake: self.handshake_timeout,
                idle: self.idle_timeout,
                half_close: self.half_close_timeout,
                ..Timeouts::default()
            },
            drain: self.drain,
            log: self.log.into(),
        }
    }
}

fn usage_error(message: &str) -> ! {
    let mut command = Args::command();
    command.build();
    let proxy = command.find_subcommand_mut("proxy").expect("`proxy` is a variant of `Command`");
    proxy.error(ErrorKind::MissingRequiredArgument, message).exit()
}

/// `--truncation` as it is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Truncation {
    Strict,
    Tolerant,
}

impl From<Truncation> for TruncationPolicy {
    fn from(written: Truncation) -> Self {
        match written {
            Truncation::Strict => Self::Strict,
            Truncation::Tolerant => Self::Tolerant,
        }
    }
}

/// `--log` as it is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Log {
    Text,
    Json,
}

impl From<Log> for LogFormat {
    fn from(written: Log) -> Self {
        match written {
            Log::Text => Self::Text,
            Log::Json => Self::Json,
        }
    }
}

fn target(text: &str) -> Result<HostPort, AddressError> {
    HostPort::parse_target(text)
}

/// A duration as people write it, from 1 ms to 365 days.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let how = "write a time with its unit, as in 500ms, 30s, 5m or \"1m 30s\"";
    let parsed = humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => {
            format!("too long; {LONGEST_TEXT} is the longest")
        }
        _ => how.to_owned(),
    })?;
    if parsed.is_zero() {
        return Err(format!("zero would end everything at once; {how}"));
    }
    if parsed < SHORTEST {
        return Err("too short; 1ms is the shortest".to_owned());
    }
    if parsed > LONGEST {
        return Err(format!("too long; {LONGEST_TEXT} is the longest"));
    }
    Ok(parsed)
}

const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const LONGEST_TEXT: &str = "365d";

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let Command::Proxy(args) = Args::try_parse_from(["closenotify", "proxy", "--demo"]).unwrap().command else {
            panic!("it is the proxy");
        };
        let command = args.parse();
        assert_eq!(command.timeouts, Timeouts::default());
        assert_eq!(command.truncation, TruncationPolicy::default());
        assert_eq!(command.log, LogFormat::default());
        assert_eq!(command.listen.to_string(), "127.0.0.1:8443");
        assert!(matches!(command.source, Source::Demo));
    }

    #[test]
    fn every_option_arrives() {
        let line = "closenotify proxy --listen [::1]:0 --cert c --key k --upstream app:80 --truncation tolerant \
                    --handshake-timeout 1ms --idle-timeout 2m --half-close-timeout 3s --drain 1h --log json";
        let Command::Proxy(args) = Args::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!("it is the proxy");
        };
        let command = args.parse();
        assert_eq!(command.listen.to_string(), "[::1]:0");
        let Source::Given { cert, key, upstream } = command.source else { panic!() };
        assert_eq!((cert, key, upstream.to_string()), ("c".into(), "k".into(), "app:80".into()));
        assert_eq!(command.truncation, TruncationPolicy::Tolerant);
        assert_eq!(command.log, LogFormat::Json);
        let timeouts = Timeouts {
            handshake: Duration::from_millis(1),
            idle: Duration::from_secs(120),
            half_close: Duration::from_secs(3),
            ..Timeouts::default()
        };
        assert_eq!(command.timeouts, timeouts);
        assert_eq!(command.drain, Duration::from_secs(3600));
    }

    #[test]
    fn durations_have_units_and_bounds() {
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("365d"), Ok(LONGEST));
        for (text, hint) in [
            ("30", "unit"),
            ("", "unit"),
            ("soon", "unit"),
            ("-5s", "unit"),
            ("5 parsecs", "unit"),
            ("0s", "zero"),
            ("0ms", "zero"),
            ("999us", "shortest"),
            ("366d", "longest"),
            ("99999999999999999999s", "longest"),
        ] {
            let error = duration(text).unwrap_err();
            assert!(error.contains(hint), "{text:?}: {error}");
        }
    }
}
