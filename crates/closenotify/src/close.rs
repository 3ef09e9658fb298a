//! The two strong ways to end a session: [`close`], which loses nothing and cannot hang, and [`end_tls`], which gives the
//! transport back. Both are bounded by a deadline; the weak way is `poll_shutdown` of the streams.

use crate::stream::Stream;
use crate::writing::Extent;
use closenotify_core::{Deadline, ReceivedEnding, SentEnding, TransportEnd};
use std::error::Error;
use std::fmt;
use std::future::{Future as _, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

/// The bounds of a close: how long it may take in all, and how many bytes of the peer's are read and thrown away while it
/// lasts. Whichever is reached first ends it.
///
/// ```
/// use closenotify::Linger;
/// use std::time::Duration;
///
/// let patient = Linger { time: Duration::from_secs(30), ..Linger::default() };
/// assert_eq!(patient.bytes, 16 * 1024 * 1024);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// From the call of `close` to its answer, at most; 5 seconds by default.
    pub time: Duration,
    /// Bytes read and thrown away, at most (by less than a read more); 16 MiB by default.
    pub bytes: u64,
}

impl Default for Linger {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), bytes: 16 * 1024 * 1024 }
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
    let mut deadline = pin!(sleep(linger.time));
    let (mut shut, mut failed, mut drained, mut discarded) = (false, false, false, 0);
    let in_time = poll_fn(|cx| {
        if !shut && let Poll::Ready(result) = stream.poll_end(cx, Extent::Transport) {
            shut = true;
            failed = result.is_err();
        }
        // While we still send, too: a peer that is stuck writing to us would never read. With nothing on its way to the
        // peer there is nothing that waiting could save: then only what is there already is read, for its ending.
        if !drained {
            drained = stream.poll_discard(cx, &mut discarded, linger.bytes).is_ready() || failed;
        }
        if shut && drained {
            return Poll::Ready(true);
        }
        // Last, so that what can be done at once is done whatever the bound.
        deadline.as_mut().poll(cx).map(|()| false)
    })
    .await;
    let (received, sent) = if in_time {
        (TransportEnd::Abandoned, SentEnding::Aborted)
    } else {
        (TransportEnd::TimedOut(Deadline::Close), SentEnding::TimedOut(Deadline::Close))
    };
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
