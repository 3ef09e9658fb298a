//! A TLS-terminating relay that carries every ending through as what it was.

pub mod address;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod admin;
mod board;
pub mod config;
pub mod credentials;
pub mod demo;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod events;
pub mod ledger;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod live;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod metrics;
pub mod proxy;
mod relay;
mod session;
pub mod shutdown;
mod socket;
mod tcp_end;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod telemetry;

pub use address::{Endpoint, HostPort};
pub use admin::AdminError;
pub use config::{LogFormat, ProxyConfig, Timeouts, TruncationPolicy};
pub use events::{Event, Events, Limit, OpenError, SessionResult};
pub use ledger::Ledger;
pub use proxy::{BindError, Drained, Proxy};
pub use relay::TcpEnding;
pub use shutdown::{Shutdown, ShutdownTrigger};
