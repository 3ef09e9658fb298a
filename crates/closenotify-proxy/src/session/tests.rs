//! Sessions over sockets.

/// The server name of a session that spins: its relay wakes itself at every poll, as the incident did.
pub(super) const SPINS: &str = "spin.test";
