//! Drives a handshake over a transport: both flights, the alert on failure, the deadline over all of it.

use crate::link::Link;
use crate::reading::{Reading, Truncation};
use crate::split::Role;
use crate::stream::Stream;
use crate::writing::Writing;
use bytes::Buf as _;
use bytes::BytesMut;
use closenotify_core::{Deadline, Handshake, HandshakeError, Progress, TransportEnd};
use rustls::ProtocolVersion::TLSv1_3;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::time::Sleep;

/// How long a handshake may take when nothing else is said.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What connectors and acceptors have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) handshake_timeout: Duration,
    pub(crate) truncation: Truncation,
}

impl Default for Settings {
    fn default() -> Self {
        Self { handshake_timeout: HANDSHAKE_TIMEOUT, truncation: Truncation::default() }
    }
}

/// A handshake under way. It gives the transport back when it fails.
pub(crate) struct Handshaking<T> {
    /// `None` after the result was given.
    io: Option<T>,
    handshake: Result<Handshake, HandshakeError>,
    input: BytesMut,
    output: BytesMut,
    /// Bytes were written behind the last flush.
    unflushed: bool,
    /// Writing failed. What the peer has sent is still looked at: it may say why.
    write_failed: Option<io::ErrorKind>,
    role: Role,
    timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    truncation: Truncation,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Handshaking<T> {
    pub(crate) fn new(io: T, role: Role, handshake: Result<Handshake, rustls::Error>, settings: Settings) -> Self {
        Self {
            io: Some(io),
            handshake: handshake.map_err(HandshakeError::Refused),
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            write_failed: None,
            role,
            timeout: settings.handshake_timeout,
            deadline: None,
            truncation: settings.truncation,
        }
    }

    pub(crate) fn get_ref(&self) -> Option<&T> {
        self.io.as_ref()
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream<T>, (HandshakeError, T)>> {
        let late = self.poll_deadline(cx).is_ready();
        let polled = match late {
            true => Poll::Ready(Err(match self.write_failed {
                // The peer has had its time to say why.
                Some(kind) => write_error(kind),
                None => HandshakeError::TimedOut(Deadline::Handshake),
            })),
            false => self.poll_handshake(cx),
        };
        let result = ready!(polled);
        // A caller that polls on after the result has broken the contract of `Future`.
        let io = self.io.take().expect("a handshake is not polled after it has given its result");
        Poll::Ready(match result {
            Err(error) => Err((error, io)),
            Ok(handshake) => {
                let (session, link) = (handshake.into_session(), Link::new());
                let writing = match self.write_failed {
                    None => Writing::new(session.sender),
                    // What did not go out are tickets: the client has finished, and what it sent is whole.
                    Some(kind) if self.role == Role::Server && session.facts.protocol_version() == TLSv1_3 => {
                        Writing::failed(kind, &link)
                    }
                    // The peer has not seen the end of the handshake.
                    Some(kind) => return Poll::Ready(Err((write_error(kind), io))),
                };
                let reading = Reading::new(session.receiver, std::mem::take(&mut self.input), self.truncation);
                Ok(Stream { io, reading, writing, link, facts: session.facts })
            }
        })
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timeout = self.timeout;
        self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout))).as_mut().poll(cx)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Handshake, HandshakeError>> {
        loop {
            // The alert that says why goes out too, within the deadline.
            ready!(self.poll_send(cx));
            let handshake = match &mut self.handshake {
                Ok(handshake) => handshake,
                Err(error) => return Poll::Ready(Err(error.clone())),
            };
            let progress = handshake.advance(&mut self.input);
            handshake.take_output(&mut self.output);
            match progress {
                // Our flight goes out before the peer's next is waited for.
                Ok(_) if !self.output.is_empty() && self.write_failed.is_none() => {}
                Ok(Progress::Complete) => {
                    let taken = std::mem::replace(&mut self.handshake, Err(HandshakeError::Reset));
                    return Poll::Ready(taken);
                }
                Ok(Progress::NeedInput) => {
                    if let Err(end) = ready!(self.poll_fill(cx)) {
                        let error = self.transport_ended(end);
                        return Poll::Ready(Err(error));
                    }
                }
                Err(error) => self.handshake = Err(error),
            }
        }
    }

    /// Writes and flushes what there is; a failure is noted and not spoken of until the peer's word is read.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(io) = self.io.as_mut() else { return Poll::Ready(()) };
        while !self.output.is_empty() && self.write_failed.is_none() {
            match ready!(Pin::new(&mut *io).poll_write(cx, &self.output)) {
                Ok(0) => self.write_failed = Some(io::ErrorKind::WriteZero),
                Ok(written) => {
                    self.output.advance(written);
                    self.unflushed = true;
                }
                Err(error) => self.write_failed = Some(error.kind()),
            }
        }
        self.output = BytesMut::new();
        if self.unflushed && self.write_failed.is_none() {
            if let Err(error) = ready!(Pin::new(io).poll_flush(cx)) {
                self.write_failed = Some(error.kind());
            }
            self.unflushed = false;
        }
        Poll::Ready(())
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportEnd>> {
        let Some(io) = self.io.as_mut() else { return Poll::Ready(Err(TransportEnd::Abandoned)) };
        self.input.reserve(INPUT_STEP);
        Poll::Ready(match ready!(pin!(io.read_buf(&mut self.input)).poll(cx)) {
            Ok(0) => Err(TransportEnd::Eof),
            Ok(_) => Ok(()),
            Err(error) => Err(error.kind().into()),
        })
    }

    fn transport_ended(&self, end: TransportEnd) -> HandshakeError {
        match (&self.handshake, self.write_failed) {
            (Err(error), _) => error.clone(),
            // The kernel tells a reset once: when the write got it, the read sees an end that looks clean.
            (Ok(_), Some(kind)) if end == TransportEnd::Eof => write_error(kind),
            (Ok(handshake), _) => handshake.transport_ended(end, &self.input),
        }
    }
}

impl<T> fmt::Debug for Handshaking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshaking").field("handshake", &self.handshake).finish_non_exhaustive()
    }
}

fn write_error(kind: io::ErrorKind) -> HandshakeError {
    match kind {
        io::ErrorKind::ConnectionReset => HandshakeError::Reset,
        kind => HandshakeError::Failed(kind),
    }
}

pub(crate) fn io_error(error: HandshakeError) -> io::Error {
    io::Error::new(error.io_kind(), error)
}

/// A handshake whose failure gives the transport back: made by `into_fallible` of [`Accept`](crate::Accept) and
/// [`Connect`](crate::Connect), where `F` is the one or the other.
///
/// A TCP socket that is closed over unread data is reset by its kernel, and the reset may destroy the alert: to be sure that
/// a refused peer learns why, shut the transport down and read it to its end before it is dropped.
///
/// Dropping it drops the transport, with no alert.
#[derive(Debug)]
pub struct Fallible<F>(pub(crate) F);

/// How much room a read of the transport gets during a handshake, in bytes. The record walker asks for no more than one
/// record at a time, so this does not bound what a peer can send, only how much is held at once beside a record.
const INPUT_STEP: usize = 8 * 1024;
