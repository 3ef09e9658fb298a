//! A transport in memory whose every hindrance is in the hand of the [`Link`]: how many bytes it takes, in what pieces it
//! reads and writes, whether a flush and a shutdown come to an end.
//!
//! Like a socket it keeps one waker a direction, that of the latest poll, and wakes it only when what was waited for has
//! come. It never wakes on its own.

use closenotify::SplitTransport;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the way to us ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Reset,
}

/// The grip on a transport.
#[derive(Clone)]
pub(crate) struct Link(Arc<Mutex<State>>);

struct State {
    readable: VecDeque<u8>,
    taken: u64,
    end: Option<End>,
    /// The most that one read, or one write, moves.
    piece: usize,
    read_waker: Option<Waker>,
    /// How many more bytes it takes.
    room: usize,
    flushes: bool,
    shuts: bool,
    broken: bool,
    shut: bool,
    written: Vec<u8>,
    /// Whether everything written was flushed since.
    flushed: bool,
    write_waker: Option<Waker>,
    write_dropped: bool,
}

impl Link {
    /// A transport that takes everything, and what is to be read and written through it.
    pub(crate) fn new() -> (Transport, Self) {
        let link = Self(Arc::new(Mutex::new(State {
            readable: VecDeque::new(),
            taken: 0,
            end: None,
            piece: usize::MAX,
            read_waker: None,
            room: usize::MAX,
            flushes: true,
            shuts: true,
            broken: false,
            shut: false,
            written: Vec::new(),
            flushed: true,
            write_waker: None,
            write_dropped: false,
        })));
        (Transport { read: Reads(link.clone()), write: Writes(link.clone()) }, link)
    }

    /// Bytes for us to read.
    pub(crate) fn deliver(&self, bytes: &[u8]) {
        self.state().readable.extend(bytes);
        self.wake_reader();
    }

    /// The end of what is to be read; behind the bytes, or for a reset at once.
    pub(crate) fn end(&self, end: End) {
        self.state().end = Some(end);
        self.wake_reader();
    }

    pub(crate) fn set_piece(&self, piece: usize) {
        self.state().piece = piece;
    }

    /// From now on it takes `room` bytes.
    pub(crate) fn set_room(&self, room: usize) {
        self.state().room = room;
        if room > 0 {
            self.wake_writer();
        }
    }

    pub(crate) fn set_flushes(&self, flushes: bool) {
        self.state().flushes = flushes;
        if flushes {
            self.wake_writer();
        }
    }

    pub(crate) fn set_shuts(&self, shuts: bool) {
        self.state().shuts = shuts;
        if shuts {
            self.wake_writer();
        }
    }

    /// From now on every write, flush and shutdown fails with a reset.
    pub(crate) fn break_writes(&self) {
        self.state().broken = true;
        self.wake_writer();
    }

    /// What was written since the last call.
    pub(crate) fn take_written(&self) -> Vec<u8> {
        std::mem::take(&mut self.state().written)
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.state().flushed
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.state().shut
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.state().broken
    }

    pub(crate) fn is_write_dropped(&self) -> bool {
        self.state().write_dropped
    }

    /// How many bytes were read from it.
    pub(crate) fn taken(&self) -> u64 {
        self.state().taken
    }

    /// Whether a write could wait for it with right.
    pub(crate) fn holds_writes(&self) -> bool {
        let state = self.state();
        state.room == 0 && !state.broken
    }

    /// Whether a flush could.
    pub(crate) fn holds_flushes(&self) -> bool {
        self.holds_writes() || !self.state().flushes
    }

    /// Whether a shutdown could.
    pub(crate) fn holds_shutdowns(&self) -> bool {
        self.holds_flushes() || !self.state().shuts
    }

    fn wake_reader(&self) {
        let waker = self.state().read_waker.take();
        wake(waker);
    }

    fn wake_writer(&self) {
        let waker = self.state().write_waker.take();
        wake(waker);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }
}

impl State {
    /// Whether `is_open`, with the waker kept where it is not.
    fn poll_gate(&mut self, is_open: bool, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if self.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if !is_open {
            self.write_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.write_waker = None;
        Poll::Ready(Ok(()))
    }
}

// Outside the lock: what is woken may poll at once.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The transport.
pub(crate) struct Transport {
    read: Reads,
    write: Writes,
}

/// Its half for reading.
pub(crate) struct Reads(Link);

/// Its half for writing.
pub(crate) struct Writes(Link);

impl AsyncRead for Reads {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        if state.end == Some(End::Reset) {
            // As a kernel does: what was not read is gone.
            state.readable.clear();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if state.readable.is_empty() && state.end.is_none() {
            state.read_waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let length = state.readable.len().min(state.piece).min(buf.remaining());
        state.taken += length as u64;
        for byte in state.readable.drain(..length) {
            buf.put_slice(&[byte]);
        }
        state.read_waker = None;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        self.0.state().read_waker = None;
    }
}

impl AsyncWrite for Writes {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.0.state();
        let is_open = state.room > 0;
        std::task::ready!(state.poll_gate(is_open, cx))?;
        assert!(!state.shut, "a write behind the shutdown");
        let length = buf.len().min(state.room).min(state.piece);
        if state.room != usize::MAX {
            state.room -= length;
        }
        state.written.extend_from_slice(&buf[..length]);
        state.flushed = false;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        let is_open = state.flushes;
        std::task::ready!(state.poll_gate(is_open, cx))?;
        state.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.0.state();
        let is_open = state.shuts;
        std::task::ready!(state.poll_gate(is_open, cx))?;
        state.shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.write_waker = None;
        state.write_dropped = true;
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
}

impl SplitTransport for Transport {
    type ReadHalf = Reads;
    type WriteHalf = Writes;

    fn split(self) -> (Reads, Writes) {
        (self.read, self.write)
    }

    fn reunite(read: Reads, write: Writes) -> Self {
        Self { read, write }
    }
}
