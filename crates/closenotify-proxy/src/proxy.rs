//! The proxy as a whole: what it opens at its start, and what it does on each order until its end.
//!
//! It serves nothing itself: workers do, on threads of their own, and go on whatever happens here. Orders come first and are
//! logged second, so that nobody who reads the log can delay one.

mod error;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::future::pending;
use std::mem::take;
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;
use std::{fmt, io};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::task::TaskTracker;

use crate::address::Endpoint;
use crate::admin::{Admin, AdminServer, CONNECTIONS_MAX};
use crate::config::{Config, ListenerSettings};
use crate::descriptors::{self, SessionLimit};
use crate::events::{Event, Events};
use crate::generation::{Changes, Generation, Prepared};
use crate::limits::Limits;
use crate::listen::{self, ListenError, Listening, Pool, Wanted};
use crate::notify::Notify;
use crate::privileges::Identity;
use crate::session::Shared;
use crate::shutdown::{Shutdown, ShutdownTrigger};
use crate::takeover::{self, Handover, Offered, Successor, TakeoverError, TakeoverSocket};
use crate::telemetry::Telemetry;
use crate::upstream::{Network, Observer, UpstreamEvent};
use crate::worker::{Accepting, Workers};

pub use error::StartError;

/// An order to a running proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Accept nothing more, and end when no session is left or the drain deadline has passed. What it came from is logged.
    Drain(&'static str),
    /// Reset what still runs, and end. Implies [`Drain`](Self::Drain).
    Abort(&'static str),
    /// Read the settings again.
    Reload,
    /// Open the log file again.
    ReopenLog,
}

/// How the sessions ended that ran when draining was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that came to their own end.
    pub finished: u64,
    /// Sessions that were reset because the time was over or aborting was ordered.
    pub aborted: u64,
}

/// A proxy that serves.
pub struct Proxy {
    telemetry: Arc<Telemetry>,
    shared: Arc<Shared>,
    aborter: ShutdownTrigger,
    network: Network,
    generation: Generation,
    workers: Workers,
    /// Shared with what offers them to a successor.
    sockets: Arc<Mutex<Sockets>>,
    admin: Option<(AdminServer, String)>,
    notify: Notify,
    takeover: Option<TakeoverSocket>,
    /// The limit of open files.
    files: Option<u64>,
}

/// Everything that is listened on.
#[derive(Debug, Default)]
struct Sockets {
    open: Vec<Open>,
    admin: Option<Listening>,
}

/// An address of a listener.
#[derive(Debug)]
struct Open {
    listening: Listening,
    accepting: Accept,
}

/// The workers that accept from it.
#[derive(Debug)]
struct Accept {
    listener: String,
    stop: ShutdownTrigger,
    /// Those that have not stopped yet.
    running: TaskTracker,
}

/// Why the proxy drains.
enum Why {
    Drain(&'static str),
    Abort(&'static str),
    Successor(Successor),
}

impl Proxy {
    /// Opens everything that the settings name, in the order in which it can go wrong without anyone noticing: the log, files,
    /// addresses. Then becomes the user of the settings, and serves.
    ///
    /// Call it once in a process, on a Tokio runtime with time and I/O. Dropping the future before it is ready closes what was
    /// opened.
    ///
    /// # Errors
    ///
    /// [`StartError`]. Nothing was served.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let files = descriptors::raise();
        let events = Events::open(&config.log).map_err(StartError::Log)?;
        // The default report of a panic writes to standard error, which may be stuck.
        events.report_panics();
        let telemetry = Telemetry::new(events);
        let workers = config.process.workers.unwrap_or_else(|| available_parallelism().unwrap_or(NonZeroUsize::MIN));
        let limit = session_limit(&config, files, workers)?;
        let notify = Notify::from_env().map_err(StartError::Internal)?;
        let identity = match &config.process.user {
            Some(user) => Some(Identity::find(user, config.process.group.as_deref()).map_err(StartError::privileges)?),
            None => None,
        };

        let network = Network::system(Arc::new(Reporter(Arc::clone(&telemetry))));
        let generation = Generation::load(config, &telemetry, &network).map_err(StartError::Tls)?;
        let config = &generation.config;

        let mut pool = Pool::default();
        pool.add_inherited(listen::inherited().map_err(StartError::inherited)?).map_err(StartError::Internal)?;
        let mut handover = None;
        if let Some(path) = &config.process.takeover {
            let user = identity.as_ref().map(Identity::uid);
            if let Some(taken) = takeover::take(path, user).map_err(StartError::takeover)? {
                pool.add_taken(taken.sockets).map_err(StartError::Internal)?;
                handover = Some(taken.handover);
            }
        }
        let (open, admin_socket) = open(config, workers, &mut pool).await.map_err(StartError::listen)?;
        // What the predecessor had and these settings do not want is closed here; it still serves its queue.
        let _unwanted = pool.into_rest().map_err(StartError::Unwanted)?;
        if let Some(identity) = &identity {
            identity.assume().map_err(StartError::privileges)?;
        }

        let (aborter, abort) = Shutdown::channel();
        let shared = Arc::new(Shared {
            telemetry: Arc::clone(&telemetry),
            limits: Arc::new(Limits::new(config.limits, limit.sessions)),
            sessions: TaskTracker::new(),
            abort,
            spin: AtomicU8::new(config.process.spin as u8),
            numbers: AtomicU64::new(0),
            draining: AtomicBool::new(false),
            finished: AtomicU64::new(0),
            aborted: AtomicU64::new(0),
        });
        let workers = Workers::start(workers, &shared).map_err(StartError::Internal)?;
        let mut proxy = Self {
            telemetry,
            shared,
            aborter,
            network,
            generation,
            workers,
            sockets: Arc::default(),
            admin: None,
            notify,
            takeover: None,
            files,
        };
        // Everything that can fail comes before the first connection is accepted, or the predecessor lets go.
        proxy.prepare_takeover(handover.is_some()).map_err(StartError::takeover)?;
        proxy.tell_start(limit);
        if let Some(socket) = admin_socket {
            proxy.serve_admin(socket).map_err(StartError::Internal)?;
        }
        for (listener, listening) in open {
            let opened = proxy.listen(listener, listening).map_err(StartError::Internal)?;
            proxy.sockets().open.push(opened);
        }
        proxy.telemetry.ready();
        proxy.take_over(handover).map_err(StartError::takeover)?;
        proxy.generation.warn_of_expiry(&proxy.telemetry);
        let _ = proxy.notify.ready(&proxy.status());
        Ok(proxy)
    }

    /// The listeners' names and the addresses that they listen on, each with the port that was taken.
    pub fn listening(&self) -> Vec<(String, Endpoint)> {
        let sockets = self.sockets();
        sockets.open.iter().map(|open| (open.accepting.listener.clone(), open.listening.local().clone())).collect()
    }

    /// Where the admin listener is, if there is one.
    pub fn admin(&self) -> Option<&str> {
        self.admin.as_ref().map(|(_, address)| address.as_str())
    }

    /// Serves until it is ordered to drain or abort, then until no session is left or the drain deadline has passed; sessions
    /// that still run then are reset. Without the orders' sender it serves for ever.
    ///
    /// `load` reads the settings on [`Order::Reload`]; it returns what is wrong with them, in words. It runs on a thread of its
    /// own.
    ///
    /// Dropping the future goes on serving until the process ends.
    pub async fn run(
        mut self,
        mut orders: UnboundedReceiver<Order>,
        load: impl Fn() -> Result<Config, String> + Send + Sync + 'static,
    ) -> Drained {
        let why = self.serve(&mut orders, Arc::new(load)).await;
        self.drain(why, orders).await
    }

    /// Obeys until there is a reason to drain.
    async fn serve(
        &mut self,
        orders: &mut UnboundedReceiver<Order>,
        load: Arc<dyn Fn() -> Result<Config, String> + Send + Sync>,
    ) -> Why {
        let mut tick = interval(LOOK_AT_FILES);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expiry = interval(EXPIRY_WARNING);
        expiry.reset();
        let mut preparing: Option<JoinHandle<Result<Prepared, String>>> = None;
        let mut refreshing: Option<JoinHandle<()>> = None;
        let (mut again, mut ordered) = (false, true);
        let offered = self.takeover.take().map(|socket| self.offer(socket));
        let mut successor = pin!(async {
            match offered {
                Some(offered) => offered.await,
                None => pending().await,
            }
        });
        loop {
            tokio::select! {
                biased;
                order = orders.recv(), if ordered => match order {
                    Some(Order::Drain(signal)) => return Why::Drain(signal),
                    Some(Order::Abort(signal)) => return Why::Abort(signal),
                    Some(Order::ReopenLog) => self.telemetry.events().reopen(),
                    Some(Order::Reload) if preparing.is_some() => again = true,
                    Some(Order::Reload) => preparing = Some(self.prepare(&load)),
                    None => ordered = false,
                },
                successor = &mut successor => return Why::Successor(successor),
                prepared = joined(&mut preparing) => {
                    preparing = None;
                    let prepared = prepared.unwrap_or_else(|panicked| Err(panicked.to_string()));
                    let mut status = self.status();
                    match self.reload(prepared, orders).await {
                        Ok(None) => {}
                        Ok(Some(why)) => return why,
                        Err(error) => {
                            status = format!("{status}; the last reload failed: {error}");
                            self.telemetry.tell(&Event::ReloadFailed { error });
                        }
                    }
                    let _ = self.notify.ready(&status);
                    if take(&mut again) {
                        preparing = Some(self.prepare(&load));
                    }
                }
                _refreshed = joined(&mut refreshing) => refreshing = None,
                _now = tick.tick(), if refreshing.is_none() && preparing.is_none() => {
                    let (generation, telemetry) = (self.generation.clone(), Arc::clone(&self.telemetry));
                    refreshing = Some(spawn_blocking(move || generation.refresh(&telemetry)));
                }
                _now = expiry.tick() => self.generation.warn_of_expiry(&self.telemetry),
            }
        }
    }

    /// Reads the settings and the files that they name, on a thread of its own: a disk that hangs must not delay an order.
    fn prepare(
        &self,
        load: &Arc<dyn Fn() -> Result<Config, String> + Send + Sync>,
    ) -> JoinHandle<Result<Prepared, String>> {
        let _ = self.notify.reloading();
        let (load, generation, network) = (Arc::clone(load), self.generation.clone(), self.network.clone());
        spawn_blocking(move || generation.prepare(load()?, &network).map_err(|error| error.to_string()))
    }

    /// Makes other settings those of the next sessions. Without an error all of it has happened, with one nothing. An order to
    /// drain or to abort that comes meanwhile is returned, and nothing has happened.
    async fn reload(
        &mut self,
        prepared: Result<Prepared, String>,
        orders: &mut UnboundedReceiver<Order>,
    ) -> Result<Option<Why>, String> {
        let prepared = prepared?;
        let (old, new) = (&self.generation.config.process, &prepared.config().process);
        for (name, differs) in [
            ("workers", old.workers != new.workers),
            ("user", old.user != new.user),
            ("group", old.group != new.group),
            ("takeover", old.takeover != new.takeover),
        ] {
            if differs {
                return Err(format!("[process] {name} cannot be changed by a reload; restart, or use a takeover"));
            }
        }
        if self.generation.config.admin != prepared.config().admin {
            return Err("[admin] listen cannot be changed by a reload; restart, or use a takeover".to_owned());
        }
        if self.generation.config.log.file != prepared.config().log.file {
            return Err("[log] file cannot be changed by a reload; restart, or use a takeover".to_owned());
        }
        let limit = session_limit(prepared.config(), self.files, self.workers.count());
        let limit = limit.map_err(|error| error.to_string())?;

        let (mut accepts, mut pool) = (BTreeMap::new(), Pool::default());
        let mut running = Vec::new();
        for Open { listening, accepting } in take(&mut self.sockets().open) {
            accepts.insert(listening.local().clone(), accepting);
            running.push(listening);
        }
        pool.add_running(running);
        let wanted = wanted(prepared.config());
        let opened = {
            let mut opening = pin!(timeout(OPEN, listen::open(&wanted, self.workers.count(), &mut pool)));
            loop {
                tokio::select! {
                    biased;
                    opened = &mut opening => break match opened {
                        Ok(Ok(opened)) => Ok(opened),
                        Ok(Err(error)) => Err(Unopened::Error(error.to_string())),
                        Err(_late) => Err(Unopened::Error(format!("a name in `listen` was not resolved within {OPEN:?}"))),
                    },
                    Some(order) = orders.recv() => match order {
                        Order::Drain(signal) => break Err(Unopened::Order(Why::Drain(signal))),
                        Order::Abort(signal) => break Err(Unopened::Order(Why::Abort(signal))),
                        Order::ReopenLog => self.telemetry.events().reopen(),
                        // The settings are as new as they were a moment ago.
                        Order::Reload => {}
                    },
                }
            }
        };
        // Nothing in it is from the service manager.
        let rest = pool.into_rest().unwrap_or_default();
        let opened = match opened {
            Ok(opened) => opened,
            Err(unopened) => {
                let back = |listening: Listening| {
                    let accepting = accepts.remove(listening.local())?;
                    Some(Open { listening, accepting })
                };
                self.sockets().open = rest.into_iter().filter_map(back).collect();
                return match unopened {
                    Unopened::Error(error) => Err(error),
                    Unopened::Order(why) => Ok(Some(why)),
                };
            }
        };

        let changes = self.generation.apply(prepared, &self.telemetry);
        let config = &self.generation.config;
        self.telemetry.events().reconfigure(&config.log);
        self.shared.limits.set(config.limits, limit.sessions);
        self.shared.spin.store(config.process.spin as u8, Ordering::Relaxed);
        let mut failed = None;
        for (want, listening) in wanted.iter().zip(opened) {
            let listener = want.listener.clone().unwrap_or_default();
            match accepts.remove(listening.local()) {
                Some(accepting) if accepting.listener == listener => {
                    self.sockets().open.push(Open { listening, accepting });
                }
                other => {
                    // The address has moved to another listener.
                    if let Some(other) = other {
                        other.stop.drain();
                    }
                    match self.listen(listener, listening) {
                        Ok(open) => self.sockets().open.push(open),
                        Err(error) => failed = Some(format!("cannot listen: {error}")),
                    }
                }
            }
        }
        for listening in rest {
            if let Some(accepting) = accepts.remove(listening.local()) {
                accepting.stop.drain();
            }
            // The workers have the last descriptors now: each closes its socket when it has accepted what waited there.
            drop(listening);
        }
        let Changes { added, removed, changed } = changes;
        self.telemetry.tell(&Event::Reloaded { added, removed, changed });
        failed.map_or(Ok(None), Err)
    }

    async fn drain(mut self, why: Why, mut orders: UnboundedReceiver<Order>) -> Drained {
        let mut aborting = matches!(why, Why::Abort(_));
        self.shared.draining.store(true, Ordering::Relaxed);
        for open in &self.sockets().open {
            open.accepting.stop.drain();
        }
        if aborting {
            self.aborter.abort();
        }
        let drain = self.generation.config.process.drain;
        let deadline = Instant::now() + drain;
        if matches!(why, Why::Successor(_))
            && let Some((server, _)) = self.admin.take()
        {
            // It is the successor's now: of two processes that answer in turns nobody sees either.
            let _ = timeout(LEAVE, server.leave()).await;
        }
        // Ordered first, logged second.
        self.tell_drain(why, drain);
        // Without our descriptors each worker closes its sockets when it has accepted what waited there.
        let accepting: Vec<_> = take(&mut self.sockets().open).into_iter().map(|open| open.accepting).collect();
        let sessions = self.shared.sessions.clone();
        let mut done = pin!(async {
            for accepting in &accepting {
                accepting.running.wait().await;
            }
            // From here on connecting is refused, and the number of sessions is final.
            sessions.close();
            sessions.wait().await;
        });
        let mut ordered = true;
        let mut status = interval(STATUS);
        loop {
            tokio::select! {
                biased;
                () = &mut done => break,
                _now = status.tick() => {
                    let _ = self.notify.status(&format!("draining: {} sessions left", self.shared.sessions.len()));
                }
                order = orders.recv(), if ordered => match order {
                    Some(Order::Abort(signal)) if !aborting => {
                        self.aborter.abort();
                        aborting = true;
                        self.telemetry.tell(&Event::Aborting { signal: signal.to_owned() });
                    }
                    Some(Order::ReopenLog) => self.telemetry.events().reopen(),
                    // It drains already: for an earlier order, or for a successor.
                    Some(Order::Drain(_) | Order::Abort(_) | Order::Reload) => {}
                    None => ordered = false,
                },
                () = sleep_until(deadline), if !aborting => {
                    self.aborter.abort();
                    aborting = true;
                }
            }
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let drained = Drained { finished: count(&self.shared.finished), aborted: count(&self.shared.aborted) };
        self.telemetry.tell(&Event::Drained { finished: drained.finished, aborted: drained.aborted });
        self.workers.stop();
        self.telemetry.events().finish(FLUSH);
        drained
    }

    fn tell_drain(&mut self, why: Why, drain: Duration) {
        // The service manager is told what it can be told; it is not the one to wait for.
        let _ = match why {
            Why::Drain(signal) => {
                self.telemetry.tell(&Event::Draining { signal: signal.to_owned(), drain });
                self.notify.stopping("draining")
            }
            Why::Abort(signal) => {
                self.telemetry.tell(&Event::Aborting { signal: signal.to_owned() });
                self.notify.stopping("aborting")
            }
            Why::Successor(successor) => {
                let mut sockets = self.sockets();
                let Sockets { open, admin } = &mut *sockets;
                let count = open.iter().map(|open| open.listening.sockets().len()).sum();
                // Their files are the successor's now.
                open.iter_mut().map(|open| &mut open.listening).chain(admin).for_each(Listening::leave_file);
                drop(sockets);
                self.telemetry.tell(&Event::TakeoverDone { sockets: count });
                self.telemetry.tell(&Event::Draining { signal: "takeover".to_owned(), drain });
                self.notify.succeeded(successor.pid)
            }
        };
    }

    /// Begins to accept.
    fn listen(&self, listener: String, listening: Listening) -> io::Result<Open> {
        let (stop, stopped) = Shutdown::channel();
        let running = TaskTracker::new();
        let slot = &self.generation.listeners[&listener];
        let shares = listening.for_workers(self.workers.count())?;
        self.workers.accept(shares.into_iter().map(|sockets| Accepting {
            listener: Arc::clone(slot),
            sockets,
            stop: stopped.clone(),
            running: running.token(),
        }));
        running.close();
        let address = listening.local().to_string();
        self.telemetry.tell(&Event::Listening { listener: listener.clone(), address });
        Ok(Open { listening, accepting: Accept { listener, stop, running } })
    }

    fn serve_admin(&mut self, socket: Listening) -> io::Result<()> {
        let address = socket.local().to_string();
        let admin = Admin::over(&socket)?;
        let server = admin.serve(Arc::clone(&self.telemetry))?;
        self.sockets().admin = Some(socket);
        self.admin = Some((server, address));
        Ok(())
    }

    /// Tells the predecessor that this process serves, and begins to offer the sockets to a successor.
    fn take_over(&mut self, handover: Option<Handover>) -> Result<(), TakeoverError> {
        if let Some(handover) = handover {
            handover.serving()?;
            let mut sockets = self.sockets();
            let Sockets { open, admin } = &mut *sockets;
            open.iter_mut().map(|open| &mut open.listening).chain(admin).for_each(Listening::own_file);
        }
        let Some(path) = &self.generation.config.process.takeover else { return Ok(()) };
        if self.takeover.is_none() {
            match TakeoverSocket::bind(path) {
                Ok(socket) => self.takeover = Some(socket),
                // The predecessor is gone: without a socket for a successor this process is still the one that serves.
                Err(error) => self.telemetry.tell(&Event::TakeoverFailed { reason: error.to_string() }),
            }
        }
        if self.takeover.is_some() {
            self.telemetry.tell(&Event::TakeoverOffered { path: path.clone() });
        }
        Ok(())
    }

    /// Binds the takeover socket; beside a predecessor, whose the path is, only tries whether it could.
    fn prepare_takeover(&mut self, has_predecessor: bool) -> Result<(), TakeoverError> {
        let Some(path) = &self.generation.config.process.takeover else { return Ok(()) };
        if has_predecessor {
            let mut beside = path.clone().into_os_string();
            beside.push(format!(".{}", std::process::id()));
            drop(TakeoverSocket::bind(Path::new(&beside))?);
        } else {
            self.takeover = Some(TakeoverSocket::bind(path)?);
        }
        Ok(())
    }

    fn offer(&self, socket: TakeoverSocket) -> impl Future<Output = Successor> + use<> {
        let (sockets, telemetry) = (Arc::clone(&self.sockets), Arc::clone(&self.telemetry));
        let all = move || {
            let sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
            Offered::all(sockets.open.iter().map(|open| &open.listening).chain(&sockets.admin))
        };
        socket.offer(all, move |error| telemetry.tell(&Event::TakeoverFailed { reason: error.to_string() }))
    }

    fn tell_start(&self, limit: SessionLimit) {
        let workers = self.workers.count().get();
        self.telemetry.tell(&Event::Started { version: env!("CARGO_PKG_VERSION"), pid: std::process::id(), workers });
        if limit.wanted.is_some() {
            self.telemetry.tell(&Event::LimitLowered { reason: limit.to_string() });
        }
    }

    fn status(&self) -> String {
        let count = self.generation.listeners.len();
        format!("{count} listener{} at work", if count == 1 { "" } else { "s" })
    }

    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

/// The addresses of the listeners, in the order of the settings.
fn wanted(config: &Config) -> Vec<Wanted> {
    let of = |settings: &Arc<ListenerSettings>| -> Vec<Wanted> {
        let wanted = |endpoint: &Endpoint| Wanted { listener: Some(settings.name.clone()), endpoint: endpoint.clone() };
        settings.listen.iter().map(wanted).collect()
    };
    config.listeners.iter().flat_map(of).collect()
}

/// The sockets of the listeners, each with the listener's name, and that of the admin listener.
type Opened = (Vec<(String, Listening)>, Option<Listening>);

async fn open(config: &Config, workers: NonZeroUsize, pool: &mut Pool) -> Result<Opened, ListenError> {
    let mut wanted = wanted(config);
    wanted.extend(config.admin.clone().map(|endpoint| Wanted { listener: None, endpoint }));
    let opened = listen::open(&wanted, workers, pool).await?;
    let mut listeners = Vec::with_capacity(opened.len());
    let mut admin = None;
    for (want, listening) in wanted.into_iter().zip(opened) {
        match want.listener {
            Some(listener) => listeners.push((listener, listening)),
            None => admin = Some(listening),
        }
    }
    Ok((listeners, admin))
}

fn session_limit(config: &Config, files: Option<u64>, workers: NonZeroUsize) -> Result<SessionLimit, StartError> {
    let sockets: usize = config.listeners.iter().map(|settings| settings.listen.len()).sum::<usize>() * workers.get();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let admin = if config.admin.is_some() { count(CONNECTIONS_MAX) } else { 0 };
    let fixed = descriptors::fixed(count(sockets), count(workers.get()), admin);
    descriptors::session_limit(files, config.limits.sessions, fixed).map_err(StartError::files)
}

/// Why a reload has opened no address.
enum Unopened {
    Error(String),
    Order(Why),
}

/// What a task has returned; never, where there is none.
async fn joined<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => pending().await,
    }
}

/// Reports what upstreams do.
#[derive(Debug)]
struct Reporter(Arc<Telemetry>);

impl Observer for Reporter {
    fn observe(&self, event: UpstreamEvent<'_>) {
        match event {
            UpstreamEvent::Attempt { upstream, address, result } => {
                self.0.metrics().upstream_attempt(upstream, address, result.is_ok());
            }
            UpstreamEvent::Resting { upstream, address, rest, error } => self.0.tell(&Event::UpstreamFailing {
                upstream: upstream.to_owned(),
                address: address.to_owned(),
                reason: format!("{}; it rests for {}", error.reason(), humantime::format_duration(rest)),
            }),
            UpstreamEvent::Recovered { upstream, address } => {
                self.0.tell(&Event::UpstreamRecovered { upstream: upstream.to_owned(), address: address.to_owned() });
            }
            UpstreamEvent::LookupFailed { name, reason } => {
                self.0.tell(&Event::LookupFailed { name: name.to_owned(), reason: reason.to_owned() });
            }
        }
    }
}

/// How often files are looked at for changes.
const LOOK_AT_FILES: Duration = Duration::from_secs(1);

/// How often certificates that expire soon are reported.
const EXPIRY_WARNING: Duration = Duration::from_secs(24 * 60 * 60);

/// How often the service manager is told how many sessions are left.
const STATUS: Duration = Duration::from_secs(1);

/// How long a reload may take to open its addresses.
const OPEN: Duration = Duration::from_secs(5);

/// How long it waits at most until its admin listener is closed for a successor.
const LEAVE: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the log.
const FLUSH: Duration = Duration::from_secs(2);
