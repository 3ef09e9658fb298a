//! `closenotify check`: starts what is to be started, runs the cases, writes the reports, stops everything.
//!
//! A signal ends the run early; what is known by then is reported all the same. A second one ends the command at once, and
//! what was started with it.

pub(crate) mod args;
mod list;
mod reports;
mod start;

use std::sync::Arc;

use closenotify_check::expect::Deviations;
use closenotify_check::process::Template;
use closenotify_check::{
    CheckError, CheckErrorKind, Client, Options, Output, Proxy, Run, Server, Subject, Upstream, cases_of, check_client,
    check_proxy, check_server,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::check::args::{CheckArgs, ClientArgs, CommonArgs, ProxyArgs, ServerArgs, SubjectArgs};
use crate::check::start::{Place, resolve};
use crate::exit::{ExitCode, Failure};

/// Runs a check and reports it.
pub(crate) fn run(args: CheckArgs) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(ExitCode::Internal, format!("cannot start the runtime: {error}")))?;
    match args.subject {
        SubjectArgs::Server(args) if args.common.list => list::print(Subject::Server, &args.common),
        SubjectArgs::Client(args) if args.common.list => list::print(Subject::Client, &args.common),
        SubjectArgs::Proxy(args) if args.common.list => list::print(Subject::Proxy, &args.common),
        SubjectArgs::Server(args) => runtime.block_on(server(args)),
        SubjectArgs::Client(args) => runtime.block_on(client(args)),
        SubjectArgs::Proxy(args) => runtime.block_on(proxy(args)),
    }
}

async fn server(args: ServerArgs) -> Result<ExitCode, Failure> {
    let Some(at) = &args.addr else { return Err(Failure::new(ExitCode::Usage, "ADDR is missing")) };
    let prepared = Prepared::new(&args.common, Subject::Server)?;
    let checked = async {
        let addr = resolve(at).await?;
        let place = prepared.unless_stopped(Place::new(&args.process, at, addr, &[])).await?;
        let server = Server {
            addr,
            label: at.to_string(),
            name: args.trust.sni.clone().unwrap_or_else(|| at.host()),
            trust: start::trust(&args.trust, place.identity())?,
            app: args.app.clone(),
            process: place.process(),
        };
        let run = check_server(&server, &prepared.options).await;
        place.stop().await;
        run.map_err(failure)
    };
    let run = prepared.interruptible(checked).await?;
    prepared.report(&run)
}

async fn client(args: ClientArgs) -> Result<ExitCode, Failure> {
    let prepared = Prepared::new(&args.common, Subject::Client)?;
    let template = Template::new(args.command.clone()).map_err(failure)?;
    let output = if args.stdout_is_body { Output::Body } else { Output::Ignored };
    let client = Client { label: template.to_string(), template, app: args.app.clone(), output };
    let checked = async { check_client(&client, &prepared.options).await.map_err(failure) };
    let run = prepared.interruptible(checked).await?;
    prepared.report(&run)
}

async fn proxy(args: ProxyArgs) -> Result<ExitCode, Failure> {
    let (Some(at), Some(behind)) = (&args.front, &args.upstream) else {
        return Err(Failure::new(ExitCode::Usage, "FRONT and --upstream are needed"));
    };
    let prepared = Prepared::new(&args.common, Subject::Proxy)?;
    let checked = async {
        let (front, upstream) = (resolve(at).await?, resolve(behind).await?);
        // It listens before the proxy is started, which may look for it at once.
        let upstream = Upstream::listen(upstream).await.map_err(|error| Failure::new(ExitCode::Listen, error))?;
        let places = [("upstream", behind.to_string())];
        let place = prepared.unless_stopped(Place::new(&args.process, at, front, &places)).await?;
        let proxy = Proxy {
            front,
            upstream,
            label: at.to_string(),
            name: args.trust.sni.clone().unwrap_or_else(|| at.host()),
            trust: start::trust(&args.trust, place.identity())?,
            process: place.process(),
        };
        let run = check_proxy(&proxy, &prepared.options).await;
        place.stop().await;
        run.map_err(failure)
    };
    let run = prepared.interruptible(checked).await?;
    prepared.report(&run)
}

/// What is read and checked before anything is started.
struct Prepared<'a> {
    common: &'a CommonArgs,
    deviations: Deviations,
    options: Options,
    stop: watch::Sender<bool>,
}

impl<'a> Prepared<'a> {
    fn new(common: &'a CommonArgs, subject: Subject) -> Result<Self, Failure> {
        let all: Vec<_> = [Subject::Server, Subject::Client, Subject::Proxy].into_iter().flat_map(cases_of).collect();
        let deviations = match &common.expect {
            Some(file) => Deviations::read(file, &all).map_err(|error| Failure::new(ExitCode::Usage, error))?,
            None => Deviations::none(),
        };
        reports::can_be_written(common)?;
        let (levels, versions) = (common.levels(), common.versions());
        let total = closenotify_check::select(subject, &common.cases, &levels, &versions).map_err(failure)?.len();
        let (stop, stopped) = watch::channel(false);
        let options = Options {
            select: common.cases.clone(),
            levels,
            versions,
            jobs: common.jobs.into(),
            timeout: common.timeout,
            watch: WATCH,
            watcher: Arc::new(reports::progress(total)),
            stop: stopped,
        };
        Ok(Self { common, deviations, options, stop })
    }

    /// Runs with signals caught: the first ends the run early, the second all at once.
    async fn interruptible(&self, checked: impl Future<Output = Result<Run, Failure>>) -> Result<Run, Failure> {
        let caught = |error: std::io::Error| Failure::new(ExitCode::Internal, format!("cannot catch signals: {error}"));
        let mut term = signal(SignalKind::terminate()).map_err(caught)?;
        let mut int = signal(SignalKind::interrupt()).map_err(caught)?;
        let mut checked = std::pin::pin!(checked);
        for signals in 0.. {
            tokio::select! {
                run = &mut checked => return run,
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if signals > 0 {
                break;
            }
            self.stop.send_replace(true);
        }
        // What was started is killed when its owner, the run, is dropped.
        Err(Failure::new(ExitCode::Interrupted, "stopped at once by a second signal"))
    }

    /// Something that comes before the run; a signal ends it, and what it has started.
    async fn unless_stopped<T>(&self, before: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let mut stopped = self.options.stop.clone();
        tokio::select! {
            done = before => done,
            _ = stopped.wait_for(|stopped| *stopped) => {
                Err(Failure::new(ExitCode::Interrupted, "stopped by a signal before the first case"))
            }
        }
    }

    fn report(&self, run: &Run) -> Result<ExitCode, Failure> {
        reports::write(self.common, run, &self.deviations)
    }
}

/// How to end where there is no run.
pub(crate) fn failure(error: CheckError) -> Failure {
    let code = match error.kind {
        CheckErrorKind::Subject => ExitCode::NoSubject,
        CheckErrorKind::NothingMatched => ExitCode::NothingMatched,
        CheckErrorKind::Usage => ExitCode::Usage,
        CheckErrorKind::System => ExitCode::Internal,
    };
    Failure::new(code, error)
}

/// For how long CPU time is watched in each case that does.
const WATCH: std::time::Duration = std::time::Duration::from_millis(400);
