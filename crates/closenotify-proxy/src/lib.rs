//! A TLS-terminating proxy that passes each ending on as what it was, and logs it.
//!
//! [`Proxy::start`] takes a checked [`Config`], [`Proxy::run`] serves until it is told to stop. A process that embeds it decides
//! about signals, exit codes and where settings come from.

pub mod address;
mod admin;
mod board;
pub mod config;
mod descriptors;
mod events;
mod generation;
mod limits;
mod listen;
mod listener;
mod live;
mod metrics;
mod notify;
mod privileges;
mod proxy;
mod proxy_protocol;
mod relay;
mod session;
mod shutdown;
mod socket;
mod takeover;
mod tcp_end;
mod telemetry;
pub mod tls;
mod upstream;
mod worker;

pub use address::{Endpoint, HostPort};
pub use config::{Config, LogFormat, Timeouts, TruncationPolicy};
pub use events::{Event, Events, Limit, OpenError, SessionResult};
pub use proxy::{Drained, Order, Proxy, StartError};
pub use relay::TcpEnding;
