//! The arguments of `closenotify proxy`: a configuration file, or flags that make the settings of one listener.
//!
//! No file is opened here.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args as ClapArgs, CommandFactory, ValueEnum};
use closenotify_proxy::address::AddressError;
use closenotify_proxy::config::{
    Balance, CertificateSource, Config, Limits, ListenerSettings, LogSettings, ProcessSettings, Route, RouteTarget,
    TlsSettings, TlsVersion, UpstreamSettings,
};
use closenotify_proxy::{Endpoint, LogFormat, Timeouts, TruncationPolicy};

use crate::args::{Args, duration};

/// The arguments of `closenotify proxy`.
#[derive(Clone, Debug, ClapArgs)]
pub(crate) struct ProxyArgs {
    /// Read all settings from a TOML file
    ///
    /// Every setting is in docs/config.md, and docs/example.toml is a file to start from. Not with any other option but
    /// --check-config: the file has a setting for each.
    #[arg(long, value_name = "FILE", conflicts_with_all = FLAGS)]
    config: Option<PathBuf>,

    /// Check --config and the files that it names, then exit
    ///
    /// Serves nothing. Prints every error and warning with file, line, column and setting to stderr, and one line to stdout if
    /// the file is good.
    // clap does not require --config where a conflict excludes it, so the conflicts are named here, too.
    #[arg(long, requires = "config", conflicts_with_all = FLAGS)]
    check_config: bool,

    /// Serve a built-in HTTP upstream with a self-signed certificate
    ///
    /// Needs nothing else, and writes nothing to disk: the certificate (for localhost, 127.0.0.1 and ::1) and its key live in
    /// memory. Prints a curl command to start with. Not with --cert, --key or --upstream.
    #[arg(long, conflicts_with_all = ["cert", "key", "upstream"])]
    demo: bool,

    /// Address to listen on
    ///
    /// host:port, [ipv6]:port or unix:/path. Port 0 takes a free port. The address bound is printed to stdout.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: Endpoint,

    /// Certificate chain, PEM, leaf first
    ///
    /// Exit code 3 if the leaf has expired, is not valid yet or does not match the key.
    #[arg(long, value_name = "PEM")]
    cert: Option<PathBuf>,

    /// Private key of the leaf, PEM, unencrypted
    ///
    /// PKCS#8, SEC1 or PKCS#1. May be the same file as --cert.
    #[arg(long, value_name = "PEM")]
    key: Option<PathBuf>,

    /// Address that gets the plaintext
    ///
    /// host:port, [ipv6]:port or unix:/path, the port from 1 to 65535. The addresses of a name are looked up while the proxy
    /// runs. A Unix socket cannot carry a reset, so there a truncated request looks complete to the upstream.
    #[arg(long, value_name = "ADDR", value_parser = target)]
    upstream: Option<Endpoint>,

    /// What the upstream gets for a truncated request
    ///
    /// A client that ends without close_notify may have been cut off. strict: the upstream gets a reset. tolerant: it gets FIN if
    /// the client's FIN came between two records, for protocols that frame their own messages and clients that never send
    /// close_notify; after a fatal alert, or a FIN inside a record, it gets a reset. Either way the session is logged as truncated.
    #[arg(long, value_name = "POLICY", value_enum, hide_possible_values = true, default_value_t = Truncation::Strict)]
    truncation: Truncation,

    /// Time limit for the TLS handshake
    ///
    /// From the accepted connection to the end of the handshake. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "10s")]
    handshake_timeout: Duration,

    /// Time limit without progress
    ///
    /// While both directions are open. Then both sides are reset. Bytes that a slow peer takes are progress. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5m")]
    idle_timeout: Duration,

    /// Time limit without progress after one direction has ended
    ///
    /// Then both sides are reset. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1m")]
    half_close_timeout: Duration,

    /// Time limit to connect to the upstream
    ///
    /// For each of its addresses. Then the next address is tried, or the session fails. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "5s")]
    connect_timeout: Duration,

    /// Time limit for the complete session [default: none]
    ///
    /// Then both sides are reset. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    lifetime: Option<Duration>,

    /// Time for open sessions to finish after a signal
    ///
    /// Then the rest are reset. 1ms to 365d.
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "30s")]
    drain: Duration,

    /// Format of the log, text or json
    ///
    /// text: for people. json: one object a line. Every session gets one line; docs/ledger.md explains the fields.
    #[arg(long, value_name = "FORMAT", value_enum, hide_possible_values = true, default_value_t = Log::Text)]
    log: Log,

    /// File to append the log to [default: stderr]
    ///
    /// SIGUSR1 reopens it, for log rotation.
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Address of metrics, health and live sessions [default: none]
    ///
    /// host:port, [ipv6]:port or unix:/path, plain HTTP without authentication: /metrics, /healthz, /readyz, /sessions and a page
    /// at /.
    #[arg(long, value_name = "ADDR")]
    admin: Option<Endpoint>,
}

/// The arguments with nothing left to check.
#[derive(Debug)]
pub(crate) struct ProxyCommand {
    /// Where the settings come from.
    pub(crate) source: Source,
    /// Whether they are only to be checked; then they are in a file.
    pub(crate) check: bool,
}

/// Where the settings come from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A file.
    File(PathBuf),
    /// The flags.
    Flags(Box<Config>),
    /// The flags, with a certificate and an upstream that are made up.
    Demo(Box<Flags>),
}

/// What the flags set beside the certificate and the upstream.
#[derive(Debug)]
pub(crate) struct Flags {
    listen: Endpoint,
    truncation: TruncationPolicy,
    timeouts: Timeouts,
    drain: Duration,
    log: LogSettings,
    admin: Option<Endpoint>,
}

impl Flags {
    /// The settings of one listener and one upstream, both of them named "default".
    pub(crate) fn config(self, certificates: CertificateSource, upstream: Endpoint) -> Config {
        let name = "default".to_owned();
        let listener = ListenerSettings {
            name: name.clone(),
            listen: vec![self.listen],
            tls: TlsSettings {
                certificates,
                alpn: Vec::new(),
                min_tls: TlsVersion::default(),
                client_auth: None,
                ticket_keys: None,
            },
            truncation: self.truncation,
            accept_proxy_protocol: Vec::new(),
            timeouts: self.timeouts,
            routes: vec![Route { sni: Vec::new(), target: RouteTarget::Terminate(name.clone()) }],
        };
        let upstream = UpstreamSettings {
            name: name.clone(),
            addresses: vec![upstream],
            balance: Balance::default(),
            tls: None,
            send_proxy_protocol: None,
        };
        Config {
            admin: self.admin,
            log: self.log,
            limits: Limits::default(),
            process: ProcessSettings { drain: self.drain, ..ProcessSettings::default() },
            listeners: vec![Arc::new(listener)],
            upstreams: BTreeMap::from([(name, Arc::new(upstream))]),
        }
    }
}

impl ProxyArgs {
    /// Ends the process with bad usage, as clap does, if --config, --demo and one of --cert, --key and --upstream are missing.
    pub(crate) fn parse(self) -> ProxyCommand {
        let flags = Flags {
            listen: self.listen,
            truncation: self.truncation.into(),
            timeouts: Timeouts {
                handshake: self.handshake_timeout,
                idle: self.idle_timeout,
                half_close: self.half_close_timeout,
                lifetime: self.lifetime,
                connect: self.connect_timeout,
            },
            drain: self.drain,
            log: LogSettings { format: self.log.into(), file: self.log_file, skip: Vec::new() },
            admin: self.admin,
        };
        let source = match (self.config, self.demo, self.cert, self.key, self.upstream) {
            (Some(file), ..) => Source::File(file),
            (None, true, ..) => Source::Demo(Box::new(flags)),
            (None, false, Some(cert), Some(key), Some(upstream)) => {
                Source::Flags(Box::new(flags.config(CertificateSource::Pair { cert, key }, upstream)))
            }
            (None, false, cert, key, upstream) => {
                let missing: Vec<_> =
                    [("--cert", cert.is_none()), ("--key", key.is_none()), ("--upstream", upstream.is_none())]
                        .into_iter()
                        .filter_map(|(name, missing)| missing.then_some(name))
                        .collect();
                let message = format!(
                    "without --config or --demo, --cert, --key and --upstream are required; missing: {}",
                    missing.join(", ")
                );
                usage_error(&message)
            }
        };
        ProxyCommand { source, check: self.check_config }
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

fn target(text: &str) -> Result<Endpoint, AddressError> {
    Endpoint::parse_target(text)
}

/// Every option that a file has a setting for.
const FLAGS: [&str; 15] = [
    "demo",
    "listen",
    "cert",
    "key",
    "upstream",
    "truncation",
    "handshake_timeout",
    "idle_timeout",
    "half_close_timeout",
    "connect_timeout",
    "lifetime",
    "drain",
    "log",
    "log_file",
    "admin",
];

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::path::Path;

    use clap::Parser as _;
    use closenotify_proxy::config::ConfigFile;

    use super::*;
    use crate::args::Command;

    fn parse(line: &str) -> ProxyCommand {
        let Command::Proxy(args) = Args::try_parse_from(line.split_whitespace()).unwrap().command else {
            panic!("it is the proxy");
        };
        args.parse()
    }

    #[test]
    fn defaults_are_those_of_a_file() {
        let Source::Flags(config) = parse("closenotify proxy --cert c --key k --upstream a:1").source else { panic!() };
        let least = "[[listener]]\nname = 'default'\nlisten = '127.0.0.1:8443'\ncertificates = 'x'\n\
                     [[listener.route]]\nupstream = 'default'\n[upstream.default]\naddresses = 'a:1'\n";
        let file = ConfigFile::parse(least, Path::new("f")).unwrap().config;
        let certificates = CertificateSource::Pair { cert: "c".into(), key: "k".into() };
        let mut listener = ListenerSettings::clone(&file.listeners[0]);
        listener.tls.certificates = certificates;
        let file = Config { listeners: vec![Arc::new(listener)], ..file };
        assert_eq!(format!("{config:?}"), format!("{file:?}"));
    }

    #[test]
    fn every_flag_arrives() {
        let line = "closenotify proxy --listen [::1]:0 --cert c --key k --upstream unix:/app --truncation tolerant \
                    --handshake-timeout 1ms --idle-timeout 2m --half-close-timeout 3s --connect-timeout 4s --lifetime 5h \
                    --drain 1h --log json --log-file x.log --admin unix:/admin";
        let ProxyCommand { source: Source::Flags(config), check: false } = parse(line) else { panic!() };
        let listener = &config.listeners[0];
        assert_eq!(listener.listen[0].to_string(), "[::1]:0");
        assert_eq!(listener.tls.certificates, CertificateSource::Pair { cert: "c".into(), key: "k".into() });
        assert_eq!(config.upstreams["default"].addresses, ["unix:/app".parse().unwrap()]);
        assert_eq!(listener.truncation, TruncationPolicy::Tolerant);
        let log = LogSettings { format: LogFormat::Json, file: Some("x.log".into()), skip: vec![] };
        assert_eq!(config.log, log);
        assert_eq!(config.admin, Some("unix:/admin".parse().unwrap()));
        let timeouts = Timeouts {
            handshake: Duration::from_millis(1),
            idle: Duration::from_secs(120),
            half_close: Duration::from_secs(3),
            lifetime: Some(Duration::from_secs(5 * 3600)),
            connect: Duration::from_secs(4),
        };
        assert_eq!(listener.timeouts, timeouts);
        assert_eq!(config.process.drain, Duration::from_secs(3600));
    }

    #[test]
    fn file_is_for_serving_or_for_checking() {
        for (line, checked) in
            [("closenotify proxy --config f", false), ("closenotify proxy --check-config --config f", true)]
        {
            let ProxyCommand { source: Source::File(file), check } = parse(line) else { panic!() };
            assert_eq!((file, check), ("f".into(), checked));
        }
    }

    #[test]
    fn file_goes_with_no_flag_that_it_has_a_setting_for() {
        let mut command = Args::command();
        command.build();
        let proxy = command.find_subcommand("proxy").unwrap();
        let others = proxy.get_arguments().map(|arg| arg.get_id().as_str());
        let others: Vec<_> = others.filter(|id| !["config", "check_config", "help"].contains(id)).collect();
        assert_eq!(others, FLAGS);
    }
}
