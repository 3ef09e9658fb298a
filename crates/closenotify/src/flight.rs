//! What every handshake drives, whatever its mode: the transport, the input, the outbox and the deadline.
//!
//! Reading never waits for writing here: a side whose own flight is blocked reads on, or two sides over a small transport
//! would wait for each other. It knows no messages; the modes do.

use crate::buffers::{self, BufferLimit};
use crate::clock::{Struck, Timeout, Timer};
use crate::failure::Failure;
use crate::link::{Link, Side};
use crate::outbox::Outbox;
use crate::reading::{Reading, Truncation, poll_read_buf};
use crate::split::Role;
use crate::stream::Stream;
use bytes::BytesMut;
use closenotify_core::{Handshake, HandshakeError, TransportEnd};
use rustls::ProtocolVersion::TLSv1_3;
use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// What connectors and acceptors have in common.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) handshake_timeout: Timeout,
    pub(crate) truncation: Truncation,
    pub(crate) buffer_limit: BufferLimit,
}

pub(crate) struct Flight<T> {
    pub(crate) io: T,
    pub(crate) input: BytesMut,
    pub(crate) outbox: Outbox,
    pub(crate) settings: Settings,
    link: Link,
    timer: Timer,
}

/// Why a handshake failed: by TLS, or by the transport, whose own error is handed on.
#[derive(Debug)]
pub(crate) enum Refusal {
    Tls(HandshakeError),
    Transport(Failure),
}

impl Refusal {
    pub(crate) fn error(&mut self) -> io::Error {
        match self {
            Self::Tls(error) => io::Error::new(error.io_kind(), error.clone()),
            Self::Transport(failure) => failure.error(),
        }
    }

    pub(crate) fn into_io(mut self) -> io::Error {
        self.error()
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Transport(Failure::new(error))
    }
}

impl From<HandshakeError> for Refusal {
    fn from(error: HandshakeError) -> Self {
        Self::Tls(error)
    }
}

/// What a read during a handshake came to.
pub(crate) enum Filled {
    More,
    /// The transport has no more.
    Ended(TransportEnd, Option<io::Error>),
}

impl<T> Flight<T> {
    pub(crate) fn new(io: T, settings: Settings) -> Self {
        Self { io, input: BytesMut::new(), outbox: Outbox::new(), settings, link: Link::new(), timer: Timer::New }
    }

    /// The session of a handshake that is complete. What is left of its flights goes out with whatever is polled first.
    pub(crate) fn into_stream(mut self, handshake: Handshake, role: Role) -> Result<Stream<T>, (Refusal, T)> {
        let Settings { truncation, buffer_limit, .. } = self.settings;
        let session = handshake.into_session();
        // What did not go out at a TLS 1.3 server are tickets: the client has finished, and what it sent is complete. In any
        // other case the peer has not seen the end of the handshake.
        let forgive = role == Role::Server && session.facts.protocol_version() == TLSv1_3;
        if let Err(error) = self.outbox.begin(session.sender, buffer_limit, forgive) {
            return Err((error.into(), self.io));
        }
        self.link.leave(Side::Writer);
        self.link.leave(Side::Reader);
        Ok(Stream {
            io: self.io,
            reading: Reading::new(session.receiver, self.input, truncation, buffer_limit),
            outbox: self.outbox,
            link: self.link,
            facts: session.facts,
            exporter: session.exporter,
            stands: false,
            send_queue: None,
        })
    }

    /// The reader does not wait any more.
    #[cfg(feature = "early-data")]
    pub(crate) fn leave_reader(&self) {
        self.link.leave(Side::Reader);
    }

    /// What an end of the transport means; the kernel tells a reset once: when the write met it, the read sees an end that
    /// looks clean.
    pub(crate) fn refusal(
        &mut self,
        end: TransportEnd,
        error: Option<io::Error>,
        unfinished: HandshakeError,
    ) -> Refusal {
        let written = if end == TransportEnd::Eof { self.outbox.failure() } else { None };
        // There is nobody left to tell.
        self.outbox.forget();
        match error.or(written) {
            Some(error) => error.into(),
            None => unfinished.into(),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Flight<T> {
    /// Writes and flushes what there is. A failure is noted in the outbox, and not reported before the peer's word is read.
    pub(crate) fn poll_send(&mut self, side: Side, cx: &Context<'_>) -> Poll<()> {
        let Self { io, outbox, link, .. } = self;
        link.poll(side, cx, |cx| outbox.poll_send(io, link, cx)).map(|_noted| ())
    }

    /// What a reader that waits for input does for the outbox: drains it, and is woken when it can go on with that, whoever
    /// wrote what is left.
    #[cfg(feature = "early-data")]
    pub(crate) fn serve(&mut self, cx: &Context<'_>) {
        if self.poll_send(Side::Reader, cx).is_ready() {
            self.link.stand(cx);
        }
    }

    /// Gets more ciphertext.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Filled> {
        if self.input.capacity() < buffers::RECORD_MAX {
            let mut input = buffers::take(buffers::RECORD_MAX);
            input.extend_from_slice(&self.input);
            self.input = input;
        } else if self.input.len() == self.input.capacity() {
            self.input.reserve(INPUT_STEP);
        }
        let polled = poll_read_buf(&mut self.io, cx, &mut self.input);
        if polled.is_pending() {
            // A peer that is silent, or nearly so, costs no buffer.
            buffers::rest(&mut self.input);
        }
        Poll::Ready(match ready!(polled) {
            Ok(0) => Filled::Ended(TransportEnd::Eof, None),
            Ok(_) => Filled::More,
            Err(error) => Filled::Ended(error.kind().into(), Some(error)),
        })
    }

    /// Whether the handshake took too long. When the transport failed before, the peer has had its time to say why.
    pub(crate) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<Refusal> {
        let struck = ready!(self.timer.poll(self.settings.handshake_timeout, cx));
        Poll::Ready(match (self.outbox.failure(), struck) {
            (Some(error), Struck::Late) => error.into(),
            (_, struck) => HandshakeError::from(struck).into(),
        })
    }
}

impl<T> fmt::Debug for Flight<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flight").field("input_bytes", &self.input.len()).field("outbox", &self.outbox).finish()
    }
}

/// By how much the input grows when it is full, in bytes: that of a handshake holds a record and no more, that of a server that
/// waits for a complete ClientHello holds all of it.
const INPUT_STEP: usize = 8 * 1024;
