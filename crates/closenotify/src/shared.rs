//! What two halves share: the outgoing side of the session, which both may have to drain.
//!
//! Here is the one rule between them: a reader that parks is woken for whatever the writer leaves behind, though the writer may
//! never be polled again. It knows neither TLS nor transports, so that loom can search its interleavings.

use crate::link::{Link, Side};
use crate::sync::{AtomicBool, Ordering};
use crate::turn::Turn;
use std::task::{Context, Poll};

/// The outgoing side.
pub(crate) trait Outgoing {
    /// What is left of it when it was abandoned. It is dropped when nobody holds a turn.
    type Remains;

    /// Whether there is nothing to send.
    fn is_idle(&self, link: &Link) -> bool;

    /// The writer is gone: nothing more is sent.
    fn abandon(&mut self) -> Option<Self::Remains>;
}

pub(crate) struct Shared<P> {
    turn: Turn<P>,
    link: Link,
    writer_gone: AtomicBool,
}

impl<P: Outgoing> Shared<P> {
    pub(crate) fn new(place: P, link: Link) -> Self {
        link.set_busy(!place.is_idle(&link));
        Self { turn: Turn::new(place), link, writer_gone: AtomicBool::new(false) }
    }

    pub(crate) fn link(&self) -> &Link {
        &self.link
    }

    pub(crate) fn into_parts(self) -> (P, Link) {
        (self.turn.into_inner(), self.link)
    }

    /// Looks at the outgoing side; blocks while another thread polls it.
    pub(crate) fn peek<R>(&self, look: impl FnOnce(&P) -> R) -> R {
        self.turn.peek(&self.link, look)
    }

    /// Polls the outgoing side for `side`. When the other side has it, the result is pending, and that side wakes this one when
    /// it is done.
    pub(crate) fn poll<R>(
        &self,
        side: Side,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut P, &Link, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let polled = self.turn.take(&self.link, side, cx, |place| {
            // Before the transport is polled: a reader that does not see it is woken by what comes of the poll.
            self.link.set_busy(true);
            let polled = self.link.poll(side, cx, |cx| poll(place, &self.link, cx));
            self.link.set_busy(!place.is_idle(&self.link));
            polled
        });
        self.abandon();
        polled.unwrap_or(Poll::Pending)
    }

    /// What a reader that was polled does for the outgoing side: drains it, by way of `drain`, and where it `parks` stands by, to
    /// be woken for what the writer leaves behind later. `stands` is the reader's own note that it does.
    pub(crate) fn serve(
        &self,
        cx: &Context<'_>,
        parks: bool,
        stands: &mut bool,
        drain: impl Fn(&mut P, &Link, &mut Context<'_>) -> Poll<()>,
    ) {
        if std::mem::replace(stands, parks) && !parks {
            self.link.leave(Side::Reader);
        }
        loop {
            if parks {
                if self.writer_gone.load(Ordering::SeqCst) {
                    self.link.leave(Side::Reader);
                    return;
                }
                // Before it looks: see `Link::set_busy`.
                self.link.stand(cx);
            }
            if !self.link.is_busy() {
                return;
            }
            // While it is served it does not stand there, and the writer may come.
            if self.poll(Side::Reader, cx, &drain).is_pending() || !parks {
                return;
            }
        }
    }

    /// The writer is dropped.
    pub(crate) fn leave_writer(&self) {
        self.link.leave(Side::Writer);
        self.writer_gone.swap(true, Ordering::SeqCst);
        // Where the reader has the outgoing side, the reader does it when it is done.
        self.abandon();
    }

    /// The reader is dropped.
    pub(crate) fn leave_reader(&self) {
        self.link.leave(Side::Reader);
    }

    /// Ends the outgoing side when the writer is gone, unless somebody has it, who does it then.
    fn abandon(&self) {
        // It writes what it read, as the marks of a turn are swapped: either it sees that the writer is gone, or the writer sees
        // that the turn is free.
        if !self.writer_gone.fetch_or(false, Ordering::SeqCst) {
            return;
        }
        let remains = self.turn.try_take(&self.link, |place| {
            let remains = place.abandon();
            self.link.set_busy(false);
            let _never_sent = self.link.take_owed();
            remains
        });
        // A reader only stood there for what the writer might leave.
        self.link.leave(Side::Reader);
        // Outside of the turn: it is the transport's code.
        drop(remains);
    }
}
