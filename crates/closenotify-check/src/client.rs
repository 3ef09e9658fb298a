//! Checks a client: runs its command once a case against a listener of that case, takes the steps, and judges what the command
//! put on the wire and how it exited.
//!
//! Exit status 0 says that the command took the answer for whole; anything else says that it reported an error. First one
//! undisturbed session a version says whether there is anything to check. It speaks for no library: what is judged is what the
//! command's user is told.

mod session;

use crate::answer;
use crate::app::App;
use crate::case::{Case, DataSeen, Need, Subject};
use crate::drive::{Words, await_end, drive};
use crate::error::{CheckError, CheckErrorKind};
use crate::judge::{Closed, Judged, Seen, judge};
use crate::outcome::{Outcome, Run};
use crate::process::Template;
use crate::process::at_rest;
use crate::run::{Options, Plan, run};
use crate::step::{Framing, Part, Put, Step};
use closenotify_probe::{By, Fault, Identity, Link, Log, Piece, Received, ServerSetup, Stop, Version, What};
use session::{Door, Session, Trouble};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// A client to check.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its command, with the places `{addr}`, `{host}`, `{port}`, `{url}` and `{ca}`, a PEM file with the probe's authority.
    pub template: Template,
    /// What it is called in reports.
    pub label: String,
    /// [`App::Http1`] where it makes a request, with the path of `{url}`; [`App::Greeting`] where it reads to the end, unasked.
    pub app: App,
    /// What its standard output is.
    pub output: Output,
}

/// What a command writes to its standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Whatever it likes.
    Ignored,
    /// The body that it got and nothing else, so that a short body that is called a success is told from a whole one.
    Body,
}

/// What is known of a client before the cases run.
struct Known {
    door: Door,
    setups: Vec<(Version, Result<ServerSetup, String>)>,
    /// How long to wait for what it should do: the time allowed, and as long again as it took undisturbed.
    patience: Duration,
}

/// Checks a client.
///
/// Dropping the future ends the commands that run, with their children.
///
/// # Errors
///
/// When there is nothing to check: the command cannot be run, has no place to know the probe by or one that is not known, dies,
/// never connects, refuses the certificate, calls an undisturbed session an error; or no case was selected.
pub async fn check_client(client: &Client, options: &Options) -> Result<Run, CheckError> {
    let plan = Plan::new(Subject::Client, options)?;
    if !matches!(client.app, App::Http1 { .. } | App::Greeting) {
        let message = format!("a client is not checked with the app {}; use http1 or greeting", client.app);
        return Err(CheckError::new(CheckErrorKind::Usage, message));
    }
    let known = meet(client, options).await?;
    let mut notes = Vec::new();
    if client.output == Output::Ignored {
        notes.push(
            "its standard output is not compared with the body, so a success with a short body passes".to_owned(),
        );
    }
    for (version, setup) in &known.setups {
        if let Err(why) = setup {
            notes.push(format!("{version} is not checked: {why}"));
        }
    }
    let one = async |case, version| check_one(client, &known, options, case, version).await;
    Ok(run(plan, client.label.clone(), notes, options, one).await)
}

/// Finds out which versions it speaks, and that it takes a whole answer for one.
async fn meet(client: &Client, options: &Options) -> Result<Known, CheckError> {
    let identity = Identity::new().map_err(CheckError::system)?;
    let door = Door::new(&client.template, &client.app, &identity)?;
    let (mut setups, mut took, mut whole_story) = (Vec::new(), Duration::ZERO, None);
    for version in [Version::Tls13, Version::Tls12] {
        let setup = ServerSetup::new(&identity, &[version], &["http/1.1"]).map_err(CheckError::system)?;
        let start = Instant::now();
        match undisturbed(client, &door, &setup, options.timeout).await {
            Ok(()) => {
                took = took.max(start.elapsed());
                setups.push((version, Ok(setup)));
            }
            Err(Trouble::Fatal(error)) => return Err(error),
            Err(trouble) if trouble.is_about_version() => {
                setups.push((version, Err(trouble.short())));
                whole_story.get_or_insert(trouble);
            }
            Err(trouble) => return Err(CheckError::subject(trouble)),
        }
    }
    if let Some(trouble) = whole_story
        && setups.iter().all(|(_, setup)| setup.is_err())
    {
        return Err(CheckError::subject(trouble));
    }
    Ok(Known { door, setups, patience: options.timeout + took })
}

/// One session as good servers have it.
async fn undisturbed(client: &Client, door: &Door, setup: &ServerSetup, timeout: Duration) -> Result<(), Trouble> {
    let log = Log::new();
    // A command that is run for the first time may have to be read from a disk.
    let patience = timeout.max(FIRST_TIME);
    let mut session = door.open(setup, Stop::Complete, &log, patience).await?;
    let framing = if is_bare(client) { Framing::Close } else { Framing::LengthLast };
    let peer = &mut session.peer;
    drive(peer, &log, &[Step::AwaitRequest], &words(client), patience, answered(client)).await;
    peer.send(&words(client).all(&[Put::Answer(framing, Part::Whole)]), patience).await;
    // Most are done with that, and some wait for an end, which they get.
    peer.until(GRACE, |received| received.tls_end.is_some() || received.tcp_end.is_some()).await;
    peer.send(&[Piece::CLOSE_NOTIFY], patience).await;
    peer.fin();
    let Some(status) = session.started.wait(patience).await else {
        return Err(session
            .fatal("does not end", &format!("{} s after a whole answer that ended in order", patience.as_secs())));
    };
    if !status.success() {
        let what = format!("reports an error ({})", session::exit_text(status));
        return Err(
            session.fatal(&what, "about a whole answer that ended in order, so there is nothing to compare with")
        );
    }
    let output = session.started.output();
    if client.output == Output::Body && output != answer::body() {
        let what = format!("prints {} B that are not the body", output.len());
        return Err(session.fatal(&what, "that was sent; its standard output cannot be compared with it"));
    }
    Ok(())
}

async fn check_one(
    client: &Client,
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
    if case.needs == Need::Http && is_bare(client) {
        return outcome(Judged::not_applicable(case, "it needs an HTTP client (--app http1)"));
    }
    let stop = match case.steps.first() {
        Some(Step::Handshake(stop)) => *stop,
        _ => Stop::Complete,
    };
    match known.door.open(setup, stop, &log, known.patience).await {
        Ok(session) => {
            let seen = observe(client, known, options, case, session, &log).await;
            outcome(judge(case, &seen, &log.events()))
        }
        Err(trouble) => outcome(Judged::inconclusive(case, &trouble.to_string())),
    }
}

async fn observe(
    client: &Client,
    known: &Known,
    options: &Options,
    case: &'static Case,
    mut session: Session,
    log: &Log,
) -> Seen {
    drive(&mut session.peer, log, case.steps, &words(client), known.patience, answered(client)).await;
    let cpu = match case.allowed.quiet {
        // A command that has ended asks for nothing more.
        true => Some(at_rest(session.started.id(), options.watch).await.unwrap_or((Duration::ZERO, options.watch))),
        false => None,
    };
    let allowed = &case.allowed;
    let status = match allowed.data.is_some() || allowed.close.is_some() || !allowed.also.is_empty() {
        true => session.started.wait(known.patience).await,
        false => None,
    };
    if let Some(status) = status {
        log.push(Link::Tls, By::Subject, What::Note(session::exit_text(status)));
        // The kernel has ended the connection; it is on its way.
        await_end(&session.peer, known.patience).await;
    }
    let data = took(client, case, status, &session.started.output(), known.patience);
    let close = session.peer.received(|received| Closed::of(received, allowed.also));
    let visible = session.peer.is_open();
    Seen {
        data: Some(data),
        close: visible.then_some(close),
        upstream_data: None,
        upstream_close: None,
        cpu,
        alive: None,
        timeout: known.patience,
    }
}

/// What the command took the answer for.
fn took(
    client: &Client,
    case: &Case,
    status: Option<ExitStatus>,
    output: &[u8],
    patience: Duration,
) -> (DataSeen, String) {
    let Some(status) = status else {
        return (DataSeen::Undecided, format!("neither success nor an error after {} ms", patience.as_millis()));
    };
    if !status.success() {
        return (DataSeen::Refused, format!("an error reported ({})", session::exit_text(status)));
    }
    if client.output == Output::Ignored {
        return (DataSeen::TakenAsWhole, "success reported".to_owned());
    }
    let body = answer::body();
    let text = format!("success reported, with {} of {} B of the body", output.len(), body.len());
    let asks_success = case.allowed.data.is_some_and(|data| data.contains(&DataSeen::TakenAsWhole));
    let data = match asks_success {
        true if output == body => DataSeen::TakenAsWhole,
        true if body.starts_with(output) => DataSeen::Cut,
        true if output.starts_with(&body) => DataSeen::More,
        true => DataSeen::Other,
        // Too little was sent, and success is what is wrong about it.
        false => DataSeen::TakenAsWhole,
    };
    (data, text)
}

fn words(client: &Client) -> Words {
    Words { bare: is_bare(client), ..Words::default() }
}

fn is_bare(client: &Client) -> bool {
    client.app == App::Greeting
}

/// Whether a request is whole; none is expected of a client that is told something unasked.
fn answered(client: &Client) -> impl Fn(&Received) -> bool + use<> {
    let bare = is_bare(client);
    move |received| bare || received.data.windows(4).any(|four| four == b"\r\n\r\n")
}

const FIRST_TIME: Duration = Duration::from_secs(30);
const GRACE: Duration = Duration::from_secs(1);
