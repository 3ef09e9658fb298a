//! What the two sides of a session share without a lock around the transport: who waits for the outgoing queue, what
//! receiving made us owe, and whether a write found the connection reset.
//!
//! A transport keeps one waker for writing, and two sides may wait for it: the writer, and a reader that must not park
//! over an outbox that the transport would take. So the transport is always polled for writing with a waker of ours that
//! wakes both, each from its own slot, and neither can replace the other's.

use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use closenotify_core::SenderOwes;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// Who polls the transport for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The owner of the sending half.
    Writer,
    /// The receiving half, which drains what the writer left and what receiving made us owe.
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

pub(crate) struct Link {
    inner: Arc<Inner>,
    /// Made once of `inner`, so that the transport sees the same waker each time.
    waker: Waker,
}

struct Inner {
    writer: Slot,
    reader: Slot,
    /// Whether the transport has woken us since a poll of it began.
    fired: AtomicBool,
    owed: Mutex<SenderOwes>,
    /// Whether `owed` holds anything. Set after it, cleared before it is emptied.
    owes: AtomicBool,
    /// Whether the outbox may hold something. Only who holds the outbox changes it: set before the transport is polled, so
    /// that a reader that stands and then sees it clear is woken by whatever comes later.
    busy: AtomicBool,
    reset: AtomicBool,
}

impl Link {
    pub(crate) fn new() -> Self {
        let inner = Arc::new(Inner {
            writer: Slot::new(),
            reader: Slot::new(),
            fired: AtomicBool::new(false),
            owed: Mutex::new(SenderOwes::default()),
            owes: AtomicBool::new(false),
            busy: AtomicBool::new(false),
            reset: AtomicBool::new(false),
        });
        Self { waker: Waker::from(Arc::clone(&inner)), inner }
    }

    /// Polls the transport for writing, by way of `poll`, on behalf of `side`. When the result is pending, `cx`'s waker is in
    /// the side's slot. Otherwise the slot is empty, and the other side is woken if it waits: a transport that returned `Ready`
    /// need not wake anybody any more.
    ///
    /// The slot is filled after the poll, since most polls are ready. A wake that comes before that is passed on here.
    pub(crate) fn poll<T>(
        &self,
        side: Side,
        cx: &Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.inner.fired.store(false, Ordering::SeqCst);
        let polled = poll(&mut Context::from_waker(&self.waker));
        if polled.is_ready() {
            self.leave(side);
            self.wake(side.other());
            return polled;
        }
        self.wait(side, cx);
        if self.inner.fired.swap(false, Ordering::SeqCst) {
            self.wake(side);
        }
        polled
    }

    /// Puts `cx`'s waker into the side's slot: it waits, and is woken by the transport or by the other side.
    pub(crate) fn wait(&self, side: Side, cx: &Context<'_>) {
        self.inner.slot(side).set(cx.waker(), true);
    }

    /// Puts the waker of a reader that parks into its slot: it has nothing to send, but is woken by the transport in case
    /// the writer leaves something behind and goes.
    pub(crate) fn stand(&self, cx: &Context<'_>) {
        self.inner.slot(Side::Reader).set(cx.waker(), false);
    }

    /// Empties the side's slot: it does not wait any more, or is gone.
    pub(crate) fn leave(&self, side: Side) {
        let slot = self.inner.slot(side);
        // Its own side fills it, and so knows.
        if slot.filled.load(Ordering::SeqCst) {
            drop(slot.take());
        }
    }

    /// Wakes the side if it waits. A reader that only stands stays where it is.
    pub(crate) fn wake(&self, side: Side) {
        if let Some(waker) = self.inner.slot(side).take_waiting() {
            waker.wake();
        }
    }

    /// Adds what receiving made us owe.
    pub(crate) fn owe(&self, owes: SenderOwes) {
        if owes.is_nothing() {
            return;
        }
        lock(&self.inner.owed).merge(owes);
        self.inner.owes.store(true, Ordering::SeqCst);
    }

    /// Whether anything is owed.
    pub(crate) fn owes(&self) -> bool {
        self.inner.owes.load(Ordering::SeqCst)
    }

    /// Takes what is owed, for the sender.
    pub(crate) fn take_owed(&self) -> Option<SenderOwes> {
        if !self.inner.owes.swap(false, Ordering::SeqCst) {
            return None;
        }
        Some(std::mem::take(&mut *lock(&self.inner.owed)))
    }

    /// Says whether the outbox may hold something. Only for who holds the outbox.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.inner.busy.store(busy, Ordering::SeqCst);
    }

    /// Whether there may be something to send. A reader that parks must [`stand`](Self::stand) before it asks.
    pub(crate) fn is_busy(&self) -> bool {
        self.inner.busy.load(Ordering::SeqCst) || self.owes()
    }

    /// Notes that a write found the connection reset. The kernel reports it once: a read after it may see an end that looks
    /// clean.
    pub(crate) fn note_reset(&self) {
        self.inner.reset.store(true, Ordering::Release);
    }

    /// Whether a write found the connection reset.
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
        self.fired.store(true, Ordering::SeqCst);
        let (writer, reader) = (self.writer.take(), self.reader.take());
        // One task on both sides is woken once.
        let reader = reader.filter(|reader| !writer.as_ref().is_some_and(|writer| writer.will_wake(reader)));
        for waker in [writer, reader].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// At most one waker, and why it is there. Who only asks whether it is takes no lock.
struct Slot {
    waker: Mutex<Option<Waker>>,
    /// Whether there is a waker. Changed under the lock.
    filled: AtomicBool,
    /// Whether its side waits for the outbox, and does not only stand by. Changed under the lock.
    waits: AtomicBool,
}

impl Slot {
    fn new() -> Self {
        Self { waker: Mutex::new(None), filled: AtomicBool::new(false), waits: AtomicBool::new(false) }
    }

    fn set(&self, waker: &Waker, waits: bool) {
        let mut slot = lock(&self.waker);
        match &mut *slot {
            Some(held) => held.clone_from(waker),
            None => *slot = Some(waker.clone()),
        }
        self.filled.store(true, Ordering::SeqCst);
        self.waits.store(waits, Ordering::SeqCst);
    }

    /// Under the lock, whether it is filled or not: who wakes must see what was set before.
    fn take(&self) -> Option<Waker> {
        let mut slot = lock(&self.waker);
        self.filled.store(false, Ordering::SeqCst);
        self.waits.store(false, Ordering::SeqCst);
        slot.take()
    }

    fn take_waiting(&self) -> Option<Waker> {
        if self.waits.load(Ordering::SeqCst) { self.take() } else { None }
    }
}

/// Nothing here panics while it holds a lock but a waker's clone, after which what is held is still what it was.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
