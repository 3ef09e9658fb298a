//! Streams that close wrongly.

use std::io;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::faulty::{Fault, Io, gallery};
use crate::writing::Buffer;

gallery! {
    shutdown_without_flush_is_caught: LosesItsBuffer => ShutdownWithoutFlush;
    shutdown_that_stays_inside_is_caught: KeepsTheTransportOpen => ShutdownNotForwarded;
    shutdown_that_fails_the_second_time_is_caught: ClosesOnce => ShutdownNotIdempotent;
    write_after_shutdown_is_caught: WritesIntoTheVoid => WriteAfterShutdown;
    shutdown_that_ends_reading_is_caught: ClosesBothHalves => ReadingEndsWithShutdown;
}

/// Shuts its transport down over what it still holds.
#[derive(Default)]
struct LosesItsBuffer(Buffer);

impl Fault for LosesItsBuffer {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.write(io, cx, bytes)
    }

    fn flush(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.flush(io, cx)
    }
}

/// Flushes, and calls it a shutdown.
#[derive(Default)]
struct KeepsTheTransportOpen;

impl Fault for KeepsTheTransportOpen {
    fn shutdown(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        io.poll_flush(cx)
    }
}

/// Who closes twice has made a mistake.
#[derive(Default)]
struct ClosesOnce(bool);

impl Fault for ClosesOnce {
    fn shutdown(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.0 {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        ready!(io.poll_shutdown(cx))?;
        self.0 = true;
        Poll::Ready(Ok(()))
    }
}

/// After the shutdown everything goes, and goes nowhere.
#[derive(Default)]
struct WritesIntoTheVoid(bool);

impl Fault for WritesIntoTheVoid {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.0 { Poll::Ready(Ok(bytes.len())) } else { io.poll_write(cx, bytes) }
    }

    fn shutdown(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(io.poll_shutdown(cx))?;
        self.0 = true;
        Poll::Ready(Ok(()))
    }
}

/// Closed is closed.
#[derive(Default)]
struct ClosesBothHalves(bool);

impl Fault for ClosesBothHalves {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0 { Poll::Ready(Ok(())) } else { io.poll_read(cx, buf) }
    }

    fn shutdown(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(io.poll_shutdown(cx))?;
        self.0 = true;
        Poll::Ready(Ok(()))
    }
}
