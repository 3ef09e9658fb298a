//! Traits of other crates, each implemented for our streams under a feature that is named as the crate.
//!
//! A user cannot implement a foreign trait for a foreign type, so without these each of them would write the same newtype.
//! All are off by default.

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
