//! A TLS-terminating relay that carries every ending through as what it was.

pub mod credentials;
pub mod demo;
