//! A strict executor: a task is polled only after the waker of its own last poll was woken.
//!
//! An ordinary executor, and any `join` or `select`, polls a future whenever something beside it moved, and so covers
//! up a lost wake. This one does not: what is never woken is never polled again, and a run ends with
//! [`Outcome::Stalled`] rather than hang. It has no clock, no I/O and no thread of its own, so it works under a plain
//! `#[test]`.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::history::History;
use crate::rules::Rule;
use crate::schedule::Chooser;
use crate::script::Script;
use crate::transport::Transport;
use crate::world::{Limits, TaskState, TaskWaker, World};

/// How a [`Strict::run`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Every task has finished.
    Done,
    /// Nobody is woken, nothing is held back, and these tasks, by name, are not finished.
    Stalled {
        /// The names of the unfinished tasks, in the order in which they were spawned.
        unfinished: Vec<String>,
    },
    /// The step bound was reached with tasks still woken: a spin, or a bound that was too low.
    StepBound,
}

/// Polls only what was woken, first woken first polled.
///
/// [`check`](crate::check) builds one for every run; here it is for tests that drive a stream by hand: over transports of
/// the test's own ([`Strict::new`], [`Transport::new`]), or over a link that the executor lets go on
/// ([`Strict::with_link`]).
///
/// ```
/// use pollcheck::{Fault, Op, Outcome, Script, Side, Strict};
/// use std::future::poll_fn;
/// use std::pin::Pin;
/// use tokio::io::AsyncWrite;
///
/// let script = Script::new().fault(Side::Left, Op::Write, 0, Fault::Pend);
/// let (mut strict, mut left, right) = Strict::with_link(script);
/// let written = strict.spawn("writer", async move {
///     poll_fn(|cx| Pin::new(&mut left).poll_write(cx, b"hello")).await
/// });
/// assert_eq!(strict.run(100), Outcome::Done);
/// assert_eq!(written.take().unwrap().unwrap(), 5);
/// assert_eq!(written.polls(), 2, "one that was pending, one after the wake");
/// assert!(strict.unused_faults().is_empty());
/// # drop(right);
/// ```
pub struct Strict {
    world: Arc<World>,
    tasks: Vec<Task>,
    steps: u64,
}

impl Strict {
    /// An executor without tasks.
    #[must_use]
    pub fn new() -> Self {
        Self::with_link(Script::new()).0
    }

    /// An executor without tasks, and the two ends of a link whose answers are those of `script`.
    ///
    /// What the script holds back goes on when no task is woken.
    #[must_use]
    pub fn with_link(script: Script) -> (Self, Transport, Transport) {
        let limits = Limits { capacity: 1024, steps: u64::MAX, wasted_polls: u32::MAX };
        Self::over(World::new(Chooser::planned(Vec::new()), script, limits))
    }

    pub(crate) fn over(world: Arc<World>) -> (Self, Transport, Transport) {
        let (left, right) = Transport::pair(&world);
        (Self { world, tasks: Vec::new(), steps: 0 }, left, right)
    }

    /// Adds a task; it is woken once, so that its first poll happens in the next [`Strict::run`].
    ///
    /// Dropping the returned handle does not stop the task.
    pub fn spawn<F>(&mut self, name: impl Into<String>, future: F) -> TaskHandle<F::Output>
    where
        F: Future + 'static,
    {
        let mut state = self.world.lock();
        let index = state.tasks.len();
        state.tasks.push(TaskState { name: name.into(), ..TaskState::default() });
        let unpark = state.enqueue(index);
        drop(state);
        drop(unpark);
        let output = Rc::new(RefCell::new(None));
        let polls = Rc::new(Cell::new(0));
        let slot = Rc::clone(&output);
        let future = async move {
            let value = future.await;
            *slot.borrow_mut() = Some(value);
        };
        self.tasks.push(Task { future: Some(Box::pin(future)), polls: Rc::clone(&polls), must_keep_waker: false });
        TaskHandle { world: Arc::clone(&self.world), index, output, polls }
    }

    /// Polls woken tasks, and lets held back transports go on when none is woken, until all tasks have finished,
    /// nothing is left to do, or `max_steps` steps were made in this call.
    ///
    /// May be called again: after `Stalled` the test makes the next event happen and runs on.
    ///
    /// # Panics
    ///
    /// With the panic of a task.
    pub fn run(&mut self, max_steps: u64) -> Outcome {
        for _ in 0..max_steps {
            match self.step() {
                Step::Made => {}
                Step::Nothing => return self.rest(),
                Step::Panicked(panic) => resume_unwind(panic),
            }
        }
        if self.world.lock().ready.is_empty() { self.rest() } else { Outcome::StepBound }
    }

    /// [`Strict::run`], and a panic that names the unfinished tasks unless all finish.
    ///
    /// # Panics
    ///
    /// When a task is left unfinished, and with the panic of a task.
    pub fn finish(&mut self, max_steps: u64) {
        let outcome = self.run(max_steps);
        assert_eq!(outcome, Outcome::Done, "after {} steps", self.steps);
    }

    /// How many polls and releases were made in all.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The faults of the link's script that were never used, in words. A test of a fault asserts that there is none.
    #[must_use]
    pub fn unused_faults(&self) -> Vec<String> {
        self.world.lock().script.unused()
    }

    /// What the transports were asked and what they answered.
    #[must_use]
    pub fn history(&self) -> History {
        self.world.lock().history.clone()
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Makes the next step that the schedule picks: a poll of a woken task, or a release.
    pub(crate) fn step(&mut self) -> Step {
        let mut guard = self.world.lock();
        let state = &mut *guard;
        let (woken, held) = (state.ready.len(), state.releases.len());
        if woken + held == 0 {
            return Step::Nothing;
        }
        self.steps += 1;
        let picked = state.chooser.event(woken + held);
        if picked < woken {
            let task = state.ready.remove(picked).expect("it is one of those that are woken");
            drop(guard);
            return self.poll(task);
        }
        let waker = state.release(picked - woken);
        drop(guard);
        self.world.wake_from_transport([waker]);
        Step::Made
    }

    /// Polls `task` though nobody woke it, to learn whether somebody should have.
    pub(crate) fn poll_unwoken(&mut self, task: usize) -> Step {
        self.world.lock().unwoken_poll = true;
        let step = self.poll(task);
        self.world.lock().unwoken_poll = false;
        step
    }

    /// From now on the task's own future is judged as a stream is: pending, it must have kept its waker.
    pub(crate) fn judge_task(&mut self, task: usize) {
        self.tasks[task].must_keep_waker = true;
    }

    fn poll(&mut self, index: usize) -> Step {
        let task = &mut self.tasks[index];
        let Some(future) = &mut task.future else {
            return Step::Made;
        };
        let mut state = self.world.lock();
        // Cleared before the poll, so that a wake during it asks for another one.
        let entry = &mut state.tasks[index];
        entry.queued = false;
        entry.woken = false;
        entry.generation += 1;
        let generation = entry.generation;
        state.current_task = index;
        state.polled_task = Some(index);
        state.calls_in_poll = 0;
        drop(state);
        let own = Arc::new(TaskWaker { world: Arc::downgrade(&self.world), task: index, generation });
        let waker = Waker::from(Arc::clone(&own));
        self.world.lock().tasks[index].waker = Arc::downgrade(&own);
        task.polls.set(task.polls.get() + 1);
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut Context::from_waker(&waker))));
        drop(waker);
        self.world.lock().polled_task = None;
        match polled {
            Ok(Poll::Pending) => {
                let state = self.world.lock();
                let forgotten = task.must_keep_waker && !state.tasks[index].woken && Arc::strong_count(&own) == 1;
                let name = state.tasks[index].name.clone();
                drop(state);
                if forgotten {
                    let seen = format!("{name}: the future is pending, and nobody keeps its waker or has woken it");
                    self.world.fail(Rule::PendingWithoutWaker, seen);
                }
                Step::Made
            }
            Ok(Poll::Ready(())) => {
                task.future = None;
                self.world.lock().tasks[index].done = true;
                Step::Made
            }
            Err(panic) => {
                task.future = None;
                self.world.lock().tasks[index].done = true;
                Step::Panicked(panic)
            }
        }
    }

    fn rest(&self) -> Outcome {
        let state = self.world.lock();
        let unfinished: Vec<String> =
            state.tasks.iter().filter(|task| !task.done).map(|task| task.name.clone()).collect();
        if unfinished.is_empty() { Outcome::Done } else { Outcome::Stalled { unfinished } }
    }
}

impl Default for Strict {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Strict {
    fn drop(&mut self) {
        self.tasks.clear();
        self.world.tear_down();
    }
}

impl fmt::Debug for Strict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strict").field("tasks", &self.tasks.len()).field("steps", &self.steps).finish()
    }
}

/// What a test learns about one task.
pub struct TaskHandle<T> {
    world: Arc<World>,
    index: usize,
    output: Rc<RefCell<Option<T>>>,
    polls: Rc<Cell<u64>>,
}

impl<T> TaskHandle<T> {
    /// The task's result, once; `None` while it is unfinished or after it was taken.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.output.borrow_mut().take()
    }

    /// Whether the task has finished.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.world.lock().tasks[self.index].done
    }

    /// How often the task was polled.
    #[must_use]
    pub fn polls(&self) -> u64 {
        self.polls.get()
    }

    /// How often a waker of the task was woken, those of earlier polls included; its spawning is not counted.
    #[must_use]
    pub fn wakes(&self) -> u64 {
        self.world.lock().tasks[self.index].wakes
    }

    /// How often the task was woken while it was itself being polled.
    #[must_use]
    pub fn self_wakes(&self) -> u64 {
        self.world.lock().tasks[self.index].self_wakes
    }

    /// How many clones of the last poll's waker are alive.
    #[must_use]
    pub fn live_wakers(&self) -> usize {
        self.world.lock().tasks[self.index].waker.strong_count()
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle").field("index", &self.index).field("polls", &self.polls()).finish_non_exhaustive()
    }
}

/// What became of one step.
pub(crate) enum Step {
    /// Something was polled or released.
    Made,
    /// Nobody is woken and nothing is held back.
    Nothing,
    /// The task that was polled panicked.
    Panicked(Box<dyn std::any::Any + Send>),
}

struct Task {
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    polls: Rc<Cell<u64>>,
    must_keep_waker: bool,
}
