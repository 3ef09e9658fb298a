//! Streams that answer `Pending` and do the wrong thing with the waker.

use std::io;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::faulty::{Fault, Io, gallery};

gallery! {
    pending_without_a_waker_is_caught: Forgets => PendingWithoutWaker;
    lost_wake_is_caught: NeverWakes => LostWake;
    stale_wake_is_caught: KeepsTheFirst => StaleWake;
    self_wake_is_caught: Spins => SelfWake;
    wasted_polls_are_caught: WakesEverybody => WastedPolls;
    poll_that_does_not_return_is_caught: RetriesZero => PollDoesNotReturn;
    stream_that_is_never_ready_is_caught: WaitsForEver => NeverReady;
    panic_is_caught: Panics => Panicked;
}

/// Asks its transport with a waker of its own, which leads nowhere.
#[derive(Default)]
struct Forgets;

impl Fault for Forgets {
    fn read(&mut self, io: Io<'_>, _cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        io.poll_read(&mut Context::from_waker(Waker::noop()), buf)
    }
}

/// Keeps the waker, and has nobody who would call it.
#[derive(Default)]
struct NeverWakes(Option<Waker>);

impl Fault for NeverWakes {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0 = Some(cx.waker().clone());
        io.poll_read(&mut Context::from_waker(Waker::noop()), buf)
    }
}

/// Registers the first waker of a wait, and never another one.
#[derive(Default)]
struct KeepsTheFirst(Option<Waker>);

impl Fault for KeepsTheFirst {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let waker = self.0.get_or_insert_with(|| cx.waker().clone());
        let polled = io.poll_read(&mut Context::from_waker(waker), buf);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

/// Wakes itself to look again.
#[derive(Default)]
struct Spins;

impl Fault for Spins {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let polled = io.poll_read(cx, buf);
        if polled.is_pending() {
            cx.waker().wake_by_ref();
        }
        polled
    }
}

/// Wakes the reader whenever something was written: it might concern it.
#[derive(Default)]
struct WakesEverybody(Option<Waker>);

impl Fault for WakesEverybody {
    fn read(&mut self, io: Io<'_>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.0 = Some(cx.waker().clone());
        io.poll_read(cx, buf)
    }

    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(waker) = self.0.take() {
            waker.wake();
        }
        io.poll_write(cx, bytes)
    }
}

/// Tries again at once when nothing was taken.
#[derive(Default)]
struct RetriesZero;

impl Fault for RetriesZero {
    fn write(&mut self, mut io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match io.as_mut().poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) if !bytes.is_empty() => {}
                polled => return polled,
            }
        }
    }
}

/// Flushes only after an answer that nobody sends.
#[derive(Default)]
struct WaitsForEver(Option<Waker>);

impl Fault for WaitsForEver {
    fn flush(&mut self, _io: Io<'_>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Takes for granted that a write writes something.
#[derive(Default)]
struct Panics;

impl Fault for Panics {
    fn write(&mut self, io: Io<'_>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!bytes.is_empty(), "nothing to write");
        io.poll_write(cx, bytes)
    }
}
