//! The sending direction over a transport: encrypts, writes, flushes, ends, and records how it ended, once.
//!
//! It holds at most one write's worth of ciphertext, and before that what the handshake left. It never reads.

use crate::buffers::BufferLimit;
use crate::error::WriteError;
use crate::link::Link;
use bytes::{Buf as _, BytesMut};
use closenotify_core::{SendError, Sender, SentEnding};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;

#[derive(Debug)]
pub(crate) struct Writing {
    state: State,
    /// Ciphertext that the transport has not taken yet.
    output: BytesMut,
    /// How many bytes the transport has taken.
    taken: u64,
    ending: Option<SentEnding>,
}

/// ```text
///  Open ──close, session failed──▶ Ending(e) ──output taken, flushed──▶ Ended ──transport shut──▶ Shut
///   └──transport error──▶ Failed(error) ◀──transport error──┘
///   └──abort──▶ Ended
/// ```
#[derive(Debug)]
enum State {
    Open(Sender),
    /// The last record is in the output; when it is flushed, this will be the ending.
    Ending(SentEnding),
    /// The ending is recorded; the transport's own end is still owed.
    Ended,
    /// The transport's sending direction is shut too.
    Shut,
    Failed(WriteError),
}

/// How far an end goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The session ends; the transport goes on.
    Session,
    /// The transport's sending direction ends behind it.
    Transport,
}

impl Writing {
    pub(crate) fn new(mut sender: Sender, limit: BufferLimit) -> Self {
        sender.set_write_max(limit.write_max());
        Self { state: State::Open(sender), output: BytesMut::new(), taken: 0, ending: None }
    }

    /// A half whose handshake left `output` to be written first.
    pub(crate) fn behind(output: BytesMut, sender: Sender, limit: BufferLimit) -> Self {
        Self { output, ..Self::new(sender, limit) }
    }

    /// A half whose transport failed before it began.
    pub(crate) fn failed(kind: io::ErrorKind, link: &Link) -> Self {
        let mut writing = Self { state: State::Shut, output: BytesMut::new(), taken: 0, ending: None };
        let _recorded = writing.fail(WriteError::Transport(kind), link);
        writing
    }

    /// How many bytes the transport has taken since the handshake.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    pub(crate) fn sent_ending(&self) -> Option<&SentEnding> {
        self.ending.as_ref()
    }

    pub(crate) fn poll_write<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
        plaintext: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &self.state {
            State::Open(_) => {}
            State::Failed(error) => return Poll::Ready(Err(error.io())),
            State::Ending(ending) => return Poll::Ready(Err(refused(Some(ending)).io())),
            State::Ended | State::Shut => return Poll::Ready(Err(refused(self.ending.as_ref()).io())),
        }
        // What is held must be out before more is taken: this is the bound on memory.
        ready!(self.poll_drain(io, link, cx))?;
        let State::Open(sender) = &mut self.state else {
            unreachable!("draining leaves an open half open, or fails");
        };
        let taken = match sender.write(plaintext, &mut self.output) {
            Ok(taken) => taken,
            Err(error) => {
                self.notice_failure();
                return Poll::Ready(Err(WriteError::Send(error).io()));
            }
        };
        match self.poll_drain(io, link, cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            // Taken is taken: what the transport did not want yet goes with the next call.
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    /// Everything taken so far, and everything owed, is on the wire when it answers `Ok`.
    pub(crate) fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &self.state {
                State::Open(_) | State::Ending(_) => {}
                // All that there was is flushed.
                State::Ended | State::Shut => return Poll::Ready(Ok(())),
                State::Failed(error) => return Poll::Ready(Err(error.io())),
            }
            ready!(self.poll_drain(io, link, cx))?;
            // Only now is what is owed taken: a peer that makes us owe and never reads must not make the output grow.
            if let State::Open(sender) = &mut self.state {
                sender.take_owed(&mut self.output);
                self.notice_failure();
            }
            if self.output.is_empty() {
                break;
            }
        }
        if let Err(error) = ready!(Pin::new(io).poll_flush(cx)) {
            return Poll::Ready(Err(self.fail(WriteError::Transport(error.kind()), link)));
        }
        if let State::Ending(ending) = &self.state {
            self.ending.get_or_insert(ending.clone());
            self.state = State::Ended;
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the session's sending half with a close_notify behind all data, and with `Extent::Transport` the transport's
    /// behind that. Idempotent.
    pub(crate) fn poll_end<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
        extent: Extent,
    ) -> Poll<io::Result<()>> {
        if let Some(sender) = self.take_open() {
            self.state = State::Ending(sender.close(&mut self.output));
        }
        ready!(self.poll_flush(io, link, cx))?;
        if extent == Extent::Transport && matches!(self.state, State::Ended) {
            match ready!(Pin::new(io).poll_shutdown(cx)) {
                // A peer that is gone already is no reason to fail: closed is closed.
                Err(error) if error.kind() != io::ErrorKind::NotConnected => {
                    return Poll::Ready(Err(self.fail(WriteError::Transport(error.kind()), link)));
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
        self.output = BytesMut::new();
        recorded
    }

    /// Hands the output to the transport, all of it or until it takes no more.
    fn poll_drain<W: AsyncWrite + Unpin>(
        &mut self,
        io: &mut W,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let error = match ready!(Pin::new(&mut *io).poll_write(cx, &self.output)) {
                Ok(0) => WriteError::Zero,
                Ok(written) => {
                    self.output.advance(written);
                    self.taken += written as u64;
                    continue;
                }
                Err(error) => WriteError::Transport(error.kind()),
            };
            return Poll::Ready(Err(self.fail(error, link)));
        }
        self.output = BytesMut::new();
        Poll::Ready(Ok(()))
    }

    /// Follows a session that failed while the half was open: what is owed is the last that is sent.
    fn notice_failure(&mut self) {
        if let State::Open(sender) = &mut self.state
            && let Some(ending) = sender.failed()
        {
            sender.take_owed(&mut self.output);
            if self.output.is_empty() {
                // There is no last word to wait for; what was taken before is still to be flushed.
                self.ending.get_or_insert(ending.clone());
            }
            self.state = State::Ending(ending);
        }
    }

    fn fail(&mut self, error: WriteError, link: &Link) -> io::Error {
        if error == WriteError::Transport(io::ErrorKind::ConnectionReset) {
            link.note_reset();
        }
        self.ending.get_or_insert(SentEnding::Failed(error.kind()));
        self.state = State::Failed(error);
        self.output = BytesMut::new();
        error.io()
    }

    /// How much memory the output holds.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.output.capacity()
    }

    fn take_open(&mut self) -> Option<Sender> {
        match std::mem::replace(&mut self.state, State::Shut) {
            State::Open(sender) => Some(sender),
            other => {
                self.state = other;
                None
            }
        }
    }
}

/// Why a half that ends or has ended in this way takes no more.
fn refused(ending: Option<&SentEnding>) -> WriteError {
    match ending {
        Some(SentEnding::CloseNotify) | None => WriteError::AfterClose,
        Some(_) => WriteError::Send(SendError::SessionOver),
    }
}
