//! Drives a handshake over a transport: both flights, the alert on failure, the deadline over all of it.

use crate::buffers::BufferLimit;
use crate::link::Link;
use crate::reading::{Reading, Truncation};
use crate::split::Role;
use crate::stream::Stream;
use crate::writing::Writing;
use bytes::Buf as _;
use bytes::BytesMut;
use closenotify_core::{
    Deadline, EarlyProgress, Handshake, HandshakeError, HelloReader, HelloReceived, Progress, TransportEnd,
};
use rustls::ProtocolVersion::TLSv1_3;
use rustls::ServerConfig;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
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
    pub(crate) buffer_limit: BufferLimit,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake_timeout: HANDSHAKE_TIMEOUT,
            truncation: Truncation::default(),
            buffer_limit: BufferLimit::default(),
        }
    }
}

/// A handshake under way. It gives the transport back when it fails.
pub(crate) struct Handshaking<T> {
    /// `None` after the result was given.
    io: Option<T>,
    phase: Phase,
    input: BytesMut,
    output: BytesMut,
    /// Bytes were written behind the last flush.
    unflushed: bool,
    /// Writing failed. What the peer has sent is still looked at: it may say why.
    write_failed: Option<io::ErrorKind>,
    role: Role,
    settings: Settings,
    /// Set at the first poll.
    deadline: Option<Pin<Box<Sleep>>>,
    early: Early,
    /// The transport ended behind a handshake that is complete.
    ended: bool,
}

/// A failure gives the transport back.
pub(crate) type Failed<T> = (HandshakeError, T);

/// What a handshake has to do with early data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Early {
    None,
    /// A client says something first. It may be long, and the peer may answer before it has read all of it: so reading does
    /// not wait for writing. When the peer has answered much and takes no more of ours, the stream must be read, and what is not
    /// written is left to it.
    Sent,
    /// A server stops where early data begins.
    Accepted,
}

/// How far a handshake has come.
pub(crate) enum Reached<C> {
    /// Early data was accepted, and our flight is out.
    EarlyData,
    Complete(C),
}

/// ```text
///  Hello ──ClientHello, configured──▶ Handshake ──complete──▶ (a stream)
///    └──error──▶ Failed ◀──error──────────┘
/// ```
#[derive(Debug)]
enum Phase {
    /// A server without a configuration.
    Hello(HelloReader),
    Handshake(Handshake),
    /// The alert that says why is in the output.
    Failed(HandshakeError),
}

impl<T> Handshaking<T> {
    pub(crate) fn new(io: T, role: Role, handshake: Result<Handshake, rustls::Error>, settings: Settings) -> Self {
        let phase = match handshake {
            Ok(handshake) => Phase::Handshake(handshake),
            Err(error) => Phase::Failed(HandshakeError::Refused(error)),
        };
        Self::in_phase(io, role, phase, settings)
    }

    pub(crate) fn with_early(mut self, early: Early) -> Self {
        self.early = early;
        self
    }

    pub(crate) fn hello(io: T, settings: Settings) -> Self {
        Self::in_phase(io, Role::Server, Phase::Hello(HelloReader::new()), settings)
    }

    fn in_phase(io: T, role: Role, phase: Phase, settings: Settings) -> Self {
        Self {
            io: Some(io),
            phase,
            input: BytesMut::new(),
            output: BytesMut::new(),
            unflushed: false,
            write_failed: None,
            role,
            settings,
            deadline: None,
            early: Early::None,
            ended: false,
        }
    }

    pub(crate) fn get_ref(&self) -> Option<&T> {
        self.io.as_ref()
    }

    /// Goes on from a ClientHello with a configuration.
    pub(crate) fn configure(&mut self, hello: HelloReceived, config: Arc<ServerConfig>, early: Early) {
        self.early = early;
        let configured = match early {
            Early::Accepted => hello.configure_early(config, &mut self.input, &mut self.output),
            Early::None | Early::Sent => hello.configure(config, &mut self.input, &mut self.output),
        };
        self.phase = match configured {
            Ok(handshake) => Phase::Handshake(handshake),
            Err(error) => Phase::Failed(error),
        };
    }

    /// The transport, and what was read from it and not used.
    pub(crate) fn take_io(&mut self) -> Option<(T, Vec<u8>)> {
        Some((self.io.take()?, std::mem::take(&mut self.input).into()))
    }

    pub(crate) fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The handshake with its input and its output, or why it failed.
    pub(crate) fn parts(&mut self) -> Result<(&mut Handshake, &mut BytesMut, &mut BytesMut), HandshakeError> {
        match &mut self.phase {
            Phase::Handshake(handshake) => Ok((handshake, &mut self.input, &mut self.output)),
            Phase::Failed(error) => Err(error.clone()),
            // Only a handshake with a configuration is asked.
            Phase::Hello(_) => Err(HandshakeError::Failed(io::ErrorKind::Other)),
        }
    }

    pub(crate) fn handshake(&self) -> Option<&Handshake> {
        match &self.phase {
            Phase::Handshake(handshake) => Some(handshake),
            Phase::Hello(_) | Phase::Failed(_) => None,
        }
    }

    pub(crate) fn fail(&mut self, error: HandshakeError) {
        self.phase = Phase::Failed(error);
    }

    fn forget_output(&mut self) {
        self.output = BytesMut::new();
        self.unflushed = false;
    }

    /// Whether writing failed.
    pub(crate) fn write_failed(&self) -> Option<io::ErrorKind> {
        self.write_failed
    }

    /// The session of a handshake that is complete.
    fn stream(&mut self, handshake: Handshake, io: T) -> Result<Stream<T>, Failed<T>> {
        let (session, link) = (handshake.into_session(), Link::new());
        let output = std::mem::take(&mut self.output);
        let unsent = !output.is_empty() || self.unflushed;
        let writing = match self.write_failed {
            None => Writing::behind(output, session.sender, self.settings.buffer_limit),
            // What did not go out are tickets: the client has finished, and what it sent is whole.
            Some(kind) if self.role == Role::Server && session.facts.protocol_version() == TLSv1_3 => {
                Writing::failed(kind, &link)
            }
            // The peer has not seen the end of the handshake.
            Some(kind) => return Err((transport_error(kind), io)),
        };
        let mut reading = Reading::new(
            session.receiver,
            std::mem::take(&mut self.input),
            self.settings.truncation,
            self.settings.buffer_limit,
        );
        // A reader alone gets it out, too.
        *reading.owes() = unsent;
        Ok(Stream { io, reading, writing, link, facts: session.facts })
    }

    /// As [`stream`](Self::stream), of a handshake that `parts` has given and that is complete.
    pub(crate) fn finish(&mut self) -> Result<Stream<T>, HandshakeError> {
        let failed = Err(HandshakeError::Failed(io::ErrorKind::Other));
        match (std::mem::replace(&mut self.phase, Phase::Failed(HandshakeError::Reset)), self.io.take()) {
            (Phase::Handshake(handshake), Some(io)) => self.stream(handshake, io).map_err(|(error, _io)| error),
            (Phase::Failed(error), _) => Err(error),
            (Phase::Hello(_) | Phase::Handshake(_), _) => failed,
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Handshaking<T> {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Stream<T>, Failed<T>>> {
        self.poll_reach(cx).map_ok(|reached| match reached {
            Reached::Complete(stream) => stream,
            Reached::EarlyData => unreachable!("only a handshake that was told to stops at early data"),
        })
    }

    /// As [`poll`](Self::poll), for one that stops where early data begins, and is polled no more then.
    pub(crate) fn poll_reach(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reached<Stream<T>>, Failed<T>>> {
        let polled = match self.poll_deadline(cx) {
            Poll::Ready(late) => Poll::Ready(Err(late)),
            Poll::Pending => self.poll_handshake(cx),
        };
        let result = ready!(polled);
        if let Ok(Reached::EarlyData) = result {
            return Poll::Ready(Ok(Reached::EarlyData));
        }
        // A caller that polls on after the result has broken the contract of `Future`.
        let io = self.io.take().expect("a handshake is not polled after it has given its result");
        Poll::Ready(match result {
            Err(error) => Err((error, io)),
            Ok(Reached::Complete(handshake)) => self.stream(handshake, io).map(Reached::Complete),
            Ok(Reached::EarlyData) => unreachable!("it was answered above"),
        })
    }

    /// Polls for the ClientHello. It stays in the input until a configuration is given.
    pub(crate) fn poll_hello(&mut self, cx: &mut Context<'_>) -> Poll<Result<HelloReceived, HandshakeError>> {
        if let Poll::Ready(late) = self.poll_deadline(cx) {
            return Poll::Ready(Err(late));
        }
        loop {
            ready!(self.poll_send(cx));
            let received = match &mut self.phase {
                Phase::Hello(reader) => {
                    let received = reader.look(&self.input);
                    reader.take_output(&mut self.output);
                    received
                }
                Phase::Failed(error) => return Poll::Ready(Err(error.clone())),
                // Only a configuration leads there, and with it this is not asked any more.
                Phase::Handshake(_) => return Poll::Ready(Err(HandshakeError::Failed(io::ErrorKind::Other))),
            };
            match received {
                Ok(Some(hello)) => return Poll::Ready(Ok(hello)),
                Ok(None) => ready!(self.poll_fill(cx)),
                Err(error) => self.phase = Phase::Failed(error),
            }
        }
    }

    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<HandshakeError> {
        let timeout = self.settings.handshake_timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        deadline.as_mut().poll(cx).map(|()| match self.write_failed {
            // The peer has had its time to say why.
            Some(kind) => transport_error(kind),
            None => HandshakeError::TimedOut(Deadline::Handshake),
        })
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reached<Handshake>, HandshakeError>> {
        loop {
            let stuck = match (self.poll_send(cx), &self.phase) {
                (Poll::Ready(()), _) => false,
                (Poll::Pending, Phase::Handshake(_)) if self.early == Early::Sent => true,
                // The alert that says why goes out too, within the deadline.
                (Poll::Pending, _) => return Poll::Pending,
            };
            let early = self.early;
            let (handshake, input, output) = match self.parts() {
                Ok(parts) => parts,
                Err(error) => return Poll::Ready(Err(error)),
            };
            let progress = match early {
                Early::Accepted => handshake.advance_to_early(input),
                Early::None | Early::Sent => handshake.advance(input).map(|progress| match progress {
                    Progress::NeedInput => EarlyProgress::NeedInput,
                    Progress::Complete => EarlyProgress::Complete,
                }),
            };
            handshake.take_output(output);
            match progress {
                // Our flight goes out before the peer's next is waited for.
                Ok(_) if !stuck && !self.output.is_empty() && self.write_failed.is_none() => {}
                Ok(EarlyProgress::EarlyData) => return Poll::Ready(Ok(Reached::EarlyData)),
                Ok(EarlyProgress::Complete) if stuck && self.input.len() < READ_AHEAD && !self.ended => {
                    match ready!(self.poll_read(cx)) {
                        Ok(read) => self.ended = read == 0,
                        Err(error) => {
                            self.forget_output();
                            self.fail(transport_error(error.kind()));
                        }
                    }
                }
                Ok(EarlyProgress::Complete) => {
                    let taken = std::mem::replace(&mut self.phase, Phase::Failed(HandshakeError::Reset));
                    if let Phase::Handshake(handshake) = taken {
                        return Poll::Ready(Ok(Reached::Complete(handshake)));
                    }
                }
                Ok(EarlyProgress::NeedInput) => ready!(self.poll_fill(cx)),
                Err(error) => {
                    if stuck && matches!(error, HandshakeError::Alert(_)) {
                        // The peer reads no more of it.
                        self.forget_output();
                    }
                    self.fail(error);
                }
            }
        }
    }

    /// Writes and flushes what there is; a failure is noted and not spoken of until the peer's word is read.
    pub(crate) fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(io) = self.io.as_mut() else { return Poll::Ready(Ok(0)) };
        self.input.reserve(INPUT_STEP);
        pin!(io.read_buf(&mut self.input)).poll(cx)
    }

    /// Gets more ciphertext, or fails the handshake when there is no more.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let end = match ready!(self.poll_read(cx)) {
            Ok(1..) => return Poll::Ready(()),
            Ok(0) => TransportEnd::Eof,
            Err(error) => error.kind().into(),
        };
        self.phase = Phase::Failed(match (&self.phase, self.write_failed) {
            // The kernel tells a reset once: when the write got it, the read sees an end that looks clean.
            (_, Some(kind)) if end == TransportEnd::Eof => transport_error(kind),
            (Phase::Hello(reader), _) => reader.transport_ended(end, &self.input),
            (Phase::Handshake(handshake), _) => handshake.transport_ended(end, &self.input),
            (Phase::Failed(error), _) => error.clone(),
        });
        // There is nobody left to tell.
        self.forget_output();
        Poll::Ready(())
    }
}

impl<T> fmt::Debug for Handshaking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshaking").field("phase", &self.phase).finish_non_exhaustive()
    }
}

fn transport_error(kind: io::ErrorKind) -> HandshakeError {
    match kind {
        io::ErrorKind::ConnectionReset => HandshakeError::Reset,
        kind => HandshakeError::Failed(kind),
    }
}

pub(crate) fn io_error(error: HandshakeError) -> io::Error {
    io::Error::new(error.io_kind(), error)
}

/// A handshake whose failure gives the transport back: made by `into_fallible` of [`Accept`](crate::Accept),
/// [`AcceptEarly`](crate::AcceptEarly) and [`Connect`](crate::Connect), where `F` is one of them.
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

/// How much of an answer is read, in bytes, before a client whose own flight is stuck gives its stream out, so that it is read.
const READ_AHEAD: usize = 16 * 1024;
