//! Turn-taking for two sides that share one thing, without a thread that ever blocks.
//!
//! Who finds the thing taken leaves a mark and its waker, and whoever puts it back looks for the mark. The marks are
//! swapped, never only loaded or stored: so of two sides that meet, one sees the other's swap, and either the thing is free
//! by then or its holder finds the mark.

use crate::link::{Link, Side};
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering, TryLockError};
use std::task::Context;

pub(crate) struct Turn<P> {
    place: Mutex<P>,
    writer_turned_away: AtomicBool,
    reader_turned_away: AtomicBool,
}

impl<P> Turn<P> {
    pub(crate) fn new(place: P) -> Self {
        Self {
            place: Mutex::new(place),
            writer_turned_away: AtomicBool::new(false),
            reader_turned_away: AtomicBool::new(false),
        }
    }

    /// Runs `work` on the thing for `side`. `None` when the other side has it: that side then wakes this one when it is done.
    pub(crate) fn take<R>(
        &self,
        link: &Link,
        side: Side,
        cx: &Context<'_>,
        work: impl FnOnce(&mut P) -> R,
    ) -> Option<R> {
        let place = match self.try_lock() {
            Some(place) => place,
            None => {
                link.wait(side, cx);
                self.turned_away(side).swap(true, Ordering::SeqCst);
                // The holder may have put it back, and looked, before the mark was there: then it is free now.
                let place = self.try_lock()?;
                self.turned_away(side).swap(false, Ordering::SeqCst);
                place
            }
        };
        Some(Held { place: Some(place), turn: self, link, others: &[side.other()] }.with(work))
    }

    /// Runs `work` on the thing if nobody has it. For a side that is leaving: it cannot be woken any more.
    pub(crate) fn try_take<R>(&self, link: &Link, work: impl FnOnce(&mut P) -> R) -> Option<R> {
        let place = self.try_lock()?;
        Some(Held { place: Some(place), turn: self, link, others: &[Side::Writer, Side::Reader] }.with(work))
    }

    /// Looks at the thing, and blocks while another thread has it: for the time of one poll of the transport.
    pub(crate) fn peek<R>(&self, link: &Link, look: impl FnOnce(&P) -> R) -> R {
        let place = crate::link::lock(&self.place);
        Held { place: Some(place), turn: self, link, others: &[Side::Writer, Side::Reader] }.with(|place| look(place))
    }

    pub(crate) fn into_inner(self) -> P {
        self.place.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn put_back(&self, link: &Link, other: Side) {
        if self.turned_away(other).swap(false, Ordering::SeqCst) {
            link.wake(other);
        }
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, P>> {
        match self.place.try_lock() {
            Ok(place) => Some(place),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn turned_away(&self, side: Side) -> &AtomicBool {
        match side {
            Side::Writer => &self.writer_turned_away,
            Side::Reader => &self.reader_turned_away,
        }
    }
}

/// A turn. It ends when it is dropped, also by a panic of the transport: who was turned away meanwhile is woken.
struct Held<'a, P> {
    /// `None` once it is put back.
    place: Option<MutexGuard<'a, P>>,
    turn: &'a Turn<P>,
    link: &'a Link,
    others: &'a [Side],
}

impl<P> Held<'_, P> {
    fn with<R>(mut self, work: impl FnOnce(&mut P) -> R) -> R {
        work(self.place.as_mut().expect("only the drop takes it"))
    }
}

impl<P> Drop for Held<'_, P> {
    fn drop(&mut self) {
        // First, so that who is woken finds it free.
        drop(self.place.take());
        for other in self.others {
            self.turn.put_back(self.link, *other);
        }
    }
}
