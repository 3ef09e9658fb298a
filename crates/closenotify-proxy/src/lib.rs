//! A TLS-terminating relay that carries every ending through as what it was.

pub mod address;
pub mod config;
pub mod credentials;
pub mod demo;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod descriptors;
pub mod ledger;
#[expect(unused_imports, reason = "wired in by the session")]
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod listen;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod notify;
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod privileges;
pub mod proxy;
mod relay;
mod session;
pub mod shutdown;
mod socket;
#[expect(unused_imports, reason = "wired in by the session")]
#[cfg_attr(not(test), expect(dead_code, reason = "wired in by the session"))]
mod takeover;
mod tcp_end;

pub use address::{Endpoint, HostPort};
pub use config::{LogFormat, ProxyConfig, Timeouts, TruncationPolicy};
pub use ledger::{Ledger, SessionResult};
pub use proxy::{BindError, Drained, Proxy};
pub use relay::TcpEnding;
pub use shutdown::{Shutdown, ShutdownTrigger};
