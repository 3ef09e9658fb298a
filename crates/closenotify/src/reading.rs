//! The receiving direction over a transport: fills the core's input, delivers plaintext, answers the ending.
//!
//! It polls the transport for reading only. What receiving makes us owe the peer it reports; who writes that is the
//! business of the stream around it.

use crate::buffers::{BufferLimit, PLAIN_MAX, RECORD_MAX};
use crate::error::ReadError;
use crate::link::Link;
use bytes::{Buf as _, BufMut, BytesMut};
use closenotify_core::{Read, ReceivedEnding, Receiver, SenderOwes, TransportEnd};
use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What a missing `close_notify` is to the reader. The ending is recorded either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Truncation {
    /// A read fails with [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): the right answer wherever the end of the stream
    /// is the end of the message.
    #[default]
    Error,
    /// A read answers an ordinary end: for protocols that frame their own messages, and notice what is missing. Only a
    /// connection that ended between two records is taken so; inside a record data is known to be missing.
    AsEof,
}

#[derive(Debug)]
pub(crate) struct Reading {
    receiver: Receiver,
    input: BytesMut,
    /// Plaintext taken for [`AsyncBufRead`](tokio::io::AsyncBufRead) and not consumed yet.
    plain: BytesMut,
    truncation: Truncation,
    limit: BufferLimit,
    /// How many bytes the transport has given.
    arrived: u64,
    /// Whether the peer waits for bytes that the sender must write.
    owes: bool,
}

impl Reading {
    pub(crate) fn new(receiver: Receiver, input: BytesMut, truncation: Truncation, limit: BufferLimit) -> Self {
        let mut reading = Self { receiver, input, plain: BytesMut::new(), truncation, limit, arrived: 0, owes: false };
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
        if !self.plain.is_empty() {
            let length = self.plain.len().min(out.remaining_mut());
            out.put_slice(&self.plain[..length]);
            self.consume(length);
            return Poll::Ready(Ok(()));
        }
        loop {
            let (read, SenderOwes(owes)) = self.receiver.read(&mut self.input, out);
            self.owes |= owes;
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

    /// Plaintext without a copy into the caller's buffer: empty at the end only.
    pub(crate) fn poll_fill_buf<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        link: &Link,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.plain.is_empty() {
            let mut out = std::mem::take(&mut self.plain).limit(PLAIN_MAX);
            let polled = self.poll_read(io, link, cx, &mut out);
            self.plain = out.into_inner();
            ready!(polled)?;
        }
        Poll::Ready(Ok(()))
    }

    /// What [`poll_fill_buf`](Self::poll_fill_buf) has got.
    pub(crate) fn buffer(&self) -> &[u8] {
        &self.plain
    }

    pub(crate) fn consume(&mut self, amount: usize) {
        self.plain.advance(amount);
        if self.plain.is_empty() {
            self.plain = BytesMut::new();
        }
    }

    /// Reads on and throws away, decrypting while the half is open, until the transport ends or `budget` bytes were
    /// thrown away.
    pub(crate) fn poll_discard<R: AsyncRead + Unpin>(
        &mut self,
        io: &mut R,
        link: &Link,
        cx: &mut Context<'_>,
        discarded: &mut u64,
        budget: u64,
    ) -> Poll<()> {
        *discarded += self.plain.len() as u64;
        self.plain = BytesMut::new();
        while *discarded < budget {
            if self.receiver.ending().is_none() {
                let mut scrap = BytesMut::new().limit(PLAIN_MAX);
                let _ended = ready!(self.poll_read(io, link, cx, &mut scrap));
                *discarded += scrap.get_ref().len() as u64;
                continue;
            }
            // Behind an ending inside TLS there are raw bytes, whatever they look like; behind the transport's, nothing.
            if !matches!(
                self.receiver.ending(),
                Some(ReceivedEnding::CloseNotify { .. } | ReceivedEnding::Alert(_) | ReceivedEnding::Violation(_))
            ) {
                return Poll::Ready(());
            }
            if !self.input.is_empty() {
                *discarded += std::mem::take(&mut self.input).len() as u64;
                continue;
            }
            let mut scrap = BytesMut::with_capacity(PLAIN_MAX);
            match ready!(poll_read_buf(io, cx, &mut scrap)) {
                Ok(read @ 1..) => {
                    self.arrived += read as u64;
                    *discarded += read as u64;
                }
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Ready(())
    }

    pub(crate) fn received_ending(&self) -> Option<&ReceivedEnding> {
        // While plaintext waits, the end has not been seen yet.
        self.receiver.ending().filter(|_| self.plain.is_empty())
    }

    /// Records that we gave up, unless an ending is recorded already.
    pub(crate) fn give_up(&mut self, end: TransportEnd) -> ReceivedEnding {
        self.receiver.transport_ended(end, &self.input);
        self.receiver.ending().cloned().unwrap_or(ReceivedEnding::Abandoned)
    }

    /// The raw bytes behind the end of TLS.
    pub(crate) fn into_trailing(self) -> BytesMut {
        self.input
    }

    /// How many bytes the transport has given since the handshake.
    pub(crate) fn arrived(&self) -> u64 {
        self.arrived
    }

    pub(crate) fn owes(&mut self) -> &mut bool {
        &mut self.owes
    }

    pub(crate) fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// What is left of a server's early data, as far as there is room.
    pub(crate) fn read_early(&mut self, out: &mut impl BufMut) {
        let _ = self.receiver.read_early(out);
    }

    pub(crate) fn set_truncation(&mut self, truncation: Truncation) {
        self.truncation = truncation;
    }

    fn end(&self) -> io::Result<()> {
        match self.receiver.ending() {
            Some(ReceivedEnding::CloseNotify { .. }) | None => Ok(()),
            Some(ReceivedEnding::Truncated { at: closenotify_core::TruncatedAt::Boundary })
                if self.truncation == Truncation::AsEof =>
            {
                Ok(())
            }
            Some(ending) => Err(ReadError::io(ending)),
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
            Poll::Ready(Err(error)) => TransportEnd::from(error.kind()),
            Poll::Pending => {
                self.rest();
                return Poll::Pending;
            }
        };
        self.receiver.transport_ended(end, &self.input);
        self.input = BytesMut::new();
        Poll::Ready(())
    }

    /// Makes room for the rest of the record that the input begins with, and where the limit allows for one more.
    fn make_room(&mut self) {
        let (length, most) = (self.input.len(), self.limit.input_max());
        if self.input.capacity() < most.min(length + RECORD_MAX) {
            // Growing in place would take more than asked for.
            let mut input = BytesMut::with_capacity(most);
            input.extend_from_slice(&self.input);
            self.input = input;
        }
    }

    /// Gives buffers back while there is nothing to read.
    fn rest(&mut self) {
        if self.input.len() <= KEPT_AT_REST {
            // An exact copy of the part of a record that is there; nothing at all where there is none.
            self.input = BytesMut::from(&self.input[..]);
            self.receiver.shrink();
        }
    }
}

fn poll_read_buf<R: AsyncRead + Unpin>(
    io: &mut R,
    cx: &mut Context<'_>,
    buf: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    pin!(io.read_buf(buf)).poll(cx)
}

/// Up to this many bytes of a record's beginning are moved to a buffer of their own size while the rest is awaited.
const KEPT_AT_REST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::writing::Writing;
    use closenotify_core::{Handshake, Progress, Session};
    use std::io::IoSlice;
    use testkit::certs::{Authority, TlsVersion};
    use testkit::executor::CountingWaker;
    use testkit::transport::{ReadStep, Scripted};

    fn sessions(version: TlsVersion) -> (Session, Session) {
        let authority = Authority::new();
        let name = "localhost".try_into().expect("a name");
        let mut client = Handshake::client(authority.client_config(version), name).expect("a configuration");
        let mut server = Handshake::server(authority.server_config(version)).expect("a configuration");
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        loop {
            client.take_output(&mut to_server);
            let at_server = server.advance(&mut to_server).expect("a good peer");
            server.take_output(&mut to_client);
            let at_client = client.advance(&mut to_client).expect("a good peer");
            if (at_client, at_server) == (Progress::Complete, Progress::Complete) {
                return (client.into_session(), server.into_session());
            }
        }
    }

    #[test]
    fn a_session_at_rest_holds_no_buffers() {
        for version in TlsVersion::EACH {
            let (client, server) = sessions(version);
            let mut peer = client.sender;
            let (mut io, wire) = Scripted::new([]);
            let link = Link::new();
            let waker = CountingWaker::new();
            let mut reading = Reading::new(server.receiver, BytesMut::new(), Truncation::Error, BufferLimit::default());
            let mut writing = Writing::new(server.sender, BufferLimit::default());
            let big = vec![1; 64 * 1024];
            for round in 0..3 {
                let mut bytes = BytesMut::new();
                peer.write(&[IoSlice::new(&big)], &mut bytes).expect("open");
                wire.push_data(bytes.to_vec());
                let mut got = 0;
                while got < big.len() {
                    // One round each way of reading.
                    let mut out = BytesMut::with_capacity(big.len()).limit(big.len());
                    waker.with_context(|cx| {
                        if round == 1 {
                            assert!(reading.poll_fill_buf(&mut io, &link, cx).is_ready());
                            got += reading.buffer().len();
                            reading.consume(reading.buffer().len());
                        } else {
                            assert!(reading.poll_read(&mut io, &link, cx, &mut out).is_ready());
                            got += out.get_ref().len();
                        }
                    });
                }
                waker.with_context(|cx| {
                    assert!(reading.poll_fill_buf(&mut io, &link, cx).is_pending());
                    assert!(writing.poll_write(&mut io, &link, cx, &[IoSlice::new(&big)]).is_ready());
                    assert!(writing.poll_flush(&mut io, &link, cx).is_ready());
                });
                assert_eq!((reading.input.capacity(), reading.plain.capacity()), (0, 0), "{version:?} {round}");
                assert_eq!(writing.held(), 0);
            }
            // The beginning of a record, and only that.
            let mut bytes = BytesMut::new();
            peer.write(&[IoSlice::new(b"hello")], &mut bytes).expect("open");
            wire.push_data(&bytes[..9]);
            waker.with_context(|cx| assert!(reading.poll_fill_buf(&mut io, &link, cx).is_pending()));
            assert_eq!((reading.input.len(), reading.plain.capacity()), (9, 0));
            assert!(reading.input.capacity() <= 64, "{}", reading.input.capacity());
            wire.push_read(ReadStep::Eof);
            waker.with_context(|cx| assert!(reading.poll_fill_buf(&mut io, &link, cx).is_ready()));
            assert_eq!((reading.input.capacity(), reading.plain.capacity()), (0, 0));
        }
    }

    /// Whatever a peer sends and however it is cut, the input holds one read of the transport and part of a record.
    #[test]
    fn the_input_is_bounded() {
        let (client, server) = sessions(TlsVersion::V13);
        let mut peer = client.sender;
        let (mut io, wire) = Scripted::new([]);
        let (link, waker) = (Link::new(), CountingWaker::new());
        let mut receiver = Some(server.receiver);
        for limit in [BufferLimit::default(), BufferLimit::new(0)] {
            let given = receiver.take().expect("given back by the round before");
            let mut reading = Reading::new(given, BytesMut::new(), Truncation::Error, limit);
            let mut bytes = BytesMut::new();
            for length in [64 * 1024, 1, 10_000, 20_000, 3].repeat(10) {
                peer.write(&[IoSlice::new(&vec![1; length])], &mut bytes).expect("open");
            }
            wire.push_data(bytes.to_vec());
            let mut polled = Poll::Ready(Ok(()));
            while polled.is_ready() {
                polled = waker.with_context(|cx| {
                    let mut some = [0; 1000];
                    reading.poll_read(&mut io, &link, cx, &mut &mut some[..])
                });
                assert!(reading.input.capacity() <= limit.input_max(), "{}", reading.input.capacity());
            }
            receiver = Some(reading.receiver);
        }
    }
}
