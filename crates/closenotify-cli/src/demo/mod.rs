//! The demo's upstream: a plain HTTP/1.1 server on a free loopback port, with a route for each way an answer can end.
//!
//! It is no general server: it binds loopback only, speaks no TLS, and keeps no files. HTTP itself is hyper's; only the
//! end of each connection is ours, because what a proxy does with an ending can be shown only by an upstream whose own
//! endings are right.

mod body;
mod ending;
mod routes;
#[cfg(test)]
mod tests;
mod wire;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use self::wire::{ResetOrder, Wire};

/// A running demo server. It serves until this is dropped.
///
/// | path | answer |
/// |---|---|
/// | `/` | what this is, and the list of the others |
/// | `/bytes/N` | exactly N bytes, N up to 1 GiB |
/// | `/slow/SECONDS` | one line at once, the rest after SECONDS (up to 60) |
/// | `/early` | an answer that does not wait for the request's body |
/// | `/echo` | the request's body, as it comes in |
/// | `/reset/N` | N bytes of a longer body, then a TCP reset |
///
/// A client that half-closes still gets its complete response. After the last response of a connection the server sends FIN,
/// then reads on and discards for at most 2 s and 64 MiB, so that an upload nobody reads does not destroy the answer.
///
/// Dropping it stops the listening and cuts the connections that are open.
#[derive(Debug)]
pub(crate) struct DemoUpstream {
    addr: SocketAddr,
    accepting: AbortHandle,
}

impl DemoUpstream {
    /// Binds a free port of 127.0.0.1 and serves it on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// What `bind` said.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub(crate) fn start() -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let addr = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener)).abort_handle();
        Ok(Self { addr, accepting })
    }

    /// The address it listens on.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for DemoUpstream {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Dropping the future stops the listening and, with the set of tasks, every connection.
async fn accept(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream));
                }
                // Out of descriptors: `accept` would fail again at once, for as long as it lasts.
                Err(_) => sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream) {
    let stream = Arc::new(stream);
    let order = ResetOrder::default();
    let service = service_fn(|request| {
        let response = routes::respond(request, &order);
        async move { response }
    });
    let wire = TokioIo::new(Wire::new(Arc::clone(&stream), order.clone()));
    // An error is the client's (not HTTP, gone) or the reset that the wire made of an order; either way the connection
    // must still be ended.
    let _ = http1::Builder::new().half_close(true).serve_connection(wire, service).await;
    if order.is_given() {
        ending::reset(stream, sleep(RESET_PATIENCE)).await;
    } else {
        ending::linger(&stream, LINGER_TIME, LINGER_BYTES).await;
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// How long `/reset` waits for what it gave to be sent.
const RESET_PATIENCE: Duration = Duration::from_secs(10);
