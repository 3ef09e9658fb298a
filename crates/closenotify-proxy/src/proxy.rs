//! The proxy as a whole: a listener, its sessions, and their end.
//!
//! A stand-in: it binds, and waits to be told to stop; it serves no session.

use std::net::SocketAddr;
use std::{error, fmt, io};

use tokio::net::TcpListener;

use crate::address::HostPort;
use crate::config::ProxyConfig;
use crate::shutdown::Shutdown;

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    local_addr: SocketAddr,
    _listener: TcpListener,
}

impl Proxy {
    /// Binds the address of the configuration. Dropping the future binds nothing.
    ///
    /// # Errors
    ///
    /// [`BindError`], which names the address and why it cannot be listened on.
    pub async fn bind(config: ProxyConfig) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.listen.clone(), source };
        let addresses = config.listen.resolve().await.map_err(failed)?;
        let listener = TcpListener::bind(addresses.as_slice()).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Self { local_addr, _listener: listener })
    }

    /// The address bound: the configured one, with the port taken when that was 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until told to drain, then until no session is left, the drain deadline is over or aborting is ordered.
    pub async fn run(self, shutdown: Shutdown) -> Drained {
        shutdown.draining().await;
        Drained { finished: 0, aborted: 0 }
    }
}

/// How the sessions ended that ran when draining was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that came to their own end.
    pub finished: u64,
    /// Sessions that were reset because the time was over or aborting was ordered.
    pub aborted: u64,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    address: HostPort,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, source } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(
                f,
                "cannot listen on {address}: the address is in use; stop what listens there, or give another with --listen (port 0 takes a free one)"
            ),
            io::ErrorKind::PermissionDenied => {
                write!(f, "cannot listen on {address}: {source}; ports below 1024 need the right to bind them")
            }
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "cannot listen on {address}: this machine has no such address; give one of its own, 0.0.0.0 or [::]"
            ),
            _ => write!(f, "cannot listen on {address}: {source}; give another address with --listen"),
        }
    }
}

impl error::Error for BindError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.source)
    }
}
