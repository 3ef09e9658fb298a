//! A strict executor: a task is polled only after its own waker was woken.
//!
//! An ordinary executor, and any `join` or `select`, polls a future whenever something beside it moved, and so covers
//! up a lost wake. This one does not: what is never woken is never polled again, and [`Strict::run`] says
//! [`Outcome::Stalled`] rather than hang. It runs on one thread and knows no clock and no I/O; whoever needs tokio's
//! timers polls inside a tokio runtime with paused time.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// How a [`Strict::run`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every task has finished.
    Done,
    /// Nothing is woken and these tasks, by name, are not finished: a lost wake, or an event still to be made.
    Stalled {
        /// The names of the unfinished tasks, in the order in which they were spawned.
        unfinished: Vec<String>,
    },
    /// The step limit was reached with tasks still woken: a spin, or a limit that was too low.
    StepLimit,
}

/// Polls only tasks that were woken, first woken first polled.
#[derive(Default)]
pub struct Strict {
    tasks: Vec<Task>,
    woken: Arc<Mutex<VecDeque<usize>>>,
    steps: u64,
}

impl Strict {
    /// An executor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task; it is woken once, so that its first poll happens in the next [`Strict::run`].
    ///
    /// Dropping the returned handle does not stop the task.
    pub fn spawn<F>(&mut self, name: impl Into<String>, future: F) -> TaskHandle<F::Output>
    where
        F: Future + 'static,
    {
        let waker = Arc::new(TaskWaker {
            index: self.tasks.len(),
            queued: AtomicBool::new(false),
            wakes: AtomicU64::new(0),
            queue: Arc::clone(&self.woken),
        });
        waker.enqueue();
        let output = Rc::new(RefCell::new(None));
        let polls = Rc::new(Cell::new(0));
        let self_wakes = Rc::new(Cell::new(0));
        let slot = Rc::clone(&output);
        self.tasks.push(Task {
            name: name.into(),
            future: Some(Box::pin(async move {
                let value = future.await;
                *slot.borrow_mut() = Some(value);
            })),
            waker: Arc::clone(&waker),
            polls: Rc::clone(&polls),
            self_wakes: Rc::clone(&self_wakes),
        });
        TaskHandle { output, polls, self_wakes, waker }
    }

    /// Polls woken tasks until all have finished, none is woken, or `max_steps` polls were made in this call.
    ///
    /// May be called again: after `Stalled` the test makes the next event happen and runs on.
    pub fn run(&mut self, max_steps: u64) -> Outcome {
        for _ in 0..max_steps {
            let next = lock(&self.woken).pop_front();
            let Some(index) = next else {
                return self.rest();
            };
            self.steps += 1;
            self.tasks[index].poll();
        }
        if lock(&self.woken).is_empty() { self.rest() } else { Outcome::StepLimit }
    }

    /// [`Strict::run`], and a panic that names the unfinished tasks unless all finish.
    ///
    /// # Panics
    ///
    /// When a task is left unfinished.
    pub fn finish(&mut self, max_steps: u64) {
        let outcome = self.run(max_steps);
        assert_eq!(outcome, Outcome::Done, "after {} polls", self.steps);
    }

    /// How many polls were made in all.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    fn rest(&self) -> Outcome {
        let unfinished: Vec<String> =
            self.tasks.iter().filter(|task| task.future.is_some()).map(|task| task.name.clone()).collect();
        if unfinished.is_empty() { Outcome::Done } else { Outcome::Stalled { unfinished } }
    }
}

impl fmt::Debug for Strict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strict").field("tasks", &self.tasks.len()).field("steps", &self.steps).finish()
    }
}

/// What a test learns about one task.
pub struct TaskHandle<T> {
    output: Rc<RefCell<Option<T>>>,
    polls: Rc<Cell<u64>>,
    self_wakes: Rc<Cell<u64>>,
    waker: Arc<TaskWaker>,
}

impl<T> TaskHandle<T> {
    /// The task's result, once; `None` while it is unfinished or after it was taken.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.output.borrow_mut().take()
    }

    /// How often the task was polled.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// How often the task's waker was woken, the first wake at its spawning not counted.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.waker.wakes.load(Ordering::SeqCst)
    }

    /// How often the task was woken while it was itself being polled.
    #[must_use]
    pub fn self_wakes(&self) -> u64 {
        self.self_wakes.get()
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("polls", &self.polls())
            .field("wakes", &self.wakes())
            .field("self_wakes", &self.self_wakes())
            .finish_non_exhaustive()
    }
}

/// A waker that counts, for tests that poll by hand.
///
/// Every count is exact: a test asserts zero or one, never "at least".
#[derive(Clone, Debug, Default)]
pub struct CountingWaker {
    inner: Arc<CountedWakes>,
    // Tells the clones of this handle apart from the wakers made of it.
    handles: Arc<()>,
}

impl CountingWaker {
    /// A waker that was not woken yet.
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
        Arc::strong_count(&self.inner) - Arc::strong_count(&self.handles)
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

struct Task {
    name: String,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    waker: Arc<TaskWaker>,
    polls: Rc<Cell<u64>>,
    self_wakes: Rc<Cell<u64>>,
}

impl Task {
    fn poll(&mut self) {
        // Cleared before the poll, so that a wake during it asks for another one.
        self.waker.queued.store(false, Ordering::SeqCst);
        let Some(future) = &mut self.future else {
            return;
        };
        let before = self.waker.wakes.load(Ordering::SeqCst);
        let waker = Waker::from(Arc::clone(&self.waker));
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        let during = self.waker.wakes.load(Ordering::SeqCst) - before;
        self.polls.set(self.polls.get() + 1);
        self.self_wakes.set(self.self_wakes.get() + during);
        if polled.is_ready() {
            self.future = None;
        }
    }
}

struct TaskWaker {
    index: usize,
    queued: AtomicBool,
    wakes: AtomicU64,
    queue: Arc<Mutex<VecDeque<usize>>>,
}

impl TaskWaker {
    fn enqueue(&self) {
        if !self.queued.swap(true, Ordering::SeqCst) {
            lock(&self.queue).push_back(self.index);
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.enqueue();
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

// A panic in a task is the test's failure already; the queue itself is never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
