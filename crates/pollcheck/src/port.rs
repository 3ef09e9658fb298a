//! What the two ends of a link do: one port an end, and the answer to each call.
//!
//! A port is the state of one end alone. What its end sends lies here until the other reads it; who polls, and in what
//! order, is decided elsewhere.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Poll, Waker};

use tokio::io::ReadBuf;

use crate::history::{Event, Half, Op, Side};
use crate::script::{DoneStep, Fault, ReadStep, WriteStep};
use crate::world::State;

/// The state of one end: what it has sent that the other has not read, what it is told to return, and who waits.
#[derive(Debug)]
pub(crate) struct Port {
    /// What the other end can read.
    pub(crate) wire: VecDeque<ReadStep>,
    /// Bytes that were written and wait for a flush.
    held: Vec<u8>,
    /// How many more bytes this end takes before a write is pending; what the other end reads makes room.
    pub(crate) room: usize,
    /// The most that one read or write of this end moves.
    pub(crate) piece: usize,
    /// Whether written bytes wait for a flush.
    pub(crate) holds: bool,
    /// Steps of its writes, flushes and shutdowns.
    pub(crate) writes: VecDeque<WriteStep>,
    pub(crate) flushes: VecDeque<DoneStep>,
    pub(crate) shutdowns: VecDeque<DoneStep>,
    /// Bytes that went onto the wire.
    pub(crate) sent: usize,
    /// Bytes that this end has read.
    pub(crate) received: usize,
    /// The size of each write that took bytes, for a transport driven by hand.
    pub(crate) write_sizes: Vec<usize>,
    /// Whether every byte taken was flushed since.
    pub(crate) flushed: bool,
    /// Whether a shutdown of this end returned `Ok`.
    pub(crate) shut_down: bool,
    /// Writes that came after it.
    pub(crate) late_writes: usize,
    /// Whether this end was told that the other has ended, and by which of its read calls.
    pub(crate) told_end: Option<usize>,
    pub(crate) read_dropped: bool,
    pub(crate) write_dropped: bool,
    pub(crate) read_failed: Option<Fault>,
    pub(crate) write_failed: Option<io::ErrorKind>,
    zero: bool,
    /// How often writing, flushing or shutting down failed.
    pub(crate) write_errors: usize,
    /// By method: calls so far, whether the schedule holds it back, and whether it has just let go.
    pub(crate) calls: [usize; 4],
    pub(crate) gates: [bool; 4],
    released: [bool; 4],
    pub(crate) wakers: [Option<Waker>; 2],
}

impl Port {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            wire: VecDeque::new(),
            held: Vec::new(),
            room: capacity,
            piece: usize::MAX,
            holds: false,
            writes: VecDeque::new(),
            flushes: VecDeque::new(),
            shutdowns: VecDeque::new(),
            sent: 0,
            received: 0,
            write_sizes: Vec::new(),
            flushed: true,
            shut_down: false,
            late_writes: 0,
            told_end: None,
            read_dropped: false,
            write_dropped: false,
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

    /// Whether nothing more can be sent from this end.
    pub(crate) fn is_closed(&self) -> bool {
        self.shut_down || self.write_dropped
    }

    pub(crate) fn take_wakers(&mut self) -> [Option<Waker>; 2] {
        std::mem::take(&mut self.wakers)
    }

    /// The writing half is gone, and with it what nobody flushed; gives the waker that it held.
    pub(crate) fn drop_write(&mut self) -> Option<Waker> {
        self.write_dropped = true;
        self.held.clear();
        self.wakers[Half::Writing.index()].take()
    }

    /// The reading half is gone; gives the waker that it held.
    pub(crate) fn drop_read(&mut self) -> Option<Waker> {
        self.read_dropped = true;
        self.wakers[Half::Reading.index()].take()
    }

    /// Adds data after what is unread, without a boundary between the two.
    pub(crate) fn append(&mut self, data: &[u8]) {
        match self.wire.back_mut() {
            Some(ReadStep::Data(last)) => last.extend_from_slice(data),
            _ => self.wire.push_back(ReadStep::Data(data.to_vec())),
        }
    }

    fn send_held(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        self.sent += self.held.len();
        match self.wire.back_mut() {
            Some(ReadStep::Data(last)) => last.append(&mut self.held),
            _ => self.wire.push_back(ReadStep::Data(std::mem::take(&mut self.held))),
        }
        true
    }
}

/// A call's answer, and whom else it wakes.
pub(crate) type Answer<T> = (Poll<io::Result<T>>, Option<Waker>);

fn ready<T>(value: T) -> Answer<T> {
    (Poll::Ready(Ok(value)), None)
}

fn failed<T>(error: impl Into<io::Error>) -> Answer<T> {
    (Poll::Ready(Err(error.into())), None)
}

fn pending<T>() -> Answer<T> {
    (Poll::Pending, None)
}

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

    /// Counts the call, and what the script or the schedule wants it to return.
    pub(crate) fn decide(&mut self, side: Side, op: Op) -> (Option<Fault>, &'static str) {
        let port = &mut self.ports[side.index()];
        let call = port.calls[op.index()];
        port.calls[op.index()] += 1;
        if self.by_hand {
            return (None, "");
        }
        if port.gates[op.index()] {
            return (Some(Fault::Pend), "");
        }
        let just_released = std::mem::take(&mut port.released[op.index()]);
        // What has ended or failed stays so at once: no answer is left to choose, and nothing is left to fail.
        let ended = match op {
            Op::Read => port.told_end.is_some() || port.read_failed.is_some(),
            Op::Write | Op::Flush => port.write_failed.is_some(),
            Op::Shutdown => port.is_closed() || port.write_failed.is_some(),
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
        let arity = if ended || !self.is_told() { 1 } else { answers.len() - usize::from(just_released) };
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

    pub(crate) fn read(&mut self, side: Side, fault: Option<Fault>, buf: &mut ReadBuf<'_>) -> Answer<usize> {
        if fault == Some(Fault::Pend) {
            return pending();
        }
        if matches!(fault, Some(Fault::Fail(_) | Fault::Eof)) {
            self.ports[side.index()].read_failed = fault;
        }
        match self.ports[side.index()].read_failed {
            Some(Fault::Fail(kind)) => return failed(kind),
            Some(_) => return ready(self.tell_end(side)),
            None => {}
        }
        if buf.remaining() == 0 {
            return ready(0);
        }
        let piece = if fault == Some(Fault::Short) { 1 } else { self.ports[side.index()].piece };
        let peer = &mut self.ports[side.other().index()];
        let closed = peer.is_closed();
        let data = match peer.wire.front_mut() {
            Some(ReadStep::Data(data)) => data,
            Some(ReadStep::Error(kind)) => {
                let kind = *kind;
                peer.wire.pop_front();
                return failed(kind);
            }
            Some(ReadStep::Eof) => return ready(self.tell_end(side)),
            None if closed => return ready(self.tell_end(side)),
            Some(ReadStep::Pending) | None => return pending(),
        };
        let n = data.len().min(piece).min(buf.remaining());
        buf.put_slice(&data[..n]);
        data.drain(..n);
        if data.is_empty() {
            peer.wire.pop_front();
        }
        peer.room = peer.room.saturating_add(n);
        // Room appeared; a writer that the schedule holds back is woken by its release instead.
        let writer = if peer.gates[Op::Write.index()] { None } else { peer.wakers[Half::Writing.index()].take() };
        self.ports[side.index()].received += n;
        self.progress += 1;
        (Poll::Ready(Ok(n)), writer)
    }

    fn tell_end(&mut self, side: Side) -> usize {
        let port = &mut self.ports[side.index()];
        if port.told_end.is_none() {
            port.told_end = Some(port.calls[Op::Read.index()]);
            self.progress += 1;
        }
        0
    }

    pub(crate) fn write(&mut self, side: Side, fault: Option<Fault>, bufs: &[IoSlice<'_>]) -> Answer<usize> {
        if fault == Some(Fault::Pend) {
            return pending();
        }
        let port = &mut self.ports[side.index()];
        port.zero |= fault == Some(Fault::Zero);
        if port.zero {
            return ready(0);
        }
        if let Some(error) = self.write_error(side, fault) {
            return failed(error);
        }
        let by_hand = self.by_hand;
        let port = &mut self.ports[side.index()];
        match port.writes.front() {
            Some(WriteStep::Pending) => return pending(),
            Some(WriteStep::Error(kind)) => {
                let kind = *kind;
                port.writes.pop_front();
                return failed(kind);
            }
            Some(WriteStep::Accept(_) | WriteStep::Zero) | None => {}
        }
        if port.shut_down {
            port.late_writes += 1;
            return failed(io::ErrorKind::BrokenPipe);
        }
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return ready(0);
        }
        if port.room == 0 {
            // What is full cannot wait for a flush that its writer may be unable to ask for.
            let sent = port.send_held();
            return (Poll::Pending, if sent { self.wake_reader_of(side) } else { None });
        }
        let step = port.writes.pop_front();
        let most = match (step, fault) {
            (Some(WriteStep::Zero), _) => return ready(0),
            (Some(WriteStep::Accept(most)), _) => most,
            (_, Some(Fault::Short)) => 1,
            (_, _) => usize::MAX,
        };
        let n = offered.min(most).min(port.room).min(port.piece);
        let mut left = n;
        for buf in bufs {
            let part = left.min(buf.len());
            port.held.extend_from_slice(&buf[..part]);
            left -= part;
        }
        if by_hand {
            port.write_sizes.push(n);
        }
        if port.room != usize::MAX {
            port.room -= n;
        }
        port.flushed = false;
        let sent = !port.holds && port.send_held();
        self.progress += 1;
        (Poll::Ready(Ok(n)), if sent { self.wake_reader_of(side) } else { None })
    }

    pub(crate) fn flush(&mut self, side: Side, fault: Option<Fault>) -> Answer<()> {
        if let Some(answer) = self.not_done(side, fault, |port| &mut port.flushes) {
            return answer;
        }
        let port = &mut self.ports[side.index()];
        port.flushed = true;
        let sent = port.send_held();
        self.progress += u64::from(sent);
        (Poll::Ready(Ok(())), if sent { self.wake_reader_of(side) } else { None })
    }

    pub(crate) fn shutdown(&mut self, side: Side, fault: Option<Fault>) -> Answer<()> {
        if let Some(answer) = self.not_done(side, fault, |port| &mut port.shutdowns) {
            return answer;
        }
        let port = &mut self.ports[side.index()];
        port.flushed = true;
        port.send_held();
        if std::mem::replace(&mut port.shut_down, true) {
            return ready(());
        }
        self.progress += 1;
        (Poll::Ready(Ok(())), self.wake_reader_of(side))
    }

    /// What keeps a flush or a shutdown from being done.
    fn not_done(
        &mut self,
        side: Side,
        fault: Option<Fault>,
        steps: impl FnOnce(&mut Port) -> &mut VecDeque<DoneStep>,
    ) -> Option<Answer<()>> {
        if fault == Some(Fault::Pend) {
            return Some(pending());
        }
        if let Some(error) = self.write_error(side, fault) {
            return Some(failed(error));
        }
        let steps = steps(&mut self.ports[side.index()]);
        if steps.front() == Some(&DoneStep::Pending) {
            return Some(pending());
        }
        match steps.pop_front() {
            Some(DoneStep::Error(kind)) => Some(failed(kind)),
            Some(DoneStep::Ready | DoneStep::Pending) | None => None,
        }
    }

    fn write_error(&mut self, side: Side, fault: Option<Fault>) -> Option<io::Error> {
        let peer_dropped = self.ports[side.other().index()].read_dropped;
        let port = &mut self.ports[side.index()];
        if let Some(Fault::Fail(kind)) = fault {
            port.write_failed = Some(kind);
        }
        let kind = port.write_failed.or(peer_dropped.then_some(io::ErrorKind::BrokenPipe))?;
        port.write_errors += 1;
        Some(kind.into())
    }

    // A reader that the schedule holds back is woken by its release instead.
    fn wake_reader_of(&mut self, writer: Side) -> Option<Waker> {
        let port = &mut self.ports[writer.other().index()];
        if port.gates[Op::Read.index()] { None } else { port.wakers[Half::Reading.index()].take() }
    }
}
