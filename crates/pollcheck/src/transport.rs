//! The scripted transport: what a stream under test is wrapped around.
//!
//! One type serves both ways of testing. As an end of a link, every answer is the schedule's or the [`Script`]'s, and
//! the other end is a transport as well. By hand ([`Transport::new`]), the test holds the far end: a [`Handle`].
//!
//! It keeps the contract itself. Whatever returns `Pending` keeps the waker of the latest poll, in one place for
//! reading and one for writing, flushing and shutting down, as a socket does, and wakes it when something changed: when
//! bytes arrive, when room appears, when the schedule or the test lets go. It never wakes on its own, and it carries
//! bytes as they are: it knows no protocol.
//!
//! [`Script`]: crate::Script

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::handle::Handle;
use crate::history::{Event, Half, Op, Seen, Side};
use crate::port::Answer;
use crate::rules::Rule;
use crate::script::{Fault, ReadStep};
use crate::world::{CALLS_IN_POLL, State, World, seen};

/// A simulated transport, to wrap into the stream under test.
///
/// As an end of a link ([`check`](crate::check), [`Strict::with_link`](crate::Strict::with_link)): bytes written into one
/// end are read at the other, in order and unchanged. Dropping an end ends what the other reads, and fails what the other
/// writes. On a link that holds bytes back until they are flushed, only a flush, a shutdown or a full buffer sends them.
///
/// By hand ([`Transport::new`]): reads and writes follow the steps of a [`Handle`].
pub struct Transport {
    // Dropped in this order: the peer is told the end before its own writes fail.
    write: WriteHalf,
    read: ReadHalf,
}

impl Transport {
    /// A transport driven by hand: it takes everything, and its reads are those of `reads`, then pending.
    ///
    /// ```
    /// use pollcheck::{CountingWaker, ReadStep, Transport, WriteStep};
    /// use std::pin::Pin;
    /// use std::task::Poll;
    /// use tokio::io::AsyncWrite;
    ///
    /// let (mut transport, handle) = Transport::new([ReadStep::Data(b"hello".to_vec()), ReadStep::Eof]);
    /// handle.push_write(WriteStep::Accept(3));
    /// handle.push_write(WriteStep::Pending);
    ///
    /// let waker = CountingWaker::new();
    /// let mut write = |bytes: &[u8]| waker.with_context(|cx| Pin::new(&mut transport).poll_write(cx, bytes));
    /// assert!(matches!(write(b"answer"), Poll::Ready(Ok(3))));
    /// assert!(write(b"wer").is_pending());
    /// handle.release_write();
    /// assert_eq!(waker.wakes(), 1);
    /// assert_eq!(handle.written(), b"ans");
    /// assert!(handle.unused_faults().is_empty());
    /// ```
    ///
    /// # Panics
    ///
    /// On a step of empty data, which a reader could not tell from the end.
    #[must_use]
    pub fn new(reads: impl IntoIterator<Item = ReadStep>) -> (Self, Handle) {
        let world = World::by_hand();
        let handle = Handle::new(Arc::clone(&world));
        for step in reads {
            handle.push_read(step);
        }
        (Self::end(&world, Side::Left), handle)
    }

    /// Both ends of the link of `world`.
    pub(crate) fn pair(world: &Arc<World>) -> (Self, Self) {
        (Self::end(world, Side::Left), Self::end(world, Side::Right))
    }

    fn end(world: &Arc<World>, side: Side) -> Self {
        let end = || End { world: Arc::clone(world), side };
        Self { write: WriteHalf(end()), read: ReadHalf(end()) }
    }

    /// Which end of its link this is; a transport driven by hand is a left one.
    #[must_use]
    pub fn side(&self) -> Side {
        self.read.0.side
    }

    /// The two directions as two values; scripts, wakers and bytes stay as they are.
    ///
    /// Dropping one drops the waker that it holds. On a link, a dropped [`ReadHalf`] fails what the other end writes, and a
    /// dropped [`WriteHalf`] ends what the other end reads.
    #[must_use]
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
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

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("side", &self.side()).finish_non_exhaustive()
    }
}

/// The reading direction of a [`Transport`].
pub struct ReadHalf(End);

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        let answer = |state: &mut State, fault| state.read(self.0.side, fault, buf);
        let ready = |n: &usize| if *n == 0 && room > 0 { Seen::End } else { Seen::Bytes(*n) };
        self.0.call(Op::Read, cx, answer, ready).map_ok(|_| ())
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        let mut guard = self.0.world.lock();
        let state = &mut *guard;
        let dropped = state.ports[self.0.side.index()].drop_read();
        let woken = state.ports[self.0.side.other().index()].wakers[Half::Writing.index()].take();
        drop(guard);
        drop(dropped);
        self.0.world.wake_from_transport([woken]);
    }
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("side", &self.0.side).finish_non_exhaustive()
    }
}

/// The writing direction of a [`Transport`].
pub struct WriteHalf(End);

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.call(Op::Flush, cx, |state, fault| state.flush(self.0.side, fault), |()| Seen::Done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.call(Op::Shutdown, cx, |state, fault| state.shutdown(self.0.side, fault), |()| Seen::Done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = |state: &mut State, fault| state.write(self.0.side, fault, bufs);
        self.0.call(Op::Write, cx, answer, |n| Seen::Bytes(*n))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        let mut guard = self.0.world.lock();
        let state = &mut *guard;
        let dropped = state.ports[self.0.side.index()].drop_write();
        let woken = state.ports[self.0.side.other().index()].wakers[Half::Reading.index()].take();
        drop(guard);
        drop(dropped);
        self.0.world.wake_from_transport([woken]);
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("side", &self.0.side).finish_non_exhaustive()
    }
}

/// Whose call it is.
struct End {
    world: Arc<World>,
    side: Side,
}

impl End {
    fn call<T>(
        &self,
        op: Op,
        cx: &Context<'_>,
        answer: impl FnOnce(&mut State, Option<Fault>) -> Answer<T>,
        ready: impl FnOnce(&T) -> Seen,
    ) -> Poll<io::Result<T>> {
        let mut guard = self.world.lock();
        let state = &mut *guard;
        if !state.count_call() {
            let runaway = state.calls_in_poll > 2 * CALLS_IN_POLL;
            drop(guard);
            let text = format!("{}: one poll has called its transport's {op} {CALLS_IN_POLL} times", self.side);
            self.world.fail(Rule::PollDoesNotReturn, text);
            assert!(!runaway, "pollcheck stops a poll that does not return");
            return Poll::Ready(Err(io::Error::other("pollcheck: this poll does not return")));
        }
        let (fault, mut why) = state.decide(self.side, op);
        let (polled, woken) = answer(state, fault);
        let told = seen(&polled, ready);
        let port = &mut state.ports[self.side.index()];
        if polled.is_pending() && why.is_empty() && port.gates[op.index()] {
            why = "still held back";
        }
        let waker = &mut port.wakers[op.half().index()];
        let mut replaced = None;
        if polled.is_pending() {
            replaced = waker.replace(cx.waker().clone());
        } else if state.by_hand {
            // Whoever counts wakers sees none of a half that waits for nothing. On a link, what the schedule holds back
            // of the same half is still to be woken.
            replaced = waker.take();
        } else if !why.is_empty() {
            // A fault that was met is news, the first time.
            state.progress += 1;
        }
        if state.is_told() {
            state.history.push(Event::Transport { side: self.side, op, seen: told, why });
        }
        drop(guard);
        drop(replaced);
        self.world.wake_from_transport([woken]);
        polled
    }
}
