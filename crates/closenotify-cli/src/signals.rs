//! Signals become orders: the first drains, the second aborts.
//!
//! No other signal is touched, and nothing is ended from here.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use closenotify_proxy::ShutdownTrigger;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::proxy::Report;

/// SIGTERM and SIGINT, caught from here on.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// From now on neither signal ends the process by itself.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// Passes the first signal on as the order to drain and the second as the order to abort, then keeps the trigger.
    ///
    /// Dropping the future leaves the signals caught and gives no more orders.
    pub(crate) async fn pass_on(mut self, trigger: ShutdownTrigger, drain: Duration, report: Report) -> Infallible {
        let name = self.next().await;
        report.draining(name, drain);
        trigger.drain();
        let name = self.next().await;
        report.aborting(name);
        trigger.abort();
        std::future::pending().await
    }

    async fn next(&mut self) -> &'static str {
        // Neither stream ends while the runtime lives.
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
