//! One side of a relay: what comes from it, what goes to it, and how each of the two ended.
//!
//! A leg knows what an end means (whole or cut); what follows from that is the relay's.

use crate::config::TruncationPolicy;
use bytes::BytesMut;
use closenotify::{Deadline, ReceivedEnding, SentEnding, TruncatedAt, io_kind_word, server};
use pollcheck::meter::{Gauge, Metered};
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

/// What came from a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// At least one byte, behind those in the buffer.
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
    /// Reads into the room that `buf` has. After an end it is not called again.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<Arrival>;

    /// Takes some of `data`, which is not empty.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize, Gone>>;

    /// Everything taken is the kernel's when it answers `Ok`.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Ends what goes to the leg, cleanly, behind everything taken.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>>;

    /// Becomes ready when the leg, whose end has come whole, turns out to be reset, so that nothing can reach it any more.
    /// What it sends behind its end is thrown away.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// The meter of the transport.
    fn gauge(&self) -> Gauge;
}

/// The TLS client's side.
#[derive(Debug)]
pub(crate) struct TlsLeg<T> {
    stream: server::TlsStream<Metered<T>>,
    policy: TruncationPolicy,
    /// How often there was something after the client's close_notify while its answer was awaited, and how many bytes.
    looks: u32,
    looked: u64,
}

impl<T: AsyncRead + AsyncWrite + Unpin> TlsLeg<T> {
    pub(crate) fn new(stream: server::TlsStream<Metered<T>>, policy: TruncationPolicy) -> Self {
        Self { stream, policy, looks: 0, looked: 0 }
    }

    pub(crate) fn received(&self) -> Option<&ReceivedEnding> {
        self.stream.received_ending()
    }

    pub(crate) fn sent(&self) -> Option<&SentEnding> {
        self.stream.sent_ending()
    }

    /// How many bytes after the client's close_notify were read in search of a reset.
    pub(crate) fn looked(&self) -> u64 {
        self.looked
    }

    pub(crate) fn into_stream(self) -> server::TlsStream<Metered<T>> {
        self.stream
    }

    /// Which arrival the recorded ending is.
    fn end(&self) -> Arrival {
        let tolerant = self.policy == TruncationPolicy::Tolerant;
        match self.stream.received_ending() {
            Some(ReceivedEnding::CloseNotify) => Arrival::Whole,
            Some(
                ReceivedEnding::Truncated { at: TruncatedAt::Boundary | TruncatedAt::InsideRecord }
                | ReceivedEnding::Alert(_),
            ) if tolerant => Arrival::Whole,
            Some(_) | None => Arrival::Cut,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Leg for TlsLeg<T> {
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
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).map_err(gone)?;
        // A session that a fatal alert ended shuts down too, but not cleanly.
        Poll::Ready(match self.stream.sent_ending() {
            Some(SentEnding::CloseNotify) => Ok(()),
            Some(_) | None => Err(Gone),
        })
    }

    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Behind a close_notify nothing is TLS any more, and nobody else reads. Behind another end there is nothing.
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

    fn gauge(&self) -> Gauge {
        self.stream.get_ref().0.gauge()
    }
}

/// The plain upstream's side.
#[derive(Debug)]
pub(crate) struct TcpLeg<T> {
    io: Metered<T>,
    received: Option<TcpEnding>,
    sent: Option<TcpEnding>,
    /// A write found the connection reset. The kernel tells it once: a read behind it would see an end that looks whole.
    reset: bool,
}

impl<T: AsyncRead + AsyncWrite + Unpin> TcpLeg<T> {
    pub(crate) fn new(io: T) -> Self {
        Self { io: Metered::new(io), received: None, sent: None, reset: false }
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
        self.reset |= error.kind() == io::ErrorKind::ConnectionReset;
        self.sent.get_or_insert(TcpEnding::Failed(error.kind()));
        Gone
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Leg for TcpLeg<T> {
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut BytesMut) -> Poll<Arrival> {
        let ending = match ready!(poll_read_buf(&mut self.io, cx, buf)) {
            Ok(1..) => return Poll::Ready(Arrival::Data),
            Ok(0) if self.reset => TcpEnding::Reset,
            Ok(0) => TcpEnding::Fin,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => TcpEnding::Reset,
            Err(error) => TcpEnding::Failed(error.kind()),
        };
        self.received.get_or_insert(ending);
        Poll::Ready(if ending == TcpEnding::Fin { Arrival::Whole } else { Arrival::Cut })
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
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        })
    }

    fn poll_reset(&mut self, _: &mut Context<'_>) -> Poll<()> {
        // Behind FIN a read says the same for ever, whatever comes.
        Poll::Pending
    }

    fn gauge(&self) -> Gauge {
        self.io.gauge()
    }
}

/// How one direction of a plain TCP connection ended.
///
/// | ending | machine word | received | sent |
/// |---|---|---|---|
/// | `Fin` | `fin` | the peer's FIN, behind all of its data | our FIN, behind all data |
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

/// How often bytes behind a client's close_notify are read and thrown away in search of a reset: a right client sends none,
/// and another must not make us poll for each byte. Then nothing is read any more.
const LOOKS_MAX: u32 = 16;

/// How many bytes a look takes.
const LOOK: usize = 16 * 1024;
