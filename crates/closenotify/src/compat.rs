//! Traits of other crates, implemented for our streams. Each has a feature with the name of its crate, off by default.
//!
//! Rust does not let users implement a foreign trait for a foreign type. Without these they would all write the same newtype.

#[cfg(feature = "hyper-util")]
mod hyper_util;
#[cfg(feature = "tokio-postgres")]
mod tokio_postgres;
#[cfg(feature = "tonic")]
mod tonic;

#[cfg(feature = "tokio-postgres")]
pub use self::tokio_postgres::PostgresConnect;
#[cfg(feature = "tonic")]
pub use self::tonic::TlsConnectInfo;
