//! Two halves for two tasks, each with its own half of the transport.
//!
//! The receiving half owns its decryption and never waits for the other. What the halves share is the outbox, with the
//! transport's write half: they take turns at it ([`Shared`]), and no thread is ever blocked while the transport is polled.

use crate::link::{Link, Side};
use crate::outbox::{Extent, Outbox};
use crate::reading::{Reading, Truncation};
use crate::shared::{Outgoing, Shared};
use crate::stream::{Stream, TlsStream};
use crate::{client, server};
use closenotify_core::{Exporter, ReceivedEnding, SentEnding, SessionFacts};
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

/// A transport that splits into a half for reading and a half for writing, each usable in a task of its own.
///
/// Implemented for Tokio's `TcpStream`, `UnixStream` and `DuplexStream`. To split any other transport, wrap it in a
/// [`Splittable`](crate::Splittable).
///
/// Dropping the write half must end the transport's sending direction, as Tokio's owned halves do, or at least send no more.
pub trait SplitTransport: AsyncRead + AsyncWrite + Unpin + Sized {
    /// The half for reading.
    type ReadHalf: AsyncRead + Unpin;
    /// The half for writing.
    type WriteHalf: AsyncWrite + Unpin;

    /// Splits.
    fn split(self) -> (Self::ReadHalf, Self::WriteHalf);

    /// Joins two halves again. They come from one call of [`split`](Self::split).
    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self;
}

/// The receiving half of a session, with its half of the transport.
///
/// A poll of it also sends the replies that reading requires (to a KeyUpdate, or a fatal alert), and what the writer has not sent
/// yet, even if the writer is never polled again.
///
/// Dropping it stops receiving; the sending half stays usable. What the peer still sends stays unread in the transport, and the
/// kernel resets a TCP socket that is closed with unread data. To lose nothing, keep it, [`reunite`](Self::reunite) the halves,
/// and [`close`](TlsStream::close) the stream.
pub struct ReadHalf<T: SplitTransport> {
    io: T::ReadHalf,
    reading: Reading,
    shared: ReaderShare<T::WriteHalf>,
    facts: SessionFacts,
    exporter: Exporter,
    /// Whether the reader's waker stands by for the outbox.
    stands: bool,
    send_queue: Option<fn(&T) -> Option<u64>>,
    role: Role,
}

/// The sending half of a session, with its half of the transport.
///
/// Dropping it while it is open is an abort: what the transport has not accepted is discarded, no close_notify is sent, and the
/// transport's sending direction ends, so the peer can tell that the message is unfinished. The receiving half stays usable.
pub struct WriteHalf<T: SplitTransport> {
    /// The ending of the half, once it has one: to be asked for without a turn.
    sent: Arc<OnceLock<SentEnding>>,
    /// `None` only while it is taken apart.
    shared: Option<Arc<Shared<Place<T::WriteHalf>>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

pub(crate) fn split<T: SplitTransport>(stream: Stream<T>, role: Role) -> (ReadHalf<T>, WriteHalf<T>) {
    let (read, write) = stream.io.split();
    let sent = stream.outbox.sent_ending().cloned().map(OnceLock::from).unwrap_or_default();
    let place = Place { io: Some(write), outbox: stream.outbox, sent: Arc::new(sent) };
    let sent = Arc::clone(&place.sent);
    let shared = Arc::new(Shared::new(place, stream.link));
    let write_half = WriteHalf { shared: Some(Arc::clone(&shared)), sent };
    let Stream { reading, facts, exporter, stands, send_queue, .. } = stream;
    let shared = ReaderShare(shared);
    (ReadHalf { io: read, reading, shared, facts, exporter, stands, send_queue, role }, write_half)
}

impl<T: SplitTransport> ReadHalf<T> {
    /// How the half ended; `None` while it is open or plaintext before the end is unread. Once set, it never changes.
    pub fn received_ending(&self) -> Option<&ReceivedEnding> {
        self.reading.received_ending()
    }

    /// What the handshake negotiated.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
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
        self.exporter.export(output, label, context)
    }

    /// The transport's half for reading. For a `TcpStream` it has `peer_addr` and its like.
    pub fn get_ref(&self) -> &T::ReadHalf {
        &self.io
    }

    /// Sets how a missing close_notify is reported to the reader.
    pub fn set_truncation(&mut self, truncation: Truncation) {
        self.reading.set_truncation(truncation);
    }

    /// Joins the two halves of a session again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`] returns both halves if they are of different sessions.
    #[expect(clippy::result_large_err, reason = "the error gives back what the call took, and is rare")]
    pub fn reunite(self, mut write: WriteHalf<T>) -> Result<TlsStream<T>, ReuniteError<T>> {
        if !write.shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, &self.shared.0)) {
            return Err(ReuniteError(self, write));
        }
        let Self { io, reading, shared: reader_share, facts, exporter, stands, send_queue, role } = self;
        // The two halves hold the only two references.
        let shared = write.shared.take().expect("it was there a moment ago");
        drop(reader_share);
        let shared = Arc::into_inner(shared).expect("the halves hold the only references");
        let (Place { io: write, outbox, .. }, link) = shared.into_parts();
        let write = write.expect("only dropping the write half takes the transport away");
        let stream = Stream { io: T::reunite(io, write), reading, outbox, link, facts, exporter, stands, send_queue };
        Ok(match role {
            Role::Client => client::TlsStream(stream).into(),
            Role::Server => server::TlsStream(stream).into(),
        })
    }
}

impl<T: SplitTransport> AsyncRead for ReadHalf<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let polled = this.reading.poll_read(&mut this.io, this.shared.0.link(), cx, buf);
        serve(&this.shared.0, cx, polled.is_pending(), &mut this.stands);
        polled
    }
}

impl<T: SplitTransport> AsyncBufRead for ReadHalf<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let polled = this.reading.poll_fill_buf(&mut this.io, this.shared.0.link(), cx);
        serve(&this.shared.0, cx, polled.is_pending(), &mut this.stands);
        ready!(polled)?;
        Poll::Ready(Ok(this.reading.buffer()))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.get_mut().reading.consume(amount);
    }
}

impl<T: SplitTransport> Drop for WriteHalf<T> {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.leave_writer();
        }
    }
}

impl<T: SplitTransport> WriteHalf<T> {
    /// How the half ended; `None` while it is open or its end is not on the wire. Once there, it never changes.
    pub fn sent_ending(&self) -> Option<SentEnding> {
        self.sent.get().cloned()
    }

    /// Runs `look` on the transport's half for writing. For a `TcpStream` it has `peer_addr` and its like.
    ///
    /// The two halves take turns at it: while another thread polls the receiving half, this may block for the time of that
    /// poll. `look` must not poll either half.
    pub fn with_ref<R>(&self, look: impl FnOnce(&T::WriteHalf) -> R) -> R {
        self.shared()
            .peek(|place| look(place.io.as_ref().expect("only dropping the write half takes the transport away")))
    }

    fn shared(&self) -> &Shared<Place<T::WriteHalf>> {
        self.shared.as_ref().expect("only reunite takes it, and the half with it")
    }

    fn poll<R>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut T::WriteHalf, &mut Outbox, &Link, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        self.shared().poll(Side::Writer, cx, |place, link, cx| place.poll(link, cx, poll))
    }
}

impl<T: SplitTransport> AsyncWrite for WriteHalf<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(cx, |io, outbox, link, cx| outbox.poll_write(io, link, cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |io, outbox, link, cx| outbox.poll_flush(io, link, cx))
    }

    /// Flushes, sends `close_notify`, flushes, ends the transport's sending direction. Idempotent. Reading goes on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |io, outbox, link, cx| outbox.poll_end(io, link, cx, Extent::Transport))
    }
}

impl<T: SplitTransport> fmt::Debug for ReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl<T: SplitTransport> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("sent_ending", &self.sent_ending()).finish_non_exhaustive()
    }
}

/// Two halves of different sessions, returned by [`reunite`](ReadHalf::reunite).
pub struct ReuniteError<T: SplitTransport>(pub ReadHalf<T>, pub WriteHalf<T>);

impl<T: SplitTransport> fmt::Debug for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReuniteError").field(&self.0).field(&self.1).finish()
    }
}

impl<T: SplitTransport> fmt::Display for ReuniteError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are of different sessions")
    }
}

impl<T: SplitTransport> Error for ReuniteError<T> {}

/// The reader's share of what the halves share. Dropping it leaves no waker behind.
struct ReaderShare<W: AsyncWrite + Unpin>(Arc<Shared<Place<W>>>);

impl<W: AsyncWrite + Unpin> Drop for ReaderShare<W> {
    fn drop(&mut self) {
        self.0.leave_reader();
    }
}

fn serve<W: AsyncWrite + Unpin>(shared: &Shared<Place<W>>, cx: &Context<'_>, parks: bool, stands: &mut bool) {
    shared.serve(cx, parks, stands, |place, link, cx| {
        place.poll(link, cx, |io, outbox, link, cx| outbox.poll_serve(io, link, cx, parks))
    });
}

/// What the halves take turns at.
struct Place<W> {
    /// `None` when the write half was dropped.
    io: Option<W>,
    outbox: Outbox,
    sent: Arc<OnceLock<SentEnding>>,
}

impl<W> Place<W> {
    fn poll<R>(
        &mut self,
        link: &Link,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut W, &mut Outbox, &Link, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        // After an abort nothing more is sent.
        let Some(io) = &mut self.io else { return Poll::Pending };
        let polled = poll(io, &mut self.outbox, link, cx);
        if let Some(ending) = self.outbox.sent_ending() {
            self.sent.get_or_init(|| ending.clone());
        }
        polled
    }
}

impl<W> Outgoing for Place<W> {
    type Remains = W;

    fn is_idle(&self, link: &Link) -> bool {
        self.outbox.is_idle(link)
    }

    fn abandon(&mut self) -> Option<W> {
        self.outbox.abort(SentEnding::Aborted);
        self.io.take()
    }
}
