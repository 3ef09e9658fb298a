//! `closenotify proxy`: settings, signals, exit code.
//!
//! It keeps the order in which things can go wrong: settings first, then what the proxy opens, and only then is anything
//! printed or accepted.

pub(crate) mod args;
mod check_config;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;

use closenotify_proxy::config::{CertificateSource, Config, ConfigFile, RouteTarget};
use closenotify_proxy::{Endpoint, HostPort, Order, Proxy, StartError};
use tokio::sync::mpsc;

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
    // Sessions have threads of their own; this one obeys.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| internal("cannot start the runtime", &error))?;
    let code = runtime.block_on(serve(source));
    // A disk or a resolver that hangs must not hold the end up.
    runtime.shutdown_background();
    code
}

async fn serve(source: Source) -> Result<ExitCode, Failure> {
    // Held until the end: it serves for as long as it lives.
    let mut demo = None;
    let mut file = None;
    let config = match source {
        Source::File(path) => {
            let ConfigFile { config, warnings, .. } = check_config::load(&path)?;
            print_lines(&warnings);
            file = Some(path);
            config
        }
        Source::Flags(config) => *config,
        Source::Demo(flags) => {
            let server = DemoUpstream::start().map_err(|error| internal("cannot start the demo's upstream", &error))?;
            let upstream = HostPort::from(demo.insert(server).addr());
            flags.config(CertificateSource::SelfSigned, upstream.into())
        }
    };
    let only = only_upstream(&config).map(ToString::to_string);
    // Caught before anyone can know that it listens, and send one.
    let mut signals = Signals::catch().map_err(|error| internal("cannot catch signals", &error))?;
    let again = config.clone();
    let mut starting = pin!(Proxy::start(config));
    let proxy = loop {
        tokio::select! {
            biased;
            proxy = &mut starting => break proxy.map_err(start_failed)?,
            // Nothing is served yet: there is nothing to drain, and nothing to read again.
            order = signals.next() => if let Order::Drain(_) | Order::Abort(_) = order {
                return Ok(ExitCode::Fine);
            },
        }
    };
    greet(&proxy, only.as_deref(), demo.is_some());

    let (sender, orders) = mpsc::unbounded_channel();
    let pass_on = async {
        loop {
            // The proxy ends before its orders do.
            let _ = sender.send(signals.next().await);
        }
    };
    let drained = tokio::select! {
        drained = proxy.run(orders, move || reload(file.as_ref(), &again)) => drained,
        () = pass_on => unreachable!("signals go on as long as the process"),
    };
    Ok(match drained.aborted {
        0 => ExitCode::Fine,
        _ => ExitCode::Aborted,
    })
}

/// The settings as they are now: those of the file, or those of the flags, whose files may have changed.
fn reload(file: Option<&PathBuf>, flags: &Config) -> Result<Config, String> {
    match file {
        None => Ok(flags.clone()),
        Some(file) => ConfigFile::read(file).map(|file| file.config).map_err(|errors| errors.to_string()),
    }
}

fn start_failed(error: StartError) -> Failure {
    let code = match &error {
        StartError::Tls(error) if error.is_internal() => ExitCode::Internal,
        StartError::Tls(_) => ExitCode::Credentials,
        StartError::Listen(_) | StartError::Unwanted(_) => ExitCode::Listen,
        _ => ExitCode::Internal,
    };
    Failure::new(code, error)
}

/// The address of the upstream, where there is one listener and one upstream with one address.
fn only_upstream(config: &Config) -> Option<&Endpoint> {
    let ([listener], 1) = (&config.listeners[..], config.upstreams.len()) else { return None };
    let [route] = &listener.routes[..] else { return None };
    let (RouteTarget::Terminate(name) | RouteTarget::Passthrough(name)) = &route.target;
    match &config.upstreams[name].addresses[..] {
        [address] => Some(address),
        _ => None,
    }
}

/// Says on stdout where the proxy listens. Nobody has to read it: a closed stdout is no error.
fn greet(proxy: &Proxy, upstream: Option<&str>, demo: bool) {
    let mut text = String::new();
    let listening = proxy.listening();
    for (listener, address) in &listening {
        text += &match upstream {
            Some(upstream) => format!("listening on {address}, upstream {upstream}\n"),
            None => format!("listening on {address}, listener {listener}\n"),
        };
    }
    if let Some(address) = proxy.admin() {
        text += &format!("admin on {address}\n");
    }
    if demo {
        text += "demo: a self-signed certificate and a built-in HTTP upstream; paste this into another terminal:\n";
        text += &curl(&listening[0].1);
        text += "\n";
    }
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A command that reaches the demo from this machine. Only a bracketed address needs quotes in a shell.
fn curl(bound: &Endpoint) -> String {
    let bound: SocketAddr = match bound {
        Endpoint::Unix(path) => return format!("curl -k --unix-socket {} https://localhost/", path.display()),
        // What is bound has an address.
        Endpoint::Tcp(address) => match address.to_string().parse() {
            Ok(address) => address,
            Err(_) => return format!("curl -k https://{address}/"),
        },
    };
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

/// One line each on stderr, as an editor can follow them. A closed stderr is no error.
fn print_lines<T: ToString>(lines: &[T]) {
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    let _ = io::stderr().write_all(text.as_bytes());
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
            ("unix:/run/s", "curl -k --unix-socket /run/s https://localhost/"),
        ] {
            assert_eq!(curl(&bound.parse().expect("an address")), line);
        }
    }
}
