//! Two halves for two tasks, each with its own half of the transport.
//!
//! The halves share the session's lock, which is held for CPU work only (in the core), and the place where the transport's
//! write half lies. That place is never waited for with a blocked thread while the transport is polled: who finds it taken
//! leaves a mark and its waker, and who lets go looks for the mark.

use crate::link::{Link, Side};
use crate::reading::Reading;
use crate::stream::{Stream, TlsStream};
use crate::writing::{Extent, Writing};
use crate::{client, server};
use closenotify_core::{ReceivedEnding, SentEnding, SessionFacts};
use std::error::Error;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::{TcpStream, UnixStream, tcp, unix};

/// A transport that splits into a half for reading and a half for writing, each usable in a task of its own.
///
/// Dropping the write half must end the transport's sending direction, as Tokio's owned halves do, or at least send no more.
pub trait SplitTransport: AsyncRead + AsyncWrite + Unpin + Sized {
    /// The half for reading.
    type ReadHalf: AsyncRead + Unpin;
    /// The half for writing.
    type WriteHalf: AsyncWrite + Unpin;

    /// Splits.
    fn split(self) -> (Self::ReadHalf, Self::WriteHalf);

    /// Puts two halves of one transport together again. It is called with halves that [`split`](Self::split) has given in
    /// one call.
    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self;
}

/// The receiving half of a session, with its half of the transport.
///
/// It writes what receiving makes us owe the peer (the answer to a KeyUpdate, a fatal alert) whenever the writer is not at
/// it, also when the writer is never polled.
///
/// Dropping it gives up receiving (the ending would be `Abandoned`); the sending half goes on. What the peer still sends
/// stays unread in the transport, and a TCP socket closed over unread data is reset by its kernel: to lose nothing, keep
/// it, [`reunite`](Self::reunite) and [`close`](TlsStream::close).
pub struct ReadHalf<T: SplitTransport> {
    io: T::ReadHalf,
    reading: Reading,
    shared: ReaderShare<T>,
    facts: SessionFacts,
    role: Role,
}

/// The sending half of a session, with its half of the transport.
///
/// Dropping it while it is open is an abort: what the transport has not taken is thrown away, no close_notify is sent, and
/// the transport's sending direction ends, so that the peer can tell that the message is unfinished. The receiving half goes
/// on.
pub struct WriteHalf<T: SplitTransport> {
    /// `None` only while it is taken apart.
    shared: Option<Arc<Shared<T>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

pub(crate) fn split<T: SplitTransport>(stream: Stream<T>, role: Role) -> (ReadHalf<T>, WriteHalf<T>) {
    let (read, write) = stream.io.split();
    let shared = Arc::new(Shared {
        sent: stream.writing.sent_ending().cloned().map(OnceLock::from).unwrap_or_default(),
        place: Mutex::new(Place { io: Some(write), writing: stream.writing }),
        link: stream.link,
        writer_gone: AtomicBool::new(false),
        writer_turned_away: AtomicBool::new(false),
        reader_turned_away: AtomicBool::new(false),
    });
    let write_half = WriteHalf { shared: Some(Arc::clone(&shared)) };
    let shared = ReaderShare(shared);
    (ReadHalf { io: read, reading: stream.reading, shared, facts: stream.facts, role }, write_half)
}

impl<T: SplitTransport> ReadHalf<T> {
    /// How the half ended; `None` while it is open or plaintext in front of the end is unread. Once there, it never
    /// changes.
    pub fn received_ending(&self) -> Option<&ReceivedEnding> {
        self.reading.received_ending()
    }

    /// What the handshake agreed on.
    pub fn facts(&self) -> &SessionFacts {
        &self.facts
    }

    /// Fills `output` with keying material that both sides of the session can compute and nobody else (RFC 9846
    /// section 7.5, RFC 5705), for `label` and `context`.
    ///
    /// # Errors
    ///
    /// When `output` is empty or longer than the exporter can fill, or a fatal error ended the session.
    pub fn export_keying_material<B: AsMut<[u8]>>(
        &self,
        output: B,
        label: &[u8],
        context: Option<&[u8]>,
    ) -> Result<B, rustls::Error> {
        self.reading.receiver().export_keying_material(output, label, context)
    }

    /// Puts the two halves of one session together again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`] gives both back when they are of different sessions.
    #[expect(clippy::result_large_err, reason = "the error gives back what the call took, and is rare")]
    pub fn reunite(self, mut write: WriteHalf<T>) -> Result<TlsStream<T>, ReuniteError<T>> {
        if !write.shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, &self.shared.0)) {
            return Err(ReuniteError(self, write));
        }
        let Self { io, reading, shared: reader_share, facts, role } = self;
        // The two halves hold the only two references.
        let shared = write.shared.take().expect("it was there a moment ago");
        drop(reader_share);
        let shared = Arc::into_inner(shared).expect("the halves hold the only references");
        let place = shared.place.into_inner().unwrap_or_else(PoisonError::into_inner);
        let write = place.io.expect("only dropping the write half takes the transport away");
        let stream = Stream { io: T::reunite(io, write), reading, writing: place.writing, link: shared.link, facts };
        Ok(match role {
            Role::Client => client::TlsStream(stream).into(),
            Role::Server => server::TlsStream(stream).into(),
        })
    }

    fn pay_owed(&mut self, cx: &Context<'_>) {
        if *self.reading.owes() {
            let paid = self.shared.0.poll(Side::Reader, cx, |io, writing, link, cx| writing.poll_flush(io, link, cx));
            *self.reading.owes() = paid.is_pending();
        }
    }
}

impl<T: SplitTransport> AsyncRead for ReadHalf<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let this = self.get_mut();
        let polled = this.reading.poll_read(&mut this.io, &this.shared.0.link, cx, buf);
        this.pay_owed(cx);
        polled
    }
}

impl<T: SplitTransport> AsyncBufRead for ReadHalf<T> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        let polled = this.reading.poll_fill_buf(&mut this.io, &this.shared.0.link, cx);
        this.pay_owed(cx);
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
            shared.link.leave(Side::Writer);
            shared.writer_gone.store(true, Ordering::SeqCst);
            // Where the reader is at it, the reader does it when it is done.
            shared.abandon();
        }
    }
}

impl<T: SplitTransport> WriteHalf<T> {
    /// How the half ended; `None` while it is open or its end is not on the wire. Once there, it never changes.
    pub fn sent_ending(&self) -> Option<SentEnding> {
        self.shared.as_ref()?.sent.get().cloned()
    }

    fn poll<R>(
        &self,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut T::WriteHalf, &mut Writing, &Link, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let shared = self.shared.as_ref().expect("only reunite takes it, and the half with it");
        shared.poll(Side::Writer, cx, poll)
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
        self.poll(cx, |io, writing, link, cx| writing.poll_write(io, link, cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |io, writing, link, cx| writing.poll_flush(io, link, cx))
    }

    /// Flushes, sends `close_notify`, flushes, ends the transport's sending direction. Idempotent. Reading goes on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(cx, |io, writing, link, cx| writing.poll_end(io, link, cx, Extent::Transport))
    }
}

impl<T: SplitTransport> fmt::Debug for ReadHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl<T: SplitTransport> fmt::Debug for WriteHalf<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

/// Two halves of different sessions, given back.
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
struct ReaderShare<T: SplitTransport>(Arc<Shared<T>>);

impl<T: SplitTransport> Drop for ReaderShare<T> {
    fn drop(&mut self) {
        self.0.link.leave(Side::Reader);
    }
}

/// What the halves share.
struct Shared<T: SplitTransport> {
    place: Mutex<Place<T::WriteHalf>>,
    link: Link,
    /// The ending of the sending half, once it has one: to be asked for without the place.
    sent: OnceLock<SentEnding>,
    writer_gone: AtomicBool,
    writer_turned_away: AtomicBool,
    reader_turned_away: AtomicBool,
}

/// Where the transport's write half lies.
struct Place<W> {
    /// `None` when the write half was dropped.
    io: Option<W>,
    writing: Writing,
}

impl<T: SplitTransport> Shared<T> {
    /// Polls the transport's write half for `side`. When the other side is at it, the answer is pending, and that side
    /// wakes this one when it is done.
    fn poll<R>(
        &self,
        side: Side,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut T::WriteHalf, &mut Writing, &Link, &mut Context<'_>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let Some(mut place) = self.take_place(side, cx) else { return Poll::Pending };
        let Place { io, writing } = &mut *place;
        let polled = self.link.poll(side, cx, |cx| match io {
            Some(io) => poll(io, writing, &self.link, cx),
            // The reader owes, and the writer is gone: an abort sends no more.
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        });
        if let Some(ending) = writing.sent_ending() {
            self.sent.get_or_init(|| ending.clone());
        }
        drop(place);
        self.abandon();
        let other = side.other();
        if self.turned_away(other).swap(false, Ordering::SeqCst) {
            self.link.wake(other);
        }
        polled
    }

    /// The place; where the other side has it, a mark and a waker for that side to find.
    fn take_place(&self, side: Side, cx: &Context<'_>) -> Option<MutexGuard<'_, Place<T::WriteHalf>>> {
        if let Some(place) = self.try_lock() {
            return Some(place);
        }
        self.link.wait(side, cx);
        self.turned_away(side).store(true, Ordering::SeqCst);
        // The other may have let go, and looked, before the mark was there: then it is free now.
        let place = self.try_lock()?;
        self.turned_away(side).store(false, Ordering::SeqCst);
        Some(place)
    }

    /// Ends the transport's sending direction when the writer is gone, unless somebody has the place, who does it then.
    fn abandon(&self) {
        if self.writer_gone.load(Ordering::SeqCst)
            && let Some(mut place) = self.try_lock()
        {
            place.writing.abort(SentEnding::Aborted);
            let io = place.io.take();
            drop(place);
            // Outside the lock: it is the transport's code.
            drop(io);
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Place<T::WriteHalf>>> {
        match self.place.try_lock() {
            Ok(place) => Some(place),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn turned_away(&self, side: Side) -> &AtomicBool {
        match side {
            Side::Writer => &self.writer_turned_away,
            Side::Reader => &self.reader_turned_away,
        }
    }
}

impl SplitTransport for TcpStream {
    type ReadHalf = tcp::OwnedReadHalf;
    type WriteHalf = tcp::OwnedWriteHalf;

    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        self.into_split()
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        read.reunite(write).expect("halves of one socket")
    }
}

impl SplitTransport for UnixStream {
    type ReadHalf = unix::OwnedReadHalf;
    type WriteHalf = unix::OwnedWriteHalf;

    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        self.into_split()
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        read.reunite(write).expect("halves of one socket")
    }
}

impl SplitTransport for DuplexStream {
    type ReadHalf = tokio::io::ReadHalf<Self>;
    type WriteHalf = tokio::io::WriteHalf<Self>;

    #[expect(
        clippy::disallowed_methods,
        reason = "an in-memory pipe has no halves of its own, and its polls are short"
    )]
    fn split(self) -> (Self::ReadHalf, Self::WriteHalf) {
        tokio::io::split(self)
    }

    fn reunite(read: Self::ReadHalf, write: Self::WriteHalf) -> Self {
        read.unsplit(write)
    }
}
