//! A worker: a thread with a runtime of its own, that accepts connections and serves them. A session stays where it was
//! accepted.
//!
//! Workers share nothing while bytes flow. What they accept from, and when to stop, they are told.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::config::WhenFull;
use crate::events::Event;
use crate::limits::Place;
use crate::listen;
use crate::listener::{Listener, Slot};
use crate::session::{self, Shared};
use crate::shutdown::Shutdown;
use crate::socket::Socket;

/// The workers of a process.
#[derive(Debug)]
pub(crate) struct Workers {
    all: Vec<(UnboundedSender<Accepting>, JoinHandle<()>)>,
}

/// Sockets to accept from, for a listener, until told to stop.
#[derive(Debug)]
pub(crate) struct Accepting {
    pub(crate) listener: Arc<Slot<Listener>>,
    pub(crate) sockets: Vec<listen::Listener>,
    pub(crate) stop: Shutdown,
    /// Dropped when nothing is accepted any more and what waited has been.
    pub(crate) running: TaskTrackerToken,
}

impl Workers {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// The system's, when there can be no more threads or descriptors.
    pub(crate) fn start(count: NonZeroUsize, shared: &Arc<Shared>) -> io::Result<Self> {
        let mut all = Vec::with_capacity(count.get());
        for number in 0..count.get() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let (orders, taken) = unbounded_channel();
            let shared = Arc::clone(shared);
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                runtime.block_on(work(shared, taken));
            })?;
            all.push((orders, thread));
        }
        Ok(Self { all })
    }

    /// The number of workers.
    pub(crate) fn count(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.all.len()).expect("it was started with one at least")
    }

    /// Gives each worker its share of sockets.
    pub(crate) fn accept(&self, shares: impl IntoIterator<Item = Accepting>) {
        for ((orders, _), share) in self.all.iter().zip(shares) {
            // A worker that has panicked accepts nothing more; its sockets are closed with it.
            let _ = orders.send(share);
        }
    }

    /// Ends the threads; sessions that still run are dropped where they are.
    pub(crate) fn stop(self) {
        for (orders, thread) in self.all {
            drop(orders);
            let _ = thread.join();
        }
    }
}

/// Runs until the orders end.
async fn work(shared: Arc<Shared>, mut orders: UnboundedReceiver<Accepting>) {
    while let Some(Accepting { listener, sockets, stop, running }) = orders.recv().await {
        for socket in sockets {
            match registered(socket) {
                Ok(socket) => {
                    let (shared, listener, stop) = (Arc::clone(&shared), Arc::clone(&listener), stop.clone());
                    let running = running.clone();
                    tokio::spawn(async move {
                        accept(&shared, &listener, &socket, &stop).await;
                        drop(running);
                    });
                }
                Err(error) => shared.accept_failed(&listener.get(), &error),
            }
        }
    }
}

enum Accepts {
    Tcp(TcpListener),
    Unix(UnixListener),
}

fn registered(socket: listen::Listener) -> io::Result<Accepts> {
    Ok(match socket {
        listen::Listener::Tcp(tcp) => Accepts::Tcp(TcpListener::from_std(tcp)?),
        listen::Listener::Unix(unix) => Accepts::Unix(UnixListener::from_std(unix)?),
    })
}

impl Accepts {
    fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Socket, Option<SocketAddr>)>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_accept(cx).map_ok(|(stream, from)| (stream.into(), Some(from))),
            Self::Unix(unix) => unix.poll_accept(cx).map_ok(|(stream, _)| (stream.into(), None)),
        }
    }

    /// A connection that waits now, as the kernel says: the runtime may not know of it yet.
    fn accept_now(&self) -> io::Result<Option<(Socket, Option<SocketAddr>)>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let accepted = match self {
            Self::Tcp(tcp) => acceptfrom_with(tcp, flags),
            Self::Unix(unix) => acceptfrom_with(unix, flags),
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(match self {
            Self::Tcp(_) => {
                let from = from.and_then(|from| SocketAddr::try_from(from).ok());
                (TcpStream::from_std(stream.into())?.into(), from)
            }
            Self::Unix(_) => (UnixStream::from_std(stream.into())?.into(), None),
        }))
    }
}

/// Accepts until told to stop; then what had connected before is accepted, too.
async fn accept(shared: &Arc<Shared>, listener: &Arc<Slot<Listener>>, socket: &Accepts, stop: &Shutdown) {
    let mut stopping = pin!(stop.draining());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stopping => break,
            accepted = poll_fn(|cx| socket.poll_accept(cx)) => accepted,
        };
        match accepted {
            Ok(connection) => {
                tokio::select! {
                    biased;
                    // Whoever waits for room when accepting ends is still served, as soon as there is some.
                    place = room(shared) => {
                        if let Some(place) = place {
                            serve(shared, listener, connection, Some(place));
                        }
                    }
                    () = &mut stopping => {
                        serve(shared, listener, connection, None);
                        break;
                    }
                }
            }
            Err(error) if is_the_connections_own(&error) => {}
            Err(error) => {
                // Out of descriptors, mostly: it would fail again at once, for as long as it lasts.
                shared.accept_failed(&listener.get(), &error);
                tokio::select! {
                    () = &mut stopping => break,
                    () = sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    // No more than can have waited at the order: whoever goes on connecting must not put the end off. Each needs a place first,
    // or they would take the descriptors of those that have one.
    for _ in 0..listen::BACKLOG {
        match socket.accept_now() {
            Ok(Some(connection)) => {
                let place = tokio::select! {
                    biased;
                    place = shared.limits.place() => place,
                    () = shared.abort.aborting() => return,
                };
                serve(shared, listener, connection, Some(place));
            }
            Ok(None) => return,
            Err(error) if is_the_connections_own(&error) => {}
            Err(error) => {
                shared.accept_failed(&listener.get(), &error);
                tokio::select! {
                    () = sleep(ACCEPT_PAUSE) => {}
                    () = shared.abort.aborting() => return,
                }
            }
        }
    }
}

/// A place for the connection that was accepted; `None` where it is refused instead, and says so.
async fn room(shared: &Shared) -> Option<Place> {
    let limits = &shared.limits;
    let full = match limits.try_place() {
        Ok(place) => match limits.try_handshake() {
            Ok(()) => return Some(place),
            Err((full, _)) => full,
        },
        Err(full) => full,
    };
    let action = limits.when_full();
    shared.telemetry.tell(&Event::LimitReached { limit: full.limit, value: full.value, action });
    match action {
        WhenFull::Wait => {
            let place = limits.place().await;
            limits.handshake().await;
            Some(place)
        }
        WhenFull::Refuse => None,
    }
}

/// Begins a session; without a place, it waits for one.
fn serve(
    shared: &Arc<Shared>,
    listener: &Slot<Listener>,
    (stream, from): (Socket, Option<SocketAddr>),
    place: Option<Place>,
) {
    let session = session::serve(Arc::clone(shared), listener.get(), stream, from, place);
    tokio::spawn(shared.sessions.track_future(session));
}

/// Whether the connection to be accepted failed, and not the accepting.
fn is_the_connections_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

/// How long accepting rests when it fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
