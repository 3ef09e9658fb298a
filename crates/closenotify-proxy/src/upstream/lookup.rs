//! Bounded lookups of names, with a cache: what a slow, silent or failed resolver costs sessions is limited.
//!
//! Names come from the configuration only. Each has one cached answer and at most one lookup in flight, on a detached thread:
//! the system's lookup cannot be canceled, and one without an answer must block neither the runtime's blocking pool nor the
//! exit of the process. The order of the addresses is the resolver's.
//!
//! ```text
//! age of the answer   0 s        10 s                     10 min
//!                     | fresh     | in use, while a lookup  | not in use: sessions
//!                     |           | for a newer one runs    | wait for the lookup
//! ```

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use closenotify::io_kind_word;
use tokio::sync::watch;
use tokio::time::Instant;

use super::event::{Observer, UpstreamEvent};

/// Looks up names. There is one in a process, kept over reloads; clones share the answers.
#[derive(Clone)]
pub(crate) struct Resolver {
    names: Arc<Mutex<HashMap<String, Weak<Entry>>>>,
    resolve: Resolve,
    observer: Arc<dyn Observer>,
}

/// Returns the addresses of a name. It may block.
type Resolve = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

impl Resolver {
    /// Asks the system's resolver.
    pub(crate) fn system(observer: Arc<dyn Observer>) -> Self {
        // The port is not part of the question.
        Self::new(|name| Ok((name, 0).to_socket_addrs()?.map(|found| found.ip()).collect()), observer)
    }

    pub(super) fn new(
        resolve: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self { names: Arc::default(), resolve: Arc::new(resolve), observer }
    }

    /// The name or address `host`. The answer for a name is kept as long as any [`Host`] for it exists.
    pub(crate) fn host(&self, host: &str) -> Host {
        if let Ok(address) = host.parse() {
            return Host::Address(address);
        }
        let mut names = lock(&self.names);
        if let Some(entry) = names.get(host).and_then(Weak::upgrade) {
            return Host::Name(entry);
        }
        names.retain(|_, entry| entry.strong_count() > 0);
        let entry = Arc::new(Entry {
            name: host.to_owned(),
            state: Mutex::default(),
            completed: watch::Sender::new(0),
            resolve: Arc::clone(&self.resolve),
            observer: Arc::clone(&self.observer),
        });
        names.insert(host.to_owned(), Arc::downgrade(&entry));
        Host::Name(entry)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("names", &lock(&self.names).keys()).finish_non_exhaustive()
    }
}

/// A host, by name or by address.
#[derive(Clone)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(Arc<Entry>),
}

impl Host {
    /// The addresses, in the resolver's order; never empty.
    ///
    /// It waits only where there is no answer that may be used, and then until the lookup ends; bound it. Dropping the future
    /// does not stop the lookup; its answer is cached.
    ///
    /// # Errors
    ///
    /// [`LookupError`], if the lookup fails and no earlier answer may be used. Later calls return it too, until a second has
    /// passed since the lookup started.
    pub(crate) async fn lookup(&self) -> Result<Arc<[IpAddr]>, LookupError> {
        let entry = match self {
            Self::Address(address) => return Ok(Arc::from([*address])),
            Self::Name(entry) => entry,
        };
        // Before the first look, so that no completion is missed.
        let mut completed = entry.completed.subscribe();
        let mut waited = false;
        loop {
            if let Some(result) = entry.look(waited) {
                return result;
            }
            waited = true;
            // The sender is in the entry that we hold.
            let _ = completed.changed().await;
        }
    }

    /// Starts a lookup if one is due, and does not wait for it.
    pub(crate) fn begin_lookup(&self) {
        if let Self::Name(entry) = self {
            let _known_so_far = entry.look(false);
        }
    }

    /// As [`lookup`](Self::lookup), for a session that could not connect with the cached answer: if a lookup is in flight, it
    /// waits for its result.
    pub(crate) async fn lookup_again(&self) -> Result<Arc<[IpAddr]>, LookupError> {
        if let Self::Name(entry) = self {
            let mut completed = entry.completed.subscribe();
            let runs = lock(&entry.state).running.is_some();
            if runs {
                let _ = completed.changed().await;
            }
        }
        self.lookup().await
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name(entry) => f.write_str(&entry.name),
        }
    }
}

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LookupError {
    pub(crate) kind: io::ErrorKind,
    pub(crate) reason: String,
}

impl LookupError {
    fn new(error: &io::Error) -> Self {
        // The resolver's own errors have no kind that has a name.
        let kind = if error.raw_os_error().is_some() { error.kind() } else { io::ErrorKind::NotFound };
        Self { kind, reason: error.to_string() }
    }

    /// The stable machine word.
    pub(crate) fn word(&self) -> String {
        format!("failed_{}", io_kind_word(self.kind))
    }
}

/// A name, and what is known of it.
pub(crate) struct Entry {
    name: String,
    state: Mutex<State>,
    /// How many lookups have ended.
    completed: watch::Sender<u64>,
    resolve: Resolve,
    observer: Arc<dyn Observer>,
}

/// Every time is when the resolver was asked, so an answer's age is never underestimated.
#[derive(Default)]
struct State {
    answer: Option<(Arc<[IpAddr]>, Instant)>,
    /// Of the last lookup.
    failure: Option<(LookupError, Instant)>,
    running: Option<Running>,
}

struct Running {
    asked: Instant,
    /// The delay has been reported.
    reported: bool,
}

impl Entry {
    /// The result for a session now; `None` if it has to wait. Starts a lookup if one is due.
    ///
    /// A session that has `waited` for a lookup gets the failure of that lookup.
    fn look(self: &Arc<Self>, waited: bool) -> Option<Result<Arc<[IpAddr]>, LookupError>> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        let age = |at: &Instant| now.saturating_duration_since(*at);
        let usable = state.answer.as_ref().filter(|(_, asked)| age(asked) < KEPT).cloned();
        if let Some((addresses, asked)) = &usable
            && age(asked) < FRESH
        {
            return Some(Ok(Arc::clone(addresses)));
        }
        let failed = state.failure.as_ref().filter(|(_, asked)| waited || age(asked) < FAILED);
        let failed = failed.map(|(error, _)| error.clone());
        let mut overdue = None;
        match &mut state.running {
            None if failed.is_none() => {
                state.running = Some(Running { asked: now, reported: false });
                drop(state);
                // It may fail at once, and then takes the lock.
                self.begin(now);
            }
            None => {}
            Some(running) => {
                let waiting = age(&running.asked);
                if waiting >= OVERDUE && !running.reported {
                    running.reported = true;
                    overdue = Some(waiting);
                }
                drop(state);
            }
        }
        if let Some(waiting) = overdue {
            let reason = match &usable {
                Some((_, asked)) => format!(
                    "no answer from the resolver for {} s; the addresses of {} s ago stay in use",
                    waiting.as_secs(),
                    age(asked).as_secs()
                ),
                None => format!("no answer from the resolver for {} s", waiting.as_secs()),
            };
            self.failed(&reason);
        }
        match (usable, failed) {
            (Some((addresses, _)), _) => Some(Ok(addresses)),
            (None, Some(error)) => Some(Err(error)),
            (None, None) => None,
        }
    }

    /// Asks the resolver, on a detached thread.
    fn begin(self: &Arc<Self>, asked: Instant) {
        let answering = Answering { entry: Arc::clone(self), asked, answer: None };
        let thread = thread::Builder::new().name("lookup".into()).spawn(move || {
            let mut answering = answering;
            let answer = (answering.entry.resolve)(&answering.entry.name);
            answering.answer = Some(answer);
        });
        // If no thread could start, its closure was dropped, and with it the `Answering`, which completes the lookup.
        drop(thread);
    }

    fn complete(&self, answer: io::Result<Vec<IpAddr>>, asked: Instant) {
        let found = answer.and_then(|mut found| {
            found.truncate(ADDRESSES_MAX);
            if found.is_empty() { Err(io::Error::new(io::ErrorKind::NotFound, "it has no address")) } else { Ok(found) }
        });
        let found = found.map_err(|error| LookupError::new(&error));
        // First, so that no session gets a failure before it is reported.
        if let Err(error) = &found {
            self.failed(&error.reason);
        }
        let mut state = lock(&self.state);
        state.running = None;
        match found {
            Ok(found) => {
                state.answer = Some((found.into(), asked));
                state.failure = None;
            }
            Err(error) => state.failure = Some((error, asked)),
        }
        drop(state);
        self.completed.send_modify(|count| *count += 1);
    }

    fn failed(&self, reason: &str) {
        self.observer.observe(UpstreamEvent::LookupFailed { name: &self.name, reason });
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A lookup in flight. Dropping it completes the lookup, with a failure if there is no answer: a thread could not start.
struct Answering {
    entry: Arc<Entry>,
    asked: Instant,
    answer: Option<io::Result<Vec<IpAddr>>>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let answer =
            self.answer.take().unwrap_or_else(|| Err(io::Error::other("no thread could be started to look it up")));
        self.entry.complete(answer, self.asked);
    }
}

/// No code under these locks can panic halfway through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(10);

/// How long an answer is used while there is no newer one.
const KEPT: Duration = Duration::from_secs(10 * 60);

/// How long after the start of a failed lookup no other is started.
const FAILED: Duration = Duration::from_secs(1);

/// After how long a resolver that does not answer is reported.
const OVERDUE: Duration = Duration::from_secs(5);

/// How many addresses of a name are used.
const ADDRESSES_MAX: usize = 16;

#[cfg(test)]
mod tests;
