//! The one call: what to check, how far to search, and the verdict.

use std::fmt;
use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::endpoint::Boxed;
use crate::report::Report;
use crate::scenario::{Made, Making, Park, Woken};
use crate::search::Search;
use crate::transport::Transport;
use crate::world::Limits;

/// Checks a wrapper that puts on its transport the bytes that are written into it, as they are.
///
/// `wrap` makes the stream under test, once for every run. Whatever it is given comes from the checker, and so does
/// the peer at the other end of the transport. For a stream that encrypts, compresses or frames, see [`check_pair`].
///
/// ```
/// let report = pollcheck::check(|transport| tokio::io::BufStream::new(transport));
/// report.assert_clean();
/// ```
#[must_use = "a verdict that nobody reads"]
pub fn check<S>(wrap: impl FnMut(Transport) -> S) -> Report
where
    S: AsyncRead + AsyncWrite + 'static,
{
    Check::new().wrapper(wrap)
}

/// Checks two streams that talk to each other: what is written into one comes out of the other.
///
/// `wrap` is given both ends of a simulated link and makes both streams; what they put on the link is their own
/// business. Streams that are no wrappers ignore the ends.
///
/// ```
/// let report = pollcheck::check_pair(|_left, _right| tokio::io::duplex(64));
/// report.assert_clean();
/// ```
#[must_use = "a verdict that nobody reads"]
pub fn check_pair<A, B>(wrap: impl FnMut(Transport, Transport) -> (A, B)) -> Report
where
    A: AsyncRead + AsyncWrite + 'static,
    B: AsyncRead + AsyncWrite + 'static,
{
    Check::new().pair(wrap)
}

/// How a check is made: the seed, how far the search goes, and the bounds of a run.
///
/// ```
/// let report = pollcheck::Check::new().seed(7).random_runs(10).wrapper(|transport| transport);
/// assert!(report.is_clean(), "{report}");
/// ```
#[must_use = "a check is made by `wrapper`, `pair` or `pair_async`"]
pub struct Check {
    pub(crate) seed: u64,
    pub(crate) depth: usize,
    pub(crate) deviations: usize,
    pub(crate) random: usize,
    pub(crate) one_way: bool,
    pub(crate) fill: usize,
    pub(crate) limits: Limits,
    pub(crate) only: Option<String>,
    pub(crate) park: Option<Park>,
}

impl Check {
    /// The defaults that [`check`] uses.
    pub fn new() -> Self {
        Self {
            seed: DEFAULT_SEED,
            depth: 4,
            deviations: 60,
            random: 40,
            one_way: false,
            fill: 1 << 20,
            limits: Limits { capacity: 1024, steps: 20_000, wasted_polls: 8 },
            only: None,
            park: None,
        }
    }

    /// The seed of the random schedules. With the same seed a check does the same again.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// All interleavings of the first `events` events of each scenario are tried; 4 unless told.
    ///
    /// An event is an answer of a transport, or the choice whom to poll next. The number of runs grows as a power.
    pub fn depth(self, events: usize) -> Self {
        Self { depth: events, ..self }
    }

    /// Each of the first `choices` choices of each scenario's plain run is changed alone; 60 unless told.
    pub fn deviations(self, choices: usize) -> Self {
        Self { deviations: choices, ..self }
    }

    /// How many random schedules of each scenario are tried beyond those; 40 unless told.
    pub fn random_runs(self, runs: usize) -> Self {
        Self { random: runs, ..self }
    }

    /// Polls and releases after which a run that still does not rest is one that spins; 20 000 unless told.
    pub fn step_bound(self, steps: u64) -> Self {
        Self { limits: Limits { steps, ..self.limits }, ..self }
    }

    /// Polls that a stream may ask for and that move nothing, for each half in each run; 8 unless told.
    pub fn wasted_poll_bound(self, polls: u32) -> Self {
        Self { limits: Limits { wasted_polls: polls, ..self.limits }, ..self }
    }

    /// Bytes that each direction of the link holds before a write is pending; 1024 unless told.
    ///
    /// # Panics
    ///
    /// On 0: nothing could ever be sent.
    pub fn link_capacity(self, bytes: usize) -> Self {
        assert!(bytes > 0, "a link of no capacity carries nothing");
        Self { limits: Limits { capacity: bytes, ..self.limits }, ..self }
    }

    /// Bytes after which a writer that should block gives up trying; 1 MiB unless told.
    ///
    /// Streams with much room of their own, such as sockets, need more.
    pub fn fill_limit(self, bytes: usize) -> Self {
        Self { fill: bytes, ..self }
    }

    /// Bytes go from left to right only: for a pair of a writer and a reader.
    pub fn one_way(self) -> Self {
        Self { one_way: true, ..self }
    }

    /// Runs only the scenario of this name, as a report prints it.
    pub fn only(self, scenario: impl Into<String>) -> Self {
        Self { only: Some(scenario.into()), ..self }
    }

    /// For streams that something outside the process wakes, such as sockets: `park` is called when nobody is woken,
    /// and should block on the given future with a bound in time, on the runtime whose reactor does the waking.
    ///
    /// The bound must be longer than an event can take that has happened already; the time is spent whenever a half is
    /// left waiting on purpose.
    pub fn park(self, park: impl FnMut(Woken) + 'static) -> Self {
        Self { park: Some(Box::new(park)), ..self }
    }

    /// [`check`], with these settings.
    #[must_use = "a verdict that nobody reads"]
    pub fn wrapper<S>(self, mut wrap: impl FnMut(Transport) -> S) -> Report
    where
        S: AsyncRead + AsyncWrite + 'static,
    {
        let mut make = |left, right| Made::Streams([Box::pin(wrap(left)), Box::pin(right)]);
        Search::new(self, &mut make, true, false).run()
    }

    /// [`check_pair`], with these settings.
    #[must_use = "a verdict that nobody reads"]
    pub fn pair<A, B>(self, mut wrap: impl FnMut(Transport, Transport) -> (A, B)) -> Report
    where
        A: AsyncRead + AsyncWrite + 'static,
        B: AsyncRead + AsyncWrite + 'static,
    {
        let mut make = |left, right| {
            let (left, right) = wrap(left, right);
            Made::Streams([Box::pin(left), Box::pin(right)])
        };
        Search::new(self, &mut make, false, false).run()
    }

    /// [`Check::pair`], for streams that are made by futures, such as handshakes.
    ///
    /// Both futures run as tasks of the strict executor, so that a lost wake in a handshake is found as well.
    #[must_use = "a verdict that nobody reads"]
    pub fn pair_async<A, B, FA, FB>(self, mut wrap: impl FnMut(Transport, Transport) -> (FA, FB)) -> Report
    where
        A: AsyncRead + AsyncWrite + 'static,
        B: AsyncRead + AsyncWrite + 'static,
        FA: Future<Output = io::Result<A>> + 'static,
        FB: Future<Output = io::Result<B>> + 'static,
    {
        let mut make = |left, right| {
            let (left, right) = wrap(left, right);
            Made::Futures([boxed(left), boxed(right)])
        };
        Search::new(self, &mut make, false, true).run()
    }
}

impl Default for Check {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("seed", &self.seed)
            .field("depth", &self.depth)
            .field("deviations", &self.deviations)
            .field("random", &self.random)
            .finish_non_exhaustive()
    }
}

fn boxed<S>(making: impl Future<Output = io::Result<S>> + 'static) -> Making
where
    S: AsyncRead + AsyncWrite + 'static,
{
    Box::pin(async move {
        let stream: Boxed = Box::pin(making.await?);
        Ok(stream)
    })
}

const DEFAULT_SEED: u64 = 0x0011_5eed;
