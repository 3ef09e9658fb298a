//! A server's early data (RFC 9846 section 4.3.10): what a client says before it has finished the handshake.
//!
//! It has a type of its own, because it can be a replay: whoever recorded it can send it again. It refuses to be taken for
//! the session: its end is not the session's, and no `close_notify` goes out before the client has finished.

use crate::error::WriteError;
use crate::handshake::{Failed, Fallible, Handshaking, Reached, io_error};
use crate::link::{Link, Side};
use crate::server::TlsStream;
use crate::stream::Stream;
use crate::writing::Extent;
use closenotify_core::{EarlyRead, HandshakeError, Progress, SessionFacts};
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
    /// The same handshake, which gives the transport back when it fails.
    pub fn into_fallible(self) -> Fallible<Self> {
        Fallible(self)
    }

    /// The transport; `None` after the future has answered.
    pub fn get_ref(&self) -> Option<&T> {
        self.0.as_ref()?.get_ref()
    }

    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<Result<EarlyStream<T>, Failed<T>>> {
        // A caller that polls on after the result has broken the contract of `Future`.
        let handshaking = self.0.as_mut().expect("a handshake is not polled after it has given its result");
        let reached = ready!(handshaking.poll_reach(cx));
        let handshaking = self.0.take().expect("it was there above");
        Poll::Ready(reached.map(|reached| match reached {
            Reached::Complete(stream) => EarlyStream(State::Session(Box::new(stream))),
            Reached::EarlyData => EarlyStream(State::Early(Box::new(Early::new(handshaking)))),
        }))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for AcceptEarly<T> {
    type Output = io::Result<EarlyStream<T>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_early(cx).map_err(|(error, _io)| io_error(error))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Fallible<AcceptEarly<T>> {
    type Output = Result<EarlyStream<T>, (io::Error, T)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_early(cx).map_err(|(error, io)| (io_error(error), io))
    }
}

/// A session whose client has perhaps not finished yet: its early data can be read, and answered.
///
/// **What is read here can be a replay.** Somebody who recorded a client's first flight can send it again, and what this
/// stream delivers then is what the client said, at another time. Act on it only where doing so twice does no harm: a GET
/// without effects, yes; a payment, no. When [`finish`](Self::finish) has answered, the client was there: what had come early
/// and was not read here is no replay any more, and is delivered first by the session's own stream. So a server that is in
/// doubt reads nothing here, and finishes.
///
/// - A read answers an end (no bytes) when the client has finished the handshake, which a replay cannot. That is the end of the
///   early data, not of the session, which goes on behind `finish`. Where no early data came, or none was accepted, that is all.
/// - What cuts the early data short, a `close_notify` among it too, is an error whose source is a
///   [`HandshakeError`], on this read and all later ones: a cut request never looks whole.
/// - A write goes out before the client has finished where `send_half_rtt_data` of the server's configuration allows it and
///   early data was accepted; else it waits for the client.
/// - A shutdown waits for the client to finish, then sends the `close_notify` and ends the transport's sending direction, as
///   that of the session does.
///
/// What it holds of the peer's is a record, or with `finish`, `shutdown` or a write that waits also the early data not yet
/// read, at most `max_early_data_size`. The deadline of the handshake goes on, and counts the time that its owner takes too: what
/// has arrived is taken in however late, but the client is not waited for beyond it.
///
/// ```
/// use closenotify::{Linger, TlsAcceptor};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// # use tokio::net::TcpStream;
///
/// # async fn serve(acceptor: TlsAcceptor, tcp: TcpStream) -> std::io::Result<()> {
/// let mut early = acceptor.accept_early(tcp).await?;
/// let mut said = Vec::new();
/// // Until the request is whole by its own framing: its end comes a round trip later.
/// while !said.ends_with(b"\r\n\r\n") && early.read_buf(&mut said).await? > 0 {}
/// if said.starts_with(b"GET /weather ") {
///     early.write_all(b"what it gets as often as it asks").await?;
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
#[derive(Debug)]
pub struct EarlyStream<T>(State<T>);

/// ```text
///  Early ──finish, shutdown, a write that waits: the client has finished──▶ Session
/// ```
#[derive(Debug)]
enum State<T> {
    Early(Box<Early<T>>),
    Session(Box<Stream<T>>),
}

impl<T> EarlyStream<T> {
    /// The transport; `None` after a failure has closed it.
    pub fn get_ref(&self) -> Option<&T> {
        match &self.0 {
            State::Early(early) => early.handshaking.get_ref(),
            State::Session(stream) => Some(&stream.io),
        }
    }

    /// What is agreed on; `None` when the handshake has failed. [`SessionFacts::early_data`] is how much was read so far until
    /// the client has finished, and `None` when no early data was accepted.
    ///
    /// The certificate is the one that the client has shown in the session that is resumed.
    pub fn facts(&self) -> Option<SessionFacts> {
        match &self.0 {
            State::Early(early) => early.handshaking.handshake().map(closenotify_core::Handshake::facts),
            State::Session(stream) => Some(stream.facts.clone()),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> EarlyStream<T> {
    /// Waits for the client to finish the handshake, and answers the session's stream. It begins with the early data that was
    /// not read here; [`SessionFacts::early_data`] says how much there was in all.
    ///
    /// It does not wait for the client to take what was written here: that goes out with the stream's next read, write or
    /// flush.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] whose source is a [`HandshakeError`]; the transport is dropped then.
    ///
    /// Dropping the future drops the transport, with no alert.
    pub async fn finish(mut self) -> io::Result<TlsStream<T>> {
        poll_fn(|cx| self.poll_session(cx).map_ok(drop)).await?;
        match self.0 {
            State::Session(mut stream) => {
                // What was written here may be held still, and its owner may only read from now on.
                *stream.reading.owes() = true;
                Ok(TlsStream(*stream))
            }
            State::Early(_) => unreachable!("poll_session leaves a session, or fails"),
        }
    }

    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut Stream<T>>> {
        if let State::Early(early) = &mut self.0 {
            let stream = ready!(early.poll_finish(cx)).map_err(io_error)?;
            self.0 = State::Session(Box::new(stream));
        }
        match &mut self.0 {
            State::Session(stream) => Poll::Ready(Ok(stream)),
            State::Early(_) => unreachable!("it was replaced above"),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for EarlyStream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            _ if buf.remaining() == 0 => Poll::Ready(Ok(())),
            State::Early(early) => early.poll_read(cx, buf).map_err(io_error),
            State::Session(stream) => {
                stream.reading.read_early(buf);
                Poll::Ready(Ok(()))
            }
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
        if let State::Early(early) = &mut self.0
            && let Some(taken) = ready!(early.poll_write(cx, bufs))?
        {
            return Poll::Ready(Ok(taken));
        }
        ready!(self.poll_session(cx))?.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Early(early) => early.poll_flush(cx),
            State::Session(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_session(cx))?.poll_end(cx, Extent::Transport)
    }
}

/// A handshake stopped at its early data. Two tasks may poll it, and both may wait for the same thing: a writer that waits for
/// the client reads too. So whatever is waited for is polled with a waker that wakes both.
#[derive(Debug)]
struct Early<T> {
    handshaking: Handshaking<T>,
    reads: Link,
    writes: Link,
    clock: Link,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Early<T> {
    fn new(handshaking: Handshaking<T>) -> Self {
        Self { handshaking, reads: Link::new(), writes: Link::new(), clock: Link::new() }
    }

    /// Puts at least one byte of early data into `out`, or none at its end. `out` must have room.
    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<Result<(), HandshakeError>> {
        loop {
            let read = match self.handshaking.parts() {
                Ok((handshake, input, output)) => {
                    let read = handshake.read_early(input, out);
                    handshake.take_output(output);
                    read
                }
                Err(error) => return self.poll_last_word(Side::Reader, cx).map(|()| Err(error)),
            };
            match read {
                Ok(EarlyRead::Data(_) | EarlyRead::Ended) => return Poll::Ready(Ok(())),
                Ok(EarlyRead::NeedInput) => ready!(self.poll_fill(Side::Reader, cx)),
                Err(error) => self.handshaking.fail(error),
            }
        }
    }

    /// Writes before the client has finished; `None` where that is not allowed.
    fn poll_write(&mut self, cx: &mut Context<'_>, plaintext: &[IoSlice<'_>]) -> Poll<io::Result<Option<usize>>> {
        // What is held must be out before more is taken: this is the bound on memory.
        ready!(self.poll_flush(cx))?;
        let taken = match self.handshaking.parts() {
            Ok((handshake, _, output)) => handshake.write_early(plaintext, output),
            Err(error) => return Poll::Ready(Err(io_error(error))),
        };
        // Taken is taken: what the transport does not want yet goes with the next call.
        let _ = self.poll_send(Side::Writer, cx);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Err(error) = self.handshaking.parts() {
            return self.poll_last_word(Side::Writer, cx).map(|()| Err(io_error(error)));
        }
        if self.poll_send(Side::Writer, cx).is_pending() {
            let late = ready!(self.poll_late(Side::Writer, cx));
            self.handshaking.fail(late.clone());
            return Poll::Ready(Err(io_error(late)));
        }
        Poll::Ready(match self.handshaking.write_failed() {
            Some(kind) => Err(WriteError::Transport(kind).io()),
            None => Ok(()),
        })
    }

    /// Waits for the client to finish; holds the early data that was not read.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream<T>, HandshakeError>> {
        loop {
            // The client need not take what we have for it before it finishes.
            let _ = self.poll_send(Side::Writer, cx);
            let progress = match self.handshaking.parts() {
                Ok((handshake, input, output)) => {
                    let progress = handshake.advance(input);
                    handshake.take_output(output);
                    progress
                }
                Err(error) => return self.poll_last_word(Side::Writer, cx).map(|()| Err(error)),
            };
            match progress {
                Ok(Progress::Complete) => {
                    let _ = self.poll_send(Side::Writer, cx);
                    return Poll::Ready(self.handshaking.finish());
                }
                Ok(Progress::NeedInput) => ready!(self.poll_fill(Side::Writer, cx)),
                Err(error) => self.handshaking.fail(error),
            }
        }
    }

    fn poll_send(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        let Self { handshaking, writes, .. } = self;
        writes.poll(side, cx, |cx| handshaking.poll_send(cx))
    }

    fn poll_late(&mut self, side: Side, cx: &Context<'_>) -> Poll<HandshakeError> {
        let Self { handshaking, clock, .. } = self;
        clock.poll(side, cx, |cx| handshaking.poll_deadline(cx))
    }

    /// Gets more ciphertext, or fails the handshake when there is no more or it is late.
    fn poll_fill(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        let Self { handshaking, reads, .. } = self;
        if reads.poll(side, cx, |cx| handshaking.poll_fill(cx)).is_ready() {
            self.clock.leave(side);
            return Poll::Ready(());
        }
        // Last, so that what can be done at once is done however late.
        let late = ready!(self.poll_late(side, cx));
        self.handshaking.fail(late);
        self.reads.leave(side);
        Poll::Ready(())
    }

    /// The alert that says why goes out before the failure is answered, within the deadline.
    fn poll_last_word(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        if self.poll_send(side, cx).is_pending() {
            ready!(self.poll_late(side, cx));
        }
        Poll::Ready(())
    }
}
