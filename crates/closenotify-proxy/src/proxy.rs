//! The proxy as a whole: a listener, its sessions, and their end.
//!
//! It serves whatever its sessions are; what a session does is theirs.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{error, fmt, io};

use closenotify::TlsAcceptor;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::{JoinSet, unconstrained};
use tokio::time::sleep;

use crate::address::HostPort;
use crate::config::{ProxyConfig, Timeouts};
use crate::ledger::Ledger;
use crate::session::{self, Sessions};
use crate::shutdown::Shutdown;

/// A proxy that listens.
#[derive(Debug)]
pub struct Proxy {
    local_addr: SocketAddr,
    listener: TcpListener,
    config: ProxyConfig,
    ledger: Ledger,
}

impl Proxy {
    /// Binds the address of the configuration. The ledger goes to standard error. Dropping the future binds nothing.
    ///
    /// # Errors
    ///
    /// [`BindError`], which names the address and why it cannot be listened on.
    pub async fn bind(config: ProxyConfig) -> Result<Self, BindError> {
        let failed = |source| BindError { address: config.listen.clone(), source };
        let addresses = config.listen.resolve().await.map_err(failed)?;
        let listener = listen(&addresses).map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let ledger = Ledger::stderr(config.log);
        Ok(Self { local_addr, listener, config, ledger })
    }

    /// Sends the ledger elsewhere.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Ledger) -> Self {
        self.ledger = ledger;
        self
    }

    /// The address bound: the configured one, with the port taken when that was 0.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until told to drain, then until no session is left, the drain deadline is over or aborting is ordered;
    /// sessions that still run then are reset.
    ///
    /// Dropping the future closes the listener and drops every session where it is.
    pub async fn run(self, shutdown: Shutdown) -> Drained {
        let Self { listener, config, ledger, local_addr: _ } = self;
        let drain = config.drain;
        let Timeouts { handshake, .. } = config.timeouts;
        let (aborter, abort) = Shutdown::channel();
        let sessions = Arc::new(Sessions {
            acceptor: TlsAcceptor::from(config.tls).handshake_timeout(handshake),
            upstream: config.upstream,
            truncation: config.truncation,
            timeouts: config.timeouts,
            ledger,
            abort,
        });
        let mut running = JoinSet::new();
        accept(listener, &sessions, &mut running, &shutdown).await;

        let mut drained = Drained { finished: 0, aborted: 0 };
        let give_up = async {
            tokio::select! {
                () = sleep(drain) => {}
                () = shutdown.aborting() => {}
            }
        };
        tokio::select! {
            biased;
            () = drained.count(&mut running) => return drained,
            () = give_up => {}
        }
        aborter.abort();
        drained.count(&mut running).await;
        drained
    }
}

/// Listens on the first of the addresses that can be.
fn listen(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut failure = io::ErrorKind::AddrNotAvailable.into();
    for &address in addresses {
        let listening = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A port whose last connections have not faded yet can be taken again at once.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        match listening() {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Accepts until told to drain; the listener is closed then, when all that had connected before are accepted, too.
async fn accept(listener: TcpListener, sessions: &Arc<Sessions>, running: &mut JoinSet<bool>, shutdown: &Shutdown) {
    let mut draining = std::pin::pin!(shutdown.draining());
    let mut numbers = 1..;
    let mut serve = |running: &mut JoinSet<bool>, (stream, address)| {
        let number = numbers.next().expect("no process lives to accept 2^64 connections");
        running.spawn(session::serve(Arc::clone(sessions), number, stream, address));
    };
    loop {
        tokio::select! {
            biased;
            () = &mut draining => break,
            Some(_finished) = running.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok(connection) => serve(running, connection),
                Err(error) if is_the_connections_own(&error) => {}
                Err(error) => {
                    // Out of descriptors, mostly: it would fail again at once, for as long as it lasts.
                    sessions.ledger.accept_failed(&error);
                    tokio::select! {
                        () = &mut draining => break,
                        () = sleep(ACCEPT_PAUSE) => {}
                    }
                }
            },
        }
    }
    let waiting = |cx: &mut Context<'_>| Poll::Ready(listener.poll_accept(cx));
    // No more than can have waited at the order: whoever goes on connecting must not put the drain off.
    for _ in 0..BACKLOG {
        // Unconstrained, because "none now" must be the kernel's answer and not the task's budget.
        match unconstrained(poll_fn(waiting)).await {
            Poll::Ready(Ok(connection)) => serve(running, connection),
            Poll::Ready(Err(error)) if is_the_connections_own(&error) => {}
            Poll::Ready(Err(_)) | Poll::Pending => break,
        }
    }
}

/// Whether the connection to be accepted failed, and not the accepting.
fn is_the_connections_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// How the sessions ended that ran when draining was ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that came to their own end.
    pub finished: u64,
    /// Sessions that were reset because the time was over or aborting was ordered.
    pub aborted: u64,
}

impl Drained {
    /// Counts sessions until none is left. Dropping the future loses no count.
    async fn count(&mut self, running: &mut JoinSet<bool>) {
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok(false) => self.finished += 1,
                // A session that panicked has dropped its connections, too.
                Ok(true) | Err(_) => self.aborted += 1,
            }
        }
    }
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

/// How long accepting rests when it fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections may wait to be accepted; the kernel allows fewer where it is told to (`net.core.somaxconn`). One
/// that finds no place tries again after a second, so a burst must fit.
const BACKLOG: u32 = 4096;
