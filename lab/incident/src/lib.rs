//! The historic busy loop: what its program and its tests share.
//!
//! It refuses to work around anything: the pair of crates is as it was published.

pub mod peer;
