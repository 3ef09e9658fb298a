//! A transport in memory that is slow, or fails, where a test says so; and single polls.
//!
//! It knows nothing of pollcheck: what is found there is to be seen without it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// What a transport is to do, and how often it was asked.
#[derive(Debug, Default)]
pub struct Knobs {
    /// So many flushes are pending before one is done.
    pub pending_flushes: AtomicUsize,
    /// So many flushes fail.
    pub failing_flushes: AtomicUsize,
    /// So many shutdowns are pending before one is done.
    pub pending_shutdowns: AtomicUsize,
    /// So many writes take nothing and answer so; the next fails.
    pub zero_writes: AtomicUsize,
    /// Calls of `poll_write` since there were zero writes to make.
    pub writes: AtomicUsize,
    /// Calls of `poll_shutdown`.
    pub shutdowns: AtomicUsize,
}

/// One end of `tokio::io::duplex`, with knobs.
#[derive(Debug)]
pub struct Transport {
    io: DuplexStream,
    knobs: Arc<Knobs>,
}

/// Two ends that hold up to 1024 bytes each way, and the knobs of the first.
pub fn pair() -> (Transport, Transport, Arc<Knobs>) {
    let (near, far) = tokio::io::duplex(1024);
    let knobs = Arc::new(Knobs::default());
    (Transport { io: near, knobs: Arc::clone(&knobs) }, Transport { io: far, knobs: Arc::default() }, knobs)
}

fn take(counter: &AtomicUsize) -> bool {
    counter.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let to_come = self.knobs.zero_writes.load(Relaxed);
        if to_come > 0 {
            self.knobs.writes.fetch_add(1, Relaxed);
            self.knobs.zero_writes.store(to_come - 1, Relaxed);
            return Poll::Ready(if to_come > 1 { Ok(0) } else { Err(io::ErrorKind::BrokenPipe.into()) });
        }
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if take(&self.knobs.failing_flushes) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if take(&self.knobs.pending_flushes) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.knobs.shutdowns.fetch_add(1, Relaxed);
        if take(&self.knobs.pending_shutdowns) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// One poll of a write, whose future is dropped then.
pub fn poll_write(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

/// One poll of a shutdown, whose future is dropped then.
pub fn poll_shutdown(stream: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
    Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()))
}
