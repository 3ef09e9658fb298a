//! A server's early data (RFC 9846 section 4.3.10): what a client sends before it has finished the handshake.
//!
//! It has a type of its own, because it can be a replay: whoever recorded it can send it again. It must not be taken for the
//! session: its end is not the session's, and no `close_notify` is sent before the client has finished.

use crate::close::{Linger, linger};
use crate::flight::{Filled, Flight, Refusal};
use crate::handshake::{Failed, Fallible, Handshaking, Phase, Reach, fallible};
use crate::link::{Link, Side};
use crate::outbox::Extent;
use crate::server::TlsStream;
use crate::stream::Stream;
use closenotify_core::{EarlyRead, Progress, SessionFacts};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A server's handshake up to where early data begins: made by
/// [`TlsAcceptor::accept_early`](crate::TlsAcceptor::accept_early) and
/// [`StartHandshake::into_early`](crate::StartHandshake::into_early).
///
/// Dropping it drops the transport, with no alert: the peer sees an unfinished handshake.
#[derive(Debug)]
#[must_use = "a handshake does nothing until it is awaited"]
pub struct AcceptEarly<T>(Option<Handshaking<T>>);

impl<T> AcceptEarly<T> {
    pub(crate) fn new(handshaking: Handshaking<T>) -> Self {
        Self(Some(handshaking))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AcceptEarly<T> {
    /// The same handshake, which returns the transport when it fails.
    pub fn into_fallible(self) -> Fallible<Self> {
        Fallible(self)
    }

    /// The same handshake. If it fails, it [lingers](linger()) before it returns the error, so that the alert arrives.
    ///
    /// # Errors
    ///
    /// As [`TlsAcceptor::accept`](crate::TlsAcceptor::accept). Dropping the future drops the transport.
    ///
    /// Where Tokio has no clock (`enable_time`), nothing bounds it in time.
    pub async fn lingering(self, bounds: Linger) -> io::Result<EarlyStream<T>> {
        match self.into_fallible().await {
            Ok(stream) => Ok(stream),
            Err((error, io)) => {
                linger(io, bounds).await;
                Err(error)
            }
        }
    }

    /// The transport; `None` after the future has returned its result.
    pub fn get_ref(&self) -> Option<&T> {
        self.0.as_ref().map(|handshaking| &handshaking.flight.io)
    }

    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<Result<EarlyStream<T>, Failed<T>>> {
        // A caller that polls on after the result has broken the contract of `Future`.
        let handshaking = self.0.as_mut().expect("a handshake is not polled after it has returned its result");
        let reached = ready!(handshaking.poll_reach(Reach::EarlyData, cx));
        let handshaking = self.0.take().expect("it was there above");
        Poll::Ready(match reached {
            Reach::Complete => handshaking.finish().map(|stream| EarlyStream(Some(State::Session(Box::new(stream))))),
            Reach::EarlyData => Ok(EarlyStream(Some(State::Early(Box::new(Early::new(handshaking)))))),
        })
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for AcceptEarly<T> {
    type Output = io::Result<EarlyStream<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_early(cx).map_err(|(refusal, _io)| refusal.into_io())
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Fallible<AcceptEarly<T>> {
    type Output = Result<EarlyStream<T>, (io::Error, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_early(cx).map(fallible)
    }
}

/// A session whose client may not have finished the handshake yet. Early data can be read, and responded to.
///
/// **What is read here can be a replay.** Anyone who recorded a client's first flight can send it again, and this stream then
/// delivers what the client sent at another time. Act on it only if doing so twice does no harm: a GET without side effects, but
/// not a payment. Once [`finish`](Self::finish) has returned, the client was live: early data that was not read here is no replay,
/// and the session's stream delivers it first. So a server that is in doubt reads nothing here, and finishes.
///
/// - A read returns the end (no bytes) when the client has finished the handshake, which a replay cannot. That is the end of the
///   early data, not of the session, which continues after `finish`. Where no early data came, or none was accepted, it returns
///   the end at once.
/// - What truncates the early data, a `close_notify` in it too, is an error, on this read and all later ones: a truncated
///   request never looks complete.
/// - A write goes out before the client has finished where `send_half_rtt_data` of the server's configuration allows it and
///   early data was accepted; otherwise it waits for the client.
/// - A shutdown waits for the client to finish, then sends the `close_notify` and ends the transport's sending direction, as
///   that of the session does.
///
/// It holds one record of the peer's, or with `finish`, `shutdown` or a write that waits also the early data that was not read,
/// at most `max_early_data_size`. The deadline of the handshake runs on, and counts the time that its owner takes, too: what
/// has arrived is processed however late, but the client is not waited for beyond it.
///
/// ```
/// use closenotify::{Linger, TlsAcceptor};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # use tokio::net::TcpStream;
///
/// # async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<()> {
/// let mut early = acceptor.accept_early(tcp).await?;
/// let mut request = Vec::new();
/// // Until the request is complete by its own framing: its end comes a round trip later.
/// while !request.ends_with(b"\r\n\r\n") && early.read_buf(&mut request).await? > 0 {}
/// if request.starts_with(b"GET /weather ") {
///     early.write_all(b"the same for every request").await?;
///     early.flush().await?;
/// }
/// let stream = early.finish().await?; // from here on nothing is a replay
/// stream.close(Linger::default()).await;
/// # Ok(())
/// # }
/// ```
///
/// Reading and writing can be split to two tasks by [`tokio::io::split`]. Dropping it drops the transport, with no alert: the
/// peer sees an unfinished handshake, or a session that was aborted.
pub struct EarlyStream<T>(Option<State<T>>);

/// ```text
///  Early ──finish, shutdown, a write that waits: the client has finished──▶ Session
///    └──the same, over a transport that has failed──▶ Failed
/// ```
enum State<T> {
    Early(Box<Early<T>>),
    Session(Box<Stream<T>>),
    /// The transport had failed when the client's last message was read from it.
    Failed(Refusal),
}

/// Why the option in an [`EarlyStream`] is never empty: it is filled again in the call that empties it.
const FILLED: &str = "only a change of the state takes it out, and puts the next in";

impl<T> EarlyStream<T> {
    /// The transport; `None` after a failure has closed it.
    pub fn get_ref(&self) -> Option<&T> {
        match self.0.as_ref().expect(FILLED) {
            State::Early(early) => Some(&early.handshaking.flight.io),
            State::Session(stream) => Some(&stream.io),
            State::Failed(_) => None,
        }
    }

    /// What is agreed on; `None` when the handshake has failed. [`SessionFacts::early_data`] is how much was read so far until
    /// the client has finished, and `None` when no early data was accepted.
    ///
    /// The certificate is the one that the client presented in the session that is resumed.
    pub fn facts(&self) -> Option<SessionFacts> {
        match self.0.as_ref().expect(FILLED) {
            State::Early(early) => match &early.handshaking.phase {
                Phase::Running(handshake) => Some(handshake.facts()),
                Phase::Refused(_) => None,
            },
            State::Session(stream) => Some(stream.facts.clone()),
            State::Failed(_) => None,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> EarlyStream<T> {
    /// Waits for the client to finish the handshake, and returns the session's stream. It begins with the early data that was
    /// not read here; [`SessionFacts::early_data`] says how much there was in all.
    ///
    /// It does not wait for the client to take what was written here: that goes out with the stream's next read, write or
    /// flush.
    ///
    /// # Errors
    ///
    /// The transport's own error, or one whose source is a [`HandshakeError`](crate::HandshakeError); the transport is dropped.
    ///
    /// Dropping the future drops the transport, with no alert.
    pub async fn finish(self) -> io::Result<TlsStream<T>> {
        let mut early = match self.0.expect(FILLED) {
            State::Early(early) => early,
            State::Session(stream) => return Ok(TlsStream(*stream)),
            State::Failed(refusal) => return Err(refusal.into_io()),
        };
        poll_fn(|cx| early.poll_finish(cx)).await;
        early.handshaking.finish().map(TlsStream).map_err(|(refusal, _io)| refusal.into_io())
    }

    /// The session, when the client has finished.
    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Stream<T>>> {
        if let Some(State::Early(early)) = &mut self.0 {
            ready!(early.poll_finish(cx));
            if let Phase::Refused(refusal) = &mut early.handshaking.phase {
                return Poll::Ready(Err(refusal.error()));
            }
        }
        self.0 = Some(match self.0.take().expect(FILLED) {
            State::Early(early) => match early.handshaking.finish() {
                Ok(stream) => State::Session(Box::new(stream)),
                Err((refusal, _io)) => State::Failed(refusal),
            },
            done => done,
        });
        Poll::Ready(match self.state() {
            State::Session(stream) => Ok(stream),
            State::Failed(refusal) => Err(refusal.error()),
            State::Early(_) => unreachable!("it was replaced above"),
        })
    }

    fn state(&mut self) -> &mut State<T> {
        self.0.as_mut().expect(FILLED)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for EarlyStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.state() {
            _ if buf.remaining() == 0 => Poll::Ready(Ok(())),
            State::Early(early) => early.poll_read(cx, buf),
            State::Session(stream) => {
                stream.reading.read_early(buf);
                Poll::Ready(Ok(()))
            }
            State::Failed(refusal) => Poll::Ready(Err(refusal.error())),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for EarlyStream<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let State::Early(early) = self.state() {
            if let Some(taken) = ready!(early.poll_write(cx, bufs))? {
                return Poll::Ready(Ok(taken));
            }
        }
        ready!(self.poll_session(cx))?.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state() {
            State::Early(early) => early.poll_flush(cx),
            State::Session(stream) => stream.poll_flush(cx),
            State::Failed(refusal) => Poll::Ready(Err(refusal.error())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_session(cx))?.poll_end(cx, Extent::Transport)
    }
}

impl<T> fmt::Debug for EarlyStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("EarlyStream");
        match self.0.as_ref().expect(FILLED) {
            State::Early(early) => tuple.field(&early.handshaking),
            State::Session(stream) => tuple.field(stream),
            State::Failed(refusal) => tuple.field(refusal),
        };
        tuple.finish()
    }
}

/// A handshake stopped at its early data. Two tasks may poll it, and both may wait for the same thing: a writer that waits for
/// the client reads too. So whatever is waited for is polled with a waker that wakes both; for the outbox its own link does it.
struct Early<T> {
    handshaking: Handshaking<T>,
    reads: Link,
    clock: Link,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Early<T> {
    fn new(handshaking: Handshaking<T>) -> Self {
        Self { handshaking, reads: Link::new(), clock: Link::new() }
    }

    /// Puts at least one byte of early data into `out`, or none at its end. `out` must have room.
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let Self { handshaking: Handshaking { flight, phase, .. }, clock, .. } = self;
            let handshake = match phase {
                Phase::Running(handshake) => handshake,
                Phase::Refused(refusal) => {
                    return poll_last_word(flight, clock, Side::Reader, cx).map(|()| Err(refusal.error()));
                }
            };
            let read = handshake.read_early(&mut flight.input, out);
            handshake.take_output(flight.outbox.flight());
            match read {
                Ok(EarlyRead::NeedInput) => {
                    // The client may wait for what is left of our flight.
                    flight.serve(cx);
                    ready!(self.poll_fill(Side::Reader, cx));
                }
                Ok(_data_or_ended) => {
                    flight.leave_reader();
                    return Poll::Ready(Ok(()));
                }
                Err(error) => self.refuse(error.into()),
            }
        }
    }

    /// Writes before the client has finished; `None` where that is not allowed.
    fn poll_write(&mut self, cx: &mut Context<'_>, plaintext: &[IoSlice<'_>]) -> Poll<io::Result<Option<usize>>> {
        // What is held must be out before more is taken: this is the bound on memory.
        ready!(self.poll_flush(cx))?;
        let Handshaking { flight, phase, .. } = &mut self.handshaking;
        let taken = match phase {
            Phase::Running(handshake) => handshake.write_early(plaintext, flight.outbox.flight()),
            Phase::Refused(refusal) => return Poll::Ready(Err(refusal.error())),
        };
        // Taken is taken: what the transport does not take now goes with the next call.
        let _ = flight.poll_send(Side::Writer, cx);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { handshaking: Handshaking { flight, phase, .. }, clock, .. } = self;
        if let Phase::Refused(refusal) = phase {
            return poll_last_word(flight, clock, Side::Writer, cx).map(|()| Err(refusal.error()));
        }
        if flight.poll_send(Side::Writer, cx).is_pending() {
            let mut late = ready!(poll_late(flight, clock, Side::Writer, cx));
            let error = late.error();
            self.refuse(late);
            return Poll::Ready(Err(error));
        }
        clock.leave(Side::Writer);
        Poll::Ready(match flight.outbox.failure() {
            Some(error) => Err(error),
            None => Ok(()),
        })
    }

    /// Waits for the client to finish, or for the handshake to be refused; holds the early data that was not read.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Self { handshaking: Handshaking { flight, phase, .. }, clock, .. } = self;
            // The client need not take what we have for it before it finishes.
            let _ = flight.poll_send(Side::Writer, cx);
            let Phase::Running(handshake) = phase else { return poll_last_word(flight, clock, Side::Writer, cx) };
            let progress = handshake.advance(&mut flight.input);
            handshake.take_output(flight.outbox.flight());
            match progress {
                Ok(Progress::Complete) => {
                    let _ = flight.poll_send(Side::Writer, cx);
                    return Poll::Ready(());
                }
                Ok(_) => ready!(self.poll_fill(Side::Writer, cx)),
                Err(error) => self.refuse(error.into()),
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.handshaking.phase = Phase::Refused(refusal);
    }

    /// Gets more ciphertext, or refuses the handshake when there is no more or it is late.
    fn poll_fill(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        let Self { handshaking: Handshaking { flight, phase, .. }, reads, clock } = self;
        if let Poll::Ready(filled) = reads.poll(side, cx, |cx| flight.poll_fill(cx)) {
            clock.leave(side);
            if let (Filled::Ended(end, error), Phase::Running(handshake)) = (filled, phase) {
                let unfinished = handshake.transport_ended(end, &flight.input);
                let refusal = flight.refusal(end, error, unfinished);
                self.refuse(refusal);
            }
            return Poll::Ready(());
        }
        // Last, so that what can be done at once is done however late.
        let late = ready!(poll_late(flight, clock, side, cx));
        reads.leave(side);
        self.refuse(late);
        Poll::Ready(())
    }
}

fn poll_late<T: AsyncRead + AsyncWrite + Unpin>(
    flight: &mut Flight<T>,
    clock: &Link,
    side: Side,
    cx: &Context<'_>,
) -> Poll<Refusal> {
    clock.poll(side, cx, |cx| flight.poll_late(cx))
}

/// The alert that says why is sent before the failure is returned, within the deadline.
fn poll_last_word<T: AsyncRead + AsyncWrite + Unpin>(
    flight: &mut Flight<T>,
    clock: &Link,
    side: Side,
    cx: &Context<'_>,
) -> Poll<()> {
    if flight.poll_send(side, cx).is_pending() {
        ready!(poll_late(flight, clock, side, cx));
    }
    clock.leave(side);
    Poll::Ready(())
}
