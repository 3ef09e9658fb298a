//! Streams that write wrongly: counts that are not true, bytes that change, flushes that do nothing.

use std::io;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::AsyncWrite;

use crate::faulty::{Fault, Io, gallery};

gallery! {
    zero_write_is_caught: ZeroWhenFull => ZeroWrite;
    overcount_is_caught: CountsItsHeader => WriteOvercount;
    altered_bytes_are_caught: CountsOneLess => BytesAltered;
    bytes_altered_by_a_drop_are_caught: RemembersTheWrite => BytesAlteredByDrop;
    flush_with_bytes_inside_is_caught: FlushesOnlyBelow => FlushWithBytesInside;
    swallowed_write_error_is_caught: HidesErrors => WriteErrorSwallowed;
    gone_peer_that_goes_unnoticed_is_caught: HopesForRoom => GonePeerUnnoticed;
    vectored_write_of_one_slice_is_caught: OneSlice => VectoredFirstSliceOnly;
}

/// No room is no bytes.
#[derive(Default)]
struct ZeroWhenFull;

impl Fault for ZeroWhenFull {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match io.poll_write(cx, bytes) {
            Poll::Pending => Poll::Ready(Ok(0)),
            ready => ready,
        }
    }
}

/// Counts what it sent rather than what it was given.
#[derive(Default)]
struct CountsItsHeader;

impl Fault for CountsItsHeader {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        io.poll_write(cx, bytes).map_ok(|n| if n == bytes.len() { n + 5 } else { n })
    }
}

/// Off by one.
#[derive(Default)]
struct CountsOneLess;

impl Fault for CountsOneLess {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        io.poll_write(cx, bytes).map_ok(|n| if n > 1 { n - 1 } else { n })
    }
}

/// Takes the bytes of a write that it answers with `Pending`, and goes on with them at the next one.
#[derive(Default)]
struct RemembersTheWrite {
    taken: Vec<u8>,
    sent: usize,
}

impl Fault for RemembersTheWrite {
    fn write(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.taken.is_empty() {
            self.taken = bytes.to_vec();
            self.sent = 0;
        }
        while self.sent < self.taken.len() {
            match ready!(io.as_mut().poll_write(cx, &self.taken[self.sent..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.sent += n,
            }
        }
        let taken = std::mem::take(&mut self.taken);
        Poll::Ready(Ok(taken.len().min(bytes.len())))
    }
}

/// Keeps what is written until there is enough of it, and flushes only what lies below.
#[derive(Default)]
struct FlushesOnlyBelow(Buffer);

impl Fault for FlushesOnlyBelow {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(io, cx, bytes)
    }

    fn shutdown(&mut self, mut io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.drain(io.as_mut(), cx))?;
        io.poll_shutdown(cx)
    }
}

/// Nobody can do anything about it anyway.
#[derive(Default)]
struct HidesErrors;

impl Fault for HidesErrors {
    fn flush(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_flush(cx).map(|_| Ok(()))
    }

    fn shutdown(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_shutdown(cx).map(|_| Ok(()))
    }
}

/// Waits for a peer that is gone to come back.
#[derive(Default)]
struct HopesForRoom(Option<Waker>);

impl Fault for HopesForRoom {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match io.poll_write(cx, bytes) {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.0 = Some(cx.waker().clone());
                Poll::Pending
            }
            polled => polled,
        }
    }
}

/// Forwards the promise and not the method.
#[derive(Default)]
struct OneSlice;

impl Fault for OneSlice {
    fn claims_vectored(&self) -> bool {
        true
    }
}

/// A right write buffer, for faults around it.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    pub(crate) fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.0.len() >= ROOM {
            ready!(self.drain(io, cx))?;
        }
        let n = bytes.len().min(ROOM - self.0.len().min(ROOM));
        self.0.extend_from_slice(&bytes[..n]);
        Poll::Ready(Ok(n))
    }

    pub(crate) fn drain(&mut self, mut io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.0.is_empty() {
            match ready!(io.as_mut().poll_write(cx, &self.0))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => drop(self.0.drain(..n)),
            }
        }
        Poll::Ready(Ok(()))
    }

    pub(crate) fn flush(&mut self, mut io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.drain(io.as_mut(), cx))?;
        io.poll_flush(cx)
    }
}

const ROOM: usize = 100;
