//! A transport made of scripts: what each read, write, flush and shutdown answers is written down beforehand.
//!
//! It keeps the poll contract itself: whatever answers `Pending` holds the waker of the latest poll, one slot for
//! reading and one for writing, flushing and shutting down, as a socket does, and wakes it only when the test makes
//! the event happen through the [`Handle`]. It never wakes on its own.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one stretch of reading yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadStep {
    /// These bytes, in as many reads as the reader's buffer makes of them; a read never crosses into the next step.
    Data(Vec<u8>),
    /// Nothing, until [`Handle::release_read`].
    Pending,
    /// The end, at this and every later read.
    Eof,
    /// One error.
    Error(io::ErrorKind),
}

/// What one write answers. Without a step every byte is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteStep {
    /// Takes up to so many bytes, at least one.
    Accept(usize),
    /// Nothing, until [`Handle::release_write`].
    Pending,
    /// `Ok(0)`, once.
    Zero,
    /// One error.
    Error(io::ErrorKind),
}

/// What one flush or shutdown answers. Without a step it is `Ok`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneStep {
    /// `Ok`, once: to place a later step.
    Ready,
    /// Nothing, until [`Handle::release_flush`] or [`Handle::release_shutdown`].
    Pending,
    /// One error.
    Error(io::ErrorKind),
}

/// How often each method was polled.
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

/// Both directions of a scripted transport.
#[derive(Debug)]
pub struct Scripted {
    read: ScriptedRead,
    write: ScriptedWrite,
}

impl Scripted {
    /// A transport that takes everything, and whose reads are those of `reads`, then pending.
    ///
    /// # Panics
    ///
    /// When a step can never be taken for what it is: empty data, or a write that accepts nothing.
    #[must_use]
    pub fn new(reads: impl IntoIterator<Item = ReadStep>) -> (Self, Handle) {
        let handle = Handle { state: Arc::default() };
        for step in reads {
            handle.push_read(step);
        }
        let read = ScriptedRead { state: Arc::clone(&handle.state) };
        let write = ScriptedWrite { state: Arc::clone(&handle.state) };
        (Self { read, write }, handle)
    }

    /// The two directions as two values; the scripts, the wakers and the handle go on as they were.
    #[must_use]
    pub fn into_split(self) -> (ScriptedRead, ScriptedWrite) {
        (self.read, self.write)
    }
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.write.is_write_vectored()
    }
}

/// The reading direction; dropping it drops the waker it holds.
pub struct ScriptedRead {
    state: Arc<Mutex<State>>,
}

impl AsyncRead for ScriptedRead {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = lock(&self.state);
        state.polls.read += 1;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let answer = match state.reads.front_mut() {
            None | Some(ReadStep::Pending) => {
                state.read_waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            Some(ReadStep::Eof) => Ok(()),
            Some(ReadStep::Data(data)) => {
                let n = data.len().min(buf.remaining());
                buf.put_slice(&data[..n]);
                data.drain(..n);
                if data.is_empty() {
                    state.reads.pop_front();
                }
                Ok(())
            }
            Some(ReadStep::Error(kind)) => {
                let kind = *kind;
                state.reads.pop_front();
                Err(kind.into())
            }
        };
        state.read_waker = None;
        Poll::Ready(answer)
    }
}

impl Drop for ScriptedRead {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.read_waker = None;
        state.read_dropped = true;
    }
}

impl fmt::Debug for ScriptedRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedRead").field("script", &lock(&self.state).reads).finish()
    }
}

/// The writing direction; dropping it drops the waker it holds.
pub struct ScriptedWrite {
    state: Arc<Mutex<State>>,
}

impl AsyncWrite for ScriptedWrite {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.state).poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.polls.flush += 1;
        let polled = poll_done(&mut state.flushes, &mut state.write_waker, cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            state.flushed = state.written.len();
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        state.polls.shutdown += 1;
        let polled = poll_done(&mut state.shutdowns, &mut state.write_waker, cx);
        if matches!(polled, Poll::Ready(Ok(()))) {
            state.flushed = state.written.len();
            state.shut_down = true;
        }
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        lock(&self.state).poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Drop for ScriptedWrite {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.write_waker = None;
        state.write_dropped = true;
    }
}

impl fmt::Debug for ScriptedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        f.debug_struct("ScriptedWrite")
            .field("script", &state.writes)
            .field("written", &state.written.len())
            .field("shut_down", &state.shut_down)
            .finish()
    }
}

/// The test's grip on a [`Scripted`]: makes events happen, and sees what was done to it.
#[derive(Clone)]
pub struct Handle {
    state: Arc<Mutex<State>>,
}

impl Handle {
    /// Adds a step of reading; wakes a reader that waits at the end of the script.
    ///
    /// # Panics
    ///
    /// On empty data, which a reader could not tell from the end.
    pub fn push_read(&self, step: ReadStep) {
        assert_ne!(step, ReadStep::Data(Vec::new()), "empty data reads as the end: say Eof");
        let waker = {
            let mut state = lock(&self.state);
            let waited_at_end = state.reads.is_empty();
            let gate = step == ReadStep::Pending;
            state.reads.push_back(step);
            if waited_at_end && !gate { state.read_waker.take() } else { None }
        };
        wake(waker);
    }

    /// Adds data to read: [`Handle::push_read`] with [`ReadStep::Data`].
    pub fn push_data(&self, data: impl Into<Vec<u8>>) {
        self.push_read(ReadStep::Data(data.into()));
    }

    /// Adds a step of writing.
    ///
    /// # Panics
    ///
    /// On `Accept(0)`: say [`WriteStep::Zero`].
    pub fn push_write(&self, step: WriteStep) {
        assert_ne!(step, WriteStep::Accept(0), "accepting no byte is WriteStep::Zero");
        lock(&self.state).writes.push_back(step);
    }

    /// Adds a step of flushing.
    pub fn push_flush(&self, step: DoneStep) {
        lock(&self.state).flushes.push_back(step);
    }

    /// Adds a step of shutting down.
    pub fn push_shutdown(&self, step: DoneStep) {
        lock(&self.state).shutdowns.push_back(step);
    }

    /// Takes the `Pending` at the front of the reads away and wakes the reader.
    ///
    /// # Panics
    ///
    /// When the front of the script is not `Pending`.
    pub fn release_read(&self) {
        let waker = {
            let mut state = lock(&self.state);
            assert_eq!(state.reads.pop_front(), Some(ReadStep::Pending), "reads are not held back");
            state.read_waker.take()
        };
        wake(waker);
    }

    /// Takes the `Pending` at the front of the writes away and wakes the writer.
    ///
    /// # Panics
    ///
    /// When the front of the script is not `Pending`.
    pub fn release_write(&self) {
        let waker = {
            let mut state = lock(&self.state);
            assert_eq!(state.writes.pop_front(), Some(WriteStep::Pending), "writes are not held back");
            state.write_waker.take()
        };
        wake(waker);
    }

    /// Takes the `Pending` at the front of the flushes away and wakes the writer.
    ///
    /// # Panics
    ///
    /// When the front of the script is not `Pending`.
    pub fn release_flush(&self) {
        let waker = {
            let mut state = lock(&self.state);
            assert_eq!(state.flushes.pop_front(), Some(DoneStep::Pending), "flushes are not held back");
            state.write_waker.take()
        };
        wake(waker);
    }

    /// Takes the `Pending` at the front of the shutdowns away and wakes the writer.
    ///
    /// # Panics
    ///
    /// When the front of the script is not `Pending`.
    pub fn release_shutdown(&self) {
        let waker = {
            let mut state = lock(&self.state);
            assert_eq!(state.shutdowns.pop_front(), Some(DoneStep::Pending), "shutdowns are not held back");
            state.write_waker.take()
        };
        wake(waker);
    }

    /// Every byte taken so far.
    #[must_use]
    pub fn written(&self) -> Vec<u8> {
        lock(&self.state).written.clone()
    }

    /// The bytes taken since the last call of this function.
    #[must_use]
    pub fn take_written(&self) -> Vec<u8> {
        let mut state = lock(&self.state);
        state.flushed = 0;
        std::mem::take(&mut state.written)
    }

    /// The size of each write that took bytes, in order.
    #[must_use]
    pub fn write_sizes(&self) -> Vec<usize> {
        lock(&self.state).write_sizes.clone()
    }

    /// Whether every byte taken was flushed since.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        let state = lock(&self.state);
        state.flushed == state.written.len()
    }

    /// Whether a shutdown was answered `Ok`.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        lock(&self.state).shut_down
    }

    /// Whether the reading direction was dropped.
    #[must_use]
    pub fn is_read_dropped(&self) -> bool {
        lock(&self.state).read_dropped
    }

    /// Whether the writing direction was dropped.
    #[must_use]
    pub fn is_write_dropped(&self) -> bool {
        lock(&self.state).write_dropped
    }

    /// Whether a reader's waker is held.
    #[must_use]
    pub fn is_reader_parked(&self) -> bool {
        lock(&self.state).read_waker.is_some()
    }

    /// Whether a writer's waker is held.
    #[must_use]
    pub fn is_writer_parked(&self) -> bool {
        lock(&self.state).write_waker.is_some()
    }

    /// How often each method was polled so far.
    #[must_use]
    pub fn polls(&self) -> Polls {
        lock(&self.state).polls
    }

    /// The faults that were scripted and never met, in words. A test of a fault asserts that there is none left.
    ///
    /// Data and the end are not faults; everything else that a script can say is.
    #[must_use]
    pub fn unused_faults(&self) -> Vec<String> {
        let state = lock(&self.state);
        let reads = state
            .reads
            .iter()
            .filter(|step| !matches!(step, ReadStep::Data(_) | ReadStep::Eof))
            .map(|step| format!("read {step:?}"));
        let writes = state.writes.iter().map(|step| format!("write {step:?}"));
        let not_ready = |step: &&DoneStep| **step != DoneStep::Ready;
        let flushes = state.flushes.iter().filter(not_ready).map(|step| format!("flush {step:?}"));
        let shutdowns = state.shutdowns.iter().filter(not_ready).map(|step| format!("shutdown {step:?}"));
        reads.chain(writes).chain(flushes).chain(shutdowns).collect()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("polls", &self.polls()).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    reads: VecDeque<ReadStep>,
    read_waker: Option<Waker>,
    read_dropped: bool,
    writes: VecDeque<WriteStep>,
    flushes: VecDeque<DoneStep>,
    shutdowns: VecDeque<DoneStep>,
    // One slot for write, flush and shutdown, as a socket has: the latest poll's waker is the one that counts.
    write_waker: Option<Waker>,
    write_dropped: bool,
    written: Vec<u8>,
    write_sizes: Vec<usize>,
    flushed: usize,
    shut_down: bool,
    polls: Polls,
}

impl State {
    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.polls.write += 1;
        let limit = match self.writes.front() {
            Some(WriteStep::Pending) => {
                self.write_waker = Some(cx.waker().clone());
                return Poll::Pending;
            }
            None => usize::MAX,
            Some(WriteStep::Accept(n)) => *n,
            Some(WriteStep::Zero) => 0,
            Some(WriteStep::Error(kind)) => {
                let kind = *kind;
                self.writes.pop_front();
                self.write_waker = None;
                return Poll::Ready(Err(kind.into()));
            }
        };
        self.write_waker = None;
        if self.shut_down {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.writes.pop_front();
        let before = self.written.len();
        for buf in bufs {
            let room = limit - (self.written.len() - before);
            self.written.extend_from_slice(&buf[..buf.len().min(room)]);
        }
        let n = self.written.len() - before;
        if n > 0 {
            self.write_sizes.push(n);
        }
        Poll::Ready(Ok(n))
    }
}

fn poll_done(script: &mut VecDeque<DoneStep>, waker: &mut Option<Waker>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    if script.front() == Some(&DoneStep::Pending) {
        *waker = Some(cx.waker().clone());
        return Poll::Pending;
    }
    *waker = None;
    match script.pop_front() {
        Some(DoneStep::Error(kind)) => Poll::Ready(Err(kind.into())),
        None | Some(DoneStep::Ready | DoneStep::Pending) => Poll::Ready(Ok(())),
    }
}

// Outside the lock: what is woken may poll at once.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

// A panic under the lock is the test's failure already; no state is left half changed.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
