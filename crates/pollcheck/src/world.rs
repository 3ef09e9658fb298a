//! What the transports, the wakers, the executor and the streams under test of one run share.
//!
//! Here every poll of a stream is opened and closed, every wake is weighed, and the rules that concern wakers are
//! judged. It never calls a waker and never drops one while it is borrowed: what is woken may come back at once.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Poll, Wake, Waker};

use crate::history::{Event, Half, History, Op, Seen, Side, Worth};
use crate::port::Port;
use crate::rules::Rule;
use crate::schedule::Chooser;
use crate::script::Script;

/// A rule that was broken, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) rule: Rule,
    pub(crate) seen: String,
}

/// One run's shared state.
#[derive(Debug)]
pub(crate) struct World {
    state: Mutex<State>,
}

impl World {
    /// A world in which nothing has happened.
    pub(crate) fn new(chooser: Chooser, script: Script, limits: Limits) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State::new(chooser, script, limits)) })
    }

    /// A world whose left transport does what a test tells it by hand.
    pub(crate) fn by_hand() -> Arc<Self> {
        let limits = Limits { capacity: usize::MAX, steps: u64::MAX, wasted_polls: u32::MAX };
        let state = State::new(Chooser::planned(Vec::new()), Script::new(), limits);
        Arc::new(Self { state: Mutex::new(State { by_hand: true, ..state }) })
    }

    /// The state, for a moment in which no waker is called or dropped.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is reported as the stream's; no state is left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that `rule` was broken, unless one was broken before: the first breach ends a run.
    pub(crate) fn fail(&self, rule: Rule, seen: impl Into<String>) {
        let mut state = self.lock();
        if state.found.is_none() {
            state.found = Some(Found { rule, seen: seen.into() });
        }
    }

    /// Opens a poll of a stream and gives its waker; to be closed by [`World::end_poll`].
    pub(crate) fn begin_poll(self: &Arc<Self>, side: Side, op: Op, size: usize) -> Waker {
        let mut state = self.lock();
        let slot_at = (side.index(), op.half().index());
        let task = state.current_task;
        let last = state.slots[slot_at.0][slot_at.1].waker.as_ref();
        let reuse = state.steady_wakers && last.is_some_and(|last| last.task == task);
        if !reuse {
            state.next_waker += 1;
            let waker = Arc::new(SlotWaker {
                world: Arc::downgrade(self),
                side,
                half: op.half(),
                number: state.next_waker,
                task,
            });
            let slot = &mut state.slots[slot_at.0][slot_at.1];
            if let Some(last) = slot.waker.replace(waker) {
                slot.older.retain(|older| older.strong_count() > 0);
                slot.older.push(Arc::downgrade(&last));
            }
        }
        let unwoken = std::mem::take(&mut state.unwoken_poll);
        let progress = state.progress;
        let slot = &mut state.slots[slot_at.0][slot_at.1];
        slot.woken = false;
        let waker = Arc::clone(slot.waker.as_ref().expect("a waker was put there above"));
        let event = Event::Poll { side, op, size, waker: waker.number, unwoken };
        state.history.push(event);
        state.polling = Some(Polling { side, op, progress, unwoken });
        state.calls_in_poll = 0;
        drop(state);
        Waker::from(waker)
    }

    /// Closes a poll whose waker was dropped, and judges it by the rules that concern wakers.
    pub(crate) fn end_poll(&self, side: Side, op: Op, seen: &Seen) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let polling = state.polling.take();
        let progressed = polling.is_some_and(|polling| polling.progress != state.progress);
        let unwoken = polling.is_some_and(|polling| polling.unwoken);
        let slot = &mut state.slots[side.index()][op.half().index()];
        let kept = slot.live();
        state.history.push(Event::Answer { side, op, seen: seen.clone(), kept });
        let verdict = if *seen == Seen::Pending {
            slot.judge_pending(side, op, progressed, kept, unwoken, state.limits.wasted_polls)
        } else {
            let verdict = unwoken.then(|| slot.judge_lost(side, op)).flatten();
            slot.rest();
            verdict
        };
        state.note_gone_wakers(Some((side, op.half())));
        drop(guard);
        if let Some((rule, seen)) = verdict {
            self.fail(rule, seen);
        }
    }

    /// The future of a pending operation is dropped: nobody waits there any more.
    pub(crate) fn drop_future(&self, side: Side, op: Op) {
        let mut state = self.lock();
        state.history.push(Event::FutureDropped { side, op });
        state.slots[side.index()][op.half().index()].waiting = None;
    }

    /// Wakes what a transport held, marked as the transport's doing.
    pub(crate) fn wake_from_transport(&self, wakers: impl IntoIterator<Item = Option<Waker>>) {
        for waker in wakers.into_iter().flatten() {
            self.as_transport(|| waker.wake());
        }
    }

    /// Does something whose wakes are not the stream's idea.
    pub(crate) fn as_transport(&self, wakes: impl FnOnce()) {
        self.lock().transport_wakes = true;
        wakes();
        self.lock().transport_wakes = false;
    }

    /// Whether code of the user is being polled: a panic is then his.
    pub(crate) fn is_polling(&self) -> bool {
        let state = self.lock();
        state.setting_up || state.polling.is_some()
    }

    /// A line of the scenario in the history.
    pub(crate) fn note(&self, text: impl Into<String>) {
        self.lock().history.push(Event::Note(text.into()));
    }

    /// Takes every waker out, so that the run's parts can be dropped in any order.
    pub(crate) fn tear_down(&self) {
        let mut state = self.lock();
        let slots = std::mem::take(&mut state.slots);
        let ports = state.ports.each_mut().map(Port::take_wakers);
        let parked = state.parked.take();
        drop(state);
        drop((slots, ports, parked));
    }

    fn wake_slot(&self, waker: &SlotWaker) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let polling = state.polling.is_some_and(|now| (now.side, now.op.half()) == (waker.side, waker.half));
        let slot = &mut state.slots[waker.side.index()][waker.half.index()];
        let last = slot.waker.as_ref().is_some_and(|last| last.number == waker.number);
        let worth = if !last {
            slot.stale_wakes += u32::from(slot.waiting.is_some());
            Worth::Stale
        } else if polling {
            slot.woken = true;
            Worth::OwnPoll
        } else if slot.waiting.is_some() {
            slot.woken = true;
            slot.by_transport |= state.transport_wakes;
            Worth::Good
        } else {
            Worth::Late
        };
        state.history.push(Event::Wake { side: waker.side, half: waker.half, waker: waker.number, worth });
        let unpark = if matches!(worth, Worth::Good | Worth::OwnPoll) { state.enqueue(waker.task) } else { None };
        drop(guard);
        if let Some(unpark) = unpark {
            unpark.wake();
        }
    }

    fn wake_task(&self, task: usize, generation: u64) {
        let mut state = self.lock();
        state.tasks[task].wakes += 1;
        let in_own_poll = state.polled_task == Some(task);
        state.tasks[task].self_wakes += u64::from(in_own_poll);
        let unpark = if state.tasks[task].generation == generation {
            state.tasks[task].woken = true;
            state.enqueue(task)
        } else {
            None
        };
        drop(state);
        if let Some(unpark) = unpark {
            unpark.wake();
        }
    }
}

/// The bounds of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes that each direction of the link holds before a write is pending.
    pub(crate) capacity: usize,
    /// Polls and releases in a run.
    pub(crate) steps: u64,
    /// Polls of one half that the stream asked for and that moved nothing.
    pub(crate) wasted_polls: u32,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) chooser: Chooser,
    pub(crate) script: Script,
    pub(crate) limits: Limits,
    /// Nothing is scheduled or told: the left transport follows the steps of its [`Handle`](crate::Handle).
    pub(crate) by_hand: bool,
    pub(crate) history: History,
    pub(crate) found: Option<Found>,
    pub(crate) ports: [Port; 2],
    /// Transport methods that the schedule made pending, in that order.
    pub(crate) releases: Vec<(Side, Op)>,
    pub(crate) slots: [[Slot; 2]; 2],
    /// Whether a half keeps its waker from poll to poll; otherwise each poll brings a new one.
    pub(crate) steady_wakers: bool,
    pub(crate) ready: VecDeque<usize>,
    pub(crate) tasks: Vec<TaskState>,
    pub(crate) current_task: usize,
    /// The task whose future is being polled.
    pub(crate) polled_task: Option<usize>,
    /// The next poll of a stream is one that nobody asked for.
    pub(crate) unwoken_poll: bool,
    /// Counts bytes moved, ends told and errors told by the transports.
    pub(crate) progress: u64,
    /// Calls of a transport in the poll that is going on.
    pub(crate) calls_in_poll: u32,
    /// Who waits, outside the run, for any task to be woken.
    pub(crate) parked: Option<Waker>,
    /// While the streams are being made, the script waits: its calls are counted from then on.
    pub(crate) setting_up: bool,
    next_waker: u64,
    polling: Option<Polling>,
    transport_wakes: bool,
}

impl State {
    fn new(chooser: Chooser, script: Script, limits: Limits) -> Self {
        Self {
            chooser,
            script,
            limits,
            by_hand: false,
            history: History::default(),
            found: None,
            ports: [Port::new(limits.capacity), Port::new(limits.capacity)],
            releases: Vec::new(),
            slots: Default::default(),
            next_waker: 0,
            steady_wakers: false,
            ready: VecDeque::new(),
            tasks: Vec::new(),
            current_task: 0,
            polled_task: None,
            polling: None,
            transport_wakes: false,
            unwoken_poll: false,
            progress: 0,
            calls_in_poll: 0,
            parked: None,
            setting_up: false,
        }
    }

    /// Puts `task` into the queue once; gives who is to be told.
    pub(crate) fn enqueue(&mut self, task: usize) -> Option<Waker> {
        if !std::mem::replace(&mut self.tasks[task].queued, true) {
            self.ready.push_back(task);
        }
        self.parked.take()
    }

    /// Counts one call of a transport; false when the poll that makes it should long have returned.
    pub(crate) fn count_call(&mut self) -> bool {
        if self.by_hand {
            // Nobody tells where a poll begins.
            return true;
        }
        self.calls_in_poll += 1;
        self.calls_in_poll <= CALLS_IN_POLL
    }

    /// Whether the call of a transport that is being made is told and left to the schedule.
    pub(crate) fn is_told(&self) -> bool {
        !self.by_hand && self.calls_in_poll <= TOLD_CALLS
    }

    /// Marks who took the last clone of a waiting task's waker away; `by` is the half whose poll just ended.
    pub(crate) fn note_gone_wakers(&mut self, by: Option<(Side, Half)>) {
        for side in Side::BOTH {
            for half in [Half::Reading, Half::Writing] {
                let slot = &mut self.slots[side.index()][half.index()];
                let gone = slot.waiting.is_some() && !slot.woken && !slot.gone && slot.live() == 0;
                if gone && by != Some((side, half)) {
                    slot.gone = true;
                    slot.gone_by = by;
                    let waker = slot.number();
                    self.history.push(Event::WakerGone { side, half, waker });
                }
            }
        }
    }
}

/// What is known of one half of one stream between its polls.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// The operation that was pending at its last poll.
    pub(crate) waiting: Option<Op>,
    waker: Option<Arc<SlotWaker>>,
    older: Vec<Weak<SlotWaker>>,
    woken: bool,
    by_transport: bool,
    gone: bool,
    gone_by: Option<(Side, Half)>,
    stale_wakes: u32,
    wasted: u32,
}

impl Slot {
    /// Clones of the last poll's waker that are alive, this slot's own not counted.
    fn live(&self) -> usize {
        self.waker.as_ref().map_or(0, |waker| Arc::strong_count(waker) - 1)
    }

    fn number(&self) -> u64 {
        self.waker.as_ref().map_or(0, |waker| waker.number)
    }

    fn rest(&mut self) {
        self.waiting = None;
        self.gone = false;
        self.gone_by = None;
        self.stale_wakes = 0;
    }

    fn judge_pending(
        &mut self,
        side: Side,
        op: Op,
        progressed: bool,
        kept: usize,
        unwoken: bool,
        wasted_polls: u32,
    ) -> Option<(Rule, String)> {
        let again = self.waiting == Some(op);
        let asked_by_stream = again && !self.by_transport && !unwoken && !self.woken;
        self.by_transport = false;
        if unwoken && again && !progressed {
            // The checker's own question leaves what is known of the lost waker as it was.
            return None;
        }
        self.rest();
        self.waiting = Some(op);
        if self.woken {
            return (!progressed).then(|| {
                (Rule::SelfWake, format!("{side}: {op} answered pending and woke its own task, and nothing had moved"))
            });
        }
        if kept == 0 {
            self.older.retain(|older| older.strong_count() > 0);
            let number = self.number();
            return Some(match self.older.last().and_then(Weak::upgrade) {
                Some(older) => (
                    Rule::StaleWake,
                    format!(
                        "{side}: {op} is pending and keeps waker {} of an earlier poll instead of waker {number}",
                        older.number
                    ),
                ),
                None => (
                    Rule::PendingWithoutWaker,
                    format!("{side}: {op} is pending, and nobody keeps waker {number} or has woken it"),
                ),
            });
        }
        if asked_by_stream && !progressed {
            self.wasted += 1;
            if self.wasted > wasted_polls {
                return Some((
                    Rule::WastedPolls,
                    format!(
                        "{side}: {half} was woken {} times for polls that moved nothing; the bound is {wasted_polls}",
                        self.wasted,
                        half = op.half(),
                    ),
                ));
            }
        }
        None
    }

    // A poll that nobody asked for has just been ready, so a wake is missing: whose fault is it?
    fn judge_lost(&self, side: Side, op: Op) -> Option<(Rule, String)> {
        self.waiting?;
        let half = op.half();
        Some(match self.gone_by {
            Some((by_side, Half::Writing)) if by_side == side && half == Half::Reading => (
                Rule::ReadWakerLost,
                format!("{side}: {op} could go on and was not woken; a poll of the writing half dropped its waker"),
            ),
            Some((by_side, Half::Reading)) if by_side == side && half == Half::Writing => (
                Rule::WriteWakerLost,
                format!("{side}: {op} could go on and was not woken; a poll of the reading half dropped its waker"),
            ),
            _ if self.stale_wakes > 0 => {
                (Rule::StaleWake, format!("{side}: {op} could go on and only the waker of an earlier poll was woken"))
            }
            _ if self.gone => {
                (Rule::LostWake, format!("{side}: {op} could go on and its waker was dropped without a wake"))
            }
            _ => (Rule::LostWake, format!("{side}: {op} could go on and its waker was kept and never woken")),
        })
    }
}

/// What is known of one task.
#[derive(Debug, Default)]
pub(crate) struct TaskState {
    pub(crate) name: String,
    pub(crate) done: bool,
    pub(crate) queued: bool,
    pub(crate) generation: u64,
    pub(crate) woken: bool,
    pub(crate) wakes: u64,
    /// Those that came while the task itself was polled.
    pub(crate) self_wakes: u64,
    /// The waker of the last poll.
    pub(crate) waker: Weak<TaskWaker>,
}

/// A poll of a stream that is going on.
#[derive(Clone, Copy, Debug)]
struct Polling {
    side: Side,
    op: Op,
    progress: u64,
    unwoken: bool,
}

/// The waker of one poll of a stream. Its number tells it from those of earlier polls of the same half.
#[derive(Debug)]
struct SlotWaker {
    world: Weak<World>,
    side: Side,
    half: Half,
    number: u64,
    task: usize,
}

impl Wake for SlotWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(world) = self.world.upgrade() {
            world.wake_slot(self);
        }
    }
}

/// The waker of one poll of a task that polls futures rather than streams.
#[derive(Debug)]
pub(crate) struct TaskWaker {
    pub(crate) world: Weak<World>,
    pub(crate) task: usize,
    pub(crate) generation: u64,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if let Some(world) = self.world.upgrade() {
            world.wake_task(self.task, self.generation);
        }
    }
}

/// What a poll answered, in words.
pub(crate) fn seen<T>(polled: &Poll<io::Result<T>>, ready: impl FnOnce(&T) -> Seen) -> Seen {
    match polled {
        Poll::Pending => Seen::Pending,
        Poll::Ready(Ok(value)) => ready(value),
        Poll::Ready(Err(error)) => Seen::Error(error.kind()),
    }
}

/// Calls of a transport within one poll from which on it gets errors: no right stream needs a fraction of them.
pub(crate) const CALLS_IN_POLL: u32 = 5_000;

/// Calls within one poll that are told and left to the schedule; a poll that goes on for longer repeats itself.
const TOLD_CALLS: u32 = 16;
