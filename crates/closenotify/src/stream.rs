//! A session and its transport in one object: the methods that all stream types share, and the public type that holds either
//! side.

use crate::close::{EndTlsError, Ended, Linger};
use crate::close_on_shutdown::{CloseOnShutdown, WhenEnded};
use crate::link::{Link, Side};
use crate::outbox::{Extent, Outbox};
use crate::reading::{Reading, Truncation};
use crate::send_queue::send_queue;
use crate::split::{ReadHalf, SplitTransport, WriteHalf};
use crate::{client, server};
use closenotify_core::{Exporter, ReceivedEnding, SentEnding, SessionFacts};
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// A TLS session over the transport `T`, of either side.
///
/// Convert a [`client::TlsStream`] or a [`server::TlsStream`] [into](From) it, for code that works with both.
pub enum TlsStream<T> {
    /// We are the client.
    Client(client::TlsStream<T>),
    /// We are the server.
    Server(server::TlsStream<T>),
}

impl<T> TlsStream<T> {
    fn stream(&self) -> &Stream<T> {
        match self {
            Self::Client(stream) => &stream.0,
            Self::Server(stream) => &stream.0,
        }
    }

    fn stream_mut(&mut self) -> &mut Stream<T> {
        match self {
            Self::Client(stream) => &mut stream.0,
            Self::Server(stream) => &mut stream.0,
        }
    }

    fn into_stream(self) -> Stream<T> {
        match self {
            Self::Client(stream) => stream.0,
            Self::Server(stream) => stream.0,
        }
    }
}

impl<T> From<client::TlsStream<T>> for TlsStream<T> {
    fn from(stream: client::TlsStream<T>) -> Self {
        Self::Client(stream)
    }
}

impl<T> From<server::TlsStream<T>> for TlsStream<T> {
    fn from(stream: server::TlsStream<T>) -> Self {
        Self::Server(stream)
    }
}

/// A session and its transport.
pub(crate) struct Stream<T> {
    pub(crate) io: T,
    pub(crate) reading: Reading,
    pub(crate) outbox: Outbox,
    pub(crate) link: Link,
    pub(crate) facts: SessionFacts,
    pub(crate) exporter: Exporter,
    /// Whether the reader's waker stands by for the outbox.
    pub(crate) stands: bool,
    /// Returns the send queue of a transport that is not a Tokio socket.
    pub(crate) send_queue: Option<fn(&T) -> Option<u64>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream<T> {
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let polled = self.reading.poll_read(&mut self.io, &self.link, cx, buf);
        self.serve(cx, polled.is_pending());
        polled
    }

    pub(crate) fn poll_fill_buf(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let polled = self.reading.poll_fill_buf(&mut self.io, &self.link, cx);
        self.serve(cx, polled.is_pending());
        ready!(polled)?;
        Poll::Ready(Ok(self.reading.buffer()))
    }

    pub(crate) fn poll_discard(&mut self, cx: &mut Context<'_>, discarded: &mut u64, budget: u64) -> Poll<()> {
        let polled = self.reading.poll_discard(&mut self.io, &self.link, cx, discarded, budget);
        self.serve(cx, polled.is_pending());
        polled
    }

    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Self { io, outbox, link, .. } = self;
        link.poll(Side::Writer, cx, |cx| outbox.poll_write(io, link, cx, bufs))
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { io, outbox, link, .. } = self;
        link.poll(Side::Writer, cx, |cx| outbox.poll_flush(io, link, cx))
    }

    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, extent: Extent) -> Poll<io::Result<()>> {
        let Self { io, outbox, link, .. } = self;
        link.poll(Side::Writer, cx, |cx| outbox.poll_end(io, link, cx, extent))
    }

    /// Drains the outbox on behalf of the reader, as far as the transport takes it now. The reader is woken for the rest, and
    /// where it parks also for what the writer leaves behind later.
    fn serve(&mut self, cx: &Context<'_>, parks: bool) {
        let Self { io, outbox, link, stands, .. } = self;
        if std::mem::take(stands) && !parks {
            link.leave(Side::Reader);
        }
        let waits = !outbox.is_idle(link)
            && link.poll(Side::Reader, cx, |cx| outbox.poll_serve(io, link, cx, parks)).is_pending();
        if parks && !waits {
            link.stand(cx);
        }
        *stands = parks;
    }
}

impl<T: 'static> Stream<T> {
    /// How many bytes the transport still has to deliver, if it can tell.
    pub(crate) fn send_queue(&self) -> Option<u64> {
        match self.send_queue {
            Some(send_queue) => send_queue(&self.io),
            None => send_queue(&self.io),
        }
    }
}

impl<T> fmt::Debug for Stream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("reading", &self.reading)
            .field("outbox", &self.outbox)
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// The public methods and trait implementations of a stream type that has `stream`, `stream_mut` and `into_stream`.
macro_rules! stream_face {
    () => {
        impl<T> TlsStream<T> {
            /// The transport, and what the handshake negotiated.
            pub fn get_ref(&self) -> (&T, &SessionFacts) {
                let stream = self.stream();
                (&stream.io, &stream.facts)
            }

            /// The transport, and what the handshake negotiated. Reading or writing the transport directly breaks the session.
            pub fn get_mut(&mut self) -> (&mut T, &SessionFacts) {
                let stream = self.stream_mut();
                (&mut stream.io, &stream.facts)
            }

            /// What the handshake negotiated.
            pub fn facts(&self) -> &SessionFacts {
                &self.stream().facts
            }

            /// Fills `output` with keying material that both sides of the session can compute and nobody else (RFC 9846
            /// section 7.5, RFC 5705), for `label` and `context`.
            ///
            /// # Errors
            ///
            /// When `output` is empty or longer than the exporter can fill.
            pub fn export_keying_material<B: AsMut<[u8]>>(
                &self,
                output: B,
                label: &[u8],
                context: Option<&[u8]>,
            ) -> Result<B, rustls::Error> {
                self.stream().exporter.export(output, label, context)
            }

            /// The transport, and what the handshake negotiated. This aborts the session, and TLS bytes that were read from
            /// the transport and not processed are lost. [`end_tls`](Self::end_tls) ends TLS and keeps the transport.
            pub fn into_inner(self) -> (T, SessionFacts) {
                let stream = self.into_stream();
                (stream.io, stream.facts)
            }

            /// How the receiving half ended; `None` while it is open or plaintext before the end is unread. Once set, it
            /// never changes.
            pub fn received_ending(&self) -> Option<&ReceivedEnding> {
                self.stream().reading.received_ending()
            }

            /// How the sending half ended; `None` while it is open or its end is not on the wire. Once set, it never
            /// changes.
            pub fn sent_ending(&self) -> Option<&SentEnding> {
                self.stream().outbox.sent_ending()
            }

            /// Sets how a missing close_notify is reported to the reader of this stream.
            pub fn set_truncation(&mut self, truncation: Truncation) {
                self.stream_mut().reading.set_truncation(truncation);
            }

            /// Sets how [`close`](Self::close) finds the size of the transport's send queue: a function that returns how many
            /// bytes the peer has not taken yet, or `None` if that is unknown. Tokio's `TcpStream` and `UnixStream` on Linux
            /// do not need it. For a transport that wraps one of them, pass the inner socket to
            /// [`send_queue`](crate::send_queue()).
            ///
            /// Without it, a close cannot tell a peer that reads slowly from a large kernel buffer from one that has stopped
            /// reading.
            pub fn set_send_queue(&mut self, send_queue: fn(&T) -> Option<u64>) {
                self.stream_mut().send_queue = Some(send_queue);
            }

            /// For a library that owns its transport, such as hyper, h2 and axum: returns a stream whose shutdown is a complete
            /// [`close`](Self::close) within `linger`, and a future that returns how the session ended.
            ///
            /// Such libraries end a connection with `poll_shutdown` and a drop. If they return it at all, what they had not
            /// written yet is lost.
            pub fn close_on_shutdown(self, linger: Linger) -> (CloseOnShutdown<T>, WhenEnded) {
                CloseOnShutdown::new(self.into_stream(), linger)
            }
        }

        impl<T> std::fmt::Debug for TlsStream<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.stream().fmt(f)
            }
        }

        impl<T: AsyncRead + AsyncWrite + Unpin + 'static> TlsStream<T> {
            /// Ends the session and loses nothing: flushes, sends `close_notify`, ends the transport's sending direction, then
            /// reads and discards until the peer has ended too. Without that last step, a late byte from the peer makes the
            /// kernel send a reset, which destroys what was sent. All of it happens within `linger`; then the transport is
            /// dropped.
            ///
            /// Returns how both halves ended. It cannot fail and cannot hang. If the peer does not read, the sending half ends
            /// as `TimedOut(Close)`; if the peer does not end, the receiving half does. A peer that reads slowly is waited for:
            /// see [`Linger`]. A half that had ended before keeps its ending. RFC 9846 section 6.1 requires the
            /// `close_notify`, not the waiting.
            ///
            /// Dropping the future drops the stream as it is: an abort if the `close_notify` was not sent yet.
            ///
            /// Where Tokio has no clock (`enable_time`), nothing bounds it in time.
            pub async fn close(self, linger: Linger) -> Ended {
                crate::close::close(self.into_stream(), linger).await
            }
        }

        impl<T: AsyncRead + AsyncWrite + Unpin> TlsStream<T> {
            /// Ends TLS and returns the transport, with the bytes that were read after the peer's `close_notify`: flushes,
            /// sends `close_notify`, and waits for the peer's (RFC 9846 section 6.1 requires both if the transport is used
            /// further), all within `deadline`. The transport itself is not shut down.
            ///
            /// Read all plaintext first: if there is more, the call fails and returns the stream.
            ///
            /// # Errors
            ///
            /// [`EndTlsError`] holds the stream and the reason.
            ///
            /// Dropping the future drops the stream.
            ///
            /// Where Tokio has no clock (`enable_time`), nothing bounds it in time.
            pub async fn end_tls(self, deadline: Duration) -> Result<(T, Vec<u8>), EndTlsError<Self>> {
                let wrap = self.wrapper();
                crate::close::end_tls(self.into_stream(), deadline).await.map_err(|error| error.map_stream(wrap))
            }
        }

        impl<T: SplitTransport> TlsStream<T> {
            /// Splits into two halves for two tasks, each with its own half of the transport. To split a transport that is not
            /// one of Tokio's, wrap it in a [`Splittable`](crate::Splittable) first.
            pub fn into_split(self) -> (ReadHalf<T>, WriteHalf<T>) {
                let role = self.role();
                crate::split::split(self.into_stream(), role)
            }
        }

        impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TlsStream<T> {
            fn poll_read(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.stream_mut().poll_read(cx, buf)
            }
        }

        impl<T: AsyncRead + AsyncWrite + Unpin> AsyncBufRead for TlsStream<T> {
            fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
                self.get_mut().stream_mut().poll_fill_buf(cx)
            }

            fn consume(mut self: Pin<&mut Self>, amount: usize) {
                self.stream_mut().reading.consume(amount);
            }
        }

        impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsStream<T> {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
                self.stream_mut().poll_write(cx, &[IoSlice::new(buf)])
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.stream_mut().poll_write(cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.stream_mut().poll_flush(cx)
            }

            /// Flushes, sends `close_notify`, flushes, ends the transport's sending direction. Idempotent. Reading
            /// continues.
            fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.stream_mut().poll_end(cx, crate::outbox::Extent::Transport)
            }
        }
    };
}

/// [`stream_face`] for a type that is a newtype over [`Stream`], of one role.
macro_rules! stream_methods {
    ($role:ident) => {
        impl<T> TlsStream<T> {
            fn stream(&self) -> &Stream<T> {
                &self.0
            }

            fn stream_mut(&mut self) -> &mut Stream<T> {
                &mut self.0
            }

            fn into_stream(self) -> Stream<T> {
                self.0
            }

            fn wrapper(&self) -> fn(Stream<T>) -> Self {
                Self
            }

            fn role(&self) -> crate::split::Role {
                crate::split::Role::$role
            }
        }

        crate::stream::stream_face!();
    };
}

pub(crate) use {stream_face, stream_methods};

impl<T> TlsStream<T> {
    fn wrapper(&self) -> fn(Stream<T>) -> Self {
        match self {
            Self::Client(_) => |stream| Self::Client(client::TlsStream(stream)),
            Self::Server(_) => |stream| Self::Server(server::TlsStream(stream)),
        }
    }

    fn role(&self) -> crate::split::Role {
        match self {
            Self::Client(_) => crate::split::Role::Client,
            Self::Server(_) => crate::split::Role::Server,
        }
    }
}

stream_face!();
