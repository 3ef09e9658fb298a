//! Streams whose halves stand in each other's way.

use std::io;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::faulty::{Fault, Io, gallery};
use crate::writing::Buffer;

gallery! {
    read_waker_lost_to_a_write_is_caught: WriterReadsAhead => ReadWakerLost;
    write_waker_lost_to_a_read_is_caught: ReaderPushesOut => WriteWakerLost;
    duplex_stall_is_caught: ReadsOnlyWhenWritten => DuplexStall;
}

/// Before it writes it looks whether something came, and registers the writer for it.
#[derive(Default)]
struct WriterReadsAhead {
    ahead: Vec<u8>,
    ended: bool,
}

impl Fault for WriterReadsAhead {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() && !self.ended {
            return io.poll_read(cx, buf);
        }
        let n = self.ahead.len().min(buf.remaining());
        buf.put_slice(&self.ahead[..n]);
        self.ahead.drain(..n);
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut memory = [0; 256];
        let mut buf = ReadBuf::new(&mut memory);
        if !self.ended && io.as_mut().poll_read(cx, &mut buf)?.is_ready() {
            self.ended = buf.filled().is_empty();
            self.ahead.extend_from_slice(buf.filled());
        }
        io.poll_write(cx, bytes)
    }
}

/// Before it reads it tries to get rid of what was written, and registers the reader for it.
#[derive(Default)]
struct ReaderPushesOut(Buffer);

impl Fault for ReaderPushesOut {
    fn read(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let _later = self.0.drain(io.as_mut(), cx)?;
        io.poll_read(cx, buf)
    }

    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(io, cx, bytes)
    }

    fn flush(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flush(io, cx)
    }

    fn shutdown(&mut self, mut io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.0.drain(io.as_mut(), cx))?;
        io.poll_shutdown(cx)
    }
}

/// One thing after the other: while a write waits, nothing is read.
#[derive(Default)]
struct ReadsOnlyWhenWritten {
    blocked: bool,
    reader: Option<Waker>,
}

impl Fault for ReadsOnlyWhenWritten {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.blocked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        io.poll_read(cx, buf)
    }

    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = io.poll_write(cx, bytes);
        self.blocked = polled.is_pending();
        if let Some(reader) = self.reader.take().filter(|_| !self.blocked) {
            reader.wake();
        }
        polled
    }
}
