//! What the tests of this workspace share: certificates, a strict executor, a scripted transport, real peers.
//!
//! It refuses to know the crates it helps to test: it depends on neither `closenotify-core` nor `closenotify`.
//! A failure inside it is a failure of the test that called it, so its functions panic rather than return errors.

pub mod book;
pub mod certs;
pub mod client;
pub mod executor;
pub mod net;
pub mod peers;
pub mod plain;
pub mod report;
pub mod tickets;
pub mod transport;
