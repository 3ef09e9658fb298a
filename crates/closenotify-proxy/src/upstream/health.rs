//! One address of an upstream: its number of sessions, and whether it rests after failures.
//!
//! Health comes from the attempts of sessions; nothing here probes. After a failure an address rests for a second, and twice as
//! long each time that it fails again after its rest, up to 30 seconds. A success ends that. A failed attempt that began before
//! the rest was over does not count: it says nothing new. After the rest one session tries the address, and the others avoid it
//! until that attempt is over.
//!
//! ```text
//!            failure                  rest over                a session tries it
//! available ---------> resting 1 s ------------> rest over --------------------> on trial
//!     ^                  ^   resting 2 s … 30 s <--- failure ----------------------' |
//!     '------------------+----------------------- success --------------------------'
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::error::AttemptError;
use super::lookup::Host;
use crate::address::Endpoint;

/// An address as configured, with its health and its sessions. A reload keeps it.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) endpoint: Endpoint,
    /// As configured, for lines.
    pub(super) shown: String,
    /// `None` for a Unix socket.
    pub(super) host: Option<Host>,
    sessions: AtomicU64,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    /// Failures in a row, at most one for each rest; 0 when healthy.
    failures: u32,
    rests_until: Option<Instant>,
    /// A session is trying it after its rest.
    on_trial: bool,
    last_error: Option<AttemptError>,
}

/// Whether an address can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    Available,
    /// For this long; zero while a session is trying it after its rest.
    Resting(Duration),
}

impl Address {
    pub(super) fn new(endpoint: Endpoint, host: Option<Host>) -> Self {
        let shown = endpoint.to_string();
        Self { endpoint, shown, host, sessions: AtomicU64::new(0), health: Mutex::default() }
    }

    /// Sessions connected to it or connecting.
    pub(super) fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(super) fn standing(&self, now: Instant) -> Standing {
        let health = self.health();
        let left = health.rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now));
        if left.is_zero() && !health.on_trial { Standing::Available } else { Standing::Resting(left) }
    }

    /// What it does now.
    pub(super) fn state(&self, now: Instant) -> AddressState {
        let resting = match self.standing(now) {
            Standing::Available => None,
            // It has failed before it rests.
            Standing::Resting(_) => self.health().last_error.as_ref().map(|error| error.reason().to_owned()),
        };
        AddressState { address: self.shown.clone(), sessions: self.sessions(), resting }
    }

    /// Makes it rest for so long.
    #[cfg(test)]
    pub(super) fn rest(&self, rest: Duration, error: AttemptError) {
        let mut health = self.health();
        health.rests_until = Some(Instant::now() + rest);
        health.last_error = Some(error);
    }

    /// What is known of it.
    #[cfg(test)]
    pub(super) fn report(&self, now: Instant) -> AddressHealth {
        let health = self.health();
        let left = health.rests_until.map(|until| until.saturating_duration_since(now));
        AddressHealth {
            address: self.shown.clone(),
            sessions: self.sessions(),
            failures: health.failures,
            resting: left.filter(|left| !left.is_zero()),
            last_error: health.last_error.as_ref().map(|error| error.reason().to_owned()),
        }
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        // Nothing that runs under the lock can panic.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an address does now, for the metrics and the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressState {
    /// As configured.
    pub(crate) address: String,
    /// Sessions connected to it or connecting.
    pub(crate) sessions: u64,
    /// Why it rests, or why it rested if a session is trying it now. `None`: it can be chosen.
    pub(crate) resting: Option<String>,
}

/// What is known of an address.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressHealth {
    /// As configured.
    pub(crate) address: String,
    /// Sessions connected to it or connecting.
    pub(crate) sessions: u64,
    /// Failures in a row, at most one for each rest; 0 when healthy.
    pub(crate) failures: u32,
    /// For how long it rests. `None`: it does not.
    pub(crate) resting: Option<Duration>,
    /// Why it failed last; kept after it has recovered.
    pub(crate) last_error: Option<String>,
}

/// Counts as one session of an address until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Address>);

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An attempt to reach an address. Dropped without a result, it changes nothing about the address.
#[derive(Debug)]
pub(super) struct Attempt {
    address: Arc<Address>,
    lease: Lease,
    begun: Instant,
    /// Set if this attempt is the one that tries the address after its rest.
    trial: Trial,
}

impl Attempt {
    pub(super) fn begin(address: &Arc<Address>, now: Instant) -> Self {
        address.sessions.fetch_add(1, Ordering::Relaxed);
        let mut health = address.health();
        let rested = health.rests_until.is_some_and(|until| until <= now);
        let trial = rested && !health.on_trial;
        health.on_trial |= trial;
        drop(health);
        let trial = Trial(trial.then(|| Arc::clone(address)));
        Self { address: Arc::clone(address), lease: Lease(Arc::clone(address)), begun: now, trial }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// The address was reached. Returns the session's lease, and whether the address had failed before.
    pub(super) fn succeeded(self) -> (Lease, bool) {
        let mut health = self.address.health();
        let recovered = health.failures > 0;
        health.failures = 0;
        health.rests_until = None;
        drop(health);
        drop(self.trial);
        (self.lease, recovered)
    }

    /// The address was not reached. Returns how long it rests from now on, if a rest begins.
    pub(super) fn failed(self, error: &AttemptError, now: Instant) -> Option<Duration> {
        if error.is_ours() {
            return None;
        }
        let mut health = self.address.health();
        health.last_error = Some(error.clone());
        if health.rests_until.is_some_and(|until| self.begun < until) {
            return None;
        }
        let rest = FIRST_REST.saturating_mul(1 << health.failures.min(DOUBLINGS_MAX)).min(LONGEST_REST);
        health.failures = health.failures.saturating_add(1);
        health.rests_until = Some(now + rest);
        Some(rest)
    }
}

/// Ends the trial when it is dropped.
#[derive(Debug)]
struct Trial(Option<Arc<Address>>);

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(address) = &self.0 {
            address.health().on_trial = false;
        }
    }
}

const FIRST_REST: Duration = Duration::from_secs(1);

const LONGEST_REST: Duration = Duration::from_secs(30);

/// Enough to come to the longest rest.
const DOUBLINGS_MAX: u32 = 5;

#[cfg(test)]
mod tests;
