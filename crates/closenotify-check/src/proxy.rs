//! Checks a proxy: is its client and its upstream at once, takes the steps of a case at both ends, and judges what came through.
//!
//! It knows a proxy only by what goes in and comes out: it reads no log, and asks no proxy how it is set.

mod session;
mod stream;
mod upstream;

pub(crate) use stream::Stream;
pub use upstream::Upstream;

use crate::case::{Case, DataSeen, Need, Subject};
use crate::error::CheckError;
use crate::judge::{Closed, Judged, Seen, judge};
use crate::outcome::{Outcome, Run};
use crate::process::at_rest;
use crate::run::{Options, Plan, run};
use crate::step::{Put, Step};
use closenotify_probe::{
    By, ClientSetup, Fault, HandshakeError, Link, Log, Received, TcpEnd, TlsEnd, Trust, Version, What,
};
use rustls_pki_types::ServerName;
use session::Session;
use std::net::SocketAddr;
use std::time::Duration;
use upstream::Nameless;

/// A proxy to check: it takes TLS at its front, and passes plain TCP on to its upstream, which is ours.
pub struct Proxy {
    /// Where it listens.
    pub front: SocketAddr,
    /// Where it is set to connect to.
    pub upstream: Upstream,
    /// What it is called in reports.
    pub label: String,
    /// The name to ask for and to hold its certificate to.
    pub name: String,
    /// Which certificates are believed.
    pub trust: Trust,
    /// Its process, for its CPU time; none where it is not known.
    pub process: Option<u32>,
}

/// What each version of TLS came to in an undisturbed session.
type Setups = Vec<(Version, Result<ClientSetup, String>)>;

/// Checks a proxy.
///
/// Dropping the future ends all connections of the check.
///
/// # Errors
///
/// When there is nothing to check: nobody listens, no TLS, a certificate that is not good, nothing that comes through to the
/// upstream, or no case that was selected.
pub async fn check_proxy(proxy: &Proxy, options: &Options) -> Result<Run, CheckError> {
    let plan = Plan::new(Subject::Proxy, options)?;
    let setups = meet(proxy, options.timeout.max(MEET)).await?;
    let mut notes = Vec::new();
    if proxy.process.is_none() {
        notes.push("no process is watched (--pid or -- COMMAND), so CPU time is not judged".to_owned());
    }
    for (version, setup) in &setups {
        if let Err(why) = setup {
            notes.push(format!("{version} is not checked: {why}"));
        }
    }
    let one = async |case, version| check_one(proxy, &setups, options, case, version).await;
    Ok(run(plan, proxy.label.clone(), notes, options, one).await)
}

/// Finds out which versions it speaks, and whether data comes through both ways.
async fn meet(proxy: &Proxy, timeout: Duration) -> Result<Setups, CheckError> {
    let name = ServerName::try_from(proxy.name.clone()).map_err(|_| {
        CheckError::subject(format!("`{}` is no name that a certificate can have; say another with --sni", proxy.name))
    })?;
    let mut setups = Vec::new();
    for version in [Version::Tls13, Version::Tls12] {
        let setup = ClientSetup::new(name.clone(), &proxy.trust, version, &[]).map_err(CheckError::system)?;
        match undisturbed(proxy, &setup, timeout).await {
            Ok(None) => setups.push((version, Ok(setup))),
            Ok(Some(why)) => return Err(CheckError::subject(format!("{}: {why}", proxy.label))),
            Err(error) if matches!(error.fault, Fault::Version | Fault::Alert(_) | Fault::Ended | Fault::Reset) => {
                setups.push((version, Err(error.to_string())));
            }
            Err(error) => return Err(CheckError::subject(format!("{}: {error}", proxy.label))),
        }
    }
    if setups.iter().all(|(_, setup)| setup.is_err()) {
        let why = setups.into_iter().find_map(|(_, setup)| setup.err()).unwrap_or_default();
        return Err(CheckError::subject(format!("{}: {why}", proxy.label)));
    }
    Ok(setups)
}

/// One session as good clients and upstreams have it, and what is wrong with it.
async fn undisturbed(proxy: &Proxy, setup: &ClientSetup, timeout: Duration) -> Result<Option<String>, HandshakeError> {
    let mut session = Session::open(proxy.front, setup, proxy.upstream.claim(), None, &Log::new(), timeout).await?;
    let at = proxy.upstream.addr();
    if !session.reach().await {
        return Ok(Some(format!(
            "what the client sends does not come to the upstream at {at} in {} ms; is the proxy set to connect there, and \
             to pass on plain TCP?",
            timeout.as_millis()
        )));
    }
    const BOTH_WAYS: &[Step] = &[
        Step::Send(&[Put::Stream(100)]),
        Step::Upstream(&Step::AwaitAnswer),
        Step::Upstream(&Step::Send(&[Put::Stream(100)])),
        Step::AwaitAnswer,
        Step::Send(&[Put::CloseNotify]),
    ];
    session.take(BOTH_WAYS).await;
    let came = session.upstream.as_ref().map(|peer| peer.received(|received| session.from_client.seen(&received.data)));
    let back = session.client.received(|received| session.from_upstream.seen(&received.data));
    Ok(match (came, back) {
        (Some(DataSeen::Whole), DataSeen::Whole) => None,
        (Some(DataSeen::Whole), _) => Some("what the upstream sends does not come to the client as it is".to_owned()),
        _ => Some(
            "what the client sends does not come to the upstream as it is; is it set to pass on plain TCP?".to_owned(),
        ),
    })
}

async fn check_one(
    proxy: &Proxy,
    setups: &Setups,
    options: &Options,
    case: &'static Case,
    version: Version,
) -> Outcome {
    let log = Log::new();
    let outcome = |judged: Judged| {
        let Judged { data, close, allowed, seen, code, wrong_at } = judged;
        Outcome { case, version, data, close, allowed, seen, code, events: log.events(), wrong_at, took: log.elapsed() }
    };
    let setup = match setups.iter().find(|(of, _)| *of == version) {
        Some((_, Ok(setup))) => setup,
        Some((_, Err(why))) => return outcome(Judged::not_applicable(case, why)),
        None => return outcome(Judged::not_applicable(case, "this version was not tried")),
    };
    if case.needs == Need::Process && proxy.process.is_none() {
        let why = "no process is watched; name it with --pid, or let it be started with -- COMMAND";
        return outcome(Judged::not_applicable(case, why));
    }
    let seen = match case.steps.first() {
        Some(Step::RefuseUpstream) => refused(proxy, options, case, setup, &log).await,
        Some(Step::Handshake(_) | Step::NoHandshake) => nameless(proxy, options, case, setup, &log).await,
        _ => observe(proxy, options, case, setup, &log).await,
    };
    match seen {
        Ok(seen) => {
            let judged = judge(case, &seen, &log.events());
            outcome(judged)
        }
        Err(why) => outcome(Judged::inconclusive(case, &why)),
    }
}

/// A session that reaches the upstream.
async fn observe(
    proxy: &Proxy,
    options: &Options,
    case: &'static Case,
    setup: &ClientSetup,
    log: &Log,
) -> Result<Seen, String> {
    let timeout = options.timeout;
    let open = Session::open(proxy.front, setup, proxy.upstream.claim(), case.steps.first(), log, timeout);
    let mut session = open.await.map_err(|error| error.to_string())?;
    let names_itself =
        case.steps.iter().any(|step| matches!(step, Step::Send(puts) | Step::Pour(puts) if puts.contains(&Put::Token)));
    if !names_itself && !session.reach().await {
        return Err(format!("what the client sent did not come to the upstream in {} ms", timeout.as_millis()));
    }
    session.take(case.steps).await;
    let cpu = match proxy.process {
        Some(process) if case.allowed.quiet => at_rest(process, options.watch).await,
        _ => None,
    };
    session.await_ends(judges_client(case), judges_upstream(case)).await;
    let (data, close) = session.client.received(|received| client_seen(case, &session.from_upstream, received));
    let visible = session.client.is_open();
    let over = session.client.received(|received| received.tls_end.is_some() || received.is_over());
    let (upstream_data, upstream_close) = match &session.upstream {
        Some(upstream) if upstream.is_open() => {
            let (data, close) =
                upstream.received(|received| (amount(&session.from_client, received), Closed::of_plain(received)));
            (Some(data), Some(close))
        }
        // The proxy has ended the session without its upstream: nothing will come.
        None if over => (Some((DataSeen::Nothing, "no connection came".to_owned())), None),
        _ => (None, None),
    };
    drop(session);
    let alive = match case.allowed.alive {
        true => Some(serves_another(proxy, setup, timeout).await),
        false => None,
    };
    let (data, close) = (visible.then_some(data), visible.then_some(close));
    Ok(Seen { data, close, upstream_data, upstream_close, cpu, alive, timeout })
}

/// A session whose upstream cannot be reached.
async fn refused(
    proxy: &Proxy,
    options: &Options,
    case: &'static Case,
    setup: &ClientSetup,
    log: &Log,
) -> Result<Seen, String> {
    let timeout = options.timeout;
    let held = proxy.upstream.refuse().await.map_err(|error| error.to_string())?;
    log.push(Link::Upstream, By::Probe, What::Note("refuses connections".to_owned()));
    let opened = Session::open(proxy.front, setup, proxy.upstream.claim(), None, log, timeout).await;
    let received = match opened {
        Ok(mut session) => {
            session.take(case.steps).await;
            session.await_ends(judges_client(case), false).await;
            Ok(session.client.received(Received::clone))
        }
        // It connects to its upstream first, and so has no session to give.
        Err(HandshakeError { fault: Fault::Ended, .. }) => {
            Ok(Received { tcp_end: Some(TcpEnd::Fin), ..Received::default() })
        }
        Err(HandshakeError { fault: Fault::Reset, .. }) => {
            Ok(Received { tcp_end: Some(TcpEnd::Reset), ..Received::default() })
        }
        Err(HandshakeError { fault: Fault::Alert(code), .. }) => {
            let (tls_end, tcp_end) = (Some(TlsEnd::Alert(code)), Some(TcpEnd::Fin));
            Ok(Received { tls_end, tcp_end, ..Received::default() })
        }
        Err(error) => Err(error.to_string()),
    };
    proxy.upstream.accept_again(held).await.map_err(|error| error.to_string())?;
    log.push(Link::Upstream, By::Probe, What::Note("accepts connections again".to_owned()));
    let received = received?;
    let (data, close) = client_seen(case, &Stream { name: b'u', at: 0 }, &received);
    let alive = match case.allowed.alive {
        true => Some(serves_another(proxy, setup, timeout).await),
        false => None,
    };
    let (upstream_data, upstream_close) = (None, None);
    Ok(Seen { data: Some(data), close: Some(close), upstream_data, upstream_close, cpu: None, alive, timeout })
}

/// A session that ends before it can say whose it is: all that its upstream may see is a connection without a byte that ends.
async fn nameless(
    proxy: &Proxy,
    options: &Options,
    case: &'static Case,
    setup: &ClientSetup,
    log: &Log,
) -> Result<Seen, String> {
    let timeout = options.timeout;
    let mut nameless = proxy.upstream.nameless();
    let before = nameless.borrow_and_update().clone();
    let claim = proxy.upstream.claim();
    let mut session = Session::open(proxy.front, setup, claim, case.steps.first(), log, timeout)
        .await
        .map_err(|error| error.to_string())?;
    session.take(case.steps).await;
    session.await_ends(judges_client(case), false).await;
    // Connections of earlier sessions may still be open.
    let are_gone = |now: &Nameless| now.open.range(before.opened..).next().is_none();
    let all_gone = matches!(tokio::time::timeout(timeout, nameless.wait_for(are_gone)).await, Ok(Ok(_)));
    let after = nameless.borrow().clone();
    let (came, strange) = (after.opened - before.opened, after.strange - before.strange);
    log.push(Link::Upstream, By::Probe, What::Note(format!("{came} connections came")));
    let cpu = match proxy.process {
        Some(process) if case.allowed.quiet => at_rest(process, options.watch).await,
        _ => None,
    };
    let (data, close) = session.client.received(|received| client_seen(case, &session.from_upstream, received));
    let visible = session.client.is_open();
    drop(session);
    let upstream_data = match strange {
        0 => (DataSeen::Whole, "no data".to_owned()),
        _ => (DataSeen::More, format!("data on {strange} connections")),
    };
    let ended = Received { tcp_end: all_gone.then_some(TcpEnd::Fin), ..Received::default() };
    let alive = match case.allowed.alive {
        true => Some(serves_another(proxy, setup, timeout).await),
        false => None,
    };
    Ok(Seen {
        data: visible.then_some(data),
        close: visible.then_some(close),
        upstream_data: Some(upstream_data),
        upstream_close: Some(Closed::of_plain(&ended)),
        cpu,
        alive,
        timeout,
    })
}

async fn serves_another(proxy: &Proxy, setup: &ClientSetup, timeout: Duration) -> bool {
    let log = Log::new();
    match Session::open(proxy.front, setup, proxy.upstream.claim(), None, &log, timeout).await {
        Ok(mut session) => session.reach().await,
        Err(_) => false,
    }
}

fn judges_client(case: &Case) -> bool {
    case.allowed.data.is_some() || case.allowed.close.is_some() || !case.allowed.also.is_empty()
}

fn judges_upstream(case: &Case) -> bool {
    case.allowed.upstream_data.is_some() || case.allowed.upstream_close.is_some()
}

fn client_seen(case: &Case, sent: &Stream, received: &Received) -> ((DataSeen, String), Closed) {
    (amount(sent, received), Closed::of(received, case.allowed.also))
}

fn amount(sent: &Stream, received: &Received) -> (DataSeen, String) {
    let data = sent.seen(&received.data);
    (data, format!("{} ({} B of {} B)", data.text(), received.data_bytes, sent.at))
}

/// How long the first sessions may take at least: one that is slow to start must not be taken for none.
const MEET: Duration = Duration::from_secs(5);
