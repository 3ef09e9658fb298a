//! The order to stop, from whoever gets the signals to everything that runs.
//!
//! It carries the order only: it catches no signal, counts no session and keeps no deadline.
//!
//! ```text
//! Running ──drain()──▶ Draining ──abort()──▶ Aborting
//!    └─────────────────abort()──────────────────▲
//! ```
//!
//! Never backwards; a repeated order changes nothing.

use tokio::sync::watch;

/// The side that orders. Dropping it orders nothing: what runs goes on, and can no longer be told to stop.
#[derive(Debug)]
pub(crate) struct ShutdownTrigger {
    stage: watch::Sender<Stage>,
}

impl ShutdownTrigger {
    /// Orders to take nothing new and to finish what runs. Does nothing after either order.
    pub(crate) fn drain(&self) {
        self.advance(Stage::Draining);
    }

    /// Orders to end at once what still runs. Implies [`drain`](Self::drain).
    pub(crate) fn abort(&self) {
        self.advance(Stage::Aborting);
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = to > *stage;
            if later {
                *stage = to;
            }
            later
        });
    }
}

/// The side that obeys. Each clone sees every order, whenever it was cloned and whenever it asks.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    stage: watch::Receiver<Stage>,
}

impl Shutdown {
    /// A pair in which nothing has been ordered.
    pub(crate) fn channel() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(Stage::Running);
        (ShutdownTrigger { stage: sender }, Self { stage: receiver })
    }

    /// Returns when draining (or aborting) has been ordered; at once if it has been already. If the trigger was dropped
    /// without the order, never.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn draining(&self) {
        self.reached(Stage::Draining).await;
    }

    /// Returns when aborting has been ordered; at once if it has been already. If the trigger was dropped without the
    /// order, never.
    ///
    /// Dropping the future loses nothing.
    pub(crate) async fn aborting(&self) {
        self.reached(Stage::Aborting).await;
    }

    async fn reached(&self, stage: Stage) {
        // The clone is this wait's own, so that `&self` is enough and waits do not steal changes from each other.
        let mut watched = self.stage.clone();
        if watched.wait_for(|now| *now >= stage).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    Draining,
    Aborting,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // an unwrap here is an assertion
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Polls once, without any waker: what is ready without a wake is ready at once.
    fn now(future: impl Future<Output = ()>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
    }

    #[test]
    fn orders_are_seen_by_clones_made_before_and_after() {
        let (trigger, shutdown) = Shutdown::channel();
        let before = shutdown.clone();
        assert!(!now(before.draining()));
        trigger.drain();
        let after = shutdown.clone();
        for seen in [&before, &shutdown, &after] {
            assert!(now(seen.draining()));
            assert!(now(seen.draining()), "an order stays given");
            assert!(!now(seen.aborting()));
        }
        trigger.abort();
        trigger.drain();
        for seen in [&before, &shutdown, &after] {
            assert!(now(seen.draining()) && now(seen.aborting()));
        }
    }

    #[test]
    fn abort_implies_drain() {
        let (trigger, shutdown) = Shutdown::channel();
        trigger.abort();
        assert!(now(shutdown.draining()) && now(shutdown.aborting()));
    }

    #[tokio::test]
    async fn waiting_future_is_woken() {
        let (trigger, shutdown) = Shutdown::channel();
        let (drained, aborted) = (shutdown.clone(), shutdown);
        let waiting = tokio::spawn(async move {
            drained.draining().await;
            drained.aborting().await;
        });
        tokio::task::yield_now().await;
        trigger.drain();
        aborted.draining().await;
        trigger.abort();
        waiting.await.unwrap();
    }

    #[test]
    fn dropped_trigger_orders_nothing_and_takes_nothing_back() {
        let (trigger, shutdown) = Shutdown::channel();
        drop(trigger);
        assert!(!now(shutdown.draining()));
        let (trigger, shutdown) = Shutdown::channel();
        trigger.drain();
        drop(trigger);
        assert!(now(shutdown.draining()));
        assert!(!now(shutdown.aborting()));
    }
}
