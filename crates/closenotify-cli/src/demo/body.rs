//! The bodies of the demo's answers, made as they are sent: none is held in memory as a whole.
//!
//! Each knows its length from the start, so that a client can tell a truncated response from a complete one.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::wire::ResetOrder;

/// The body of an answer.
#[derive(Debug)]
pub(super) enum DemoBody {
    /// A text that is there already; empty when it has been given.
    Text(Bytes),
    /// So many bytes of the pattern are still to come.
    Pattern { left: u64 },
    /// One part at once, the other when the time has come; each is empty when it has been given.
    Slow { first: Bytes, rest: Bytes, until: Pin<Box<Sleep>> },
    /// The request's own body.
    Echo(Incoming),
    /// `left` bytes of the pattern are still to come, then the order; the rest of the promise is never kept.
    Reset { left: u64, unkept: u64, order: ResetOrder },
}

impl DemoBody {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn slow(first: impl Into<Bytes>, rest: impl Into<Bytes>, after: Duration) -> Self {
        Self::Slow { first: first.into(), rest: rest.into(), until: Box::pin(sleep(after)) }
    }

    /// `given` bytes of a body that promises twice as many and 1,024 more.
    pub(super) fn reset(given: u64, order: ResetOrder) -> Self {
        Self::Reset { left: given, unkept: given + 1024, order }
    }
}

impl Body for DemoBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let data = match self.get_mut() {
            Self::Text(text) => std::mem::take(text),
            Self::Pattern { left } => pattern(left),
            Self::Slow { first, rest, until } => {
                if first.is_empty() && !rest.is_empty() {
                    ready!(until.as_mut().poll(cx));
                    std::mem::take(rest)
                } else {
                    std::mem::take(first)
                }
            }
            Self::Echo(incoming) => return Pin::new(incoming).poll_frame(cx),
            Self::Reset { left: 0, order, .. } => {
                // No waker is kept: hyper flushes before it sleeps, and the flush ends the connection.
                order.give();
                return Poll::Pending;
            }
            Self::Reset { left, .. } => pattern(left),
        };
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Echo(incoming) => incoming.is_end_stream(),
            // Its end is the reset, even when nothing is left to give.
            Self::Reset { .. } => false,
            Self::Text(_) | Self::Pattern { .. } | Self::Slow { .. } => self.size_hint().exact() == Some(0),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.len() as u64),
            Self::Pattern { left } => SizeHint::with_exact(*left),
            Self::Slow { first, rest, .. } => SizeHint::with_exact((first.len() + rest.len()) as u64),
            Self::Echo(incoming) => incoming.size_hint(),
            Self::Reset { left, unkept, .. } => SizeHint::with_exact(left + unkept),
        }
    }
}

/// The next chunk of the pattern: lines of 64 bytes, ending where `left` ends.
fn pattern(left: &mut u64) -> Bytes {
    // All chunks before the last are full, so every chunk begins at the start of a line.
    let len = usize::try_from(*left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
    *left -= len as u64;
    Bytes::from_static(&CHUNK[..len])
}

const LINE: &[u8; 64] = b"0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXY\n";

static CHUNK: [u8; 64 * 1024] = {
    let mut chunk = [0; 64 * 1024];
    let mut at = 0;
    while at < chunk.len() {
        chunk[at] = LINE[at % LINE.len()];
        at += 1;
    }
    chunk
};
