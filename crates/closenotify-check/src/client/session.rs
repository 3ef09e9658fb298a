//! One run of a client's command, from its start to where a case takes over; and in words why it did not get there.
//!
//! The listener takes one connection and is gone: a command that tries again finds nobody, and must say what it makes of the
//! first. Nothing is judged here.

use super::Fault;
use crate::app::App;
use crate::error::{CheckError, CheckErrorKind};
use crate::process::{Started, Template};
use closenotify_probe::{By, HandshakeError, Identity, Link, Log, Peer, ServerSetup, Stop, What, alert};
use std::fmt;
use std::io::Write as _;
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::net::{TcpListener, TcpStream};

/// What every run of the command has in common.
pub(super) struct Door {
    template: Template,
    path: String,
    ca: NamedTempFile,
}

/// A command that has connected.
pub(super) struct Session {
    pub(super) peer: Peer,
    pub(super) started: Started,
    command: String,
}

/// Why there is no session.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Nothing can be checked.
    Fatal(CheckError),
    /// The handshake failed; what the command made of that.
    Handshake(HandshakeError, String),
}

impl Door {
    pub(super) fn new(template: &Template, app: &App, identity: &Identity) -> Result<Self, CheckError> {
        let mut ca =
            tempfile::Builder::new().prefix("closenotify-").suffix(".pem").tempfile().map_err(CheckError::system)?;
        ca.write_all(identity.ca_pem.as_bytes()).map_err(CheckError::system)?;
        let path = match app {
            App::Http1 { path } => path.clone(),
            App::Echo | App::Greeting | App::None => "/".to_owned(),
        };
        let door = Self { template: template.clone(), path, ca };
        // Other ports make other words, if it looks at the port at all.
        if door.words(1)? == door.words(2)? {
            let message = format!(
                "`{template}` has none of {{url}}, {{addr}} and {{port}}, so it cannot find the probe; write one where it takes \
                 the server's address"
            );
            return Err(CheckError::new(CheckErrorKind::Usage, message));
        }
        Ok(door)
    }

    /// Starts the command and handshakes with it as far as `stop` says, each within `patience`.
    pub(super) async fn open(
        &self,
        setup: &ServerSetup,
        stop: Stop,
        log: &Log,
        patience: Duration,
    ) -> Result<Session, Trouble> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(CheckError::system)?;
        let port = listener.local_addr().map_err(CheckError::system)?.port();
        let words = self.words(port)?;
        let command = words.join(" ");
        let mut started = Started::new(&words)?;
        let io = connected(&listener, &mut started, &command, patience).await?;
        drop(listener);
        log.push(Link::Tls, By::Subject, What::Connected);
        match Peer::server(io, setup, stop, log, patience).await {
            Ok((peer, _)) => Ok(Session { peer, started, command }),
            Err(error) => {
                let status = started.wait(patience).await;
                let exit = status
                    .map_or_else(|| "it is still running".to_owned(), |status| format!("it {}", exit_text(status)));
                Err(Trouble::Handshake(error, format!("`{command}`: {exit}{}", started.said())))
            }
        }
    }

    fn words(&self, port: u16) -> Result<Vec<String>, CheckError> {
        let (port, host) = (port.to_string(), "localhost");
        let (addr, url) = (format!("127.0.0.1:{port}"), format!("https://{host}:{port}{}", self.path));
        let ca = self.ca.path().to_string_lossy();
        self.template.fill(&[("addr", &addr), ("host", host), ("port", &port), ("url", &url), ("ca", &ca)])
    }
}

impl Session {
    /// What keeps the whole run from being made, with what the command said.
    pub(super) fn fatal(&self, what: &str, about: &str) -> Trouble {
        let said = self.started.said();
        Trouble::Fatal(CheckError::subject(format!("`{}` {what} {about}{said}", self.command)))
    }
}

impl Trouble {
    /// The same without what the command said about it.
    pub(super) fn short(&self) -> String {
        match self {
            Self::Fatal(error) => error.to_string(),
            Self::Handshake(error, _) => refusal(error),
        }
    }

    /// Whether another version of TLS may do better.
    pub(super) fn is_about_version(&self) -> bool {
        match self {
            Self::Fatal(_) => false,
            Self::Handshake(error, _) => match error.fault {
                Fault::Version | Fault::Ended | Fault::Reset => true,
                Fault::Alert(code) => !REFUSALS.contains(&code),
                _ => false,
            },
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal(error) => write!(f, "{error}"),
            Self::Handshake(error, exit) => write!(f, "{}; {exit}", refusal(error)),
        }
    }
}

impl From<CheckError> for Trouble {
    fn from(error: CheckError) -> Self {
        Self::Fatal(error)
    }
}

/// How a command ended, in words.
pub(super) fn exit_text(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exits with {code}"),
        (None, Some(signal)) => format!("is killed by signal {signal}"),
        (None, None) => "ends".to_owned(),
    }
}

/// Why a handshake failed, in words for who gave the command.
fn refusal(error: &HandshakeError) -> String {
    match error.fault {
        Fault::Alert(code) if REFUSALS.contains(&code) => {
            let name = alert::name(code);
            format!("the command refused the probe's certificate (alert {name}); make it trust the authority in {{ca}}")
        }
        Fault::Alert(code) => format!("the command refused the handshake with alert {}", alert::name(code)),
        Fault::NotTls => format!("the command does not speak TLS ({})", error.detail),
        Fault::Version => "the command does not speak this version of TLS".to_owned(),
        Fault::Ended | Fault::Reset => {
            "the command closed the connection during the handshake, as one does that does not \
             trust the authority in {ca}, or does not speak this version of TLS"
                .to_owned()
        }
        Fault::Silent => "the command connected, and did not finish the handshake".to_owned(),
        _ => format!("the handshake failed: {}", error.detail),
    }
}

async fn connected(
    listener: &TcpListener,
    started: &mut Started,
    command: &str,
    patience: Duration,
) -> Result<TcpStream, CheckError> {
    let subject =
        |text: String, started: &Started| CheckError::subject(format!("`{command}` {text}{}", started.said()));
    let ended = tokio::select! {
        biased;
        accepted = listener.accept() => return accepted.map(|(io, _)| io).map_err(CheckError::system),
        ended = started.wait(patience) => ended,
    };
    match ended {
        Some(status) => Err(subject(format!("{} and never connected to the probe", exit_text(status)), started)),
        None => {
            let text = format!(
                "does not connect to the probe within {} s; does it use a proxy, or another address?",
                patience.as_secs()
            );
            Err(subject(text, started))
        }
    }
}

/// The alerts of who does not believe a certificate.
const REFUSALS: [u8; 8] = [42, 43, 44, 45, 46, 48, 49, 51];
