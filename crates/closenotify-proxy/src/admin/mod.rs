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

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use crate::shutdown::Shutdown;
use crate::telemetry::Telemetry;
use listener::Listening;
use routes::Routes;

/// An admin listener that serves. Dropping it closes it; connections that it has get the answer that they wait for.
#[derive(Debug)]
pub(crate) struct AdminServer {
    stop: oneshot::Sender<Infallible>,
    closed: oneshot::Receiver<Infallible>,
}

impl AdminServer {
    /// Closes it, and returns when this process accepts nothing there any more: whoever connects from then on gets to another
    /// process that has the socket.
    pub(crate) async fn leave(self) {
        let Self { stop, closed } = self;
        drop(stop);
        // Never sent: it is the sender's end that counts.
        let _ = closed.await;
    }
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
        let (closes, closed) = oneshot::channel();
        let listening = {
            let _entered = runtime.enter();
            self.listening()?
        };
        thread::Builder::new().name("admin".into()).spawn(move || {
            runtime.block_on(async {
                let room = Arc::new(Semaphore::new(bounds.connections));
                let (ending, end) = Shutdown::channel();
                tokio::select! {
                    biased;
                    // Never sent: it is the sender's end that counts.
                    _stopped = stopped => {}
                    never = accept(listening, &room, routes, bounds, end) => match never {},
                }
                drop(closes);
                ending.drain();
                let all = u32::try_from(bounds.connections).unwrap_or(u32::MAX);
                let _ = timeout(bounds.last, room.acquire_many(all)).await;
            });
        })?;
        Ok(AdminServer { stop, closed })
    }
}

/// How much whoever connects can make us hold, and for how long.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections at a time; the oldest leaves for one more.
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

async fn accept(
    listening: Listening,
    room: &Arc<Semaphore>,
    routes: Arc<Routes>,
    bounds: Bounds,
    end: Shutdown,
) -> Infallible {
    // In the order in which they came.
    let mut open: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        let accepted = listening.accept().await;
        let (routes, end) = (Arc::clone(&routes), end.clone());
        match accepted {
            Ok(io) => {
                open.retain(|task| !task.is_finished());
                // Whoever holds connections must not keep a probe waiting: the oldest one leaves.
                if let (0, Some(oldest)) = (room.available_permits(), open.front()) {
                    oldest.abort();
                    open.pop_front();
                }
                let place = Arc::clone(room).acquire_owned().await.expect("it is never closed");
                let serving = tokio::spawn(async move {
                    connection(io, routes, bounds, end).await;
                    drop(place);
                });
                open.push_back(serving.abort_handle());
            }
            // Out of descriptors, mostly: it would fail again at once, for as long as it lasts.
            Err(_) => sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves one connection to its end, or to that of the answer that it waits for when the listener is closed.
async fn connection(io: impl AsyncRead + AsyncWrite + Unpin, routes: Arc<Routes>, bounds: Bounds, end: Shutdown) {
    let (asked, last) = (AtomicBool::new(false), AtomicBool::new(false));
    let service = service_fn(|request| {
        let (routes, last) = (Arc::clone(&routes), &last);
        asked.store(true, Ordering::Relaxed);
        async move {
            let mut response = routes.respond(&request).await;
            if last.load(Ordering::Relaxed) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = pin!(serving);
    // How a connection here fails is its client's concern.
    tokio::select! {
        _ended = serving.as_mut() => return,
        () = sleep(bounds.connection) => {}
        () = end.draining() => {}
    }
    last.store(true, Ordering::Relaxed);
    // One that was accepted a moment ago may have sent its first request, and hyper would not read it any more.
    if asked.load(Ordering::Relaxed) {
        serving.as_mut().graceful_shutdown();
    }
    let _ = timeout(bounds.last, serving).await;
}

/// How long a request's head may be; hyper reads no less.
const HEAD_MAX: usize = 16 * 1024;

/// How long accepting rests when it fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections at a time; the oldest leaves for one more.
pub(crate) const CONNECTIONS_MAX: usize = 64;
