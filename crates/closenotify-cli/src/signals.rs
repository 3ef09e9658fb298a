//! Signals become orders, for as long as the process runs.
//!
//! Nothing is ended, reloaded or logged from here, and no order waits until something is logged. SIGPIPE needs nothing: Rust's
//! runtime ignores it, and a broken pipe is an error of the write.

use std::io;

use closenotify_proxy::Order;
use tokio::signal::unix::{Signal, SignalKind, signal};

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

    /// The next order: the first SIGTERM or SIGINT drains, each one after it aborts, and SIGQUIT aborts at any time. Signals of one kind that arrive before it is asked for are one.
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
    /// docs/cases.md D10
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
