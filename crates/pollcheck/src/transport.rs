//! The scripted transport: two ends of a link in memory, whose every answer is the schedule's or the script's.
//!
//! It keeps the contract itself. Whatever answers `Pending` keeps the waker of the latest poll, in one place for
//! reading and one for writing, flushing and shutting down, as a socket does, and wakes it when something changed: when
//! bytes arrive, when room appears, when the schedule lets go. It never wakes on its own, and it carries bytes as they
//! are: it knows no protocol.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::history::{Event, Half, Op, Seen, Side};
use crate::rules::Rule;
use crate::world::{CALLS_IN_POLL, State, World, seen};

/// What a transport answers to one call in place of its own answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `Pending`; the transport wakes when the executor finds nothing better to do.
    Pend,
    /// One byte at most, of a read or a write.
    Short,
    /// An error, now and at every later call: a read's for reading, any other's for all of writing.
    Fail(io::ErrorKind),
    /// `Ok(0)` of a write, now and at every later one.
    Zero,
    /// The end, at this read and every later one, whatever the peer still had to say.
    Eof,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pend => f.write_str("pending"),
            Self::Short => f.write_str("one byte"),
            Self::Fail(kind) => write!(f, "error: {kind}"),
            Self::Zero => f.write_str("zero bytes"),
            Self::Eof => f.write_str("the end"),
        }
    }
}

/// Faults of a link, each tied to one call of one method of one end.
///
/// The calls of each method are counted from 0. A fault whose call is never made is reported as unhit, so that a test
/// of a fault can prove that it tested anything.
#[derive(Clone, Debug, Default)]
pub struct Script(Vec<Planned>);

#[derive(Clone, Debug)]
struct Planned {
    side: Side,
    op: Op,
    call: usize,
    fault: Fault,
    hit: bool,
}

impl Script {
    /// A link without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers call number `call` of `op` at `side` with `fault`.
    ///
    /// # Panics
    ///
    /// When the method cannot answer so: `Zero` is a write's, `Eof` a read's, `Short` either's.
    #[must_use]
    pub fn fault(mut self, side: Side, op: Op, call: usize, fault: Fault) -> Self {
        let possible = match fault {
            Fault::Pend | Fault::Fail(_) => true,
            Fault::Short => matches!(op, Op::Read | Op::Write),
            Fault::Zero => op == Op::Write,
            Fault::Eof => op == Op::Read,
        };
        assert!(possible, "a {op} cannot answer {fault}");
        self.0.push(Planned { side, op, call, fault, hit: false });
        self
    }

    /// The faults whose call was not made, in words.
    pub(crate) fn unhit(&self) -> Vec<String> {
        let unhit = self.0.iter().filter(|planned| !planned.hit);
        unhit.map(|planned| format!("{} {} {}: {}", planned.side, planned.op, planned.call, planned.fault)).collect()
    }

    /// Whether a fault that changes what a right stream answers was met.
    pub(crate) fn has_hit(&self, wanted: impl Fn(Side, Op, Fault) -> bool) -> bool {
        self.0.iter().any(|planned| planned.hit && wanted(planned.side, planned.op, planned.fault))
    }

    fn hit(&mut self, side: Side, op: Op, call: usize) -> Option<Fault> {
        let planned = self.0.iter_mut().find(|planned| (planned.side, planned.op, planned.call) == (side, op, call))?;
        planned.hit = true;
        Some(planned.fault)
    }
}

/// One end of a simulated link, to wrap into the stream under test.
///
/// Bytes written into one end are read at the other, in order and unchanged. Dropping an end ends what the other
/// reads, and fails what the other writes. On a link that holds bytes back until they are flushed, only a flush, a
/// shutdown or a full buffer sends them.
pub struct Transport {
    world: Arc<World>,
    side: Side,
}

impl Transport {
    /// Both ends of the link of `world`.
    pub(crate) fn pair(world: &Arc<World>) -> (Self, Self) {
        let end = |side| Self { world: Arc::clone(world), side };
        (end(Side::Left), end(Side::Right))
    }

    /// Which end this is.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    fn call<T>(
        &self,
        op: Op,
        cx: &Context<'_>,
        answer: impl FnOnce(&mut State, Option<Fault>) -> (Poll<io::Result<T>>, Vec<Option<Waker>>),
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
        if polled.is_pending() && why.is_empty() && state.ports[self.side.index()].gates[op.index()] {
            why = "still held back";
        }
        let mut replaced = None;
        if polled.is_pending() {
            let half = op.half().index();
            replaced = state.ports[self.side.index()].wakers[half].replace(cx.waker().clone());
        } else if !why.is_empty() {
            // A fault that was met is news, the first time.
            state.progress += 1;
        }
        if state.calls_in_poll <= TOLD_CALLS {
            state.history.push(Event::Transport { side: self.side, op, seen: told, why });
        }
        drop(guard);
        drop(replaced);
        self.world.wake_from_transport(woken);
        polled
    }

    fn write(&self, cx: &Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let answer = |state: &mut State, fault| state.write(self.side, fault, bufs);
        self.call(Op::Write, cx, answer, |n| Seen::Bytes(*n))
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        let mut read = 0;
        let answer = |state: &mut State, fault| {
            let (polled, woken) = state.read(self.side, fault, buf);
            if let Poll::Ready(Ok(n)) = polled {
                read = n;
            }
            (polled, woken)
        };
        let ready = |n: &usize| if *n == 0 && room > 0 { Seen::End } else { Seen::Bytes(*n) };
        self.call(Op::Read, cx, answer, ready).map_ok(|_| ())
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, &[IoSlice::new(buf)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(Op::Flush, cx, |state, fault| state.flush(self.side, fault), |()| Seen::Done)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.call(Op::Shutdown, cx, |state, fault| state.shutdown(self.side, fault), |()| Seen::Done)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let mut guard = self.world.lock();
        let state = &mut *guard;
        let own = &mut state.ports[self.side.index()];
        own.dropped = true;
        own.closed = true;
        own.held.clear();
        let dropped = own.take_wakers();
        let other = &mut state.ports[self.side.other().index()];
        let woken = other.take_wakers();
        drop(guard);
        drop(dropped);
        self.world.wake_from_transport(woken);
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("side", &self.side).finish_non_exhaustive()
    }
}

/// The state of one end: what it has sent that the other has not read, and who waits.
#[derive(Debug)]
pub(crate) struct Port {
    /// Bytes that the other end can read.
    wire: VecDeque<u8>,
    /// Bytes that were written and wait for a flush.
    held: VecDeque<u8>,
    capacity: usize,
    /// Whether written bytes wait for a flush.
    pub(crate) holds: bool,
    /// Bytes that went onto the wire.
    pub(crate) sent: usize,
    /// Bytes that this end has read.
    pub(crate) received: usize,
    /// Whether this end was shut down.
    pub(crate) closed: bool,
    /// Whether this end was told that the other has ended, and by which of its read calls.
    pub(crate) told_end: Option<usize>,
    dropped: bool,
    read_failed: Option<Fault>,
    write_failed: Option<io::ErrorKind>,
    zero: bool,
    /// How often writing, flushing or shutting down was answered with an error.
    pub(crate) write_errors: usize,
    /// By method: calls so far, whether the schedule holds it back, and whether it has just let go.
    pub(crate) calls: [usize; 4],
    gates: [bool; 4],
    released: [bool; 4],
    wakers: [Option<Waker>; 2],
}

impl Port {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            wire: VecDeque::new(),
            held: VecDeque::new(),
            capacity,
            holds: false,
            sent: 0,
            received: 0,
            closed: false,
            told_end: None,
            dropped: false,
            read_failed: None,
            write_failed: None,
            zero: false,
            write_errors: 0,
            calls: [0; 4],
            gates: [false; 4],
            released: [false; 4],
            wakers: [None, None],
        }
    }

    pub(crate) fn take_wakers(&mut self) -> [Option<Waker>; 2] {
        std::mem::take(&mut self.wakers)
    }

    fn send_held(&mut self) -> bool {
        let moved = self.held.len();
        self.sent += moved;
        self.wire.append(&mut self.held);
        moved > 0
    }
}

type Answer<T> = (Poll<io::Result<T>>, Vec<Option<Waker>>);

impl State {
    /// Lets the oldest or another held back method go on: gives whom to wake.
    pub(crate) fn release(&mut self, index: usize) -> Option<Waker> {
        let (side, op) = self.releases.remove(index);
        self.history.push(Event::Release { side, op });
        let port = &mut self.ports[side.index()];
        port.gates[op.index()] = false;
        port.released[op.index()] = true;
        port.wakers[op.half().index()].take()
    }

    // What the script or the schedule wants this call to answer.
    fn decide(&mut self, side: Side, op: Op) -> (Option<Fault>, &'static str) {
        let port = &mut self.ports[side.index()];
        let call = port.calls[op.index()];
        port.calls[op.index()] += 1;
        if port.gates[op.index()] {
            return (Some(Fault::Pend), "");
        }
        let just_released = std::mem::take(&mut port.released[op.index()]);
        // What has ended or failed stays so at once: no answer is left to choose, and nothing is left to fail.
        let ended = match op {
            Op::Read => port.told_end.is_some() || port.read_failed.is_some(),
            Op::Write | Op::Flush => port.write_failed.is_some(),
            Op::Shutdown => port.closed || port.write_failed.is_some(),
        };
        let scripted = if ended || self.setting_up { None } else { self.script.hit(side, op, call) };
        if let Some(fault) = scripted {
            if fault == Fault::Pend {
                self.hold_back(side, op);
            }
            return (Some(fault), "scripted");
        }
        let answers: &[Option<Fault>] = match op {
            Op::Read | Op::Write => &[None, Some(Fault::Short), Some(Fault::Pend)],
            Op::Flush | Op::Shutdown => &[None, Some(Fault::Pend)],
        };
        let arity =
            if ended || self.calls_in_poll > TOLD_CALLS { 1 } else { answers.len() - usize::from(just_released) };
        let fault = answers[self.chooser.event(arity)];
        if fault == Some(Fault::Pend) {
            self.hold_back(side, op);
        }
        (fault, if fault.is_some() { "the schedule's choice" } else { "" })
    }

    fn hold_back(&mut self, side: Side, op: Op) {
        self.ports[side.index()].gates[op.index()] = true;
        self.releases.push((side, op));
    }

    fn read(&mut self, side: Side, fault: Option<Fault>, buf: &mut ReadBuf<'_>) -> Answer<usize> {
        if fault == Some(Fault::Pend) {
            return (Poll::Pending, Vec::new());
        }
        if matches!(fault, Some(Fault::Fail(_) | Fault::Eof)) {
            self.ports[side.index()].read_failed = fault;
        }
        match self.ports[side.index()].read_failed {
            Some(Fault::Fail(kind)) => return (Poll::Ready(Err(kind.into())), Vec::new()),
            Some(_) => return (Poll::Ready(Ok(self.tell_end(side))), Vec::new()),
            None => {}
        }
        if buf.remaining() == 0 {
            return (Poll::Ready(Ok(0)), Vec::new());
        }
        let peer = &mut self.ports[side.other().index()];
        if peer.wire.is_empty() {
            let ended = peer.closed;
            return (if ended { Poll::Ready(Ok(self.tell_end(side))) } else { Poll::Pending }, Vec::new());
        }
        let limit = if fault == Some(Fault::Short) { 1 } else { buf.remaining() };
        let (front, back) = peer.wire.as_slices();
        let n = limit.min(front.len() + back.len());
        let in_front = n.min(front.len());
        buf.put_slice(&front[..in_front]);
        buf.put_slice(&back[..n - in_front]);
        peer.wire.drain(..n);
        // Room appeared; a writer that the schedule holds back is woken by its release instead.
        let writer = if peer.gates[Op::Write.index()] { None } else { peer.wakers[Half::Writing.index()].take() };
        self.ports[side.index()].received += n;
        self.progress += 1;
        (Poll::Ready(Ok(n)), vec![writer])
    }

    fn tell_end(&mut self, side: Side) -> usize {
        let port = &mut self.ports[side.index()];
        if port.told_end.is_none() {
            port.told_end = Some(port.calls[Op::Read.index()]);
            self.progress += 1;
        }
        0
    }

    fn write(&mut self, side: Side, fault: Option<Fault>, bufs: &[IoSlice<'_>]) -> Answer<usize> {
        if fault == Some(Fault::Pend) {
            return (Poll::Pending, Vec::new());
        }
        let port = &mut self.ports[side.index()];
        port.zero |= fault == Some(Fault::Zero);
        if port.zero {
            return (Poll::Ready(Ok(0)), Vec::new());
        }
        if let Some(error) = self.write_error(side, fault) {
            return (Poll::Ready(Err(error)), Vec::new());
        }
        if self.ports[side.index()].closed {
            return (Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())), Vec::new());
        }
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return (Poll::Ready(Ok(0)), Vec::new());
        }
        let port = &mut self.ports[side.index()];
        let room = port.capacity.saturating_sub(port.wire.len() + port.held.len());
        if room == 0 {
            // What is full cannot wait for a flush that its writer may be unable to ask for.
            let woken = if port.send_held() { self.wake_reader_of(side) } else { Vec::new() };
            return (Poll::Pending, woken);
        }
        let limit = if fault == Some(Fault::Short) { 1 } else { room };
        let n = limit.min(offered);
        let mut left = n;
        for buf in bufs {
            let part = left.min(buf.len());
            port.held.append(&mut buf[..part].to_vec().into());
            left -= part;
        }
        self.progress += 1;
        let sent = !port.holds && port.send_held();
        (Poll::Ready(Ok(n)), if sent { self.wake_reader_of(side) } else { Vec::new() })
    }

    fn flush(&mut self, side: Side, fault: Option<Fault>) -> Answer<()> {
        if fault == Some(Fault::Pend) {
            return (Poll::Pending, Vec::new());
        }
        if let Some(error) = self.write_error(side, fault) {
            return (Poll::Ready(Err(error)), Vec::new());
        }
        let sent = self.ports[side.index()].send_held();
        self.progress += u64::from(sent);
        (Poll::Ready(Ok(())), if sent { self.wake_reader_of(side) } else { Vec::new() })
    }

    fn shutdown(&mut self, side: Side, fault: Option<Fault>) -> Answer<()> {
        if fault == Some(Fault::Pend) {
            return (Poll::Pending, Vec::new());
        }
        if let Some(error) = self.write_error(side, fault) {
            return (Poll::Ready(Err(error)), Vec::new());
        }
        let port = &mut self.ports[side.index()];
        port.send_held();
        if std::mem::replace(&mut port.closed, true) {
            return (Poll::Ready(Ok(())), Vec::new());
        }
        self.progress += 1;
        (Poll::Ready(Ok(())), self.wake_reader_of(side))
    }

    fn write_error(&mut self, side: Side, fault: Option<Fault>) -> Option<io::Error> {
        let peer_dropped = self.ports[side.other().index()].dropped;
        let port = &mut self.ports[side.index()];
        if let Some(Fault::Fail(kind)) = fault {
            port.write_failed = Some(kind);
        }
        let kind = port.write_failed.or(peer_dropped.then_some(io::ErrorKind::BrokenPipe))?;
        port.write_errors += 1;
        Some(kind.into())
    }

    // A reader that the schedule holds back is woken by its release instead.
    fn wake_reader_of(&mut self, writer: Side) -> Vec<Option<Waker>> {
        let port = &mut self.ports[writer.other().index()];
        if port.gates[Op::Read.index()] { Vec::new() } else { vec![port.wakers[Half::Reading.index()].take()] }
    }
}

/// Calls within one poll that are told and left to the schedule; a poll that goes on for longer repeats itself.
const TOLD_CALLS: u32 = 16;
