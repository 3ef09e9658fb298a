//! A stream for libraries that own their transport and end it with `poll_shutdown` and a drop, as hyper, h2 and axum do. Its
//! shutdown is a complete [`close`](crate::TlsStream::close), and a future outside the library returns how the session ended.
//!
//! It is not for protocols with a half-close: after a shutdown nothing more is read.

use crate::close::{Closing, Ended, Linger, give_up};
use crate::error::WriteError;
use crate::failure::{self, Failure};
use crate::stream::Stream;
use closenotify_core::{Deadline, SentEnding, SessionFacts, TransportEnd};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A TLS stream whose shutdown is a complete close, made by [`close_on_shutdown`](crate::TlsStream::close_on_shutdown).
///
/// Shutting it down flushes, sends `close_notify`, ends the transport's sending direction, and reads on and discards until
/// the peer has ended too, all within the [`Linger`] that it was made with. It fails only if the sending half or the end of the
/// transport's sending direction fails. How the peer ended is in the [`Ended`].
///
/// Dropping it before its shutdown has returned is an abort, as for any stream: if a library fails in the middle of a message, the
/// peer can tell that the message is unfinished.
pub struct CloseOnShutdown<T> {
    stream: Stream<T>,
    linger: Linger,
    closing: Option<Closing>,
    /// What the shutdown has returned.
    closed: Option<Closed>,
    /// The waker of a pending read. The close reads with the waker of the shutdown.
    reader: Option<Waker>,
    /// `None` once it was used.
    tell: Option<oneshot::Sender<Ended>>,
}

enum Closed {
    Done,
    Failed(Failure),
}

/// A future that returns how the session of a [`CloseOnShutdown`] ended: when its shutdown returns, or when it is dropped.
///
/// Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "it returns how the session ended"]
pub struct WhenEnded(oneshot::Receiver<Ended>);

impl<T> CloseOnShutdown<T> {
    pub(crate) fn new(stream: Stream<T>, linger: Linger) -> (Self, WhenEnded) {
        let (tell, ended) = oneshot::channel();
        (Self { stream, linger, closing: None, closed: None, reader: None, tell: Some(tell) }, WhenEnded(ended))
    }

    /// The transport, and what the handshake agreed on.
    pub fn get_ref(&self) -> (&T, &SessionFacts) {
        (&self.stream.io, &self.stream.facts)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for CloseOnShutdown<T> {
    /// During a shutdown it waits until that is done, which someone must keep polling, and then returns the end.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match this.closing {
            Some(_) => Poll::Pending,
            None => this.stream.poll_read(cx, buf),
        };
        match (&polled, &mut this.reader) {
            (Poll::Pending, Some(waker)) => waker.clone_from(cx.waker()),
            (Poll::Pending, none) => *none = Some(cx.waker().clone()),
            (Poll::Ready(_), reader) => *reader = None,
        }
        polled
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin + 'static> AsyncWrite for CloseOnShutdown<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().stream.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream.poll_flush(cx)
    }

    /// Closes. Idempotent.
    ///
    /// Where Tokio has no clock (`enable_time`), nothing bounds it in time.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closed.is_none() {
            let closing = this.closing.get_or_insert_with(|| Closing::new(this.linger));
            let ended = ready!(closing.poll(&mut this.stream, cx));
            let failed = closing.failed();
            this.closing = None;
            // The task that shuts down is running already.
            if let Some(reader) = this.reader.take().filter(|reader| !reader.will_wake(cx.waker())) {
                reader.wake();
            }
            this.closed = Some(match (&ended.sent, failed) {
                (SentEnding::TimedOut(_), _) => {
                    Closed::Failed(Failure::new(WriteError::TimedOut(Deadline::Close).io()))
                }
                // Also if the transport failed after the alert was sent: it may not have arrived.
                (SentEnding::Failed(_) | SentEnding::CloseNotify, Some(error)) => {
                    Closed::Failed(Failure::new(failure::like(&error)))
                }
                _ => Closed::Done,
            });
            if let Some(tell) = this.tell.take() {
                let _nobody_asks = tell.send(ended);
            }
        }
        Poll::Ready(match &mut this.closed {
            Some(Closed::Failed(failure)) => Err(failure.error()),
            Some(Closed::Done) | None => Ok(()),
        })
    }
}

impl<T> Drop for CloseOnShutdown<T> {
    fn drop(&mut self) {
        if let Some(tell) = self.tell.take() {
            let discarded = self.closing.as_ref().map_or(0, Closing::discarded);
            let ended = give_up(&mut self.stream, TransportEnd::Abandoned, SentEnding::Aborted, discarded);
            let _nobody_asks = tell.send(ended);
        }
    }
}

impl<T> fmt::Debug for CloseOnShutdown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseOnShutdown").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Future for WhenEnded {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        // The stream sends it when it is dropped, at the latest.
        Pin::new(&mut self.0).poll(cx).map(|ended| ended.expect("a dropped stream sends how it ended"))
    }
}
