//! A waker that counts, for tests that poll by hand.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// Counts the wakes of its wakers, and the wakers that are alive.
///
/// Every count is exact: a test asserts zero or one, never "at least".
///
/// ```
/// use pollcheck::CountingWaker;
/// use std::future::pending;
/// use std::pin::pin;
///
/// let waker = CountingWaker::new();
/// let mut never = pin!(pending::<()>());
/// assert!(waker.poll(never.as_mut()).is_pending());
/// assert_eq!((waker.wakes(), waker.live()), (0, 0), "nobody woke, and nobody keeps the waker to do so");
/// ```
#[derive(Clone, Debug, Default)]
pub struct CountingWaker {
    inner: Arc<CountedWakes>,
    // Tells the clones of this counter apart from the wakers made of it.
    counters: Arc<()>,
}

impl CountingWaker {
    /// A counter whose wakers were not woken yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A waker to poll with; counted in [`CountingWaker::live`] until it is dropped.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.inner))
    }

    /// How often any waker of this counter was woken.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.inner.0.load(Ordering::SeqCst)
    }

    /// [`CountingWaker::wakes`] since the last call of this function.
    #[must_use]
    pub fn take_wakes(&self) -> u64 {
        self.inner.0.swap(0, Ordering::SeqCst)
    }

    /// How many wakers of this counter exist now, clones included.
    #[must_use]
    pub fn live(&self) -> usize {
        Arc::strong_count(&self.inner) - Arc::strong_count(&self.counters)
    }

    /// Polls `future` once with a waker of this counter, which is dropped after the poll.
    pub fn poll<F: Future + ?Sized>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.waker()))
    }

    /// Calls `f` with a context of this counter, for the `poll_…` methods of I/O types.
    pub fn with_context<T>(&self, f: impl FnOnce(&mut Context<'_>) -> T) -> T {
        f(&mut Context::from_waker(&self.waker()))
    }
}

#[derive(Debug, Default)]
struct CountedWakes(AtomicU64);

impl Wake for CountedWakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
