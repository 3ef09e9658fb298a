//! The outbox: everything that a session has to send, from the first flight of the handshake to the close_notify.
//!
//! It owns the sender and the ciphertext that the transport has not taken, and records how the sending half ended, once,
//! whoever finds out. Whoever is polled drains it. It holds one write's worth of ciphertext at most, and never reads.

use crate::buffers::BufferLimit;
use crate::error::WriteError;
use crate::failure::Failure;
use crate::link::Link;
use bytes::{Buf as _, BytesMut};
use closenotify_core::{SendError, Sender, SentEnding};
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

pub(crate) struct Outbox {
    state: State,
    /// Ciphertext that the transport has not taken.
    output: BytesMut,
    /// Whether bytes were written after the last flush.
    unflushed: bool,
    /// Whether something is on its way that no caller's flush will follow: a flight of the handshake, what receiving made us
    /// owe.
    pressing: bool,
    /// How many bytes the transport has taken.
    taken: u64,
    ending: Option<SentEnding>,
}

/// ```text
///  Handshake ──complete──▶ Open ──close, session failed──▶ Ending(e) ──taken, flushed──▶ Ended ──transport shut──▶ Shut
///      │                    ├──abort──▶ Ended
///      └──transport error───┴──▶ Failed ◀──transport error── (any but Shut)
/// ```
enum State {
    /// There is no session yet: only flights are sent.
    Handshake,
    Open(Sender),
    /// The last record is in the output. When it is flushed, this is the ending.
    Ending(SentEnding),
    /// The ending is recorded. The transport's own end is still to come.
    Ended,
    /// The transport's sending direction has ended too.
    Shut,
    Failed(SendFailure),
}

/// Why nothing more can be written to the transport.
enum SendFailure {
    Transport(Failure),
    /// It broke the contract of `AsyncWrite`.
    Contract(WriteError),
}

/// A failure of the transport, which the outbox keeps for whoever asks.
#[derive(Debug)]
pub(crate) struct Noted;

/// How far an end goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The session ends; the transport goes on.
    Session,
    /// The transport's sending direction ends after it.
    Transport,
}

impl Outbox {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Handshake,
            output: BytesMut::new(),
            unflushed: false,
            pressing: false,
            taken: 0,
            ending: None,
        }
    }

    /// The handshake is complete. What is left of its flights goes out first.
    ///
    /// # Errors
    ///
    /// The error when writing failed during the handshake. With `forgive` an error of the transport is none: the half starts out
    /// failed.
    pub(crate) fn begin(&mut self, mut sender: Sender, limit: BufferLimit, forgive: bool) -> Result<(), io::Error> {
        match &mut self.state {
            State::Failed(SendFailure::Transport(_)) if forgive => {}
            State::Failed(failure) => return Err(failure.error()),
            _ => {
                sender.set_write_max(limit.write_max());
                self.state = State::Open(sender);
            }
        }
        self.taken = 0;
        Ok(())
    }

    /// Where flights of the handshake are appended.
    pub(crate) fn flight(&mut self) -> &mut BytesMut {
        self.pressing = true;
        &mut self.output
    }

    /// Drops what is not sent yet: the peer reads no more of it.
    pub(crate) fn forget(&mut self) {
        self.output = BytesMut::new();
        self.unflushed = false;
        self.pressing = false;
    }

    /// How many bytes the transport has taken since the handshake.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn sent_ending(&self) -> Option<&SentEnding> {
        self.ending.as_ref()
    }

    /// Whether there is nothing to write and nothing to flush.
    pub(crate) fn is_idle(&self, link: &Link) -> bool {
        match self.state {
            State::Ended | State::Shut | State::Failed(_) => true,
            State::Handshake | State::Open(_) | State::Ending(_) => {
                self.output.is_empty() && !self.unflushed && !link.owes()
            }
        }
    }

    /// Whether the transport has taken everything that was queued.
    pub(crate) fn is_drained(&self) -> bool {
        self.output.is_empty() || matches!(self.state, State::Failed(_))
    }

    /// The transport's error, when writing failed.
    pub(crate) fn failure(&mut self) -> Option<io::Error> {
        match &mut self.state {
            State::Failed(failure) => Some(failure.error()),
            _ => None,
        }
    }

    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
        plaintext: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What is held must be out before more is taken: this is the bound on memory.
        if matches!(self.state, State::Open(_)) && ready!(self.poll_drain(io, link, cx)).is_ok() {
            self.take_owed(link);
        }
        let taken = match &mut self.state {
            State::Open(sender) => sender.write(plaintext, &mut self.output),
            State::Failed(failure) => return Poll::Ready(Err(failure.error())),
            State::Ending(ending) => return Poll::Ready(Err(refused(Some(ending)).io())),
            State::Handshake | State::Ended | State::Shut => {
                return Poll::Ready(Err(refused(self.ending.as_ref()).io()));
            }
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) => {
                self.notice_failure();
                return Poll::Ready(Err(WriteError::Send(error).io()));
            }
        };
        let _pending = self.poll_drain(io, link, cx);
        Poll::Ready(match &mut self.state {
            State::Failed(failure) => Err(failure.error()),
            // Taken is taken: what the transport does not take now goes with the next poll of either side.
            _ => Ok(taken),
        })
    }

    /// Everything taken so far, and everything owed, is on the wire when it returns `Ok`.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let _noted = ready!(self.poll_send(io, link, cx));
        Poll::Ready(match &mut self.state {
            State::Failed(failure) => Err(failure.error()),
            _ => Ok(()),
        })
    }

    /// As [`poll_flush`](Self::poll_flush), for callers to whom a failure is none: it is noted here.
    pub(crate) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Noted>> {
        loop {
            match &self.state {
                State::Handshake | State::Open(_) | State::Ending(_) => {}
                // All that there was is flushed, or never will be. Nothing more is owed.
                State::Ended | State::Shut | State::Failed(_) => {
                    let _never_sent = link.take_owed();
                    return Poll::Ready(Ok(()));
                }
            }
            if let Err(noted) = ready!(self.poll_drain(io, link, cx)) {
                return Poll::Ready(Err(noted));
            }
            // Only now is what is owed taken: a peer that makes us owe and never reads must not make the output grow.
            self.take_owed(link);
            if self.output.is_empty() {
                break;
            }
        }
        if self.unflushed {
            if let Err(error) = ready!(Pin::new(io).poll_flush(cx)) {
                return Poll::Ready(Err(self.fail(SendFailure::Transport(Failure::new(error)), link)));
            }
        }
        self.unflushed = false;
        self.pressing = false;
        if let State::Ending(ending) = &self.state {
            self.ending.get_or_insert_with(|| ending.clone());
            self.state = State::Ended;
        }
        Poll::Ready(Ok(()))
    }

    /// What a reader does for the outbox: drains it, and flushes it where the reader `parks` or nobody else would. A failure
    /// is recorded as the ending of the sending half; the reader has no part in it.
    pub(crate) fn poll_serve<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
        parks: bool,
    ) -> Poll<()> {
        self.pressing |= link.owes();
        let polled = if parks || self.pressing { self.poll_send(io, link, cx) } else { self.poll_drain(io, link, cx) };
        polled.map(|_noted| ())
    }

    /// Ends the session's sending half with a close_notify after all data, and with [`Extent::Transport`] the transport's
    /// after that. Idempotent.
    pub(crate) fn poll_end<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
        extent: Extent,
    ) -> Poll<io::Result<()>> {
        self.take_owed(link);
        self.state = match std::mem::replace(&mut self.state, State::Shut) {
            State::Open(sender) => State::Ending(sender.close(&mut self.output)),
            other => other,
        };
        ready!(self.poll_flush(io, link, cx))?;
        if extent == Extent::Transport && matches!(self.state, State::Ended) {
            match ready!(Pin::new(io).poll_shutdown(cx)) {
                // A peer that is gone already is no reason to fail: closed is closed.
                Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                    let mut failure = SendFailure::Transport(Failure::new(error));
                    let error = failure.error();
                    let Noted = self.fail(failure, link);
                    return Poll::Ready(Err(error));
                }
                Ok(()) | Err(_) => self.state = State::Shut,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives up: nothing more is written, no close_notify. An ending that is recorded already stays.
    pub(crate) fn abort(&mut self, ending: SentEnding) -> SentEnding {
        let recorded = self.ending.get_or_insert(ending).clone();
        self.state = State::Ended;
        self.forget();
        recorded
    }

    /// Hands the output to the transport, all of it or until it takes no more.
    pub(crate) fn poll_drain<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Noted>> {
        while !self.output.is_empty() {
            let failure = match ready!(Pin::new(&mut *io).poll_write(cx, &self.output)) {
                Ok(0) => SendFailure::Contract(WriteError::Zero),
                Ok(written) if written > self.output.len() => {
                    SendFailure::Contract(WriteError::Overcount { given: self.output.len(), reported: written })
                }
                Ok(written) => {
                    self.output.advance(written);
                    self.taken += written as u64;
                    self.unflushed = true;
                    continue;
                }
                Err(error) => SendFailure::Transport(Failure::new(error)),
            };
            return Poll::Ready(Err(self.fail(failure, link)));
        }
        self.output = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Appends what receiving made us owe, and follows a session that failed by it.
    fn take_owed(&mut self, link: &Link) {
        if let State::Handshake = self.state {
            return;
        }
        let Some(owes) = link.take_owed() else { return };
        if let State::Open(sender) = &mut self.state {
            sender.take_owed(owes, &mut self.output);
            self.pressing = true;
            self.notice_failure();
        }
    }

    /// Follows a session that failed while the half was open: what is owed is the last that is sent.
    fn notice_failure(&mut self) {
        let State::Open(sender) = &self.state else { return };
        let Some(ending) = sender.failed() else { return };
        if self.output.is_empty() {
            // There is no last word to wait for; what was taken before is still to be flushed.
            self.ending.get_or_insert_with(|| ending.clone());
        }
        self.unflushed = true;
        self.state = State::Ending(ending);
    }

    fn fail(&mut self, failure: SendFailure, link: &Link) -> Noted {
        if failure.kind() == io::ErrorKind::ConnectionReset {
            link.note_reset();
        }
        self.ending.get_or_insert_with(|| SentEnding::Failed(failure.kind()));
        self.forget();
        self.state = State::Failed(failure);
        Noted
    }

    /// How much memory the output holds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.output.capacity()
    }
}

impl SendFailure {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Transport(failure) => failure.kind(),
            Self::Contract(error) => error.kind(),
        }
    }

    fn error(&mut self) -> io::Error {
        match self {
            Self::Transport(failure) => failure.error(),
            Self::Contract(error) => error.io(),
        }
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Handshake => "Handshake",
            State::Open(_) => "Open",
            State::Ending(_) => "Ending",
            State::Ended => "Ended",
            State::Shut => "Shut",
            State::Failed(_) => "Failed",
        };
        f.debug_struct("Outbox")
            .field("state", &format_args!("{state}"))
            .field("unsent_bytes", &self.output.len())
            .field("ending", &self.ending)
            .finish()
    }
}

/// Why a half that ends or has ended in this way takes no more.
fn refused(ending: Option<&SentEnding>) -> WriteError {
    match ending {
        Some(SentEnding::CloseNotify) | None => WriteError::AfterClose,
        Some(_) => WriteError::Send(SendError::SessionOver),
    }
}
