//! A meter for production: counts polls, progress and wasted polls, and reports a spin once.
//!
//! A task that spins does no harm that a test of results could see; it only burns a core. [`Metered`] wraps a future
//! or a stream and counts what its polls achieve, at a few nanoseconds a poll: no lock, no shared cache line, and the
//! clock is read only for polls that moved nothing. It judges no rule: that is [`check`](crate::check)'s work.
//!
//! ```
//! use pollcheck::meter::Metered;
//! use std::time::Duration;
//!
//! # async fn serve<S>(_stream: S) {}
//! # fn start(socket: tokio::io::DuplexStream) -> impl Future<Output = ()> {
//! let stream = Metered::new(socket);
//! let moved = stream.gauge();
//! let session = Metered::new(serve(stream)).progress_of(&moved).on_spin(10_000, Duration::from_secs(1), |spin| {
//!     eprintln!("a session spins: {spin}");
//! });
//! # session }
//! # let _ = start(tokio::io::duplex(1).0);
//! ```

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pin_project! {
    /// A future or a stream whose polls are counted.
    ///
    /// A poll makes **progress** when it moves a byte, or when it tells an end, an error or a shutdown for the first
    /// time; a future's poll also when it is ready. A poll is **wasted** when it is pending again though nothing has
    /// made progress since the last time that it was, or when it tells an end or a write of zero bytes once more. What
    /// is neither (the first pending poll, a flush) is only counted as a poll.
    ///
    /// A future alone cannot see what it achieves: tell it whose progress is its own with [`Metered::progress_of`].
    pub struct Metered<T> {
        #[pin]
        inner: T,
        own: Own,
    }
}

impl<T> Metered<T> {
    /// Wraps `inner`; every count is 0.
    pub fn new(inner: T) -> Self {
        let gauge = Gauge { counts: Arc::default() };
        let own = Own { gauge, linked: Vec::new(), idle: [None; 3], told: Told::default(), alarm: None };
        Self { inner, own }
    }

    /// Counts progress of `gauge` as progress of this one: of the stream that a future serves, or of the other stream
    /// that the same task polls.
    #[must_use]
    pub fn progress_of(mut self, gauge: &Gauge) -> Self {
        self.own.linked.push(gauge.clone());
        self
    }

    /// Calls `report` once, in the poll in which `wasted` polls within `within` were wasted.
    ///
    /// Time is cut into stretches that begin with a wasted poll, so a spin is told after at most twice as many.
    #[must_use]
    pub fn on_spin(mut self, wasted: u32, within: Duration, report: impl FnOnce(Spin) + Send + 'static) -> Self {
        let report = Box::new(report);
        self.own.alarm = Some(Alarm { wasted: wasted.max(1), within, seen: 0, since: None, report });
        self
    }

    /// The counts, to be read from anywhere while this goes on.
    #[must_use]
    pub fn gauge(&self) -> Gauge {
        self.own.gauge.clone()
    }

    /// What is wrapped.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What is wrapped.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// What is wrapped; the counts stay in their gauges.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: fmt::Debug> fmt::Debug for Metered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metered").field("inner", &self.inner).field("counts", &self.own.gauge.counts()).finish()
    }
}

impl<F: Future> Future for Metered<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.inner.poll(cx);
        if polled.is_pending() {
            this.own.pending(Lane::Whole);
        } else {
            this.own.progress();
        }
        polled
    }
}

impl<S: AsyncRead> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let (before, room) = (buf.filled().len(), buf.remaining());
        let polled = this.inner.poll_read(cx, buf);
        match &polled {
            Poll::Pending => this.own.pending(Lane::Reading),
            Poll::Ready(Ok(())) if buf.filled().len() > before => this.own.progress(),
            Poll::Ready(Ok(())) if room == 0 => this.own.neutral(),
            Poll::Ready(Ok(())) => this.own.once(|told| &mut told.end),
            Poll::Ready(Err(_)) => this.own.once(|told| &mut told.read_error),
        }
        polled
    }
}

impl<S: AsyncWrite> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.inner.poll_write(cx, bytes);
        this.own.written(&polled, bytes.is_empty());
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let polled = this.inner.poll_flush(cx);
        match &polled {
            Poll::Pending => this.own.pending(Lane::Writing),
            Poll::Ready(Ok(())) => this.own.neutral(),
            Poll::Ready(Err(_)) => this.own.once(|told| &mut told.write_error),
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let polled = this.inner.poll_shutdown(cx);
        match &polled {
            Poll::Pending => this.own.pending(Lane::Writing),
            Poll::Ready(Ok(())) => this.own.once(|told| &mut told.shutdown),
            Poll::Ready(Err(_)) => this.own.once(|told| &mut told.write_error),
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.inner.poll_write_vectored(cx, slices);
        let empty = matches!(polled, Poll::Ready(Ok(0))) && slices.iter().all(|slice| slice.is_empty());
        this.own.written(&polled, empty);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// The counts of one [`Metered`], readable while it goes on. Clones read the same counts.
#[derive(Clone, Debug)]
pub struct Gauge {
    counts: Arc<Atomics>,
}

impl Gauge {
    /// The counts now. They are written one by one, so that those of a poll that is going on may be half there.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            polls: self.counts.polls.load(Ordering::Relaxed),
            progress: self.counts.progress.load(Ordering::Relaxed),
            wasted: self.counts.wasted.load(Ordering::Relaxed),
        }
    }
}

/// How many polls there were, and of what kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// All.
    pub polls: u64,
    /// Those that moved a byte or told something new.
    pub progress: u64,
    /// Those that did neither, though they had been pending before.
    pub wasted: u64,
}

/// A spin, at the moment when it was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spin {
    /// So many wasted polls
    pub wasted: u32,
    /// within this time.
    pub within: Duration,
    /// The counts since the beginning.
    pub counts: Counts,
}

impl fmt::Display for Spin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { polls, progress, wasted } = self.counts;
        write!(f, "{} wasted polls within {:?} ", self.wasted, self.within)?;
        write!(f, "(in all {polls} polls, {progress} with progress, {wasted} wasted)")
    }
}

#[derive(Debug, Default)]
struct Atomics {
    polls: AtomicU64,
    progress: AtomicU64,
    wasted: AtomicU64,
}

/// What is polled for itself: a half of a stream, or a future.
#[derive(Clone, Copy)]
enum Lane {
    Reading,
    Writing,
    Whole,
}

/// What counts as progress the first time only.
#[derive(Debug, Default)]
struct Told {
    end: bool,
    read_error: bool,
    write_error: bool,
    shutdown: bool,
}

struct Own {
    gauge: Gauge,
    linked: Vec<Gauge>,
    /// All known progress when the lane was last pending.
    idle: [Option<u64>; 3],
    told: Told,
    alarm: Option<Alarm>,
}

impl Own {
    #[inline]
    fn neutral(&mut self) {
        count(&self.gauge.counts.polls);
    }

    #[inline]
    fn progress(&mut self) {
        count(&self.gauge.counts.polls);
        count(&self.gauge.counts.progress);
    }

    #[inline]
    fn pending(&mut self, lane: Lane) {
        count(&self.gauge.counts.polls);
        let known = self.known_progress();
        if self.idle[lane as usize].replace(known) == Some(known) {
            self.wasted();
        }
    }

    fn once(&mut self, told: impl FnOnce(&mut Told) -> &mut bool) {
        if std::mem::replace(told(&mut self.told), true) {
            count(&self.gauge.counts.polls);
            self.wasted();
        } else {
            self.progress();
        }
    }

    #[inline]
    fn written(&mut self, polled: &Poll<io::Result<usize>>, empty: bool) {
        match polled {
            Poll::Pending => self.pending(Lane::Writing),
            Poll::Ready(Ok(0)) if empty => self.neutral(),
            Poll::Ready(Ok(0)) => {
                count(&self.gauge.counts.polls);
                self.wasted();
            }
            Poll::Ready(Ok(_)) => self.progress(),
            Poll::Ready(Err(_)) => self.once(|told| &mut told.write_error),
        }
    }

    #[inline]
    fn known_progress(&self) -> u64 {
        let own = self.gauge.counts.progress.load(Ordering::Relaxed);
        self.linked.iter().fold(own, |sum, gauge| sum.wrapping_add(gauge.counts.progress.load(Ordering::Relaxed)))
    }

    fn wasted(&mut self) {
        count(&self.gauge.counts.wasted);
        let Some(alarm) = &mut self.alarm else {
            return;
        };
        let since = *alarm.since.get_or_insert_with(Instant::now);
        alarm.seen += 1;
        if alarm.seen < alarm.wasted {
            return;
        }
        let took = since.elapsed();
        if took > alarm.within {
            alarm.seen = 0;
            alarm.since = None;
            return;
        }
        let spin = Spin { wasted: alarm.wasted, within: took, counts: self.gauge.counts() };
        if let Some(alarm) = self.alarm.take() {
            (alarm.report)(spin);
        }
    }
}

struct Alarm {
    wasted: u32,
    within: Duration,
    seen: u32,
    since: Option<Instant>,
    report: Box<dyn FnOnce(Spin) + Send>,
}

// Only the one wrapper writes, and it is polled through `&mut`: no other writer can come between.
#[inline]
fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}
