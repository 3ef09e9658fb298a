//! The receiving direction over a transport: fills the core's input, delivers plaintext, returns the ending.
//!
//! It polls the transport for reading only. What receiving makes us owe the peer goes to the [`Link`]; the outbox sends it.

use crate::buffers::{self, BufferLimit, RECORD_MAX, SCRAP};
use crate::error::ReadError;
use crate::failure::Failure;
use crate::link::Link;
use bytes::{BufMut, BytesMut};
use closenotify_core::{Read, ReceivedEnding, Receiver, TransportEnd, TruncatedAt};
use std::fmt;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How a missing `close_notify` is reported to the reader. The ending is recorded either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Truncation {
    /// The read fails with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): right wherever the end of the stream is the end of
    /// the message.
    #[default]
    Error,
    /// The read returns an ordinary end of file: for protocols that frame their own messages and notice what is missing.
    /// Only a connection that ended between two records is reported so. Inside a record data is known to be missing, and the
    /// read fails.
    AsEof,
}

pub(crate) struct Reading {
    receiver: Receiver,
    /// Ciphertext, after the plaintext of a record that is opened and not consumed.
    input: BytesMut,
    truncation: Truncation,
    limit: BufferLimit,
    /// How many bytes the transport has given.
    arrived: u64,
    /// How many bytes after the peer's close_notify were discarded.
    discarded_trailing: u64,
    /// Why reading the transport failed, if it did.
    failure: Option<Failure>,
}

impl Reading {
    pub(crate) fn new(receiver: Receiver, input: BytesMut, truncation: Truncation, limit: BufferLimit) -> Self {
        let mut reading = Self { receiver, input, truncation, limit, arrived: 0, discarded_trailing: 0, failure: None };
        reading.rest();
        reading
    }

    /// Puts at least one byte of plaintext into `out`, or none at the end. `out` must have room.
    pub(crate) fn poll_read<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        link: &Link,
        cx: &mut Context<'_>,
        out: &mut impl BufMut,
    ) -> Poll<io::Result<()>> {
        loop {
            let (read, owes) = self.receiver.read(&mut self.input, out);
            link.owe(owes);
            if self.input.is_empty() {
                // Nobody may read again for long.
                self.rest();
            }
            match read {
                Read::Data(_) => return Poll::Ready(Ok(())),
                Read::Ended => return Poll::Ready(self.end()),
                Read::NeedInput => ready!(self.poll_fill_input(io, link, cx)),
            }
        }
    }

    /// Opens a record, in place: [`buffer`](Self::buffer) is empty at the end only.
    pub(crate) fn poll_fill_buf<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let (read, owes) = self.receiver.open(&mut self.input);
            link.owe(owes);
            match read {
                Read::Data(_) => return Poll::Ready(Ok(())),
                Read::Ended => {
                    self.rest();
                    return Poll::Ready(self.end());
                }
                Read::NeedInput => ready!(self.poll_fill_input(io, link, cx)),
            }
        }
    }

    /// The plaintext that [`poll_fill_buf`](Self::poll_fill_buf) has opened.
    pub(crate) fn buffer(&self) -> &[u8] {
        self.receiver.plaintext(&self.input)
    }

    pub(crate) fn consume(&mut self, amount: usize) {
        self.receiver.consume(&mut self.input, amount);
        if self.input.is_empty() {
            self.rest();
        }
    }

    /// Reads on and discards, decrypting while the half is open, until the transport ends or `budget` bytes were
    /// discarded.
    pub(crate) fn poll_discard<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        link: &Link,
        cx: &mut Context<'_>,
        discarded: &mut u64,
        budget: u64,
    ) -> Poll<()> {
        loop {
            let opened = self.buffer().len();
            *discarded += opened as u64;
            self.consume(opened);
            if *discarded >= budget {
                return Poll::Ready(());
            }
            match self.receiver.ending() {
                None => {
                    if let Err(error) = ready!(self.poll_fill_buf(io, link, cx)) {
                        self.put_back(error);
                    }
                }
                // After an ending inside TLS there are raw bytes, whatever they look like.
                Some(ReceivedEnding::CloseNotify | ReceivedEnding::Alert(_) | ReceivedEnding::Violation(_)) => {
                    if self.input.is_empty() {
                        ready!(self.poll_scrap(io, cx));
                    }
                    if self.input.is_empty() {
                        return Poll::Ready(());
                    }
                    *discarded += self.input.len() as u64;
                    if let Some(ReceivedEnding::CloseNotify) = self.receiver.ending() {
                        self.discarded_trailing += self.input.len() as u64;
                    }
                    self.input.clear();
                    self.rest();
                }
                // After the transport's own end there is nothing.
                Some(_) => return Poll::Ready(()),
            }
        }
    }

    pub(crate) fn received_ending(&self) -> Option<&ReceivedEnding> {
        // While plaintext waits, the end has not been seen yet.
        self.receiver.ending().filter(|_| self.buffer().is_empty())
    }

    /// Records that we gave up, unless an ending is recorded already.
    pub(crate) fn give_up(&mut self, end: TransportEnd) -> ReceivedEnding {
        self.receiver.transport_ended(end, &self.input);
        self.receiver.ending().cloned().unwrap_or(ReceivedEnding::Abandoned)
    }

    /// Keeps an error that a read returned for whoever is told of it.
    pub(crate) fn put_back(&mut self, error: io::Error) {
        if let Some(failure) = &mut self.failure {
            *failure = Failure::new(error);
        }
    }

    /// The transport's error, when reading it failed.
    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.as_mut().map(Failure::error)
    }

    /// How many bytes of the transport were read after the peer's close_notify so far.
    pub(crate) fn trailing(&self) -> u64 {
        match self.receiver.ending() {
            Some(ReceivedEnding::CloseNotify) => {
                self.discarded_trailing + self.receiver.unopened(&self.input).len() as u64
            }
            _ => 0,
        }
    }

    /// The raw bytes after the end of TLS.
    pub(crate) fn into_trailing(self) -> BytesMut {
        self.input
    }

    /// How many bytes the transport has given since the handshake.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    /// What is left of a server's early data, as far as there is room.
    #[cfg(feature = "early-data")]
    pub(crate) fn read_early(&mut self, out: &mut impl BufMut) {
        let _ = self.receiver.read_early(out);
    }

    pub(crate) fn set_truncation(&mut self, truncation: Truncation) {
        self.truncation = truncation;
    }

    fn end(&mut self) -> io::Result<()> {
        match (self.receiver.ending(), &mut self.failure) {
            (Some(ReceivedEnding::CloseNotify) | None, _) => Ok(()),
            (Some(ReceivedEnding::Truncated { at: TruncatedAt::Boundary }), _)
                if self.truncation == Truncation::AsEof =>
            {
                Ok(())
            }
            (Some(ReceivedEnding::Reset | ReceivedEnding::Failed(_)), Some(failure)) => Err(failure.error()),
            (Some(ending), _) => Err(ReadError::io(ending)),
        }
    }

    /// Gets more ciphertext, or tells the receiver that there is no more.
    fn poll_fill_input<R: AsyncRead + Unpin>(&mut self, io: &mut R, link: &Link, cx: &mut Context<'_>) -> Poll<()> {
        self.make_room();
        let end = match poll_read_buf(io, cx, &mut self.input) {
            Poll::Ready(Ok(read @ 1..)) => {
                self.arrived += read as u64;
                return Poll::Ready(());
            }
            Poll::Ready(Ok(0)) if link.was_reset() => TransportEnd::Reset,
            Poll::Ready(Ok(0)) => TransportEnd::Eof,
            Poll::Ready(Err(error)) => {
                let kind = error.kind();
                self.failure = Some(Failure::new(error));
                TransportEnd::from(kind)
            }
            Poll::Pending => {
                self.rest();
                return Poll::Pending;
            }
        };
        self.receiver.transport_ended(end, &self.input);
        self.input.clear();
        self.rest();
        Poll::Ready(())
    }

    /// Reads raw bytes, to be discarded. The input stays empty when there are no more.
    fn poll_scrap<R: AsyncRead + Unpin>(&mut self, io: &mut R, cx: &mut Context<'_>) -> Poll<()> {
        self.input = buffers::take(SCRAP);
        match poll_read_buf(io, cx, &mut self.input) {
            Poll::Ready(read) => {
                self.arrived += read.unwrap_or_default() as u64;
                Poll::Ready(())
            }
            Poll::Pending => {
                self.rest();
                Poll::Pending
            }
        }
    }

    /// Makes room for the rest of the record that the input begins with, and where the limit allows for one more.
    fn make_room(&mut self) {
        let (length, most) = (self.input.len(), self.limit.input_max());
        if self.input.capacity() < most.min(length + RECORD_MAX) {
            let mut input = buffers::take(most);
            input.extend_from_slice(&self.input);
            buffers::give(std::mem::replace(&mut self.input, input));
        }
    }

    /// Gives the buffer back while there is nothing to read.
    fn rest(&mut self) {
        buffers::rest(&mut self.input);
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading")
            .field("unread_bytes", &self.buffer().len())
            .field("ciphertext_bytes", &self.receiver.unopened(&self.input).len())
            .field("truncation", &self.truncation)
            .field("ending", &self.receiver.ending())
            .finish()
    }
}

pub(crate) fn poll_read_buf<R: AsyncRead + Unpin>(
    io: &mut R,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    pin!(io.read_buf(buf)).poll(cx)
}

#[cfg(test)]
mod tests;
