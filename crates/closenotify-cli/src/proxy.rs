//! `closenotify proxy`: certificate, listener, signals, exit code.
//!
//! It keeps the order in which things can go wrong: files first, then the address, and only then is anything printed
//! or accepted.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use closenotify_proxy::config::{CertificateSource, TlsSettings, TlsVersion};
use closenotify_proxy::demo::DemoUpstream;
use closenotify_proxy::tls::{ListenerTls, TlsError};
use closenotify_proxy::{Drained, HostPort, LogFormat, Proxy, ProxyConfig, Shutdown};

use crate::args::{ProxyArgs, ProxyCommand, Source};
use crate::exit::{ExitCode, Failure};
use crate::signals::Signals;

/// Runs a proxy until it is told to stop and has drained.
pub(crate) fn run(args: ProxyArgs) -> Result<ExitCode, Failure> {
    let command = args.parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| internal("cannot start the runtime", &error))?;
    let drained = runtime.block_on(serve(command))?;
    Ok(match drained.aborted {
        0 => ExitCode::Fine,
        _ => ExitCode::Aborted,
    })
}

async fn serve(command: ProxyCommand) -> Result<Drained, Failure> {
    let bad = |error: TlsError| {
        let code = if error.is_internal() { ExitCode::Internal } else { ExitCode::Credentials };
        Failure::new(code, error)
    };
    // Held until the end: it serves for as long as it lives.
    let mut demo = None;
    let (certificates, upstream) = match command.source {
        Source::Given { cert, key, upstream } => (CertificateSource::Pair { cert, key }, upstream),
        Source::Demo => {
            let server = DemoUpstream::start().map_err(|error| internal("cannot start the demo's upstream", &error))?;
            let addr = demo.insert(server).addr();
            (CertificateSource::SelfSigned, HostPort::from(addr))
        }
    };
    let tls =
        TlsSettings { certificates, alpn: Vec::new(), min_tls: TlsVersion::V12, client_auth: None, ticket_keys: None };
    let tls = ListenerTls::load(&tls, command.timeouts.handshake, SystemTime::now()).map_err(bad)?;
    let config = ProxyConfig {
        listen: command.listen,
        upstream: upstream.clone(),
        tls: Arc::clone(tls.acceptor().config()),
        truncation: command.truncation,
        timeouts: command.timeouts,
        drain: command.drain,
        log: command.log,
    };
    // Caught before anyone can know that it listens, and send one.
    let signals = Signals::catch().map_err(|error| internal("cannot catch signals", &error))?;
    let proxy = Proxy::bind(config).await.map_err(|error| Failure::new(ExitCode::Listen, error))?;
    greet(proxy.local_addr(), &upstream, demo.is_some());

    let report = Report { log: command.log };
    let (trigger, shutdown) = Shutdown::channel();
    let drained = tokio::select! {
        drained = proxy.run(shutdown) => drained,
        never = signals.pass_on(trigger, command.drain, report) => match never {},
    };
    report.drained(drained);
    Ok(drained)
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
