//! Streams that read wrongly: ends that are none, bytes that are kept, errors that vanish.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use pollcheck::{Check, Rule, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::faulty::{Fault, Io, gallery};

gallery! {
    empty_read_before_the_end_is_caught: EndsWhenIdle => EmptyReadBeforeEnd;
    end_that_does_not_stay_is_caught: FailsAfterTheEnd => EndDoesNotStay;
    end_that_goes_unnoticed_is_caught: IgnoresTheEnd => EndUnnoticed;
    end_before_buffered_bytes_is_caught: EndOvertakes => EndBeforeBufferedBytes;
    error_that_becomes_an_end_is_caught: HidesErrors => ErrorBecomesEnd;
    error_from_nothing_is_caught: FailsWhenHeldBack => ErrorFromNothing;
    would_block_is_caught: LeaksWouldBlock => WouldBlockLeaked;
    bytes_in_a_pending_read_are_caught: FillsTheBuffer => PendingWithBytes;
    touched_bytes_are_caught: ClearsTheBuffer => FilledPartTouched;
    held_back_bytes_are_caught: ReadsBlocks => HeldBack;
    empty_buffers_taken_for_the_end_are_caught: TakesEmptyForTheEnd => EmptyBufferMishandled;
}

/// Nothing there is as good as nothing more.
#[derive(Default)]
struct EndsWhenIdle;

impl Fault for EndsWhenIdle {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match io.poll_read(cx, buf) {
            Poll::Pending => Poll::Ready(Ok(())),
            ready => ready,
        }
    }
}

/// Who reads on after the end has made a mistake.
#[derive(Default)]
struct FailsAfterTheEnd(bool);

impl Fault for FailsAfterTheEnd {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0 {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(io.poll_read(cx, buf))?;
        self.0 = room > 0 && buf.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

/// Waits for more after the transport's end.
#[derive(Default)]
struct IgnoresTheEnd(Option<Waker>);

impl Fault for IgnoresTheEnd {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(io.poll_read(cx, buf))?;
        if room > 0 && buf.filled().len() == before {
            self.0 = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads ahead, and hears the end before it has handed on what it read.
#[derive(Default)]
struct EndOvertakes(Vec<u8>);

impl Fault for EndOvertakes {
    fn read(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut memory = [0; 256];
            let mut ahead = ReadBuf::new(&mut memory);
            match io.as_mut().poll_read(cx, &mut ahead)? {
                Poll::Ready(()) if ahead.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(()) => self.0.extend_from_slice(ahead.filled()),
                Poll::Pending if self.0.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        hand_on(&mut self.0, buf);
        Poll::Ready(Ok(()))
    }
}

/// A connection that broke is a connection that is over.
#[derive(Default)]
struct HidesErrors;

impl Fault for HidesErrors {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        io.poll_read(cx, buf).map(|_| Ok(()))
    }
}

/// Has no patience.
#[derive(Default)]
struct FailsWhenHeldBack;

impl Fault for FailsWhenHeldBack {
    fn flush(&mut self, io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match AsyncWrite::poll_flush(io, cx) {
            Poll::Pending => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            ready => ready,
        }
    }
}

/// As a decoder that tells once that its input was cut: its own transport never failed, the peer's did.
struct TellsACutOnce {
    io: Transport,
    told: bool,
    ended: Rc<Cell<bool>>,
    peer_ended: Rc<Cell<bool>>,
}

impl AsyncRead for TellsACutOnce {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, room) = (buf.filled().len(), buf.remaining());
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if room > 0 && buf.filled().len() == before && !self.peer_ended.get() && !self.told {
            self.told = true;
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for TellsACutOnce {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        self.ended.set(true);
        Poll::Ready(Ok(()))
    }
}

#[test]
fn an_error_of_its_own_that_becomes_an_end_is_not_said_to_be_the_transports() {
    let report = Check::new().pair(|left, right| {
        let ended = [Rc::<Cell<bool>>::default(), Rc::default()];
        let end = |io, own: usize| TellsACutOnce {
            io,
            told: false,
            ended: Rc::clone(&ended[own]),
            peer_ended: Rc::clone(&ended[1 - own]),
        };
        (end(left, 0), end(right, 1))
    });
    let [violation] = report.violations() else { panic!("{report}") };
    assert_eq!(violation.rule(), Rule::ErrorBecomesEnd, "{report}");
    let text = report.to_string();
    assert!(text.contains("read tells an orderly end, though it had told an error"), "{text}");
}

/// Speaks to async callers as to blocking ones.
#[derive(Default)]
struct LeaksWouldBlock;

impl Fault for LeaksWouldBlock {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match io.poll_read(cx, buf) {
            Poll::Pending => Poll::Ready(Err(io::ErrorKind::WouldBlock.into())),
            ready => ready,
        }
    }
}

/// Reads until the buffer is full, and forgets that its caller may not come back.
#[derive(Default)]
struct FillsTheBuffer;

impl Fault for FillsTheBuffer {
    fn read(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while buf.remaining() > 0 {
            let before = buf.filled().len();
            ready!(io.as_mut().poll_read(cx, buf))?;
            if buf.filled().len() == before {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Takes the whole buffer for its own.
#[derive(Default)]
struct ClearsTheBuffer;

impl Fault for ClearsTheBuffer {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        buf.clear();
        io.poll_read(cx, buf)
    }
}

/// Hands on whole blocks, and the rest only at the end.
#[derive(Default)]
struct ReadsBlocks {
    read: Vec<u8>,
    ready: usize,
}

impl Fault for ReadsBlocks {
    fn read(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.ready == 0 && buf.remaining() > 0 {
            let mut memory = [0; 256];
            let mut ahead = ReadBuf::new(&mut memory);
            ready!(io.as_mut().poll_read(cx, &mut ahead))?;
            self.read.extend_from_slice(ahead.filled());
            if ahead.filled().is_empty() {
                self.ready = self.read.len();
                break;
            }
            self.ready = self.read.len() / 16 * 16;
        }
        let n = self.ready.min(buf.remaining());
        buf.put_slice(&self.read[..n]);
        self.read.drain(..n);
        self.ready -= n;
        Poll::Ready(Ok(()))
    }
}

/// Compares lengths, and does not ask whether there was room.
#[derive(Default)]
struct TakesEmptyForTheEnd(bool);

impl Fault for TakesEmptyForTheEnd {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.0 {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(io.poll_read(cx, buf))?;
        self.0 = buf.filled().len() == before;
        Poll::Ready(Ok(()))
    }
}

fn hand_on(from: &mut Vec<u8>, buf: &mut ReadBuf<'_>) {
    let n = from.len().min(buf.remaining());
    buf.put_slice(&from[..n]);
    from.drain(..n);
}
