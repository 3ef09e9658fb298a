//! The streams against plain rustls: over a scripted transport, where every poll is counted, and over real sockets.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod agreed;
mod cancel;
mod clock;
mod close;
mod close_on_shutdown;
mod debug;
#[cfg(feature = "early-data")]
mod early;
#[cfg(feature = "early-data")]
mod early_openssl;
mod end_tls;
mod errors;
mod faces;
mod halves;
mod handshake;
mod incident;
mod lazy;
mod outbox;
mod peer;
mod reading;
mod refusal;
mod slow_reader;
mod sockets;
mod split;
mod trailing;
mod transport_errors;
mod wakers;
mod writing;
