//! A TLS-terminating relay that carries every ending through as what it was.

pub mod address;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod ledger;
pub mod proxy;
mod relay;
mod session;
pub mod shutdown;
mod tcp_end;

pub use address::HostPort;
pub use config::{LogFormat, ProxyConfig, Timeouts, TruncationPolicy};
pub use ledger::Ledger;
pub use proxy::{BindError, Drained, Proxy};
pub use relay::TcpEnding;
pub use shutdown::{Shutdown, ShutdownTrigger};
