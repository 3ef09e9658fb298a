//! The workloads under which a pair of streams is watched, and the stage on which they run.
//!
//! A scenario spawns tasks, lets the strict executor run to rest, and says what should have happened by then. It
//! chooses its sizes and modes through the schedule, so that these too are explored and shrunk.

mod drops;
mod duplex;
mod ending;
mod faults;
mod flow;
mod shapes;

use std::future::Future;
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::endpoint::{Boxed, End, Provoking};
use crate::executor::{Step, Strict, TaskHandle};
use crate::history::Side;
use crate::rules::Rule;
use crate::world::World;

/// One workload.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    /// Its name in reports.
    pub(crate) name: &'static str,
    /// Whether bytes flow both ways.
    pub(crate) two_way: bool,
    /// Whether it is run once with each fault of the transports, and not without.
    pub(crate) faulty: bool,
    /// What it provokes beside schedules.
    pub(crate) provoking: Provoking,
    /// The scenario itself.
    pub(crate) run: fn(&mut Stage<'_>) -> Result<(), Stop>,
}

/// All of them, in the order in which they are searched: what an earlier one found explains what a later one finds.
pub(crate) const ALL: &[Scenario] = &[
    Scenario::new("deliver", flow::deliver),
    Scenario::new("end", ending::end),
    Scenario::new("shutdown", ending::shutdown),
    Scenario::new("after shutdown", ending::after_shutdown),
    Scenario::new("cut", ending::cut),
    Scenario::new("gone peer", ending::gone_peer),
    Scenario::new("vectored", shapes::vectored),
    Scenario::new("empty buffers", shapes::empty_buffers).provoking(Provoking::EmptyBuffers),
    Scenario::new("filled buffers", shapes::filled_buffers).provoking(Provoking::FilledBuffers),
    Scenario::new("waiting reader", duplex::waiting_reader).two_way(),
    Scenario::new("blocked writer", duplex::blocked_writer).two_way(),
    Scenario::new("idle halves", duplex::idle_halves).two_way(),
    Scenario::new("reading after shutdown", ending::reading_after_shutdown).two_way(),
    Scenario::new("dropped futures", drops::dropped_futures).provoking(Provoking::Drops),
    Scenario::new("transport faults", faults::transport_faults).faulty(),
];

impl Scenario {
    const fn new(name: &'static str, run: fn(&mut Stage<'_>) -> Result<(), Stop>) -> Self {
        Self { name, two_way: false, faulty: false, provoking: Provoking::Nothing, run }
    }

    const fn two_way(self) -> Self {
        Self { two_way: true, ..self }
    }

    const fn faulty(self) -> Self {
        Self { faulty: true, ..self }
    }

    const fn provoking(self, provoking: Provoking) -> Self {
        Self { provoking, ..self }
    }
}

/// A rule was broken: the run is over.
#[derive(Debug)]
pub(crate) struct Stop;

/// What to do when nobody is woken and nothing is held back: wait, outside, until `Woken` is ready.
pub(crate) type Park = Box<dyn FnMut(Woken)>;

/// What the user's function made of the transports.
pub(crate) enum Made {
    /// Two streams, ready for use.
    Streams([Boxed; 2]),
    /// Two futures that make them.
    Futures([Making; 2]),
}

/// The future of a stream.
pub(crate) type Making = Pin<Box<dyn Future<Output = io::Result<Boxed>>>>;

/// Where a scenario runs.
pub(crate) struct Stage<'a> {
    pub(crate) fill: usize,
    strict: Strict,
    ends: Option<[Rc<End>; 2]>,
    from: Side,
    park: Option<&'a mut Park>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(strict: Strict, from: Side, fill: usize, park: Option<&'a mut Park>) -> Self {
        Self { fill, strict, ends: None, from, park }
    }

    /// Makes the streams; with `explore` the schedule has its say in their handshake.
    pub(crate) fn set_up(
        &mut self,
        made: Made,
        plain_wire: bool,
        provoking: Provoking,
        explore: bool,
    ) -> Result<(), Stop> {
        let streams = match made {
            Made::Streams(streams) => streams,
            Made::Futures(futures) => {
                {
                    let mut state = self.world().lock();
                    state.chooser.mute(!explore);
                    state.setting_up = true;
                }
                let [left, right] = futures;
                let tasks = [self.strict.spawn("left set-up", left), self.strict.spawn("right set-up", right)];
                for task in &tasks {
                    self.strict.judge_task(task.index());
                }
                let done = self.settle_handles(&tasks)?;
                self.world().lock().chooser.mute(false);
                let outputs = tasks.each_ref().map(TaskHandle::take);
                match outputs {
                    [Some(Ok(left)), Some(Ok(right))] => [left, right],
                    [Some(Err(error)), _] | [_, Some(Err(error))] => {
                        return Err(self.fail(Rule::ErrorFromNothing, format!("the set-up fails: {error}")));
                    }
                    _ => {
                        debug_assert!(!done, "a set-up that is done has an output");
                        return Err(self.fail(Rule::NeverReady, "the set-up stays pending"));
                    }
                }
            }
        };
        let world = Arc::clone(self.world());
        {
            let mut state = world.lock();
            state.setting_up = false;
            for port in &mut state.ports {
                port.calls = [0; 4];
            }
        }
        self.ends = Some(End::pair(&world, streams, plain_wire, provoking));
        Ok(())
    }

    /// Lets the schedule choose what every scenario leaves open: whether wakers change from poll to poll, and whether
    /// the link holds bytes back until they are flushed.
    pub(crate) fn open(&mut self) {
        let mut state = self.world().lock();
        state.steady_wakers = state.chooser.setting(2) == 1;
        let holds = state.chooser.setting(2) == 1;
        for port in &mut state.ports {
            port.holds = holds;
        }
    }

    /// One of `settings`, by the schedule's choice; the first is the kindest.
    pub(crate) fn choose<T: Copy>(&mut self, settings: &[T]) -> T {
        settings[self.world().lock().chooser.setting(settings.len())]
    }

    /// The end that the scenario's bytes come from.
    pub(crate) fn from(&self) -> Rc<End> {
        self.end(self.from)
    }

    /// The end that they go to.
    pub(crate) fn to(&self) -> Rc<End> {
        self.end(self.from.other())
    }

    pub(crate) fn note(&self, text: &str) {
        self.world().note(text);
    }

    pub(crate) fn spawn(&mut self, name: &str, task: impl Future<Output = io::Result<()>> + 'static) -> Task {
        self.strict.spawn(name, task)
    }

    /// Runs until nobody is woken and nothing is held back.
    pub(crate) fn run(&mut self) -> Result<(), Stop> {
        loop {
            let step = self.strict.step();
            let rests = matches!(step, Step::Nothing);
            self.after(step)?;
            if rests && !self.wait_outside() {
                return Ok(());
            }
        }
    }

    /// Runs to rest, by when all of `tasks` should be done: true if they are.
    ///
    /// If not, those that are unfinished are polled though nobody woke them. What goes on then has lost a wake.
    pub(crate) fn settle(&mut self, tasks: &[&Task]) -> Result<bool, Stop> {
        self.run()?;
        let unfinished: Vec<usize> = tasks.iter().filter(|task| !task.is_done()).map(|task| task.index()).collect();
        self.ask(&unfinished)
    }

    /// Records that `rule` was broken.
    pub(crate) fn fail(&self, rule: Rule, seen: impl Into<String>) -> Stop {
        self.world().fail(rule, seen);
        Stop
    }

    /// Compares what was received with what was accepted; `rule` names a difference.
    pub(crate) fn compare(&self, from: &End, to: &End, rule: Rule) -> Result<(), Stop> {
        let (sent, received) = (from.facts(), to.facts());
        if sent.accepted == received.received {
            return Ok(());
        }
        let same = sent.accepted.iter().zip(&received.received).take_while(|(a, b)| a == b).count();
        let seen = format!(
            "{} accepted {} bytes and {} was given {}; they differ from byte {same} on",
            from.side(),
            sent.accepted.len(),
            to.side(),
            received.received.len(),
        );
        Err(self.fail(rule, seen))
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        self.strict.world()
    }

    fn end(&self, side: Side) -> Rc<End> {
        Rc::clone(&self.ends.as_ref().expect("the streams are made before the scenario runs")[side.index()])
    }

    fn settle_handles<T>(&mut self, tasks: &[TaskHandle<T>; 2]) -> Result<bool, Stop> {
        self.run()?;
        let unfinished: Vec<usize> = tasks.iter().filter(|task| !task.is_done()).map(TaskHandle::index).collect();
        self.ask(&unfinished)
    }

    fn ask(&mut self, unfinished: &[usize]) -> Result<bool, Stop> {
        if unfinished.is_empty() {
            return Ok(true);
        }
        self.note("all is at rest, and not all is done: who can go on without being woken?");
        // From here on the transports answer what is so; the schedule has had its say.
        self.world().lock().chooser.mute(true);
        for &task in unfinished {
            let step = self.strict.poll_unwoken(task);
            self.after(step)?;
            self.run()?;
            if self.is_done(task) {
                let name = self.world().lock().tasks[task].name.clone();
                return Err(self.fail(Rule::LostWake, format!("{name}: could go on, and nobody woke it")));
            }
        }
        if unfinished.iter().all(|&task| self.is_done(task)) {
            return Err(self.fail(Rule::LostWake, "all could go on after polls that nobody had asked for"));
        }
        Ok(false)
    }

    fn is_done(&self, task: usize) -> bool {
        self.world().lock().tasks[task].done
    }

    fn after(&mut self, step: Step) -> Result<(), Stop> {
        if let Step::Panicked(panic) = step {
            if !self.world().is_polling() {
                resume_unwind(panic);
            }
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            return Err(self.fail(Rule::Panicked, format!("a poll panicked: {text}")));
        }
        let bound = self.world().lock().limits.steps;
        if self.strict.steps() > bound {
            let seen = format!("{bound} polls and releases, and still somebody is woken");
            return Err(self.fail(Rule::WastedPolls, seen));
        }
        if self.world().lock().found.is_some() { Err(Stop) } else { Ok(()) }
    }

    // Wakes from outside (a reactor) come only while the thread waits there.
    fn wait_outside(&mut self) -> bool {
        let world = Arc::clone(self.world());
        let Some(park) = &mut self.park else {
            return false;
        };
        if world.lock().tasks.iter().all(|task| task.done) {
            return false;
        }
        world.as_transport(|| park(Woken { world: Arc::clone(&world) }));
        !world.lock().ready.is_empty()
    }
}

/// Ready as soon as a task of the run is woken: what [`Check::park`](crate::Check::park) waits for.
pub struct Woken {
    world: Arc<World>,
}

impl Future for Woken {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.world.lock();
        if !state.ready.is_empty() {
            return Poll::Ready(());
        }
        let replaced: Option<Waker> = state.parked.replace(cx.waker().clone());
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl std::fmt::Debug for Woken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Woken").finish_non_exhaustive()
    }
}

/// A task of a scenario.
pub(crate) type Task = TaskHandle<io::Result<()>>;

/// Bytes that tell their own place: no two stretches look alike, and nothing compresses them.
pub(crate) fn bytes(from: usize, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let rest = &PATTERN[(from + bytes.len()) % PATTERN.len()..];
        bytes.extend_from_slice(&rest[..rest.len().min(length - bytes.len())]);
    }
    bytes
}

static PATTERN: [u8; 4093] = {
    let mut pattern = [0; 4093];
    let mut bits: u64 = 0x2545_f491_4f6c_dd1d;
    let mut at = 0;
    while at < pattern.len() {
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        pattern[at] = (bits >> 32) as u8;
        at += 1;
    }
    pattern
};

/// How many bytes a scenario sends, the usual first.
pub(crate) const SIZES: &[usize] = &[48, 1, 700, 5000];

/// How large the reader's buffer is, the usual first.
pub(crate) const BUFFERS: &[usize] = &[4096, 1, 7, 64];
