//! Signals become orders, for as long as the process runs.
//!
//! Nothing is ended, reloaded or logged from here, and no order waits until something is logged. SIGPIPE needs nothing: Rust's
//! runtime ignores it, and a broken pipe is an error of the write.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use closenotify_proxy::ShutdownTrigger;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::proxy::Report;

/// What a signal orders, with the name of the signal where it is worth a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The first SIGTERM or SIGINT: take nothing new, finish what runs.
    Drain(&'static str),
    /// Each SIGTERM or SIGINT after it, and SIGQUIT at any time: reset what runs, and exit.
    Abort(&'static str),
    /// SIGHUP: read the settings and the certificates again.
    Reload,
    /// SIGUSR1: open the log file again.
    ReopenLog,
}

/// The signals, caught from here on.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    quit: Signal,
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
    draining: bool,
}

impl Signals {
    /// From now on none of them ends the process by itself.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            // By default it writes a core with every key and plaintext in it.
            quit: signal(SignalKind::quit())?,
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            // Its default action would end the process.
            usr2: signal(SignalKind::user_defined2())?,
            draining: false,
        })
    }

    /// The next order. Signals of one kind that arrive before it is asked for are one.
    ///
    /// Dropping the future loses no signal.
    pub(crate) async fn next(&mut self) -> Order {
        loop {
            // No stream ends while the runtime lives. The more drastic order first.
            let stop = tokio::select! {
                biased;
                _ = self.quit.recv() => return Order::Abort("SIGQUIT"),
                _ = self.term.recv() => "SIGTERM",
                _ = self.int.recv() => "SIGINT",
                _ = self.hup.recv() => return Order::Reload,
                _ = self.usr1.recv() => return Order::ReopenLog,
                _ = self.usr2.recv() => continue,
            };
            return if std::mem::replace(&mut self.draining, true) { Order::Abort(stop) } else { Order::Drain(stop) };
        }
    }

    /// Passes the orders to drain and to abort on, each before it is reported.
    ///
    /// Dropping the future leaves the signals caught and gives no more orders.
    pub(crate) async fn pass_on(mut self, trigger: ShutdownTrigger, drain: Duration, report: Report) -> Infallible {
        loop {
            match self.next().await {
                Order::Drain(name) => {
                    trigger.drain();
                    report.draining(name, drain);
                }
                Order::Abort(name) => {
                    trigger.abort();
                    report.aborting(name);
                }
                // Nothing to reload and no file to open again yet.
                Order::Reload | Order::ReopenLog => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Sends a signal to this very process, as an operator would.
    fn kill(signal: &str) {
        let own = std::process::id().to_string();
        let status = Command::new("sh").args(["-c", "kill -s $0 $1", signal, &own]).status();
        assert!(status.expect("a shell").success());
    }

    // One test, since signals reach every test of the process.
    #[tokio::test]
    async fn signals_become_orders_as_long_as_they_come() {
        let mut signals = Signals::catch().expect("signals can be caught");
        for (signal, order) in [
            ("HUP", Order::Reload),
            ("USR1", Order::ReopenLog),
            ("HUP", Order::Reload),
            ("TERM", Order::Drain("SIGTERM")),
            ("USR1", Order::ReopenLog),
            ("HUP", Order::Reload),
            ("INT", Order::Abort("SIGINT")),
            ("TERM", Order::Abort("SIGTERM")),
            ("QUIT", Order::Abort("SIGQUIT")),
        ] {
            kill("USR2");
            kill(signal);
            assert_eq!(signals.next().await, order, "{signal}");
        }
    }
}
