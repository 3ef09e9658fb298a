//! The core against plain rustls, and against records that rustls would not make.

#![allow(clippy::unwrap_used)] // an unwrap here is an assertion

mod alerts;
mod bytes;
mod closing;
mod cuts;
mod drawn;
#[cfg(feature = "early-data")]
mod early;
mod exporter;
mod handshake;
mod incident;
mod inputs;
mod key_update;
mod limits;
mod model;
mod noise;
mod peer;
mod setup;
mod violations;
mod words;
