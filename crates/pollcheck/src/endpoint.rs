//! A stream under test as the scenarios see it: each operation is polled with its own waker, recorded and judged.
//!
//! Judged here is what one poll, or one half's polls in a row, can show. What needs both ends at rest is judged by the
//! scenario. After the first breach every operation stays pending, so that a run ends where its history ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::history::{Op, Seen, Side, Told};
use crate::rules::Rule;
use crate::script::Fault;
use crate::world::{World, seen};

/// What is checked: both directions in one value.
pub(crate) trait Duplex: AsyncRead + AsyncWrite {}

impl<T: AsyncRead + AsyncWrite> Duplex for T {}

pub(crate) type Boxed = Pin<Box<dyn Duplex>>;

/// What a scenario provokes, for the name of what then goes wrong with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provoking {
    /// Nothing but schedules.
    Nothing,
    /// Futures are dropped.
    Drops,
    /// Buffers are empty.
    EmptyBuffers,
    /// Buffers are filled in part before the read.
    FilledBuffers,
}

/// What one end has been told and has told so far.
#[derive(Debug)]
pub(crate) struct Facts {
    /// Bytes of writes that were answered `Ok`.
    pub(crate) accepted: Vec<u8>,
    /// How many of them were followed by a flush that was answered `Ok`.
    pub(crate) flushed: usize,
    pub(crate) received: Vec<u8>,
    pub(crate) ended: bool,
    pub(crate) shutdown_started: bool,
    pub(crate) shutdown_done: bool,
    pub(crate) dropped: bool,
    /// From now on an error is one of the right answers.
    pub(crate) may_fail: bool,
    read_failed: bool,
}

/// One stream under test.
pub(crate) struct End {
    world: Arc<World>,
    side: Side,
    /// Whether what it writes is on the wire as it is.
    plain_wire: bool,
    provoking: Provoking,
    stream: RefCell<Option<Boxed>>,
    facts: Rc<RefCell<Facts>>,
    peer: Rc<RefCell<Facts>>,
    base: [usize; 2],
}

impl End {
    /// Both ends, with what each knows of the other.
    pub(crate) fn pair(
        world: &Arc<World>,
        streams: [Boxed; 2],
        plain_wire: bool,
        provoking: Provoking,
    ) -> [Rc<Self>; 2] {
        let facts = [Facts::new(), Facts::new()].map(|facts| Rc::new(RefCell::new(facts)));
        let base = world.lock().ports.each_ref().map(|port| port.sent);
        let [left, right] = streams;
        [(Side::Left, left), (Side::Right, right)].map(|(side, stream)| {
            Rc::new(Self {
                world: Arc::clone(world),
                side,
                plain_wire,
                provoking,
                stream: RefCell::new(Some(stream)),
                facts: Rc::clone(&facts[side.index()]),
                peer: Rc::clone(&facts[side.other().index()]),
                base,
            })
        })
    }

    pub(crate) fn side(&self) -> Side {
        self.side
    }

    pub(crate) fn facts(&self) -> std::cell::RefMut<'_, Facts> {
        self.facts.borrow_mut()
    }

    /// Drops the stream.
    pub(crate) fn drop_stream(&self) {
        self.world.note(format!("the {} stream is dropped", self.side));
        self.facts().dropped = true;
        let stream = self.stream.borrow_mut().take();
        drop(stream);
    }

    /// Bytes of this end's transport on the wire since the scenario began.
    pub(crate) fn sent(&self) -> usize {
        self.world.lock().ports[self.side.index()].sent - self.base[self.side.index()]
    }

    /// Whether the other end's transport has been read dry.
    pub(crate) fn is_drained(&self) -> bool {
        let state = self.world.lock();
        state.ports[self.side.index()].sent == state.ports[self.side.other().index()].received
    }

    /// Whether this end's transport was shut down.
    pub(crate) fn is_closed(&self) -> bool {
        self.world.lock().ports[self.side.index()].is_closed()
    }

    pub(crate) fn is_write_vectored(&self) -> bool {
        self.stream.borrow().as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    /// Reads at most `size` bytes; empty at the end.
    pub(crate) async fn read(&self, size: usize) -> io::Result<Vec<u8>> {
        poll_fn(|_| self.poll_read(size, 0)).await
    }

    /// Reads until `total` bytes were received in all, or the end.
    pub(crate) async fn read_total(&self, total: usize, size: usize) -> io::Result<()> {
        while self.facts().received.len() < total {
            if self.read(size).await?.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Reads to the end, and then twice more: an end stays.
    pub(crate) async fn read_to_end(&self, size: usize) -> io::Result<()> {
        while !self.read(size).await?.is_empty() {}
        for _ in 0..2 {
            self.read(size).await?;
        }
        Ok(())
    }

    /// Reads into a buffer that already holds some bytes.
    pub(crate) async fn read_behind(&self, filled: usize, size: usize) -> io::Result<Vec<u8>> {
        poll_fn(|_| self.poll_read(size, filled)).await
    }

    /// Polls a read once, and drops its future if it is pending.
    pub(crate) fn try_read(&self, size: usize) -> Option<io::Result<Vec<u8>>> {
        self.once(Op::Read, self.poll_read(size, 0))
    }

    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|_| self.poll_write(bytes)).await
    }

    /// Writes all of `bytes`, or stops at a write of zero bytes.
    pub(crate) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => bytes = &bytes[n..],
            }
        }
        Ok(())
    }

    /// Polls a write once, and drops its future if it is pending.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> Option<io::Result<usize>> {
        self.once(Op::Write, self.poll_write(bytes))
    }

    pub(crate) async fn write_vectored(&self, slices: &[&[u8]]) -> io::Result<usize> {
        poll_fn(|_| self.poll_write_vectored(slices)).await
    }

    pub(crate) async fn flush(&self) -> io::Result<()> {
        poll_fn(|_| self.poll_flush()).await
    }

    pub(crate) fn try_flush(&self) -> Option<io::Result<()>> {
        self.once(Op::Flush, self.poll_flush())
    }

    pub(crate) async fn shutdown(&self) -> io::Result<()> {
        poll_fn(|_| self.poll_shutdown()).await
    }

    pub(crate) fn try_shutdown(&self) -> Option<io::Result<()>> {
        self.once(Op::Shutdown, self.poll_shutdown())
    }

    fn once<T>(&self, op: Op, polled: Poll<io::Result<T>>) -> Option<io::Result<T>> {
        match polled {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                self.world.drop_future(self.side, op);
                None
            }
        }
    }

    fn poll_read(&self, size: usize, filled: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut memory = vec![UNTOUCHED; filled + size];
        let mut buf = ReadBuf::new(&mut memory);
        buf.set_filled(filled);
        let polled = self.poll(Op::Read, size, |stream, cx| {
            let polled = stream.poll_read(cx, &mut buf);
            let now = buf.filled();
            if now.len() < filled || now[..filled].iter().any(|&byte| byte != UNTOUCHED) {
                let seen = format!("{}: of {filled} bytes that the buffer held, the read left others", self.side);
                self.world.fail(Rule::FilledPartTouched, seen);
                return Poll::Pending;
            }
            let bytes = now[filled..].to_vec();
            if polled.is_pending() && !bytes.is_empty() {
                let seen = format!("{}: read is pending with {} bytes in the buffer", self.side, bytes.len());
                self.world.fail(Rule::PendingWithBytes, seen);
            }
            self.judge_read(size, &polled, &bytes);
            polled.map_ok(|()| bytes)
        })?;
        if let Poll::Ready(bytes) = &polled {
            self.facts().received.extend(bytes);
        }
        polled.map(Ok)
    }

    // By what this stream was told before; a breach found here comes before those of the wakers.
    fn judge_read(&self, size: usize, polled: &Poll<io::Result<()>>, bytes: &[u8]) {
        let side = self.side;
        let at_end = matches!(polled, Poll::Ready(Ok(()))) && bytes.is_empty() && size > 0;
        let mut facts = self.facts();
        if facts.ended && size > 0 && !at_end {
            let now = seen(polled, |()| Seen::Bytes(bytes.len()));
            self.world.fail(Rule::EndDoesNotStay, format!("{side}: read told the end before, and now {now}"));
        }
        if matches!(polled, Poll::Ready(Err(_))) {
            facts.read_failed = true;
        }
        if !at_end || facts.ended {
            return;
        }
        facts.ended = true;
        let failed = if self.has_hit(Op::Read, |fault| matches!(fault, Fault::Fail(_))) {
            Some("its transport had failed")
        } else {
            facts.read_failed.then_some("it had told an error")
        };
        let (received, shut_down) = (facts.received.len(), facts.shutdown_started);
        drop(facts);
        if let Some(failed) = failed {
            let seen = format!("{side}: read tells an orderly end, though {failed}");
            return self.world.fail(Rule::ErrorBecomesEnd, seen);
        }
        if self.world.lock().script.has_hit(|_, _, _| true) {
            return;
        }
        let peer = self.peer.borrow();
        if !peer.shutdown_started && !peer.dropped {
            let rule = match self.provoking {
                Provoking::EmptyBuffers => Rule::EmptyBufferMishandled,
                _ if shut_down => Rule::ReadingEndsWithShutdown,
                _ => Rule::EmptyReadBeforeEnd,
            };
            self.world.fail(rule, format!("{side}: read tells the end, and the peer has not ended"));
        } else if received < peer.accepted.len() {
            let rule = self.rule_of_missing(&peer, shut_down);
            let missing = peer.accepted.len() - received;
            self.world.fail(rule, format!("{side}: read tells the end {missing} bytes too early"));
        }
    }

    /// Whose fault it is that this end was told the end before all bytes of `peer`.
    fn rule_of_missing(&self, peer: &Facts, shut_down: bool) -> Rule {
        let (arrived, unread, early) = {
            let state = self.world.lock();
            let (own, far) = (&state.ports[self.side.index()], &state.ports[self.side.other().index()]);
            let arrived = far.sent - self.base[self.side.other().index()] >= peer.accepted.len();
            (arrived, own.received < far.sent, self.plain_wire && own.told_end.is_none())
        };
        match self.provoking {
            Provoking::Drops => Rule::BytesAlteredByDrop,
            Provoking::EmptyBuffers => Rule::EmptyBufferMishandled,
            _ if shut_down => Rule::ReadingEndsWithShutdown,
            _ if unread || early => Rule::EmptyReadBeforeEnd,
            _ if arrived => Rule::EndBeforeBufferedBytes,
            _ if peer.flushed == peer.accepted.len() => Rule::FlushWithBytesInside,
            _ => Rule::ShutdownWithoutFlush,
        }
    }

    fn poll_write(&self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let write = |stream: Pin<&mut dyn Duplex>, cx: &mut Context<'_>| stream.poll_write(cx, bytes);
        self.poll_any_write(bytes.len(), bytes.is_empty(), write, |n| bytes[..n].to_vec())
    }

    fn poll_write_vectored(&self, slices: &[&[u8]]) -> Poll<io::Result<usize>> {
        let all = slices.concat();
        let hollow = slices.first().is_none_or(|first| first.is_empty());
        let slices: Vec<IoSlice<'_>> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
        let write = |stream: Pin<&mut dyn Duplex>, cx: &mut Context<'_>| stream.poll_write_vectored(cx, &slices);
        self.poll_any_write(all.len(), hollow, write, |n| all[..n].to_vec())
    }

    fn poll_any_write(
        &self,
        size: usize,
        hollow: bool,
        write: impl FnOnce(Pin<&mut dyn Duplex>, &mut Context<'_>) -> Poll<io::Result<usize>>,
        taken: impl FnOnce(usize) -> Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let side = self.side;
        let polled = self.poll(Op::Write, size, |stream, cx| {
            let polled = write(stream, cx);
            let closed = self.facts().shutdown_done;
            match &polled {
                Poll::Ready(Ok(n)) if *n > size => {
                    let seen = format!("{side}: write took {n} of {size} bytes");
                    self.world.fail(Rule::WriteOvercount, seen);
                }
                Poll::Ready(Ok(0)) if size > 0 && !closed && !self.has_hit(Op::Write, |fault| fault == Fault::Zero) => {
                    let rule = if hollow { Rule::EmptyBufferMishandled } else { Rule::ZeroWrite };
                    self.world.fail(rule, format!("{side}: write took 0 of {size} bytes"));
                }
                Poll::Ready(Err(error)) if hollow && !self.any_fault() && !self.facts().may_fail => {
                    let seen = format!("{side}: a write whose first slice is empty fails: {error}");
                    self.world.fail(Rule::EmptyBufferMishandled, seen);
                }
                _ => {}
            }
            polled
        })?;
        if let Poll::Ready(n) = &polled {
            self.facts().accepted.extend(taken(*n));
        }
        polled.map(Ok)
    }

    fn poll_flush(&self) -> Poll<io::Result<()>> {
        self.poll(Op::Flush, 0, |stream, cx| {
            let errors = self.write_errors();
            let polled = stream.poll_flush(cx);
            self.judge_swallowed(errors, &polled, "flush");
            if matches!(polled, Poll::Ready(Ok(()))) {
                let mut facts = self.facts();
                facts.flushed = facts.accepted.len();
                drop(facts);
                self.judge_all_sent(Rule::FlushWithBytesInside, "flush");
            }
            polled
        })
    }

    fn poll_shutdown(&self) -> Poll<io::Result<()>> {
        self.facts().shutdown_started = true;
        self.poll(Op::Shutdown, 0, |stream, cx| {
            let errors = self.write_errors();
            let polled = stream.poll_shutdown(cx);
            self.judge_swallowed(errors, &polled, "shutdown");
            let before = self.facts().shutdown_done;
            match &polled {
                Poll::Ready(Ok(())) => {
                    self.facts().shutdown_done = true;
                    self.judge_all_sent(Rule::ShutdownWithoutFlush, "shutdown");
                    if self.plain_wire && !self.is_closed() {
                        let seen = format!("{}: shutdown is done, and its transport was not shut down", self.side);
                        self.world.fail(Rule::ShutdownNotForwarded, seen);
                    }
                }
                Poll::Ready(Err(error)) if before && !self.any_fault() => {
                    let seen = format!("{}: a second shutdown fails: {error}", self.side);
                    self.world.fail(Rule::ShutdownNotIdempotent, seen);
                }
                _ => {}
            }
            polled
        })
    }

    fn write_errors(&self) -> usize {
        self.world.lock().ports[self.side.index()].write_errors
    }

    // A write may keep an error for later; a flush or a shutdown is where it must be told.
    fn judge_swallowed(&self, errors: usize, polled: &Poll<io::Result<()>>, op: &str) {
        if matches!(polled, Poll::Ready(Ok(()))) && self.write_errors() > errors {
            let seen = format!("{}: {op} is done, though its transport failed in that very poll", self.side);
            self.world.fail(Rule::WriteErrorSwallowed, seen);
        }
    }

    // Only where the wire carries the bytes as they are can they be counted there.
    fn judge_all_sent(&self, rule: Rule, op: &str) {
        let (sent, accepted) = (self.sent(), self.facts().accepted.len());
        // Bytes accepted after the shutdown are another rule's.
        let late = op == "flush" && self.facts().shutdown_done;
        if self.plain_wire && !late && sent < accepted && !self.any_fault() {
            let seen = format!("{}: {op} is done, and of {accepted} bytes {sent} have left", self.side);
            self.world.fail(rule, seen);
        }
    }

    fn poll<T>(
        &self,
        op: Op,
        size: usize,
        poll: impl FnOnce(Pin<&mut dyn Duplex>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        T: Told,
    {
        let over = self.world.lock().found.is_some();
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = stream.as_mut().filter(|_| !over) else {
            return Poll::Pending;
        };
        let waker = self.world.begin_poll(self.side, op, size);
        let polled = poll(stream.as_mut(), &mut Context::from_waker(&waker));
        drop(waker);
        let told = seen(&polled, |value| value.told(op, size));
        if let Seen::Error(kind) = told {
            self.judge_error(op, size, kind);
        }
        self.world.end_poll(self.side, op, &told);
        if self.world.lock().found.is_some() { Poll::Pending } else { polled }
    }

    fn judge_error(&self, op: Op, size: usize, kind: io::ErrorKind) {
        if kind == io::ErrorKind::WouldBlock {
            let seen = format!("{}: {op} hands `WouldBlock` to its caller", self.side);
            self.world.fail(Rule::WouldBlockLeaked, seen);
        } else if !self.facts().may_fail && !self.any_fault() {
            let shut_down = self.facts().shutdown_started;
            let rule = match op {
                Op::Read if size == 0 => Rule::EmptyBufferMishandled,
                Op::Read if shut_down => Rule::ReadingEndsWithShutdown,
                _ => Rule::ErrorFromNothing,
            };
            self.world.fail(rule, format!("{}: {op} fails, though nothing failed: {kind}", self.side));
        }
    }

    fn any_fault(&self) -> bool {
        self.world.lock().script.has_hit(|_, _, _| true)
    }

    fn has_hit(&self, op: Op, wanted: impl Fn(Fault) -> bool) -> bool {
        self.world.lock().script.has_hit(|side, at, fault| side == self.side && at == op && wanted(fault))
    }
}

impl Facts {
    fn new() -> Self {
        Self {
            accepted: Vec::new(),
            flushed: 0,
            received: Vec::new(),
            ended: false,
            shutdown_started: false,
            shutdown_done: false,
            dropped: false,
            may_fail: false,
            read_failed: false,
        }
    }
}

const UNTOUCHED: u8 = 0xa5;
