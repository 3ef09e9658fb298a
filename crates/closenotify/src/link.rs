//! What the two directions of a stream must tell each other: who waits for the transport to take bytes, and that it was
//! reset.
//!
//! The transport keeps one waker for writing. Two may wait for it: the writer, and a reader that owes the peer bytes (the
//! answer to a KeyUpdate, an alert). So the transport is always polled for writing with a waker of ours that wakes both,
//! each from a slot of its own, and neither can replace the other's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Who polls the transport for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The owner of the sending half.
    Writer,
    /// The receiving half, which owes the peer bytes.
    Reader,
}

impl Side {
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Writer => Self::Reader,
            Self::Reader => Self::Writer,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Link {
    inner: Arc<Inner>,
    /// Made once of `inner`, so that the transport sees the same waker each time.
    waker: Waker,
}

#[derive(Debug, Default)]
struct Inner {
    writer: Slot,
    reader: Slot,
    reset: AtomicBool,
}

impl Link {
    pub(crate) fn new() -> Self {
        let inner = Arc::<Inner>::default();
        Self { waker: Waker::from(Arc::clone(&inner)), inner }
    }

    /// Polls the transport for writing, by way of `poll`, on behalf of `side`. While the answer is pending `cx`'s waker
    /// stays in the side's slot; else the slot is empty, and the other side is woken if it waits: a transport that has
    /// answered need not wake anybody any more.
    pub(crate) fn poll<T>(
        &self,
        side: Side,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.wait(side, cx);
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.leave(side);
            self.wake(side.other());
        }
        polled
    }

    /// Puts `cx`'s waker into the side's slot.
    pub(crate) fn wait(&self, side: Side, cx: &Context<'_>) {
        self.inner.slot(side).set(cx.waker());
    }

    /// Empties the side's slot: it does not wait any more, or is gone.
    pub(crate) fn leave(&self, side: Side) {
        drop(self.inner.slot(side).take());
    }

    /// Wakes the side if it waits.
    pub(crate) fn wake(&self, side: Side) {
        if let Some(waker) = self.inner.slot(side).take() {
            waker.wake();
        }
    }

    /// Notes that a write found the transport reset. The kernel tells it once: a read behind it may answer an end that
    /// looks clean.
    pub(crate) fn note_reset(&self) {
        self.inner.reset.store(true, Ordering::Release);
    }

    /// Whether a write found the transport reset.
    pub(crate) fn was_reset(&self) -> bool {
        self.inner.reset.load(Ordering::Acquire)
    }
}

impl Inner {
    fn slot(&self, side: Side) -> &Slot {
        match side {
            Side::Writer => &self.writer,
            Side::Reader => &self.reader,
        }
    }
}

impl Wake for Inner {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        for slot in [&self.writer, &self.reader] {
            if let Some(waker) = slot.take() {
                waker.wake();
            }
        }
    }
}

/// At most one waker.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Waker>>);

impl Slot {
    fn set(&self, waker: &Waker) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *slot {
            Some(held) => held.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
    }

    fn take(&self) -> Option<Waker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
