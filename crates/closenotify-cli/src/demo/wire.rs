//! The connection as hyper sees it, and its two endings.
//!
//! hyper gets a share of the socket, not the socket: it can flush and say that it is done, but it cannot close. It never
//! sends a reset unless a handler has ordered one.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::ending::send_fin;

/// A handler's word to the connection that it must end by a reset, after what the handler has given so far.
#[derive(Clone, Debug, Default)]
pub(super) struct ResetOrder(Arc<AtomicBool>);

impl ResetOrder {
    pub(super) fn give(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_given(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// hyper's share of a connection.
///
/// Reading and writing go through one shared socket, each by one task: a [`TcpStream`] keeps one waker a direction.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Arc<TcpStream>,
    order: ResetOrder,
}

impl Wire {
    pub(super) fn new(stream: Arc<TcpStream>, order: ResetOrder) -> Self {
        Self { stream, order }
    }

    fn poll_try<T>(
        &self,
        cx: &mut Context<'_>,
        ready: impl Fn(&TcpStream, &mut Context<'_>) -> Poll<io::Result<()>>,
        mut attempt: impl FnMut(&TcpStream) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            ready!(ready(&self.stream, cx))?;
            match attempt(&self.stream) {
                // The attempt has taken the readiness back, so the next round registers the waker.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = ready!(
            self.poll_try(cx, TcpStream::poll_read_ready, |stream| { stream.try_read(buf.initialize_unfilled()) })
        )?;
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_try(cx, TcpStream::poll_write_ready, |stream| stream.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_try(cx, TcpStream::poll_write_ready, |stream| stream.try_write_vectored(bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper flushes when its own buffers are empty: all that a handler gave before its order is then the kernel's.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.order.is_given() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(send_fin(&self.stream))
    }
}
