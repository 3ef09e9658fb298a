//! Events of connecting to upstreams, for the log and the metrics.
//!
//! They are reported on the session's thread or a lookup's thread, so an observer must not block. Nothing is limited in rate
//! here.

use std::fmt;
use std::time::Duration;

use super::error::AttemptError;

/// Receives events.
pub(crate) trait Observer: fmt::Debug + Send + Sync {
    /// Must not block.
    fn observe(&self, event: UpstreamEvent<'_>);
}

/// An event of connecting to an upstream. Addresses are as configured.
#[derive(Clone, Copy, Debug)]
pub(crate) enum UpstreamEvent<'a> {
    /// An address was tried: reached after this time, or not.
    Attempt {
        /// The upstream's name.
        upstream: &'a str,
        /// The address.
        address: &'a str,
        /// Until the connection was ready, TLS included.
        result: Result<Duration, &'a AttemptError>,
    },
    /// An address begins to rest: for this long it is tried only if no other is left.
    Resting {
        /// The upstream's name.
        upstream: &'a str,
        /// The address.
        address: &'a str,
        /// For how long.
        rest: Duration,
        /// Why.
        error: &'a AttemptError,
    },
    /// An address that had failed was reached again.
    Recovered {
        /// The upstream's name.
        upstream: &'a str,
        /// The address.
        address: &'a str,
    },
    /// A lookup failed, or has had no answer for a while. An earlier answer may stay in use.
    LookupFailed {
        /// The name.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
}
