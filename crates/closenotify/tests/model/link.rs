//! The transport of the model: pollcheck's, driven by hand, with every obstacle under the control of the [`Link`].
//!
//! How many bytes it takes, in what pieces it reads and writes, and whether a flush and a shutdown finish.

use closenotify::SplitTransport;
use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use testkit::transport::{DoneStep, Handle, Op, ReadStep, Scripted, ScriptedRead, ScriptedWrite};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How the way to us ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Eof,
    Reset,
}

/// The grip on a transport.
pub(crate) struct Link {
    handle: Handle,
    broken: Cell<bool>,
}

impl Link {
    /// A transport that takes everything, and what is to be read and written through it.
    pub(crate) fn new() -> (Transport, Self) {
        let (scripted, handle) = Scripted::new([]);
        let (read, write) = scripted.into_split();
        (Transport { read, write }, Self { handle, broken: Cell::new(false) })
    }

    /// Bytes for us to read.
    pub(crate) fn deliver(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.handle.append_data(bytes);
        }
    }

    /// The end of what is to be read; after the bytes, or for a reset at once.
    pub(crate) fn end(&self, end: End) {
        match end {
            End::Eof => self.handle.push_read(ReadStep::Eof),
            End::Reset => self.handle.fail_reads(io::ErrorKind::ConnectionReset),
        }
    }

    pub(crate) fn set_piece(&self, piece: usize) {
        self.handle.set_piece(piece);
    }

    /// From now on it takes `room` bytes.
    pub(crate) fn set_room(&self, room: usize) {
        self.handle.set_room(room);
    }

    pub(crate) fn set_flushes(&self, flushes: bool) {
        match (self.handle.is_held(Op::Flush), flushes) {
            (false, false) => self.handle.push_flush(DoneStep::Pending),
            (true, true) => self.handle.release_flush(),
            (true, false) | (false, true) => {}
        }
    }

    pub(crate) fn set_shuts(&self, shuts: bool) {
        match (self.handle.is_held(Op::Shutdown), shuts) {
            (false, false) => self.handle.push_shutdown(DoneStep::Pending),
            (true, true) => self.handle.release_shutdown(),
            (true, false) | (false, true) => {}
        }
    }

    /// From now on every write, flush and shutdown fails with a reset.
    pub(crate) fn break_writes(&self) {
        self.broken.set(true);
        self.handle.fail_writes(io::ErrorKind::ConnectionReset);
    }

    /// What was written since the last call.
    pub(crate) fn take_written(&self) -> Vec<u8> {
        assert_eq!(self.handle.late_writes(), 0, "a write after the shutdown");
        self.handle.take_written()
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.handle.is_flushed()
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.handle.is_shut_down()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken.get()
    }

    pub(crate) fn is_write_dropped(&self) -> bool {
        self.handle.is_write_dropped()
    }

    /// How many bytes were read from it.
    pub(crate) fn taken(&self) -> u64 {
        self.handle.bytes_read() as u64
    }

    /// Whether a write could wait for it with right.
    pub(crate) fn holds_writes(&self) -> bool {
        self.handle.room() == 0 && !self.is_broken()
    }

    /// Whether a flush could.
    pub(crate) fn holds_flushes(&self) -> bool {
        self.holds_writes() || self.handle.is_held(Op::Flush)
    }

    /// Whether a shutdown could.
    pub(crate) fn holds_shutdowns(&self) -> bool {
        self.holds_flushes() || self.handle.is_held(Op::Shutdown)
    }
}

/// The transport, as one that our streams can split.
pub(crate) struct Transport {
    read: ScriptedRead,
    write: ScriptedWrite,
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
    type ReadHalf = ScriptedRead;
    type WriteHalf = ScriptedWrite;

    fn split(self) -> (ScriptedRead, ScriptedWrite) {
        (self.read, self.write)
    }

    fn reunite(read: ScriptedRead, write: ScriptedWrite) -> Self {
        Self { read, write }
    }
}
