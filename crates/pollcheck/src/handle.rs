//! The far end of a transport that a test drives by hand.
//!
//! It makes events happen, and shows what was done to the transport. It decides nothing by itself.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::history::{Half, Op};
use crate::port::Port;
use crate::script::{DoneStep, Fault, ReadStep, WriteStep};
use crate::world::World;

/// How often each method was polled.
///
/// The traits have these four and no more, so that this list is closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Polls {
    /// `poll_read`.
    pub read: u64,
    /// `poll_write` and `poll_write_vectored`.
    pub write: u64,
    /// `poll_flush`.
    pub flush: u64,
    /// `poll_shutdown`.
    pub shutdown: u64,
}

/// The test's grip on a [`Transport`](crate::Transport) made by [`Transport::new`](crate::Transport::new).
///
/// Steps are used up in order, one list a method. Each function that makes an event happen wakes whoever waits for it,
/// once, and nobody else.
///
/// ```
/// use pollcheck::{DoneStep, Outcome, ReadStep, Strict, Transport};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let (mut transport, handle) = Transport::new([]);
/// handle.push_flush(DoneStep::Pending);
/// let mut strict = Strict::new();
/// let echo = strict.spawn("echo", async move {
///     let mut request = Vec::new();
///     transport.read_to_end(&mut request).await?;
///     transport.write_all(&request).await?;
///     transport.flush().await
/// });
/// assert!(matches!(strict.run(100), Outcome::Stalled { .. }), "nothing has arrived");
/// handle.push_data("ping");
/// handle.push_read(ReadStep::Eof);
/// assert!(matches!(strict.run(100), Outcome::Stalled { .. }), "the flush is held back");
/// assert_eq!(handle.written(), b"ping");
/// assert!(!handle.is_flushed());
/// handle.release_flush();
/// strict.finish(100);
/// assert_eq!((echo.wakes(), echo.self_wakes()), (2, 0));
/// ```
#[derive(Clone)]
pub struct Handle {
    world: Arc<World>,
}

impl Handle {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Adds a step of reading; wakes a reader that waits at the end of the steps.
    ///
    /// # Panics
    ///
    /// On empty data, which a reader could not tell from the end.
    pub fn push_read(&self, step: ReadStep) {
        assert_ne!(step, ReadStep::Data(Vec::new()), "empty data reads as the end: push ReadStep::Eof");
        let goes_on = step != ReadStep::Pending;
        self.wake(Half::Reading, |_, far| {
            let at_end = far.wire.is_empty();
            far.wire.push_back(step);
            at_end && goes_on
        });
    }

    /// Adds data to read: [`Handle::push_read`] with [`ReadStep::Data`].
    ///
    /// # Panics
    ///
    /// On empty data.
    pub fn push_data(&self, data: impl Into<Vec<u8>>) {
        self.push_read(ReadStep::Data(data.into()));
    }

    /// Adds data to what is unread as a byte stream does: one read may take bytes of both.
    ///
    /// # Panics
    ///
    /// On empty data.
    pub fn append_data(&self, data: &[u8]) {
        assert!(!data.is_empty(), "empty data reads as the end: push ReadStep::Eof");
        self.wake(Half::Reading, |_, far| {
            let at_end = far.wire.is_empty();
            far.append(data);
            at_end
        });
    }

    /// Adds a step of writing.
    ///
    /// # Panics
    ///
    /// On `Accept(0)`: that is [`WriteStep::Zero`].
    pub fn push_write(&self, step: WriteStep) {
        assert_ne!(step, WriteStep::Accept(0), "accepting no byte is WriteStep::Zero");
        self.with(|port, _| port.writes.push_back(step));
    }

    /// Adds a step of flushing.
    pub fn push_flush(&self, step: DoneStep) {
        self.with(|port, _| port.flushes.push_back(step));
    }

    /// Adds a step of shutting down.
    pub fn push_shutdown(&self, step: DoneStep) {
        self.with(|port, _| port.shutdowns.push_back(step));
    }

    /// Takes the `Pending` at the front of the reads away and wakes the reader.
    ///
    /// # Panics
    ///
    /// When the next step is not `Pending`.
    pub fn release_read(&self) {
        let released = |_: &mut Port, far: &mut Port| far.wire.pop_front() == Some(ReadStep::Pending);
        assert!(self.wake(Half::Reading, released), "reads are not held back");
    }

    /// Takes the `Pending` at the front of the writes away and wakes the writer.
    ///
    /// # Panics
    ///
    /// When the next step is not `Pending`.
    pub fn release_write(&self) {
        let released = |port: &mut Port, _: &mut Port| port.writes.pop_front() == Some(WriteStep::Pending);
        assert!(self.wake(Half::Writing, released), "writes are not held back");
    }

    /// Takes the `Pending` at the front of the flushes away and wakes the writer.
    ///
    /// # Panics
    ///
    /// When the next step is not `Pending`.
    pub fn release_flush(&self) {
        let released = |port: &mut Port, _: &mut Port| port.flushes.pop_front() == Some(DoneStep::Pending);
        assert!(self.wake(Half::Writing, released), "flushes are not held back");
    }

    /// Takes the `Pending` at the front of the shutdowns away and wakes the writer.
    ///
    /// # Panics
    ///
    /// When the next step is not `Pending`.
    pub fn release_shutdown(&self) {
        let released = |port: &mut Port, _: &mut Port| port.shutdowns.pop_front() == Some(DoneStep::Pending);
        assert!(self.wake(Half::Writing, released), "shutdowns are not held back");
    }

    /// From now on the transport takes `bytes` more bytes, and then none; wakes the writer if that is any.
    ///
    /// `usize::MAX` is no limit, as at the beginning.
    pub fn set_room(&self, bytes: usize) {
        self.wake(Half::Writing, |port, _| {
            port.room = bytes;
            bytes > 0
        });
    }

    /// How many more bytes the transport takes; `usize::MAX` is no limit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.with(|port, _| port.room)
    }

    /// From now on one read or write moves `bytes` bytes at most; `usize::MAX` is no limit, as at the beginning.
    ///
    /// # Panics
    ///
    /// On 0: nothing could move. [`Handle::set_room`] holds writes back, [`ReadStep::Pending`] reads.
    pub fn set_piece(&self, bytes: usize) {
        assert!(bytes > 0, "a piece of no bytes moves nothing");
        self.with(|port, _| port.piece = bytes);
    }

    /// From now on every read fails; what was not read is lost, as after a reset. Wakes the reader.
    pub fn fail_reads(&self, kind: io::ErrorKind) {
        self.wake(Half::Reading, |port, far| {
            far.wire.clear();
            port.read_failed = Some(Fault::Fail(kind));
            true
        });
    }

    /// From now on every write, flush and shutdown fails. Wakes the writer.
    pub fn fail_writes(&self, kind: io::ErrorKind) {
        self.wake(Half::Writing, |port, _| {
            port.write_failed = Some(kind);
            true
        });
    }

    /// Every byte taken since [`Handle::take_written`].
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        self.with(|port, _| match port.wire.front() {
            Some(ReadStep::Data(written)) => written.clone(),
            _ => Vec::new(),
        })
    }

    /// The bytes taken since the last call of this function.
    #[must_use]
    pub fn take_written(&self) -> Vec<u8> {
        self.with(|port, _| match port.wire.pop_front() {
            Some(ReadStep::Data(written)) => written,
            _ => Vec::new(),
        })
    }

    /// The size of each write that took bytes, in order.
    #[must_use]
    pub fn write_sizes(&self) -> Vec<usize> {
        self.with(|port, _| port.write_sizes.clone())
    }

    /// Writes that came after the shutdown, and failed.
    #[must_use]
    pub fn late_writes(&self) -> usize {
        self.with(|port, _| port.late_writes)
    }

    /// How many bytes were read from the transport.
    #[must_use]
    pub fn bytes_read(&self) -> usize {
        self.with(|port, _| port.received)
    }

    /// Whether every byte taken was flushed since.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.with(|port, _| port.flushed)
    }

    /// Whether a shutdown returned `Ok`.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        self.with(|port, _| port.shut_down)
    }

    /// Whether the reading direction was dropped.
    #[must_use]
    pub fn is_read_dropped(&self) -> bool {
        self.with(|port, _| port.read_dropped)
    }

    /// Whether the writing direction was dropped.
    #[must_use]
    pub fn is_write_dropped(&self) -> bool {
        self.with(|port, _| port.write_dropped)
    }

    /// Whether a reader's waker is held.
    #[must_use]
    pub fn is_reader_parked(&self) -> bool {
        self.with(|port, _| port.wakers[Half::Reading.index()].is_some())
    }

    /// Whether a writer's waker is held.
    #[must_use]
    pub fn is_writer_parked(&self) -> bool {
        self.with(|port, _| port.wakers[Half::Writing.index()].is_some())
    }

    /// Whether the next step of `op` is `Pending`.
    #[must_use]
    pub fn is_held(&self, op: Op) -> bool {
        self.with(|port, far| match op {
            Op::Read => far.wire.front() == Some(&ReadStep::Pending),
            Op::Write => port.writes.front() == Some(&WriteStep::Pending),
            Op::Flush => port.flushes.front() == Some(&DoneStep::Pending),
            Op::Shutdown => port.shutdowns.front() == Some(&DoneStep::Pending),
        })
    }

    /// How often each method was polled so far.
    #[must_use]
    pub fn polls(&self) -> Polls {
        let calls = self.with(|port, _| port.calls);
        let [read, write, flush, shutdown] = Op::ALL.map(|op| calls[op.index()] as u64);
        Polls { read, write, flush, shutdown }
    }

    /// The faults that were scripted and never used, in words. A test of a fault asserts that there is none left.
    ///
    /// Data and the end are not faults; every other step is.
    #[must_use]
    pub fn unused_faults(&self) -> Vec<String> {
        self.with(|port, far| {
            let no_data = |step: &&ReadStep| !matches!(step, ReadStep::Data(_) | ReadStep::Eof);
            let not_ready = |step: &&DoneStep| **step != DoneStep::Ready;
            let reads = far.wire.iter().filter(no_data).map(|step| format!("read: {step}"));
            let writes = port.writes.iter().map(|step| format!("write: {step}"));
            let flushes = port.flushes.iter().filter(not_ready).map(|step| format!("flush: {step}"));
            let shutdowns = port.shutdowns.iter().filter(not_ready).map(|step| format!("shutdown: {step}"));
            reads.chain(writes).chain(flushes).chain(shutdowns).collect()
        })
    }

    /// The port of the transport, which is the left end, and the one whose wire it reads.
    fn with<T>(&self, f: impl FnOnce(&mut Port, &mut Port) -> T) -> T {
        let mut state = self.world.lock();
        let [port, far] = &mut state.ports;
        f(port, far)
    }

    /// Makes an event happen; whoever waits on `half` is woken if it was one. Gives whether it was.
    fn wake(&self, half: Half, event: impl FnOnce(&mut Port, &mut Port) -> bool) -> bool {
        let (happened, waker) = self.with(|port, far| {
            let happened = event(port, far);
            (happened, if happened { port.wakers[half.index()].take() } else { None })
        });
        // Outside the lock: what is woken may poll at once.
        self.world.wake_from_transport([waker]);
        happened
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("polls", &self.polls()).finish_non_exhaustive()
    }
}
