//! Upstreams: the servers that sessions go to, how one is chosen, and how it is connected to.
//!
//! Relaying and ending connections is the session's. Health is passive: no connection is made that no client asked for.

mod connect;
mod error;
mod event;
#[cfg(test)]
mod fake;
mod health;
mod lookup;
mod pool;

pub(crate) use error::ConnectError;
pub(crate) use event::{Observer, UpstreamEvent};
pub(crate) use health::AddressState;
pub(crate) use pool::{Connected, Network, Upstream, UpstreamStream};
