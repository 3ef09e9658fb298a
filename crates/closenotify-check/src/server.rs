//! Checks a server: connects to it once a case, takes the steps, and judges what came.
//!
//! First one undisturbed session says whether there is anything to check, and what an answer looks like. Cases that watch the
//! CPU time of the subject run alone, behind the others.

use crate::app::{App, Expected};
use crate::case::{Case, Need, Subject};
use crate::drive::{Words, await_end, drive};
use crate::error::CheckError;
use crate::judge::{Closed, Judged, Seen, judge};
use crate::outcome::{Outcome, Run};
use crate::process::at_rest;
use crate::run::{Options, Plan, run};
use crate::step::Step;
use closenotify_probe::{ClientSetup, Fault, HandshakeError, Log, Peer, Piece, Received, Stop, Trust, Version};
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::time::Duration;

/// A server to check.
#[derive(Clone)]
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    /// What it is called in reports.
    pub label: String,
    /// The name to ask for and to hold its certificate to.
    pub name: String,
    /// Which certificates are believed.
    pub trust: Trust,
    /// What it does with data.
    pub app: App,
    /// Its process, for its CPU time; none where it is not known.
    pub process: Option<u32>,
}

/// What is known of a server before the cases run.
struct Known {
    setups: Vec<(Version, Result<ClientSetup, String>)>,
    expected: Expected,
}

/// Checks a server.
///
/// # Errors
///
/// When there is nothing to check: nobody listens, no TLS, a certificate that is not good, or no case that was selected.
pub async fn check_server(server: &Server, options: &Options) -> Result<Run, CheckError> {
    let plan = Plan::new(Subject::Server, options)?;
    let known = meet(server, options).await?;
    let mut notes = Vec::new();
    if server.process.is_none() {
        notes.push("no process is watched (--pid or -- COMMAND), so CPU time is not judged".to_owned());
    }
    if server.app.answers() && !known.expected.is_long() {
        notes.push(format!(
            "the answer has {} B; cases about long answers need {} B (use another path)",
            known.expected.length(),
            crate::app::LONG_ANSWER
        ));
    }
    for (version, setup) in &known.setups {
        if let Err(why) = setup {
            notes.push(format!("{version} is not checked: {why}"));
        }
    }
    let one = async |case, version| check_one(server, &known, options, case, version).await;
    Ok(run(plan, server.label.clone(), notes, options, one).await)
}

/// Finds out which versions it speaks and what an answer looks like.
async fn meet(server: &Server, options: &Options) -> Result<Known, CheckError> {
    let name = ServerName::try_from(server.name.clone()).map_err(|_| {
        CheckError::subject(format!("`{}` is no name that a certificate can have; say another with --sni", server.name))
    })?;
    let alpn: &[&str] = if matches!(server.app, App::Http1 { .. }) { &["http/1.1"] } else { &[] };
    let mut setups = Vec::new();
    let mut expected = None;
    for version in [Version::Tls13, Version::Tls12] {
        let setup = ClientSetup::new(name.clone(), &server.trust, version, alpn).map_err(CheckError::system)?;
        match undisturbed(server, &setup, options.timeout).await {
            Ok(answer) => {
                if let Some(why) = answer.is_odd() {
                    let (label, app) = (&server.label, &server.app);
                    return Err(CheckError::subject(format!(
                        "{label}: an undisturbed session (--app {app}) got {why}"
                    )));
                }
                expected.get_or_insert(answer);
                setups.push((version, Ok(setup)));
            }
            Err(error) if matches!(error.fault, Fault::Version | Fault::Alert(_) | Fault::Ended | Fault::Reset) => {
                setups.push((version, Err(error.to_string())));
            }
            Err(error) => return Err(CheckError::subject(format!("{}: {error}", server.label))),
        }
    }
    match expected {
        Some(expected) => Ok(Known { setups, expected }),
        None => {
            let why = setups.iter().find_map(|(_, setup)| setup.as_ref().err()).cloned().unwrap_or_default();
            Err(CheckError::subject(format!("{}: {why}", server.label)))
        }
    }
}

/// One session as good clients have it; what came is what is expected of the others.
async fn undisturbed(server: &Server, setup: &ClientSetup, timeout: Duration) -> Result<Expected, HandshakeError> {
    let log = Log::new();
    let io = connect(server, timeout, None).await?;
    let (mut peer, _) = Peer::client(io, setup, Stop::Complete, &log, timeout).await?;
    let request = server.app.request(&server.name, false, false);
    if !request.is_empty() {
        peer.send(&[Piece::Data(request.clone())], timeout).await;
    }
    let expected = match server.app {
        App::Echo => Expected::new(App::Echo, request),
        App::None => Expected::new(App::None, Vec::new()),
        App::Http1 { .. } => {
            peer.until(timeout, |received| received.tls_end.is_some() || received.tcp_end.is_some()).await;
            Expected::new(server.app.clone(), peer.received(|received| received.data.clone()))
        }
        App::Greeting => {
            peer.until(timeout, |received| received.data_bytes > 0 || received.is_over()).await;
            // A greeting has no end that can be seen; what comes at once is taken for all.
            peer.until(QUIET, Received::is_over).await;
            Expected::new(App::Greeting, peer.received(|received| received.data.clone()))
        }
    };
    peer.send(&[Piece::CLOSE_NOTIFY], timeout).await;
    Ok(expected)
}

async fn check_one(
    server: &Server,
    known: &Known,
    options: &Options,
    case: &'static Case,
    version: Version,
) -> Outcome {
    let log = Log::new();
    let outcome = |judged: Judged| {
        let Judged { data, close, allowed, seen, code, wrong_at } = judged;
        Outcome { case, version, data, close, allowed, seen, code, events: log.events(), wrong_at, took: log.elapsed() }
    };
    let setup = known.setups.iter().find(|(of, _)| *of == version).map(|(_, setup)| setup);
    let setup = match setup {
        Some(Ok(setup)) => setup,
        Some(Err(why)) => return outcome(Judged::not_applicable(case, why)),
        None => return outcome(Judged::not_applicable(case, "this version was not tried")),
    };
    if let Some(why) = lacks(case.needs, server, &known.expected) {
        return outcome(Judged::not_applicable(case, &why));
    }
    match observe(server, known, options, case, setup, &log).await {
        Ok(seen) => {
            let judged = judge(case, &seen, &log.events());
            outcome(judged)
        }
        Err(error) => outcome(Judged::inconclusive(case, &error.to_string())),
    }
}

async fn observe(
    server: &Server,
    known: &Known,
    options: &Options,
    case: &'static Case,
    setup: &ClientSetup,
    log: &Log,
) -> Result<Seen, HandshakeError> {
    let timeout = options.timeout;
    let long = case.needs == Need::LongAnswer;
    let words = Words {
        request: server.app.request(&server.name, false, long),
        kept_request: server.app.request(&server.name, true, long),
        ..Words::default()
    };
    let expected = known.expected.of_request(&words.request);
    let io = connect(server, timeout, long.then_some(SMALL_BUFFER)).await?;
    let mut peer = match case.steps.first() {
        Some(Step::NoHandshake) => Peer::without_keys(io, log.clone()),
        Some(Step::Handshake(stop)) => Peer::client(io, setup, *stop, log, timeout).await?.0,
        _ => Peer::client(io, setup, Stop::Complete, log, timeout).await?.0,
    };
    let length = expected.length() as u64;
    let answered = |received: &Received| {
        received.data_bytes >= length.max(1) || expected.seen(&received.data) == crate::case::DataSeen::Whole
    };
    drive(&mut peer, log, case.steps, &words, timeout, answered).await;

    let cpu = match server.process {
        Some(process) if case.allowed.quiet => at_rest(process, options.watch).await,
        _ => None,
    };
    let judges_end = case.allowed.data.is_some() || case.allowed.close.is_some() || !case.allowed.also.is_empty();
    if judges_end {
        await_end(&peer, timeout).await;
    }
    let (data, close) = peer.received(|received| {
        let data = expected.seen(&received.data);
        let amount = match server.app {
            App::None => format!("{} B of data", received.data_bytes),
            _ => format!("{} ({} B)", data.text(), received.data_bytes),
        };
        ((data, amount), Closed::of(received, case.allowed.also))
    });
    let visible = peer.is_open();
    drop(peer);
    let alive = match case.allowed.alive {
        true => Some(serves_another(server, setup, timeout).await),
        false => None,
    };
    Ok(Seen {
        data: visible.then_some(data),
        close: visible.then_some(close),
        upstream_data: None,
        upstream_close: None,
        cpu,
        alive,
        timeout,
    })
}

/// Why the case says nothing about this server.
fn lacks(needs: Need, server: &Server, expected: &Expected) -> Option<String> {
    let http = matches!(server.app, App::Http1 { .. });
    match needs {
        Need::Tls => None,
        Need::Answer if server.app.answers() => None,
        Need::Answer => Some("it needs a server that answers; say how with --app".to_owned()),
        Need::Http if http => None,
        Need::Http => Some("it needs an HTTP server (--app http1)".to_owned()),
        Need::LongAnswer if server.app.answers() && expected.is_long() => None,
        Need::LongAnswer => {
            Some(format!("it needs an answer of {} B or more (--app http1:/PATH)", crate::app::LONG_ANSWER))
        }
        Need::Process if server.process.is_some() => None,
        Need::Process => {
            Some("no process is watched; name it with --pid, or let it be started with -- COMMAND".to_owned())
        }
    }
}

async fn serves_another(server: &Server, setup: &ClientSetup, timeout: Duration) -> bool {
    let log = Log::new();
    let Ok(io) = connect(server, timeout, None).await else { return false };
    Peer::client(io, setup, Stop::Complete, &log, timeout).await.is_ok()
}

async fn connect(
    server: &Server,
    timeout: Duration,
    receive_buffer: Option<u32>,
) -> Result<tokio::net::TcpStream, HandshakeError> {
    Peer::connect(server.addr, timeout, receive_buffer)
        .await
        .map_err(|error| HandshakeError { fault: Fault::Connect, detail: error.to_string() })
}

/// What a slow reader's kernel takes.
const SMALL_BUFFER: u32 = 8 * 1024;
const QUIET: Duration = Duration::from_millis(300);
