//! The two strong ways to end a session: [`close`], which loses nothing and cannot hang, and [`end_tls`], which gives the
//! transport back. Both are bounded by a deadline; the weak way is `poll_shutdown` of the streams.

use crate::stream::Stream;
use crate::writing::Extent;
use closenotify_core::{Deadline, ReceivedEnding, SentEnding, TransportEnd};
use std::error::Error;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// The bounds of a close: how long it waits for a byte to move, how long it may take in all, and how many bytes of the
/// peer's are read and thrown away while it lasts. Whichever is reached first ends it.
///
/// A peer that is slow but reads on gets everything, so long as no `idle` passes without a byte; one that drips cannot hold
/// the connection for longer than `time`. What moves is what the transport takes and gives: bytes that lie in the kernel and
/// that a peer reads slowly are not seen.
///
/// ```
/// use closenotify::Linger;
/// use std::time::Duration;
///
/// let patient = Linger { idle: Duration::from_secs(20), ..Linger::default() };
/// assert_eq!(patient.bytes, 16 * 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// Without a byte taken by the transport or arriving from it, at most; 5 seconds by default.
    pub idle: Duration,
    /// From the call of `close` to its answer, at most; 30 seconds by default.
    pub time: Duration,
    /// Bytes read and thrown away, at most (by less than a read more); 16 MiB by default.
    pub bytes: u64,
}

impl Default for Linger {
    fn default() -> Self {
        Self { idle: Duration::from_secs(5), time: Duration::from_secs(30), bytes: 16 * 1024 * 1024 }
    }
}

/// How a session ended: what [`close`](crate::TlsStream::close) answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// How the receiving half ended.
    pub received: ReceivedEnding,
    /// How the sending half ended.
    pub sent: SentEnding,
    /// How many bytes of the peer's were thrown away during the close: plaintext, and raw bytes behind its close_notify,
    /// its fatal alert, or what broke the protocol.
    pub discarded: u64,
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

pub(crate) async fn close<T: AsyncRead + AsyncWrite + Unpin>(mut stream: Stream<T>, linger: Linger) -> Ended {
    let mut closing = Closing::new(linger);
    poll_fn(|cx| closing.poll(&mut stream, cx)).await
}

/// A close under way. Its time begins when it is made.
#[derive(Debug)]
pub(crate) struct Closing {
    deadline: Pin<Box<Sleep>>,
    /// The bound that no progress puts off.
    last: Instant,
    idle: Duration,
    /// The stream's count of bytes moved, when it was last looked at.
    moved: u64,
    budget: u64,
    shut: bool,
    /// Why the transport's sending direction could not be ended, or written to.
    failed: Option<io::ErrorKind>,
    drained: bool,
    discarded: u64,
}

impl Closing {
    pub(crate) fn new(linger: Linger) -> Self {
        let last = after(linger.time);
        Self {
            deadline: Box::pin(sleep_until(last.min(after(linger.idle)))),
            last,
            idle: linger.idle,
            moved: 0,
            budget: linger.bytes,
            shut: false,
            failed: None,
            drained: false,
            discarded: 0,
        }
    }

    /// Why the shutdown failed, if it did.
    pub(crate) fn failed(&self) -> Option<io::ErrorKind> {
        self.failed
    }

    /// How many bytes were thrown away so far.
    pub(crate) fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Not to be polled again after it has answered.
    pub(crate) fn poll<T: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut Stream<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Ended> {
        if !self.shut
            && let Poll::Ready(result) = stream.poll_end(cx, Extent::Transport)
        {
            self.shut = true;
            self.failed = result.err().map(|error| error.kind());
        }
        // While we still send, too: a peer that is stuck writing to us would never read. With nothing on its way to the
        // peer there is nothing that waiting could save: then only what is there already is read, for its ending.
        if !self.drained {
            self.drained =
                stream.poll_discard(cx, &mut self.discarded, self.budget).is_ready() || self.failed.is_some();
        }
        let (received, sent) = if self.shut && self.drained {
            (TransportEnd::Abandoned, SentEnding::Aborted)
        } else {
            let moved = stream.reading.arrived() + stream.writing.taken();
            if std::mem::replace(&mut self.moved, moved) != moved {
                self.deadline.as_mut().reset(self.last.min(after(self.idle)));
            }
            // Last, so that what can be done at once is done whatever the bound.
            ready!(self.deadline.as_mut().poll(cx));
            (TransportEnd::TimedOut(Deadline::Close), SentEnding::TimedOut(Deadline::Close))
        };
        Poll::Ready(give_up(stream, received, sent, self.discarded))
    }
}

/// The instant so much later; a year from now where the clock does not reach it.
fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or_else(|| now + Duration::from_secs(365 * 24 * 60 * 60))
}

/// The endings that are recorded, and where there is none, these.
pub(crate) fn give_up<T>(stream: &mut Stream<T>, received: TransportEnd, sent: SentEnding, discarded: u64) -> Ended {
    Ended { received: stream.reading.give_up(received), sent: stream.writing.abort(sent), discarded }
}

pub(crate) async fn end_tls<T: AsyncRead + AsyncWrite + Unpin>(
    mut stream: Stream<T>,
    deadline: Duration,
) -> Result<(T, Vec<u8>), EndTlsError<Stream<T>>> {
    let mut deadline = pin!(sleep(deadline));
    let mut closed = false;
    let result = poll_fn(|cx| {
        if !closed && let Poll::Ready(result) = stream.poll_end(cx, Extent::Session) {
            closed = true;
            match (result, stream.writing.sent_ending()) {
                (Ok(()), Some(SentEnding::CloseNotify)) => {}
                (_, ending) => {
                    let ending = ending.cloned().unwrap_or(SentEnding::Aborted);
                    return Poll::Ready(Err(EndTlsFault::Sent(ending)));
                }
            }
        }
        let unread = match stream.poll_fill_buf(cx) {
            Poll::Ready(Ok(plaintext)) => !plaintext.is_empty(),
            Poll::Ready(Err(_)) | Poll::Pending => false,
        };
        match stream.reading.received_ending() {
            _ if unread => Poll::Ready(Err(EndTlsFault::UnreadPlaintext)),
            Some(ReceivedEnding::CloseNotify { .. }) if closed => Poll::Ready(Ok(())),
            // Woken by the transport, when it has more or takes more; else late.
            Some(ReceivedEnding::CloseNotify { .. }) | None => {
                deadline.as_mut().poll(cx).map(|()| Err(EndTlsFault::TimedOut))
            }
            Some(other) => Poll::Ready(Err(EndTlsFault::Received(other.clone()))),
        }
    })
    .await;
    match result {
        Ok(()) => Ok((stream.io, stream.reading.into_trailing().into())),
        Err(fault) => Err(EndTlsError { stream, fault }),
    }
}

/// Why TLS could not be ended with the transport going on: what [`end_tls`](crate::TlsStream::end_tls) answers.
#[derive(Debug)]
pub struct EndTlsError<S> {
    /// The stream as it is, to read on, to try again, or to drop.
    pub stream: S,
    /// What is in the way.
    pub fault: EndTlsFault,
}

impl<S> EndTlsError<S> {
    pub(crate) fn map_stream<R>(self, wrap: impl FnOnce(S) -> R) -> EndTlsError<R> {
        EndTlsError { stream: wrap(self.stream), fault: self.fault }
    }
}

impl<S> fmt::Display for EndTlsError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl<S: fmt::Debug> Error for EndTlsError<S> {}

/// What is in the way of ending TLS with the transport going on.
#[derive(Clone, Debug, PartialEq)]
pub enum EndTlsFault {
    /// The peer has sent plaintext that was not read. Read to the end, then call again.
    UnreadPlaintext,
    /// The peer's close_notify did not come in time, or ours did not go out.
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
            Self::TimedOut => f.write_str("both close_notify alerts were not exchanged in time"),
            Self::Received(ending) => ending.fmt(f),
            Self::Sent(ending) => ending.fmt(f),
        }
    }
}
