//! `closenotify proxy`: settings, credentials, listener, signals, exit code.
//!
//! It keeps the order in which things can go wrong: files first, then the address, and only then is anything printed
//! or accepted.

pub(crate) mod args;
mod check_config;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use closenotify_proxy::config::{
    CertificateSource, Config, Limits, ProcessSettings, RouteTarget, TlsSettings, TlsVersion,
};
use closenotify_proxy::credentials::{Credentials, CredentialsError};
use closenotify_proxy::{Drained, Endpoint, HostPort, LogFormat, Proxy, ProxyConfig, Shutdown};

use self::args::{ProxyArgs, ProxyCommand, Source};
use crate::demo::DemoUpstream;
use crate::exit::{ExitCode, Failure};
use crate::signals::Signals;

/// Runs a proxy until it is told to stop and has drained, or checks a configuration file.
pub(crate) fn run(args: ProxyArgs) -> Result<ExitCode, Failure> {
    let ProxyCommand { source, check } = args.parse();
    if let (Source::File(file), true) = (&source, check) {
        return check_config::run(file);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| internal("cannot start the runtime", &error))?;
    let drained = runtime.block_on(serve(source))?;
    Ok(match drained.aborted {
        0 => ExitCode::Fine,
        _ => ExitCode::Aborted,
    })
}

async fn serve(source: Source) -> Result<Drained, Failure> {
    // Held until the end: it serves for as long as it lives.
    let mut demo = None;
    let mut warnings = Vec::new();
    let config = match source {
        Source::File(file) => {
            let file = check_config::load(&file)?;
            warnings = file.warnings;
            file.config
        }
        Source::Flags(config) => *config,
        Source::Demo(flags) => {
            let server = DemoUpstream::start().map_err(|error| internal("cannot start the demo's upstream", &error))?;
            let upstream = HostPort::from(demo.insert(server).addr());
            flags.config(CertificateSource::SelfSigned, upstream.into())
        }
    };
    let config = single(&config)?;
    let (upstream, drain) = (config.upstream.clone(), config.drain);
    let report = Report { log: config.log };
    // Caught before anyone can know that it listens, and send one.
    let signals = Signals::catch().map_err(|error| internal("cannot catch signals", &error))?;
    let proxy = Proxy::bind(config).await.map_err(|error| Failure::new(ExitCode::Listen, error))?;
    greet(proxy.local_addr(), &upstream, demo.is_some());
    for warning in warnings {
        report.config_warning(&warning.to_string());
    }

    let (trigger, shutdown) = Shutdown::channel();
    let drained = tokio::select! {
        drained = proxy.run(shutdown) => drained,
        never = signals.pass_on(trigger, drain, report) => match never {},
    };
    report.drained(drained);
    Ok(drained)
}

/// The settings of the one listener and the one upstream that a [`Proxy`] serves so far.
fn single(config: &Config) -> Result<ProxyConfig, Failure> {
    let bad = |error: CredentialsError| {
        let code = match error {
            CredentialsError::Generate { .. } | CredentialsError::Config { .. } => ExitCode::Internal,
            _ => ExitCode::Credentials,
        };
        Failure::new(code, error)
    };
    let more = || {
        Failure::new(
            ExitCode::Internal,
            "these settings cannot be served yet: use one TCP listener and one plain TCP upstream",
        )
    };
    let [listener] = &config.listeners[..] else { return Err(more()) };
    let ([Endpoint::Tcp(listen)], [route]) = (&listener.listen[..], &listener.routes[..]) else { return Err(more()) };
    let RouteTarget::Terminate(upstream) = &route.target else { return Err(more()) };
    let upstream = &config.upstreams[upstream];
    let [Endpoint::Tcp(address)] = &upstream.addresses[..] else { return Err(more()) };
    let TlsSettings { certificates, alpn, min_tls, client_auth, ticket_keys } = &listener.tls;
    let plain = route.sni.is_empty()
        && alpn.is_empty()
        && *min_tls == TlsVersion::V12
        && (client_auth, ticket_keys) == (&None, &None)
        && listener.accept_proxy_protocol.is_empty()
        && (&upstream.tls, upstream.send_proxy_protocol) == (&None, None)
        && (&config.admin, &config.log.file, config.limits) == (&None, &None, Limits::default())
        && config.log.skip.is_empty()
        && config.process == ProcessSettings { drain: config.process.drain, ..ProcessSettings::default() };
    if !plain {
        return Err(more());
    }
    let credentials = match certificates {
        CertificateSource::Pair { cert, key } => Credentials::from_files(cert, key, SystemTime::now()),
        CertificateSource::Paths(paths) => {
            let [path] = &paths[..] else { return Err(more()) };
            Credentials::from_files(path, path, SystemTime::now())
        }
        CertificateSource::SelfSigned => Credentials::self_signed(),
    };
    Ok(ProxyConfig {
        listen: listen.clone(),
        upstream: address.clone(),
        tls: credentials.and_then(|credentials| credentials.server_config()).map_err(bad)?,
        truncation: listener.truncation,
        timeouts: listener.timeouts,
        drain: config.process.drain,
        log: config.log.format,
    })
}

/// Says on stdout where the proxy listens. Nobody has to read it: a closed stdout is no error.
fn greet(bound: SocketAddr, upstream: &HostPort, demo: bool) {
    let mut text = format!("listening on {bound}, upstream {upstream}\n");
    if demo {
        text += "demo: a self-signed certificate and a built-in HTTP upstream; paste this into another terminal:\n";
        text += &curl(bound);
        text += "\n";
    }
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A command that reaches the demo from this machine. Only a bracketed address needs quotes in a shell.
fn curl(bound: SocketAddr) -> String {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let at = SocketAddr::new(ip, bound.port());
    match ip {
        IpAddr::V4(_) => format!("curl -k https://{at}/"),
        IpAddr::V6(_) => format!("curl -k 'https://{at}/'"),
    }
}

/// What the command itself says on stderr, in the form of the log around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    log: LogFormat,
}

impl Report {
    fn config_warning(self, warning: &str) {
        let quoted = serde_json::Value::from(warning);
        self.line(format_args!("{warning}"), format_args!(r#"{{"event":"config_warning","message":{quoted}}}"#));
    }

    pub(crate) fn draining(self, signal: &str, drain: Duration) {
        let shown = humantime::format_duration(drain);
        self.line(
            format_args!("{signal}: draining for up to {shown}; a second signal aborts"),
            format_args!(r#"{{"event":"draining","signal":"{signal}","drain_ms":{}}}"#, drain.as_millis()),
        );
    }

    pub(crate) fn aborting(self, signal: &str) {
        self.line(format_args!("{signal}: aborting"), format_args!(r#"{{"event":"aborting","signal":"{signal}"}}"#));
    }

    fn drained(self, Drained { finished, aborted }: Drained) {
        self.line(
            format_args!("drained: {finished} sessions finished, {aborted} aborted"),
            format_args!(r#"{{"event":"drained","finished":{finished},"aborted":{aborted}}}"#),
        );
    }

    /// One line, written whole. A closed stderr is no error.
    fn line(self, text: std::fmt::Arguments<'_>, json: std::fmt::Arguments<'_>) {
        let line = match self.log {
            LogFormat::Text => format!("{text}\n"),
            LogFormat::Json => format!("{json}\n"),
        };
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

fn internal(what: &str, error: &io::Error) -> Failure {
    Failure::new(ExitCode::Internal, format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_line_fits_the_bound_address() {
        for (bound, line) in [
            ("127.0.0.1:8443", "curl -k https://127.0.0.1:8443/"),
            ("0.0.0.0:1", "curl -k https://127.0.0.1:1/"),
            ("[::1]:8443", "curl -k 'https://[::1]:8443/'"),
            ("[::]:1", "curl -k 'https://[::1]:1/'"),
            ("192.0.2.7:443", "curl -k https://192.0.2.7:443/"),
        ] {
            assert_eq!(curl(bound.parse().expect("an address")), line);
        }
    }
}
