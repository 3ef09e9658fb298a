//! One side of a relay: what comes from it, what goes to it, and how each of the two ended.
//!
//! A leg knows what an end means (complete or truncated); what follows from that is the relay's.

use crate::config::TruncationPolicy;
use crate::events::{Received, Sent};
use crate::socket::Transport;
use bytes::BytesMut;
use closenotify::{Deadline, ReceivedEnding, SentEnding, TlsStream, TruncatedAt, io_kind_word};
use pollcheck::meter::{Gauge, Metered};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite as _};

/// What came from a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// At least one byte, after those in the buffer.
    Data,
    /// The end, and nothing is missing, or nothing that the policy minds.
    Whole,
    /// The end, and something may be missing.
    Cut,
}

/// A leg takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

pub(crate) trait Leg {
    /// Reads into the room that `buf` has. After an end it returns the same end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<Arrival>;

    /// Takes some of `data`, which is not empty.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Gone>>;

    /// Returns `Ok` once the kernel has everything taken.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Ends what goes to the leg, cleanly, after everything taken. From then on closing the connection destroys nothing.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Becomes ready when the leg, whose end has come whole, turns out to be reset, so that nothing can reach it any more.
    /// What it sends after its end is discarded.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Bytes that the leg's kernel has not acknowledged, where ours knows.
    fn unsent(&self) -> Option<u64>;

    /// Whether the connection is known to be reset, though what came before may not be read yet.
    fn is_dead(&self) -> bool;

    /// The meter of the transport.
    fn gauge(&self) -> Gauge;
}

/// A TLS side: the client's, or an upstream's.
#[derive(Debug)]
pub(crate) struct TlsLeg<T> {
    stream: TlsStream<Metered<T>>,
    policy: TruncationPolicy,
    /// How often there was something after the peer's close_notify while its answer was awaited, and how many bytes.
    looks: u32,
    looked: u64,
    /// The peer sent close_notify, read everything, and left before our close_notify, which a Unix socket then refuses.
    left: bool,
}

impl<T: Transport> TlsLeg<T> {
    pub(crate) fn new(stream: impl Into<TlsStream<Metered<T>>>, policy: TruncationPolicy) -> Self {
        Self { stream: stream.into(), policy, looks: 0, looked: 0, left: false }
    }

    pub(crate) fn received(&self) -> Option<&ReceivedEnding> {
        self.stream.received_ending()
    }

    /// How our stream ended. A peer that has left after everything has got everything, as far as any kernel can say: TCP takes
    /// the close_notify for it, too.
    pub(crate) fn sent(&self) -> Option<&SentEnding> {
        if self.left { Some(&SentEnding::CloseNotify) } else { self.stream.sent_ending() }
    }

    /// How many bytes after the peer's close_notify were read in search of a reset.
    pub(crate) fn looked(&self) -> u64 {
        self.looked
    }

    pub(crate) fn into_stream(self) -> TlsStream<Metered<T>> {
        self.stream
    }

    /// The transport, to look at.
    pub(crate) fn transport(&self) -> &T {
        self.stream.get_ref().0.get_ref()
    }

    /// Whether a write found the connection broken, other than by a reset after the peer's FIN.
    fn write_failed(&self) -> bool {
        matches!(self.stream.sent_ending(), Some(SentEnding::Failed(kind)) if *kind != io::ErrorKind::BrokenPipe)
    }

    /// Which arrival the recorded ending is.
    fn end(&self) -> Arrival {
        let tolerant = self.policy == TruncationPolicy::Tolerant;
        match self.stream.received_ending() {
            Some(ReceivedEnding::CloseNotify) => Arrival::Whole,
            // Only here may the stream be complete; but no FIN came where a write has taken the connection's error.
            Some(ReceivedEnding::Truncated { at: TruncatedAt::Boundary }) if tolerant && !self.write_failed() => {
                Arrival::Whole
            }
            Some(_) | None => Arrival::Cut,
        }
    }
}

impl<T: Transport> Leg for TlsLeg<T> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<Arrival> {
        Poll::Ready(match ready!(poll_read_buf(&mut self.stream, cx, buf)) {
            Ok(1..) => Arrival::Data,
            Ok(0) | Err(_) => self.end(),
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Gone>> {
        Pin::new(&mut self.stream).poll_write(cx, data).map_err(gone)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Pin::new(&mut self.stream).poll_flush(cx).map_err(gone)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        if self.transport().refuses_late_writes() {
            // Then only our close_notify is left to be refused. Elsewhere it goes with the last data.
            ready!(self.poll_flush(cx))?;
        }
        if let Err(error) = ready!(Pin::new(&mut self.stream).poll_shutdown(cx)) {
            let ended = matches!(self.stream.received_ending(), Some(ReceivedEnding::CloseNotify));
            self.left = ended && error.kind() == io::ErrorKind::BrokenPipe && self.transport().left_after_all();
            return Poll::Ready(if self.left { Ok(()) } else { Err(gone(error)) });
        }
        // A session that a fatal alert ended shuts down too, but not cleanly.
        Poll::Ready(match self.stream.sent_ending() {
            Some(SentEnding::CloseNotify) => {
                self.transport().disarm();
                Ok(())
            }
            Some(_) | None => Err(Gone),
        })
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // After a close_notify nothing is TLS any more, and nobody else reads. After another end there is nothing.
        if !matches!(self.stream.received_ending(), Some(ReceivedEnding::CloseNotify)) {
            return Poll::Pending;
        }
        while self.looks < LOOKS_MAX {
            let mut scrap = BytesMut::with_capacity(LOOK);
            match ready!(poll_read_buf(self.stream.get_mut().0, cx, &mut scrap)) {
                Ok(read @ 1..) => {
                    self.looks += 1;
                    self.looked += read as u64;
                }
                // FIN: the leg still waits for what goes to it.
                Ok(0) => self.looks = LOOKS_MAX,
                Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn unsent(&self) -> Option<u64> {
        self.transport().unsent()
    }

    fn is_dead(&self) -> bool {
        self.transport().is_dead()
    }

    fn gauge(&self) -> Gauge {
        self.stream.get_ref().0.gauge()
    }
}

/// A plain side: an upstream's, or a client's whose TLS is passed through.
#[derive(Debug)]
pub(crate) struct TcpLeg<T> {
    io: Metered<T>,
    received: Option<TcpEnding>,
    sent: Option<TcpEnding>,
    /// What a write found. The kernel tells an error once: a read after it would see an end that looks complete.
    found: Option<TcpEnding>,
}

impl<T: Transport> TcpLeg<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io: Metered::new(io), received: None, sent: None, found: None }
    }

    pub(crate) fn received(&self) -> Option<TcpEnding> {
        self.received
    }

    pub(crate) fn sent(&self) -> Option<TcpEnding> {
        self.sent
    }

    pub(crate) fn into_inner(self) -> T {
        self.io.into_inner()
    }

    fn failed(&mut self, error: &io::Error) -> Gone {
        match error.kind() {
            // It came after the peer's FIN, so what it sent is complete; or it is ours.
            io::ErrorKind::BrokenPipe | io::ErrorKind::WriteZero => {}
            kind => drop(self.found.get_or_insert(TcpEnding::of(kind))),
        }
        self.sent.get_or_insert(TcpEnding::Failed(error.kind()));
        Gone
    }
}

impl<T: Transport> Leg for TcpLeg<T> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<Arrival> {
        if let Some(ending) = self.received {
            return Poll::Ready(ending.arrival());
        }
        let ending = match ready!(poll_read_buf(&mut self.io, cx, buf)) {
            Ok(1..) => return Poll::Ready(Arrival::Data),
            Ok(0) => self.found.unwrap_or(TcpEnding::Fin),
            Err(error) => TcpEnding::of(error.kind()),
        };
        self.received = Some(ending);
        Poll::Ready(ending.arrival())
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Gone>> {
        Poll::Ready(match ready!(Pin::new(&mut self.io).poll_write(cx, data)) {
            Ok(0) => Err(self.failed(&io::ErrorKind::WriteZero.into())),
            Ok(written) => Ok(written),
            Err(error) => Err(self.failed(&error)),
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let flushed = ready!(Pin::new(&mut self.io).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| self.failed(&error)))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(match ready!(Pin::new(&mut self.io).poll_shutdown(cx)) {
            Ok(()) => {
                self.sent.get_or_insert(TcpEnding::Fin);
                self.io.get_ref().disarm();
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        })
    }

    fn poll_reset(&mut self, _: &mut Context<'_>) -> Poll<()> {
        // After FIN a read says the same for ever, whatever comes.
        Poll::Pending
    }

    fn unsent(&self) -> Option<u64> {
        self.io.get_ref().unsent()
    }

    fn is_dead(&self) -> bool {
        self.io.get_ref().is_dead()
    }

    fn gauge(&self) -> Gauge {
        self.io.gauge()
    }
}

/// A side of a session: TLS, or bytes as they are.
#[derive(Debug)]
pub(crate) enum Side<T> {
    Tls(Box<TlsLeg<T>>),
    Tcp(TcpLeg<T>),
}

impl<T: Transport> Side<T> {
    /// How its peer's stream ended, if it has.
    pub(crate) fn received(&self) -> Option<Received> {
        match self {
            Self::Tls(leg) => leg.received().cloned().map(Received::from),
            Self::Tcp(leg) => leg.received().map(Received::from),
        }
    }

    /// How the stream to its peer ended, if it has.
    pub(crate) fn sent(&self) -> Option<Sent> {
        match self {
            Self::Tls(leg) => leg.sent().cloned().map(Sent::from),
            Self::Tcp(leg) => leg.sent().map(Sent::from),
        }
    }
}

macro_rules! of_either {
    ($side:expr, $leg:ident => $call:expr) => {
        match $side {
            Side::Tls($leg) => $call,
            Side::Tcp($leg) => $call,
        }
    };
}

impl<T: Transport> Leg for Side<T> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<Arrival> {
        of_either!(self, leg => leg.poll_receive(cx, buf))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Gone>> {
        of_either!(self, leg => leg.poll_send(cx, data))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        of_either!(self, leg => leg.poll_flush(cx))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        of_either!(self, leg => leg.poll_finish(cx))
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        of_either!(self, leg => leg.poll_reset(cx))
    }

    fn unsent(&self) -> Option<u64> {
        of_either!(self, leg => leg.unsent())
    }

    fn is_dead(&self) -> bool {
        of_either!(self, leg => leg.is_dead())
    }

    fn gauge(&self) -> Gauge {
        of_either!(self, leg => leg.gauge())
    }
}

/// How one direction of a plain connection ended.
///
/// | ending | machine word | received | sent |
/// |---|---|---|---|
/// | `Fin` | `fin` | the peer's FIN, after all of its data | our FIN, after all data |
/// | `Reset` | `reset` | the peer reset the connection | we reset it |
/// | `Failed(kind)` | `failed_kind` | reading failed otherwise | writing failed |
/// | `TimedOut(d)` | `timed_out_d` | a deadline of ours passed first | the same |
/// | `Abandoned` | `abandoned` | we stopped reading before any end came | - |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpEnding {
    /// FIN: everything was sent.
    Fin,
    /// RST.
    Reset,
    /// The system said otherwise.
    Failed(io::ErrorKind),
    /// A deadline of ours passed.
    TimedOut(Deadline),
    /// We stopped before the end was seen.
    Abandoned,
}

impl TcpEnding {
    fn arrival(self) -> Arrival {
        if self == Self::Fin { Arrival::Whole } else { Arrival::Cut }
    }

    /// The ending that an error is.
    fn of(kind: io::ErrorKind) -> Self {
        match kind {
            io::ErrorKind::ConnectionReset => Self::Reset,
            kind => Self::Failed(kind),
        }
    }

    /// The stable machine word.
    pub fn word(self) -> Cow<'static, str> {
        match self {
            Self::Fin => "fin".into(),
            Self::Reset => "reset".into(),
            Self::Failed(kind) => format!("failed_{}", io_kind_word(kind)).into(),
            Self::TimedOut(deadline) => format!("timed_out_{}", deadline.word()).into(),
            Self::Abandoned => "abandoned".into(),
        }
    }
}

impl fmt::Display for TcpEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word())
    }
}

fn gone(_recorded_by_the_stream: io::Error) -> Gone {
    Gone
}

fn poll_read_buf<R: AsyncRead + Unpin>(
    io: &mut R,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    pin!(io.read_buf(buf)).poll(cx)
}

/// How often bytes after a peer's close_notify are read and discarded in search of a reset: a correct peer sends none, and
/// another must not make us poll for each byte. Then nothing is read any more.
const LOOKS_MAX: u32 = 16;

/// How many bytes a look takes.
const LOOK: usize = 16 * 1024;
