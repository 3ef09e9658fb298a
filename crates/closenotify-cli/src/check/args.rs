//! The arguments of `closenotify check`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand, ValueEnum};
use closenotify_check::{App, Level};
use closenotify_probe::Version;
use closenotify_proxy::HostPort;
use closenotify_proxy::address::AddressError;

use crate::args::duration;
use crate::help;

/// The arguments of `closenotify check`.
#[derive(Clone, Debug, ClapArgs)]
#[command(arg_required_else_help = true)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    pub(crate) subject: SubjectArgs,
}

/// What is checked.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum SubjectArgs {
    /// Check a TLS server
    #[command(long_about = help::CHECK_SERVER_ABOUT, after_long_help = help::check_server_after())]
    Server(ServerArgs),

    /// Check a TLS client: a command
    #[command(long_about = help::CHECK_CLIENT_ABOUT, after_long_help = help::check_client_after())]
    Client(ClientArgs),

    /// Check a proxy that takes TLS and passes plain TCP on
    #[command(long_about = help::CHECK_PROXY_ABOUT, after_long_help = help::check_proxy_after())]
    Proxy(ProxyArgs),
}

/// The arguments of `closenotify check server`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ServerArgs {
    /// Where the server listens
    ///
    /// host:port or [ipv6]:port.
    #[arg(value_name = "ADDR", value_parser = target, required_unless_present = "list")]
    pub(crate) addr: Option<HostPort>,

    /// What the server does with data
    ///
    /// http1, http1:/PATH (a path with a long answer lets more cases be judged), echo, greeting (it speaks first) or none.
    #[arg(long, value_name = "APP", value_parser = App::parse, default_value = "http1")]
    pub(crate) app: App,

    #[command(flatten)]
    pub(crate) trust: TrustArgs,

    #[command(flatten)]
    pub(crate) process: ProcessArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The arguments of `closenotify check client`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ClientArgs {
    /// What the client talks about
    ///
    /// http1, http1:/PATH (the path of {url}) or greeting (it reads to the end, unasked).
    #[arg(long, value_name = "APP", value_parser = App::parse, default_value = "http1")]
    pub(crate) app: App,

    /// The command writes the body that it got to stdout, and nothing else
    ///
    /// A short body that the command calls a success is told from a whole one then.
    #[arg(long)]
    pub(crate) stdout_is_body: bool,

    /// What to run, once a case
    ///
    /// Run without a shell. Filled in: {addr}, {host}, {port} of the checker's server; {url}: https://{addr}/…; {ca}: a
    /// PEM file with the authority to believe.
    #[arg(last = true, value_name = "COMMAND", required_unless_present = "list")]
    pub(crate) command: Vec<String>,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// The arguments of `closenotify check proxy`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ProxyArgs {
    /// Where the proxy takes TLS
    ///
    /// host:port or [ipv6]:port.
    #[arg(value_name = "FRONT", value_parser = target, required_unless_present = "list")]
    pub(crate) front: Option<HostPort>,

    /// Where the proxy connects to over plain TCP; the checker listens there
    ///
    /// host:port or [ipv6]:port.
    #[arg(long, value_name = "ADDR", value_parser = target, required_unless_present = "list")]
    pub(crate) upstream: Option<HostPort>,

    #[command(flatten)]
    pub(crate) trust: TrustArgs,

    #[command(flatten)]
    pub(crate) process: ProcessArgs,

    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

/// Whom to talk to, and whom to believe.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct TrustArgs {
    /// The name to ask for, and to hold the certificate to
    ///
    /// The host of ADDR when not given.
    #[arg(long, value_name = "NAME")]
    pub(crate) sni: Option<String>,

    /// Certificates of authorities to believe, PEM
    ///
    /// Those of the system when not given; with a COMMAND, the checker's own.
    #[arg(long, value_name = "PEM", conflicts_with = "insecure")]
    pub(crate) ca: Option<PathBuf>,

    /// Believe any certificate
    #[arg(long)]
    pub(crate) insecure: bool,
}

/// Whose CPU time is watched.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ProcessArgs {
    /// The process to watch for CPU time, with all its children
    ///
    /// Without it, and without a COMMAND, cases about CPU time are not applicable.
    #[arg(long, value_name = "PID", conflicts_with = "command")]
    pub(crate) pid: Option<u32>,

    /// Time for the COMMAND to begin to listen
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    pub(crate) start_timeout: Duration,

    /// What to start, watch and stop
    ///
    /// Run without a shell. Filled in: {addr}, {host}, {port} of ADDR; {cert}, {key}: PEM files with a certificate for
    /// localhost, 127.0.0.1 and ::1; {both}: both in one file; {ca}: its authority; {dir}: the folder they are in; for a
    /// proxy also {upstream}.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}

/// What all subjects have in common.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct CommonArgs {
    /// List the cases, and run none
    #[arg(long, help_heading = "Cases")]
    pub(crate) list: bool,

    /// Only cases whose id begins so; may be given more than once
    #[arg(long = "case", value_name = "PREFIX", help_heading = "Cases")]
    pub(crate) cases: Vec<String>,

    /// Only cases of these levels
    #[arg(long, value_name = "LEVEL", value_enum, value_delimiter = ',', help_heading = "Cases")]
    level: Vec<LevelArg>,

    /// Only this version of TLS
    #[arg(long, value_name = "VERSION", value_enum, help_heading = "Cases")]
    tls: Vec<VersionArg>,

    /// A SHOULD or a MAY that is not met fails the run too
    #[arg(long, help_heading = "Cases")]
    pub(crate) strict: bool,

    /// Known deviations: a TOML file that says what is known, and why
    ///
    /// [[deviation]] id = "server/…", version = "1.3" (or left out), seen = "…" (the code in a report), reason = "…".
    /// What is seen must be exactly that; an entry that is no longer true fails the run.
    #[arg(long, value_name = "FILE", help_heading = "Cases")]
    pub(crate) expect: Option<PathBuf>,

    /// How many cases at the same time, 1 to 64
    ///
    /// Cases that watch CPU time always run alone.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) jobs: u8,

    /// How long to wait for what the subject should do
    ///
    /// Silence is no failure unless the case is about time; it is inconclusive, and a longer time may tell.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "3s")]
    pub(crate) timeout: Duration,

    /// Write a JSON report; - is stdout, in place of the text
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(crate) json: Option<PathBuf>,

    /// Write a JUnit XML report; - is stdout, in place of the text
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(crate) junit: Option<PathBuf>,

    /// Write a page with a ladder diagram for each case; - is stdout, in place of the text
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub(crate) html: Option<PathBuf>,

    /// Write out the cases that are met, too
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) verbose: bool,
}

impl CommonArgs {
    /// The levels that are selected; none: all.
    pub(crate) fn levels(&self) -> Vec<Level> {
        self.level.iter().map(|level| level.level()).collect()
    }

    /// The versions that are selected; none: both.
    pub(crate) fn versions(&self) -> Vec<Version> {
        self.tls.iter().map(|version| version.version()).collect()
    }
}

/// `--level` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LevelArg {
    Must,
    Should,
    May,
    Practice,
}

impl LevelArg {
    fn level(self) -> Level {
        match self {
            Self::Must => Level::Must,
            Self::Should => Level::Should,
            Self::May => Level::May,
            Self::Practice => Level::Practice,
        }
    }
}

/// `--tls` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum VersionArg {
    #[value(name = "1.2")]
    Tls12,
    #[value(name = "1.3")]
    Tls13,
}

impl VersionArg {
    fn version(self) -> Version {
        match self {
            Self::Tls12 => Version::Tls12,
            Self::Tls13 => Version::Tls13,
        }
    }
}

fn target(text: &str) -> Result<HostPort, AddressError> {
    HostPort::parse_target(text)
}
