//! The admin listener: metrics, health, live sessions and the page, for those who run the proxy.
//!
//! It runs on a thread and a runtime of its own, so that it answers while the workers are busy. It only reads: no request
//! changes anything. It has no password; whoever can connect can read, so it belongs on localhost, a Unix socket or a network
//! of your own.

#[cfg(test)]
mod deploy;
mod listener;
#[cfg(test)]
mod page;
mod routes;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use listener::Admin;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use crate::telemetry::Telemetry;
use listener::Listening;
use routes::Routes;

/// An admin listener that serves; dropping it ends it, with the connections that it has.
#[derive(Debug)]
pub(crate) struct AdminServer {
    _stop: oneshot::Sender<Infallible>,
}

impl Admin {
    /// Serves from now on, on a thread of its own.
    ///
    /// # Errors
    ///
    /// The system's, if there can be no more threads or descriptors.
    pub(crate) fn serve(self, telemetry: Arc<Telemetry>) -> io::Result<AdminServer> {
        self.serve_within(telemetry, Bounds::default())
    }

    fn serve_within(self, telemetry: Arc<Telemetry>, bounds: Bounds) -> io::Result<AdminServer> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let routes = Arc::new(Routes::new(telemetry, self.host()));
        let (stop, stopped) = oneshot::channel();
        let listening = {
            let _entered = runtime.enter();
            self.listening()?
        };
        thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    // Never sent: it is the sender's end that counts.
                    _stopped = stopped => {}
                    never = accept(listening, routes, bounds) => match never {},
                }
            });
        })?;
        Ok(AdminServer { _stop: stop })
    }
}

/// How much whoever connects can make us hold, and for how long.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections at a time; others wait in the kernel.
    connections: usize,
    /// For a request's head, also when none comes at all.
    header: Duration,
    /// For a connection; then it is closed after the request that runs.
    connection: Duration,
    /// For that last request.
    last: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            header: Duration::from_secs(10),
            connection: Duration::from_secs(60),
            last: Duration::from_secs(10),
        }
    }
}

async fn accept(listening: Listening, routes: Arc<Routes>, bounds: Bounds) -> Infallible {
    let room = Arc::new(Semaphore::new(bounds.connections));
    loop {
        let place = Arc::clone(&room).acquire_owned().await.expect("it is never closed");
        let accepted = listening.accept().await;
        let routes = Arc::clone(&routes);
        match accepted {
            Ok(io) => drop(tokio::spawn(async move {
                connection(io, routes, bounds).await;
                drop(place);
            })),
            // Out of descriptors, mostly: it would fail again at once, for as long as it lasts.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection to its end.
async fn connection(io: impl AsyncRead + AsyncWrite + Unpin, routes: Arc<Routes>, bounds: Bounds) {
    let service = service_fn(|request| {
        let routes = Arc::clone(&routes);
        async move { Ok::<_, Infallible>(routes.respond(&request).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = pin!(serving);
    // How a connection here fails is its client's concern.
    if timeout(bounds.connection, serving.as_mut()).await.is_err() {
        serving.as_mut().graceful_shutdown();
        let _ = timeout(bounds.last, serving).await;
    }
}

/// How long a request's head may be; hyper reads no less.
const HEAD_MAX: usize = 16 * 1024;

/// How long accepting rests when it fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections at a time; others wait in the kernel.
pub(crate) const CONNECTIONS_MAX: usize = 64;
