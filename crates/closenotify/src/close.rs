//! The two strong ways to end a session: [`close`], which loses nothing and cannot hang, and [`end_tls`], which gives the
//! transport back. Both are bounded; the weak way is `poll_shutdown` of the streams. And [`linger`], which does for a
//! transport alone what a close does for a session.

use crate::buffers::{self, SCRAP};
use crate::clock;
use crate::outbox::Extent;
use crate::reading::poll_read_buf;
use crate::stream::Stream;
use closenotify_core::{Deadline, ReceivedEnding, SentEnding, TransportEnd};
use std::error::Error;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

/// The limits of a close: how long it waits without progress, how long in total, and how many of the peer's bytes it reads and
/// discards. The first limit that is reached ends it.
///
/// Progress is a byte that the transport accepts or delivers. Where the size of the transport's send queue is known, progress is
/// also a byte that leaves the queue: for Tokio's `TcpStream` and `UnixStream` on Linux, and for other transports after
/// [`set_send_queue`](crate::TlsStream::set_send_queue). A peer that reads slowly from a large kernel buffer thus gets
/// everything: while the queue shrinks, neither `idle` nor `time` ends the close. Once the queue is seen empty, `time` starts
/// again, so that the peer can read what its own kernel holds. A peer that stops reading is given up after a full `idle` (or
/// `time`, if that is less) in which nothing left the queue. To end a close at a fixed time in any case, wrap it in
/// [`tokio::time::timeout`]: dropping the close drops the stream.
///
/// ```
/// use closenotify::Linger;
/// use std::time::Duration;
///
/// let patient = Linger { idle: Duration::from_secs(20), ..Linger::default() };
/// assert_eq!(patient.bytes, 16 * 1024 * 1024);
/// ```
///
/// It is not `#[non_exhaustive]`, so that this struct expression works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// Without progress, at most; 5 seconds by default.
    pub idle: Duration,
    /// From the call to the return, at most, unless the send queue still shrinks; 30 seconds by default.
    pub time: Duration,
    /// Bytes read and discarded, at most (by less than a read more); 16 MiB by default.
    pub bytes: u64,
}

impl Default for Linger {
    fn default() -> Self {
        Self { idle: Duration::from_secs(5), time: Duration::from_secs(30), bytes: 16 * 1024 * 1024 }
    }
}

/// How a session ended: what [`close`](crate::TlsStream::close) returns.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Ended {
    /// How the receiving half ended.
    pub received: ReceivedEnding,
    /// How the sending half ended.
    pub sent: SentEnding,
    /// How many bytes of the transport came after the peer's close_notify, until the transport's end or the bound of the
    /// close: the same however they were cut into segments. 0 where the receiving half ended in another way.
    pub trailing: u64,
    /// How many bytes of the peer's were discarded during the close: plaintext, and raw bytes after its close_notify, its fatal
    /// alert, or what broke the protocol.
    pub discarded: u64,
    /// The transport's own error, when writing it, ending it or reading it failed during the close.
    pub error: Option<Arc<io::Error>>,
}

impl Ended {
    /// Whether both halves ended with a close_notify.
    pub fn is_clean(&self) -> bool {
        self.received.is_clean() && self.sent.is_clean()
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.received, self.sent)
    }
}

pub(crate) async fn close<T: AsyncRead + AsyncWrite + Unpin + 'static>(mut stream: Stream<T>, linger: Linger) -> Ended {
    let mut closing = Closing::new(linger);
    poll_fn(|cx| closing.poll(&mut stream, cx)).await
}

/// Ends the sending direction of a transport, then reads on and discards until the peer has ended too, within `bounds`, and
/// drops it. Returns how many bytes were discarded.
///
/// For a transport that a failed handshake returned ([`Fallible`](crate::Fallible)): the kernel resets a socket that is closed
/// with unread data, and the reset may destroy the alert.
///
/// Dropping the future drops the transport.
///
/// Where Tokio has no clock (`enable_time`), nothing bounds it in time.
pub async fn linger<T: AsyncRead + AsyncWrite + Unpin>(mut io: T, bounds: Linger) -> u64 {
    let mut bound = Bound::new(bounds);
    let (mut shut, mut discarded) = (false, 0_u64);
    poll_fn(|cx| {
        shut = shut || Pin::new(&mut io).poll_shutdown(cx).is_ready();
        loop {
            if discarded >= bounds.bytes {
                return Poll::Ready(());
            }
            let mut scrap = buffers::take(SCRAP);
            let read = poll_read_buf(&mut io, cx, &mut scrap);
            buffers::give(scrap);
            match read {
                Poll::Ready(Ok(read @ 1..)) => discarded += read as u64,
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Pending => return bound.poll(cx, discarded, 0, || None),
            }
        }
    })
    .await;
    discarded
}

/// The bounds in time of a close in progress.
#[derive(Debug)]
struct Bound {
    /// `None` where there is no clock: then there are no bounds in time.
    sleep: Option<Pin<Box<Sleep>>>,
    linger: Linger,
    /// When the close ends though bytes move.
    last: Instant,
    /// The counts of bytes that arrived and that the transport took, when they were last looked at.
    arrived: u64,
    taken: u64,
    /// The send queue when time was last about to be up; `None` when the transport has taken more since.
    queue: Option<u64>,
}

impl Bound {
    fn new(linger: Linger) -> Self {
        let last = after(linger.time);
        let sleep = clock::start(linger.time.min(linger.idle));
        Self { sleep, linger, last, arrived: 0, taken: 0, queue: None }
    }

    fn put_off(&mut self, until: Instant) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(until);
        }
    }

    /// Whether the time is up, with so many bytes arrived and taken in all. `queue` is asked only when it is about to be.
    fn poll(&mut self, cx: &mut Context<'_>, arrived: u64, taken: u64, queue: impl Fn() -> Option<u64>) -> Poll<()> {
        if self.taken != taken {
            // What leaves the queue from here on cannot be told from what came.
            self.queue = None;
        }
        if (self.arrived, self.taken) != (arrived, taken) {
            (self.arrived, self.taken) = (arrived, taken);
            let until = self.last.min(after(self.linger.idle));
            self.put_off(until);
        }
        loop {
            // Last, so that what can be done at once is done whatever the bound.
            let Some(sleep) = &mut self.sleep else { return Poll::Pending };
            ready!(sleep.as_mut().poll(cx));
            let before = std::mem::replace(&mut self.queue, queue());
            match (before, self.queue) {
                (None, Some(1..)) => {}
                (Some(before), Some(now)) if now < before => {}
                // It is delivered, or the peer takes no more of it, or nobody can tell.
                _ => return Poll::Ready(()),
            }
            let idle = after(self.linger.idle.min(self.linger.time));
            self.last = if self.queue == Some(0) { after(self.linger.time) } else { self.last.max(idle) };
            self.put_off(self.last.min(idle));
        }
    }
}

/// A close in progress. Its time begins when it is made.
#[derive(Debug)]
pub(crate) struct Closing {
    bound: Bound,
    shut: bool,
    /// Why the transport's sending direction could not be ended, or written to.
    failed: Option<Arc<io::Error>>,
    drained: bool,
    discarded: u64,
}

impl Closing {
    pub(crate) fn new(linger: Linger) -> Self {
        Self { bound: Bound::new(linger), shut: false, failed: None, drained: false, discarded: 0 }
    }

    /// Why the sending half or the end of the transport's sending direction failed, if it did.
    pub(crate) fn failed(&self) -> Option<Arc<io::Error>> {
        self.failed.clone()
    }

    /// How many bytes were discarded so far.
    pub(crate) fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Not to be polled again after it has returned `Ready`.
    pub(crate) fn poll<T: AsyncRead + AsyncWrite + Unpin + 'static>(
        &mut self,
        stream: &mut Stream<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        if !self.shut {
            if let Poll::Ready(result) = stream.poll_end(cx, Extent::Transport) {
                self.shut = true;
                self.failed = result.err().map(Arc::new);
            }
        }
        // While we still send, too: a peer that is stuck writing to us would never read. With nothing on its way to the
        // peer there is nothing that waiting could save: then only what is there already is read, for its ending.
        if !self.drained {
            let budget = self.bound.linger.bytes;
            self.drained = stream.poll_discard(cx, &mut self.discarded, budget).is_ready() || self.failed.is_some();
        }
        let (received, sent) = if self.shut && self.drained {
            (TransportEnd::Abandoned, SentEnding::Aborted)
        } else {
            let (arrived, taken) = (stream.reading.arrived(), stream.outbox.taken());
            ready!(self.bound.poll(cx, arrived, taken, || stream.send_queue()));
            (TransportEnd::TimedOut(Deadline::Close), SentEnding::TimedOut(Deadline::Close))
        };
        let ended = give_up(stream, received, sent, self.discarded);
        let error = self.failed.clone().or_else(|| stream.reading.take_failure().map(Arc::new));
        Poll::Ready(Ended { error, ..ended })
    }
}

/// The instant so much later; a year from now where the clock does not reach it.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
}

/// The endings that are recorded, and where there is none, these.
pub(crate) fn give_up<T>(stream: &mut Stream<T>, received: TransportEnd, sent: SentEnding, discarded: u64) -> Ended {
    Ended {
        received: stream.reading.give_up(received),
        sent: stream.outbox.abort(sent),
        trailing: stream.reading.trailing(),
        discarded,
        error: None,
    }
}

pub(crate) async fn end_tls<T: AsyncRead + AsyncWrite + Unpin>(
    mut stream: Stream<T>,
    deadline: Duration,
) -> Result<(T, Vec<u8>), EndTlsError<Stream<T>>> {
    let mut deadline = clock::start(deadline);
    let (mut closed, mut failed) = (false, None);
    let result = poll_fn(|cx| {
        if !closed {
            if let Poll::Ready(result) = stream.poll_end(cx, Extent::Session) {
                closed = true;
                match (result, stream.outbox.sent_ending()) {
                    (Ok(()), Some(SentEnding::CloseNotify)) => {}
                    (result, ending) => {
                        failed = result.err();
                        let ending = ending.cloned().unwrap_or(SentEnding::Aborted);
                        return Poll::Ready(Err(EndTlsFault::Sent(ending)));
                    }
                }
            }
        }
        let unread = match stream.poll_fill_buf(cx).map_ok(|plaintext| !plaintext.is_empty()) {
            Poll::Ready(Ok(unread)) => unread,
            Poll::Ready(Err(error)) => {
                stream.reading.put_back(error);
                false
            }
            Poll::Pending => false,
        };
        match stream.reading.received_ending() {
            _ if unread => Poll::Ready(Err(EndTlsFault::UnreadPlaintext)),
            Some(ReceivedEnding::CloseNotify) if closed => Poll::Ready(Ok(())),
            // Woken by the transport, when it has more or takes more; else late.
            Some(ReceivedEnding::CloseNotify) | None => match &mut deadline {
                Some(deadline) => deadline.as_mut().poll(cx).map(|()| Err(EndTlsFault::TimedOut)),
                None => Poll::Pending,
            },
            Some(other) => Poll::Ready(Err(EndTlsFault::Received(other.clone()))),
        }
    })
    .await;
    match result {
        Ok(()) => Ok((stream.io, stream.reading.into_trailing().into())),
        Err(fault) => {
            let error = failed.or_else(|| stream.reading.take_failure());
            Err(EndTlsError { stream, fault, error })
        }
    }
}

/// Why TLS could not be ended with the transport going on: what [`end_tls`](crate::TlsStream::end_tls) returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct EndTlsError<S> {
    /// The stream as it is, to read on, to try again, or to drop.
    pub stream: S,
    /// What is in the way.
    pub fault: EndTlsFault,
    /// The transport's own error, when reading or writing it failed.
    pub error: Option<io::Error>,
}

impl<S> EndTlsError<S> {
    pub(crate) fn map_stream<R>(self, wrap: impl FnOnce(S) -> R) -> EndTlsError<R> {
        EndTlsError { stream: wrap(self.stream), fault: self.fault, error: self.error }
    }
}

impl<S> fmt::Display for EndTlsError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl<S: fmt::Debug> Error for EndTlsError<S> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.as_ref().map(|error| error as _)
    }
}

/// What is in the way of ending TLS with the transport going on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EndTlsFault {
    /// The peer has sent plaintext that was not read. Read to the end, then call again.
    UnreadPlaintext,
    /// The peer's close_notify did not arrive in time, or ours was not sent in time.
    TimedOut,
    /// The receiving half ended in another way than by close_notify.
    Received(ReceivedEnding),
    /// The sending half ended in another way than by close_notify.
    Sent(SentEnding),
}

impl fmt::Display for EndTlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreadPlaintext => f.write_str("the peer has sent data that was not read; read to the end first"),
            Self::TimedOut => f.write_str("the two close_notify alerts were not exchanged in time"),
            Self::Received(ending) => ending.fmt(f),
            Self::Sent(ending) => ending.fmt(f),
        }
    }
}
