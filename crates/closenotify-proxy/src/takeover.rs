//! A running process hands its listening sockets to its successor, so that no connection is refused in between.
//!
//! ```text
//! successor                                   predecessor
//!    ── hello ───────────────────────────────▶  who are you? (SO_PEERCRED)
//!    ◀─ sockets, 32 at a time, then their end ─  still accepts
//!   binds what is new, begins to accept         still accepts
//!    ── serving ─────────────────────────────▶  removes its socket file
//!    ◀─ released ────────────────────────────── drains, and exits
//!   offers its own sockets at the same path
//! ```
//!
//! Both hold the same sockets, so that what waits to be accepted waits for either. Until `serving` the predecessor goes on as if
//! nothing had happened, whatever becomes of the successor. No session moves from one process to the other.

mod error;
mod offer;
mod take;
mod wire;

pub(crate) use error::TakeoverError;
pub(crate) use offer::{Offered, Successor, TakeoverSocket};
pub(crate) use take::{Handover, take};

#[cfg(test)]
mod under_load;
