//! A stream for libraries that take their transport over and let it go by `poll_shutdown` and a drop, as hyper, h2 and axum
//! do: its shutdown is a whole [`close`](crate::TlsStream::close), and its ending is told to somebody who stayed outside.
//!
//! It is no stream for protocols with a half-close: whoever shuts it down has stopped reading.

use crate::close::{Closing, Ended, Linger, give_up};
use crate::error::WriteError;
use crate::stream::Stream;
use closenotify_core::{SentEnding, SessionFacts, TransportEnd};
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;

/// A TLS stream whose shutdown is a whole close: made by [`close_on_shutdown`](crate::TlsStream::close_on_shutdown).
///
/// Shutting it down flushes, sends `close_notify`, ends the transport's sending direction, and reads on and discards until
/// the peer has ended too, all within the [`Linger`] that it was made with. It fails only when the sending half did, or
/// the end of the transport's sending direction behind it: a peer that does not end properly shows in the [`Ended`].
///
/// Dropping it before its shutdown is done is an abort, as for any stream: so a library that fails in the middle of a
/// message leaves a message that the peer can tell is unfinished.
pub struct CloseOnShutdown<T> {
    stream: Stream<T>,
    linger: Linger,
    closing: Option<Closing>,
    /// What the shutdown has answered.
    closed: Option<Result<(), WriteError>>,
    /// Who waits in a read. The close reads with a waker of its own.
    reader: Option<Waker>,
    /// `None` when it was used.
    tell: Option<oneshot::Sender<Ended>>,
}

/// Answers how the session of a [`CloseOnShutdown`] ended, as soon as it has: when its shutdown is done, or it is dropped.
///
/// Dropping it changes nothing.
#[derive(Debug)]
#[must_use = "to hear nothing of the ending is what this is there to prevent"]
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
    /// While a shutdown is under way it waits for that, and then answers the end. The shutdown must be polled on for it.
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

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for CloseOnShutdown<T> {
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

    /// Closes. Idempotent. Needs Tokio's clock.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = match this.closed {
            Some(closed) => closed,
            None => {
                let closing = this.closing.get_or_insert_with(|| Closing::new(this.linger));
                let ended = ready!(closing.poll(&mut this.stream, cx));
                let failed = closing.failed();
                this.closing = None;
                // The one who shuts down knows it without being woken.
                if let Some(reader) = this.reader.take().filter(|reader| !reader.will_wake(cx.waker())) {
                    reader.wake();
                }
                let closed = match (&ended.sent, failed) {
                    (SentEnding::Failed(kind), _) => Err(WriteError::Transport(*kind)),
                    (SentEnding::TimedOut(_), _) => Err(WriteError::Transport(io::ErrorKind::TimedOut)),
                    // The alert is out, and the transport failed behind it: whether it arrives nobody knows.
                    (SentEnding::CloseNotify, Some(kind)) => Err(WriteError::Transport(kind)),
                    (SentEnding::CloseNotify | SentEnding::Alert(_) | SentEnding::Aborted, _) => Ok(()),
                };
                if let Some(tell) = this.tell.take() {
                    let _nobody_asks = tell.send(ended);
                }
                *this.closed.insert(closed)
            }
        };
        Poll::Ready(closed.map_err(WriteError::io))
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

impl<T: fmt::Debug> fmt::Debug for CloseOnShutdown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseOnShutdown").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Future for WhenEnded {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        // Its stream tells it at the latest when it is dropped.
        Pin::new(&mut self.0).poll(cx).map(|ended| ended.expect("a stream that goes says how it ended"))
    }
}
