//! A TLS-terminating relay that carries every ending through as what it was.

pub mod address;
pub mod config;
pub mod credentials;
pub mod demo;
pub mod proxy;
pub mod shutdown;

pub use address::HostPort;
pub use config::{LogFormat, ProxyConfig, Timeouts, TruncationPolicy};
pub use proxy::{BindError, Drained, Proxy};
pub use shutdown::{Shutdown, ShutdownTrigger};
